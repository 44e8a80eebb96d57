--- Two nodes are asked where the first one takes its time: the first answer counts.
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local CONFIG = [[
services:
  app:
    nodes: NODES
    timeouts: { first_byte: 2500ms }
    retries: { hedge: 50ms, on: [connect, reset, "503"], budget: 100% }
  poor: { nodes: NODES, timeouts: { first_byte: 300ms }, retries: { hedge: 50ms, budget: { share: 0%, min: 0 } } }
  named: { nodes: NODES, host_header: node, timeout_header: true, retries: { hedge: 50ms } }
  alone: { nodes: ["FIRST"], timeouts: { first_byte: 300ms }, retries: { hedge: 50ms } }
  half: { nodes: ["FIRST", "NOBODY"], timeouts: { first_byte: 300ms }, retries: { hedge: 50ms } }
routes:
  - { path: "/app/*", service: app, strip_prefix: /app }
  - { path: "/poor/*", service: poor, strip_prefix: /poor }
  - { path: "/named/*", service: named, strip_prefix: /named }
  - { path: "/alone/*", service: alone, strip_prefix: /alone }
  - { path: "/half/*", service: half, strip_prefix: /half }
  - { path: "/calm/*", service: app, strip_prefix: /calm, retries: { hedge: 5s } }
  - { path: "/off/*", service: app, strip_prefix: /off, retries: { hedge: 0 } }
]]

local function pause(seconds)
  local ends = clock.now() + seconds
  clock.wait_until(function() return clock.now() >= ends end)
end

--- What the first node does, and the second.
local function hang(conn, head)
  conn:read_body(head)
  conn:wait_end()
  return true
end

local function after(seconds, deed)
  return function(conn, head)
    conn:read_body(head)
    pause(seconds)
    return deed(conn, head)
  end
end

local function say(conn, head) conn:respond(200, head.head .. (head.body or "")) end
local function busy(conn) conn:respond(503, "busy") end
local function close() return true end

local function interim(conn, head)
  conn:read_body(head)
  conn:send "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
  say(conn, head)
end

local function only_interims(conn, head)
  conn:read_body(head)
  conn:send(("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"):rep(17))
  conn:respond(200, "after all")
end

local DEEDS = {
  ["/slow"] = { hang, upstream.echo },
  ["/interim"] = { hang, interim },
  ["/interims"] = { after(0.2, say), only_interims },
  ["/late"] = { after(0.2, say), after(0, busy) },
  ["/dies"] = { after(0.1, close), after(0.2, say) },
  ["/busy-late"] = { after(0.1, busy), after(0.2, say) },
  ["/broken"] = { after(0.2, say), function(conn, head)
    conn:read_body(head)
    conn:send "what\r\n\r\n"
    return true
  end },
  ["/both-hang"] = { hang, hang },
  ["/both-late"] = { after(0.2, say), after(0.2, say) },
}

describe("hedging", function()
  local first, second, gw

  setup(function()
    local deeds = { {}, {} }
    for path, pair in pairs(DEEDS) do deeds[1][path], deeds[2][path] = pair[1], pair[2] end
    deeds[1].default, deeds[2].default = upstream.echo, upstream.echo
    first, second = upstream.by_path(deeds[1]), upstream.by_path(deeds[2])
    gw = gateway.start((CONFIG:gsub("%u%u%u%u+", {
      NODES = ('["%s", "%s"]'):format(first.node, second.node), FIRST = first.node, NOBODY = upstream.nobody(),
    })))
  end)

  teardown(function()
    gw:stop()
    first:stop()
    second:stop()
  end)

  before_each(function()
    first:forget()
    second:forget()
  end)

  --- Asks until the first node was asked first, and the second one as well where that is expected.
  local function ask(r, both)
    for _ = 1, 6 do
      first:forget()
      second:forget()
      local before = clock.now()
      local res = assert(client.ask(gw:port(), request(r)))
      local took = clock.now() - before
      local were_asked = #first:events "head" == 1 and (not both or #second:events "head" == 1)
      if were_asked and took > 0.04 then return res, took end
    end
    error "the first node was never asked"
  end

  local rows = {
    { "takes the second one's answer where the first hangs", "/slow", 200, 0.05, 2.3 },
    { "keeps the interim responses of the second to itself", "/interim", 200, 0.05, 2.3 },
    { "gives the second up that goes on with interim responses", "/interims", 200, 0.15, 2.3 },
    { "takes the first one's answer where the second is busy", "/late", 200, 0.15, 2.3 },
    { "takes the first one's answer where the second is broken", "/broken", 200, 0.15, 2.3 },
    { "waits for the second one where the first dies", "/dies", 200, 0.15, 2.3 },
    { "waits for the second one where the first is busy in the end", "/busy-late", 200, 0.15, 2.3 },
    { "takes whichever comes first", "/both-late", 200, 0.15, 2.3 },
    { "gives both up in the end", "/both-hang", 504, 2.4, 10 },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      local res, took = ask({ target = "/app" .. row[2] }, true)
      assert.equal(row[3], res.status)
      assert.equal(0, #res.interims)
      assert.is_true(took >= row[4] and (took < row[5] or gateway.sanitized), took)
      if res.status == 200 then assert.truthy(res.body:find("GET " .. row[2], 1, true)) end
    end)
  end

  it("closes the connection of who has lost", function()
    ask({ target = "/app/slow" }, true)
    first:wait_event "ended"
    ask({ target = "/app/both-hang" }, true)
    for _, node in ipairs { first, second } do node:wait_event "ended" end
  end)

  it("sends the body to both", function()
    local body = ("0123456789"):rep(3000)
    local res = ask({ method = "PUT", target = "/app/slow", body = body }, true)
    assert.equal(body, res.body:sub(-#body))
  end)

  it("is not for what must not be done twice", function()
    local res = ask { method = "POST", target = "/app/slow", body = "x" }
    assert.equal(504, res.status)
    assert.equal(0, #second:events "head")
  end)

  for _, row in ipairs {
    { "the budget has nothing left", "/poor/slow" }, { "there is no other node", "/alone/slow" },
    { "the other node cannot be reached", "/half/slow" }, { "a route does not want it", "/off/slow" },
  } do
    it("does not happen where " .. row[1], function()
      assert.equal(504, (ask { target = row[2] }).status)
      assert.equal(0, #second:events "head")
    end)
  end

  it("does not happen where the first answers in time", function()
    for _ = 1, 10 do assert.equal(200, client.ask(gw:port(), request { target = "/calm/fast" }).status) end
    assert.equal(10, #first:events "head" + #second:events "head")
  end)

  it("tells the second its own name, and how long it has", function()
    local res = ask({ target = "/named/slow", headers = { "X-Request-Timeout: 5" } }, true)
    assert.truthy(res.body:find("Host: " .. second.node, 1, true))
    local left = tonumber(res.body:match "X%-Request%-Timeout: ([%d.]+)")
    assert.is_true(left < 4.96 and left > 3, left)
  end)

  it("ends with the client", function()
    for _ = 1, 2 do
      local c = client.connect(gw:port())
      c:send(request { target = "/app/both-hang" })
      clock.wait_until(function() return #first:events "head" > 0 and #second:events "head" > 0 end)
      c:reset()
      for _, node in ipairs { first, second } do
        node:wait_event("ended", nil, 2)
        node:forget()
      end
    end
  end)

  it("is counted", function()
    ask({ target = "/app/slow" }, true)
    local code, status = gw:command("status", "--json")
    assert.equal(0, code)
    assert.is_true(tonumber(status:match '"upstream_hedges":%s*(%d+)') > 5)
  end)
end)
