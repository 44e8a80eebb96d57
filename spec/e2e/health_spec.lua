--- Health with the real binary: nodes that fail are left alone, by all loops, and come back [T62 T63 G21].
local certificates = require "support.certificates"
local cjson = require "cjson"
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

--- Upstreams that can be told what to answer: a file in their folder says "fail", "hang", "reset" or "slow".
local function node(name)
  local up
  local deeds = {}
  function deeds.fail(conn) conn:respond(503, "no") end
  function deeds.error(conn) conn:respond(500, "oops") end
  function deeds.reset(conn)
    conn:reset()
    return true
  end
  function deeds.hang(conn)
    conn:wait_end()
    return true
  end
  local mode_file = files.folder() .. "/mode"
  up = upstream.start(function(conn)
    while true do
      local head = conn:read_head()
      if not head or not conn:read_body(head).complete then return end
      local deed = deeds[files.read(mode_file) or ""]
      if not deed then
        conn:respond(200, head.target == "/health" and "all is well" or name)
      elseif deed(conn) then
        return
      end
    end
  end)
  function up.set(_, mode) files.write(mode_file, mode or "") end
  return up
end

local function quoted(list)
  local words = {}
  for i, up in ipairs(list) do words[i] = ("%q"):format(up.node or up) end
  return table.concat(words, ", ")
end

