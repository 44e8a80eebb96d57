--- The compiled router for specs, and beside it the same thing done slowly: one route after the other, by the words of
-- docs/routing.md.
local bit = require "bit"
local core = require "support.core"
local ffi = require "ffi"
local re = require "tidegate.tide.re"
local C = core.C

local router = {}

local METHODS = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE" }
local number_of = {}
for i, name in ipairs(METHODS) do number_of[name] = i end
router.ALL = bit.lshift(1, #METHODS + 1)        -- "all but TRACE", as in a route without methods

-- -- the compiled one --

local why = ffi.new "struct regex_error"
local asked, holding = {}, {}

-- One for all routers: callbacks are never freed.
local holds = ffi.cast("router_holds_fn *", function(route)
  asked[#asked + 1] = route.order
  return holding[route.order] == true
end)

local function fill(r, route, order, kept)
  r.priority, r.order, r.conditions = route.priority or 0, order, route.conditions or 0
  local others = {}
  for _, name in ipairs(route.methods or {}) do
    kept[#kept + 1] = name
    if number_of[name] then
      r.methods = bit.bor(r.methods, bit.lshift(1, number_of[name]))
    else
      others[#others + 1] = core.slice(name)
    end
  end
  if #others > 0 then
    local array = ffi.new("struct slice[?]", #others, others)
    kept[#kept + 1] = array
    r.other_methods, r.other_count = array, #others
  end
  for _, listener in ipairs(route.listeners or {}) do
    r.listeners = bit.bor(r.listeners, bit.lshift(1ULL, listener))
  end
end

--- Parameters as one text: "id=7 name=x".
local function words_of(answer)
  local words = {}
  for i = 0, answer.param_count - 1 do
    words[i + 1] = core.text(answer.params[i].name) .. "=" .. core.text(answer.params[i].value)
  end
  return table.concat(words, " ")
end

--- @tparam {table,...} routes hosts, paths, methods, listeners, priority, conditions, enabled; patterns as
-- route_pattern.h has them
-- @treturn cdata
-- @treturn table what the router points to
function router.compile(routes)
  local kept = { ffi.new("struct router_route[?]", #routes + 1) }
  local compiled = ffi.gc(C.router_new(holds), C.router_free)
  for order, route in ipairs(routes) do
    local r = kept[1][order]
    fill(r, route, order, kept)
    for _, host in ipairs(route.enabled ~= false and (route.hosts or { "" }) or {}) do
      for _, path in ipairs(route.paths or { "" }) do
        kept[#kept + 1], kept[#kept + 2] = host, path
        local rc = C.router_add(compiled, core.slice(host), core.slice(path), r, why)
        if core.rc(rc) ~= "OK" then error(ffi.string(why.text)) end
      end
    end
  end
  C.router_seal(compiled)
  return compiled, kept
end

--- Builds a router and gives a function that finds for a request { host, path, method, listener, holding }: the place
-- of the route in the list and the text of its parameters, or nil, methods that would do, and whether others would.
-- holding is the set of the routes whose conditions hold.
-- Further results: the routes whose conditions were asked about.
function router.build(routes)
  local compiled, kept = router.compile(routes)
  local query, answer = ffi.new "struct router_query", ffi.new "struct router_answer"
  local function find(request)
    local host, path, method = request.host or "", request.path or "/", request.method or "GET"
    query.host, query.path, query.method_text = core.slice(host), core.guarded(path), core.slice(method)
    query.method, query.listener = number_of[method] or 0, request.listener or 0
    asked, holding = {}, request.holding or {}
    C.router_find(compiled, query, answer)
    if answer.route ~= nil and #kept > 0 then return answer.route.order, words_of(answer), asked end
    return nil, answer.allowed, answer.any_other, asked
  end
  jit.off(find)                 -- compiled code must not call what calls back
  return find, compiled, query
end

-- -- the slow one --

local compiled_patterns = {}

--- What a regular expression captures, or nil; remembered.
local function capture(pattern, subject, flags)
  local key = flags .. pattern
  local known = compiled_patterns[key] or { regex = assert(re.compile(pattern:sub(2), flags)), results = {} }
  compiled_patterns[key] = known
  if known.results[subject] == nil then known.results[subject] = known.regex:match(subject) or false end
  return known.results[subject] or nil
end

local function fits_host(pattern, host)
  if pattern == "" then return true end
  if pattern:sub(1, 1) == "~" then return capture(pattern, host, "i") ~= nil end
  if pattern:sub(1, 2) ~= "*." then return pattern == host end
  local tail = pattern:sub(2)
  return #host > #tail and host:sub(-#tail) == tail
end

local function segments_of(path)
  local list = {}
  for segment in path:gmatch "/([^/]*)" do list[#list + 1] = segment end
  return list
end

local described = {}

--- What a path pattern is, remembered.
local function describe_path(pattern)
  local known = described[pattern]
  if known then return known end
  local class = pattern == "" and "any" or pattern:sub(1, 1) == "~" and "regex" or pattern:sub(-1) == "*" and "prefix"
    or pattern:find "{" and "parameters" or "exact"
  known = { class = class, names = {} }
  if class == "regex" then
    for name in pattern:gmatch "%(%?<(%w+)>" do table.insert(known.names, name) end
  elseif class ~= "any" then
    known.segments = segments_of((pattern:gsub("/%*+$", "")))
    local shape = {}
    for i, segment in ipairs(known.segments) do shape[i] = segment:sub(1, 1) == "{" and "P" or "L" end
    known.shape = table.concat(shape)
  end
  described[pattern] = known
  return known
end

--- The parameters as a text, or nil where the path does not fit.
local function fits_path(pattern, path, parts)
  local p = describe_path(pattern)
  if p.class == "any" then return "" end
  local words = {}
  if p.class == "regex" then
    local groups = capture(pattern, path, "")
    if not groups then return nil end
    for _, name in ipairs(p.names) do
      if groups[name] then words[#words + 1] = name .. "=" .. groups[name] end
    end
    return table.concat(words, " ")
  end
  if path == "*" then return p.class == "prefix" and #p.segments == 0 and "" or nil end
  if #parts < #p.segments or (p.class ~= "prefix" and #parts > #p.segments) then return nil end
  for i, segment in ipairs(p.segments) do
    if segment:sub(1, 1) == "{" then
      if parts[i] == "" then return nil end
      words[#words + 1] = segment:sub(2, -2) .. "=" .. parts[i]
    elseif segment ~= parts[i] then
      return nil
    end
  end
  return table.concat(words, " ")
end

local function has(list, item)
  for _, other in ipairs(list) do
    if other == item then return true end
  end
  return false
end

local HOST_CLASS = { exact = 1, wildcard = 2, regex = 3, any = 4 }
local PATH_CLASS = { exact = 1, parameters = 2, prefix = 3, regex = 4, any = 5 }

local function host_class(host)
  if host == "" then return HOST_CLASS.any end
  return host:sub(1, 1) == "~" and HOST_CLASS.regex or host:sub(1, 2) == "*." and HOST_CLASS.wildcard or
    HOST_CLASS.exact
end

--- Compared from left to right; the lowest wins.
local function rank_of(route, order, host, path)
  local class, p = host_class(host), describe_path(path)
  local is_shaped = p.class == "parameters" or p.class == "prefix"
  return {
    -(route.priority or 0), class, class == HOST_CLASS.wildcard and -#host or 0, PATH_CLASS[p.class],
    is_shaped and -#p.segments or 0, is_shaped and p.shape or "",
    -((route.conditions or 0) + (route.methods and 1 or 0) + (route.listeners and 1 or 0)), order,
  }
end

local function is_before(a, b)
  for i = 1, #a do
    if a[i] ~= b[i] then return a[i] < b[i] end
  end
  return false
end

local function allow(route, allowed)
  local methods = 0
  for _, name in ipairs(route.methods or {}) do
    if number_of[name] then methods = bit.bor(methods, bit.lshift(1, number_of[name])) else allowed.other = true end
  end
  allowed.methods = bit.bor(allowed.methods, route.methods and methods or router.ALL)
end

--- All that fits a request of a list of routes, the winner first: { order =, rank =, params = }.
-- @treturn table
-- @treturn table what would be with another method: methods and other
function router.fitting(routes, request)
  local list, allowed, parts = {}, { methods = 0, other = false }, segments_of(request.path)
  for order, route in ipairs(routes) do
    local takes = route.enabled ~= false and (not route.listeners or has(route.listeners, request.listener))
      and ((route.conditions or 0) == 0 or request.holding[order])
    for _, host in ipairs(takes and (route.hosts or { "" }) or {}) do
      for _, path in ipairs(fits_host(host, request.host) and (route.paths or { "" }) or {}) do
        local params = fits_path(path, request.path, parts)
        local takes_method = request.method ~= "TRACE"
        if route.methods then takes_method = has(route.methods, request.method) end
        if params and not takes_method then
          allow(route, allowed)
        elseif params then
          local rank = rank_of(route, order, host, path)
          rank[#rank + 1] = #list               -- of equals the first
          list[#list + 1] = { order = order, rank = rank, params = params }
        end
      end
    end
  end
  table.sort(list, function(a, b) return is_before(a.rank, b.rank) end)
  return list, allowed
end

--- What the function of router.build gives.
function router.find_slowly(routes, request)
  local list, allowed = router.fitting(routes, request)
  if list[1] then return list[1].order, list[1].params end
  return nil, allowed.methods, allowed.other
end

return router
