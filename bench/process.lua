--- Processes that a bench run starts: start, output, end, process tree and memory. None outlives the run: stop_all ends
-- them in order, and the kernel ends them when this program is killed.
local ffi = require "ffi"
local fcntl = require "posix.fcntl"
local poll = require "posix.poll"
local resource = require "posix.sys.resource"
local signal = require "posix.signal"
local time = require "posix.time"
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"

ffi.cdef "int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);"
local PR_SET_PDEATHSIG = 1
local STOP_S = 10               -- from SIGTERM to SIGKILL

local process = {}

local Process = {}
Process.__index = Process

local running = {}              -- in the order of their start
local interrupted

--- Seconds of a clock that only goes forward.
function process.now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

--- Raises an error when somebody wants the run to end. Whatever waits calls it.
local function check_interrupted()
  if interrupted then error("interrupted", 0) end
end

function process.sleep(seconds)
  check_interrupted()
  time.nanosleep { tv_sec = math.floor(seconds), tv_nsec = math.floor(seconds % 1 * 1e9) }
  check_interrupted()
end

--- SIGINT and SIGTERM end the run where it next waits, so that everything is cleaned up.
function process.catch_signals()
  local function interrupt() interrupted = true end
  signal.signal(signal.SIGINT, interrupt)
  signal.signal(signal.SIGTERM, interrupt)
end

--- As many open files as the machine lets us have; the processes started inherit it.
-- @treturn number how many
function process.raise_file_limit()
  local limit = resource.getrlimit(resource.RLIMIT_NOFILE)
  limit.rlim_cur = limit.rlim_max
  resource.setrlimit(resource.RLIMIT_NOFILE, limit)
  return limit.rlim_max
end

--- The first place where a program is, also where only root's PATH leads.
-- @treturn ?string its path, or nil
function process.find_program(name)
  local path = (os.getenv("PATH") or "") .. ":/usr/local/sbin:/usr/sbin:/sbin"
  if name:find("/", 1, true) then path, name = name:match("^(.*)/([^/]*)$") end
  for dir in path:gmatch("[^:]+") do
    if unistd.access(dir .. "/" .. name, "x") then return dir .. "/" .. name end
  end
end

local function pipe()
  local reading, writing = unistd.pipe()
  if not reading then error("cannot make a pipe: " .. writing, 0) end
  for _, fd in ipairs { reading, writing } do fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC) end
  return reading, writing
end

-- In the child. What cannot be started says why in its log file.
local function become(words, input, output, log)
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  signal.signal(signal.SIGTERM, signal.SIG_DFL)
  ffi.C.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
  local errors = fcntl.open(log, fcntl.O_WRONLY + fcntl.O_CREAT + fcntl.O_TRUNC, 420)      -- 0644
  unistd.dup2(input, 0)
  unistd.dup2(output, 1)
  unistd.dup2(errors, 2)
  local arguments = { unpack(words, 2) }
  local _, why = unistd.execp(words[1], arguments)
  unistd.write(2, words[1] .. ": " .. tostring(why) .. "\n")
end

