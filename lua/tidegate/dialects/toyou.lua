--- Toyou Proxy: rules by host and by path that lead to services, and middlewares with names.
--
-- Native are: config_dir the files in it, read here and put together as Toyou does; each port a listener; each rule a
-- route; each middleware an instance of a plugin.
local Reading = require "tidegate.dialects.reading"
local files = require "tidegate.dialects.files"
local middlewares = require "tidegate.dialects.toyou.middlewares"
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"
local rules = require "tidegate.dialects.toyou.rules"
local schema = require "tidegate.config.schema"
local services = require "tidegate.dialects.toyou.services"

local toyou = { title = "Toyou", loads = true }

local ordered = schema.ordered
local list, map, boolean = "list", "map", "boolean"

-- -- what Toyou's files look like --

local PORT = { "port", type = "integer", min = 1, max = 65535 }
local NAMES = { "middlewares", type = list, of = { type = "string", min = 1 } }

local ROUTE_RULE = {
  type = "object",
  fields = ordered {
    { "pattern", type = "string", required = true, min = 1 },
    { "target", type = "string", required = true, min = 1 },
    NAMES,
  },
}

local HOST_RULE = {
  type = "object",
  fields = ordered {
    { "pattern", type = "string", required = true, min = 1 },
    PORT,
    { "target", type = "string", min = 1 },
    NAMES,
    { "route_rules", type = list, of = ROUTE_RULE },
  },
}

local MIDDLEWARE = {
  type = "object",
  fields = ordered {
    { "name", type = "name", required = true },
    { "enabled", type = boolean, default = true },
    { "config", type = map, of = "any" },
  },
}

local MIDDLEWARE_SERVICE = {
  type = "object",
  fields = ordered {
    { "name", type = "name", required = true },
    { "type", type = "string", required = true, min = 1 },
    { "enabled", type = boolean, default = true },
    { "is_global", type = boolean, default = false },
    { "description", type = "string" },
    { "config", type = map, of = "any" },
  },
}

local function seconds(name)
  return { name, type = "string", match = "^[%d.]+%a*$", expects = "a number of seconds" }
end

local ADVANCED = {
  "advanced", type = "object",
  fields = ordered {
    PORT,
    { "timeout", type = "object",
      fields = ordered { seconds "read_timeout", seconds "write_timeout", seconds "dial_timeout" } },
    { "security", type = "object", fields = ordered { { "deny_hidden_files", type = boolean } } },
  },
}

local FILE = {
  type = "object",
  fields = ordered {
    { "config_dir", type = "file" },
    { "server", type = "object", fields = ordered { PORT } },
    ADVANCED,
    { "match_order", type = "enum", of = { "host_first", "route_first" } },
    { "host_rules", type = list, of = HOST_RULE },
    { "route_rules", type = list, of = ROUTE_RULE },
    { "services", type = map, of = services.SCHEMA },
    { "middlewares", type = list, of = MIDDLEWARE },
    { "middleware_services", type = list, of = MIDDLEWARE_SERVICE },
  },
}

toyou.keys = {}
for _, name in ipairs(schema.names(FILE.fields)) do toyou.keys[name] = true end

-- -- recognising --

local SIGNS = { "host_rules", "route_rules", "middleware_services", "middlewares", "config_dir", "advanced",
                "match_order" }

--- The entry of a service as only Toyou writes it; beside "listen" or "routes" it is our own, with a wrong word in it.
local function service_of(root)
  if node.get(root, "routes") or node.get(root, "listen") then return nil end
  local _, entry = node.get(root, "services")
  for _, service in ipairs(entry and entry.value.entries or {}) do
    local of = service.value
    if node.get(of, "load_balancer") or node.get(of, "url") and not node.get(of, "nodes") then return entry end
  end
end

function toyou.recognise(root)
  for _, name in ipairs(SIGNS) do
    local _, entry = node.get(root, name)
    if entry then return entry end
  end
  return service_of(root)
end

-- -- putting files together --

local ADDED_UP = { "host_rules", "route_rules", "middlewares", "middleware_services" }
local MAIN_ALONE = { "advanced", "server", "config_dir", "match_order" }

local Converter = Reading.kind()

--- Takes in one file.
function Converter:add(root, is_main)
  local file, marks = self:read(FILE, root)
  for _, key in ipairs(ADDED_UP) do
    for _, item in ipairs(file[key] or {}) do table.insert(self[key], item) end
  end
  for _, name in ipairs(file.services and marks[file.services].order or {}) do
    local other = self.services[name]
    if other then
      self:warn(file.services, name, ("replaces the service of this name %s"):format(self:where(other)))
    else
      table.insert(self.service_names, name)
    end
    self.services[name] = file.services[name]
  end
  for _, key in ipairs(MAIN_ALONE) do
    if is_main then
      self[key] = file[key]
    elseif file[key] ~= nil then
      self:warn(file, key, "only counts in the main file")
    end
  end
  if is_main then self.main = file end
end

-- -- the parts of the native tree --

local DEFAULT_PORT = "8080"

--- The port that everything is asked for at, as a node; nil where rules have ports of their own and nothing else is
-- said.
function Converter:main_port()
  local advanced, server = self:node(self.advanced, "port"), self:node(self.server, "port")
  if advanced and server and advanced.text ~= server.text then
    self:fail(self.server, "port", ("expected the port %s of advanced.port %s, found %s"):format(
      advanced.text, self:where(self.advanced, "port"), server.text))
  end
  local port = advanced or server
  if port then return port end
  for _, rule in ipairs(self.host_rules) do
    if rule.port then return nil end
  end
  return node.scalar(DEFAULT_PORT, self.root)
