--- Upgrade as a transparent tunnel: after 101 the gateway passes bytes both ways and looks at none (RFC 9110 section
-- 7.8).
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local stage = require "support.stage"
local upstream = require "support.upstream"

local request = client.request
local SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: spec\r\nX-Kept: yes\r\n\r\n"
local BINARY = {}
for i = 0, 255 do BINARY[i + 1] = string.char(i) end
BINARY = table.concat(BINARY)

local function back(conn)
  while true do
    local byte = conn.reader:exactly(1, 30)
    if not byte then return conn.reader.ended end
    local bytes = byte .. conn.reader.held
    conn.reader.held = ""
    if not conn:send(bytes) then return "gone" end
  end
end

local OTHERS = {
  { "names no protocol", "/nameless", "" },
  { "has an empty field for it", "/empty", "Upgrade: ,\r\n" },
  { "names another protocol", "/other", "Upgrade: other\r\n" },
  { "names one more than was asked for", "/more", "Upgrade: spec, other\r\n" },
}

local answers = {
  ["/echo"] = function(conn, head)
    conn:read_body(head)
    conn:send(SWITCH)
    back(conn)
    return true
  end,
  ["/early"] = function(conn, head)
    conn:read_body(head)
    conn:send(SWITCH .. "early bytes")
    back(conn)
    return true
  end,
  ["/close"] = function(conn, head)
    conn:read_body(head)
    conn:send(SWITCH .. "bye")
    return true
  end,
  ["/reset"] = function(conn, head)
    conn:read_body(head)
    conn:send(SWITCH)
    conn.reader:exactly(2, 30)
    conn:reset()
    return true
  end,
  ["/half-close"] = function(conn, head)
    conn:read_body(head)
    conn:send(SWITCH .. "bye")
    conn:shut()
    local rest = conn.reader:rest(30)
    conn:note { kind = "rest", bytes = #rest }
    return true
  end,
  ["/after-eof"] = function(conn, head)
    conn:read_body(head)
    conn:send(SWITCH)
    local rest = conn.reader:rest(30)
    conn:send("got " .. #rest)
    return true
  end,
  ["/flood"] = function(conn, head)
    conn:read_body(head)
    conn:send(SWITCH)
    local piece = ("f"):rep(65536)
    for _ = 1, 512 do
      if not conn:send(piece) then break end
    end
    return true
  end,
  ["/decline"] = function(conn, head)
    conn:read_body(head)
    conn:respond(426, "no", "Upgrade: other\r\n")
  end,
  default = upstream.echo,
}

local CONFIG = [[
timeouts: { idle: 200ms, head: 1s, body: 200ms, write: 2s }
services:
  app: { nodes: ["NODE"], timeouts: { idle: 20s } }
  idle: { nodes: ["NODE"], timeouts: { idle: 600ms } }
routes:
  - { path: "/*", service: app, timeout: 1s }
  - { path: "/idle/*", service: idle, strip_prefix: /idle }
]]

local UPGRADE = { "Connection: Upgrade", "Upgrade: spec" }

for _, case in ipairs(OTHERS) do
  answers[case[2]] = function(conn, head)
    conn:read_body(head)
    conn:send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" .. case[3] .. "\r\n")
    back(conn)
    return true
  end
end

describe("the tunnel", function()
  local up, gw, c

  stage(answers, CONFIG, function(...) up, gw, c = ... end)

  local function open(path, more)
    c:send(request { target = path, headers = UPGRADE } .. (more or ""))
    local head = assert(c:head())
    assert.equal(101, head.status)
    return head
  end

  it("asks the upstream for the protocol, and tells the client its answer", function()
    local head = open "/echo"
    assert.equal("spec", head:get "upgrade")
    assert.equal("upgrade", head:get "connection":lower())
    assert.equal("yes", head:get "x-kept")
    assert.is_nil(head:get "content-length")
    assert.is_nil(head:get "transfer-encoding")
    local got = up:last_request()
    assert.equal("spec", got:get "upgrade")
    assert.equal("upgrade", got:get "connection":lower())
  end)

  it("passes any byte both ways, in any split", function()
    open "/echo"
    for _ = 1, 3 do
      c:send(BINARY)
      assert.equal(BINARY, c.reader:exactly(#BINARY))
    end
    c:send_bytewise(BINARY)
    assert.equal(BINARY, c.reader:exactly(#BINARY))
  end)

  it("passes bytes that look like a request, and are none", function()
    open "/echo"
    c:send(request { target = "/evil" })
    assert.equal(request { target = "/evil" }, c.reader:exactly(#request { target = "/evil" }))
    assert.equal(1, #up:requests())
  end)

  it("passes what the client sent before the answer", function()
    open("/echo", "early")
    assert.equal("early", c.reader:exactly(5))
  end)

  it("passes what the upstream sent with its answer", function()
    open "/early"
    assert.equal("early bytes", c.reader:exactly(11))
    c:send("more")
    assert.equal("more", c.reader:exactly(4))
  end)

  it("passes much, both ways at once", function()
    open "/echo"
    local piece, sent, got = ("p"):rep(65536), 0, 0
    while got < 8 * 1024 * 1024 do
      if sent - got < 1024 * 1024 then
        assert.truthy(c:send(piece))
        sent = sent + #piece
      else
        local bytes = assert(c.reader:exactly(65536))
        assert.equal(piece, bytes)
        got = got + #bytes
      end
    end
  end)

  it("holds back an upstream whose client does not read, and loses nothing", function()
    open "/flood"
    local before = gw:memory()
    assert.equal(200, assert(client.ask(gw:port(), request {})).status)
    assert.truthy(gw:memory() - before < 4 * 1024 * 1024 or gateway.sanitized)
    local all, how = c.reader:rest(5)
    assert.equal("eof", how)
    assert.equal(512 * 65536, #all)
  end)

  it("outlives the client's timeouts and the route's", function()
    open "/echo"
    assert.is_nil((c.reader:exactly(1, 1.2)))
    c:send("still")
    assert.equal("still", c.reader:exactly(5))
  end)

  it("ends when it was silent for the service's idle time", function()
    c:send(request { target = "/idle/echo", headers = UPGRADE })
    assert.equal(101, assert(c:head()).status)
    for _ = 1, 5 do
      assert.is_nil((c.reader:exactly(1, 0.1)))
      c:send("x")
      assert.equal("x", c.reader:exactly(1))
    end
    local start = clock.now()
    assert.not_equal("timeout", (c:ending()))
    local took = clock.now() - start
    assert.truthy(took > 0.4 and took < 4, took)
    up:wait_event("ended")
  end)

  it("ends for the client when the upstream closes, after all that came", function()
    open "/close"
    assert.equal("bye", c.reader:exactly(3))
    assert.equal("eof", (c:ending()))
  end)

  it("is reset for the client when the upstream resets", function()
    open "/reset"
    c:send("go")
    assert.not_equal("timeout", (c:ending()))
  end)

  it("ends for the upstream when the client closes", function()
    open "/echo"
    c:close()
    assert.truthy(up:wait_event("ended"))
  end)

  it("ends for the upstream when the client resets", function()
    open "/echo"
    c:reset()
    assert.truthy(up:wait_event("ended"))
  end)

  it("passes a half close on, and what comes the other way still", function()
    open "/after-eof"
    c:send("12345")
    c:shut()
    local rest, how = c.reader:rest(5)
    assert.equal("got 5", rest)
    assert.equal("eof", how)
  end)

  it("passes a half close of the upstream on, and takes bytes for it still", function()
    open "/half-close"
    local rest, how = c.reader:rest(5)
    assert.equal("bye", rest)
    assert.equal("eof", how)
    c:send("123")
    c:close()
    assert.equal(3, up:wait_event("rest").bytes)
  end)

  it("is not made where the upstream declines, and the connection goes on", function()
    c:send(request { target = "/decline", headers = UPGRADE })
    local response = assert(c:response())
    assert.equal(426, response.status)
    assert.equal("no", response.body)
    c:send(request { target = "/next" })
    assert.equal(200, assert(c:response()).status)
  end)

  for _, case in ipairs(OTHERS) do
    it("is not made where the 101 " .. case[1], function()
      c:send(request { target = case[2], headers = UPGRADE })
      assert.equal(502, assert(c:response()).status)
      up:wait_event "ended"
    end)
  end

  it("is made of one of several protocols that were asked for", function()
    c:send(request { target = "/echo", headers = { "Connection: Upgrade", "Upgrade: other, Spec" } })
    assert.equal(101, assert(c:head()).status)
  end)

  local plain = {
    { "without Connection: upgrade", request { headers = { "Upgrade: spec" } } },
    { "in HTTP/1.0", request { version = "1.0", headers = UPGRADE } },
    { "to cleartext HTTP/2, a known way around a gateway",
      request { headers = { "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk" } } },
    { "to cleartext HTTP/2, its settings hidden from Connection",
      request { headers = { "Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk" } } },
    { "of a request with a body", request { method = "POST", headers = UPGRADE, body = "body" } },
  }

  for _, case in ipairs(plain) do
    it("is not asked for " .. case[1], function()
      assert.equal(200, assert(client.ask(gw:port(), case[2])).status)
      assert.is_nil(up:last_request():get "upgrade")
    end)
  end
end)
