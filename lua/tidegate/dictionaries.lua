--- The dictionaries of the configuration, as the control thread keeps them: made, resized, saved and read back.
local ffi = require "ffi"
local C = require "tidegate.ffi"

local dictionaries = {}

local why = ffi.new "struct tide_error"
local name_of, opened = ffi.new "struct slice[1]", ffi.new "bool[1]"

local files = {}        -- by name: where it is saved

local function tell(text) C.tide_log(2, text, "", 0) end

--- Those that were made by an earlier configuration: { name = true }.
local function known()
  local list, i = {}, 0
  while true do
    if C.tide_dict_at(i, name_of, opened) == nil then return list end
    if opened[0] then list[ffi.string(name_of[0].at, name_of[0].len)] = true end
    i = i + 1
  end
end

local function open(name, wish, is_new)
  local dict = C.tide_dict_open(name, #name, wish.size, why)
  if dict == nil then return tell(("dictionary %s: %s"):format(name, ffi.string(why.text))) end
  if is_new and wish.file and C.tide_dict_load(dict, wish.file, why) < 0 then
    tell(("dictionary %s: cannot read %s: %s"):format(name, wish.file, ffi.string(why.text)))
  end
end

--- Makes the dictionaries what a configuration says, before its plugins are loaded in the loops.
-- @tparam table wishes by name: { size = bytes, file = nil or where it is saved }
function dictionaries.apply(wishes)
  local before = known()
  files = {}
  for name, wish in pairs(wishes) do
    open(name, wish, not before[name])
    files[name] = wish.file
  end
  for name in pairs(before) do
    if not wishes[name] then C.tide_dict_retire(name, #name) end
  end
end

--- Writes those that have a file.
function dictionaries.save()
  for name, file in pairs(files) do
    local dict = C.tide_dict_use(name, #name, 0, why)
    if dict == nil or C.tide_dict_save(dict, file, why) < 0 then
      tell(("dictionary %s: cannot save to %s: %s"):format(name, file, ffi.string(why.text)))
    end
  end
end

return dictionaries
