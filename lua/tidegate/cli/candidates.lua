--- All routes that could have had a request, in the order in which they win, and what speaks against each: for
-- `tidegate explain`.
local ffi = require "ffi"
local C = require "tidegate.ffi"

local candidates = {}

local TOLD_MAX = 20             -- those that fit by host and path are told beyond it

local function text_of(slice) return slice.len > 0 and ffi.string(slice.at, slice.len) or nil end

local function words_of(place) return place.line and ("%s:%d"):format(place.file, place.line) or place.file end

--- "file:line" of a key of a route, or of the entry of its list that says so.
local function place_of(marks, route, key, text)
  local list = key and route[key]
  if type(list) == "table" and not marks[list] then key = key:gsub("s$", "") end      -- it was written as one
  for i, word in ipairs(text and marks[list] and list or {}) do
    if word == text then return words_of((marks:place(list, i))) end
  end
  return words_of((marks:place(route, key)))
end

-- By verdict: what is said, and the key of the configuration that said it.
local VERDICTS = {
  [C.TIDE_OTHER_HOST] = { "host", "another host", "hosts" },
  [C.TIDE_OTHER_PATH] = { "path", "another path", "paths" },
  [C.TIDE_OTHER_METHOD] = { "method", "another method", "methods" },
  [C.TIDE_OTHER_LISTENER] = { "listener", "another listener", "on" },
  [C.TIDE_OTHER_CONDITION] = { "when", "a condition that does not hold" },
}

local function describe(raw, route, marks, is_won)
  local one = { route = route.name, place = place_of(marks, route), host = text_of(raw.host), path = text_of(raw.path) }
  local verdict = VERDICTS[raw.verdict]
  if not verdict then
    one.failed = is_won and "order" or nil
    one.why = is_won and "an earlier one has won" or "wins"
    return one
  end
  one.failed, one.why = verdict[1], verdict[2]
  one.failed_at = text_of(raw.objection) or place_of(marks, route, verdict[3] or "when", one[verdict[1]])
  return one
end

--- @tparam cdata generation
-- @tparam cdata query struct tide_route_query, good
-- @tparam table routes enabled ones, by their place
-- @tparam Marks marks where their values came from
-- @treturn table a list of { route =, place =, host =, path =, why =, failed =, failed_at = }; failed is host, path,
-- method, listener, when, order, or nil for the winner
-- @treturn number how many more there are, of other hosts or paths
function candidates.list(generation, query, routes, marks)
  local count, why = C.tide_route_candidates(generation), ffi.new "struct tide_error"
  local raw = ffi.new("struct tide_route_candidate[?]", count)
  if C.tide_route_judge(generation, query, raw, why) ~= 0 then error(ffi.string(why.text)) end
  local list, left_out, is_won = {}, 0, false
  for i = 0, count - 1 do
    local verdict = raw[i].verdict
    if verdict == C.TIDE_OTHER_HOST or verdict == C.TIDE_OTHER_PATH then
      if #list < TOLD_MAX then
        list[#list + 1] = describe(raw[i], routes[raw[i].route + 1], marks)
      else
        left_out = left_out + 1
      end
    else
      list[#list + 1] = describe(raw[i], routes[raw[i].route + 1], marks, is_won)
      is_won = is_won or verdict == C.TIDE_FITS
    end
  end
  return list, left_out
end

--- Rows of a table of candidates.
function candidates.rows(list)
  local rows = { { "", "route", "at", "host", "path", "" } }
  for i, one in ipairs(list) do
    local why = one.failed_at and ("%s (%s)"):format(one.why, one.failed_at) or one.why
    rows[i + 1] = { "", one.route, one.place, one.host or "any", one.path or "any", why }
  end
  return rows
end

return candidates
