--- Hours of churn in seconds: nodes die and come back, reloads take them out and in, clients go away in the middle. As
-- long as one node is there, no client that stays hears of it, and at the end nothing is left. SECONDS: how long.
local client = require "support.client"
local clock = require "support.clock"
local cluster = require "support.cluster"
local core = require "support.core"
local gateway = require "support.gateway"
local leftovers = require "support.leftovers"
local load = require "support.load"
local processes = require "support.processes"
local random = require "support.random"

local SECONDS = tonumber(os.getenv "SECONDS") or 6
local WARM_UP = 1               -- of these, before memory is looked at
local NODES = 5
local GROWTH = 4 * 1024 * 1024  -- of memory; what is lost by each request would be more

local CONFIG = [[
gateway: { threads: 2, grace: 1s }
services:
  app:
    nodes: %s
    pool: { idle: 300ms }
    retries: { attempts: 8, budget: 100%% }
    health_check: { passive: { failures: 2, eject: 100ms, max_ejected: 100%% } }
routes:
  - { path: "/*", service: app, labels: { turn: "%d" } }
]]

local answers = {}

answers["/works"] = function(conn, head)
  if not conn:read_body(head).complete then return true end
  clock.pause(0.01)
  conn:respond(200, ("w"):rep(2000))
end

answers["/long"] = function(conn, head)
  conn:read_body(head)
  conn:send "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
  for _ = 1, 20 do
    if not conn:send "5\r\nchunk\r\n" then return true end
    clock.pause(0.01)
  end
  conn:send "0\r\n\r\n"
end

-- What clients do that go away: with a fresh connection, the rest is nobody's business.
local rude = {
  function(c) c:send "GET /works HTT" end,
  function(c) c:send(client.request { target = "/works" }) end,
  function(c)
    c:send(client.request { method = "PUT", target = "/works", headers = { "Content-Length: 100000" } } .. "x")
  end,
  function(c)
    c:send(client.request { target = "/long" })
    c:head(1)
  end,
  function(c)
    c:send(client.request { target = "/works" }:rep(3))
    c:response { timeout = 1 }
  end,
}

local function be_rude(port, seed)
  local numbers = random.numbers(seed)
  while true do
    local ok, c = pcall(client.connect, port)
    if ok then
      rude[numbers(#rude)](c)
      if numbers() < 0.5 then c:reset() else c:close() end
    end
    clock.pause(0.005)
  end
end

describe("a service under churn", function()
  local nodes, gw, turn

  setup(function()
    nodes = cluster.start(NODES, answers)
  end)

  teardown(function()
    if gw then gw:stop() end
    nodes:stop()
  end)

  local function text(is_in)
    turn = turn + 1
    return CONFIG:format(nodes:yaml(is_in), turn)
  end

  --- One thing at random. The anchor is the node that is always there.
  local function churn(numbers, anchor)
    local i = numbers(NODES)
    if numbers() < 0.35 then
      local drawn = {}
      for k = 1, NODES do drawn[k] = k == anchor or numbers() < 0.6 end
      gw:write(text(function(k) return drawn[k] end))
      local code, said = gw:reload()
      assert.equal(0, code, said)
    elseif i ~= anchor and nodes.nodes[i] then
      nodes:kill(i)
    elseif i ~= anchor then
      nodes:revive(i)
    end
  end

  local function churn_until(deadline, numbers, anchor)
    while clock.now() < deadline do
      churn(numbers, anchor)
      clock.pause(0.03 + 0.1 * numbers())
    end
  end

  it("fails no request that can be asked again, and leaves nothing behind", function()
    local seed = core.seed()
    local numbers = random.numbers(seed)
    local anchor = numbers(NODES)
    turn = 0
    gw = gateway.start(text())
    local steady = {
      load.start { to = gw:port(), clients = 2, target = "/works" },
      load.start { to = gw:port(), clients = 1, target = "/quick", connect = true },
      load.start { to = gw:port(), clients = 1, target = "/works", method = "PUT", body = ("b"):rep(5000) },
    }
    local leaver = processes.fork(function() be_rude(gw:port(), seed) end)

    local start = clock.now()
    churn_until(start + WARM_UP, numbers, anchor)
    local before = gw:memory()
    churn_until(start + SECONDS, numbers, anchor)
    local grown = gw:memory() - before

    processes.finish(leaver)
    for _, clients in ipairs(steady) do
      local requests, failures = clients:stop()
      assert.same({}, failures)
      assert.truthy(requests > 0)
    end
    assert.truthy(gateway.sanitized or grown < GROWTH, grown .. " bytes grown")

    for i = 1, NODES do
      if not nodes.nodes[i] then nodes:revive(i) end
      nodes.nodes[i]:forget()
    end
    gw:write(text())
    assert.equal(0, (gw:reload()))
    clock.wait_until(function()
      assert.equal(200, assert(client.ask(gw:port(), client.request { target = "/quick" })).status)
      for i = 1, NODES do
        if #nodes.nodes[i]:events "request" == 0 then return false end
      end
      return true
    end, nil, "all nodes to be used again")
    leftovers.wait_none(gw)
    local s = leftovers.status(gw)
    assert.equal(0, s.worker_restarts)
    assert.equal(0, s.reloads_bad)
  end)
end)
