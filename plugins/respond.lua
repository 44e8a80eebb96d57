--- Answers by itself, whatever is asked: a maintenance page, a robots.txt, a refusal.
local Headers = require "headers"

local Respond = {
  version     = "1.0.0",
  description = "Answers with a fixed response.",
  band        = "filter",
  schema      = {
    status = { type = "status", default = 200, min = 200, doc = "status of the response" },
    body = {
      type = "template", default = "",
      doc = "its body; values of the request are escaped as HTML, XML or JSON where the type is one of these",
    },
    content_type = { type = "string", default = "text/plain; charset=utf-8", min = 1, doc = "type of the body" },
    headers = {
      type = "map", keys = "header_name", of = "template", check = Headers.check_names, default = {},
      doc = "header fields",
    },
  },
}
Respond.__index = Respond

local HTML = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escape_html(text) return (text:gsub("[&<>\"']", HTML)) end

--- A text as it stands within the quotes of JSON.
local function escape_json(text) return tide.json.encode(text):sub(2, -2) end

--- What makes a text of the client's harmless in a body of a type.
local function escape_for(content_type)
  local kind = content_type:lower()
  if kind:find "html" or kind:find "xml" then return escape_html end
  if kind:find "json" then return escape_json end
  return nil
end

local function compile(name, text, escape)
  local fill, why = tide.template.compile(text, { response = false, escape = escape })
  if not fill then error(("%s: %s"):format(name, why), 0) end
  return fill
end

function Respond.new(conf)
  local self = { status = conf.status, content_type = conf.content_type, headers = {} }
  self.body = compile("body", conf.body, escape_for(conf.content_type))
  for name, text in pairs(conf.headers) do self.headers[name] = compile(name, text) end
  return setmetatable(self, Respond)
end

function Respond:request(req)
  local headers, body = {}, self.body(req)
  if body ~= "" then headers["content-type"] = self.content_type end
  for name, fill in pairs(self.headers) do headers[name] = fill(req):gsub("%c", " ") end
  return req:reply(self.status, body ~= "" and body or nil, headers)
end

return Respond
