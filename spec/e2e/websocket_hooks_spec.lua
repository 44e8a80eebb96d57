--- Plugins and WebSockets: message hooks either way, messages of a plugin's own, its close, and what it hears of the
-- beginning and the end [T77] [T94].
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local websocket = require "support.websocket"
local websocket_end = require "support.websocket_end"

local PLUGIN = [[
local probe = {}

function probe:ws_open(req)
  tide.log.info("opened", { path = req.path })
  if req.path == "/greets" then
    tide.sleep(0.05)
    req.websocket:send("client", "welcome")
    req.websocket:send("upstream", "\0\255", "binary")
  elseif req.path == "/pushes" then
    local ws = req.websocket
    tide.spawn(function() tide.sleep(0.05) ws:send("client", "pushed") end)
  elseif req.path == "/sleeps" then
    tide.sleep(20)
  elseif req.path == "/bad-open" then
    error "no"
  end
end

local worked = 0

local does = {
  first = function(_, req) req.websocket:send("upstream", "before") end,
  many = function(msg)
    for _ = 1, 40 do
      local good, why = msg:reply(("r"):rep(100000))
      if not good then tide.log.info("no more", { why = why }) break end
    end
    return false
  end,
  later = function(_, req)
    local ws = req.websocket
    tide.spawn(function()
      tide.sleep(0.2)
      local _, why = ws:send("client", "late")
      local _, also = ws:close()
      tide.log.info("too late", { send = why, close = also })
    end)
  end,
  work = function()
    local n = 0
    for i = 1, 10000 do n = (n * 31 + i) % 1000003 end
    worked = worked + 1
    return n < 0 and nil
  end,
  worked = function(msg) msg:reply(tostring(worked)) return false end,
  drop = function() return false end,
  change = function() return "changed" end,
  binary = function(msg) msg.type = "binary" return "\255" end,
  wait = function() tide.sleep(0.05) end,
  wait_change = function() tide.sleep(0.05) return "late" end,
  reply = function(msg) msg:reply("answer") return false end,
  close = function(msg) msg:close(4000, "as you wish") end,
  bad_code = function(msg) msg:close(1005) end,
  bad_result = function() return 7 end,
  not_utf8 = function() return "\255" end,
  fails = function() error "no message today" end,
  slow = function() local n = 0 for i = 1, 1e12 do n = n + i end end,
  to_nobody = function(msg, req) req.websocket:send("moon", "x") end,
}

function probe:message(msg, req)
  local run = msg.from == "client" and does[msg.data]
  if run then return run(msg, req) end
  if msg.from == "upstream" and msg.data == "back" then return "and forth" end
end

function probe:ws_close(close, req)
  tide.log.info("ended", { code = close.code, by = close.by, out = close.messages_out, why = close.why })
end

return probe
]]

local TAGS = [[
local tag = { schema = { word = { type = "string", required = true } } }
function tag:message(msg) return msg.data .. self.conf.word end
return tag
]]

local KEYS = [[
local keys = { schema = { how = { type = "string", required = true } } }
function keys:upstream(req)
  if self.conf.how == "none" then req:remove_header "sec-websocket-key" end
  if self.conf.how == "short" then req:set_header("sec-websocket-key", "x") end
  if self.conf.how == "other" then req:set_header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==") end
end
return keys
]]

local HOWS = { "none", "short", "other" }

describe("a plugin that changes the key of a handshake on its way to the node", function()
  it("gets no WebSocket open, and breaks nothing else", function()
    local up = upstream.by_path { default = function(conn, head)
      conn:read_body(head)
      local asked = head:get "sec-websocket-key"
      local accept = asked == "AAAAAAAAAAAAAAAAAAAAAA==" and "ICX+Yqv66kxgM0FcWaLWlFLwTAI=" or websocket_end.ACCEPT
      conn:send((websocket_end.switch():gsub(websocket_end.ACCEPT:gsub("%p", "%%%0"), accept)))
      return true
    end }
    local routes = {}
    for i, how in ipairs(HOWS) do
      routes[i] = ("  - { path: /%s, service: app, plugins: [{ name: %s, use: keys, config: { how: %s } }] }"):format(
        how, how, how)
    end
    local gw = gateway.start(("services: { app: { nodes: ['%s'] } }\nroutes:\n%s\n"):format(
      up.node, table.concat(routes, "\n")), { plugins = { keys = KEYS } })
    local worker = gw:worker_pid()
    for _, how in ipairs(HOWS) do
      local c = client.connect(gw:port())
      local _, head = websocket_end.open(c, "/" .. how)
      -- A node that did not see another key has answered to that of the client.
      assert.equal(how == "other" and 502 or 101, head.status, how)
      c:close()
    end
    assert.equal(worker, gw:worker_pid())
    gw:stop()
    up:stop()
  end)
end)

