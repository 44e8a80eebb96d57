--- Work in the background: tasks of a generation, which end with it.
local wait = require "tidegate.tide.wait"

local task = {}

local raw_spawn

--- Called once per loop, with what starts a coroutine.
function task.set_spawn(spawn) raw_spawn = spawn end

--- Starts a function in the background: it may wait, and it ends at the latest when the configuration that started it
-- is no longer in force and its last request is done.
-- @tparam function f
-- @param ... its arguments
function task.spawn(f, ...)
  if type(f) ~= "function" then error(("spawn: expected a function, found a %s"):format(type(f)), 2) end
  -- While plugins are only checked there is no loop, and nothing that a task could do.
  if raw_spawn then raw_spawn(f, ...) end
end

local Timer = {}
Timer.__index = Timer

--- The timer fires no more.
function Timer:cancel() self.cancelled = true end

local function start(call, seconds, f, again)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    error(("%s: expected a number of seconds, found %s"):format(call, tostring(seconds)), 3)
  end
  if type(f) ~= "function" then error(("%s: expected a function, found a %s"):format(call, type(f)), 3) end
  local timer = setmetatable({}, Timer)
  task.spawn(function()
    repeat
      wait.sleep(seconds)
      if not timer.cancelled then task.spawn(f) end
    until timer.cancelled or not again
  end)
  return timer
end

--- Calls a function once, after some time, in the background.
-- @tparam number seconds
-- @tparam function f
-- @treturn table timer:cancel()
function task.after(seconds, f) return start("timer.after", seconds, f, false) end

--- Calls a function again and again. Calls do not wait for each other.
-- @tparam number seconds between two calls, at least 0.001
-- @tparam function f
-- @treturn table timer:cancel()
function task.every(seconds, f)
  if type(seconds) == "number" and seconds < 0.001 then
    error(("timer.every: expected at least 0.001 seconds, found %s"):format(seconds), 2)
  end
  return start("timer.every", seconds, f, true)
end

return task
