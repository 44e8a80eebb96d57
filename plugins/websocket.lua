--- WebSockets of some paths: whose pages may open one, how both ends are kept alive, how much a client may send; and
-- figures of them. What a route's own `websocket` says of times and sizes does not count where this runs.
local check_names = require("headers").check_names

local Websocket = {
  version     = "1.0.0",
  description = "Looks after WebSockets: origins, times, sizes, rates, headers of the handshake, figures.",
  band        = "security",
}
Websocket.__index = Websocket

-- -- settings --

--- The parts of an origin, or of a pattern of origins: scheme (nil: any) and host with port, in lower case.
local function parts_of(origin)
  local scheme, host = origin:lower():match "^(%a[%w+.-]*)://(.*)$"
  return scheme, host or origin:lower()
end

local function check_origin(text)
  local _, host = parts_of(text)
  if text == "*" or host:gsub("^%*%.", ""):find "^[%w._%[%]:-]+$" then return true end
  return false, ('expected "*", "https://example.com", "https://*.example.com", "example.com:8080" or "null", ' ..
                 'found "%s"'):format(text)
end

local function check_path(text)
  return text == "*" or text:find "^/[^%s%c?#]*$" ~= nil,
         ('expected a path such as /ws (and all below it), /rooms/*/ws or *, found "%s"'):format(text)
end

--- The fields of the handshake itself are between the gateway and each side.
local function check_headers(map)
  for name in pairs(map) do
    if name:lower():find "^sec%-websocket%-" then
      return false, name .. " belongs to the handshake: the client sets it"
    end
  end
  return check_names(map)
end

Websocket.schema = {
  path_patterns = {
    type = "list", single = true, min = 1, of = { type = "string", check = check_path }, default = { "*" },
    doc = "paths whose WebSockets are looked after: `/ws` is that path and all below it, `*` any run of characters; " ..
          "those of others pass as if the plugin were not there",
  },
  allowed_origins = {
    type = "list", single = true, min = 1, of = { type = "string", check = check_origin }, default = { "*" },
    doc = "pages that may open one, by their Origin; others get 403; `*`: any; who sends no Origin is no page",
  },
  ping_interval = {
    type = "duration", default = "30s", min = "0s", unit = "seconds",
    doc = "an end that has said nothing for so long is pinged; 0: never",
  },
  pong_wait = {
    type = "duration", default = "60s", min = "0s", unit = "seconds",
    doc = "an end that says nothing for so long is given up; 0: never",
  },
  write_wait = {
    type = "duration", default = "10s", min = "1ms", unit = "seconds",
    doc = "an end that takes nothing for so long is given up",
  },
  idle = {
    type = "duration", default = "0s", min = "0s", unit = "seconds",
    doc = "no message either way for so long: closed with 1001; 0: never",
  },
  max_message_size = {
    type = "size", default = "512KiB", min = "1B", max = "1GiB",
    doc = "of a message, fragments together; beyond: closed with 1009",
  },
  headers = {
    type = "map", keys = "header_name", of = "template", check = check_headers, default = {},
    doc = "further fields of the handshake towards the upstream; none where the value comes out empty",
  },
  rate_limit = {
    type = "object", doc = "how much one client may send on one connection; needs each message as a whole",
    fields = {
      messages = { type = "integer", required = true, min = 1, max = 1000000000, doc = "so many messages" },
      per = { type = "duration", default = "1s", min = "1ms", unit = "seconds", doc = "in so much time" },
      burst = { type = "integer", min = 1, max = 1000000000, doc = "how many at once; default: as many as `messages`" },
      over = {
        type = "enum", of = { "close", "drop" }, default = "close",
        doc = "close: a message over it ends the connection with 1008; drop: it goes no further",
      },
    },
  },
}

--- A path with stars as a pattern of Lua's.
local function pattern_of(text)
  local stem = (text == "*" and "" or text):gsub("/%*$", ""):gsub("/$", "")
  return "^" .. stem:gsub("[%^$()%%.%[%]+?-]", "%%%0"):gsub("%*", ".-") .. "/"
end

