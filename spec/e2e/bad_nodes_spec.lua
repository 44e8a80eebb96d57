--- Nodes that are killed under load: what can be asked again is, and no client hears of it [T62 G21].
local cluster = require "support.cluster"
local clock = require "support.clock"
local gateway = require "support.gateway"
local leftovers = require "support.leftovers"
local load = require "support.load"

local CLIENTS = 3
local LARGE = ("l"):rep(300 * 1024)

-- By path: what a node does with a request.
local answers = {}

answers["/at-once"] = function(conn, head)
  conn:read_body(head)
  conn:respond(200, "ok")
end

-- Most kills come while it works.
answers["/works"] = function(conn, head)
  conn:read_body(head)
  clock.pause(0.02)
  conn:respond(200, "ok")
end

-- The head waits with the gateway for its other half.
answers["/half-a-head"] = function(conn, head)
  conn:read_body(head)
  conn:send "HTTP/1.1 200 OK\r\nX-Half: on"
  clock.pause(0.02)
  conn:send "ly\r\nContent-Length: 2\r\n\r\nok"
end

-- The head is with the client when the node dies.
answers["/large"] = function(conn, head)
  conn:read_body(head)
  conn:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(#LARGE))
  conn:send(LARGE:sub(1, 1000))
  clock.pause(0.02)
  conn:send(LARGE:sub(1001))
end

describe("a node that is killed under load", function()
  local nodes, gw

  before_each(function()
    nodes = cluster.start(3, answers)
  end)

  after_each(function()
    if gw then gw:stop() end
    gw = nil
    nodes:stop()
  end)

  local function start(service)
    gw = gateway.start(([[
gateway: { threads: 2, grace: 1s }
services: { app: { nodes: %s, pool: { idle: 300ms }, %s } }
routes: [{ path: "/*", service: app }]
]]):format(nodes:yaml(), service))
  end

  --- Kills one after the other, each while clients ask, and lets it come back. The pause is longer than a request
  -- lives: none needs more than two further tries.
  local function kill_all(clients)
    for i = 1, 3 do
      clients:wait(15)
      nodes:kill(i)
      clients:wait(15)
      nodes:revive(i)
      clock.pause(0.2)
    end
    return clients:stop()
  end

  local RETRIED = "retries: { attempts: 2, budget: 100% }"
  local WATCHED = RETRIED .. ", health_check: { passive: { failures: 1, eject: 200ms } }"

  -- What clients ask, of a service with what settings; feels: some of the kills hit a request that was under way.
  local cases = {
    { "GET, answered at once", { target = "/at-once" }, RETRIED },
    { "GET, on new connections", { target = "/at-once", connect = true }, RETRIED },
    { "GET, while the node works on it", { target = "/works" }, RETRIED, feels = true },
    { "GET, in the middle of a head", { target = "/half-a-head" }, RETRIED, feels = true },
    { "GET, with passive health", { target = "/works" }, WATCHED },
    { "PUT with a body, while the node works on it", { target = "/works", method = "PUT", body = ("b"):rep(20000) },
      RETRIED, feels = true },
  }
  for _, case in ipairs(cases) do
    it("fails no request that can be asked again: " .. case[1], function()
      start(case[3])
      local asked = { to = gw:port(), clients = CLIENTS }
      for key, value in pairs(case[2]) do asked[key] = value end
      local _, failures = kill_all(load.start(asked))
      assert.same({}, failures)
      if case.feels then assert.truthy(leftovers.status(gw).upstream_retries >= 1) end
      leftovers.wait_none(gw)
    end)
  end

  it("cuts the responses that had begun, so that clients can tell, and no others", function()
    start(RETRIED)
    local _, failures = kill_all(load.start { to = gw:port(), clients = CLIENTS, target = "/large" })
    assert.truthy(#failures >= 1 and #failures <= 3 * CLIENTS, #failures .. " failures")
    for _, why in ipairs(failures) do assert.truthy(why == "reset" or why:find "^cut: ", why) end
    leftovers.wait_none(gw)
  end)

  it("never makes a POST be done twice", function()
    start(RETRIED)
    local clients = load.start { to = gw:port(), clients = CLIENTS, target = "/works", method = "POST", body = "once" }
    local requests, failures = kill_all(clients)
    for _, why in ipairs(failures) do assert.equal("status 502", why) end
    assert.truthy(#failures <= 3 * CLIENTS, #failures .. " failures")
    local done = nodes:requests()
    assert.truthy(done >= requests - #failures and done <= requests, ("%d of %d"):format(done, requests))
    leftovers.wait_none(gw)
  end)
end)
