--- WebSocket for specs (RFC 6455), in Lua alone and apart from the core: frames as bytes, also wrong ones. What the
-- test kit has for good ones serves here as well.
local frames = require "tidegate.spec.frames"

local websocket = {}

websocket.CONTINUATION, websocket.TEXT, websocket.BINARY = 0, frames.TEXT, frames.BINARY
websocket.CLOSE, websocket.PING, websocket.PONG = frames.CLOSE, frames.PING, frames.PONG
websocket.masked, websocket.number_of, websocket.close_body = frames.masked, frames.number_of, frames.close_body
websocket.close_of = frames.close_of

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
  local long = type(len) == "string" and len or len_size > 0 and frames.big_endian(len, len_size) or ""
  if f.mask then payload = f.mask .. websocket.masked(payload, f.mask) end
  return string.char(first, second) .. long .. payload
end

--- Frames one behind the other, as bytes.
-- @tparam table list see frame
-- @tparam[opt] string mask of each; but a frame that has `unmasked` is masked just where others are not
function websocket.stream(list, mask)
  local bytes = {}
  for i, frame in ipairs(list) do
    local own = mask
    if frame.unmasked then own = not mask and "\55\250\33\61" or nil end
    bytes[i] = websocket.frame(setmetatable({ mask = own }, { __index = frame }))
  end
  return table.concat(bytes)
end

--- The frames that bytes are: opcode, fin, rsv, masked, payload (plain), and of close frames code and reason.
-- @treturn table
-- @treturn string what is behind the last whole frame
function websocket.frames(bytes)
  local list, at = {}, 1
  while #bytes - at >= 1 do
    local first, second = bytes:byte(at, at + 1)
    local len, start = second % 128, at + 2
    local len_size = len == 127 and 8 or len == 126 and 2 or 0
    if len_size > 0 then len = frames.number_of(bytes:sub(start, start + len_size - 1)) end
    start = start + len_size
    local is_masked = second >= 128
    local body = start + (is_masked and 4 or 0)
    if body + len - 1 > #bytes then break end
    local payload = bytes:sub(body, body + len - 1)
    if is_masked then payload = websocket.masked(payload, bytes:sub(start, start + 3)) end
    local frame = { opcode = first % 16, fin = first >= 128, rsv = math.floor(first / 16) % 8, masked = is_masked,
                    payload = payload }
    if frame.opcode == websocket.CLOSE then
      local said = frames.close_of(payload)
      frame.code, frame.reason = said.code, said.reason
    end
    list[#list + 1] = frame
    at = body + len
  end
  return list, bytes:sub(at)
end

return websocket