describe("health", function()
  local gw, nodes

  before_each(function()
    nodes = { node "a", node "b", node "c" }
  end)

  after_each(function()
    if gw then gw:stop() end
    gw = nil
    for _, up in ipairs(nodes) do up:stop() end
  end)

  local function start(service, o)
    o = o or {}
    gw = gateway.start(([[
gateway: { threads: %d, grace: 1s }
services: { app: { nodes: [%s], retries: { attempts: %d }, %s } }
routes: [ { path: "/*", service: app } ]
%s]]):format(o.threads or 3, o.nodes or quoted(nodes), o.attempts or 0, service, o.more or ""))
  end

  local function ask(target)
    local res = assert(client.ask(gw:port(), request { target = target or "/" }))
    return res.status, res.body
  end

  --- How often each body came.
  local function counts(times)
    local found = {}
    for _ = 1, times do
      local status, body = ask()
      local key = status == 200 and body or status
      found[key] = (found[key] or 0) + 1
    end
    return found
  end

  local function states()
    local code, out = gw:command("status", "--nodes", "--json")
    assert.equal(0, code)
    return cjson.decode(out)
  end

  local function wait_state(index, state)
    clock.wait_until(function() return states()[index].state == state end, nil, ("node %d %s"):format(index, state))
  end

  describe("as clients see it", function()
    local failures = {
      { "answers 503", "fail", 503 },
      { "resets connections", "reset", 502 },
      { "never answers", "hang", 504 },
    }
    for _, case in ipairs(failures) do
      it("ejects a node that " .. case[1] .. ", for all loops, and takes it back", function()
        start "timeouts: { first_byte: 1s }, health_check: { passive: { failures: 3, eject: 4s } }"
        nodes[2]:set(case[2])
        local found = counts(9)
        assert.equal(3, found[case[3]])
        gw:wait_log("node is ejected service=app node=" .. nodes[2].node:gsub("%p", "%%%0") ..
                    ' reason="3 failures in a row: ')
        assert.same({ a = 15, c = 15 }, counts(30))
        nodes[2]:set()
        gw:wait_log "node is healthy service=app"
        assert.same({ a = 5, b = 5, c = 5 }, counts(15))
      end)
    end

    it("does not eject a node for what may be the request's fault", function()
      start "health_check: { passive: { failures: 3, eject: 30s } }"
      nodes[2]:set "error"
      assert.same({ a = 10, c = 10, [500] = 10 }, counts(30))
    end)

    it("ejects by the share of failures", function()
      start "health_check: { passive: { failures: 0, error_ratio: 0.5, min_requests: 4, eject: 30s } }"
      nodes[2]:set "fail"
      counts(12)
      gw:wait_log '4 of 4 requests failed: Service Unavailable"'
      assert.same({ a = 6, c = 6 }, counts(12))
    end)

    it("ejects nodes that cannot be connected to, but not too many of them", function()
      start("health_check: { passive: { failures: 1, eject: 30s, max_ejected: 50% } }",
            { nodes = quoted { nodes[1], upstream.nobody(), nodes[2], upstream.nobody(), upstream.nobody() } })
      counts(20)
      local ejected = 0
      for _, n in ipairs(states()) do
        if n.state == "ejected" then ejected = ejected + 1 end
      end
      assert.equal(2, ejected)
    end)

    it("tries another node where a retry is allowed", function()
      start("health_check: { passive: { failures: 1, eject: 30s } }",
            { nodes = quoted { upstream.nobody(), nodes[1], nodes[2] }, attempts = 1 })
      assert.is_nil(counts(10)[502])
    end)

    it("stays over a reload, and is forgotten with its configuration", function()
      start "health_check: { passive: { failures: 3, eject: 60s } }"
      nodes[2]:set "fail"
      counts(9)
      nodes[2]:set()
      local yaml = files.read(gw.file)
      gw:write((yaml:gsub("routes:", "routes: # another generation\n")))
      assert.equal(0, (gw:reload()))
      assert.same({ a = 6, c = 6 }, counts(12))
      assert.equal("ejected", states()[2].state)
      gw:write((yaml:gsub("health_check: %b{}", "slow_start: 0")))
      assert.equal(0, (gw:reload()))
      assert.same({ a = 4, b = 4, c = 4 }, counts(12))
    end)
  end)

  describe("as checks see it", function()
    local CHECK = "active: { path: /health, interval: 60ms, healthy: 2, unhealthy: 2%s }"

    it("leaves a node alone whose checks fail, before any client sees it, until they succeed", function()
      start("health_check: { " .. CHECK:format "" .. " }")
      nodes[2]:set "fail"
      gw:wait_log("node is unhealthy service=app node=" .. nodes[2].node:gsub("%p", "%%%0") .. ' reason="status 503"')
      assert.same({ a = 15, c = 15 }, counts(30))
      nodes[2]:set()
      gw:wait_log "node is healthy service=app"
      assert.same({ a = 5, b = 5, c = 5 }, counts(15))
    end)

    local cases = {
      { "a status that is not expected", ", expect: [201]", nil, "status 200" },
      { "a status in a range", ', expect: ["200-204", 301]', nil, nil },
      { "a text in the body", ", body: all is well", nil, nil },
      { "a text that the body lacks", ", body: all is lost", nil, "status 200, but the body lacks the text" },
      { "a node that hangs", ", timeout: 300ms", "hang", "timeout after 300 ms" },
      { "a node that resets", "", "reset", "upstream closed the connection early" },
      { "a node that answers 500", "", "error", "status 500" },
    }
    for _, case in ipairs(cases) do
      it("tells of " .. case[1], function()
        nodes[1]:set(case[3])
        start("health_check: { " .. CHECK:format(case[2]) .. " }")
        local expected = case[4]
        clock.wait_until(function()
          local checks = states()[1].checks
          return #checks >= 3 and (expected ~= nil) == not checks[1].good and
                 (not expected or checks[1].reason == expected)
        end, nil, "checks that tell so")
      end)
    end

    it("asks as it is told to", function()
      start([[health_check: { active: { path: "/h?deep=1", method: POST, host: inner.test, interval: 60ms,
              headers: { X-Check: "yes", User-Agent: mine } } }]])
      local seen = nodes[1]:wait_event("head", function(e) return e.text:find "^POST /h%?deep=1 " end)
      assert.truthy(seen.text:find "\r\nHost: inner.test\r\n")
      assert.truthy(seen.text:lower():find "\r\nx%-check: yes\r\n")
      assert.truthy(seen.text:lower():find "\r\nuser%-agent: mine\r\n")
      assert.is_nil(seen.text:find "tidegate%-check")
    end)

    it("asks once per interval, whatever the number of loops", function()
      local began = clock.now()
      start("health_check: { active: { path: /health, interval: 300ms } }", { threads = 4 })
      clock.wait_until(function() return #nodes[1]:requests() >= 8 end, 20, "eight checks")
      local asked = #nodes[1]:requests()
      assert.is_true(asked <= 1 + (clock.now() - began) / 0.27)      -- an interval is at least 270 ms
    end)

    it("connects, where tcp is asked for", function()
      start("health_check: { active: { type: tcp, interval: 60ms, unhealthy: 2 } }",
            { nodes = quoted { nodes[1], upstream.nobody() } })
      wait_state(2, "unhealthy")
      local list = states()
      assert.equal("upstream refused the connection", list[2].reason)
      assert.equal("connected", list[1].checks[1].reason)
      assert.equal("", nodes[1]:bytes())
    end)

    it("speaks TLS with nodes that do", function()
      local authority = certificates.authority()
      local served = certificates.sign(authority, "served", "DNS:served.test")
      local secure = gateway.start(([[
listen: [ { address: "127.0.0.1:0", tls: { certificates: [ { cert: %q, key: %q } ] } } ]
routes: [ { path: /, respond: { body: safe } } ]
]]):format(served.cert, served.key))
      start(([[health_check: { active: { interval: 60ms, unhealthy: 1, body: safe } },
               tls: { ca: %q, server_name: served.test }]]):format(authority.ca),
            { nodes = ('"https://127.0.0.1:%d", "https://%s"'):format(secure:port(), nodes[1].node) })
      wait_state(2, "unhealthy")        -- it does not speak TLS at all
      clock.wait_until(function() return #states()[1].checks >= 2 end, nil, "checks of the other one")
      assert.equal("status 200", states()[1].checks[1].reason)
      secure:stop()
    end)

    it("keeps what it knows over a reload, the last checks too", function()
      start("health_check: { " .. CHECK:format "" .. " }")
      nodes[2]:set "fail"
      wait_state(2, "unhealthy")
      local before = #states()[2].checks
      gw:write((files.read(gw.file):gsub("routes:", "routes: # another generation\n")))
      assert.equal(0, (gw:reload()))
      local after = states()[2]
      assert.equal("unhealthy", after.state)
      assert.is_true(#after.checks >= before)
      assert.same({ a = 3, c = 3 }, counts(6))
    end)

    it("uses all nodes when none is healthy, or none where that is wished", function()
      start("health_check: { " .. CHECK:format ", expect: [201]" .. " }")
      for i = 1, 3 do wait_state(i, "unhealthy") end
      assert.same({ a = 3, b = 3, c = 3 }, counts(9))
      gw:write((files.read(gw.file):gsub("health_check: {", "health_check: { panic: fail,")))
      assert.equal(0, (gw:reload()))
      assert.same({ [503] = 5 }, counts(5))
    end)

    it("uses a backup when no other node is healthy", function()
      start("health_check: { " .. CHECK:format "" .. " }",
            { nodes = ("%q, { url: %q, backup: true }"):format(nodes[1].node, nodes[2].node) })
      assert.same({ a = 5 }, counts(5))
      nodes[1]:set "fail"
      wait_state(1, "unhealthy")
      assert.same({ b = 5 }, counts(5))
    end)
  end)

  it("tells of a node that fails and that nobody checks [T63]", function()
    start("slow_start: 0s", {
      nodes = quoted { nodes[1], nodes[2] }, attempts = 1, more = 'metrics: { listen: "unix:m.sock" }\n',
    })
    nodes[2]:stop()
    for _ = 1, 4 do assert.equal(200, (ask())) end
    local text = select(2, gw:command("status", "--nodes"))
    local function row(up) return "app +" .. up.node:gsub("%p", "%%%0") .. " +1 +healthy +start +0 +" end
    local failed = text:match(row(nodes[2]) .. "(%d+) +0 +none +no health_check\n")
    assert.is_true((tonumber(failed) or 0) >= 2, text)
    assert.truthy(text:match(row(nodes[1]) .. "0 +0 +none +no health_check\n"), text)
    assert.truthy(select(2, gw:command "status"):find("  nodes        2, all usable\n", 1, true))
    local metrics = assert(client.ask(gw.folder .. "/m.sock", request { target = "/metrics" })).body
    local name = ('tidegate_node_failed_tries_total{service="app",node="%s"} '):format(nodes[2].node)
    assert.truthy(metrics:find(name .. failed .. "\n", 1, true))
  end)

  it("tells of a node that only max_ejected keeps", function()
    start "health_check: { passive: { failures: 1, eject: 60s, max_ejected: 0% } }"
    nodes[2]:set "fail"
    counts(4)
    local text = select(2, gw:command("status", "--nodes"))
    assert.truthy(text:find("no more nodes may be ejected: max_ejected", 1, true), text)
  end)

  it("is told for people and for programs", function()
    start("health_check: { passive: { failures: 1, eject: 60s } }", { more = 'metrics: { listen: "unix:m.sock" }\n' })
    nodes[2]:set "fail"
    counts(3)
    local code, text = gw:command("status", "--nodes")
    assert.equal(0, code)
    assert.truthy(text:match "^service +node +weight +state +since +in hand +failed +in a row +checks +reason\n")
    assert.truthy(text:match("app +" .. nodes[2].node:gsub("%p", "%%%0") ..
                             " +1 +ejected +%d+s +0 +1 +1 +none +1 failures in a row: Service Unavailable"))
    assert.truthy(select(2, gw:command "status"):find(
      ("  nodes        3, 2 usable: app %s is ejected\n"):format(nodes[2].node), 1, true))
    local metrics = assert(client.ask(gw.folder .. "/m.sock", request { target = "/metrics" })).body
    assert.truthy(metrics:find(('tidegate_node_healthy{service="app",node="%s"} 0\n'):format(nodes[2].node), 1, true))
    assert.truthy(metrics:find(('tidegate_node_healthy{service="app",node="%s"} 1\n'):format(nodes[1].node), 1, true))
    assert.truthy(metrics:find(('tidegate_node_state_changes_total{service="app",node="%s"} 1\n'):format(nodes[2].node),
                               1, true))
  end)
end)
