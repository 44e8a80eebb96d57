--- tidegate plugin list, doc, new and test. Each takes the configuration's file (or nil) and the options, and gives the
-- exit code.
local Sources = require "tidegate.config.source"
local config = require "tidegate.config"
local discover = require "tidegate.plugin.discover"
local doc = require "tidegate.plugin.doc"
local say = require "tidegate.cli.say"
local sorted_keys = require "tidegate.sorted_keys"
local survey = require "tidegate.cli.survey"

local plugin = {}

local GOOD, FAILED, BAD = say.GOOD, say.FAILED, say.BAD

-- -- list --

--- By plugin: a list of { stage =, route =, name =, place = } in the order of the configuration.
local function uses_of(bundle)
  local uses = {}
  local function note(numbers, stage, route)
    for _, number in ipairs(numbers) do
      local instance = bundle.instances[number]
      local list = uses[instance.plugin] or {}
      list[#list + 1] = { stage = stage, route = route, name = instance.name, place = instance.place }
      uses[instance.plugin] = list
    end
  end
  if not bundle then return uses end
  note(bundle.global, "global")
  for i, numbers in ipairs(bundle.routes) do note(numbers, "route", bundle.route_names[i]) end
  return uses
end

local function shown_folder(path)
  local here = Sources.working_folder() .. "/"
  return path:sub(1, #here) == here and path:sub(#here + 1) or path
end

local function use_words(use, name)
  local where = use.stage == "global" and "global" or 'route "' .. use.route .. '"'
  return ("%s%s (%s)"):format(where, use.name ~= name and " as " .. use.name or "", use.place)
end

local NO_PLUGIN = "not a plugin: returns no table with hooks"

local function list_row(name, record, meta, uses, is_module)
  if is_module then return { name, "-", "-", shown_folder(record.dir), NO_PLUGIN } end
  local words = {}
  for i, use in ipairs(uses or {}) do words[i] = use_words(use, name) end
  if meta and not meta.enabled then words[#words + 1] = "not enabled" end
  return {
    name, meta and (meta.version or "-") or "broken", meta and meta.band or "-", shown_folder(record.dir),
    #words > 0 and table.concat(words, ", ") or "-",
  }
end

local function list_entry(name, record, meta, uses, is_module)
  local entry = { name = name, file = record.file, directory = record.dir, good = meta ~= nil,
                  is_plugin = not is_module }
  local json = require "tidegate.tide.json"
  entry.uses = json.array(uses or {})
  if not meta then return entry end
  entry.version, entry.description, entry.band = meta.version, meta.description, meta.band
  entry.priority, entry.enabled, entry.stages = meta.priority, meta.enabled, json.array(sorted_keys(meta.stages))
  return entry
end

--- Every plugin, with version, band, folder and uses. What is wrong goes to the standard error.
function plugin.list(file, options)
  local plugins, report, metas, modules = survey(file, options)
  if not plugins then return BAD end
  local uses = uses_of(plugins.bundle)
  local rows, entries = { { "plugin", "version", "band", "folder", "used" } }, {}
  for i, name in ipairs(discover.names(plugins.found)) do
    rows[i + 1] = list_row(name, plugins.found[name], metas[name], uses[name], modules[name])
    entries[i] = list_entry(name, plugins.found[name], metas[name], uses[name], modules[name])
  end
  if options.json then
    say.json(require("tidegate.tide.json").array(entries))
  else
    io.stdout:write(#rows > 1 and say.columns(rows) or "no plugins\n")
  end
  io.stderr:write(report:text())
  return report:has_errors() and FAILED or GOOD
end

-- -- doc --

--- The reference of one plugin, or of all.
function plugin.doc(file, options)
  local plugins, report, metas, modules = survey(file, options)
  if not plugins then return BAD end
  local name = options.name
  if not name then
    io.stdout:write(doc.page(metas, plugins.found))
    return GOOD
  end
  if metas[name] then
    io.stdout:write(doc.text(metas[name], plugins.found[name]))
    return GOOD
  end
  if not plugins.found[name] then
    say.complain('there is no plugin "%s"%s', name, discover.near(name, plugins.found, report))
    return BAD
  end
  if modules[name] then say.complain("%s is %s", plugins.found[name].path, NO_PLUGIN) end
  io.stderr:write(report:text())
  return FAILED
end

-- -- new, test --

function plugin.new(_, options) return require("tidegate.cli.plugin_new")(options.name, options.dir) end

--- The folders of --dir, else those that the configuration names, else plugins/. Nil after telling what is wrong.
local function folders_of(file, options)
  if options.dir then return { options.dir } end
  if not file then return { "plugins" } end
  local folders, report = config.plugin_dirs(file, options)
  if not folders then io.stderr:write(report:text()) end
  return folders
end

function plugin.test(file, options)
  local folders = folders_of(file, options)
  if not folders then return BAD end
  return require("tidegate.cli.plugin_test")(options.name, folders)
end

return plugin
