--- Kong's $(...) in the values of transformers, as variables of ours.
local reading = require "tidegate.dialects.foreign.reading"

local templates = {}

local GROUPS = { headers = "header", query_params = "query" }

local function variable(body)
  local group, name = body:match "^([%w_]+)%.([%w_-]+)$"
  if not group then group, name = body:match "^([%w_]+)%[[\"']([%w_-]+)[\"']%]$" end
  if not GROUPS[group] then return nil end
  return ("${%s.%s}"):format(GROUPS[group], group == "headers" and name:lower():gsub("_", "-") or name)
end

--- A value with its variables in our form.
-- @tparam string text with "${" escaped
-- @treturn ?string nil where a variable has no equal
-- @treturn ?string which
function templates.convert(text)
  local unknown
  local result = reading.literal(text):gsub("%$%((.-)%)", function(body)
    local found = variable(body)
    unknown = unknown or not found and body or nil
    return found
  end)
  if unknown then return nil, ("$(%s) has no equal"):format(unknown) end
  return result
end

return templates
