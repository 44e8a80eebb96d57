local client = require "support.client"
local clock = require "support.clock"
local shipped = require "support.shipped"
local websocket = require "support.websocket"
local websocket_end = require "support.websocket_end"

local CLOSE, PING, TEXT = websocket.CLOSE, websocket.PING, websocket.TEXT

local CONFIG = [[
log: { level: debug }
metrics: { listen: "unix:m.sock" }
services: { app: { nodes: ["ws://NODE"] } }
routes:
  - name: guarded
    path: "/guarded/*"
    service: app
    plugins:
      - websocket:
          path_patterns: [/guarded/ws, "/guarded/*/talk", "/guarded/a.b"]
          allowed_origins: ["https://good.example", "https://*.below.example", "any.example:8080"]
          headers: { x-extra: "${client_ip}", x-kept: replaced, x-none: "${header.x-absent}" }
  - { name: plain, path: "/plain/*", service: app, plugins: [websocket] }
  - { path: "/small/*", service: app, plugins: [ { websocket: { max_message_size: 1KiB } } ] }
  - { path: "/quick/*", service: app, plugins: [ { websocket: { ping_interval: 100ms, pong_wait: 400ms } } ] }
  - { path: "/idle/*", service: app, plugins: [ { websocket: { idle: 200ms } } ] }
  - { path: "/over/*", service: app, plugins: [ { websocket: { rate_limit: { messages: 3, per: 1h } } } ] }
  - name: drops
    path: "/drops/*"
    service: app
    plugins: [ { websocket: { rate_limit: { messages: 1, per: 1h, burst: 2, over: drop } } } ]
  - path: "/steady/*"
    service: app
    plugins: [ { websocket: { rate_limit: { messages: 1, per: 50ms, over: drop } } } ]
]]

