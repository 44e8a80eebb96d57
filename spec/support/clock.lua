--- Time for specs: now, and waiting for a condition instead of for luck.
local poll = require "posix.poll"
local time = require "posix.time"

local clock = {}

--- Seconds that a spec waits for what should come at once: far more than it takes even where the machine is busy.
clock.PATIENCE = 15

--- Seconds of a clock that only goes forward.
function clock.now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

--- Milliseconds left until a point in time, for poll.
function clock.left(deadline) return math.max(0, math.ceil((deadline - clock.now()) * 1000)) end

--- Asks again and again until the condition gives something true, and returns that.
-- @tparam function condition
-- @tparam[opt=clock.PATIENCE] number timeout in seconds; past it this is an error
-- @tparam[opt] string what is waited for, for the message
function clock.wait_until(condition, timeout, what)
  timeout = timeout or clock.PATIENCE
  local deadline = clock.now() + timeout
  while true do
    local result = condition()
    if result then return result end
    if clock.now() > deadline then
      error(("waited %gs in vain for %s"):format(timeout, what or "a condition"), 2)
    end
    poll.poll({}, 5)
  end
end

--- Measures something, and again where it took too long: what else the machine does adds to it now and then, and what
-- is slow is slow every time.
-- @tparam number limit seconds
-- @tparam function deed does it, and gives the seconds where those are not the ones that pass
-- @treturn number seconds it took: below the limit, or those of the last of five times
function clock.quickest(limit, deed)
  local took
  for _ = 1, 5 do
    local start = clock.now()
    took = deed()
    took = took or clock.now() - start
    if took < limit then break end
  end
  return took
end

--- Lets time pass: for who plays a slow peer. A spec itself waits for what it wants to see.
function clock.pause(seconds)
  local done = clock.now() + seconds
  repeat poll.poll({}, math.max(1, clock.left(done))) until clock.now() >= done
end

return clock
