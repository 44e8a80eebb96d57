--- A service has so many requests at a time, over all loops; others are answered 503 early.
local clock = require "support.clock"
local crew = require "support.crew"
local gateway = require "support.gateway"
local load = require "support.load"
local visit = require "support.visit"

local HOLD = { "X-Hold: 1" }

describe("overload", function()
  local up, gw, v

  after_each(function()
    if v then v:close() end
    v = nil
    up:stop()
  end)

  local function start(overload, o)
    up = crew.start(o or { delay = 0.003 })
    gw = gateway.start(([[
gateway: { threads: 4, grace: 1s }
metrics: { listen: "unix:m.sock" }
services:
  app: { nodes: ["%s"], retries: { attempts: 0 }, overload: { %s } }
routes: [{ path: "/*", service: app }]
]]):format(up.node, overload))
    v = visit.new(gw)
  end

  local function ok(c) visit.expect(c, 200) end
  local function figure(name) return v:metric("tidegate_service_" .. name) end
  local function wait_figure(name, n) v:wait_metric("tidegate_service_" .. name, n) end

  it("never lets more through than max_requests, over four loops and twelve clients", function()
    start "max_requests: 3, queue: 100, queue_timeout: 20s"
    local requests = v:ask_all(12, 400)
    assert.equal(3, up:seen().most_in_hand)
    assert.equal(requests, up:seen().answered)
    clock.wait_until(function() return figure "requests" == 0 end)
    assert.same({ 3, 0, 0 }, { figure "requests_limit", figure "waiting", figure "turned_away_total" })
    assert.is_true(figure "waited_total" > 0)
  end)

  it("answers 503 at once where there is no queue", function()
    start "max_requests: 2"
    local held = { v:send("/a", HOLD), v:send("/b", HOLD) }
    up:wait_requests(2)
    for i = 1, 3 do
      local res = v:ask "/"
      assert.equal(503, res.status)
      assert.equal("503 Service Unavailable: service is overloaded\n", res.body)
      assert.equal("1", res:get "retry-after")
      assert.same({ 2, i }, { figure "requests", figure "turned_away_total" })
    end
    local text = select(2, gw:status())
    assert.truthy(text:find("overload +app: 2 of 2 requests, 0 wait; 0 have waited, 3 were turned away"), text)
    up:release()
    for _, c in ipairs(held) do ok(c) end
    wait_figure("requests", 0)
    ok(v:send "/")
  end)

  it("lets requests wait in order, and those that wait too long are answered 503", function()
    start "max_requests: 1, queue: 5, queue_timeout: 60s"
    local all, order = { v:send("/0", HOLD) }, { "/0" }
    up:wait_requests(1)
    for i = 1, 5 do
      all[i + 1], order[i + 1] = v:send("/" .. i), "/" .. i
      wait_figure("waiting", i)
    end
    assert.equal(503, v:ask("/").status)
    all[3]:reset()
    table.remove(all, 3)
    table.remove(order, 3)
    wait_figure("waiting", 4)
    up:release()
    for _, c in ipairs(all) do ok(c) end
    assert.same(order, up:seen().targets)
  end)

  it("answers 503 after queue_timeout", function()
    start "max_requests: 1, queue: 5, queue_timeout: 150ms"
    local first = v:send("/first", HOLD)
    up:wait_requests(1)
    local before = clock.now()
    local res = v:ask "/"
    assert.equal("503 Service Unavailable: waited too long for the upstream\n", res.body)
    assert.is_true(clock.now() - before > 0.14)
    up:release()
    ok(first)
    assert.same({ "/first" }, up:seen().targets)
  end)

  it("follows a reload while requests wait", function()
    start "max_requests: 1, queue: 10, queue_timeout: 60s"
    local all = {}
    for i = 1, 5 do
      all[i] = v:send("/" .. i, HOLD)
      if i > 1 then wait_figure("waiting", i - 1) else up:wait_requests(1) end
    end
    v:change("max_requests: 1", "max_requests: 3")
    up:wait_requests(3)
    assert.equal(2, figure "waiting")
    v:change(", overload: %b{}", "")
    up:wait_requests(5)
    up:release()
    for _, c in ipairs(all) do ok(c) end
    v:ask_all(4, 40)
  end)

  it("gives a place back whatever becomes of the request", function()
    start("max_requests: 2, queue: 0", { owns = true })
    local one = v:send("/one", HOLD)
    up:wait_requests(1)
    one:reset()
    wait_figure("requests", 0)
    up:stop()
    for _ = 1, 4 do assert.equal(502, v:ask("/").status) end
    wait_figure("requests", 0)
  end)

  it("finds out by itself how much a service takes", function()
    -- It answers one request at a time: more only wait there.
    start("max_requests: adaptive, least: 1, queue: 100, queue_timeout: 20s", { delay = 0.02, one_by_one = true })
    local asked = load.start { to = gw:port(), clients = 24 }
    asked:wait(100)
    clock.wait_until(function() return figure "requests_limit" < 20 end, 30, "a limit")
    local _, failures = asked:stop()
    assert.same({}, failures)
    local text = select(2, gw:status())
    assert.truthy(text:find("overload +app: %d+ of %d+ requests %(adaptive, [%d.]+ ms with few%)"), text)
    v:change("adaptive, least: 1", "7")
    wait_figure("requests_limit", 7)
    v:ask_all(4, 40)
    assert.equal(7, figure "requests_limit")
  end)
end)
