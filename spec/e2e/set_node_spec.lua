--- req:set_node: a plugin sends the request to a node that no configuration names [T6 T17].
local certificates = require "support.certificates"
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local wire = require "support.wire"

local request = client.request

local NODE = [[
--- Sends requests where their X-Node says.
local Node = { version = "1.0.0", description = "Sends requests where their X-Node says.", band = "filter",
               schema = { hook = { type = "string", default = "request" } } }
Node.__index = Node
function Node.new(conf) return setmetatable({ hook = conf.hook }, Node) end

local function set(req, hook)
  local url, wanted = req:header "x-node", req:header "x-hook" or "request"
  if not url or wanted ~= hook then return end
  if req:header "x-service" then req:set_service(req:header "x-service") end
  local good, why = pcall(req.set_node, req, url)
  if not good then return req:reply(500, why) end
  req:remove_header "x-node"
end

function Node:request(req) return set(req, "request") end
function Node:upstream(req, try)
  req:set_header("x-try", try)
  return set(req, "upstream")
end
function Node:response(res, req)
  local good, why = pcall(req.set_node, req, "http://127.0.0.1")
  res:set_header("x-late", why)
  res:set_header("x-seen", ("%s %s"):format(tostring(req.service), tostring(req.node)))
end
function Node:log(req)
  if req:header "x-node" then tide.log.info("still here", { node = req:header "x-node" }) end
end
return Node
]]

local authority = certificates.authority()
local served = certificates.sign(authority, "served", "DNS:served.test,IP:127.0.0.1")

local CONFIG = [[
gateway: { threads: 1, grace: 1s }
services:
  app: { nodes: ["NODE"], retries: { attempts: 0 } }
  hasty: { nodes: ["NODE"], timeouts: { connect: 300ms, first_byte: 300ms }, retries: { attempts: 0 } }
  by_node: { nodes: ["NODE"], host_header: node }
  secure: { nodes: [{ url: "https://127.0.0.1:1" }], tls: { ca: "CA", server_name: served.test } }
routes:
  - { path: "/app/*", service: app, strip_prefix: /app }
  - { path: "/hasty/*", service: hasty, strip_prefix: /hasty }
  - { path: "/by-node", service: by_node }
  - { path: "/secure", service: secure }
  - { path: "/echo", respond: { echo: true } }
  - { path: "/respond", respond: { body: fixed } }
  - { path: "/redirect", redirect: { to: "http://elsewhere.test/" } }
plugins: [ node ]
]]

local function head_is(text, ending)
  return function(conn, head)
    conn:read_body(head)
    conn:send(text)
    if ending == "wait" then conn:wait_end() end
    return true
  end
end

local answers = {
  default = upstream.echo,
  ["/closes"] = head_is "",
  ["/silent"] = head_is("", "wait"),
  ["/then-close"] = upstream.then_end "close",
}

