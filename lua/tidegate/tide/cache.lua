--- Read-through caches: `tide.cache{ name = "users", ttl = 60 }:get(key, loader)`.
--
-- What is kept is in a shared dictionary, for all loops and generations that make a cache of the same name. Of those
-- that want a key which is not there, one runs the loader: in a loop the others wait for it at a gate, in other loops
-- they look again and again, with growing pauses. A claim in the dictionary, which ends by itself, tells loops of each
-- other.
--
-- In the dictionary a number or boolean is kept as it is; a text has a byte before it that tells what it is. An entry
-- lives for ttl and stale together: it is stale when no more than `stale` is left.
local C = require "tidegate.ffi"
local buffer = require "string.buffer"
local ffi = require "ffi"
local shared = require "tidegate.tide.shared"
local task = require "tidegate.tide.task"
local wait = require "tidegate.tide.wait"
local words = require "tidegate.tide.words"

local error, max, min, pcall, type = error, math.max, math.min, pcall, type
local ffi_string = ffi.string

local NUMBER, BOOLEAN = C.TIDE_DICT_NUMBER, C.TIDE_DICT_BOOLEAN
local SET, ADD, EXISTS = C.TIDE_DICT_SET, C.TIDE_DICT_ADD, C.TIDE_DICT_EXISTS

local DICTIONARY = "cache"
local TEXT, NOTHING = ("sn"):byte(1, 2)       -- the first byte of a text; of an encoded table it is T
local FRESH, STALE = 1, 2
local LONGEST = 1e9                             -- seconds
local FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.05      -- seconds between two looks for what another loop loads

local found = ffi.new "struct tide_dict_value"
local decoder = buffer.new()

local cache = {}

local Cache = {}
Cache.__index = Cache

-- -- what is kept --

local function decode() return decoder:decode() end

--- The table in `found`; nil for one of another version, from a snapshot: as if it were not there.
local function decode_found()
  decoder:set(found.at + 1, tonumber(found.len) - 1)
  local ok, value = pcall(decode)
  decoder:reset()
  if ok then return value end
  return nil
end

