--- The compiled router by itself, without a gateway around it: bench/router.c looks up and counts.
local cjson = require "cjson"
local process = require "bench.process"

local router = { name = "router", alone = true }

local ROWS = {
  { "many", "ns of a look-up among 100,000 routes on 10,000 hosts", 300 },
  { "few", "ns of a look-up among 100 routes on 10 hosts" },
  { "slowdown", "look-up among 100,000 routes, times that among 100", 2 },
  { "bytes", "bytes of the table per route, of 100,000", 200 },
  { "build", "ms to build it", 1000 },
  { "patterns", "µs of the worst look-up among 1,000 regular expressions on a host", 20 },
}

--- @treturn table a list of figures
function router.measure(context)
  local words = { context.build .. "/router", "--core", tostring(context.proxy_core) }
  local child = process.start { words = words, log = context.dir .. "/router.errors" }
  local line = child:read_line(120) or child:fail("it ended without a result")
  child:stop()
  local values, figures = cjson.decode(line), {}
  values.slowdown = values.many / values.few
  for i, row in ipairs(ROWS) do
    figures[i] = {
      name = "router." .. row[1], title = row[2], most = row[3], values = { tidegate = values[row[1]] }, ratios = {},
    }
  end
  return figures
end

return router
