--- The order of a chain: by band, then priority (higher first), then as written.
local order = {}

order.STAGES = { "global", "route" }

--- The bands of each stage, in the order in which they run.
order.BANDS = {
  global = { "observe", "security", "cors", "auth", "limit", "filter" },
  route = { "cors", "security", "limit", "auth", "breaker", "filter", "transform" },
}

--- Every band, as the global stage and then the route stage name them.
order.ALL_BANDS = { "observe", "security", "cors", "auth", "limit", "breaker", "filter", "transform" }

order.DEFAULT_BAND = "filter"

-- A plugin that is written for one stage may be used in the other: it stands there where its band would.
local FOREIGN = { global = { breaker = 5.5, transform = 7 }, route = { observe = 0 } }

local ranks = {}
for _, stage in ipairs(order.STAGES) do
  ranks[stage] = {}
  for rank, band in ipairs(order.BANDS[stage]) do ranks[stage][band] = rank end
  for band, rank in pairs(FOREIGN[stage]) do ranks[stage][band] = rank end
end

--- Whether a stage has a band of its own.
function order.has(stage, band)
  for _, known in ipairs(order.BANDS[stage]) do
    if known == band then return true end
  end
  return false
end

--- Sorts the entries of a chain.
-- @tparam {table,...} entries each with band and priority, in the order in which they are written
-- @tparam string stage global or route
-- @treturn {table,...} a new list
function order.sort(entries, stage)
  local rank, written, sorted = ranks[stage], {}, {}
  for i, entry in ipairs(entries) do
    written[entry] = i
    sorted[i] = entry
  end
  table.sort(sorted, function(a, b)
    local first, second = rank[a.band], rank[b.band]
    if first ~= second then return first < second end
    if a.priority ~= b.priority then return a.priority > b.priority end
    return written[a] < written[b]
  end)
  return sorted
end

return order
