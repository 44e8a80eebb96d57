--- WebSocket frames as the two ends of a gateway under test send and read them (RFC 6455 section 5): whole messages.
local bit = require "bit"

local frames = {}

frames.TEXT, frames.BINARY, frames.CLOSE, frames.PING, frames.PONG = 1, 2, 8, 9, 10

local char, floor = string.char, math.floor

--- A whole number as bytes, the highest first.
function frames.big_endian(n, size)
  local out = {}
  for i = size, 1, -1 do
    out[i] = char(n % 256)
    n = floor(n / 256)
  end
  return table.concat(out)
end

--- The whole number that bytes are, the highest first.
function frames.number_of(text)
  local n = 0
  for i = 1, #text do n = n * 256 + text:byte(i) end
  return n
end

--- A frame as bytes. A client has to mask; with a mask of zeros that changes nothing.
-- @tparam number opcode
-- @tparam string payload
-- @tparam boolean is_client
-- @treturn string
function frames.bytes(opcode, payload, is_client)
  local size, mask = #payload, is_client and 128 or 0
  local head
  if size < 126 then head = char(128 + opcode, mask + size)
  elseif size < 65536 then head = char(128 + opcode, mask + 126) .. frames.big_endian(size, 2)
  else head = char(128 + opcode, mask + 127) .. frames.big_endian(size, 8) end
  return head .. (is_client and "\0\0\0\0" or "") .. payload
end

--- The payload of a close frame; nil as code: without one.
function frames.close_body(code, reason) return code and frames.big_endian(code, 2) .. (reason or "") or "" end

--- What a close frame says.
-- @treturn table code and reason; both nil where there is none
function frames.close_of(payload)
  if #payload < 2 then return {} end
  return { code = frames.number_of(payload:sub(1, 2)), reason = payload:sub(3) }
end

--- Bytes XORed with a mask of four, over and over (section 5.3): masked, and plain again.
function frames.masked(payload, mask)
  local keys, out = { mask:byte(1, 4) }, {}
  for i = 1, #payload do out[i] = char(bit.bxor(payload:byte(i), keys[(i - 1) % 4 + 1])) end
  return table.concat(out)
end

--- The first frame of some bytes.
-- @treturn ?number its opcode; nil where it is not whole
-- @treturn string its payload, plain
-- @treturn number where the next one begins
local function first_frame(held)
  if #held < 2 then return nil end
  local first, second = held:byte(1, 2)
  local size, at, mask = second % 128, 3, nil
  local wide = size == 127 and 8 or size == 126 and 2 or 0
  if wide > 0 then
    size, at = frames.number_of(held:sub(at, at + wide - 1)), at + wide
  end
  if second >= 128 then mask, at = held:sub(at, at + 3), at + 4 end
  if #held < at + size - 1 then return nil end
  local payload = held:sub(at, at + size - 1)
  return first % 16, mask and frames.masked(payload, mask) or payload, at + size
end

--- Reads frames of one end.
-- @tparam function on_frame gets opcode and payload of each
-- @treturn function(bytes) takes them as they come
function frames.reader(on_frame)
  local held = ""
  return function(bytes)
    held = held .. bytes
    while true do
      local opcode, payload, next_at = first_frame(held)
      if not opcode then return end
      held = held:sub(next_at)
      on_frame(opcode, payload)
    end
  end
end

return frames
