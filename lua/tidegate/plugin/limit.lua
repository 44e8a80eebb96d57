--- What a plugin may take while it is loaded in the control thread: a second of CPU, and the memory of a loop.
-- CPU time of this thread: that of the process runs as many times as fast as there are busy loops.
local bound = require "tidegate.plugin.bound"
local ffi = require "ffi"

pcall(ffi.cdef, 'int limit_clock(int clock, int64_t *time) __asm__("clock_gettime");')

local THREAD_CPU = 3        -- CLOCK_THREAD_CPUTIME_ID
local SECONDS_MAX = 1
local STEPS = 10000         -- loop heads between two looks at the clock

local time = ffi.new "int64_t[2]"

local function cpu_seconds()
  ffi.C.limit_clock(THREAD_CPU, time)
  return tonumber(time[0]) + tonumber(time[1]) / 1e9
end

local Limit = {}
Limit.__index = Limit

--- Begins to count anew.
function Limit:start()
  self.began, self.began_bytes = cpu_seconds(), collectgarbage "count" * 1024
end

local limit = {}

local FULL = "not enough memory"

function Limit:words() return ("took more than %d MiB of memory while loading"):format(self.memory / 2 ^ 20) end

--- Begins to count anew, and calls a function that runs a plugin's code and gives a value, or nil and why not.
function Limit:run(f, ...)
  self:start()
  bound(self.memory)
  local good, value, why = pcall(f, ...)
  bound()
  if not good then
    if value ~= FULL then error(value, 0) end
    value, why = nil, value
  end
  local is_full = self.memory and type(why) == "string" and why:sub(-#FULL) == FULL
  if is_full then why = why:sub(1, -#FULL - 1) .. self:words() end
  return value, why
end

--- @tparam ?number memory bytes
-- @treturn table start(): begins to count; run(f, ...): the same, and calls f; refill: for tidegate.plugin.load
function limit.new(memory)
  local self = setmetatable({ memory = memory }, Limit)
  self:start()
  function self.refill()
    if cpu_seconds() - self.began > SECONDS_MAX then
      error(("still busy after %d s of CPU time; loading must end"):format(SECONDS_MAX), 2)
    end
    if memory and collectgarbage "count" * 1024 - self.began_bytes > memory then
      error(self:words(), 2)
    end
    return STEPS
  end
  return self
end

return limit
