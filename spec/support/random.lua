--- Numbers and tables for specs that try much: the same in every run.
local random = {}

--- A source of numbers.
-- @tparam number seed
-- @treturn function() -> from 0 to 1; (n) -> 1 to n; (from, to) -> from to to
function random.numbers(seed)
  local state = seed
  return function(from, to)
    state = (state * 16807) % 2147483647
    local unit = state / 2147483647
    if not from then return unit end
    if not to then from, to = 1, from end
    return from + math.floor(unit * (to - from + 1))
  end
end

--- One or two different words of a list; nil where chance does not want it.
function random.some(numbers, from, chance)
  if numbers() > chance then return nil end
  local list, seen = {}, {}
  for _ = 1, numbers(1, 2) do
    local word = from[numbers(#from)]
    if not seen[word] then list[#list + 1] = word end
    seen[word] = true
  end
  return list
end

--- Whether the first of two lists of numbers is more, where they first differ.
function random.is_more(a, b)
  for i = 1, #a do
    if a[i] ~= b[i] then return a[i] > b[i] end
  end
  return false
end

return random
