--- What is tried again, at which node, and what is not: two nodes, one of which fails in every way it can.
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local processes = require "support.processes"
local upstream = require "support.upstream"

local request = client.request

local CONFIG = [[
timeouts: { body: 5s }
services:
  none: { nodes: NODES, retries: { attempts: 0 }, timeouts: { first_byte: 1s } }
  usual: { nodes: NODES, timeouts: { first_byte: 1s } }
  all:
    nodes: NODES
    retries: { attempts: 2, on: [connect, reset, timeout, 5xx, 429], per_try: 600ms, budget: 100% }
  posts: { nodes: NODES, retries: { on: [reset, "503"], methods: [POST] } }
  alone: { nodes: ["BAD"], retries: { attempts: 3, on: "503", backoff: { base: 40ms, max: 60ms } } }
  refusing: { nodes: ["NOBODY", "GOOD"], retries: { attempts: 1 } }
  nobody: { nodes: ["NOBODY"], retries: { attempts: 2, backoff: 1h } }
  poor: { nodes: NODES, retries: { on: "503", budget: { share: 10%, min: 0 } } }
routes:
  - { path: "/none/*", service: none, strip_prefix: /none }
  - { path: "/usual/*", service: usual, strip_prefix: /usual }
  - { path: "/all/*", service: all, strip_prefix: /all }
  - { path: "/posts/*", service: posts, strip_prefix: /posts }
  - { path: "/alone/*", service: alone, strip_prefix: /alone }
  - { path: "/refusing/*", service: refusing, strip_prefix: /refusing }
  - { path: "/nobody/*", service: nobody, timeout: 2s }
  - { path: "/poor/*", service: poor, strip_prefix: /poor }
  - { path: "/route/*", service: none, strip_prefix: /route, retries: { attempts: 1, on: "503" } }
  - { path: "/hurry/*", service: usual, strip_prefix: /hurry, retries: { per_try: 300ms } }
  - { path: "/short/*", service: all, strip_prefix: /short, timeout: 100ms }
]]

local OK = "HTTP/1.1 200 OK\r\n"
local BUSY = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\nbusy"

