--- APISIX's standalone configuration (apisix.yaml) in our language. docs/migrating.md says what becomes of what; what
-- is not converted is told, with its line.
local auth = require "tidegate.dialects.apisix.auth"
local ordered = require "tidegate.dialects.foreign.ordered"
local pieces = require "tidegate.dialects.foreign.pieces"
local plugins = require "tidegate.dialects.apisix.plugins"
local reading = require "tidegate.dialects.foreign.reading"
local routes = require "tidegate.dialects.apisix.routes"
local upstreams = require "tidegate.dialects.apisix.upstreams"

local apisix = { title = "APISIX", is_partial = true, keys = {
  routes = true, services = true, upstreams = true, consumers = true, plugins = true, plugin_configs = true,
  global_rules = true, ssls = true, plugin_metadata = true, consumer_groups = true, stream_routes = true, protos = true,
  secrets = true,
} }

local LISTEN = { ":9080" }              -- APISIX's own; it is not part of the file

local SIGNS = { "global_rules", "plugin_configs", "plugin_metadata", "ssls", "upstreams", "stream_routes" }
local ROUTE_SIGNS = { "uri", "uris", "upstream", "upstream_id" }

local function entry_of(node, key)
  local index = node.kind == "map" and node.fields[key]
  return index and node.entries[index] or nil
end

--- The entry that shows that a file is APISIX's; nil where it is none.
function apisix.recognise(node)
  if entry_of(node, "listen") then return nil end       -- our own, with a word of APISIX in it
  local list = entry_of(node, "routes")
  for _, route in ipairs(list and list.value.items or {}) do
    for _, key in ipairs(ROUTE_SIGNS) do
      local entry = entry_of(route, key)
      if entry then return entry end
    end
  end
  for _, key in ipairs(SIGNS) do
    local entry = entry_of(node, key)
    if entry then return entry end
  end
  return nil
end

