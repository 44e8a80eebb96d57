local foreign = require "support.foreign"

describe("health checks", function()
  local function check_of(dialect, text)
    local config, result = foreign.config(dialect, text)
    assert.same({}, result.lost)
    return select(2, next(config.services)).health_check
  end

  it("of Kong are ours", function()
    local check = check_of("kong", [[
_format_version: "3.0"
services: [{ name: s, host: u, routes: [{ hosts: [a.org] }] }]
upstreams:
  - name: u
    targets: [{ target: "10.0.0.1:80" }]
    healthchecks:
      active:
        type: http
        http_path: /health
        timeout: 2
        concurrency: 5
        headers: { X-Check: [yes] }
        healthy: { interval: 5, successes: 3, http_statuses: [200, 204] }
        unhealthy: { interval: 7, http_failures: 4, tcp_failures: 2, timeouts: 0, http_statuses: [500] }
      passive: { type: http, healthy: { successes: 1 }, unhealthy: { http_failures: 6, tcp_failures: 0, timeouts: 9 } }
]])
    local active = check.active
    assert.same({ "http", "/health", 2, 5, 3, 2 },
                { active.type, active.path, active.timeout, active.interval, active.healthy, active.unhealthy })
    assert.same({ "200", "204" }, active.expect)
    assert.equal("yes", active.headers["x-check"])
    assert.equal(6, check.passive.failures)
  end)

  it("of APISIX are ours, with its own values where none are written", function()
    local check = check_of("apisix", [[
routes: [{ uri: /a, upstream: { nodes: { "10.0.0.1:80": 1 }, checks: {
  active: { http_path: /h, host: check.org, req_headers: ["X-A: b"], healthy: { successes: 1 } } } } }]
]])
    local active = check.active
    assert.same({ "/h", "check.org", 1, 1, 2 },
                { active.path, active.host, active.interval, active.healthy, active.unhealthy })
    assert.equal("b", active.headers["x-a"])
  end)
end)

describe("how a node is picked", function()
  local kong = {
    { "algorithm: round-robin", "round_robin" },
    { "algorithm: least-connections", "least_connections" },
    { "algorithm: latency", "least_latency" },
    { "algorithm: consistent-hashing, hash_on: ip", "consistent_hash", "client_ip" },
    { "algorithm: consistent-hashing, hash_on: header, hash_on_header: X-User", "consistent_hash", "header.x-user" },
    { "hash_on: cookie, hash_on_cookie: session, hash_on_cookie_path: /", "consistent_hash", "cookie.session" },
    { "algorithm: consistent-hashing, hash_on: path", "consistent_hash", "path" },
    { "algorithm: consistent-hashing, hash_on: query_arg, hash_on_query_arg: id", "consistent_hash", "query.id" },
    -- Kong hashes nothing where it is not said what.
    { "algorithm: consistent-hashing", "round_robin" },
  }
  for _, case in ipairs(kong) do
    it("is Kong's: " .. case[1], function()
      local config, result = foreign.config("kong", ([[
_format_version: "3.0"
services: [{ name: s, host: u, routes: [{ hosts: [a.org] }] }]
upstreams: [{ name: u, %s, targets: [{ target: "10.0.0.1:80" }] }]
]]):format(case[1]))
      assert.same({}, result.lost)
      assert.equal(case[2], config.services.s.balance.algorithm)
      if case[3] then assert.equal(case[3], config.services.s.balance.key) end
    end)
  end

  local apisix = {
    { "type: roundrobin", "round_robin" },
    { "type: least_conn", "least_connections" },
    { "type: ewma", "least_latency" },
    { "type: chash", "consistent_hash", "client_ip" },
    { "type: chash, key: remote_addr", "consistent_hash", "client_ip" },
    { "type: chash, key: arg_id", "consistent_hash", "query.id" },
    { "type: chash, hash_on: header, key: http_x_user", "consistent_hash", "header.x-user" },
    { "type: chash, hash_on: header, key: X-User", "consistent_hash", "header.x-user" },
    { "type: chash, hash_on: cookie, key: session", "consistent_hash", "cookie.session" },
  }
  for _, case in ipairs(apisix) do
    it("is APISIX's: " .. case[1], function()
      local text = "routes: [{ uri: /a, upstream: { nodes: { a: 1 }, " .. case[1] .. " } }]"
      local config, result = foreign.config("apisix", text)
      assert.same({}, result.lost)
      assert.equal(case[2], config.services["route-1"].balance.algorithm)
      if case[3] then assert.equal(case[3], config.services["route-1"].balance.key) end
    end)
  end

  local lost = {
    { "kong", "hash_on: consumer", "nodes are not picked by consumer" },
    { "kong", "hash_on: uri_capture, hash_on_uri_capture: id", "nodes are not picked by uri_capture" },
    { "kong", "hash_on: header", "needs the key hash_on_header" },
    { "kong", "algorithm: sticky-sessions", "sticky-sessions is not available" },
    { "kong", "hash_on: ip, hash_fallback: header, hash_fallback_header: X-A", "a second key to hash" },
    { "apisix", "type: chash, hash_on: consumer", "nodes cannot be picked by this key" },
    { "apisix", "type: chash, key: upstream_addr", "nodes cannot be picked by this key" },
    { "apisix", "type: chash, key: request_uri", "nodes cannot be picked by this key" },
    { "apisix", "type: magic", "magic is not available" },
  }
  for _, case in ipairs(lost) do
    it("is told where it cannot be had: " .. case[2], function()
      local text = case[1] == "apisix" and "routes: [{ uri: /a, upstream: { nodes: { a: 1 }, " .. case[2] .. " } }]" or
                   "_format_version: '3.0'\nservices: [{ name: s, host: u, routes: [{ hosts: [a.org] }] }]\n" ..
                   "upstreams: [{ name: u, " .. case[2] .. ", targets: [{ target: '10.0.0.1:80' }] }]\n"
      local result = foreign.convert(case[1], text)
      assert.equal(1, #result.lost, table.concat(result.lost, "\n"))
      assert.matches(case[3], result.lost[1], 1, true)
      foreign.load(result)
    end)
  end
end)
