--- Writes YAML: what tidegate.yaml reads back as the same values.
--
--     emit.text(value, options) -> text
--
-- A value is a text, a number, a boolean, emit.null, or one of
--     { a, b, c }                     a list; {} is the empty list
--     { key = value, ... }            a map in alphabetical order, but for the keys that options.order names first
--     emit.map { { "key", value }, ... }   a map in the order given; entries whose value is nil are left out
--     emit.list { a, b }              a list, also where it is empty
--     emit.with(value, { comment = "behind it", above = "lines before it", flow = true })
--
-- Short lists of scalars stand on one line. Texts are plain where that is safe for readers of YAML 1.1, too, several
-- lines are a block, all else is quoted. A comment holds any text: line breaks in `above` make more lines, in
-- `comment` they become spaces.
local bit = require "bit"
local yaml = require "tidegate.yaml"

local emit = {}

local FLOW_COLUMNS = 100        -- a list that would be wider stands on lines of its own
local KEY_MAX = 1000            -- bytes; longer keys are written with "? " (libyaml's limit is 1024 characters)

emit.null = newproxy(true)
getmetatable(emit.null).__tostring = function() return "null" end

local Map, List, With = {}, {}, {}

--- A map whose keys keep their order.
-- @tparam {{string,any},...} pairs key and value; added to later with map[#map + 1] = { key, value }
function emit.map(pairs) return setmetatable(pairs or {}, Map) end

--- A list, marked as one.
function emit.list(items) return setmetatable(items or {}, List) end

--- A value with comments, or in flow form.
-- @tparam any value
-- @tparam table options comment: behind the value (behind its key for lists and maps); above: lines before it;
-- flow = true: on one line, however long
function emit.with(value, options)
  return setmetatable({ value = value, comment = options.comment, above = options.above, flow = options.flow }, With)
end

-- -- texts --

-- What a reader of YAML 1.1 would not take for a text.
local OLD_WORDS = { y = true, n = true, yes = true, no = true, on = true, off = true, ["="] = true, ["<<"] = true }

local function is_old_number(text)
  return text:find "^[-+]?[%d_]+$" or text:find "^[-+]?[%d][%d_:]*[.%d]*$" or text:find "^%d%d%d%d%-%d%d?%-%d%d?" or
         text:find "^[-+]?0[xob][%x_]+$" or text:find "^[-+]?[%d_]*%.[%d_]*[eE]?[-+]?%d*$"
end

--- The code point at a byte and its length; nil where there is no UTF-8 (RFC 3629 section 4).
local function decode(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  local function tail(byte) return byte and byte >= 0x80 and byte < 0xc0 end
  if a < 0x80 then return a, 1 end
  if a >= 0xc2 and a < 0xe0 and tail(b) then return bit.bor(bit.lshift(a - 0xc0, 6), b - 0x80), 2 end
  if a >= 0xe0 and a < 0xf0 and tail(b) and tail(c) then
    local point = (a - 0xe0) * 4096 + (b - 0x80) * 64 + c - 0x80
    return point >= 0x800 and (point < 0xd800 or point > 0xdfff) and point or nil, 3
  end
  if a >= 0xf0 and a < 0xf5 and tail(b) and tail(c) and tail(d) then
    local point = (a - 0xf0) * 262144 + (b - 0x80) * 4096 + (c - 0x80) * 64 + d - 0x80
    return point >= 0x10000 and point <= 0x10ffff and point or nil, 4
  end
  return nil, 1
end

--- YAML 1.2 section 5.1, without the line breaks, tabs and marks that readers treat as something else.
local function is_printable(point)
  return point >= 0x20 and point < 0x7f or point >= 0xa0 and point < 0x2028 or point > 0x2029 and point < 0xfeff or
         point > 0xfeff and point < 0xfffe or point >= 0x10000
end

--- Whether all of a text can stand in YAML without escapes.
local function is_plain_text(text, allow_breaks)
  if not text:find "[^\32-\126]" then return true end
  local at = 1
  while at <= #text do
    local point, length = decode(text, at)
    if not point or not (is_printable(point) or allow_breaks and point == 10) then return false end
    at = at + length
  end
  return true
end

local SHORT = { [0] = "\\0", [9] = "\\t", [10] = "\\n", [13] = "\\r", [27] = "\\e", [34] = '\\"', [92] = "\\\\" }

--- In double quotes. Bytes that are no UTF-8 become U+FFFD: YAML cannot hold them.
local function quoted(text)
  if not text:find '[%z\1-\31"\\\127-\255]' then return '"' .. text .. '"' end
  local out, at = {}, 1
  while at <= #text do
    local point, length = decode(text, at)
    point = point or 0xfffd
    if SHORT[point] then
      out[#out + 1] = SHORT[point]
    elseif not is_printable(point) then
      out[#out + 1] = point < 256 and ("\\x%02X"):format(point) or ("\\u%04X"):format(point)
    elseif point == 0xfffd then
      out[#out + 1] = "\239\191\189"
    else
      out[#out + 1] = text:sub(at, at + length - 1)
    end
    at = at + length
  end
  return '"' .. table.concat(out) .. '"'
end

--- Whether a text means itself where it stands without quotes.
local function is_plain(text, in_flow)
  if text == "" or yaml.resolve(text) ~= "string" then return false end
  if OLD_WORDS[text:lower()] or is_old_number(text) then return false end
  if text:find "^[%s%-?:,%[%]{}#&*!|>'\"%%@`.=]" or text:find "[%s:]$" then return false end
  if text:find(": ", 1, true) or text:find(" #", 1, true) or in_flow and text:find "[,%[%]{}:]" then return false end
  return is_plain_text(text)
end

local function word(text, in_flow)
  return is_plain(text, in_flow) and text or quoted(text)
end

--- A text of several lines can be a block where each line is printable and the first is not indented by itself.
local function is_block(text)
  return text:find "\n" and not text:find "^[ \n]" and not text:find " \n" and not text:find " $" and
         is_plain_text(text, true)
end

local function number(value)
  if value ~= value then return ".nan" end
  if value == math.huge then return ".inf" end
  if value == -math.huge then return "-.inf" end
  if value % 1 == 0 and math.abs(value) < 2 ^ 53 then return ("%d"):format(value) end
  for digits = 14, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text end
  end
  return ("%.17g"):format(value)
end

local function scalar(value, in_flow)
  if value == nil or value == emit.null then return "null" end
  local kind = type(value)
  if kind == "string" then return word(value, in_flow) end
  if kind == "number" then return number(value) end
  if kind == "boolean" then return tostring(value) end
  error(("emit: expected a value, found a %s"):format(kind), 0)
end

-- -- structures --

local Writer = {}
Writer.__index = Writer

--- A value without its wrapping, and the comments on it.
local function bare(value)
  local notes = {}
  while getmetatable(value) == With do
    notes.comment, notes.above = notes.comment or value.comment, notes.above or value.above
    notes.flow = notes.flow or value.flow
    value = value.value
  end
  return value, notes
end

--- Whether a table would be written as a list.
local function is_list(value)
  local kind = getmetatable(value)
  return kind == List or kind ~= Map and (value[1] ~= nil or next(value) == nil)
end

emit.bare, emit.is_list = bare, is_list

--- The entries of a map as { key, value } in their order.
function Writer:entries(map)
  local list = {}
  if getmetatable(map) == Map then
    for i = 1, table.maxn(map) do
      if map[i] and map[i][2] ~= nil then list[#list + 1] = map[i] end
    end
    return list
  end
  for key, value in pairs(map) do list[#list + 1] = { tostring(key), value } end
  local rank = self.rank
  table.sort(list, function(a, b)
    local first, second = rank[a[1]] or math.huge, rank[b[1]] or math.huge
    if first ~= second then return first < second end
    return a[1] < b[1]
  end)
  return list
end

--- A value on one line.
function Writer:inline(value)
  value = bare(value)
  if type(value) ~= "table" then return scalar(value, true) end
  local parts = {}
  if is_list(value) then
    for i = 1, #value do parts[i] = self:inline(value[i]) end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  for i, entry in ipairs(self:entries(value)) do
    parts[i] = (#entry[1] > KEY_MAX and "? " or "") .. word(entry[1], true) .. ": " .. self:inline(entry[2])
  end
  return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
end

--- The value on one line where that is how it should stand; nil where it needs more.
function Writer:short(value, notes, column)
  if type(value) ~= "table" then
    if type(value) == "string" and is_block(value) then return nil end
    return scalar(value)
  end
  if notes.flow or next(value) == nil then return self:inline(value) end
  if not is_list(value) then return #self:entries(value) == 0 and "{}" or nil end
  for i = 1, #value do
    local item, item_notes = bare(value[i])
    if type(item) == "table" and next(item) ~= nil or next(item_notes) then return nil end
  end
  local text = self:inline(value)
  return column + #text <= FLOW_COLUMNS and text or nil
end

function Writer:put(...)
  for i = 1, select("#", ...) do self.out[#self.out + 1] = (select(i, ...)) end
end

--- A line of a comment: what cannot stand in YAML, and what would end the line, is a space.
local function remark(text)
  local out, at = {}, 1
  while at <= #text do
    local point, length = decode(text, at)
    out[#out + 1] = point and is_printable(point) and text:sub(at, at + length - 1) or " "
    at = at + length
  end
  return (("# " .. table.concat(out)):gsub(" +$", ""))
end

local function comment_of(notes)
  if not notes.comment or notes.comment == "" then return "" end
  return "  " .. remark(notes.comment)
end

function Writer:above(notes, indent)
  for line in ((notes.above or "") .. "\n"):gmatch "([^\n]*)\n" do
    if notes.above then self:put(indent, remark(line), "\n") end
  end
end

function Writer:block(text, notes, indent)
  local tail = text:match "\n*$"
  self:put(#tail == 0 and " |-" or #tail == 1 and " |" or " |+", comment_of(notes), "\n")
  for line in (#tail == 0 and text .. "\n" or text):gmatch "([^\n]*)\n" do
    self:put(line == "" and "" or indent, line, "\n")
  end
end

--- The value behind "key:" or "-"; indent is that of what is below it.
function Writer:value(value, notes, indent, column)
  local short = self:short(value, notes, column)
  if short then
    self:put(" ", short, comment_of(notes), "\n")
  elseif type(value) == "string" then
    self:block(value, notes, indent)
  else
    self:put(comment_of(notes), "\n")
    self:structure(value, indent)
  end
end

function Writer:key(key, indent)
  if #key <= KEY_MAX then return self:put(word(key), ":") end
  self:put("? ", word(key), "\n", indent, ":")
end

--- @tparam ?string lead what stands before the first entry, on its line, instead of the indent
function Writer:map(map, indent, lead)
  for _, entry in ipairs(self:entries(map)) do
    local value, notes = bare(entry[2])
    if not lead then
      self:above(notes, indent)
      self:put(indent)
    end
    lead = nil
    self:key(entry[1], indent)
    self:value(value, notes, indent .. "  ", #indent + #entry[1] + 2)
  end
end

--- A map in a list begins on the line of its dash.
function Writer:begins_here(value, notes)
  if type(value) ~= "table" or is_list(value) or notes.comment or notes.flow then return false end
  local first = self:entries(value)[1]
  return first ~= nil and not select(2, bare(first[2])).above
end

function Writer:list(list, indent)
  for i = 1, #list do
    local value, notes = bare(list[i])
    self:above(notes, indent)
    self:put(indent, "-")
    if self:begins_here(value, notes) then
      self:put(" ")
      self:map(value, indent .. "  ", true)
    else
      self:value(value, notes, indent .. "  ", #indent + 1)
    end
  end
end

function Writer:structure(value, indent)
  if is_list(value) then return self:list(value, indent) end
  return self:map(value, indent)
end

--- A value as YAML, with a line break at its end.
-- @param value see the head of this file; a table that holds itself is an error
-- @tparam[opt] table options order: { "name", ... } keys that come first in maps without an order of their own
-- @treturn string
function emit.text(value, options)
  local rank = {}
  for i, key in ipairs(options and options.order or {}) do rank[key] = i end
  local writer = setmetatable({ out = {}, rank = rank }, Writer)
  local inner, notes = bare(value)
  writer:above(notes, "")
  local short = writer:short(inner, notes, 0)
  if short then
    writer:put(short, comment_of(notes), "\n")
  elseif type(inner) == "string" then
    writer:put(quoted(inner), comment_of(notes), "\n")
  else
    writer:structure(inner, "")
  end
  return table.concat(writer.out)
end

return emit
