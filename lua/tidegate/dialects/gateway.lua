--- Gateway: routes with blocks of settings for each thing that is done to a request, and services with nodes.
--
-- Native are: each block one or several plugins of the route; an assertion group the route's condition (`when`). Where
-- such a route has CORS, preflights get one of their own, since they have neither the method nor the header fields that
-- it asks for.
local Reading = require "tidegate.dialects.reading"
local assertions = require "tidegate.dialects.gateway.assertions"
local conditions = require "tidegate.dialects.conditions"
local handlers = require "tidegate.dialects.gateway.handlers"
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"
local schema = require "tidegate.config.schema"
local upstreams = require "tidegate.dialects.upstreams"

local gateway = { title = "Gateway", loads = true }

local ordered = schema.ordered

-- -- what Gateway's files look like --

local PLUGIN = {
  type = "object",
  fields = ordered {
    { "name", type = "string", required = true, min = 1 },
    { "enabled", type = "boolean" },
    { "config", type = "map", of = "any" },
  },
}

local ROUTE_FIELDS = {
  { "id", type = "name", required = true },
  { "service_id", type = "name" },
  { "service", type = "object",
    fields = ordered {
      { "name", type = "name", required = true },
      { "discovery", type = "boolean" },
      { "endpoints", type = "list", of = { type = "string", min = 1 } },
    } },
  { "path", type = "string", required = true, min = 1 },
  { "methods", type = "list", of = { type = "string", min = 1 } },
  { "enabled", type = "boolean" },
  { "priority", type = "integer" },
  { "strip_prefix", type = "string", words = { ["true"] = true, ["false"] = false } },
  { "timeout", type = "string", min = 1 },
  { "metadata", type = "object",
    fields = ordered { { "description", type = "string" }, { "tags", type = "list", of = "string" } } },
  { "plugins", type = "list", of = PLUGIN },
  assertions.FIELD,
}
for _, field in ipairs(handlers.FIELDS) do table.insert(ROUTE_FIELDS, field) end
ROUTE_FIELDS.one_of = { "service_id", "service" }

local NODE = {
  type = "object",
  fields = ordered {
    { "id", type = "string" },
    { "address", type = "string", required = true, min = 1 },
    { "weight", type = "integer" },
    { "enabled", type = "boolean" },
    { "metadata", type = "map", of = "string" },
  },
}

local SERVICE = {
  type = "object",
  fields = ordered {
    { "id", type = "name", required = true },
    { "name", type = "string" },
    { "enabled", type = "boolean", default = true },
    { "nodes", type = "list", required = true, of = NODE },
    { "load_balancer", type = "object",
      fields = ordered {
        { "algorithm", type = "enum", of = { "round_robin", "random", "weighted_round_robin", "consistent_hash",
                                             "ip_hash", "least_connections" } },
        { "health_check", type = "object",
          fields = ordered {
            { "enabled", type = "boolean", default = true },
            { "interval", type = "string" }, { "timeout", type = "string" }, { "path", type = "string" },
            { "method", type = "string" }, { "expected_status", type = "list", of = "integer" },
          } },
      } },
  },
}

local PROXY = {
  "proxy", type = "object",
  fields = ordered {
    { "id", type = "string" }, { "name", type = "string" },
    { "enabled", type = "boolean", default = true },
    { "type", type = "enum", of = { "http" } },
    { "service", type = "object",
      fields = ordered {
        { "discovery", type = "object",
          fields = ordered {
            { "enabled", type = "boolean", default = true },
            { "registry", type = "string" },
            { "config", type = "map", of = "any" },
          } },
        { "services", type = "list", of = SERVICE },
      } },
  },
}

local FILE = {
  type = "object",
  fields = ordered {
    { "server", type = "object",
      fields = ordered {
        { "port", type = "integer", min = 1, max = 65535 },
        { "read_timeout", type = "string" }, { "write_timeout", type = "string" }, { "idle_timeout", type = "string" },
      } },
    { "routes", type = "list", of = { type = "object", fields = ordered(ROUTE_FIELDS) } },
    PROXY,
  },
}

gateway.keys = { server = true, routes = true, proxy = true }

-- -- recognising --

local FOREIGN = { "uri", "uris", "upstream", "upstream_id", "paths" }

--- Whether a route is one of Gateway's: none of ours, and none of those that have an id as well.
local function is_route(item)
  for _, key in ipairs(FOREIGN) do
    if node.get(item, key) then return false end
  end
  local service = node.get(item, "service")
  return node.get(item, "service_id") ~= nil or node.get(item, "assertion_group_config") ~= nil or
         node.get(item, "id") ~= nil and node.get(item, "path") ~= nil or
         service ~= nil and node.get(service, "endpoints") ~= nil
end

function gateway.recognise(root)
  local routes, entry = node.get(root, "routes")
  for _, item in ipairs(routes and routes.items or {}) do
    if is_route(item) then return entry end
  end
  local proxy, sign = node.get(root, "proxy")
  if node.get(proxy, "service") then return sign end
  local server, only = node.get(root, "server")
  if #root.entries == 1 and node.get(server, "port") then return only end
