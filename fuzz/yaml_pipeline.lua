--- The configuration pipeline over bytes that are the main file; no other file and no variable exists.
local config = require "tidegate.config"
local C = require "tidegate.ffi"

local MAIN = "/fuzz.yaml"
local text

local file = {}
file.__index = file
function file:read(n) return n == 0 and "" or self.text:sub(1, n) end
function file:close() return true end

io.open = function(name)        -- luacheck: ignore 122
  if name == MAIN then return setmetatable({ text = text }, file) end
  return nil, name .. ": No such file or directory"
end

local nothing = function() return nil end

local function load()
  local result = config.load(MAIN, { variables = {}, getenv = nothing })
  local report = result.report:text()
  assert(type(report) == "string" and type(result.files) == "table")
  assert(result.good == not result.report:has_errors())
  assert((result.generation ~= nil) == result.good, "a generation where it is good, and only there")
  assert(result.good or report:find(MAIN, 1, true), "an error names its file")
  if result.generation then C.tide_generation_drop(result.generation) end
  return report
end

local runs = 0

return function(bytes)
  text = bytes
  assert(load() == load(), "the same bytes give the same report")
  runs = runs + 1
  if runs % 200 == 0 then collectgarbage() end
end
