--- The request that hooks get.
-- It is as small as can be: the number of the request at [1]. Machine code makes none at all where a hook only calls
-- its methods, so each run of a chain has its own. What is to last longer, such as req.ctx, is in a table beside it,
-- which most requests never need; all req objects of a request share it.
local C = require "tidegate.ffi"
local ffi = require "ffi"
local message = require "tidegate.message"

local raise, text_of, number_of, bad_type = message.raise, message.text_of, message.number_of, message.bad_type
local OK, ABSENT = C.TIDE_OK, C.TIDE_ABSENT
local type, setmetatable = type, setmetatable

local request = {}

-- What is kept of requests, by C.tide_kept; C takes out those that are over.
local all_kept

-- Places in such a table.
local CTX, CONSUMER, QUERY, PARAMS = 1, 2, 3, 4

--- ... of the decoders of its bodies, which tidegate.plugin.chain puts there.
request.DECODER, request.RESPONSE_DECODER = 5, 6

-- Place in a request object of that table, once it was asked for.
local KEPT = 2

--- What a request hook gives back to say that it has made a reply.
request.REPLY = setmetatable({}, { __tostring = function() return "a reply" end, __metatable = false })

local REPLY = request.REPLY

local methods, getters, setters = {}, {}, {}
message.methods(methods, C.TIDE_REQUEST)

-- -- what is kept --

--- @tparam table requests to keep it in, by place
function request.keep_in(requests) all_kept = requests end

--- What is kept of a request, to put something there.
local function to_keep(self)
  local kept = self[KEPT]
  if kept then return kept end
  local place = C.tide_kept(self[1], true)
  if place == 0 then raise(C.TIDE_OVER, "reading a field") end
  kept = all_kept[place]
  if not kept then
    kept = { false, false, false, false, false, false }
    all_kept[place] = kept
  end
  self[KEPT] = kept
  return kept
end

--- What is kept of a request; nil where nothing is.
local function kept_of(self) return self[KEPT] or all_kept[C.tide_kept(self[1], false)] end

--- What was kept at a place.
-- @tparam number number of the exchange
-- @tparam number place
-- @return false or nil where nothing was
function request.kept(number, place)
  local kept = all_kept[C.tide_kept(number, false)]
  return kept and kept[place]
end

--- Keeps something as long as the request lives.
function request.keep(self, place, value) to_keep(self)[place] = value end

-- -- fields --

local TEXTS = {
  id = C.TIDE_ID, method = C.TIDE_METHOD, scheme = C.TIDE_SCHEME, host = C.TIDE_HOST, path = C.TIDE_PATH,
  raw_path = C.TIDE_RAW_PATH, query = C.TIDE_QUERY, client_ip = C.TIDE_CLIENT_IP, service = C.TIDE_SERVICE,
  node = C.TIDE_NODE,
}
local NUMBERS = {
  port = C.TIDE_PORT, client_port = C.TIDE_CLIENT_PORT, version = C.TIDE_VERSION, started = C.TIDE_STARTED,
}

for name, what in pairs(TEXTS) do
  getters[name] = function(self) return text_of(self, what) end
end
for name, what in pairs(NUMBERS) do
  getters[name] = function(self) return number_of(self, what) end
end

--- How plugins tell each other things; lives as long as the request.
function getters:ctx()
  local kept = to_keep(self)
  local ctx = kept[CTX]
  if not ctx then
    ctx = {}
    kept[CTX] = ctx
  end
  return ctx
end

--- The certificate that the client has shown; nil where it has shown none.
local function client_cert_of(self)
  local fingerprint = text_of(self, C.TIDE_CERT_FINGERPRINT)
  if not fingerprint then return nil end
  return {
    fingerprint = fingerprint, subject = text_of(self, C.TIDE_CERT_SUBJECT), issuer = text_of(self, C.TIDE_CERT_ISSUER),
    serial = text_of(self, C.TIDE_CERT_SERIAL), not_after = text_of(self, C.TIDE_CERT_NOT_AFTER),
    pem = text_of(self, C.TIDE_CERT_PEM),
  }
end

--- nil without TLS.
function getters:tls()
  local version = text_of(self, C.TIDE_TLS_VERSION)
  if not version then return nil end
  return {
    version = version, cipher = text_of(self, C.TIDE_TLS_CIPHER), sni = text_of(self, C.TIDE_TLS_NAME),
    alpn = text_of(self, C.TIDE_TLS_ALPN), client_cert = client_cert_of(self),
  }
end

--- nil before the request is routed, and where no route was found.
function getters:route()
  local name = text_of(self, C.TIDE_ROUTE)
  return name and { name = name }
end

local param_name, param_value = ffi.new "struct slice[1]", ffi.new "struct slice[1]"

local function params_of(self)
  local params, index = {}, 0
  while true do
    local result = C.tide_param(self[1], index, param_name, param_value)
    if result ~= OK then
      if result ~= ABSENT then raise(result, "reading a field") end
      return params
    end
    local name = ffi.string(param_name[0].at, param_name[0].len)
    params[name] = ffi.string(param_value[0].at, param_value[0].len)
    index = index + 1
  end
