--- The configuration language as JSON Schema (draft-07), which editors complete and check by. Made of the same tree and
-- the same schemas of plugins that the loader checks by. It never refuses what the loader takes; what it cannot say
-- (references between keys, files, limits of sizes and durations) is left to `tidegate check`.
local doc = require "tidegate.config.doc"
local entry = require "tidegate.plugin.entry"
local json = require "tidegate.tide.json"
local schema = require "tidegate.config.schema"
local sorted_keys = require "tidegate.sorted_keys"
local ties = require "tidegate.config.ties"
local tree = require "tidegate.config.tree"
local when = require "tidegate.plugin.when"

local json_schema = {}

local DRAFT = "http://json-schema.org/draft-07/schema#"

-- What a scalar may be instead of its own type: it comes from outside when the file is loaded.
local OUTSIDE = "\\$\\{([A-Z_][A-Z0-9_]*(:-[^}]*)?|file:[^}]+)\\}"
local FROM_OUTSIDE = { type = "string", pattern = OUTSIDE }

local NUMBER = "\\d+(\\.\\d*)?"
local TOKEN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"       -- RFC 9110 section 5.6.2

-- How texts of a type look, by type. A type without a pattern is any text.
local PATTERNS = {
  duration = ("^(?=.)(%sd)?(%sh)?(%sm)?(%ss)?(%sms)?$|^0$"):gsub("%%s", (NUMBER:gsub("%%", "%%%%"))),
  size = ("^%s(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$|^0$"):gsub("%%s", (NUMBER:gsub("%%", "%%%%"))),
  percent = "^" .. NUMBER .. "%$",
  url = "^[A-Za-z][A-Za-z0-9+.-]*://",
  path = "^/", path_pattern = "^[/~]", cidr = "^[0-9A-Fa-f:.]+(/\\d+)?$",
  address = "^unix:.|:\\d+$", host = "^\\S+$", host_pattern = "^.", node = "^\\S", file = "^.", name = "^.",
  method = TOKEN, header_name = TOKEN,
}

-- Types whose texts may look like a number.
local PLAIN = {
  string = true, secret = true, template = true, regex = true, name = true, file = true, header_name = true,
  host = true,
}
local ZERO = { duration = true, size = true }       -- 0 needs no unit

-- -- pieces --

