--- Saves of a plugin's file while requests pass through it: each has to be live before the next comes, none may cost a
-- request, and the gateway must not grow.
local unistd = require "posix.unistd"
local files = require "bench.files"
local process = require "bench.process"
local proxies = require "bench.proxies"
local report = require "bench.report"
local saves = require "bench.saves"

local reloads = { name = "reloads", setup = "plugins", alone = true }

local CONNECTIONS = 16

local REQUEST = "GET /reload/1 HTTP/1.1\r\nHost: bench\r\n\r\n"        -- a body of one byte

--- The number that the plugin which answers now has been saved with.
local function ask(fd)
  local text = saves.ask(fd, REQUEST, "\r\n\r\n.")
  return tonumber(text:match("\r\n[Xx]%-[Ss]aved: (%d+)\r\n")) or error("expected X-Saved, found " .. text, 0)
end

--- @treturn number seconds until it was live
local function save_and_wait(path, text, number, fd)
  local from = process.now()
  saves.write(path, (text:gsub("SAVED = 0", "SAVED = " .. number)))
  while ask(fd) ~= number do
    if process.now() - from > saves.LIVE_S then
      error(("save %d is not live within %g s"):format(number, saves.LIVE_S), 0)
    end
    process.sleep(saves.PAUSE_S)
  end
  return process.now() - from
end

local function save_all(instance, count, context)
  local path = instance.folder .. "/plugins/reloaded.lua"
  local text, fd = files.read(path), saves.connect(instance.port)
  local waits, before, after = {}, {}, {}
  for number = 1, count do
    waits[number] = save_and_wait(path, text, number, fd)
    local sampled = saves.sample_of(number, count, before, after)
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
