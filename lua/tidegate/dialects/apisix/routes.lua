--- APISIX's routes: what requests they take, and in which order.
local native = require "tidegate.dialects.foreign.native"
local pieces = require "tidegate.dialects.foreign.pieces"
local vars = require "tidegate.dialects.apisix.vars"

local routes = {}

local Route = { lose = pieces.lose, methods = pieces.methods }
Route.__index = Route

-- -- paths and hosts --

--- A uri as a pattern, and how it ranks: { pattern =, is_exact =, length = of what comes before the first * or : }.
function Route:path(text, key)
  local stem = text:match "^([^*:]*)" or ""
  local pattern = text
  if text:find "/:[%a_]" then pattern = text:gsub("/:([%a_][%w_]*)", "/{%1}") end
  pattern = pattern:gsub("/%*[%a_][%w_]*$", "/*")
  if pattern:find "[^/]%*$" then
    self.map:warn(key, "%s takes what goes on without a slash as well, here by a pattern", text)
    pattern = "~^" .. pattern:gsub("%*$", ""):gsub("[^%w/_-]", "\\%0")
  end
  local good, why = native.takes("path_pattern", pattern)
  if not good then
    self:lose(key, "%s: %s", text, why)
    return nil
  end
  if text:find "[^/*]/%*$" then self.open_path = self.open_path or text end
  if text:find "/:[%a_]" then
    self.map:warn(key, "%s is read as a path with parameters, as the router radixtree_uri_with_parameter has it", text)
  end
  return { pattern = pattern, is_exact = stem == text, length = #stem, written = text }
end

function Route:paths()
  local list = {}
  for _, key in ipairs { "uri", "uris" } do
    for _, text in ipairs(self.map:texts(key, true) or {}) do list[#list + 1] = self:path(text, key) end
  end
  return list
end

--- A host as a pattern, and how it ranks.
function Route:host(map, text, key)
  local pattern = text
  local tail = text:match "^%*([^.*].*)$"
  if tail then pattern = "~^.*" .. tail:gsub("%.", "\\.") .. "$" end
  if text == "*" then return { length = 0 } end
  local good, why = native.takes("host_pattern", pattern)
  if good then return { pattern = pattern, is_exact = not text:find("*", 1, true), length = #text } end
  if map == self.map then
    self:lose(key, "%s: %s", text, why)
  else
    map:tell(key, "%s: %s; its routes are written with `enabled: false`", text, why)
    self.is_off = true
  end
  return nil
end

--- Those of the route, else those of its service.
function Route:hosts(service)
  local list = {}
  for _, map in ipairs { self.map, service and service.map or nil } do
    for _, key in ipairs { "host", "hosts" } do
      for _, text in ipairs(map:texts(key, true) or {}) do
        if map == self.map or not self.has_hosts then list[#list + 1] = self:host(map, text, key) end
      end
    end
    if map == self.map then self.has_hosts = map:has "host" or map:has "hosts" end
  end
  if #list == 0 then list[1] = { length = -1 } end
  return list
end

-- -- conditions --

function Route:when()
  local list = {}
  for _, key in ipairs { "remote_addr", "remote_addrs" } do
    local networks = self.map:texts(key)
    for _, network in ipairs(networks or {}) do
      if not native.takes("cidr", network) then self:lose(key, "%s is no network", network) end
    end
    if networks and not self.is_off then list[#list + 1] = { client_ip = networks } end
  end
  local entry = self.map:entry "vars"
  if entry then
    local found, why = vars.condition(entry.value)
    if why then self:lose("vars", "%s", why) end
    list[#list + 1] = found
  end
  if #list > 0 and not native.has "routes.when" then
    self:lose(entry and "vars" or self.map:has "remote_addr" and "remote_addr" or "remote_addrs",
              "conditions of routes are not available in this version")
    return nil
  end
  return vars.all(list)
end

local function labels(map)
  local below, result = map:map "labels", {}
  for _, name in ipairs(below and below:keys() or {}) do result[name] = below:text(name) end
  return next(result) and result or nil
end

-- -- a route --

--- @tparam Reading map
-- @tparam ?table service { map =, ... }
-- @tparam number number of the route
function routes.read(map, service, number)
  local self = setmetatable({ map = map, service = service }, Route)
  self.id = map:text "id"
  self.name = map:text "name" or "route-" .. (self.id or number)
  self.all_paths, self.all_hosts = self:paths(), self:hosts(service)
  self.native = { methods = self:methods(), when = self:when(), labels = labels(map) }
  self.priority = map:number("priority", 0, -2 ^ 31)
  if map:number("status", 1) == 0 then self.is_off = true end
  if map:has "filter_func" then self:lose("filter_func", "a function of Lua is no condition here; a plugin can be") end
  -- Upgraded connections are always let through.
  map:harmless("desc", "create_time", "update_time", "enable_websocket", "id", "name", "service_protocol")
  map:refuse { script = "a script is not converted; a plugin can do the same", script_id = "a script is not converted" }
  if #self.all_paths == 0 and not self.is_off then
    map:tell(nil, "has neither uri nor uris: it is left out")
    return nil
  end
  return self
end

--- What decides between routes, the first that differs: the host (exact, longer), the path (exact, longer up to its
-- first * or :), priority, the longer path as written, the earlier in the file.
local function weight(self, host, path, index)
  return {
    host.is_exact and 1 or 0, host.length, path.is_exact and 1 or 0, path.length, self.priority, #path.written, -index,
  }
end

--- A piece for each pair of host and path.
function Route:write(out)
  for _, host in ipairs(self.all_hosts) do
    for _, path in ipairs(#self.all_paths > 0 and self.all_paths or { { length = 0, written = "" } }) do
      local copy = {}
      for key, value in pairs(self.native) do copy[key] = value end
      copy.hosts = host.pattern and { host.pattern } or nil
      copy.paths = path.pattern and { path.pattern } or nil
      copy.name = self.name
      out[#out + 1] = { route = copy, owner = self, weight = weight(self, host, path, #out) }
    end
  end
end

local function add_once(list, word)
  for _, other in ipairs(list) do
    if other == word then return end
  end
  list[#list + 1] = word
end

--- Pieces of one route that all have the same priority are one route again.
function routes.merge(list)
  local merged, is_uniform, first = {}, {}, {}
  for _, piece in ipairs(list) do
    local owner = piece.owner
    first[owner] = first[owner] or piece
    if is_uniform[owner] ~= false then is_uniform[owner] = first[owner].route.priority == piece.route.priority end
  end
  for _, piece in ipairs(list) do
    local one = first[piece.owner]
    if not is_uniform[piece.owner] or one == piece then
      merged[#merged + 1] = piece
    else
      for _, key in ipairs { "hosts", "paths" } do
        if piece.route[key] and one.route[key] then
          add_once(one.route[key], piece.route[key][1])
        else
          one.route[key] = nil          -- one of them takes all
        end
      end
    end
  end
  return merged
end

return routes
