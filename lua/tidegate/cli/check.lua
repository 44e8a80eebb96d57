--- tidegate check: what is wrong with the configuration, for people or for programs; with --show what it says.
local C = require "tidegate.ffi"
local config = require "tidegate.config"
local overrides = require "tidegate.config.overrides"
local privileges = require "tidegate.config.privileges"
local say = require "tidegate.cli.say"

-- -- formats --

local FORMATS = {}

function FORMATS.text(report)
  io.stderr:write(report:text { notices = true })
end

function FORMATS.json(report)
  say.json(require("tidegate.tide.json").array(report:list()))
end

--- What cannot stand in a workflow command.
local function escaped(text) return (text:gsub("[%%\r\n]", { ["%"] = "%25", ["\r"] = "%0D", ["\n"] = "%0A" })) end

local function property(text) return (escaped(text):gsub("[:,]", { [":"] = "%3A", [","] = "%2C" })) end

--- Workflow commands of GitHub Actions: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
function FORMATS.github(report)
  for _, e in ipairs(report:list()) do
    local words = e.path and e.path ~= "" and e.path .. ": " .. e.message or e.message
    local place = ""
    if e.line then
      place = (" file=%s,line=%d,col=%d"):format(property(e.file), e.line, e.column)
    elseif e.file then
      words = e.file .. ": " .. words       -- --set, a variable, a file that is not there
    end
    say.line("::%s%s::%s", e.severity, place, escaped(words))
  end
end

-- -- the command --

local function count(number, word)
  return ("%d %s%s"):format(number, word, number == 1 and "" or "s")
end

local function say_good(file, loaded, is_fragment)
  local services = 0
  for _ in pairs(loaded.services or {}) do services = services + 1 end
  say.line("%s is good%s: %s, %s, %s", file, is_fragment and " as a part" or "", count(#(loaded.routes or {}), "route"),
           count(services, "service"), count(#(loaded.listen or {}), "listener"))
end

--- Prints the configuration, or a part of it.
local function show(result, path)
  local steps
  if path then
    steps = overrides.steps_of(path)
    if not steps then
      say.complain("--show: expected a path such as services.app.nodes[1], found %q", path)
      return say.BAD
    end
  end
  local text = require("tidegate.config.show").text(result, steps)
  if not text then
    local hint = path:find "^routes%." and "; routes go by number, as in routes[2]" or ""
    say.complain("--show: there is no %s in this configuration%s", path, hint)
    return say.FAILED
  end
  io.stdout:write(text)
  return say.GOOD
end

--- @tparam string file of the configuration
-- @tparam table options set, env, format, fragment, show (true, or a path in a list)
-- @tparam ?table in_force what a gateway that runs by this file was started with
-- @treturn number exit code
return function(file, options, in_force)
  if options.show and options.format ~= "text" then
    say.complain "--show prints YAML: leave --format away"
    return say.BAD
  end
  local result = config.load(file, {
    set = options.set, env = options.env, fragment = options.fragment, in_force = in_force,
  })
  if result.generation then C.tide_generation_drop(result.generation) end
  if result.good and not options.fragment then privileges.check(result.config, result.marks, result.report) end
  FORMATS[options.format](result.report)
  if result.report:has_errors() then return say.BAD end
  if options.show then return show(result, options.show[1]) end
  if options.format == "text" then say_good(file, result.config, options.fragment) end
  return say.GOOD
end
