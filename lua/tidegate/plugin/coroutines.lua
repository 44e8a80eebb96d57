--- The coroutine library of plugins.
--
-- What waits in the gateway (tide.sleep, tide.http) yields WAIT and what it waits for. A plugin may call that inside
-- coroutines of its own: such a yield goes out through all of them to the gateway, and what it is resumed with goes the
-- same way back in. Every other yield is the plugin's own. Coroutines of the gateway stay out of a plugin's hands.
local coroutines = {}

local create, resume, running = coroutine.create, coroutine.resume, coroutine.running
local status, yield = coroutine.status, coroutine.yield

--- The first value of a yield that is meant for the gateway.
coroutines.WAIT = {}

local WAIT = coroutines.WAIT

-- Both are known to all plugins: one may hand a coroutine to another in req.ctx.
local own = setmetatable({}, { __mode = "k" })          -- made by a plugin
local waiting = setmetatable({}, { __mode = "k" })      -- of these: those that wait for the gateway

local library = {}

function library.create(body)
  local co = create(body)
  own[co] = true
  return co
end

local function go_on(co, ...)
  waiting[co] = nil
  return resume(co, ...)
end

--- What a resume gives, once the coroutine does not wait for the gateway any more.
local function outcome(co, ok, ...)
  if not ok or not rawequal((...), WAIT) then return ok, ... end
  waiting[co] = true
  return outcome(co, go_on(co, yield(...)))
end

function library.resume(co, ...)
  if type(co) == "thread" and not own[co] then return false, "cannot resume a coroutine of the gateway" end
  -- Another request would bring it the answer to what it waits for.
  if waiting[co] then return false, "cannot resume a coroutine that waits for the gateway" end
  return outcome(co, resume(co, ...))
end

local function values_or_error(ok, ...)
  if ok then return ... end
  error((...), 2)
end

function library.wrap(body)
  local co = library.create(body)
  return function(...) return values_or_error(library.resume(co, ...)) end
end

function library.yield(...)
  if not own[running()] then
    error("coroutine.yield outside of a coroutine that the plugin has made: to wait in a hook, use tide.sleep", 2)
  end
  return yield(...)
end

--- The running coroutine where a plugin has made it; a hook itself runs in none, as far as a plugin can tell.
function library.running()
  local co = running()
  return own[co] and co or nil
end

function library.isyieldable() return own[running()] ~= nil end

function library.status(co) return waiting[co] and "normal" or status(co) end

--- A library for one environment.
-- @treturn table
function coroutines.library()
  local copy = {}
  for name, value in pairs(library) do copy[name] = value end
  return copy
end

return coroutines