end

--- Listeners: the main one, and one for each further port of a rule. Sets self.listener_of, which says for a port text
-- what its listener is called.
function Converter:listeners()
  local main, listeners = self:main_port(), {}
  self.listener_of = {}
  local function add(port, name)
    if self.listener_of[port.text] then return end
    self.listener_of[port.text] = name
    local listener = node.map(port, { { "address", node.scalar(":" .. port.text, port) }, { "name", name } })
    if main and port ~= main and native.has("listen", "optional") then node.put(listener, "optional", true) end
    table.insert(listeners, listener)
  end
  if main then add(main, "main") end
  for _, rule in ipairs(self.host_rules) do
    local port = self:node(rule, "port")
    if port then add(port, "port_" .. port.text) end
  end
  self.main_listener = main and "main"
  self.has_one_listener = #listeners == 1
  if self.has_one_listener then return node.list({ (node.get(listeners[1], "address")) }, main or listeners[1]) end
  return node.list(listeners, self.root)
end

function Converter:timeouts()
  local written = self.advanced and self.advanced.timeout
  local read, write = self:node(written, "read_timeout"), self:node(written, "write_timeout")
  if not read and not write then return nil end
  local place = self.marks:place(written)
  return node.map(place, {
    read and { "head", middlewares.seconds(read) }, read and { "body", middlewares.seconds(read) },
    write and { "write", middlewares.seconds(write) },
  })
end

function Converter:security()
  local hidden = self:node(self.advanced and self.advanced.security, "deny_hidden_files")
  return hidden and node.map(hidden, { { "deny_hidden_files", hidden } })
end

--- Every definition of a middleware by its name; of two of a name the later one counts.
function Converter:read_middlewares()
  for _, key in ipairs { "middlewares", "middleware_services" } do
    for _, item in ipairs(self[key]) do
      if item.name then self:define(item) end
    end
  end
end

function Converter:define(item)
  local place, path = self.marks:place(item)
  local other = self.defs[item.name]
  if other then
    self:warn(item, "name", ("replaces the middleware of this name %s"):format(self:where(other.item)))
  end
  local def = {
    name = item.name, type = item.type or item.name, item = item, place = place, path = path,
    config = self:node(item, "config"), enabled = item.enabled, is_global = item.is_global == true,
    enabled_node = self:node(item, "enabled"),
  }
  self.defs[item.name] = def
  for i, name in ipairs(self.def_names) do
    if name == item.name then table.remove(self.def_names, i) break end
  end
  table.insert(self.def_names, item.name)
  self:prepare(def)
end

--- Finds out what a definition is natively.
function Converter:prepare(def)
  if def.type == "websocket" then
    def.is_websocket = true
    return
  end
  def.instance = native.instance_name(def.name, self.instance_names)
  def.is_left_out = not middlewares.read(def, self.sources, self.report)
  def.is_unusable = def.type == "auth" and not def.config and def.enabled ~= false
end

--- The middleware that a rule names, whether it is defined or not.
function Converter:def_of(name, owner, index)
  local def = self.defs[name]
  if def then return def end
  local place, path = self.marks:place(owner, index)
  def = { name = name, type = name, place = place, path = path }
  self.defs[name] = def
  table.insert(self.def_names, name)
  self:prepare(def)
  return def
end

--- The entry of a plugin with its settings.
function Converter:entry_of(def, name, band)
  return node.map(def.place, {
    name and { "name", name } or nil,
    { "use", node.scalar(def.use, def.place) },
    def.enabled_node and { "enabled", node.copy(def.enabled_node) },
    band and { "band", band },
    def.config and { "config", node.copy(def.config) },
  })
end

--- The global chain, and the instances that rules name.
function Converter:chains()
  local global, instances = {}, node.map(self.root)
  for _, name in ipairs(self.def_names) do
    local def = self.defs[name]
    local is_plugin = not (def.is_websocket or def.is_left_out or def.is_unusable)
    if is_plugin and def.is_global then
      global[#global + 1] = self:entry_of(def, name)
    elseif is_plugin then
      node.put(instances, def.instance, self:entry_of(def), def.place)
    end
  end
  return #global > 0 and node.list(global, self.root) or nil, #instances.entries > 0 and instances or nil
end

--- Toyou writes a line for each request where its logging is on.
function Converter:log()
  for _, def in pairs(self.defs) do
    if def.type == "logging" and def.enabled ~= false then
      local log = node.map(def.place, { { "file", "stdout" }, { "format", "json" } })
      return node.map(def.place, { { "access", node.list({ log }, def.place) } })
    end
  end
end

function Converter:tree()
  local listen = self:listeners()
  self:read_middlewares()
  local routes = rules.routes(self)
  local global, instances = self:chains()
  return node.map(self.root, {
    { "listen", listen },
    { "timeouts", self:timeouts() },
    { "security", self:security() },
    { "log", self:log() },
    { "plugins", global },
    { "instances", instances },
    { "routes", routes },
    { "services", services.map(self) },
  })
end

--- Converts a file, and those in the folder that it names.
function toyou.convert(root, sources, report)
  local self = setmetatable({
    root = root, sources = sources, report = report, host_rules = {}, route_rules = {}, middlewares = {},
    middleware_services = {}, services = {}, service_names = {}, defs = {}, def_names = {},
    instance_names = {}, gathered = {},
  }, Converter)
  self:add(root, true)
  local folder = self:node(self.main, "config_dir")
  if folder then
    for _, other in ipairs(files.read_folder(folder, root.file, sources, report)) do self:add(other, false) end
  end
  if report:has_errors() then return nil end
  return self:tree()
end

return toyou
