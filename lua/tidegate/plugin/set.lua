--- The plugins of a configuration: which files they are, what each use of them is set to, in which order they run.
-- Control thread. Every plugin that is used is loaded here first, and every use made an instance of: what is wrong with
-- one is known before any loop hears of it. The result is a bundle, plain values only, from which each loop loads the
-- same bytes again.
local buffer = require "string.buffer"
local bit = require "bit"
local C = require "tidegate.ffi"
local code = require "tidegate.plugin.code"
local discover = require "tidegate.plugin.discover"
local limit = require "tidegate.plugin.limit"
local load = require "tidegate.plugin.load"
local locate = require "tidegate.plugin.locate"
local manifest = require "tidegate.plugin.manifest"
local metadata = require "tidegate.plugin.metadata"
local order = require "tidegate.plugin.order"
local requires = require "tidegate.plugin.requires"
local schema = require "tidegate.config.schema"

local set = {}

local quote = schema.quote

local Builder = {}
Builder.__index = Builder

-- -- telling what is wrong --

function Builder:fail(place, path, message, ...)
  self.report:add(place, path, message:format(...))
end

--- "plugins[2], tidegate.yaml:7": where a plugin is used, for messages about its own file.
local function used_at(use)
  local place = use.place
  return ("%s, %s%s"):format(use.path, place.file, place.line and ":" .. place.line or "")
end

--- Tells an error of Lua: at its line where it names one of the plugin's files, else where the plugin is used.
function Builder:blame(plugin, message, use, doing)
  message = message:gsub("%c+", " ")
  local path, line, rest = message:match "^(.-):(%d+): (.*)$"
  local source = path == plugin.record.path and plugin.record.source
  for _, module in pairs(plugin.modules) do
    if module.path == path then source = module.source end
  end
  if not source then return self:fail(use.place, use.path, "%s%s: %s", doing, quote(plugin.record.name), message) end
  self.report:source(path, source)
  line = tonumber(line)
  self:fail({ file = path, line = line, column = locate.indent(source, line) }, nil, "%s (%s)", rest, used_at(use))
end

-- -- plugins --

--- What a plugin may require, with a note of all that it did. It leads to no more than it needs, and to no file once
-- the set is built: machine code that LuaJIT has made keeps functions of a plugin alive for long, and all they lead to.
local function module_finder(plugin)
  return function(name)
    if plugin.modules[name] or not plugin.sources then return plugin.modules[name] end
    local module, looked = discover.module(plugin.record, name, plugin.sources)
    if module == nil and type(looked) == "string" then error(looked, 0) end
    plugin.modules[name] = module
    return module, looked
  end
end

function Builder:add_modules_beside(plugin, use)
  local names, why = discover.beside(plugin.record, self.sources)
  if why then return self:fail(use.place, use.path, "%s: %s", quote(plugin.record.name), why) end
  for _, name in ipairs(names) do
    local module, problem = plugin.modules[name], nil
    if not module then module, problem = discover.module(plugin.record, name, self.sources) end
    if not module then return self:fail(use.place, use.path, "%s: %s", quote(plugin.record.name), problem) end
    plugin.modules[name] = module
  end
end

