--- Resident memory per idle connection: what a proxy grows by when thousands of clients have sent one request, or one
-- WebSocket message, each and stay.
local process = require "bench.process"
local proxies = require "bench.proxies"

local memory = {
  loads = {
    { name = "idle_plain", title = "KiB per idle connection", most = 0.5 },
    { name = "idle_tls", title = "KiB per idle TLS connection", most = 14.3, tls = true },
    { name = "idle_websocket", title = "KiB per idle WebSocket", most = 2, message = 64, sockets = 2 },
    {
      name = "idle_websocket_checked", title = "KiB per idle WebSocket, frames checked", most = 2, message = 64,
      sockets = 2, setup = "websocket_checked", alone = true,
    },
  },
}

local CONNECTIONS = 10000
local OTHER_FILES = 2000        -- what a proxy has open beside connections; nginx drops some when a sixteenth is left
local OPEN_S = 120              -- for all of them, handshakes included

--- One proxy, freshly started so that earlier loads left no memory to reuse; a few connections come first, so that what
-- it needs only once is not counted.
-- @treturn number KiB per connection
function memory.measure(entry, proxy, context)
  local connections = math.min(CONNECTIONS, math.floor((context.files - OTHER_FILES) / (entry.sockets or 1)))
  local instance = proxies.start(proxy, context, { setup = entry.setup })
  local options = {
    server = entry.tls and instance.tls_port or instance.port, tls = entry.tls, message = entry.message,
    path = entry.message and "/ws" or "/1k",
  }
  context.load(setmetatable({ seconds = 0.3, connections = 64 }, { __index = options }))
  local before = process.resident_kib(instance.pids)
  local load = context.start_load(setmetatable({
    mode = "idle", connections = connections, sources = 8,
  }, { __index = options }))
  local line = load:read_line(OPEN_S)
  if line ~= ('{"open": %d}'):format(connections) then load:fail(line or "ended early") end
  local after = process.resident_kib(instance.pids)
  load:close_input()
  context.finish_load(load)
  instance.process:stop()
  return (after - before) / connections
end

return memory
