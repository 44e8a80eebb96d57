--- A route that is said to get no request gets none, whatever is asked for.
local core = require "support.core"
local overlaps = require "tidegate.config.route_overlaps"
local router = require "support.router"

--- What a list of routes is warned of: "hidden 2 by 1", "pair 3 with 1".
local function warnings(routes)
  local list, number = {}, {}
  for i, route in ipairs(routes) do
    number[route] = i
    route.enabled, route.priority = route.enabled ~= false, route.priority or 0
  end
  local owner_of = {}
  for _, route in ipairs(routes) do
    if route.paths then owner_of[route.paths] = route end
  end
  local marks = setmetatable({ place = function(_, by) return nil, tostring(number[by]) end }, {
    __index = function(_, owner) return owner_of[owner] and {} end,
  })
  overlaps({
    marks = marks, elsewhere = function() return "" end,
    warn = function(_, owner, _, message, by)
      local kind = message:find "^never" and "hidden %d by %s" or "pair %d with %s"
      list[#list + 1] = kind:format(number[owner] or number[owner_of[owner]], by)
    end,
  }, routes)
  return list
end

local function p(path, more)
  local route = more or {}
  route.paths = path and { path }
  return route
end

describe("route_overlaps", function()
  local GET, READ, WRITE = { "GET" }, { "GET", "HEAD" }, { "POST", "HEAD" }
  local cases = {
    { "the same path twice", { p "/a", p "/a" }, "hidden 2 by 1" },
    { "parameters of the same shape", { p "/{a}/b", p "/{c}/b" }, "hidden 2 by 1" },
    { "prefixes of the same shape", { p "/{a}/*", p "/{c}/*" }, "hidden 2 by 1" },
    { "the same expression twice", { p "~^/a", p "~^/a" }, "hidden 2 by 1" },
    { "different expressions", { p "~^/a", p "~^/a." }, "" },
    { "no path twice", { p(), p() }, "hidden 2 by 1" },
    { "a path and a prefix", { p "/a/*", p "/a" }, "" },
    { "one more condition", { p "/a", p("/a", { methods = GET }) }, "" },
    { "fewer methods", { p("/a", { methods = READ }), p("/a", { methods = GET }) }, "hidden 2 by 1" },
    { "more methods", { p("/a", { methods = GET }), p("/a", { methods = READ }) }, "pair 2 with 1" },
    { "some of the methods", { p("/a", { methods = READ }), p("/a", { methods = WRITE }) }, "pair 2 with 1" },
    { "other methods", { p("/a", { methods = GET }), p("/a", { methods = { "PUT" } }) }, "" },
    { "other listeners", { p("/a", { on = { "x" } }), p("/a", { on = { "y" } }) }, "" },
    { "a condition before", { p("/a", { when = {} }), p "/a" }, "" },
    { "a route that is off", { p("/a", { enabled = false }), p "/a" }, "" },
    { "half of a route", { p "/a", { paths = { "/a", "/b" } } }, "" },
    { "both halves of a route", { p "/a", p "/b", { paths = { "/a", "/b" } } }, "hidden 3 by 1" },
    { "a prefix of higher priority", { p "/a/b/c", p("/a/*", { priority = 1 }) }, "hidden 1 by 2" },
    { "a path of higher priority", { p "/a/*", p("/a", { priority = 1 }) }, "" },
    { "a parameter of higher priority", { p "/a/b", p("/a/{x}", { priority = 1 }) }, "hidden 1 by 2" },
    { "a parameter above an empty segment", { p "/a/", p("/a/{x}", { priority = 1 }) }, "" },
    { "all of higher priority", { p("~^/a", { hosts = { "a.b" } }), p(nil, { priority = 1 }) }, "hidden 1 by 2" },
    { "a wildcard of higher priority",
      { p("/a", { hosts = { "a.b.c" } }), p("/a", { hosts = { "*.c" }, priority = 1 }) }, "hidden 1 by 2" },
    { "TRACE, which no methods does not take", { p("/a", { methods = { "TRACE" } }), p("/a", { priority = 1 }) }, "" },
    { "a condition of higher priority", { p "/a", p("/*", { priority = 1, when = {} }) }, "" },
    { "crossing parameters", { p "/a/{x}", p "/{y}/b" }, "pair 2 with 1" },
    { "crossing parameters, the other way round", { p "/{y}/b", p "/a/{x}" }, "pair 2 with 1" },
    { "parameters that do not meet", { p "/a/{x}/c", p "/{y}/b/d" }, "" },
    { "one of which is within the other", { p "/a/{x}", p "/{y}/{z}" }, "" },
    { "crossing parameters of other methods",
      { p("/a/{x}", { methods = GET }), p("/{y}/b", { methods = { "PUT" } }) }, "" },
    { "crossing parameters of other hosts", { p("/a/{x}", { hosts = { "a" } }), p "/{y}/b" }, "" },
    { "crossing prefixes", { p "/a/{x}/*", p "/{y}/b/*" }, "pair 2 with 1" },
  }
  for _, case in ipairs(cases) do
    it("looks at " .. case[1], function()
      assert.equal(case[3], table.concat(warnings(case[2]), ", "))
    end)
  end

  it("calls no route hidden that can be found", function()
    core.seed()
    local SEGMENTS, HOSTS = { "a", "b", "{x}", "{y}", "" }, { "a.b", "b.b", "*.b", "~b$", "c" }
    local function pick(list) return list[math.random(#list)] end
    local function path()
      local text = {}
      for i = 1, math.random(3) do text[i] = "/" .. pick(SEGMENTS) end
      text = table.concat(text):gsub("{x}(.*){x}", "{x}%1{z}"):gsub("{y}(.*){y}", "{y}%1{z}")
      return math.random(3) == 1 and text .. "/*" or text
    end
    local hidden_count = 0
    for _ = 1, 300 do
      local routes = {}
      for i = 1, math.random(12) do
        local methods = math.random(3) == 1 and { pick { "GET", "PUT", "TRACE" }, pick { "GET", "POST" } } or nil
        routes[i] = {
          hosts = math.random(2) == 1 and { pick(HOSTS) } or nil, paths = math.random(4) > 1 and { path() } or nil,
          methods = methods, priority = math.random(3) == 1 and 1 or 0,
        }
        routes[i].listeners = math.random(4) == 1 and { math.random(0, 1) } or nil
        routes[i].on = routes[i].listeners
      end
      local hidden = {}
      for _, words in ipairs(warnings(routes)) do
        local number = words:match "^hidden (%d+)"
        if number then hidden[tonumber(number)] = true end
      end
      for _ in pairs(hidden) do hidden_count = hidden_count + 1 end
      for _ = 1, next(hidden) and 60 or 0 do
        local text = {}
        for i = 1, math.random(3) do text[i] = "/" .. pick { "a", "b", "c", "" } end
        local found = router.find_slowly(routes, {
          host = pick { "a.b", "b.b", "x.b", "c", "" }, path = table.concat(text),
          method = pick { "GET", "PUT", "TRACE" }, listener = math.random(0, 1), holding = {},
        })
        assert.is_nil(hidden[found])
      end
    end
    assert.is_true(hidden_count > 100)
  end)

  it("looks through ten thousand routes in a moment", function()
    local routes = {}
    for i = 1, 10000 do
      routes[i] = {
        hosts = { ("h%d.example.com"):format(i % 100) }, priority = i % 3,
        paths = { ("/a%d/{x}/b%d/{y}"):format(i, i % 7), ("/{z}/c%d/b9/d"):format(i), ("/p%d/*"):format(i) },
      }
    end
    local began = os.clock()
    local count = #warnings(routes)
    assert.is_true(os.clock() - began < 5, os.clock() - began)
    assert.equal(0, count)
  end)
end)
