--- Routes that ask more than host, path and method [T58]: the same in the gateway and in `tidegate explain`.
local certificates = require "support.certificates"
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local shell = require "support.shell"

local request = client.request

local PLUGIN = [[
--- Sets what conditions look at, before routing.
local Early = { version = "1.0.0", description = "Sets what conditions look at.", band = "filter" }
Early.__index = Early
function Early.new() return setmetatable({}, Early) end
function Early:request(req)
  if req:header "x-set" then req:set_header("x-version", req:header "x-set") end
  if req:header "x-drop" then req:remove_header(req:header "x-drop") end
  if req:header "x-path" then req:set_path(req:header "x-path") end
end
return Early
]]

local CONFIG = [[
gateway: { threads: 1, grace: 1s }
listen:
  - 127.0.0.1:0
  - { address: "127.0.0.2:0", tls: { certificates: [{ cert: "CERT", key: "KEY" }] } }
plugins: [early]
routes:
  - { name: plain, path: "/a/*", respond: { body: plain } }
  - { name: two, path: "/a/*", when: { header: x-version, equals: "2" }, respond: { body: two } }
  - { name: old, path: "/a/*", when: { header: x-version, lt: 2 }, respond: { body: old } }
  - name: inner
    path: "/a/*"
    when:
      all:
        - { header: x-version, in: ["2", "3"] }
        - any: [{ client_ip: { cidr: 10.0.0.0/8 } }, { cookie: tester, equals: "yes" }]
    respond: { body: inner }
  - { name: debug, path: "/a/*", priority: 1, when: { query: debug, exists: true }, respond: { body: debug } }
  - { name: beta, path: /b, when: { header: user-agent, matches: "^beta/(\\d+)$" }, respond: { body: beta } }
  - { name: write, path: /b, methods: [POST], when: { header: x-write }, respond: { body: write } }
  - { name: slow, path: /slow, when: { not: { header: x-a, matches: "^(a+)+$" } }, respond: { body: slow } }
  - { name: guarded, path: "/*", when: { path: { prefix: /slo } }, respond: { body: guarded } }
  - { name: sni, path: /tls, when: { sni: { suffix: .test } }, respond: { body: sni } }
  - { name: tls, path: /tls, when: { tls: true }, respond: { body: tls } }
  - { name: clear, path: /tls, when: { scheme: http }, respond: { body: clear } }
]]

describe("a route with conditions", function()
  local gw

  setup(function()
    local certificate = certificates.sign(certificates.authority(), "gate", "DNS:gate.test")
    gw = gateway.start((CONFIG:gsub("CERT", certificate.cert):gsub("KEY", certificate.key)),
                       { plugins = { early = PLUGIN } })
  end)
  teardown(function() gw:stop() end)

  local function ask(target, headers, method)
    return assert(client.ask(gw:port(), request { target = target, headers = headers, method = method }))
  end

  local rows = {
    -- target, header lines, who answers
    { "/a/x", {}, "plain" },
    { "/a/x", { "X-Version: 2" }, "two" },
    { "/a/x", { "X-Version: 1" }, "old" },
    { "/a/x", { "X-Version: one" }, "plain" },
    { "/a/x", { "X-Version: 5", "X-Version: 2" }, "two" },
    { "/a/x", { "X-Version: 2", "X-Forwarded-For: 10.1.2.3" }, "inner" },
    { "/a/x", { "X-Version: 2", "X-Forwarded-For: 11.1.2.3" }, "two" },
    { "/a/x", { "X-Version: 3", "Cookie: a=b; tester=yes" }, "inner" },
    { "/a/x", { "X-Version: 3", "Cookie: tester=no" }, "plain" },
    { "/a/x?debug", { "X-Version: 3", "Cookie: tester=yes" }, "debug" },
    { "/b", { "User-Agent: beta/7" }, "beta" },
    { "/tls", {}, "clear" },
  }
  for _, row in ipairs(rows) do
    it(("%s with %s is %s, as explain says"):format(row[1], table.concat(row[2], ", "), row[3]), function()
      assert.equal(row[3], ask(row[1], row[2]).body)
      local arguments, ip = {}, "127.0.0.1"
      for _, line in ipairs(row[2]) do
        ip = line:match "^X%-Forwarded%-For: (.*)$" or ip
        arguments[#arguments + 1] = "-H"
        arguments[#arguments + 1] = line
      end
      local _, text = gw:command("explain", "--client-ip", ip, "http://gate.test" .. row[1], unpack(arguments))
      assert.equal(row[3], text:match "\nroute     (%S+)")
    end)
  end

  it("is no route where nothing holds", function()
    assert.equal(404, ask("/b", { "User-Agent: other" }).status)
    assert.equal(405, ask("/b", { "X-Write: 1" }).status)
    assert.equal("POST", ask("/b", { "X-Write: 1" }):get "allow")
    assert.equal("write", ask("/b", { "X-Write: 1" }, "POST").body)
  end)

  it("sees what global plugins have made of the request", function()
    assert.equal("two", ask("/a/x", { "X-Set: 2" }).body)
    assert.equal("plain", ask("/a/x", { "X-Version: 2", "X-Drop: x-version" }).body)
    assert.equal("plain", ask("/b", { "X-Path: /a/b" }).body)
  end)

  it("knows no argument of a query that is broken", function()
    assert.equal("debug", ask("/a/x?x=%25&debug").body)
    assert.equal("plain", ask("/a/x?x=%zz&debug").body)
  end)

  it("sees the name that a TLS client asked for", function()
    for name, body in pairs { ["gate.test"] = "sni", ["gate.other"] = "tls" } do
      assert.equal(body, shell.must(("curl -sk --resolve %s:%d:127.0.0.2 https://%s:%d/tls"):format(
        name, gw:port(2), name, gw:port(2))))
    end
  end)

  it("fails the request where nobody can tell whether it holds, and says where", function()
    local answer = ask("/slow", { "X-A: " .. ("a"):rep(60) .. "!" })
    assert.equal(500, answer.status)
    local line = gw:wait_log "[^\n]*pattern takes too long to match[^\n]*"
    assert.is_truthy(line:find("tidegate.yaml:20", 1, true), line)
    assert.equal("slow", ask("/slow", { "X-A: b" }).body)
  end)

  it("is live over a reload", function()
    local own = gateway.start 'routes: [{ path: /, when: { header: x-a }, respond: {} }]'
    assert.equal(404, client.ask(own:port(), request {}).status)
    own:write 'routes: [{ path: /, when: { not: { header: x-a } }, respond: {} }]'
    clock.wait_until(function() return client.ask(own:port(), request {}).status == 200 end, nil, "the new condition")
    own:stop()
  end)
end)
