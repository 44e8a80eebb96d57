--- Base64, RFC 4648: the standard alphabet with padding (section 4), the one for URLs without (section 5).
-- Decoding is strict: no white space, no missing or needless padding, no bits left over, so that every sequence of
-- bytes has one text only.
local bit = require "bit"
local ffi = require "ffi"
local scratch = require "tidegate.tide.scratch"
local words = require "tidegate.tide.words"

local base64 = {}

local band, bor, lshift, rshift = bit.band, bit.bor, bit.lshift, bit.rshift
local EQUALS = 61
local NONE = 255                -- in a table of values: no digit

--- An alphabet both ways: digits[value] and values[digit].
local function alphabet(two_last)
  local text = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" .. two_last
  local digits, values = ffi.new("uint8_t[64]", text:byte(1, -1)), ffi.new "uint8_t[256]"
  ffi.fill(values, 256, NONE)
  for value = 0, 63 do values[digits[value]] = value end
  return digits, values
end

local STANDARD, STANDARD_VALUES = alphabet "+/"
local URL, URL_VALUES = alphabet "-_"

local function encode(text, digits, is_padded)
  local n = #text
  local from, to = ffi.cast("const uint8_t *", text), scratch(math.floor((n + 2) / 3) * 4)
  local at, rest = 0, n % 3
  for i = 0, n - rest - 1, 3 do
    local group = bor(lshift(from[i], 16), lshift(from[i + 1], 8), from[i + 2])
    to[at] = digits[rshift(group, 18)]
    to[at + 1] = digits[band(rshift(group, 12), 63)]
    to[at + 2] = digits[band(rshift(group, 6), 63)]
    to[at + 3] = digits[band(group, 63)]
    at = at + 4
  end
  if rest > 0 then
    local second = rest == 2 and from[n - 1] or 0
    local group = bor(lshift(from[n - rest], 16), lshift(second, 8))
    to[at] = digits[rshift(group, 18)]
    to[at + 1] = digits[band(rshift(group, 12), 63)]
    to[at + 2] = rest == 2 and digits[band(rshift(group, 6), 63)] or EQUALS
    to[at + 3] = EQUALS
    at = at + (is_padded and 4 or rest + 1)
  end
  return ffi.string(to, at)
end

--- Why the first n digits of a text could not be decoded.
local function complaint(text, values, n)
  for i = 1, n do
    if values[text:byte(i)] == NONE then
      return ("expected base64, found %s at byte %d"):format(words.byte(text, i), i)
    end
  end
  return "expected base64 that ends with a whole byte, found bits left over at its end"
end

--- Decodes n digits; n % 4 is not 1.
local function decode(text, values, n)
  local from, to = ffi.cast("const uint8_t *", text), scratch(math.floor(n / 4) * 3 + 3)
  local at, rest, all = 0, n % 4, 0
  for i = 0, n - rest - 1, 4 do
    local a, b, c, d = values[from[i]], values[from[i + 1]], values[from[i + 2]], values[from[i + 3]]
    all = bor(all, a, b, c, d)
    local group = bor(lshift(a, 18), lshift(b, 12), lshift(c, 6), d)
    to[at], to[at + 1], to[at + 2] = rshift(group, 16), band(rshift(group, 8), 255), band(group, 255)
    at = at + 3
  end
  if rest > 0 then
    local a, b = values[from[n - rest]], values[from[n - rest + 1]]
    local c = rest == 3 and values[from[n - 1]] or 0
    local group = bor(lshift(a, 18), lshift(b, 12), lshift(c, 6))
    all = bor(all, a, b, c)
    to[at], to[at + 1] = rshift(group, 16), band(rshift(group, 8), 255)
    at = at + rest - 1
    if band(group, rest == 2 and 0xFFFF or 0xFF) ~= 0 then all = NONE end
  end
  if all > 63 then return nil, complaint(text, values, n) end
  return ffi.string(to, at)
end

--- @tparam string text any bytes
-- @treturn string with padding
function base64.encode(text)
  if type(text) ~= "string" then words.misuse("base64.encode", "a text", text) end
  return encode(text, STANDARD, true)
end

--- @tparam string text with padding
-- @treturn[1] string the bytes
-- @return[2] nil and why
function base64.decode(text)
  if type(text) ~= "string" then words.misuse("base64.decode", "a text", text) end
  local n = #text
  if n % 4 ~= 0 then return nil, ("expected base64 in groups of 4 bytes, found %d bytes"):format(n) end
  local padding = n == 0 and 0 or text:byte(n) ~= EQUALS and 0 or text:byte(n - 1) ~= EQUALS and 1 or 2
  return decode(text, STANDARD_VALUES, n - padding)
end

--- @tparam string text any bytes
-- @treturn string of the alphabet for URLs, without padding
function base64.encode_url(text)
  if type(text) ~= "string" then words.misuse("base64.encode_url", "a text", text) end
  return encode(text, URL, false)
end

--- @tparam string text of the alphabet for URLs, without padding
-- @treturn[1] string the bytes
-- @return[2] nil and why
function base64.decode_url(text)
  if type(text) ~= "string" then words.misuse("base64.decode_url", "a text", text) end
  local n = #text
  if n % 4 == 1 then return nil, ("expected base64 without padding, found %d bytes, one too many"):format(n) end
  return decode(text, URL_VALUES, n)
end

return base64
