--- All plugins that a configuration finds, for commands that tell of them.
local C = require "tidegate.ffi"
local Report = require "tidegate.config.report"
local Sources = require "tidegate.config.source"
local config = require "tidegate.config"
local set = require "tidegate.plugin.set"

--- Without a configuration: the plugins that come with the gateway, and those in plugins/.
local function survey_here()
  local report = Report.new()
  local marks = { is_written = function() return false end }
  local found = set.build({ gateway = { plugin_dirs = { "plugins" } } }, marks, Sources.new(Sources.working_folder()),
                          report)
  return found, report
end

--- @tparam ?string file of the configuration
-- @tparam table options of the command line
-- @treturn ?table what tidegate.plugin.set gives; nil where the file cannot be understood, after saying why
-- @treturn Report with what is wrong
-- @treturn table metas by name, of those that are good
-- @treturn table set of names that are no plugins, but modules for others
return function(file, options)
  local plugins, report
  if file then
    local result = config.load(file, options)
    if result.generation then C.tide_generation_drop(result.generation) end
    plugins, report = result.plugins, result.report
  else
    plugins, report = survey_here()
  end
  if not plugins then
    io.stderr:write(report:text())
    return nil
  end
  return plugins, report, plugins.describe()
end
