--- Checks nodes (tidegate.yaml) against a schema and gives plain Lua values.
--
-- A schema is a table of fields by name; a field is a table:
--
--     type       string integer number boolean enum list map object any, or a format of types.lua: name duration
--                (seconds) size (bytes) url host cidr path file status method header_name cookie_name percent regex
--                secret template json (text or YAML, becomes the value) ..., or a type that schema.add_type knows
--     required   true: the key must be there
--     default    as it would be written
--     elsewhere  enum: words that are none here, and which one is meant: { leastconn = "least_connections" }
--     of         enum: the words; list, map: the field of each item (or the name of its type)
--     keys       map: the type of its keys
--     fields     object: its schema
--     short      object: the key that a lone value stands for
--     form       object: function(check, node, parent, key) -> the node in its long form, or nil after telling why
--     single     list: true: a lone value is a list of one
--     words      words allowed besides the type, and what they become: { auto = 0 }
--     min, max   numbers, durations and sizes as written; texts: bytes; lists and maps: items
--     match      a Lua pattern the text must match
--     many       the key for a list of such values, told where one is found here
--     expects    words for messages instead of the type's
--     template   true: ${run.time} templates may stand here
--     check      function(value) -> true, or false and why
--     implicit   true: its default says less than the same words written down; tidegate.config.show leaves it out
--     settings   map: true: of a plugin, whose own schema checks them
--     later      true: known, but not available in this version; enum: a list of such words
--     restart    true: a change counts after a restart only (tidegate.config.restart)
--     doc, unit  for the reference
--
-- Beside its fields a schema may hold one_of = { "a", "b" } (exactly one of these keys, or a list of such lists),
-- some_of (one at least) and conflicts (one at most) likewise, and requires = { a = { "b" } } (a only with b). See
-- tidegate.config.ties.
local new_table = require "table.new"
local Node = require "tidegate.config.node"
local Sources = require "tidegate.config.source"
local sorted_keys = require "tidegate.sorted_keys"
local ties = require "tidegate.config.ties"
local types = require "tidegate.config.types"
local wording = require "tidegate.config.wording"
local yaml = require "tidegate.yaml"

local expected, quote = wording.expected, wording.quote
local is_nothing, resolved = Node.is_nothing, Node.resolved
local is_left_empty, check_ties = ties.is_left_empty, ties.check

local schema = {}

schema.quote, schema.expected = quote, expected

--- The path of a key below a path, or that path itself where there is no key. A path is a text, or the mark (see Marks)
-- of what it leads to: most are never told, and the texts are made for those that are.
local function path_of(parent, key)
  if type(parent) == "table" then parent = parent.path or path_of(parent.parent, parent.key) end
  if key == nil then return parent end
  if type(key) == "number" then return ("%s[%d]"):format(parent, key) end
  local word = key:find "^[%w_-]+$" and key or ("[%s]"):format(quote(key))
  if parent == "" or word:sub(1, 1) == "[" then return parent .. word end
  return parent .. "." .. word
end
schema.path = path_of

local function is_field(value)
  return type(value) == "table" and type(value.type) == "string"
end

--- The names of the fields, in the order of the schema where it has one.
function schema.names(fields)
  local order = rawget(fields, schema.ORDER)
  if order then return order end
  local names = {}
  for name, field in pairs(fields) do
    if is_field(field) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

schema.ORDER = {}

--- At this key a schema may have a table of words for its keys that are none: { servers = "nodes" }.
schema.ELSEWHERE = {}

--- Builds a schema that keeps the order of its fields: { { "name", type = ... }, ..., one_of = ... }.
function schema.ordered(list)
  local fields = { [schema.ORDER] = {} }
  for key, value in pairs(list) do
    if type(key) ~= "number" then fields[key] = value end
  end
  for i, field in ipairs(list) do
    fields[field[1]] = field
    fields[schema.ORDER][i] = field[1]
  end
  return fields
end

-- -- shapes --

-- By schema, until garbage is collected: what a plugin's schema holds often leads back to that schema, and nothing of
-- a plugin may stay because it was looked at once.
local shapes = setmetatable({}, { __mode = "kv" })

--- What every map of a schema is checked by, made once for many maps: its fields; names of those that count where they
-- are not written, for they have a default or are required; its ties.
local function shape_of(fields)
  local shape = shapes[fields]
  if shape then return shape end
  shape = { fields = {}, implied = {}, ties = ties.of(fields) }
  for _, name in ipairs(schema.names(fields)) do
    local field = fields[name]
    shape.fields[name] = field
    if field.default ~= nil or field.required then table.insert(shape.implied, name) end
  end
  shapes[fields] = shape
  return shape
