--- The three forms of a plugin in a chain: `cors`, `{ cors: { max_age: 1h } }`, and the long one with `use`.
local Node = require "tidegate.config.node"
local order = require "tidegate.plugin.order"
local schema = require "tidegate.config.schema"
require "tidegate.plugin.when"      -- adds the type "condition"

local entry = {}

local ordered, is_nothing = schema.ordered, Node.is_nothing

local COMMON = {
  { "use", type = "string", required = true, expects = "the name of a plugin", match = "^%l[%l%d_-]*$",
    doc = "the plugin" },
  { "config", type = "map", of = "any", settings = true, doc = "its settings; its own schema says which there are" },
  { "enabled", type = "boolean", default = true, doc = "false: it does not run" },
  { "on_error", type = "enum", of = { "fail", "continue" }, default = "fail",
    doc = "where the plugin fails: `fail` answers with 500, `continue` goes on without it" },
  { "band", type = "enum", of = order.ALL_BANDS, doc = "instead of the plugin's own" },
  { "priority", type = "integer", min = -1000000, max = 1000000,
    doc = "the higher runs first within a band; default: the plugin's own" },
  { "when", type = "condition", doc = "it runs for requests that fit; see Conditions" },
}

local function with(...)
  local list = { ... }
  for _, field in ipairs(COMMON) do list[#list + 1] = field end
  return ordered(list)
end

--- Fields of an entry in `instances`.
entry.INSTANCE = { type = "object", short = "use", fields = with() }

local FIELDS = with { "name", type = "name", doc = "of this use, for logs and metrics; default: the plugin's" }

--- Fields of an entry in a chain, in its long form.
entry.FIELDS = FIELDS

--- The map { use: NAME, config: VALUE } in place of what was written.
local function long_form(node, name, place, config)
  local entries = {
    { key = "use", line = place.line, column = place.column, file = place.file,
      value = { kind = "scalar", type = "string", text = name, value = name, style = "plain", line = place.line,
                column = place.column, file = place.file } },
    config and { key = "config", line = place.line, column = place.column, file = place.file, value = config } or nil,
  }
  return {
    kind = "map", entries = entries, fields = { use = 1, config = config and 2 or nil }, line = node.line,
    column = node.column, file = node.file, is_bare = not config, shorthand = config and name or nil,
  }
end

--- Entries of a map that are no words of the long form.
local function foreign(node)
  local list = {}
  for _, e in ipairs(node.entries) do
    if not FIELDS[e.key] then list[#list + 1] = e end
  end
  return list
end

--- Whether all entries look like plugins with their settings.
local function holds_settings(entries)
  for _, e in ipairs(entries) do
    if e.value.kind ~= "map" and not is_nothing(e.value) then return false end
  end
  return true
end

--- A map with one key: the plugin and its settings.
local function short_form(check, node, path, first)
  local config = first.value
  if is_nothing(config) then
    config = { kind = "map", entries = {}, fields = {}, line = first.line, column = first.column, file = first.file }
  elseif config.kind ~= "map" then
    check:mismatch({ type = "map", expects = "a map of settings" }, config, path, first.key)
    return nil
  end
  return long_form(node, first.key, first, config)
end

local function form(check, node, parent, key)
  if node.kind == "scalar" and not is_nothing(node) then return long_form(node, node.text, node) end
  if node.kind ~= "map" then
    check:mismatch({ type = "map", expects = "a plugin: NAME, { NAME: { settings } } or { use: NAME, ... }" }, node,
                   parent, key)
    return nil
  end
  local own = foreign(node)
  local first, path = own[1], schema.path(parent, key)
  if not first and node.fields.name and not node.fields.use then
    check:fail(node, path, "use", "missing, expected the name of a plugin; `name` only says what this use is called")
    return nil
  end
  if not first or node.fields.use then return node end
  if #node.entries == 1 then return short_form(check, node, path, first) end
  if #own > 1 and is_nothing(first.value) then
    check:fail(own[2], path, own[2].key, "the settings of %s go below it: indent them deeper than its name",
               schema.quote(first.key))
    return nil
  end
  if #own > 1 and holds_settings(own) then
    check:fail(own[2], path, own[2].key, "an entry holds one plugin; write { %s: ... } and { %s: ... } as two entries",
               first.key, own[2].key)
    return nil
  end
  local _, meant = check.report:near(first.key, schema.names(FIELDS))
  if #own > 1 or meant then return node end
  check:fail(first, path, first.key, "with other words beside it, write { use: %s, config: { ... }, ... }", first.key)
  return nil
end

local ENTRY = { type = "object", fields = FIELDS, form = form }

--- The field of a chain.
function entry.chain(name, doc)
  return { name, type = "list", single = true, default = {}, of = ENTRY, doc = doc }
end

return entry
