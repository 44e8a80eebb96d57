--- Checks the schema that a plugin's table holds, which its author wrote: types, attributes, limits, defaults.
-- The fields are copied on the way, so that nothing of the plugin's can change them later.
local schema = require "tidegate.config.schema"
local statement = require "tidegate.plugin.statement"

local below = statement.below

local DEPTH_MAX = 16

local function set_of(list)
  local set = {}
  for _, word in ipairs(list) do set[word] = true end
  return set
end

-- Attributes of a field, and the types of Lua that each may have.
local ATTRIBUTES = {
  type = { "string" }, required = { "boolean" }, default = { "any" }, of = { "string", "table" }, fields = { "table" },
  keys = { "string" }, short = { "string" }, single = { "boolean" }, words = { "table" }, min = { "number", "string" },
  max = { "number", "string" }, match = { "string" }, expects = { "string" }, check = { "function" },
  template = { "boolean" }, doc = { "string" }, unit = { "string" },
}
local ATTRIBUTE_NAMES = {}
for name in pairs(ATTRIBUTES) do table.insert(ATTRIBUTE_NAMES, name) end
table.sort(ATTRIBUTE_NAMES)

local Checker = {}
Checker.__index = Checker

local RULES = { one_of = true, conflicts = true, requires = true }
local COUNTED = set_of { "integer", "number", "string", "secret", "template", "list", "map", "status" }
local WRITTEN = set_of { "duration", "size", "percent" }

--- The attributes as a new table, so that nothing of the plugin's can change what was checked.
function Checker:attributes(field, path)
  local result = {}
  for name, value in pairs(field) do
    local kinds = ATTRIBUTES[name]
    if not kinds then
      local hint = type(name) == "string" and self.statement:near(name, ATTRIBUTE_NAMES) or ""
      self.statement:fail(path, "unknown attribute %s%s", schema.quote(tostring(name)), hint)
    elseif kinds[1] ~= "any" and kinds[1] ~= type(value) and kinds[2] ~= type(value) then
      self.statement:fail(below(path, name), "expected a %s, found a %s", table.concat(kinds, " or a "), type(value))
    else
      result[name] = value
    end
  end
  return result
end

function Checker:limits(field, path)
  for _, name in ipairs { "min", "max" } do
    local value = field[name]
    if value ~= nil and not COUNTED[field.type] and not WRITTEN[field.type] then
      self.statement:fail(below(path, name), "has no meaning for the type %s", field.type)
    elseif type(value) == "string" then
      if WRITTEN[field.type] then
        self.statement:value({ type = field.type }, value, below(path, name))
      else
        self.statement:fail(below(path, name), "expected a number, found %s", schema.quote(value))
      end
    end
  end
end

--- What `of` and `fields` say, by type.
function Checker:members(field, path)
  local kind = field.type
  if kind == "enum" then
    if field.of == nil then return self.statement:fail(path, 'needs the attribute "of": the words that are allowed') end
    field.of = self.statement:value({ type = "list", min = 1, of = "string" }, field.of, below(path, "of"))
  elseif kind == "object" then
    field.fields, field.of = self:fields(field.fields or field.of or {}, below(path, field.fields and "fields" or "of"))
  elseif kind == "list" or kind == "map" then
    local of = field.of
    if type(of) == "string" then of = { type = of } end
    field.of = of and self:field(of, below(path, "of")) or { type = "any" }
  elseif field.of ~= nil then
    self.statement:fail(below(path, "of"), "has no meaning for the type %s", kind)
  end
  if field.fields and kind ~= "object" then
    self.statement:fail(below(path, "fields"), "has no meaning for the type %s", kind)
  end
  if field.short and not (field.fields and field.fields[field.short]) then
    self.statement:fail(below(path, "short"), "expected a key of fields, found %s", schema.quote(field.short))
  end
  if field.keys and not self.types[field.keys] then
    self.statement:fail(below(path, "keys"), "unknown type %s%s", schema.quote(field.keys),
              self.statement:near(field.keys, self.type_names))
  end
end

