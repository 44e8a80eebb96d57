--- A dictionary of its own for a spec, below the Lua library: through the calls that C gives to Lua, with a clock that
-- the spec sets.
local C = require "tidegate.ffi"
local ffi = require "ffi"

-- Once per process, even where busted loads this module again.
if not pcall(ffi.typeof, "struct dict_clocks") then
  ffi.cdef [[
    struct dict *dict_new(size_t bytes);
    void dict_free(struct dict *d);
    int dict_resize(struct dict *d, size_t bytes, double now_s);
    struct dict_clocks { double now_s, wall_s; };
    struct dict_trouble { char text[256]; };
    int dict_save(struct dict *d, const char *path, struct dict_clocks at, uint64_t *entries, struct dict_trouble *e);
    int dict_load(struct dict *d, const char *path, struct dict_clocks at, uint64_t *entries, struct dict_trouble *e);
    int dict_load_from(struct dict *d, int fd, struct dict_clocks at, uint64_t *entries, struct dict_trouble *e);
  ]]
end

local Dictionary = {}
Dictionary.__index = Dictionary

local dictionary = {}

local ANSWERS = {
  [0] = "done", [-1] = "absent", [-2] = "exists", [-3] = "wrong kind", [-4] = "key limit", [-5] = "value limit",
}
local MODES = { set = C.TIDE_DICT_SET, add = C.TIDE_DICT_ADD, replace = C.TIDE_DICT_REPLACE }

local value, sum = ffi.new "struct tide_dict_value", ffi.new "double[1]"
local taken, stats = ffi.new "struct tide_dict_taken", ffi.new "struct tide_dict_stats"

--- A new one, freed with the object.
-- @tparam[opt] number bytes 1 MiB
-- @tparam[opt] number now seconds; 1000. The field may be set.
function dictionary.new(bytes, now)
  local dict = C.dict_new(bytes or 1024 * 1024)
  if dict == nil then return nil end
  return setmetatable({ dict = ffi.gc(dict, C.dict_free), now = now or 1000, scope = 0 }, Dictionary)
end

--- @treturn string "done", "absent", "exists", ...
function Dictionary:put(key, new, ttl, mode)
  local number = type(new) == "boolean" and (new and 1 or 0) or new
  if type(new) == "string" then
    return ANSWERS[C.tide_dict_put_string(self.dict, self.scope, key, #key, new, #new, ttl or math.huge, self.now,
      MODES[mode or "set"])]
  end
  local kind = type(new) == "boolean" and C.TIDE_DICT_BOOLEAN or C.TIDE_DICT_NUMBER
  return ANSWERS[C.tide_dict_put_number(self.dict, self.scope, key, #key, kind, number, ttl or math.huge, self.now,
    MODES[mode or "set"])]
end

--- @treturn ?string|number|boolean the value
-- @treturn number|string what is left of its time; without a value, why there is none
function Dictionary:get(key)
  local kind = C.tide_dict_get(self.dict, self.scope, key, #key, self.now, value)
  if kind < 0 then return nil, ANSWERS[kind] end
  if kind == C.TIDE_DICT_STRING then return ffi.string(value.at, value.len), value.left end
  if kind == C.TIDE_DICT_NUMBER then return value.number, value.left end
  return value.number == 1, value.left
end

function Dictionary:incr(key, by, init, ttl)
  local answer = C.tide_dict_incr(self.dict, self.scope, key, #key, by, init or 0, ttl or math.huge, self.now, sum)
  if answer < 0 then return nil, ANSWERS[answer] end
  return sum[0]
end

function Dictionary:expire(key, ttl)
  return ANSWERS[C.tide_dict_expire(self.dict, self.scope, key, #key, ttl, self.now)]
end

function Dictionary:delete(key) return ANSWERS[C.tide_dict_delete(self.dict, self.scope, key, #key, self.now)] end

--- All keys, sorted.
function Dictionary:keys()
  local cursor, piece, list = ffi.new "uint64_t[1]", ffi.new "struct slice", {}
  while C.tide_dict_keys(self.dict, cursor, self.now, piece) ~= 0 do
    local at = 0
    while at < tonumber(piece.len) do
      local len = ffi.new "uint32_t[1]"
      ffi.copy(len, piece.at + at, 4)
      list[#list + 1] = ffi.string(piece.at + at + 4, len[0])
      at = at + 4 + len[0]
    end
  end
  table.sort(list)
  return list
end

function Dictionary:flush() C.tide_dict_flush(self.dict) end

function Dictionary:resize(bytes) return C.dict_resize(self.dict, bytes, self.now) == 0 end

--- @treturn table bytes, bytes_used, entries, hits, misses, evictions, expired
function Dictionary:stats()
  C.tide_dict_stats_read(self.dict, stats)
  local read = {}
  for _, name in ipairs { "bytes", "bytes_used", "entries", "hits", "misses", "evictions", "expired" } do
    read[name] = stats[name]
  end
  return read
end

local function told(rc)
  if rc < 0 then return nil, ANSWERS[rc] end
  return rc == 1, taken.remaining, taken.retry_after, taken.reset
end

--- @treturn ?boolean allowed; nil and the answer when it was neither
-- @treturn number remaining
-- @treturn number retry_after
-- @treturn number reset
function Dictionary:bucket(key, rate, burst, cost)
  return told(C.tide_dict_bucket(self.dict, self.scope, key, #key, rate, burst, cost or 1, self.now, taken))
end

--- The same for a window: limit, window (seconds), sliding.
function Dictionary:window(key, o, cost)
  return told(C.tide_dict_window(self.dict, self.scope, key, #key, o.limit, o.window, o.sliding and 1 or 0, cost or 1,
    self.now, taken))
end

return dictionary
