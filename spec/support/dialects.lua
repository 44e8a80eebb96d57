--- Files of other gateways, for specs: loaded as they are, converted, and loaded again as what they were converted to.
local command_line = require "support.command_line"
local configuration = require "support.configuration"
local files = require "support.files"

local dialects = {}

local FOLDER = "spec/fixtures/dialects/"

-- What the fixtures take from the environment.
local ENVIRONMENT = { JWT_SECRET = "between-us", ADMIN_API_KEY = "open-sesame" }

local function options(more)
  local all = { getenv = function(name) return ENVIRONMENT[name] end, dry = false }
  for key, value in pairs(more or {}) do all[key] = value end
  return all
end

--- Loads a fixture, or another file, as the gateway would.
function dialects.load(name, more)
  local path = name:sub(1, 1) == "/" and name or FOLDER .. name
  return configuration.load_file(path, options(more))
end

--- Loads a text as the one file of a fresh folder.
function dialects.load_text(text, more)
  return configuration.load(text, options(more))
end

--- Converts a fixture.
-- @treturn number exit code
-- @treturn string what was printed
-- @treturn string what was said
function dialects.convert(name, from)
  local path = name:sub(1, 1) == "/" and name or FOLDER .. name
  if from then return command_line.run("convert", "--from", from, path) end
  return command_line.run("convert", path)
end

--- Loads what a fixture was converted to, from a folder of its own.
function dialects.load_converted(text, more)
  local folder = files.folder()
  files.write(folder .. "/tidegate.yaml", text)
  return dialects.load(folder .. "/tidegate.yaml", more)
end

--- What a loaded configuration says, without the folder it was loaded from.
function dialects.values(result)
  local folder = result.config.gateway.pid_file:match("^(.*)/run/tidegate%.pid$"):gsub("%p", "%%%0")
  local function plain(value)
    if type(value) == "string" then return (value:gsub(folder, "")) end
    if type(value) ~= "table" then return value end
    local copy = {}
    for key, item in pairs(value) do copy[key] = plain(item) end
    return copy
  end
  return plain(result.config)
end

--- The warnings of a result, as "path: message", in order.
function dialects.warnings(result)
  local list = {}
  result.report:text()      -- sorts
  for i, w in ipairs(result.report.warnings) do
    list[i] = (w.path and w.path ~= "" and w.path .. ": " or "") .. w.message
  end
  return list
end

--- The errors of a text, as "line:column: path: message", in order.
function dialects.errors(text)
  local result, list = dialects.load_text(text), {}
  result.report:text()      -- sorts
  for i, e in ipairs(result.report.errors) do
    list[i] = ("%d:%d: %s%s"):format(e.line, e.column, e.path and e.path ~= "" and e.path .. ": " or "", e.message)
  end
  return list
end

return dialects
