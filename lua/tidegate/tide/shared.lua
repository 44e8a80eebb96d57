--- Dictionaries that all loops share: `tide.shared(name)`.
--
-- A dictionary has a fixed size; when it is full, what was not used for the longest time gives way. Keys are texts,
-- values texts, numbers and booleans. Each call is one step for everybody else. They are there until the gateway ends,
-- over all reloads. Where the configuration names none of that name, one of 8 MiB is made.
local C = require "tidegate.ffi"
local ffi = require "ffi"
local words = require "tidegate.tide.words"

local type, max_number = type, math.huge
local ffi_string = ffi.string

local ABSENT, EXISTS = C.TIDE_DICT_ABSENT, C.TIDE_DICT_EXISTS
local KEY_LIMIT, VALUE_LIMIT = C.TIDE_DICT_KEY_LIMIT, C.TIDE_DICT_VALUE_LIMIT
local STRING, NUMBER, BOOLEAN = C.TIDE_DICT_STRING, C.TIDE_DICT_NUMBER, C.TIDE_DICT_BOOLEAN
local SET, ADD, REPLACE = C.TIDE_DICT_SET, C.TIDE_DICT_ADD, C.TIDE_DICT_REPLACE

local KEYS = 1024           -- what keys() gives when no number is said

local found = ffi.new "struct tide_dict_value"
local sum = ffi.new "double[1]"

local shared = {}

--- The clock of all times to live: seconds, of a clock that never jumps. Specs may put another one here.
function shared.now() return C.tide_monotonic() end

local Dictionary = {}
Dictionary.__index = Dictionary

-- Both refuse by a tail call, so that the error is told where the library was called.
local function check_key(key, where)
  if type(key) ~= "string" then return words.misuse(where, "a text as key", key) end
end

--- Seconds to live: none said is for ever.
local function ttl_of(ttl, where)
  if ttl == nil then return max_number end
  if type(ttl) ~= "number" then return words.misuse(where, "seconds to live", ttl) end
  if ttl ~= ttl then error(where .. ": expected seconds to live, found NaN", 3) end
  return ttl
end

