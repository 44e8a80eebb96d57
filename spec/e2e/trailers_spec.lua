--- Fields behind a body cross the gateway, RFC 9110 section 6.5.
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local CONFIG = [[
services: { app: { nodes: ["NODE"], retries: { attempts: 0 } } }
routes:
  - { path: "/*", service: app }
  - { path: "/hooked/*", service: app, strip_prefix: /hooked, plugins: [changes] }
  - { path: "/whole/*", service: app, strip_prefix: /whole, plugins: [waits] }
  - { path: "/known/*", service: app, strip_prefix: /known, plugins: [knows] }
  - { path: "/whole-known/*", service: app, strip_prefix: /whole-known, plugins: [waits, knows] }
]]

local PLUGINS = {
  changes = [[
--- Changes bodies.
local Changes = { version = "1.0.0", description = "Changes bodies.", band = "filter" }
Changes.__index = Changes
function Changes.new() return setmetatable({}, Changes) end
function Changes:request_body(text) return (text:gsub("sum", "total")) end
function Changes:response_body(text) return (text:gsub("sum", "total")) end
return Changes
]],
  knows = [[
--- Says who asks.
local Knows = { version = "1.0.0", description = "Says who asks.", band = "filter" }
Knows.__index = Knows
function Knows.new() return setmetatable({}, Knows) end
function Knows:request(req)
  req:set_header("x-user", "alice")
  req:remove_header("x-role")
end
function Knows:response(res) res:remove_header("x-inside") end
return Knows
]],
  waits = [[
--- Looks at bodies as a whole.
local Waits = { version = "1.0.0", description = "Looks at bodies.", band = "filter" }
Waits.__index = Waits
function Waits.new() return setmetatable({}, Waits) end
function Waits:request(req) req:body() end
function Waits:response(res) res:body() end
return Waits
]],
}

local TRAILERS = "X-Sum: 4711\r\nX-Empty:\r\nGrpc-Status: 0\r\n"
local PASSED = { { "X-Sum", "4711" }, { "X-Empty", "" }, { "Grpc-Status", "0" } }

-- What must not stand behind a body: framing, routing, credentials, and what tells how to take the message.
local REFUSED = {
  "Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil.test", "Connection: close", "Upgrade: h2c",
  "Authorization: Basic eDp5", "Cookie: a=b", "Set-Cookie: a=b", "Content-Type: text/evil", "content-encoding: gzip",
  "Content-Range: bytes 0-1/2", "X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4", "Via: 1.1 evil", "TE: trailers",
  "Trailer: X-Sum", "Cache-Control: no-store", "If-Match: *", "Range: bytes=0-1", "Proxy-Authorization: Basic eDp5",
  "WWW-Authenticate: Basic", "Location: /evil", "Vary: *", "Max-Forwards: 0", "Expect: 100-continue",
  "Pragma: no-cache", "X-Real-IP: 1.2.3.4", "X-Forwarded-Prefix: /evil", "content_length: 5",
  "X_Forwarded-For: 1.2.3.4",
}

local function fields_of(list)
  local out = {}
  for i, field in ipairs(list or {}) do out[i] = { field.name, field.value } end
  return out
end

