--- What a client sees of the HTTP/1.1 server: RFC 9112, and the limits and timeouts of the configuration [D36, P1].
local cjson = require "cjson"
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local stage = require "support.stage"
local upstream = require "support.upstream"

local request, chunked = client.request, client.chunked
local CONFIG = [[
timeouts: { idle: 2s, head: 2s, body: 2s, write: 2s }
limits: { head: 2KiB, headers: 20, uri: 512B, body: 1KiB, requests_per_connection: 12 }
services: { app: { nodes: ["NODE"], timeouts: { first_byte: 3s } } }
routes:
  - { path: "/*", service: app }
  - { path: "/fixed", respond: { body: "fixed\n" } }
]]

local answers = {
  default = upstream.echo,
  ["/chunks"] = upstream.with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ..
                              chunked { "one ", "two ", "three" }),
  ["/continue"] = function(conn, head)
    conn:send("HTTP/1.1 100 Continue\r\n\r\n")
    return upstream.echo(conn, head)
  end,
  ["/refuse-body"] = function(conn)
    conn:send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    return true
  end,
  ["/trailers"] = upstream.with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" ..
                                chunked({ "summed" }, "X-Sum: 6\r\n")),
  ["/204"] = upstream.with "HTTP/1.1 204 No Content\r\n\r\n",
  ["/304"] = upstream.with "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 500\r\n\r\n",
  ["/head"] = upstream.with "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
  ["/head-chunked"] = upstream.with "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
  ["/to-close"] = function(conn, head)
    conn:read_body(head)
    conn:send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
    return true
  end,
  ["/released"] = function(conn, head)
    conn:read_body(head)
    conn:note { kind = "waiting" }
    conn:wait_release()
    conn:respond(200, "late")
  end,
  ["/early-hints"] = function(conn, head)
    conn:send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
    return upstream.ok(conn, head)
  end,
}

