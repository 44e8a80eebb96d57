--- APISIX's upstreams as services.
local chains = require "tidegate.dialects.foreign.chains"
local health = require "tidegate.dialects.foreign.health"
local native = require "tidegate.dialects.foreign.native"
local reading = require "tidegate.dialects.foreign.reading"
local vars = require "tidegate.dialects.apisix.vars"

local upstreams = {}

local SECONDS = 60              -- of a timeout that is not written
local PORTS = { http = 80, https = 443, grpc = 80, grpcs = 443 }
local ALGORITHMS = {
  roundrobin = "round_robin", chash = "consistent_hash", ewma = "least_latency", least_conn = "least_connections",
}

-- -- nodes --

--- "host:port" or "host" with a weight as a node; nil after telling.
local function node_of(map, key, host, port, weight, scheme)
  local url = ("%s:%d"):format(host:find(":", 1, true) and not host:find "^%[" and "[" .. host .. "]" or host,
                               port or PORTS[scheme] or 80)
  local good, why = native.takes("node", url)
  if not good then
    map:tell(key, "%s is no address of a node: %s", url, why)
    return nil
  end
  local node = { url = url, weight = math.max(1, weight) }
  if weight == 0 then node.enabled = false end
  return node
end

local function split(address)
  local host, port = address:match "^(.-):(%d+)$"
  if address:find "^%[.*%]$" or not host then return address, nil end
  return host, tonumber(port)
end

