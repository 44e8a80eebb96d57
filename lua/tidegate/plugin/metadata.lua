--- Checks the table that a plugin's file returns: what it says of itself, its hooks, its schema.
local fields = require "tidegate.plugin.fields"
local locate = require "tidegate.plugin.locate"
local manifest = require "tidegate.plugin.manifest"
local misspelt = require "tidegate.plugin.misspelt"
local Node = require "tidegate.config.node"
local order = require "tidegate.plugin.order"
local Report = require "tidegate.config.report"
local requires = require "tidegate.plugin.requires"
local schema = require "tidegate.config.schema"
local statement = require "tidegate.plugin.statement"

local metadata = {}

--- The hooks that a chain calls, and the bit of each in the mask that C gets (enum hook).
metadata.HOOKS = {
  request = 1, request_body = 2, upstream = 4, response = 8, response_body = 16, message = 32, failure = 64, log = 128,
  ws_open = 256, ws_close = 512,
}

local METHODS = {
  "new", "request", "request_body", "upstream", "response", "response_body", "ws_open", "message", "ws_close",
  "failure", "log", "close",
}

local FIELDS = {
  version = requires.FIELD,
  description = { type = "string" },
  band = { type = "enum", of = order.ALL_BANDS },
  priority = { type = "number", min = -1e6, max = 1e6 },
  requires = { type = "list", of = "string" },
  stages = { type = "list", min = 1, of = { type = "enum", of = order.STAGES } },
  decode = { type = "boolean" },
  preflight = { type = "boolean" },
}
local NAMES = { "version", "description", "band", "priority", "requires", "schema", "stages", "decode", "preflight" }

local function set_of(list)
  local set = {}
  for _, word in ipairs(list) do set[word] = true end
  return set
end

-- -- hooks --

--- Where a function begins; the place of its key where that is not known.
local function place_of_function(own, hook, name)
  local info, record = debug.getinfo(hook, "S"), own.record
  if info.source ~= "@" .. record.path then return own:place { name } end
  return { file = record.path, line = info.linedefined, column = locate.indent(record.source, info.linedefined) }
end

--- Tells of a function that was probably meant to be a hook. True where that is sure.
local function check_function(own, name, value)
  local wanted = misspelt.meant(name, METHODS)
  if wanted then
    local place = place_of_function(own, value, name)
    own:fail_at(place, nil, '%s is no hook; did you mean "%s"?', schema.quote(name), wanted)
    return true
  end
  wanted = misspelt.hook(name, METHODS, own.record.source)
  if wanted then
    local place = place_of_function(own, value, name)
    own:warn_at(place, nil, '%s is no hook here, and nothing calls it; did you mean "%s"?', schema.quote(name), wanted)
  end
  return false
end

local function check_hooks(own, plugin, meta)
  meta.hooks, meta.hook_set = 0, {}
  local is_known, has_any = set_of(METHODS), false
  for _, name in ipairs(METHODS) do
    local hook = plugin[name]
    if hook ~= nil and type(hook) ~= "function" then
      own:fail({ name }, "expected a function, found a %s", type(hook))
    elseif hook then
      has_any = true
      if metadata.HOOKS[name] then
        meta.hooks = meta.hooks + metadata.HOOKS[name]
        meta.hook_set[name] = true
      end
    end
  end
  for name, value in pairs(plugin) do
    if type(name) == "string" and not is_known[name] and type(value) == "function" then
      has_any = check_function(own, name, value) or has_any
    end
  end
  if not has_any then
    own:fail_at({ file = own.record.path }, nil, "has no hook; expected one of %s", table.concat(METHODS, ", "))
  end
end

-- -- the whole --

--- Whether a value could stand for one of NAMES.
local function fits(name, value)
  if name == "schema" then return type(value) == "table" end
  local node = statement.is_plain(value, 1) and Node.of(value, {})
  return node and select(3, schema.check(FIELDS[name], node, Report.new())) == 0
end

