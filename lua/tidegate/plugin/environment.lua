--- The global table that the files of one plugin run in: safe functions, `tide`, `require`; no way out.
--
-- It guards against mistakes that would reach beyond the plugin: a forgotten `local`, a call that blocks the loop, a
-- library function replaced for everybody. Whatever has a metatable that no plugin has set belongs to the gateway: its
-- metatable cannot be seen or replaced, nor its fields be set past the metatable.
local budget = require "tidegate.plugin.budget"
local code = require "tidegate.plugin.code"
local coroutines = require "tidegate.plugin.coroutines"
local files = require "tidegate.plugin.files"
local refusals = require "tidegate.plugin.refusals"
local suggest = require "tidegate.config.suggest"
local view = require "tidegate.plugin.view"

local environment = { WAIT = coroutines.WAIT }

local LOAD_MAX = 256 * 1024     -- bytes of text that a plugin may give to load

local PLAIN = {
  "_VERSION", "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawlen", "select", "tonumber",
  "tostring", "type", "unpack", "xpcall",
}
local LIBRARIES = { "bit", "debug", "io", "math", "os", "string", "table" }

local real_metatable = debug.getmetatable
local plugin_metatables = setmetatable({}, { __mode = "k" })

local function is_gateways(value)
  local metatable = real_metatable(value)
  return metatable ~= nil and not plugin_metatables[metatable]
end

local function check_own(value, caller)
  if type(value) == "table" and is_gateways(value) then
    error(caller .. ": this table belongs to the gateway", 3)
  end
end

-- The same functions serve all environments.
local guarded = {}

function guarded.getmetatable(value)
  local shown = getmetatable(value)
  if type(shown) == "table" and is_gateways(value) then return false end
  return shown
end

function guarded.setmetatable(value, metatable)
  check_own(value, "setmetatable")
  if type(metatable) == "table" and not plugin_metatables[metatable] then plugin_metatables[metatable] = true end
  return setmetatable(value, metatable)
end

function guarded.rawset(value, key, new)
  check_own(value, "rawset")
  return rawset(value, key, new)
end

function guarded.collectgarbage(what)
  if what == "count" then return collectgarbage "count" end
  error('collectgarbage is refused but for "count": the gateway collects for all plugins', 2)
end

local function copy_of(module)
  local copy = {}
  for key, value in pairs(module) do copy[key] = value end
  return copy
end

-- Modules that change nothing but what they are given. cjson is configured by its own functions: each has one.
local MODULES = {
  ["cjson"] = function() return require("cjson").new() end,
  ["cjson.safe"] = function() return require("cjson.safe").new() end,
  ["string.buffer"] = function()
    local buffer = require "string.buffer"
    refusals.hide_methods(buffer.new())
    return copy_of(buffer)
  end,
  ["table.new"] = function() return require "table.new" end,
  ["table.clear"] = function()
    local clear = require "table.clear"
    return function(value)
      check_own(value, "table.clear")
      return clear(value)
    end
  end,
}

local Environment = {}
Environment.__index = Environment

--- Compiles text for this plugin.
-- @treturn ?function nil where the text is bad
-- @treturn string "file:LINE: why"
function Environment:compile(source, chunkname, globals)
  if self.trusted then
    local chunk, message = loadstring(source, chunkname, "t")
    if not chunk then return nil, message end
    return setfenv(chunk, globals or self.env)
  end
  local text, chunk = budget.instrument(source, chunkname)
  if not text then return nil, chunk end
  setfenv(chunk, globals or self.env)
  local refill = self.refill
  return function(...) return chunk(refill, ...) end
end

--- Makes a file of the plugin ready to run.
-- @tparam string source
-- @tparam string path
-- @tparam ?string bytes what code.of gives, where it is known
-- @treturn ?function nil where the text is bad
-- @treturn string "path:LINE: why"
function Environment:file(source, path, bytes)
  local message
  if not bytes then bytes, message = code.of(source, path, self.trusted or false) end
  if not bytes then return nil, message end
  local chunk = setfenv(assert(loadstring(bytes, "@" .. path, "b")), self.env)
  if self.trusted then return chunk end
  local refill = self.refill
  return function(...) return chunk(refill, ...) end
