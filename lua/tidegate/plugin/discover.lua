--- Finds plugins: NAME.lua or NAME/init.lua in one of the folders, and what they require.
-- All is read through Sources, so that each file is read once and watched. A folder that is not there now, or a file
-- that would count if it were, is noted as well: the load is done anew when it appears.
local Sources = require "tidegate.config.source"
local sorted_keys = require "tidegate.sorted_keys"

local discover = {}

local FILE_MAX = 1024 * 1024
local PLUGINS_MAX = 1000
local MODULES_MAX, FOLDERS_DEEP = 200, 8        -- beside one init.lua
local SHOWN_MAX = 55                            -- LuaJIT cuts names of sources off at 60

-- Words of a plugin's entry in the configuration, which would be taken for it.
local RESERVED = {
  name = true, use = true, enabled = true, on_error = true, band = true, priority = true, when = true, config = true,
}

local NAME = "^%l[%l%d_]*$"

--- The folder of the plugins that come with the gateway: beside the one that holds lua/tidegate.
local function shipped_folder()
  local here = Sources.folder_of(debug.getinfo(1, "S").source:sub(2))
  return Sources.absolute(here .. "/../../../plugins", Sources.working_folder())
end
discover.SHIPPED = shipped_folder()

--- A name of a file as messages and tracebacks show it: relative to the gateway's folder where it lies below it, and
-- short enough not to be cut.
local function shown(path, base)
  local name = path
  if path:sub(1, #base + 1) == base .. "/" then name = path:sub(#base + 2) end
  while #name > SHOWN_MAX and name:find "/.*/" do name = name:gsub("^/?[^/]*/", "", 1) end
  return name
end

--- The folders to look in, the later ones winning.
-- @tparam table config checked
-- @tparam Marks marks
-- @tparam Sources sources
-- @tparam Report report
-- @treturn {string,...} absolute names
function discover.folders(config, marks, sources, report)
  local list, known = { discover.SHIPPED }, { [discover.SHIPPED] = true }
  local dirs = config.gateway and config.gateway.plugin_dirs or {}
  local is_written = config.gateway and marks:is_written(config.gateway, "plugin_dirs")
  for i, dir in ipairs(dirs) do
    local path = Sources.absolute(dir, sources.folder)
    if is_written then
      sources:note(path)
      local names, why = sources:names(path)
      local place, at = marks:place(dirs, i)
      if not names then report:add(place, at, ("%s cannot be read: %s"):format(path, why)) end
    end
    if not known[path] then list[#list + 1] = path end
    known[path] = true
  end
  return list
end

--- Why no plugin can have a name; nil where one can.
function discover.trouble_with(name)
  if not name:find(NAME) then return "a plugin's name is small letters, digits and _, beginning with a letter" end
  if RESERVED[name] then return "its name is a word of the configuration" end
  return nil
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list or {}) do set[name] = true end
  return set
end

--- Adds the plugin of one name in a folder, if that is what the name is.
local function look_at(found, entry, dir, sources, warn)
  local name = entry:match "^(.*)%.lua$"
  local path = dir .. "/" .. entry
  if name and (name:find "^%." or name:find "_spec$") then return end
  local inside
  if not name then
    if not entry:find(NAME) then return end
    inside = set_of(sources:names(path))
    if not inside["init.lua"] then
      if not inside["plugin.json"] then return end
      return warn(path .. "/plugin.json", "has no init.lua beside it, which would be the plugin")
    end
    name = entry
  end
  local trouble = discover.trouble_with(name)
  if trouble then return warn(path, "is no plugin: " .. trouble) end
  local twin = found[name] and found[name].dir == dir and found[name].file
  found[name] = {
    name = name, dir = dir, twin = twin or nil,
    file = inside and path .. "/init.lua" or path,
    folder = inside and path or nil,
    manifest_file = inside and inside["plugin.json"] and path .. "/plugin.json" or nil,
  }
end

--- Finds all plugins.
-- @tparam {string,...} folders of discover.folders
-- @tparam Sources sources
-- @tparam Report report takes warnings about files that look like plugins and are none
-- @treturn table by name: { name =, path = as shown, file =, dir =, folder = of an init.lua, twin =, manifest_file = }
-- @treturn ?string why there are none: too many
function discover.scan(folders, sources, report)
  local found, base = {}, sources.folder
  local function warn(path, message) report:warn({ file = shown(path, base) }, nil, message) end
  for _, dir in ipairs(folders) do
    local names = sources:names(dir) or {}
    local is_there = set_of(names)
    for _, entry in ipairs(names) do look_at(found, entry, dir, sources, warn) end
    for _, record in pairs(found) do
      if record.dir == dir and not record.folder and is_there[record.name .. ".json"] then
        record.manifest_file = dir .. "/" .. record.name .. ".json"
      end
    end
  end
  local count = 0
  for _, record in pairs(found) do
    record.path = shown(record.file, base)
    count = count + 1
  end
  if count > PLUGINS_MAX then return {}, ("expected at most %d plugins, found %d"):format(PLUGINS_MAX, count) end
  return found
end

--- Notes all files that could be the plugin of a name, so that one that appears or vanishes makes a new load.
function discover.watch(name, folders, sources)
  for _, dir in ipairs(folders) do
    sources:note(dir)
    for _, tail in ipairs { ".lua", ".json", "", "/init.lua", "/plugin.json" } do
      sources:note(dir .. "/" .. name .. tail)
    end
  end
end

--- Reads a plugin's file, and its plugin.json where there is one, into its record: source, manifest = { path, source }.
-- @treturn boolean false where one cannot be read
-- @treturn ?string why
function discover.read(record, sources)
  if record.twin then
    return false, ("stands beside %s: which of the two is meant?"):format(shown(record.twin, sources.folder))
  end
  local why
  record.source, why = sources:read(record.file, FILE_MAX)
  if not record.source then return false, "cannot be read: " .. why end
  if not record.manifest_file then return true end
  local text
  text, why = sources:read(record.manifest_file, FILE_MAX)
  local path = shown(record.manifest_file, sources.folder)
  if not text then return false, ("%s cannot be read: %s"):format(path, why) end
  record.manifest = { path = path, source = text }
  return true
end

--- Where a module may lie that a plugin requires, the first that is there counting.
local function module_files(record, name)
  local tail = name:gsub("%.", "/") .. ".lua"
  local list = { record.dir .. "/" .. tail, record.dir .. "/lib/" .. tail }
  if record.folder then table.insert(list, 1, record.folder .. "/" .. tail) end
  return list
end

--- A module that a plugin requires: NAME/x/y.lua beside its init.lua, x/y.lua or lib/x/y.lua in its folder of plugins.
-- @tparam table record
-- @tparam string name "x.y"
-- @tparam Sources sources
-- @treturn ?table { path = as shown, source = }; nil where there is none
-- @treturn ?{string,...} where it was looked for; or why it cannot be read, as text
function discover.module(record, name, sources)
  if not name:find "^[%w_-][%w_.-]*$" or name:find("..", 1, true) then return nil, {} end
  local looked = {}
  for i, file in ipairs(module_files(record, name)) do
    looked[i] = shown(file, sources.folder)
    sources:note(file)
    local folder, entry = file:match "^(.*)/([^/]*)$"
    local names = sources:names(folder)
    if not names then sources:note(folder) end
    if names and set_of(names)[entry] then
      local source, why = sources:read(file, FILE_MAX)
      if not source then return nil, ("%s cannot be read: %s"):format(looked[i], why) end
      return { path = looked[i], source = source }
    end
  end
  return nil, looked
end

--- All modules beside a plugin's init.lua, which it may require at any time.
-- @treturn {string,...} names
-- @treturn ?string why not: too many
function discover.beside(record, sources)
  local list = {}
  local function walk(folder, prefix, depth)
    for _, entry in ipairs(sources:names(folder) or {}) do
      local module = entry:match "^([%w_-]+)%.lua$"
      if module and not module:find "_spec$" and not (prefix == "" and module == "init") then
        list[#list + 1] = prefix .. module
      elseif entry:find "^[%w_-]+$" and depth < FOLDERS_DEEP then
        walk(folder .. "/" .. entry, prefix .. entry .. ".", depth + 1)
      end
    end
  end
  if record.folder then walk(record.folder, "", 1) end
  if #list > MODULES_MAX then
    return {}, ("expected at most %d modules beside it, found %d"):format(MODULES_MAX, #list)
  end
  return list
end

--- The names of what was found, sorted.
function discover.names(found) return sorted_keys(found) end

--- The end of a message that says which plugin was meant.
function discover.near(name, found, report)
  return (report:near(name, discover.names(found)))
end

return discover
