--- tidegate plugin test: runs the specs of plugins with busted, in this very process, which has the core.
local ffi = require "ffi"
local Sources = require "tidegate.config.source"
local say = require "tidegate.cli.say"

pcall(ffi.cdef, [[
  int cli_setenv(const char *name, const char *value, int overwrite) __asm__("setenv");
  int64_t cli_readlink(const char *path, char *to, size_t size) __asm__("readlink");
]])

local PATH_MAX = 4096

local function add_specs(list, folder, names, pattern)
  for _, name in ipairs(names or {}) do
    if name:find(pattern) then list[#list + 1] = folder .. "/" .. name end
  end
end

--- The specs of a folder of plugins: NAME_spec.lua, and all *_spec.lua beside NAME/init.lua.
-- @treturn {string,...}
-- @treturn ?string why the folder cannot be read
local function specs_in(folder, name)
  local sources, list = Sources.new(Sources.working_folder()), {}
  local names, why = sources:names(folder)
  if not names then return list, why end
  add_specs(list, folder, names, name and "^" .. name .. "_spec%.lua$" or "^[^.].*_spec%.lua$")
  for _, entry in ipairs(names) do
    if not entry:find "%." and (name == nil or name == entry) then
      add_specs(list, folder .. "/" .. entry, sources:names(folder .. "/" .. entry), "^[^.].*_spec%.lua$")
    end
  end
  return list
end

--- What tidegate.spec must know: where the gateway's binary is, and where the plugins are.
local function tell_specs(folder)
  local to = ffi.new("char[?]", PATH_MAX)
  local size = tonumber(ffi.C.cli_readlink("/proc/self/exe", to, PATH_MAX))
  if size > 0 then ffi.C.cli_setenv("TIDEGATE", ffi.string(to, size), 0) end
  local others = os.getenv "TIDEGATE_PLUGIN_DIRS"
  local own = Sources.absolute(folder, Sources.working_folder())
  ffi.C.cli_setenv("TIDEGATE_PLUGIN_DIRS", others and others .. ":" .. own or own, 1)
end

--- @tparam ?string name nil: of all plugins
-- @tparam string folder
-- @treturn number exit code
return function(name, folder)
  if name and not name:find "^[%w_]+$" then
    say.complain('"%s" cannot be the name of a plugin', name)
    return say.BAD
  end
  folder = folder:gsub("(.)/+$", "%1")
  local specs, why = specs_in(folder, name)
  if #specs == 0 then
    if why then
      say.complain("%s cannot be read: %s", folder, why)
    else
      say.complain("there is no spec %s/%s_spec.lua", folder, name or "*")
    end
    return say.FAILED
  end
  local found, run = pcall(require, "busted.runner")
  if not found then
    say.complain "busted is missing, which runs specs: apt-get install lua-busted, or luarocks install busted"
    return say.FAILED
  end
  tell_specs(folder)
  rawset(_G, "arg", { [0] = "tidegate plugin test", "--pattern=_spec%.lua$", unpack(specs) })
  local good, trouble = pcall(run, { standalone = false })
  if good then return say.GOOD end
  if trouble ~= nil then error(trouble, 0) end          -- busted ends by an error without a message when a spec fails
  return say.FAILED
end
