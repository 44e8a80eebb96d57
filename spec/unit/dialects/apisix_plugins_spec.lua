local foreign = require "support.foreign"

local CONSUMERS = [[
consumers:
  - { username: alice, plugins: { basic-auth: { username: alice, password: wonder }, key-auth: { key: k-1 },
      jwt-auth: { key: alice, secret: s-a } } }
]]

--- See foreign.chain: of a route with plugins of APISIX.
local function chain_of(plugins, rest)
  return foreign.chain("apisix", ([[
routes:
  - { name: r, uri: /a, upstream: { nodes: { '10.0.0.1:80': 1 } }, plugins: %s }
]]):format(plugins) .. (rest or CONSUMERS))
end

local JSON = "application/json; charset=utf-8"
local METHODS = { "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS" }

describe("a plugin of APISIX", function()
  local cases = {
    { "{ basic-auth: { hide_credentials: true } }",
      { { use = "basic_auth", config = { users = { { username = "alice", password = "wonder" } },
                                         hide_credentials = true, consumer_header = "x-consumer-username" } } } },
    { "{ key-auth: { hide_credentials: true } }",
      { { use = "require_header", band = "auth",
          config = { header = "apikey", values = { "k-1" }, message = "Invalid key" } },
        { use = "headers", config = { request = { remove = { "apikey" } } } } } },
    { "{ jwt-auth: {} }",
      { { use = "jwt_auth", config = { secret = "s-a", algorithms = { "HS256" }, header = "authorization",
                                       query = "jwt", cookie = "jwt", consumer_claim = "key" } } } },
    { "{ limit-count: { count: 2, time_window: 60 } }",
      { { use = "rate_limit", config = { rate = "2/60s", key = "client_ip", algorithm = "fixed_window",
                                         status = 503 } } } },
    { "{ limit-count: { count: 2, time_window: 60, key_type: var_combination, key: $http_x_a$remote_addr,\
       window_type: sliding } }",
      { { use = "rate_limit", config = { rate = "2/60s", key = "${header.x-a}${client_ip}", status = 503,
                                         algorithm = "sliding_window" } } } },
    { "{ limit-count: { count: 2, time_window: 60, key: consumer_name } }",
      { { use = "rate_limit", band = "auth", config = { rate = "2/60s", key = "consumer", status = 503,
                                                        algorithm = "fixed_window" } } } },
    { "{ limit-req: { rate: 5, burst: 3, key: remote_addr } }",
      { { use = "rate_limit", config = { rate = "5/s", burst = 3, key = "client_ip", algorithm = "leaky_bucket",
                                         status = 503, headers = false } } } },
    { "{ limit-req: { rate: 0.1, burst: 0, key: remote_addr, nodelay: true } }",
      { { use = "rate_limit", config = { rate = "1/10s", burst = 1, key = "client_ip", algorithm = "token_bucket",
                                         status = 503, headers = false } } } },
    { "{ client-control: { max_body_size: 77 } }", { { use = "body_limit", config = { max = "77B" } } } },
    { "{ cors: {} }",
      { { use = "cors", config = { allow_origins = { "*" }, allow_methods = METHODS, max_age = "5s",
                                   allow_headers = { "*", "authorization" } } } } },
    { "{ ip-restriction: { blacklist: [10.0.0.0/8] } }",
      { { use = "respond", band = "security", when = { subject = "client_ip", op = "cidr", value = { "10.0.0.0/8" } },
          config = { status = 403, content_type = JSON, body = '{"message":"Your IP address is not allowed"}' } } } },
    { "{ proxy-rewrite: { uri: /x, method: PUT, headers: { X-A: b } } }",
      { { use = "headers", config = { request = { set = { ["x-a"] = "b" } } } },
        { use = "rewrite", config = { path = "/x", method = "PUT" } } } },
    { "{ proxy-rewrite: { regex_uri: ['^/a/(.*)', '/b/$1'] } }",
      { { use = "rewrite", config = { match = "^/a/(.*)", to = "/b/$1" } } } },
    { "{ response-rewrite: { headers: { add: ['X-A: $host'], remove: [X-B] } } }",
      { { use = "headers", config = { response = { add = { ["x-a"] = "${host}" }, remove = { "x-b" } } } } } },
    { "{ response-rewrite: { filters: [{ regex: a, scope: global, replace: b, options: ijo }] } }",
      { { use = "replace", config = { response = { { regex = "a", with = "b", ignore_case = true } } } } } },
    { "{ redirect: { uri: /b, append_query_string: true } }",
      { { use = "respond", config = { status = 302, headers = { location = "/b${query}" } } } } },
    { "{ redirect: { http_to_https: true } }",
      { { use = "respond", band = "cors", when = { subject = "scheme", op = "equals", value = "http" },
          config = { status = 301, headers = { location = "https://${host}${request_uri}" } } } } },
    { "{ fault-injection: { abort: { http_status: 500, vars: [[[arg_a, ==, b]], [[arg_c, ==, d]]] } } }",
      { { use = "respond", band = "cors", config = { status = 500 },
          when = { any = { { subject = "query", name = "a", op = "equals", value = "b" },
                           { subject = "query", name = "c", op = "equals", value = "d" } } } } } },
    { "{ request-id: {} }",
      { { use = "request_id", config = { header = "x-request-id", format = "uuid4", response = true } } } },
  }
  foreign.it_converts(chain_of, cases)

  -- What keeps requests out switches the route off where it cannot be had; what does not leaves it on.
  local lost = {
    { "{ hmac-auth: {} }", "there is no equal of hmac-auth", off = true },
    { "{ my-own: { any: { thing: 1 } } }", "there is no equal of my-own", off = true },
    { "{ serverless-pre-function: { functions: [x] } }", "there is no equal of serverless-pre-function", off = true },
    { "{ zipkin: { endpoint: x } }", "there is no equal of zipkin" },
    { "{ limit-conn: { conn: 1 } }", "there is no equal of limit-conn" },
    { "{ basic-auth: {} }", "nobody could be let in", off = true, rest = "" },
    { "{ key-auth: {} }", "nobody could be let in", off = true, rest = "" },
    { "{ jwt-auth: {} }", "nobody could be let in", off = true, rest = "" },
    { "{ key-auth: { anonymous_consumer: a } }", "credentials cannot be left out", off = true },
    { "{ ip-restriction: { whitelist: [x] } }", "x is no network", off = true },
    { "{ ip-restriction: { whitelist: [10.0.0.1], _meta: { filter: [[arg_a, ==, b]] } } }", "a condition on a plugin",
      off = true },
    { "{ ua-restriction: { denylist: ['('] } }", "(: ", off = true },
    { "{ limit-count: { count: 1, time_window: 1, key_type: constant, key: all } }", "not counted together" },
    { "{ limit-count: { count: 1, time_window: 1, key: upstream_addr } }", "not counted by $upstream_addr" },
    { "{ limit-count: { time_window: 1 } }", "needs count and time_window" },
    { "{ limit-count: { rules: [{ count: 1, time_window: 1, key: a }] } }", "several rules in one" },
    { "{ limit-req: { burst: 1, key: remote_addr } }", "expected a number over 0" },
    { "{ cors: { allow_credential: true } }", "every origin with credentials" },
    { "{ cors: { allow_origins_by_regex: [x] } }", "origins cannot be patterns" },
    { "{ proxy-rewrite: { uri: '/$arg_x' } }", "a path made of variables" },
    { "{ proxy-rewrite: { regex_uri: [a, b, c, d] } }", "the first is converted" },
    { "{ proxy-rewrite: { regex_uri: ['('] } }", "regex_uri" },
    { "{ proxy-rewrite: { regex_uri: [a, '/$host'] } }", "$host has no equal in a path" },
    { "{ response-rewrite: { body: x } }", "a body is not put in place" },
    { "{ response-rewrite: { filters: [{ regex: a, replace: b }] } }", "not the first alone" },
    { "{ redirect: { regex_uri: [a, b] } }", "a place made by a pattern" },
    { "{ redirect: { uri: /$upstream_addr } }", "$upstream_addr has no equal" },
    { "{ fault-injection: { abort: { http_status: 500, percentage: 5 } } }", "cannot be chosen by chance" },
    { "{ fault-injection: { delay: { duration: 1 } } }", "requests are not delayed" },
    { "{ traffic-split: { rules: [{ match: [{ vars: [] }], weighted_upstreams: [{ weight: 1 }] }] } }",
      "one rule, for all requests" },
    { "{ file-logger: { path: /tmp/x } }", "an access log of one route" },
    { "{ cors: { unheard_of: 1 } }", "unheard_of: unknown key" },
  }
  foreign.it_tells(chain_of, 2, lost)

  it("counts where it is meant most closely", function()
    local config = foreign.config("apisix", [[
routes:
  - { name: own, uri: /own, service_id: 1, plugin_config_id: 1, plugins: { client-control: { max_body_size: 3 } } }
  - { name: config, uri: /config, service_id: 1, plugin_config_id: 1 }
  - { name: service, uri: /service, service_id: 1 }
plugin_configs: [{ id: 1, plugins: { client-control: { max_body_size: 2 } } }]
services:
  - { id: 1, upstream: { nodes: { a: 1 } }, plugins: { client-control: { max_body_size: 1 }, request-id: {} } }
global_rules: [{ id: 1, plugins: { client-control: { max_body_size: 9 } } }]
]])
    local function limit_of(route)
      for _, entry in ipairs(route.plugins) do
        local whole = entry.config and entry or config.instances[entry.use]
        if whole.use == "body_limit" then return whole.config.max end
      end
    end
    assert.same({ "3B", "2B", "1B" }, {
      limit_of(config.routes[1]), limit_of(config.routes[2]), limit_of(config.routes[3]),
    })
    assert.equal("9B", config.plugins[1].config.max)
  end)

  it("that limits runs behind the one that asks for credentials", function()
    local chain = chain_of "{ limit-count: { count: 2, time_window: 60 }, key-auth: {} }"
    assert.same({ "rate_limit", "auth" }, { chain[1].use, chain[1].band })
    assert.same({ "require_header", "auth" }, { chain[2].use, chain[2].band })
  end)

  it("that splits goes to several services", function()
    local config = foreign.config("apisix", [[
routes:
  - uri: /a
    upstream_id: 1
    plugins: { traffic-split: { rules: [{ weighted_upstreams: [
      { upstream_id: 2, weight: 2 }, { upstream: { nodes: { c: 1 } }, weight: 1 }, { weight: 7 }] }] } }
upstreams: [{ id: 1, nodes: { a: 1 } }, { id: 2, nodes: { b: 1 } }]
]])
    assert.same({ ["upstream-1"] = 7, ["upstream-2"] = 2, ["route-1-split"] = 1 }, config.routes[1].split)
  end)

  it("for one consumer, and credentials of other kinds, are told", function()
    local result = foreign.convert("apisix", [[
routes: []
consumers: [{ username: a, plugins: { limit-count: { count: 1 }, hmac-auth: { key: x } }, group_id: g }]
]])
    assert.equal(3, #result.lost)
  end)
end)
