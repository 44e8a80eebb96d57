--- The keys of a table in order, for what must come out the same every time.
-- @tparam table map whose keys are all texts, or all numbers
-- @treturn table a new list
return function(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end
