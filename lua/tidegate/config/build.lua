--- A checked configuration becomes a generation: calls of the C builder, nothing else.
local bit = require "bit"
local ffi = require "ffi"
local C = require "tidegate.ffi"
local enabled_routes = require "tidegate.config.enabled_routes"
local pack = require "tidegate.plugin.pack"
local questions = require "tidegate.config.questions"
local statuses = require "tidegate.config.statuses"
local types = require "tidegate.config.types"
local retry_words = require "tidegate.config.tree_retries"
local route_digest = require "tidegate.config.route_digest"

local why = ffi.new "struct tide_error"
local part, index = ffi.new "int[1]", ffi.new "int[1]"

local LEVELS = { debug = 0, info = 1, warn = 2, error = 3 }
local TLS_VERSIONS = { ["1.2"] = 0x0303, ["1.3"] = 0x0304 }
local CLIENT_AUTH = {
  none = C.CLIENT_AUTH_NONE, optional = C.CLIENT_AUTH_OPTIONAL, required = C.CLIENT_AUTH_REQUIRED,
}
local PROTOCOLS = { http = C.PROTOCOL_HTTP, https = C.PROTOCOL_HTTPS }
local BALANCE = {
  round_robin = C.BALANCE_ROUND_ROBIN, weighted_round_robin = C.BALANCE_WEIGHTED_ROUND_ROBIN,
  random = C.BALANCE_RANDOM, two_choices = C.BALANCE_TWO_CHOICES, least_connections = C.BALANCE_LEAST_CONNECTIONS,
  least_latency = C.BALANCE_LEAST_LATENCY, ip_hash = C.BALANCE_IP_HASH, consistent_hash = C.BALANCE_CONSISTENT_HASH,
}
local HASH_BY = {
  client_ip = C.HASH_BY_CLIENT_IP, path = C.HASH_BY_PATH, header = C.HASH_BY_HEADER, cookie = C.HASH_BY_COOKIE,
  query = C.HASH_BY_QUERY,
}
local TIMEOUT_HEADER = {
  trusted = C.TIMEOUT_HEADER_TRUSTED, all = C.TIMEOUT_HEADER_ALL, nobody = C.TIMEOUT_HEADER_NOBODY,
}
local FORMATS = { json = C.LOG_JSON, common = C.LOG_COMMON, combined = C.LOG_COMBINED }

local function ms(seconds)
  return math.floor(seconds * 1000 + 0.5)
end

local Builder = {}
Builder.__index = Builder

