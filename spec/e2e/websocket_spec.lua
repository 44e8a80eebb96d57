--- WebSockets through the gateway: the handshake, frames that are looked at, both ends kept alive or given up, and how
-- they end (RFC 6455) [T66] [T77] to [T96].
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local stage = require "support.stage"
local upstream = require "support.upstream"
local websocket = require "support.websocket"
local websocket_end = require "support.websocket_end"

local request = client.request
local PING, PONG, CLOSE = websocket.PING, websocket.PONG, websocket.CLOSE

local function switching(fields)
  return function(conn, head)
    conn:read_body(head)
    conn:send("HTTP/1.1 101 Switching Protocols\r\n" .. fields .. "\r\n")
    conn.reader:rest(30)
    return true
  end
end

local UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
local ACCEPT = "Sec-WebSocket-Accept: " .. websocket_end.ACCEPT .. "\r\n"

local answers = {
  ["/no-accept"] = switching(UPGRADE),
  ["/wrong-accept"] = switching(UPGRADE .. "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
  ["/two-accepts"] = switching(UPGRADE .. ACCEPT .. ACCEPT),
  ["/other-upgrade"] = switching("Connection: Upgrade\r\nUpgrade: spec\r\n" .. ACCEPT),
  ["/other-protocol"] = switching(UPGRADE .. ACCEPT .. "Sec-WebSocket-Protocol: chess\r\n"),
  ["/other-extension"] = switching(UPGRADE .. ACCEPT .. "Sec-WebSocket-Extensions: x-colour\r\n"),
  ["/compresses"] = switching(UPGRADE .. ACCEPT .. "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
  ["/protocol"] = function(conn, head)
    return websocket_end.serve(conn, head, "Sec-WebSocket-Protocol: chat\r\n")
  end,
  ["/declined"] = function(conn, head)
    conn:read_body(head)
    conn:respond(418, "no")
  end,
  ["/silent"] = function(conn, head)
    conn:read_body(head)
    conn:send(websocket_end.switch())
    conn.reader:rest(30)
    conn:note { kind = "over" }
    return true
  end,
  ["/talks"] = function(conn, head)
    conn:read_body(head)
    conn:send(websocket_end.switch())
    while conn:send(websocket.frame { payload = "talk" }) do clock.pause(0.15) end
    return true
  end,
  ["/flood"] = function(conn, head)
    conn:read_body(head)
    conn:send(websocket_end.switch())
    local frame = websocket.frame { payload = ("x"):rep(65536), opcode = websocket.BINARY }
    while conn:send(frame) do end
    conn:note { kind = "over" }
    return true
  end,
  ["/early"] = function(conn, head)
    conn:read_body(head)
    conn:send(websocket_end.switch() .. websocket.frame { payload = "early" })
    return websocket_end.serve({ send = function(_, bytes)
      return bytes:find "^HTTP" and true or conn:send(bytes)
    end, reader = conn.reader, note = function(_, event) conn:note(event) end, read_body = function() end }, head)
  end,
  ["/masked"] = function(conn, head)
    conn:read_body(head)
    conn:send(websocket_end.switch() .. websocket.frame { payload = "x", mask = "abcd" })
    conn.reader:rest(30)
    return true
  end,
  ["/http"] = upstream.echo,
  default = websocket_end.serve,
}

local CONFIG = [[
services: { app: { nodes: ["ws://NODE"] } }
metrics: { listen: "unix:m.sock" }
routes:
  - { path: "/plain/*", service: app, strip_prefix: /plain }
  - { path: "/*", service: app, websocket: {} }
  - path: "/small/*"
    service: app
    strip_prefix: /small
    websocket: { max_message: 10B }
  - path: "/quick/*"
    service: app
    strip_prefix: /quick
    websocket: { ping_interval: 100ms, pong_wait: 1500ms, write_wait: 600ms }
  - path: "/idle/*"
    service: app
    strip_prefix: /idle
    websocket: { idle: 1s }
  - path: "/guarded/*"
    service: app
    strip_prefix: /guarded
    websocket:
      allow_origins: ["https://good.example", "https://*.below.example", "any-scheme.example:8080"]
      headers: { x-extra: added, x-kept: replaced }
]]

describe("a WebSocket", function()
  local up, gw, c

  stage(answers, CONFIG, function(...) up, gw, c = ... end)

  local function open(path, more)
    local ws, head = websocket_end.open(c, path or "/echo", more)
    assert.equal(101, head.status)
    return ws, head
  end

  local function seen(opcode)
    local list = {}
    local connection = up:last_request().connection        -- others may still be ending
    for _, event in ipairs(up:events "frame") do
      if event.opcode == opcode and event.connection == connection then list[#list + 1] = event end
    end
    return list
  end

  local function wait_frame(opcode)
    clock.wait_until(function() return #seen(opcode) > 0 end, 5, "a frame at the upstream")
    return seen(opcode)[1]
  end

  local function expect_close(ws, code, reason)
    local f = assert(ws:message())
    assert.same({ CLOSE, code, reason }, { f.opcode, f.code, f.reason })
  end

  describe("handshake", function()
    -- What differs from a good one: the fields in place of it, the status, a part of the reason. [T78] [T89]
    local WRONG = {
      { "no key", { "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13" }, 400 },
      { "an empty key",
        { "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key:" }, 400 },
      { "a short key",
        { "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: c2hvcnQ=" },
        400 },
      { "two keys", websocket_end.fields { "Sec-WebSocket-Key: " .. websocket_end.KEY }, 400 },
      { "no version",
        { "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: " .. websocket_end.KEY }, 400 },
      { "two versions", websocket_end.fields { "Sec-WebSocket-Version: 13" }, 400 },
      { "an old version",
        { "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8",
          "Sec-WebSocket-Key: " .. websocket_end.KEY }, 426 },
      { "broken extensions", websocket_end.fields { "Sec-WebSocket-Extensions: ;;=" }, 400 },
    }
    for _, case in ipairs(WRONG) do
      it(("of a client with %s is refused with %d"):format(case[1], case[3]), function()
        c:send(request { target = "/echo", headers = case[2] })
        local res = c:response()
        assert.equal(case[3], res.status)
        assert.equal(0, #up:requests())
        if case[3] == 426 then assert.equal("13", res:get "sec-websocket-version") end
      end)
    end

    it("of a client with another method is refused", function()
      c:send(request { method = "DELETE", target = "/echo", headers = websocket_end.fields() })
      assert.equal(400, c:response().status)
    end)

    for path, reason in pairs {
      ["/no-accept"] = "no Sec%-WebSocket%-Accept", ["/wrong-accept"] = "wrong Sec%-WebSocket%-Accept",
      ["/two-accepts"] = "wrong Sec%-WebSocket%-Accept", ["/other-upgrade"] = "Upgrade: websocket",
      ["/other-protocol"] = "subprotocol", ["/other-extension"] = "extension",
      ["/plain/other-extension"] = "extension",
    } do
      it("of an upstream as broken as that of " .. path .. " is a 502", function()
        c:send(request { target = path, headers = websocket_end.fields() })
        assert.equal(502, c:response().status)
        gw:wait_log("upstream: upstream sent a broken message why=[^\n]*" .. reason)
      end)
    end

    it("agrees on a subprotocol that both know", function()
      local _, head = open("/protocol", { "Sec-WebSocket-Protocol: talk, chat" })
      assert.equal("chat", head:get "sec-websocket-protocol")
      assert.equal("talk, chat", up:last_request():get "sec-websocket-protocol")
    end)

    it("offers the upstream no extension but permessage-deflate, where frames are looked at", function()
      open("/echo", { "Sec-WebSocket-Extensions: x-colour, permessage-deflate; client_max_window_bits" })
      assert.equal("permessage-deflate; client_max_window_bits", up:last_request():get "sec-websocket-extensions")
    end)

    it("passes any extension where they are not", function()
      open("/plain/echo", { "Sec-WebSocket-Extensions: x-colour" })
      assert.equal("x-colour", up:last_request():get "sec-websocket-extensions")
    end)

    it("that the upstream declines is its plain answer", function()
      c:send(request { target = "/declined", headers = websocket_end.fields() })
      local res = c:response()
      assert.same({ 418, "no" }, { res.status, res.body })
    end)

    -- [T82] [T95]
    for origin, status in pairs {
      ["https://good.example"] = 101, ["https://GOOD.example"] = 101, ["http://good.example"] = 403,
      ["https://good.example.evil.test"] = 403, ["https://a.below.example"] = 101, ["https://a.b.below.example"] = 101,
      ["https://below.example"] = 403, ["http://any-scheme.example:8080"] = 101, ["https://any-scheme.example"] = 403,
      ["null"] = 403,
    } do
      it(("from %s is answered with %d"):format(origin, status), function()
        local _, head = websocket_end.open(c, "/guarded/echo", { "Origin: " .. origin })
        assert.equal(status, head.status)
      end)
    end

    it("from a page that is not let in is logged with the page", function()
      local line = 'origin not allowed why="its origin is not among allow_origins" origin=https://told.example client='
      clock.wait_until(function()             -- of those that come in one second only ten are told
        local other = client.connect(gw:port())
        websocket_end.open(other, "/guarded/echo", { "Origin: https://told.example" })
        other:close()
        return gw:log():find(line, 1, true)
      end, 15, "the line of a refused origin")
    end)

    for what, origins in pairs {
      ["two origins"] = { "Origin: https://good.example", "Origin: https://evil.example" },
      ["an empty origin and another"] = { "Origin:", "Origin: https://evil.example" },
      ["an empty origin"] = { "Origin:" },
      ["a path that looks like a host"] = { "Origin: https://evil.example/.below.example" },
      ["a fragment that looks like one"] = { "Origin: https://evil.example#.below.example" },
      ["a user"] = { "Origin: https://evil.example@a.below.example" },
    } do
      it("with " .. what .. " is refused", function()
        local _, head = websocket_end.open(c, "/guarded/echo", origins)
        assert.equal(403, head.status)
      end)
    end

    it("of an upstream that agrees on compression where none was offered is a 502", function()
      c:send(request { target = "/compresses", headers = websocket_end.fields() })
      assert.equal(502, c:response().status)
    end)

    for _, word in ipairs { "websocket/13", '"websocket"', "websocket;x" } do
      it("that asks for " .. word .. " opens none", function()
        c:send(request { target = "/echo", headers = {
          "Connection: Upgrade", "Upgrade: " .. word, "Sec-WebSocket-Version: 13",
          "Sec-WebSocket-Key: " .. websocket_end.KEY,
        } })
        assert.equal(502, c:response().status)
      end)
    end

    it("without an Origin comes from no page, and is let in", function() open "/guarded/echo" end)

    it("gets the route's headers towards the upstream [T87]", function()
      open("/guarded/echo", { "X-Kept: client's" })
      local got = up:last_request()
      assert.same({ "added", "replaced" }, { got:get "x-extra", got:get "x-kept" })
    end)
  end)

  it("leaves requests that ask for none alone [T96]", function()
    c:send(request { target = "/http" })
    assert.equal(200, c:response().status)
    c:send(request { target = "/http", headers = { "Upgrade: websocket" } })
    assert.equal(200, c:response().status)
  end)

  for _, path in ipairs { "/echo", "/plain/echo" } do
    it("passes messages of any kind both ways, through " .. path .. " [T79]", function()
      local ws = open(path)
      for _, text in ipairs {
        "hello", "", ("x"):rep(125), ("x"):rep(126), ("x"):rep(65535), ("\195\164"):rep(100000),
      } do
        ws:text(text)
        local f = ws:message()
        assert.is_true(f.fin and not f.masked and f.payload == text)
      end
      ws:send { opcode = websocket.BINARY, payload = "\0\255\254" }
      assert.equal("\0\255\254", ws:message().payload)
    end)
  end

  it("passes frames that come byte by byte", function()
    local ws = open()
    c:send_bytewise(ws:frame { payload = "slow" } .. ws:frame { opcode = PING, payload = "p" })
    assert.equal("slow", ws:message().payload)
    assert.same({ PONG, "p" }, (function(f) return { f.opcode, f.payload } end)(ws:read()))
  end)

  it("passes fragments as they are, and control frames between them", function()
    local ws = open()
    c:send(ws:frame { payload = "one", fin = false } .. ws:frame { opcode = PING, payload = "mid" } ..
           ws:frame { payload = "two", opcode = websocket.CONTINUATION })
    local first, pong, last = ws:read(), ws:read(), ws:read()
    assert.same({ "one", false, PONG, "two", true }, { first.payload, first.fin, pong.opcode, last.payload, last.fin })
  end)

  it("passes what came with the handshake, on both sides", function()
    c:send(request { target = "/early", headers = websocket_end.fields() } ..
           websocket.frame { payload = "soon", mask = "abcd" })
    assert.equal(101, c:head().status)
    local ws = websocket_end.new(c, true)
    assert.equal("early", ws:message().payload)
    assert.equal("soon", ws:message().payload)
  end)

  -- [T80] [T84]
  it("carries a close of the client to the upstream, and its answer back", function()
    local ws = open()
    ws:close(4321, "done")
    expect_close(ws, 4321, "done")
    assert.same({ 4321, "done" }, { wait_frame(CLOSE).code, wait_frame(CLOSE).reason })
    assert.equal("eof", c:ending())
  end)

  it("carries a close of the upstream to the client", function()
    local ws = open()
    ws:text "close 4001 enough"
    expect_close(ws, 4001, "enough")
    ws:close(4001, "enough")
    assert.equal(4001, wait_frame(CLOSE).code)
    assert.equal("eof", c:ending())
  end)

  it("carries a close without a code", function()
    local ws = open()
    ws:close()
    expect_close(ws, nil, nil)
  end)

  it("tells the upstream that a client without a close frame has gone", function()
    local ws = open()
    ws:text "there"
    ws:message()
    c:close()
    assert.equal(1001, wait_frame(CLOSE).code)
  end)

  it("tells the client that an upstream without a close frame has gone [T80]", function()
    local ws = open()
    ws:text "drop"
    expect_close(ws, 1014, "")
  end)

  -- [T90]
  local BROKEN = {
    { "a frame without a mask", { payload = "x", mask = false }, 1002 },
    { "a reserved bit", { payload = "x", rsv = 2 }, 1002 },
    { "an unknown opcode", { opcode = 3 }, 1002 },
    { "a control frame in pieces", { opcode = PING, fin = false }, 1002 },
    { "a control frame that is too long", { opcode = PING, payload = ("x"):rep(126) }, 1002 },
    { "a continuation of nothing", { opcode = websocket.CONTINUATION }, 1002 },
    { "a text that is none", { payload = "a\255" }, 1007 },
    { "a close code that may not be sent", { opcode = CLOSE, payload = websocket.close_body(1005) }, 1002 },
    { "a length in too many bytes", { payload = "x", len_size = 2 }, 1002 },
  }
  for _, case in ipairs(BROKEN) do
    it(("closes with %d on %s, and tells the upstream of it"):format(case[3], case[1]), function()
      local ws = open()
      ws:text "before"
      assert.equal("before", ws:message().payload)
      ws:send(case[2])
      assert.equal(case[3], ws:message().code)
      assert.equal(1001, wait_frame(CLOSE).code)
      assert.equal(1, #seen(websocket.TEXT))
      gw:wait_log "websocket: [^\n]+ from=client"
    end)
  end

  it("closes with 1014 on an upstream that breaks the rules", function()
    local ws = open "/masked"
    expect_close(ws, 1014, "")
  end)

  it("looks at nothing where the route does not ask for it", function()
    local ws = open "/plain/echo"
    ws:send { payload = "a\255", rsv = 2 }
    local f = ws:message()
    assert.same({ "a\255", 2 }, { f.payload, f.rsv })
  end)

  -- [T86]
  it("closes with 1009 on a message over max_message, fragments counted together", function()
    local ws = open "/small/echo"
    ws:text(("x"):rep(10))
    assert.equal(10, #ws:message().payload)
    ws:send { payload = ("x"):rep(6), fin = false }
    ws:send { payload = ("x"):rep(5), opcode = websocket.CONTINUATION }
    local f = ws:message()
    if f.payload == "xxxxxx" then f = ws:message() end      -- it may have come back before
    assert.equal(1009, f.code)
  end)

  it("closes with 1009 on a message that is only said to be too big", function()
    local ws = open "/small/echo"
    c:send(ws:frame({ payload = "x", len = 1000000 }))
    assert.equal(1009, ws:message().code)
  end)

  -- [T83] [T84]
  it("pings both ends, keeps what they answer to itself, and goes on", function()
    local ws = open "/quick/echo"
    local ping = ws:read()
    assert.equal(PING, ping.opcode)
    wait_frame(PING)
    ws:send { opcode = PONG, payload = ping.payload }
    ws:text "still"
    assert.equal("still", ws:message().payload)
    assert.equal(0, #seen(PONG))
    ws:send { opcode = PONG, payload = "of mine" }
    assert.equal("of mine", wait_frame(PONG).payload)
  end)

  it("passes pongs on whose pings are not its own, whatever they say", function()
    local ws = open()
    ws:send { opcode = PONG, payload = "tidegate" }
    assert.equal("tidegate", wait_frame(PONG).payload)
  end)

  -- A frame in more time than an end of /quick/ may take for a pong.
  local function send_slowly(ws)
    local bytes = ws:frame { payload = "slowly", opcode = websocket.BINARY }
    for i = 1, #bytes do
      c:send(bytes:sub(i, i))
      clock.pause(0.2)
    end
  end

  it("gives nobody up that could not be pinged for a frame that comes slowly", function()
    local ws = open "/quick/echo"
    send_slowly(ws)
    assert.equal("slowly", ws:message().payload)
  end)

  it("gives nobody up that has spoken while its ping had to wait", function()
    local ws = open "/quick/talks"
    send_slowly(ws)
    for i = 1, 6 do
      local f = ws:message()
      assert.equal("talk", f.payload, "frame " .. i .. " is " .. tostring(f.code))
      ws:send { opcode = PONG, payload = "tidegate" }
    end
  end)

  it("gives a client up that says nothing, and tells the upstream", function()
    local ws = open "/quick/echo"
    ws:text "hello"
    assert.equal(1001, wait_frame(CLOSE).code)
    assert.truthy(c:ending())
  end)

  it("gives an upstream up that says nothing, and tells the client", function()
    local ws = open "/quick/silent"
    local closed
    for _ = 1, 50 do
      local f = ws:read()
      if f.opcode == CLOSE then closed = f break end
      ws:send { opcode = PONG, payload = f.payload }
    end
    assert.equal(1014, closed.code)
    up:wait_event "over"
  end)

  it("gives a client up that takes nothing [T85]", function()
    open "/quick/flood"
    up:wait_event("over", nil, 15)
  end)

  it("closes with 1001 when nothing was said for the idle time; pings do not count", function()
    local ws = open "/idle/echo"
    ws:text "hello"
    ws:message()
    expect_close(ws, 1001, "idle")
    ws:close(1001)
    assert.equal(1001, wait_frame(CLOSE).code)
  end)

  it("does not wait for ever for the answer to its close", function()
    open "/quick/silent"
    clock.wait_until(function() return #up:events "over" > 0 end, 5, "the upstream's connection to be closed")
    assert.truthy(c:ending())
  end)

  it("is counted [T94]", function()
    local function figure(name)
      local text = client.ask(gw.folder .. "/m.sock", request { target = "/metrics" }).body
      return tonumber(text:match("\ntidegate_" .. name .. " ([%d.e+]+)"))
    end
    local total, messages, bytes = figure "websockets_total", figure "websocket_messages_in_total",
                                   figure "websocket_bytes_in_total"
    local ws = open()
    clock.wait_until(function() return figure "websockets_open" >= 1 end, 5, "it to be open")
    ws:text "12345"
    ws:message()
    assert.equal(total + 1, figure "websockets_total")
    assert.equal(messages + 1, figure "websocket_messages_in_total")
    assert.equal(bytes + 11, figure "websocket_bytes_in_total")
    assert.is_true(figure "websocket_connect_seconds_total" > 0)
    assert.match("websockets   %d+ open", (select(2, gw:status())))
    ws:close(1000)
    ws:message()
    clock.wait_until(function() return figure "websockets_open" == 0 end, 5, "none to be open")
  end)
end)

describe("open WebSockets", function()
  local CONFIG_OF = [[
gateway: { grace: 200ms }
services: { app: { nodes: ["NODE"] } }
routes:
  - { name: keep, path: /keep, service: app, websocket: {}, timeout: TIME }
  - { name: close, path: /close, service: app, websocket: { on_change: close }, timeout: TIME }
  - { name: drain, path: /drain, service: app, websocket: { on_change: drain }, timeout: TIME }
  - { name: same, path: /same, service: app, websocket: { on_change: close } }
]]
  local up, gw, ends

  before_each(function()
    up = upstream.by_path(answers)
    gw = gateway.start((CONFIG_OF:gsub("NODE", up.node):gsub("TIME", "10s")))
    ends = {}
    for _, name in ipairs { "keep", "close", "drain", "same" } do
      ends[name] = websocket_end.open(client.connect(gw:port()), "/" .. name)
      ends[name].number = up:last_request().connection
    end
  end)

  after_each(function()
    for _, ws in pairs(ends) do ws.connection:close() end
    gw:stop()
    up:stop()
  end)

  local function works(ws)
    ws:text "here"
    local f = ws:message()
    return f and f.payload == "here"
  end

  it("outlive a reload that changes their route, or not, as that says", function()
    gw:write((CONFIG_OF:gsub("NODE", up.node):gsub("TIME", "20s")))
    assert.equal(0, gw:reload())
    local closed = ends.close:message()
    assert.same({ 1012, "configuration changed" }, { closed.code, closed.reason })
    assert.equal(1012, ends.drain:message().code)
    assert.is_true(works(ends.keep))
    assert.is_true(works(ends.same))
  end)

  it("are closed for the change of a service or a plugin of theirs, too", function()
    gw:write((CONFIG_OF:gsub('"NODE"', ('"%s", "127.0.0.1:1"'):format(up.node)):gsub("TIME", "10s")))
    assert.equal(0, gw:reload())
    assert.equal(1012, ends.close:message().code)
    assert.equal(1012, ends.same:message().code)
    assert.is_true(works(ends.keep))
  end)

  it("that are busy are drained when they pause", function()
    gw:write((CONFIG_OF:gsub("NODE", up.node):gsub("TIME", "20s")))
    assert.equal(0, gw:reload())
    local busy_until = clock.now() + 1.5
    while clock.now() < busy_until do
      assert.is_true(works(ends.drain))
    end
    assert.equal(1012, ends.drain:message().code)
  end)

  it("get the frame that is under way before they are closed", function()
    local bytes = ends.close:frame { payload = ("x"):rep(1000) }
    ends.close.connection:send(bytes:sub(1, 500))
    clock.wait_until(function() return #up:bytes(ends.close.number) > 700 end, 5, "the begin of the frame")
    gw:write((CONFIG_OF:gsub("NODE", up.node):gsub("TIME", "20s")))
    assert.equal(0, gw:reload())
    assert.equal(1012, ends.close:message().code)
    ends.close.connection:send(bytes:sub(501))
    local function frames()
      local list = {}
      for _, event in ipairs(up:events "frame") do
        if event.connection == ends.close.number then list[#list + 1] = event end
      end
      return list
    end
    clock.wait_until(function() return #frames() == 2 end, 5, "the frame and the close")
    assert.same({ 1000, 1012 }, { #frames()[1].payload, frames()[2].code })
  end)

  it("are told when the gateway stops, after its grace", function()
    gw:signal(15)
    for _, name in ipairs { "keep", "same" } do
      local f = ends[name]:message()
      assert.same({ 1001, "shutting down" }, { f.code, f.reason })
    end
  end)
end)
