--- The reference of plugins as Markdown, made of what they say of themselves. docs/plugin-reference.md:
-- luajit -e 'io.write(require("tidegate.plugin.doc").shipped())' > docs/plugin-reference.md
local Report = require "tidegate.config.report"
local Sources = require "tidegate.config.source"
local discover = require "tidegate.plugin.discover"
local fields = require "tidegate.config.doc"
local metadata = require "tidegate.plugin.metadata"
local order = require "tidegate.plugin.order"
local schema = require "tidegate.config.schema"
local set = require "tidegate.plugin.set"
local sorted_keys = require "tidegate.sorted_keys"
local ties = require "tidegate.config.ties"

local doc = {}

local HEAD = [[
# Plugin reference

<!-- Made by lua/tidegate/plugin/doc.lua from the plugins themselves. -->

The plugins that come with Tidegate, in the words of their own metadata. `tidegate plugin doc NAME` prints the same for
any plugin, yours too. How to use one: [configuration.md](configuration.md#plugins); how to write one:
[plugins.md](plugins.md).
]]

--- What may stand for a setting that has no default, by type.
local SAMPLES = {
  string = "text", integer = 1, number = 1, boolean = true, any = "value", name = "name", duration = "10s",
  size = "1MiB", url = "http://127.0.0.1:9000/", host = "example.com", cidr = "10.0.0.0/8", path = "/path",
  file = "file", status = 200, method = "GET", header_name = "x-name", cookie_name = "session", service = "app",
  percent = "50%", regex = "^/", secret = "secret", template = "${client_ip}", json = "{}",
  node = "127.0.0.1:9000", address = ":8080", host_pattern = "*.example.com", path_pattern = "/path/*",
}

local settings_of

--- The smallest value that fits a field, as YAML in one line.
local function sample(field)
  if field.default ~= nil and type(field.default) ~= "table" then return tostring(field.default) end
  if field.type == "enum" then return field.of[1] end
  if field.type == "list" then return ("[%s]"):format(sample(field.of)) end
  if field.type == "map" then return ("{ name: %s }"):format(sample(field.of)) end
  if field.type == "object" then return settings_of(field.fields) or "{}" end
  if field.type == "condition" then return "{ method: GET }" end
  local value = SAMPLES[field.type]
  if type(value) == "number" and field.min then value = math.max(value, field.min) end
  value = tostring(value)
  return value:find "[{}%[%]%%#:*^]" and ("%q"):format(value) or value
end

--- The names of settings that must be there; of those of which one must be, the first.
local function needed(settings)
  local wanted = {}
  for _, name in ipairs(schema.names(settings)) do wanted[name] = settings[name].required end
  for _, group in ipairs(ties.groups(settings, "one_of")) do
    local has_one = false
    for _, name in ipairs(group) do has_one = has_one or wanted[name] end
    if not has_one then wanted[group[1]] = true end
  end
  for name, others in pairs(ties.needs(settings)) do
    for _, other in ipairs(wanted[name] and others or {}) do wanted[other] = true end
  end
  return wanted
end

--- The settings that must be there, as a map of YAML in one line; nil where none must.
function settings_of(settings)
  local words, wanted = {}, needed(settings)
  for _, name in ipairs(schema.names(settings)) do
    if wanted[name] then words[#words + 1] = ("%s: %s"):format(name, sample(settings[name])) end
  end
  return #words > 0 and ("{ %s }"):format(table.concat(words, ", ")) or nil
end

--- A configuration with the plugin: its own example beside the plugins, else the smallest that will do.
local function example(meta, is_shipped)
  local path = ("%s/../conf/examples/%s.yaml"):format(discover.SHIPPED, meta.name)
  local file = is_shipped and io.open(path, "rb")
  if file then
    local text = file:read "*a"
    file:close()
    return text
  end
  local settings = settings_of(meta.schema)
  local entry = settings and ("{ %s: %s }"):format(meta.name, settings) or meta.name
  if not meta.stages.route then
    return ('listen: [":8080"]\nplugins: [%s]\nroutes:\n  - { path: "/*", respond: { echo: true } }\n'):format(entry)
  end
  return ('listen: [":8080"]\nroutes:\n  - path: "/*"\n    respond: { echo: true }\n    plugins: [%s]\n'):format(entry)
end

local function code_list(words)
  local list = {}
  for i, word in ipairs(words) do list[i] = "`" .. word .. "`" end
  return table.concat(list, ", ")
end

--- Where it runs, in a sentence.
local function placement(meta)
  local stages = {}
  for _, stage in ipairs(order.STAGES) do
    if meta.stages[stage] then stages[#stages + 1] = stage end
  end
  local where = "globally or on a route"
  if #stages == 1 then where = stages[1] == "global" and "globally only" or "on routes only" end
  local priority = meta.priority ~= 0 and (" with priority %g"):format(meta.priority) or ""
  return ("Runs %s, in the band `%s`%s."):format(where, meta.band, priority)
end

local function hooks(meta)
  local list = {}
  for name in pairs(meta.hook_set) do list[#list + 1] = name end
  table.sort(list, function(a, b) return metadata.HOOKS[a] < metadata.HOOKS[b] end)
  return #list > 0 and ("Hooks: %s."):format(code_list(list)) or "No hooks that see a request."
end

local function needs(meta)
  local list = {}
  for i, need in ipairs(meta.requires) do
    list[i] = ("`%s%s`"):format(need.name, need.text ~= "" and " " .. need.text or "")
  end
  return #list > 0 and ("Needs %s for the same requests."):format(table.concat(list, ", ")) or nil
end

--- The reference of one plugin.
-- @tparam table meta of metadata.check
-- @tparam table record of discover.scan
-- @treturn string a section of Markdown
function doc.text(meta, record)
  local facts = {
    meta.version and ("Version %s."):format(meta.version), placement(meta), hooks(meta), needs(meta),
    not meta.enabled and "Not enabled: its `plugin.json` says so." or nil,
  }
  local sentences = {}
  for i = 1, 5 do sentences[#sentences + 1] = facts[i] or nil end
  local out = { ("## %s\n\n"):format(meta.name) }
  if meta.description then out[#out + 1] = meta.description .. "\n\n" end
  out[#out + 1] = table.concat(sentences, " ") .. "\n\n"
  if #schema.names(meta.schema) > 0 then
    out[#out + 1] = fields.keys { type = "object", fields = meta.schema } .. "\n"
  else
    out[#out + 1] = "It has no settings.\n\n"
  end
  out[#out + 1] = ("```yaml\n%s```\n"):format(example(meta, record.dir == discover.SHIPPED))
  return table.concat(out)
end

--- The reference of many, one after another.
-- @tparam table metas by name
-- @tparam table found records by name
function doc.page(metas, found)
  local out = {}
  for i, name in ipairs(sorted_keys(metas)) do out[i] = doc.text(metas[name], found[name]) end
  return table.concat(out, "\n")
end

--- All of docs/plugin-reference.md. Raises what is wrong with a plugin.
function doc.shipped()
  local report = Report.new()
  local plugins = set.build({}, nil, Sources.new(discover.SHIPPED), report)
  local page = doc.page(plugins.describe(), plugins.found)
  if report:has_errors() then error(report:text(), 0) end
  return HEAD .. (page ~= "" and "\n" or "") .. page
end

return doc
