--- TLS towards clients and upstreams, seen by openssl and curl [D20, D21, D22, P4].
local certificates = require "support.certificates"
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local authority = certificates.authority()
local a = certificates.sign(authority, "a", "DNS:a.test,IP:127.0.0.1")
local b = certificates.sign(authority, "b", "DNS:b.test,DNS:*.w.test")
local alice = certificates.sign(authority, "alice", "DNS:alice")

local function output(command, ...)
  local pipe = assert(io.popen(command:format(...) .. " 2>&1"))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

--- What openssl says about a handshake.
local function handshake(port, options)
  return output("echo | timeout 10 openssl s_client -connect 127.0.0.1:%d -CAfile '%s' %s", port, authority.ca, options)
end

local function subject(port, options) return handshake(port, options):match("subject=CN = (%w+)") end

--- A response by curl: its body and, on the last line, status and what else is asked for.
local function curl(port, options, path)
  return output("curl -s -m 10 --cacert '%s' --resolve a.test:%d:127.0.0.1 %s https://a.test:%d%s",
                authority.ca, port, options, port, path or "/")
end

local function config(tls)
  return ([[
listen:
  - address: "127.0.0.1:0"
    tls:
      certificates:
        - { cert: "%s", key: "%s" }
        - { cert: "%s", key: "%s" }
%s
routes: [{ path: "/*", respond: { body: "secret" } }]
]]):format(a.cert, a.key, b.cert, b.key, tls or "")
end

describe("a TLS listener", function()
  local gw

  setup(function() gw = gateway.start(config()) end)
  teardown(function() gw:stop() end)

  it("serves HTTP/1.1 over TLS 1.3 with a verified chain", function()
    assert.equal("secret", curl(gw:port(), ""))
    local text = handshake(gw:port(), "-servername a.test -verify_return_error -alpn http/1.1")
    assert.truthy(text:find("TLSv1.3", 1, true), text)
    assert.truthy(text:find("ALPN protocol: http/1.1", 1, true), text)
    assert.truthy(text:find("Verify return code: 0 (ok)", 1, true), text)
  end)

  local names = {
    { "the name itself", "-servername b.test", "b" },
    { "another case of it", "-servername B.TEST", "b" },
    { "a wildcard, for one label", "-servername x.w.test", "b" },
    { "the default for two labels under a wildcard", "-servername x.y.w.test", "a" },
    { "the default for an unknown name", "-servername unknown.test", "a" },
    { "the default without a name", "-noservername", "a" },
  }
  for _, case in ipairs(names) do
    it("chooses the certificate by SNI: " .. case[1], function()
      assert.equal(case[3], subject(gw:port(), case[2]))
    end)
  end

  it("speaks TLS 1.2 and refuses what is older", function()
    assert.truthy(handshake(gw:port(), "-tls1_2"):find("Protocol  : TLSv1.2", 1, true))
    assert.is_nil(subject(gw:port(), "-tls1_1 -cipher DEFAULT@SECLEVEL=0"))
  end)

  for _, version in ipairs { "-tls1_2", "-tls1_3" } do
    it("resumes a session by its ticket, whichever loop it comes to: " .. version, function()
      local session = files.folder() .. "/session"
      local first = output("(sleep 0.3; printf 'GET / HTTP/1.1\\r\\n" ..
                           "Host: a.test\\r\\nConnection: close\\r\\n\\r\\n'; sleep 0.3) " ..
                           "| timeout 10 openssl s_client -connect 127.0.0.1:%d %s -sess_out '%s' -ign_eof",
                           gw:port(), version, session)
      assert.truthy(first:find("New, TLS", 1, true), first)
      for _ = 1, 4 do
        local again = output("echo | timeout 10 openssl s_client -connect 127.0.0.1:%d %s -sess_in '%s'", gw:port(),
                             version, session)
        assert.truthy(again:find("Reused, TLS", 1, true), again)
      end
    end)
  end

  local plain = {
    { "GET", client.request {} },
    { "DELETE", client.request { method = "DELETE" } },
    { "POST with a large body", client.request { method = "POST", body = ("b"):rep(200000) } },
  }
  for _, case in ipairs(plain) do
    it("tells a client that speaks plain HTTP that this port does not: " .. case[1], function()
      local c = client.connect(gw:port())
      c:send(case[2])
      local response = assert(c:response())
      assert.equal(400, response.status)
      assert.equal("400 Bad Request: this port speaks TLS.\n", response.body)
      assert.equal("close", response:get "connection")
      assert.equal("eof", (c:ending()))
      c:close()
      assert.equal("secret", curl(gw:port(), ""))
    end)
  end

  it("tells plain HTTP from its first byte, and logs whose it was", function()
    local c = client.connect(gw:port())
    c:send_bytewise(client.request {})
    assert.equal(400, assert(c:response()).status)
    c:close()
    gw:wait_log('info  front: connection closed why="plain HTTP where TLS was expected" client=127%.0%.0%.1\n')
  end)

  -- Whatever these bytes are, they are no handshake.
  local function send_garbage()
    local c = client.connect(gw:port())
    c:send("\22\3\1\0\4\255\255\255\255" .. ("\0"):rep(100))
    assert.is_nil((c:response()))
    c:close()
  end

  it("closes a connection that speaks neither, says why and whose it was, and goes on", function()
    send_garbage()
    gw:wait_log('info  front: TLS handshake failed why=[^\n]- client=127%.0%.0%.1\n')
    assert.equal("secret", curl(gw:port(), ""))
  end)

  it("tells why a handshake failed that its client could have made otherwise", function()
    assert.is_nil(subject(gw:port(), "-tls1_1 -cipher DEFAULT@SECLEVEL=0"))
    gw:wait_log('TLS handshake failed why="unsupported protocol" client=127%.0%.0%.1\n')
  end)

  it("does not let failed handshakes fill the log: it counts them", function()
    local before, start = select(2, gw:log():gsub("TLS handshake failed", "")), clock.now()
    for _ = 1, 100 do send_garbage() end
    local told = select(2, gw:log():gsub("TLS handshake failed", "")) - before
    assert.truthy(told <= 10 * math.ceil(clock.now() - start + 1), told .. " lines")
    clock.wait_until(function()
      send_garbage()
      return gw:log():find "info  front: similar events were not told events=%d+\n"
    end, nil, "the number of those that were not told")
  end)

  it("replaces a certificate live, and keeps the old one when the new one is bad", function()
    local good, key = files.read(a.cert), files.read(a.key)
    local fresh = certificates.sign(authority, "fresh", "DNS:a.test,IP:127.0.0.1")
    files.write(a.key, files.read(fresh.key))
    files.write(a.cert, files.read(fresh.cert))
    local function name() return subject(gw:port(), "-servername a.test") end
    clock.wait_until(function() return name() == "fresh" end, nil, "the new certificate")
    files.write(a.cert, "nonsense\n")
    gw:wait_log("cannot load the certificate")
    assert.equal("fresh", name())
    files.write(a.key, key)
    files.write(a.cert, good)
    clock.wait_until(function() return name() == "a" end, nil, "the old certificate")
  end)
end)

