--- Where connections come in: IPv4, IPv6, unix sockets, several at once, behind a balancer that speaks PROXY [G8].
local certificates = require "support.certificates"
local client = require "support.client"
local gateway = require "support.gateway"
local socket = require "socket"
local ssl = require "ssl"
local upstream = require "support.upstream"

describe("listeners", function()
  it("take IPv6", function()
    local gw = gateway.start('listen: ["[::1]:0"]\nroutes: [{ path: "/*", respond: { body: six } }]\n')
    local pipe = io.popen(("curl -s -m 5 -g 'http://[::1]:%d/'"):format(gw:port()))
    assert.equal("six", pipe:read("*a"))
    pipe:close()
    gw:stop()
  end)

  it("take a unix socket, and say so to the upstream", function()
    local up = upstream.by_path {}
    local gw = gateway.start(([[
listen: ["127.0.0.1:0", "unix:gate.sock"]
services: { app: { nodes: ["%s"] } }
routes: [{ path: "/*", service: app }]
]]):format(up.node))
    assert.equal(200, client.ask(gw.folder .. "/gate.sock", client.request {}).status)
    assert.equal("unix", up:last_request():get "x-forwarded-for")
    gw:stop()
    assert.is_false(pcall(client.connect, gw.folder .. "/gate.sock"))
  end)

  it("reach a unix socket node", function()
    local behind = gateway.start('listen: ["127.0.0.1:0", "unix:b.sock"]\n' ..
                                 'routes: [{ path: "/*", respond: { body: b } }]\n')
    local gw = gateway.start(([[
services: { app: { nodes: ["unix:%s/b.sock"] } }
routes: [{ path: "/*", service: app }]
]]):format(behind.folder))
    for _ = 1, 3 do assert.equal("b", client.ask(gw:port(), client.request {}).body) end
    gw:stop()
    behind:stop()
  end)

  it("have routes of their own", function()
    local gw = gateway.start [[
listen:
  - { address: "127.0.0.1:0", name: outside }
  - { address: "127.0.0.2:0", name: inside }
routes:
  - { path: "/*", on: [inside], respond: { body: inside } }
  - { path: "/*", respond: { body: anywhere } }
]]
    local pipe = io.popen(("curl -s -m 5 http://127.0.0.2:%d/"):format(gw:port(2)))
    assert.equal("inside", pipe:read("*a"))
    pipe:close()
    assert.equal("anywhere", client.ask(gw:port(1), client.request {}).body)
    gw:stop()
  end)
end)

