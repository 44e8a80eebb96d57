--- A gateway of its own for a spec: the real binary, on a free port, with a configuration in a fresh folder.
local clock = require "support.clock"
local fcntl = require "posix.fcntl"
local files = require "support.files"
local processes = require "support.processes"
local signal = require "posix.signal"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"

local Gateway = {}
Gateway.__index = Gateway

local gateway = {
  sanitized = (os.getenv "SAN" or "") ~= "",       -- its memory says nothing about the real one
}

local function binary() return os.getenv("TIDEGATE") or "build/tidegate" end

--- What a spec does not say: a free port, one loop (so that pools are shared), a short grace.
local function complete(yaml)
  if not ("\n" .. yaml):find("\nlisten:") then yaml = 'listen: ["127.0.0.1:0"]\n' .. yaml end
  if not ("\n" .. yaml):find("\ngateway:") then yaml = "gateway: { threads: 1, grace: 1s }\n" .. yaml end
  return yaml
end

local function redirect(to, path)
  local fd = assert(fcntl.open(path, bit.bor(fcntl.O_WRONLY, fcntl.O_CREAT, fcntl.O_APPEND), 384))
  unistd.dup2(fd, to)
  unistd.close(fd)
end

local function launch(argv, out, err, environment)
  return processes.fork(function()
    for name, value in pairs(environment or {}) do stdlib.setenv(name, value) end
    redirect(unistd.STDOUT_FILENO, out)
    redirect(unistd.STDERR_FILENO, err)
    processes.become(argv)
  end)
end

--- Starts a gateway and waits until it accepts connections.
-- @tparam string yaml its configuration; listen and gateway may be left out
-- @tparam[opt] table o timeout in seconds (20); args: more arguments; plugins: texts by name; files: more of
-- them, by names in its folder; as_is: the configuration is complete; environment: variables of its own
function gateway.start(yaml, o)
  o = o or {}
  local folder = files.folder()
  local gw = setmetatable({ folder = folder, file = folder .. "/tidegate.yaml", out = folder .. "/stdout",
                            err = folder .. "/stderr", ports = {}, as_is = o.as_is }, Gateway)
  os.execute("mkdir " .. folder .. "/plugins")
  for name, text in pairs(o.plugins or {}) do gw:write_plugin(name, text) end
  for name, text in pairs(o.files or {}) do gw:write_file(name, text) end
  gw:write(yaml)
  files.write(gw.out, "")
  files.write(gw.err, "")
  local argv = { binary(), "run", "-c", gw.file }
  for _, arg in ipairs(o.args or {}) do argv[#argv + 1] = arg end
  gw.pid = launch(argv, gw.out, gw.err, o.environment)
  processes.at_end(function() gw:kill() end)
  local line = clock.wait_until(function()
    local code = processes.ended(gw.pid)
    if code then error(("the gateway ended with code %d:\n%s"):format(code, gw:log()), 0) end
    return files.read(gw.out):match("tidegate is ready: [^\n]*\n")
  end, o.timeout or 20, "the gateway's ready line")
  for port in line:gsub("%b[]", ""):gmatch(":(%d+)%f[%D]") do gw.ports[#gw.ports + 1] = tonumber(port) end
  return gw
end

--- The port of its i-th listener.
function Gateway:port(i) return self.ports[i or 1] end

--- All that it wrote to standard error.
function Gateway:log() return files.read(self.err) or "" end

--- Waits for a line in the error log.
function Gateway:wait_log(pattern, timeout)
  return clock.wait_until(function() return self:log():match(pattern) end, timeout, "the log line " .. pattern)
end

--- Replaces the configuration file, as an editor would.
function Gateway:write(yaml)
  files.write(self.file .. ".new", self.as_is and yaml or complete(yaml))
  assert(os.rename(self.file .. ".new", self.file))
end

--- Writes another file of its folder, as an editor would.
function Gateway:write_file(name, text)
  local path = ("%s/%s"):format(self.folder, name)
  os.execute(("mkdir -p '%s'"):format(path:match "^(.*)/"))
  files.write(path .. "~", text)
  assert(os.rename(path .. "~", path))
end

--- Writes a file of its plugins folder, as an editor would.
-- @tparam string name with or without ".lua"
function Gateway:write_plugin(name, text)
  local path = ("%s/plugins/%s"):format(self.folder, name:find("%.%a+$") and name or name .. ".lua")
  files.write(path .. ".new", text)
  assert(os.rename(path .. ".new", path))
end

--- Runs a command of the command line on its configuration.
-- @treturn number exit code
-- @treturn string what it wrote, to standard output and error
function Gateway:command(name, ...)
  local out = self.folder .. "/command"
  files.write(out, "")
  local pid = launch({ binary(), name, "-c", self.file, ... }, out, out)
  local code = processes.join(pid, 20)
  return code, files.read(out)
end

function Gateway:reload() return self:command("reload") end
function Gateway:status() return self:command("status") end

--- The process that serves, a child of the one that was started.
function Gateway:worker_pid()
  local children = files.read(("/proc/%d/task/%d/children"):format(self.pid, self.pid)) or ""
  return tonumber(children:match("%d+"))
end

--- Resident memory of the worker, in bytes.
function Gateway:memory()
  local status = files.read(("/proc/%d/status"):format(self:worker_pid()))
  return tonumber(status:match("VmRSS:%s*(%d+) kB")) * 1024
end

--- A file of /proc for each thread of the worker, one behind the other.
local function of_threads(worker, name)
  local tasks = assert(io.popen(("cat /proc/%d/task/*/%s"):format(worker, name)))
  local text = tasks:read "*a"
  tasks:close()
  return text
end

--- CPU time that the worker's threads have had, in seconds.
function Gateway:cpu_time()
  local ns = 0
  for had in of_threads(self:worker_pid(), "schedstat"):gmatch "(%d+) %d+ %d+" do ns = ns + had end
  return ns / 1e9
end

local function stands_still(worker)
  local text = of_threads(worker, "stat")
  return text:find "%) T " and not text:find "%) [^T] "
end

--- Lets the worker stand still, so that things happen behind its back.
function Gateway:pause()
  local worker = self:worker_pid()
  signal.kill(worker, signal.SIGSTOP)
  clock.wait_until(function() return stands_still(worker) end, 5, "the worker to stand still")
end

function Gateway:resume() signal.kill(self:worker_pid(), signal.SIGCONT) end

function Gateway:signal(number) signal.kill(self.pid, number) end

--- Stops it in good order. A sanitizer's report, or an end that is none, is an error.
function Gateway:stop()
  if self.stopped then return end
  self.stopped = true
  if self:worker_pid() then self:resume() end
  self:signal(signal.SIGTERM)
  local code = processes.join(self.pid, 20)
  local log = self:log()
  local report = log:match("[^\n]*Sanitizer[^\n]*") or log:match("[^\n]*runtime error:[^\n]*") or
                 log:match("[^\n]*worker ended unexpectedly[^\n]*")
  if report then error("the gateway complained: " .. report .. "\n" .. log, 0) end
  if code ~= 0 then error(("the gateway ended with code %d\n%s"):format(code, log), 0) end
end

--- Ends it at once, its worker too.
function Gateway:kill()
  local worker = self:worker_pid()
  processes.finish(self.pid)
  if worker then signal.kill(worker, signal.SIGKILL) end
end

return gateway
