--- Requests as a spec writes them down, and what a client sends for them.
local message = require "tidegate.spec.message"
local url = require "tidegate.tide.url"

local request = {}

--- What a request may say, and of which type it is.
request.FIELDS = {
  method = "string", path = "string", query = "table", headers = "table", host = "string", body = "any", json = "any",
  version = "string", client_ip = "string", client_port = "number", port = "number", tls = "any", feed = "any",
  leaves = "number", ctx = "table", consumer = "any", upstream = "any", services = "table", raw = "string",
  route = "string",
}
local FIELDS = request.FIELDS

local Request = {}
Request.__index = Request

local function known_fields()
  local names = {}
  for name in pairs(FIELDS) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function check(fields, level)
  if type(fields) ~= "table" then
    error(("fake.request: expected a table, found a %s"):format(type(fields)), level + 1)
  end
  for name, value in pairs(fields) do
    local wanted = FIELDS[name]
    if not wanted then
      local known = known_fields()
      error(("fake.request: there is no field %s; expected one of %s"):format(tostring(name), known), level + 1)
    end
    if wanted ~= "any" and type(value) ~= wanted then
      error(("fake.request: %s: expected a %s, found a %s"):format(name, wanted, type(value)), level + 1)
    end
  end
  local feed = fields.feed
  if feed ~= nil and feed ~= "whole" and feed ~= "bytes" and not (type(feed) == "number" and feed >= 1) then
    error(('fake.request: feed: expected "whole", "bytes" or a number of bytes, found %s'):format(tostring(feed)),
          level + 1)
  end
end

--- A request; see docs/testing.md for its fields.
-- @tparam table fields
-- @treturn table request:through(instance, ...) is added by tidegate.spec
function request.new(fields)
  check(fields, 2)
  local self = {}
  for name, value in pairs(fields) do self[name] = value end
  return setmetatable(self, Request)
end
request.class = Request

local function target_of(r)
  local path = r.path or "/"
  if not r.query then return path end
  return path .. (path:find("?", 1, true) and "&" or "?") .. url.build_query(r.query)
end

local function has_header(headers, wanted)
  for key, value in pairs(headers or {}) do
    local name = type(key) == "number" and value[1] or key
    if name:lower() == wanted then return true end
  end
  return false
end

local function pieces_of(r, feed)
  if r.raw then return message.cut({ "", r.raw }, feed) end
  local headers, body = {}, r.body
  if not has_header(r.headers, "host") then headers[1] = { "Host", r.host or "gateway.test" } end
  for key, value in pairs(r.headers or {}) do
    if type(key) == "number" then headers[#headers + 1] = value else headers[key] = value end
  end
  local start = ("%s %s HTTP/%s"):format(r.method or "GET", target_of(r), r.version or "1.1")
  return message.cut(message.pieces(start, { headers = headers, body = body, json = r.json }), feed)
end

--- What a handshake would have told.
local function tls_of(wish)
  local tls = type(wish) == "table" and wish or {}
  return { version = tls.version or "TLSv1.3", cipher = tls.cipher or "TLS_AES_256_GCM_SHA384", sni = tls.sni }
end

--- What a client sends.
-- @tparam table r a request, or its fields
-- @tparam[opt] string|number feed instead of the request's own
-- @treturn table method, pieces, client_ip, client_port, port, tls, and all that the request has
function request.make(r, feed)
  if getmetatable(r) ~= Request then r = request.new(r) end
  local made = setmetatable({}, { __index = r })
  made.feed = feed or r.feed or "whole"
  made.method = r.method or "GET"
  made.pieces = pieces_of(r, made.feed)
  made.client_ip, made.client_port = r.client_ip or "127.0.0.1", r.client_port or 40000
  made.port = r.port or (r.tls and 443 or 80)
  if r.tls then made.tls = tls_of(r.tls) end
  return made
end

--- What every gateway under test has, in memory or not: gate:request{...} and gate:get(path, headers).
-- @tparam table class with a method run(made request)
function request.methods(class)
  --- Sends a request.
  -- @tparam table r fields of a request
  -- @treturn table see tidegate.spec.outcome
  function class:request(r) return self:run(request.make(r)) end

  --- Gets a path.
  -- @tparam[opt="/"] string path and query
  -- @tparam[opt] table headers
  function class:get(path, headers) return self:run(request.make { path = path, headers = headers }) end
end

return request
