--- BigHammer (JSON): a main file with ports and paths, and beside it the routes, the plugins and the services.
--
-- Its business process is asked over its socket, which has to speak HTTP then. Paths such as /config/router.json are
-- relative to the folder that it is installed in: the one above config, where the main file is.
local Reading = require "tidegate.dialects.reading"
local Sources = require "tidegate.config.source"
local fields = require "tidegate.dialects.fields"
local files = require "tidegate.dialects.files"
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"
local schema = require "tidegate.config.schema"

local bighammer = { title = "BigHammer" }

local ordered = schema.ordered

-- -- what its files look like --

local text = fields.text

local MAIN = {
  type = "object",
  fields = ordered {
    text "database_url", text "memory_db_path", text "mainPid_path",
    text "bussinessPid_path", text "businessPid_path", text "socket_path",
    text "bussiness_socket_path", text "business_socket_path", text "router_path", text "plugins_path",
    text "services_path", text "bussiness_main_path", text "business_main_path",
    { "ports", type = "object",
      fields = ordered { text "ipc_port", text "http_port", text "websocket_port", text "tcp_port" } },
  },
}

--- A file that has one list.
local function list_of(name, ...)
  return { type = "object", fields = ordered { fields.required(fields.list_of(name, ...)) } }
end

local ROUTER = list_of("routes",
  { "path", type = "string", required = true, min = 1 }, { "method", type = "list", single = true, of = "string" },
  text "handler", { "plugins", type = "list", of = "string" })

local PLUGINS = list_of("plugins",
  { "name", type = "string", required = true, min = 1 }, { "enabled", type = "boolean" },
  { "config", type = "map", of = "any" })

local SERVICES = list_of("services", text "name", text "path", { "enabled", type = "boolean" })

local SIGNS = { "bussiness_socket_path", "bussiness_main_path", "bussinessPid_path", "mainPid_path" }

function bighammer.recognise(root)
  for _, name in ipairs(SIGNS) do
    local _, entry = node.get(root, name)
    if entry then return entry end
  end
end

local Converter = Reading.kind()

--- A file that the main one names. It may be a list where the others have a map with one in it.
-- @treturn ?table values; nil where there is no such file
function Converter:other(key, default, field)
  local written = self:node(self.file, key)
  local path = written and written.text or default
  local folder = Sources.folder_of(self.root.file)
  local name = path:match "[^/]*$"
  for _, candidate in ipairs { (".." .. "/" .. path):gsub("//+", "/"), name } do
    if type(candidate) == "string" and self.sources:can_read(candidate) then
      local root = files.read(candidate, self.root.file, self.sources, self.report)
      if not root then return nil end
      Reading.escape(root)
      local list = schema.names(field.fields)[1]
      if root.kind == "list" then root = node.map(root, { { list, root } }) end
      return (self:read(field, root))[list]
    end
  end
  if written then self:warn(self.file, key, ("%s cannot be read, neither in %s nor above it"):format(path, folder)) end
  return nil
end

-- -- listeners --

