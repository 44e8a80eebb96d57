--- The plugin.json that may stand beside a plugin: name, version, description, whether it is enabled, and its settings,
-- each as a schema ({ "type": ..., "default": ..., "description": ... }) or as a plain default.
local cjson = require "cjson.safe"
local fields = require "tidegate.plugin.fields"
local Node = require "tidegate.config.node"
local requires = require "tidegate.plugin.requires"
local schema = require "tidegate.config.schema"
local yaml = require "tidegate.yaml"

local manifest = {}

local TEXT = { type = "string" }

local FORM = {
  type = "object",
  fields = {
    name = TEXT, version = requires.FIELD, description = TEXT,
    entry_point = TEXT,                         -- of plugins in other languages; without a meaning here
    enabled = { type = "boolean", default = true },
    config = { type = "map", of = "any", default = {} },
  },
}

-- What types are called elsewhere.
local TYPES = { bool = "boolean", int = "integer", float = "number", array = "list" }

--- Where cjson stopped, from its words: "... at character 16".
local function place_of_error(path, text, why)
  local position = math.min(tonumber(why:match "at character (%d+)") or 1, #text + 1)
  local before = text:sub(1, math.max(position - 1, 0))
  local _, breaks = before:gsub("\n", "")
  return { file = path, line = breaks + 1, column = #before:match "[^\n]*$" + 1 }
end

--- A field as the schema language has it.
local function native(written)
  local field = {}
  for key, value in pairs(written) do field[key] = value end
  field.type = TYPES[field.type] or field.type
  field.doc, field.description = field.doc or field.description, nil
  if field.enum and field.of == nil then field.type, field.of, field.enum = "enum", field.enum, nil end
  if field.type == "object" and field.fields == nil and field.of == nil then field.type = "map" end
  return field
end

--- Reads one.
-- @tparam table record of discover: name, manifest = { path =, source = }
-- @tparam Report report takes the errors
-- @treturn ?table { version =, description =, enabled =, place = function(key) -> place,
--   settings = { { name =, place =, field = } or { name =, place =, default = }, ... } }; nil after telling why not
function manifest.read(record, report)
  local path, text = record.manifest.path, record.manifest.source
  report:source(path, text)
  local value, why = cjson.decode(text)
  if value == nil then
    report:add(place_of_error(path, text, why), nil, "not JSON: " .. why:gsub("^%l", string.upper))
    return nil
  end
  -- JSON is YAML, whose nodes know their lines; but for pairs of surrogates, which YAML has not.
  local node, errors = yaml.parse(text, path)
  if not node then errors = {} end
  for _, e in ipairs(errors or {}) do
    report:add({ file = path, line = e.line, column = e.column }, nil, e.message)
  end
  node = node or Node.of(value, { file = path, line = 1, column = 1 })
  local form, marks, failures = schema.check(FORM, node, report)
  if failures > 0 or errors and #errors > 0 then return nil end
  local result = { version = form.version, description = form.description, enabled = form.enabled, settings = {} }
  function result.place(key) return (marks:place(form, key)) end
  if form.name and form.name ~= record.name then
    report:add(result.place "name", "name", ("expected %q, as the plugin's file says, found %s"):format(
      record.name, schema.quote(form.name)))
    return nil
  end
  for _, name in ipairs(marks[form.config].order) do
    local setting = form.config[name]
    local is_field = type(setting) == "table" and type(setting.type) == "string"
    table.insert(result.settings, {
      name = name, place = marks:place(form.config, name),
      field = is_field and native(setting) or nil, default = not is_field and setting or nil,
    })
  end
  return result
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- A field that only plugin.json has.
local function add_field(own, setting, settings, path)
  own.at = setting.place
  settings[setting.name] = fields.check_one(own, setting.field or { type = "any", default = setting.default }, path)
  own.at = nil
end

--- A default for a field of the plugin's own schema.
local function add_default(own, setting, field, path)
  local node = Node.of(setting.default, setting.place)
  local _, _, failures = schema.check(field, node, own.report, "config." .. setting.name)
  own.failures = own.failures + failures
  if field.default ~= nil and not same(field.default, setting.default) then
    own:fail_at(setting.place, path, "the schema of %s has another default for this", own.record.path)
  end
  field.default, field.required = setting.default, nil
end

--- Puts what plugin.json says beside what the plugin's own table says. What both say must be the same.
-- @tparam Statement own takes the errors
-- @tparam table said of manifest.read
-- @tparam table meta of metadata.check: version, description, schema; changed in place
-- @tparam boolean has_schema whether the plugin's table holds a schema, however empty
function manifest.merge(own, said, meta, has_schema)
  local path = own.record.path
  for _, key in ipairs { "version", "description" } do
    if said[key] and meta[key] and said[key] ~= meta[key] then
      own:fail_at(said.place(key), { key }, "expected %s, as %s says, found %s", schema.quote(meta[key]), path,
                  schema.quote(said[key]))
    end
    meta[key] = meta[key] or said[key]
  end
  meta.enabled = said.enabled
  for _, setting in ipairs(said.settings) do
    local field, where = meta.schema[setting.name], { "config", setting.name }
    if has_schema and not field then
      own:fail_at(setting.place, where, "%s has no such field in its schema%s", path,
                  own:near(setting.name, schema.names(meta.schema)))
    elseif field and setting.field then
      own:fail_at(setting.place, where, "the schema of %s says what this is; a default alone can stand here", path)
    elseif field then
      add_default(own, setting, field, where)
    else
      add_field(own, setting, meta.schema, where)
    end
  end
end

return manifest
