--- TOML 1.0.0 as nodes that know their place, like those of tidegate.yaml:
--
--     local node, errors = toml.parse(text, filename)
--
-- One thing is taken from TOML 1.1: line breaks, comments and a comma at the end within inline tables, since files are
-- written like that. Dates and times are texts, as they are written. Strict in all else; the first error ends it.
-- Bounded: 16 MiB of text, 64 levels, a million nodes.
local values = require "tidegate.dialects.toml.values"
local strings = require "tidegate.dialects.toml.strings"

local toml = {}

local TEXT_MAX = 16 * 1024 * 1024
local DEPTH_MAX = 64
local NODES_MAX = 1000000

local Parser = {}
Parser.__index = Parser

-- -- places and errors --

--- Where the parser stands: line and column (in characters), both from 1. Only goes forward.
function Parser:here()
  local text, line, column = self.text, self.line, self.column
  for i = self.seen, self.at - 1 do
    local byte = text:byte(i)
    if byte == 10 then
      line, column = line + 1, 1
    elseif byte < 0x80 or byte >= 0xc0 then
      column = column + 1
    end
  end
  self.seen, self.line, self.column = math.max(self.at, self.seen), line, column
  return { file = self.file, line = line, column = column }
end

--- Ends the parsing.
-- @tparam ?table place default: where the parser stands
function Parser:fail(place, message, ...)
  place = place or self:here()
  error({ line = place.line, column = place.column, message = message:format(...), is_toml = true }, 0)
end

function Parser:node(place, fields)
  self.nodes = self.nodes + 1
  if self.nodes > NODES_MAX then self:fail(place, "more than %d values", NODES_MAX) end
  fields.file, fields.line, fields.column = place.file, place.line, place.column
  return fields
end

function Parser:map(place)
  return self:node(place, { kind = "map", entries = {}, fields = {} })
end

-- -- between values --

--- What stands here, for messages.
function Parser:found()
  if self.at > #self.text then return "the end of the file" end
  local word = self.text:match("^[%w_.-]+", self.at)
  if word then return ('"%s"'):format(word:sub(1, 40)) end
  local c = self.text:match("^[%z\1-\127\192-\255][\128-\191]*", self.at)
  if c == "\n" or c == "\r" then return "the end of the line" end
  return c:find "%c" and ("the byte 0x%02X"):format(c:byte()) or ('"%s"'):format(c)
end

function Parser:skip_blanks()
  self.at = self.text:match("^[ \t]*()", self.at)
end

function Parser:skip_comment()
  if self.text:byte(self.at) ~= 35 then return end       -- #
  local stop = self.text:find("[%z\1-\8\10-\31\127]", self.at) or #self.text + 1
  self.at = stop
  if stop <= #self.text and not self.text:find("^\r?\n", stop) then
    self:fail(nil, "a comment may not hold control characters")
  end
end

--- Takes a line break; false where there is none.
function Parser:take_break()
  local next_at = self.text:match("^\r?\n()", self.at)
  if not next_at then return false end
  self.at = next_at
  return true
end

--- Blanks, comments and line breaks.
function Parser:skip_lines()
  repeat
    self:skip_blanks()
    self:skip_comment()
  until not self:take_break()
end

function Parser:end_line()
  self:skip_blanks()
  self:skip_comment()
  if self.at <= #self.text and not self:take_break() then
    self:fail(nil, "expected the end of the line, found %s", self:found())
  end
end

function Parser:take(char)
  if self.text:sub(self.at, self.at) ~= char then return false end
  self.at = self.at + 1
  return true
end

-- -- keys --

--- One part of a key: { name =, place = }.
function Parser:key_part()
  local place = self:here()
  local bare = self.text:match("^[%w_-]+", self.at)
  if bare then
    self.at = self.at + #bare
    return { name = bare, place = place }
  end
  if not self.text:find("^[\"']", self.at) then self:fail(place, "expected a key, found %s", self:found()) end
  if self.text:find('^"""', self.at) or self.text:find("^'''", self.at) then
    self:fail(place, "a key stands on one line")
  end
  return { name = strings.read(self), place = place }
end

