--- The Pingora cluster's gateway (TOML): services found by the first segment of the path, with authentication, CORS,
-- limits and security headers for all of them. Both spellings of its keys are known: those of its example file and
-- those of its source.
local Reading = require "tidegate.dialects.reading"
local fields = require "tidegate.dialects.fields"
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"
local schema = require "tidegate.config.schema"
local upstreams = require "tidegate.dialects.upstreams"

local pingora = { title = "Pingora", format = "toml" }

local ordered = schema.ordered

-- -- what its files look like --

local text, truth, number, any, texts, section = fields.text, fields.truth, fields.number, fields.any, fields.texts,
                                                 fields.section

local FILE = {
  type = "object",
  fields = ordered {
    section("server", text "listen_addr", text "listen_addr_tls", number "workers", number "max_connections",
            number "connection_idle_timeout"),
    section("health", text "listen_addr"),
    section("tls", truth "enabled", text "cert_path", text "key_path"),
    section("http3", truth "enabled", text "listen_addr"),
    section("auth", { "mode", type = "enum", of = { "none", "jwt", "session", "mixed" }, default = "none" },
            text "jwt_secret",
            { "jwt_algorithm", type = "enum", of = { "HS256", "HS384", "HS512" } },
            text "session_redis_url", text "cookie_name", truth "cookie_secure", truth "cookie_http_only",
            number "token_expiry_seconds"),
    section("session", truth "enabled", { "store_type", type = "enum", of = { "redis", "memory" } }, text "redis_url",
            number "session_ttl_seconds"),
    section("security", truth "enable_cors", texts "cors_allow_origins", texts "cors_allowed_origins",
            texts "cors_allow_methods", texts "cors_allowed_methods", texts "cors_allow_headers",
            texts "cors_allowed_headers", texts "cors_expose_headers", number "cors_max_age",
            truth "cors_allow_credentials", truth "enable_csp", text "csp", text "content_security_policy",
            any "xss_protection", text "content_type_options", text "frame_options", truth "hsts_enabled",
            number "hsts_max_age"),
    section("rate_limit", truth "enabled", number "requests_per_second", number "requests_per_minute", number "burst",
            number "burst_size", { "backend", type = "enum", of = { "memory", "redis" } }, text "redis_url"),
    section("logging", { "level", type = "enum", of = { "trace", "debug", "info", "warn", "error" } },
            { "format", type = "enum", of = { "json", "text" } }, text "otlp_endpoint", truth "log_requests",
            truth "log_responses", { "sample_rate", type = "number" }),
    section("metrics", text "prometheus_endpoint", text "metrics_prefix", number "export_interval_secs"),
    any "grpc",
    any "messaging",
    { "upstreams", type = "map", keys = "name",
      of = { type = "object",
        fields = ordered {
          { "servers", type = "list", required = true, min = 1, of = "string" },
          { "protocol", type = "enum", of = { "http", "https", "grpc" }, default = "http" },
          number "health_check_interval_secs", number "max_retries", number "connect_timeout_ms",
        } } },
  },
}

--- Shown by its upstreams and by a section that no other has.
function pingora.recognise(root)
  local _, entry = node.get(root, "upstreams")
  local server = node.get(root, "server")
  return node.get(server, "listen_addr") and entry or nil
end

local Converter = Reading.kind()

--- The first of two spellings that was used.
local function either(self, owner, first, second)
  return self:node(owner, first) or self:node(owner, second)
end

-- -- listeners and the process --

local function address(written)
  return node.scalar((written.text:gsub("^0%.0%.0%.0:", ":")), written)
end