describe("a plugin with a message hook", function()
  local up, gw, c

  setup(function()
    up = upstream.by_path { default = websocket_end.serve }
    gw = gateway.start(([[
gateway: { threads: 1 }
plugins: []
lua: { budget: 20ms }
services: { app: { nodes: ["NODE"] } }
routes:
  - { path: "/*", service: app, plugins: [probe], websocket: { max_message: 100KiB } }
  - { path: /bare, service: app, plugins: [probe] }
  - path: /tags
    service: app
    plugins: [{ name: a, use: tag, config: { word: a } }, { name: b, use: tag, config: { word: b } }]
  - path: /goes-on
    service: app
    plugins: [{ name: lenient, use: probe, on_error: continue }]
]]):gsub("NODE", up.node), { plugins = { probe = PLUGIN, tag = TAGS } })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  before_each(function()
    up:forget()
    c = client.connect(gw:port())
  end)

  after_each(function() c:close() end)

  local function open(path, more)
    local ws, head = websocket_end.open(c, path or "/any", more)
    assert.equal(101, head.status)
    return ws
  end

  local function frames(opcode)
    local list, connection = {}, up:last_request().connection
    for _, event in ipairs(up:events "frame") do
      if event.connection == connection and (not opcode or event.opcode == opcode) then list[#list + 1] = event end
    end
    return list
  end

  -- What the client sends; what it gets, and the type of that.
  local CASES = {
    { "passes what it leaves alone", "as it is", "as it is" },
    { "passes an empty message", "", "" },
    { "changes a message", "change", "changed" },
    { "changes the type of a message", "binary", "\255", websocket.BINARY },
    { "may wait before a message goes on", "wait", "wait" },
    { "may wait before it changes one", "wait_change", "late" },
    { "answers a message itself", "reply", "answer" },
    { "changes what comes back", "back", "and forth" },
  }
  for _, path in ipairs { "/any", "/bare" } do
    for _, case in ipairs(CASES) do
      it(case[1] .. ", through " .. path, function()
        local ws = open(path)
        ws:text(case[2])
        local f = ws:message()
        assert.same({ case[3], case[4] or websocket.TEXT, 0 }, { f.payload, f.opcode, f.rsv })
        ws:text "next"
        assert.equal("next", ws:message().payload)
      end)
    end
  end

  it("sends messages of its own before the one that it looks at, and none behind a close", function()
    local ws = open()
    c:send(ws:frame { payload = "a" } .. ws:frame { payload = "first" } .. ws:frame { payload = "b" } ..
           ws:frame { payload = "first" } ..
           ws:frame { opcode = websocket.CLOSE, payload = websocket.close_body(1000) })
    clock.wait_until(function() return #frames(websocket.CLOSE) == 1 end, 5, "the close at the upstream")
    local got = {}
    for i, f in ipairs(frames()) do got[i] = f.opcode == websocket.CLOSE and "closed" or f.payload end
    assert.same({ "a", "before", "first", "b", "before", "first", "closed" }, got)
  end)

  it("is told when an end does not take more", function()
    local ws = open()
    c:send(ws:frame({ payload = "many" }):rep(40))    -- at once: one that owes a lot is not read from any more
    gw:wait_log("no more [^\n]*why=full", 10)
  end)

  it("may send when it is over, and is told so", function()
    local ws = open()
    ws:text "later"
    ws:message()
    c:close()
    gw:wait_log "too late [^\n]*close=closed send=closed"
  end)

  it("keeps others waiting for no more than a few messages, however many come at once", function()
    local ws = open()
    local other, head = websocket_end.open(client.connect(gw:port()), "/other")
    assert.equal(101, head.status)
    local worker, flood = gw:worker_pid(), 50000
    c:send(ws:frame({ payload = "work" }):rep(flood))
    local before = -1
    for _ = 1, 20 do
      other:text "worked"
      local worked = tonumber(other:message().payload)
      assert.is_true(before <= worked and worked < flood, before .. " to " .. worked)
      before = worked
    end
    other.connection:close()
    c:reset()
    assert.equal(worker, gw:worker_pid())
  end)

  it("drops a message", function()
    local ws = open()
    c:send(ws:frame { payload = "drop" } .. ws:frame { payload = "after" })
    assert.equal("after", ws:message().payload)
    assert.equal(1, #frames(websocket.TEXT))
  end)

  it("keeps messages in their order while one waits", function()
    local ws = open()
    c:send(ws:frame { payload = "one" } .. ws:frame { payload = "wait" } .. ws:frame { payload = "two" } ..
           ws:frame { payload = "wait_change" } .. ws:frame { payload = "three" })
    local got = {}
    for i = 1, 5 do got[i] = ws:message().payload end
    assert.same({ "one", "wait", "two", "late", "three" }, got)
  end)

  it("sees a message that comes in pieces as one, and pings pass between them", function()
    local ws = open()
    c:send(ws:frame { payload = "ch", fin = false } .. ws:frame { opcode = websocket.PING, payload = "p" } ..
           ws:frame { payload = "an", fin = false, opcode = 0 } .. ws:frame { payload = "ge", opcode = 0 })
    local pong, f = ws:read(), ws:read()
    assert.same({ websocket.PONG, "changed" }, { pong.opcode, f.payload })
  end)

  it("sees messages that come byte by byte", function()
    local ws = open()
    c:send_bytewise(ws:frame { payload = "change" } .. ws:frame { payload = "same" })
    assert.equal("changed", ws:message().payload)
    assert.equal("same", ws:message().payload)
  end)

  it("passes messages of any size below the limit", function()
    local ws = open()
    for _, size in ipairs { 1, 125, 126, 65535, 65536, 102400 } do
      ws:send { payload = ("\0"):rep(size), opcode = websocket.BINARY }
      assert.equal(size, #ws:message(10).payload)
    end
    ws:send { payload = ("\0"):rep(102401), opcode = websocket.BINARY }
    assert.equal(1009, ws:message().code)
  end)

  it("runs in the order of the chain, and backwards for what comes back", function()
    local ws = open "/tags"
    ws:text "x"
    assert.equal("xabba", ws:message().payload)
    assert.equal("xab", frames(websocket.TEXT)[1].payload)
  end)

  it("closes with a code of its own, on both sides", function()
    local ws = open()
    ws:text "close"
    local f = ws:message()
    assert.same({ 4000, "as you wish" }, { f.code, f.reason })
    clock.wait_until(function() return #frames(websocket.CLOSE) > 0 end, 5, "the close at the upstream")
    assert.equal(4000, frames(websocket.CLOSE)[1].code)
    assert.equal(0, #frames(websocket.TEXT))
  end)

  -- [T90]
  for word, log in pairs {
    bad_code = "close: expected a value[^\n]*1005", bad_result = "its message hook returned a number",
    not_utf8 = "a text message has to be UTF%-8", fails = "no message today", slow = "CPU budget",
    to_nobody = 'expected "client" or "upstream"',
  } do
    it(("that fails (%s) costs its WebSocket, with 1011"):format(word), function()
      local ws = open()
      ws:text(word)
      assert.equal(1011, ws:message(10).code)
      gw:wait_log(log)
    end)
  end

  it("that fails and need not be there is passed over", function()
    local ws = open "/goes-on"
    ws:text "fails"
    assert.equal("fails", ws:message().payload)
  end)

  it("sends messages of its own when it opens, before any other", function()
    local ws = open "/greets"
    assert.equal("welcome", ws:message().payload)
    assert.equal("\0\255", ws:message().payload)        -- sent to the upstream, which sends all back
    ws:text "hello"
    assert.equal("hello", ws:message().payload)
  end)

  it("sends messages from a task in the background", function()
    local ws = open "/pushes"
    assert.equal("pushed", ws:message().payload)
  end)

  it("that fails when it opens costs the WebSocket", function()
    local ws = open "/bad-open"
    assert.equal(1011, ws:message().code)
  end)

  it("hears of the end, and who has begun it", function()
    local ws = open()
    ws:text "one"
    ws:message()
    ws:close(4123)
    ws:message()
    gw:wait_log "ended [^\n]*by=client code=4123 out=1"
  end)

  it("hears of the end of a client that vanished", function()
    open()
    c:reset()
    gw:wait_log "ended [^\n]*by=client code=1006[^\n]*why=\"its connection [^\n]+\""
  end)

  it("that is still opening one does not keep the gateway from stopping", function()
    local stopping = gateway.start(([[
gateway: { grace: 100ms }
services: { app: { nodes: ["NODE"] } }
routes: [{ path: "/*", service: app, plugins: [probe] }]
]]):gsub("NODE", up.node), { plugins = { probe = PLUGIN } })
    local mine = client.connect(stopping:port())
    local ws = websocket_end.open(mine, "/sleeps")
    stopping:signal(15)
    assert.equal(1001, ws:message().code)
    stopping:stop()
    mine:close()
  end)
end)
