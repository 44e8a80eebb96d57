local dialects = require "support.dialects"

local ROUTE = [[
routes:
  - id: r
    path: "/a/**"
    service_id: s
    %s
proxy: { service: { services: [{ id: s, nodes: [{ address: "127.0.0.1:9301" }] }] } }
]]

--- A route with one block more; its first line stands on line 5.
local function with(block) return (ROUTE:gsub("%%s", (block:gsub("%%", "%%%%")))) end

local function load(text)
  local result = dialects.load_text(text)
  assert.same({}, result.report.errors)
  return result.config, result
end

--- The route itself, which is the last one.
local function route_of(text)
  local config, result = load(text)
  return config.routes[#config.routes], result, config
end

--- The errors of a text, without their columns.
local function errors_of(text)
  local list = dialects.errors(text)
  for i, e in ipairs(list) do list[i] = e:gsub("^(%d+):%d+", "%1") end
  return list
end

describe("Gateway's routes", function()
  it("take their prefix off where that is asked for [G33]", function()
    local cases = { { "/a/**", "true", "/a" }, { "/a/*", "true", "/a" }, { "/a", "true", "/a" }, { "/**", "true", nil },
                    { "/a/b/**", "false", nil }, { "/a/b/**", "/a", "/a" } }
    for _, case in ipairs(cases) do
      local text = with("strip_prefix: " .. case[2]):gsub('"/a/%*%*"', ('"%s"'):format(case[1]))
      assert.equal(case[3], (route_of(text)).strip_prefix)
    end
  end)

  it("keep what is said about them as labels [G35]", function()
    local route = route_of(with 'metadata: { description: "What", tags: [a, b] }')
    assert.same({ description = "What", tags = "a, b" }, route.labels)
  end)

  it("may all name the same service [X11]", function()
    local config = load [[
routes:
  - { id: a, path: /a, service: { name: s, endpoints: ["http://127.0.0.1:1"] } }
  - { id: b, path: /b, service: { name: s, endpoints: ["http://127.0.0.1:1"] } }
  - { id: c, path: /c, service: { name: s } }
]]
    assert.same({ "s", "s", "s" }, { config.routes[1].service, config.routes[2].service, config.routes[3].service })
  end)

  it("have plugins by the names they have there [G33 X11]", function()
    local route = route_of(with [[plugins:
      - { name: jwt-auth, config: { secret: s, algorithm: HS384, prefix: "Token " } }
      - { name: rate-limit, config: { rate: 9, burst: 3, key: path } }
      - { name: rate-limit, enabled: false, config: { rate: 5, algorithm: fixed-window, window_size: 10s } }]])
    assert.same({ secret = "s", algorithms = { "HS384" }, scheme = "Token" }, route.plugins[1].config)
    assert.same({ rate = "9/s", burst = 3, key = "path" }, route.plugins[2].config)
    assert.same({ rate = "5/10s", algorithm = "fixed_window" }, route.plugins[3].config)
    assert.is_false(route.plugins[3].enabled)
  end)
end)

describe("Gateway's assertions", function()
  local cases = {
    { "a method", "{ type: method, operator: equals, value: GET }",
      { subject = "method", op = "equals", value = "GET" } },
    { "a header that is there", "{ type: header, operator: exists, value: X-A }",
      { subject = "header", name = "x-a", op = "exists", value = true } },
    { "a header by the name of the assertion [X12]",
      "{ id: content-type-check, type: header, operator: equals, value: text/plain }",
      { subject = "header", name = "content-type", op = "equals", value = "text/plain" } },
    { "a header that is named, whatever the case",
      "{ type: header, header: X-A, operator: equals, value: Yes, case_sensitive: false }",
      { subject = "header", name = "x-a", op = "equals", value = "yes", fold = true } },
    { "a header with a pattern", "{ type: header, operator: matches, value: X-A, pattern: '^b+$' }",
      { subject = "header", name = "x-a", op = "matches", value = "^b+$" } },
    { "a path with a pattern", "{ type: path, operator: matches, value: '^/a/', pattern: '^/a/b' }",
      { subject = "path", op = "matches", value = "^/a/b" } },
    { "a path", "{ type: path, operator: equals, value: /a/c }", { subject = "path", op = "equals", value = "/a/c" } },
    { "a network", "{ type: ip, operator: in_cidr, value: 10.0.0.0/8 }",
      { subject = "client_ip", op = "cidr", value = { "10.0.0.0/8" } } },
  }
  for _, case in ipairs(cases) do
    it("ask for " .. case[1] .. " [G36]", function()
      local route = route_of(with(("assertion_group_config: { assertions: [%s] }"):format(case[2])))
      assert.same(case[3], route.when)
    end)
  end

  local GROUP = "assertion_group_config: { type: %s, assertions: [{ type: method, operator: equals, value: GET }, " ..
                "{ type: ip, operator: in_cidr, value: 10.0.0.0/8 }] }"
  it("may all have to hold, or one of them [G36]", function()
    assert.equal(2, #route_of(with(GROUP:format "and")).when.all)
    assert.equal(2, #route_of(with(GROUP:format "or")).when.any)
  end)
end)

describe("Gateway's CORS [G37]", function()
  local CORS = 'cors_config: { id: my-cors, allow_origins: ["https://a.test"], allow_credentials: true, max_age: 60 }'

  it("is a plugin, and preflights have a route of their own where the route has assertions", function()
    local route, _, config = route_of(with(CORS .. "\n    assertion_group_config: " ..
                                           "{ assertions: [{ type: header, operator: exists, value: X-A }] }"))
    assert.same({ allow_origins = { "https://a.test" }, allow_credentials = true, max_age = "60s" },
                config.instances.my_cors.config)
    assert.equal("my_cors", route.plugins[1].use)
    local preflight = config.routes[1]
    assert.same({ { "OPTIONS" }, "my_cors" }, { preflight.methods, preflight.plugins[1].use })
    assert.equal("access-control-request-method", preflight.when.name)
  end)

  it("needs no such route without assertions", function()
    assert.equal(1, #load(with(CORS .. "\n    methods: [GET]")).routes)
  end)
end)

describe("Gateway's access rules [G38]", function()
  --- The condition under which a request is refused.
  local function refusal(rule)
    local plugin = route_of(with(("security_config: { id: s, %s }"):format(rule))).plugins[1]
    assert.same({ "respond", "security", 403 }, { plugin.use, plugin.band, plugin.config.status })
    return plugin.when
  end

  it("refuse who is not on the white list", function()
    assert.same({ ["not"] = { subject = "client_ip", op = "cidr", value = { "10.0.0.0/8" } } },
                refusal "ip_access: { strategy: whitelist, whitelist: [10.0.0.0/8] }")
  end)

  it("refuse who is on the black list", function()
    assert.same({ subject = "host", op = "equals", value = "a.test", fold = true },
                refusal "domain_access: { strategy: blacklist, blacklist: [a.test] }")
  end)

  it("refuse who is on the black list beside a white one", function()
    local condition = refusal "api_access: { strategy: whitelist, whitelist: ['/a/b/**'], blacklist: [/a/b/c] }"
    assert.equal(2, #condition.any)
    assert.same({ subject = "path", op = "prefix", value = "/a/b/c/" }, condition.any[2].any[2])
  end)

  it("refuse everybody where the white list is empty", function()
    assert.same({ subject = "path", op = "prefix", value = "/" },
                refusal "ip_access: { strategy: whitelist, whitelist: [] }")
  end)

  it("look for parts of the name of a client's program", function()
    assert.same({ subject = "header", name = "user-agent", op = "contains", value = "curl", fold = true },
                refusal "user_agent_access: { strategy: blacklist, blacklist: [Curl] }")
  end)

  it("do nothing where they are switched off, or refuse nobody", function()
    for _, rule in ipairs { "ip_access: { enabled: false, strategy: whitelist }",
                            "ip_access: { strategy: blacklist, blacklist: [] }" } do
      assert.same({}, route_of(with(("security_config: { %s }"):format(rule))).plugins)
    end
  end)
end)

describe("Gateway's limits [G39]", function()
  local cases = {
    { "algorithm: token-bucket, rate: 9, burst: 4, window_size: 1s", { rate = "9/s", burst = 4 } },
    { "rate: 9", { rate = "9/s" } },
    { "algorithm: leaky-bucket, rate: 9, burst: 0", { rate = "9/s", algorithm = "leaky_bucket" } },
    { "algorithm: sliding-window, rate: 9, window_size: 5s", { rate = "9/5s", algorithm = "sliding_window" } },
    { "algorithm: fixed-window, rate: 9, window_size: 1m", { rate = "9/m", algorithm = "fixed_window" } },
  }
  for _, case in ipairs(cases) do
    it("become settings: " .. case[1], function()
      local route, result = route_of(with(("limiter_config: { %s }"):format(case[1])))
      assert.same({ "rate_limit", case[2] }, { route.plugins[1].use, route.plugins[1].config })
      assert.same({}, dialects.warnings(result))
    end)
  end

  it("tell what does not count", function()
    local _, result = route_of(with "limiter_config: { algorithm: fixed-window, rate: 9, burst: 4 }")
    assert.same({ "routes[1].limiter_config.burst: does not count for fixed_window: a window has none" },
                dialects.warnings(result))
    _, result = route_of(with "limiter_config: { rate: 9, window_size: 5s }")
    assert.same({ "routes[1].limiter_config.window_size: does not count for token_bucket: its rate is of one second" },
                dialects.warnings(result))
  end)
end)

describe("Gateway's authentication [G40]", function()
  it("is a token", function()
    local route = route_of(with [[auth_config: { strategy: jwt, config: { secret: s, algorithm: HS512, header: X-T,
      prefix: "Bearer ", claims_to_verify: [exp] } }]])
    assert.same({ "jwt_auth", { secret = "s", algorithms = { "HS512" }, header = "X-T", scheme = "Bearer",
                                required_claims = { "exp" } } }, { route.plugins[1].use, route.plugins[1].config })
  end)

  it("is a key", function()
    local route = route_of(with "auth_config: { strategy: api_key, config: { header: X-K, keys: [a, b] } }")
    local plugin = route.plugins[1]
    assert.same({ "require_header", "auth", "X-K", { "a", "b" } },
                { plugin.use, plugin.band, plugin.config.header, plugin.config.values })
  end)

  it("is none", function()
    assert.same({}, route_of(with "auth_config: { strategy: none }").plugins)
  end)

  it("is never left out", function()
    assert.same({ "5: routes[1].auth_config.strategy: oauth2 is not available in this version; expected one of " ..
                  "none, jwt, api_key" }, errors_of(with "auth_config: { strategy: oauth2 }"))
    assert.truthy(errors_of(with "auth_config: { strategy: api_key, config: { header: X-K } }")[1])
    assert.truthy(errors_of(with "auth_config: { strategy: jwt }")[1])
  end)
end)

describe("Gateway's filters [G41]", function()
  it("run in their order, on the side that they name", function()
    local route, result = route_of(with [[filter_config:
      filters:
        - { id: b, order: 2, action: post_response, config: { add_headers: { X-T: "${response_time}" } } }
        - { id: off, enabled: false, config: { add_headers: { X-O: a } } }
        - { id: a, order: 1, config: { remove_headers: [Referer], log_level: warn, audit_enabled: true } }
        - { id: nothing, order: 3 }]])
    local found = {}
    for i, plugin in ipairs(route.plugins) do found[i] = plugin.name .. " " .. plugin.use end
    assert.same({ "a log logging", "a headers", "b headers" }, found)
    assert.same({ request = { remove = { "Referer" } } }, route.plugins[2].config)
    assert.same({ response = { set = { ["X-T"] = "${response_time}" } } }, route.plugins[3].config)
    assert.same({ log_level = "warn", fields = { audit = "true" } }, route.plugins[1].config)
    assert.same({ "routes[1].filter_config.filters[4]: has no settings, and does nothing" }, dialects.warnings(result))
  end)
end)

describe("Gateway's services [G44]", function()
  local function service(text)
    return load(("proxy: { service: { services: [{ id: s, %s }] } }"):format(text)).services.s
  end

  it("have nodes with labels, and weights where they count", function()
    local nodes = "nodes: [{ id: n, address: '127.0.0.1:1', weight: 50, metadata: { zone: a, version: 2 } }]"
    local plain = service(nodes .. ", load_balancer: { algorithm: round_robin }").nodes[1]
    assert.same({ 1, { id = "n", zone = "a", version = "2" } }, { plain.weight, plain.labels })
    assert.equal(50, service(nodes .. ", load_balancer: { algorithm: weighted_round_robin }").nodes[1].weight)
  end)

  it("may be switched off, one by one or together", function()
    local nodes = "nodes: [{ address: '127.0.0.1:1', enabled: true }, { address: '127.0.0.1:2', enabled: false }]"
    assert.same({ true, false }, { service(nodes).nodes[1].enabled, service(nodes).nodes[2].enabled })
    assert.is_false(service("enabled: false, " .. nodes).nodes[1].enabled)
    local config = load("proxy: { enabled: false, service: { services: [{ id: s, " .. nodes .. " }] } }")
    assert.is_false(config.services.s.nodes[1].enabled)
  end)
end)

describe("what is wrong in a file of Gateway", function()
  local cases = {
    { "an unknown key", with "cors_confg: {}", '5: routes[1].cors_confg: unknown key; did you mean "cors_config"?' },
    { "a native key", with "priority: 1" .. "listen: []\n",
      "7: listen: is a key of Tidegate's own language, but \"routes\" (line 1) is one of Gateway" },
    { "two services", with "service: { name: t }", "5: routes[1]: expected exactly one of service_id, service, found" },
    { "a header without a name [X12]",
      with "assertion_group_config: { assertions: [{ type: header, operator: equals, value: a }] }",
      "5: routes[1].assertion_group_config.assertions[1].operator: does not say which header is to have this value: " ..
      "write header: NAME beside it" },
    { "an operator that does not fit",
      with "assertion_group_config: { assertions: [{ type: ip, operator: matches, value: a }] }",
      "5: routes[1].assertion_group_config.assertions[1].operator: matches cannot be asked of ip; expected one of " ..
      "equals, in_cidr" },
    { "an assertion without a value", with "assertion_group_config: { assertions: [{ type: ip, operator: equals }] }",
      "5: routes[1].assertion_group_config.assertions[1]: needs the key value" },
    { "a limit without a rate", with "limiter_config: { burst: 1 }", "5: routes[1].limiter_config.rate: missing" },
    { "a proxy of another kind", "proxy: { type: tcp, service: { services: [] } }",
      '1: proxy.type: expected "http", found "tcp"' },
    { "a service twice",
      "proxy: { service: { services: [{ id: s, nodes: [] },\n { id: s, nodes: [] }] } }",
      '2: the service "s" is there already (line 1)' },
    { "two services of a name with other nodes",
      'routes:\n  - { id: a, path: /a, service: { name: s, endpoints: ["http://127.0.0.1:1"] } }\n' ..
      '  - { id: b, path: /b, service: { name: s, endpoints: ["http://127.0.0.1:2"] } }',
      '3: the service "s" is there already (line 2)' },
  }
  for _, case in ipairs(cases) do
    it("is told with its line: " .. case[1], function()
      local found = errors_of(case[2])
      assert.equal(case[3], found[1] and found[1]:sub(1, #case[3]))
    end)
  end
end)
