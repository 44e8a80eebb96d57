--- The word that was meant: the nearest by edit distance.

local WORD_MAX = 40       -- longer words get no suggestion
local WORDS_MAX = 1000    -- nor do words looked for among more than these

--- Number of insertions, removals, changes and swaps of neighbours that turn a into b.
local function distance(a, b)
  local before, last, this = {}, {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    this[0] = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(last[j] + 1, this[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      this[j] = best
    end
    before, last, this = last, this, before
  end
  return last[#b]
end

--- Whether one of the words goes on where the other ends: "warning" and "warn".
local function is_longer_form(a, b)
  local short, long = a, b
  if #a > #b then short, long = b, a end
  return #short >= 3 and long:sub(1, #short) == short
end

--- The known word nearest to the one found.
-- @tparam string word as found
-- @tparam {string,...} known
-- @treturn ?string nil where none is near: a third of its letters may differ
return function(word, known)
  if #word > WORD_MAX or #known > WORDS_MAX then return nil end
  local lower, best, best_distance = word:lower(), nil, nil
  for _, candidate in ipairs(known) do
    local other = candidate:lower()
    if math.abs(#other - #lower) <= 3 then
      local d = distance(lower, other)
      local is_near = d <= math.max(1, math.floor(#other / 3)) and d < #other or is_longer_form(lower, other)
      if is_near and (not best or d < best_distance) then best, best_distance = candidate, d end
    end
  end
  return best
end
