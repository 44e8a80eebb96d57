--- A node that takes long to be reached is not waited for alone: another one is tried beside it (RFC 8305) [G22].
local black_hole = require "support.black_hole"
local certificates = require "support.certificates"
local client = require "support.client"
local clock = require "support.clock"
local dns_server = require "support.dns_server"
local gateway = require "support.gateway"
local leftovers = require "support.leftovers"
local upstream = require "support.upstream"

local request = client.request

local DELAY = 0.25                      -- of timeouts.connect_delay, where nothing else is said
local SLACK = 0.9

describe("a connect that takes long", function()
  local gw, open

  before_each(function() open = {} end)

  after_each(function()
    if gw then
      leftovers.wait_none(gw)
      gw:stop()
    end
    gw = nil
    for _, thing in ipairs(open) do (thing.stop or thing.close)(thing) end
  end)

  local function keep(thing)
    open[#open + 1] = thing
    return thing
  end

  local function hole(o) return keep(black_hole.open(o)) end
  local function good(o) return keep(upstream.by_path({ default = upstream.echo }, o)) end

  --- A service with these nodes, each on new connections where nothing else is said, and further keys.
  local function start(nodes, more, resolver)
    local words = {}
    for i, node in ipairs(nodes) do
      words[i] = ("{ url: %q, backup: %s }"):format(node.node or node, node.is_backup and "true" or "false")
    end
    if not (more or ""):find "pool:" then more = (more or "") .. ", pool: { idle_per_node: 0 }" end
    gw = gateway.start(([[
gateway: { threads: 1, grace: 1s, %s }
services: { app: { nodes: [%s], %s } }
routes: [{ path: "/*", service: app }, { path: "/brief", service: app, timeout: 400ms }]
]]):format(resolver or "", table.concat(words, ", "), more:gsub("^, ", "")))
  end

  --- @treturn table the response
  -- @treturn number seconds until it was there
  local function ask(r)
    local began = clock.now()
    local response = assert(client.ask(gw:port(), request(r or {}), { timeout = 10 }))
    return response, clock.now() - began
  end

  --- The longest of so many requests that are all answered with 200: each node is the first to be asked.
  local function longest_of(n, r)
    local longest = 0
    for _ = 1, n do
      local response, took = ask(r)
      assert.equal(200, response.status)
      longest = math.max(longest, took)
    end
    return longest
  end

  local function races() return leftovers.status(gw).upstream_races end
  local function is_about(seconds, took) assert.is_true(took >= seconds - 0.02 and took < seconds + SLACK, took) end

  local requests = {
    { "GET", {} },
    { "POST with a body", { method = "POST", body = ("0123456789"):rep(3000) } },
    { "POST in chunks", { method = "POST", headers = { "Transfer-Encoding: chunked" } },
      client.chunked { "ab", "cd" } },
  }
  for _, row in ipairs(requests) do
    it("costs a " .. row[1] .. " the delay, and not the time-out", function()
      start { hole(), good() }
      local longest = 0
      for _ = 1, 2 do
        local began = clock.now()
        local response = assert(client.ask(gw:port(), request(row[2]) .. (row[3] or "")))
        longest = math.max(longest, clock.now() - began)
        assert.equal(200, response.status)
        local body = row[2].body or row[3] and "abcd" or ""
        assert.equal(body, response.body:sub(#response.body - #body + 1))
        assert.truthy(response.body:find("^" .. (row[2].method or "GET") .. " "))
      end
      is_about(DELAY, longest)
      local status = leftovers.status(gw)
      assert.truthy(status.upstream_races >= 1 and status.upstream_races <= 2)
      assert.same({ 0, 0 }, { status.upstream_retries, status.upstream_failures })
    end)
  end

  it("is waited for as long as the configuration says", function()
    start({ hole(), good() }, "timeouts: { connect_delay: 600ms }")
    is_about(0.6, longest_of(2))
  end)

  it("is waited for alone where the delay is 0", function()
    start({ hole(), good() }, "timeouts: { connect: 700ms, connect_delay: 0 }")
    is_about(0.7, longest_of(2))
    assert.equal(0, races())
  end)

  it("is left for an idle connection of another node", function()
    start({ hole(), good() }, "pool: { idle: 2s }")
    is_about(DELAY, longest_of(4))
    assert.equal(1, open[2]:connections())
    assert.truthy(leftovers.status(gw).upstream_reused >= 1)
  end)

  it("is given up in the end, where the other node says nothing either", function()
    start({ hole(), hole() }, "timeouts: { connect: 600ms }")
    local response, took = ask()
    assert.equal(504, response.status)
    is_about(0.6 + DELAY, took)
    local status = leftovers.status(gw)
    assert.same({ 1, 2, 2 }, { status.upstream_races, status.upstream_tries, status.upstream_failures })
  end)

  it("gets another node beside it once more where the second fails", function()
    start { hole(), upstream.nobody(), good() }
    is_about(2 * DELAY, longest_of(3))
  end)

  it("gets another node beside it where nothing is tried again", function()
    start({ hole(), good() }, "retries: { attempts: 0 }")
    is_about(DELAY, longest_of(2))
  end)

  it("is not left for a backup, which comes when it has failed", function()
    local backup = good()
    backup.is_backup = true
    start({ hole(), backup }, "timeouts: { connect: 700ms }")
    is_about(0.7, longest_of(1))
    assert.equal(0, races())
  end)

  it("is left for a node whose connections are all in use, when one is free", function()
    local held = keep(upstream.by_path { ["/held"] = function(conn, head)
      conn:read_body(head)
      conn:wait_release()
      conn:respond(200, "held")
    end })
    start({ held, hole() }, "pool: { max_per_node: 1, idle: 1s }")
    local c = client.connect(gw:port())
    c:send(request { target = "/held" })
    held:wait_event "head"
    local late = client.connect(gw:port())
    local began = clock.now()
    late:send(request {})
    clock.pause(2 * DELAY)
    held:release()
    assert.equal("held", assert(c:response()).body)
    assert.equal("ok", assert(late:response()).body)
    assert.truthy(clock.now() - began < 2)
    c:close()
    late:close()
    assert.equal(1, held:connections())
  end)

  local authority = certificates.authority()
  local served = certificates.sign(authority, "served", "IP:127.0.0.1")

  --- A node that speaks TLS, if it is not paused.
  local function secure()
    local node = keep(gateway.start(([[
listen: [{ address: "127.0.0.1:0", tls: { certificates: [{ cert: "%s", key: "%s" }] } }]
routes: [{ path: "/*", respond: { body: "secure" } }]
]]):format(served.cert, served.key)))
    node.node = "https://127.0.0.1:" .. node:port()
    return node
  end

  --- One that ends in the middle of the handshake, after so many seconds.
  local function insecure(seconds)
    local node = keep(upstream.start(function() clock.pause(seconds) end))
    node.node = "https://" .. node.node
    return node
  end

  local TLS = "tls: { verify: false }, timeouts: { connect: 5s }"
  for _, order in ipairs { "the second goes on alone where the first fails", "the first where the second fails" } do
    it("is one of two: " .. order, function()
      local bad, slow = insecure(1.6 * DELAY), secure()
      start(order:find "^the second" and { bad, slow } or { slow, bad }, TLS)
      slow:pause()
      local c = client.connect(gw:port())
      c:send(request {})
      gw:wait_log "TLS with the upstream failed"
      slow:resume()
      assert.equal("secure", assert(c:response()).body)
      c:close()
      local status = leftovers.status(gw)
      assert.same({ 1, 0, 1, 2 }, { status.upstream_races, status.upstream_retries, status.upstream_failures,
                                    status.upstream_tries })
    end)
  end

  local function node_states()
    local list = {}
    for i, n in ipairs(leftovers.status(gw, "--nodes")) do list[i] = n.state end
    return list
  end

  it("is a failure of a node that says nothing, which is left alone then", function()
    start({ hole(), good() }, "health_check: { passive: { failures: 2, eject: 60s } }")
    is_about(DELAY, longest_of(4))
    gw:wait_log("node is ejected service=app node=" .. open[1].node:gsub("%p", "%%%0") ..
                ' reason="2 failures in a row: no answer to a connect that another node has answered"')
    local before = races()
    longest_of(3)
    assert.equal(before, races())
  end)

  it("is no failure of a node that takes long over TLS", function()
    start({ insecure(5), secure() }, TLS .. ", health_check: { passive: { failures: 1, eject: 60s } }")
    is_about(DELAY, longest_of(3))
    assert.truthy(races() >= 2)
    assert.same({ "healthy", "healthy" }, node_states())
  end)

  it("is waited for by a client that sticks to the node", function()
    local left, other = good(), good()
    start({ left, other }, "sticky: { cookie: seat }, timeouts: { connect: 700ms }")
    local seat
    for _ = 1, 2 do
      local response = ask()
      if left:connections() == 1 and not seat then seat = response:get("set-cookie"):match "^[^;]+" end
    end
    left:stop()
    hole { port = left.port }
    local response, took = ask { headers = { "Cookie: " .. seat } }
    assert.equal(200, response.status)
    is_about(0.7, took)
    assert.equal(0, races())
    is_about(DELAY, longest_of(2))
  end)

  local BY_KEY = "balance: { algorithm: consistent_hash, key: header.x-key }, timeouts: { connect: 700ms }"

  --- Of requests with several keys, until one of them has taken so long: it was that of the hole.
  local function longest_by_key(least)
    for i = 1, 40 do
      local took = longest_of(1, { headers = { "X-Key: " .. i } })
      if took > least - 0.02 then return took end
    end
    error "no key leads to the hole"
  end

  it("is waited for where a key decides which node it is", function()
    start({ hole(), good() }, BY_KEY)
    is_about(0.7, longest_by_key(0.7))
    assert.equal(0, races())
  end)

  describe("of a name with several addresses", function()
    local dns

    --- One port: a good node at one address, holes at the others.
    local function addresses(good_at, holes)
      for _ = 1, 10 do
        local up, all_free = good { address = good_at }, true
        for _, address in ipairs(holes) do
          all_free = all_free and pcall(hole, { address = address, port = up.port })
        end
        if all_free then return up.port end
      end
      error "no port is free at all addresses"
    end

    local function start_named(port, zone, more)
      dns = keep(dns_server.start { ["app.test"] = zone })
      start({ "app.test:" .. port }, more, ('resolver: { servers: "%s" }'):format(dns:address()))
    end

    local rows = {
      { "is left for the other family, IPv4", "127.0.0.1", { "::1" } },
      { "is left for the other family, IPv6", "::1", { "127.0.0.1" } },
      { "is left for the other family first", "::1", { "127.0.0.1", "127.0.0.2", "127.0.0.3" } },
      { "is left for another address of one family", "127.0.0.2", { "127.0.0.1" } },
      { "is left for another address where a key decides", "::1", { "127.0.0.1" }, BY_KEY },
    }
    for _, row in ipairs(rows) do
      it(row[1], function()
        local zone = {}
        for _, address in ipairs { row[2], unpack(row[3]) } do
          local kind = address:find ":" and "AAAA" or "A"
          zone[kind] = zone[kind] or {}
          table.insert(zone[kind], address)
        end
        start_named(addresses(row[2], row[3]), zone, row[4])
        is_about(DELAY, row[4] and longest_by_key(DELAY) or longest_of(#row[3] + 1))
      end)
    end
  end)

  it("ends with the client", function()
    start { hole(), hole() }
    local c = client.connect(gw:port())
    c:send(request {})
    clock.wait_until(function() return races() == 1 end)
    c:reset()
  end)

  it("ends with the time of the route", function()
    start { hole(), hole() }
    local response, took = ask { target = "/brief" }
    assert.equal(504, response.status)
    is_about(0.4, took)
  end)
end)
