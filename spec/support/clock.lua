--- Time for specs: now, and waiting for a condition instead of for luck.
local poll = require "posix.poll"
local time = require "posix.time"

local clock = {}

--- Seconds of a clock that only goes forward.
function clock.now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

--- Milliseconds left until a point in time, for poll.
function clock.left(deadline) return math.max(0, math.ceil((deadline - clock.now()) * 1000)) end

--- Asks again and again until the condition gives something true, and returns that.
-- @tparam function condition
-- @tparam[opt=5] number timeout in seconds; past it this is an error
-- @tparam[opt] string what is waited for, for the message
function clock.wait_until(condition, timeout, what)
  local deadline = clock.now() + (timeout or 5)
  while true do
    local result = condition()
    if result then return result end
    if clock.now() > deadline then
      error(("waited %gs in vain for %s"):format(timeout or 5, what or "a condition"), 2)
    end
    poll.poll({}, 5)
  end
end

--- Lets time pass: for who plays a slow peer. A spec itself waits for what it wants to see.
function clock.pause(seconds)
  local done = clock.now() + seconds
  repeat poll.poll({}, math.max(1, clock.left(done))) until clock.now() >= done
end

return clock