--- Copies a text into the generation and lets a slice point at it.
function Builder:text(slice, text)
  if not text or text == "" then return end
  slice.at = C.tide_generation_text(self.g, text, #text)
  slice.len = #text
end

function Builder:fail(owner, key)
  local place, path = self.marks:place(owner, key)
  self.report:add(place, path, ffi.string(why.text))
end

function Builder:gateway(config)
  local g, gateway = C.tide_generation_gateway(self.g), config.gateway
  g.threads = gateway.threads
  g.grace_ms = ms(gateway.grace)
  self:text(g.user, gateway.user)
  self:text(g.pid_file, gateway.pid_file)
  self:text(g.id_header, gateway.id_header)
  g.recent_requests = gateway.recent_requests
  local resolver = gateway.resolver
  self:text(g.resolver.servers, resolver.servers and table.concat(resolver.servers, ","))
  g.resolver.min_ttl_ms, g.resolver.max_ttl_ms = ms(resolver.min_ttl), ms(resolver.max_ttl)
  g.resolver.timeout_ms = ms(resolver.timeout)
  g.timeout_header = TIMEOUT_HEADER[gateway.timeout_header]
  for name, seconds in pairs(config.timeouts) do g.timeouts[name .. "_ms"] = ms(seconds) end
  local limits = config.limits
  g.limits.head_bytes, g.limits.uri_bytes, g.limits.body_bytes = limits.head, limits.uri, limits.body
  g.limits.headers, g.limits.connections = limits.headers, limits.connections
  g.limits.requests_per_connection = limits.requests_per_connection
  for name, is_on in pairs(config.security) do g.security[name] = is_on end
  local lua = config.lua
  g.lua_budget_ms, g.lua_hard_ms, g.lua_memory = ms(lua.budget), ms(lua.hard_limit), lua.memory
  g.hooks = self.plugins.hooks
  g.log_level = LEVELS[config.log.level]
  self:text(g.error_log, config.log.error)
  for i, network in ipairs(gateway.trusted_proxies) do
    if C.tide_generation_trust(self.g, network, #network) ~= 0 then
      why.text = "not a network"
      self:fail(gateway.trusted_proxies, i)
    end
  end
end

--- The C core names in its words which of the files it could not use.
local function blamed_file(certificate)
  local words = ffi.string(why.text)
  if words:find("private key", 1, true) then return certificate, "key" end
  if words:find("OCSP", 1, true) then return certificate, "ocsp" end
  return certificate, "cert"
end

--- ... and which setting of the TLS context.
local function blamed_setting(tls)
  local words = ffi.string(why.text)
  if words:find "^ciphers" then return tls, "ciphers" end
  if words:find "^client_auth" then return tls.client_auth, "ca" end
  return nil
end

function Builder:listener(listener)
  local l, tls = C.tide_generation_add_listener(self.g), listener.tls
  self:text(l.address, listener.address)
  self:text(l.name, listener.name)
  l.proxy_protocol, l.optional = listener.proxy_protocol, listener.optional
  if not tls then return end
  l.tls = true
  l.min_version = TLS_VERSIONS[tls.min_version]
  l.client_auth = CLIENT_AUTH[tls.client_auth.mode]
  self:text(l.ciphers, tls.ciphers)
  self:text(l.client_ca, tls.client_auth.ca)
  for _, certificate in ipairs(tls.certificates) do
    if C.tide_generation_add_certificate(self.g, certificate.cert, certificate.key, certificate.ocsp, why) ~= 0 then
      self.refused[listener] = true
      local owner, key = blamed_setting(tls)
      if owner then return self:fail(owner, key) end
      self:fail(blamed_file(certificate))
    end
  end
end

--- After all other listeners: routes count those by their places.
function Builder:metrics(metrics)
  local g, l = C.tide_generation_gateway(self.g), C.tide_generation_add_listener(self.g)
  g.has_metrics = true
  self:text(g.metrics_path, metrics.path)
  self:text(l.address, metrics.listen)
  l.is_internal = true
end

function Builder:node(node)
  local n = C.tide_generation_add_node(self.g)
  local target = node.url
  self:text(n.host, target.file or target.host)
  n.port = target.port or 0
  n.is_unix = target.file ~= nil
  n.enabled = node.enabled
  n.backup = node.backup
  n.weight = node.weight
end

function Builder:balance(s, balance)
  s.balance = BALANCE[balance.algorithm]
  if balance.algorithm ~= "consistent_hash" then return end
  local kind, name = (balance.key or "client_ip"):match "^([%w_]+)%.?(.*)$"
  s.hash_by = HASH_BY[kind]
  self:text(s.hash_name, kind == "header" and name:lower() or name)
  s.load_percent = math.floor((balance.load_factor or 1.25) * 100 + 0.5)
end

local function set_statuses(bits, first, last)
  for status = first, last do
    local word = math.floor(status / 64)
    bits[word] = bit.bor(bits[word], bit.lshift(1ULL, status % 64))
  end
end

function Builder:active(a, active)
  a.is_on = true
  a.type = active.type == "tcp" and C.CHECK_TCP or C.CHECK_HTTP
  self:text(a.method, active.method or "GET")
  self:text(a.target, active.path or "/")
  self:text(a.host, active.host)
  self:text(a.body, active.body)
  local fields = {}
  for _, name in ipairs(active.headers and self.marks[active.headers].order or {}) do
    fields[#fields + 1] = name .. "\0" .. active.headers[name] .. "\0"
  end
  self:text(a.fields, table.concat(fields))
  for _, text in ipairs(active.expect or { "200-399" }) do
    set_statuses(a.expect, statuses.range(text))
  end
  a.interval_ms, a.timeout_ms = ms(active.interval), ms(active.timeout)
  a.healthy, a.unhealthy = active.healthy, active.unhealthy
end

local function fill_passive(p, passive)
  p.is_on = true
  p.failures, p.min_requests = passive.failures, passive.min_requests
  p.error_percent = math.ceil(passive.error_ratio * 100)
  p.window_ms, p.eject_ms = ms(passive.window), ms(passive.eject)
  p.max_ejected_percent = math.floor(passive.max_ejected * 100 + 0.5)
end

local function fill_breaker(b, breaker)
  b.is_on, b.min_requests, b.probes = true, breaker.min_requests, breaker.probes
  b.error_percent, b.slow_percent = math.ceil(breaker.error_ratio * 100), math.ceil(breaker.slow_ratio * 100)
  b.slow_ms, b.window_ms, b.open_ms = ms(breaker.slow), ms(breaker.window), ms(breaker.open)
end

local RETRY_ON = { connect = C.RETRY_ON_CONNECT, reset = C.RETRY_ON_RESET, timeout = C.RETRY_ON_TIMEOUT }
local RETRY_KEYS = {
  attempts = C.RETRY_KEY_ATTEMPTS, on = C.RETRY_KEY_ON, per_try = C.RETRY_KEY_PER_TRY, backoff = C.RETRY_KEY_BACKOFF,
  methods = C.RETRY_KEY_METHODS, hedge = C.RETRY_KEY_HEDGE,
}

local function fill_causes(r, retries)
  local causes = retries.on or { "connect", "reset", (retries.per_try or 0) > 0 and "timeout" or nil }
  for _, word in ipairs(causes) do
    r.on = bit.bor(r.on, RETRY_ON[word] or C.RETRY_ON_STATUS)
    if not RETRY_ON[word] then set_statuses(r.statuses, retry_words.statuses(word)) end
  end
end

local function fill_retries(r, retries)
  for key, value in pairs(RETRY_KEYS) do
    if retries[key] ~= nil then r.given = bit.bor(r.given, value) end
  end
  r.attempts = retries.attempts or 0
  r.per_try_ms, r.hedge_ms = ms(retries.per_try or 0), ms(retries.hedge or 0)
  fill_causes(r, retries)
  for _, method in ipairs(retries.methods or {}) do
    r.methods = bit.bor(r.methods, C.tide_method_bit(method, #method))
  end
  local backoff, budget = retries.backoff, retries.budget
  if backoff then
    r.backoff_ms, r.backoff_max_ms = ms(backoff.base), ms(backoff.max or 10 * backoff.base)
  end
  if budget then
    r.budget_percent, r.budget_min = math.floor(budget.share * 100 + 0.5), budget.min
  end
end

local function fill_overload(o, overload)
  o.is_on, o.is_adaptive, o.max_requests = true, overload.max_requests == 0, overload.max_requests
  o.least, o.most = overload.least, overload.most
  o.queue, o.queue_ms = overload.queue, ms(overload.queue_timeout)
end

function Builder:health(s, service)
  local health = service.health_check
  if health.active then self:active(s.active, health.active) end
  if health.passive then fill_passive(s.passive, health.passive) end
  s.fails_when_down = health.panic == "fail"
  s.slow_start_ms = ms(service.slow_start)
end

function Builder:service(name, service)
  local s, times, pool, tls = C.tide_generation_add_service(self.g), service.timeouts, service.pool, service.tls
  self:text(s.name, name)
  s.protocol = PROTOCOLS[service.protocol]
  local policy = service.host_header
  s.host_policy = policy == "preserve" and C.HOST_PRESERVE or policy == "node" and C.HOST_NODE or C.HOST_FIXED
  if s.host_policy == C.HOST_FIXED then self:text(s.host, policy) end
  self:balance(s, service.balance)
  self:health(s, service)
  if service.circuit_breaker then fill_breaker(s.breaker, service.circuit_breaker) end
  if service.overload then fill_overload(s.overload, service.overload) end
  if service.sticky then
    self:text(s.sticky_cookie, service.sticky.cookie)
    self:text(s.sticky_secret, service.sticky.secret)
    s.sticky_max_age_s = math.floor(service.sticky.max_age)
  end
  s.connect_ms, s.connect_delay_ms, s.send_ms = ms(times.connect), ms(times.connect_delay), ms(times.send)
  s.first_byte_ms, s.idle_ms = ms(times.first_byte), ms(times.idle)
  fill_retries(s.retry, service.retries)
  s.timeout_header = service.timeout_header
  s.pool_idle_per_node, s.pool_idle_ms = pool.idle_per_node, ms(pool.idle)
  s.pool_lifetime_ms, s.pool_max_requests = ms(pool.lifetime), pool.max_requests
  s.pool_max_per_node, s.pool_queue, s.pool_queue_ms = pool.max_per_node, pool.queue, ms(pool.queue_timeout)
  s.tls_verify = tls.verify
  self:text(s.tls_ca, tls.ca)
  self:text(s.tls_server_name, tls.server_name)
  if tls.client_cert then
    self:text(s.tls_cert, tls.client_cert.cert)
    self:text(s.tls_key, tls.client_cert.key)
  end
  for _, node in ipairs(service.nodes) do self:node(node) end
  if service.discovery then self:discovery(service) end
end

function Builder:discovery(service)
  local dns, file = service.discovery.dns, service.discovery.file
  if file then
    C.tide_generation_discover(self.g, "file", service.protocol .. " " .. file)
  elseif dns:sub(1, 1) == "_" then
    C.tide_generation_discover(self.g, "dns", dns)
  else
    self:node { url = types.node.parse(dns), enabled = true, backup = false, weight = 1 }
  end
end

function Builder:question(question)
  local condition, settings = question.condition, questions.settings(question.condition)
  local q = C.tide_generation_add_question(self.g)
  q.subject, q.test, q.bound, q.wanted = settings.subject, settings.test, settings.bound, settings.wanted
  q.fold, q.words = condition.fold or false, #settings.words
  q.yes, q.no = question.yes, question.no
  self:text(q.name, condition.name)
  self:text(q.source, self:source(condition))
  for _, word in ipairs(settings.words) do
    if C.tide_generation_add_word(self.g, word, #word, why) ~= 0 then return self:fail(condition) end
  end
end

function Builder:condition(condition)
  local list = questions.of(condition)
  C.tide_generation_condition(self.g, #list)
  for _, question in ipairs(list) do self:question(question) end
end

function Builder:rewrite(rewrite)
  local match, to = rewrite.match, rewrite.to
  local result = C.tide_generation_rewrite(self.g, match, #match, to, #to, why)
  if result ~= 0 then self:fail(rewrite, result == -1 and "match" or "to") end
end

function Builder:action(r, route)
  local service = route.service
  if type(service) == "table" then
    r.action, r.service = C.ACTION_SERVICE, -1
    C.tide_generation_by_path(self.g, service.segment, self.services[service.default] or -1)
  elseif service then
    r.action, r.service = C.ACTION_SERVICE, self.services[service]
  elseif route.split then
    r.action, r.service = C.ACTION_SERVICE, -1
    self:split(route)
  elseif route.redirect then
    r.action, r.status = C.ACTION_REDIRECT, route.redirect.status
    self:text(r.redirect_to, route.redirect.to)
  elseif route.respond.echo then
    r.action = C.ACTION_ECHO
  else
    r.action, r.status = C.ACTION_RESPOND, route.respond.status
    self:text(r.body, route.respond.body)
    self:headers(route.respond.headers)
  end
end

function Builder:split(route)
  local sticky, order, settings = route.sticky, self.marks[route.split].order, ffi.new "struct split_settings"
  if sticky then
    settings.sticky = sticky.cookie and C.STICKY_COOKIE or C.STICKY_HEADER
    self:text(settings.key, sticky.cookie or sticky.header)
    settings.max_age_s = math.ceil(sticky.max_age or 0)
  end
  C.tide_generation_split(self.g, settings, #order)
  for _, name in ipairs(order) do
    C.tide_generation_add_share(self.g, self.services[name], route.split[name])
  end
end

local ON_CHANGE = { keep = C.ON_CHANGE_KEEP, drain = C.ON_CHANGE_DRAIN, close = C.ON_CHANGE_CLOSE }

function Builder:websocket(route, websocket)
  local w = C.tide_generation_websocket(self.g)
  w.ping_ms, w.pong_ms, w.write_ms = ms(websocket.ping_interval), ms(websocket.pong_wait), ms(websocket.write_wait)
  w.idle_ms, w.max_message, w.on_change = ms(websocket.idle), websocket.max_message, ON_CHANGE[websocket.on_change]
  if websocket.on_change ~= "keep" then
    w.digest = route_digest(self.config, route, self.plugins.bundle, self.route_number)
  end
  local is_any = false
  for _, origin in ipairs(websocket.allow_origins) do is_any = is_any or origin == "*" end
  for _, origin in ipairs(is_any and {} or websocket.allow_origins) do
    C.tide_generation_add_origin(self.g, origin:lower(), #origin)
  end
  local headers = websocket.headers
  for _, name in ipairs(self.marks[headers].order or {}) do
    local value = headers[name]
    if C.tide_generation_add_handshake_header(self.g, name, #name, value, #value, why) ~= 0 then
      self:fail(headers, name)
    end
  end
end

function Builder:headers(headers)
  for _, name in ipairs(self.marks[headers].order or {}) do
    local value = headers[name]
    if C.tide_generation_add_header(self.g, name, #name, value, #value, why) ~= 0 then self:fail(headers, name) end
  end
end

--- Gives each word of a list to a function of the builder.
function Builder:each(add, list)
  for i, word in ipairs(list or {}) do
    if add(self.g, word, #word, why) ~= 0 then
      if self.marks[list] then self:fail(list, i) else self:fail(self.route) end
    end
  end
end

--- "file:line", for messages.
function Builder:source(owner)
  local place = self.marks:spot(owner)
  return place.line and ("%s:%d"):format(place.file, place.line) or place.file
end

function Builder:route_of(route)
  local r = C.tide_generation_add_route(self.g)
  self.route = route
  self:text(r.name, route.name)
  self:text(r.source, self:source(route))
  r.priority = route.priority
  self:text(r.strip_prefix, route.strip_prefix and route.strip_prefix:gsub("/$", ""))
  self:text(r.add_prefix, route.add_prefix and route.add_prefix:gsub("/$", ""))
  r.timeout_ms = ms(route.timeout or 0)
  if route.circuit_breaker then fill_breaker(r.breaker, route.circuit_breaker) end
  if route.retries then fill_retries(r.retry, route.retries) end
  r.listeners = 0
  for _, name in ipairs(route.on or {}) do
    r.listeners = bit.bor(r.listeners, bit.lshift(1ULL, self.listeners[name]))
  end
  r.hooks = self.plugins.route_hooks[route] or 0
  r.preflight = self.plugins.preflights[route] or false
  self:each(C.tide_generation_add_host, route.hosts)
  self:each(C.tide_generation_add_path, route.paths)
  self:each(C.tide_generation_add_method, route.methods)
  if route.when then self:condition(route.when) end
  if route.rewrite then self:rewrite(route.rewrite) end
  if route.websocket then self:websocket(route, route.websocket) end
  self:action(r, route)
end

function Builder:access_log(log)
  local a = C.tide_generation_add_access_log(self.g)
  self:text(a.file, log.file)
  a.format = log.template and C.LOG_TEMPLATE or FORMATS[log.format]
  self:text(a.template_text, log.template)
end

--- ... and of a service. Nil for the key: the service as a whole.
local function blamed_of_service(service)
  local words, tls = ffi.string(why.text), service.tls
  if words:find "^cannot load the CA file" and tls.ca then return tls, "ca" end
  if words:find "^cannot load the client certificate" then return tls.client_cert, "cert" end
  if words:find "^cannot load the client private key" then return tls.client_cert, "key" end
  local name = words:match '^cannot resolve "(.-)":'
  for _, node in ipairs(service.nodes) do
    if name and node.url.host == name then return node, "url" end
  end
  if name and service.discovery then return service.discovery, "dns" end
  return service
end

function Builder:blame(config, order, routes)
  local i = index[0] + 1
  if part[0] == C.PART_LISTENER then
    if config.listen[i] then return config.listen[i] end
    return config.metrics, "listen"
  end
  if part[0] == C.PART_SERVICE then return blamed_of_service(config.services[order[i]]) end
  if part[0] == C.PART_ROUTE then return routes[i] end
  if part[0] == C.PART_ACCESS_LOG then
    local log = config.log.access[i]
    return log, log.template and "template" or "file"
  end
  return config.gateway
end

function Builder:all(config)
  self:gateway(config)
  for i, listener in ipairs(config.listen) do
    if listener.name then self.listeners[listener.name] = i - 1 end
    self:listener(listener)
  end
  if config.metrics then self:metrics(config.metrics) end
  local order = self.marks[config.services].order
  for i, name in ipairs(order) do
    self.services[name] = i - 1
    self:service(name, config.services[name])
  end
  local routes = enabled_routes(config)
  for i, route in ipairs(routes) do
    self.route_number = i
    self:route_of(route)
  end
  for _, log in ipairs(config.log.access) do self:access_log(log) end
  if self.plugins.bundle then
    local bytes = pack.encode(self.plugins.bundle)
    C.tide_generation_set_plugins(self.g, bytes, #bytes)
  end
  self:finish(config, order, routes)
end

--- Tells all that only C can see. What could not be added is not told again for being incomplete.
function Builder:finish(config, order, routes)
  while C.tide_generation_finish(self.g, why, part, index) ~= 0 do
    local owner, key = self:blame(config, order, routes)
    if not self.refused[owner] then self:fail(owner, key) end
  end
end

--- Builds a generation.
-- @tparam table config checked, without errors
-- @tparam Marks marks
-- @tparam Report report takes what C refuses
-- @tparam table plugins of tidegate.plugin.set
-- @treturn ?cdata struct generation *, finished, owned by the caller; nil with errors in the report
return function(config, marks, report, plugins)
  local self = setmetatable({
    config = config, marks = marks, report = report, plugins = plugins, listeners = {}, services = {}, refused = {},
  }, Builder)
  self.g = C.tide_generation_new()
  local good, message = xpcall(self.all, debug.traceback, self, config)
  if good and not report:has_errors() then return self.g end
  C.tide_generation_drop(self.g)
  if not good then error(message, 0) end
  return nil
end
