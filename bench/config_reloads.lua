--- Saves of the configuration under load: how long one takes to be in force, with few routes and with many, what
-- requests feel of it, and that nothing grows, fails or is closed by thousands of them.
local cjson = require "cjson"
local fcntl = require "posix.fcntl"
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"
local files = require "bench.files"
local process = require "bench.process"
local proxies = require "bench.proxies"
local report = require "bench.report"
local saves = require "bench.saves"

local config_reloads = {
  loads = {
    { name = "config_reload_10", routes = 10, saves = 100, most_ms = 100 },
    { name = "config_reload_10000", routes = 10000, saves = 100, most_ms = 1000 },
    { name = "route_reloads", routes = 20, tunnels = 1000, moving = true },
  },
}

local CONNECTIONS = 16
local ROUNDS = 5            -- of saves, where the requests' times are compared with those without

local UPGRADE = "GET /tunnel HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n"
local VERSION = "GET /version HTTP/1.1\r\nHost: bench\r\n\r\n"

--- The number of the save that is in force; nil where the first one is not yet, and something else answers.
local function version(fd) return tonumber(saves.ask(fd, VERSION, "\r\n\r\n"):match "\r\n\r\nsave (%d+);") end

--- Waits for the first save, with a connection for each look: the other answer may come in pieces.
local function wait_for_first(port)
  local deadline = process.now() + saves.LIVE_S
  repeat
    process.sleep(saves.PAUSE_S)
    local fd = saves.connect(port)
    local found = version(fd)
    unistd.close(fd)
    if process.now() > deadline then error(("the first save is not in force within %g s"):format(saves.LIVE_S), 0) end
  until found
end

-- -- the configuration --

local function extra_service(port)
  return ('  tunnels: { nodes: ["127.0.0.1:%d"], timeouts: { idle: 24h } }\n'):format(port)
end

