--- 10,000 routes over 1,000 hosts, and requests for all of them.
local files = require "bench.files"

local routes = {}

local HOSTS, PATHS = 1000, 10

--- Half of the paths are exact, half are prefixes.
function routes.yaml()
  local lines = { "  - { path: /1k, service: app }\n" }        -- what a proxy is asked until it answers
  for host = 0, HOSTS - 1 do
    for path = 0, PATHS - 1 do
      lines[#lines + 1] = ('  - { host: h%d.example.com, path: "/p%d/%s", service: app }\n'):format(
        host, path, path % 2 == 0 and "1k" or "*")
    end
  end
  return table.concat(lines)
end

--- A file for the generator: one request for each route, shuffled, since neighbours in the file would be neighbours in
-- the router's memory.
function routes.write_targets(path)
  local lines = {}
  for i = 0, HOSTS * PATHS - 1 do
    lines[i + 1] = ("h%d.example.com /p%d/1k\n"):format(math.floor(i / PATHS), i % PATHS)
  end
  for i = #lines, 2, -1 do
    local other = math.random(i)
    lines[i], lines[other] = lines[other], lines[i]
  end
  files.write(path, table.concat(lines))
end

return routes
