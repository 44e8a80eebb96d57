--- Waiting in a hook: what sleep, sockets, bodies and gates are made of.
-- A wait is begun with C.tide_wait, which gives it a number; then the coroutine yields, and C goes on with it once the
-- number is woken or its time is over.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local coroutines = require "tidegate.plugin.coroutines"

local wait = {}

local raw_yield, WAIT = coroutine.yield, coroutines.WAIT

--- Yields to the gateway; only after a wait was begun.
function wait.yield() return raw_yield(WAIT) end

--- Whether the running code may wait.
-- @treturn boolean
-- @treturn ?string where it is that it may not
function wait.can()
  local place = ffi.string(C.tide_place())
  if place == "load" then return false, "while a plugin is loaded" end
  if place == "log" then return false, "in the log hook" end
  return true
end

--- Begins a wait.
-- @tparam[opt] number seconds at most; nil: no limit
-- @tparam string call what wants to wait, for the message
-- @treturn number to be given to wait.wake
function wait.begin(seconds, call)
  local number = C.tide_wait(seconds or -1)
  if number ~= 0 then return number end
  local _, where = wait.can()
  error(("%s: cannot wait %s"):format(call, where or "any more, too many coroutines wait"), 3)
end

--- Yields, and tells how the wait ended.
-- @treturn boolean true when it was woken, false when its time was over
function wait.finish()
  raw_yield(WAIT)
  return C.tide_timed_out() == 0
end

--- Ends a wait. Harmless where it is over.
function wait.wake(number) C.tide_wake(number) end

--- Lets time pass.
-- @tparam number seconds
function wait.sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    error(("sleep: expected a number of seconds, found %s"):format(tostring(seconds)), 2)
  end
  wait.begin(seconds, "sleep")
  raw_yield(WAIT)
end

local Gate = {}
Gate.__index = Gate

--- Waits until the gate is opened.
-- @tparam[opt] number timeout seconds
-- @treturn ?boolean true; nil when the time is over
-- @treturn ?string "timeout"
function Gate:wait(timeout)
  local number = wait.begin(timeout, "gate")
  self[#self + 1] = number
  if wait.finish() then return true end
  for i = 1, #self do
    if self[i] == number then
      table.remove(self, i)
      break
    end
  end
  return nil, "timeout"
end

--- Wakes all who wait, in their order.
function Gate:open()
  for i = 1, #self do
    C.tide_wake(self[i])
    self[i] = nil
  end
end

--- Wakes the one who has waited longest.
function Gate:pass()
  local first = table.remove(self, 1)
  if first then C.tide_wake(first) end
end

--- Something that several coroutines of this loop wait for.
function wait.gate() return setmetatable({}, Gate) end

return wait
