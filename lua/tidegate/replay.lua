--- Requests of a short while ago, asked of the routers of two configurations: which would go elsewhere now. What is
-- remembered of a request is its listener, method, host, path and client (src/proxy/recent.h): conditions about
-- anything else are asked as of a request that has nothing of it.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local enabled_routes = require "tidegate.config.enabled_routes"

local replay = {}

local TOLD_MAX = 20         -- in words; programs get all

local query, answer, why = ffi.new "struct tide_route_query", ffi.new "struct tide_route_answer",
                           ffi.new "struct tide_error"

--- The requests of a text of lines, each once, with how often it was there.
-- @tparam string text of tide_recent_heads
-- @tparam function address_of number of a listener -> its address, nil where it is gone
-- @treturn table a list of { listener = address, method =, host =, path =, client =, count = }, the oldest first
function replay.parse(text, address_of)
  local list, by_line = {}, {}
  for line in text:gmatch "[^\n]+" do
    local known = by_line[line]
    local number, method, host, path, client = line:match "^(%d+)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$"
    local address = not known and number and address_of(tonumber(number))
    if known then
      known.count = known.count + 1
    elseif address then
      known = { listener = address, method = method, host = host, path = path, client = client, count = 1 }
      by_line[line] = known
      list[#list + 1] = known
    end
  end
  return list
end

local function place_of(listeners, address)
  for i, listener in ipairs(listeners) do
    if listener.address == address then return i - 1 end
  end
  return nil
end

--- What a route does with a request, in words that are the same where it is the same.
local function action_of(route)
  if route.service then return "service " .. route.service end
  if route.redirect then return ("redirect %d to %s"):format(route.redirect.status, route.redirect.to) end
  if route.respond then return route.respond.echo and "echo" or "status " .. route.respond.status end
  return "several services"
end

--- Where a request goes: { route =, place =, to = } or { status = }. Nil where the router cannot be asked.
local function find(loaded, routes, request)
  local place = place_of(loaded.config.listen, request.listener)
  if not place then return { status = "no listener" } end
  query.method.at, query.method.len = request.method, #request.method
  query.authority.at, query.authority.len = request.host, #request.host
  query.path.at, query.path.len = request.path, #request.path
  query.query.len, query.fields.len = 0, 0
  query.client_ip.at, query.client_ip.len = request.client, #request.client
  query.sni = loaded.config.listen[place + 1].tls and "" or nil
  query.listener = place
  if C.tide_route_find(loaded.generation, query, answer, why) ~= 0 then return nil end
  if answer.route < 0 then return { status = tostring(answer.status) } end
  local route = routes[answer.route + 1]
  return { route = route.name, place = ffi.string(answer.source.at, answer.source.len), to = action_of(route) }
end

local function is_same(a, b) return a.route == b.route and a.to == b.to and a.status == b.status end

--- Compares.
-- @tparam table requests of replay.parse
-- @tparam table before of config.load, good, as is after
-- @treturn table { asked = how many requests, moved = { { method =, host =, path =, count =, from =, to = }, ... } }
function replay.compare(requests, before, after)
  local found = { asked = 0, moved = {} }
  local old, new = enabled_routes(before.config), enabled_routes(after.config)
  for _, request in ipairs(requests) do
    local from, to = find(before, old, request), nil
    if from then to = find(after, new, request) end
    if to then
      found.asked = found.asked + request.count
      if not is_same(from, to) then
        table.insert(found.moved, {
          method = request.method, host = request.host, path = request.path, count = request.count,
          from = from, to = to,
        })
      end
    end
  end
  return found
end

local function words(place, other)
  if place.status then return place.status end
  local more = place.route == other.route and ", " .. place.to or ""
  return ("%s (%s%s)"):format(place.route, place.place, more)
end

--- Lines for people; "" where there is nothing to tell.
-- @tparam ?table found of replay.compare
function replay.text(found)
  if not found or #found.moved == 0 then return "" end
  local count, out = 0, {}
  for i, one in ipairs(found.moved) do
    count = count + one.count
    if i <= TOLD_MAX then
      out[#out + 1] = ("  %s %s%s: %s -> %s%s\n"):format(one.method, one.host, one.path, words(one.from, one.to),
                                                         words(one.to, one.from),
                                                         one.count > 1 and (", %d times"):format(one.count) or "")
    end
  end
  if #found.moved > TOLD_MAX then out[#out + 1] = ("  ... and %d more\n"):format(#found.moved - TOLD_MAX) end
  return ("of %d recent requests %d would go elsewhere:\n%s"):format(found.asked, count, table.concat(out))
end

return replay