--- What the plugin says of itself, but for its schema.
local function check_statements(own, plugin, meta)
  local is_known = set_of(NAMES)
  for name, value in pairs(plugin) do
    if type(name) == "string" and not is_known[name] and type(value) ~= "function" then
      local wanted = misspelt.meant(name, NAMES)
      if wanted then own:fail({ name }, 'unknown; did you mean "%s"?', wanted) end
      local slip = misspelt.slip(name, NAMES)
      if slip and fits(slip, value) then own:warn({ name }, 'unknown; did you mean "%s"?', slip) end
    end
  end
  for name, field in pairs(FIELDS) do
    if plugin[name] ~= nil then meta[name] = own:value(field, plugin[name], { name }) end
  end
  if plugin.trusted ~= nil then
    own:fail({ "trusted" }, "cannot be said here: the configuration names the plugins it trusts (lua.trusted)")
  end
  if plugin.name ~= nil and plugin.name ~= meta.name then
    own:fail({ "name" }, "expected %q, as its file says, found %s", meta.name, schema.quote(tostring(plugin.name)))
  end
end

local function check_placement(own, plugin, meta)
  local stages, band = set_of(meta.stages or order.STAGES), meta.band or order.DEFAULT_BAND
  local has_place = false
  for stage in pairs(stages) do has_place = has_place or order.has(stage, band) end
  if plugin.stages and not has_place then
    local stage = stages.global and "global" or "route"
    own:fail({ "band" }, "expected a band of the %s stage (%s), found %s", stage,
             table.concat(order.BANDS[stage], ", "), band)
  end
  meta.stages, meta.band, meta.priority = stages, band, meta.priority or 0
end

local function check_requirements(own, meta)
  local parsed = {}
  for i, text in ipairs(meta.requires or {}) do
    local requirement, why = requires.parse(text)
    if requirement then parsed[#parsed + 1] = requirement else own:fail({ "requires", i }, "%s", why) end
  end
  meta.requires = parsed
end

local function check_all(own, plugin, said, meta)
  check_statements(own, plugin, meta)
  check_placement(own, plugin, meta)
  check_requirements(own, meta)
  check_hooks(own, plugin, meta)
  meta.schema = fields.check(own, plugin.schema or {}, { "schema" })
  if said then manifest.merge(own, said, meta, plugin.schema ~= nil) end
  meta.parsed_version = meta.version and requires.version(meta.version)
end

--- Whether what a file returned has anything of a plugin; a module that others require has not.
function metadata.is_plugin(result)
  if type(result) ~= "table" then return false end
  for _, name in ipairs(METHODS) do
    if rawget(result, name) ~= nil then return true end
  end
  for _, name in ipairs(NAMES) do
    if rawget(result, name) ~= nil then return true end
  end
  for name in pairs(result) do
    if type(name) == "string" and (misspelt.meant(name, METHODS) or misspelt.meant(name, NAMES)) then return true end
  end
  return false
end

--- Checks what a plugin's file returned.
-- @param plugin what the file returned
-- @tparam table record of discover: name, path (as shown), source
-- @tparam ?table said what manifest.read gave
-- @tparam Report report takes the errors
-- @treturn ?table nil after telling what is wrong; else
--   name, version, parsed_version, description, band, priority, stages = { global = true, route = true },
--   requires = what requires.parse gives, schema = fields for schema.check, hooks = mask, hook_set, decode, preflight,
--   enabled
function metadata.check(plugin, record, said, report)
  local own = statement.new(record, report)
  if type(plugin) ~= "table" then
    own:fail_at({ file = record.path }, nil, "expected the file to return a table, found %s",
                plugin == nil and "nothing" or "a " .. type(plugin))
    return nil
  end
  local meta = { name = record.name, enabled = true }
  local good, why = pcall(check_all, own, plugin, said, meta)
  if not good then        -- a metatable of the plugin's raises
    own:fail_at({ file = record.path }, nil, "its table cannot be looked at: %s", tostring(why))
  end
  return own.failures == 0 and meta or nil
end

return metadata
