--- JSON, RFC 8259, strictly: one value and nothing behind it, no NaN, no control characters in texts, UTF-8 only.
-- The text is read through a pointer: Lua ends each string with a NUL, which is no part of any JSON, so that reading
-- stops there without looking at lengths.
local bit = require "bit"
local ffi = require "ffi"
local hex = require "tidegate.tide.hex"
local scratch = require "tidegate.tide.scratch"
local words = require "tidegate.tide.words"

local json = {}

local band, bor, lshift, rshift = bit.band, bit.bor, bit.lshift, bit.rshift

local DEPTH_MAX = 100
local BYTES_MAX = 1024 * 1024

--- Stands for null, which a Lua table cannot hold.
local null = newproxy(true)
getmetatable(null).__tostring = function() return "null" end
json.null = null

--- Whose metatable this is is an array, even when it is empty.
local Array = {}

--- Marks a table as an array, so that it is written as [] when it is empty.
-- @tparam[opt] table list
-- @treturn table the same table
function json.array(list)
  if list == nil then list = {} end
  if type(list) ~= "table" then words.misuse("json.array", "a table", list) end
  local metatable = getmetatable(list)
  if metatable ~= nil and metatable ~= Array then
    error("json.array: expected a table without a metatable of its own", 2)
  end
  return setmetatable(list, Array)
end

-- -- classes of bytes --

local ORDINARY, SPACE = ffi.new "uint8_t[256]", ffi.new "uint8_t[256]"
for byte = 32, 126 do ORDINARY[byte] = 1 end
ORDINARY[127] = 1
ORDINARY[34], ORDINARY[92] = 0, 0
for byte in (" \t\r\n"):gmatch "." do SPACE[byte:byte()] = 1 end

--- The length of the UTF-8 sequence at p[i], 0 where there is none: RFC 3629 section 4.
local function utf8_length(p, i)
  local a, b = p[i], p[i + 1]
  if a < 0xC2 or band(b, 0xC0) ~= 0x80 then return 0 end
  if a < 0xE0 then return 2 end
  if band(p[i + 2], 0xC0) ~= 0x80 then return 0 end
  if a < 0xF0 then
    if a == 0xE0 and b < 0xA0 or a == 0xED and b > 0x9F then return 0 end
    return 3
  end
  if a > 0xF4 or band(p[i + 3], 0xC0) ~= 0x80 or a == 0xF0 and b < 0x90 or a == 0xF4 and b > 0x8F then return 0 end
  return 4
end

-- -- reading --
-- Each reader takes the place of its first byte and gives the value and the place behind it; or nil and nil, having
-- noted what it missed and where.

local missed, missed_at

local function miss(what, at)
  missed, missed_at = what, at
  return nil, nil
end

local function skip_space(p, i)
  while SPACE[p[i]] == 1 do i = i + 1 end
  return i
end

local ESCAPES = ffi.new "uint8_t[256]"
for escape, byte in ('""\\\\//b\bf\fn\nr\rt\t'):gmatch "(.)(.)" do ESCAPES[escape:byte()] = byte:byte() end

local HEX = hex.values

--- The number of four hexadecimal digits, or nil.
local function four_digits(p, i)
  local number = 0
  for k = i, i + 3 do
    local digit = HEX[p[k]]
    if digit > 15 then return nil end
    number = bor(lshift(number, 4), digit)
  end
  return number
end

--- The character that \uXXXX stands for, p[i] being the first digit: one half of a pair needs the other.
-- @treturn ?number code point
-- @treturn number the place behind it
local function escaped_character(p, i)
  local code = four_digits(p, i)
  if not code or code < 0xD800 or code > 0xDFFF then return code, i + 4 end
  if code > 0xDBFF or p[i + 4] ~= 92 or p[i + 5] ~= 117 then return nil, i end
  local low = four_digits(p, i + 6)
  if not low or low < 0xDC00 or low > 0xDFFF then return nil, i end
  return 0x10000 + lshift(code - 0xD800, 10) + low - 0xDC00, i + 10
end