--- Nodes written as a map of addresses to weights.
local function by_address(map, scheme)
  local list, nodes = {}, map:map "nodes"
  for _, address in ipairs(nodes:keys()) do
    local host, port = split(address)
    list[#list + 1] = node_of(map, "nodes", host, port, nodes:number(address, 1, 0, 65535), scheme)
  end
  return list
end

local function as_list(map, scheme)
  local list = {}
  for _, each in ipairs(map:maps "nodes") do
    local host = each:text("host", "")
    local port, weight = each:number("port", nil, 1, 65535), each:number("weight", 1, 0, 65535)
    list[#list + 1] = node_of(each, "host", host, port, weight, scheme)
    if each:number("priority", 0, -100) ~= 0 then
      each:tell("priority", "nodes of another rank are not available: it is one of all")
    end
    each:harmless "metadata"
    each:finish()
  end
  return list
end

local function nodes(map, scheme)
  local entry = map:entry "nodes"
  if not entry then return {} end
  local list = entry.value.kind == "list" and as_list(map, scheme) or by_address(map, scheme)
  for _, each in ipairs(list) do
    if each.weight ~= list[1].weight then return list end
  end
  for _, each in ipairs(list) do each.weight = nil end
  return list
end

-- -- the rest --

-- What can be hashed besides headers, cookies and arguments.
local HASHED = { client_ip = true, path = true }

local function hash(map)
  local on, key = map:text("hash_on", "vars"), map:text "key"
  local found
  if on == "header" and key then found = vars.template(key) or "header." .. key:lower() end
  if on == "cookie" and key then found = vars.template(key) or "cookie." .. key end
  if on == "vars" then found = key and vars.template(key) or not key and "client_ip" end
  if not found or not HASHED[found] and not found:find "^%l+%." then
    map:tell(map:has "key" and "key" or "hash_on", "nodes cannot be picked by this key; it is round_robin instead")
    return nil
  end
  return { algorithm = "consistent_hash", key = found }
end

local function balance(map)
  local written = map:text("type", "roundrobin")
  local algorithm = ALGORITHMS[written]
  if not algorithm or not native.has_word("services.balance.algorithm", algorithm) then
    map:tell("type", "picking nodes by %s is not available in this version; it is round_robin instead", written)
    map:harmless("hash_on", "key")
    return nil
  end
  if algorithm == "consistent_hash" then return hash(map) end
  map:harmless("hash_on", "key")
  return algorithm ~= "round_robin" and algorithm or nil
end

--- Seconds as a duration; APISIX takes fractions.
local function seconds(map, key)
  return native.ms(map:number(key, SECONDS, 0, reading.DAYS_MS / 1000) * 1000)
end

function upstreams.timeouts(map)
  local times = map:map "timeout" or map:empty "timeout"
  local read = seconds(times, "read")
  local result = { connect = seconds(times, "connect"), send = seconds(times, "send"), first_byte = read, idle = read }
  times:finish()
  return result
end

local function host_header(map)
  local pass = map:text("pass_host", "pass")
  local host = map:text "upstream_host"
  if pass == "node" then return "node" end
  if pass == "rewrite" and host then return host end
  if pass ~= "pass" then map:tell("pass_host", '"%s" is not converted: the client\'s Host is sent on', pass) end
  return nil
end

local function pool(map)
  local keep = map:map "keepalive_pool"
  if not keep then return nil end
  local size, requests = keep:number("size", nil, 0, 1e6), keep:number "requests"
  local idle = keep:number("idle_timeout", nil, 0, 1e6)
  keep:finish()
  return {
    idle_per_node = size, idle = idle and idle > 0 and native.ms(idle * 1000) or nil, max_requests = requests,
  }
end

local function tls(map, scheme)
  local below = map:map "tls"
  local verify = below and below:flag("verify", false) or false
  if below then
    below:refuse {
      client_cert = "it is part of the file; keep it in a file, and name it under tls.client_cert",
      client_key = "it is part of the file; keep it in a file, and name it under tls.client_cert",
      client_cert_id = "keep the certificate in a file, and name it under tls.client_cert",
    }
    below:finish()
  end
  if PORTS[scheme] ~= 443 then return nil end
  if not verify then
    map:warn(map:has "scheme" and "scheme" or nil,
             "APISIX does not check the certificates of nodes unless told; `verify: false` keeps it so")
  end
  return { verify = verify }
end

local REFUSED = {
  service_name = "nodes cannot be discovered in this version: name them",
  discovery_type = "nodes cannot be discovered in this version: name them",
  discovery_args = "nodes cannot be discovered in this version: name them",
  retry_timeout = "an end for all tries together is the route's `timeout`",
}

--- An upstream as a service.
-- @tparam Reading map
-- @treturn ?table nil after telling why it is none
function upstreams.service(map)
  local scheme = map:text("scheme", "http")
  local list = nodes(map, scheme)
  local service = {
    protocol = scheme, nodes = list, balance = balance(map), timeouts = upstreams.timeouts(map),
    host_header = host_header(map), pool = pool(map), tls = tls(map, scheme),
    health_check = health.convert(map, "checks", health.APISIX),
  }
  -- Where nothing is said, each node is tried once.
  service.retries = { attempts = math.min(100, map:number("retries", math.max(0, #list - 1))) }
  map:harmless("id", "name", "desc", "labels", "create_time", "update_time", "key", "hash_on")
  local has_discovery = map:has "service_name"
  map:refuse(REFUSED)
  map:finish()
  if not native.has_word("services.protocol", scheme) then
    map:tell("scheme", "the scheme %s is not available in this version: the upstream is left out", scheme)
    return nil
  end
  if #list == 0 and not has_discovery then map:tell("nodes", "an upstream without nodes is left out") end
  return #list > 0 and service or nil
end

-- -- all of them --

local Set = {}
Set.__index = Set

--- Services by the ids of upstreams, and those of upstreams that stand inside something else.
function upstreams.set(root)
  local self = setmetatable({ by_id = {}, taken = {}, services = {} }, Set)
  for i, map in ipairs(root:maps "upstreams") do
    local id = map:text "id" or tostring(i)
    local name = map:text "name" or "upstream-" .. id
    local service = upstreams.service(map)
    self.by_id[id] = service and { name = chains.unique(name, self.taken), service = service } or { is_lost = true }
    self.by_id[id].map = map
  end
  return self
end

--- The name of a service that is an upstream inside a route, a service or a plugin; nil after telling.
function Set:inline(map, name)
  local service = upstreams.service(map)
  if not service then return nil end
  name = chains.unique(name, self.taken)
  self.services[name] = service
  return name
end

--- The name of the service of an upstream's id; nil after telling.
function Set:of(map, key)
  local id = map:text(key)
  local found = self.by_id[id]
  if not found then map:tell(key, "there is no upstream %s", id) end
  if found then found.is_used = true end
  if not found or found.is_lost then return nil end
  self.services[found.name] = found.service
  return found.name
end

--- Tells of upstreams that nothing names.
function Set:tell_unused()
  for _, each in pairs(self.by_id) do
    if not each.is_used and not each.is_lost then each.map:warn(nil, "nothing names this upstream: it is left out") end
  end
end

--- The same service with other times; its name.
function Set:with_timeouts(name, timeouts, route)
  local copy = {}
  for key, value in pairs(self.services[name]) do copy[key] = value end
  copy.timeouts = timeouts
  name = chains.unique(("%s-of-%s"):format(name, route), self.taken)
  self.services[name] = copy
  return name
end

return upstreams
