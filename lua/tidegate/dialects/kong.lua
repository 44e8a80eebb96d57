--- Kong's declarative configuration (formats 1.1, 2.1 and 3.0) in our language. docs/migrating.md says what becomes of
-- what; what is not converted is told, with its line.
local auth = require "tidegate.dialects.kong.auth"
local ordered = require "tidegate.dialects.foreign.ordered"
local pieces = require "tidegate.dialects.foreign.pieces"
local plugins = require "tidegate.dialects.kong.plugins"
local reading = require "tidegate.dialects.foreign.reading"
local routes = require "tidegate.dialects.kong.routes"
local services = require "tidegate.dialects.kong.services"
local upstreams = require "tidegate.dialects.kong.upstreams"

local kong = { title = "Kong", is_partial = true, keys = { _format_version = true } }

local LISTEN = { ":8000" }              -- Kong's own; it is not part of the file

--- The entry that shows that a file is Kong's; nil where it is none.
function kong.recognise(node)
  local index = node.kind == "map" and node.fields._format_version
  return index and node.entries[index] or nil
end

-- -- texts --

--- Vaults of the environment, by the prefix in references: what the names of their variables begin with.
local function read_vaults(root)
  local prefixes = { env = "" }
  for _, map in ipairs(root:maps "vaults") do
    local prefix, name = map:text "prefix", map:text "name"
    local config = map:map "config"
    if name == "env" and prefix then
      prefixes[prefix] = config and config:raw("prefix", "") or ""
      map:harmless("id", "description", "created_at", "updated_at", "tags")
      if config then config:harmless("ttl", "neg_ttl", "resurrect_ttl", "base64_decode") end
    else
      map:tell("name", "the vault %s cannot be asked; ${file:/path} reads what it writes to files", name or "")
      map:harmless("config", "id", "prefix", "description", "created_at", "updated_at", "tags")
      config = nil
    end
    if config then config:finish() end
    map:finish()
  end
  return prefixes
end

