--- Configurations for specs: loaded from a text or a fixture, in an environment of their own.
local C = require "tidegate.ffi"
local config = require "tidegate.config"
local files = require "support.files"

local configuration = {}

local ENVIRONMENT = { ADDRESS = ":8080", WORDS = "two words", EMPTY = "", PORT = "8080" }

local function with_defaults(options)
  local own = { getenv = function(name) return ENVIRONMENT[name] end, variables = {}, dry = true }
  for key, value in pairs(options or {}) do own[key] = value end
  return own
end

--- Loads a file. Whatever it builds is dropped at once: only the result of the check is of interest here.
function configuration.load_file(path, options)
  local result = config.load(path, with_defaults(options))
  if result.generation then C.tide_generation_drop(result.generation) end
  return result
end

--- Loads a text as "tidegate.yaml" of a fresh folder; the folder comes second.
function configuration.load(text, options)
  local folder = files.folder()
  files.write(folder .. "/tidegate.yaml", text)
  return configuration.load_file(folder .. "/tidegate.yaml", options), folder
end

--- A configuration that needs no more: the lines given, and what must be there if they lack it.
function configuration.small(lines)
  local text = lines or ""
  if not ("\n" .. text):find "\nlisten:" then text = 'listen: [":0"]\n' .. text end
  if not ("\n" .. text):find "\nroutes:" then text = text .. "\nroutes: []\n" end
  return text
end

--- The plain values of a small configuration, which must be good.
function configuration.values(lines, options)
  local result = configuration.load(configuration.small(lines), options)
  if not result.good then error(result.report:text(), 2) end
  return result.config
end

--- The messages of a small configuration, without places: a list of "path: message".
function configuration.complaints(lines, options)
  local list = {}
  local report = configuration.load(configuration.small(lines), options).report
  report:text()     -- sorts
  for _, e in ipairs(report.errors) do
    list[#list + 1] = (e.path and e.path ~= "" and e.path .. ": " or "") .. e.message
  end
  return list
end

return configuration
