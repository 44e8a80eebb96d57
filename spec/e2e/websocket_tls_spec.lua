--- WebSockets over TLS on either side: a gateway that speaks wss to another one [T66] [T78].
local certificates = require "support.certificates"
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local websocket = require "support.websocket"
local websocket_end = require "support.websocket_end"

local authority = certificates.authority()
local certificate = certificates.sign(authority, "ws", "DNS:ws.test,IP:127.0.0.1")

local SEES = "local see = {}\nfunction see:message(msg) assert(msg.data) end\nreturn see\n"

describe("WebSockets over TLS", function()
  local up, front, back

  setup(function()
    up = upstream.by_path { default = websocket_end.serve }
    back = gateway.start(([[
listen: [{ address: "127.0.0.1:0", tls: { certificates: [{ cert: "%s", key: "%s" }] } }]
services: { app: { nodes: ["ws://%s"] } }
routes:
  - { path: "/plain/*", service: app }
  - { path: "/checked/*", service: app, websocket: { max_message: 2MiB } }
  - { path: "/seen/*", service: app, websocket: { max_message: 2MiB }, plugins: [see] }
]]):format(certificate.cert, certificate.key, up.node), { plugins = { see = SEES } })
    front = gateway.start(([[
services: { app: { nodes: ["wss://127.0.0.1:%d"], tls: { ca: "%s" } } }
routes:
  - { path: "/plain/*", service: app }
  - { path: "/checked/*", service: app, websocket: { max_message: 2MiB } }
  - { path: "/seen/*", service: app, websocket: { max_message: 2MiB }, plugins: [see] }
]]):format(back:port(), authority.ca), { plugins = { see = SEES } })
  end)

  teardown(function()
    front:stop()
    back:stop()
    up:stop()
  end)

  for _, path in ipairs { "/plain/a", "/checked/a", "/seen/a" } do
    it("pass messages of any size, pings and closes: " .. path, function()
      local c = client.connect(front:port())
      local ws, head = websocket_end.open(c, path)
      assert.equal(101, head.status)
      for _, size in ipairs { 0, 1, 125, 126, 16384, 65536, 1000000 } do
        ws:send { payload = ("\0"):rep(size), opcode = websocket.BINARY }
        assert.equal(size, #ws:message(20).payload)
      end
      ws:send { opcode = websocket.PING, payload = "there?" }
      assert.equal("there?", ws:read().payload)
      ws:close(4001, "enough")
      local f = ws:message()
      assert.same({ 4001, "enough" }, { f.code, f.reason })
      c:close()
    end)
  end
end)