--- A dotted key: a list of parts.
function Parser:key()
  local parts = {}
  repeat
    self:skip_blanks()
    parts[#parts + 1] = self:key_part()
    self:skip_blanks()
    if #parts > DEPTH_MAX then self:fail(parts[#parts].place, "more than %d levels", DEPTH_MAX) end
  until not self:take "."
  return parts
end

-- -- tables. self.how says of each how it came to be: "header", "implied" by a header below it, "inline", the table in
-- whose dotted keys it was named, or, of lists, "tables" where [[...]] adds to it --

local function child_of(map, name)
  local index = map.fields[name]
  return index and map.entries[index]
end

function Parser:put(map, part, value)
  map.entries[#map.entries + 1] = {
    key = part.name, value = value, file = self.file, line = part.place.line, column = part.place.column,
  }
  map.fields[part.name] = #map.entries
  return value
end

function Parser:twice(part, entry)
  self:fail(part.place, '"%s" stands here twice; first on line %d', part.name, entry.line)
end

--- The table that a header goes through on its way.
function Parser:through(map, part)
  local entry = child_of(map, part.name)
  if not entry then
    local new = self:map(part.place)
    self.how[new] = "implied"
    return self:put(map, part, new)
  end
  local value = entry.value
  if value.kind == "list" and self.how[value] == "tables" then return value.items[#value.items] end
  if value.kind ~= "map" or self.how[value] == "inline" then self:twice(part, entry) end
  return value
end

--- [a.b] and [[a.b]]: sets the table that the keys below it go to.
function Parser:header()
  local is_list = self.text:sub(self.at, self.at + 1) == "[["
  local place = self:here()
  self.at = self.at + (is_list and 2 or 1)
  local parts = self:key()
  if not self:take "]" or is_list and not self:take "]" then
    self:fail(nil, "expected %s, found %s", is_list and "]]" or "]", self:found())
  end
  self:end_line()
  local map = self.root
  for i = 1, #parts - 1 do map = self:through(map, parts[i]) end
  local last = parts[#parts]
  local add = is_list and self.add_table or self.open_table
  self.current, self.depth = add(self, map, last, place), #parts
end

function Parser:open_table(map, part, place)
  local entry = child_of(map, part.name)
  if entry then
    if self.how[entry.value] ~= "implied" then self:twice(part, entry) end
    self.how[entry.value] = "header"
    return entry.value
  end
  local new = self:map(place)
  self.how[new] = "header"
  return self:put(map, part, new)
end

function Parser:add_table(map, part, place)
  local entry = child_of(map, part.name)
  local list = entry and entry.value
  if list and self.how[list] ~= "tables" then self:twice(part, entry) end
  if not list then
    list = self:put(map, part, self:node(place, { kind = "list", items = {} }))
    self.how[list] = "tables"
  end
  local new = self:map(place)
  self.how[new] = "header"
  list.items[#list.items + 1] = new
  return new
end

--- key = value, into a table.
function Parser:pair(map, depth)
  local parts = self:key()
  if not self:take "=" then self:fail(nil, 'expected "=" behind the key, found %s', self:found()) end
  self:skip_blanks()
  local owner = map
  for i = 1, #parts - 1 do
    local entry = child_of(map, parts[i].name)
    if not entry then
      local new = self:map(parts[i].place)
      self.how[new] = owner
      map = self:put(map, parts[i], new)
    else
      if self.how[entry.value] ~= owner then self:twice(parts[i], entry) end
      map = entry.value
    end
  end
  local last = parts[#parts]
  local other = child_of(map, last.name)
  if other then self:twice(last, other) end
  self:put(map, last, self:value(depth + #parts))
end

-- -- values --

function Parser:array(place, depth)
  local items = {}
  self.at = self.at + 1
  self:skip_lines()
  while not self:take "]" do
    items[#items + 1] = self:value(depth + 1)
    self:skip_lines()
    if not self:take "," and self.text:sub(self.at, self.at) ~= "]" then
      self:fail(nil, 'expected "," or "]", found %s', self:found())
    end
    self:skip_lines()
  end
  return self:node(place, { kind = "list", items = items })
end

function Parser:inline_table(place, depth)
  local map = self:map(place)
  self.at = self.at + 1
  self:skip_lines()
  while not self:take "}" do
    self:pair(map, depth)
    self:skip_lines()
    if not self:take "," and self.text:sub(self.at, self.at) ~= "}" then
      self:fail(nil, 'expected "," or "}", found %s', self:found())
    end
    self:skip_lines()
  end
  self.how[map] = "inline"
  return map
end

function Parser:value(depth)
  local place = self:here()
  if depth > DEPTH_MAX then self:fail(place, "more than %d levels", DEPTH_MAX) end
  local first = self.text:sub(self.at, self.at)
  if first == "[" then return self:array(place, depth) end
  if first == "{" then return self:inline_table(place, depth) end
  if first == '"' or first == "'" then
    local text = strings.read(self)
    return self:node(place, { kind = "scalar", type = "string", text = text, value = text, style = "quoted" })
  end
  local kind, value, text, length = values.read(self.text, self.at)
  if not kind then
    self:fail(place, "%s", value or ("expected a value, found %s"):format(self:found()))
  end
  self.at = self.at + length
  return self:node(place, { kind = "scalar", type = kind, value = value, text = text, style = "plain" })
end

function Parser:document()
  self:skip_lines()
  while self.at <= #self.text do
    if self.text:byte(self.at) == 91 then       -- [
      self:header()
    else
      self:pair(self.current, self.depth)
      self:end_line()
    end
    self:skip_lines()
  end
  return self.root
end

--- Parses a text.
-- @tparam string text
-- @tparam string file its name, for nodes
-- @treturn ?table node of a map; nil with errors
-- @treturn ?{table,...} { line =, column =, message = }
function toml.parse(text, file)
  if #text > TEXT_MAX then return nil, { { line = 1, column = 1, message = "larger than 16 MiB" } } end
  local self = setmetatable({
    text = text, file = file, at = 1, seen = 1, line = 1, column = 1, nodes = 0, depth = 0, how = {},
  }, Parser)
  self.root = self:map(self:here())
  self.current = self.root
  local good, result = pcall(function()
    local wrong = strings.first_broken(text)
    if wrong then
      self.at = wrong
      self:fail(nil, "expected UTF-8, found the byte 0x%02X", text:byte(wrong))
    end
    if text:sub(1, 3) == "\239\187\191" then self.at = 4 end       -- a byte order mark
    return self:document()
  end)
  if good then return result end
  if type(result) ~= "table" or not result.is_toml then error(result, 0) end
  return nil, { { line = result.line, column = result.column, message = result.message } }
end

return toml