end

-- -- the parts of the native tree --

local Converter = Reading.kind()

local DEFAULT_PORT = "8080"

function Converter:listen()
  local port = self:node(self.file.server, "port")
  return node.list({ node.scalar(":" .. (port and port.text or DEFAULT_PORT), port or self.root) }, port or self.root)
end

function Converter:timeouts()
  local server = self.file.server
  local read, write, idle = self:node(server, "read_timeout"), self:node(server, "write_timeout"),
                            self:node(server, "idle_timeout")
  if not (read or write or idle) then return nil end
  return node.map((self.marks:place(server)), {
    idle and { "idle", idle }, read and { "head", read }, read and { "body", node.copy(read) },
    write and { "write", write },
  })
end

-- -- services --

local function labels_of(self, item)
  local id, metadata = self:node(item, "id"), self:node(item, "metadata")
  if not id and not metadata then return nil end
  local labels = node.map(metadata or id)
  if id then node.put(labels, "id", node.scalar(id.text, id)) end
  for _, e in ipairs(metadata and metadata.entries or {}) do
    node.put(labels, e.key, node.scalar(e.value.text, e.value), e)
  end
  return labels
end

local function nodes_of(self, service, is_on, has_weights)
  local items = {}
  for i, item in ipairs(service.nodes or {}) do
    local place = self.marks:place(item)
    local weight, enabled = has_weights and self:node(item, "weight"), self:node(item, "enabled")
    items[i] = node.map(place, {
      { "url", self:node(item, "address") },
      weight and { "weight", weight },
      is_on and enabled and { "enabled", enabled }, not is_on and { "enabled", node.scalar(false, place) },
      { "labels", labels_of(self, item) },
    })
  end
  return node.list(items, (self.marks:place(service, "nodes")))
end

local function health_check_of(self, balancer)
  local check = balancer and balancer.health_check
  if not check or check.enabled == false then return nil end
  local place, path = self.marks:place(check)
  return upstreams.health_check({
    path = self:node(check, "path"), method = self:node(check, "method"), interval = self:node(check, "interval"),
    timeout = self:node(check, "timeout"), expect = self:node(check, "expected_status"),
  }, place, self.report, path)
end

--- A service of proxy.service.services.
function Converter:listed(service, is_on)
  local balancer = service.load_balancer
  local algorithm = self:node(balancer, "algorithm")
  local _, path = self.marks:place(balancer or service, balancer and "algorithm" or nil)
  -- Weights only matter to some algorithms there, and to all of ours.
  local has_weights = algorithm and algorithm.text ~= "round_robin" and algorithm.text ~= "random"
  return node.map((self.marks:place(service)), {
    { "balance", algorithm and upstreams.balance(algorithm, self.report, path) },
    { "nodes", nodes_of(self, service, is_on and service.enabled ~= false, has_weights) },
    { "health_check", health_check_of(self, balancer) },
  })
end

function Converter:discovery()
  local of = self.file.proxy and self.file.proxy.service
  local discovery = of and of.discovery
  if discovery and discovery.enabled ~= false then self:leave_out(of, "discovery", "the nodes that are named count") end
end

function Converter:add_service(name, value, place)
  local _, other = node.get(self.services, name)
  if other then
    self.report:add(place, nil, ("the service %s is there already (line %d)"):format(schema.quote(name), other.line))
    return
  end
  node.put(self.services, name, value, place)
end

--- The text of all nodes of a service, to see whether two are the same.
local function texts_of(list)
  local found = {}
  for i, item in ipairs(list.items) do found[i] = item.text or "" end
  return table.concat(found, " ")
end

--- A service that stands within a route. Several routes may say the same of it.
function Converter:inner_service(route)
  local service = route.service
  local place = self.marks:place(service, "name")
  local endpoints = self:node(service, "endpoints")
  if service.discovery then self:leave_out(service, "discovery", "the endpoints count") end
  if not endpoints then return end
  local same = self.inner[service.name]
  if same and texts_of(same) == texts_of(endpoints) then return end
  self.inner[service.name] = endpoints
  self:add_service(service.name, node.map(place, { { "nodes", endpoints } }), place)
end

function Converter:all_services()
  local proxy = self.file.proxy
  self:discovery()
  for _, service in ipairs(proxy and proxy.service and proxy.service.services or {}) do
    if service.id then
      self:add_service(service.id, self:listed(service, proxy.enabled ~= false), (self.marks:place(service, "id")))
    end
  end
  for _, route in ipairs(self.file.routes or {}) do
    if route.service and route.service.name then self:inner_service(route) end
  end
end

-- -- routes --

local NO_SERVICE = "there is no service %s: requests are answered with 503"

