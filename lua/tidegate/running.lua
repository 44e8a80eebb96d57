--- The configuration in force, as the control thread's Lua remembers it: its texts, what it says object by object, what
-- of it is in quarantine, and the history that it stands in.
local History = require "tidegate.history"
local config = require "tidegate.config"
local digest = require "tidegate.config.digest"

local running = {
  number = 0,
  quarantined = {},         -- see tidegate.config.quarantine
  path = nil,               -- of the main file
  rolled_back = nil,        -- the number of the generation whose texts these are, where the files say something else
  disabled = {},            -- words for each node that is not enabled: "app 10.0.0.1:80"
  trouble = nil,            -- why the newest of what is kept beside the pid file could not be written
}

--- Where the things beside a pid file are.
local function files_of(pid_file) return pid_file .. ".good", pid_file .. ".history" end

--- Makes the history known. Once, before the first configuration comes in force.
-- @tparam string pid_file absolute
-- @treturn number of the newest generation that it holds; 0 where there is none
function running.open(pid_file)
  local _, folder = files_of(pid_file)
  running.pid_file = pid_file
  running.history = History.new(folder)
  return running.history:last()
end

--- What a configuration that is loaded can be loaded from again.
local function kept_of(result, rolled_back)
  return { texts = result.texts, edits = result.edits or {}, rolled_back = rolled_back }
end

local function words_of(target)
  if target.file then return "unix:" .. target.file end
  return (target.host:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(target.host, target.port)
end

local function disabled_of(services)
  local list = {}
  for name, service in pairs(services) do
    for _, node in ipairs(service.nodes) do
      if not node.enabled then list[#list + 1] = name .. " " .. words_of(node.url) end
    end
  end
  table.sort(list)
  return list
end

--- A configuration has come in force.
-- @tparam table result of tidegate.config.quarantine.load or config.load
-- @tparam number number of its generation
-- @tparam string cause why it was loaded
-- @tparam ?number rolled_back see above
function running.set(result, number, cause, rolled_back)
  local name = files_of(running.pid_file)
  local before, now = running.digest, digest.of(result)
  running.texts, running.edits, running.digest, running.number = result.texts, result.edits or {}, now, number
  local was_rolled_back = running.rolled_back
  running.disabled = disabled_of(result.config.services)
  running.quarantined, running.rolled_back = result.quarantined or {}, rolled_back
  local bytes, why = History.write(name, kept_of(result, rolled_back))        -- nothing depends on it now
  -- An older one is better than none for the next worker, but it must not bring back what a rollback had.
  if not bytes and was_rolled_back and was_rolled_back ~= rolled_back then os.remove(name) end
  local what = before and digest.line(digest.compare(before, now)) or "the first since the worker began"
  if #running.quarantined > 0 then what = ("%s; %d in quarantine"):format(what, #running.quarantined) end
  running.history:add({ number = number, good = true, cause = cause, what = what }, bytes and name, bytes)
  running.trouble = why or running.history.trouble
end

--- A configuration was refused.
-- @tparam string cause
-- @tparam string report what was wrong
function running.refused(cause, report)
  running.history:add { good = false, cause = cause, what = report:match "[^\n]+" or "" }
  running.trouble = running.history.trouble or running.trouble
end

--- Loads the configuration in force once more, as it is.
-- @tparam string path
-- @tparam table own set and env of the gateway
-- @treturn table of config.load
function running.load(path, own)
  return config.load(path, { set = own.set, env = own.env, texts = running.texts, edits = running.edits })
end

--- What was kept by an earlier worker: { texts =, edits =, rolled_back = }; nil where nothing was.
function running.kept(name) return History.read_texts(name) end

return running
