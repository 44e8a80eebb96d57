--- A plain native tree as a value for tidegate.config.emit: keys in the order of the schema.
local emit = require "tidegate.config.emit"
local schema = require "tidegate.config.schema"
local sorted_keys = require "tidegate.sorted_keys"
local tree = require "tidegate.config.tree"

-- What a condition is about stands first.
local FIRST = {
  all = 1, any = 1, ["not"] = 1, header = 1, query = 1, cookie = 1, client_ip = 1, path = 1, host = 1, method = 1,
  scheme = 1, case = 3,
}

local function condition_names(map)
  local names = sorted_keys(map)
  table.sort(names, function(a, b)
    local first, second = FIRST[a] or 2, FIRST[b] or 2
    if first ~= second then return first < second end
    return a < b
  end)
  return names
end

local function is_field(field, kind)
  return type(field) == "table" and field.type == kind
end

local function ordered(value, field)
  if type(value) ~= "table" or getmetatable(value) then return value end       -- emit's own stay as they are
  local of = type(field) == "table" and field.of or nil
  if #value > 0 then
    local list = emit.list {}
    local below = is_field(field, "condition") and field or is_field(field, "list") and of or nil
    for i, item in ipairs(value) do list[i] = ordered(item, below) end
    return list
  end
  if next(value) == nil then return is_field(field, "list") and emit.list {} or emit.map {} end
  local result, written = emit.map {}, {}
  local function put(name, below)
    if value[name] == nil or written[name] then return end
    written[name] = true
    result[#result + 1] = { name, ordered(value[name], below) }
  end
  if is_field(field, "object") then
    for _, name in ipairs(schema.names(field.fields)) do put(name, field.fields[name]) end
  end
  if is_field(field, "condition") then
    for _, name in ipairs(condition_names(value)) do put(name, field) end
  end
  for _, name in ipairs(sorted_keys(value)) do put(name, is_field(field, "map") and of or nil) end
  return result
end

--- @tparam table native plain values
-- @return a value for emit.text
return function(native)
  return ordered(native, tree)
end
