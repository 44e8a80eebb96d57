--- Keys that are taken at the start only (restart = true in the tree): what a running gateway goes by, and what the
-- file says meanwhile.
local schema = require "tidegate.config.schema"
local tree = require "tidegate.config.tree"

local restart = {}

--- Those keys: { path = "gateway.threads", group = "gateway", name = "threads", field = of the tree }.
local function keys()
  local list = {}
  for _, group in ipairs(schema.names(tree.fields)) do
    local fields = tree.fields[group].fields or {}
    for _, name in ipairs(schema.names(fields)) do
      if fields[name].restart then
        list[#list + 1] = { path = group .. "." .. name, group = group, name = name, field = fields[name] }
      end
    end
  end
  return list
end

--- A value as it would be written.
local function written(field, value)
  for word, meant in pairs(field.words or {}) do
    if value == meant then return word end
  end
  return value == nil and "the default" or tostring(value)
end

--- What a configuration says of these keys.
-- @tparam table config checked
-- @treturn table texts by path
function restart.values(config)
  local values = {}
  for _, key in ipairs(keys()) do values[key.path] = written(key.field, config[key.group][key.name]) end
  return values
end

--- Warns of each of these keys whose value is another than the one in force.
-- @tparam table in_force texts by path; keys that are absent have no value that counts
-- @tparam table config checked, without errors
-- @tparam Marks marks
-- @tparam Report report
-- @treturn {string,...} the same in words, for status
function restart.compare(in_force, config, marks, report)
  local wanted, list = restart.values(config), {}
  for _, key in ipairs(keys()) do
    local now, new = in_force[key.path], wanted[key.path]
    if now and now ~= new then
      local message = ("%s is not in force before a restart; %s is"):format(new, now)
      local place, path = marks:place(config[key.group], key.name)
      report:warn(place, path, message)
      list[#list + 1] = key.path .. ": " .. message
    end
  end
  return list
end

return restart