describe("client certificates", function()
  local with = ("--cert '%s' --key '%s'"):format(alice.cert, alice.key)

  local function asks(mode, check)
    local gw = gateway.start(config(('      client_auth: { mode: %s, ca: "%s" }'):format(mode, authority.ca)))
    check(gw)
    gw:stop()
  end

  it("are demanded when required", function()
    asks("required", function(gw)
      assert.equal("secret", curl(gw:port(), with))
      assert.equal("", curl(gw:port(), ""))
    end)
  end)

  it("are shown to plugins, with all else that TLS has agreed on", function()
    local gw = gateway.start((config(('      client_auth: { mode: optional, ca: "%s" }'):format(authority.ca))
                              :gsub('respond: { body: "secret" }', "%0, plugins: [ who ]")), { plugins = { who = [[
--- Tells who asks.
local Who = { version = "1.0.0", description = "Tells who asks.", band = "auth" }
Who.__index = Who
function Who.new() return setmetatable({}, Who) end
function Who:request(req)
  local tls, cert = req.tls, req.tls.client_cert
  return req:reply(200, table.concat({ tls.version, tls.sni or "-", tls.alpn or "-", cert and cert.subject or "-",
                                       cert and cert.issuer or "-", cert and cert.serial or "-",
                                       cert and #cert.fingerprint or "-", cert and cert.pem:match "^[^\n]*" or "-",
                                       cert and cert.not_after:match "GMT$" or "-" }, " "))
end
return Who
]] } })
    assert.equal("TLSv1.3 a.test http/1.1 CN=alice CN=spec authority 04 64 -----BEGIN CERTIFICATE----- GMT",
                 curl(gw:port(), with))
    assert.equal("TLSv1.3 a.test http/1.1 - - - - - -", curl(gw:port(), ""))
    gw:stop()
  end)

  it("may be missing when optional, but must be good when there", function()
    asks("optional", function(gw)
      local other = certificates.authority("another")
      local mallory = certificates.sign(other, "mallory", "DNS:mallory")
      assert.equal("secret", curl(gw:port(), with))
      assert.equal("secret", curl(gw:port(), ""))
      assert.equal("", curl(gw:port(), ("--cert '%s' --key '%s'"):format(mallory.cert, mallory.key)))
    end)
  end)
end)

