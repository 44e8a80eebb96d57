--- A service has so many requests at a time, over all loops; others are answered 503 early.
local client = require "support.client"
local clock = require "support.clock"
local crew = require "support.crew"
local files = require "support.files"
local gateway = require "support.gateway"
local load = require "support.load"

local request = client.request
local HOLD = { "X-Hold: 1" }

describe("overload", function()
  local up, gw, clients

  before_each(function() clients = {} end)

  after_each(function()
    for _, c in ipairs(clients) do c:close() end
    if gw then gw:stop() end
    gw = nil
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
  end

  local function send(target, headers)
    local c = client.connect(gw:port())
    clients[#clients + 1] = c
    c:send(request { target = target, headers = headers })
    return c
  end

  local function ok(c) assert.equal(200, assert(c:response { timeout = 20 }).status) end

  local function figure(name)
    local metrics = assert(client.ask(gw.folder .. "/m.sock", request { target = "/metrics" }, { timeout = 20 })).body
    return tonumber(metrics:match("tidegate_service_" .. name .. '{service="app"} (%d+)'))
  end

  local function wait_figure(name, n)
    clock.wait_until(function() return figure(name) == n end, 20, ("%s to be %d"):format(name, n))
  end

  local function ask_all(count, n)
    local asked = load.start { to = gw:port(), clients = count }
    asked:wait(n)
    local requests, failures = asked:stop()
    assert.same({}, failures)
    return requests
  end

  local function reload(from, to)
    local text, n = files.read(gw.file):gsub(from, to)
    assert.equal(1, n)
    gw:write(text)
    assert.equal(0, (gw:reload()))
  end

  it("never lets more through than max_requests, over four loops and twelve clients", function()
    start "max_requests: 3, queue: 100, queue_timeout: 20s"
    local requests = ask_all(12, 400)
    assert.equal(3, up:seen().most_in_hand)
    assert.equal(requests, up:seen().answered)
    clock.wait_until(function() return figure "requests" == 0 end)
    assert.same({ 3, 0, 0 }, { figure "requests_limit", figure "waiting", figure "turned_away_total" })
    assert.is_true(figure "waited_total" > 0)
  end)

  it("answers 503 at once where there is no queue", function()
    start "max_requests: 2"
    local held = { send("/a", HOLD), send("/b", HOLD) }
    up:wait_requests(2)
    for i = 1, 3 do
      local res = assert(client.ask(gw:port(), request {}))
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
    ok(send "/")
  end)

  it("lets requests wait in order, and those that wait too long are answered 503", function()
    start "max_requests: 1, queue: 5, queue_timeout: 60s"
    local all, order = { send("/0", HOLD) }, { "/0" }
    up:wait_requests(1)
    for i = 1, 5 do
      all[i + 1], order[i + 1] = send("/" .. i), "/" .. i
      wait_figure("waiting", i)
    end
    assert.equal(503, assert(client.ask(gw:port(), request {})).status)
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
    local first = send("/first", HOLD)
    up:wait_requests(1)
    local before = clock.now()
    local res = assert(client.ask(gw:port(), request {}))
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
      all[i] = send("/" .. i, HOLD)
      if i > 1 then wait_figure("waiting", i - 1) else up:wait_requests(1) end
    end
    reload("max_requests: 1", "max_requests: 3")
    up:wait_requests(3)
    assert.equal(2, figure "waiting")
    reload(", overload: %b{}", "")
    up:wait_requests(5)
    up:release()
    for _, c in ipairs(all) do ok(c) end
    ask_all(4, 40)
  end)

  it("gives a place back whatever becomes of the request", function()
    start("max_requests: 2, queue: 0", { owns = true })
    local one = send("/one", HOLD)
    up:wait_requests(1)
    one:reset()
    wait_figure("requests", 0)
    up:stop()
    for _ = 1, 4 do assert.equal(502, assert(client.ask(gw:port(), request {})).status) end
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
    reload("adaptive, least: 1", "7")
    wait_figure("requests_limit", 7)
    ask_all(4, 40)
    assert.equal(7, figure "requests_limit")
  end)
end)
