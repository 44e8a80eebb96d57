local core = require "support.core"
local ffi = require "ffi"
local bit = require "bit"
local C = core.C

local METHODS = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE" }
local METHOD_COUNT = #METHODS + 1
local number_of = {}
for i, name in ipairs(METHODS) do number_of[name] = i end

local asked = {}                -- orders of routes whose conditions were asked about

-- The request is a text; the conditions of a route hold where it has the letter of the route: the first is "a".
local holds = ffi.cast("router_holds_fn *", function(route, query)
  table.insert(asked, route.order)
  return ffi.string(ffi.cast("const char *", query.request)):find(string.char(96 + route.order), 1, true) ~= nil
end)

--- Builds a router of routes { hosts =, paths =, methods =, listeners =, priority =, conditions = } and gives a
-- function that finds: the index of a route, or nil and what would have been allowed.
local function build(routes)
  local kept = {}               -- what the router points to
  local router = ffi.gc(C.router_new(holds), C.router_free)
  local function slice(text)
    table.insert(kept, text)
    return core.slice(text)
  end
  local all = ffi.new("struct router_route[?]", #routes)
  table.insert(kept, all)
  for i, route in ipairs(routes) do
    local r = all[i - 1]
    r.priority, r.order, r.conditions = route.priority or 0, i, route.conditions or 0
    local others = {}
    for _, name in ipairs(route.methods or {}) do
      if number_of[name] then
        r.methods = bit.bor(r.methods, bit.lshift(1, number_of[name]))
      else
        table.insert(others, slice(name))
      end
    end
    if #others > 0 then
      local array = ffi.new("struct slice[?]", #others, others)
      table.insert(kept, array)
      r.other_methods, r.other_count = array, #others
    end
    for _, listener in ipairs(route.listeners or {}) do
      r.listeners = bit.bor(r.listeners, bit.lshift(1ULL, listener))
    end
    for _, host in ipairs(route.hosts or { "" }) do
      for _, path in ipairs(route.paths or { "" }) do C.router_add(router, slice(host), slice(path), r) end
    end
  end
  C.router_seal(router)

  local query = ffi.new "struct router_query"
  local function find(request)
    local host, path, method = request.host or "", request.path or "/", request.method or "GET"
    query.host, query.path, query.method_text = core.slice(host), core.guarded(path), core.slice(method)
    query.method, query.listener = number_of[method] or 0, request.listener or 0
    query.request = request.holding or ""
    asked = {}
    local answer = C.router_find(router, query)
    if answer.route ~= nil and #kept > 0 then return answer.route.order end
    return nil, answer.allowed, answer.any_other
  end
  jit.off(find)                 -- compiled code must not call what calls back
  return find
end

-- -- the same, slowly --

local function matches_host(pattern, host)
  if pattern == "" then return true end
  if pattern:sub(1, 2) ~= "*." then return pattern == host end
  local tail = pattern:sub(2)
  return #host > #tail and host:sub(-#tail) == tail
end

local function matches_path(pattern, path)
  if pattern == "" then return true end
  if pattern:sub(-1) ~= "*" then return pattern == path end
  local prefix = pattern:gsub("/%*+$", "")
  if prefix == "" then return true end          -- the asterisk of OPTIONS, too
  return path == prefix or path:sub(1, #prefix + 1) == prefix .. "/"
end

local function host_rank(host) return host == "" and 3 or host:sub(1, 2) == "*." and 2 or 1 end
local function path_rank(path) return path == "" and 3 or path:sub(-1) == "*" and 2 or 1 end

local function matches_method(route, method)
  if not route.methods then return method ~= "TRACE" end
  for _, name in ipairs(route.methods) do
    if name == method then return true end
  end
  return false
end

local function matches_listener(route, listener)
  if not route.listeners then return true end
  for _, n in ipairs(route.listeners) do
    if n == listener then return true end
  end
  return false
end

-- Compared from left to right; the lowest wins.
local function rank(route, order, host, path)
  return {
    -(route.priority or 0), host_rank(host), host_rank(host) == 2 and -#host or 0, path_rank(path),
    path_rank(path) == 2 and -#path:gsub("%*+$", "") or 0,
    -((route.methods and 1 or 0) + (route.listeners and 1 or 0)), order,
  }
end

local function is_before(a, b)
  for i = 1, #a do
    if a[i] ~= b[i] then return a[i] < b[i] end
  end
  return false
end

local function find_slowly(routes, request)
  local best, best_rank
  local allowed, any_other = 0, false
  for order, route in ipairs(routes) do
    for _, host in ipairs(route.hosts or { "" }) do
      for _, path in ipairs(route.paths or { "" }) do
        if matches_host(host, request.host) and matches_path(path, request.path) and
          matches_listener(route, request.listener) then
          local candidate = rank(route, order, host, path)
          if not matches_method(route, request.method) then
            local named = 0
            for _, name in ipairs(route.methods or {}) do
              if number_of[name] then named = bit.bor(named, bit.lshift(1, number_of[name])) else any_other = true end
            end
            allowed = bit.bor(allowed, named == 0 and bit.lshift(1, METHOD_COUNT) or named)
          elseif not best or is_before(candidate, best_rank) then
            best, best_rank = order, candidate
          end
        end
      end
    end
  end
  if best then return best end
  return nil, allowed, any_other
end

describe("router", function()
  local function r(host, path, more)
    local route = more or {}
    route.hosts, route.paths = host and { host }, path and { path }
    return route
  end

  -- What it does; the routes; requests as { host, path, the place of the route in the list or nil }.
  local cases = {
    { "has nothing when it is empty", {}, { { "a", "/", nil }, { "", "/", nil } } },
    { "finds a route for everything", { r() }, { { "a", "/", 1 }, { "", "/b/c", 1 }, { "a", "*", 1 } } },
    { "finds an exact host", { r "a.example" },
      { { "a.example", "/", 1 }, { "b.example", "/", nil }, { "x.a.example", "/", nil }, { "", "/", nil } } },
    { "finds a wildcard host, of any depth", { r "*.example.com" },
      { { "a.example.com", "/", 1 }, { "a.b.example.com", "/", 1 }, { "example.com", "/", nil },
        { "aexample.com", "/", nil }, { "a.example.com.net", "/", nil } } },
    { "wants a label in front of a wildcard", { r "*.example.com" }, { { ".example.com", "/", nil } } },
    { "prefers exact to wildcard to any host", { r(), r "*.b.c", r "*.c", r "a.b.c" },
      { { "a.b.c", "/", 4 }, { "x.b.c", "/", 2 }, { "x.y.b.c", "/", 2 }, { "x.c", "/", 3 }, { "b.c", "/", 3 },
        { "c", "/", 1 } } },
    { "falls back to a lower host class where the path differs", { r("a.b", "/x"), r("*.b", "/y"), r(nil, "/z") },
      { { "a.b", "/x", 1 }, { "a.b", "/y", 2 }, { "a.b", "/z", 3 }, { "a.b", "/", nil } } },
    { "finds an exact path", { r(nil, "/a/b") },
      { { "", "/a/b", 1 }, { "", "/a/b/", nil }, { "", "/a", nil }, { "", "/a/b/c", nil }, { "", "/A/b", nil } } },
    { "tells the root and a slash at the end apart", { r(nil, "/"), r(nil, "/a/") },
      { { "", "/", 1 }, { "", "/a/", 2 }, { "", "/a", nil }, { "", "//", nil } } },
    { "finds a prefix on segment borders, itself too", { r(nil, "/a/*") },
      { { "", "/a", 1 }, { "", "/a/", 1 }, { "", "/a/b/c", 1 }, { "", "/ab", nil }, { "", "/", nil } } },
    { "takes two stars as one", { r(nil, "/a/**") }, { { "", "/a", 1 }, { "", "/a/b", 1 }, { "", "/b", nil } } },
    { "prefers the exact path, then the longest prefix, then any",
      { r(), r(nil, "/*"), r(nil, "/a/*"), r(nil, "/a/b/*"), r(nil, "/a/b") },
      { { "", "/a/b", 5 }, { "", "/a/b/c", 4 }, { "", "/a/c", 3 }, { "", "/b", 2 }, { "", "*", 2 } } },
    { "lets the prefix of everything take the asterisk of OPTIONS", { r(nil, "/*") },
      { { "", "/", 1 }, { "", "*", 1 } } },
    { "lets priority win over all", { r("a", "/x"), r(nil, nil, { priority = 1 }) }, { { "a", "/x", 2 } } },
    { "lets negative priority lose", { r(nil, nil), r("a", "/x", { priority = -1 }) }, { { "a", "/x", 1 } } },
    { "takes the extremes of priority",
      { r(nil, nil, { priority = -2147483648 }), r(nil, nil, { priority = 2147483647 }) },
      { { "", "/", 2 } } },
    { "prefers further conditions", { r(), r(nil, nil, { methods = { "GET" } }),
      r(nil, nil, { methods = { "GET" }, listeners = { 0 } }) }, { { "", "/", 3 } } },
    { "takes the first of equals", { r("a", "/x"), r("a", "/x") }, { { "a", "/x", 1 } } },
    { "matches segments as bytes", { r(nil, "/a%2Fb"), r(nil, "/a/b") }, { { "", "/a%2Fb", 1 }, { "", "/a/b", 2 } } },
    { "knows empty segments", { r(nil, "/a//b"), r(nil, "//*") },
      { { "", "/a//b", 1 }, { "", "/a/b", nil }, { "", "//x", 2 }, { "", "/", 2 } } },
    { "has hosts and paths of a route all together", { { hosts = { "a", "*.b" }, paths = { "/x", "/y/*" } } },
      { { "a", "/x", 1 }, { "a", "/y", 1 }, { "q.b", "/y/z", 1 }, { "q.b", "/z", nil }, { "b", "/x", nil } } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local find = build(case[2])
      for _, request in ipairs(case[3]) do
        assert.equal(request[3], (find { host = request[1], path = request[2] }), request[1] .. request[2])
      end
    end)
  end

  local GET, POST, ANY = 2, 8, bit.lshift(1, METHOD_COUNT)
  local methods = {
    { "lets all but TRACE through without methods", { r(nil, "/a") }, "TRACE", nil, ANY, false },
    { "knows methods without a name of its own", { r(nil, "/a") }, "PURGE", 1 },
    { "lets TRACE through where it is named", { r(nil, "/a", { methods = { "TRACE" } }) }, "TRACE", 1 },
    { "says which methods there would be",
      { r(nil, "/a", { methods = { "GET" } }), r(nil, "/*", { methods = { "POST" } }) },
      "PUT", nil, GET + POST, false },
    { "goes on to the next route by method",
      { r(nil, "/a", { methods = { "GET" } }), r(nil, "/*", { methods = { "PUT" } }) },
      "PUT", 2 },
    { "finds a method by its text", { r(nil, "/a", { methods = { "PURGE", "BAN" } }) }, "BAN", 1 },
    { "ignores no case in methods", { r(nil, "/a", { methods = { "PURGE", "GET" } }) }, "purge", nil, GET, true },
    { "allows nothing where the path differs", { r(nil, "/b", { methods = { "GET" } }) }, "PUT", nil, 0, false },
    { "allows nothing on another listener", { r(nil, "/a", { listeners = { 1 }, methods = { "GET" } }) },
      "PUT", nil, 0, false },
    { "finds nothing on another listener", { r(nil, "/a", { listeners = { 1 } }) }, "GET", nil, 0, false },
    { "finds a route of its listener", { r(nil, "/a", { listeners = { 1, 0 } }) }, "GET", 1 },
  }
  for _, case in ipairs(methods) do
    it(case[1], function()
      local order, allowed, any_other = build(case[2]) { host = "", path = "/a", method = case[3] }
      assert.same({ case[4], case[5], case[6] }, { order, allowed, any_other })
    end)
  end

  -- Routes, which conditions hold, the winner, whose conditions were asked about.
  local conditional = {
    { "prefers a route with conditions that hold", { r(), r(nil, nil, { conditions = 1 }) }, "b", 2, { 2 } },
    { "goes on where they do not", { r(), r(nil, nil, { conditions = 1 }) }, "", 1, { 2 } },
    { "prefers more conditions", { r(nil, nil, { conditions = 1 }), r(nil, nil, { conditions = 2 }) }, "ab", 2, { 2 } },
    { "counts them with the others", { r(nil, nil, { conditions = 1, methods = { "GET" } }),
      r(nil, nil, { conditions = 1 }) }, "ab", 1, { 1 } },
  }
  for _, case in ipairs(conditional) do
    it(case[1], function()
      assert.equal(case[4], (build(case[2]) { path = "/x", holding = case[3] }))
      assert.same(case[5], asked)
    end)
  end

  it("allows a method only where all else holds", function()
    local find = build { r(nil, nil, { conditions = 1, methods = { "GET" } }), r(nil, nil, { methods = { "POST" } }) }
    assert.same({ nil, 2 + 8, false }, { find { method = "PUT", holding = "a" } })
    assert.same({ nil, 8, false }, { find { method = "PUT", holding = "" } })
  end)

  it("knows the last listener there can be", function()
    local find = build { { listeners = { 63 } }, { listeners = { 31 } } }
    assert.equal(1, (find { listener = 63 }))
    assert.equal(2, (find { listener = 31 }))
    assert.is_nil((find { listener = 32 }))
  end)

  it("finds what a slow look through all routes finds", function()
    core.seed()
    local names = { "a", "b", "c" }
    local segments = { "", "a", "b", "a%2F", "*" }
    local function pick(list) return list[math.random(#list)] end
    local function host(pattern)
      local labels = {}
      for i = 1, math.random(3) do labels[i] = pick(names) end
      local text = table.concat(labels, ".")
      return pattern and math.random(3) == 1 and "*." .. text or text
    end
    local function path(pattern)
      local text = {}
      for i = 1, math.random(4) do text[i] = "/" .. segments[math.random(#segments - 1)] end
      text = table.concat(text)
      return pattern and math.random(2) == 1 and text .. "/*" or text
    end
    local function some(make, chance)
      if math.random() > chance then return nil end
      local list = {}
      for i = 1, math.random(3) do list[i] = make() end
      return list
    end
    local function method() return pick { "GET", "GET", "POST", "TRACE", "PURGE", "BAN" } end

    for _ = 1, 400 do
      local routes = {}
      for i = 1, math.random(math.random(40)) do
        routes[i] = {
          hosts = some(function() return host(true) end, 0.7), paths = some(function() return path(true) end, 0.8),
          methods = some(method, 0.3), listeners = some(function() return math.random(0, 2) end, 0.2),
          priority = math.random(5) == 1 and math.random(-1, 1) or 0,
        }
      end
      local find = build(routes)
      for _ = 1, 60 do
        local request = {
          host = math.random(10) == 1 and "" or host(), path = math.random(20) == 1 and "*" or path(),
          method = method(), listener = math.random(0, 2),
        }
        local name = ("%s %s%s on %d"):format(request.method, request.host, request.path, request.listener)
        assert.same({ find_slowly(routes, request) }, { find(request) }, name)
      end
    end
  end)

  it("finds among ten thousand routes", function()
    local routes = {}
    for i = 1, 10000 do
      routes[i] = { hosts = { ("h%d.example"):format(i % 1000) }, paths = { ("/p%d/*"):format(i) } }
    end
    local find = build(routes)
    for i = 1, 10000, 7 do
      assert.equal(i, (find { host = ("h%d.example"):format(i % 1000), path = ("/p%d/x"):format(i) }))
      assert.is_nil((find { host = ("h%d.example"):format((i + 1) % 1000), path = ("/p%d/x"):format(i) }))
    end
  end)
end)