describe("an optional listener", function()
  local ROUTES = 'routes: [{ path: "/*", on: [spare], respond: { body: spare } }, ' ..
                 '{ path: "/*", respond: { body: main } }]\n'

  it("is done without where its port is taken, and had when that is free again [X2]", function()
    local other = upstream.by_path {}
    local port = other.port
    local config = ('listen: ["127.0.0.1:0", { address: "127.0.0.1:%d", name: spare, optional: true }]\n'):format(port)
    local gw = gateway.start(config .. ROUTES)
    gw:wait_log("cannot listen where the configuration does not insist on it.*" .. port .. ".*in use")
    assert.equal(1, #gw.ports)
    assert.equal("main", client.ask(gw:port(), client.request {}).body)
    other:stop()
    assert.equal(0, (gw:reload()))
    assert.equal("spare", client.ask(port, client.request {}).body)
    assert.equal("main", client.ask(gw:port(), client.request {}).body)
    gw:write('listen: ["127.0.0.1:0"]\nroutes: []\n')
    assert.equal(0, (gw:reload()))
    assert.is_false(pcall(client.connect, port))
    gw:stop()
  end)

  it("may come and go without ever being there", function()
    local other = upstream.by_path {}
    local port = other.port
    local gw = gateway.start "routes: []\n"
    local config = ('listen: ["127.0.0.1:0", { address: "127.0.0.1:%d", name: spare, optional: true }]\n'):format(port)
    for _, text in ipairs { config .. ROUTES, "routes: []\n", config .. ROUTES } do
      gw:write(text)
      assert.equal(0, (gw:reload()))
    end
    assert.equal("main", client.ask(gw:port(), client.request {}).body)
    gw:stop()
  end)

  it("is insisted on by default", function()
    local other = upstream.by_path {}
    local good, why = pcall(gateway.start, ('listen: ["127.0.0.1:0", "127.0.0.1:%d"]\n'):format(other.port) ..
                                           'routes: []\n')
    assert.is_false(good)
    assert.truthy(tostring(why):find("in use", 1, true), why)
  end)
end)

describe("a connection", function()
  it("stays one of its listener when listeners change their order in the file", function()
    local names = { [[
listen:
  - { address: "127.0.0.1:0", name: outside }
  - { address: "127.0.0.2:0", name: inside }
]], [[
listen:
  - { address: "127.0.0.2:0", name: inside }
  - { address: "127.0.0.1:0", name: outside }
]] }
    local routes = [[
routes:
  - { path: "/*", on: [inside], respond: { body: inside } }
  - { path: "/*", on: [outside], respond: { body: outside } }
]]
    local gw = gateway.start(names[1] .. routes)
    local c = client.connect(gw:port())
    for round = 1, 4 do
      c:send(client.request {})
      assert.equal("outside", assert(c:response()).body)
      gw:write(names[round % 2 + 1] .. routes)
      assert.equal(0, (gw:reload()))
    end
    gw:stop()
  end)
end)

describe("the PROXY protocol", function()
  local up, gw, distrusting

  local CONFIG = [[
gateway: { threads: 1, grace: 1s, trusted_proxies: [%s] }
listen: [{ address: "127.0.0.1:0", proxy_protocol: true }]
services: { app: { nodes: ["%s"] } }
routes: [{ path: "/*", service: app }]
]]

  setup(function()
    up = upstream.by_path {}
    gw = gateway.start(CONFIG:format("127.0.0.1/32", up.node))
    distrusting = gateway.start(CONFIG:format("10.0.0.0/8", up.node))
  end)

  teardown(function()
    gw:stop()
    distrusting:stop()
  end)

  local V2 = "\r\n\r\n\0\r\nQUIT\n"
  local four = V2 .. "\33\17\0\12" .. "\203\0\113\7" .. "\127\0\0\1" .. "\4\1" .. "\1\187"
  local cases = {
    { "version 1 with IPv4", "PROXY TCP4 203.0.113.7 127.0.0.1 1025 443\r\n", "203.0.113.7", "443" },
    { "version 1 with IPv6", "PROXY TCP6 2001:db8::7 ::1 1025 443\r\n", "2001:db8::7", "443" },
    { "version 1, unknown", "PROXY UNKNOWN\r\n", "127.0.0.1" },
    { "version 2 with IPv4", four, "203.0.113.7", "443" },
    { "version 2 with extensions", V2 .. "\33\17\0\16" .. four:sub(17) .. "\4\0\1\0", "203.0.113.7", "443" },
    { "version 2, local", V2 .. "\32\0\0\0", "127.0.0.1" },
  }
  for _, case in ipairs(cases) do
    for _, way in ipairs { "send", "send_bytewise" } do
      it(("tells who the client is: %s (%s)"):format(case[1], way), function()
        local c = client.connect(gw:port())
        c[way](c, case[2] .. client.request {})
        assert.equal(200, assert(c:response()).status)
        local got = up:last_request()
        assert.equal(case[3], got:get "x-forwarded-for")
        if case[4] then assert.equal(case[4], got:get "x-forwarded-port") end
        c:send(client.request {})
        assert.equal(200, assert(c:response()).status)
        c:close()
      end)
    end
  end

  describe("on a TLS listener", function()
    local authority = certificates.authority()
    local secure

    setup(function()
      local own = certificates.sign(authority, "own", "DNS:gate.test")
      secure = gateway.start((CONFIG:format("127.0.0.1/32", up.node):gsub("proxy_protocol: true",
        ('proxy_protocol: true, tls: { certificates: [{ cert: "%s", key: "%s" }] }'):format(own.cert, own.key))))
    end)

    teardown(function() secure:stop() end)

    --- The bytes in front, in packets, then a request over TLS: its response.
    local function ask_behind(packets)
      local plain = assert(socket.connect("127.0.0.1", secure:port()))
      plain:setoption("tcp-nodelay", true)
      for _, bytes in ipairs(packets) do plain:send(bytes) end
      local c = assert(ssl.wrap(plain, { mode = "client", protocol = "any", verify = "none" }))
      c:settimeout(5)
      assert(c:dohandshake())
      c:send(client.request { headers = { "Connection: close" } })
      local response = assert(c:receive "*a")
      c:close()
      return response
    end

    for _, case in ipairs(cases) do
      it("comes before the handshake: " .. case[1], function()
        local bytewise = {}
        for byte in case[2]:gmatch "." do bytewise[#bytewise + 1] = byte end
        for _, packets in ipairs { { case[2] }, bytewise } do
          up:forget()
          assert.truthy(ask_behind(packets):find("^HTTP/1.1 200 "))
          local got = up:last_request()
          assert.equal(case[3], got:get "x-forwarded-for")
          assert.equal("https", got:get "x-forwarded-proto")
          if case[4] then assert.equal(case[4], got:get "x-forwarded-port") end
        end
      end)
    end

    it("tells who the client is whose handshake failed", function()
      local c = client.connect(secure:port())
      c:send(cases[1][2] .. "\22\3\1\0\4\255\255\255\255")
      assert.is_nil((c:response()))
      secure:wait_log("TLS handshake failed why=[^\n]- client=203%.0%.113%.7\n")
      c:close()
    end)

    it("closes a connection whose header does not come whole", function()
      local c = client.connect(secure:port())
      c:send "PROXY TCP4 203.0.113.7"
      c:shut()
      assert.is_nil((c:response()))
      assert.not_equal("timeout", (c:ending()))
      c:close()
    end)
  end)

  it("is not believed from anyone else", function()
    local c = client.connect(distrusting:port())
    c:send(cases[1][2] .. client.request {})
    assert.equal(200, assert(c:response()).status)
    assert.equal("127.0.0.1", up:last_request():get "x-forwarded-for")
    c:close()
  end)

  for _, bytes in ipairs { client.request {}, "PROXY TCP4 nonsense\r\n" .. client.request {}, V2 .. "\255\17\0\12" } do
    it(("closes a connection that begins otherwise: %q"):format(bytes:sub(1, 24)), function()
      local before = #up:requests()
      local c = client.connect(gw:port())
      c:send(bytes)
      assert.is_nil((c:response()))
      assert.equal(before, #up:requests())
      c:close()
      gw:wait_log 'info  front: connection closed why="expected a PROXY header" client=127%.0%.0%.1\n'
    end)
  end
end)