function Converter:answer(route, result)
  local name = self:node(route, "service_id") or self:node(route.service, "name")
  if not name then return end
  if node.get(self.services, name.text) then return node.put(result, "service", node.copy(name)) end
  self.report:warn(name, nil, NO_SERVICE:format(schema.quote(name.text)))
  node.put(result, "respond", node.map(name, { { "status", 503 }, { "body", "Service Unavailable\n" } }))
end

function Converter:labels(route)
  local metadata = route.metadata
  if not metadata then return nil end
  local description, tags = self:node(metadata, "description"), self:node(metadata, "tags")
  return node.map((self.marks:place(metadata)), {
    description and { "description", description },
    tags and { "tags", node.scalar(table.concat(metadata.tags, ", "), tags) },
  })
end

--- strip_prefix: true takes off what stands before the star.
function Converter:prefix(route)
  local written = self:node(route, "strip_prefix")
  if not written or route.strip_prefix == false then return nil end
  if route.strip_prefix ~= true then return written end
  local prefix = route.path:gsub("/%*+$", "")
  return prefix ~= "" and node.scalar(prefix, written) or nil
end

local SETTINGS = { jwt_auth = handlers.jwt }

--- A plugin of the short form of routes.
function Converter:named_plugin(plugin)
  local place = self.marks:place(plugin, "name")
  local use, config = plugin.name:gsub("-", "_"), self:node(plugin, "config")
  local settings = config
  if use == "rate_limit" then
    settings = handlers.rate_limit(function(key) return (node.get(config, key)) end, config or place,
                                   function(key, message) self:warn(plugin, "config", key .. " " .. message) end)
    for _, e in ipairs(config and config.entries or {}) do
      local is_known = e.key == "rate" or e.key == "burst" or e.key == "algorithm" or e.key == "window_size"
      if not is_known then node.put(settings, e.key, e.value, e) end
    end
  elseif SETTINGS[use] then
    settings = SETTINGS[use](config, config or place)
  end
  return node.map(place, {
    { "use", node.scalar(use, place) }, plugin.enabled == false and { "enabled", self:node(plugin, "enabled") },
    settings and { "config", settings },
  })
end

--- Puts CORS among the instances, and gives its name there.
function Converter:cors(route)
  local block = route.cors_config
  local name = native.instance_name(block.id or route.id .. "_cors", self.instance_names)
  node.put(self.instances, name, handlers.cors(self, block), (self.marks:place(block)))
  return name
end

--- A route for the preflights of another one.
function Converter:preflight(route, cors)
  local place = self.marks:place(route, "cors_config")
  return node.map(place, {
    { "name", route.id .. " preflight" },
    route.priority and { "priority", node.copy(self:node(route, "priority")) },
    { "path", node.copy(self:node(route, "path")) },
    { "methods", node.list({ "OPTIONS" }, place) },
    { "when", conditions.ask(place, "header", "access-control-request-method", "exists", node.scalar(true, place)) },
    { "respond", node.map(place, { { "status", 204 } }) },
    { "plugins", node.list({ cors }, place) },
  })
end

function Converter:route(route, list)
  local place = self.marks:place(route)
  local condition = assertions.condition(self, route)
  local enabled, timeout = self:node(route, "enabled"), self:node(route, "timeout")
  local methods, priority = self:node(route, "methods"), self:node(route, "priority")
  local result = node.map(place, {
    { "name", self:node(route, "id") }, enabled and { "enabled", enabled },
    priority and { "priority", priority },
    { "path", self:node(route, "path") }, methods and { "methods", methods },
    condition and { "when", condition },
  })
  self:answer(route, result)
  node.put(result, "strip_prefix", self:prefix(route))
  if timeout then node.put(result, "timeout", timeout) end
  node.put(result, "labels", self:labels(route))
  local plugins = handlers.plugins(self, route)
  if route.cors_config then
    local cors = self:cors(route)
    table.insert(plugins, 1, node.scalar(cors, (self.marks:place(route, "cors_config"))))
    if condition and route.enabled ~= false then list[#list + 1] = self:preflight(route, cors) end
  end
  for _, plugin in ipairs(route.plugins or {}) do
    if plugin.name then plugins[#plugins + 1] = self:named_plugin(plugin) end
  end
  if #plugins > 0 then node.put(result, "plugins", node.list(plugins, place)) end
  list[#list + 1] = result
end

function Converter:tree()
  local routes = {}
  self:all_services()
  for _, route in ipairs(self.file.routes or {}) do self:route(route, routes) end
  return node.map(self.root, {
    { "listen", self:listen() },
    { "timeouts", self:timeouts() },
    #self.instances.entries > 0 and { "instances", self.instances },
    { "routes", node.list(routes, self.root) },
    #self.services.entries > 0 and { "services", self.services },
  })
end

--- Converts a file.
function gateway.convert(root, sources, report)
  local self = setmetatable({
    root = root, sources = sources, report = report, inner = {}, instance_names = {}, services = node.map(root),
    instances = node.map(root),
  }, Converter)
  self.file = self:read(FILE, root)
  if report:has_errors() then return nil end
  local tree = self:tree()
  return not report:has_errors() and tree or nil
end

return gateway
