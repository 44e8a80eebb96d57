--- Saves of a plugin's file while requests pass through it: each has to be live before the next comes, none may cost a
-- request, and the gateway must not grow.
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"
local files = require "bench.files"
local process = require "bench.process"
local proxies = require "bench.proxies"
local report = require "bench.report"

local reloads = { name = "reloads", setup = "plugins", alone = true }

local CONNECTIONS = 16
local LIVE_S = 10               -- given up, when a save takes longer
local PAUSE_S = 0.001           -- between two looks whether it is live
local WARM = 200                -- reloads that come first: what the gateway needs only once is not growth
local SAMPLES = 50              -- of its memory, at both ends: a garbage collector moves in between

local REQUEST = "GET /reload/1 HTTP/1.1\r\nHost: bench\r\n\r\n"        -- a body of one byte

local function connect(port)
  local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  assert(socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_RCVTIMEO, LIVE_S, 0))
  assert(socket.connect(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = port }))
  return fd
end

--- The number that the plugin which answers now has been saved with.
local function ask(fd)
  assert(socket.send(fd, REQUEST))
  local text = ""
  repeat
    local bytes, why = socket.recv(fd, 65536)
    if not bytes or bytes == "" then error("no response: " .. (why or "the connection was closed"), 0) end
    text = text .. bytes
  until text:find("\r\n\r\n.")
  return tonumber(text:match("\r\n[Xx]%-[Ss]aved: (%d+)\r\n")) or error("expected X-Saved, found " .. text, 0)
end

--- As editors do: another file in place of the old one.
local function save(path, text, number)
  files.write(path .. ".new", (text:gsub("SAVED = 0", "SAVED = " .. number)))
  assert(os.rename(path .. ".new", path))
end

--- @treturn number seconds until it was live
local function save_and_wait(path, text, number, fd)
  local from = process.now()
  save(path, text, number)
  while ask(fd) ~= number do
    if process.now() - from > LIVE_S then
      error(("save %d is not live within %g s"):format(number, LIVE_S), 0)
    end
    process.sleep(PAUSE_S)
  end
  return process.now() - from
end

local function save_all(instance, count, context)
  local path = instance.folder .. "/plugins/reloaded.lua"
  local text, fd = files.read(path), connect(instance.port)
  local waits, before, after = {}, {}, {}
  local warm, samples = math.min(WARM, math.floor(count / 2)), math.min(SAMPLES, math.ceil(count / 4))
  for number = 1, count do
    waits[number] = save_and_wait(path, text, number, fd)
    local sampled = number > count - samples and after or number > warm and #before < samples and before
    if sampled then table.insert(sampled, process.resident_kib(instance.pids)) end
    if number % 1000 == 0 then context.say("reload %d/%d", number, count) end
  end
  unistd.close(fd)
  return report.median(waits), report.median(after) - report.median(before)
end

local function figure(name, title, most, value)
  return { name = "reloads." .. name, title = title, most = most, values = { tidegate = value }, ratios = {} }
end

--- @tparam number count of reloads
-- @treturn table a list of figures
function reloads.measure(tidegate, count, context)
  local instance = proxies.start(tidegate, context, { setup = reloads.setup })
  local load = context.start_load {
    server = instance.port, path = "/reload/1k", expect = 1024, connections = CONNECTIONS, seconds = 0,
  }
  local wait_s, grown_kib = save_all(instance, count, context)
  load:close_input()
  local result = context.finish_load(load)
  instance.process:stop()
  if result.errors > 0 then context.problem("reloads: " .. result.first_error) end
  return {
    figure("failed", ("failed requests, of %d during %d reloads"):format(result.requests, count), 0, result.errors),
    figure("grown", ("MiB of memory grown by %d reloads"):format(count), 2, grown_kib / 1024),
    figure("live", "ms from the save of a plugin, on a busy core, until it answers", nil, wait_s * 1000),
  }
end

return reloads
