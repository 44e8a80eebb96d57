--- Nodes of the native tree, made of nodes of another one. Each says where its origin stands, so that what is wrong
-- with it is told of the line that somebody wrote.
--
-- A place is anything with file, line and column: a node, an entry of a map.
local emit = require "tidegate.config.emit"

local node = {}

local function at(place, fields)
  fields.file, fields.line, fields.column = place.file, place.line, place.column
  return fields
end

--- A scalar.
-- @param value text, number or boolean
-- @tparam table place
function node.scalar(value, place)
  local kind = type(value)
  if kind == "number" then kind = value % 1 == 0 and "integer" or "number" end
  local text = kind == "integer" and ("%d"):format(value) or tostring(value)
  return at(place, { kind = "scalar", type = kind, value = value, text = text, style = "plain" })
end

--- A list.
-- @tparam table items nodes, or values for node.scalar
-- @tparam table place
function node.list(items, place)
  local list = at(place, { kind = "list", items = {} })
  for i, item in ipairs(items) do
    list.items[i] = type(item) == "table" and item or node.scalar(item, item and place)
  end
  return list
end

--- Puts a value under a key of a map; nil leaves the map as it is.
-- @tparam table map
-- @tparam string key
-- @param value node, or value for node.scalar
-- @tparam[opt] table place of the key; default: the value's, where it has one, else the map's
function node.put(map, key, value, place)
  if value == nil then return map end
  if type(value) ~= "table" then value = node.scalar(value, place or map) end
  local index = map.fields[key] or #map.entries + 1
  map.entries[index] = at(place or value, { key = key, value = value })
  map.fields[key] = index
  return map
end

--- A map.
-- @tparam table place
-- @tparam[opt] {{string,any},...} pairs keys and values for node.put, in order
function node.map(place, pairs)
  local map = at(place, { kind = "map", entries = {}, fields = {} })
  for i = 1, pairs and table.maxn(pairs) or 0 do
    if pairs[i] then node.put(map, pairs[i][1], pairs[i][2]) end
  end
  return map
end

--- The value under a key of a map; nil where there is none.
-- @tparam ?table map
-- @tparam string key
-- @treturn ?table node
-- @treturn ?table its entry, which knows where the key stands
function node.get(map, key)
  local index = map and map.fields and map.fields[key]
  local entry = index and map.entries[index]
  if entry then return entry.value, entry end
end

--- A node that is its own, all that is below it as well: what stands at two places of a tree is changed at each.
function node.copy(other)
  local copy = {}
  for key, value in pairs(other) do copy[key] = value end
  if other.items then
    copy.items = {}
    for i, item in ipairs(other.items) do copy.items[i] = node.copy(item) end
  end
  if other.entries then
    copy.entries, copy.fields = {}, {}
    for i, entry in ipairs(other.entries) do
      copy.entries[i] = at(entry, { key = entry.key, value = node.copy(entry.value) })
      copy.fields[entry.key] = i
    end
  end
  return copy
end

--- Whether a value is a node.
function node.is(value)
  return type(value) == "table" and (value.kind == "scalar" or value.kind == "list" or value.kind == "map") and
         (value.text or value.items or value.entries) ~= nil
end

--- A node as a value for tidegate.config.emit.
-- @tparam table other
-- @return value
function node.value(other)
  if other.kind == "list" then
    local items = emit.list()
    for i, item in ipairs(other.items) do items[i] = node.value(item) end
    return items
  end
  if other.kind == "map" then
    local map = emit.map()
    for i, entry in ipairs(other.entries) do map[i] = { entry.key, node.value(entry.value) } end
    return map
  end
  if other.type == "null" then return emit.null end
  if other.type == "string" then return other.text end
  return other.value
end

return node
