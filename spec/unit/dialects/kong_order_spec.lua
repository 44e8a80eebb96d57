local foreign = require "support.foreign"
local emit = require "tidegate.config.emit"
local native = require "tidegate.dialects.foreign.native"
local random = require "support.random"
local routing = require "support.routing"

-- Kong's order, slowly, as its documentation has it ("traditional_compatible"): the route with more kinds of
-- conditions; without a wildcard among its hosts; with more headers; by a regular expression before a prefix; of those
-- the higher regex_priority; of prefixes the longer; the older.

local function host_fits(pattern, host)
  if pattern:sub(1, 2) == "*." then return #host > #pattern - 1 and host:sub(-(#pattern - 1)) == pattern:sub(2) end
  return pattern == host
end

local function any(list, test)
  if not list then return true end
  for _, item in ipairs(list) do
    if test(item) then return true end
  end
  return false
end

local function is_plain(hosts)
  for _, host in ipairs(hosts) do
    if host:find("*", 1, true) then return 0 end
  end
  return 1
end

local function size_of(map)
  local n = 0
  for _ in pairs(map or {}) do n = n + 1 end
  return n
end

local function weight(route, path, index)
  local kinds = (route.hosts and 1 or 0) + (route.methods and 1 or 0) + (route.paths and 1 or 0) +
                (route.headers and 1 or 0)
  local is_regex = path ~= nil and path:sub(1, 1) == "~"
  return {
    kinds, route.hosts and is_plain(route.hosts) or 0, size_of(route.headers), is_regex and 1 or 0,
    is_regex and route.regex_priority or 0,
    path and not is_regex and #path or 0, -index,
  }
end

--- Only patterns "~/x/\d+$" and the like are used here.
local function path_fits(path, asked)
  if path:sub(1, 1) == "~" then return asked:find("^" .. path:sub(2):gsub("\\d", "%%d")) ~= nil end
  return asked:sub(1, #path) == path
end

--- The name of the route that Kong would choose.
local function kong_chooses(routes, method, host, asked, headers)
  local best, best_weight
  for i, route in ipairs(routes) do
    local fits = any(route.methods, function(m) return m == method end) and
                 any(route.hosts, function(h) return host_fits(h, host) end)
    for name, values in pairs(route.headers or {}) do
      fits = fits and any(values, function(value) return value == headers[name] end)
    end
    for _, path in ipairs(fits and (route.paths or { false }) or {}) do
      if not path or path_fits(path, asked) then
        local w = weight(route, path or nil, i)
        if not best or random.is_more(w, best_weight) then best, best_weight = route.name, w end
      end
    end
  end
  return best
end

local HOSTS = { "a.org", "b.a.org", "c.b.a.org", "*.a.org", "*.b.a.org", "*.org" }
local PATHS = { "/", "/x", "/x/1", "/x/1/z", "/y", "/y/2", "/long/path/here" }
local PATTERNS = { "~/x/\\d+$", "~/x/\\d+", "~/y/\\d+$", "~/", "~/long/" }
local METHODS = { "GET", "POST", "DELETE" }
local HEADERS = { { ["x-a"] = { "1" } }, { ["x-a"] = { "1", "2" } }, { ["x-a"] = { "1" }, ["x-b"] = { "1" } } }
local ASKED_HEADERS = { {}, { ["x-a"] = "1" }, { ["x-a"] = "2", ["x-b"] = "1" }, { ["x-a"] = "1", ["x-b"] = "1" } }
local ASKED_HOSTS = { "a.org", "b.a.org", "c.b.a.org", "x.org", "other.net" }
local ASKED_PATHS = { "/", "/x", "/x/1", "/x/7", "/x/1/z", "/x/1/z/q", "/y/2", "/y/2/k", "/long/path/here/a", "/none" }

local function table_of(numbers, with_patterns)
  local routes = {}
  for i = 1, numbers(2, 12) do
    local patterns = with_patterns and numbers() < 0.3
    local route = {
      name = "r" .. i, hosts = random.some(numbers, HOSTS, 0.5), methods = random.some(numbers, METHODS, 0.4),
      paths = random.some(numbers, patterns and PATTERNS or PATHS, 0.85), strip_path = numbers() < 0.5,
      regex_priority = patterns and numbers(0, 3) or nil,
      headers = numbers() < 0.3 and HEADERS[numbers(#HEADERS)] or nil,
    }
    if not route.hosts and not route.methods then route.paths = route.paths or { "/" } end
    routes[i] = route
  end
  return routes
end

local function converted(routes)
  local text = emit.text {
    _format_version = "3.0", services = { { name = "s", url = "http://127.0.0.1:9", routes = routes } },
  }
  local result = foreign.convert("kong", text)
  assert.same({}, result.lost)
  return routing.of((result.text:gsub(":8000", "127.0.0.1:0", 1))), result.text
end

describe("the order of converted routes", function()
  for _, with_patterns in ipairs { false, native.takes("path_pattern", "~^/a") and true or nil } do
    it("is Kong's, on random tables " .. (with_patterns and "with patterns" or "of literal paths"), function()
      for seed = 1, 60 do
        local numbers = random.numbers(seed * 7919)
        local routes = table_of(numbers, with_patterns)
        local find, text = converted(routes)
        for _, host in ipairs(ASKED_HOSTS) do
          for _, path in ipairs(ASKED_PATHS) do
            for _, method in ipairs(METHODS) do
              local headers = ASKED_HEADERS[numbers(#ASKED_HEADERS)]
              local wanted = kong_chooses(routes, method, host, path, headers)
              local found = find(method, host, path, headers)
              found = found and found:gsub("%-%d+$", "")
              if wanted ~= found then
                error(("seed %d: %s %s%s: expected %s, found %s\n%s"):format(seed, method, host, path, tostring(wanted),
                      tostring(found), text))
              end
            end
          end
        end
      end
    end)
  end

  it("needs no priority where our own says the same", function()
    local _, text = converted {
      { name = "a", paths = { "/a" } }, { name = "b", paths = { "/a/b" } },
      { name = "c", hosts = { "a.org" }, paths = { "/" } }, { name = "d", hosts = { "*.org" }, paths = { "/" } },
    }
    assert.is_nil(text:find "priority:")
  end)

  it("needs one where Kong counts kinds of conditions first", function()
    local find, text = converted {
      { name = "a", paths = { "/a" } }, { name = "b", paths = { "/a/b" } },
      { name = "e", paths = { "/a" }, methods = { "GET" } },
    }
    local _, count = text:gsub("priority:", "")
    assert.equal(1, count)
    assert.equal("e", find("GET", "a.org", "/a/b"))
    assert.equal("b", find("POST", "a.org", "/a/b"))
  end)
end)
