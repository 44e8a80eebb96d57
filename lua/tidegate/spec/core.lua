--- The data plane in memory (src/lua/fake.c), opened for this spec, and the clock that it goes by.
-- Time stands still from the first use until core.thaw, and passes when it is told to.
local C = require "tidegate.ffi"
local native = require "tidegate.fake"

local core = {}

local turn                  -- of the core, when it was opened here; nil: it was not
local us, wall_us           -- where both clocks stand; nil: they run
local reached_us = 0        -- the first of them never goes back, as deadlines must not

--- LuaJIT's generator belongs to the spec, which may have given it a seed.
local function without_seeding(f)
  local randomseed = math.randomseed
  rawset(math, "randomseed", function() end)
  local good, first, second = pcall(f)
  rawset(math, "randomseed", randomseed)
  if not good then error(first, 0) end
  return first, second
end

--- Tells core.on_request of each request when plugins see it first.
local function watch_requests(request)
  local new, seen = request.new, {}
  function request.new(number)
    local object = new(number)
    if core.on_request and not seen[number] then
      seen[number] = true
      core.on_request(object)
    end
    return object
  end
end

--- Takes the data plane for this copy of the module. Whatever another one had loaded is gone.
-- @treturn table its functions
function core.open()
  if turn == native.turn() then return native end
  if turn then error("tidegate.spec was required anew, and there is one at a time: require it once per file", 0) end
  local reached_ms = without_seeding(native.open)
  turn, reached_us = native.turn(), reached_ms * 1e3
  watch_requests(require "tidegate.request")
  return native
end

--- Lets time stand still, where it does not already.
function core.freeze()
  if us then return end
  core.open()
  us = math.max(reached_us, math.floor(C.tide_monotonic() * 1e3) * 1e3)
  wall_us = math.floor(C.tide_now() * 1e3) * 1e3
  native.time(us, wall_us)
end

--- Milliseconds of the clock that deadlines go by.
function core.ms()
  core.freeze()
  return us / 1e3
end

--- Seconds since the epoch.
function core.now()
  core.freeze()
  return wall_us / 1e6
end

--- Lets time pass up to a point in whole milliseconds.
function core.move_to(ms)
  core.freeze()
  local by = math.max(0, ms * 1e3 - us)
  us, wall_us = us + by, wall_us + by
  reached_us = us
  native.time(us, wall_us)
end

--- Sets the time since the epoch, in seconds; nothing else happens.
function core.set_now(seconds)
  core.freeze()
  wall_us = math.floor(seconds * 1e3 + 0.5) * 1e3
  native.time(us, wall_us)
end

--- Time goes on by itself.
function core.thaw()
  if us then native.thaw() end
  us, wall_us = nil, nil
end

return core
