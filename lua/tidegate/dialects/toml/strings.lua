--- The texts of TOML: basic and literal, on one line and on several.
local bit = require "bit"

local strings = {}

local ESCAPES = { b = "\b", t = "\t", n = "\n", f = "\f", r = "\r", ['"'] = '"', ["\\"] = "\\" }

--- The code point at a byte and its length; nil where there is no UTF-8 (RFC 3629 section 4).
local function code_point(text, at)
  local first = text:byte(at)
  if first < 0x80 then return first, 1 end
  local length = first >= 0xf0 and 4 or first >= 0xe0 and 3 or 2
  local point = bit.band(first, length == 4 and 0x07 or length == 3 and 0x0f or 0x1f)
  for i = 1, length - 1 do
    local byte = text:byte(at + i)
    if not byte or bit.band(byte, 0xc0) ~= 0x80 then return nil end
    point = point * 64 + bit.band(byte, 0x3f)
  end
  local least = length == 4 and 0x10000 or length == 3 and 0x800 or 0x80
  local is_surrogate = point >= 0xd800 and point <= 0xdfff
  if first < 0xc2 or first > 0xf4 or point < least or point > 0x10ffff or is_surrogate then return nil end
  return point, length
end

--- Where a text is no UTF-8; nil where all of it is.
function strings.first_broken(text)
  local at = text:find "[\128-\255]"
  while at do
    local point, length = code_point(text, at)
    if not point then return at end
    at = text:find("[\128-\255]", at + length)
  end
  return nil
end

local function encode(point)
  local function tail(shift) return 0x80 + bit.band(bit.rshift(point, shift), 0x3f) end
  if point < 0x80 then return string.char(point) end
  if point < 0x800 then return string.char(0xc0 + bit.rshift(point, 6), tail(0)) end
  if point < 0x10000 then return string.char(0xe0 + bit.rshift(point, 12), tail(6), tail(0)) end
  return string.char(0xf0 + bit.rshift(point, 18), tail(12), tail(6), tail(0))
end

--- The character of the escape at parser.at, which is behind the backslash.
local function escaped(parser)
  local letter = parser.text:sub(parser.at, parser.at)
  if ESCAPES[letter] then
    parser.at = parser.at + 1
    return ESCAPES[letter]
  end
  local digits = letter == "u" and 4 or letter == "U" and 8
  if not digits then
    parser:fail(nil, [[expected one of b, t, n, f, r, ", \, uXXXX and UXXXXXXXX behind a backslash, found %s]],
                parser:found())
  end
  local hex = parser.text:sub(parser.at + 1, parser.at + digits)
  local point = #hex == digits and not hex:find "%X" and tonumber(hex, 16)
  if not point or point > 0x10ffff or point >= 0xd800 and point <= 0xdfff then
    parser:fail(nil, "expected %d digits of a Unicode character", digits)
  end
  parser.at = parser.at + 1 + digits
  return encode(point)
end

--- The next character of a text that ends it, needs work or may not stand there.
local function stop_at(parser, pattern, start)
  local stop = parser.text:find(pattern, parser.at)
  if not stop then parser:fail(start, "the text has no end") end
  return stop
end

local function read_line(parser, quote)
  local start, out = parser:here(), {}
  parser.at = parser.at + 1
  local pattern = quote == '"' and '[%z\1-\8\10-\31\127"\\]' or "[%z\1-\8\10-\31\127']"
  while true do
    local stop = stop_at(parser, pattern, start)
    out[#out + 1] = parser.text:sub(parser.at, stop - 1)
    parser.at = stop + 1
    local c = parser.text:sub(stop, stop)
    if c == quote then return table.concat(out) end
    if c == "\\" then
      out[#out + 1] = escaped(parser)
    else
      parser.at = stop
      if c == "\n" or c == "\r" then parser:fail(start, "the text has no end on its line") end
      parser:fail(nil, "a text may not hold the byte 0x%02X", c:byte())
    end
  end
end

--- A backslash at the end of a line: all blanks up to the next character go. False where it is none.
local function skip_folded(parser)
  local next_at = parser.text:match("^[ \t]*\r?\n()", parser.at)
  if not next_at then return false end
  repeat
    parser.at = next_at
    next_at = parser.text:match("^[ \t]*\r?\n()", parser.at)
  until not next_at
  parser:skip_blanks()
  return true
end

--- How many of up to five quotes end the text: three; those before them belong to it.
local function read_quotes(parser, quote)
  local quotes = parser.text:match("^" .. quote .. "+", parser.at)
  local count = math.min(#quotes, 5)
  parser.at = parser.at + count
  return quote:rep(count >= 3 and count - 3 or count), count >= 3
end

local function read_block(parser, quote)
  local start, out = parser:here(), {}
  parser.at = parser.text:match("^\r?\n()", parser.at + 3) or parser.at + 3
  local pattern = quote == '"' and '[%z\1-\8\11-\31\127"\\]' or "[%z\1-\8\11-\31\127']"
  while true do
    local stop = stop_at(parser, pattern, start)
    out[#out + 1] = parser.text:sub(parser.at, stop - 1)
    parser.at = stop
    local c, is_end = parser.text:sub(stop, stop), false
    if c == quote then
      out[#out + 1], is_end = read_quotes(parser, quote)
    elseif c == "\\" then
      parser.at = stop + 1
      if not skip_folded(parser) then out[#out + 1] = escaped(parser) end
    elseif parser:take_break() then
      out[#out + 1] = "\n"
    else
      parser:fail(nil, "a text may not hold the byte 0x%02X", c:byte())
    end
    if is_end then return table.concat(out) end
  end
end

--- Reads the text at parser.at, which is at its first quote, and goes behind it.
-- @treturn string
function strings.read(parser)
  local quote = parser.text:sub(parser.at, parser.at)
  if parser.text:sub(parser.at, parser.at + 2) == quote:rep(3) then return read_block(parser, quote) end
  return read_line(parser, quote)
end

return strings
