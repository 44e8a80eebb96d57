--- WebSocket for specs (RFC 6455), in Lua alone and apart from the gateway's code: frames as bytes, also wrong ones.
local bit = require "bit"

local websocket = {}

websocket.CONTINUATION, websocket.TEXT, websocket.BINARY = 0, 1, 2
websocket.CLOSE, websocket.PING, websocket.PONG = 8, 9, 10

local function big_endian(n, size)
  local bytes = {}
  for i = size, 1, -1 do
    bytes[i] = string.char(n % 256)
    n = math.floor(n / 256)
  end
  return table.concat(bytes)
end

--- Bytes XORed with a mask of four, over and over.
function websocket.masked(payload, mask)
  local keys, out = { mask:byte(1, 4) }, {}
  for i = 1, #payload do out[i] = string.char(bit.bxor(payload:byte(i), keys[(i - 1) % 4 + 1])) end
  return table.concat(out)
end

--- A frame as bytes.
-- @tparam table f payload (""), opcode (TEXT), fin (true), rsv (0 to 7, 4 is RSV1), mask: four bytes, or nil;
--   len: what it says its length is, where that is not the payload's, or the very bytes of a 64-bit length;
--   len_size: 0, 2 or 8 bytes behind the first two, where it is not the shortest form
function websocket.frame(f)
  local payload = f.payload or ""
  local len = f.len or #payload
  local len_size = f.len_size or (type(len) == "string" and 8) or (len > 65535 and 8) or (len > 125 and 2) or 0
  local first = (f.fin == false and 0 or 128) + (f.rsv or 0) * 16 + (f.opcode or websocket.TEXT)
  local second = (f.mask and 128 or 0) + (len_size == 8 and 127 or len_size == 2 and 126 or len)
  local long = type(len) == "string" and len or len_size > 0 and big_endian(len, len_size) or ""
  if f.mask then payload = f.mask .. websocket.masked(payload, f.mask) end
  return string.char(first, second) .. long .. payload
end

--- The payload of a close frame.
function websocket.close_body(code, reason)
  return big_endian(code, 2) .. (reason or "")
end

return websocket
