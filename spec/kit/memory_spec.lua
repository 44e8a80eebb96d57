--- The test kit: whole gateways in memory.
local fake = require "tidegate.spec"
local kit = require "support.kit"

describe("fake.memory", function()
  it("takes a configuration, and what it does not say goes without saying", function()
    local gate = fake.memory {
      yaml = [[
services: { app: { nodes: ["${UPSTREAM}", "${SPARE}"] }, own: { nodes: ["10.0.0.1:81"] } }
routes:
  - { name: all, path: "/*", service: app, plugins: [ { probe: {} }, probe ] }
  - { name: own, path: "/own", service: own }
]],
      sources = { probe = kit.file "request(req) req:add_header('x-route', req.route.name)" },
      upstream = "first", services = { spare = "second", own = "third" },
    }
    assert.equal("first", gate:get("/", { ["x-a"] = "b" }).body)
    local out = gate:request { path = "/" }
    assert.equal("second", out.body)
    assert.equal("all, all", out.upstream.headers["x-route"])
    assert.equal("this time", gate:request({ upstream = "this time" }).body)
    assert.equal("third", gate:get("/own").body)
    gate:stop()
  end)

  it("takes entries as they stand in a file", function()
    local gate = fake.memory { plugins = { { body_limit = { max = "1B" } } }, global_plugins = { "request_id" } }
    assert.equal(413, gate:request({ method = "POST", body = "ab" }).status)
    gate:stop()
  end)

  it("raises what is wrong with it", function()
    assert.matches('^spec.yaml:1:9: routes: expected a list, found "none"',
                   kit.message_of(fake.memory, { yaml = "routes: none" }))
  end)

  it("can be one of many", function()
    local gates = {}
    for i = 1, 3 do gates[i] = fake.memory { upstream = "gate " .. i } end
    for i = 3, 1, -1 do assert.equal("gate " .. i, gates[i]:get("/").body) end
    for i = 1, 3 do gates[i]:stop() end
  end)

  it("stays over tests until it is stopped", function()
    local gate = fake.memory {}
    fake.reset()
    assert.equal(200, gate:get().status)
    assert.equal("", gate:log())
    kit.refuses('the gateway has not logged "x"', gate.log, gate, "x")
    gate:stop()
    gate:stop()
  end)
end)

describe("the kit", function()
  it("is there once at a time", function()
    local kept = {}
    for name, module in pairs(package.loaded) do
      if name:find "^tidegate%.spec" then kept[name], package.loaded[name] = module, nil end
    end
    local other = require "tidegate.spec"
    assert.equal(200, other.request {}:through().status)
    for name, module in pairs(kept) do package.loaded[name] = module end
    kit.refuses("tidegate.spec was required anew", function() fake.request {}:through() end)
  end)
end)