describe("req:set_node", function()
  local up, gw, secure

  setup(function()
    up = upstream.by_path(answers)
    secure = gateway.start(([[
gateway: { threads: 1, grace: 1s }
listen: [{ address: "127.0.0.1:0", tls: { certificates: [{ cert: "%s", key: "%s" }] } }]
routes: [{ path: "/*", respond: { echo: true } }]
]]):format(served.cert, served.key))
    gw = gateway.start((CONFIG:gsub("NODE", upstream.nobody()):gsub("CA", authority.ca)), { plugins = { node = NODE } })
  end)

  teardown(function()
    gw:stop()
    secure:stop()
    up:stop()
  end)

  before_each(function() up:forget() end)

  local function ask(target, url, o)
    o = o or {}
    local headers = { "X-Node: " .. (url or "http://" .. up.node) }
    for _, line in ipairs(o) do headers[#headers + 1] = line end
    local r = { target = target, headers = headers, method = o.method, body = o.body }
    return assert(client.ask(gw:port(), request(r), { method = o.method, timeout = 10 }))
  end

  for _, path in ipairs { "/respond", "/echo", "/redirect", "/by-node", "/app/deeper?q=1" } do
    it("makes a route that proxies of " .. path, function()
      local response = ask(path, nil, { method = "POST", body = "text" })
      assert.equal(200, response.status)
      local got = up:last_request()
      assert.equal("POST " .. path:gsub("^/app", ""), got.method .. " " .. got.target)
      assert.equal("text", got.body)
      assert.equal(path == "/by-node" and up.node or "gate.test", got:get "host")
      assert.equal("1.1 tidegate", got:get "via")
      assert.equal("127.0.0.1", got:get "x-forwarded-for")
      assert.is_nil(got:get "x-node")
    end)
  end

  it("shows the node, and the service only where there is one", function()
    assert.equal("nil " .. up.node, ask("/respond"):get "x-seen")
    assert.equal("app " .. up.node, ask("/app/x"):get "x-seen")
    assert.equal("app " .. up.node, ask("/respond", nil, { "X-Service: app" }):get "x-seen")
  end)

  it("works in the upstream hook, too", function()
    local response = ask("/app/x", nil, { "X-Hook: upstream" })
    assert.equal(200, response.status)
    assert.equal("1", up:last_request():get "x-try")
  end)

  it("finds a node by name", function()
    assert.equal(200, ask("/respond", "http://localhost:" .. up.port).status)
    assert.equal(200, ask("/respond", "http://LOCALHOST:" .. up.port .. "/").status)
  end)

  it("keeps connections", function()
    local from = up:connections()
    for _ = 1, 5 do assert.equal(200, ask("/respond").status) end
    assert.is_true(up:connections() - from <= 1)
  end)

  it("asks anew where an old connection has ended", function()
    assert.equal(200, ask("/app/then-close").status)
    assert.equal(200, ask("/app/then-close").status)
    assert.equal(200, ask("/respond").status)
  end)

  local failures = {
    { "a node that is not there", "/respond", "http://" .. upstream.nobody(), 502, "upstream refused the connection" },
    { "a name that is none", "/respond", "http://127.1", 502, "upstream unreachable" },
    { "a node that speaks no TLS", "/respond", "https://SELF", 502, "TLS with the upstream failed" },
    { "a certificate that nobody knows", "/respond", "https://SECURE", 502, "TLS with the upstream failed" },
    { "a node that closes", "/app/closes", "http://PLAIN", 502, "upstream closed the connection early" },
    { "a node that is slow, by the service's time", "/hasty/silent", "http://PLAIN", 504,
      "upstream did not answer in time" },
    { "a node that cannot be reached, by the service's time", "/hasty/x", "http://FULL", 504,
      "upstream connect timed out" },
  }
  for _, row in ipairs(failures) do
    it(("answers for %s: %d"):format(row[1], row[4]), function()
      local full, port = wire.listen { backlog = 0 }
      local filler = assert(wire.connect(port))
      local places = { PLAIN = up.port, SELF = gw:port(), SECURE = secure:port(), FULL = port }
      local start = clock.now()
      local response = ask(row[2], (row[3]:gsub("%u+$", function(name) return "127.0.0.1:" .. places[name] end)))
      assert.equal(row[4], response.status)
      assert.is_truthy(response.body:find(row[5], 1, true), response.body)
      assert.is_true(clock.now() - start < 2)
      wire.close(filler)
      wire.close(full)
    end)
  end

  it("tells in the log why a name leads nowhere", function()
    ask("/respond", "http://127.2")
    gw:wait_log 'upstream: cannot resolve \\?"127.2\\?": it is neither a name nor an address'
  end)

  it("takes over how the service speaks TLS", function()
    local response = ask("/secure", "https://127.0.0.1:" .. secure:port())
    assert.equal(200, response.status)
    assert.equal(502, ask("/app/x", "https://127.0.0.1:" .. secure:port()).status)
    assert.equal(200, ask("/secure", "http://" .. up.node).status)
  end)

  local refused = {
    { "no URL", "a b", "set_node: expected a URL, found byte 0x20 at byte 2" },
    { "another scheme", "unix:/tmp/x",
      'set_node: expected a URL that begins with "http://" or "https://", found "unix:/tmp/x"' },
    { "a path", "http://127.0.0.1/x",
      'set_node: expected a URL without path, query and fragment, found "http://127.0.0.1/x"' },
    { "a query", "http://127.0.0.1?x",
      'set_node: expected a URL without path, query and fragment, found "http://127.0.0.1?x"' },
    { "a port that is none", "http://127.0.0.1:0", "set_node: expected a port of 1 to 65535, found 0" },
  }
  for _, row in ipairs(refused) do
    it("refuses " .. row[1], function()
      local response = ask("/respond", row[2])
      assert.equal(500, response.status)
      assert.is_truthy(response.body:find(row[3], 1, true), response.body)
    end)
  end

  it("comes too late once the request was sent, and where there is no request to send", function()
    assert.is_truthy(ask("/app/x"):get("x-late"):find "set_node: too late: it has been sent already")
    local response = assert(client.ask(gw:port(), request { target = "/respond" }))
    assert.equal("fixed", response.body)
    assert.is_truthy(response:get("x-late"):find "set_node: not in this hook %(response%)")
  end)

  it("keeps no more than 256 nodes, and closes the connections of the others", function()
    local many = gateway.start [[
gateway: { threads: 1, grace: 1s }
listen: ["0.0.0.0:0"]
routes: [{ path: "/*", respond: { body: ok } }]
]]
    local c = client.connect(gw:port())
    for i = 0, 299 do
      local url = ("http://127.0.%d.%d:%d"):format(math.floor(i / 100), i % 100 + 1, many:port())
      c:send(request { target = "/respond", headers = { "X-Node: " .. url } })
      assert.equal("ok", assert(c:response()).body)
    end
    clock.wait_until(function()
      local open = tonumber(select(2, many:status()):match "connections%s+(%d+) open")
      return open and open <= 256 and open >= 200
    end, nil, "the connections to be closed")
    c:close()
    many:stop()
  end)
end)