--- { vault://env/name } as ${NAME}.
local function translator(prefixes)
  return function(text)
    local reference = text:match "^{vault://(.*)}$"
    if not reference then return reading.escape(text) end
    local vault, name = reference:match "^([^/]+)/([%w_-]+)$"
    local prefix = prefixes[vault]
    if not prefix then
      return nil, ("%s is no variable of the environment; ${file:/path} reads a secret from a file"):format(text)
    end
    return ("${%s}"):format((prefix .. name):upper():gsub("-", "_"))
  end
end

--- The name or id that a reference gives: "name", { name: ... } or { id: ... }.
local function refers(map, key)
  local entry = map:entry(key)
  if not entry then return nil end
  if entry.value.kind == "scalar" then return entry.value.text end
  local below = map:map(key)
  local name = below:text "name" or below:text "id" or below:text "username"
  below:harmless("name", "id", "username")
  below:finish()
  return name
end

-- -- the parts --

local UNKNOWN = {
  certificates = "certificates inside the file cannot be served: keep them in files, and name them under listen[].tls",
  snis = "certificates are chosen by the names that they hold: listen[].tls.certificates",
  ca_certificates = "keep them in a file, and name it under services.NAME.tls.ca",
  consumer_groups = "groups of consumers are not converted",
  plugin_configs = "shared settings of plugins are not converted",
  filter_chains = "WASM filters are not available", licenses = "not needed",
  rbac_roles = "rights of administrators are not converted", keys = "keys are not converted",
  key_sets = "keys are not converted",
  custom_entities = "entities of custom plugins are not converted", partials = "partials are not converted",
  _plugin_configs = "shared settings of plugins are not converted",
  oauth2_credentials = "OAuth 2 is not converted", parameters = "not converted", workspaces = "not converted",
}

local function info(root)
  local map = root:map "_info"
  if not map then return end
  map:harmless "select_tags"
  map:refuse { defaults = "defaults of the export are not applied: export with them written out" }
  map:finish()
end

local function format_of(root)
  local text = root:raw("_format_version", "3.0")
  local format = tonumber(text)
  if format and format >= 1 and format < 4 then return format end
  root:tell("_format_version", 'the format "%s" is not known: read as 3.0', text)
  return 3
end

local function read_route(self, map, service)
  local route = routes.read(map, service, #self.routes + 1, self.format)
  if route then
    plugins.read(map, self.kong, { route = route.name }, self.uses)
    self.routes[#self.routes + 1] = route
  end
  return route
end

local function read_routes(self, root, list, by_name)
  for _, service in ipairs(list) do
    for _, map in ipairs(service.map:maps "routes") do read_route(self, map, service) end
    plugins.read(service.map, self.kong, { service = service.name }, self.uses)
    service.map:finish()
  end
  for _, map in ipairs(root:maps "routes") do
    local name = refers(map, "service")
    if name and not by_name[name] then map:tell("service", "there is no such service: the route is left out") end
    if not name or by_name[name] then read_route(self, map, name and by_name[name]) end
  end
  plugins.read(root, self.kong, {}, self.uses)
end

local NO_SERVICE = {
  status = 503, headers = { ["content-type"] = "application/json; charset=utf-8" },
  body = '{"message":"no Service found with those values"}',
}

--- What a route does with its requests.
local function set_action(route, native)
  local service = route.service
  if not service then
    native.respond = NO_SERVICE
    native.strip_prefix, native.add_prefix = nil, nil
  elseif not service.is_usable then
    return false
  else
    native.service = service:use(route.preserves_host)
    if not service.enabled then route.is_off = true end
  end
  return true
end

local function pieces_of(self)
  local list = {}
  for _, route in ipairs(self.routes) do
    local first = #list + 1
    route:write(list, self.format)
    route.map:finish()
    if not set_action(route, list[first].route) then
      route.map:tell(nil, "its service is not converted: the route is left out")
      for i = #list, first, -1 do list[i] = nil end
    end
    for i = first + 1, #list do set_action(route, list[i].route) end
  end
  return list
end

--- Once for all: what paths mean here and there.
local function tell_of_borders(self)
  local first, count
  for _, route in ipairs(self.routes) do
    if route.open_path then
      first, count = first or route, (count or 0) + 1
    end
  end
  if not first then return end
  first.map:warn("paths", "a path is a prefix on segment borders here: %s takes %s and %s/..., not %s2 as in Kong%s",
                 first.open_path, first.open_path, first.open_path, first.open_path,
                 count > 1 and ("; so do the paths of %d more routes"):format(count - 1) or "")
end

local function write_routes(self, out)
  local list = pieces_of(self)
  pieces.put_in_order(list)
  list = routes.merge(list)
  plugins.assign(list, self.uses, out)
  pieces.write(list, out)
end

--- @tparam table node of the whole file
-- @tparam Sources _
-- @tparam Report report takes what is not converted as errors, what differs as warnings
-- @return a value for tidegate.config.emit; there is one whatever the report says
function kong.convert(node, _, report)
  local vaults = reading.new(node, "", report)
  local root = reading.new(node, "", report, translator(read_vaults(vaults)))
  root:harmless("_transform", "_comment", "_ignore", "_workspace", "_konnect", "vaults")
  local self = { routes = {}, uses = {}, format = format_of(root) }
  info(root)
  self.kong = { refers = refers, access_logs = {} }
  self.kong.credentials = auth.read(root, refers, function(map, name)
    plugins.read(map, self.kong, { consumer = name or "" }, self.uses)
  end)
  local all = upstreams.read(root, refers)
  local list, by_name = services.read(root, all)
  read_routes(self, root, list, by_name)
  root:refuse(UNKNOWN)
  root:finish()
  upstreams.tell_unused(all)
  local out = { listen = LISTEN, plugins = {}, instances = {}, routes = {}, services = {} }
  write_routes(self, out)
  tell_of_borders(self)
  for _, service in ipairs(list) do service:write(out.services) end
  if #self.kong.access_logs > 0 then out.log = { access = self.kong.access_logs } end
  if self.kong.has_metrics then out.metrics = { listen = "127.0.0.1:9901" } end
  return ordered(pieces.without_empty(out))
end

return kong
