--- Circuit breakers with the real binary and several loops [G25 D18].
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local CONFIG = [[
gateway: { threads: 4, grace: 1s }
metrics: { listen: "unix:m.sock" }
services:
  app:
    nodes: ["NODE"]
    retries: { attempts: 0 }
    circuit_breaker: { min_requests: 6, open: OPEN, probes: 2 }
  gone: { nodes: ["NOBODY"], retries: { attempts: 0 }, circuit_breaker: { min_requests: 3, open: 60s } }
routes: [ { path: /gone, service: gone }, { path: "/*", service: app } ]
]]

describe("a circuit breaker", function()
  local up, gw

  before_each(function()
    up = upstream.by_path { ["/bad"] = function(conn, head)
      conn:read_body(head)
      conn:respond(500, "bad")
    end }
  end)

  after_each(function()
    if gw then gw:stop() end
    gw = nil
    up:stop()
  end)

  local function start(open)
    gw = gateway.start((CONFIG:gsub("NODE", up.node):gsub("NOBODY", upstream.nobody()):gsub("OPEN", open)))
  end

  local function ask(target) return assert(client.ask(gw:port(), request { target = target })) end

  it("opens with exactly so many failures over all loops, and answers at once", function()
    start "60s"
    local statuses = {}
    for i = 1, 12 do statuses[i] = ask("/bad").status end
    assert.same({ 500, 500, 500, 500, 500, 500, 503, 503, 503, 503, 503, 503 }, statuses)
    assert.equal(6, #up:requests())
    local res = ask "/good"
    assert.equal(503, res.status)
    assert.equal("503 Service Unavailable: circuit breaker is open\n", res.body)
    assert.is_true(tonumber(res:get "retry-after") > 30 and tonumber(res:get "retry-after") <= 60)
    gw:wait_log "breaker: open service=app reason=failures"
    assert.truthy(select(2, gw:status()):find "breaker +app: open, opened 1 times; lets a request through in [%dm ]+s")
    local metrics = assert(client.ask(gw.folder .. "/m.sock", request { target = "/metrics" })).body
    assert.truthy(metrics:find('tidegate_breaker_state{service="app"} 1\n', 1, true))
    assert.truthy(metrics:find('tidegate_breaker_opened_total{service="app"} 1\n', 1, true))
  end)

  it("closes when its probes have succeeded", function()
    start "300ms"
    for _ = 1, 6 do ask "/bad" end
    assert.equal(503, ask("/good").status)
    clock.wait_until(function() return ask("/good").status == 200 end, nil, "a probe")
    assert.equal(200, ask("/good").status)
    gw:wait_log 'breaker: closed service=app reason="probes succeeded"'
  end)

  it("counts nodes that cannot be reached", function()
    start "60s"
    local statuses = {}
    for i = 1, 5 do statuses[i] = ask("/gone").status end
    assert.same({ 502, 502, 502, 503, 503 }, statuses)
  end)

  it("stays open over a reload, and goes with its configuration", function()
    start "60s"
    for _ = 1, 6 do ask "/bad" end
    local yaml = files.read(gw.file)
    gw:write((yaml:gsub("routes:", "routes: # another generation\n ")))
    assert.equal(0, (gw:reload()))
    assert.equal(503, ask("/good").status)
    gw:write((yaml:gsub("circuit_breaker: { min_requests: 6[^\n]*\n", "slow_start: 0\n")))
    assert.equal(0, (gw:reload()))
    assert.equal(200, ask("/good").status)
  end)
end)

describe("a circuit breaker of a route", function()
  local ROUTES = [[
gateway: { threads: 4, grace: 1s }
metrics: { listen: "unix:m.sock" }
services: { app: { nodes: ["NODE"], retries: { attempts: 0 }, circuit_breaker: { min_requests: 100 } } }
routes:
  - { name: frail, path: "/frail/*", service: app, circuit_breaker: { min_requests: 6, open: OPEN, probes: 2 } }
  - { name: firm, path: "/firm/*", service: app }
]]

  local up, gw

  before_each(function()
    up = upstream.by_path { default = function(conn, head)
      conn:read_body(head)
      conn:respond(head.target:find "bad" and 500 or 200, "x")
    end }
  end)

  after_each(function()
    gw:stop()
    up:stop()
  end)

  local function start(open) gw = gateway.start((ROUTES:gsub("NODE", up.node):gsub("OPEN", open))) end
  local function ask(target) return assert(client.ask(gw:port(), request { target = target })) end

  it("opens for that route alone, exactly, over all loops [G19]", function()
    start "60s"
    local statuses = {}
    for i = 1, 9 do statuses[i] = ask("/frail/bad").status end
    assert.same({ 500, 500, 500, 500, 500, 500, 503, 503, 503 }, statuses)
    assert.equal(6, #up:requests())
    assert.equal(500, ask("/firm/bad").status)
    assert.equal(200, ask("/firm/x").status)
    local res = ask "/frail/x"
    assert.equal(503, res.status)
    assert.is_true(tonumber(res:get "retry-after") > 30)
    gw:wait_log "breaker: open route=frail reason=failures"
    local _, status = gw:status()
    assert.truthy(status:find "breaker +app: closed, opened 0 times; 7 of 8")
    assert.truthy(status:find "breaker +route frail: open, opened 1 times")
    local metrics = assert(client.ask(gw.folder .. "/m.sock", request { target = "/metrics" })).body
    assert.truthy(metrics:find('tidegate_breaker_state{route="frail"} 1\n', 1, true))
    assert.truthy(metrics:find('tidegate_breaker_state{service="app"} 0\n', 1, true))
  end)

  it("closes when its probes have succeeded", function()
    start "100ms"
    for _ = 1, 6 do ask "/frail/bad" end
    clock.wait_until(function() return ask("/frail/x").status == 200 end, nil, "a probe")
    assert.equal(200, ask("/frail/x").status)
    gw:wait_log 'breaker: closed route=frail reason="probes succeeded"'
  end)

  it("stays open where the route is moved, and goes with its configuration", function()
    start "60s"
    for _ = 1, 6 do ask "/frail/bad" end
    local yaml = files.read(gw.file)
    gw:write((yaml:gsub("routes:", 'routes:\n  - { path: /first, respond: { body: "1" } }')))
    assert.equal(0, (gw:reload()))
    assert.equal(503, ask("/frail/x").status)
    gw:write((yaml:gsub(", circuit_breaker: { min_requests: 6[^}]*}", "")))
    assert.equal(0, (gw:reload()))
    assert.equal(200, ask("/frail/x").status)
    assert.is_nil(select(2, gw:status()):find "route frail")
  end)
end)
