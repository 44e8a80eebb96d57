--- Configurations of Toyou and Gateway in a running gateway: requests go where their documents say.
local client = require "support.client"
local clock = require "support.clock"
local crypto = require "tidegate.tide.crypto"
local gateway = require "support.gateway"
local jwt = require "tidegate.tide.jwt"
local upstream = require "support.upstream"

local SECRET = crypto.secret "between-us"

local ARGS = { "--set", "gateway.threads=1", "--set", "gateway.grace=1s" }

--- Starts a gateway with a file of another one; its listeners are taken to free ports.
local function start(text, listeners, more)
  local args = { unpack(ARGS) }
  for i = 1, listeners do
    local key = listeners == 1 and "listen[1]" or ("listen[%d].address"):format(i)
    args[#args + 1], args[#args + 2] = "--set", key .. "=" .. upstream.free()
  end
  return gateway.start(text, { as_is = true, args = args, files = more })
end

--- An upstream that answers with its name and what it was asked for.
local function named(name)
  return upstream.by_path { default = function(conn, head)
    if not conn:read_body(head).complete then return true end
    conn:respond(200, name .. " " .. head.target)
  end }
end

local function ask(port, host, target, headers, method)
  return client.ask(port, client.request { host = host, target = target, headers = headers, method = method })
end

describe("Toyou's scenarios", function()
  local ups, gw = {}, nil

  setup(function()
    for _, name in ipairs { "a", "b", "c", "d", "e" } do ups[name] = named(name) end
  end)

  after_each(function()
    if gw then gw:stop() end
    gw = nil
  end)

  local function filled(text)
    return (text:gsub("%f[%u]([A-E])_URL", function(letter) return "http://" .. ups[letter:lower()].node end))
  end

  --- Rows of host, target, and what answers.
  local function expect(rows, port)
    for _, row in ipairs(rows) do
      local response = ask(port or gw:port(), row[1], row[2])
      assert.equal(row[3], type(row[3]) == "number" and response.status or response.body, row[1] .. row[2])
    end
  end

  it("tell tenants by their host [T9 T16]", function()
    gw = start(filled [[
host_rules:
  - { pattern: "*.north.test", target: north }
  - { pattern: "*.south.test", target: south }
services: { north: { url: "A_URL" }, south: { url: "B_URL" } }
]], 1)
    expect {
      { "x.north.test", "/", "a /" }, { "y.x.north.test:81", "/p?q=1", "a /p?q=1" }, { "X.South.Test", "/", "b /" },
      { "north.test", "/", 404 }, { "east.test", "/", 404 },
    }
  end)

  it("tell services by their path [T9 T12]", function()
    gw = start(filled [[
route_rules:
  - { pattern: "/port/crews/*", target: crews }
  - { pattern: "/port/cargo/*", target: cargo }
services: { crews: { url: "A_URL" }, cargo: { url: "B_URL" } }
]], 1)
    expect {
      { "any.test", "/port/crews/1", "a /port/crews/1" }, { "other.test", "/port/cargo/", "b /port/cargo/" },
      { "any.test", "/port/bills/1", 404 }, { "any.test", "/", 404 },
    }
  end)

  it("tell what is developed by local names [T8 T18]", function()
    gw = start(filled [[
host_rules: [{ pattern: crews.localhost, target: crews }, { pattern: bridge.localhost, target: bridge }]
services: { crews: { url: "A_URL" }, bridge: { url: "B_URL", proxy_host: in.test } }
]], 1)
    expect { { "crews.localhost:8080", "/", "a /" }, { "bridge.localhost", "/", "b /" }, { "localhost", "/", 404 } }
    assert.equal("in.test", ups.b:last_request():get "host")
    assert.equal("crews.localhost:8080", ups.a:last_request():get "host")
  end)

  it("are put together of several files, with ports of their own [T68 T76 X1 X2]", function()
    gw = start([[
server: { port: 8081 }
config_dir: parts
middlewares: [{ name: cors, enabled: true }]
]], 3, {
      ["parts/a.yaml"] = filled [[
host_rules: [{ pattern: crews.test, port: 8082, target: office, middlewares: [cors] }]
route_rules: [{ pattern: "/crews/*", target: crews }]
services: { office: { url: "A_URL" }, crews: { url: "B_URL" } }
]],
      ["parts/b.yaml"] = filled [[
host_rules: [{ pattern: bridge.test, port: 8083, target: bridge }]
services: { bridge: { url: "C_URL" } }
]],
    })
    expect({ { "crews.test", "/crews/1", "a /crews/1" }, { "bridge.test", "/", "c /" },
             { "x.test", "/crews/1", "b /crews/1" }, { "x.test", "/", 404 } }, gw:port(1))
    expect({ { "crews.test", "/", "a /" }, { "bridge.test", "/", 404 }, { "x.test", "/crews/1", 404 } }, gw:port(2))
    expect({ { "bridge.test", "/", "c /" }, { "crews.test", "/", 404 } }, gw:port(3))
    local response = ask(gw:port(1), "crews.test", "/", { "Origin: https://o.test" })
    assert.equal("*", response:get "access-control-allow-origin")
    gw:write_file("parts/c.yaml", "route_rules: [{ pattern: /new, target: crews }]\n")
    clock.wait_until(function() return ask(gw:port(1), "x.test", "/new").body == "b /new" end, nil, "the new file")
  end)

  it("let paths come before hosts where that is asked for [T14 X1]", function()
    local rules = filled [[
host_rules: [{ pattern: a.test, target: host }]
route_rules: [{ pattern: "/p/*", target: path }]
services: { host: { url: "A_URL" }, path: { url: "B_URL" } }
]]
    gw = start(rules, 1)
    expect { { "a.test", "/p/1", "a /p/1" }, { "b.test", "/p/1", "b /p/1" }, { "a.test", "/", "a /" } }
    gw:write("match_order: route_first\n" .. rules)
    assert.equal(0, (gw:command("reload")))
    expect { { "a.test", "/p/1", "b /p/1" }, { "a.test", "/", "a /" } }
  end)

  it("use what guards a rule [T19 T20 T28 T32]", function()
    gw = start(filled [[
host_rules:
  - pattern: a.test
    target: one
    middlewares: [basic, few]
    route_rules: [{ pattern: "/berth/*", target: two, middlewares: [custom] }]
services: { one: { url: "A_URL" }, two: { url: "B_URL" } }
middlewares: [{ name: custom, config: { header_name: X-Berth } }]
middleware_services:
  - { name: basic, type: auth, config: { type: basic, users: [{ username: ahab, password: whale }] } }
  - { name: few, type: rate_limit, config: { requests_per_minute: 1, burst: 3 } }
]], 1)
    local pass = "Authorization: Basic YWhhYjp3aGFsZQ=="
    local refused = ask(gw:port(), "a.test", "/")
    assert.same({ 401, 'Basic realm="Restricted"' }, { refused.status, refused:get "www-authenticate" })
    assert.equal(200, ask(gw:port(), "a.test", "/", { pass }).status)
    local missing = ask(gw:port(), "a.test", "/berth/1", { pass })
    assert.same({ 401, "Missing required header: X-Berth\n" }, { missing.status, missing.body })
    assert.equal("b /berth/1", ask(gw:port(), "a.test", "/berth/1", { pass, "X-Berth: 7" }).body)
    assert.equal(429, ask(gw:port(), "a.test", "/", { pass }).status)
  end)
end)

describe("Toyou's load balancing [T60 T61 T64]", function()
  local DEMO = [[
services:
  ferry:
    load_balancer:
      strategy: "STRATEGY"
      backends:
        - { url: "http://A", weight: 3, active: true }
        - { url: "http://B", weight: 2, active: true }
        - { url: "http://C", weight: 1, active: true }
host_rules: [{ pattern: "localhost", port: 8080, target: "ferry" }]
]]

  local function answers(strategy, count)
    local ups = { A = named "a", B = named "b", C = named "c" }
    local text = DEMO:gsub("STRATEGY", strategy):gsub("//(%u)", function(letter) return "//" .. ups[letter].node end)
    local gw = start(text, 1)
    local list = {}
    for i = 1, count do list[i] = ask(gw:port(), "localhost", "/").body:sub(1, 1) end
    gw:stop()
    for _, up in pairs(ups) do up:stop() end
    return list
  end

  it("asks one after the other", function()
    local order = table.concat(answers("round_robin", 9))
    assert.truthy(("abcabcabcabc"):find(order, 1, true) or ("acbacbacbacb"):find(order, 1, true), order)
  end)

  it("asks the bigger ones more often", function()
    local counts = { a = 0, b = 0, c = 0 }
    for _, name in ipairs(answers("weighted_round_robin", 60)) do counts[name] = counts[name] + 1 end
    assert.same({ a = 30, b = 20, c = 10 }, counts)
  end)
end)

describe("Gateway's four routes", function()
  local fixture, gw, ups = nil, nil, {}

  setup(function()
    local text = assert(require("support.files").read "spec/fixtures/dialects/gateway/routes.yaml")
    local services = {}
    for _, name in ipairs { "timetable", "crews", "bridge", "gauges" } do
      ups[name] = upstream.by_path {}
      services[#services + 1] = ('{ id: %s, nodes: [{ address: "%s" }] }'):format(name, ups[name].node)
    end
    fixture = text .. ("proxy: { service: { services: [%s] } }\n"):format(table.concat(services, ", "))
    fixture = fixture:gsub("${JWT_SECRET}", "between-us"):gsub("${ADMIN_API_KEY}", "open-sesame")
    gw = start(fixture, 1)
  end)

  teardown(function() gw:stop() end)

  local function status(target, headers, host, method)
    return ask(gw:port(), host or "app.harbour.test", target, headers, method).status
  end

  local function token()
    local now = os.time()
    return assert(jwt.sign({ sub = "ahab", exp = now + 60, iat = now }, { alg = "HS256", key = SECRET }))
  end

  it("let everybody look at the timetable, and no more [G36]", function()
    assert.equal(200, status "/port/open/now")
    assert.equal(404, status("/port/open/now", nil, nil, "POST"))
  end)

  it("answer preflights, whatever a route asks of other requests [G11 G37]", function()
    local response = ask(gw:port(), "app.harbour.test", "/port/v1/crews/cards", {
      "Origin: https://app.harbour.test", "Access-Control-Request-Method: PUT",
    }, "OPTIONS")
    assert.same({ "https://app.harbour.test", "true", "1500" },
                { response:get "access-control-allow-origin", response:get "access-control-allow-credentials",
                  response:get "access-control-max-age" })
    assert.equal(0, #ups.crews:requests())
  end)

  it("let crews in with a token, from where they may come, for what is theirs [G36 G38 G40 X12]", function()
    local json, agent = "Content-Type: Application/JSON", "User-Agent: boat/1"
    local good = { "Authorization: Bearer " .. token(), json, agent }
    assert.equal(200, status("/port/v1/crews/cards", good))
    assert.equal(404, status("/port/v1/crews/cards", { json, agent }))
    assert.equal(404, status("/port/v1/crews/cards", { good[1], agent }))
    assert.equal(401, status("/port/v1/crews/cards", { "Authorization: Bearer x", json, agent }))
    assert.equal(403, status("/port/v1/crews/cards", { good[1], json, "User-Agent: CURL/8" }))
    assert.equal(403, status("/port/v1/crews/pay", good))
    assert.equal(403, status("/port/v1/crews/elsewhere", good))
    assert.equal(403, status("/port/v1/crews/cards", good, "other.test"))
  end)

  it("mark what comes back from crews [G41 G42]", function()
    local response = ask(gw:port(), "app.harbour.test", "/port/v1/crews/bunks", {
      "Authorization: Bearer " .. token(), "Content-Type: application/json",
    })
    assert.equal("Harbour", response:get "x-processed-by")
    assert.truthy(response:get("x-response-time"):find "^%d+%.%d$")
  end)

  it("let the bridge in with its key, and tell the upstream who it is [G40 G41]", function()
    local good = { "X-Bridge-Key: open-sesame", "User-Agent: Helm/1.0", "Referer: http://x", "X-Bridge-Access: no" }
    assert.equal(200, status("/port/bridge/course", good))
    local got = ups.bridge:last_request()
    assert.same({ "true", "helm" }, { got:get "x-bridge-access", got:get "x-request-source" })
    assert.is_nil(got:get "referer")
    assert.equal(401, status("/port/bridge/course", { "X-Bridge-Key: sesame", "User-Agent: Helm/1.0" }))
    assert.equal(404, status("/port/bridge/course", { "User-Agent: Helm/1.0" }))
    assert.equal(403, status("/port/bridge/course", { "X-Bridge-Key: open-sesame" }))
    assert.equal(403, status("/port/bridge/engine/stop", good))
  end)

  it("let those in from inside that ask for gauges [G36 G38]", function()
    assert.equal(200, status "/gauges/water")
  end)
end)
