--- What the control thread asks of Lua: a generation from the files, and answers for the control socket.
local ffi = require "ffi"
local config = require "tidegate.config"
local dictionaries = require "tidegate.dictionaries"
local discovery = require "tidegate.discovery"
local json = require "tidegate.tide.json"
local live = require "tidegate.live"
local overrides = require "tidegate.config.overrides"
local privileges = require "tidegate.config.privileges"
local quarantine = require "tidegate.config.quarantine"
local running = require "tidegate.running"
local status = require "tidegate.status"

local control = {}

-- -- loading --

local newest            -- what the newest load gave, until it is known what became of it
local inherited         -- what an earlier worker has kept, until there is a configuration in force

local started_with      -- what of the configuration counts at the start only, as it was then: texts by path

local was_root = privileges.mine().is_root

--- What of these keys is in force when a configuration is loaded; of the first one of a worker only the pid file, if
-- there was another worker before.
local function in_force()
  return started_with or { ["gateway.pid_file"] = os.getenv "TIDEGATE_PID_FILE_HELD" }
end

--- What this worker starts with. Only root becomes somebody else.
local function starting(result)
  local values = result.started_with
  values["gateway.pid_file"] = result.config.gateway.pid_file
  if not was_root then values["gateway.user"] = nil end
  return values
end

--- Loads what stands in the history or was kept, as it is.
local function load_kept(path, own, kept, rolled_back)
  local result = config.load(path, {
    set = own.set, env = own.env, texts = kept.texts, edits = kept.edits, in_force = in_force(),
  })
  result.told, result.rolled_back = result.report:text(), rolled_back
  return result
end

local function load_files(path, own)
  local good = running.texts and running or inherited
  local options = { set = own.set, env = own.env, in_force = in_force() }
  return quarantine.load(path, options, good and { texts = good.texts, edits = good.edits })
end

local SOURCES = {}

function SOURCES.kept(path, own, name)
  local kept = running.kept(name)
  if kept then return load_kept(path, own, kept, kept.rolled_back) end
  return load_files(path, own)
end

function SOURCES.rollback(path, own, number)
  local kept, why = running.history:texts(tonumber(number))
  if not kept then return nil, why end
  return load_kept(path, own, kept, tonumber(number))
end

--- Looks whether there is a generation to go back to: asking for one that is not there is no reload.
-- @tparam string number
-- @treturn ?string the answer of the control socket where there is none
function control.refuse_rollback(number)
  local known, why = running.history:knows(tonumber(number))
  return not known and ("error\n%s\n"):format(why) or nil
end

-- While a configuration is loaded the memory grows to about ten times what it is between loads, and there is next to no
-- garbage in it: looking for some on the way takes a third of the time. So nothing is collected until plugins are
-- loaded (tidegate.config), and little after that; what is garbage then goes when the load is over (src/run/reload.c).
local LOADING_PAUSE, USUAL_PAUSE = 1200, 200

--- Loads the configuration.
-- @tparam string path absolute
-- @tparam ?string words --set and --env as overrides.to_text has them
-- @tparam ?string from what counts instead of the files: "kept FILE", what an earlier worker had in force; or
--   "rollback N", a generation of the history
-- @treturn ?number address of the finished generation, which the caller now owns
-- @treturn string what is wrong or remarkable, for people; "" where all is well
-- @treturn ?string absolute names of all files that it depends on, one per line, and its patterns after "glob "
-- @treturn number of items in quarantine
function control.load(path, words, from)
  collectgarbage("setpause", LOADING_PAUSE)
  collectgarbage "stop"
  local word, rest = (from or ""):match "^(%a+) (.*)$"
  local load = SOURCES[word] or load_files
  local why
  newest, why = load(path, overrides.from_text(words), rest)
  if not newest then return nil, why .. "\n", nil, 0 end
  newest.path = path
  local address
  if newest.generation then
    address = tonumber(ffi.cast("uintptr_t", newest.generation))
    dictionaries.apply(newest.config.dictionaries)
  end
  local watched = table.concat(newest.files, "\n")
  for _, pattern in ipairs(newest.globs) do watched = watched .. "\nglob " .. pattern end
  return address, newest.told, watched, #(newest.quarantined or {})
end

--- Begins with what an earlier worker may have left behind. Before the first load.
-- @tparam ?string good name of the file that it kept; nil where there was none
-- @treturn number 1 where that is to count instead of the files, because these had been left by a rollback; else 0
function control.inherit(good)
  inherited = good and running.kept(good)
  return inherited and inherited.rolled_back and 1 or 0
end

--- Makes the history beside a pid file known.
-- @treturn number of the newest generation in it
function control.open(pid_file) return running.open(pid_file) end

-- Machine code keeps alive what it was made for, plugins of long ago among that: now and then all of it goes.
local FLUSH_EVERY = 32
local loads = 0

--- A load is over.
local function finish()
  newest = nil
  loads = loads + 1
  if loads % FLUSH_EVERY == 0 then jit.flush() end
  collectgarbage("setpause", USUAL_PAUSE)
  collectgarbage "restart"
end

--- What was loaded last has come in force.
-- @tparam string number of the generation
-- @tparam string cause
function control.in_force(number, cause)
  running.set(newest, tonumber(number), cause, newest.rolled_back)
  running.path = newest.path
  started_with = started_with or starting(newest)
  status.in_force, status.needs_restart = started_with, newest.needs_restart
  inherited = nil
  finish()
end

--- What was loaded last was refused.
function control.refused(cause, report)
  running.refused(cause, report)
  finish()
end

--- Saves what is to survive the process. Called now and then, and at the end.
function control.save() dictionaries.save() end

--- Reads a file of nodes again.
control.discover = discovery.refresh

-- -- answering --

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
  ["status plugins json"] = status.plugins_json, ["history"] = live.history, ["history json"] = live.history_json,
  ["status nodes"] = status.nodes, ["status nodes json"] = status.nodes_json,
}

-- Commands with a value behind them, in JSON.
local ABOUT = { diff = live.diff, explain = live.explain }

--- Answers a line that came over the control socket.
-- @tparam string line
-- @tparam string state what the last reload had to say
-- @tparam[opt] string path of the configuration
-- @tparam[opt] string words as for load
-- @treturn string
function control.command(line, state, path, words)
  line = line:match "^%s*(.-)%s*$"
  local word, rest = line:match "^(%a+) ({.*)$"
  local value = ABOUT[word] and json.decode(rest)
  if value then return ABOUT[word](value, path, overrides.from_text(words)) end
  local answer = COMMANDS[line]
  if not answer then return ("error\nunknown command %q\n"):format(line:sub(1, 60)) end
  return answer(state, path, overrides.from_text(words))
end

return control
