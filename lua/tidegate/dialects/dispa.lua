--- Dispa (TOML): domains whose requests go to targets, with rules that send some of them to a certain one.
local Reading = require "tidegate.dialects.reading"
local node = require "tidegate.dialects.node"
local routes = require "tidegate.dialects.dispa.routes"
local security = require "tidegate.dialects.dispa.security"
local shape = require "tidegate.dialects.dispa.shape"
local upstreams = require "tidegate.dialects.upstreams"

local dispa = { title = "Dispa", format = "toml" }

function dispa.recognise(root)
  local server = node.get(root, "server")
  local targets, entry = node.get(root, "targets")
  return (node.get(server, "bind_address") or node.get(targets, "targets")) and entry or nil
end

local Converter = Reading.kind()

-- -- listeners and the process --

local function address(text, place)
  return node.scalar((text:gsub("^0%.0%.0%.0:", ":")), place)
end

function Converter:listen()
  local file = self.file
  local bind, tls, watch = self:node(file.server, "bind_address"), file.tls, file.monitoring
  local health = watch and watch.enabled ~= false and self:node(watch, "health_check_port")
  local place = bind or self.root
  local main = node.map(place, { { "address", address(bind and bind.text or ":8080", place) }, { "name", "main" } })
  if tls and tls.enabled then
    local version, suites = self:node(tls, "min_version"), self:node(tls, "cipher_suites")
    if suites then self:leave_out(tls, "cipher_suites", "the modern ones count") end
    node.put(main, "tls", node.map(self:place(tls), {
      { "certificates", node.list({ node.map(self:place(tls), {
        { "cert", self:node(tls, "cert_file") }, { "key", self:node(tls, "key_file") },
      }) }, self:place(tls)) },
      version and { "min_version", version },
    }))
  end
  self.health_listener = health or nil
  return node.list({
    main,
    health and node.map(health, { { "address", address(":" .. health.text, health) }, { "name", "health" } }) or nil,
  }, place)
end

function Converter:gateway()
  local workers = self:node(self.file.server, "workers")
  return workers and node.map(workers, { { "threads", workers } })
end

function Converter:timeouts()
  local idle = self:with_unit(self.file.server, "keep_alive_timeout", "s")
  return idle and node.map(idle, { { "idle", idle } })
end

--- How long a request may take.
function Converter:timeout()
  local written = self:with_unit(self.file.server, "request_timeout", "s")
  return written and node.copy(written)
end

-- -- services --

local ALGORITHMS = { weighted = "weighted_round_robin" }

function Converter:balance(from)
  local written = self:node(from, "type")
  local word = written and node.scalar(ALGORITHMS[written.text] or written.text, written)
  local place, path = self.marks:place(from, "type")
  if from.sticky_sessions then word = node.scalar("ip_hash", place) end
  return word and upstreams.balance(word, self.report, path)
end

function Converter:health_check(from)
  if not from or from.enabled == false then return nil end
  local place, path = self.marks:place(from)
  return upstreams.health_check({
    path = self:node(from, "path") or "/health", interval = self:with_unit(from, "interval", "s"),
    timeout = self:with_unit(from, "timeout", "s"), healthy = self:node(from, "healthy_threshold"),
    unhealthy = self:node(from, "unhealthy_threshold"),
  }, place, self.report, path)
end

--- What the client of the targets is told.
function Converter:client(service, patience)
  local from = self.file.http_client
  local connect = self:with_unit(from, "connect_timeout", "s")
  local wait = patience or self:with_unit(from, "request_timeout", "s")
  local times = node.map(self.root, { connect and { "connect", node.copy(connect) }, wait and { "first_byte", wait } })
  local size = self:copy(from, "max_idle_connections") or self:copy(from, "pool_size")
  local idle = self:with_unit(from, "idle_timeout", "s")
  local pool = node.map(self.root, { size and { "idle_per_node", size }, idle and { "idle", node.copy(idle) } })
  if #times.entries > 0 then node.put(service, "timeouts", times) end
  if #pool.entries > 0 then node.put(service, "pool", pool) end
  return service
