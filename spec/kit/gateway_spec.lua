--- The test kit: gateways as processes.
local fake = require "tidegate.spec"
local kit = require "support.kit"

local PROBE = kit.file(
  [[request(req)
      req:set_header("x-probe", "yes")
      if req.path == "/error" then error "it broke" end]],
  "response_body(chunk, last, _, req) req.ctx.n = (req.ctx.n or 0) + 1 return chunk",
  "log(req) tide.log.info('over', { path = req.path, chunks = req.ctx.n })")

describe("fake.gateway", function()
  local gw

  setup(function()
    gw = fake.gateway {
      plugins = { "probe" }, sources = { probe = PROBE }, services = { spare = "spare", gone = { refuse = true } },
      yaml = [[
routes:
  - { name: spare, path: /spare, service: spare }
  - { name: gone, path: /gone, service: gone }
  - { name: named, path: /named, service: named }
  - { name: all, path: "/*", service: upstream, plugins: [probe] }
services:
  upstream: { nodes: ["${UPSTREAM}"] }
  spare: { nodes: ["${SPARE}"] }
  gone: { nodes: ["${GONE}"], retries: { attempts: 0 } }
  named: { nodes: ["${SPARE}"] }
]],
    }
  end)

  teardown(function() gw:stop() end)

  it("answers, and has what the upstream got", function()
    local out = gw:request { method = "POST", path = "/a?b=c", body = "abc", headers = { ["x-a"] = "1" } }
    assert.equal(200, out.status)
    assert.equal("abc", out.body)
    assert.equal("/a?b=c", out.upstream.target)
    assert.equal("1", out.upstream.headers["x-a"])
    assert.equal("yes", out.upstream.headers["x-probe"])
    assert.equal("upstream", out.upstream.service)
  end)

  it("is asked with get as well", function()
    assert.equal("1", gw:get("/", { ["x-a"] = "1" }).upstream.headers["x-a"])
    assert.equal(200, gw:get().status)
  end)

  it("has other services", function()
    assert.equal("spare", gw:get("/spare").body)
    assert.equal("spare", gw:get("/named").body)
    assert.equal(502, gw:get("/gone").status)
  end)

  it("lets a request say what the upstream says", function()
    local out = gw:request { upstream = function(request) return { status = 201, json = { request.path } } end }
    assert.equal(201, out.status)
    assert.same({ "/" }, out:json())
    assert.equal(404, gw:request({ upstream = 404 }).status)
    out = gw:request { upstream = { body = "0123456789", cut = 5 } }
    assert.is_true(out.cut)
    assert.equal("01234", out.body)
  end)

  it("is fed byte by byte", function()
    local out = gw:request { path = "/bytes", method = "POST", body = "0123456789", upstream = "abc", feed = "bytes" }
    assert.equal("0123456789", out.upstream.body)
    assert.equal("abc", out.body)
  end)

  it("takes large bodies", function()
    local body = ("0123456789"):rep(100000)
    local out = gw:request { method = "POST", body = body }
    assert.equal(#body, #out.body)
    assert.is_true(out.body == body)
  end)

  it("tells what it logs", function()
    assert.equal(500, gw:get("/error").status)
    assert.matches("probe.lua:%d+: it broke", gw:log "it broke")
  end)

  it("lets the spec's own errors through", function()
    local failure = { "a table" }
    local good, why = pcall(gw.request, gw, { upstream = function() error(failure) end })
    assert.is_false(good)
    assert.equal(failure, why)
    assert.equal(200, gw:get().status)
  end)

  it("cannot refuse where it listens", function()
    kit.refuses("can only be refused by a service that refuses from the start", gw.request, gw,
                { upstream = { refuse = true } })
  end)

  it("waits while the client goes away", function()
    local out = gw:request { path = "/leaves", upstream = { never = true }, leaves = 0.02 }
    assert.is_nil(out.status)
    gw:log "path=/leaves"
  end)
end)

describe("fake.gateway", function()
  it("finds plugins as fake.plugin does", function()
    local gw = fake.gateway { plugins = { fake.plugin "beside" { text = "here" } } }
    local out = gw:get "/"
    gw:stop()
    assert.equal("here 1 1", out.body)
  end)

  it("raises what is wrong with it, with the words of the gateway", function()
    local message = kit.message_of(fake.gateway, { yaml = "routes: none" })
    assert.matches("^the gateway ended with code %d+:\n.*routes: expected a list", message)
  end)

  it("ends once", function()
    local gw = fake.gateway()
    local folder = gw.folder
    gw:stop()
    gw:stop()
    gw:kill()
    assert.is_nil(io.open(folder .. "/tidegate.yaml"))
    kit.refuses("this gateway was stopped", gw.get, gw, "/")
  end)

  it("ends without mercy where it must", function()
    local gw = fake.gateway()
    local pid = gw.pid
    gw:kill()
    assert.is_nil(io.open(("/proc/%d/stat"):format(pid)))
  end)
end)
