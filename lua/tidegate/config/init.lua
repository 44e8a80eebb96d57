--- The configuration: from a file to a generation, or to a report of all that is wrong with it.
--
--     source     files, each read once
--     read       a file's text to nodes that know their place (yaml, in C)
--     dialects   files of other gateways, put into our words (tidegate.dialects)
--     include    several files as one tree
--     overrides  TIDEGATE_PATH__TO__KEY and --set
--     values     ${NAME}, ${file:...}
--     schema     nodes to plain values, by tree
--     check      references, names, files
--     plugins    found, loaded, their settings checked (tidegate.plugin.set)
--     build      plain values to a generation (C)
local Report = require "tidegate.config.report"
local Sources = require "tidegate.config.source"
local build = require "tidegate.config.build"
local check = require "tidegate.config.check"
local dialects = require "tidegate.dialects"
local include = require "tidegate.config.include"
local items = require "tidegate.config.items"
local overrides = require "tidegate.config.overrides"
local read = require "tidegate.config.read"
local restart = require "tidegate.config.restart"
local schema = require "tidegate.config.schema"
local tree = require "tidegate.config.tree"
local plugins = require "tidegate.plugin.set"
local values = require "tidegate.config.values"

local config = {}

local FILE_MAX = 16 * 1024 * 1024       -- looked at for the name of the pid file

--- Keys that a variable such as TIDEGATE_LISTEN may name. TIDEGATE_VERSION is likely to mean something else, and
-- TIDEGATE_LUA does: the folder of this code.
local function top_level()
  local set = {}
  for _, name in ipairs(schema.names(tree.fields)) do set[name] = name ~= "version" and name ~= "lua" end
  return set
end

-- A part of a configuration need not say what the whole must.
local FRAGMENT = { type = "object", fields = {} }
for key, field in pairs(tree.fields) do FRAGMENT.fields[key] = field end
for _, name in ipairs { "listen", "routes" } do
  local optional = {}
  for key, value in pairs(tree.fields[name]) do optional[key] = value end
  optional.required, optional.default = false, {}
  optional.min = nil
  FRAGMENT.fields[name] = optional
end

--- The nodes of a configuration: its files read and put together, nothing replaced and nothing checked.
-- @tparam string path of the main file
-- @tparam table options texts, edits, env, getenv: see config.load
-- @treturn ?table node of the whole, nil where it cannot be understood
-- @treturn Report
-- @treturn Sources
function config.nodes(path, options)
  local report = Report.new()
  local file = Sources.absolute(path, Sources.working_folder())
  local sources = Sources.new(Sources.folder_of(file), options.texts)
  local node = read(path, file, sources, report)
  node = node and dialects.normalise(node, sources, report)
  if node then include(node, path, sources, report, options) end
  if node and options.edits then items.replace(node, options.edits) end
  return node, report, sources
end

--- What counts at a start only. A pid file that is held stays where it is.
local function take_starting(result, in_force)
  result.started_with = restart.values(result.config)
  result.needs_restart = restart.compare(in_force, result.config, result.marks, result.report)
  local gateway = result.config.gateway
  gateway.pid_file = in_force["gateway.pid_file"] or gateway.pid_file
end