--- The second result for an answer below 0.
local function reason(self, answer, key, value)
  if answer == ABSENT then return "not found" end
  if answer == EXISTS then return "exists" end
  if answer == KEY_LIMIT then
    return ("key: expected at most %d bytes, found %d"):format(C.tide_dict_key_limit(self.dict), #key)
  end
  if answer == VALUE_LIMIT then
    return ("value: expected at most %d bytes, found %d"):format(C.tide_dict_value_limit(self.dict), #value)
  end
  return "not a number"
end

--- @treturn ?string|number|boolean nil where there is none
function Dictionary:get(key)
  if type(key) ~= "string" then words.misuse("shared:get", "a text as key", key) end
  local kind = C.tide_dict_get(self.dict, 0, key, #key, shared.now(), found)
  if kind == STRING then return ffi_string(found.at, found.len) end
  if kind == NUMBER then return found.number end
  if kind == BOOLEAN then return found.number ~= 0 end
  return nil
end

local function put(self, key, value, ttl, mode, where)
  check_key(key, where)
  ttl = ttl_of(ttl, where)
  local answer
  if type(value) == "string" then
    answer = C.tide_dict_put_string(self.dict, 0, key, #key, value, #value, ttl, shared.now(), mode)
  elseif type(value) == "number" then
    answer = C.tide_dict_put_number(self.dict, 0, key, #key, NUMBER, value, ttl, shared.now(), mode)
  elseif type(value) == "boolean" then
    answer = C.tide_dict_put_number(self.dict, 0, key, #key, BOOLEAN, value and 1 or 0, ttl, shared.now(), mode)
  else
    words.misuse(where, "a text, a number or a boolean as value", value)
  end
  if answer == 0 then return true end
  return nil, reason(self, answer, key, value)
end

--- Sets a value.
-- @tparam string key
-- @tparam string|number|boolean value
-- @tparam[opt] number ttl seconds to live: for ever when it is not said, over at once when it is 0 or less
-- @treturn ?boolean true, or nil and a reason: it is over a limit
function Dictionary:set(key, value, ttl) return put(self, key, value, ttl, SET, "shared:set") end

--- The same, only where there is none: else nil, "exists".
function Dictionary:add(key, value, ttl) return put(self, key, value, ttl, ADD, "shared:add") end

--- The same, only where there is one: else nil, "not found".
function Dictionary:replace(key, value, ttl) return put(self, key, value, ttl, REPLACE, "shared:replace") end

--- Adds to a number.
-- @tparam string key
-- @tparam[opt=1] number by
-- @tparam[opt=0] number init what an absent one is before `by` is added
-- @tparam[opt] number ttl seconds to live of one that is made by this; one that is there keeps its time
-- @treturn ?number the sum, or nil and a reason: "not a number", or a limit
function Dictionary:incr(key, by, init, ttl)
  if type(key) ~= "string" then words.misuse("shared:incr", "a text as key", key) end
  if by == nil then by = 1 end
  if init == nil then init = 0 end
  if type(by) ~= "number" or by - by ~= 0 then words.misuse("shared:incr", "a finite number to add", by) end
  if type(init) ~= "number" or init - init ~= 0 then words.misuse("shared:incr", "a finite number as init", init) end
  local answer = C.tide_dict_incr(self.dict, 0, key, #key, by, init, ttl_of(ttl, "shared:incr"), shared.now(), sum)
  if answer == 0 then return sum[0] end
  return nil, reason(self, answer, key)
end

--- Another time to live, from now on.
-- @tparam string key
-- @tparam[opt] number ttl seconds; for ever when it is not said
-- @treturn ?boolean true, or nil, "not found"
function Dictionary:expire(key, ttl)
  check_key(key, "shared:expire")
  local answer = C.tide_dict_expire(self.dict, 0, key, #key, ttl_of(ttl, "shared:expire"), shared.now())
  if answer == 0 then return true end
  return nil, reason(self, answer, key)
end

--- What is left of a time to live.
-- @treturn ?number seconds, math.huge for ever; or nil, "not found"
function Dictionary:ttl(key)
  check_key(key, "shared:ttl")
  local left = C.tide_dict_left(self.dict, 0, key, #key, shared.now())
  if left >= 0 then return left end
  return nil, "not found"
end

--- @treturn boolean whether there was one
function Dictionary:delete(key)
  check_key(key, "shared:delete")
  return C.tide_dict_delete(self.dict, 0, key, #key, shared.now()) == 0
end

local cursor, piece, length = ffi.new "uint64_t[1]", ffi.new "struct slice", ffi.new "uint32_t[1]"
local LENGTH = ffi.sizeof(length)

--- Puts the keys of a piece behind a list, as far as it may grow.
local function add_keys(list, most)
  local at, stop = 0, tonumber(piece.len)
  while at < stop and #list < most do
    ffi.copy(length, piece.at + at, LENGTH)
    list[#list + 1] = ffi_string(piece.at + at + LENGTH, length[0])
    at = at + LENGTH + length[0]
  end
end

--- Keys, in no order. Others go on meanwhile: a key that comes or goes may be in the list or not.
-- @tparam[opt=1024] number most
-- @treturn {string,...}
function Dictionary:keys(most)
  if most == nil then most = KEYS end
  if type(most) ~= "number" or most ~= most or most < 0 then words.misuse("shared:keys", "a number of keys", most) end
  local list, now = {}, shared.now()
  cursor[0] = 0
  while #list < most and C.tide_dict_keys(self.dict, cursor, now, piece) ~= 0 do add_keys(list, most) end
  return list
end

--- Forgets everything, what limiters and caches keep in this dictionary as well.
function Dictionary:flush() C.tide_dict_flush(self.dict) end

--- @treturn table bytes (its size), bytes_used, entries, hits, misses, evictions, expired; since the gateway began
function Dictionary:stats()
  local s = ffi.new "struct tide_dict_stats"
  C.tide_dict_stats_read(self.dict, s)
  return {
    bytes = s.bytes, bytes_used = s.bytes_used, entries = s.entries,
    hits = s.hits, misses = s.misses, evictions = s.evictions, expired = s.expired,
  }
end

local opened = {}           -- name -> object; as many as there may be dictionaries

--- The dictionary of a name; the same object each time. An error where there can be none.
-- @tparam string name 1 to 64 printable characters without spaces
-- @tparam[opt] number size bytes, where it is made by this; 8 MiB
function shared.open(name, size)
  local dictionary = opened[name]
  if dictionary then return dictionary end
  if type(name) ~= "string" then words.misuse("shared", "a name", name) end
  if size ~= nil and type(size) ~= "number" then words.misuse("shared", "a number of bytes", size) end
  local trouble = ffi.new "struct tide_error"
  local dict = C.tide_dict_use(name, #name, size or 0, trouble)
  if dict == nil then error("shared: " .. ffi_string(trouble.text), 2) end
  dictionary = setmetatable({ dict = dict, name = name }, Dictionary)
  opened[name] = dictionary
  return dictionary
end

return setmetatable(shared, { __call = function(_, name) return shared.open(name) end })