--- Writes a code point in UTF-8.
local function put_character(to, at, code)
  if code < 0x80 then
    to[at] = code
    return at + 1
  elseif code < 0x800 then
    to[at], to[at + 1] = bor(0xC0, rshift(code, 6)), bor(0x80, band(code, 63))
    return at + 2
  elseif code < 0x10000 then
    to[at], to[at + 1] = bor(0xE0, rshift(code, 12)), bor(0x80, band(rshift(code, 6), 63))
    to[at + 2] = bor(0x80, band(code, 63))
    return at + 3
  end
  to[at], to[at + 1] = bor(0xF0, rshift(code, 18)), bor(0x80, band(rshift(code, 12), 63))
  to[at + 2], to[at + 3] = bor(0x80, band(rshift(code, 6), 63)), bor(0x80, band(code, 63))
  return at + 4
end

--- The text between first and stop, whose escapes have been checked.
local function unescape(p, first, stop)
  local to = scratch(stop - first)
  local i, at = first, 0
  while i < stop do
    local byte = p[i]
    if byte ~= 92 then
      to[at] = byte
      i, at = i + 1, at + 1
    elseif p[i + 1] ~= 117 then
      to[at] = ESCAPES[p[i + 1]]
      i, at = i + 2, at + 1
    else
      local code
      code, i = escaped_character(p, i + 2)
      at = put_character(to, at, code)
    end
  end
  return ffi.string(to, at)
end

--- A text; i is behind its opening quote.
local function read_text(p, i)
  local first, has_escapes = i, false
  while true do
    while ORDINARY[p[i]] == 1 do i = i + 1 end
    local byte = p[i]
    if byte == 34 then
      if has_escapes then return unescape(p, first, i), i + 1 end
      return ffi.string(p + first, i - first), i + 1
    elseif byte == 92 then
      has_escapes = true
      if p[i + 1] == 117 then
        local code, behind = escaped_character(p, i + 2)
        if not code then return miss("four hexadecimal digits of a character, both halves of a pair", i + 2) end
        i = behind
      elseif ESCAPES[p[i + 1]] ~= 0 then
        i = i + 2
      else
        return miss('one of "\\/bfnrtu behind a backslash', i + 1)
      end
    elseif byte < 32 then
      return miss("the end of a text, control characters being written with a backslash", i)
    else
      local length = utf8_length(p, i)
      if length == 0 then return miss("UTF-8", i) end
      i = i + length
    end
  end
end

local INTEGER_DIGITS = 15       -- so many always fit into a double

local function skip_digits(p, i)
  while p[i] >= 48 and p[i] <= 57 do i = i + 1 end
  return i
end

--- A number; i is at its sign or first digit.
local function read_number(p, i)
  local first, value = i, 0
  if p[i] == 45 then i = i + 1 end
  local digits = i
  while p[i] >= 48 and p[i] <= 57 do
    value = value * 10 + (p[i] - 48)
    i = i + 1
  end
  if i == digits then return miss("a digit", i) end
  if p[digits] == 48 and i > digits + 1 then return miss("a number without zeros in front", digits) end
  local is_integer = true
  if p[i] == 46 then
    local behind = skip_digits(p, i + 1)
    if behind == i + 1 then return miss("a digit", behind) end
    i, is_integer = behind, false
  end
  if p[i] == 101 or p[i] == 69 then
    local exponent = (p[i + 1] == 43 or p[i + 1] == 45) and i + 2 or i + 1
    local behind = skip_digits(p, exponent)
    if behind == exponent then return miss("a digit", behind) end
    i, is_integer = behind, false
  end
  if is_integer and i - digits <= INTEGER_DIGITS then return digits > first and -value or value, i end
  value = tonumber(ffi.string(p + first, i - first))
  if value == math.huge or value == -math.huge then return miss("a number that a double can hold", first) end
  return value, i
end

local read_value

--- An array; i is behind its bracket, depth counts it.
local function read_array(p, i, depth)
  local list, n = {}, 0
  i = skip_space(p, i)
  if p[i] == 93 then return setmetatable(list, Array), i + 1 end
  while true do
    local value
    value, i = read_value(p, i, depth)
    if not i then return nil, nil end
    n = n + 1
    list[n] = value
    i = skip_space(p, i)
    if p[i] == 93 then return list, i + 1 end
    if p[i] ~= 44 then return miss('"," or "]"', i) end
    i = i + 1
  end