function Converter:listen()
  local file, list = self.file, {}
  local plain, secure = self:node(file.server, "listen_addr"), self:node(file.server, "listen_addr_tls")
  plain = plain or not secure and node.scalar(":8080", self.root)
  if plain then list[1] = node.map(plain, { { "address", address(plain) }, { "name", "main" } }) end
  local tls = file.tls
  if secure and tls and tls.enabled ~= false then
    local pair = node.map(self:place(tls), {
      { "cert", self:node(tls, "cert_path") or "certs/server.crt" },
      { "key", self:node(tls, "key_path") or "certs/server.key" },
    })
    list[#list + 1] = node.map(secure, {
      { "address", address(secure) }, { "name", "secure" },
      { "tls", node.map(secure, { { "certificates", node.list({ pair }, secure) } }) },
    })
  end
  if file.http3 and file.http3.enabled ~= false then self:leave_out(file, "http3") end
  self.clients = {}
  for i, listener in ipairs(list) do self.clients[i] = node.get(listener, "name").text end
  local health = self:node(file.health, "listen_addr")
  if health then list[#list + 1] = node.map(health, { { "address", address(health) }, { "name", "health" } }) end
  return node.list(list, self.root)
end

function Converter:gateway()
  local workers = self:node(self.file.server, "workers")
  return node.map(self.root, { workers and { "threads", workers }, { "id_header", "x-trace-id" } })
end

function Converter:one(key, owner, name, unit)
  local written = unit and self:with_unit(owner, name, unit) or self:node(owner, name)
  return written and node.map(written, { { key, written } })
end

-- -- plugins --

function Converter:add(name, use, config, place)
  table.insert(self.chain, name)
  node.put(self.instances, name, node.map(place, { { "use", use }, { "config", config } }), place)
end

function Converter:cors()
  local from = self.file.security
  if not from or from.enable_cors == false then return end
  local origins = either(self, from, "cors_allow_origins", "cors_allowed_origins")
  local methods = either(self, from, "cors_allow_methods", "cors_allowed_methods")
  local headers = either(self, from, "cors_allow_headers", "cors_allowed_headers")
  if not (from.enable_cors or origins or methods or headers) then return end
  local place = origins or self:place(from)
  self:add("cors", "cors", node.map(place, {
    origins and { "allow_origins", origins }, methods and { "allow_methods", methods },
    headers and { "allow_headers", headers },
    { "expose_headers", self:node(from, "cors_expose_headers") },
    { "allow_credentials", self:node(from, "cors_allow_credentials") },
    { "max_age", self:with_unit(from, "cors_max_age", "s") or "86400s" },
  }), place)
end

--- Header fields of every response.
function Converter:security_headers()
  local from = self.file.security
  if not from then return end
  local set = node.map(self:place(from))
  local xss = self:node(from, "xss_protection")
  if xss and xss.type == "boolean" then xss = xss.value and node.scalar("1; mode=block", xss) or nil end
  node.put(set, "x-xss-protection", xss)
  node.put(set, "x-content-type-options", self:node(from, "content_type_options"))
  node.put(set, "x-frame-options", self:node(from, "frame_options"))
  local policy = either(self, from, "csp", "content_security_policy")
  if from.enable_csp ~= false then node.put(set, "content-security-policy", policy) end
  for _, entry in ipairs(set.entries) do
    entry.value = node.scalar(Reading.escape_template(entry.value.text), entry.value)
  end
  local age = self:node(from, "hsts_max_age")
  if from.hsts_enabled ~= false and (age or from.hsts_enabled) then
    node.put(set, "strict-transport-security", "max-age=" .. (age and age.text or "31536000"), age)
  end
  if #set.entries == 0 then return end
  self:add("security_headers", "headers", node.map(set, {
    { "response", node.map(set, { { "set", set } }) },
  }), set)
end

function Converter:rate_limit()
  local from = self.file.rate_limit
  if not from or from.enabled == false then return end
  local second, minute = self:node(from, "requests_per_second"), self:node(from, "requests_per_minute")
  local rate = second and second.text .. "/s" or minute and minute.text .. "/m" or "10/s"
  local place = second or minute or self:place(from)
  if from.backend == "redis" then self:leave_out(from, "backend", "each gateway counts for itself") end
  self:add("rate_limit", "rate_limit", node.map(place, {
    { "rate", node.scalar(rate, place) }, { "burst", either(self, from, "burst", "burst_size") },
    { "message", "Too many requests, please try again later" }, { "name", "rate_limit" },
  }), place)
end

--- Never less than was asked for: what cannot be checked is an error, not an open door.
function Converter:auth()
  local from = self.file.auth
  local mode = from and from.mode or "none"
  if mode == "none" then return end
  self:leave_out_all(from, "session_redis_url", "cookie_name", "cookie_secure", "cookie_http_only",
                     "token_expiry_seconds")
  if mode == "session" then
    return self:fail(from, "mode", "sessions are not available in this version; expected none or jwt")
  end
  if mode == "mixed" then self:leave_out(from, "mode", "tokens count, and sessions do not") end
  local secret = self:node(from, "jwt_secret")
  if not secret then return self:fail(from, nil, ("%s needs the key jwt_secret"):format(mode)) end
  local algorithm = self:node(from, "jwt_algorithm")
  self:add("auth", "jwt_auth", node.map(secret, {
    { "secret", secret }, { "algorithms", node.list({ algorithm or "HS256" }, algorithm or secret) },
  }), secret)
end

-- -- services and routes --

function Converter:service(name, upstream)
  local place = self:place(upstream)
  local servers, interval = self:node(upstream, "servers"), self:node(upstream, "health_check_interval_secs")
  local secure = upstream.protocol == "https"
  local retries, connect = self:node(upstream, "max_retries"), self:with_unit(upstream, "connect_timeout_ms", "ms")
  local _, path = self.marks:place(upstream, "health_check_interval_secs")
  return node.map(place, {
    secure and { "protocol", "https" },
    { "nodes", servers },
    { "health_check", interval and interval.text ~= "0" and upstreams.health_check({
      type = "tcp", interval = node.scalar(interval.text .. "s", interval),
    }, interval, self.report, path) or nil },
    connect and { "timeouts", node.map(connect, { { "connect", connect } }) },
    retries and { "retries", node.map(retries, { { "attempts", retries } }) },
  }), name
end

--- The chain of a route: the names of instances.
local function plugins_of(self, place)
  return #self.chain > 0 and node.list(self.chain, place) or nil
end

function Converter:route(name, place)
  local route = node.map(place, {
    { "name", node.scalar(name, place) },
    -- "default" is what a path without a segment leads to.
    { "paths", node.list(name == "default" and { "/", "/default/*" } or { "/" .. name .. "/*" }, place) },
    #self.clients > 0 and self.has_health and { "on", node.list(self.clients, place) },
    { "service", node.scalar(name, place) }, { "plugins", plugins_of(self, place) },
  })
  return route
end

function Converter:services()
  local services, routes = node.map(self.root), {}
  local written = self.file.upstreams
  self.has_health = self:node(self.file.health, "listen_addr") ~= nil
  for _, name in ipairs(written and self.marks[written].order or {}) do
    local upstream = written[name]
    if upstream.protocol == "grpc" and not native.knows("grpc", "services", "protocol") then
      self:leave_out(upstream, "protocol", "requests for it get 404")
    else
      local place = self:place(upstream)
      local service = self:service(name, upstream)
      if upstream.protocol == "grpc" then node.put(service, "protocol", "grpc") end
      node.put(services, name, service, place)
      routes[#routes + 1] = self:route(name, place)
    end
  end
  local health = self:node(self.file.health, "listen_addr")
  if health then
    routes[#routes + 1] = node.map(health, {
      { "name", "health" }, { "path", "/health" }, { "on", node.list({ "health" }, health) },
      { "respond", node.map(health, { { "body", "OK\n" } }) },
    })
  end
  return services, node.list(routes, self.root)
end

-- -- logs and figures --

local LEVELS = { trace = "debug" }

function Converter:log()
  local from = self.file.logging
  if not from then return nil end
  local level = self:node(from, "level")
  local writes = from.log_requests ~= false or from.log_responses == true
  local access = node.map(self:place(from), {
    { "file", "stdout" }, { "format", from.format == "text" and "combined" or "json" },
  })
  if native.has("tracing") then
    local otlp, rate = self:node(from, "otlp_endpoint"), self:node(from, "sample_rate")
    self.tracing = otlp and node.map(otlp, {
      { "otlp", otlp }, rate and { "sample", node.scalar(("%g%%"):format(tonumber(rate.text) * 100), rate) },
    })
  else
    self:leave_out_all(from, "otlp_endpoint", "sample_rate")
  end
  return node.map(self:place(from), {
    level and { "level", node.scalar(LEVELS[level.text] or level.text, level) },
    writes and { "access", node.list({ access }, access) },
  })
end

function Converter:metrics()
  local from = self.file.metrics
  local listen = self:node(from, "prometheus_endpoint")
  self:leave_out_all(from, "metrics_prefix", "export_interval_secs")
  return listen and node.map(listen, { { "listen", address(listen) } })
end

function Converter:tree()
  local file = self.file
  self:leave_out_all(file, "grpc", "messaging")
  if file.session and file.session.enabled ~= false then self:leave_out(file, "session") end
  local listen = self:listen()
  self:cors()
  self:rate_limit()
  self:auth()
  self:security_headers()
  local services, routes = self:services()
  return node.map(self.root, {
    { "gateway", self:gateway() },
    { "listen", listen },
    { "timeouts", self:one("idle", file.server, "connection_idle_timeout", "s") },
    { "limits", self:one("connections", file.server, "max_connections") },
    { "log", self:log() },
    { "metrics", self:metrics() },
    { "tracing", self.tracing },
    #self.instances.entries > 0 and { "instances", self.instances },
    { "routes", routes },
    { "services", services },
  })
end

--- Converts a file.
function pingora.convert(root, _, report)
  Reading.escape(root)
  local self = setmetatable({ root = root, report = report, instances = node.map(root), chain = {} }, Converter)
  self.file = self:read(FILE, root)
  if report:has_errors() then return nil end
  local tree = self:tree()
  return not report:has_errors() and tree or nil
end

return pingora
