--- Nodes of tidegate.yaml: what they are, and such as stand in no file.
local yaml = require "tidegate.yaml"

local node = {}

--- Whether nothing stands there: "key:", "key: null".
-- @tparam table value a node
-- @treturn boolean
function node.is_nothing(value)
  return value.kind == "scalar" and value.type == "null"
end

--- Type and value of a scalar; what came from outside (environment, --set) has no type of its own.
-- @tparam table scalar a node
-- @treturn string the type
-- @return the value
function node.resolved(scalar)
  if scalar.loose then return yaml.resolve(scalar.text) end
  return scalar.type, scalar.value
end

--- A node as plain Lua values.
-- @tparam table value a node
-- @return text, number, boolean, nil, or a table of such
function node.plain(value)
  if value.kind == "scalar" then return select(2, node.resolved(value)) end
  local result = {}
  for i, item in ipairs(value.items or {}) do result[i] = node.plain(item) end
  for _, entry in ipairs(value.entries or {}) do result[entry.key] = node.plain(entry.value) end
  return result
end

--- A node that says the same as a Lua value, at the place of another node.
-- @param value text, number, boolean, or a table of such: a list, or a map with texts as keys
-- @tparam table place anything with file, line and column
-- @treturn table
function node.of(value, place)
  local made = { line = place.line, column = place.column, file = place.file, implied = true }
  if type(value) ~= "table" then
    made.kind, made.text, made.value = "scalar", tostring(value), value
    made.type = type(value) == "number" and (value % 1 == 0 and "integer" or "number") or type(value)
    return made
  end
  if #value > 0 then
    made.kind, made.items = "list", {}
    for i, item in ipairs(value) do made.items[i] = node.of(item, place) end
    return made
  end
  made.kind, made.entries, made.fields = "map", {}, {}
  for key, item in pairs(value) do
    table.insert(made.entries, {
      key = key, value = node.of(item, place), line = place.line, column = place.column, file = place.file,
    })
    made.fields[key] = #made.entries
  end
  return made
end

--- A map with one entry, at the place of its value: what a lone value stands for.
-- @tparam table value a node
-- @tparam string key
-- @treturn table
function node.wrapped(value, key)
  local entry = { key = key, value = value, line = value.line, column = value.column, file = value.file }
  return { kind = "map", entries = { entry }, fields = { [key] = 1 }, line = value.line, column = value.column,
           file = value.file }
end

return node
