local foreign = require "support.foreign"

local CONSUMERS = [[
consumers:
  - username: alice
    basicauth_credentials: [{ username: alice, password: wonder }]
    keyauth_credentials: [{ key: k-1 }, { key: k-2 }]
    jwt_secrets: [{ key: issuer-a, secret: s-a }]
]]

--- See foreign.chain: of a route with one plugin of Kong.
local function chain_of(plugin, rest)
  return foreign.chain("kong", ([[
_format_version: "3.0"
services:
  - { name: s, host: 127.0.0.1, routes: [{ name: r, hosts: [a.org], plugins: [%s] }] }
]]):format(plugin) .. (rest or CONSUMERS))
end

local METHODS = { "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS" }
local JSON = "application/json; charset=utf-8"

describe("a plugin of Kong", function()
  local cases = {
    { "{ name: basic-auth }",
      { { use = "basic_auth", config = { users = { { username = "alice", password = "wonder" } },
                                         consumer_header = "x-consumer-username" } } } },
    { "{ name: basic-auth, config: { anonymous: somebody, realm: r } }",
      { { use = "basic_auth", config = { users = { { username = "alice", password = "wonder" } }, realm = "r",
                                         required = false, consumer_header = "x-consumer-username" } } } },
    { "{ name: key-auth, config: { key_names: [X-Key] } }",
      { { use = "require_header", band = "auth",
          config = { header = "X-Key", values = { "k-1", "k-2" }, message = "Invalid key" } } } },
    { "{ name: jwt }",
      { { use = "jwt_auth", config = { secret = "s-a", issuer = "issuer-a", algorithms = { "HS256" }, query = "jwt",
                                       required_claims = {}, consumer_claim = "iss" } } } },
    { "{ name: jwt, config: { key_claim_name: kid, claims_to_verify: [exp], header_names: [X-T], cookie_names: [t] } }",
      { { use = "jwt_auth", config = { keys = { { id = "issuer-a", secret = "s-a" } }, algorithms = { "HS256" },
                                       query = "jwt", header = "x-t", cookie = "t", required_claims = { "exp" } } } } },
    { "{ name: rate-limiting, config: { second: 5, day: 100, limit_by: ip, hide_client_headers: true } }",
      { { use = "rate_limit", config = { rate = "5/s", key = "client_ip", algorithm = "fixed_window", headers = false,
                                         name = "r" } },
        { use = "rate_limit", config = { rate = "100/d", key = "client_ip", algorithm = "fixed_window",
                                         headers = false, name = "r" } } } },
    { "{ name: rate-limiting, config: { month: 5, limit_by: header, header_name: X-A, error_message: no } }",
      { { use = "rate_limit", config = { rate = "5/30d", key = "header.x-a", algorithm = "fixed_window", name = "r",
                                         message = "no" } } } },
    { "{ name: rate-limiting, config: { minute: 5 } }",
      { { use = "rate_limit", band = "auth", config = { rate = "5/m", key = "consumer", algorithm = "fixed_window",
                                                        name = "r" } } } },
    { "{ name: request-size-limiting }", { { use = "body_limit", config = { max = "128MiB" } } } },
    { "{ name: request-size-limiting, config: { allowed_payload_size: 3, size_unit: kilobytes } }",
      { { use = "body_limit", config = { max = "3KiB" } } } },
    { "{ name: cors }",
      { { use = "cors", config = { allow_origins = { "*" }, allow_headers = { "*", "authorization" },
                                   allow_methods = METHODS } } } },
    { "{ name: cors, config: { origins: ['https://.*\\.a\\.org', 'https://b.org:8'], credentials: true,\
       headers: [x], methods: [GET, CONNECT, TRACE] } }",
      { { use = "cors", config = { allow_origins = { "https://*.a.org", "https://b.org:8" }, allow_methods = { "GET" },
                                   allow_headers = { "x" }, allow_credentials = true } } } },
    { "{ name: cors, config: { methods: [TRACE], headers: [x] } }",
      { { use = "cors", config = { allow_origins = { "*" }, allow_methods = {}, allow_headers = { "x" } } } } },
    { "{ name: ip-restriction, config: { allow: [10.0.0.0/8], deny: [10.0.0.1] } }",
      { { use = "respond", band = "security", when = { subject = "client_ip", op = "cidr", value = { "10.0.0.1" } },
          config = { status = 403, content_type = JSON, body = '{"message":"Your IP address is not allowed"}' } },
        { use = "respond", band = "security",
          when = { ["not"] = { subject = "client_ip", op = "cidr", value = { "10.0.0.0/8" } } },
          config = { status = 403, content_type = JSON, body = '{"message":"Your IP address is not allowed"}' } } } },
    { "{ name: request-termination, config: { status_code: 418, body: tea, content_type: text/plain } }",
      { { use = "respond", config = { status = 418, body = "tea", content_type = "text/plain" } } } },
    { "{ name: request-termination, config: { trigger: x-stop } }",
      { { use = "respond", config = { status = 503, body = '{"message":"Service unavailable"}', content_type = JSON },
          when = { any = { { subject = "header", name = "x-stop", op = "exists", value = true },
                           { subject = "query", name = "x-stop", op = "exists", value = true } } } } } },
    { "{ name: redirect, config: { location: 'https://new.org/x', status_code: 308, keep_incoming_path: true } }",
      { { use = "respond", config = { status = 308, headers = { location = "https://new.org${request_uri}" } } } } },
    { "{ name: correlation-id, config: { generator: uuid } }",
      { { use = "request_id", config = { header = "kong-request-id", format = "uuid4", response = false } } } },
  }
  foreign.it_converts(chain_of, cases)

  -- What keeps requests out switches the route off where it cannot be had; what does not leaves it on.
  local lost = {
    { "{ name: acl, config: { allow: [a] } }", "there is no equal of acl", off = true },
    { "{ name: my-own, config: { any: { thing: 1 } } }", "there is no equal of my-own", off = true },
    { "{ name: openid-connect, config: { issuer: x } }", "there is no equal of openid-connect", off = true },
    { "{ name: zipkin, config: { http_endpoint: x } }", "there is no equal of zipkin" },
    { "{ name: proxy-cache }", "there is no equal of proxy-cache" },
    { "{ name: basic-auth }", "nobody could be let in", off = true, rest = "" },
    { "{ name: key-auth }", "nobody could be let in", off = true, rest = "" },
    { "{ name: key-auth, config: { key_names: [a, b] } }", "keys are taken from one header only", off = true },
    { "{ name: key-auth, config: { key_in_header: false } }", "keys are taken from one header only", off = true },
    { "{ name: key-auth, config: { key_in_body: true } }", "keys in bodies are not looked for", off = true },
    { "{ name: jwt }", "nobody could be let in", off = true, rest = "" },
    { "{ name: jwt, config: { key_claim_name: azp } }", "not by the claim azp", off = true },
    { "{ name: jwt, config: { secret_is_base64: true } }", "secrets are taken as they are written", off = true },
    { "{ name: jwt, config: { maximum_expiration: 60 } }", "how far away exp may be", off = true },
    { "{ name: ip-restriction, config: { deny: [nowhere] } }", "nowhere is no network", off = true },
    { "{ name: rate-limiting, config: { minute: 1, limit_by: path, path: /a } }", "requests are not counted by path" },
    { "{ name: cors, config: { credentials: true } }", "every origin with credentials" },
    { "{ name: cors, config: { origins: ['^a.*b$'] } }", "cannot be written as an origin" },
    { "{ name: cors, config: { preflight_continue: true } }", "preflights are answered here" },
    { "{ name: request-transformer, config: { rename: { headers: ['a:b'] } } }", "fields cannot be renamed" },
    { "{ name: request-transformer, config: { add: { body: ['a:b'] } } }", "bodies are not transformed" },
    { "{ name: request-transformer, config: { add: { headers: ['a:$(shared.x)'] } } }", "$(shared.x) has no equal" },
    { "{ name: request-transformer, config: { add: { headers: [nothing] } } }", "expected name:value" },
    { "{ name: request-transformer, config: { replace: { uri: '/$(uri_captures.a)' } } }", "a path made of variables" },
    { "{ name: response-transformer, config: { replace: { headers: ['a:b'] } } }", "cannot be replaced only where" },
    { "{ name: request-termination, config: { echo: true } }", "the request is not echoed" },
    { "{ name: file-log, config: { path: /tmp/x } }", "an access log of one route" },
    { "{ name: cors, unheard_of: 1 }", "unheard_of: unknown key" },
    { "{ name: cors, config: { unheard_of: 1 } }", "unheard_of: unknown key" },
  }
  foreign.it_tells(chain_of, 3, lost)

  it("counts where it is meant most closely", function()
    local text = [[
_format_version: "3.0"
services:
  - name: a
    host: a
    plugins: [{ name: request-size-limiting, config: { allowed_payload_size: 2 } }]
    routes:
      - { name: own, paths: [/own], plugins: [{ name: request-size-limiting, config: { allowed_payload_size: 3 } }] }
      - { name: services, paths: [/services] }
      - { name: both, paths: [/both] }
  - { name: b, host: b, routes: [{ name: everywhere, paths: [/everywhere] }] }
plugins:
  - { name: request-size-limiting, config: { allowed_payload_size: 1 } }
  - { name: request-size-limiting, route: both, service: a, config: { allowed_payload_size: 4 } }
  - { name: correlation-id }
]]
    local config = foreign.config("kong", text)
    local function limit_of(route)
      local entry = route.plugins[1]
      return (entry.config or config.instances[entry.use].config).max
    end
    assert.same({ "3MiB", "2MiB", "4MiB", "1MiB" }, {
      limit_of(config.routes[1]), limit_of(config.routes[2]), limit_of(config.routes[3]), limit_of(config.routes[4]),
    })
    -- What holds for all alike stands there once.
    assert.equal(1, #config.plugins)
    assert.equal("request_id", config.plugins[1].use)
  end)

  it("that limits runs behind the one that asks for credentials, on every route that has one", function()
    local config = foreign.config("kong", [[
_format_version: "3.0"
services:
  - { name: a, host: a, routes: [{ name: closed, paths: [/closed], plugins: [{ name: key-auth }] }] }
  - { name: b, host: b, routes: [{ name: open, paths: [/open] }] }
plugins: [{ name: rate-limiting, config: { minute: 5, limit_by: ip } }]
]] .. CONSUMERS)
    assert.same({}, config.plugins)
    local limit = config.instances.all_rate_limiting
    assert.same({ "rate_limit", "auth", -100, "client_ip" }, {
      limit.use, limit.band, limit.priority, limit.config.key,
    })
    assert.equal("all_rate_limiting", config.routes[1].plugins[2].use)
    assert.equal("all_rate_limiting", config.routes[2].plugins[1].use)
  end)

  it("that limits all alike stands there once where nobody is asked for credentials", function()
    local config = foreign.config("kong", [[
_format_version: "3.0"
services: [{ name: b, host: b, routes: [{ name: open, paths: [/open] }] }]
plugins: [{ name: rate-limiting, config: { minute: 5, limit_by: ip } }]
]])
    assert.equal("rate_limit", config.plugins[1].use)
    assert.is_nil(config.plugins[1].band)
  end)

  it("whose route or service is not there is told", function()
    local result = foreign.convert("kong", [[
_format_version: "3.0"
services: [{ name: s, host: s, routes: [{ name: r, paths: [/], hosts: [a.org] }] }]
plugins: [{ name: cors, route: nobody }, { name: request-size-limiting, service: none }, { name: cors, route: r }]
]])
    assert.equal(2, #result.warned)
    assert.matches("3: plugins[1]: no route that is converted uses it", result.warned[1], 1, true)
    assert.matches("3: plugins[2]: no route that is converted uses it", result.warned[2], 1, true)
  end)

  it("for one consumer is told", function()
    local result = foreign.convert("kong", [[
_format_version: "3.0"
consumers: [{ username: a, plugins: [{ name: rate-limiting, config: { second: 1 } }] }]
plugins: [{ name: cors, consumer: a }]
]])
    assert.equal(2, #result.lost)
    assert.matches("rate-limiting for one consumer only is not converted", result.lost[1], 1, true)
    assert.matches("cors for one consumer only is not converted", result.lost[2], 1, true)
  end)
end)