end

-- -- where values came from --

--- Remembers for each table of the result a mark: the node it was made of; nodes, those of its keys; written_at, where
-- its keys are others than were written; order, the keys of a map; path, or parent and key (see schema.path).
local Marks = {}
Marks.__index = Marks

--- The place of a value and its path.
-- @tparam table owner a table of the result
-- @param[opt] key of it; where the key was not written, the owner's place is given
function Marks:place(owner, key)
  local mark = self[owner]
  return mark.nodes[key] or mark.node, path_of(mark, mark.written_at and mark.written_at[key] or key)
end

--- The place alone: a node, or anything with file, line and column.
function Marks:spot(owner, key)
  local mark = self[owner]
  return mark.nodes[key] or mark.node
end

--- Whether the key was written, and is not a default.
function Marks:is_written(owner, key)
  return self[owner].nodes[key] ~= nil
end

-- -- one check --

local Check = {}
Check.__index = Check

function Check:fail(node, parent, key, message, ...)
  self.failures = self.failures + 1
  self.report:add(node, path_of(parent, key), message:format(...) .. wording.origin(node))
end

--- The key of a map that a lone value in its place was meant for: the only one there is, or that has to be there.
local function only_key(fields)
  local known, required = {}, {}
  for _, name in ipairs(schema.names(fields)) do
    if fields[name].later ~= true then known[#known + 1] = name end
    if fields[name].required then required[#required + 1] = name end
  end
  if #required == 1 then return required[1] end
  return #known == 1 and known[1] or nil
end

--- Whether a map without any key does something.
local function needs_nothing(fields)
  for _, name in ipairs(schema.names(fields)) do
    local field = fields[name]
    if field.required or field.type == "object" and field.default == nil then return false end
  end
  return not (fields.one_of or fields.some_of)
end

--- What is usually the matter with a value that is of another kind altogether, or has spaces around it.
local function advice(field, node)
  if node.kind == "scalar" then
    local is_word = node.type ~= "boolean" and node.type ~= "null"
    local key = field.type == "object" and is_word and only_key(field.fields)
    if key then return ("write { %s: ... }"):format(key) end
    if field.type == "object" and node.text == "true" and needs_nothing(field.fields) then
      return "write {}: all keys have defaults"
    end
    if node.type == "string" and not node.is_secret and node.text:find "%S" then
      if node.text:find "%s$" then return "it ends with a space" end
      if node.text:find "^%s" then return "it begins with a space" end
    end
    return nil
  end
  if field.type == "list" and node.kind == "map" then return 'each item of a list begins with "- "' end
  if field.type == "map" and node.kind == "list" then return 'items of a map begin with a name and a colon, not "-"' end
  return nil
end

function Check:mismatch(field, node, parent, key, why)
  local path = path_of(parent, key)
  why = advice(field, node) or why
  if field.many and node.kind == "list" then why = ("several go under %s"):format(quote(field.many)) end
  local tail = (why and "; " .. why or "") .. wording.origin(node)
  self.failures = self.failures + 1
  self.report:add(node, path, ("expected %s, found %s%s"):format(expected(field), wording.describe(node), tail))
end

--- Limits are written like values; compiled at first use.
local function limit(field, name)
  local value = field[name]
  local format = types[field.type]
  if type(value) == "string" then return format.parse(value) end
  return value
end

local function is_within(field, measure)
  local min, max = limit(field, "min"), limit(field, "max")
  if min and min == max and measure ~= min then return false, tostring(field.min) end
  if min and measure < min then return false, "at least " .. tostring(field.min) end
  if max and measure > max then return false, "at most " .. tostring(field.max) end
  return true
end

local SIZED = { string = "byte", list = "item", map = "item", secret = "byte", template = "byte" }

function Check:within(field, value, measure, node, parent, key)
  local good, words = is_within(field, measure)
  if good then return value end
  local unit = SIZED[field.type]
  if unit then
    words = words .. " " .. unit .. ((words:find " 1$") and "" or "s")
    self:fail(node, parent, key, "expected %s, found %d", words, measure)
  else
    self:fail(node, parent, key, "expected %s, found %s", words, wording.describe(node))
  end
  return nil
end

--- What holds for any value once its type is right.
function Check:finish(field, value, measure, node, parent, key)
  if value == nil then return nil end
  if (field.min or field.max) and measure and self:within(field, value, measure, node, parent, key) == nil then
    return nil
  end
  if field.match and not tostring(value):find(field.match) then
    self:mismatch(field, node, parent, key)
    return nil
  end
  if field.check then
    local good, why = field.check(value)
    if not good then
      why = why or ("expected %s, found %s"):format(expected(field), wording.describe(node))
      self:fail(node, parent, key, "%s", why)
      return nil
    end
  end
  return value
end

--- Advice for a value that would be right without its quotes.
local function unquoted(node, wanted)
  local found = node.style == "quoted" and yaml.resolve(node.text)
  return found and (found == wanted or found == "integer" and wanted == "number") and "write it without quotes" or nil
end

--- Advice for a share that is written as a percentage, where it is a number from 0 to 1.
local function as_share(field, node)
  local percent = field.type == "number" and field.max == 1 and tonumber(node.text:match "^(%d+%.?%d*)%%$")
  return percent and percent <= 100 and ("write %g"):format(percent / 100) or nil
end

function Check:number(field, node, parent, key)
  local found, value = resolved(node)
  local whole = field.type ~= "number"
  if found ~= "integer" and (whole or found ~= "number") or value ~= value then
    local advised = as_share(field, node) or unquoted(node, whole and "integer" or "number")
    return self:mismatch(field, node, parent, key, advised)
  end
  if whole and math.abs(value) > 2 ^ 53 then return self:mismatch(field, node, parent, key, "it is too large") end
  if field.type == "status" and (value < 100 or value > 599) then return self:mismatch(field, node, parent, key) end
  return self:finish(field, value, value, node, parent, key)
end

local TRUTH = { yes = "true", on = "true", y = "true", no = "false", off = "false", n = "false" }

function Check:boolean(field, node, parent, key)
  local found, value = resolved(node)
  if found ~= "boolean" then
    local meant = found == "string" and TRUTH[node.text:lower()]
    return self:mismatch(field, node, parent, key, meant and "write " .. meant or unquoted(node, "boolean"))
  end
  return value
end

local function has(list, word)
  for _, known in ipairs(list or {}) do
    if known == word then return true end
  end
  return false
end

function Check:enum(field, node, parent, key)
  if has(field.of, node.text) then return self:finish(field, node.text, nil, node, parent, key) end
  if type(field.later) == "table" and has(field.later, node.text) then
    return self:fail(node, parent, key, "%s is not available in this version; expected %s", quote(node.text),
                     expected(field))
  end
  local meant = field.elsewhere and field.elsewhere[node.text:lower()]
  local hint = meant and ('; did you mean "%s"?'):format(meant) or self.report:near(node.text, field.of)
  self:fail(node, parent, key, "expected %s, found %s%s", expected(field), wording.describe(node), hint)
end

function Check:text(field, node, parent, key)
  local format = types[field.type] or error(("schema: unknown type %q"):format(field.type))
  if node.type == "boolean" then return self:mismatch(field, node, parent, key, "put it in quotes") end
  if node.templates and not field.template and field.type ~= "template" then
    return self:fail(node, parent, key, "the template %s cannot stand here; write $%s for the text itself",
                     node.templates, node.templates)
  end
  local value, why, is_all = format.parse(node.text)
  if value == nil then
    if is_all then return self:fail(node, parent, key, "%s", why) end
    return self:mismatch(field, node, parent, key, why)
  end
  if field.type == "file" and self.folder then value = Sources.absolute(value, self.folder) end
  return self:finish(field, value, type(value) == "string" and #value or value, node, parent, key)
end

function Check:scalar(field, node, parent, key)
  if node.kind ~= "scalar" or node.type == "null" then return self:mismatch(field, node, parent, key) end
  if self.defers and node.text:find("${", 1, true) then return node.text end
  local word = field.words and field.words[node.text]
  if word ~= nil then return word end
  local kind = field.type
  if kind == "integer" or kind == "number" or kind == "status" then return self:number(field, node, parent, key) end
  if kind == "boolean" then return self:boolean(field, node, parent, key) end
  if kind == "enum" then return self:enum(field, node, parent, key) end
  return self:text(field, node, parent, key)
end

local plain_fields = {}      -- by type: a field that says no more than that

local function plain_field(kind)
  plain_fields[kind] = plain_fields[kind] or { type = kind }
  return plain_fields[kind]
end

local function item_field(field)
  if type(field.of) == "string" then return plain_field(field.of) end
  return field.of or plain_field "any"
end

--- A wrong item leaves no hole, but those after it keep their number.
local function note_item(mark, items, place, i)
  if not mark.written_at then
    mark.nodes, mark.written_at = {}, {}
    for k = 1, place - 1 do mark.nodes[k], mark.written_at[k] = items[k], k end
  end
  mark.nodes[place], mark.written_at[place] = items[i], i
end

function Check:list(field, node, parent, key)
  local items = node.items
  if node.kind == "map" and node.implied and #node.entries == 0 then items = {} end
  if not items and field.single and not is_nothing(node) then items = { node } end
  if not items then return self:mismatch(field, node, parent, key) end
  local result, count, of = new_table(#items, 0), 0, item_field(field)
  local mark = { node = node, parent = parent, key = key, nodes = items }
  self.marks[result] = mark
  for i = 1, #items do
    local value = self:value(of, items[i], mark, i)
    if value ~= nil then
      count = count + 1
      result[count] = value
      if count ~= i then note_item(mark, items, count, i) end
    end
  end
  if #items == count then return self:finish(field, result, count, node, parent, key) end
  return result
end

function Check:map(field, node, parent, key)
  if node.kind ~= "map" then return self:mismatch(field, node, parent, key) end
  local result, nodes, order, of = {}, {}, {}, item_field(field)
  local path = { node = node, parent = parent, key = key, nodes = nodes, order = order }
  self.marks[result] = path
  for _, entry in ipairs(node.entries) do
    local name = entry.key
    if field.keys then
      local as_node = { kind = "scalar", type = "string", text = name, line = entry.line, column = entry.column,
                        file = entry.file }
      name = self:value(plain_field(field.keys), as_node, path, entry.key)
    end
    if name ~= nil and nodes[name] then
      self:fail(entry, path, entry.key, "%s stands here twice", quote(name))
    elseif name ~= nil then
      nodes[name] = entry.value
      local value = self:value(of, entry.value, path, entry.key)
      if value ~= nil then
        order[#order + 1] = name
        result[name] = value
      end
    end
  end
  return self:finish(field, result, #node.entries, node, parent, key)
end

local KEYS_SHOWN_MAX = 20       -- of a map with more of them an error does not list all

--- The key that was meant by a word that is one elsewhere: the end of a message, and the key of this map that it leads
-- to; nil where the word is not known.
local function known_elsewhere(fields, word)
  local path = rawget(fields, schema.ELSEWHERE) and fields[schema.ELSEWHERE][word:lower()]
  if not path then return nil end
  local first, rest = path:match "^([^.]+)%.?(.*)$"
  if not fields[first] then return ('; here that is "%s"'):format(path), "" end
  if rest == "" then return ('; did you mean "%s"?'):format(first), first end
  return ("; did you mean %s: { %s: ... }?"):format(first, rest), first
end

--- The keys of a map that may be written in this version.
local function available(fields)
  local names = {}
  for _, name in ipairs(schema.names(fields)) do
    if fields[name].later ~= true then names[#names + 1] = name end
  end
  return names
end

--- Gives the key that was meant, where one is near.
function Check:unknown_key(fields, entry, path)
  local names = available(fields)
  local hint, meant = known_elsewhere(fields, entry.key)
  if not hint then hint, meant = self.report:near(entry.key, names) end
  if #names == 0 then
    hint = "; none is known here"
  elseif not meant and is_field(fields[entry.key:match "^[%w_]+%." and entry.key:match "^[%w_]+"]) then
    hint = ("; a dot does not lead into a map here: write %s: { %s: ... }"):format(entry.key:match "^([%w_]+)%.(.*)$")
  elseif not meant and #names <= KEYS_SHOWN_MAX then
    hint = "; expected one of " .. table.concat(names, ", ")
  end
  self:fail(entry, path, entry.key, "unknown key%s", hint)
  return meant
end

-- By field: what its default becomes. Most values of a large configuration are defaults.
local defaults = setmetatable({}, { __mode = "k" })

--- What a default stands for. Of an empty table only the field can tell whether it is a list.
local function default_node(field, place)
  if field.type ~= "list" or next(field.default) then return Node.of(field.default, place) end
  return { kind = "list", items = {}, line = place.line, column = place.column, file = place.file, implied = true }
end

--- The value of a key that was not written.
function Check:default(field, node, parent, name)
  local value = defaults[field]
  if value ~= nil then return value end
  value = self:value(field, default_node(field, node), parent, name)
  if type(value) ~= "table" and field.type ~= "file" then defaults[field] = value end
  return value
end

local NONE = {}         -- misspelt keys, mostly

function Check:written(fields, shape, mark, result)
  local entries, nodes, meant = mark.node.entries, mark.nodes, NONE
  for i = 1, #entries do
    local entry = entries[i]
    local name, known = entry.key, shape.fields[entry.key]
    if not known then
      if meant == NONE then meant = {} end
      meant[self:unknown_key(fields, entry, mark) or ""] = true
    elseif known.later == true then
      self:fail(entry, mark, name, "not available in this version")
    elseif not is_left_empty(known, entry.value) then
      nodes[name] = entry.value
      result[name] = self:value(known, entry.value, mark, name)
    end
  end
  return meant
end

function Check:object(field, node, parent, key)
  node = not field.form and node or field.form(self, node, parent, key)
  if not node then return nil end
  if node.kind ~= "map" and field.short and not is_nothing(node) then
    node = Node.wrapped(node, field.short)
  end
  if node.kind ~= "map" then return self:mismatch(field, node, parent, key) end
  local shape, written = shape_of(field.fields), #node.entries
  local implied, nodes = shape.implied, new_table(0, written)
  local result, mark = new_table(0, written + #implied), { node = node, parent = parent, key = key, nodes = nodes }
  self.marks[result] = mark
  local meant = self:written(field.fields, shape, mark, result)
  for i = 1, #implied do
    local name = implied[i]
    local known = shape.fields[name]
    if nodes[name] == nil then
      if known.default ~= nil then
        result[name] = self:default(known, node, mark, name)
      elseif not meant[name] then
        self:fail(node, mark, name, "missing, expected %s", expected(known))
      end
    end
  end
  check_ties(self, shape.ties, mark, meant)
  return self:finish(field, result, nil, node, parent, key)
end

function Check:any(field, node, parent, key)
  return self:finish(field, Node.plain(node), nil, node, parent, key)
end

function Check:json(field, node, parent, key)
  if node.kind ~= "scalar" then return self:any(field, node, parent, key) end
  if is_nothing(node) then return self:mismatch(field, node, parent, key) end
  local value, why = types.json.parse(node.text)
  if value == nil then return self:mismatch(field, node, parent, key, why) end
  return self:finish(field, value, nil, node, parent, key)
end

-- Types whose values need not be scalars.
local READERS = { list = Check.list, map = Check.map, object = Check.object, any = Check.any, json = Check.json }

function Check:value(field, node, parent, key)
  if node.broken then                     -- ${...} failed, and was reported
    self.failures = self.failures + 1
    return nil
  end
  -- A key costs room even with nil as its value, and there are many nodes.
  local is_secret = field.type == "secret" or nil
  if node.is_secret ~= is_secret then node.is_secret = is_secret end
  local read = READERS[field.type] or self.scalar
  return read(self, field, node, parent, key)
end

--- Adds a type whose values are structures of their own.
-- @tparam string name
-- @tparam string words for messages: expected ...
-- @tparam function read function(check, field, node, parent, key) -> the value, or nil after telling why
function schema.add_type(name, words, read)
  wording.EXPECTED[name], READERS[name] = words, read
end

--- All names of types, sorted.
function schema.type_names()
  local set = { enum = true }
  for name in pairs(wording.EXPECTED) do set[name] = true end
  for name in pairs(types) do set[name] = true end
  return sorted_keys(set)
end

--- Checks a node against a field.
-- @tparam table field see above; for a schema: { type = "object", fields = schema }
-- @tparam table node from tidegate.yaml
-- @tparam Report report takes the errors
-- @tparam[opt=""] string path of the node
-- @tparam[opt] string folder where names of files start; without it they stay as written
-- @return the value with defaults filled in; what was wrong is absent from it
-- @treturn Marks where each value came from
-- @treturn number how many errors there were
function schema.check(field, node, report, path, folder)
  local check = setmetatable({
    report = report, marks = setmetatable({}, Marks), folder = folder, failures = 0,
  }, Check)
  return check:value(field, node, path or ""), check.marks, check.failures
end

--- Checks the shape of a node before values from outside are put into it: a text with ${...} in it is taken for
-- whatever it should be.
-- @tparam table field
-- @tparam table node
-- @tparam Report report
-- @return as for schema.check
function schema.check_shape(field, node, report)
  local check = setmetatable({
    report = report, marks = setmetatable({}, Marks), defers = true, failures = 0,
  }, Check)
  return check:value(field, node, ""), check.marks, check.failures
end

return schema
