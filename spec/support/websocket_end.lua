--- One end of a WebSocket in a spec: over a connection of support.client, or one that support.upstream has taken. Both
-- have send() and a reader.
local message = require "support.message"
local websocket = require "support.websocket"

local websocket_end = {}

-- The example of RFC 6455 section 1.3.
websocket_end.KEY, websocket_end.ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

local MASK = "\17\34\51\68"

--- The fields of a good handshake.
function websocket_end.fields(more)
  local fields = {
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: " .. websocket_end.KEY,
  }
  for _, field in ipairs(more or {}) do fields[#fields + 1] = field end
  return fields
end

--- The upstream's answer to that.
function websocket_end.switch(more)
  return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " ..
         websocket_end.ACCEPT .. "\r\n" .. (more or "") .. "\r\n"
end

--- Reads a frame.
-- @treturn ?table { fin =, rsv =, opcode =, masked =, payload = (plain), code =, reason = (of a close frame) }; nil at
--   the end of the stream
function websocket_end.read(reader, timeout)
  local head = reader:exactly(2, timeout)
  if not head then return nil end
  local first, second = head:byte(1, 2)
  local len = second % 128
  if len == 126 then len = websocket.number_of(reader:exactly(2, timeout)) elseif len == 127 then
    len = websocket.number_of(reader:exactly(8, timeout))
  end
  local mask = second >= 128 and reader:exactly(4, timeout)
  local payload = len > 0 and reader:exactly(len, timeout) or ""
  if mask then payload = websocket.masked(payload, mask) end
  local f = {
    fin = first >= 128, rsv = math.floor(first / 16) % 8, opcode = first % 16, masked = mask ~= false,
    payload = payload,
  }
  if f.opcode == websocket.CLOSE then
    local said = websocket.close_of(payload)
    f.code, f.reason = said.code, said.reason
  end
  return f
end

local End = {}
End.__index = End

--- @tparam table connection with send and reader
-- @tparam boolean is_client whose frames are masked
function websocket_end.new(connection, is_client)
  return setmetatable({ connection = connection, mask = is_client and MASK or nil }, End)
end

--- Opens one through a gateway.
-- @treturn End
-- @treturn table the head of the answer
function websocket_end.open(client_connection, path, more)
  client_connection:send(require("support.client").request { target = path, headers = websocket_end.fields(more) })
  local head = assert(message.read_head(client_connection.reader))
  return websocket_end.new(client_connection, true), head
end

--- A frame as this end sends it; see support.websocket.
function End:frame(f)
  if f.mask == nil then f.mask = self.mask end
  return websocket.frame(f)
end

function End:send(f) return self.connection:send(self:frame(f)) end
function End:text(text) return self:send { payload = text } end
function End:close(code, reason)
  return self:send { opcode = websocket.CLOSE, payload = websocket.close_body(code, reason) }
end

function End:read(timeout) return websocket_end.read(self.connection.reader, timeout) end

--- The next frame that is no ping or pong.
function End:message(timeout)
  while true do
    local f = self:read(timeout)
    if not f or f.opcode ~= websocket.PING and f.opcode ~= websocket.PONG then return f end
  end
end

--- What an upstream does that sends every message back, answers pings and close frames, and takes orders: the text
-- "close 4001 reason", "drop", "silence".
function websocket_end.serve(conn, head, more)
  conn:read_body(head)
  conn:send(websocket_end.switch(more))
  local self = websocket_end.new(conn, false)
  while true do
    local f = self:read(30)
    if not f then return conn.reader.ended end
    conn:note { kind = "frame", opcode = f.opcode, payload = f.payload, code = f.code, reason = f.reason,
                masked = f.masked, fin = f.fin, rsv = f.rsv }
    local code, reason = f.payload:match "^close (%d+) ?(.*)$"
    if f.opcode == websocket.CLOSE then
      self:send { opcode = websocket.CLOSE, payload = f.payload }
      return true
    elseif f.opcode == websocket.PING then
      self:send { opcode = websocket.PONG, payload = f.payload }
    elseif f.payload == "drop" then
      return true
    elseif code then
      self:close(tonumber(code), reason)
    elseif f.opcode ~= websocket.PONG then
      self:send { opcode = f.opcode, payload = f.payload, fin = f.fin, rsv = f.rsv }
    end
  end
end

return websocket_end
