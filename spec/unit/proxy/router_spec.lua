local core = require "support.core"
local ffi = require "ffi"
local router = require "support.router"
local C = core.C
local build = router.build

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

  local GET, POST, ANY = 2, 8, router.ALL
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
      if order then allowed, any_other = nil, nil end
      assert.same({ case[4], case[5], case[6] }, { order, allowed, any_other })
    end)
  end

  -- Routes, whose conditions hold, the winner, whose conditions were asked about.
  local first, second, both = { true }, { false, true }, { true, true }
  local conditional = {
    { "prefers a route with conditions that hold", { r(), r(nil, nil, { conditions = 1 }) }, second, 2, { 2 } },
    { "goes on where they do not", { r(), r(nil, nil, { conditions = 1 }) }, {}, 1, { 2 } },
    { "prefers more conditions", { r(nil, nil, { conditions = 1 }), r(nil, nil, { conditions = 2 }) }, both, 2, { 2 } },
    { "counts them with the others", { r(nil, nil, { conditions = 1, methods = { "GET" } }),
      r(nil, nil, { conditions = 1 }) }, both, 1, { 1 } },
    { "does not ask about a route that has lost", { r(nil, "/x"), r(nil, "/*", { conditions = 1 }) }, second, 1, {} },
    { "does not ask about a route of another method", { r(nil, nil, { conditions = 1, methods = { "PUT" } }), r() },
      first, 2, {} },
    { "does not ask about a route of another listener", { r(nil, nil, { conditions = 1, listeners = { 1 } }), r() },
      first, 2, {} },
    { "asks in the order of ranks", { r(nil, "/*", { conditions = 1 }), r(nil, "/x", { conditions = 1 }), r() },
      first, 1, { 2, 1 } },
    { "asks about no route whose pattern does not match", { r(nil, "~^/y", { conditions = 1 }), r() }, first, 2, {} },
    { "asks for each path of a route that fits",
      { { paths = { "/x", "/*" }, conditions = 1 }, r(nil, "~x") }, {}, 2, { 1, 1 } },
  }
  for _, case in ipairs(conditional) do
    it(case[1], function()
      local order, _, asked = build(case[2]) { path = "/x", holding = case[3] }
      assert.equal(case[4], order)
      assert.same(case[5], asked)
    end)
  end

  it("allows a method only where all else holds", function()
    local find = build { r(nil, nil, { conditions = 1, methods = { "GET" } }), r(nil, nil, { methods = { "POST" } }) }
    assert.same({ nil, GET + POST, false }, { unpack({ find { method = "PUT", holding = first } }, 1, 3) })
    assert.same({ nil, POST, false }, { unpack({ find { method = "PUT" } }, 1, 3) })
  end)

  it("says so where a pattern that might decide takes too long", function()
    local slow, host = ("/" .. ("a"):rep(64) .. "!"), ("a"):rep(64) .. "!"
    local answer = ffi.new "struct router_answer"
    local rows = {
      { { r(nil, "~^/(a+)+$"), r() }, "x", slow, true }, { { r("~^(a+)+$"), r() }, host, "/", true },
      { { r(nil, "~^/(a+)+$"), r() }, "x", "/b", false }, { { r(nil, "~^/(a+)+$"), r(nil, "/*") }, "x", slow, false },
    }
    for _, row in ipairs(rows) do
      local find, compiled, query = build(row[1])
      find { host = row[2], path = row[3] }
      C.router_find(compiled, query, answer)
      assert.equal(row[4], answer.is_undecided)
    end
  end)

  it("judges each pair by itself, in the order of ranks", function()
    local find, compiled, query = build {
      r("a", "/x", { methods = { "PUT" } }), r(nil, "/x", { listeners = { 1 } }), r("b"), r(nil, "/{y}/z"),
      r(nil, nil, { conditions = 1 }), r(nil, "~^/x$"),
    }
    find { host = "a", path = "/x" }
    local list = {}
    for rank = 0, C.router_pairs(compiled) - 1 do
      local one = C.router_judge(compiled, query, rank)
      list[rank + 1] = { one.route.order, tonumber(one.verdict) }
    end
    assert.same({
      { 1, C.VERDICT_METHOD }, { 3, C.VERDICT_HOST }, { 2, C.VERDICT_LISTENER }, { 4, C.VERDICT_PATH },
      { 6, C.VERDICT_FITS }, { 5, C.VERDICT_CONDITIONS },
    }, list)
  end)

  it("knows the last listener there can be", function()
    local find = build { { listeners = { 63 } }, { listeners = { 31 } } }
    assert.equal(1, (find { listener = 63 }))
    assert.equal(2, (find { listener = 31 }))
    assert.is_nil((find { listener = 32 }))
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
