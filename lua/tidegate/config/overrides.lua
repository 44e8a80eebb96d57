--- What the command line (--set path.to.key=value) and the environment (TIDEGATE_PATH__TO__KEY=value) put in place of
-- what the file says.
local ffi = require "ffi"
local Node = require "tidegate.config.node"
local yaml = require "tidegate.yaml"

pcall(ffi.cdef, "extern char **environ;")

local overrides = {}

--- The steps of a path such as "services.app.nodes[1].weight", names and numbers; nil where it is no path. A step in
-- brackets may be any word: services[api.v1].nodes
function overrides.steps_of(path)
  local steps, at = {}, 1
  while at <= #path do
    local word, next_at = path:match("^([%w_-]+)()", at)
    local dot = #steps == 0
    if not word and at > 1 and path:sub(at, at) == "." then
      word, next_at = path:match("^%.([%w_-]+)()", at)
      dot = true
    end
    local index = not word and path:match("^%[([^%]]+)%]", at)
    if index then
      word, next_at = tonumber(index) or index, at + #index + 2
    elseif not word or not dot then
      return nil
    end
    steps[#steps + 1] = word
    at = next_at
  end
  return #steps > 0 and steps or nil
end

--- The value as a node. Lists and maps may be given in YAML's flow form.
local function node_of(text, where)
  if text:find "^%s*[%[{]" then
    local node, errors = yaml.parse(text, where)
    return not errors and node or nil
  end
  return { kind = "scalar", type = "string", text = text, value = text, style = "plain", loose = true, file = where }
end

local function new_map(where)
  return { kind = "map", entries = {}, fields = {}, file = where }
end

local function put_key(map, key, value, where)
  local index = map.fields[key] or #map.entries + 1
  map.entries[index] = { key = key, value = value, file = where }
  map.fields[key] = index
end

--- The place below a node: its value now, and a function that puts another there. Nil where there can be none.
local function slot(node, step, where)
  if type(step) == "number" then
    if node.kind ~= "list" or step < 1 or step > #node.items + 1 or step % 1 ~= 0 then return nil end
    return node.items[step], function(value) node.items[step] = value end
  end
  if node.kind ~= "map" then return nil end
  local entry = node.entries[node.fields[step] or 0]
  return entry and entry.value, function(value) put_key(node, step, value, where) end
end

--- Marks a whole node as coming from elsewhere.
local function move(node, where)
  node.file, node.line, node.column = where, nil, nil
  for _, item in ipairs(node.items or {}) do move(item, where) end
  for _, entry in ipairs(node.entries or {}) do
    entry.file, entry.line, entry.column = where, nil, nil
    move(entry.value, where)
  end
end

--- Puts one value into the tree. True, or false and why.
local function put(root, steps, value, where)
  local node = root
  for i, step in ipairs(steps) do
    local child, set = slot(node, step, where)
    if not set then
      local is_lone = node.kind == "scalar" and not Node.is_nothing(node)
      return false, ("there is no place for %s here%s"):format(
        tostring(step), is_lone and ": a lone value stands there, which can be replaced as a whole" or "")
    end
    if i == #steps then
      set(value)
    elseif not child or Node.is_nothing(child) then
      child = new_map(where)
      set(child)
    end
    node = child
  end
  return true
end

local function apply_one(root, steps, text, where, report)
  local value = node_of(text, where)
  if not value then
    report:add({ file = where }, nil, "the value is not YAML")
    return
  end
  move(value, where)
  local good, why = put(root, steps, value, where)
  if not good then report:add({ file = where }, nil, why) end
end

--- Puts the assignments of the command line into the tree.
-- @tparam table root the node of the whole configuration; changed in place
-- @tparam {string,...} assignments "path.to.key=value"
function overrides.apply(root, assignments, report)
  for _, assignment in ipairs(assignments) do
    local path, text = assignment:match "^([^=]+)=(.*)$"
    local steps = path and overrides.steps_of(path)
    local where = "--set " .. assignment
    if steps then
      apply_one(root, steps, text, where, report)
    else
      report:add({ file = where }, nil, "expected path.to.key=value")
    end
  end
end

--- The options of the command line as words of a command line again, one a line: what a running gateway keeps of them.
-- @tparam table options set, env
-- @treturn string
function overrides.to_text(options)
  local lines = {}
  if options.env then lines[1] = "--env=" .. options.env end
  for _, assignment in ipairs(options.set or {}) do lines[#lines + 1] = "--set=" .. assignment end
  return table.concat(lines, "\n")
end

--- ... and back.
-- @tparam ?string text
-- @treturn table { set =, env = }
function overrides.from_text(text)
  local options = { set = {} }
  for line in (text or ""):gmatch "[^\n]+" do
    local name, value = line:match "^%-%-(%l+)=(.*)$"
    if name == "set" then table.insert(options.set, value) end
    if name == "env" then options.env = value end
  end
  return options
end

--- All environment variables as { name, value } in the order of their names.
local function environment()
  local list, at = {}, ffi.C.environ
  while at ~= nil and at[0] ~= nil do
    local name, value = ffi.string(at[0]):match "^(TIDEGATE_[^=]+)=(.*)$"
    if name then list[#list + 1] = { name, value } end
    at = at + 1
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

--- The key of a map that a word of a variable's name means: case and "-" do not count.
local function meant_key(node, word)
  for _, entry in ipairs(node and node.entries or {}) do
    if entry.key:lower():gsub("-", "_") == word:lower() then return entry.key end
  end
  return word:lower()
end

--- TIDEGATE_A__B is a.b. Without "__" only a top-level key is meant: TIDEGATE_LIB and its like are something else.
local function steps_of_variable(root, name, top_level)
  local words, steps, node = {}, {}, root
  for word in (name:sub(10) .. "__"):gmatch "(.-)__" do words[#words + 1] = word end
  if #words == 1 and not top_level[words[1]:lower()] then return nil end
  for i, word in ipairs(words) do
    if word == "" then return nil end
    steps[i] = tonumber(word) or meant_key(node, word)
    node = node and slot(node, steps[i])
  end
  return steps
end

--- Puts what the environment says into the tree.
-- @tparam table root
-- @tparam Report report
-- @tparam table top_level set of the keys that a variable without "__" may name
-- @tparam[opt] {{string,string},...} variables instead of the process's
function overrides.apply_environment(root, report, top_level, variables)
  for _, variable in ipairs(variables or environment()) do
    local steps = steps_of_variable(root, variable[1], top_level)
    if steps then apply_one(root, steps, variable[2], "environment " .. variable[1], report) end
  end
end

return overrides