--- Starts a program.
-- @tparam table options words: the program and its arguments; core: where it runs; log: the file its errors go to
-- @treturn Process
function process.start(options)
  local words = options.words
  if options.core then words = { "taskset", "-c", tostring(options.core), unpack(words) } end
  local child_input, input = pipe()
  local output, child_output = pipe()
  local pid, why = unistd.fork()
  if not pid then error("cannot start " .. words[1] .. ": " .. why, 0) end
  if pid == 0 then
    pcall(become, words, child_input, child_output, options.log)
    unistd._exit(127)           -- never back into the run, of which this is a copy
  end
  unistd.close(child_input)
  unistd.close(child_output)
  local started = setmetatable({
    pid = pid, name = options.words[1], log = options.log, input = input, output = output, received = "",
  }, Process)
  running[#running + 1] = started
  return started
end

--- What it wrote to its standard error, for a message about its failure.
function Process:errors()
  local file = io.open(self.log)
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return (text:sub(-2000):gsub("%s+$", ""))
end

function Process:fail(what)
  error(("%s: %s\n%s"):format(self.name, what, self:errors()), 0)
end

--- One line of its standard output, without the line end.
-- @treturn ?string nil when it closed its output
function Process:read_line(timeout_s)
  local deadline = process.now() + timeout_s
  while not self.received:find("\n", 1, true) do
    check_interrupted()
    local left = deadline - process.now()
    if left <= 0 then self:fail(("no output within %g s"):format(timeout_s)) end
    if poll.rpoll(self.output, math.min(math.ceil(left * 1000), 200)) == 1 then
      local bytes = unistd.read(self.output, 65536)
      if bytes == "" then return nil end
      self.received = self.received .. (bytes or "")
    end
  end
  local line, rest = self.received:match("^([^\n]*)\n(.*)$")
  self.received = rest
  return line
end

--- Lets it know, by the end of its standard input, that it may end.
function Process:close_input()
  if self.input then unistd.close(self.input) end
  self.input = nil
end

--- Whether it still runs; when not, self.status is its exit status or signal.
function Process:is_running()
  if self.status then return false end
  local pid, how, status = wait.wait(self.pid, wait.WNOHANG)
  if pid == self.pid and how ~= "running" then self.status = status end
  return not self.status
end

-- When a process began, in clock ticks: a number taken again by another process has another beginning.
local function beginning(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  local text = file and file:read("*a") or ""
  if file then file:close() end
  local fields = text:match("^.*%) %a (.*)$")                    -- from the fourth on; the name may have spaces
  local i = 3
  for field in (fields or ""):gmatch("%S+") do
    i = i + 1
    if i == 22 then return field end
  end
end

local function descend(pid, found)
  found[#found + 1] = pid
  for _, thread in ipairs(require "posix".dir(("/proc/%d/task"):format(pid)) or {}) do
    local file = io.open(("/proc/%d/task/%s/children"):format(pid, thread))
    local text = file and file:read("*a") or ""
    if file then file:close() end
    for child in text:gmatch("%d+") do descend(tonumber(child), found) end
  end
  return found
end

--- Its process id and those of all its descendants.
function Process:tree()
  return descend(self.pid, {})
end

-- The processes of a tree that are still there, with what tells them from later ones of the same number.
local function remember(tree)
  local family = {}
  for _, pid in ipairs(tree) do family[pid] = beginning(pid) end
  return family
end

local function is_alive(family)
  for pid, began in pairs(family) do
    if beginning(pid) == began then return true end
  end
  return false
end

local function wait_until_gone(self, family, timeout_s)
  local deadline = process.now() + timeout_s
  while (self:is_running() or is_alive(family)) and process.now() < deadline do
    time.nanosleep { tv_sec = 0, tv_nsec = 2e6 }
  end
  return not self:is_running() and not is_alive(family)
end

--- Ends it and all its descendants, and waits until they are gone.
function Process:stop()
  self:close_input()
  local family = self:is_running() and remember(self:tree()) or {}
  family[self.pid] = nil                    -- our own child: is_running knows, and a zombie would look alive
  if self:is_running() then signal.kill(self.pid, signal.SIGTERM) end
  if not wait_until_gone(self, family, STOP_S) then
    if self:is_running() then signal.kill(self.pid, signal.SIGKILL) end
    for pid, began in pairs(family) do
      if beginning(pid) == began then signal.kill(pid, signal.SIGKILL) end
    end
    wait_until_gone(self, {}, STOP_S)
  end
  if self.output then unistd.close(self.output) end
  self.output = nil
  for i, other in ipairs(running) do
    if other == self then table.remove(running, i) break end
  end
end

--- Ends everything that was started, the last one first.
function process.stop_all()
  while #running > 0 do running[#running]:stop() end
end

--- Resident memory of some processes, in KiB. smaps_rollup counts pages; the VmRSS of status may lag behind.
function process.resident_kib(pids)
  local sum = 0
  for _, pid in ipairs(pids) do
    local file = io.open(("/proc/%d/smaps_rollup"):format(pid)) or error("process " .. pid .. " is gone", 0)
    sum = sum + tonumber(file:read("*a"):match("Rss:%s*(%d+)"))
    file:close()
  end
  return sum
end

return process
