local foreign = require "support.foreign"
local emit = require "tidegate.config.emit"
local random = require "support.random"
local routing = require "support.routing"

-- APISIX's order, slowly, as the documentation of its router radixtree_host_uri has it: the exact host, then the
-- longest wildcard, then none; below a host the exact path, then the longest prefix; of one path the higher priority,
-- and of those the one that was there before.

local function host_rank(hosts, asked)
  if not hosts then return 0 end
  local best
  for _, host in ipairs(hosts) do
    if host == asked then best = 1000 end
    local tail = host:match "^%*(%..*)$"
    if tail and #asked > #tail and asked:sub(-#tail) == tail then best = math.max(best or 0, #tail) end
  end
  return best
end

local function path_rank(paths, asked)
  local best
  for _, path in ipairs(paths) do
    if path == asked then best = 1000 end
    local stem = path:match "^(.*)%*$"
    if stem and asked:sub(1, #stem) == stem then best = math.max(best or 0, #stem) end
  end
  return best
end

local function takes(methods, method)
  for _, known in ipairs(methods or { method }) do
    if known == method then return true end
  end
  return false
end

local function apisix_chooses(routes, method, host, path)
  local best, best_rank
  for i, route in ipairs(routes) do
    local by_host, by_path = host_rank(route.hosts, host), path_rank(route.uris, path)
    if by_host and by_path and takes(route.methods, method) then
      local rank = { by_host, by_path, route.priority or 0, -i }
      if not best or random.is_more(rank, best_rank) then best, best_rank = route.name, rank end
    end
  end
  return best
end

local HOSTS = { "a.org", "b.a.org", "c.b.a.org", "*.a.org", "*.b.a.org", "*.org" }
local PATHS = { "/*", "/x/*", "/x/1", "/x/1/z/*", "/y", "/y/*", "/y/2/*", "/long/path/*" }
local METHODS = { "GET", "POST", "DELETE" }
local ASKED_HOSTS = { "a.org", "b.a.org", "c.b.a.org", "x.org", "other.net" }
-- Not /x, /y and the like: /x/* takes it here, and not in APISIX.
local ASKED_PATHS = { "/", "/x/1", "/x/2", "/x/1/z/k", "/y/1", "/y/2/k", "/long/path/here", "/none" }

local function table_of(next_number)
  local routes = {}
  for i = 1, next_number(2, 12) do
    routes[i] = {
      name = "r" .. i, hosts = random.some(next_number, HOSTS, 0.5), methods = random.some(next_number, METHODS, 0.5),
      uris = random.some(next_number, PATHS, 1), priority = next_number() < 0.4 and next_number(0, 3) or nil,
      upstream = { nodes = { ["127.0.0.1:9"] = 1 } },
    }
  end
  return routes
end

describe("the order of converted routes", function()
  it("is APISIX's, on random tables", function()
    for seed = 1, 60 do
      local routes = table_of(random.numbers(seed * 7919))
      local result = foreign.convert("apisix", emit.text { routes = routes })
      assert.same({}, result.lost)
      local find = routing.of((result.text:gsub(":9080", "127.0.0.1:0", 1)))
      for _, host in ipairs(ASKED_HOSTS) do
        for _, path in ipairs(ASKED_PATHS) do
          for _, method in ipairs(METHODS) do
            local wanted, found = apisix_chooses(routes, method, host, path), find(method, host, path)
            found = found and found:gsub("%-%d+$", "")
            if wanted ~= found then
              error(("seed %d: %s %s%s: expected %s, found %s\n%s"):format(seed, method, host, path, tostring(wanted),
                    tostring(found), result.text))
            end
          end
        end
      end
    end
  end)
end)
