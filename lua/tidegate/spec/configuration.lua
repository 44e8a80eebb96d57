--- The configuration of a gateway under test: what the spec says of it, and what goes without saying.
local Sources = require "tidegate.config.source"
local config = require "tidegate.config"
local core = require "tidegate.spec.core"
local yaml = require "tidegate.yaml"

local configuration = {}

local VIRTUAL = "(spec)"        -- the folder, below the working one, of plugins whose text a spec gives

-- -- values as YAML --

local function quoted(text)
  return '"' .. text:gsub('[%c"\\\127]', function(c) return ("\\x%02x"):format(c:byte()) end) .. '"'
end

local flow

local function flow_list(value, field)
  local items = {}
  for i = 1, #value do items[i] = flow(value[i], field and type(field.of) == "table" and field.of) end
  return "[" .. table.concat(items, ", ") .. "]"
end

local function flow_map(value, fields)
  local keys, items = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do
    items[i] = quoted(tostring(key)) .. ": " .. flow(value[key], fields and fields[key])
  end
  return "{" .. table.concat(items, ", ") .. "}"
end

--- A plain value in YAML's flow form.
-- @param value
-- @tparam ?table field of a schema: says whether {} is a list
function flow(value, field)
  if type(value) == "string" then return quoted(value) end
  if type(value) == "number" then return ("%.17g"):format(value) end
  if type(value) == "boolean" then return tostring(value) end
  if type(value) ~= "table" then error(("expected a value of a configuration, found a %s"):format(type(value)), 0) end
  if #value > 0 or next(value) == nil and field and field.type == "list" then return flow_list(value, field) end
  return flow_map(value, field and field.fields)
end
configuration.flow = flow

-- -- entries --

-- What an instance may say besides its settings; stage is the spec's own word.
local ENTRY = { name = true, on_error = true, enabled = true, band = true, priority = true, when = true, stage = false }

