--- A clock and a scheduler for specs of what waits in coroutines: time passes only when the spec says so. It stands in
-- for tidegate.tide.wait and tidegate.tide.task.
local Scheduler = {}
Scheduler.__index = Scheduler

local scheduler = {}

--- @tparam[opt=1000] number now seconds
function scheduler.new(now)
  local self = setmetatable({ now = now or 1000, sleeping = {}, failures = {}, may_wait = true }, Scheduler)
  self.wait = {
    can = function() return self.may_wait end,
    sleep = function(seconds) self:sleep(seconds) end,
    gate = function() return self:gate() end,
  }
  self.task = { spawn = function(f, ...) self:spawn(f, ...) end }
  return self
end

local function resume(task, ...)
  local ok, why = coroutine.resume(task.co, ...)
  if not ok then error(why, 0) end
end

--- Runs a function in a coroutine, to its first wait.
-- @treturn table whose field results is { ok, ... } once it has ended
function Scheduler:run(f, ...)
  local task = {}
  task.co = coroutine.create(function(...) task.results = { pcall(f, ...) } end)
  resume(task, ...)
  return task
end

--- The same in the background: an error is put into failures.
function Scheduler:spawn(f, ...)
  local task = self:run(function(...)
    local ok, why = pcall(f, ...)
    if not ok then table.insert(self.failures, why) end
  end, ...)
  return task
end

function Scheduler:sleep(seconds)
  local sleeper = { co = assert(coroutine.running(), "nothing runs that could wait"), at = self.now + seconds }
  table.insert(self.sleeping, sleeper)
  return coroutine.yield()
end

--- Wakes a sleeper with a result.
function Scheduler:wake(sleeper, result)
  for i, other in ipairs(self.sleeping) do
    if other == sleeper then
      table.remove(self.sleeping, i)
      return resume(sleeper, result)
    end
  end
end

function Scheduler:gate()
  local waiting = {}
  return {
    wait = function(_, seconds)
      table.insert(waiting, coroutine.running())
      if self:sleep(seconds) then return true end
      return nil, "timeout"
    end,
    open = function()
      for _, co in ipairs(waiting) do
        for _, sleeper in ipairs { unpack(self.sleeping) } do
          if sleeper.co == co then self:wake(sleeper, true) end
        end
      end
      waiting = {}
    end,
  }
end

--- Lets time pass; who sleeps is woken in order.
function Scheduler:pass(seconds)
  local stop = self.now + seconds
  while true do
    local first
    for _, sleeper in ipairs(self.sleeping) do
      if sleeper.at <= stop and (not first or sleeper.at < first.at) then first = sleeper end
    end
    if not first then break end
    self.now = math.max(self.now, first.at)
    self:wake(first, nil)
  end
  self.now = stop
end

return scheduler
