--- WebSockets for plugins: what `req.websocket` is, and the message that a message hook gets.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local common = require "tidegate.message"

local websocket = {}

local OK, ABSENT, LATE, LIMIT = C.TIDE_OK, C.TIDE_ABSENT, C.TIDE_LATE, C.TIDE_LIMIT
local type, setmetatable = type, setmetatable

local Websocket = {}
Websocket.__index = Websocket

local SIDES = { client = true, upstream = false }
local TYPES = { text = false, binary = true }

local function check_data(call, data, kind)
  if type(data) ~= "string" then common.bad_type(call, "a text", data) end
  if TYPES[kind or "text"] == nil then common.bad_type(call, '"text" or "binary"', kind) end
end

local function send(number, call, to, data, kind)
  check_data(call, data, kind)
  local is_binary = TYPES[kind or "text"]
  if not is_binary and not C.tide_utf8_is_valid(data, #data) then
    common.raise_text(call .. ': a text message has to be UTF-8; send it as "binary"')
  end
  local result = C.tide_websocket_send(number, SIDES[to], is_binary, data, #data)
  if result == OK then return true end
  if result == LATE or result == C.TIDE_OVER then return nil, "closed" end
  if result == LIMIT then return nil, "full" end
  if result == ABSENT then return nil, "the request has become no WebSocket" end
  common.raise(result, call)
end

local function close(number, call, code, reason)
  if code ~= nil and type(code) ~= "number" then common.bad_type(call, "a close code", code) end
  if reason ~= nil and type(reason) ~= "string" then common.bad_type(call, "a text as reason", reason) end
  code, reason = code or 1000, reason or ""
  local result = C.tide_websocket_close(number, code, reason, #reason)
  if result == OK then return true end
  if result == LATE or result == C.TIDE_OVER then return nil, "closed" end
  if result == ABSENT then return nil, "the request has become no WebSocket" end
  common.raise(result, call, code)
end

--- Sends a message of the plugin's own.
-- @tparam string to "client" or "upstream"
-- @tparam string data
-- @tparam[opt="text"] string kind "text" or "binary"
-- @treturn ?boolean true; nil where it cannot be sent
-- @treturn ?string why not: "closed", "full"
function Websocket:send(to, data, kind)
  if SIDES[to] == nil then common.bad_type("send", '"client" or "upstream"', to) end
  return send(self[1], "send", to, data, kind)
end

--- Closes it on both sides.
-- @tparam[opt=1000] number code 1000 to 1003, 1007 to 1014, 3000 to 4999
-- @tparam[opt=""] string reason at most 123 bytes
-- @treturn ?boolean true; nil where it is closed already
-- @treturn ?string why not
function Websocket:close(code, reason) return close(self[1], "close", code, reason) end

--- @tparam number number of the request
function websocket.new(number) return setmetatable({ number }, Websocket) end

-- -- messages --

-- data: the whole message; type: "text" or "binary"; from: "client" or "upstream".
local Message = {}
Message.__index = Message

--- Sends a message to where this one came from.
function Message:reply(data, kind) return send(self[1], "reply", self.from, data, kind) end

--- As Websocket:close.
function Message:close(code, reason) return close(self[1], "close", code, reason) end

--- The message of a hook; called by chains.
function websocket.message(number, data, is_binary, from)
  return setmetatable({ number, data = data, type = is_binary and "binary" or "text", from = from }, Message)
end

--- What hooks have made of a message: its data, and whether it is binary.
function websocket.changed(msg)
  check_data("message", msg.data, msg.type)
  local is_binary = TYPES[msg.type]
  if not is_binary and not C.tide_utf8_is_valid(msg.data, #msg.data) then
    error('a text message has to be UTF-8; set msg.type to "binary"', 0)
  end
  return msg.data, is_binary
end

local BY = { [0] = "client", [1] = "upstream", [2] = "gateway" }

--- How a WebSocket has ended, for ws_close hooks.
function websocket.close_of(number)
  local raw = ffi.new "struct tide_websocket_end"
  local result = C.tide_websocket_end(number, raw)
  if result ~= OK then return { code = 1006, by = "gateway" } end
  return {
    code = raw.code, by = BY[raw.by], why = raw.why ~= nil and ffi.string(raw.why) or nil,
    messages_in = raw.messages_in, messages_out = raw.messages_out, bytes_in = raw.bytes_in, bytes_out = raw.bytes_out,
  }
end

--- How the frames of a request are looked at once it is a WebSocket; see req:set_websocket.
-- @tparam number number of the request
-- @tparam table o ping_interval, pong_wait, write_wait, idle: seconds, 0: never; max_message: bytes
function websocket.set(number, o)
  local result = C.tide_websocket_set(number, o.ping_interval or 30, o.pong_wait or 60, o.write_wait or 10, o.idle or 0,
                                      o.max_message or 524288)
  if result ~= OK then common.raise(result, "set_websocket") end
end

return websocket
