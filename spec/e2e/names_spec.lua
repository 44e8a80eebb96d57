--- Names of nodes with the real binary, asked of a real name server: several addresses are several nodes, answers hold
-- as long as they say, and a resolver that fails changes nothing [T65 G21].
local cjson = require "cjson"
local client = require "support.client"
local clock = require "support.clock"
local dns_server = require "support.dns_server"
local gateway = require "support.gateway"
local load = require "support.load"
local upstream = require "support.upstream"
local wire = require "support.wire"

local request = client.request

--- One upstream on all addresses of this machine; it answers with the one that it was reached at.
local function everywhere()
  return upstream.start(function(conn)
    local address = wire.reached(conn.fd)
    while true do
      local head = conn:read_head()
      if not head or not conn:read_body(head).complete then return end
      conn:respond(200, address)
    end
  end, { address = "0.0.0.0" })
end

describe("names of nodes", function()
  local gw, dns, app

  before_each(function()
    app = everywhere()
    dns = dns_server.start {}
  end)

  after_each(function()
    if gw then gw:stop() end
    gw = nil
    dns:stop()
    app:stop()
  end)

  local function start(service, o)
    o = o or {}
    gw = gateway.start(([[
gateway: { threads: %d, grace: 1s, resolver: { servers: "%s", min_ttl: %s, timeout: %s, %s } }
services: { app: { %s } }
routes: [ { path: "/*", service: app } ]
]]):format(o.threads or 2, dns:address(), o.min_ttl or "100ms", o.timeout or "300ms", o.resolver or "",
           service:gsub("PORT", app.port)))
  end

  local function ask() return (assert(client.ask(gw:port(), request {}))) end

  --- Where so many requests came out, as a sorted list.
  local function reached(times)
    local seen, list = {}, {}
    for _ = 1, times do
      local res = ask()
      seen[res.status == 200 and res.body or tostring(res.status)] = true
    end
    for key in pairs(seen) do list[#list + 1] = key end
    table.sort(list)
    return list
  end

  local function wait_reached(list, times)
    table.sort(list)
    clock.wait_until(function()
      local found = reached(times or 8)
      return table.concat(found, " ") == table.concat(list, " ")
    end, 10, "requests to " .. table.concat(list, " "))
  end

  local function names()
    local _, out = gw:command("status", "--json")
    return cjson.decode(out).names
  end

  local function nodes()
    local _, out = gw:command("status", "--nodes", "--json")
    local list = {}
    for i, node in ipairs(cjson.decode(out)) do
      list[i] = ("%s*%d%s"):format(node.node:gsub(":%d+$", ""), node.weight, node.backup and " backup" or "")
    end
    return list
  end

  it("that have several addresses are several nodes, of which each has the weight", function()
    dns:set { ["app.test"] = { A = { "127.0.0.3", "127.0.0.2" } } }
    start 'nodes: [{ url: "app.test:PORT", weight: 3 }, "127.0.0.9:PORT"]'
    assert.same({ "127.0.0.2", "127.0.0.3", "127.0.0.9" }, reached(21))
    assert.same({ "127.0.0.2*3", "127.0.0.3*3", "127.0.0.9*1" }, nodes())
  end)

  it("are asked for again when their time is over, and nothing fails for it", function()
    dns:set { ["app.test"] = { A = { "127.0.0.1", "127.0.0.2" } } }
    start('nodes: ["app.test:PORT"]', { resolver = "max_ttl: 200ms" })
    local running = load.start { to = gw:port(), clients = 3 }
    for turn = 3, 8 do
      dns:set { ["app.test"] = { A = { "127.0.0." .. turn, "127.0.0." .. turn + 10 } } }
      wait_reached { "127.0.0." .. turn, "127.0.0." .. turn + 10 }
      running:wait(50)
    end
    local asked, failures = running:stop()
    assert.same({}, failures)
    assert.is_true(asked > 300)
  end)

  it("keep their last good answer while the resolver fails, and status tells how old it is", function()
    dns:set { ["app.test"] = { A = { "127.0.0.4" } } }
    start 'nodes: ["app.test:PORT"]'
    local troubles = {
      { "SERVFAIL", { rcode = 2 } }, { "REFUSED", { rcode = 5 } }, { "no answer", { silent = true } },
      { "garbage", { garbage = true } }, { "an answer to something else", { wrong_id = true } },
      { "a name without end", { loop = true } }, { "no address", {} },
    }
    for _, trouble in ipairs(troubles) do
      dns:set { ["app.test"] = trouble[2] }
      clock.wait_until(function() return names()[1].failures > 0 end, 10, "a failure: " .. trouble[1])
      assert.same({ "127.0.0.4" }, reached(2))
      assert.is_true(names()[1].answered > 0)
      local _, text = gw:command("status", "--nodes")
      assert.matches("app%.test +1 +%d+s ago +in %d+s +%d+ +%u", text)
      dns:set { ["app.test"] = { A = { "127.0.0.4" } } }
      clock.wait_until(function() return names()[1].failures == 0 end, 20, "the end of it: " .. trouble[1])
    end
    dns:set {}
    gw:wait_log 'cannot resolve a name name=app.test why="Domain name not found" in_force="the last good answer"'
    dns:stop()
    clock.wait_until(function() return names()[1].failures > 2 end, 20, "more failures")
    assert.same({ "127.0.0.4" }, reached(2))
    dns:set { ["app.test"] = { A = { "127.0.0.5" } } }
    dns:again()
    wait_reached { "127.0.0.5" }
  end)

  it("need not be there at the start: 503 says so until they are", function()
    start 'nodes: ["late.test:PORT"]'
    local res = ask()
    assert.equal(503, res.status)
    assert.matches("no address of its nodes is known", res.body)
    gw:wait_log "cannot resolve a name name=late.test"
    dns:set { ["late.test"] = { A = { "127.0.0.7" } } }
    wait_reached { "127.0.0.7" }
    gw:wait_log "a service has other nodes service=app nodes=1 before=0"
  end)
end)
