--- Changes header fields of requests and responses.
local Headers = {
  version     = "1.0.0",
  description = "Adds, sets and removes header fields of requests and responses.",
  band        = "transform",
}
Headers.__index = Headers

-- How a message is framed and connected is between the gateway and each side.
local FIXED = {
  connection = true, ["content-length"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, te = true,
  ["http2-settings"] = true, trailer = true, ["transfer-encoding"] = true, upgrade = true,
}

local function check_name(name)
  if FIXED[name] then return false, name .. " says how the message is framed or connected: the gateway sets it" end
  return true
end

--- Whether all keys of a map are names of fields that a plugin may set. Also for plugins that require this file.
function Headers.check_names(map)
  for name in pairs(map) do
    local good, why = check_name(name)
    if not good then return false, why end
  end
  return true
end

local function fields(doc)
  return {
    type = "object", doc = doc,
    fields = {
      remove = {
        type = "list", of = { type = "header_name", check = check_name }, default = {},
        doc = "fields to take out; done first",
      },
      set = {
        type = "map", keys = "header_name", of = "template", check = Headers.check_names, default = {},
        doc = "fields in place of those of their name; a value that comes out empty takes them away",
      },
      add = {
        type = "map", keys = "header_name", of = "template", check = Headers.check_names, default = {},
        doc = "fields beside those of their name; none where the value comes out empty",
      },
      default = {
        type = "map", keys = "header_name", of = "template", check = Headers.check_names, default = {},
        doc = "fields where there is none of their name yet",
      },
    },
  }
end

Headers.schema = {
  request = fields("the request on its way to the upstream"),
  response = fields("the response on its way to the client, whoever made it"),
}

--- The fields of a map in the order of their names.
local function compile(map, has_response)
  local list = {}
  for name, text in pairs(map) do
    local fill, why = tide.template.compile(text, { response = has_response })
    if not fill then error(("%s: %s"):format(name, why), 0) end
    list[#list + 1] = { name = name, fill = fill }
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function compile_side(side, has_response)
  return side and {
    remove = side.remove, set = compile(side.set, has_response), add = compile(side.add, has_response),
    default = compile(side.default, has_response),
  }
end

function Headers.new(conf)
  local self = { upwards = compile_side(conf.request, false), back = compile_side(conf.response, true) }
  if not self.upwards then self.request = false end
  if not self.back then self.response = false end
  return setmetatable(self, Headers)
end

--- What the client sends into a value must not end the field: RFC 9110 section 5.5.
local function clean(text) return (text:gsub("%c", " ")) end

local function change(side, message, req, res)
  for _, name in ipairs(side.remove) do message:remove_header(name) end
  for _, field in ipairs(side.set) do
    local value = field.fill(req, res)
    if value ~= "" then message:set_header(field.name, clean(value)) else message:remove_header(field.name) end
  end
  for _, field in ipairs(side.add) do
    local value = field.fill(req, res)
    if value ~= "" then message:add_header(field.name, clean(value)) end
  end
  for _, field in ipairs(side.default) do
    local value = not message:header(field.name) and field.fill(req, res) or ""
    if value ~= "" then message:set_header(field.name, clean(value)) end
  end
end

function Headers:request(req) change(self.upwards, req, req) end

function Headers:response(res, req) change(self.back, res, req, res) end

return Headers