end

--- An object; i is behind its brace, depth counts it.
local function read_object(p, i, depth)
  local object = {}
  i = skip_space(p, i)
  if p[i] == 125 then return object, i + 1 end
  while true do
    local key, value
    if p[i] ~= 34 then return miss("a key in quotes", i) end
    key, i = read_text(p, i + 1)
    if not i then return nil, nil end
    i = skip_space(p, i)
    if p[i] ~= 58 then return miss('":"', i) end
    value, i = read_value(p, i + 1, depth)
    if not i then return nil, nil end
    object[key] = value
    i = skip_space(p, i)
    if p[i] == 125 then return object, i + 1 end
    if p[i] ~= 44 then return miss('"," or "}"', i) end
    i = skip_space(p, i + 1)
  end
end

local function is_word(p, i, word)
  for k = 1, #word do
    if p[i + k - 1] ~= word:byte(k) then return false end
  end
  return true
end

--- Any value, white space before it. depth is how many levels more there may be.
function read_value(p, i, depth)
  i = skip_space(p, i)
  local byte = p[i]
  if byte == 34 then return read_text(p, i + 1) end
  if byte == 123 or byte == 91 then
    if depth == 0 then return miss("no deeper level", i) end
    if byte == 123 then return read_object(p, i + 1, depth - 1) end
    return read_array(p, i + 1, depth - 1)
  end
  if byte == 45 or byte >= 48 and byte <= 57 then return read_number(p, i) end
  if byte == 116 and is_word(p, i, "true") then return true, i + 4 end
  if byte == 102 and is_word(p, i, "false") then return false, i + 5 end
  if byte == 110 and is_word(p, i, "null") then return null, i + 4 end
  return miss("a value", i)
end

--- What was missed, as a message.
local function complaint(text)
  local line, line_start = 1, 1
  for at in text:sub(1, missed_at):gmatch "\n()" do line, line_start = line + 1, at end
  return ("expected %s, found %s at line %d, column %d")
    :format(missed, words.byte(text, missed_at + 1), line, missed_at - line_start + 2)
end

local DECODE_OPTIONS = { max_depth = "number", max_bytes = "number" }

--- Reads a text of JSON.
-- null becomes json.null. An empty array is marked, so that it is written as one again. Of a key that is there twice
-- the last one counts. Integers are exact up to 2^53.
-- @tparam string text
-- @tparam[opt] table options max_depth, levels of arrays and objects (100); max_bytes of the text (1 MiB)
-- @return[1] the value; false and json.null are values
-- @return[2] nil and what was expected and found, with line and column
function json.decode(text, options)
  if type(text) ~= "string" then words.misuse("json.decode", "a text", text) end
  options = words.options("json.decode", options, DECODE_OPTIONS)
  local max = options.max_bytes or BYTES_MAX
  if #text > max then return nil, ("expected at most %d bytes of JSON, found %d"):format(max, #text) end
  local p = ffi.cast("const uint8_t *", text)
  local value, i = read_value(p, 0, options.max_depth or DEPTH_MAX)
  if i then
    i = skip_space(p, i)
    if i == #text then return value end
    miss("the end", i)
  end
  return nil, complaint(text)
end

-- -- writing --
-- The pieces of the text in their order. A writer gives nothing, or why it could not; where, is put together on the way
-- back.

local pieces, count
local indent, is_sorted
local where

local function put(piece)
  count = count + 1
  pieces[count] = piece
end

local SHORT = { [8] = "\\b", [9] = "\\t", [10] = "\\n", [12] = "\\f", [13] = "\\r", [34] = '\\"', [92] = "\\\\" }
local REPLACEMENT = "\239\191\189"       -- U+FFFD

