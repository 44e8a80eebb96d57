--- Runs the file of a plugin and makes its instances. The same in the control thread, which checks, and in the loops.
local bound = require "tidegate.plugin.bound"
local environment = require "tidegate.plugin.environment"
local owner = require "tidegate.plugin.owner"

local load = {}

--- Where a coroutine that has failed stands, as "path:line: ". For an error that says nothing of that. Machine code may
-- not know its line: then it is the function's first.
local function place_in(co)
  for level = 0, math.huge do
    local info = debug.getinfo(co, level, "Sl")
    if not info then return "" end
    if info.what ~= "C" then
      local line = info.currentline > 0 and info.currentline or math.max(info.linedefined, 1)
      return ("%s:%d: "):format((info.source:gsub("^@", "")), line)
    end
  end
end

--- Runs a function that may not wait.
-- @treturn boolean whether it came to its end
-- @return what it returned; or what went wrong, as text
local function run(f, ...)
  local co = coroutine.create(f)
  local good, value, why = coroutine.resume(co, ...)
  if good and coroutine.status(co) == "suspended" then
    return false, "waits while it is loaded: wait in hooks only"
  end
  if good then return true, value, why end
  if type(value) ~= "string" and not (getmetatable(value) or {}).__tostring then
    return false, ("an error that is no text, but a %s"):format(type(value))
  end
  if value == "not enough memory" then
    bound()                                             -- to tell takes some, too
    local told, place = pcall(place_in, co)
    value = (told and place or "") .. value
  end
  return false, tostring(value)
end

--- Runs a plugin's file in an environment of its own.
-- @tparam table file name, path (as tracebacks show it), source, trusted; code where it is known: see
--   tidegate.plugin.code
-- @tparam table|function modules what it may require: by name, or a function of the name; each { path =, source =,
--   code = or nil }. A function may give nil and a list of where it has looked.
-- @tparam table options
--   tide: the library; refill: see tidegate.plugin.budget; where: function() -> "load" while a plugin is loaded
-- @return what the file returned; nil where it went wrong
-- @treturn ?string "path:line: why"
function load.plugin(file, modules, options)
  local function find(name)
    local module, looked
    if type(modules) == "function" then module, looked = modules(name) else module = modules[name] end
    if module then return module.source, module.path, module.code end
    return nil, looked
  end
  local _, _, compile = environment.new {
    name = file.name, trusted = file.trusted, tide = options.tide, refill = options.refill, where = options.where,
    modules = find,
  }
  local chunk, message = compile(file.source, file.path, file.code)
  if not chunk then return nil, message end
  local good, result = owner.run(file.name, run, chunk)
  if not good then return nil, result end
  return result
end

local function make(plugin, conf)
  if not plugin.new then return setmetatable({ conf = conf }, { __index = plugin }) end
  return plugin.new(conf)
end

--- Makes an instance of a plugin. One without `new` has its settings as self.conf.
-- @tparam table plugin what load.plugin gave
-- @tparam table conf checked
-- @tparam string name of this use
-- @return the instance; nil where it went wrong
-- @treturn ?string why: "path:line: why", or what `new` gave as second result
function load.instance(plugin, conf, name)
  local good, instance, why = owner.run(name, run, make, plugin, conf)
  if not good then return nil, instance end
  if not instance then return nil, why ~= nil and tostring(why) or "new returned nothing" end
  return instance
end

--- Whether an instance has a hook: its plugin's, unless `new` has put false in its place, as in
-- `self.response_body = false` where the settings leave it nothing to do.
-- @tparam table plugin
-- @param instance what load.instance gave
-- @tparam string name
-- @treturn boolean
function load.has_hook(plugin, instance, name)
  if type(plugin[name]) ~= "function" then return false end
  return type(instance) ~= "table" or rawget(instance, name) ~= false
end

return load