end

--- The text that a reader function gives piece by piece.
local function read_all(reader)
  local pieces, size = {}, 0
  while true do
    local piece = reader()
    if piece == nil or piece == "" then return table.concat(pieces) end
    if type(piece) ~= "string" then
      return nil, ("load: expected a text from the reader function, found a %s"):format(type(piece))
    end
    pieces[#pieces + 1] = piece
    size = size + #piece
    if size > LOAD_MAX then return nil, ("load: expected at most %d bytes of text, found more"):format(LOAD_MAX) end
  end
end

--- load and loadstring of the plugin: text only, counted as the rest, in the same environment or in a given table.
function Environment:load(text, chunkname, mode, globals)
  local kind = type(text)
  if kind ~= "string" and kind ~= "function" then
    error(("load: expected a text or a reader function, found a %s"):format(kind), 2)
  end
  if chunkname ~= nil and type(chunkname) ~= "string" then
    error(("load: expected a text as chunk name, found a %s"):format(type(chunkname)), 2)
  end
  if globals ~= nil and type(globals) ~= "table" then
    error(("load: expected a table as environment, found a %s"):format(type(globals)), 2)
  end
  if mode ~= nil and mode ~= "t" and mode ~= "bt" then
    return nil, ('load: expected mode "t", found "%s": plugins do not load bytecode'):format(tostring(mode))
  end

  if not self.trusted then self.refill() end      -- a text takes longer than the step that the counter sees
  local message
  chunkname = chunkname or kind == "string" and text or "=(load)"
  if kind == "function" then
    text, message = read_all(text)
    if not text then return nil, message end
  end
  if #text > LOAD_MAX then
    return nil, ("load: expected at most %d bytes of text, found %d"):format(LOAD_MAX, #text)
  end
  return self:compile(text, chunkname, globals)
end

--- Runs a helper file, once. It has a coroutine of its own, so that none is left half loaded because it waits.
function Environment:run(name, source, path, bytes)
  local chunk, message = self:file(source, path, bytes)
  if not chunk then error(message, 0) end
  local loading = self.loading
  loading[#loading + 1] = name
  local co = coroutine.create(chunk)
  local ok, value = coroutine.resume(co, name, path)
  loading[#loading] = nil
  if not ok then error(value, 0) end
  if coroutine.status(co) == "suspended" then
    error(("%s: expected a file that loads at once, found one that waits: wait in hooks only"):format(path), 0)
  end
  if value == nil then value = true end
  return value
end

--- The chain of files that leads back to one that is being loaded; nil where there is none.
function Environment:cycle(name)
  for i, other in ipairs(self.loading) do
    if other == name then return table.concat(self.loading, " -> ", i) .. " -> " .. name end
  end
end

--- A module of the gateway's own.
function Environment:public(name)
  local tide, short = self.globals.tide, name:match "^tidegate%.tide%.([%w_]+)$"
  local value
  if name == "tidegate" then value = tide elseif short and tide then value = tide[short] end
  if value ~= nil then return value end
  return nil, ('module "%s" is not for plugins: expected "tidegate" or "tidegate.tide.NAME"'):format(name)
end

--- A helper file of the plugin's. All are loaded with the plugin, so that what is wrong in one is told at once and not
-- by the first request that comes to it.
function Environment:helper(name)
  local cycle = self:cycle(name)
  if cycle then return nil, "files require each other: " .. cycle end
  local source, path, bytes = self.modules(name)
  if source and self.where() == "load" then return self:run(name, source, path, bytes) end
  if source then return nil, ('require "%s" in a hook: require it at the head of the file, or in new'):format(name) end

  local instead = refusals.instead_of(name)
  if instead then return nil, ('require "%s" blocks the loop: use %s'):format(name, instead) end
  local looked = type(path) == "table" and table.concat(path, ", ") or path or "no folder"
  return nil, ('module "%s" not found for plugin %s: looked in %s'):format(name, self.name, looked)
end

--- @treturn ?any the module, or nil
-- @treturn string why not, where it is nil
function Environment:find(name)
  local first = name:match "^[^.]*"
  if MODULES[name] then return MODULES[name]() end
  if first == "tidegate" then return self:public(name) end
  if first ~= "ffi" and first ~= "jit" then return self:helper(name) end
  if not self.trusted then return nil, ('module "%s" is for trusted plugins only'):format(name) end
  return require(name)
end

function Environment:require(name)
  if type(name) ~= "string" then error(("require: expected a name, found a %s"):format(type(name)), 2) end
  local loaded = self.loaded[name]
  if loaded ~= nil then return loaded end
  local value, message = self:find(name)
  if value == nil then error(message, 2) end
  self.loaded[name] = value
  return value
end

--- print goes to the log; where there is none (tests), to the standard error.
local function printer(tide)
  return function(...)
    local words = { ... }
    for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
    local line = table.concat(words, "\t")
    local log = tide and tide.log
    if log and log.info then return log.info(line) end
    io.stderr:write(line, "\n")
  end
end

--- Every name that a plugin finds; what is not there raises.
function Environment:fill(tide)
  local globals = self.globals
  for _, name in ipairs(PLAIN) do globals[name] = _G[name] end
  for _, name in ipairs(LIBRARIES) do globals[name] = name == "io" and files(self.where) or refusals.copy(name) end
  for name, reason in pairs(refusals.functions._G) do globals[name] = refusals.refuse(name, reason) end
  for name, value in pairs(guarded) do globals[name] = value end
  globals.coroutine = coroutines.library()
  globals.jit = self.trusted and jit or nil
  globals.tide = tide and view(tide, "tide", 2)
  globals.print = printer(tide)

  local env = self.env
  globals._G = env
  function globals.rawget(value, key)
    if value == env then value = globals end
    return rawget(value, key)
  end
  function globals.require(name) return self:require(name) end
  function globals.load(...) return self:load(...) end
  globals.loadstring = globals.load

  for _, name in ipairs(LIBRARIES) do self.loaded[name] = globals[name] end
  self.loaded.coroutine, self.loaded._G = globals.coroutine, env
end

function Environment:undeclared(name)
  local message = ('undeclared global "%s"'):format(tostring(name))
  local hint = refusals.globals[name]
  if hint then return message .. ": " .. hint end
  local known = {}
  for other in pairs(self.globals) do known[#known + 1] = other end
  local near = type(name) == "string" and suggest(name, known)
  return message .. (near and (': did you mean "%s"?'):format(near) or ": declare it with local")
end

local function assignment(globals, name)
  local kind = rawget(globals, name) == nil and "undeclared global" or "global"
  return ('assignment to %s "%s": keep state in self, req.ctx or tide.shared'):format(kind, tostring(name))
end

--- An environment for one plugin and its helper files.
-- options: name      of the plugin, for messages
--          trusted   its loops are not counted, and it may require ffi and jit
--          tide      the library; a plugin sees it but cannot change it
--          modules   function(name): the text and the path of a helper file, and its bytecode where that is known; or
--                    nil and the list of where it looked
--          refill    function(): how many steps are left, over 0; raises where the time is used up
--          where     function(): "load" while the plugin's files and its new run; anything else in hooks
-- @tparam table options
-- @treturn table the global table; empty itself, so that every access comes to its metatable
-- @treturn function require, as the plugin has it
-- @treturn function load(source, path, bytes): the compiled file of the plugin, or nil and "path:LINE: why"
function environment.new(options)
  local self = setmetatable({
    name = options.name, trusted = options.trusted, modules = options.modules, refill = options.refill,
    where = options.where, globals = {}, env = {}, loaded = {}, loading = {},
  }, Environment)
  self:fill(options.tide)

  local globals = self.globals
  setmetatable(globals, { __index = function(_, name) error(self:undeclared(name), 2) end })
  setmetatable(self.env, {
    __index = globals,
    __newindex = function(_, name) error(assignment(globals, name), 2) end,
    __metatable = false,
  })
  return self.env, globals.require, function(...) return self:file(...) end
end

return environment