describe("the HTTP/1.1 server", function()
  local up, gw, c

  stage(answers, CONFIG, function(...) up, gw, c = ... end)

  local function status_of(bytes, o)
    c:send(bytes)
    local response = assert(c:response(o))
    return response.status, response
  end

  describe("keep-alive", function()
    it("serves several requests on one connection", function()
      for i = 1, 5 do
        local status, response = status_of(request { target = "/" .. i })
        assert.equal(200, status)
        assert.truthy(response.body:find("GET /" .. i .. " HTTP/1.1", 1, true))
        assert.is_nil(response:get "connection")
      end
    end)

    it("says and does close when the client asked for it", function()
      local _, response = status_of(request { headers = { "Connection: close" } })
      assert.equal("close", response:get "connection")
      assert.equal("eof", (c:ending()))
    end)

    it("says and does close at limits.requests_per_connection", function()
      for i = 1, 12 do
        local _, response = status_of(request {})
        assert.equal(i == 12 and "close" or nil, response:get "connection")
      end
      assert.equal("eof", (c:ending()))
    end)

    it("closes after a request in HTTP/1.0", function()
      local status, response = status_of(request { version = "1.0" })
      assert.equal(200, status)
      assert.truthy(response.complete)
      assert.equal("eof", (c:ending()))
    end)

    it("keeps an HTTP/1.0 connection whose client asked for it", function()
      for _ = 1, 3 do
        local status, response = status_of(request { version = "1.0", headers = { "Connection: keep-alive" } })
        assert.equal(200, status)
        assert.equal("keep-alive", response:get "connection")
      end
    end)
  end)

  describe("pipelining", function()
    it("answers in the order of the requests", function()
      local all = {}
      for i = 1, 8 do all[i] = request { method = "POST", target = "/" .. i, body = ("b"):rep(i) } end
      c:send(table.concat(all))
      for i = 1, 8 do
        local response = assert(c:response())
        assert.truthy(response.body:find("POST /" .. i .. " HTTP/1.1", 1, true))
        assert.truthy(response.body:find("\r\n\r\n" .. ("b"):rep(i) .. "$"))
      end
    end)

    it("takes requests that come byte by byte", function()
      c:send_bytewise(request { target = "/a" } .. request { method = "POST", target = "/b", body = "body" })
      assert.truthy(assert(c:response()).body:find("GET /a ", 1, true))
      assert.truthy(assert(c:response()).body:find("POST /b .*body$"))
    end)

    it("takes a request that came in pieces while the one before was served", function()
      local whole = request { target = "/after" }
      assert.equal(200, (status_of(request {})))
      c:send(request { target = "/released" } .. whole:sub(1, 10))
      up:wait_event("waiting")
      c:send(whole:sub(11))
      -- Once another connection is served, the loop has seen these bytes too.
      assert.equal(200, assert(client.ask(gw:port(), request {})).status)
      up:release()
      assert.equal("late", assert(c:response()).body)
      assert.truthy(assert(c:response()).body:find("GET /after ", 1, true))
    end)

    it("tells chunked and sized bodies apart in a row", function()
      local coded = request { method = "POST", target = "/a", headers = { "Transfer-Encoding: chunked" } }
      c:send(coded .. chunked { "abc", "def" } .. request { method = "POST", target = "/b", body = "ghi" } ..
             request { target = "/c" })
      assert.truthy(assert(c:response()).body:find("POST /a .*abcdef$"))
      assert.truthy(assert(c:response()).body:find("POST /b .*ghi$"))
      assert.truthy(assert(c:response()).body:find("GET /c ", 1, true))
    end)

    it("forgives one empty line before a request", function()
      c:send(request {} .. "\r\n" .. request { target = "/b" })
      assert.equal(200, assert(c:response()).status)
      assert.equal(200, assert(c:response()).status)
    end)

    it("answers what came before a broken request, then refuses and closes", function()
      c:send(request { target = "/good" } .. "BROKEN\r\n\r\n" .. request { target = "/after" })
      assert.equal(200, assert(c:response()).status)
      assert.equal(400, assert(c:response()).status)
      assert.equal("eof", (c:ending()))
      assert.equal(1, #up:requests())
    end)
  end)

  describe("a response without a body", function()
    local cases = {
      { "to HEAD keeps its length",          method = "HEAD", target = "/head", status = 200, length = "1234" },
      { "to HEAD may have no length",        method = "HEAD", target = "/head-chunked", status = 200 },
      { "of the gateway's own answers HEAD", method = "HEAD", target = "/fixed", status = 200, length = "6" },
      { "may be a 204, without a length",    method = "GET",  target = "/204", status = 204 },
      { "may be a 304, with a length",       method = "GET",  target = "/304", status = 304, length = "500" },
    }

    for _, case in ipairs(cases) do
      it(case[1], function()
        local status, response = status_of(request { method = case.method, target = case.target },
                                           { method = case.method })
        assert.equal(case.status, status)
        assert.equal(case.length, response:get "content-length")
        assert.equal("", response.body)
        assert.equal(200, (status_of(request { target = "/next" })))
      end)
    end
  end)

  describe("100-continue", function()
    local expecting = { "Expect: 100-continue", "Content-Length: 4" }

    it("is forwarded to the upstream, and its answer to the client before the body", function()
      c:send(request { method = "POST", target = "/continue", headers = expecting })
      local interim = assert(c:head())
      assert.equal(100, interim.status)
      c:send("body")
      local response = assert(c:response())
      assert.equal(200, response.status)
      assert.truthy(response.body:find("100%-continue"))
      assert.truthy(response.body:find("\r\n\r\nbody$"))
    end)

    it("is answered by a limit before the body is sent", function()
      c:send(request { method = "POST", target = "/continue",
                       headers = { "Expect: 100-continue", "Content-Length: 1025" } })
      local response = assert(c:response())
      assert.equal(413, response.status)
      assert.same({}, response.interims)
      assert.equal("eof", (c:ending()))
      assert.equal(0, up:connections())
    end)

    it("lets the upstream refuse the body", function()
      c:send(request { method = "POST", target = "/refuse-body", headers = expecting })
      local response = assert(c:response())
      assert.equal(403, response.status)
      assert.equal("no", response.body)
      assert.same({}, response.interims)
      assert.equal("eof", (c:ending()))
    end)

    it("means nothing in HTTP/1.0", function()
      c:send(request { version = "1.0", method = "POST", target = "/", headers = { "Expect: 100-continue" },
                       body = "body" })
      local response = assert(c:response())
      assert.equal(200, response.status)
      assert.same({}, response.interims)
    end)

    it("refuses an expectation that it does not know with 417", function()
      assert.equal(417, (status_of(request { headers = { "Expect: miracles" } })))
    end)

    it("passes other interim responses on", function()
      c:send(request { target = "/early-hints" })
      local response = assert(c:response())
      assert.equal(200, response.status)
      assert.equal(1, #response.interims)
      assert.equal(103, response.interims[1].status)
      assert.equal("</a.css>; rel=preload", response.interims[1]:get "link")
    end)

    it("sends no interim response to HTTP/1.0", function()
      c:send(request { version = "1.0", target = "/early-hints" })
      local response = assert(c:response())
      assert.equal(200, response.status)
      assert.same({}, response.interims)
    end)
  end)

  describe("the chunked coding", function()
    local coded = { "Transfer-Encoding: chunked" }
    local bodies = {
      { "one chunk",                 "5\r\nhello\r\n0\r\n\r\n",                         "hello" },
      { "several chunks",            "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",                "hello" },
      { "no byte at all",            "0\r\n\r\n",                                       "" },
      { "sizes in upper case",       "A\r\n0123456789\r\n0\r\n\r\n",                    "0123456789" },
      { "leading zeros",             "0005\r\nhello\r\n000\r\n\r\n",                    "hello" },
      { "extensions",                "5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n",         "hello" },
      { "trailers",                  "5\r\nhello\r\n0\r\nX-Sum: 5\r\nX-B: c\r\n\r\n",   "hello" },
      { "data that looks like ends", "9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",             "\r\n0\r\n\r\n\r\n" },
    }

    for _, case in ipairs(bodies) do
      it("of a request may hold " .. case[1], function()
        for _, send in ipairs { c.send, c.send_bytewise } do
          up:forget()
          send(c, request { method = "POST", target = "/x", headers = coded } .. case[2])
          assert.equal(200, assert(c:response()).status)
          local got = up:last_request()
          assert.equal(case[3], got.body)
          assert.equal("chunked", got.framing)
          assert.is_nil(got:get "content-length")
          assert.is_nil(got:get "x-sum")
        end
      end)
    end

    it("takes any case of its name", function()
      c:send(request { method = "POST", headers = { "transfer-ENCODING: ChunKed" } } .. chunked { "hello" })
      assert.equal(200, assert(c:response()).status)
      assert.equal("hello", up:last_request().body)
    end)

    it("of a response reaches the client", function()
      local status, response = status_of(request { target = "/chunks" })
      assert.equal(200, status)
      assert.equal("chunked", response.framing)
      assert.equal("one two three", response.body)
      assert.is_nil(response:get "content-length")
      assert.equal(200, (status_of(request {})))
    end)

    it("is taken off for a client of HTTP/1.0", function()
      local _, response = status_of(request { target = "/chunks", version = "1.0",
                                              headers = { "Connection: keep-alive" } })
      assert.equal("close", response.framing)
      assert.equal("one two three", response.body)
      assert.equal("eof", response.ended)
    end)

    it("frames a response that ended with its connection", function()
      local _, response = status_of(request { target = "/to-close" })
      assert.equal("chunked", response.framing)
      assert.equal("until the end", response.body)
      assert.truthy(response.complete)
      assert.equal(200, (status_of(request {})))
    end)

    it("keeps the trailers of a response out of its head", function()
      local _, response = status_of(request { target = "/trailers", headers = { "TE: trailers" } })
      assert.equal("summed", response.body)
      assert.truthy(response.complete)
      assert.is_nil(response:get "x-sum")
      assert.equal(200, (status_of(request {})))
    end)
  end)

  describe("the request target", function()
    it("may be absolute: its authority replaces Host", function()
      status_of(request { target = "http://Other.test:81/a?b=c", host = "gate.test" })
      local got = up:last_request()
      assert.equal("/a?b=c", got.target)
      assert.same({ "Other.test:81" }, got:all "host")
    end)

    it("may be absolute without a path", function()
      status_of(request { target = "http://other.test?b=c" })
      assert.equal("/?b=c", up:last_request().target)
    end)

    it("may be the asterisk of OPTIONS", function()
      assert.equal(200, (status_of(request { method = "OPTIONS", target = "*" })))
      assert.equal("OPTIONS * HTTP/1.1", up:last_request().start)
    end)

    it("may hold a method that nobody knows", function()
      assert.equal(200, (status_of(request { method = "BREW-1", target = "/pot" })))
      assert.equal("BREW-1 /pot HTTP/1.1", up:last_request().start)
    end)

    it("may come with a body under GET, which is a body at the upstream too", function()
      assert.equal(200, (status_of(request { target = "/a", body = request { target = "/b" } })))
      assert.equal(1, #up:requests())
      assert.equal(request { target = "/b" }, up:last_request().body)
    end)

    it("needs no Host in HTTP/1.0", function()
      assert.equal(200, (status_of(request { version = "1.0", host = false })))
    end)
  end)

  describe("a method that is refused", function()
    local cases = {
      { "CONNECT", "CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n" },
      { "TRACE",   "TRACE / HTTP/1.1\r\nHost: gate.test\r\n\r\n" },
    }

    for _, case in ipairs(cases) do
      it("is " .. case[1] .. ", with 405 and Allow", function()
        local status, response = status_of(case[2])
        assert.equal(405, status)
        local allow = assert(response:get "allow")
        assert.is_nil(allow:find("TRACE", 1, true))
        assert.is_nil(allow:find("CONNECT", 1, true))
        assert.equal(0, #up:requests())
      end)
    end
  end)

  describe("a limit", function()
    local function fields(n)
      local list = {}
      for i = 1, n do list[i] = "X-" .. i .. ": v" end
      return list
    end
    local coded = { "Transfer-Encoding: chunked" }
    local cases = {
      { "takes a target of limits.uri",          200, request { target = "/" .. ("u"):rep(511) } },
      { "refuses a longer one with 414",         414, request { target = "/" .. ("u"):rep(512) } },
      { "refuses an endless target with 414",    414, "GET /" .. ("u"):rep(3000) },
      { "takes limits.headers lines",            200, request { headers = fields(19) } },
      { "refuses one more with 431",             431, request { headers = fields(20) } },
      { "refuses a head over limits.head: 431",  431, request { headers = { "X: " .. ("v"):rep(2048) } } },
      { "refuses an endless head with 431",      431, "GET / HTTP/1.1\r\nX: " .. ("v"):rep(4096) },
      { "takes a body of limits.body",           200, request { method = "POST", body = ("b"):rep(1024) } },
      { "refuses a longer one with 413",         413, request { method = "POST", body = ("b"):rep(1025) } },
      { "takes chunks of limits.body",           200, request { method = "POST", headers = coded } ..
                                                      chunked { ("b"):rep(1000), ("b"):rep(24) } },
      { "refuses longer chunks with 413",        413, request { method = "POST", headers = coded } ..
                                                      chunked { ("b"):rep(1000), ("b"):rep(25) } },
      { "refuses an unknown coding with 501",    501, request { method = "POST",
                                                                headers = { "Transfer-Encoding: gzip, chunked" } } },
      { "refuses HTTP/2.0 with 505",             505, request { version = "2.0" } },
      { "refuses HTTP/0.9 with 505",             505, request { version = "0.9" } },
      { "treats HTTP/1.2 as 1.1",                200, request { version = "1.2" } },
      { "refuses a missing Host with 400",       400, request { host = false } },
      { "refuses an unrouted host with 400 when it is no name", 400, request { host = "a b" } },
    }

    for _, case in ipairs(cases) do
      it(case[1], function()
        local status, response = status_of(case[3])
        assert.equal(case[2], status)
        if status ~= 200 then
          assert.equal("close", response:get "connection")
          assert.equal("eof", (c:ending()))
          assert.equal(0, #up:requests())
        end
      end)
    end

    it("refuses a target over its length though it comes byte by byte", function()
      c:send_bytewise("GET /" .. ("u"):rep(520) .. " HTTP/1.1\r\n")
      assert.equal(414, assert(c:response()).status)
    end)
  end)

  describe("an error body", function()
    local bad = "GET / HTTP/1.1\r\nHost: gate.test\r\nAccept: %s\r\nExpect: miracles\r\n\r\n"
    local cases = {
      { "application/json",                        "application/json" },
      { "text/html, application/problem+json;q=.5", "application/json" },
      { "text/html",                               "text/plain; charset=utf-8" },
      { "*/*",                                     "text/plain; charset=utf-8" },
    }

    for _, case in ipairs(cases) do
      it(("is %s for Accept: %s"):format(case[2], case[1]), function()
        local status, response = status_of(bad:format(case[1]))
        assert.equal(417, status)
        assert.equal(case[2], response:get "content-type")
        assert.truthy(response:get "x-request-id")
        if case[2] == "application/json" then
          local body = cjson.decode(response.body)
          assert.equal(417, body.status)
          assert.equal(response:get "x-request-id", body.request_id)
          assert.truthy(#body.error > 0)
        else
          assert.truthy(response.body:find("^417 "))
        end
      end)
    end
  end)
end)

describe("a route that answers by itself", function()
  local gw, c

  setup(function()
    gw = gateway.start('routes: [{ path: "/fixed", methods: [GET, HEAD], respond: { body: "fixed\\n" } }]\n')
  end)

  teardown(function() gw:stop() end)
  before_each(function() c = client.connect(gw:port()) end)
  after_each(function() c:close() end)

  local function goes_on_or_says_not(response)
    if response:get "connection" == "close" then
      assert.equal("eof", (c:ending()))
    else
      c:send(request { target = "/fixed" })
      assert.equal("fixed\n", assert(c:response()).body)
    end
  end

  it("refuses a method that is not its own with 405 and Allow", function()
    c:send(request { method = "POST", target = "/fixed" })
    local response = assert(c:response())
    assert.equal(405, response.status)
    assert.equal("GET, HEAD", response:get "allow")
    goes_on_or_says_not(response)
  end)

  local bodies = {
    { "a sized body", request { target = "/fixed", body = "unwanted" }, 200 },
    { "chunks", request { target = "/fixed", headers = { "Transfer-Encoding: chunked" } } .. chunked { "un", "wanted" },
      200 },
    { "a body under a method that is not its own", request { method = "POST", target = "/fixed", body = "unwanted" },
      405 },
    { "a body under a path that is not its own", request { target = "/other", body = "unwanted" }, 404 },
  }

  for _, case in ipairs(bodies) do
    it(("goes on after %s that nobody wanted, or says that it does not"):format(case[1]), function()
      c:send(case[2])
      local response = assert(c:response())
      assert.equal(case[3], response.status)
      goes_on_or_says_not(response)
    end)
  end

  it("takes a request that follows an unwanted body at once", function()
    c:send(bodies[1][2] .. request { target = "/fixed" })
    assert.equal(200, assert(c:response()).status)
    assert.equal(200, assert(c:response()).status)
  end)
end)

describe("a redirect", function()
  local gw
  local TEMPLATES = {
    path = "${path}", uri = "${request_uri}", slash = "/${path}", secure = "https://${host}${path}",
    cdn = "//cdn.test${path}",
  }

  setup(function()
    local routes = {}
    for name, to in pairs(TEMPLATES) do
      routes[#routes + 1] = ('  - { host: %s.test, path: "/*", redirect: { to: "%s" } }\n'):format(name, to)
    end
    gw = gateway.start("security: { merge_slashes: false }\nroutes:\n" .. table.concat(routes))
  end)

  teardown(function() gw:stop() end)

  local cases = {
    { "path",   "/a/b",            "/a/b" },
    { "uri",    "/a/b?c=//d",      "/a/b?c=//d" },
    { "secure", "//a//b",          "https://secure.test//a//b" },
    { "cdn",    "//a",             "//cdn.test//a" },
    { "path",   "//evil.example",  "/evil.example" },
    { "path",   "/a/..//evil.example", "/evil.example" },
    { "uri",    "//evil.example?a", "/evil.example?a" },
    { "slash",  "/evil.example",   "/evil.example" },
    { "path",   "/%2Fevil.example", "/%2Fevil.example" },
    { "path",   "/\\evil.example", "/%5Cevil.example" },
  }
  for _, case in ipairs(cases) do
    it(("to %s sends %s to %s, never to a host of the client's choice"):format(TEMPLATES[case[1]], case[2], case[3]),
       function()
      local response = assert(client.ask(gw:port(), request { target = case[2], host = case[1] .. ".test" }))
      assert.equal(case[3], response:get "location")
    end)
  end
end)

describe("a body of unknown length", function()
  it("is refused with 411 where security.require_content_length says so", function()
    local up = upstream.by_path { default = upstream.echo }
    local gw = gateway.start(("security: { require_content_length: true }\n" ..
                              "services: { app: '%s' }\nroutes: [{ path: '/*', service: app }]\n"):format(up.node))
    finally(function()
      gw:stop()
      up:stop()
    end)
    local coded = request { method = "POST", headers = { "Transfer-Encoding: chunked" } } .. chunked { "hello" }
    assert.equal(411, assert(client.ask(gw:port(), coded)).status)
    assert.equal(200, assert(client.ask(gw:port(), request { method = "POST", body = "hello" })).status)
    assert.equal(1, #up:requests())
  end)
end)

describe("a timeout towards a client", function()
  local up, gw

  setup(function()
    up = upstream.by_path { default = upstream.echo }
    gw = gateway.start(("timeouts: { idle: 600ms, head: 600ms, body: 600ms, write: 600ms }\n" ..
                        "services: { app: '%s' }\nroutes: [{ path: '/*', service: app }]\n"):format(up.node))
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local cases = {
    { "answers half a head with 408",        "GET / HTTP/1.1\r\nHost: ga", 408 },
    { "answers a missing end with 408",      "GET / HTTP/1.1\r\nHost: gate.test\r\n", 408 },
    { "answers half a sized body with 408",  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", 408 },
    { "answers half a chunk with 408",       request { method = "POST", headers = { "Transfer-Encoding: chunked" } } ..
                                             "9\r\nx", 408 },
    { "closes a connection that never spoke", "", nil },
  }

  for _, case in ipairs(cases) do
    it(case[1], function()
      local c = client.connect(gw:port())
      local start = clock.now()
      c:send(case[2])
      local response = c:response()
      assert.equal(case[3], response and response.status)
      assert.equal("eof", (c:ending()))
      local took = clock.now() - start
      assert.truthy(took >= 0.15 and took < 6, took)
      assert.equal(0, #up:requests())
      c:close()
    end)
  end

  it("closes a connection that stays idle after a response", function()
    local c = client.connect(gw:port())
    c:send(request {})
    assert.equal(200, assert(c:response()).status)
    local start = clock.now()
    up:forget()
    assert.equal("eof", (c:ending()))
    local took = clock.now() - start
    assert.truthy(took >= 0.1 and took < 6, took)
    c:close()
  end)

  it("counts a head from its first byte: dripping does not extend it", function()
    local c = client.connect(gw:port())
    local start = clock.now()
    c:send("GET / HTTP/1.1\r\n")
    local response
    for i = 1, 300 do
      if not c:send(("X-%d: y\r\n"):format(i)) then break end
      response = c:response { timeout = 0.03 }
      if response then break end
    end
    assert.equal(408, response and response.status)
    assert.truthy(clock.now() - start < 6)
    c:close()
    up:forget()
  end)
end)