--- Calls the plugin's own check so that an error in it is a message.
local function guarded(check)
  return function(value)
    local good, answer, why = pcall(check, value)
    if not good then return false, "its check failed: " .. tostring(answer) end
    return answer, why ~= nil and tostring(why) or nil
  end
end

--- Checks one field of a schema.
-- @treturn ?table the field as schema.check takes it
function Checker:field(field, path)
  if type(field) ~= "table" or type(field.type) ~= "string" then
    self.statement:fail(path, 'expected a field such as { type = "string" }, found %s',
              type(field) == "table" and "a table without a type" or "a " .. type(field))
    return nil
  end
  if #path > DEPTH_MAX then
    self.statement:fail(path, "fields nest too deep")
    return nil
  end
  if not self.types[field.type] then
    self.statement:fail(below(path, "type"), "unknown type %s%s", schema.quote(field.type),
              self.statement:near(field.type, self.type_names))
    return nil
  end
  local before = self.statement.failures
  local result = self:attributes(field, path)
  self:members(result, path)
  self:limits(result, path)
  if result.words and not statement.is_plain(result.words, 1) then
    self.statement:fail(below(path, "words"), "expected words and the plain values that they stand for")
  end
  if result.match and not pcall(string.find, "", result.match) then
    self.statement:fail(below(path, "match"), "expected a Lua pattern, found %s", schema.quote(result.match))
  end
  if result.required and result.default ~= nil then
    self.statement:fail(below(path, "default"), "what is required has no default")
  end
  if result.check then result.check = guarded(result.check) end
  if self.statement.failures > before then return nil end
  if result.default ~= nil then self.statement:value(result, result.default, below(path, "default")) end
  return self.statement.failures == before and result or nil
end

--- Names in one_of and conflicts (a list, or a list of lists) and requires (a map of lists) are keys beside them.
function Checker:rule(name, value, fields, path)
  local function check(list, at)
    if type(list) ~= "table" or not statement.is_plain(list, 1) then
      return self.statement:fail(at, "expected a list of keys, found a %s", type(list))
    end
    for _, key in ipairs(list) do
      if type(key) == "table" and name ~= "requires" then
        check(key, at)
      elseif type(key) ~= "string" or not fields[key] then
        self.statement:fail(at, "%s is no key of this schema", schema.quote(tostring(key)))
      end
    end
    return nil
  end
  if name ~= "requires" or type(value) ~= "table" then return check(value, path) end
  for key, needed in pairs(value) do
    check({ key }, path)
    check(needed, below(path, tostring(key)))
  end
  return nil
end

--- Checks the fields of an object.
-- @treturn table the fields as schema.check takes them; wrong ones are absent
function Checker:fields(fields, path)
  local result = {}
  if type(fields) ~= "table" then
    self.statement:fail(path, "expected a table of fields, found a %s", type(fields))
    return result
  end
  for name, field in pairs(fields) do
    if type(name) ~= "string" then
      self.statement:fail(path, "expected names of fields as keys, found %s", tostring(name))
    elseif not (RULES[name] and type(field) == "table" and type(field.type) ~= "string") then
      result[name] = self:field(field, below(path, name))
    end
  end
  for name in pairs(RULES) do
    local rule = fields[name]
    if rule ~= nil and result[name] == nil and type(rule) == "table" and rule.type == nil then
      self:rule(name, rule, fields, below(path, name))
      result[name] = rule
    end
  end
  return result
end

local function checker(owner)
  local names = schema.type_names()
  return setmetatable({ statement = owner, type_names = names, types = set_of(names) }, Checker)
end

return {
  --- Checks the fields of a schema.
  -- @tparam Statement owner takes the errors
  -- @param value what stands there
  -- @tparam {string|number,...} path
  -- @treturn table the fields as schema.check takes them; wrong ones are absent
  check = function(owner, value, path) return checker(owner):fields(value, path) end,

  --- Checks one field.
  -- @treturn ?table nil where it is wrong
  check_one = function(owner, value, path) return checker(owner):field(value, path) end,
}