--- Looks a key up: FRESH or STALE and the value, or nil.
local function look(self, key)
  local kind = C.tide_dict_get(self.dict, self.scope, key, #key, shared.now(), found)
  if kind < 0 then return nil end
  local state = found.left > self.stale and FRESH or STALE
  if kind == NUMBER then return state, found.number end
  if kind == BOOLEAN then return state, found.number ~= 0 end
  if found.len == 0 then return nil end                 -- not written by this
  local tag = found.at[0]
  if tag == TEXT then return state, ffi_string(found.at + 1, found.len - 1) end
  if tag == NOTHING then return FRESH, nil end          -- has no time to be stale in
  local value = decode_found()
  if value == nil then return nil end
  return state, value
end

local function put_text(self, key, text, ttl)
  return C.tide_dict_put_string(self.dict, self.scope, key, #key, text, #text, ttl, shared.now(), SET)
end

local function put_number(self, key, kind, number)
  local ttl = self.ttl + self.stale
  return C.tide_dict_put_number(self.dict, self.scope, key, #key, kind, number, ttl, shared.now(), SET)
end

--- Keeps a value. One that is over a limit of the dictionary is not kept; it is right all the same.
local function keep(self, key, value)
  local kind = type(value)
  if kind == "string" then
    put_text(self, key, "s" .. value, self.ttl + self.stale)
  elseif kind == "number" then
    put_number(self, key, NUMBER, value)
  elseif kind == "boolean" then
    put_number(self, key, BOOLEAN, value and 1 or 0)
  elseif kind == "table" then
    put_text(self, key, "T" .. buffer.encode(value), self.ttl + self.stale)
  elseif kind == "nil" then
    if self.negative_ttl > 0 then
      put_text(self, key, "n", self.negative_ttl)
    else
      C.tide_dict_delete(self.dict, self.scope, key, #key, shared.now())
    end
  else
    error(("cache: expected a text, number, boolean, table or nil from the loader, found a %s"):format(kind), 0)
  end
end

-- -- one loader --

--- Claims a key for this loop. A key that is too long can be claimed by everybody, and is never kept.
local function claim(self, key)
  return C.tide_dict_put_number(self.dict, self.claims, key, #key, NUMBER, 1, self.timeout, shared.now(), ADD) ~= EXISTS
end

--- Ends a claim made at some time, unless it has ended: then it may be another loop's.
local function release(self, key, since)
  local now = shared.now()
  if now < since + self.timeout then C.tide_dict_delete(self.dict, self.claims, key, #key, now) end
end

--- Tells those who wait in this loop how it ended.
local function land(self, key, flight, value, err)
  flight.done, flight.value, flight.err = true, value, err
  if self.flights[key] == flight then self.flights[key] = nil end
  if flight.gate then flight.gate:open() end
  return value, err
end

--- Keeps what a loader returned, unless it is an error.
local function kept(self, key, value, err)
  if value ~= nil or err == nil then keep(self, key, value) end
  return value, err
end

--- The loader has ended, one way or the other.
local function loaded(self, key, flight, since, ok, value, err)
  if ok then ok, value, err = pcall(kept, self, key, value, err) end
  if since then release(self, key, since) end
  if ok then return land(self, key, flight, value, err) end
  land(self, key, flight, nil, "cache: the loader failed: " .. tostring(value))
  error(value, 0)
end

--- Runs the loader, or waits for another loop that does.
local function lead(self, key, loader, ...)
  local since, pause = shared.now(), FIRST_PAUSE
  local flight = { ends = since + self.timeout }
  self.flights[key] = flight
  local claimed = claim(self, key)
  while true do
    -- Another loop may have kept it between our look and our claim.
    local state, value = look(self, key)
    if state == FRESH then
      if claimed then release(self, key, since) end
      return land(self, key, flight, value)
    end
    if claimed or not wait.can() then break end
    if shared.now() >= flight.ends then return land(self, key, flight, nil, "timeout") end
    wait.sleep(pause)
    pause = min(2 * pause, LONGEST_PAUSE)
    since = shared.now()
    claimed = claim(self, key)
  end
  return loaded(self, key, flight, claimed and since, pcall(loader, key, ...))
end

--- Waits for the one in this loop that leads.
local function follow(flight)
  flight.gate = flight.gate or wait.gate()
  flight.gate:wait(max(0, flight.ends - shared.now()))
  if flight.done then return flight.value, flight.err end
  return nil, "timeout"
end

--- A flight that took longer than it may has lost its leader, or has to expect another one.
local function miss(self, key, loader, ...)
  local flight = self.flights[key]
  if flight and shared.now() < flight.ends then
    if wait.can() then return follow(flight) end
    return kept(self, key, loader(key, ...))
  end
  return lead(self, key, loader, ...)
end

-- -- what is stale --

--- The loader of a key that this loop has claimed has ended. Where it failed, the claim stays for a while: all get the
-- stale value, and the next try is after that.
local function reloaded(self, key, since, ok, value, err)
  local failed = not ok or (value == nil and err ~= nil)
  if not failed then
    ok, value = pcall(keep, self, key, value)
    failed = not ok
  end
  if failed then
    C.tide_dict_expire(self.dict, self.claims, key, #key, self.retry, shared.now())
  else
    release(self, key, since)
  end
  if not ok then error(value, 0) end
end

local function reload(self, key, since, loader, ...)
  return reloaded(self, key, since, pcall(loader, key, ...))
end

--- One loads a new value in the background, all get the stale one.
local function refresh(self, key, stale, loader, ...)
  if claim(self, key) then task.spawn(reload, self, key, shared.now(), loader, ...) end
  return stale
end

-- -- what plugins call --

--- The value of a key: the one that is kept, or what the loader returns.
-- @tparam string key
-- @tparam function loader called as loader(key, ...); returns a text, number, boolean or table, or nil where there is
-- nothing, which is kept for negative_ttl; or nil and an error, which is not kept. What it raises goes to its caller.
-- @param ... for the loader
-- @return the value; a table is a copy of one's own. nil where there is nothing
-- @return an error: the loader's, or "timeout"
function Cache:get(key, loader, ...)
  if type(key) ~= "string" then words.misuse("cache:get", "a text as key", key) end
  if type(loader) ~= "function" then words.misuse("cache:get", "a function as loader", loader) end
  local state, value = look(self, key)
  if state == FRESH then return value end
  if state == STALE then return refresh(self, key, value, loader, ...) end
  return miss(self, key, loader, ...)
end

--- Keeps a value as if a loader had returned it.
function Cache:set(key, value)
  if type(key) ~= "string" then words.misuse("cache:set", "a text as key", key) end
  keep(self, key, value)
end

--- Forgets a key in all loops.
function Cache:delete(key)
  if type(key) ~= "string" then words.misuse("cache:delete", "a text as key", key) end
  C.tide_dict_delete(self.dict, self.scope, key, #key, shared.now())
end

-- -- making one --

local flights = {}              -- name of a cache -> key -> what is under way in this loop

local OPTIONS = {
  name = "string", dictionary = "string", size = "number",
  ttl = "number", negative_ttl = "number", stale = "number", timeout = "number", retry = "number",
}

local function seconds(o, option, most, default)
  local value = o[option] or default
  if value and value >= 0 and value <= most then return value end
  error(("cache: %s: expected seconds from 0 to %g, found %s"):format(option, most, tostring(value)), 3)
end

--- Makes a cache.
-- @tparam table options
--   name: caches of one name share what they keep;
--   ttl: seconds that a value is good for; negative_ttl (0): that "there is nothing" is;
--   stale (0): seconds after ttl in which the old value is given while one loads a new one, or when that fails;
--   timeout (5): the longest that a loader may take, and that others wait for it;
--   retry (1): after a reload of a stale value failed, seconds until the next;
--   dictionary ("cache") and size: where it keeps; the size counts where this makes the dictionary
-- @tparam[opt] string name for options without one
function cache.new(options, name)
  local o = words.options("cache", options, OPTIONS)
  name = o.name or name
  if not name then error("cache: name: expected a name (caches of one name share what they keep), found nil", 2) end
  flights[name] = flights[name] or {}
  local self = {
    flights = flights[name],
    scope = C.tide_dict_scope("cache:" .. name, #name + 6),
    claims = C.tide_dict_scope("claim:" .. name, #name + 6),
    ttl = seconds(o, "ttl", math.huge),
    negative_ttl = seconds(o, "negative_ttl", math.huge, 0),
    stale = seconds(o, "stale", LONGEST, 0),
    timeout = seconds(o, "timeout", LONGEST, 5),
    retry = seconds(o, "retry", LONGEST, 1),
  }
  if self.ttl == math.huge then self.stale = 0 end      -- good for ever
  self.dict = shared.open(o.dictionary or DICTIONARY, o.size).dict
  return setmetatable(self, Cache)
end

return setmetatable(cache, { __call = function(_, options) return cache.new(options) end })