--- Loads a configuration.
-- @tparam string path of the main file, as it is to be named in messages
-- @tparam[opt] table options
--   set = { "path.to.key=value", ... }; env = "NAME", for NAME.yaml beside it;
--   getenv, variables: an environment other than the process's;
--   dry = true: builds nothing and runs no plugin; texts: see Sources.new;
--   edits: nodes in the place of items, see tidegate.config.items;
--   in_force: what a running gateway was started with (see tidegate.config.restart): told where the file differs;
--   fragment = true: the file is a part of others, which are not known; nothing is built
-- @treturn table result
--   good: no errors; report; files: absolute names of all that was looked at; texts: of these; globs: patterns;
--   marks: where the values came from; folder: where relative names start; config: plain values, with holes where it
--   is not good; plugins: what tidegate.plugin.set gives, where it is not dry; generation: struct generation *, owned
--   by the caller, where it is good and not dry; marks: where its values came from; started_with, needs_restart: of
--   tidegate.config.restart, where it is good
function config.load(path, options)
  options = options or {}
  local node, report, sources = config.nodes(path, options)
  local result = {
    report = report, files = sources.list, globs = sources.globs, texts = sources.texts, good = false,
  }
  if not node then return result end
  report.is_fragment = options.fragment
  overrides.apply_environment(node, report, top_level(), options.variables)
  overrides.apply(node, options.set or {}, report)
  values.replace(node, sources, report, options.getenv)
  local marks
  result.config, marks = schema.check(options.fragment and FRAGMENT or tree, node, report)
  result.marks = marks
  -- Relative names start in gateway.working_dir, which is itself relative to the folder of the file.
  local gateway = result.config.gateway
  sources.folder = Sources.absolute(gateway and gateway.working_dir or ".", sources.folder)
  result.folder = sources.folder
  check(result.config, marks, sources, report)
  collectgarbage "restart"              -- plugins may make any amount of it; tidegate.control has stopped it
  if not options.dry then result.plugins = plugins.build(result.config, marks, sources, report) end
  if not report:has_errors() and not options.fragment then take_starting(result, options.in_force or {}) end
  if not report:has_errors() and not options.dry and not options.fragment then
    result.generation = build(result.config, marks, report, result.plugins)
  end
  result.good = not report:has_errors()
  return result
end

--- What --set or the environment say about a key of gateway.
local function overridden(key, set)
  for i = #(set or {}), 1, -1 do
    local value = set[i]:match("^gateway%." .. key .. "=(.*)$")
    if value then return value end
  end
  return os.getenv("TIDEGATE_GATEWAY__" .. key:upper())
end

--- A value after "key:" somewhere in a text that is no YAML.
local function scrape(text, key)
  for line in text:gmatch "[^\n]+" do
    local value = line:gsub("^%s*#.*", ""):match("%f[%w_]" .. key .. ":%s*([^,}#]+)")
    value = value and value:gsub("%s+$", ""):gsub("^([\"'])(.*)%1$", "%2")
    if value and value ~= "" then return value end
  end
end

local DEFAULT_PID_FILE, DEFAULT_GRACE = "run/tidegate.pid", 30

--- Where the gateway of a configuration keeps its pid, whatever is wrong with the rest of the file.
-- @treturn string absolute name
-- @treturn number seconds that a stop may take
function config.pid_file(path, options)
  options = options or {}
  local result = config.load(path, { set = options.set, env = options.env, dry = true })
  local gateway = result.config and result.config.gateway
  if gateway and gateway.pid_file then return gateway.pid_file, gateway.grace or DEFAULT_GRACE end
  local file = Sources.absolute(path, Sources.working_folder())
  local sources = Sources.new(Sources.folder_of(file))
  local text = sources:read(file, FILE_MAX) or ""
  local changes = options.env and sources:read(options.env .. ".yaml", FILE_MAX) or ""
  local function find(key) return overridden(key, options.set) or scrape(changes, key) or scrape(text, key) end
  local folder = Sources.absolute(find "working_dir" or ".", Sources.folder_of(file))
  return Sources.absolute(find "pid_file" or DEFAULT_PID_FILE, folder), DEFAULT_GRACE
end

--- The folders of plugins that a configuration names, whatever else is wrong with it.
-- @treturn ?{string,...} absolute names; nil where the file cannot be understood
-- @treturn Report with what is wrong
function config.plugin_dirs(path, options)
  local result = config.load(path, { set = options.set, env = options.env, dry = true })
  local gateway = result.config and result.config.gateway
  if not gateway or not gateway.plugin_dirs then return nil, result.report end
  local file = Sources.absolute(path, Sources.working_folder())
  local base, folders = Sources.absolute(gateway.working_dir or ".", Sources.folder_of(file)), {}
  for i, dir in ipairs(gateway.plugin_dirs) do folders[i] = Sources.absolute(dir, base) end
  return folders, result.report
end

return config
