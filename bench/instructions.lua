--- User-space instructions per request, counted by callgrind: repeatable to about one in a hundred, whatever else the
-- machine does. Two runs with different numbers of requests; what start and end cost is the same in both and drops out.
local posix = require "posix"
local process = require "bench.process"
local proxies = require "bench.proxies"

local instructions = {
  load = { name = "instructions", title = "user-space instructions per 1 KiB request", most = 6000 },
}

local FEW, MANY = 2000, 8000
local CONNECTIONS = 16

local function remove_counts(dir)
  for _, path in ipairs(posix.glob(dir .. "/callgrind.*") or {}) do os.remove(path) end
end

-- Of all the processes of the proxy: those that serve no requests cost the same in both runs.
local function read_counts(dir)
  local sum = 0
  for _, path in ipairs(posix.glob(dir .. "/callgrind.*") or {}) do
    local file = io.open(path)
    sum = sum + tonumber(file:read("*a"):match("\ntotals: (%d+)") or 0)
    file:close()
  end
  if sum == 0 then error("callgrind counted nothing", 0) end
  return sum
end

local function count(proxy, context, requests)
  remove_counts(context.dir)
  local instance = proxies.start(proxy, context, {
    wrap = { context.valgrind, "-q", "--tool=callgrind", "--trace-children=yes",
             "--callgrind-out-file=" .. context.dir .. "/callgrind.%p" },
    timeout_s = 60,
  })
  context.load { server = instance.port, path = "/1k", expect = 1024, connections = CONNECTIONS, requests = requests }
  instance.process:stop()
  return read_counts(context.dir)
end

--- @treturn ?string why it cannot be measured here, or nil
function instructions.missing()
  if not process.find_program("valgrind") then return "valgrind is not installed" end
end

--- @treturn number instructions per request
function instructions.measure(proxy, context)
  context.valgrind = process.find_program("valgrind")
  local few = count(proxy, context, FEW)
  return (count(proxy, context, MANY) - few) / (MANY - FEW)
end

return instructions