--- ${{NAME}}, ${{NAME:=default}} and $env://NAME as ${NAME}.
local function translate(text)
  local name = text:match "^%$[Ee][Nn][Vv]://([%w_]+)$"
  if name then return ("${%s}"):format(name:upper()) end
  if text:find "^%$[Ee][Nn][Vv]://" or text:find "^%$secret://" then
    return nil, ("%s: only whole variables of the environment are converted; ${file:/path} reads a file"):format(text)
  end
  local out, at = {}, 1
  while true do
    local first, last, variable, default = text:find("%${{%s*([%w_]+)%s*:?=?(.-)%s*}}", at)
    if not first then break end
    out[#out + 1] = reading.escape(text:sub(at, first - 1))
    variable = variable:upper()
    out[#out + 1] = default ~= "" and ("${%s:-%s}"):format(variable, default) or ("${%s}"):format(variable)
    at = last + 1
  end
  return table.concat(out) .. reading.escape(text:sub(at))
end

-- -- the parts --

local UNKNOWN = {
  ssls = "certificates inside the file cannot be served: keep them in files, and name them under listen[].tls",
  plugin_metadata = "settings of plugins for all are not converted",
  plugins = "which plugins there are is by their files",
  consumer_groups = "groups of consumers are not converted", protos = "protocol buffers are not converted",
  stream_routes = "streams are not available",
  secrets = "stores of secrets cannot be asked; ${file:/path} reads a file",
}

local function read_services(self, root)
  local by_id = {}
  for i, map in ipairs(root:maps "services") do
    local id = map:text "id" or tostring(i)
    local service = { map = map, name = map:text "name" or "service-" .. id }
    service.plugins = plugins.read(map, self.apisix, service.name)
    if map:has "upstream" then
      service.target = self.apisix.upstreams:inline(map:map "upstream", service.name)
    elseif map:has "upstream_id" then
      service.target = self.apisix.upstreams:of(map, "upstream_id")
    end
    map:harmless("id", "name", "desc", "labels", "enable_websocket", "create_time", "update_time", "upstream_id")
    map:refuse { script = "a script is not converted; a plugin can do the same" }
    by_id[id] = service
  end
  return by_id
end

local function read_plugin_configs(self, root)
  local by_id = {}
  for i, map in ipairs(root:maps "plugin_configs") do
    local id = map:text "id" or tostring(i)
    by_id[id] = plugins.read(map, self.apisix, map:text "name" or "plugins-" .. id)
    map:harmless("id", "name", "desc", "labels", "create_time", "update_time")
    map:finish()
  end
  return by_id
end

local function read_rules(self, root)
  local rules = {}
  for _, map in ipairs(root:maps "global_rules") do
    for _, use in ipairs(plugins.read(map, self.apisix, "all", true)) do rules[#rules + 1] = use end
    map:harmless("id", "name", "desc", "create_time", "update_time")
    map:finish()
  end
  return rules
end

--- Where a route's requests go; nil after telling.
local function target_of(self, route)
  local map, target = route.map, nil
  if map:has "upstream" then
    target = self.apisix.upstreams:inline(map:map "upstream", route.name)
  elseif map:has "upstream_id" then
    target = self.apisix.upstreams:of(map, "upstream_id")
  elseif route.service then
    target = route.service.target
  end
  map:harmless("upstream_id")
  if target and map:has "timeout" then
    target = self.apisix.upstreams:with_timeouts(target, upstreams.timeouts(map), route.name)
  end
  map:harmless "timeout"
  return target
end

local function named(map, key, all, what)
  local id = map:text(key)
  if id and not all[id] then map:tell(key, "there is no %s %s", what, id) end
  return id and all[id]
end

local function read_route(self, map, number)
  local service = named(map, "service_id", self.by_service, "service")
  local shared = named(map, "plugin_config_id", self.by_plugin_config, "plugin_config")
  local route = routes.read(map, service, number)
  local own = plugins.read(map, self.apisix, route and route.name or "route-" .. number)
  if not route then return map:finish() end
  if map:has "service_id" and not service or map:has "plugin_config_id" and not shared then route.is_off = true end
  route.plugins = { own, shared or {}, service and service.plugins or {} }
  route.target = target_of(self, route)
  map:finish()
  self.routes[#self.routes + 1] = route
end

-- -- the result --

--- Weights of services, "the route's own" by its name; nil where that has none.
local function shares(split, target)
  local out = {}
  for _, each in ipairs(split) do
    local name = each.name or target
    if not name then return nil end
    out[name] = (out[name] or 0) + each.weight
  end
  return out
end

local function answers_itself(route)
  for _, entry in ipairs(route.plugins or {}) do
    local use = type(entry) == "table" and (entry.use or next(entry)) or nil
    if use == "respond" then return true end
  end
  return false
end

--- What a piece does with its requests; false where nothing is left to do.
local function set_action(piece)
  local route, target = piece.route, piece.owner.target
  local split = piece.split and shares(piece.split, target)
  if split then
    route.split = split
  elseif target then
    route.service = target
  elseif answers_itself(route) or not (piece.owner.map:has "upstream" or piece.owner.map:has "upstream_id") then
    -- A plugin answers; behind it APISIX has nothing either.
    route.respond = { status = 503 }
  else
    return false
  end
  return true
end

local function tell_of_borders(self)
  for _, route in ipairs(self.routes) do
    if route.open_path then
      local key = route.map:has "uri" and "uri" or "uris"
      local lone = route.open_path:gsub("/%*$", "")
      return route.map:warn(key, "%s takes %s as well here, which in APISIX it does not; so do all paths with /* at " ..
                            "their end", route.open_path, lone)
    end
  end
end

local function write_routes(self, rules, out)
  local list, kept = {}, {}
  for _, route in ipairs(self.routes) do route:write(list) end
  pieces.put_in_order(list)
  list = routes.merge(list)
  plugins.assign(list, rules, out)
  for _, piece in ipairs(list) do
    if set_action(piece) then
      kept[#kept + 1] = piece
    elseif not piece.owner.is_told then
      piece.owner.is_told = true
      piece.owner.map:tell(nil, "its upstream is not converted: the route is left out")
    end
  end
  pieces.write(kept, out)
end

--- @tparam table node of the whole file
-- @tparam Sources _
-- @tparam Report report takes what is not converted as errors, what differs as warnings
-- @return a value for tidegate.config.emit; there is one whatever the report says
function apisix.convert(node, _, report)
  local root = reading.new(node, "", report, translate)
  local set = upstreams.set(root)
  local self = { routes = {}, apisix = { credentials = auth.read(root), upstreams = set, access_logs = {} } }
  self.by_service = read_services(self, root)
  self.by_plugin_config = read_plugin_configs(self, root)
  local rules = read_rules(self, root)
  for i, map in ipairs(root:maps "routes") do read_route(self, map, i) end
  for _, service in pairs(self.by_service) do
    service.map:harmless("host", "hosts")
    service.map:finish()
  end
  root:refuse(UNKNOWN)
  root:finish()
  tell_of_borders(self)
  set:tell_unused()
  local out = { listen = LISTEN, plugins = {}, instances = {}, routes = {}, services = set.services }
  write_routes(self, rules, out)
  if #self.apisix.access_logs > 0 then out.log = { access = self.apisix.access_logs } end
  if self.apisix.has_metrics then out.metrics = { listen = "127.0.0.1:9901" } end
  return ordered(pieces.without_empty(out))
end

return apisix
