--- tidegate schema: the JSON Schema of the configuration, for editors.
local json_schema = require "tidegate.config.json_schema"
local say = require "tidegate.cli.say"
local survey = require "tidegate.cli.survey"

--- @tparam ?string file of the configuration whose plugins count; what else is wrong in it does not matter here
-- @tparam table options
-- @treturn number exit code
return function(file, options)
  local plugins, _, metas, modules = survey(file, options)
  if not plugins then return say.BAD end
  for name in pairs(modules) do plugins.found[name] = nil end
  say.json(json_schema.make(plugins.found, metas))
  return say.GOOD
end
