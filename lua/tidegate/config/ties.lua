--- Ties between the keys of a map: those of which there has to be one, or may be one only, and those that need others
-- beside them. How a schema says so is told in tidegate.config.schema.
local Node = require "tidegate.config.node"
local wording = require "tidegate.config.wording"

local is_nothing = Node.is_nothing

local ties = {}

--- A rule of a schema; a field may have the same name.
local function rule(fields, name)
  local value = fields[name]
  local is_field = type(value) == "table" and type(value.type) == "string"
  return not is_field and value or {}
end

--- The groups of keys that one rule of a schema ties. A rule may be one group or a list of them.
-- @tparam table fields the schema
-- @tparam string name one_of, some_of or conflicts
-- @treturn table a list of lists of names
function ties.groups(fields, name)
  local list = rule(fields, name)
  return type(list[1]) == "string" and { list } or list
end

--- The keys that need others beside them.
-- @tparam table fields the schema
-- @treturn table by name: the names of those that it needs
function ties.needs(fields)
  return rule(fields, "requires")
end

--- All ties of a schema, as ties.check takes them.
-- @tparam table fields the schema
-- @treturn table
function ties.of(fields)
  local requires = {}
  for name, needed in pairs(ties.needs(fields)) do table.insert(requires, { name, needed }) end
  return {
    fields = fields, requires = requires, one_of = ties.groups(fields, "one_of"),
    some_of = ties.groups(fields, "some_of"), conflicts = ties.groups(fields, "conflicts"),
  }
end

--- Whether nothing stands after a key ("labels:" with all below it commented out): lists and maps are not given then.
-- @tparam table field
-- @tparam table node the value of the key
-- @treturn boolean
function ties.is_left_empty(field, node)
  local kind = field.type
  return (kind == "list" or kind == "map" or kind == "object") and not field.required and
         is_nothing(node)
end

local is_left_empty = ties.is_left_empty

--- How many of some keys are there.
local function count_present(fields, node, names)
  local count = 0
  for i = 1, #names do
    local index = node.fields[names[i]]
    if index and not is_left_empty(fields[names[i]], node.entries[index].value) then count = count + 1 end
  end
  return count
end

--- ... which they are, and the entry of the last one.
local function present(fields, node, names)
  local found, last = {}, nil
  for _, name in ipairs(names) do
    local index = node.fields[name]
    if index and not is_left_empty(fields[name], node.entries[index].value) then
      found[#found + 1] = name
      last = last and math.max(last, index) or index
    end
  end
  return found, last and node.entries[last]
end

-- -- what is told of each kind of tie --

--- Exactly one of these keys has to be there. One that was meant and is misspelt was told.
local function fail_one_of(check, fields, mark, names, meant)
  local found, last = present(fields, mark.node, names)
  local known = {}
  for _, name in ipairs(names) do
    if #found == 0 and meant[name] then return end
    if fields[name].later ~= true then known[#known + 1] = name end
  end
  check:fail(last or mark.node, mark, nil, "expected exactly one of %s, found %s", table.concat(known, ", "),
             #found == 0 and "none" or wording.series(found))
end

--- One of these keys at least: the first is the usual one.
local function fail_some_of(check, fields, mark, names, meant)
  for _, name in ipairs(names) do
    if meant[name] then return end
  end
  check:fail(mark.node, mark, names[1], "missing, expected %s, or the key %s", wording.expected(fields[names[1]]),
             table.concat(names, ", ", 2))
end

local function fail_conflict(check, fields, mark, names)
  local found, last = present(fields, mark.node, names)
  check:fail(last, mark, nil, "expected one of %s, found both", wording.series(found))
end

local function check_needs(check, mark, name, needed)
  local node = mark.node
  local index = node.fields[name]
  for _, other in ipairs(index and needed or {}) do
    if not node.fields[other] then
      check:fail(node.entries[index], mark, name, "needs the key %s beside it", wording.quote(other))
    end
  end
end

--- Checks which keys of a map are there, and tells what is wrong.
-- @tparam table check takes what is told: check:fail(node, mark, key, message, ...)
-- @tparam table tied what ties.of gave
-- @tparam table mark of the map: node is the map itself
-- @tparam table meant set of the keys that misspelt ones were meant for
function ties.check(check, tied, mark, meant)
  local fields, node = tied.fields, mark.node
  for i = 1, #tied.one_of do
    local names = tied.one_of[i]
    if count_present(fields, node, names) ~= 1 then fail_one_of(check, fields, mark, names, meant) end
  end
  for i = 1, #tied.some_of do
    local names = tied.some_of[i]
    if count_present(fields, node, names) == 0 then fail_some_of(check, fields, mark, names, meant) end
  end
  for i = 1, #tied.conflicts do
    local names = tied.conflicts[i]
    if count_present(fields, node, names) > 1 then fail_conflict(check, fields, mark, names) end
  end
  for i = 1, #tied.requires do
    local required = tied.requires[i]
    check_needs(check, mark, required[1], required[2])
  end
end

return ties
