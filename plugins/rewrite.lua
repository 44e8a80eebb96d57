--- Changes what is asked for: path, query, method, host. On a route the upstream sees the difference; among the global
-- plugins it is the rewritten request that is routed.
local Rewrite = {
  version     = "1.0.0",
  description = "Rewrites path, query, method and host of requests.",
  band        = "transform",
  schema      = {
    path = { type = "path", doc = "in place of the whole path" },
    strip_prefix = { type = "path", doc = "taken from the front of the path, where it stands there as whole segments" },
    match = { type = "regex", doc = "part of the path that `to` replaces, the first time it is found" },
    to = {
      type = "string", template = true,
      doc = "what stands there instead; $1 and ${name} are groups of `match`, $$ is a dollar. What stands behind a " ..
            "? comes before the query that there is",
    },
    add_prefix = { type = "path", doc = "put in front of the path; done last" },
    query = {
      type = "object", doc = "arguments of the query",
      fields = {
        remove = { type = "list", of = "string", default = {}, doc = "arguments to take out; done first" },
        set = { type = "map", of = "template", default = {}, doc = "arguments in place of those of their name" },
        add = { type = "map", of = "template", default = {}, doc = "arguments beside those of their name" },
      },
    },
    method = { type = "method", doc = "another method" },
    host = { type = "host", doc = "another host" },
    requires = { match = { "to" }, to = { "match" } },
    conflicts = { { "path", "strip_prefix" }, { "path", "match" } },
  },
}
Rewrite.__index = Rewrite

local function compile(map)
  local fills = {}
  for name, text in pairs(map) do
    local fill, why = tide.template.compile(text, { response = false })
    if not fill then error(("query: %s: %s"):format(name, why), 0) end
    fills[name] = fill
  end
  return fills
end

function Rewrite.new(conf)
  local self = {
    path = conf.path, strip = conf.strip_prefix, to = conf.to, prefix = conf.add_prefix, method = conf.method,
    host = conf.host,
  }
  if self.strip then self.strip = self.strip:gsub("/$", "") end
  if self.prefix then self.prefix = self.prefix:gsub("/$", "") end
  if conf.match then
    self.match = assert(tide.re.compile(conf.match))
    local _, why = self.match:gsub("", conf.to)
    if type(why) == "string" then return nil, "to: " .. why end
  end
  if conf.query then
    self.query = { remove = conf.query.remove, set = compile(conf.query.set), add = compile(conf.query.add) }
  end
  return setmetatable(self, Rewrite)
end

--- A path without a prefix that ends where a segment does.
local function without(path, prefix)
  if path:sub(1, #prefix) ~= prefix then return path end
  local rest = path:sub(#prefix + 1)
  if rest == "" then return "/" end
  return rest:sub(1, 1) == "/" and rest or path
end

function Rewrite:new_path(path)
  if self.path then path = self.path end
  if self.strip then path = without(path, self.strip) end
  if self.match then path = assert(self.match:gsub(path, self.to, 1)) end
  if self.prefix then path = self.prefix .. path end
  return path:sub(1, 1) == "/" and path or "/" .. path
end

--- The values of an argument as a list.
local function list_of(value)
  if value == nil then return {} end
  return type(value) == "table" and value or { value }
end

function Rewrite:change_query(req)
  local args = req:args()
  for _, name in ipairs(self.query.remove) do args[name] = nil end
  for name, fill in pairs(self.query.set) do args[name] = fill(req) end
  for name, fill in pairs(self.query.add) do
    local values = { unpack(list_of(args[name])) }
    values[#values + 1] = fill(req)
    args[name] = values
  end
  req:set_args(args)
end

function Rewrite:request(req)
  local path, query = req.path, req.query
  local wanted = self:new_path(path)
  if query and wanted:find("?", 1, true) then wanted = wanted .. "&" .. query end
  if wanted ~= path then req:set_path(wanted) end
  if self.query then self:change_query(req) end
  if self.method then req:set_method(self.method) end
  if self.host then req:set_host(self.host) end
end

return Rewrite
