--- What routing costs: Tidegate with 10,000 routes over 1,000 hosts against Tidegate with one, under the same requests.
local proxies = require "bench.proxies"

local routes = {
  load = { name = "routes", title = "10,000 routes over 1,000 hosts, CPU µs, to 1 route", most = 1.05 },
}

local HOSTS, PATHS = 1000, 10

-- Half of the paths are exact, half are prefixes.
local function yaml()
  local lines = {}
  for host = 0, HOSTS - 1 do
    for path = 0, PATHS - 1 do
      lines[#lines + 1] = ('  - { host: h%d.example.com, path: "/p%d/%s", service: app }\n'):format(
        host, path, path % 2 == 0 and "1k" or "*")
    end
  end
  return table.concat(lines)
end

-- One request for each route, shuffled: neighbours in the file would be neighbours in the router's memory.
local function write_targets(path)
  local lines = {}
  for i = 0, HOSTS * PATHS - 1 do
    lines[i + 1] = ("h%d.example.com /p%d/1k\n"):format(math.floor(i / PATHS), i % PATHS)
  end
  for i = #lines, 2, -1 do
    local other = math.random(i)
    lines[i], lines[other] = lines[other], lines[i]
  end
  local file = assert(io.open(path, "w"))
  file:write(table.concat(lines))
  file:close()
end

--- Starts both.
-- @treturn table the instance with one route and the one with 10,000
-- @treturn table options for the generator
function routes.start(tidegate, context)
  local targets = context.dir .. "/targets"
  write_targets(targets)
  local one = proxies.start(tidegate, context)
  local ready = "  - { path: /1k, service: app }\n"         -- what a proxy is asked until it answers
  local many = proxies.start(tidegate, context, { routes = yaml() .. ready, timeout_s = 60 })
  return { one, many }, { targets = targets, expect = 1024 }
end

return routes
