--- Statuses in a word: "503", "5xx", "502-504".
local statuses = {}

--- The statuses that a word means.
-- @tparam string word
-- @tparam[opt=100] number least the lowest that may be meant
-- @treturn ?number the first one; nil where it means none
-- @treturn ?number the last one
function statuses.range(word, least)
  local class = word:match "^([1-5])xx$"
  local first, last = word:match "^(%d%d%d)%-?(%d*)$"
  if class then
    first, last = class .. "00", class .. "99"
  elseif not first or #last ~= (word:find("-", 1, true) and 3 or 0) then
    return nil
  end
  first, last = tonumber(first), tonumber(last) or tonumber(first)
  if first < (least or 100) or last > 599 or last < first then return nil end
  return first, last
end

return statuses