describe("trailers", function()
  local up, gw, seen

  local back = {
    together = client.chunked({ "the sum" }, TRAILERS),
    empty = client.chunked({}, TRAILERS),
    refused = client.chunked({ "the sum" }, table.concat(REFUSED, "\r\n") .. "\r\nX-Sum: 4711\r\n"),
    inside = client.chunked({ "the sum" }, "X-Inside: 10.0.0.1\r\nX-Sum: 4711\r\n"),
    nothing = client.chunked({ "the sum" }),
  }

  setup(function()
    up = upstream.by_path {
      default = function(conn, head)
        conn:read_body(head)
        local body = client.chunked({ require("cjson").encode(fields_of(head.trailers)) })
        conn:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" .. body)
      end,
      ["/back"] = function(conn, head)
        conn:read_body(head)
        conn:send("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" ..
                  back[head.target:match "%?(%a+)"])
      end,
      ["/pieces"] = function(conn, head)
        conn:read_body(head)
        local text = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" .. back.together
        for i = 1, #text do conn:send(text:sub(i, i)) end
      end,
    }
    gw = gateway.start((CONFIG:gsub("NODE", up.node)), { plugins = PLUGINS })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  --- The trailers that the upstream got with a request.
  local function sent_on(target, bytes, pieces)
    local head = client.request { method = "POST", target = target, headers = { "Transfer-Encoding: chunked" } }
    local c = client.connect(gw:port())
    if pieces then
      c:send(head)
      for i = 1, #bytes do c:send(bytes:sub(i, i)) end
    else
      c:send(head .. bytes)
    end
    local response = c:response()
    c:close()
    assert.equal(200, response.status)
    seen = require("cjson").decode((response.body:gsub("total", "sum")))
    return seen
  end

  --- The trailers that the client got with a response.
  local function sent_back(target, headers)
    local response = assert(client.ask(gw:port(), client.request { target = target, headers = headers }))
    assert.equal(200, response.status)
    assert.truthy(response.complete)
    assert.equal("chunked", response.framing)
    return fields_of(response.trailers), response
  end

  describe("of a request", function()
    it("go to the upstream as they came", function()
      assert.same(PASSED, sent_on("/", client.chunked({ "the sum" }, TRAILERS)))
    end)

    it("go there when they came byte by byte", function()
      assert.same(PASSED, sent_on("/", client.chunked({ "the sum" }, TRAILERS), true))
    end)

    it("go there behind an empty body", function()
      assert.same(PASSED, sent_on("/", client.chunked({}, TRAILERS)))
    end)

    it("go there when a plugin has looked at the body", function()
      assert.same(PASSED, sent_on("/whole/", client.chunked({ "the sum" }, TRAILERS)))
    end)

    it("are left out where a hook may have changed the body", function()
      assert.same({}, sent_on("/hooked/", client.chunked({ "the sum" }, TRAILERS)))
    end)

    for _, path in ipairs { "/known/", "/whole-known/" } do
      it("say nothing of fields that a plugin has set or removed, there or not: " .. path, function()
        local evil = "X-User: root\r\nx_user: root\r\nX-Role: admin\r\nX-Sum: 4711\r\n"
        assert.same({ { "X-Sum", "4711" } }, sent_on(path, client.chunked({ "the sum" }, evil)))
      end)
    end

    it("are not those of the request before on the connection", function()
      sent_on("/", client.chunked({ "the sum" }, TRAILERS))
      assert.same({}, sent_on("/", client.chunked({ "x" })))
      local c = client.connect(gw:port())
      local head = client.request { method = "POST", headers = { "Transfer-Encoding: chunked" } }
      c:send(head .. client.chunked({ "a" }, TRAILERS) .. head .. client.chunked({ "b" }))
      assert.equal(3, #require("cjson").decode(c:response().body))
      assert.equal(0, #require("cjson").decode(c:response().body))
      c:close()
    end)

    for _, line in ipairs(REFUSED) do
      it("that may not stand there are left out: " .. line, function()
        local got = sent_on("/", client.chunked({ "the sum" }, line .. "\r\nX-Sum: 4711\r\n"))
        assert.same({ { "X-Sum", "4711" } }, got)
      end)
    end
  end)

  describe("of a response", function()
    local WANTED = { "TE: trailers" }

    it("go to a client that says it understands them", function()
      local trailers, response = sent_back("/back?together", WANTED)
      assert.same(PASSED, trailers)
      assert.equal("the sum", response.body)
      assert.equal("X-Sum", response:get "trailer")
    end)

    it("go to no other", function()
      assert.same({}, (sent_back("/back?together")))
      assert.same({}, (sent_back("/back?together", { "TE: deflate;q=0.5" })))
    end)

    it("go there behind an empty body, and from bytes that come one by one", function()
      assert.same(PASSED, (sent_back("/back?empty", WANTED)))
      assert.same(PASSED, (sent_back("/pieces", WANTED)))
    end)

    it("are not those of the response before", function()
      assert.same(PASSED, (sent_back("/back?together", WANTED)))
      assert.same({}, (sent_back("/back?nothing", WANTED)))
    end)

    it("go there when a plugin has looked at the body, and not where a hook may have changed it", function()
      assert.same(PASSED, (sent_back("/whole/back?together", WANTED)))
      local trailers, response = sent_back("/hooked/back?together", WANTED)
      assert.same({}, trailers)
      assert.equal("the total", response.body)
    end)

    it("say nothing of fields that a plugin has removed", function()
      assert.same({ { "X-Sum", "4711" } }, (sent_back("/known/back?inside", WANTED)))
    end)

    it("that may not stand there are left out", function()
      assert.same({ { "X-Sum", "4711" } }, (sent_back("/back?refused", WANTED)))
    end)

    it("are asked for at the upstream where the client understands them", function()
      up:forget()
      sent_back("/back?together", { "TE: gzip, trailers" })
      local request = up:last_request()
      assert.same({ "trailers" }, request:all "te")
      assert.same({ "TE" }, request:all "connection")
      up:forget()
      sent_back "/back?together"
      assert.same({}, up:last_request():all "te")
    end)
  end)
end)