--- One of several; a list with one member is that member.
local function any_of(list)
  local flat = {}
  for _, item in ipairs(list) do
    if item.anyOf and next(item, next(item)) == nil then
      for _, inner in ipairs(item.anyOf) do flat[#flat + 1] = inner end
    else
      flat[#flat + 1] = item
    end
  end
  return #flat == 1 and flat[1] or { anyOf = flat }
end

--- A word as it stands in a file: 1.2 without quotes is a number there.
local function add_word(list, word)
  list[#list + 1] = word
  if tonumber(word) then list[#list + 1] = tonumber(word) end
  if word == "true" or word == "false" then list[#list + 1] = word == "true" end
end

local function words_of(list)
  local words = {}
  for _, word in ipairs(list) do add_word(words, word) end
  return { enum = words }
end

-- -- scalars --

local function number(field)
  local is_status = field.type == "status"
  return {
    type = { field.type == "number" and "number" or "integer", "string" }, pattern = OUTSIDE,
    minimum = field.min or is_status and 100 or nil, maximum = field.max or is_status and 599 or nil,
    patternErrorMessage = "expected " .. schema.expected(field),
  }
end

--- Lengths are counted in bytes, of which a character has up to four.
local function lengths(result, field)
  if type(field.min) == "number" then result.minLength = math.ceil(field.min / 4) end
  if type(field.max) == "number" then result.maxLength = field.max end
  return result
end

local function text(field)
  local pattern = PATTERNS[field.type]
  local result = { type = PLAIN[field.type] and { "string", "number" } or "string" }
  if field.type == "string" or field.type == "secret" or field.type == "template" then lengths(result, field) end
  if pattern then
    result.pattern = pattern .. "|" .. OUTSIDE
    result.patternErrorMessage = "expected " .. schema.expected(field)
  end
  local list = { result }
  if ZERO[field.type] then list[2] = { const = 0 } end
  if result.maxLength then list[2] = FROM_OUTSIDE end
  return any_of(list)
end

local function scalar(field)
  local kind = field.type
  if kind == "boolean" then return { type = { "boolean", "string" }, pattern = OUTSIDE } end
  if kind == "enum" then return any_of { words_of(field.of), FROM_OUTSIDE } end
  if kind == "integer" or kind == "number" or kind == "status" then return number(field) end
  return text(field)
end

-- -- structures --

local Maker = {}
Maker.__index = Maker

--- A key with nothing behind it is as if it were not there.
local function nullable(kind, field)
  return field.required and kind or { kind, "null" }
end

function Maker:list(field)
  local of = type(field.of) == "string" and { type = field.of } or field.of or { type = "any" }
  local item = self:schema(of)
  local list = { type = nullable("array", field), items = item, minItems = field.min, maxItems = field.max }
  return field.single and any_of { item, list } or list
end

function Maker:map(field)
  local of = type(field.of) == "string" and { type = field.of } or field.of or { type = "any" }
  local keys = field.keys and PATTERNS[field.keys]
  return {
    type = nullable("object", field), propertyNames = keys and { pattern = keys } or nil,
    additionalProperties = self:schema(of), minProperties = field.min, maxProperties = field.max,
  }
end

--- That a key is there, and not left empty.
local function present(fields, name)
  local kind = fields[name].type
  if kind ~= "list" and kind ~= "map" and kind ~= "object" then return { required = { name } } end
  return { required = { name }, properties = { [name] = { ["not"] = { type = "null" } } } }
end

local function known_of(fields, names)
  local list = {}
  for _, name in ipairs(names) do
    if fields[name].later ~= true then list[#list + 1] = name end
  end
  return list
end

--- What fields have to do with each other, as a list of schemas that must all hold.
local function tied(fields)
  local all = {}
  for _, group in ipairs(ties.groups(fields, "one_of")) do
    local one = {}
    for i, name in ipairs(known_of(fields, group)) do one[i] = present(fields, name) end
    all[#all + 1] = { oneOf = one }
  end
  for _, group in ipairs(ties.groups(fields, "some_of")) do
    local some = {}
    for i, name in ipairs(known_of(fields, group)) do some[i] = present(fields, name) end
    all[#all + 1] = { anyOf = some }
  end
  for _, group in ipairs(ties.groups(fields, "conflicts")) do
    local names = known_of(fields, group)
    for i = 1, #names do
      for j = i + 1, #names do
        all[#all + 1] = { ["not"] = { allOf = { present(fields, names[i]), present(fields, names[j]) } } }
      end
    end
  end
  return #all > 0 and all or nil
end

local function dependencies(fields)
  local needs, result = ties.needs(fields), {}
  if next(needs) == nil then return nil end
  for name, others in pairs(needs) do result[name] = json.array(known_of(fields, others)) end
  return result
end

function Maker:object(field)
  local fields, properties, required = field.fields, {}, {}
  for _, name in ipairs(schema.names(fields)) do
    local known = fields[name]
    if known.later ~= true then
      properties[name] = self:described(known)
      if known.required then required[#required + 1] = name end
    end
  end
  local object = {
    type = nullable("object", field), properties = properties, additionalProperties = false,
    required = #required > 0 and required or nil, allOf = tied(fields), dependencies = dependencies(fields),
  }
  return field.short and any_of { self:schema(fields[field.short]), object } or object
end

local REF = { plugin = "#/definitions/plugin", condition = "#/definitions/condition" }

local STRUCTURES = { list = Maker.list, map = Maker.map, object = Maker.object }

--- The schema of a field's values.
function Maker:schema(field)
  if field.form then return { ["$ref"] = REF.plugin } end
  if field == entry.INSTANCE then return { ["$ref"] = "#/definitions/instance" } end
  if field.type == "condition" then return { ["$ref"] = REF.condition } end
  if field.type == "any" or field.type == "json" then return {} end
  local make = STRUCTURES[field.type]
  local result = make and make(self, field) or not make and scalar(field)
  if not field.words then return result end
  return any_of { words_of(sorted_keys(field.words)), result }
end

--- The same with what it is for. Beside "$ref" nothing else counts.
function Maker:described(field)
  local result = self:schema(field)
  if result["$ref"] then result = { allOf = { result } } end
  local described = {}
  for key, value in pairs(result) do described[key] = value end
  described.description = field.doc and doc.words(field) .. doc.range_words(field) or nil
  local default = field.default
  if type(default) == "table" and next(default) == nil then
    default = field.type == "list" and json.array {} or nil
  end
  described.default = default
  return described
end

-- -- conditions --

--- What can be asked of a subject: as { header: NAME, equals: x }, and as { header: { name: NAME, equals: x } }.
function Maker:subject(name, known)
  local below, beside = { type = "object", fields = {} }, {}
  for op, field in pairs(known.ops) do
    below.fields[op] = field
    beside[op] = known.name and self:schema(field) or nil
  end
  local lone
  if known.name then
    below.fields.name = { type = known.name.type, required = true }
    lone = self:schema(known.name)
  else
    lone = self:schema(known.ops[known.lone])
  end
  below.required = true
  beside[name] = any_of { lone, self:schema(below) }
  return { type = "object", properties = beside, required = { name }, additionalProperties = false }
end

function Maker:condition()
  local ref = { ["$ref"] = REF.condition }
  local list = { type = "array", items = ref, minItems = 1 }
  local alternatives = {}
  for _, pair in ipairs { { "all", list }, { "any", list }, { "not", ref } } do
    alternatives[#alternatives + 1] = {
      type = "object", properties = { [pair[1]] = pair[2] }, required = { pair[1] }, additionalProperties = false,
    }
  end
  for _, name in ipairs(sorted_keys(when.SUBJECTS)) do
    alternatives[#alternatives + 1] = self:subject(name, when.SUBJECTS[name])
  end
  return { anyOf = alternatives }
end

-- -- plugins --

--- The settings of every plugin, as definitions of their own. Those of one that is broken just now may be anything.
function Maker:settings(found, metas)
  local names = sorted_keys(found)
  for _, name in ipairs(names) do
    local meta = metas[name]
    local settings = meta and self:schema { type = "object", fields = meta.schema } or {}
    settings.description = meta and meta.description
    self.definitions["settings of " .. name] = settings
  end
  return names
end

local function settings_ref(name) return { ["$ref"] = "#/definitions/settings%20of%20" .. name } end

--- { use: NAME, config: { ... }, ... }
function Maker:long_form(fields, names)
  local long = self:schema { type = "object", required = true, fields = fields }
  long.properties.use = any_of { { enum = names }, { type = "string", pattern = "^[a-z][a-z0-9_]*$|" .. OUTSIDE } }
  long.properties.use.description = fields.use.doc
  long.allOf = {}
  for i, name in ipairs(names) do
    long.allOf[i] = {
      ["if"] = { properties = { use = { const = name } }, required = { "use" } },
      ["then"] = { properties = { config = settings_ref(name) } },
    }
  end
  return long
end

--- The entries of chains and of `instances`.
function Maker:plugins(found, metas)
  local names = self:settings(found, metas)
  local short = { type = "object", properties = {}, additionalProperties = false, minProperties = 1, maxProperties = 1 }
  for _, name in ipairs(names) do short.properties[name] = settings_ref(name) end
  local lone = { { enum = names }, { type = { "string", "number" } } }
  self.definitions.plugin = any_of { lone[1], lone[2], short, self:long_form(entry.FIELDS, names) }
  self.definitions.instance = any_of { lone[1], lone[2], self:long_form(entry.INSTANCE.fields, names) }
end

-- -- the whole --

--- The JSON Schema of a configuration.
-- @tparam table found the plugins that there are, by name
-- @tparam table metas of those that are good, by name (see tidegate.plugin.metadata)
-- @treturn table to be written as JSON
function json_schema.make(found, metas)
  local self = setmetatable({ definitions = {} }, Maker)
  local whole = self:schema(tree)
  self:plugins(found, metas)
  self.definitions.condition = self:condition()
  whole["$schema"], whole.title, whole.definitions = DRAFT, "Tidegate configuration", self.definitions
  whole.type, whole.required = "object", nil        -- an included file holds any part
  return whole
end

return json_schema