local function origins_of(list)
  local patterns = {}
  for _, text in ipairs(list) do
    if text == "*" then return nil end
    local scheme, host = parts_of(text)
    patterns[#patterns + 1] = { scheme = scheme, host = host, below = host:match "^%*(%..*)$" }
  end
  return patterns
end

local function headers_of(map)
  local list = {}
  for name, text in pairs(map) do
    list[#list + 1] = { name = name, fill = assert(tide.template.compile(text, { response = false })) }
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

function Websocket.new(conf)
  if conf.ping_interval > 0 and conf.pong_wait > 0 and conf.pong_wait <= conf.ping_interval then
    return nil, ("pong_wait: expected more than ping_interval (%gs), found %gs; a quiet end would be given up " ..
                 "before it is pinged"):format(conf.ping_interval, conf.pong_wait)
  end
  local self = {
    patterns = {}, origins = origins_of(conf.allowed_origins), headers = headers_of(conf.headers),
    options = {
      ping_interval = conf.ping_interval, pong_wait = conf.pong_wait, write_wait = conf.write_wait, idle = conf.idle,
      max_message = conf.max_message_size,
    },
  }
  for i, text in ipairs(conf.path_patterns) do self.patterns[i] = pattern_of(text) end
  local limit = conf.rate_limit
  if limit then
    self.rate, self.burst, self.over = limit.messages / limit.per, limit.burst or limit.messages, limit.over
  else
    self.message = false            -- else each message would be put together to be looked at
  end
  return setmetatable(self, Websocket)
end

-- -- figures --

local LABELS = { "route" }
local active = tide.metrics.gauge("websocket_active", "WebSockets that are open", LABELS)
local total = tide.metrics.counter("websocket_total", "WebSockets that were opened", LABELS)
local refused = tide.metrics.counter("websocket_refused_total", "Handshakes from pages that may open none", LABELS)
local errors = tide.metrics.counter("websocket_errors_total", "WebSockets that ended by a fault", LABELS)
local limited = tide.metrics.counter("websocket_limited_total", "Messages over the rate limit", LABELS)
local messages = tide.metrics.counter("websocket_messages_total", "Messages of WebSockets that are over",
                                      { "route", "from" })
local bytes = tide.metrics.counter("websocket_bytes_total", "Bytes of WebSockets that are over", { "route", "from" })
local connecting = tide.metrics.histogram("websocket_connect_seconds", "From the request to the open WebSocket", LABELS)

local function route_of(req)
  local route = req.route
  return route and route.name or ""
end

-- -- the handshake --

local function has_word(text, word)
  return ("," .. (text or ""):lower():gsub("%s", "") .. ","):find("," .. word .. ",", 1, true) ~= nil
end

function Websocket:fits(path)
  for _, pattern in ipairs(self.patterns) do
    if (path .. "/"):find(pattern) then return true end
  end
  return false
end

function Websocket:lets_in(origin)
  if not origin or not self.origins then return true end
  local scheme, host = parts_of(origin)
  for _, pattern in ipairs(self.origins) do
    local is_host = host == pattern.host
    if pattern.below then is_host = #host > #pattern.below and host:sub(-#pattern.below) == pattern.below end
    if is_host and (not pattern.scheme or pattern.scheme == scheme) then return true end
  end
  return false
end

function Websocket:request(req)
  if not has_word(req:header "upgrade", "websocket") or not self:fits(req.path) then return end
  local origin = req:header "origin"
  if not self:lets_in(origin) then
    refused:inc(1, route_of(req))
    tide.log.info("a page may not open a WebSocket", { origin = origin, client = req.client_ip })
    return req:reply(403, "this origin is not allowed\n")
  end
  req:set_websocket(self.options)
  for _, field in ipairs(self.headers) do
    local value = field.fill(req):gsub("%c", " ")       -- RFC 9110 section 5.5
    if value ~= "" then req:set_header(field.name, value) else req:remove_header(field.name) end
  end
  req.ctx[self] = { left = self.burst, at = tide.monotonic() }
end

function Websocket:response(res, req)
  local state = req.ctx[self]
  if not state or res.status ~= 101 then return end
  local seconds = tide.now() - req.started
  state.route = route_of(req)
  active:inc(1, state.route)
  total:inc(1, state.route)
  connecting:observe(math.max(0, seconds), state.route)
  tide.log.debug("websocket open", { path = req.path, client = req.client_ip, seconds = seconds })
end

-- -- what passes --

--- Takes one from the allowance of a connection.
function Websocket:takes(state)
  local now = tide.monotonic()
  state.left = math.min(self.burst, state.left + (now - state.at) * self.rate)
  state.at = now
  if state.left < 1 then return false end
  state.left = state.left - 1
  return true
end

function Websocket:message(msg, req)
  local state = req.ctx[self]
  if not state or msg.from ~= "client" or self:takes(state) then return end
  limited:inc(1, state.route)
  if self.over == "close" and not state.is_closed then
    state.is_closed = true
    tide.log.info("websocket closed: too many messages", { client = req.client_ip })
    msg:close(1008, "too many messages")
  end
  return false
end

function Websocket:ws_close(close, req)
  local state = req.ctx[self]
  if not state then return end
  if close.why then errors:inc(1, state.route) end
  messages:inc(close.messages_in, state.route, "client")
  messages:inc(close.messages_out, state.route, "upstream")
  bytes:inc(close.bytes_in, state.route, "client")
  bytes:inc(close.bytes_out, state.route, "upstream")
  tide.log.debug("websocket over", {
    code = close.code, by = close.by, why = close.why, messages_in = close.messages_in,
    messages_out = close.messages_out, bytes_in = close.bytes_in, bytes_out = close.bytes_out,
  })
end

function Websocket:log(req)
  local state = req.ctx[self]
  if state and state.route then active:inc(-1, state.route) end
end

return Websocket
