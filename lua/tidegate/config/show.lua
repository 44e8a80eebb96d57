--- The effective configuration as YAML: all files in one, defaults filled in, and behind each value where it comes
-- from. What is secret is not shown; as long as nothing is, the text can be loaded again.
local Node = require "tidegate.config.node"
local emit = require "tidegate.config.emit"
local schema = require "tidegate.config.schema"
local ties = require "tidegate.config.ties"
local tree = require "tidegate.config.tree"
local yaml = require "tidegate.yaml"

local show = {}

local MASK = "********"

-- Where no schema says what is secret, these words in a key do.
local SECRET_WORDS = { "password", "passwd", "secret", "token", "api_key", "apikey", "private_key", "credential" }

local function sounds_secret(key)
  key = key:lower()
  for _, word in ipairs(SECRET_WORDS) do
    if key:find(word, 1, true) then return true end
  end
  return false
end

-- -- scalars --

--- "tidegate.yaml:12 (environment NAME)"
local function origin(node)
  if node.implied then return "default" end
  if not node.line then return (node.file:gsub("^(%-%-set) .*$", "%1")) end
  local place = ("%s:%d"):format(node.file, node.line)
  if not node.from then return place end
  return ("%s (%s)"):format(place, table.concat(node.from, ", "))
end

-- Types whose values are no texts, or may be none.
local TYPED = { integer = true, number = true, boolean = true, status = true, any = true, json = true }

local function without_password(text)
  return (text:gsub("(://[^/%s:@]*):[^/%s@]*@", "%1:" .. MASK .. "@"))
end

--- What has to be written for a scalar so that it is read as the same.
local function plain(node, kind)
  if node.is_secret or node.has_file then return node.references or MASK end
  if node.implied and type(node.value) ~= "string" then return node.value end
  local found, value = node.type, node.value
  if node.loose and TYPED[kind] and kind ~= "json" and not node.again then found, value = yaml.resolve(node.text) end
  if found == "null" then return emit.null end
  if found == "boolean" or TYPED[kind] and found ~= "string" then return value end
  return without_password(node.again or node.text)
end

local function scalar(node, kind)
  return emit.with(plain(node, kind), { comment = origin(node) })
end

-- -- structures --

local Shower = {}
Shower.__index = Shower

--- A list; on one line where its items are scalars that come from the same line.
local function list_of(items)
  local comment
  for i, item in ipairs(items) do
    if type(emit.bare(item)) == "table" then return emit.list(items) end
    local own = item.comment
    if i > 1 and own ~= comment then return emit.list(items) end
    comment = own
  end
  local values = {}
  for i, item in ipairs(items) do values[i] = emit.bare(item) end
  return emit.with(emit.list(values), { comment = comment })
end

--- A node without fields of its own.
-- @tparam table node
-- @tparam boolean is_secret nothing of it is shown
-- @tparam boolean is_known its nodes know themselves whether they are secret; else their keys tell
function Shower:free(node, is_secret, is_known)
  if node.kind == "scalar" then
    node.is_secret = node.is_secret or is_secret or nil
    return scalar(node, "any")
  end
  if node.kind == "list" then
    local items = {}
    for i, item in ipairs(node.items) do items[i] = self:free(item, is_secret, is_known) end
    return #items > 0 and list_of(items) or emit.with(emit.list(), { comment = origin(node) })
  end
  local map = emit.map()
  for _, entry in ipairs(node.entries) do
    local hides = is_secret or not is_known and sounds_secret(entry.key)
    map[#map + 1] = { entry.key, self:free(entry.value, hides, is_known) }
  end
  return #map > 0 and map or emit.with(map, { comment = origin(node) })
end

--- The keys that cannot stand beside what is written.
local function excluded_by(fields, nodes)
  local set = {}
  for _, names in ipairs(ties.groups(fields, "conflicts")) do
    local is_written = false
    for _, name in ipairs(names) do is_written = is_written or nodes[name] ~= nil end
    for _, name in ipairs(is_written and names or {}) do set[name] = true end
  end
  return set
end

function Shower:object(field, mark, value)
  local map, excluded = emit.map(), excluded_by(field.fields, mark.nodes)
  for _, name in ipairs(schema.names(field.fields)) do
    local known, node, own = field.fields[name], mark.nodes[name], value[name]
    if node then
      map[#map + 1] = { name, self:value(known, node, own) }
    elseif known.default ~= nil and own ~= nil and not known.implicit and not excluded[name] then
      local node_of_default = self.marks[own] and self.marks[own].node
      map[#map + 1] = { name, self:value(known, node_of_default or Node.of(known.default, {}), own) }
    end
  end
  return map
end

--- Settings of a plugin. Those of one that is switched off were not looked at: nobody knows what of them is secret.
function Shower:settings(node)
  return self:free(node, not node.is_checked, true)
end

local STRUCTURES = { object = true, list = true, map = true }

function Shower:value(field, node, value)
  local mark = STRUCTURES[field.type] and self.marks[value]
  if not mark then
    if node.kind == "scalar" then return scalar(node, field.type) end
    return self:free(node, false, false)
  end
  if mark.node.is_bare then return scalar(mark.nodes.use, "name") end      -- a plugin or an instance by its name
  if field.settings then return self:settings(node) end
  if field.type == "object" then return self:object(field, mark, value) end
  local of = type(field.of) == "table" and field.of or { type = field.of or "any" }
  if field.type == "list" then
    local items = {}
    for i = 1, #value do items[i] = self:value(of, mark.nodes[i], value[i]) end
    return #items > 0 and list_of(items) or emit.with(emit.list(), { comment = origin(node) })
  end
  local map = emit.map()
  for _, name in ipairs(mark.order) do map[#map + 1] = { name, self:value(of, mark.nodes[name], value[name]) } end
  return #map > 0 and map or emit.with(map, { comment = origin(node) })
end

--- The part of a map or list that a step leads to; nil where there is none.
local function part_of(value, step)
  value = emit.bare(value)
  if type(value) ~= "table" then return nil end
  if type(step) == "number" then return value[step] and emit.is_list(value) and value[step] or nil end
  for _, pair in ipairs(value) do
    if not emit.is_list(value) and pair[1] == step then return pair[2] end
  end
  return nil
end

--- @tparam table result of config.load, good and not dry
-- @tparam[opt] {string|number,...} steps to the part that is wanted: overrides.steps_of gives them
-- @treturn ?string nil where there is no such part
function show.text(result, steps)
  local whole = setmetatable({ marks = result.marks }, Shower):value(tree, result.marks[result.config].node,
                                                                     result.config)
  for i = #whole, 1, -1 do
    if whole[i][1] == "include" then table.remove(whole, i) end     -- what they hold is here
  end
  for _, step in ipairs(steps or {}) do
    whole = part_of(whole, step)
    if whole == nil then return nil end
  end
  return emit.text(whole)
end

return show
