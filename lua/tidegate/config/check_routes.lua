--- What a schema cannot see of routes: services, listeners and names that are not there, and answers that are none.
-- What routes do to each other is seen by tidegate.config.route_overlaps.
local inert = require "tidegate.config.inert"
local overlaps = require "tidegate.config.route_overlaps"
local schema = require "tidegate.config.schema"

local quote = schema.quote

--- services and listeners are sets of names.
local function check_references(checker, route, services, listeners)
  local function missing(owner, key, name)
    local hint = checker:near(name, services)
    if name:find "[:/]" then hint = "; a service is named here, its URL stands under services" end
    checker:reference(owner, key, "there is no service %s%s", quote(name), hint)
  end
  -- Of a service that the path names, only the one that stands in for it is known.
  local service = type(route.service) == "table" and route.service.default or route.service
  if type(service) == "string" and not services[service] then missing(route, "service", service) end
  for _, name in ipairs(route.split and checker.marks[route.split].order or {}) do
    if not services[name] then missing(route.split, name, name) end
  end
  for i, name in ipairs(route.on or {}) do
    if not listeners[name] then
      local hint = checker:near(name, listeners)
      if not next(listeners) then hint = "; none has a name: write { address: ..., name: ... }" end
      checker:reference(route.on, i, "no listener has the name %s%s", quote(name), hint)
    end
  end
end

--- A split has to send its requests somewhere.
local function check_split(checker, route)
  local total, is_whole = 0, true
  for name in pairs(route.split and checker.marks[route.split].nodes or {}) do
    is_whole = is_whole and route.split[name] ~= nil        -- a weight that is wrong was told already
    total = total + (route.split[name] or 0)
  end
  if route.split and is_whole and total == 0 then
    checker:fail(route, "split", "expected a service with a weight above 0, found none: no request could be sent on")
  end
end

local function check_answer(checker, route)
  local respond = route.respond
  if respond and (respond.status == 204 or respond.status == 304) and respond.body and respond.body ~= "" then
    checker:fail(respond, "body", "a response with status %d has no body", respond.status)
  end
  for name, value in pairs(respond and respond.headers or {}) do
    if value:find "[%z\1-\8\10-\31\127]" then
      checker:fail(respond.headers, name, "a header value may not hold control characters")
    end
  end
end

local function check_websocket(checker, route)
  local websocket = route.websocket
  if not websocket then return end
  local ping, pong = websocket.ping_interval, websocket.pong_wait
  if ping and pong and ping > 0 and pong > 0 and pong <= ping then
    checker:fail(websocket, "pong_wait", "expected more than ping_interval (%gs), found %gs; a quiet end would be " ..
                 "given up before it is asked", ping, pong)
  end
  for name, value in pairs(websocket.headers or {}) do
    if value:find "[%z\1-\8\10-\31\127]" then
      checker:fail(websocket.headers, name, "a header value may not hold control characters")
    end
  end
end

--- One list, whichever form was written.
local function gather(route)
  if route.host then route.hosts, route.host = { route.host }, nil end
  if route.path then route.paths, route.path = { route.path }, nil end
end

--- Checks routes, gives each a name, and makes hosts and paths lists.
-- @tparam Checker checker of tidegate.config.check
-- @tparam {table,...} routes
-- @tparam table services set of names
-- @tparam table listeners set of names
return function(checker, routes, services, listeners)
  local names = {}
  for i, route in ipairs(routes) do
    gather(route)
    if route.name and names[route.name] then
      checker:fail(route, "name", "the name %s is in use already %s", quote(route.name),
                   checker:elsewhere(names[route.name], "name", route, "name"))
    end
    route.name = route.name or ("route %d"):format(i)
    names[route.name] = names[route.name] or route
    check_references(checker, route, services, listeners)
    check_answer(checker, route)
    check_split(checker, route)
    if route.circuit_breaker then checker:circuit_breaker(route.circuit_breaker) end
    if route.retries then inert.retries(checker, route.retries) end
    check_websocket(checker, route)
  end
  -- Only where there are no errors: lists with holes would look alike.
  if not checker.report:has_errors() then overlaps(checker, routes) end
end
