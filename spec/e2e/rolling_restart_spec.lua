--- All three nodes of a service are started anew, one after the other, under load: no request of any method fails.
local cjson = require "cjson"
local clock = require "support.clock"
local crew = require "support.crew"
local files = require "support.files"
local gateway = require "support.gateway"
local load = require "support.load"

local METHODS = {
  { method = "GET" }, { method = "POST", body = "an order" }, { method = "PATCH", body = "a change" },
  { method = "DELETE" },
}

describe("a rolling restart of three nodes under load", function()
  local nodes, gw

  local function start(o, pool)
    nodes = {}
    local list = {}
    for i = 1, 3 do
      nodes[i] = crew.start(o)
      list[i] = ('      - { url: "http://%s" }'):format(nodes[i].node)
    end
    gw = gateway.start(([[
gateway: { threads: 2, grace: 1s }
services:
  app:
    nodes:
%s
    pool: { %s }
routes: [{ path: "/*", service: app }]
]]):format(table.concat(list, "\n"), pool))
  end

  after_each(function()
    if gw then gw:stop() end
    gw = nil
    for _, node in ipairs(nodes) do node:stop() end
  end)

  --- Restarts each node while clients ask with all methods; nobody may notice.
  local function restart_all(restart)
    local loads = {}
    for i, r in ipairs(METHODS) do
      loads[i] = load.start { to = gw:port(), clients = 2, method = r.method, body = r.body }
    end
    for _, node in ipairs(nodes) do
      loads[1]:wait(50)
      restart(node)
    end
    local answered, requests = 0, 0
    for _, one in ipairs(loads) do
      one:wait(50)
      local count, failures = one:stop()
      assert.same({}, failures)
      requests = requests + count
    end
    for _, node in ipairs(nodes) do
      assert.is_true(node:seen().answered > 0)          -- the new process has its share
      answered = answered + node:answered()
    end
    -- Each was done once; but a GET or DELETE may be asked again.
    assert.is_true(answered >= requests, ("%d answers for %d requests"):format(answered, requests))
  end

  local function reload(text)
    gw:write(text)
    assert.equal(0, (gw:reload()))
  end

  local function is_drained(node)
    for _, one in ipairs(cjson.decode((select(2, gw:command("status", "--nodes", "--json"))))) do
      if one.node == node.node then return false end
    end
    return true
  end

  it("costs nothing where each node is disabled, drained, restarted and enabled", function()
    start({ delay = 0.01, owns = true }, "idle: 60s")
    local yaml = files.read(gw.file)
    restart_all(function(node)
      local at = node.node:gsub("%p", "%%%0")
      reload((yaml:gsub('("http://' .. at .. '")', "%1, enabled: false")))
      clock.wait_until(function() return is_drained(node) end, 20, "a node without requests")
      node:restart()
      reload(yaml)
    end)
    assert.is_nil(gw:log():find("refused the connection", 1, true))
  end)

  -- The gateway has to end idle connections before the node does.
  it("costs nothing where nodes drain by themselves, and the gateway is not told", function()
    start({ delay = 0.01 }, "idle: 300ms")
    restart_all(function(node) node:restart() end)
  end)
end)