end

--- The parameters of the route's path by name, as they stand in the path: percent-encoded. Empty before routing.
function getters:params()
  local kept = kept_of(self)
  local params = kept and kept[PARAMS]
  if params then return params end
  params = params_of(self)
  if next(params) then to_keep(self)[PARAMS] = params end
  return params
end

--- Who the request was found to be from: an authentication plugin assigns it.
function getters:consumer()
  local kept = kept_of(self)
  return kept and kept[CONSUMER] or nil
end
function setters:consumer(value) to_keep(self)[CONSUMER] = value or false end

-- -- query, cookies, forms --

--- The parsed query; parsed again when the query was changed.
local function query_of(self)
  local text, kept = self.query or "", to_keep(self)
  local parsed = kept[QUERY]
  if not parsed or parsed.text ~= text then
    local values, why = require("tidegate.tide.url").parse_query(text)
    parsed = { text = text, values = values or {}, why = why }
    kept[QUERY] = parsed
  end
  return parsed
end

local function first_of(value)
  if type(value) == "table" then return value[1] end
  return value
end

--- The value of a query parameter, decoded; its first where there are several; true where it has none.
-- @tparam string name
-- @treturn ?string|boolean
function methods:arg(name)
  if type(name) ~= "string" then bad_type("arg", "a name", name) end
  return first_of(query_of(self).values[name])
end

--- All query parameters: a text, true, or a list of these where a name comes several times.
-- @treturn table
-- @treturn ?string why some are missing
function methods:args()
  local parsed, copy = query_of(self), {}
  for name, value in pairs(parsed.values) do copy[name] = value end
  return copy, parsed.why
end

