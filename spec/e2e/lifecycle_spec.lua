--- Going up, coming down, and everything that must not be noticed in between [B10, B11, B15, T97, T103, D14, D19].
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local load = require "support.load"
local processes = require "support.processes"
local posix = require "posix"
local shell = require "support.shell"
local signal = require "posix.signal"
local upstream = require "support.upstream"

local CONFIG = [[
services: { app: { nodes: ["%s"] } }
routes:
  - { path: "/*", service: app }
  - { path: /version, respond: { body: "%s" } }
]]

local function version_of(gw)
  local response = client.ask(gw:port(), client.request { target = "/version" })
  return response and response.body
end

describe("a gateway's life", function()
  local up

  setup(function() up = upstream.by_path {} end)

  local function config(version) return CONFIG:format(up.node, version or "1") end

  it("reports itself, reloads and stops by its command line", function()
    local gw = gateway.start(config())
    local code, text = gw:status()
    assert.equal(0, code, text)
    assert.truthy(text:find("generation   1", 1, true), text)
    code, text = gw:reload()
    assert.equal(0, code, text)
    code, text = gw:command("stop")
    assert.equal(0, code, text)
    assert.equal(0, processes.join(gw.pid))
    gw.stopped = true
    assert.equal(1, (gw:status()))
    assert.equal(1, (gw:command("stop")))
    assert.is_nil(files.read(gw.folder .. "/run/tidegate.pid"))
  end)

  it("says how its worker ended that never got ready", function()
    local gw = gateway.start(config())
    gw:stop()
    gw:write_plugin("dies", [[
--- Takes the worker with it.
local ffi = require "ffi"
ffi.cdef "int raise(int signal);"
local Dies = { version = "1.0.0", description = "Dies.", band = "filter" }
Dies.__index = Dies
function Dies.new() ffi.C.raise(9) end
function Dies:request() end
return Dies
]])
    gw:write("lua: { trusted: [dies] }\nplugins: [dies]\nroutes: []\n")
    local code, text = gw:command("start")
    assert.equal(1, code, text)
    assert.truthy(text:find("the worker ended before it accepted connections: signal 9", 1, true), text)
  end)

  it("says why the folder of its pid file cannot be made, not that it is missing", function()
    local gw = gateway.start(config())
    gw:stop()
    gw:write("gateway: { pid_file: /sys/kernel/tidegate/gate.pid }\n" .. config())
    local code, text = gw:command("start")
    assert.equal(1, code, text)
    assert.truthy(text:find('cannot write the pid file "/sys/kernel/tidegate/gate.pid": ', 1, true), text)
    assert.is_nil(text:find("No such file", 1, true), text)
  end)

  it("goes to the background with start, and start fails with the reason", function()
    local gw = gateway.start(config())
    gw:stop()
    local code, text = gw:command("start")
    assert.equal(0, code, text)
    local port = tonumber(text:match("127%.0%.0%.1:(%d+)"))
    assert.equal(200, client.ask(port, client.request {}).status)
    code, text = gw:command("start")
    assert.equal(1, code)
    assert.truthy(text:find("running already", 1, true), text)
    code, text = gw:command("restart")
    assert.equal(0, code, text)
    assert.equal(0, (gw:command("stop")))
    gw:write("routes: [{ path: 5 }]\n")
    code, text = gw:command("start")
    assert.equal(2, code)
    assert.truthy(text:find("tidegate.yaml:", 1, true), text)
  end)

  it("takes a pid file of a process that is gone for stale", function()
    local gw = gateway.start(config())
    gw:stop()
    os.execute("mkdir -p '" .. gw.folder .. "/run'")
    files.write(gw.folder .. "/run/tidegate.pid", "1\n")
    assert.equal(1, (gw:status()))
    local code, text = gw:command("start")
    assert.equal(0, code, text)
    assert.equal(0, (gw:command("stop")))
  end)

  it("is found by its socket where somebody has removed the pid file", function()
    local gw = gateway.start(config())
    gw:stop()
    assert.equal(0, (gw:command("start")))
    os.remove(gw.folder .. "/run/tidegate.pid")
    local code, text = gw:command("status")
    assert.equal(0, code, text)
    local told = "tidegate: process %d+ runs, but its pid file %S+/run/tidegate.pid is gone\n"
    assert.truthy(text:find(told), text)
    local told_pid = text:match "process (%d+)"
    code, text = gw:command("start")
    assert.equal(1, code, text)
    assert.truthy(text:find("^" .. told .. "$"), text)
    signal.kill(tonumber(told_pid), signal.SIGUSR2)
    clock.wait_until(function()
      return (files.read(gw.folder .. "/run/tidegate.pid.log") or ""):find("the old one drains", 1, true)
    end, nil, "the upgrade")
    code, text = gw:command("reload")
    assert.equal(0, code, text)
    code, text = gw:command("stop")
    assert.equal(0, code, text)
    assert.truthy(text:find("stopped (process", 1, true), text)
    code, text = gw:command("status")
    assert.equal(1, code, text)
    assert.truthy(text:find("not running (there is no", 1, true), text)
  end)

  it("says which port is in use, and how to mend it [T103]", function()
    local gw = gateway.start(config())
    local second = gateway.start("listen: [\"127.0.0.1:0\"]\n" .. config())
    second:write(('listen: ["127.0.0.1:%d"]\n'):format(gw:port()) .. config("2"))
    local code, text = second:reload()
    assert.equal(1, code)
    assert.truthy(text:find("in use", 1, true), text)
    assert.equal("1", version_of(second))
    second:stop()
    gw:stop()
  end)

  it("adds and removes listeners live without touching the others", function()
    local gw = gateway.start('listen: ["127.0.0.1:0"]\n' .. config())
    local socket = gw.folder .. "/gate.sock"
    local kept = client.connect(gw:port())
    kept:send(client.request {})
    assert.equal(200, kept:response().status)
    gw:write(('listen: ["127.0.0.1:0", "unix:%s"]\n'):format(socket) .. config("2"))
    assert.equal(0, (gw:reload()))
    assert.equal(200, client.ask(socket, client.request {}).status)
    kept:send(client.request {})
    assert.equal(200, kept:response().status)
    gw:write('listen: ["127.0.0.1:0"]\n' .. config("3"))
    assert.equal(0, (gw:reload()))
    clock.wait_until(function() return not pcall(client.connect, socket) end, nil, "the removed listener to be gone")
    kept:send(client.request {})
    assert.equal(200, kept:response().status)
    assert.equal("3", version_of(gw))
    gw:stop()
  end)

  local saves = {
    { "written in place", function(gw, text) files.write(gw.file, text) end },
    { "renamed over, as editors do", function(gw, text)
      files.write(gw.file .. "~", text)
      assert(os.rename(gw.file .. "~", gw.file))
    end },
    { "reached through a swapped symlink", function(gw, text)
      local folder = gw.folder .. "/data" .. tostring(clock.now()):gsub("%D", "")
      os.execute(("mkdir '%s' && ln -sfn '%s' '%s/data.new'"):format(folder, folder, gw.folder))
      files.write(folder .. "/tidegate.yaml", text)
      os.execute(("mv -T '%s/data.new' '%s/data' && ln -sfn data/tidegate.yaml '%s'"):format(gw.folder, gw.folder,
                                                                                              gw.file))
    end },
  }
  for _, case in ipairs(saves) do
    it("is live when its file is " .. case[1], function()
      local gw = gateway.start(config("a"))
      local head = 'listen: ["127.0.0.1:0"]\ngateway: { threads: 1, grace: 1s }\n'
      for round = 1, 3 do
        case[2](gw, head .. config("v" .. round))
        local saved = clock.now()
        clock.wait_until(function() return version_of(gw) == "v" .. round end, nil, "the saved file to be in force")
        assert.is_true(clock.now() - saved < 1, "took " .. clock.now() - saved .. " s")
      end
      gw:stop()
    end)
  end

  it("keeps the last good configuration when a bad one is saved, and says why", function()
    local gw = gateway.start(config("good"))
    gw:write(config("bad") .. "services: {}\n")
    gw:wait_log("tidegate%.yaml:%d+:%d+: [^\n]*services")
    assert.equal("good", version_of(gw))
    gw:write(config("better"))
    clock.wait_until(function() return version_of(gw) == "better" end, nil, "the mended file to be in force")
    gw:stop()
  end)

  it("fails no request during 200 reloads, good ones and bad ones, and stays the size it was", function()
    local gw = gateway.start("gateway: { threads: 2 }\n" .. config("0"))
    local asking = load.start { to = gw:port(), clients = 3 }
    local connecting = load.start { to = gw:port(), clients = 1, connect = true }
    local before
    for round = 1, 200 do
      if round % 4 == 0 then
        gw:write("gateway: { threads: 2 }\nroutes: [oops\n")
        assert.equal(1, (gw:reload()))
      else
        gw:write("gateway: { threads: 2 }\n" .. config(round))
        assert.equal(0, (gw:reload()))
      end
      if round == 50 then before = gw:memory() end
    end
    local grown = gw:memory() - before
    asking:wait(50)
    local requests, failures = asking:stop()
    assert.same({}, failures)
    assert.is_true(requests > 200, requests .. " requests only")
    assert.same({}, select(2, connecting:stop()))
    if not os.getenv("SAN") or os.getenv("SAN") == "" then
      assert.is_true(grown < 2 * 1024 * 1024, "grown by " .. grown .. " bytes")
    end
    gw:stop()
  end)

  it("serves again at once when its worker is killed, and refuses no connection meanwhile", function()
    local gw = gateway.start(config())
    for _ = 1, 3 do
      local took = clock.quickest(0.5, function()
        local worker = gw:worker_pid()
        signal.kill(worker, signal.SIGKILL)
        local killed = clock.now()
        -- Not one connection is refused: the kernel queues them for the next worker.
        local response = client.ask(gw:port(), client.request {})
        local took = clock.now() - killed
        assert.equal(200, response and response.status)
        clock.wait_until(function() return gw:worker_pid() and gw:worker_pid() ~= worker end, nil, "a new worker")
        return took
      end)
      assert.is_true(took < 0.5 or gateway.sanitized, "back after " .. took .. " s")
    end
    gw:wait_log "worker ended unexpectedly"
    gw:kill()
  end)

  it("loses no event of the start, before its log is open: in the background nobody reads standard error", function()
    local gw = gateway.start(config())
    gw:stop()
    gw:write("log: { error: here.log }\ndictionaries: { d: { size: 1MiB, file: d.dict } }\n" .. config())
    files.write(gw.folder .. "/d.dict", "no dictionary")
    local code, text = gw:command("start")
    assert.equal(0, code, text)
    clock.wait_until(function()
      return (files.read(gw.folder .. "/here.log") or ""):find("dictionary d: cannot read", 1, true)
    end, nil, "a line in the log")
    assert.equal(0, (gw:command("stop")))
  end)

  it("tells of workers and upgrades in the error log that is configured, too, wherever that is moved", function()
    local gw = gateway.start("log: { error: here.log }\n" .. config())
    local log = gw.folder .. "/here.log"
    local function told(pattern)
      clock.wait_until(function() return (files.read(log) or ""):find(pattern) end, nil, pattern .. " in " .. log)
    end
    local worker = gw:worker_pid()
    signal.kill(worker, signal.SIGKILL)
    told 'worker ended unexpectedly, starting a new one how="signal 9"'
    clock.wait_until(function() return (gw:status()) == 0 and gw:worker_pid() ~= worker end, nil, "a new worker")
    os.rename(log, log .. ".1")
    gw:signal(signal.SIGUSR2)
    told "handing over to a new binary"
    told "new worker is ready, the old one drains"
    gw:write("log: { error: there.log }\n" .. config())
    log = gw.folder .. "/there.log"
    told "configuration in force"
    gw:write("routes: [oops\n")
    gw:signal(signal.SIGUSR2)
    told "the new binary refuses the configuration"
    gw:kill()
  end)

  it("serves the last good configuration when its worker dies while the files are broken", function()
    local gw = gateway.start(config("good"))
    gw:write("routes: [oops\n")
    gw:wait_log("configuration refused")
    local worker = gw:worker_pid()
    signal.kill(worker, signal.SIGKILL)
    local response = client.ask(gw:port(), client.request { target = "/version" }, { timeout = 5 })
    assert.equal("good", response and response.body)
    gw:wait_log("the last good configuration is in force")
    gw:write(config("mended"))
    clock.wait_until(function() return version_of(gw) == "mended" end, nil, "the mended file to be in force")
    gw:kill()
  end)

  it("is found by its command line when its file is broken, wherever its pid file is", function()
    local gw = gateway.start("gateway: { threads: 1, grace: 1s, pid_file: elsewhere/gate.pid }\n" .. config())
    files.write(gw.file, files.read(gw.file) .. "routes: [oops\n")
    local code, text = gw:status()
    assert.equal(0, code, text)
    code, text = gw:reload()
    assert.equal(1, code)
    assert.truthy(text:find("tidegate.yaml:%d+"), text)
    assert.equal(0, (gw:command("stop")))
    assert.equal(0, processes.join(gw.pid))
    gw.stopped = true
  end)

  it("does not hold on to what start was called with, and keeps its log beside the pid file", function()
    local gw = gateway.start(config())
    gw:stop()
    local before = clock.now()
    local pipe = io.popen(("'%s' start -c '%s' 2>&1"):format(os.getenv("TIDEGATE") or "build/tidegate", gw.file))
    local text = pipe:read("*a")        -- ends when nobody has the pipe any more
    pipe:close()
    assert.truthy(text:find("is ready", 1, true), text)
    assert.is_true(clock.now() - before < 15)
    assert.equal(0, (gw:reload()))
    clock.wait_until(function()
      return (files.read(gw.folder .. "/run/tidegate.pid.log") or ""):find("in force", 1, true)
    end, nil, "a line in the log")
    assert.equal(0, (gw:command("stop")))
  end)

  it("hands over to a new binary without failing a request [SIGUSR2]", function()
    local gw = gateway.start(config())
    local asking = load.start { to = gw:port(), clients = 3 }
    local connecting = load.start { to = gw:port(), clients = 2, connect = true }
    for _ = 1, 3 do
      local worker = gw:worker_pid()
      asking:wait(50)
      gw:signal(signal.SIGUSR2)
      clock.wait_until(function() return gw:worker_pid() and gw:worker_pid() ~= worker end, nil, "the new worker")
      connecting:wait(20)
    end
    assert.same({}, select(2, asking:stop()))
    assert.same({}, select(2, connecting:stop()))
    assert.equal(0, (gw:status()))
    gw:stop()
  end)

  it("lets requests in flight finish over several upgrades in a row [SIGUSR2]", function()
    local slow = upstream.start(function(conn)
      conn:read_request()
      conn:wait_release()
      conn:respond(200, "late")
    end)
    local gw = gateway.start("gateway: { threads: 1, grace: 20s }\n" .. CONFIG:format(slow.node, "1"))
    local clients = {}
    for i = 1, 3 do
      clients[i] = client.connect(gw:port())
      clients[i]:send(client.request {})
      clock.wait_until(function() return #slow:events "request" == i end, nil, "the request")
      gw:signal(signal.SIGUSR2)
      clock.wait_until(function() return select(2, gw:log():gsub("the old one drains", "")) == i end, nil,
                       "the new worker")
    end
    slow:release()
    for i = 1, 3 do
      local response, why = clients[i]:response()
      assert.equal("late", response and response.body, why)
      clients[i]:close()
    end
    gw:stop()
  end)

  it("lets a request in flight finish on stop, and refuses new connections", function()
    local slow = upstream.start(function(conn)
      conn:read_request()
      conn:wait_release()
      conn:respond(200, "late")
    end)
    local gw = gateway.start("gateway: { threads: 1, grace: 10s }\n" .. CONFIG:format(slow.node, "1"))
    local c = client.connect(gw:port())
    c:send(client.request {})
    slow:wait_event("request")
    gw:signal(signal.SIGTERM)
    clock.wait_until(function() return not pcall(client.connect, gw:port()) end, nil, "new connections to be refused")
    slow:release()
    local response = c:response()
    assert.equal("late", response and response.body)
    assert.equal("close", response:get "connection")
    assert.equal(0, processes.join(gw.pid))
    gw.stopped = true
  end)

  it("cuts what is left when the grace is over", function()
    local hangs = upstream.start(function(conn)
      conn:read_request()
      conn:wait_release()
    end)
    local gw = gateway.start("gateway: { threads: 1, grace: 300ms }\n" .. CONFIG:format(hangs.node, "1"))
    local c = client.connect(gw:port())
    c:send(client.request {})
    hangs:wait_event("request")
    local before = clock.now()
    gw:stop()
    assert.is_true(clock.now() - before < 5)
    assert.is_nil((c:response()))
    hangs:release()
  end)
end)

describe("a gateway without descriptors", function()
  it("says so where it has too few to start at all", function()
    local gw = gateway.start(CONFIG:format("127.0.0.1:9", "1"))
    gw:stop()
    for _, mode in ipairs { "run", "start" } do
      for _, files_max in ipairs { 16, 31 } do
        local words = "tidegate: only %d files may be open (ulimit -n, LimitNOFILE=); at least 32 are needed\n"
        local binary = os.getenv "TIDEGATE" or "build/tidegate"
        -- Without what this process has open itself.
        local script = ("perl -MPOSIX -e 'POSIX::close($_) for 3 .. 1023; exec @ARGV' prlimit --nofile=%d '%s' %s " ..
                        "-c '%s' 2>&1"):format(files_max, binary, mode, gw.file)
        local text, code = shell.run(script)
        assert.same({ 1, words:format(files_max) }, { code, text })
      end
    end
  end)

  it("goes on with the connections it has, and takes new ones when some are free again", function()
    local up = upstream.by_path {}
    local gw = gateway.start(CONFIG:format(up.node, "1"))
    local most = #posix.glob(("/proc/%d/fd/*"):format(gw:worker_pid())) + 20
    os.execute(("prlimit --pid %d --nofile=%d:%d"):format(gw:worker_pid(), most, most))
    local first = client.connect(gw:port())
    first:send(client.request { target = "/version" })
    assert.equal(200, first:response().status)
    local held = {}
    for i = 1, 60 do
      local ok, c = pcall(client.connect, gw:port())
      if ok then held[#held + 1] = c end
      if ok then c:send("GET /version HTTP/1.1\r\n") end
      assert(i)
    end
    gw:wait_log("cannot accept")
    first:send(client.request { target = "/version" })
    assert.equal(200, first:response().status)
    for _, c in ipairs(held) do c:close() end
    clock.wait_until(function()
      local response = client.ask(gw:port(), client.request { target = "/version" }, { timeout = 1 })
      return response and response.status == 200
    end, nil, "new connections to be served again")
    gw:stop()
  end)
end)
