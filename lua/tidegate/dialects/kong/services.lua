--- Kong's services: where requests go, with the nodes of the upstream that has the name of their host.
local native = require "tidegate.dialects.foreign.native"
local reading = require "tidegate.dialects.foreign.reading"
local upstreams = require "tidegate.dialects.kong.upstreams"

local services = {}

local PORTS = { http = 80, https = 443, grpc = 80, grpcs = 443, ws = 80, wss = 443 }
local STREAMS = { tcp = true, tls = true, udp = true, tls_passthrough = true }
local TIMEOUT_MS = 60000
local RETRIES = 5

local Service = {}
Service.__index = Service

--- "http://host:port/path" to its parts; nil where it is none.
local function split_url(url)
  local protocol, authority, path = url:match "^(%a[%w+.-]*)://([^/?#]+)(.*)$"
  if not protocol then return nil end
  local host, port = authority:match "^(.-):(%d+)$"
  return protocol:lower(), host or authority, tonumber(port), path ~= "" and path or nil
end

--- Which protocol, host, port and path a service has; nil after telling why it cannot be said.
local function target(map)
  local url = map:text "url"
  local protocol, host, port, path
  if url then
    protocol, host, port, path = split_url(url)
    if not protocol then
      map:tell("url", "expected a URL such as http://host:80/path")
      return nil
    end
  end
  protocol = map:text("protocol", protocol or "http"):lower()
  host = map:text("host", host)
  port = map:number("port", port or PORTS[protocol], 1, 65535)
  path = map:text("path", path)
  local good, reason = native.takes("path", path or "/")
  if not good then
    map:tell(map:has "path" and "path" or "url", "%s is no path: %s", path, reason)
    path = nil
  end
  if not host then
    map:tell(nil, "has neither url nor host")
    return nil
  end
  return protocol, host, port, path
end

--- Whether a protocol towards nodes can be spoken; tells where it cannot.
local function is_spoken(map, protocol)
  local key = map:has "url" and "url" or "protocol"
  if STREAMS[protocol] then
    map:tell(key, "%s is no protocol of requests: the service is not converted", protocol)
    return false
  end
  if not native.has_word("services.protocol", protocol) then
    map:tell(key, "the protocol %s is not available in this version: the service and its routes are left out", protocol)
    return false
  end
  return true
end

local function timeouts(map)
  local write = map:number("write_timeout", TIMEOUT_MS, 1, reading.DAYS_MS)
  local read = map:number("read_timeout", TIMEOUT_MS, 1, reading.DAYS_MS)
  local connect = map:number("connect_timeout", TIMEOUT_MS, 1, reading.DAYS_MS)
  return {
    connect = native.ms(connect), send = native.ms(write),
    first_byte = native.ms(read), idle = native.ms(read),
  }
end

function Service:tls(map, protocol)
  local verify = map:flag("tls_verify")
  if PORTS[protocol] == 443 then
    self.native.tls = { verify = verify == true }
    if not verify then
      map:warn(nil, "Kong does not check the certificates of nodes unless told; `verify: false` keeps it so")
    end
  end
  map:refuse {
    client_certificate = "its certificate is part of the file; keep it in files, and name them under tls.client_cert",
    ca_certificates = "they are part of the file; keep them in a file, and name it under tls.ca",
    tls_sans = "names that are accepted in certificates cannot be listed; tls.server_name is one name",
  }
  map:harmless "tls_verify_depth"
end

--- Fills in nodes: the targets of the upstream with the name of the host, else the host itself.
function Service:nodes(all, protocol, host, port)
  local upstream = all[host]
  if upstream then
    upstream.is_used = true
    self.native.nodes, self.native.balance, self.host = {}, upstream.balance, upstream.host
    self.native.health_check = upstream.health_check
    for i, node in ipairs(upstream.nodes) do
      self.native.nodes[i] = { url = node.url, weight = node.weight, enabled = node.enabled }
    end
    upstreams.plain_weights(self.native.nodes)
    self.native.protocol = protocol
  else
    self.native.nodes = { { url = ("%s:%d"):format(host, port) } }
    self.native.protocol = protocol
  end
  for _, node in ipairs(self.native.nodes) do
    local good, why = native.takes("node", node.url)
    if not good then
      self.map:tell(self.map:has "url" and "url" or "host", "%s is no address of a node: %s", node.url, why)
      return false
    end
  end
  if #self.native.nodes > 0 then return true end
  self.map:tell(self.map:has "url" and "url" or "host", "the upstream %s has no targets: the service is left out", host)
  return false
end

--- @tparam Reading map
-- @tparam table all upstreams by name
-- @treturn Service is_usable says whether there is a native service
local function read(map, all, number)
  local self = setmetatable({ map = map, native = {}, uses = {} }, Service)
  local protocol, host, port, path = target(map)
  self.name = map:text "name" or map:text "id" or host or ("service %d"):format(number)
  self.id = map:text "id"
  self.path = path ~= "/" and path or nil
  self.enabled = map:flag("enabled", true)
  self.native.timeouts = timeouts(map)
  self.native.retries = { attempts = math.min(100, map:number("retries", RETRIES)) }
  self.is_usable = protocol ~= nil and is_spoken(map, protocol)
  self:tls(map, protocol)
  if self.is_usable then self.is_usable = self:nodes(all, protocol, host, port or PORTS[protocol]) end
  map:harmless("created_at", "updated_at", "tags")
  return self
end

--- Notes a route that sends requests there; gives the name of the native service it is to use.
-- Kong decides by route whether nodes see the client's Host; here a service does, so there may be two of one.
function Service:use(preserves_host)
  local kind = preserves_host and "preserve" or "node"
  local other = preserves_host and "node" or "preserve"
  if not self.uses[kind] then
    self.uses[kind] = self.uses[other] and ("%s-%s-host"):format(self.name, preserves_host and "client" or "own")
                      or self.name
  end
  return self.uses[kind]
end

--- Adds what routes use to the services of the result.
function Service:write(out)
  for kind, name in pairs(self.uses) do
    local copy = {}
    for key, value in pairs(self.native) do copy[key] = value end
    copy.host_header = kind == "node" and (self.host or "node") or nil
    out[name] = copy
  end
end

--- @tparam Reading root
-- @tparam table all upstreams
-- @treturn {Service,...} with map not finished: routes and plugins are still to be read
-- @treturn table the same by name and id
function services.read(root, all)
  local list, by_name = {}, {}
  for i, map in ipairs(root:maps "services") do
    local service = read(map, all, i)
    list[i] = service
    by_name[service.name] = service
    if service.id then by_name[service.id] = service end
  end
  return list, by_name
end

return services