function Converter:listen()
  local ports, list, known = self.file.ports, {}, {}
  for _, key in ipairs { "http_port", "websocket_port" } do
    local port = self:node(ports, key)
    if port and not known[port.text] then
      known[port.text] = true
      list[#list + 1] = node.scalar(":" .. port.text, port)
    end
  end
  for _, key in ipairs { "ipc_port", "tcp_port" } do
    if ports then self:leave_out(ports, key) end
  end
  self:leave_out(self.file, "socket_path", "clients come in over the ports")
  if #list == 0 then list[1] = node.scalar(":8080", self.root) end
  return node.list(list, self.root)
end

--- A path of the installation, without the slash before it.
local function inside(written)
  return node.scalar((written.text:gsub("^/+", "")), written)
end

-- -- plugins --

local ALIASES = {
  logger = "logging", log = "logging", logging = "logging", auth = "auth", rate_limit = "rate_limit",
  ratelimit = "rate_limit", limiter = "rate_limit", cors = "cors",
}

--- Puts the plugins among the instances. self.chains has, for each name, that of the instance; false where the plugin
-- is switched off; nil where there is none.
function Converter:plugins()
  for _, plugin in ipairs(self:other("plugins_path", "config/plugins.json", PLUGINS) or {}) do
    local use = plugin.name and (ALIASES[plugin.name:lower()] or plugin.name)
    if use and plugin.enabled == false then
      self.chains[plugin.name] = false
    elseif use and native.has_plugin(use, self.sources) then
      self:instance(plugin.name, use, self:place(plugin), self:node(plugin, "config"))
    elseif use then
      self:warn(plugin, "name", ("there is no plugin %s: routes that need it are switched off"):format(
        schema.quote(use)))
    end
  end
end

function Converter:instance(name, use, place, config)
  local as = native.instance_name(name, self.instance_names)
  if config and config.kind == "map" and #config.entries == 0 then config = nil end
  node.put(self.instances, as, node.map(place, { { "use", node.scalar(use, place) }, { "config", config } }), place)
  self.chains[name] = as
end

--- The plugins of a route; whether one is missing, so that the route must not be open.
function Converter:chain(route)
  local list, is_closed = {}, false
  for i, name in ipairs(route.plugins or {}) do
    local place = self:place(route.plugins, i)
    if self.chains[name] == nil and ALIASES[name:lower()] == "logging" then
      self:instance(name, "logging", place)
    end
    local as = self.chains[name]
    if as then list[#list + 1] = node.scalar(as, place) end
    if as == nil then
      local _, path = self.marks:place(route.plugins, i)
      self.report:warn(place, path, ("there is no plugin %s with settings: the route is switched off"):format(
        schema.quote(name)))
      is_closed = true
    end
  end
  return list, is_closed
end

-- -- routes and the service behind them --

function Converter:routes()
  local list = {}
  local written = self:other("router_path", "config/router.json", ROUTER)
  for _, route in ipairs(written or {}) do
    local place, path = self:place(route), self:node(route, "path")
    local method, handler = self:node(route, "method"), self:node(route, "handler")
    local plugins, is_closed = self:chain(route)
    list[#list + 1] = node.map(place, {
      is_closed and { "enabled", node.scalar(false, place) },
      { "path", path }, method and { "methods", method },
      { "service", "business" },
      handler and { "labels", node.map(handler, { { "handler", handler } }) },
      #plugins > 0 and { "plugins", node.list(plugins, place) },
    })
  end
  if not written then list[1] = node.map(self.root, { { "path", "/*" }, { "service", "business" } }) end
  return node.list(list, self.root)
end

function Converter:business()
  local file = self.file
  local socket = self:node(file, "bussiness_socket_path") or self:node(file, "business_socket_path")
  if not socket then
    self:fail(file, nil, "needs the key bussiness_socket_path: where the business process is asked")
    return nil
  end
  self.report:warn(socket, nil, "the business process must speak HTTP on this socket, and be started by itself")
  return node.map(socket, { { "nodes", node.list({ node.scalar("unix:" .. inside(socket).text, socket) }, socket) } })
end

local LEFT_OUT = {
  "database_url", "memory_db_path", "bussinessPid_path", "businessPid_path", "bussiness_main_path",
  "business_main_path",
}

function Converter:tree()
  local file = self.file
  self:leave_out_all(file, unpack(LEFT_OUT))
  local pid, listen = self:node(file, "mainPid_path"), self:listen()
  self:plugins()
  local routes, business = self:routes(), self:business()
  for _, service in ipairs(self:other("services_path", "config/services.json", SERVICES) or {}) do
    if service.enabled ~= false then
      self:warn(service, nil, "not available in this version; left out: the business process runs it")
    end
  end
  return node.map(self.root, {
    pid and { "gateway", node.map(pid, { { "pid_file", inside(pid) } }) },
    { "listen", listen },
    #self.instances.entries > 0 and { "instances", self.instances },
    { "routes", routes },
    { "services", business and node.map(self.root, { { "business", business } }) },
  })
end

--- Converts the main file, with those that belong to it.
function bighammer.convert(root, sources, report)
  Reading.escape(root)
  local self = setmetatable({
    root = root, sources = sources, report = report, chains = {}, instances = node.map(root), instance_names = {},
  }, Converter)
  self.file = self:read(MAIN, root)
  if report:has_errors() then return nil end
  local tree = self:tree()
  return not report:has_errors() and tree or nil
end

return bighammer