--- A text in quotes. What is not UTF-8 becomes U+FFFD, so that the result is always JSON.
local function put_text(text)
  local p, n, i, first = ffi.cast("const uint8_t *", text), #text, 0, 0
  put '"'
  while i < n do
    while ORDINARY[p[i]] == 1 do i = i + 1 end
    if i >= n then break end
    local byte = p[i]
    local length = byte >= 128 and utf8_length(p, i) or 0
    if length > 0 then
      i = i + length
    else
      if i > first then put(ffi.string(p + first, i - first)) end
      put(byte >= 128 and REPLACEMENT or SHORT[byte] or ("\\u%04x"):format(byte))
      i = i + 1
      first = i
    end
  end
  if first == 0 then
    put(text)
  elseif n > first then
    put(ffi.string(p + first, n - first))
  end
  put '"'
end

--- Shortest of the forms that read back as the same number.
local function put_number(value)
  if value ~= value or value == math.huge or value == -math.huge then return "a number that is " .. tostring(value) end
  if value % 1 == 0 and value > -2 ^ 53 and value < 2 ^ 53 then
    put(("%d"):format(value))
    return
  end
  local text = ("%.14g"):format(value)
  if tonumber(text) ~= value then text = ("%.17g"):format(value) end
  put(text)
end

local put_value

local function put_line(level)
  if indent then put("\n" .. indent:rep(level)) end
end

local function put_array(list, level)
  local n, found = #list, 0
  for key in next, list do
    if type(key) ~= "number" then return ("an array that has the key %s as well"):format(words.quote(tostring(key))) end
    found = found + 1
  end
  if found ~= n then return "an array with holes" end
  put "["
  for i = 1, n do
    if i > 1 then put "," end
    put_line(level)
    local why = put_value(list[i], level)
    if why then
      where = ("[%d]%s"):format(i, where)
      return why
    end
  end
  if n > 0 then put_line(level - 1) end
  put "]"
end

local function put_member(key, value, level, is_first)
  if type(key) ~= "string" then return ("an object whose key is a %s"):format(type(key)) end
  if not is_first then put "," end
  put_line(level)
  put_text(key)
  put(indent and ": " or ":")
  local why = put_value(value, level)
  if why then where = "." .. key .. where end
  return why
end

local function sorted_keys(object)
  local keys = {}
  for key in next, object do
    if type(key) ~= "string" then return nil, ("an object whose key is a %s"):format(type(key)) end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

local function put_object(object, level)
  local is_first = true
  put "{"
  if is_sorted then
    local keys, why = sorted_keys(object)
    if not keys then return why end
    for _, key in ipairs(keys) do
      why = put_member(key, object[key], level, is_first)
      if why then return why end
      is_first = false
    end
  else
    for key, value in next, object do
      local why = put_member(key, value, level, is_first)
      if why then return why end
      is_first = false
    end
  end
  if not is_first then put_line(level - 1) end
  put "}"
end

--- Any value; level is that of what stands in it.
function put_value(value, level)
  local kind = type(value)
  if kind == "string" then return put_text(value) end
  if kind == "number" then return put_number(value) end
  if kind == "boolean" then return put(value and "true" or "false") end
  if value == null then return put "null" end
  if kind ~= "table" then return kind == "nil" and "nil" or "a " .. kind end
  if level >= DEPTH_MAX then return ("more than %d levels, perhaps a table within itself"):format(DEPTH_MAX) end
  if getmetatable(value) == Array or value[1] ~= nil then return put_array(value, level + 1) end
  return put_object(value, level + 1)
end

local ENCODE_OPTIONS = { pretty = "boolean", sorted = "boolean" }

--- Writes a value as JSON.
-- A table with [1], or one that json.array has marked, is an array; other tables are objects, whose keys are texts.
-- Bytes that are not UTF-8 become U+FFFD.
-- @param value
-- @tparam[opt] table options sorted: keys in their order; pretty: sorted, and over several lines
-- @treturn[1] string
-- @return[2] nil and what cannot be written, with its place in the value
function json.encode(value, options)
  options = words.options("json.encode", options, ENCODE_OPTIONS)
  indent, is_sorted = options.pretty and "  " or nil, options.sorted or options.pretty or false
  pieces, count, where = {}, 0, ""
  local why = put_value(value, 0)
  local text = table.concat(pieces)
  pieces = nil
  if not why then return text end
  local place = where:gsub("^%.", "")
  return nil, ("expected what JSON can hold, found %s%s")
    :format(why, place ~= "" and " at " .. words.quote(place) or "")
end

return json
