--- User-space instructions per request, counted by callgrind: repeatable to about one in a hundred, whatever else the
-- machine does. Two runs with different numbers of requests; what start and end cost is the same in both and drops out.
local posix = require "posix"
local files = require "bench.files"
local process = require "bench.process"
local proxies = require "bench.proxies"

-- few, many: the numbers of requests. Where Lua runs, few are so many that all of it has been compiled by then.
-- without: the requests that are subtracted, where they differ. message: not requests, but WebSocket messages of so
-- many bytes.
local instructions = {
  loads = {
    {
      name = "instructions", title = "user-space instructions per 1 KiB request", most = 6000,
      path = "/1k", few = 2000, many = 8000,
    },
    {
      name = "watched_instructions",
      title = "user-space instructions added by health checks, breaker and retries, nothing failing",
      most = 800, setup = "watched", path = "/1k", without = { setup = "plain" }, few = 2000, many = 8000,
    },
    {
      name = "websocket_instructions", title = "user-space instructions per 64 byte WebSocket message and its echo",
      most = 1200, path = "/ws", message = 64, few = 2000, many = 8000,
    },
    {
      name = "websocket_checked_instructions", title = "user-space instructions per WebSocket message, frames checked",
      most = 2500, setup = "websocket_checked", alone = true, path = "/ws", message = 64, few = 2000, many = 8000,
    },
    {
      name = "websocket_hook_instructions", title = "user-space instructions per WebSocket message, through a Lua hook",
      most = 5500, setup = "websocket_hook", alone = true, path = "/ws", message = 64, few = 5000, many = 20000,
    },
    {
      name = "hook_instructions", title = "user-space instructions added where Lua reads two headers and sets two",
      most = 2000, setup = "plugins", path = "/hook/1k", without = { path = "/none/1k" }, few = 5000, many = 50000,
    },
  },
}

local CONNECTIONS = 16

local function remove_counts(dir)
  for _, path in ipairs(posix.glob(dir .. "/callgrind.*") or {}) do os.remove(path) end
end

-- Of all the processes of the proxy: those that serve no requests cost the same in both runs. Of Tidegate, only the
-- threads that serve: what others compile as they start differs by more than all requests of a run cost.
local function read_counts(dir, serves)
  local sum = 0
  for _, path in ipairs(posix.glob(dir .. "/callgrind.*") or {}) do
    local text = files.read(path)
    if not serves or text:find(serves, 1, true) then sum = sum + tonumber(text:match("\ntotals: (%d+)") or 0) end
  end
  if sum == 0 then error("callgrind counted nothing", 0) end
  return sum
end

local function count(entry, requests, proxy, context)
  remove_counts(context.dir)
  local instance = proxies.start(proxy, context, {
    setup = entry.setup,
    wrap = { process.find_program("valgrind"), "-q", "--tool=callgrind", "--trace-children=yes",
             "--separate-threads=yes",
             "--callgrind-out-file=" .. context.dir .. "/callgrind.%p" },
    timeout_s = 60,
  })
  context.load {
    server = instance.port, path = entry.path, message = entry.message, expect = not entry.message and 1024 or nil,
    connections = CONNECTIONS, requests = requests,
  }
  instance.process:stop()
  return read_counts(context.dir, proxy.kind.serves)
end

local function per_request(entry, proxy, context)
  local few = count(entry, entry.few, proxy, context)
  return (count(entry, entry.many, proxy, context) - few) / (entry.many - entry.few)
end

--- @treturn ?string why it cannot be measured here, or nil
function instructions.missing()
  if not process.find_program("valgrind") then return "valgrind is not installed" end
end

--- @treturn number instructions per request
function instructions.measure(entry, proxy, context)
  local counted = per_request(entry, proxy, context)
  if not entry.without then return counted end
  return counted - per_request(setmetatable(entry.without, { __index = entry }), proxy, context)
end

return instructions
