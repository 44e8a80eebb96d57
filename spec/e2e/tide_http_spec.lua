--- tide.http: requests of a plugin's own, their responses, and every way in which they can fail.
local asking = require "support.asking"
local certificates = require "support.certificates"
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local wire = require "support.wire"

local function with(text, ending)
  return function(conn, head)
    if not conn:read_body(head).complete then return true end
    conn:send(text)
    if ending == "reset" then conn:reset() end
    if ending == "wait" then conn:wait_end() end
    return ending ~= nil
  end
end

local function redirect(status, location)
  return with(("HTTP/1.1 %d Elsewhere\r\nLocation: %s\r\nContent-Length: 4\r\n\r\ngone"):format(status, location))
end

local OK = "HTTP/1.1 200 OK\r\n"
local BAD_HEAD = "broken response: its head is malformed, or over 65536 bytes or 256 fields"
local CUT_HEAD = "broken response: the connection ended within its head"
local CUT_BODY = "broken response: the connection ended within its body"
local CHUNKED = OK .. "Transfer-Encoding: chunked\r\n\r\n"
local BIG = ("0123456789abcdef"):rep(65536)      -- 1 MiB

local answers = {
  default = upstream.echo,
  ["/json"] = with(OK .. 'Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a":"b"}'),
  ["/many"] = with(OK .. "X-Many: one\r\nx-many: two\r\nContent-Length: 0\r\n\r\n"),
  ["/204"] = with "HTTP/1.1 204 No Content\r\n\r\n",
  ["/head"] = with(OK .. "Content-Length: 99999999\r\n\r\n"),
  ["/chunks"] = with(CHUNKED .. client.chunked({ "one ", "two ", "three" }, "X-Trailer: t\r\n")),
  ["/to-close"] = with(OK .. "\r\nuntil the end", "close"),
  ["/old"] = with("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "close"),
  ["/early-hints"] = with("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" .. OK .. "Content-Length: 2\r\n\r\nok"),
  ["/404"] = with "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
  ["/bytewise"] = function(conn, head)
    conn:read_body(head)
    local text = OK .. "X-Many: one\r\nTransfer-Encoding: chunked\r\n\r\n" .. client.chunked { "slow", "ly" }
    for i = 1, #text do conn:send(text:sub(i, i)) end
  end,
  ["/mebibyte"] = with(OK .. "Content-Length: 1048576\r\n\r\n" .. BIG),
  ["/mebibyte-chunked"] = with(CHUNKED .. client.chunked { BIG }),
  ["/more"] = with(OK .. "Content-Length: 1048577\r\n\r\n" .. BIG .. "!", "wait"),
  ["/more-chunked"] = with(CHUNKED .. client.chunked { BIG, "!" }, "wait"),
  ["/more-to-close"] = with(OK .. "\r\n" .. BIG .. "!", "close"),
  ["/ten"] = with(CHUNKED .. client.chunked { BIG, BIG, BIG, BIG, BIG, BIG, BIG, BIG, BIG, BIG }),
  ["/raise"] = with(CHUNKED .. "5\r\nraise\r\n", "wait"),
  ["/length"] = function(conn, head)
    conn:respond(200, tostring(#conn:read_body(head).body))
  end,
  ["/early-answer"] = function(conn)
    conn:send "HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\n\r\nenough"
    conn:wait_release()
    return true
  end,
  -- redirects
  ["/r/same"] = redirect(302, "../echo"),
  ["/r/303"] = redirect(303, "/echo"),
  ["/r/307"] = redirect(307, "/echo?again"),
  ["/r/308"] = redirect(308, "/echo#part"),
  ["/r/loop"] = redirect(301, "/r/loop"),
  ["/r/nowhere"] = with "HTTP/1.1 302 Found\r\nContent-Length: 4\r\n\r\nhere",
  ["/r/ftp"] = redirect(302, "ftp://127.0.0.1/"),
  ["/r/broken"] = redirect(302, "http://a b/"),
  -- failures
  ["/silent"] = function(conn, head)
    conn:read_body(head)
    conn:wait_end()
    return true
  end,
  ["/deaf"] = function(conn)
    conn:wait_release()
    return true
  end,
  ["/stalls"] = with(OK .. "Content-Length: 10\r\n\r\nhalf", "wait"),
  ["/stalls-in-head"] = with(OK .. "Content-Le", "wait"),
  ["/closes"] = with("", "close"),
  ["/resets"] = with("", "reset"),
  ["/closes-in-head"] = with(OK .. "Content-Le", "close"),
  ["/resets-in-head"] = with(OK .. "Content-Le", "reset"),
  ["/closes-in-body"] = with(OK .. "Content-Length: 10\r\n\r\nhalf", "close"),
  ["/resets-in-body"] = with(OK .. "Content-Length: 10\r\n\r\nhalf", "reset"),
  ["/closes-in-chunks"] = with(CHUNKED .. "4\r\nhalf\r\n", "close"),
  ["/garbage"] = with("SSH-2.0-OpenSSH_9.2\r\n", "wait"),
  ["/bad-field"] = with(OK .. "Content Length: 2\r\n\r\nok", "wait"),
  ["/two-lengths"] = with(OK .. "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", "wait"),
  ["/both-framings"] = with(OK .. "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "wait"),
  ["/bad-chunk"] = with(CHUNKED .. "4\r\nhalf\r\nxyz\r\n", "wait"),
  ["/long-head"] = with(OK .. "X-Long: " .. ("x"):rep(70000) .. "\r\n\r\n", "wait"),
  ["/many-fields"] = with(OK .. ("X-Field: x\r\n"):rep(300) .. "\r\n", "wait"),
  ["/101"] = with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "wait"),
  ["/interims"] = with(("HTTP/1.1 100 Continue\r\n\r\n"):rep(17), "wait"),
}

local CONFIG = [[
gateway: { threads: 1, grace: 1s }
routes:
  - { path: "/*", respond: { echo: true } }
plugins: [ ask ]
]]

describe("tide.http", function()
  local up, gw

  setup(function()
    up = upstream.by_path(answers)
    gw = gateway.start(CONFIG, { plugins = { ask = asking.PLUGIN } })
  end)

  teardown(function()
    up:release()
    gw:stop()
    up:stop()
  end)

  before_each(function() up:forget() end)

  --- Options with a path of the upstream in place of a URL.
  local function ask(o)
    if o.at then o.url, o.at = "http://" .. up.node .. o.at, nil end
    return asking.ask(gw:port(), o)
  end

  describe("sends", function()
    it("a GET with what belongs to it, and nothing else", function()
      local out = ask { at = "/echo/a%2Fb?x=1" }
      assert.equal(200, out.status)
      assert.equal(("GET /echo/a%%2Fb?x=1 HTTP/1.1\r\nHost: %s\r\nX-Request-Id: %s\r\n"):format(up.node, out.id) ..
                   "User-Agent: tidegate/0.1.0\r\n\r\n", out.body)
    end)

    it("a query beside that of the URL", function()
      ask { at = "/echo?x=1", query = { a = "b c", n = 2 } }
      assert.equal("/echo?x=1&a=b%20c&n=2", up:last_request().target)
      ask { at = "/echo", query = { a = "b" } }
      assert.equal("/echo?a=b", up:last_request().target)
    end)

    it("fields, several of a name too, and those that it would add itself", function()
      local out = ask { at = "/echo", headers = {
        ["X-List"] = { "a", 2 }, Host = "other.test:81", ["user-agent"] = "me", ["X-REQUEST-ID"] = "mine" } }
      local request = up:last_request()
      assert.same({ "a", "2" }, request:all "x-list")
      assert.same({ "other.test:81" }, request:all "host")
      assert.same({ "me" }, request:all "user-agent")
      assert.same({ "mine" }, request:all "x-request-id")
      assert.equal(200, out.status)
    end)

    local bodies = {
      { "a text", { method = "POST", body = "text" }, "text", "4", nil },
      { "an empty text", { method = "PUT", body = "" }, "", "0", nil },
      { "a table as JSON", { method = "PATCH", body = { a = 1 } }, '{"a":1}', "7", "application/json" },
      { "any value as JSON", { method = "POST", json = "a" }, '"a"', "3", "application/json" },
      { "JSON under another type", { method = "POST", json = { 1 }, headers = { ["Content-Type"] = "text/x" } }, "[1]",
        "3", "text/x" },
      { "no body, and says so", { method = "POST" }, "", "0", nil },
      { "no body of a DELETE", { method = "DELETE" }, "", nil, nil },
      { "a body of a method of its own", { method = "REPORT", body = "?" }, "?", "1", nil },
    }
    for _, case in ipairs(bodies) do
      it(case[1], function()
        case[2].at = "/echo"
        assert.equal(200, ask(case[2]).status)
        local request = up:last_request()
        assert.equal(case[2].method, request.method)
        assert.equal(case[3], request.body)
        assert.equal(case[4], request:get "content-length")
        assert.equal(case[5], request:get "content-type")
      end)
    end

    it("a large body", function()
      assert.equal("5000000", ask({ at = "/length", method = "POST", big_body = 5000000 }).body)
    end)

    for name, method in pairs { get = "GET", post = "POST", put = "PUT", delete = "DELETE" } do
      it(("with http.%s"):format(name), function()
        assert.equal(200, ask({ at = "/echo", shorthand = name }).status)
        assert.equal(method, up:last_request().method)
        ask { at = "/echo", shorthand = name, headers = { ["x-a"] = "b" }, body = "text" }
        assert.equal("b", up:last_request():get "x-a")
        assert.equal("text", up:last_request().body)
      end)
    end
  end)

  describe("receives", function()
    it("JSON", function()
      local out = ask { at = "/json" }
      assert.same({ a = "b" }, out.json)
      assert.equal("application/json", out.any_case)
    end)

    it("fields of the same name", function()
      local out = ask { at = "/many" }
      assert.same({ "one", "two" }, out.many)
      assert.equal("one", out.first)
      assert.equal("one", out.headers["x-many"])
    end)

    local rows = {
      { "no content", "/204", 204, "" }, { "chunks", "/chunks", 200, "one two three" },
      { "a body to the end of the connection", "/to-close", 200, "until the end" }, { "HTTP/1.0", "/old", 200, "ok" },
      { "a response behind interim ones", "/early-hints", 200, "ok" }, { "a status of an error", "/404", 404, "none" },
      { "a response byte by byte", "/bytewise", 200, "slowly" },
      { "the head alone", "/head", 200, "", method = "HEAD" },
      { "a body of exactly max_body bytes", "/mebibyte", 200, 1048576 },
      { "chunks of exactly max_body bytes", "/mebibyte-chunked", 200, 1048576 },
      { "more where it is asked to", "/ten", 200, 10485760, max_body = 10485760 },
    }
    for _, row in ipairs(rows) do
      it(row[1], function()
        local out = ask { at = row[2], method = row.method, max_body = row.max_body }
        assert.equal(row[3], out.status)
        assert.equal(row[4], out.body)
      end)
    end

    it("a body in pieces, however large", function()
      local out = ask { at = "/ten", chunks = true }
      assert.equal(200, out.seen)
      assert.is_nil(out.body)
      assert.equal(10485760, out.bytes)
      assert.is_true(out.chunks >= 10485760 / 262144, out.chunks)
    end)

    it("a small and an empty body in pieces", function()
      assert.equal(13, ask({ at = "/chunks", chunks = true }).bytes)
      local out = ask { at = "/204", chunks = true }
      assert.equal(204, out.status)
      assert.is_nil(out.bytes)
    end)

    it("an answer that comes before the whole request was sent", function()
      local out = ask { at = "/early-answer", method = "POST", big_body = 10000000 }
      assert.equal(413, out.status)
      assert.equal("enough", out.body)
      assert.equal(200, ask({ at = "/json" }).status)
      assert.is_true(up:connections() >= 1)
    end)
  end)

  it("ends the transfer when on_chunk raises, and raises that", function()
    local out = ask { at = "/raise", chunks = true }
    assert.is_truthy(out.raised:find("plugins/ask.lua:%d+: on_chunk says no"), out.raised)
    up:wait_event "ended"
  end)

  describe("follows redirects", function()
    it("only where it is told to", function()
      local out = ask { at = "/r/same" }
      assert.equal(302, out.status)
      assert.equal("../echo", out.headers.location)
      assert.equal("gone", out.body)
    end)

    local rows = {
      { "/r/same", "GET", "GET", "/echo" }, { "/r/same", "POST", "GET", "/echo" }, { "/r/303", "PUT", "GET", "/echo" },
      { "/r/303", "HEAD", "HEAD", "/echo" }, { "/r/307", "POST", "POST", "/echo?again" },
      { "/r/308", "PUT", "PUT", "/echo" }, { "/r/same", "PUT", "PUT", "/echo" },
    }
    for _, row in ipairs(rows) do
      it(("%s of %s to a %s"):format(row[2], row[1], row[3]), function()
        local has_body = row[2] ~= "GET" and row[2] ~= "HEAD"
        local out = ask { at = row[1], method = row[2], follow = 1, body = has_body and "text" or nil,
                          headers = { authorization = "secret", ["content-type"] = has_body and "text/plain" or nil } }
        assert.equal(200, out.status)
        local request = up:last_request()
        assert.equal(row[3] .. " " .. row[4], request.method .. " " .. request.target)
        assert.equal(row[3] ~= "GET" and has_body and "text" or "", request.body)
        assert.equal(row[3] ~= "GET" and has_body and "text/plain" or nil, request:get "content-type")
        assert.equal("secret", request:get "authorization")
        assert.equal("http://" .. up.node .. row[4], out.url)
      end)
    end

    it("without telling another origin what was meant for the first", function()
      local other = upstream.by_path {}
      local here = upstream.by_path { default = redirect(307, "http://" .. other.node .. "/there") }
      local out = asking.ask(gw:port(), { url = "http://" .. here.node .. "/", follow = 3, headers = {
        Authorization = "secret", COOKIE = { "a=b", "c=d" }, Host = "here.test", ["X-Plain"] = "told" } })
      assert.equal(200, out.status)
      local request = other:last_request()
      assert.same({}, request:all "authorization")
      assert.same({}, request:all "cookie")
      assert.equal(other.node, request:get "host")
      assert.equal("told", request:get "x-plain")
      other:stop()
      here:stop()
    end)

    it("in pieces only at the end", function()
      local out = ask { at = "/r/same", follow = 1, chunks = true }
      assert.equal(200, out.status)
      assert.equal(200, out.seen)
    end)

    it("but no response without a location", function()
      local out = ask { at = "/r/nowhere", follow = 2 }
      assert.equal(302, out.status)
      assert.equal("here", out.body)
    end)

    local failures = {
      { "a loop", "/r/loop", "^more than 3 redirects$" },
      { "another scheme", "/r/ftp", "^broken redirect: expected a URL" },
      { "what is no URL", "/r/broken", "^broken redirect: " },
    }
    for _, row in ipairs(failures) do
      it("not into " .. row[1], function()
        local out = ask { at = row[2], follow = 3 }
        assert.is_truthy((out.why or ""):find(row[3]), out.why)
        assert.equal("redirect", out.phase)
      end)
    end
  end)

  describe("fails [T48 T54] with", function()
    local full, full_port, filler

    setup(function()
      -- A listening socket whose queue is full: the kernel lets connects wait.
      full, full_port = wire.listen { backlog = 0 }
      filler = assert(wire.connect(full_port))
    end)

    teardown(function()
      wire.close(filler)
      wire.close(full)
    end)

    local rows = {
      { "no answer in time", { at = "/silent", timeout = 0.2 }, "timeout", "response" },
      { "an answer that stops in its head", { at = "/stalls-in-head", timeout = 0.2 }, "timeout", "response" },
      { "a body that stops", { at = "/stalls", timeout = 0.2 }, "timeout", "body" },
      { "a body in pieces that stops", { at = "/stalls", timeout = 0.2, chunks = true }, "timeout", "body" },
      { "an upstream that does not read", { at = "/deaf", method = "POST", big_body = 8000000, timeout = 0.3 },
        "timeout", "send" },
      { "a close before the response", { at = "/closes" }, "closed before a response", "response" },
      { "a reset before the response", { at = "/resets" }, "closed before a response", "response" },
      { "a close in the head", { at = "/closes-in-head" }, CUT_HEAD, "response" },
      { "a reset in the head", { at = "/resets-in-head" }, CUT_HEAD, "response" },
      { "a close in the body", { at = "/closes-in-body" }, CUT_BODY, "body" },
      { "a reset in the body", { at = "/resets-in-body" }, CUT_BODY, "body" },
      { "a close between chunks", { at = "/closes-in-chunks" }, CUT_BODY, "body" },
      { "a close in a body in pieces", { at = "/closes-in-chunks", chunks = true }, CUT_BODY, "body" },
      { "what is not HTTP", { at = "/garbage" }, BAD_HEAD, "response" },
      { "a malformed field", { at = "/bad-field" }, BAD_HEAD, "response" },
      { "two lengths", { at = "/two-lengths" }, BAD_HEAD, "response" },
      { "a length and chunks", { at = "/both-framings" }, BAD_HEAD, "response" },
      { "too long a head", { at = "/long-head" }, BAD_HEAD, "response" },
      { "too many fields", { at = "/many-fields" }, BAD_HEAD, "response" },
      { "a malformed chunk", { at = "/bad-chunk" }, "broken response: the chunks of its body are malformed", "body" },
      { "a change of protocols", { at = "/101" }, "broken response: it switches protocols unasked", "response" },
      { "endless interim responses", { at = "/interims" }, "broken response: too many interim responses", "response" },
      { "a length over max_body", { at = "/more" }, "response body over 1048576 bytes", "response" },
      { "chunks over max_body", { at = "/more-chunked" }, "response body over 1048576 bytes", "body" },
      { "an open end over max_body", { at = "/more-to-close" }, "response body over 1048576 bytes", "body" },
      { "pieces over max_body", { at = "/more-chunked", chunks = true, max_body = 100000 },
        "response body over 100000 bytes", "body" },
      { "any body over a max_body of 0", { at = "/404", max_body = 0 }, "response body over 0 bytes", "response" },
      { "a name that is none", { url = "http://127.1/" }, 'cannot resolve "127.1": it is neither a name nor an address',
        "connect" },
      { "another scheme", { url = "ws://127.0.0.1/" },
        'url: expected a URL that begins with "http://" or "https://", found "ws://127.0.0.1/"', "start" },
      { "what is no URL", { url = "http://a b/" }, 'url: expected a URL, found byte 0x20 at byte 9', "start" },
      { "a password in the URL", { url = "http://a:b@127.0.0.1/" },
        "url: expected a URL without user and password: they go into the authorization header", "start" },
    }
    for _, row in ipairs(rows) do
      it(row[1], function()
        local start = clock.now()
        local out = ask(row[2])
        assert.equal(row[3], out.why)
        assert.equal(row[4], out.phase)
        assert.is_true(clock.now() - start < 2)
      end)
    end

    it("nobody who listens", function()
      assert.same({ why = "refused", phase = "connect" }, ask { url = "http://" .. upstream.nobody() .. "/" })
    end)

    it("a connection that does not come about", function()
      local start = clock.now()
      local url = "http://127.0.0.1:" .. full_port .. "/"
      assert.same({ why = "timeout", phase = "connect" }, ask { url = url, connect_timeout = 0.2 })
      assert.same({ why = "timeout", phase = "connect" }, ask { url = url, timeout = 0.2 })
      assert.is_true(clock.now() - start < 2)
    end)

    it("the connection closed, whatever was wrong", function()
      for _, path in ipairs { "/silent", "/stalls", "/garbage", "/more", "/bad-chunk" } do
        up:forget()
        assert.is_truthy(ask({ at = path, timeout = 0.2 }).why)
        up:wait_event "ended"
      end
    end)
  end)

  describe("refuses", function()
    local rows = {
      { "neither url nor service", {}, "expected url or service, found neither" },
      { "both of them", { url = "http://a", service = "app" }, "expected url or service, found both" },
      { "a path beside the url", { url = "http://a", path = "/" },
        "path: expected it with service only, found it with url" },
      { "an unknown option", { url = "http://a", body_max = 1 }, "there is no option body_max" },
      { "an option of the wrong type", { url = "http://a", timeout = "5s" },
        "timeout: expected a number, found a string" },
      { "a time that is none", { url = "http://a", timeout = 0 },
        "timeout: expected 0.001 to 86400 seconds, found 0" },
      { "an unknown option of tls", { url = "https://a", tls = { certificate = "x" } },
        "tls: there is no option certificate" },
      { "a body and json", { url = "http://a", body = "x", json = {} }, "expected body or json, found both" },
      { "a body that is a number", { url = "http://a", body = 1 }, "body: expected a text or a table, found a number" },
      { "a header that is a boolean", { url = "http://a", headers = { a = true } },
        "headers: a: expected a text, a number or a list of those, found a boolean" },
      { "CR LF in a header", { url = "http://a", headers = { a = "b\r\nX-Evil: 1" } },
        'expected no control characters in the value of a header field, found "a"' },
      { "LF in a header", { url = "http://a", headers = { a = "b\nc" } },
        'expected no control characters in the value of a header field, found "a"' },
      { "NUL in a header", { url = "http://a", headers = { a = "b\0c" } },
        'headers: expected no NUL, found one in "a"' },
      { "CR LF in a header's name", { url = "http://a", headers = { ["a\r\nb"] = "c" } },
        'expected the name of a header field, found "a??b"' },
      { "an empty name", { url = "http://a", headers = { [""] = "c" } },
        'expected the name of a header field, found ""' },
      { "CR LF in the method", { url = "http://a", method = "GET / HTTP/1.1\r\n" },
        'expected a method that is not CONNECT, found "GET / HTTP/1.1??"' },
      { "CONNECT", { url = "http://a", method = "CONNECT" }, 'expected a method that is not CONNECT, found "CONNECT"' },
      { "a host that is none", { url = "http://a", headers = { host = "a b" } },
        'expected one Host, a name and maybe a port, found "a b"' },
      { "two hosts", { url = "http://a", headers = { host = { "a", "b" } } },
        'expected one Host, a name and maybe a port, found "b"' },
      { "too much of headers", { url = "http://a", headers = { a = ("x"):rep(70000) } },
        "expected header fields of at most 65536 bytes together" },
      { "an unknown service", { service = "nosuch" },
        'expected the name of a service of the configuration, found "nosuch"' },
      { "follow with a service", { service = "a", follow = 1 }, "follow: expected it with url only" },
    }
    for _, name in ipairs { "Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "TE", "Trailer",
                            "Upgrade", "Proxy-Connection", "Expect", "HTTP2-Settings" } do
      local why = 'the gateway itself says how messages are framed and connections used, found "%s"'
      rows[#rows + 1] = { name, { url = "http://a", headers = { [name] = "1" } }, why:format(name) }
    end
    for _, row in ipairs(rows) do
      it(row[1], function()
        local out = ask(row[2])
        assert.is_truthy((out.raised or ""):find(row[3], 1, true), out.raised or out.why)
        assert.is_truthy(out.raised:find "^plugins/ask.lua:%d+: http.request: ", out.raised)
      end)
    end

    it("a path that is none, with a service", function()
      assert.is_truthy(ask({ service = "a", path = "a b" }).raised)
    end)
  end)
end)

describe("tide.http over TLS", function()
  local authority = certificates.authority()
  local stranger = certificates.authority "stranger"
  local served = certificates.sign(authority, "served", "DNS:served.test,IP:127.0.0.1")
  local gw, server, https

  setup(function()
    server = gateway.start(([[
gateway: { threads: 1, grace: 1s }
listen: [{ address: "127.0.0.1:0", tls: { certificates: [{ cert: "%s", key: "%s" }] } }]
routes:
  - { path: "/plain", redirect: { to: "http://127.0.0.1/" } }
  - { path: "/*", respond: { echo: true } }
]]):format(served.cert, served.key))
    gw = gateway.start(CONFIG, { plugins = { ask = asking.PLUGIN } })
    https = "https://127.0.0.1:" .. server:port() .. "/"
  end)

  teardown(function()
    gw:stop()
    server:stop()
  end)

  local function ask(o)
    o.url = o.url or https
    return asking.ask(gw:port(), o)
  end

  it("trusts an authority of its own, by address and by name", function()
    assert.equal(200, ask({ tls = { ca = authority.ca } }).status)
    assert.equal(200, ask({ tls = { ca = authority.ca, server_name = "served.test" } }).status)
  end)

  it("trusts anyone where it is told to", function()
    assert.equal(200, ask({ tls = { verify = false } }).status)
  end)

  local rows = {
    { "the system's authorities do not know", {}, "unable to get local issuer certificate" },
    { "another authority does not know", { ca = stranger.ca }, "unable to get local issuer certificate" },
    { "has another name", { ca = authority.ca, server_name = "other.test" }, "hostname mismatch" },
  }
  for _, row in ipairs(rows) do
    it("refuses a certificate that " .. row[1], function()
      assert.same({ why = "tls: " .. row[3], phase = "connect" }, ask { tls = row[2] })
    end)
  end

  it("never uses a connection that was made with less care", function()
    assert.equal(200, ask({ tls = { verify = false } }).status)
    assert.equal("tls: unable to get local issuer certificate", ask({}).why)
    assert.equal("tls: hostname mismatch", ask({ tls = { ca = authority.ca, server_name = "other.test" } }).why)
  end)

  it("tells of a file that is none", function()
    local out = ask { tls = { ca = "/nonexistent.pem" } }
    assert.is_truthy(out.why:find '^tls: cannot load the CA file "/nonexistent.pem": ', out.why)
  end)

  it("tells of a peer that speaks no TLS", function()
    local out = ask { url = "https://127.0.0.1:" .. gw:port() .. "/" }
    assert.equal("tls: wrong version number", out.why)
  end)

  it("does not go back to plain HTTP by a redirect", function()
    local out = ask { url = https .. "plain", follow = 1, tls = { verify = false } }
    assert.equal("redirect refused: it leads from https to http", out.why)
  end)
end)