end

--- The longest time that a target may take.
local function patience_of(self, list)
  local longest
  for _, target in ipairs(list) do
    if target.timeout and (not longest or target.timeout > longest.timeout) then longest = target end
  end
  return longest and node.copy(self:with_unit(longest, "timeout", "s"))
end

function Converter:all_targets()
  local targets = self.file.targets
  local balancing = targets.load_balancing
  local place, items = self:place(targets), {}
  local has_weights = balancing and balancing.type == "weighted"
  for i, target in ipairs(targets.targets or {}) do
    local weight = has_weights and self:node(target, "weight")
    items[i] = node.map(self:place(target), {
      { "url", self:node(target, "url") },
      weight and weight.text ~= "0" and { "weight", weight },
      weight and weight.text == "0" and { "enabled", node.scalar(false, weight) },
      { "labels", node.map(self:place(target), { { "name", self:copy(target, "name") } }) },
    })
  end
  local service = node.map(place, {
    balancing and { "balance", self:balance(balancing) },
    { "nodes", node.list(items, place) },
    { "health_check", self:health_check(targets.health_check) },
  })
  return self:client(service, patience_of(self, targets.targets or {}))
end

--- The name of the service of one target; nil where there is no such target.
function Converter:target(name)
  for _, target in ipairs(self.file.targets.targets or {}) do
    if target.name == name then
      local place, as = self:place(target), "target " .. name
      if not node.get(self.services, as) then
        local service = node.map(place, { { "nodes", node.list({ self:copy(target, "url") }, place) } })
        node.put(self.services, as, self:client(service, patience_of(self, { target })), place)
      end
      return as
    end
  end
end

-- -- logs and figures --

function Converter:log()
  local from = self.file.logging
  if not from or from.enabled == false then return nil end
  if from.type == "database" or from.type == "both" then
    self:leave_out(from, "type", "a file is written")
  end
  self:leave_out_all(from, "database", "retention_days")
  self:leave_out_all(from.file, "max_file_size", "rotation")
  local directory = self:node(from.file, "directory")
  local place = directory or self:place(from)
  local file = (directory and directory.text or "./logs"):gsub("/+$", "") .. "/access.log"
  return node.map(place, { { "access", node.list({
    node.map(place, { { "file", node.scalar(file, place) }, { "format", "json" } }),
  }, place) } })
end

function Converter:metrics()
  local from = self.file.monitoring
  local port = from and from.enabled ~= false and self:node(from, "metrics_port")
  return port and node.map(port, { { "listen", address(":" .. port.text, port) } }) or nil
end

function Converter:tree()
  local file = self.file
  self:leave_out_all(file, "cache")
  self:leave_out_all(file.http_client, "http2_enabled", "user_agent")
  if file.routing then self:leave_out(file.routing, "enable_logging", "log.access writes every request") end
  local listen = self:listen()
  security.plugins(self)
  node.put(self.services, "targets", self:all_targets())
  local list = routes.list(self)
  return node.map(self.root, {
    { "gateway", self:gateway() },
    { "listen", listen },
    { "timeouts", self:timeouts() },
    { "log", self:log() },
    { "metrics", self:metrics() },
    #self.global > 0 and { "plugins", node.list(self.global, self.root) },
    #self.instances.entries > 0 and { "instances", self.instances },
    { "routes", list },
    { "services", self.services },
  })
end

--- Converts a file.
function dispa.convert(root, _, report)
  Reading.escape(root)
  local self = setmetatable({
    root = root, report = report, services = node.map(root), global = {}, chain = {},
    instances = node.map(root), instance_names = {},
  }, Converter)
  self.file = self:read(shape, root)
  if not report:has_errors() and not self.file.targets then
    report:add(root, "targets", "missing, expected a section with [[targets.targets]]")
  end
  if report:has_errors() then return nil end
  local tree = self:tree()
  return not report:has_errors() and tree or nil
end

return dispa
