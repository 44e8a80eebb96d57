--- How WebSockets end that the gateway closes: between frames, and with the time that both ends need to say goodbye
-- (RFC 6455 section 7) [T80] [T92].
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local websocket = require "support.websocket"
local websocket_end = require "support.websocket_end"

local CLOSE = websocket.CLOSE
local FRAME = websocket.frame { payload = ("half "):rep(100) }
local HALF = FRAME:sub(1, #FRAME / 2)

local answers = {
  ["/halves"] = function(conn, head)
    conn:read_body(head)
    conn:send(websocket_end.switch() .. HALF)
    conn:wait_release()
    conn:send(FRAME:sub(#HALF + 1))
    local ws = websocket_end.new(conn, false)
    local frame = ws:message(30)
    ws:close(frame and frame.code)
    conn:wait_end()
    return true
  end,
  default = websocket_end.serve,
}

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - path: /*
    service: app
    timeout: TIME
    websocket: { on_change: close, ping_interval: 0, pong_wait: 0, write_wait: WAIT }
]]

describe("a WebSocket that the gateway closes", function()
  local up, gw, c

  local function start(wait)
    up = upstream.by_path(answers)
    gw = gateway.start((CONFIG:gsub("NODE", up.node):gsub("TIME", "10s"):gsub("WAIT", wait)))
    c = client.connect(gw:port())
  end

  local function change(wait)
    gw:write((CONFIG:gsub("NODE", up.node):gsub("TIME", "20s"):gsub("WAIT", wait)))
    assert.equal(0, gw:reload())
  end

  after_each(function()
    c:close()
    gw:stop()
    up:stop()
  end)

  it("may take its time to answer, also when it was silent for long before", function()
    start "1500ms"
    local ws = websocket_end.open(c, "/echo")
    assert.is_nil((c.reader:exactly(1, 1.8)))
    change "1500ms"
    local closed = assert(ws:message())
    assert.same({ CLOSE, 1012 }, { closed.opcode, closed.code })
    assert.is_nil((c.reader:exactly(1, 0.1)))
    ws:close(1012)
    assert.equal("eof", (c:ending()))
    assert.equal(1012, up:wait_event("frame", function(event) return event.opcode == CLOSE end).code)
  end)

  it("is closed behind the frame that is under way", function()
    start "5s"
    local ws = websocket_end.open(c, "/halves")
    assert.equal(HALF, c.reader:exactly(#HALF))
    change "5s"
    up:release()
    assert.equal(FRAME:sub(#HALF + 1), c.reader:exactly(#FRAME - #HALF))
    local closed = assert(ws:message())
    assert.same({ CLOSE, 1012 }, { closed.opcode, closed.code })
    ws:close(1012)
    assert.equal("eof", (c:ending()))
  end)
end)
