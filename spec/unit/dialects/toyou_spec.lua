local dialects = require "support.dialects"
local files = require "support.files"

--- The rules below, with two services.
local function with_services(rules)
  return rules .. [[

services:
  one: { url: "http://127.0.0.1:9301" }
  two: { url: "http://127.0.0.1:9302" }
]]
end

local function load(text)
  local result = dialects.load_text(text)
  assert.same({}, result.report.errors)
  return result.config, result
end

--- The names of the plugins of a route, in the order of its list.
local function uses(route)
  local names = {}
  for i, entry in ipairs(route.plugins) do names[i] = entry.use .. (entry.band and "@" .. entry.band or "") end
  return names
end

describe("Toyou's ports [X2]", function()
  local cases = {
    { "are 8080 where nothing is said", "route_rules: [{ pattern: /, target: one }]", { "0.0.0.0:8080" } },
    { "are advanced.port", "advanced: { port: 8181 }", { "0.0.0.0:8181" } },
    { "are server.port [T76]", "server: { port: 8182 }", { "0.0.0.0:8182" } },
    { "are both where they are the same [X3]", "server: { port: 8181 }\nadvanced: { port: 8181 }",
      { "0.0.0.0:8181" } },
    { "are those of rules", "host_rules: [{ pattern: a.test, port: 8183, target: one }]", { "0.0.0.0:8183" } },
    { "are the main one and those of rules, each once",
      "advanced: { port: 8181 }\nhost_rules:\n  - { pattern: a.test, port: 8183, target: one }\n" ..
      "  - { pattern: b.test, port: 8183, target: one }\n  - { pattern: c.test, port: 8181, target: one }",
      { "0.0.0.0:8181", "0.0.0.0:8183" } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local addresses = {}
      for i, listener in ipairs(load(with_services(case[2])).listen) do addresses[i] = listener.address end
      assert.same(case[3], addresses)
    end)
  end

  it("let a rule answer on the main listener and on its own", function()
    local config = load(with_services [[
server: { port: 8181 }
host_rules:
  - { pattern: a.test, port: 8183, target: one }
  - { pattern: b.test, target: one }
  - { pattern: c.test, port: 8184, target: one }
route_rules:
  - { pattern: /two, target: two }
]])
    local on = {}
    for i, route in ipairs(config.routes) do on[i] = table.concat(route.on, " ") end
    assert.same({ "main port_8183", "main", "main port_8184", "main" }, on)
  end)

  it("let rules without one answer everywhere where there is no main listener", function()
    local config = load(with_services [[
host_rules:
  - { pattern: a.test, port: 8183, target: one }
  - { pattern: b.test, target: one }
  - { pattern: c.test, port: 8184, target: one }
]])
    assert.same({ { "port_8183" }, { "port_8184" } }, { config.routes[1].on, config.routes[3].on })
    assert.is_nil(config.routes[2].on)
  end)

  it("may come from the environment", function()
    local config = load(with_services [[
server: { port: "${PORT:-8185}" }
advanced: { timeout: { dial_timeout: "${T:-3}" } }
]])
    assert.equal("0.0.0.0:8185", config.listen[1].address)
    assert.equal(3, config.services.one.timeouts.connect)
  end)
end)

describe("Toyou's rules", function()
  it("become routes in the order of the file, those within a host first [T11 T13]", function()
    local config = load(with_services [[
host_rules:
  - pattern: "*.a.test"
    target: one
    route_rules: [{ pattern: "/x/*", target: two }, { pattern: /y, target: two }]
  - { pattern: "*", target: two }
route_rules:
  - { pattern: "*", target: one }
]])
    local routes = {}
    for i, route in ipairs(config.routes) do
      routes[i] = ("%s %s %s %d"):format(route.hosts and route.hosts[1] or "-", route.paths and route.paths[1] or "-",
                                         route.service, route.priority)
    end
    assert.same({ "*.a.test /x/* two 0", "*.a.test /y two 0", "*.a.test - one 0", "- - two 0", "- - one 0" }, routes)
  end)

  it("for paths come first where that is asked for [T14 X1]", function()
    local config = load(with_services [[
match_order: route_first
host_rules: [{ pattern: a.test, target: one }]
route_rules: [{ pattern: "/x/*", target: two }]
]])
    assert.same({ 0, 1 }, { config.routes[1].priority, config.routes[2].priority })
  end)

  it("that lead to no service are answered with 503, and told", function()
    local config, result = load "route_rules: [{ pattern: /, target: nowhere }]"
    assert.equal(503, config.routes[1].respond.status)
    assert.same({ 'there is no service "nowhere": requests are answered with 503' }, dialects.warnings(result))
  end)

  local orders = {
    { "a host and a path",
      "host_rules: [{ pattern: a.test, target: one }]\nroute_rules: [{ pattern: /x, target: two }]",
      { 'host_rules[1].pattern: a request for a.test that fits "/x" too (line 2) goes to "one", since rules for ' ..
        'hosts come first; match_order: route_first sends it to "two", host_first keeps it here' } },
    { "each pair of them", "host_rules: [{ pattern: a.test, target: one }, { pattern: b.test, target: one }]\n" ..
      "route_rules: [{ pattern: /x, target: two }, { pattern: /y, target: two }]", 4 },
    { "no pair where both lead to the same",
      "host_rules: [{ pattern: a.test, target: one }]\nroute_rules: [{ pattern: /x, target: one }]", {} },
    { "a pair where both lead to the same, through other plugins",
      "host_rules: [{ pattern: a.test, target: one, middlewares: [cors] }]\n" ..
      "route_rules: [{ pattern: /x, target: one }]", 1 },
    { "no pair whose paths never meet",
      "host_rules: [{ pattern: a.test, route_rules: [{ pattern: '/x/*', target: one }, " ..
      "{ pattern: /y, target: one }] }]\n" ..
      "route_rules: [{ pattern: '/xy/*', target: two }, { pattern: /y/z, target: two }]", {} },
    { "a pair whose paths meet",
      "host_rules: [{ pattern: a.test, route_rules: [{ pattern: '/x/*', target: one }] }]\n" ..
      "route_rules: [{ pattern: /x/y, target: two }]", 1 },
    { "a thousand pairs of many", (function()
        local hosts, paths = {}, {}
        for i = 1, 300 do
          hosts[i] = ("{ pattern: h%d.test, target: one }"):format(i)
          paths[i] = ("{ pattern: /p%d, target: two }"):format(i)
        end
        return ("host_rules: [%s]\nroute_rules: [%s]"):format(table.concat(hosts, ", "), table.concat(paths, ", "))
      end)(), 1000 },
    { "nothing where the order is chosen",
      "match_order: host_first\nhost_rules: [{ pattern: a.test, target: one }]\n" ..
      "route_rules: [{ pattern: /x, target: two }]", {} },
  }
  for _, case in ipairs(orders) do
    it("are told of where the two orders differ: " .. case[1] .. " [X1]", function()
      local _, result = load(with_services(case[2]))
      local found = dialects.warnings(result)
      if type(case[3]) == "number" then assert.equal(case[3], #found) else assert.same(case[3], found) end
    end)
  end
end)

describe("Toyou's middlewares", function()
  it("add those of the path to those of the host, each once [T33]", function()
    local config = load(with_services [[
host_rules:
  - pattern: a.test
    target: one
    middlewares: [cors, custom]
    route_rules: [{ pattern: /x, target: two, middlewares: [rate_limit, cors] }]
]])
    assert.same({ "cors", "custom", "rate_limit" }, uses(config.routes[1]))
    assert.same({ "cors", "custom" }, uses(config.routes[2]))
  end)

  it("run in the order in which a rule names them [T32]", function()
    local config = load(with_services [[
route_rules: [{ pattern: /, target: one, middlewares: [auth, rate_limit, cors, replace] }]
middlewares:
  - { name: auth, config: { jwt_secret: s } }
  - { name: replace, config: { response: [{ text: a, with: b }] } }
]])
    assert.same({ "auth", "rate_limit@auth", "cors@auth", "replace" }, uses(config.routes[1]))
  end)

  it("that are global run for every request, and not again for a rule [T31]", function()
    local config = load(with_services [[
route_rules: [{ pattern: /, target: one, middlewares: [everywhere] }]
middleware_services: [{ name: everywhere, type: cors, is_global: true }]
]])
    assert.same({ "everywhere", "cors" }, { config.plugins[1].name, config.plugins[1].use })
    assert.same({}, config.routes[1].plugins)
  end)

  it("may have any name", function()
    local config = load(with_services [[
route_rules: [{ pattern: /, target: one, middlewares: [Strikt-1, "严格"] }]
middleware_services: [{ name: Strikt-1, type: cors }, { name: "严格", type: cors }]
]])
    assert.same({ "strikt_1", "plugin" }, { uses(config.routes[1])[1], (uses(config.routes[1])[2]:gsub("_.*", "")) })
  end)

  it("that are switched off do not run", function()
    local config = load(with_services [[
route_rules: [{ pattern: /, target: one, middlewares: [auth] }]
middlewares: [{ name: auth, enabled: false, config: { jwt_secret: s } }]
]])
    assert.is_false(config.instances.auth.enabled)
    assert.equal("one", config.routes[1].service)
  end)

  it("that cannot be set up let nobody through", function()
    local config, result = load(with_services [[
route_rules: [{ pattern: /, target: one, middlewares: [auth] }]
middlewares: [{ name: auth }]
]])
    assert.equal(503, config.routes[1].respond.status)
    assert.truthy(dialects.warnings(result)[1]:find("auth has no settings", 1, true))
  end)

  it("that only make things faster are left out where there is no plugin [T26 T27]", function()
    local _, result = load(with_services "middlewares: [{ name: gzip }]")
    assert.same({ "middlewares[1]: not available in this version; left out" }, dialects.warnings(result))
  end)

  local settings = {
    { "rate_limit", "", { rate = "60/m", burst = 10, key = "client_ip", name = "m" } },
    { "rate_limit", "requests_per_minute: 100, burst: 200, key_extractor: ip",
      { rate = "100/m", burst = 200, key = "client_ip", name = "m" } },
    { "rate_limit", "key_extractor: header, header_name: X-Boat",
      { rate = "60/m", burst = 10, key = "header.x-boat", name = "m" } },
    { "rate_limit", "key_extractor: header", { rate = "60/m", burst = 10, key = "header.x-api-key", name = "m" } },
    { "cors", "allowed_origins: ['*'], exposed_headers: [X-A], max_age: 60",
      { allow_origins = { "*" }, expose_headers = { "X-A" }, max_age = "60s" } },
    { "dynamic_route", "api_url: 'http://127.0.0.1:1/x', timeout_seconds: 0.5, cache_expiry_seconds: 90",
      { api_url = "http://127.0.0.1:1/x", timeout = "0.5s", cache_expiry = "90s" } },
    { "custom", "", { header = "X-Custom-Header" } },
    { "custom", "header_name: X-Berth", { header = "X-Berth" } },
    { "auth", "jwt_secret: s, token_header: X-Ticket, require_auth: false",
      { jwt_secret = "s", token_header = "X-Ticket", require_auth = false } },
  }
  for _, case in ipairs(settings) do
    it(("know their settings: %s { %s }"):format(case[1], case[2]), function()
      local config = load(with_services(("middleware_services: [{ name: m, type: %s, config: { %s } }]"):format(
        case[1], case[2])))
      assert.same(case[3], config.instances.m.config)
    end)
  end

  it("write a line for each request where logging is on [T22]", function()
    assert.equal("stdout", load(with_services "middlewares: [{ name: logging }]").log.access[1].file)
    assert.same({}, load(with_services "middlewares: [{ name: logging, enabled: false }]").log.access)
  end)
end)

describe("Toyou's services", function()
  it("take weights into account in one strategy only [T61]", function()
    local text = [[
services:
  s:
    load_balancer:
      strategy: %s
      backends: [{ url: "http://127.0.0.1:1", weight: 3 }, { url: "http://127.0.0.1:2", active: false }]
]]
    local config = load(text:format "round_robin")
    assert.same({ 1, 1 }, { config.services.s.nodes[1].weight, config.services.s.nodes[2].weight })
    assert.is_false(config.services.s.nodes[2].enabled)
    assert.equal(3, load(text:format "weighted_round_robin").services.s.nodes[1].weight)
  end)

  it("may be asked for WebSockets [T66]", function()
    local config = load "services: { s: { url: 'ws://127.0.0.1:1' }, t: { url: 'wss://127.0.0.1:2' } }"
    assert.same({ "http", "https" }, { config.services.s.protocol, config.services.t.protocol })
  end)

  it("are sent a host of their own [T59]", function()
    local config = load "services: { s: { url: 'http://127.0.0.1:1', proxy_host: in.test } }"
    assert.equal("in.test", config.services.s.host_header)
  end)
end)

describe("Toyou's several files", function()
  it("add up; of services of a name the last counts, and settings count in the main file only [T69-T72]", function()
    local folder = files.folder()
    os.execute("mkdir " .. folder .. "/parts")
    files.write(folder .. "/config.yaml", "config_dir: parts/\nadvanced: { port: 8181 }\n")
    files.write(folder .. "/parts/a.yaml", with_services "host_rules: [{ pattern: a.test, target: one }]")
    files.write(folder .. "/parts/b.yml", "advanced: { port: 1 }\nservices: { two: { url: 'http://127.0.0.1:9' } }\n" ..
                                          "host_rules: [{ pattern: b.test, target: two }]\n")
    files.write(folder .. "/parts/.hidden.yaml", "nonsense")
    files.write(folder .. "/parts/readme.txt", "nonsense")
    files.write(folder .. "/parts/empty.yaml", "# nothing yet\n")
    local result = dialects.load(folder .. "/config.yaml")
    assert.same({}, result.report.errors)
    assert.same({ "0.0.0.0:8181" }, { result.config.listen[1].address })
    assert.same({ "a.test", "b.test" }, { result.config.routes[1].hosts[1], result.config.routes[2].hosts[1] })
    assert.equal(9, result.config.services.two.nodes[1].url.port)
    local said = result.report:text()
    assert.truthy(said:find("b.yml:1:11: warning: advanced: only counts in the main file", 1, true), said)
    assert.truthy(said:find("services.two: replaces the service of this name", 1, true), said)
  end)

  it("are told of with their names where they are wrong", function()
    local folder = files.folder()
    os.execute("mkdir " .. folder .. "/parts")
    files.write(folder .. "/config.yaml", "config_dir: parts\n")
    files.write(folder .. "/parts/a.yaml", "host_rules: [{ patern: a.test, target: one }]\n")
    files.write(folder .. "/parts/b.yaml", "- a\n")
    files.write(folder .. "/parts/c.yaml", "a: [\n")
    local said = dialects.load(folder .. "/config.yaml").report:text()
    for _, words in ipairs { 'parts/a.yaml:1:16: host_rules[1].patern: unknown key; did you mean "pattern"?',
                             "parts/b.yaml:1:1: expected a map, found a list", "parts/c.yaml:" } do
      assert.truthy(said:find(words, 1, true), words .. "\n" .. said)
    end
  end)
end)

describe("what is wrong in a file of Toyou", function()
  local cases = {
    { "an unknown key", "host_rules: []\nhost_rule: []", '2:1: host_rule: unknown key; did you mean "host_rules"?' },
    { "an unknown key of a rule", "host_rules: [{ pattern: a.test, taget: one }]",
      '1:33: host_rules[1].taget: unknown key; did you mean "target"?' },
    { "two ports [X3]", "server: { port: 81 }\nadvanced: { port: 82 }",
      "1:17: server.port: expected the port 82 of advanced.port (line 2), found 81" },
    { "a port that is none", "advanced: { port: 70000 }", "1:19: advanced.port: expected at most 65535, found 70000" },
    { "a strategy that is none", "services: { s: { load_balancer: { strategy: robin } } }",
      "1:45: services.s.load_balancer.strategy: expected one of round_robin, weighted_round_robin, ip_hash, " ..
      'least_connections, found "robin"' },
    { "a rule that leads nowhere", "host_rules: [{ pattern: a.test }]",
      "1:14: host_rules[1]: expected the key target or route_rules" },
    { "a service without a node", "services: { s: { load_balancer: { strategy: ip_hash } } }",
      "1:16: services.s.nodes: missing, expected a list" },
    { "a host that is none", with_services "host_rules: [{ pattern: 'a b', target: one }]",
      '1:25: routes[1].host: expected a host such as api.example.com or *.example.com, found "a b"' },
    { "a setting that a plugin does not know", "middlewares: [{ name: cors, config: { origins: [] } }]",
      "1:39: instances.cors.config.origins: unknown key" },
    { "a plugin that is none", with_services "route_rules: [{ pattern: /, target: one, middlewares: [auht] }]",
      "1:56: instances.auht: there is no plugin \"auht\"" },
    { "a key of the native language", "route_rules: []\nlisten: []",
      "2:1: listen: is a key of Tidegate's own language, but \"route_rules\" (line 1) is one of Toyou" },
    { "a variable that is not there", "server: { port: \"${NO_SUCH_PORT}\" }\nroute_rules: []",
      "1:17: listen[1]: the environment has no NO_SUCH_PORT" },
  }
  for _, case in ipairs(cases) do
    it("is told with its line: " .. case[1], function()
      local found = dialects.errors(case[2])
      assert.equal(case[3], found[1] and found[1]:sub(1, #case[3]))
    end)
  end
end)

describe("WebSockets", function()
  it("get a route of their own for paths of a host [T66 T81 T82]", function()
    local code, out, said = dialects.convert "toyou/websocket_talk.yaml"
    assert.same({ 0, "" }, { code, said })
    assert.truthy(out:find([[
routes:
  - host: talk.harbour.test
    paths: [/talk/*]
    service: talk
    websocket:
      allow_origins: ["https://talk.harbour.test"]
  - host: talk.harbour.test
    service: talk
services:]], 1, true), out)
  end)

  local function routes_of(text)
    local folder = files.folder()
    files.write(folder .. "/config.yaml", with_services(text))
    return (select(2, dialects.convert(folder .. "/config.yaml")):match "(routes:.-)services:")
  end

  -- The path of a rule, path_patterns, and the paths of the routes; "!": with `websocket`.
  local PATHS = {
    { "/radio/*", "[/radio]", "/radio/*!" },
    { "/radio/*", "[/]", "/radio/*!" },
    { "/radio/*", "['*']", "/radio/*!" },
    { "/radio/live/*", "[/radio, /morse]", "/radio/live/*!" },
    { "/radio/*", "[/radio/live, /radio/talk/, /morse]", "/radio/live/* /radio/talk/*! /radio/*" },
    { "/radio/*", "[/morse]", "/radio/*!" },
    { "/radio/*", "['~^/radio/\\d+$', /radio/live]", "/radio/*!" },
    { "/radio", "[/radio/live]", "/radio!" },
    { "*", "[/radio]", "/radio/*! " },
  }
  for _, case in ipairs(PATHS) do
    it(("of the rule %s with the paths %s are told apart [T81]"):format(case[1], case[2]), function()
      local out = routes_of(([[
route_rules: [{ pattern: "%s", target: one, middlewares: [websocket] }]
middlewares: [{ name: websocket, config: { path_patterns: %s } }]
]]):format(case[1], case[2]))
      local list = {}
      for route in out:gmatch "%- ([^-]*)" do
        local paths = route:match "^paths?: %[?([^%]\n]*)" or ""
        list[#list + 1] = paths:gsub("[,\"]", "") .. (route:find "websocket:" and "!" or "")
      end
      assert.equal(case[3], table.concat(list, " "))
    end)
  end

  it("are told what the middleware says, in its units [T82 T83 T84 T85 T86 T87 X9]", function()
    assert.equal([[
routes:
  - path: /radio/*
    service: one
    websocket:
      ping_interval: 20s
      pong_wait: 40s
      write_wait: 5s
      max_message: 256KiB
      headers:
        x-a: b
]], routes_of [[
route_rules: [{ pattern: "/radio/*", target: one, middlewares: [websocket] }]
middlewares:
  - name: websocket
    config: { path_patterns: [/radio], ping_interval: 20, pong_wait: 40, write_wait: 5, max_message_size: 256,
              headers: { x-a: b } }
]])
  end)

  it("have the settings of a global middleware on each route that names none", function()
    assert.equal([[
routes:
  - path: /radio/*
    service: one
    websocket:
      ping_interval: 5s
  - path: /other/*
    service: one
    websocket:
      ping_interval: 9s
]], routes_of [[
route_rules:
  - { pattern: "/radio/*", target: one }
  - { pattern: "/other/*", target: one, middlewares: [own] }
middleware_services:
  - { name: all, type: websocket, enabled: true, is_global: true, config: { ping_interval: 5 } }
  - { name: own, type: websocket, enabled: true, config: { ping_interval: 9 } }
]])
  end)
end)