describe("websocket [T25]", function()
  local at = shipped.new(CONFIG, {
    default = websocket_end.serve,
    ["/plain/http"] = function(conn, head)
      conn:read_body(head)
      conn:respond(200, "plain HTTP")
    end,
  })
  local c

  setup(at.start)
  teardown(at.stop)
  before_each(function()
    at.up:forget()
    c = at.connect()
  end)
  after_each(function() c:close() end)

  local function open(path, more)
    local ws, head = websocket_end.open(c, path, more)
    assert.equal(101, head.status)
    return ws
  end

  local function echoed(ws, text)
    ws:text(text)
    return ws:message().payload
  end

  local function figure(name, labels)
    local text = client.ask(at.gw.folder .. "/m.sock", client.request { target = "/metrics" }).body
    for found, value in text:gmatch("\n" .. name .. "(%b{}) ([%d.e+-]+)") do
      if found == labels then return tonumber(value) end
    end
    return 0
  end

  for path, status in pairs {
    ["/guarded/ws"] = 403, ["/guarded/ws/"] = 403, ["/guarded/ws/room"] = 403, ["/guarded/wss"] = 101,
    ["/guarded/x/talk"] = 403, ["/guarded/x/y/talk/z"] = 403, ["/guarded/a.b"] = 403, ["/guarded/axb"] = 101,
    ["/plain/any"] = 101,
  } do
    it(("looks after its own paths: %s from another page is %d [T81]"):format(path, status), function()
      local _, head = websocket_end.open(c, path, { "Origin: https://evil.test" })
      assert.equal(status, head.status)
    end)
  end

  for origin, status in pairs {
    ["https://good.example"] = 101, ["https://GOOD.example"] = 101, ["http://good.example"] = 403,
    ["https://good.example.evil.test"] = 403, ["https://a.below.example"] = 101, ["https://below.example"] = 403,
    ["http://any.example:8080"] = 101, ["http://any.example"] = 403, ["null"] = 403, [""] = 403,
  } do
    it(("answers the origin %q with %d [T82 T95]"):format(origin, status), function()
      local _, head = websocket_end.open(c, "/guarded/ws", { "Origin: " .. origin })
      assert.equal(status, head.status)
    end)
  end

  it("lets in who sends no Origin, and adds fields of the handshake [T87]", function()
    open("/guarded/ws", { "X-Kept: client's", "X-None: client's" })
    local got = at.up:last_request()
    assert.same({ "127.0.0.1", "replaced" }, { got:get "x-extra", got:get "x-kept" })
    assert.is_nil(got:get "x-none")
  end)

  it("leaves requests that are none alone [T77 T96]", function()
    for _, headers in ipairs { {}, { "Upgrade: websocket" }, { "Connection: Upgrade", "Upgrade: chat" } } do
      headers[#headers + 1] = "Origin: https://evil.test"
      local response = at.ask { target = "/plain/http", headers = headers }
      assert.same({ 200, "plain HTTP" }, { response.status, response.body })
    end
  end)

  it("passes messages as they are, in the very frames, without a rate limit [T79 T93]", function()
    local ws = open "/plain/echo"
    c:send(ws:frame { payload = "one", fin = false } .. ws:frame { payload = "two", opcode = 0 })
    local first, last = ws:read(), ws:read()
    assert.same({ "one", false, "two", true }, { first.payload, first.fin, last.payload, last.fin })
  end)

  it("closes with 1009 on a message over max_message_size [T86]", function()
    local ws = open "/small/echo"
    assert.equal(1024, #echoed(ws, ("x"):rep(1024)))
    ws:text(("x"):rep(1025))
    assert.same({ CLOSE, 1009 }, (function(f) return { f.opcode, f.code } end)(ws:message()))
  end)

  it("pings who is quiet, and gives up who does not answer [T83 T84 T91]", function()
    local ws = open "/quick/echo"
    assert.equal(PING, ws:read().opcode)
    assert.truthy(c:ending(5))
  end)

  it("closes with 1001 when nothing is said for the idle time", function()
    assert.equal(1001, open "/idle/echo":message().code)
  end)

  -- [T95]
  it("closes with 1008 who sends too many messages", function()
    local ws = open "/over/echo"
    for i = 1, 3 do assert.equal(tostring(i), echoed(ws, tostring(i))) end
    c:send(ws:frame { payload = "4" } .. ws:frame { payload = "5" })
    local f = ws:message()
    assert.same({ CLOSE, 1008, "too many messages" }, { f.opcode, f.code, f.reason })
    at.gw:wait_log "too many messages"
  end)

  it("counts each connection by itself", function()
    local ws, other = open "/over/echo", at.connect()
    for i = 1, 3 do assert.equal(tostring(i), echoed(ws, tostring(i))) end
    local second = websocket_end.open(other, "/over/echo")
    assert.equal("1", echoed(second, "1"))
    other:close()
  end)

  it("drops what is too much, where that is wished", function()
    local ws = open "/drops/echo"
    c:send(ws:frame { payload = "1" } .. ws:frame { payload = "2" } .. ws:frame { payload = "3" } ..
           ws:frame { opcode = PING, payload = "still there" })
    local got = {}
    for i = 1, 3 do got[i] = ws:read().payload end
    table.sort(got)
    assert.same({ "1", "2", "still there" }, got)
    assert.equal(1, figure("websocket_limited_total", '{route="drops"}'))
  end)

  it("lets messages through again as time passes", function()
    local ws = open "/steady/echo"
    clock.wait_until(function()
      ws:text "again"
      return #at.up:events "frame" >= 3
    end, 5, "a third message")
  end)

  it("keeps figures by route, and tells of each in the log [T94]", function()
    local labels, from = '{route="plain"}', '{route="plain",from="%s"}'
    local function wait_active(n)
      clock.wait_until(function() return figure("websocket_active", labels) == n end, 5, n .. " to be active")
    end
    wait_active(0)
    local total, connects = figure("websocket_total", labels), figure("websocket_connect_seconds_count", labels)
    local messages = figure("websocket_messages_total", from:format "client")
    local bytes = figure("websocket_bytes_total", from:format "upstream")
    local ws = open "/plain/echo"
    wait_active(1)
    echoed(ws, "hello")
    ws:close(1000)
    ws:message()
    wait_active(0)
    assert.equal(total + 1, figure("websocket_total", labels))
    assert.equal(connects + 1, figure("websocket_connect_seconds_count", labels))
    assert.equal(messages + 1, figure("websocket_messages_total", from:format "client"))
    assert.equal(bytes + 11, figure("websocket_bytes_total", from:format "upstream"))
    at.gw:wait_log "websocket open [^\n]*path=/plain/echo"
    at.gw:wait_log "websocket over [^\n]*code=1000[^\n]*messages_in=1"
  end)

  it("counts what was refused, and what ended by a fault [T90 T94]", function()
    local count = figure("websocket_refused_total", '{route="guarded"}')
    websocket_end.open(c, "/guarded/ws", { "Origin: https://evil.test" })
    assert.equal(count + 1, figure("websocket_refused_total", '{route="guarded"}'))
    count = figure("websocket_errors_total", '{route="plain"}')
    local other = at.connect()
    local ws = websocket_end.open(other, "/plain/echo")
    ws:send { opcode = TEXT, payload = "\255" }
    assert.equal(1007, ws:message().code)
    other:close()
    clock.wait_until(function() return figure("websocket_errors_total", '{route="plain"}') == count + 1 end, 5, "it")
  end)

  it("counts nothing where the upstream declines [T88]", function()
    local total = figure("websocket_total", '{route="plain"}')
    local response = at.ask { target = "/plain/http", headers = websocket_end.fields() }
    assert.equal(200, response.status)
    assert.equal(total, figure("websocket_total", '{route="plain"}'))
  end)

  shipped.refuses(it, "websocket", {
    { "{ path_patterns: [ws] }", 'websocket.path_patterns[1]: expected a path such as /ws' },
    { "{ allowed_origins: ['https://a b'] }", 'expected "*", "https://example.com"' },
    { "{ ping_interval: 60s }", "pong_wait: expected more than ping_interval (60s), found 60s" },
    { "{ max_message_size: 0B }", "websocket.max_message_size:" },
    { "{ max_message_size: 512 }", "websocket.max_message_size:" },
    { "{ headers: { Upgrade: h2c } }", "upgrade says how the message is framed or connected" },
    { "{ headers: { Sec-WebSocket-Key: a } }", "belongs to the handshake" },
    { "{ rate_limit: { burst: 3 } }", "websocket.rate_limit.messages: missing" },
    { "{ rate_limit: { messages: 3, over: wait } }", "websocket.rate_limit.over: expected" },
  })
end)
