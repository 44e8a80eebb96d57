--- Plugins for a spec: found by name as the gateway finds them, set up with settings that their schema has checked.
local C = require "tidegate.ffi"
local configuration = require "tidegate.spec.configuration"

local plugin = {}

local Plugin = {}
Plugin.__index = Plugin

local Instance = { is_instance = true }
Instance.__index = Instance

--- What is wrong, in words that know nothing of the configuration that a spec never wrote.
-- @treturn string "NAME.unit: expected ...", "there is no plugin ...", or what is wrong in the plugin's own file
local function complaint(self, report)
  local lines, main = {}, configuration.file()
  for _, e in ipairs(report.errors) do
    local key = (e.path or ""):match "plugins%[1%]%.config%.?(.*)$"
    if key then lines[#lines + 1] = ("%s%s: %s"):format(self.name, key == "" and "" or "." .. key, e.message) end
    if not key and e.file == main then lines[#lines + 1] = e.message end
  end
  if #lines > 0 then return table.concat(lines, "\n") end
  return (report:text():gsub(" %(%l+[^\n]*plugins%[1%], [^\n]*%)", ""))
end

--- Loads one use, and drops what was built of it.
local function load(instance)
  local result = configuration.try { plugins = { instance } }
  if result.generation then C.tide_generation_drop(result.generation) end
  return result
end

--- What the plugin says of itself. A report of what is wrong with its file is raised.
local function look_at(self)
  local result = load(setmetatable({ plugin = self, conf = {}, options = {} }, Instance))
  local meta = result.plugins and result.plugins.metas[self.name]
  if not meta then error(complaint(self, result.report), 0) end
  self.schema, self.stages, self.hooks, self.meta = meta.schema, meta.stages, meta.hook_set, meta
end

--- Settings become a use of the plugin.
-- @tparam[opt] table conf as in the configuration; what its schema refuses is raised
-- @tparam[opt] table options of the entry: name, on_error, band, priority, when, enabled; and stage
-- @treturn table
function Plugin:__call(conf, options)
  local instance = setmetatable({ plugin = self, conf = conf or {}, options = options or {} }, Instance)
  local good, result = pcall(load, instance)
  if not good then error(result, 2) end
  if not result.good then error(complaint(self, result.report), 2) end
  return instance
end

--- Finds a plugin.
-- @tparam string name
-- @tparam[opt] string source the text of its file, where it has none
-- @treturn table callable: plugin(conf[, options]); name, schema, stages, hooks (set of names)
function plugin.find(name, source, level)
  local self = setmetatable({ name = name, source = source }, Plugin)
  if not source then self.folder = configuration.folder_beside(name, level + 1) end
  local good, why = pcall(look_at, self)
  if not good then error(why, level + 1) end
  return self
end

return plugin
