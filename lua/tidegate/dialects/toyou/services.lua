--- Toyou's services: one URL, or several backends with a strategy and a health check.
local middlewares = require "tidegate.dialects.toyou.middlewares"
local node = require "tidegate.dialects.node"
local schema = require "tidegate.config.schema"
local upstreams = require "tidegate.dialects.upstreams"

local services = {}

local ordered = schema.ordered

local BACKEND = {
  type = "object",
  fields = ordered {
    { "url", type = "string", required = true, min = 1 },
    { "weight", type = "integer", min = 1, max = 65535 },
    { "active", type = "boolean" },
  },
}

local HEALTH_CHECK = {
  "health_check", type = "object",
  fields = ordered {
    { "enabled", type = "boolean", default = true },
    { "interval", type = "string", min = 1 },
    { "timeout", type = "string", min = 1 },
    { "path", type = "string", min = 1 },
  },
}

services.SCHEMA = {
  type = "object",
  fields = ordered {
    { "url", type = "string", min = 1 },
    { "proxy_host", type = "string", min = 1 },
    { "load_balancer", type = "object",
      fields = ordered {
        { "strategy", type = "enum", of = { "round_robin", "weighted_round_robin", "ip_hash", "least_connections" } },
        { "backends", type = "list", of = BACKEND, min = 1 },
        HEALTH_CHECK,
      } },
  },
}

local function backend(self, item, has_weights)
  local url = upstreams.url(self:node(item, "url"))
  local weight, active = has_weights and self:node(item, "weight") or nil, self:node(item, "active")
  if not weight and not active then return url end
  return node.map((self.marks:place(item)), {
    { "url", url }, weight and { "weight", weight }, active and { "enabled", active },
  })
end

local function nodes(self, service)
  local balancer = service.load_balancer
  if not balancer or not balancer.backends then
    local url = upstreams.url(self:node(service, "url"))
    return url and node.list({ url }, url)
  end
  if service.url then self:warn(service, "url", "does not count beside load_balancer.backends") end
  -- Toyou takes weights into account in one strategy only.
  local has_weights = balancer.strategy == "weighted_round_robin"
  local items = {}
  for i, item in ipairs(balancer.backends) do items[i] = backend(self, item, has_weights) end
  return node.list(items, (self.marks:place(balancer.backends)))
end

local function balance(self, balancer)
  local strategy = self:node(balancer, "strategy")
  if not strategy then return nil end
  local _, path = self.marks:place(balancer, "strategy")
  return upstreams.balance(strategy, self.report, path)
end

local function health_check(self, balancer)
  local check = balancer and balancer.health_check
  if not check or check.enabled == false then return nil end
  local place, path = self.marks:place(check)
  local interval, timeout = self:node(check, "interval"), self:node(check, "timeout")
  return upstreams.health_check({
    path = self:node(check, "path") or "/health", interval = interval and middlewares.seconds(interval) or "10s",
    timeout = timeout and middlewares.seconds(timeout) or "5s",
  }, place, self.report, path)
end

local function service_of(self, service)
  local place = self.marks:place(service)
  local balancer = service.load_balancer
  local host = self:node(service, "proxy_host")
  local dial = self:node(self.advanced and self.advanced.timeout, "dial_timeout")
  return node.map(place, {
    host and { "host_header", host },
    { "balance", balance(self, balancer) },
    { "nodes", nodes(self, service) },
    { "health_check", health_check(self, balancer) },
    dial and { "timeouts", node.map(dial, { { "connect", node.copy(middlewares.seconds(dial)) } }) },
  })
end

--- The native services.
-- @tparam table self converter of tidegate.dialects.toyou
-- @treturn ?table node; nil where there are none
function services.map(self)
  if #self.service_names == 0 then return nil end
  local map = node.map(self.root)
  for _, name in ipairs(self.service_names) do
    local service = self.services[name]
    node.put(map, name, service_of(self, service), (self.marks:place(service)))
  end
  return map
end

return services