describe("OCSP stapling", function()
  it("hands out the response of the configured file", function()
    local der = certificates.ocsp(authority, a)
    local text = config():gsub('(cert: "[^"]*a%.pem", key: "[^"]*")', '%1, ocsp: "' .. der .. '"', 1)
    local gw = gateway.start(text)
    local seen = handshake(gw:port(), "-servername a.test -status")
    assert.truthy(seen:find("OCSP Response Status: successful", 1, true), seen)
    assert.truthy(handshake(gw:port(), "-servername b.test -status"):find("OCSP response: no response sent", 1, true))
    gw:stop()
  end)
end)

describe("a response over TLS that ends with its connection", function()
  local CHUNKS = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
  local up, gw

  setup(function()
    local function cut(how)
      return function(conn, head)
        conn:read_body(head)
        conn:send(CHUNKS)
        conn[how](conn)
        return true
      end
    end
    up = upstream.by_path {
      ["/whole"] = function(conn, head)
        conn:read_body(head)
        conn:send(CHUNKS .. "0\r\n\r\n")
      end,
      ["/closed"] = cut "close", ["/reset"] = cut "reset",
    }
    gw = gateway.start((config():gsub("routes:.*", function()
      return ("services: { app: { nodes: [\"%s\"], retries: { attempts: 0 } } }\n" ..
              "routes: [{ path: \"/*\", service: app }]\n"):format(up.node)
    end)))
  end)
  teardown(function()
    gw:stop()
    up:stop()
  end)

  -- RFC 9112 section 9.8: without a close_notify the client knows that it is not whole. curl says 56 then.
  local cases = { { "whole", "0" }, { "closed", "56" }, { "reset", "56" } }
  for _, version in ipairs { "1.2", "1.3" } do
    for _, case in ipairs(cases) do
      it(("has a close_notify only where it is whole: TLS %s, %s"):format(version, case[1]), function()
        local options = ("-0 --tls-max %s -o /dev/null -w '%%{exitcode}'"):format(version)
        assert.equal(case[2], curl(gw:port(), options, "/" .. case[1]))
      end)
    end
  end
end)

describe("TLS to an upstream", function()
  local behind

  setup(function() behind = gateway.start(config()) end)
  teardown(function() behind:stop() end)

  local function status(tls, name)
    local gw = gateway.start(([[
services: { app: { nodes: ["https://127.0.0.1:%d"], tls: { %s } } }
routes: [{ path: "/*", service: app }]
]]):format(behind:port(), tls))
    local text = output("curl -s -m 10 -o /dev/null -w '%%{http_code}' http://127.0.0.1:%d/%s", gw:port(), name or "")
    gw:stop()
    return text
  end

  local cases = {
    { "is verified against the configured authority", ('ca: "%s"'):format(authority.ca), "200" },
    { "is refused with 502 when the authority is unknown", "", "502" },
    { "is refused with 502 when the name does not match", ('ca: "%s", server_name: other.test'):format(authority.ca),
      "502" },
    { "is sent the configured name, which is checked", ('ca: "%s", server_name: b.test'):format(authority.ca), "200" },
    { "is not verified when told so", "verify: false", "200" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() assert.equal(case[3], status(case[2])) end)
  end

  it("reuses its connections", function()
    local gw = gateway.start(([[
services: { app: { nodes: ["https://127.0.0.1:%d"], tls: { verify: false } } }
routes: [{ path: "/*", service: app }]
]]):format(behind:port()))
    for _ = 1, 5 do
      assert.equal("secret", output("curl -s -m 10 http://127.0.0.1:%d/", gw:port()))
    end
    local _, text = gw:status()
    assert.truthy(text:find("5 tries, 4 on kept connections", 1, true), text)
    gw:stop()
  end)
end)
