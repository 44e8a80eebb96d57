--- The error log for plugins: one event, one line, with plugin, route and request filled in.
local C = require "tidegate.ffi"

local log = {}

local LEVELS = { debug = 0, info = 1, warn = 2, error = 3 }

local function text_of(value)
  if type(value) == "table" then return (require("tidegate.tide.json").encode(value)) or tostring(value) end
  return tostring(value)
end

--- Keys and values with a NUL behind each, sorted by key.
local function pairs_of(values)
  local keys, parts = {}, {}
  for key in pairs(values) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = (tostring(key):gsub("%z", ""))
    parts[#parts + 1] = (text_of(values[key]):gsub("%z", " "))
  end
  parts[#parts + 1] = ""
  return table.concat(parts, "\0")
end

for name, level in pairs(LEVELS) do
  log[name] = function(message, values)
    if level < C.tide_log_level() then return end
    local pairs_text = ""
    if values ~= nil then
      if type(values) ~= "table" then
        error(("log.%s: expected a table of values, found a %s"):format(name, type(values)), 2)
      end
      pairs_text = pairs_of(values)
    end
    C.tide_log(level, text_of(message), pairs_text, #pairs_text)
  end
end

return log
