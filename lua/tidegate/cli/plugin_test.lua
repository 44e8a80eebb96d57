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
local function tell_specs(folders)
  local to = ffi.new("char[?]", PATH_MAX)
  local size = tonumber(ffi.C.cli_readlink("/proc/self/exe", to, PATH_MAX))
  if size > 0 then ffi.C.cli_setenv("TIDEGATE", ffi.string(to, size), 0) end
  local dirs = { os.getenv "TIDEGATE_PLUGIN_DIRS" }
  for _, folder in ipairs(folders) do dirs[#dirs + 1] = Sources.absolute(folder, Sources.working_folder()) end
  ffi.C.cli_setenv("TIDEGATE_PLUGIN_DIRS", table.concat(dirs, ":"), 1)
end

--- The specs of all folders; nil after saying that there are none.
local function all_specs(folders, name)
  local specs, trouble = {}, {}
  for _, folder in ipairs(folders) do
    folder = folder:gsub("(.)/+$", "%1")
    local list, why = specs_in(folder, name)
    for _, spec in ipairs(list) do specs[#specs + 1] = spec end
    trouble[#trouble + 1] = why and ("%s cannot be read: %s"):format(folder, why) or
                            ("there is no spec %s/%s_spec.lua"):format(folder, name or "*")
  end
  if #specs > 0 then return specs end
  say.complain("%s", table.concat(trouble, "; "))
  return nil
end

--- @tparam ?string name nil: of all plugins
-- @tparam {string,...} folders
-- @treturn number exit code
return function(name, folders)
  if name and not name:find "^[%w_]+$" then
    say.complain('"%s" cannot be the name of a plugin', name)
    return say.BAD
  end
  local specs = all_specs(folders, name)
  if not specs then return say.FAILED end
  local found, run = pcall(require, "busted.runner")
  if not found then
    say.complain "busted is missing, which runs specs: apt-get install lua-busted, or luarocks install busted"
    return say.FAILED
  end
  tell_specs(folders)
  rawset(_G, "arg", { [0] = "tidegate plugin test", "--pattern=_spec%.lua$", unpack(specs) })
  local good, trouble = pcall(run, { standalone = false })
  if good then return say.GOOD end
  if trouble ~= nil then error(trouble, 0) end          -- busted ends by an error without a message when a spec fails
  return say.FAILED
end
