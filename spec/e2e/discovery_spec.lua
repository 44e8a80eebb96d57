--- Nodes that are discovered, by SRV records or by a file, with the real binary: they change while requests run, and
-- what cannot be read changes nothing [T65 G21].
local client = require "support.client"
local clock = require "support.clock"
local discovering = require "support.discovering"
local files = require "support.files"
local leftovers = require "support.leftovers"
local load = require "support.load"

local request = client.request

describe("discovery", function()
  local gw, dns, app

  local begin = discovering(function(...) app, dns = ... end)

  local function start(service, contents)
    gw = begin(service, { resolver = "max_ttl: 200ms", files = contents })
  end

  local function nodes()
    local list = {}
    for _, node in ipairs(leftovers.status(gw, "--nodes")) do
      if node.state ~= "draining" then
        list[#list + 1] = ("%s*%d%s"):format(node.node:gsub("^127%.0%.0%.(%d+):%d+$", "%1"), node.weight,
                                     node.backup and " backup" or "")
      end
    end
    return list
  end

  local function wait_nodes(...)
    local wanted = table.concat({ ... }, ", ")
    clock.wait_until(function() return table.concat(nodes(), ", ") == wanted end, nil, "the nodes " .. wanted)
  end

  local function ask(target) return assert(client.ask(gw:port(), request { target = target })) end

  local function source() return leftovers.status(gw).discovery[1] end

  describe("by SRV records", function()
    --- A zone with these records, and a name for each address that ends with a number.
    local function zone(records, hosts)
      local all = { ["_http._tcp.app.test"] = { SRV = records } }
      for i = 1, 9 do all["n" .. i .. ".test"] = { A = { "127.0.0." .. i } } end
      for name, addresses in pairs(hosts or {}) do all[name] = { A = addresses } end
      dns:set(all)
    end

    it("takes weights, ports and priorities: the lowest is the nodes, others are backups", function()
      zone { { 10, 3, app.port, "n2.test" }, { 10, 0, app.port, "n1.test." }, { 20, 5, app.port, "N3.test" } }
      start "discovery: { dns: _http._tcp.app.test }"
      assert.same({ "1*1", "2*3", "3*5 backup" }, nodes())
      local found = {}
      for _ = 1, 12 do
        local body = ask().body
        found[body] = (found[body] or 0) + 1
      end
      assert.same({ ["127.0.0.1"] = 3, ["127.0.0.2"] = 9 }, found)
    end)

    it("adds to nodes, and follows records and addresses without a failure", function()
      zone { { 1, 1, app.port, "n1.test" } }
      start 'nodes: ["127.0.0.20:PORT"], discovery: { dns: _http._tcp.app.test }'
      wait_nodes("20*1", "1*1")
      local running = load.start { to = gw:port(), clients = 3 }
      zone { { 1, 1, app.port, "n1.test" }, { 1, 2, app.port, "n2.test" } }
      wait_nodes("20*1", "1*1", "2*2")
      zone({ { 1, 1, app.port, "n1.test" } }, { ["n1.test"] = { "127.0.0.8", "127.0.0.9" } })
      wait_nodes("20*1", "8*1", "9*1")
      zone { { 1, 0, app.port, "missing.test" }, { 1, 0, app.port, "n3.test" } }
      wait_nodes("20*1", "3*1")
      running:wait(100)
      local _, failures = running:stop()
      assert.same({}, failures)
    end)

    it("keeps the last records when there are none any more", function()
      zone { { 1, 1, app.port, "n4.test" } }
      start "discovery: { dns: _http._tcp.app.test }"
      for _, trouble in ipairs { {}, { SRV = { { 0, 0, 0, "." } } }, { rcode = 2 }, { garbage = true } } do
        dns:set { ["_http._tcp.app.test"] = trouble, ["n4.test"] = { A = { "127.0.0.4" } } }
        dns:wait_question("SRV", 2)
        assert.same({ "4*1" }, nodes())
        assert.equal("127.0.0.4", ask().body)
      end
    end)

    it("follows aliases, and asks over TCP for what is too long", function()
      local records = {}
      for i = 1, 100 do records[i] = { 1, 1, app.port, ("a-rather-long-name-%d.test"):format(i) } end
      local all = { ["_http._tcp.app.test"] = { CNAME = "other.test" }, ["other.test"] = { SRV = records } }
      for i = 1, 100 do all[records[i][4]] = { A = { "127.0.0." .. 100 + i } } end
      dns:set(all)
      start "discovery: { dns: _http._tcp.app.test }"
      clock.wait_until(function() return #nodes() == 100 end, nil, "100 nodes")
      assert.matches("tcp SRV _http._tcp.app.test", table.concat(dns:questions(), "\n"))
    end)
  end)

  it("by a name with a port is a node of that name", function()
    dns:set { ["app.test"] = { A = { "127.0.0.6", "127.0.0.5" } } }
    start 'discovery: { dns: "app.test:PORT" }'
    assert.same({ "5*1", "6*1" }, nodes())
  end)

  it("takes 1,000 addresses of one name", function()
    local addresses = {}
    for i = 1, 1000 do addresses[i] = ("127.1.%d.%d"):format(math.floor(i / 250), i % 250 + 1) end
    dns:set { ["app.test"] = { A = addresses } }
    start 'nodes: ["app.test:PORT"]'
    assert.equal(1000, #nodes())
    local seen, count = {}, 0
    local c = client.connect(gw:port())
    for _ = 1, 30 do
      c:send(request {})
      local body = assert(c:response()).body
      if not seen[body] then seen[body], count = true, count + 1 end
    end
    c:close()
    assert.equal(30, count)
  end)

  describe("by a file", function()
    local function node(i, more) return ('{"url": "127.0.0.%d:%d"%s}'):format(i, app.port, more or "") end

    local function list(...) return "[" .. table.concat({ ... }, ", ") .. "]" end

    local function save(text)
      files.write(gw.folder .. "/nodes.json.new", text)
      assert(os.rename(gw.folder .. "/nodes.json.new", gw.folder .. "/nodes.json"))
    end

    it("takes what nodes takes, in JSON or YAML", function()
      start("discovery: { file: nodes.json }",
            { ["nodes.json"] = list(node(1, ', "weight": 4'), node(2, ', "backup": true'),
                                     node(3, ', "enabled": false')) })
      assert.same({ "1*4", "2*1 backup" }, nodes())
      save(("- 127.0.0.5:PORT\n- { url: 'http://127.0.0.6:PORT', weight: 2, labels: { zone: a } }\n")
        :gsub("PORT", app.port))
      wait_nodes("5*1", "6*2")
      save "[]"
      wait_nodes()
      assert.equal(503, ask().status)
    end)

    it("changes nodes under load without a failure, and keeps what is known of those that stay", function()
      start("health_check: { passive: { failures: 1, eject: 60s } }, discovery: { file: nodes.json }",
            { ["nodes.json"] = list(node(1), node(2), node(3)) })
      assert.equal(503, ask("/fail").status)
      gw:wait_log "node is ejected"
      local function ejected()
        for _, n in ipairs(leftovers.status(gw, "--nodes")) do
          if n.state == "ejected" then return n.node end
        end
      end
      local out = ejected()
      local running = load.start { to = gw:port(), clients = 3 }
      local before = leftovers.status(gw).generation
      for turn = 4, 8 do
        save(list(node(1), node(2), node(3), node(turn)))
        wait_nodes("1*1", "2*1", "3*1", turn .. "*1")
        assert.equal(out, ejected())
        running:wait(20)
      end
      local _, failures = running:stop()
      assert.same({}, failures)
      assert.equal(before, leftovers.status(gw).generation)       -- nothing else was made anew
    end)

    local broken = {
      { "a syntax error", '["127.0.0.9:80"', "nodes.json:2:1: expected a comma or ]" },
      { "no list", "nodes: []", "nodes.json:1:1: expected a list of nodes" },
      { "an empty text", "", "nodes.json:1:1: expected a list of nodes; where there are none, write %[%]" },
      { "an unknown key", '[{ url: "127.0.0.9:80", wieght: 1 }]', 'unknown key; did you mean "weight"' },
      { "another protocol", '["https://127.0.0.9:80"]', "expected http as the service speaks it, found https" },
      { "no node", "[17]", "expected" },
      { "too many nodes", "[" .. ('"127.0.0.9:80",'):rep(4097) .. "]", "4096" },
    }
    it("keeps the last good nodes, and tells what is wrong and where", function()
      start("discovery: { file: nodes.json }", { ["nodes.json"] = list(node(7)) })
      for _, case in ipairs(broken) do
        save(case[2])
        clock.wait_until(function() return source().failures > 0 end, nil, "a failure: " .. case[1])
        assert.matches(case[3], source().error)
        gw:wait_log(case[3]:gsub('"', '\\?"'))
        assert.same({ "7*1" }, nodes())
        assert.equal("127.0.0.7", ask().body)
        assert.matches("those that were found last", gw:log())
        save(list(node(7)))
        clock.wait_until(function() return source().failures == 0 end, nil, "the end of it: " .. case[1])
      end
      os.remove(gw.folder .. "/nodes.json")
      clock.wait_until(function() return source().failures > 0 end, nil, "a failure: no file")
      assert.matches("cannot be read: No such file", source().error)
      assert.matches("nodes%.json +1 .*ago +when it is saved", (select(2, gw:command("status", "--nodes"))))
      assert.equal("127.0.0.7", ask().body)
    end)

    it("may come later than the gateway", function()
      start "discovery: { file: nodes.json }"
      assert.equal(503, ask().status)
      gw:wait_log "nodes cannot be found from=/[^ ]*/nodes.json why=\".*cannot be read: No such file"
      save(list(node(8)))
      wait_nodes "8*1"
      assert.equal("127.0.0.8", ask().body)
    end)

    it("stays as it is over a reload, and goes with its service", function()
      start("discovery: { file: nodes.json }", { ["nodes.json"] = list(node(1)) })
      save "["
      clock.wait_until(function() return source().failures > 0 end, nil, "a failure")
      assert.equal(0, (gw:reload()))
      assert.same({ "1*1" }, nodes())
      gw:write(([[
gateway: { threads: 2, grace: 1s }
services: { app: "127.0.0.3:%d" }
routes: [ { path: "/*", service: app } ]
]]):format(app.port))
      wait_nodes "3*1"
      clock.wait_until(function() return source() == nil end, nil, "no source")
      save(list(node(1)))
      assert.equal("127.0.0.3", ask().body)
    end)
  end)
end)
