local apisix = require "tidegate.dialects.apisix"
local foreign = require "support.foreign"
local native = require "tidegate.dialects.foreign.native"

local function convert(text) return foreign.convert("apisix", text) end

--- The configuration of a text that converts without loss.
local function config_of(text)
  local result = convert(text)
  assert.same({}, result.lost)
  return foreign.load(result)
end

--- A text with one route, whose lines are given.
local function one(lines)
  return "routes:\n  - { upstream: { nodes: { '10.0.0.1:80': 1 } }, " .. lines .. " }\n"
end

describe("a configuration of APISIX", function()
  it("is recognised by its routes and by what no other has", function()
    local cases = {
      { "routes: [{ uri: /a }]", "uri" }, { "routes: [{ id: 1 }, { uris: [/a] }]", "uris" },
      { "upstreams: []", "upstreams" }, { "global_rules: []", "global_rules" }, { "ssls: []", "ssls" },
      { "routes: [{ path: /a, service: s }]" }, { "services: {}" }, { "[]" },
    }
    for _, case in ipairs(cases) do
      local entry = apisix.recognise(foreign.parse(case[1]))
      assert.equal(case[2], entry and entry.key, case[1])
    end
  end)

  it("loads once it is converted", function()
    local config = foreign.config("apisix", foreign.fixture "apisix", { dry = false })
    assert.equal(6, #config.routes)
    assert.is_false(config.services.users.nodes[3].enabled)
  end)

  it("has no key that nobody looked at", function()
    local result = convert(foreign.fixture "apisix")
    assert.same({}, result.lost)
    assert.same({}, foreign.forgotten(result.node))
  end)

  -- Any name may stand among labels and fields of headers, and of a plugin that is off the settings do not matter.
  local FREE = {
    "routes[1].labels", "routes[2].plugins.proxy-rewrite.headers.set", "routes[2].plugins.proxy-rewrite.headers.add",
    "routes[3].plugins.response-rewrite.headers.set", "routes[6].plugins.fault-injection.abort.headers",
    "global_rules[1].plugins.key-auth",
  }

  it("tells of a key that is not known, wherever it stands", function()
    local blind, count = foreign.blind_spots("apisix", foreign.fixture "apisix")
    assert.same(FREE, blind)
    assert.is_true(count > 60)
  end)
end)

describe("an upstream of APISIX", function()
  it("takes nodes as a map and as a list", function()
    local config = config_of [[
routes: [{ uri: /a, upstream_id: 1 }, { uri: /b, upstream_id: 2 }]
upstreams:
  - { id: 1, nodes: { "10.0.0.1:81": 2, "10.0.0.2": 1, "[::1]:82": 1 } }
  - { id: 2, scheme: https, nodes: [{ host: a.example.com, weight: 0 }, { host: "::1", port: 83, weight: 1 }] }
]]
    local first, second = config.services["upstream-1"].nodes, config.services["upstream-2"].nodes
    assert.same({ 81, 80, 82 }, { first[1].url.port, first[2].url.port, first[3].url.port })
    assert.equal(2, first[1].weight)
    assert.same({ 443, 83 }, { second[1].url.port, second[2].url.port })
    assert.is_false(second[1].enabled)
  end)

  it("sends on the Host that it did", function()
    local rows = {
      { "", "preserve" }, { ", pass_host: node", "node" },
      { ", pass_host: rewrite, upstream_host: x.example.com", "x.example.com" },
    }
    for _, row in ipairs(rows) do
      local text = ("routes: [{ uri: /a, upstream: { nodes: { '10.0.0.1:80': 1 }%s } }]"):format(row[1])
      assert.equal(row[2], config_of(text).services["route-1"].host_header)
    end
  end)

  it("tries each node once where it does not say otherwise", function()
    local config = config_of "routes: [{ uri: /a, upstream: { nodes: { a: 1, b: 1, c: 1 } } }]"
    assert.equal(2, config.services["route-1"].retries.attempts)
  end)

  it("that cannot be had is told, and its routes are left out", function()
    local rows = {
      { "{ scheme: tcp, nodes: { 'a:1': 1 } }", "the scheme tcp is not available" },
      { "{ service_name: users, discovery_type: dns }", "nodes cannot be discovered" },
      { "{ nodes: {} }", "an upstream without nodes" },
      { "{ nodes: { 'a b:1': 1 } }", "is no address of a node" },
    }
    for _, row in ipairs(rows) do
      local result = convert("routes:\n  - { uri: /a, upstream: " .. row[1] .. " }\n" ..
                             "  - { uri: /b, upstream: { nodes: { b: 1 } } }")
      assert.matches(row[2], table.concat(result.lost, "\n"), 1, true)
      assert.equal(1, #foreign.load(result).routes)
    end
  end)

  it("that nothing names is told", function()
    local result = convert "upstreams: [{ id: 1, nodes: { a: 1 } }]\nroutes: []"
    assert.same({ "1: upstreams[1]: nothing names this upstream: it is left out" }, result.warned)
  end)
end)

describe("a route of APISIX", function()
  it("takes the paths and hosts that it did", function()
    local rows = {
      { "uri: /a", paths = { "/a" } },
      { "uri: /a/*", paths = { "/a/*" } },
      { "uris: [/a, /b/*]", paths = { "/a", "/b/*" } },
      { "uri: /*", paths = { "/*" } },
      { "uri: /a, host: '*.example.com'", paths = { "/a" }, hosts = { "*.example.com" } },
      { "uri: /a, hosts: [a.org, b.org]", paths = { "/a" }, hosts = { "a.org", "b.org" } },
      { "uris: [/a, /b], hosts: [a.org, b.org]", paths = { "/a", "/b" }, hosts = { "a.org", "b.org" } },
    }
    for _, row in ipairs(rows) do
      local routes = config_of(one(row[1])).routes
      assert.equal(1, #routes)
      assert.same(row.paths, routes[1].paths)
      assert.same(row.hosts, routes[1].hosts)
    end
  end)

  it("has the hosts of its service where it names none", function()
    local config = config_of [[
services: [{ id: 1, hosts: [s.org], upstream: { nodes: { a: 1 } } }]
routes: [{ uri: /a, service_id: 1 }, { uri: /b, service_id: 1, host: own.org }]
]]
    assert.same({ "s.org" }, config.routes[1].hosts)
    assert.same({ "own.org" }, config.routes[2].hosts)
  end)

  it("that would take more without what cannot be said is switched off, and told", function()
    local rows = {
      { "uri: /a, filter_func: 'function(vars) return true end'", "filter_func" },
      { "uri: /a, vars: [[arg_x, has, y]]", "vars" },
      { "uri: /a, vars: [[post_arg_x, '==', y]]", "vars" },
      { "uri: /a, vars: nonsense", "vars" },
      { "uri: '/a/*/b'", "uri" },
      { "uri: /a, methods: [CONNECT]", "methods" },
      { "uri: /a, remote_addr: nowhere", "remote_addr" },
      { "uri: /a, service_id: 9", "service_id" },
      { "uri: /a, plugin_config_id: 9", "plugin_config_id" },
    }
    for _, row in ipairs(rows) do
      local result = convert(one(row[1]))
      assert.equal(1, #result.lost, row[1])
      assert.matches("2: routes[1]." .. row[2] .. ":", result.lost[1], 1, true)
      assert.is_false(foreign.load(result).routes[1].enabled)
    end
  end)

  it("that is switched off stays so", function()
    assert.is_false(config_of(one "uri: /a, status: 0").routes[1].enabled)
  end)

  it("of which one pair of host and path needs another priority is told apart", function()
    local config = config_of [[
routes:
  - { name: low, uris: [/a, /b], priority: 1, upstream: { nodes: { a: 1 } } }
  - { name: high, uri: /a, methods: [GET], priority: 5, upstream: { nodes: { a: 1 } } }
  - { name: over, uri: /b, priority: 9, upstream: { nodes: { a: 1 } } }
]]
    assert.equal(3, #config.routes)
    assert.is_true(config.routes[3].priority > config.routes[1].priority)
    assert.equal(0, config.routes[2].priority)
  end)
end)

describe("a text of APISIX's file", function()
  it("keeps what would be a variable here, and turns variables of the environment into ours", function()
    local config = config_of [[
routes: [{ uri: /a, upstream: { nodes: { a: 1 } }, plugins: { basic-auth: {} } }]
consumers:
  - { username: a, plugins: { basic-auth: { username: a, password: "x${Y}z" } } }
  - { username: b, plugins: { basic-auth: { username: b, password: "p${{SECRET}}s" } } }
  - { username: c, plugins: { basic-auth: { username: c, password: "$env://SECRET" } } }
]]
    local users = config.routes[1].plugins[1].config.users
    assert.same({ "x${Y}z", "pvalue-of-secrets", "value-of-secret" },
                { users[1].password, users[2].password, users[3].password })
  end)
end)

describe("an expression over variables", function()
  local vars = require "tidegate.dialects.apisix.vars"

  local cases = {
    { '[["arg_name", "==", "json"]]', { query = "name", equals = "json" } },
    { '[["http_x_user", "~=", "me"]]', { ["not"] = { header = "x-user", equals = "me" } } },
    { '[["cookie_a", "~~", "^x"]]', { cookie = "a", matches = "^x" } },
    { '[["cookie_a", "~*", "^x"]]', { cookie = "a", matches = "^x", case = false } },
    { '[["arg_n", ">", 5], ["arg_n", "!", ">", 9]]',
      { all = { { query = "n", gt = 5 }, { ["not"] = { query = "n", gt = 9 } } } } },
    { '[["arg_n", ">=", 5]]', { any = { { query = "n", gt = 5 }, { query = "n", equals = "5" } } } },
    { '[["request_method", "in", ["GET", "POST"]]]', { method = { ["in"] = { "GET", "POST" } } } },
    { '[["remote_addr", "ipmatch", ["10.0.0.0/8"]]]', { client_ip = { cidr = { "10.0.0.0/8" } } } },
    { '[["uri", "~~", "^/a"]]', { path = { matches = "^/a" } } },
    { '["OR", ["arg_a", "==", "1"], ["!AND", ["arg_b", "==", "2"], ["arg_c", "==", "3"]]]',
      { any = { { query = "a", equals = "1" },
                { ["not"] = { all = { { query = "b", equals = "2" }, { query = "c", equals = "3" } } } } } } },
    { "[]", nil },
  }
  for _, case in ipairs(cases) do
    it("becomes a condition: " .. case[1], function()
      local found, why = vars.condition(foreign.parse(case[1]))
      assert.is_nil(why)
      assert.same(case[2], found)
    end)
  end

  local bad = {
    { '[["upstream_addr", "==", "x"]]', "$upstream_addr is no condition here" },
    { '[["arg_a", "has", "x"]]', 'the operator "has" is not converted' },
    { '[["arg_a"]]', 'the operator "nil" is not converted' },
    { '[["arg_a", "=="]]', "the operator has nothing to compare with" },
    { '[["arg_a", "~~", "("]]', "" },
    { '[["arg_a", ">", "x"]]', "only numbers" },
    { '[["remote_addr", "ipmatch", ["x"]]]', "x is no network" },
    { '[["uri", ">", 5]]', "only numbers in headers" },
    { "{ a: b }", "expected a list" },
    { ("["):rep(14) .. '["arg_a", "==", "1"]' .. ("]"):rep(14), "nest at most" },
  }
  for _, case in ipairs(bad) do
    it("is refused: " .. case[1]:sub(1, 40), function()
      local found, why = vars.condition(foreign.parse(case[1]))
      assert.is_nil(found)
      assert.matches(case[2], why, 1, true)
    end)
  end

  it("is taken as it is written by the plugin it becomes a condition of", function()
    local result = convert(one 'uri: /a, vars: [["arg_name", "==", "json"]]')
    assert.equal(native.has "routes.when" and 0 or 1, #result.lost)
    foreign.load(result)
  end)
end)
