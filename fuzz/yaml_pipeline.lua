--- The configuration pipeline over bytes that are the main file, and, behind a line "%%%", those that it includes and
-- that of an environment; no other file and no variable exists.
local config = require "tidegate.config"
local Sources = require "tidegate.config.source"
local show = require "tidegate.config.show"
local yaml = require "tidegate.yaml"
local C = require "tidegate.ffi"

local MAIN = "/fuzz.yaml"
local NAMES = { MAIN, "/conf.d/a.yaml", "/conf.d/b.yaml", "/env.yaml" }
local texts

local ABSENT = "No such file or directory"

function Sources:read(path)
  local name = self:note(path)
  self.texts[name] = texts[name]
  if not texts[name] then return nil, ABSENT end
  return texts[name]
end

function Sources:can_read(path)
  if texts[self:note(path)] then return true end
  return nil, ABSENT
end

--- Every pattern finds the same files.
function Sources:glob() return { texts[NAMES[2]] and NAMES[2], texts[NAMES[2]] and texts[NAMES[3]] and NAMES[3] } end

local nothing = function() return nil end

local function load()
  local result = config.load(MAIN, { variables = {}, getenv = nothing, env = texts["/env.yaml"] and "env" })
  local report = result.report:text()
  assert(type(report) == "string" and type(result.files) == "table")
  assert(result.good == not result.report:has_errors())
  assert((result.generation ~= nil) == result.good, "a generation where it is good, and only there")
  local named = false
  for _, name in ipairs(NAMES) do named = named or report:find(name, 1, true) end
  assert(result.good or named, "an error names its file")
  assert(#result.report:text { notices = true } >= #report)
  if result.good then assert(yaml.parse(show.text(result), "shown"), "what is shown is YAML") end
  if result.generation then C.tide_generation_drop(result.generation) end
  return report
end

local runs = 0

return function(bytes)
  texts = {}
  local i = 0
  for part in (bytes .. "\n%%%\n"):gmatch "(.-)\n%%%%%%\n" do
    i = i + 1
    if NAMES[i] then texts[NAMES[i]] = part end
  end
  assert(load() == load(), "the same bytes give the same report")
  runs = runs + 1
  if runs % 200 == 0 then collectgarbage() end
end