local function set_text(self, call, what, value)
  if type(value) ~= "string" then bad_type(call, "a text", value) end
  local result = C.tide_text_set(self[1], what, value, #value)
  if result ~= OK and result ~= ABSENT then raise(result, call, value) end
  return result == OK
end

--- Another query, from a table of parameters.
function methods:set_args(args)
  if type(args) ~= "table" then bad_type("set_args", "a table", args) end
  set_text(self, "set_args", C.TIDE_QUERY, (require("tidegate.tide.url").build_query(args)))
end

--- The value of a cookie.
-- @tparam string name
-- @treturn ?string
function methods:cookie(name)
  if type(name) ~= "string" then bad_type("cookie", "a name", name) end
  local cookie = require "tidegate.tide.cookie"
  for _, header in ipairs(self:header_all "cookie") do
    local value = cookie.get(header, name)
    if value then return value end
  end
  return nil
end

--- The fields of an application/x-www-form-urlencoded body; waits until it is there.
-- @tparam[opt] number max bytes
-- @treturn ?table
-- @treturn ?string why not
function methods:form(max)
  local kind = (self:header "content-type" or ""):lower():match "^[^;%s]*"
  if kind ~= "application/x-www-form-urlencoded" then
    return nil, ("expected a body of type application/x-www-form-urlencoded, found %q"):format(kind)
  end
  local text, why = self:body(max)
  if not text then return nil, why end
  return require("tidegate.tide.url").parse_query(text)
end

-- -- changes --

function methods:set_method(method) set_text(self, "set_method", C.TIDE_METHOD, method) end

--- Another path, and another query where one is given behind a "?". It is put in normal form.
function methods:set_path(path)
  if type(path) ~= "string" then bad_type("set_path", "a text", path) end
  local before, query = path:match "^([^?]*)%?(.*)$"
  set_text(self, "set_path", C.TIDE_PATH, before or path)
  if query then set_text(self, "set_path", C.TIDE_QUERY, query) end
end

function methods:set_host(host) set_text(self, "set_host", C.TIDE_HOST, host) end

--- Chooses a service by its name in the configuration, in place of the route's.
function methods:set_service(name)
  if not set_text(self, "set_service", C.TIDE_SERVICE, name) then
    message.raise_text(("set_service: there is no service %q"):format(name))
  end
end

--- Chooses a node by its URL, in place of the service's. How it is reached (timeouts, pool, TLS) the service still
-- says, where there is one. Any route becomes one that proxies.
-- @tparam string url "http://host", "https://host:port"
function methods:set_node(url)
  if type(url) ~= "string" then bad_type("set_node", "a URL", url) end
  local node, why = require("tidegate.tide.origin").of(url)
  if not node then message.raise_text("set_node: " .. why) end
  local result = C.tide_node_set(self[1], node.is_tls, node.host, #node.host, node.port)
  if result ~= OK then raise(result, "set_node", url) end
end

--- What a service that balances by a hash picks the node by, in place of what its configuration says: requests with
-- the same key go to the same node.
-- @tparam string key not empty
function methods:set_hash_key(key) set_text(self, "set_hash_key", C.TIDE_HASH_KEY, key) end

--- Another request id, which the upstream gets and the logs show.
-- @tparam string id 1 to 128 letters, digits and signs such as "-", "_", "/" and "="
function methods:set_id(id) set_text(self, "set_id", C.TIDE_ID, id) end

--- The most bytes that the request body may have. Where more comes, the answer is 413; where there is one already, the
-- connection is cut. A limit can only be made smaller.
-- @tparam number bytes
-- @treturn boolean false where the body is known to be longer: it is for the plugin to answer
function methods:set_body_max(bytes)
  if type(bytes) ~= "number" then bad_type("set_body_max", "a number of bytes", bytes) end
  local result = C.tide_body_max_set(self[1], bytes)
  if result ~= OK and result ~= C.TIDE_LIMIT then raise(result, "set_body_max", bytes) end
  return result == OK
end

--- Adds a field to the access log's line of this request, in place of one of that name. In the format json it stands
-- behind the others, in templates it is ${plugin.NAME}.
-- @tparam string name letters, digits, "_", "-" and "."; not that of a field which every line has
-- @param value a text, number, boolean or table; nil takes the field out
-- @treturn ?boolean true; nil where it would be over 32 fields, or over 4 KiB of names and values
-- @treturn ?string why not
function methods:set_log(name, value)
  if type(name) ~= "string" then bad_type("set_log", "a name", name) end
  local json, why = "", nil
  if value ~= nil then json, why = require("tidegate.tide.json").encode(value) end
  if not json then message.raise_text("set_log: " .. why) end
  local result = C.tide_log_set(self[1], name, #name, json, #json)
  if result == C.TIDE_BAD_NAME then
    message.raise_text(("set_log: expected a name of its own for the field, found %q"):format(name:sub(1, 60)))
  end
  if result == C.TIDE_LIMIT then return nil, "over 32 fields, or 4096 bytes of names and values" end
  if result ~= OK then raise(result, "set_log", name) end
  return true
end

local WEBSOCKET = { ping_interval = true, pong_wait = true, write_wait = true, idle = true, max_message = true }

--- Looks into the frames of this request once it is a WebSocket, in place of what its route says of that.
-- @tparam table options ping_interval, pong_wait, write_wait, idle: seconds, 0: never; max_message: bytes
function methods:set_websocket(options)
  if type(options) ~= "table" then bad_type("set_websocket", "a table", options) end
  for name, value in pairs(options) do
    if not WEBSOCKET[name] then message.raise_text(("set_websocket: unknown option %q"):format(tostring(name))) end
    if type(value) ~= "number" or value < 0 then bad_type("set_websocket", "a number for " .. name, value) end
  end
  require("tidegate.websocket").set(self[1], options)
end

--- The WebSocket that this request has become, or is going to become, to send messages or to close it.
function getters:websocket() return require("tidegate.websocket").new(self[1]) end

--- How long the whole exchange may take, counted from its start.
-- @tparam number seconds
function methods:set_timeout(seconds)
  if type(seconds) ~= "number" then bad_type("set_timeout", "a number of seconds", seconds) end
  local result = C.tide_timeout_set(self[1], seconds)
  if result ~= OK then raise(result, "set_timeout", seconds) end
end

-- -- replies --

local function content(body)
  if body == nil then return "" end
  if type(body) == "string" then return body, "text/plain; charset=utf-8" end
  if type(body) ~= "table" then
    bad_type("reply", "a text or a table as body", body)
  end
  local text, why = require("tidegate.tide.json").encode(body)
  if not text then message.raise_text("reply: " .. why) end
  return text .. "\n", "application/json"
end

local function put_headers(self, headers, kind)
  local response = self.response_of
  local has_kind = false
  for name, value in pairs(headers or {}) do
    response:set_header(name, value)
    has_kind = has_kind or name:lower() == "content-type"
  end
  if kind and not has_kind then response:set_header("content-type", kind) end
end

--- Answers in place of the upstream: return req:reply(...).
-- @tparam number status
-- @tparam[opt] string|table body a table becomes JSON
-- @tparam[opt] table headers name to value, or to a list of values
-- @return what the hook must return
function methods:reply(status, body, headers)
  if type(status) ~= "number" then bad_type("reply", "a status", status) end
  local text, kind = content(body)
  local result = C.tide_reply(self[1], status, text, #text)
  if result ~= OK then raise(result, "reply", status) end
  put_headers(self, headers, kind)
  return REPLY
end

--- Sends the client elsewhere: return req:redirect(...).
-- @tparam string url
-- @tparam[opt=302] number status
function methods:redirect(url, status)
  if type(url) ~= "string" then bad_type("redirect", "a URL", url) end
  return self:reply(status or 302, nil, { location = url })
end

local metatable = message.class("req", methods, getters, setters)
local Response = require "tidegate.response"

--- The objects of two hooks are equal where they are about the same request.
function metatable.__eq(a, b) return a[1] == b[1] end

--- The response that belongs to it; there is none yet before a response hook, but replies are built through it.
function getters:response_of() return Response.new(self[1]) end

--- @tparam number number of the exchange
function request.new(number) return setmetatable({ number, false }, metatable) end

return request
