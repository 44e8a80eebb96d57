--- Loading with gateway.on_invalid: quarantine. An item of the files that became bad keeps its last good version, and
-- the rest of the new configuration comes in force:
--
--   * a route, service, listener, plugin or instance: as it was written in the configuration in force;
--   * a file of a plugin, an included file: its text in the configuration in force;
--   * a route without a good version takes its requests still, and answers them with 503;
--   * a service or a listener that is new is left out, and routes that need it are bad as well.
--
-- All else that is wrong refuses the whole, as without quarantine: what is in no item; a plugin of the global chain or
-- an instance that is new, and a route of which nobody can tell what requests it takes, because what is left out might
-- be what guards; a main file that is no YAML.
local Sources = require "tidegate.config.source"
local config = require "tidegate.config"
local items = require "tidegate.config.items"

local quarantine = {}

local ROUNDS_MAX = 16       -- each one finds what only shows when the errors before it are gone

local KEPT, SHUT, LEFT_OUT = "keeps its last good version", "answers with 503", "is left out"

local Loader = {}
Loader.__index = Loader

--- The options of a load from texts and edits.
function Loader:with(given)
  local own = self.options
  return { set = own.set, env = own.env, getenv = own.getenv, variables = own.variables,
           in_force = own.in_force, texts = given.texts, edits = given.edits }
end

--- The items of the configuration in force.
function Loader:good_items()
  if not self.good then return items.list {} end
  if not self.known then
    local node = config.nodes(self.good.path or self.path, self:with(self.good))
    self.known = items.list(node or {})
  end
  return self.known
end

--- What may stand for an item, best first: { node or false, words }.
function Loader:choices(item)
  local good = items.twin(self:good_items(), item)
  local list = { good and { good.node, good.node.is_shut and SHUT or KEPT } or nil }
  if item.section == "routes" then
    list[#list + 1] = { items.shut(item.node, true), SHUT }
    list[#list + 1] = { items.shut(item.node, false), SHUT }
  elseif not good and (item.section == "services" or item.section == "listen") then
    list[#list + 1] = { false, LEFT_OUT }
  end
  return list
end

--- Tries the next best for an item. False where there is none.
function Loader:give_way(item)
  local state = self.states[item.id]
  if not state then
    state = { id = item.id, section = item.section, file = item.node.file, line = item.node.line, tried = 0,
              choices = self:choices(item) }
    self.states[item.id] = state
    table.insert(self.order, state)
  end
  state.tried = state.tried + 1
  local choice = state.choices[state.tried]
  if not choice then return false end
  self.edits[item.id], state.version = choice[1], choice[2]
  return true
end

--- Takes the text of a file from the configuration in force. False where it has none, or the same.
function Loader:take_old_text(file)
  local old = self.good and self.good.texts[file]
  if not old or old == self.texts[file] then return false end
  self.texts[file] = old
  table.insert(self.order, { id = "file " .. file, section = "file", file = file, version = KEPT })
  return true
end

--- Takes the texts of all plugins from the configuration in force: what was good with them, and is as it was, became
-- bad by a plugin that was saved.
function Loader:take_old_plugins()
  local taken = false
  for file in pairs(self.good and self.good.texts or {}) do
    if file:find "%.lua$" and self.texts[file] then taken = self:take_old_text(file) or taken end
  end
  return taken
end

--- What has to give way for the errors of a round: a set of items, and one of files. Nil where an error is in none.
function Loader:culprits(result)
  local found, files = {}, {}
  -- As they were written: what is kept must hold no values from the environment.
  local node = config.nodes(self.path, self:with(self))
  if not node then return nil end
  local list = items.list(node)
  local function blame(path)
    local item = items.at(list, path)
    if item then found[item] = true end
    return item ~= nil
  end
  for _, e in ipairs(result.report.errors) do
    local file = Sources.absolute(e.file or "", result.folder)
    if file ~= self.path and not items.at(list, e.path) and self:take_old_text(file) then
      files[e.file] = true
    elseif not files[e.file] and not blame(e.path) and not blame(e.item) then
      return nil
    end
  end
  -- Who uses something that is bad has no error of its own, and needs nothing where that is mended.
  for path in pairs(next(files) and {} or result.report.suffering) do
    if not blame(path) then return nil end
  end
  return found, files
end

--- Makes one round's errors give way. False where the whole has to be refused.
function Loader:mend(result)
  local found, files = self:culprits(result)
  if not found then return false end
  for item in pairs(found) do
    local state = self.states[item.id]
    if state and state.version == KEPT and self:take_old_plugins() then return true end
  end
  for item in pairs(found) do
    if not self:give_way(item) then return false end
  end
  return next(found) ~= nil or next(files) ~= nil
end

local function wanted(result)
  local gateway = result.config and result.config.gateway
  return gateway and gateway.on_invalid == "quarantine"
end

--- What is in quarantine: a list of { id = "route users", section =, file =, line =, version = }.
function Loader:list()
  local list = {}
  for _, state in ipairs(self.order) do
    list[#list + 1] = { id = state.id, section = state.section, file = state.file, line = state.line,
                        version = state.version }
  end
  return list
end

local function place_of(one) return one.line and (" (%s:%d)"):format(one.file, one.line) or "" end

--- Lines for people.
function quarantine.words(list)
  local out = {}
  for _, one in ipairs(list) do
    out[#out + 1] = ("in quarantine: %s%s %s\n"):format(one.id, place_of(one), one.version)
  end
  return table.concat(out)
end

--- Loads a configuration.
-- @tparam string path absolute
-- @tparam table options of config.load
-- @tparam ?table good of the configuration in force: { texts =, edits =, path = where it is another main file }
-- @treturn table of config.load, with three fields more: edits, which together with texts give the same again; told,
--   the whole report as a text; quarantined, a list: what is in quarantine
function quarantine.load(path, options, good)
  local result = config.load(path, options)
  local first, told = result, { result.report:text() }
  local self = setmetatable({
    path = path, options = options, good = good, edits = {}, states = {}, order = {}, texts = result.texts,
  }, Loader)
  for _ = 1, result.good and 0 or wanted(result) and ROUNDS_MAX or 0 do
    if result.good or not self:mend(result) then break end
    result = config.load(path, self:with(self))
    local text = not result.good and result.report:text()
    if text and text ~= told[#told] then told[#told + 1] = text end
  end
  local kept_out = result.good and self:list() or {}
  if not result.good then result = first end
  result.edits, result.quarantined = #kept_out > 0 and self.edits or {}, kept_out
  result.told = table.concat(told) .. quarantine.words(kept_out)
  return result
end

return quarantine
