--- Names of nodes with the real binary, asked of a real name server: several addresses are several nodes, answers hold
-- as long as they say, and a resolver that fails changes nothing [T65 G21].
local client = require "support.client"
local clock = require "support.clock"
local discovering = require "support.discovering"
local dns_server = require "support.dns_server"
local leftovers = require "support.leftovers"
local load = require "support.load"

local request = client.request

describe("names of nodes", function()
  local gw, dns, app

  local begin = discovering(function(...) app, dns = ... end)
  local function start(service, o) gw = begin(service, o) end

  local function ask(target) return (assert(client.ask(gw:port(), request { target = target }))) end

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
    end, nil, "requests to " .. table.concat(list, " "))
  end

  local function names() return leftovers.status(gw).names end

  local function nodes()
    local list = {}
    for i, node in ipairs(leftovers.status(gw, "--nodes")) do
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
      clock.wait_until(function() return names()[1].failures > 0 end, nil, "a failure: " .. trouble[1])
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

  it("keep what is known of the nodes that stay, and the checks that are under way", function()
    dns:set { ["app.test"] = { A = { "127.0.0.2", "127.0.0.3" } } }
    start([[nodes: ["app.test:PORT"], health_check: {
      active: { path: /fail, interval: 700ms, timeout: 500ms, unhealthy: 4 }, passive: { failures: 1, eject: 60s } }]],
          { resolver = "max_ttl: 100ms" })
    assert.equal(503, ask("/fail").status)
    local function states()
      local all = {}
      for _, node in ipairs(leftovers.status(gw, "--nodes")) do all[node.node:match "^[%d.]+"] = node end
      return all
    end
    local function count(state)
      local n = 0
      for _, node in pairs(states()) do n = n + (node.state == state and 1 or 0) end
      return n
    end
    clock.wait_until(function() return count "ejected" + count "unhealthy" > 0 end, 20, "a bad node")
    local turn, before = 0, select(2, gw:log():gsub("a service has other nodes", ""))
    -- Names change more often than checks are made: these go on, and both nodes that stay become unhealthy by them.
    clock.wait_until(function()
      turn = turn + 1
      dns:set { ["app.test"] = { A = { "127.0.0.2", "127.0.0.3", "127.0.1." .. turn } } }
      local all = states()
      return all["127.0.0.2"].state == "unhealthy" and all["127.0.0.3"].state == "unhealthy"
    end, 30, "checks of the nodes that stay")
    clock.wait_until(function()
      return select(2, gw:log():gsub("a service has other nodes", "")) > before + 1
    end, nil, "changes of the names")
  end)

  it("may have IPv6 addresses, alone or beside others, and aliases", function()
    dns:set {
      ["six.test"] = { AAAA = { "::1" } }, ["both.test"] = { A = { "127.0.0.2" }, AAAA = { "::1" } },
      ["alias.test"] = { CNAME = "next.test" }, ["next.test"] = { CNAME = "both.test" },
    }
    start 'nodes: ["six.test:PORT", { url: "both.test:PORT", weight: 2 }, { url: "alias.test:PORT", weight: 3 }]'
    assert.same({ "[::1]*1", "127.0.0.2*2", "[::1]*2", "127.0.0.2*3", "[::1]*3" }, nodes())
  end)

  it("of /etc/hosts need no name server", function()
    dns:set { localhost = { A = { "127.0.0.9" } } }
    start 'nodes: ["LOCALHOST:PORT"]'
    for _, address in ipairs(reached(4)) do assert.equal("127.0.0.1", address) end
    assert.equal("", table.concat(dns:questions(), "\n"))
  end)

  it("are not asked for before their time is over", function()
    dns:set { ["app.test"] = { A = { "127.0.0.2" }, ttl = 3600 }, ["other.test"] = { A = { "127.0.0.3" }, ttl = 0 } }
    start 'nodes: ["app.test:PORT", "other.test:PORT"]'
    dns:wait_question(" A other.test", 4)
    assert.equal(0, (gw:reload()))
    assert.same({ "127.0.0.2", "127.0.0.3" }, reached(8))
    local asked = 0
    for _, line in ipairs(dns:questions()) do asked = asked + (line:find " A app.test" and 1 or 0) end
    assert.equal(1, asked)
  end)

  it("are asked of other servers after a reload that says so", function()
    dns:set { ["app.test"] = { A = { "127.0.0.2" } } }
    start 'nodes: ["app.test:PORT"]'
    local other = dns_server.start { ["app.test"] = { A = { "127.0.0.3" } } }
    gw:write(([[
gateway: { threads: 2, grace: 1s, resolver: { servers: "%s", min_ttl: 100ms } }
services: { app: { nodes: ["app.test:%d"] } }
routes: [ { path: "/*", service: app } ]
]]):format(other:address(), app.port))
    wait_reached { "127.0.0.3" }
    other:stop()
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
