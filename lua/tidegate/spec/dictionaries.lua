--- The dictionaries of the process, tide.shared: emptied after each test, or put back as they were.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local process = require "tidegate.spec.process"

local dictionaries = {}

local name, opened = ffi.new "struct slice[1]", ffi.new "bool[1]"
local stats, why = ffi.new "struct tide_dict_stats", ffi.new "struct tide_error"

local function each()
  local index = -1
  return function()
    index = index + 1
    local dict = C.tide_dict_at(index, name, opened)
    return dict ~= nil and dict or nil
  end
end

--- Empties all.
function dictionaries.clear()
  for dict in each() do C.tide_dict_flush(dict) end
end

local function check(count, doing)
  if count < 0 then error(("%s a dictionary: %s"):format(doing, ffi.string(why.text)), 0) end
end

--- What a dictionary holds, as the bytes of a snapshot; nil where it is empty.
local function snapshot(dict)
  C.tide_dict_stats_read(dict, stats)
  if stats.entries == 0 then return nil end
  local path = os.tmpname()
  check(C.tide_dict_save(dict, path, why), "keeping")
  local bytes = process.read(path)
  os.remove(path)
  return bytes
end

local function restore(dict, bytes)
  local path = os.tmpname()
  process.write(path, bytes)
  local count = C.tide_dict_load(dict, path, why)
  os.remove(path)
  check(count, "restoring")
end

--- Keeps what they hold now.
-- @treturn function() puts it back
function dictionaries.keep()
  local kept = {}
  for dict in each() do table.insert(kept, { dict = dict, bytes = snapshot(dict) }) end
  return function()
    dictionaries.clear()
    for _, one in ipairs(kept) do
      if one.bytes then restore(one.dict, one.bytes) end
    end
  end
end

return dictionaries
