--- What the control thread asks of Lua: a generation from the files, and answers for the control socket.
local ffi = require "ffi"
local config = require "tidegate.config"
local dictionaries = require "tidegate.dictionaries"
local cjson = require "cjson"
local status = require "tidegate.status"

pcall(ffi.cdef, "unsigned umask(unsigned mask);")

local control = {}

local function lines_of(text)
  local list = {}
  for line in (text or ""):gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

local loaded            -- the texts of the newest load

local function read_kept(name)
  local file = io.open(name, "rb")
  if not file then return nil end
  local ok, texts = pcall(cjson.decode, file:read "*a")
  file:close()
  return ok and texts or nil
end

--- Keeps the texts of the newest load, which is in force now, for a worker that finds worse ones on disk.
-- @tparam string name of the file; only its owner can read it, because secrets are in it
function control.keep(name)
  local before = ffi.C.umask(63)
  local file = io.open(name .. ".new", "wb")
  ffi.C.umask(before)
  if not file then return end
  file:write(cjson.encode(loaded))
  file:close()
  os.rename(name .. ".new", name)
end

--- Loads the configuration.
-- @tparam string path absolute
-- @tparam ?string overrides assignments of --set, one per line
-- @tparam ?string good name of a file that control.keep wrote: its texts count instead of what is on disk
-- @treturn ?number address of the finished generation, which the caller now owns
-- @treturn string what is wrong or remarkable, for people; "" where all is well
-- @treturn string absolute names of all files that it depends on, one per line
function control.load(path, overrides, good)
  local result = config.load(path, { set = lines_of(overrides), texts = good and read_kept(good) })
  loaded = result.texts
  local address
  if result.generation then
    address = tonumber(ffi.cast("uintptr_t", result.generation))
    dictionaries.apply(result.config.dictionaries)
  end
  return address, result.report:text(), table.concat(result.files, "\n")
end

--- Saves what is to survive the process. Called now and then, and at the end.
function control.save() dictionaries.save() end

local ANSWERS = {
  metrics = function() return 200, require("tidegate.metrics").text(status.read()), "text/plain; version=0.0.4" end,
}

--- Answers a question of a loop, for a client of an internal listener.
-- @tparam string question
-- @treturn number status
-- @treturn string body
-- @treturn string media type
function control.answer(question) return ANSWERS[question]() end

local COMMANDS = {
  ["status"] = status.text, ["status json"] = status.json, ["status plugins"] = status.plugins,
  ["status plugins json"] = status.plugins_json,
}

--- Answers a line that came over the control socket.
-- @tparam string line
-- @tparam string state what the last reload had to say
-- @treturn string
function control.command(line, state)
  local answer = COMMANDS[line:match "^%s*(.-)%s*$"]
  if not answer then return ("error\nunknown command %q\n"):format(line:sub(1, 60)) end
  return answer(state)
end

return control
