--- Three nodes on a bad day, and clients that do not notice: one answers every other request with 503, one hangs, one
-- is good [G24].
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local load = require "support.load"
local upstream = require "support.upstream"

local PER_TRY = 0.5
local SLACK = gateway.sanitized and 0.3 or 0.05

local CONFIG = [[
gateway: { threads: 2, grace: 1s }
services:
  app:
    nodes: [NODES]
    retries: { attempts: 3, on: [connect, reset, timeout, "503"], per_try: 500ms, budget: 50% }
    health_check: { passive: { failures: 3, eject: 60s } }
routes: [{ path: "/*", service: app }]
]]

local function flaps(conn, head)
  conn:read_body(head)
  conn.turn = not conn.turn
  conn:respond(conn.turn and 503 or 200, "ok")
end

local function hangs(conn)
  conn:wait_end()
  return true
end

describe("a service with bad nodes", function()
  local nodes, gw = {}, nil

  before_each(function()
    local list = {}
    for i, deed in ipairs { flaps, hangs, upstream.ok } do
      nodes[i] = upstream.by_path { default = deed }
      list[i] = ('"%s"'):format(nodes[i].node)
    end
    gw = gateway.start((CONFIG:gsub("NODES", table.concat(list, ", "))))
  end)

  after_each(function()
    gw:stop()
    for _, up in ipairs(nodes) do up:stop() end
  end)

  --- Asks one after the other for some seconds: how long each took, from the least, and how many failed.
  local function ask_for(seconds)
    local c, times, failed, ends = client.connect(gw:port()), {}, 0, clock.now() + seconds
    repeat
      local before = clock.now()
      c:send(client.request {})
      local res = assert(c:response())
      times[#times + 1] = clock.now() - before
      if res.status ~= 200 then failed = failed + 1 end
    until before > ends
    c:close()
    table.sort(times)
    return times, failed
  end

  it("answers every GET, and soon", function()
    local others = load.start { to = gw:port(), clients = 3 }
    ask_for(1)
    local p99 = clock.quickest(PER_TRY + SLACK, function()
      local times, failed = ask_for(2)
      assert.equal(0, failed)
      assert.is_true(#times > 50, #times .. " requests")
      return times[math.ceil(#times * 0.99)]
    end)
    local _, failures = others:stop()
    assert.same({}, failures)
    assert.is_true(p99 <= PER_TRY + SLACK, ("p99 is %.0f ms"):format(p99 * 1000))
    local _, status = gw:command("status", "--nodes")
    assert.truthy(status:find(nodes[2].node .. "%s+1  ejected"))
    assert.is_true(#nodes[1]:requests() > 10)
  end)
end)
