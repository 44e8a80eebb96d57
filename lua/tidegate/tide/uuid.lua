--- UUIDs, RFC 9562: random ones (version 4), and random ones that sort by the time they were made (version 7).
-- Random bytes come from the generator of OpenSSL, many at a time.
local C = require "tidegate.ffi"
local bit = require "bit"
local ffi = require "ffi"
local hex = require "tidegate.tide.hex"
local words = require "tidegate.tide.words"

local uuid = {}

local band, bor, lshift, rshift = bit.band, bit.bor, bit.lshift, bit.rshift

ffi.cdef "int RAND_bytes(unsigned char *to, int n);"

-- -- text --

local BYTES, TEXT = 16, 36
local DASH = 45

local digits, values = hex.digits, hex.values
local text = ffi.new "uint8_t[36]"

--- Where the two digits of each byte are in the text.
local place = ffi.new "uint8_t[16]"
for i = 0, BYTES - 1 do place[i] = i * 2 + (i < 4 and 0 or i < 6 and 1 or i < 8 and 2 or i < 10 and 3 or 4) end

local function print_bytes(from)
  for i = 0, BYTES - 1 do
    local at, byte = place[i], from[i]
    text[at], text[at + 1] = digits[rshift(byte, 4)], digits[band(byte, 15)]
  end
  text[8], text[13], text[18], text[23] = DASH, DASH, DASH, DASH
  return ffi.string(text, TEXT)
end

local parsed = ffi.new "uint8_t[16]"

--- Reads 36 characters into parsed.
local function read(given)
  if #given ~= TEXT then return false end
  local p = ffi.cast("const uint8_t *", given)
  if p[8] ~= DASH or p[13] ~= DASH or p[18] ~= DASH or p[23] ~= DASH then return false end
  for i = 0, BYTES - 1 do
    local high, low = values[p[place[i]]], values[p[place[i] + 1]]
    if bor(high, low) > 15 then return false end
    parsed[i] = high * 16 + low
  end
  return true
end

--- Reads a UUID: 32 hexadecimal digits in five groups, of either case.
-- @tparam string given
-- @treturn[1] string its 16 bytes
-- @treturn[1] number its version, 0 to 15
-- @return[2] nil and why
function uuid.parse(given)
  if type(given) ~= "string" then words.misuse("uuid.parse", "a text", given) end
  if not read(given) then
    return nil, ("expected a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057, found %s"):format(words.quote(given))
  end
  return ffi.string(parsed, BYTES), rshift(parsed[6], 4)
end

--- Whether a text is a UUID of the layout of RFC 9562, of any version or of that one. The nil UUID is not.
-- @tparam string given
-- @tparam[opt] number version 1 to 8
-- @treturn boolean
function uuid.is_valid(given, version)
  if type(given) ~= "string" then words.misuse("uuid.is_valid", "a text", given) end
  if version ~= nil and type(version) ~= "number" then words.misuse("uuid.is_valid", "a version", version) end
  if not read(given) or band(parsed[8], 0xC0) ~= 0x80 then return false end
  local found = rshift(parsed[6], 4)
  return found >= 1 and found <= 8 and (version == nil or version == found)
end

-- -- making --

local POOL = 4096

local pool, used = ffi.new("uint8_t[?]", POOL), POOL

--- 16 random bytes, good until the next call.
local function random_bytes()
  if used == POOL then
    if C.RAND_bytes(pool, POOL) ~= 1 then error("uuid: the system gives no random bytes") end
    used = 0
  end
  used = used + BYTES
  return pool + (used - BYTES)
end

local function mark(bytes, version)
  bytes[6] = bor(band(bytes[6], 0x0F), lshift(version, 4))
  bytes[8] = bor(band(bytes[8], 0x3F), 0x80)
end

--- A random UUID: 122 random bits.
-- @treturn string in lower case
function uuid.v4()
  local bytes = random_bytes()
  mark(bytes, 4)
  return print_bytes(bytes)
end

local COUNTER_MAX = 4095

local last_ms, counter = 0, 0

--- The millisecond and the counter of the next UUID: RFC 9562 section 6.2, method 1. Neither goes back, so that those
-- of one Lua state sort as they were made, whatever the clock does.
local function tick(bytes)
  local ms = math.floor(C.tide_now() * 1000)
  if ms > last_ms then
    last_ms, counter = ms, lshift(band(bytes[6], 7), 8) + bytes[7]      -- half of the range, at random
  elseif counter < COUNTER_MAX then
    counter = counter + 1
  else
    last_ms, counter = last_ms + 1, 0
  end
end

--- A UUID that begins with the time: texts and bytes sort by it. 62 random bits and a counter.
-- @treturn string in lower case
function uuid.v7()
  local bytes = random_bytes()
  tick(bytes)
  local high, low = math.floor(last_ms / 2 ^ 32), last_ms % 2 ^ 32
  bytes[0], bytes[1] = rshift(high, 8), band(high, 255)
  bytes[2], bytes[3] = math.floor(low / 2 ^ 24), math.floor(low / 2 ^ 16) % 256
  bytes[4], bytes[5] = math.floor(low / 256) % 256, low % 256
  bytes[6], bytes[7] = rshift(counter, 8), band(counter, 255)
  mark(bytes, 7)
  return print_bytes(bytes)
end

return uuid
