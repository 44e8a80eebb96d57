--- Connections to a node are counted over all loops, and who finds none waits in order.
local certificates = require "support.certificates"
local cjson = require "cjson"
local clock = require "support.clock"
local crew = require "support.crew"
local gateway = require "support.gateway"
local visit = require "support.visit"

local HOLD = { "X-Hold: 1" }

local ASKS = [[
--- Answers with what the service says.
local Asks = { version = "1.0.0", description = "Asks a service.", band = "filter", schema = {} }
Asks.__index = Asks
function Asks.new() return setmetatable({}, Asks) end
function Asks:request(req)
  local headers = { ["x-hold"] = req:header "x-hold" }
  local res, err = tide.http.request { service = "app", path = "/asked", headers = headers, timeout = 30 }
  return req:reply(res and res.status or 502, res and res.body or err)
end
return Asks
]]

describe("pool.max_per_node", function()
  local up, gw, v

  before_each(function() up = crew.start { delay = 0.003 } end)

  after_each(function()
    if v then v:close() end
    v = nil
    up:stop()
  end)

  local function serve(yaml)
    gw = gateway.start(yaml)
    v = visit.new(gw)
  end

  local function start(pool, o)
    o = o or {}
    serve(([[
gateway: { threads: %d, grace: 1s }
metrics: { listen: "unix:m.sock" }
services:
  app: { nodes: [%s], pool: { %s }, retries: { attempts: 0 } }
routes: [{ path: "/*", service: app }]
]]):format(o.threads or 4, o.nodes or ('"%s"'):format(up.node), pool))
  end

  local function ok(c) visit.expect(c, 200) end

  --- A figure of the first node.
  local function figure(name) return v:metric("tidegate_node_" .. name) end
  local function wait_waiting(n) v:wait_metric("tidegate_node_waiting", n) end

  --- So many requests, each when the one before is over: a client has its answer before the connection is free.
  local function ask_in_turn(count)
    for i = 1, count do
      ok(v:send "/")
      v:wait_metric("tidegate_requests_total", i)
    end
  end

  it("is never passed, over four loops and twelve clients, and nobody fails", function()
    start "max_per_node: 3, queue_timeout: 20s"
    local requests, seen = v:ask_all(12, 400), up:seen()
    assert.equal(requests, seen.answered)
    assert.equal(3, seen.most_open)
    assert.equal(3, seen.most_in_hand)
    assert.equal(3, seen.accepted)      -- what is free goes from loop to loop; nothing is opened anew
    assert.same({ 0, 3, 0 }, { figure "waiting", figure "connections", figure "turned_away_total" })
  end)

  it("is kept where each request has a connection of its own", function()
    start "max_per_node: 3, idle_per_node: 0, queue_timeout: 20s"
    local requests, seen = v:ask_all(8, 200), up:seen()
    assert.equal(requests, seen.accepted)
    assert.equal(3, seen.most_open)
    clock.wait_until(function() return figure "connections" == 0 end)
  end)

  it("lends what is idle in one loop to another, without a queue too", function()
    start "max_per_node: 1, queue: 0"
    ask_in_turn(24)
    local seen = up:seen()
    assert.same({ 1, 1, 24 }, { seen.most_open, seen.accepted, seen.answered })
  end)

  it("lets requests through in the order in which they came", function()
    start "max_per_node: 1, queue_timeout: 60s"
    local all, order = { v:send("/0", HOLD) }, { "/0" }
    up:wait_requests(1)
    for i = 1, 8 do
      all[i + 1], order[i + 1] = v:send("/" .. i), "/" .. i
      wait_waiting(i)
    end
    up:release()
    for i = 1, 9 do ok(all[i]) end
    assert.same(order, up:seen().targets)
    assert.same({ 8, 0, 1 }, { figure "waited_total", figure "turned_away_total", figure "connections" })
  end)

  it("answers 503 at once where the queue is full, and says so", function()
    start("max_per_node: 1, queue: 1, queue_timeout: 60s", { threads = 2 })
    local first = v:send("/first", HOLD)
    up:wait_requests(1)
    local second = v:send "/second"
    wait_waiting(1)
    local res = v:ask "/third"
    assert.equal(503, res.status)
    assert.equal("503 Service Unavailable: all connections to the upstream are in use\n", res.body)
    assert.equal("1", res:get "retry-after")
    gw:wait_log "all connections to the upstream are in use"
    assert.equal(1, figure "turned_away_total")
    local text = select(2, gw:command("status", "--nodes"))
    assert.truthy(text:find(" open ", 1, true) and text:find(" 1/1+1 ", 1, true), text)
    local node = cjson.decode((select(2, gw:command("status", "--nodes", "--json"))))[1]
    assert.same({ 1, 1, 1, 1, 1 }, { node.open, node.max_open, node.waiting, node.waited, node.turned_away })
    up:release()
    ok(first)
    ok(second)
    assert.same({ "/first", "/second" }, up:seen().targets)
  end)

  it("asks another node where a queue is full", function()
    local other = crew.start {}
    finally(function() other:stop() end)
    start("max_per_node: 1, queue: 0", { nodes = ('"%s", "%s"'):format(up.node, other.node) })
    local held = v:send("/held", HOLD)
    clock.wait_until(function() return #up:seen().targets + #other:seen().targets == 1 end, 20)
    local busy, free = up, other
    if #up:seen().targets == 0 then busy, free = other, up end
    ask_in_turn(6)
    assert.equal(6, #free:seen().targets)
    busy:release()
    ok(held)
  end)

  it("lets a request wait for pool.queue_timeout, and answers 503 then", function()
    start("max_per_node: 1, queue_timeout: 150ms", { threads = 2 })
    local first = v:send("/first", HOLD)
    up:wait_requests(1)
    local before = clock.now()
    local res = v:ask "/second"
    assert.equal("503 Service Unavailable: waited too long for the upstream\n", res.body)
    assert.is_true(clock.now() - before > 0.14)
    assert.equal(0, figure "waiting")
    up:release()
    ok(first)
    ok(v:send "/third")
    assert.same({ "/first", "/third" }, up:seen().targets)
  end)

  it("forgets a client that has gone while it waited", function()
    start "max_per_node: 1, queue_timeout: 60s"
    local first = v:send("/first", HOLD)
    up:wait_requests(1)
    local gone = v:send "/gone"
    wait_waiting(1)
    local last = v:send "/last"
    wait_waiting(2)
    gone:reset()
    wait_waiting(1)
    up:release()
    ok(first)
    ok(last)
    assert.same({ "/first", "/last" }, up:seen().targets)
  end)

  it("follows a reload while requests wait", function()
    start "max_per_node: 1, queue_timeout: 60s"
    local all = {}
    for i = 1, 4 do
      all[i] = v:send("/" .. i, HOLD)
      if i > 1 then wait_waiting(i - 1) else up:wait_requests(1) end
    end
    v:change("max_per_node: 1", "max_per_node: 3")
    up:wait_requests(3)
    assert.equal(1, figure "waiting")
    v:change("max_per_node: 3", "max_per_node: 0")
    up:wait_requests(4)
    assert.equal(4, up:seen().most_in_hand)
    up:release()
    for i = 1, 4 do ok(all[i]) end
    v:change("max_per_node: 0", "max_per_node: 2")
    v:ask_all(6, 100)
    clock.wait_until(function() return figure "connections" <= 2 and figure "waiting" == 0 end, 20)
  end)

  it("counts what plugins ask for themselves, and lets that wait too", function()
    gw = gateway.start(([[
gateway: { threads: 4, grace: 1s }
metrics: { listen: "unix:m.sock" }
services:
  app: { nodes: ["%s"], pool: { max_per_node: 2, queue: 4, queue_timeout: 20s }, retries: { attempts: 0 } }
routes: [{ path: "/asks/*", plugins: [asks], respond: { status: 204 } }, { path: "/*", service: app }]
]]):format(up.node), { plugins = { asks = ASKS } })
    v = visit.new(gw)
    v:ask_all(4, 60)
    v:ask_all(4, 60, "/asks/")
    assert.equal(2, up:seen().most_open)
    local held = { v:send("/asks/one", HOLD), v:send("/two", HOLD) }
    clock.wait_until(function() return up:seen().held == 2 end, 20, "two requests at the upstream")
    for i = 1, 4 do
      held[#held + 1] = v:send(i % 2 == 0 and "/asks/more" or "/more")
      wait_waiting(i)
    end
    assert.equal("all connections to the upstream are in use", visit.expect(v:send "/asks/refused", 502).body)
    up:release()
    for _, c in ipairs(held) do ok(c) end
    assert.equal(2, up:seen().most_open)
  end)

  it("moves a TLS connection from loop to loop as it is", function()
    local own = certificates.sign(certificates.authority(), "node", "IP:127.0.0.1")
    local behind = gateway.start(([[
listen: [{ address: "127.0.0.1:0", tls: { certificates: [{ cert: "%s", key: "%s" }] } }]
routes: [{ path: "/*", respond: { body: "%s" } }]
]]):format(own.cert, own.key, ("b"):rep(30000)))
    finally(function() behind:stop() end)
    serve(([[
gateway: { threads: 4, grace: 1s }
services:
  app:
    nodes: ["https://127.0.0.1:%d"]
    tls: { verify: false }
    pool: { max_per_node: 2, queue_timeout: 20s }
routes: [{ path: "/*", service: app }]
]]):format(behind:port()))
    v:ask_all(8, 200)
    assert.truthy(select(2, behind:status()):find("connections +%d+ open, 2 in all"), select(2, behind:status()))
  end)

  it("gives the place of a connection that dies to who waits", function()
    start("max_per_node: 1, queue_timeout: 60s", { threads = 2 })
    local first = v:send("/first", HOLD)
    up:wait_requests(1)
    local second = v:send "/second"
    wait_waiting(1)
    first:reset()
    ok(second)
    assert.equal(2, up:seen().accepted)
  end)
end)
