--- Child processes of a spec file. Each is ended by its process id, at the latest when the file is over, and by the
-- kernel should the runner itself be killed.
local ffi = require "ffi"
local clock = require "support.clock"
local signal = require "posix.signal"
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"

ffi.cdef "int prctl(int option, unsigned long value);"
local PR_SET_PDEATHSIG = 1

local processes = {}
local running = {}      -- process id -> true
local at_end = {}       -- functions, called when the file is over

signal.signal(signal.SIGPIPE, signal.SIG_IGN)

--- Forks; the child runs a function and exits.
-- @tparam function body what it returns is the exit code
-- @treturn number the child's process id
function processes.fork(body)
  io.stdout:flush()
  io.stderr:flush()
  local pid = assert(unistd.fork())
  if pid == 0 then
    ffi.C.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    local ok, result = xpcall(body, debug.traceback)
    if not ok then io.stderr:write(tostring(result), "\n") end
    io.stderr:flush()
    unistd._exit(ok and tonumber(result) or ok and 0 or 70)
  end
  running[pid] = true
  return pid
end

--- Runs a program in place of this process; only for a child.
-- @tparam table argv the program and its arguments
function processes.become(argv)
  signal.signal(signal.SIGPIPE, signal.SIG_DFL)
  local _, why = unistd.execp(argv[1], { unpack(argv, 2) })
  error("cannot run " .. argv[1] .. ": " .. tostring(why))
end

--- The exit code of an ended child (128 and the signal for one that was killed), or nil while it runs.
function processes.ended(pid)
  local found, how, code = wait.wait(pid, wait.WNOHANG)
  if found ~= pid or how == "running" then return nil end
  running[pid] = nil
  return how == "exited" and code or 128 + code
end

--- Waits for the end of a child.
function processes.join(pid, timeout)
  return clock.wait_until(function() return processes.ended(pid) end, timeout or 10, "the end of process " .. pid)
end

function processes.kill(pid, number)
  if running[pid] then signal.kill(pid, number or signal.SIGKILL) end
end

--- Ends a child at once.
function processes.finish(pid)
  if not running[pid] then return end
  processes.kill(pid)
  processes.join(pid)
end

--- Calls a function when the spec file is over, however it ended.
function processes.at_end(fn) at_end[#at_end + 1] = fn end

local function end_all()
  for i = #at_end, 1, -1 do pcall(at_end[i]) end
  for pid in pairs(running) do pcall(processes.finish, pid) end
  at_end = {}
  return nil, true
end

require "busted".subscribe({ "file", "end" }, end_all)

return processes
