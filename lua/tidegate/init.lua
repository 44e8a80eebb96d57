--- The library that plugins have as `tide`. Modules are loaded when they are first used.
local C = require "tidegate.ffi"
local owner = require "tidegate.plugin.owner"

local tide = {}

--- Seconds since the epoch.
function tide.now() return C.tide_now() end

--- Seconds of a clock that never jumps; its zero means nothing.
function tide.monotonic() return C.tide_monotonic() end

--- Lets time pass; others go on meanwhile.
-- @tparam number seconds
function tide.sleep(seconds) return require("tidegate.tide.wait").sleep(seconds) end

--- Starts a function in the background.
function tide.spawn(f, ...) return require("tidegate.tide.task").spawn(f, ...) end

local MODULES = {
  "base64", "cidr", "cookie", "crypto", "http", "json", "jwt", "log", "metrics", "re", "redis", "socket",
  "template", "url", "uuid",
}
local known = {}
for _, name in ipairs(MODULES) do known[name] = true end

local special = {
  timer = function()
    local task = require "tidegate.tide.task"
    return { after = task.after, every = task.every }
  end,
  shared = function()
    local shared = require "tidegate.tide.shared"
    return function(name) return shared.open(name) end
  end,
  -- Without a name of their own those of different plugins must not mix.
  limiter = function()
    local limiter = require "tidegate.tide.limiter"
    return { new = function(options) return limiter.new(options, owner.name_for "limiter") end }
  end,
  cache = function()
    local cache = require "tidegate.tide.cache"
    return function(options) return cache.new(options, owner.name_for "cache") end
  end,
}

--- Loads every module now, so that no request pays for it.
function tide.freeze()
  for name in pairs(known) do tide[name] = require("tidegate.tide." .. name) end
  for name, make in pairs(special) do tide[name] = make() end
end

return setmetatable(tide, {
  __index = function(_, name)
    local value
    if known[name] then value = require("tidegate.tide." .. name) end
    if special[name] then value = special[name]() end
    rawset(tide, name, value)
    return value
  end,
})
