--- Keys that count at a start only: a running gateway says which of them it does not go by.
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local json = require "tidegate.tide.json"
local processes = require "support.processes"
local shell = require "support.shell"
local signal = require "posix.signal"
local unistd = require "posix.unistd"

local ROUTES = "routes: [{ path: /, respond: {} }]\n"
local THREADS = "gateway.threads: 2 is not in force before a restart; 1 is"

local function config(gateway_keys) return ("gateway: { grace: 1s, %s }\n"):format(gateway_keys) .. ROUTES end

local function has(text, words) assert.is_truthy(text:find(words, 1, true), text) end

describe("a key that needs a restart", function()
  it("is named by reload, status and check until the file is as before", function()
    local gw = gateway.start(config "threads: 1")
    local _, before = gw:command("check")
    assert.is_nil(before:find("restart", 1, true))
    gw:write(config "threads: 2")
    local code, text = gw:reload()
    assert.equal(0, code)
    has(text, "tidegate.yaml:2:32: warning: " .. THREADS)
    has(select(2, gw:status()), THREADS)
    local status = json.decode((select(2, gw:command("status", "--json"))))
    assert.same({ THREADS }, status.needs_restart)
    assert.equal("1", status.in_force["gateway.threads"])
    assert.equal(1, status.threads)
    code, text = gw:command("check")
    assert.equal(0, code)
    has(text, THREADS)
    gw:write(config "threads: 1")
    assert.is_nil(select(2, gw:reload()):find("restart", 1, true))
    assert.same({}, json.decode((select(2, gw:command("status", "--json")))).needs_restart)
    assert.is_nil(select(2, gw:command("check")):find("restart", 1, true))
    gw:stop()
  end)

  it("is named in the log when the file is saved", function()
    local gw = gateway.start(config "threads: 1")
    gw:write(config "threads: 2")
    gw:wait_log(THREADS:gsub("%.", "%%."))
    gw:stop()
  end)

  it("is in force in the next worker", function()
    local gw = gateway.start(config "threads: 1")
    gw:write(config "threads: 2")
    assert.equal(0, (gw:reload()))
    local worker = gw:worker_pid()
    signal.kill(worker, signal.SIGKILL)
    local status
    clock.wait_until(function()
      local code, text = gw:command("status", "--json")
      status = code == 0 and json.decode(text)
      return status and status.worker_pid ~= worker
    end, nil, "the next worker")
    assert.equal(2, status.threads)
    assert.same({}, status.needs_restart)
    gw:kill()
  end)

  it("is the user, where root has started it", function()
    if unistd.geteuid() ~= 0 then return pending "only root becomes somebody else" end
    local gw = gateway.start(config "threads: 1, user: nobody")
    shell.must("chmod -R a+rX " .. gw.folder)
    gw:write(config "threads: 1")
    shell.must("chmod a+r " .. gw.file)
    local code, text = gw:reload()
    assert.equal(0, code, text)
    has(text, "gateway.user: the default is not in force before a restart; nobody is")
    gw:stop()
  end)

  it("is the pid file, which stays where it is, in the next worker, too", function()
    local gw = gateway.start(config "threads: 1")
    local old = "gateway.pid_file=" .. gw.folder .. "/run/tidegate.pid"
    local words = "/else/gate.pid is not in force before a restart; " .. gw.folder .. "/run/tidegate.pid is"
    local said = "gateway.pid_file: " .. gw.folder .. words
    gw:write(config "threads: 1, pid_file: else/gate.pid")
    gw:wait_log("configuration in force generation=2")
    local function restart_key()
      local code, text = gw:command("status", "--json", "--set", old)
      return code == 0 and json.decode(text).needs_restart[1]
    end
    assert.equal(said, restart_key())
    local worker = gw:worker_pid()
    signal.kill(worker, signal.SIGKILL)
    clock.wait_until(function() return gw:worker_pid() ~= worker and restart_key() == said end, nil, "the next worker")
    assert.is_nil(files.read(gw.folder .. "/else/gate.pid"))
    assert.is_nil(files.read(gw.folder .. "/else/gate.pid.good"))
    assert.equal(0, (gw:command("stop", "--set", old)))
    assert.equal(0, processes.join(gw.pid))
    gw.stopped = true
  end)
end)
