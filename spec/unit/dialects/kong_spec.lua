local foreign = require "support.foreign"
local kong = require "tidegate.dialects.kong"

local function convert(text) return foreign.convert("kong", '_format_version: "3.0"\n' .. text) end

--- The configuration of a text that converts without loss.
local function config_of(text)
  local result = convert(text)
  assert.same({}, result.lost)
  return foreign.load(result)
end

describe("a configuration of Kong", function()
  it("is recognised by its format", function()
    assert.equal("_format_version", kong.recognise(foreign.parse '_format_version: "3.0"').key)
    assert.is_nil(kong.recognise(foreign.parse "routes: []"))
    assert.is_nil(kong.recognise(foreign.parse "[]"))
  end)

  it("loads once it is converted", function()
    local config = foreign.config("kong", foreign.fixture "kong", { dry = false })
    assert.equal("10.0.0.1", config.services.shop.nodes[1].url.host)
    assert.is_false(config.services.shop.nodes[3].enabled)
  end)

  it("has no key that nobody looked at", function()
    for _, name in ipairs { "kong", "kong_export", "kong_shop", "kong_two" } do
      local result = foreign.convert("kong", foreign.fixture(name))
      assert.same({}, foreign.forgotten(result.node))
    end
  end)

  it("converts without loss where an export writes each field down", function()
    local config, result = foreign.config("kong", foreign.fixture "kong_export")
    assert.same({}, result.lost)
    assert.equal("users", config.routes[1].service)
    assert.equal(3, #config.routes[1].plugins)
  end)

  it("tells of a key that is not known, wherever it stands", function()
    local blind, count = foreign.blind_spots("kong", foreign.fixture "kong")
    -- Any name may stand among the headers of a route, and of a plugin that is off the settings do not matter.
    assert.same({ "services[1].routes[2].headers", "plugins[6].config" }, blind)
    assert.is_true(count > 60)
  end)
end)

describe("a service of Kong", function()
  local cases = {
    { "url", "url: 'http://users:8080/api'", { host = "users", port = 8080 }, "http", "/api" },
    { "url without port", "url: 'https://users'", { host = "users", port = 443 }, "https" },
    { "parts", "{ host: users, port: 81, path: /x }", { host = "users", port = 81 }, "http", "/x" },
    { "parts of https", "{ host: users, protocol: https }", { host = "users", port = 443 }, "https" },
    { "url and a port beside it", "{ url: 'http://users', port: 99 }", { host = "users", port = 99 }, "http" },
  }
  for _, case in ipairs(cases) do
    it("is found by " .. case[1], function()
      local body = case[2]:find "^{" and case[2]:gsub("^{", "{ name: s, routes: [{ paths: [/a] }], ") or
                   "{ name: s, routes: [{ paths: [/a] }], " .. case[2] .. " }"
      local config = config_of("services: [" .. body .. "]")
      local service = config.services.s
      assert.equal(case[3].host, service.nodes[1].url.host)
      assert.equal(case[3].port, service.nodes[1].url.port)
      assert.equal(case[4], service.protocol)
      assert.equal(case[5], config.routes[1].add_prefix)
    end)
  end

  it("keeps times and tries, Kong's own where none are written", function()
    local config = config_of [[
services:
  - { name: a, host: a, read_timeout: 1500, write_timeout: 2000, connect_timeout: 10, retries: 0,
      routes: [{ paths: [/a] }] }
  - { name: b, host: b, routes: [{ paths: [/b] }] }
]]
    local a, b = config.services.a, config.services.b
    assert.same({ connect = 0.01, connect_delay = 0.25, send = 2, first_byte = 1.5, idle = 1.5 }, a.timeouts)
    assert.equal(0, a.retries.attempts)
    assert.same({ connect = 60, connect_delay = 0.25, send = 60, first_byte = 60, idle = 60 }, b.timeouts)
    assert.equal(5, b.retries.attempts)
  end)

  it("is there twice where some routes keep the client's Host and others do not", function()
    local config = config_of [[
services:
  - name: a
    host: a
    routes: [{ name: own, paths: [/own] }, { name: kept, paths: [/kept], preserve_host: true }]
]]
    assert.equal("node", config.services[config.routes[1].service].host_header)
    assert.equal("preserve", config.services[config.routes[2].service].host_header)
  end)

  it("that is switched off switches its routes off", function()
    local config = config_of "services: [{ name: a, host: a, enabled: false, routes: [{ paths: [/a] }] }]"
    assert.is_false(config.routes[1].enabled)
  end)

  it("of a protocol that is no HTTP is told, and its routes are left out", function()
    local result = convert [[
services:
  - { name: t, protocol: tcp, host: t, port: 9, routes: [{ paths: [/t] }] }
  - { name: a, host: a, routes: [{ paths: [/a] }] }
]]
    assert.equal(2, #result.lost)
    assert.matches("3: services%[1%].protocol: tcp is no protocol of requests", result.lost[1])
    assert.equal(1, #foreign.load(result).routes)
  end)
end)

describe("a route of Kong", function()
  local function route_of(lines)
    return config_of("services: [{ name: s, url: 'http://s:80/base', routes: [{ " .. lines .. " }] }]").routes
  end

  local cases = {
    { "paths: [/a]", paths = { "/a/*" }, strip = "/a" },
    { "paths: [/a/]", paths = { "/a/*" }, strip = "/a" },
    { "paths: [/a], strip_path: false", paths = { "/a/*" } },
    { "paths: [/]", paths = { "/*" } },
    { "paths: [/a, /b], strip_path: false", paths = { "/a/*", "/b/*" } },
    { "paths: [/a, /bcd], strip_path: false", paths = { "/a/*", "/bcd/*" } },
    { "hosts: [a.example.com]", hosts = { "a.example.com" } },
  }
  for _, case in ipairs(cases) do
    it("takes what it did: " .. case[1], function()
      local routes = route_of(case[1])
      assert.equal(1, #routes)
      assert.same(case.paths, routes[1].paths)
      assert.same(case.hosts, routes[1].hosts)
      assert.equal(case.strip, routes[1].strip_prefix)
      assert.equal("/base", routes[1].add_prefix)
    end)
  end

  it("becomes several where each path is stripped", function()
    local routes = route_of "name: r, paths: [/a, /b]"
    assert.same({ "/a", "/b" }, { routes[1].strip_prefix, routes[2].strip_prefix })
    assert.same({ "r", "r-2" }, { routes[1].name, routes[2].name })
  end)

  it("without a service answers as Kong does", function()
    local config = config_of "routes: [{ paths: [/a] }]"
    assert.equal(503, config.routes[1].respond.status)
  end)

  it("for https alone refuses or redirects plain HTTP", function()
    local routes = config_of([[
services:
  - name: s
    host: s
    routes:
      - { paths: [/a], protocols: [https] }
      - { paths: [/b], protocols: [https], https_redirect_status_code: 308 }
]]).routes
    assert.equal(426, routes[1].plugins[1].config.status)
    assert.equal(308, routes[2].plugins[1].config.status)
    assert.equal("https://${host}${request_uri}", routes[2].plugins[1].config.headers.location)
  end)

  it("that would take more without what cannot be said is switched off, and told", function()
    local rows = {
      { "snis: [a.example.com]", "snis" },
      { "hosts: ['a.example.com:8443']", "hosts" },
      { "paths: [/a], sources: [{ ip: 10.0.0.1 }]", "sources" },
      { "paths: [/a], destinations: [{ port: 80 }]", "destinations" },
      { "methods: [CONNECT]", "methods" },
    }
    for _, row in ipairs(rows) do
      local result = convert("services: [{ name: s, host: s, routes: [{ " .. row[1] .. " }] }]")
      assert.equal(1, #result.lost, row[1])
      assert.matches("2: services%[1%].routes%[1%]." .. row[2], result.lost[1])
      assert.is_false(foreign.load(result).routes[1].enabled)
    end
  end)

  it("of a stream or made of an expression is left out, and told", function()
    for _, lines in ipairs { "protocols: [tcp], destinations: [{ port: 1 }]", "expression: 'http.path == \"/a\"'" } do
      local result = convert("services: [{ name: s, host: s, routes: [{ " .. lines .. " }] }]")
      assert.equal(1, #result.lost)
      assert.equal(0, #foreign.load(result).routes)
    end
  end)

  it("finds its service by name, as a map, and by id", function()
    local id = "6a2b1fe2-47a4-4a7d-9b4a-0a4f4e6b2f01"
    for _, reference in ipairs { "s", "{ name: s }", id, "{ id: " .. id .. " }" } do
      local config = config_of(("services: [{ name: s, id: %s, host: h }]\nroutes: [{ paths: [/a], service: %s }]")
                               :format(id, reference))
      assert.equal("s", config.routes[1].service)
    end
  end)

  it("of a service that is not there is told", function()
    local result = convert "routes: [{ paths: [/a], service: nobody }]"
    assert.same({ "2: routes[1].service: there is no such service: the route is left out" }, result.lost)
  end)

  it("warns once that paths end on segment borders", function()
    local result = convert "services: [{ name: s, host: s, routes: [{ paths: [/a] }, { paths: [/b, /c] }] }]"
    assert.equal(1, #result.warned)
    local words = "takes /a and /a/..., not /a2 as in Kong; so do the paths of 1 more routes"
    assert.matches(words, result.warned[1], 1, true)
  end)
end)

describe("a text of Kong's file", function()
  it("keeps what would be a variable here, and turns references to the environment into variables", function()
    local config = config_of [[
vaults: [{ name: env, prefix: mine, config: { prefix: MY_ } }]
services: [{ name: s, host: s, routes: [{ paths: [/a], plugins: [{ name: basic-auth }] }] }]
consumers:
  - username: a
    basicauth_credentials:
      - { username: plain, password: "x${Y}z" }
      - { username: env, password: "{vault://env/some-secret}" }
      - { username: own, password: "{vault://mine/some-secret}" }
]]
    local users = config.routes[1].plugins[1].config.users
    assert.same({ "x${Y}z", "value-of-some_secret", "value-of-my_some_secret" },
                { users[1].password, users[2].password, users[3].password })
  end)

  it("tells of references to other vaults", function()
    local result = convert [[
vaults: [{ name: hcv, prefix: v, config: { host: vault } }]
consumers: [{ username: a, basicauth_credentials: [{ username: u, password: "{vault://v/x/y}" }] }]
]]
    assert.matches("2: vaults%[1%].name: the vault hcv cannot be asked", result.lost[1])
    assert.matches("3: .*password: {vault://v/x/y} is no variable of the environment", result.lost[2])
  end)
end)