-- What the bad node does with a request that it has read: what it sends, and how that ends.
-- { what it is, path, bytes, end, status without retries, with the usual ones, with all }
local faults = {
  { "closes before an answer", "/close", "", "close", 502, 200, 200 },
  { "resets before an answer", "/reset", "", "reset", 502, 200, 200 },
  { "hangs before an answer", "/hang", "", "hang", 504, 504, 200 },
  { "closes in the status line", "/line-close", "HTT", "close", 502, 200, 200 },
  { "resets in the head", "/head-reset", OK .. "Content-Le", "reset", 502, 200, 200 },
  { "closes behind a header line", "/head-close", OK .. "Content-Length: 0\r\n", "close", 502, 200, 200 },
  { "hangs in the head", "/head-hang", OK .. "Content-Le", "hang", 504, 504, 200 },
  { "sends no HTTP", "/garbage", "\1\2\3 what\r\n\r\n", "close", 502, 200, 200 },
  { "has two lengths", "/lengths", OK .. "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "close", 502, 200, 200 },
  { "sends 103 and closes", "/interim", "HTTP/1.1 103 Early Hints\r\n\r\n", "close", 502, 200, 200 },
  { "is busy", "/busy", BUSY, "keep", 503, 503, 200 },
  { "is busy at length", "/busy-long", "HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\nx", "linger", 503, 503,
    200 },
  { "is busy in chunks", "/busy-chunks", "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    "keep", 500, 500, 200 },
  { "says too many", "/many", "HTTP/1.1 429 Many\r\nContent-Length: 0\r\n\r\n", "keep", 429, 429, 200 },
  { "does not find it", "/missing", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "keep", 404, 404, 404 },
}

local function deeds()
  local list = {}
  for _, fault in ipairs(faults) do
    list[fault[2]] = function(conn, head)
      conn:read_body(head)
      conn:send(fault[3])
      if fault[4] == "keep" then return end
      if fault[4] == "reset" then conn:reset() end
      if fault[4] == "hang" then conn:wait_end() end
      if fault[4] == "linger" then conn:wait_end(0.2) end
      return true
    end
  end
  return list
end

describe("retries", function()
  local bad, good, gw

  setup(function()
    bad, good = upstream.by_path(deeds()), upstream.by_path { default = upstream.echo }
    gw = gateway.start((CONFIG:gsub("%u+", {
      NODES = ('["%s", "%s"]'):format(bad.node, good.node), BAD = bad.node, GOOD = good.node,
      NOBODY = upstream.nobody(),
    })))
  end)

  teardown(function()
    gw:stop()
    bad:stop()
    good:stop()
  end)

  before_each(function()
    bad:forget()
    good:forget()
  end)

  --- Asks until the bad node was asked; the status of that request, and the response.
  local function ask_bad(r)
    local before = #bad:events "head"
    for _ = 1, 4 do
      local res = assert(client.ask(gw:port(), request(r), { method = r.method }))
      if #bad:events "head" > before then return res.status, res end
    end
    error "the bad node was never asked"
  end

  for _, fault in ipairs(faults) do
    for i, how in ipairs { "none", "usual", "all" } do
      it(("with %s: a node that %s is %s"):format(how, fault[1], fault[4 + i] == 200 and "replaced" or "told of"),
         function()
        local status, res = ask_bad { target = "/" .. how .. fault[2] }
        assert.equal(fault[4 + i], status)
        if status == 200 then assert.truthy(res.body:find("GET " .. fault[2], 1, true)) end
        if res:get "retry-after" and status == 503 then assert.equal("busy", res.body) end
      end)
    end
  end

  it("never send a POST twice that was sent once", function()
    for _, fault in ipairs(faults) do
      bad:forget()
      good:forget()
      local status = ask_bad { method = "POST", target = "/all" .. fault[2], body = "x" }
      assert.equal(fault[2] == "/missing" and 404 or fault[2] == "/hang" and 504 or fault[5], status, fault[2])
      -- Each request that clients have sent has come once, to one of the nodes.
      local seen = #good:events "head" + #bad:events "head"
      assert.is_true(seen <= 2, fault[2] .. " came " .. seen .. " times")
      assert.equal(1, #bad:events "head")
    end
  end)

  it("send it elsewhere where nothing of it was sent", function()
    for _ = 1, 4 do
      local res = client.ask(gw:port(), request { method = "POST", target = "/refusing/x", body = "once" })
      assert.equal(200, res.status)
      assert.truthy(res.body:find "once$")
    end
    assert.equal(4, #good:events "head")
  end)

  it("send what the configuration says", function()
    local status, res = ask_bad { method = "POST", target = "/posts/busy", body = "again" }
    assert.equal(200, status)
    assert.truthy(res.body:find "again$")
    assert.equal(503, (ask_bad { target = "/posts/busy" }))
  end)

  it("bring the body along, as long as it is small", function()
    local body = ("0123456789"):rep(5000)
    local status, res = ask_bad { method = "PUT", target = "/all/busy", body = body }
    assert.equal(200, status)
    assert.equal(body, res.body:sub(-#body))
    assert.equal(503, (ask_bad { method = "PUT", target = "/all/busy", body = body:rep(2) }))
  end)

  it("bring a body in chunks along", function()
    for _ = 1, 2 do
      local res = assert(client.ask(gw:port(), request { method = "PUT", target = "/all/busy",
        headers = { "Transfer-Encoding: chunked" } } .. client.chunked { "one", "two", "three" }))
      assert.equal(200, res.status)
      assert.truthy(res.body:find "onetwothree$")
    end
  end)

  it("do not take a slow client for a slow node", function()
    local c = client.connect(gw:port())
    c:send "PUT /all/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"
    clock.wait_until(function() return #good:events "head" + #bad:events "head" > 0 end)
    local until_s = clock.now() + 0.8           -- longer than per_try
    clock.wait_until(function() return clock.now() > until_s end)
    c:send "cd"
    assert.equal(200, c:response().status)
    assert.equal(1, #good:events "head" + #bad:events "head")
    c:close()
  end)

  it("wait between tries at the same node, and no longer than they may", function()
    local before = clock.now()
    assert.equal(503, (ask_bad { target = "/alone/busy" }))
    assert.equal(4, #bad:events "head")
    assert.is_true(clock.now() - before < 2)
  end)

  it("fail at once where the wait would be longer than the exchange may be", function()
    local before = clock.now()
    assert.equal(502, client.ask(gw:port(), request { target = "/nobody/x" }).status)
    assert.is_true(clock.now() - before < 1)
  end)

  it("end with the time of the exchange", function()
    local took = clock.quickest(0.55, function() assert.equal(504, (ask_bad { target = "/short/hang" })) end)
    assert.is_true(took < 0.55, took)
  end)

  it("are a route's own", function()
    assert.equal(200, (ask_bad { target = "/route/busy" }))
    assert.equal(502, (ask_bad { target = "/route/close" }))
    local took = clock.quickest(0.95, function() assert.equal(200, (ask_bad { target = "/hurry/hang" })) end)
    assert.is_true(took < 0.95, took)
  end)

  it("are counted, and told of", function()
    ask_bad { target = "/all/busy" }
    local _, status = gw:status()
    assert.is_true(tonumber(status:match "(%d+) retries") > 0)
  end)

  it("have a budget", function()
    local statuses = {}
    for _ = 1, 40 do
      local status = client.ask(gw:port(), request { target = "/poor/busy" }).status
      statuses[status] = (statuses[status] or 0) + 1
    end
    -- Of 40 requests every second one meets the bad node, or one more where a retry has taken a turn.
    assert.equal(4, #good:events "head" - statuses[200] + #bad:events "head" - statuses[503])
    assert.truthy(select(2, gw:status()):find "%d+ retries %(%d+ refused%)")
  end)
end)

describe("a budget for retries", function()
  local REQUESTS, CLIENTS = 25, 6

  it("is one for all loops, and exact, with many clients at a time", function()
    local nodes, list = {}, {}
    for i = 1, 2 do
      nodes[i] = upstream.by_path { default = function(conn, head)
        conn:read_body(head)
        conn:send(BUSY)
      end }
      list[i] = ('"%s"'):format(nodes[i].node)
    end
    local gw = gateway.start(([[
gateway: { threads: 4, grace: 1s }
services: { app: { nodes: [%s], retries: { on: "503", budget: { share: 10%%, min: 1 } } } }
routes: [{ path: "/*", service: app }]
]]):format(table.concat(list, ", ")))
    local pids = {}
    for i = 1, CLIENTS do
      pids[i] = processes.fork(function()
        for _ = 1, REQUESTS do client.ask(gw:port(), request {}) end
        return 0
      end)
    end
    for _, pid in ipairs(pids) do processes.join(pid, 60) end
    local seen = #nodes[1]:events "head" + #nodes[2]:events "head"
    local sent = REQUESTS * CLIENTS
    gw:stop()
    for _, up in ipairs(nodes) do up:stop() end
    -- A tenth of what was asked so far, or ten: the last one to be answered spends what is left of that.
    assert.equal(sent + sent / 10, seen)
  end)
end)