--- The text of a save. Where routes move, some go with each save and others come.
local function text_of(entry, base, number, tunnels)
  local lines = { base }
  if tunnels then
    lines[1] = base:gsub("\nroutes:\n", "\n" .. extra_service(tunnels) .. "routes:\n", 1)
    lines[#lines + 1] = "  - { path: /tunnel, service: tunnels }\n"
  end
  lines[#lines + 1] = ('  - { path: /version, respond: { body: "save %d;" } }\n'):format(number)
  local first = entry.moving and number * 7 % 1000 or 0
  for i = 1, entry.routes do
    lines[#lines + 1] = ('  - { name: r%d, host: h%d.example.com, path: "/p%d/*", service: app }\n'):format(
      first + i, (first + i) % 1000, first + i)
  end
  return table.concat(lines)
end

--- @treturn number seconds until it was in force
local function save_and_wait(path, text, number, fd)
  local from = process.now()
  saves.write(path, text)
  while version(fd) ~= number do
    if process.now() - from > saves.LIVE_S then
      error(("save %d is not in force within %g s"):format(number, saves.LIVE_S), 0)
    end
    process.sleep(saves.PAUSE_S)
  end
  return process.now() - from
end

-- -- tunnels --

local function open_tunnels(port, count)
  local list = {}
  for i = 1, count do
    list[i] = saves.connect(port)
    saves.ask(list[i], UPGRADE, "^HTTP/1.1 101 .*\r\n\r\n")
  end
  return list
end

--- How many are no longer open; all are closed then.
local function close_tunnels(list)
  local lost = 0
  for _, fd in ipairs(list) do
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.O_NONBLOCK)
    if socket.recv(fd, 1) then lost = lost + 1 end      -- nothing to read yet is an error; an end is ""
    unistd.close(fd)
  end
  return lost
end

-- -- measuring --

-- All that is going to be saved. Who makes a large text takes a core for milliseconds, which is not to be seen in the
-- requests meanwhile: few saves are made ahead, and many are small.
local function texts_of(entry, base, count, tunnels)
  local function text(number) return text_of(entry, base, number, tunnels) end
  if not entry.saves then return setmetatable({}, { __index = function(_, number) return text(number) end }) end
  local list = {}
  for number = 1, count do list[number] = text(number) end
  return list
end

-- Runs the load while it does something else.
local function under_load(instance, context, work)
  local load = context.start_load {
    server = instance.port, path = "/1k", expect = 1024, connections = CONNECTIONS, seconds = 0,
  }
  work()
  load:close_input()
  return context.finish_load(load)
end

-- What the saver does to the machine, but to a file that nobody reads, and for so many seconds.
local function look_busy(path, text, fd, seconds)
  local from = process.now()
  saves.write(path, text)
  while process.now() - from < seconds do
    version(fd)
    process.sleep(saves.PAUSE_S)
  end
end

local function add(total, result)
  total.requests, total.errors = total.requests + result.requests, total.errors + result.errors
  total.first_error = total.first_error or result.first_error
end

--- All saves, in rounds; where requests' times are compared, each round is followed by an equally long one without.
-- @treturn table waits, in seconds; before and after, KiB; requests, errors; p999 and quiet_p999 by round
local function save_all(entry, instance, count, context, texts, base)
  local path, fd = instance.folder .. "/tidegate.yaml", saves.connect(instance.port)
  local got = { waits = {}, before = {}, after = {}, requests = 0, errors = 0, p999 = {}, quiet_p999 = {} }
  local rounds = entry.moving and 1 or ROUNDS
  for round = 1, rounds do
    local first, last = math.floor((round - 1) * count / rounds) + 1, math.floor(round * count / rounds)
    local result = under_load(instance, context, function()
      for number = first, last do
        got.waits[number] = save_and_wait(path, texts[number], number, fd)
        local sampled = saves.sample_of(number, count, got.before, got.after)
        if sampled then table.insert(sampled, process.resident_kib(instance.pids)) end
        if number % 1000 == 0 then context.say("%s: save %d/%d", entry.name, number, count) end
      end
    end)
    add(got, result)
    got.p999[round] = result.p999_us
    if not entry.moving then
      local quiet = under_load(instance, context, function()
        for number = first, last do look_busy(base .. ".unread", texts[number], fd, got.waits[number]) end
      end)
      got.quiet_p999[round] = quiet.p999_us
    end
  end
  unistd.close(fd)
  return got
end

local function measure_saves(entry, instance, count, context, tunnels)
  local path = instance.folder .. "/tidegate.yaml"
  local base = files.read(path)
  saves.write(path, text_of(entry, base, 0, tunnels))
  wait_for_first(instance.port)
  local opened = tunnels and open_tunnels(instance.port, entry.tunnels) or {}
  local texts = texts_of(entry, base, count, tunnels)
  context.step_aside()
  local got = save_all(entry, instance, count, context, texts, context.dir .. "/" .. entry.name)
  got.lost = close_tunnels(opened)
  return got
end

--- The most CPU time that a loop has spent at once on what is for no request, such as the last saves.
local function longest_chore_us(tidegate, instance)
  local pipe = assert(io.popen(("'%s' status --json -c '%s/tidegate.yaml'"):format(tidegate.program, instance.folder)))
  local text = pipe:read "*a"
  pipe:close()
  return cjson.decode(text).longest_chore * 1e6
end

local function figure(entry, name, title, most, value)
  return {
    name = entry.name .. "." .. name, title = title, most = most, values = { tidegate = value }, ratios = {},
    quartiles = {},
  }
end

--- @tparam table entry of loads
-- @tparam table tidegate from proxies.find
-- @tparam number reloads how many saves at most
-- @treturn table a list of figures
function config_reloads.measure(entry, tidegate, reloads, context)
  local count = math.min(entry.saves or reloads, reloads)
  local holder = entry.tunnels and process.start {
    words = { "luajit", context.tunnels }, log = context.dir .. "/tunnels.errors",
  }
  local tunnels = holder and tonumber(holder:read_line(10))
  local instance = proxies.start(tidegate, context)
  local got = measure_saves(entry, instance, count, context, tunnels)
  local chore_us = longest_chore_us(tidegate, instance)
  instance.process:stop()
  if holder then holder:stop() end
  if got.errors > 0 then context.problem(("%s: %s"):format(entry.name, got.first_error)) end
  local of = ("with %d routes"):format(entry.routes)
  local list = {
    figure(entry, "live", "ms from the save of a configuration " .. of .. ", under load, until it is in force",
           entry.most_ms, report.median(got.waits) * 1000),
    figure(entry, "failed", ("failed requests, of %d during %d saves"):format(got.requests, count), 0, got.errors),
    figure(entry, "chore", "µs of CPU time that the loop spent at once on a save", 1000, chore_us),
  }
  if not entry.moving then
    list[4] = figure(entry, "p999", "p99.9 µs of requests meanwhile, more than without saves", 1000)
    list[4].values.tidegate, list[4].quartiles.tidegate = report.difference(got.p999, got.quiet_p999)
    list[5] = figure(entry, "quiet", "p99.9 µs of the same requests without saves", nil, report.median(got.quiet_p999))
    return list
  end
  local grown_kib = report.median(got.after) - report.median(got.before)
  list[4] = figure(entry, "grown", ("MiB of memory grown by %d saves"):format(count), 2, grown_kib / 1024)
  list[5] = figure(entry, "closed", ("of %d open tunnels closed by them"):format(entry.tunnels), 0, got.lost)
  return list
end

return config_reloads
