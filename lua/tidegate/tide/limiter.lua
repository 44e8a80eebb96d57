--- Limiters: `tide.limiter.new{ kind = "token_bucket", rate = 10, burst = 20 }:take(key)`.
--
-- What a limiter has counted is in a shared dictionary: all loops and generations that make a limiter of the same name
-- count together. One take is one call of C and one lock, and makes no garbage.
local C = require "tidegate.ffi"
local ffi = require "ffi"
local shared = require "tidegate.tide.shared"
local words = require "tidegate.tide.words"

local type, floor, max = type, math.floor, math.max

local limiter = {}

local DICTIONARY = "limits"
local SLACK = 1e-6          -- as in C: levels are sums of products

local taken = ffi.new "struct tide_dict_taken"

local function check(key, cost)
  if type(key) ~= "string" then return words.misuse("limiter:take", "a text as key", key) end
  if type(cost) ~= "number" or cost ~= cost or cost < 0 then
    return words.misuse("limiter:take", "a cost of 0 or more", cost)
  end
end

--- The results of a take that C could not do.
local function failed(self, answer, key)
  if answer == C.TIDE_DICT_KEY_LIMIT then
    return nil, ("key: expected at most %d bytes, found %d"):format(C.tide_dict_key_limit(self.dict), #key)
  end
  return nil, "the key is in use for something else"
end

-- -- counting in a shared dictionary --

--- A bucket fills at a rate, up to its limit; what is taken comes out of it. Of one that queues, what is out stands in
-- a line: each is told when its turn comes. A window has its limit in a time.
local Local = {}
Local.__index = Local

local function ask(self, key, cost)
  local now = shared.now()
  if self.window then
    return C.tide_dict_window(self.dict, self.scope, key, #key, self.limit, self.window, self.sliding, cost, now, taken)
  end
  return C.tide_dict_bucket(self.dict, self.scope, key, #key, self.rate, self.limit, cost, now, taken)
end

--- Takes from the allowance of a key.
-- @tparam string key
-- @tparam[opt=1] number cost 0 only asks
-- @treturn ?boolean whether it is allowed; nil where the key is too long, and then a reason
-- @treturn number how much may still be taken now, whole units
-- @treturn number retry_after: seconds until this cost would be allowed; 0 where it was, math.huge where it never will
-- be
-- @treturn number reset: seconds until the whole allowance is there again
-- @treturn number delay: seconds to wait before going on; 0 but for a leaky bucket
function Local:take(key, cost)
  cost = cost or 1
  check(key, cost)
  local answer = ask(self, key, cost)
  if answer < 0 then return failed(self, answer, key) end
  local remaining, delay = taken.remaining, 0
  if self.queues and answer == 1 then delay = max(0, (self.limit - remaining - cost) / self.rate) end
  return answer == 1, floor(remaining + SLACK), taken.retry_after, taken.reset, delay
end

--- A store makes a limiter of the fields of its kind.
local stores = {}

stores["local"] = function(self, o, name)
  self.dict = shared.open(o.dictionary or DICTIONARY).dict
  self.scope = C.tide_dict_scope(name, #name)
  return setmetatable(self, Local)
end

-- -- making one --

local function positive(what, value)
  if type(value) == "number" and value > 0 and value < math.huge then return value end
  error(("limiter: %s: expected a number over 0, found %s"):format(what, tostring(value)), 4)
end

--- The rate as "so many in so many seconds". Less than one in a second is one in more seconds.
local function limit_of(rate)
  if type(rate) ~= "table" then
    local per_second = positive("rate", rate)
    return max(1, per_second), max(1, 1 / per_second)
  end
  for name in pairs(rate) do
    if name ~= "limit" and name ~= "window" then
      error(("limiter: rate: expected limit and window, found %s"):format(tostring(name)), 3)
    end
  end
  return positive("rate.limit", rate.limit), positive("rate.window", rate.window)
end

--- For each kind: the fields of a limiter of it.
local kinds = {}

function kinds.token_bucket(limit, window, burst)
  return { rate = limit / window, limit = burst and positive("burst", burst) or limit }
end

function kinds.leaky_bucket(limit, window, burst)
  local waiting = burst and burst ~= 0 and positive("burst", burst) or 0
  return { rate = limit / window, limit = waiting + 1, queues = true }
end

local function window_of(limit, window, burst, sliding)
  if burst then error("limiter: burst: expected none for a window, found " .. tostring(burst), 3) end
  return { limit = limit, window = window, sliding = sliding }
end

function kinds.fixed_window(limit, window, burst) return window_of(limit, window, burst, 0) end
function kinds.sliding_window(limit, window, burst) return window_of(limit, window, burst, 1) end

local OPTIONS = {
  name = "string", kind = "string", rate = "any", burst = "number", dictionary = "string", store = "string",
}

--- Makes a limiter.
-- @tparam table options
--   kind: "token_bucket" (default), "leaky_bucket", "fixed_window" or "sliding_window";
--   rate: a number per second, or { limit = number, window = seconds };
--   burst: of a token bucket, how many at once (default: the limit of the rate); of a leaky bucket, how many may wait
--   behind one (0);
--   name: limiters of one name and kind count together (default: those with the same rate and burst do);
--   dictionary: where it counts ("limits"); store: "local"
-- @tparam[opt] string name for options without one
-- @treturn table with take(key, cost), and the field limit: the most that may be taken at once
function limiter.new(options, name)
  local o = words.options("limiter", options, OPTIONS)
  local kind, store = o.kind or "token_bucket", stores[o.store or "local"]
  if not kinds[kind] then
    error(('limiter: kind: expected token_bucket, leaky_bucket, fixed_window or sliding_window, found "%s"')
      :format(kind), 2)
  end
  if not store then
    error(('limiter: store: expected "local", found "%s", which is not available in this version'):format(o.store), 2)
  end
  local limit, window = limit_of(o.rate)
  local fields = kinds[kind](limit, window, o.burst)
  name = o.name or name or ("%.17g:%.17g:%s"):format(limit, window, o.burst or "")
  return store(fields, o, kind .. ":" .. name)
end

return limiter