--- An entry of a chain: an instance of fake.plugin, or what would stand in the file.
local function entry_text(entry)
  if type(entry) ~= "table" or not entry.is_instance then return flow(entry) end
  local long = { use = quoted(entry.plugin.name), config = flow(entry.conf, { fields = entry.plugin.schema }) }
  for key, value in pairs(entry.options) do
    if ENTRY[key] == nil then error(("an entry has no %s"):format(tostring(key)), 0) end
    if ENTRY[key] then long[key] = flow(value) end
  end
  local words = {}
  for key, text in pairs(long) do words[#words + 1] = key .. ": " .. text end
  table.sort(words)
  return "{" .. table.concat(words, ", ") .. "}"
end

--- Whether an instance stands among the global plugins: it says so, or cannot stand elsewhere.
local function is_global(entry)
  if type(entry) ~= "table" or not entry.is_instance then return false end
  if entry.options.stage then return entry.options.stage == "global" end
  return entry.plugin.stages ~= nil and not entry.plugin.stages.route
end

local function chains(options)
  local global, route = {}, {}
  for _, entry in ipairs(options.global_plugins or {}) do global[#global + 1] = entry_text(entry) end
  for _, entry in ipairs(options.plugins or {}) do
    local list = is_global(entry) and global or route
    list[#list + 1] = entry_text(entry)
  end
  return "[" .. table.concat(global, ", ") .. "]", "[" .. table.concat(route, ", ") .. "]"
end

-- -- the whole --

--- Names of all services that the spec plays: "upstream", and those of the option services.
function configuration.service_names(options)
  local names = { "upstream" }
  for name in pairs(options.services or {}) do
    if name ~= "upstream" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function sections_of(options, node_of)
  local services = {}
  for _, name in ipairs(configuration.service_names(options)) do services[name] = { nodes = { node_of(name) } } end
  local global, route = chains(options)
  return {
    { "listen", '["127.0.0.1:0"]' },
    { "gateway", "{ threads: 1, grace: 1s }" },
    { "lua", "{ budget: 200ms, hard_limit: 10s }" },
    { "log", "{ level: debug }" },
    { "services", flow(services) },
    { "plugins", global },
    { "routes", ("[{ name: route, path: %s, service: upstream, plugins: %s }]"):format(
      quoted(options.route or "/*"), route) },
  }
end

--- The text of a configuration: first what the spec has written (options.yaml), so that lines stay what they are, then
-- what it lacks.
-- @tparam table options plugins, global_plugins: entries; services: by name; route: its path; yaml: text
-- @tparam function node_of the address that stands for a service
function configuration.text(options, node_of)
  local text = options.yaml or ""
  local node = yaml.parse(text, "yaml")
  local has = node and node.fields or {}
  if text ~= "" and not text:find "\n$" then text = text .. "\n" end
  for _, section in ipairs(sections_of(options, node_of)) do
    if not has[section[1]] then text = ("%s%s: %s\n"):format(text, section[1], section[2]) end
  end
  return text
end

--- The folder of a plugin that lies beside the spec which asks for it.
-- @tparam string name of the plugin
-- @tparam number level of the spec's function, as debug.getinfo counts
-- @treturn ?string
function configuration.folder_beside(name, level)
  local source = debug.getinfo(level + 1, "S").source:match "^@(.*)$"
  if not source then return nil end
  local folder = Sources.absolute(Sources.folder_of(source), Sources.working_folder())
  local sources = Sources.new(folder)
  local is_there = sources:can_read(name .. ".lua") or sources:can_read(name .. "/init.lua")
  return is_there and folder or nil
end

--- Whose plugins a configuration uses.
local function instances_of(options)
  local list = {}
  for _, entries in ipairs { options.global_plugins or {}, options.plugins or {} } do
    for _, entry in ipairs(entries) do
      if type(entry) == "table" and entry.is_instance then list[#list + 1] = entry end
    end
  end
  return list
end

--- Texts of plugins that have no file, by name.
function configuration.sources(options)
  local texts = {}
  for name, text in pairs(options.sources or {}) do texts[name] = text end
  for _, instance in ipairs(instances_of(options)) do texts[instance.plugin.name] = instance.plugin.source end
  return texts
end

--- Where plugins are looked for: ./plugins, the folders of TIDEGATE_PLUGIN_DIRS (with a colon between them), those that
-- the spec names, and that of the spec itself where the plugin lies beside it. The later wins.
function configuration.folders(options)
  local base, list, known = Sources.working_folder(), {}, {}
  local function add(folder)
    folder = Sources.absolute(folder, base)
    if not known[folder] and Sources.new(base):names(folder) then list[#list + 1] = folder end
    known[folder] = true
  end
  add "plugins"
  for folder in (os.getenv "TIDEGATE_PLUGIN_DIRS" or ""):gmatch "[^:]+" do add(folder) end
  for _, folder in ipairs(options.plugin_dirs or {}) do add(folder) end
  for _, instance in ipairs(instances_of(options)) do
    if instance.plugin.folder then add(instance.plugin.folder) end
  end
  return list
end

local function variables_of(options, node_of)
  local values = {}
  for _, name in ipairs(configuration.service_names(options)) do values[name:upper()] = node_of(name) end
  return values
end
configuration.variables = variables_of

--- What the file would be called that a configuration in memory has never been.
function configuration.file() return Sources.working_folder() .. "/spec.yaml" end

local function node_in_memory(name) return name:gsub("_", "-") .. ".test:80" end

--- Calls a function that may look up the addresses of names: all have one, and no server is asked.
local function with_names_in_memory(f, ...)
  local native = core.open()
  native.names(true)
  local good, result = pcall(f, ...)
  native.names(false)
  if not good then error(result, 0) end
  return result
end

--- Loads a configuration in memory.
-- @treturn table as tidegate.config.load gives it; generation is the caller's
function configuration.try(options)
  local file, virtual = configuration.file(), Sources.working_folder() .. "/" .. VIRTUAL
  local folders, names = configuration.folders(options), {}
  local texts = { [file] = configuration.text(options, node_in_memory) }
  for name, text in pairs(configuration.sources(options)) do
    texts[virtual .. "/" .. name .. ".lua"] = text
    names[#names + 1] = name .. ".lua"
  end
  if #names > 0 then
    table.sort(names)
    texts[virtual .. "/"] = table.concat(names, "\n")
    folders[#folders + 1] = virtual
  end
  local values = variables_of(options, node_in_memory)
  return with_names_in_memory(config.load, file, {
    texts = texts, variables = {}, getenv = function(name) return values[name] or os.getenv(name) end,
    set = { "gateway.plugin_dirs=" .. flow(folders, { type = "list" }) },
  })
end

--- The same; what is wrong is raised.
function configuration.load(options)
  local result = configuration.try(options)
  if result.good then return result end
  local base = Sources.working_folder():gsub("%p", "%%%0") .. "/"
  error(result.report:text():gsub(base, ""), 0)
end

--- Whom a connection in memory leads to: names by "host:port", or by the path of a socket. Those whom the spec plays
-- come first; a node that the configuration names otherwise is its service's.
function configuration.nodes(options, values)
  local nodes = {}
  for name, service in pairs(values.services) do
    for _, node in ipairs(service.nodes) do
      local url = node.url
      nodes[url.file or ("%s:%d"):format(url.host:lower(), url.port)] = name
    end
  end
  for _, name in ipairs(configuration.service_names(options)) do nodes[node_in_memory(name)] = name end
  return nodes
end

return configuration
