--- How long a request may take: what clients ask for by X-Request-Timeout, and what nodes are told.
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local CONFIG = [[
gateway: { threads: 1, grace: 1s, GATEWAY }
services:
  quiet: { nodes: ["NODE"] }
  told: { nodes: ["NODE", "OTHER"], timeout_header: true, retries: { attempts: 1, on: "503" } }
  hurried: { nodes: ["NODE"], timeout_header: true, retries: { attempts: 0, per_try: 1s } }
  ejecting:
    nodes: ["NODE", "OTHER"]
    timeout_header: true
    health_check: { passive: { failures: 1, eject: 60s } }
    circuit_breaker: { min_requests: 1, open: 60s }
routes:
  - { path: "/quiet/*", service: quiet }
  - { path: "/limited/*", service: told, timeout: 5s }
  - { path: "/hurried/*", service: hurried, timeout: 5s }
  - { path: "/ejecting/*", service: ejecting }
  - { path: "/told/*", service: told }
]]

describe("the time of a request", function()
  local up, other, gw

  local function answer(conn, head)
    if head.target:find "hang$" then
      conn:read_body(head)
      conn:wait_end()
      return true
    end
    conn:read_body(head)
    conn:respond(head.target:find "busy$" and 503 or 200, head:get "x-request-timeout" or "none")
  end

  setup(function()
    up, other = upstream.by_path { default = answer }, upstream.by_path { default = answer }
  end)

  teardown(function()
    up:stop()
    other:stop()
  end)

  local function start(settings)
    gw = gateway.start((CONFIG:gsub("%u%u%u%u+", { GATEWAY = settings, NODE = up.node, OTHER = other.node })))
  end

  after_each(function()
    gw:stop()
    up:forget()
    other:forget()
  end)

  local function ask(target, ...)
    local headers = {}
    for i, value in ipairs { ... } do headers[i] = "X-Request-Timeout: " .. value end
    return assert(client.ask(gw:port(), request { target = target, headers = headers }))
  end

  it("is what a trusted client asks for, and no longer than the route's", function()
    start "trusted_proxies: [127.0.0.1]"
    local before = clock.now()
    local res = ask("/quiet/hang", "0.2")
    assert.same({ 504, "504 Gateway Timeout: the client's time is over\n" }, { res.status, res.body })
    local took = clock.now() - before
    assert.is_true(took >= 0.19 and took < 5, took)
    assert.equal("none", ask("/told/x").body)
    for target, most in pairs { ["/told/x"] = 60, ["/limited/x"] = 5, ["/hurried/x"] = 1 } do
      local left = ask(target, "1m").body
      assert.truthy(left:find "^%d+%.%d%d%d$")
      assert.is_true(tonumber(left) <= most and tonumber(left) > most - 1, target .. " " .. left)
    end
    assert.equal("7", ask("/quiet/x", "7").body)        -- a service that does not want to know gets what was sent
  end)

  it("grows less from try to try", function()
    start "trusted_proxies: [127.0.0.1]"
    assert.equal(503, ask("/told/busy", "2").status)
    local values = {}
    for i, node in ipairs { up, other } do values[i] = tonumber(node:last_request():get "x-request-timeout") end
    assert.equal(2, #values)
    for _, value in ipairs(values) do assert.is_true(value <= 2 and value > 1) end
  end)

  it("is over at once with 0, without a node", function()
    start "trusted_proxies: [127.0.0.1]"
    assert.equal(504, ask("/quiet/x", "0").status)
    assert.equal(0, up:connections())
  end)

  for _, values in ipairs { { "soon" }, { "" }, { "-1" }, { "1", "2" }, { "1s, 2s" } } do
    it(("is refused where it is %q"):format(table.concat(values, " and ")), function()
      start "trusted_proxies: [127.0.0.1]"
      local res = ask("/quiet/x", unpack(values))
      assert.same({ 400, "400 Bad Request: X-Request-Timeout is no time\n" }, { res.status, res.body })
    end)
  end

  it("is not a stranger's to say", function()
    start "trusted_proxies: []"
    assert.same({ 200, "soon" }, { ask("/quiet/x", "soon").status, ask("/quiet/x", "soon").body })
    assert.equal("none", ask("/told/x", "1").body)
  end)

  it("is everybody's to say where the configuration says so, and nobody's", function()
    start "trusted_proxies: [], timeout_header: all"
    assert.equal(504, ask("/quiet/hang", "100ms").status)
    gw:stop()
    start "trusted_proxies: [127.0.0.1], timeout_header: nobody"
    assert.equal(200, ask("/quiet/x", "0").status)
  end)

  it("does not tell against a node when the client has chosen it", function()
    start "timeout_header: all"
    for _ = 1, 4 do assert.equal(504, ask("/ejecting/hang", "20ms").status) end
    for _ = 1, 2 do assert.equal(200, ask("/ejecting/x").status) end
    local _, nodes = gw:command("status", "--nodes")
    assert.is_nil(nodes:find "ejected")
  end)
end)