--- Runs a plugin's file and checks what it returned. Sets plugin.meta where all is well.
function Builder:run(plugin, use)
  local record = plugin.record
  self.report:source(record.path, record.source)
  local said = record.manifest and manifest.read(record, self.report)
  if record.manifest and not said then return end
  local result, why = plugin.limit:run(load.plugin, record, module_finder(plugin), {
    tide = require "tidegate", refill = plugin.limit.refill, where = function() return "load" end,
  })
  if why then return self:blame(plugin, why, use, "loading ") end
  if use.is_survey and not metadata.is_plugin(result) then
    plugin.is_module = true
    return
  end
  plugin.result = result
  plugin.quarantined = C.tide_plugin_quarantined(record.name, record.source, #record.source)
  if plugin.quarantined then
    self.report:warn({ file = record.path }, nil, ("%s is in quarantine until its file changes: it has blocked a loop")
                     :format(quote(record.name)))
  end
  plugin.meta = metadata.check(result, record, said, self.report)
end

--- The plugin of a name: { record =, modules =, result =, meta = nil where something is wrong and told }.
-- Nil where there is none of that name.
function Builder:plugin(name, use)
  local plugin = self.plugins[name]
  if plugin then return plugin end
  local told = #self.report.errors
  plugin = self:first_look(name, use)
  for i = told + 1, #self.report.errors do      -- they stand in the plugin's file, and yet it is the use that suffers
    self.report.errors[i].item = self.report.errors[i].item or use.path
  end
  return plugin
end

--- Looks for a plugin and loads it.
function Builder:first_look(name, use)
  discover.watch(name, self.folders, self.sources)
  local record = self.found[name]
  if not record then return nil end
  record.trusted = self.trusted[name] or false
  local plugin = { record = record, modules = {}, limit = limit.new(self.memory), sources = self.sources }
  self.plugins[name] = plugin
  local good, why = discover.read(record, self.sources)
  if not good then
    self:fail({ file = record.path }, nil, "%s (%s)", why, used_at(use))
    return plugin
  end
  self:run(plugin, use)
  if plugin.meta then self:add_modules_beside(plugin, use) end
  return plugin
end

--- What a plugin requires must be there and fit. A ring is told once, however many of its plugins are used.
function Builder:check_requirements(plugin, use)
  local function find(name)
    local other = self:plugin(name, use)
    return other and other.meta, other == nil
  end
  local problem = requires.check(plugin.meta, find)
  if not problem or self.in_ring[problem.meta.name] then return end
  for _, name in ipairs(problem.ring or {}) do self.in_ring[name] = true end
  local record = self.plugins[problem.meta.name].record
  local line, column = locate.field(record.source, { "requires" })
  local path = schema.path("requires", problem.index)
  self:fail({ file = record.path, line = line, column = column }, path, "%s", problem.message)
end

-- -- uses --

--- A use of a plugin from an entry: a table with the words of the entry and where it stands.
function Builder:use_of(entry, place, path, shorthand)
  local config = self.marks[entry].nodes.config
  return {
    entry = entry, plugin = entry.use, name = entry.name or entry.use, place = place, path = path,
    config = config or { kind = "map", entries = {}, fields = {}, line = place.line, column = place.column,
                         file = place.file },
    config_path = path .. "." .. (shorthand or "config"),
  }
end

--- Checks the settings of a use. Sets use.conf where they are good.
function Builder:check_settings(use, plugin)
  plugin.limit:start()        -- a field may have a check of the plugin's
  local conf, _, failures = schema.check({ type = "object", fields = plugin.meta.schema }, use.config, self.report,
                                         use.config_path, self.sources.folder)
  if failures > 0 then return end
  use.config.is_checked = true          -- what of it is secret is known now
  local good, why = pcall(buffer.encode, conf)
  if not good then return self:fail(use.config, use.config_path, "cannot be handed to the loops: %s", why) end
  use.conf = conf
end

--- The mask of an instance's hooks. A body that it wants to see plain loses the field that says how it was coded: that
-- is done where heads are.
local function hooks_of(plugin, instance)
  local mask, bits = 0, metadata.HOOKS
  for name in pairs(bits) do
    if load.has_hook(plugin, instance, name) then mask = bit.bor(mask, bits[name]) end
  end
  if plugin.decode and bit.band(mask, bits.request_body) ~= 0 then mask = bit.bor(mask, bits.request) end
  if plugin.decode and bit.band(mask, bits.response_body) ~= 0 then mask = bit.bor(mask, bits.response) end
  return mask
end

--- Makes the instance that shows whether `new` takes the settings. The loops make theirs.
function Builder:try(use, plugin)
  local instance, why = plugin.limit:run(load.instance, plugin.result, use.conf, use.name)
  if instance then
    use.hooks = hooks_of(plugin.result, instance)
    return true
  end
  self:blame(plugin, why, use, "making ")
  return false
end

--- Whether a use is right as far as it can be seen without its chain. The answer is kept: an instance has many users.
function Builder:is_good(use)
  if use.is_good ~= nil then return use.is_good end
  use.is_good = false
  if not self.found[use.plugin] then
    discover.watch(use.plugin, self.folders, self.sources)
    local hint = discover.near(use.plugin, self.found, self.report)
    local tell = use.entry.enabled and self.report.reference or self.report.warn
    tell(self.report, use.place, use.path, ("there is no plugin %s%s"):format(quote(use.plugin), hint))
  end
  local plugin = use.entry.enabled and self:plugin(use.plugin, use)
  if not plugin or not plugin.meta then return false end
  self:check_requirements(plugin, use)
  self:check_settings(use, plugin)
  use.meta = plugin.meta
  if not plugin.meta.enabled then
    self.report:warn(use.place, use.path, ("does not run: %s says that it is not enabled"):format(
      plugin.record.manifest.path))
  end
  use.is_good = use.conf ~= nil and self:try(use, plugin)
  return use.is_good
end

--- Whether its plugin may run in a stage, in the band that is wanted.
function Builder:fits_stage(use, place, path, stage)
  local stages, band = use.meta.stages, use.entry.band
  if not stages[stage] then
    self:fail(place, path, "%s runs in the %s stage only: it cannot stand %s", quote(use.plugin),
              stage == "global" and "route" or "global",
              stage == "global" and "among the global plugins" or "on a route")
    return false
  end
  if band and not order.has(stage, band) then
    local bands = table.concat(order.BANDS[stage], ", ")
    self:fail(place, path, "expected a band of the %s stage (%s), found %s", stage, bands, band)
    return false
  end
  return true
end

-- -- chains --

--- The number of a use in the bundle; it is put there with its first one.
function Builder:number_of(use)
  if use.number then return use.number end
  local entry, place = use.entry, use.place
  table.insert(self.instances, {
    plugin = use.plugin, name = use.name, conf = use.conf, on_error = entry.on_error, when = entry.when,
    band = entry.band or use.meta.band, priority = entry.priority or use.meta.priority,
    place = place.line and ("%s:%d"):format(place.file, place.line) or place.file,
  })
  use.number = #self.instances
  return use.number
end

--- The use that an entry of a chain means: an instance's by its name alone, else its own.
function Builder:resolve(chain, i)
  local entry = chain[i]
  local place, path = self.marks:place(chain, i)
  local form = self.marks[entry].node
  if not entry.use then return nil end
  if form.is_bare and self.uses[entry.use] then return self.uses[entry.use], place, path end
  if not form.is_bare and self.uses[entry.use] and not self.found[entry.use] then
    self:fail(place, path, "%s is an instance, which has its settings already: write its name alone",
              quote(entry.use))
    return nil
  end
  return self:use_of(entry, place, path, form.shorthand), place, path
end

--- A name that is given in a chain must be new there, and among the instances.
function Builder:check_name(use, taken)
  local name = use.entry.name
  if not name then return end
  local other = taken[name] or self.uses[name]
  if other then
    self:fail(use.place, use.path, "the name %s is in use already (%s)", quote(name), used_at(other))
  end
  taken[name] = use
end

--- Builds one chain.
-- @tparam {table,...} chain entries
-- @tparam string stage global or route
-- @tparam boolean is_live false: everything is checked, but nothing runs
-- @treturn {number,...} numbers of instances, in the order in which they run
-- @treturn number mask of the hooks that these have
-- @treturn table set of the plugins that run here
function Builder:chain(chain, stage, is_live)
  if #chain == 0 then return {}, 0, {} end
  local list, hooks, running, taken, seen = {}, 0, {}, {}, {}
  for i = 1, #chain do
    local use, place, path = self:resolve(chain, i)
    if use then
      if use.place == place then self:check_name(use, taken) end
      if seen[use] then self:fail(place, path, "%s stands in this chain already", quote(use.name)) end
      seen[use] = true
      local good = self:is_good(use) and use.meta and self:fits_stage(use, place, path, stage)
      if not good and use.entry.enabled then self.report:suffer(path) end
      if good and is_live and use.meta.enabled then
        local number = self:number_of(use)
        list[#list + 1] = self.instances[number]
        self.numbers[list[#list]] = number
        hooks = bit.bor(hooks, use.hooks)
        running[use.plugin] = { meta = use.meta, place = place, path = path }
      end
    end
  end
  local numbers = {}
  for i, instance in ipairs(order.sort(list, stage)) do numbers[i] = self.numbers[instance] end
  return numbers, hooks, running
end

--- Warns of a plugin that requires another which does not run for the same requests.
function Builder:check_company(running, global)
  if self.report:has_errors() then return end
  for _, member in pairs(running) do
    for _, need in ipairs(member.meta.requires) do
      if not running[need.name] and not global[need.name] then
        self.report:warn(member.place, member.path, ("%s requires %s, which does not run here"):format(
          quote(member.meta.name), quote(need.name)))
      end
    end
  end
end

function Builder:all_instances(instances)
  for _, name in ipairs(self.marks[instances].order) do
    local entry = instances[name]
    if entry.use then
      local place, path = self.marks:place(instances, name)
      local use = self:use_of(entry, place, path)
      use.name = name
      self.uses[name] = use
    end
  end
  for _, name in ipairs(self.marks[instances].order) do
    if self.uses[name] then self:is_good(self.uses[name]) end
  end
end

function Builder:all_chains(config)
  local result = { global = {}, hooks = 0, routes = {}, route_hooks = {}, route_names = {}, preflights = {} }
  local global
  result.global, result.hooks, global = self:chain(config.plugins or {}, "global", true)
  self:check_company(global, global)
  for _, route in ipairs(config.routes or {}) do
    local numbers, hooks, running = self:chain(route.plugins or {}, "route", route.enabled)
    self:check_company(running, global)
    if route.enabled then
      table.insert(result.routes, numbers)
      table.insert(result.route_names, route.name)
      result.route_hooks[route] = hooks
      for _, member in pairs(running) do
        result.preflights[route] = result.preflights[route] or member.meta.preflight
      end
    end
  end
  return result
end

-- -- the bundle --

function Builder:check_trusted(lua)
  for i, name in ipairs(lua.trusted or {}) do
    self.trusted[name] = true
    if not self.found[name] then
      discover.watch(name, self.folders, self.sources)
      local place, path = self.marks:place(lua.trusted, i)
      self:fail(place, path, "there is no plugin %s%s", quote(name), discover.near(name, self.found, self.report))
    end
  end
end

function Builder:bundle(config, chains)
  local bundle = {
    files = {}, modules = {}, hooks = {}, instances = self.instances, global = chains.global, routes = chains.routes,
    route_names = chains.route_names, dictionaries = config.dictionaries,
    settings = { budget = config.lua.budget, hard_limit = config.lua.hard_limit, memory = config.lua.memory },
  }
  for _, instance in ipairs(self.instances) do
    local plugin = self.plugins[instance.plugin]
    local record = plugin.record
    bundle.files[record.name] = {
      name = record.name, path = record.path, source = record.source, dir = record.folder or record.dir,
      trusted = record.trusted, quarantined = plugin.quarantined,
      code = code.of(record.source, record.path, record.trusted),
    }
    for _, module in pairs(plugin.modules) do module.code = code.of(module.source, module.path, record.trusted) end
    bundle.modules[record.name] = plugin.modules
    bundle.hooks[record.name] = plugin.meta.hook_set
  end
  return bundle
end

local function metas_of(plugins)
  local metas = {}
  for name, plugin in pairs(plugins) do metas[name] = plugin.meta end
  return metas
end

--- The set of files among the plugins that are modules for others.
local function modules_of(plugins)
  local modules = {}
  for name, plugin in pairs(plugins) do modules[name] = plugin.is_module end
  return modules
end

--- Finds, loads and checks the plugins of a configuration.
-- @tparam table config checked; may have holes where it is not good
-- @tparam Marks marks
-- @tparam Sources sources
-- @tparam Report report takes all that is wrong
-- @treturn table
--   found: every plugin there is, by name (see discover.scan); metas: of those in use, by name (see metadata.check);
--   describe: a function that loads the others, too, and gives the metas of all that are good, and the set of names
--   that are no plugins, but modules for others;
--   hooks: mask of the hooks of the global chain; route_hooks: masks by route table; preflights: true for the route
--   tables whose chain answers CORS preflights;
--   bundle: for the loops, nil where nothing runs:
--     files     by plugin: { name =, path =, source =, dir =, trusted =, code = (see tidegate.plugin.code) }
--     modules   by plugin, then by module: { path =, source =, code = or nil where its text is bad }
--     hooks     by plugin: { request = true, ... }
--     instances { { plugin =, name =, conf =, on_error =, when = or nil, band =, priority =, place = "file:line" } }
--     global    { numbers of instances in order }
--     routes    { { numbers of instances in order }, ... } of the enabled routes; route_names: their names
--     settings  { budget =, hard_limit = (seconds), memory = (bytes) }
--     dictionaries  by name: { size =, file = or nil }
function set.build(config, marks, sources, report)
  local self = setmetatable({
    marks = marks, sources = sources, report = report, plugins = {}, uses = {}, instances = {}, numbers = {},
    trusted = {}, in_ring = {}, memory = config.lua and config.lua.memory,
  }, Builder)
  self.folders = discover.folders(config, marks, sources, report)
  local why
  self.found, why = discover.scan(self.folders, sources, report)
  if why then self:fail(marks:place(config.gateway, "plugin_dirs"), "gateway.plugin_dirs", "%s", why) end
  if config.lua then self:check_trusted(config.lua) end
  if config.instances then self:all_instances(config.instances) end
  local chains = self:all_chains(config)
  local metas = metas_of(self.plugins)
  for _, plugin in pairs(self.plugins) do plugin.sources = nil end
  local function describe()
    for name, record in pairs(self.found) do
      self:plugin(name, { place = { file = record.path }, path = "unused", is_survey = true })
    end
    return metas_of(self.plugins), modules_of(self.plugins)
  end
  return {
    found = self.found, metas = metas, describe = describe, hooks = chains.hooks, route_hooks = chains.route_hooks,
    preflights = chains.preflights,
    bundle = #self.instances > 0 and not report:has_errors() and self:bundle(config, chains) or nil,
  }
end

return set
