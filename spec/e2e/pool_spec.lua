--- Connections to upstreams: kept, bounded, and never the reason why a request fails.
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request
local OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
local CONFIG = [[
services:
  app: { nodes: ["NODE"], retries: { attempts: 2 } }
  short: { nodes: ["NODE"], pool: { idle: 150ms } }
  narrow: { nodes: ["NODE"], pool: { idle_per_node: 2 } }
  none: { nodes: ["NODE"], pool: { idle_per_node: 0 } }
  counted: { nodes: ["NODE"], pool: { max_requests: 3 } }
  aged: { nodes: ["NODE"], pool: { lifetime: 200ms } }
  once: { nodes: ["NODE"], retries: { attempts: 0 } }
routes:
  - { path: "/*", service: app }
  - { path: "/short/*", service: short }
  - { path: "/narrow/*", service: narrow }
  - { path: "/none/*", service: none }
  - { path: "/counted/*", service: counted }
  - { path: "/aged/*", service: aged }
  - { path: "/once/*", service: once }
]]

local answers = {
  ["/then-close"] = upstream.then_end "close",
  ["/then-reset"] = upstream.then_end "reset",
  ["/then-half"] = function(conn, head)
    conn:read_body(head)
    conn:send(OK)
    if conn:read_request() then conn:send("HTTP/1.1 200 O") end
    return true
  end,
  ["/says-close"] = upstream.with "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
  ["/old"] = upstream.with "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
  ["/old-kept"] = upstream.with "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
  ["/204"] = upstream.with "HTTP/1.1 204 No Content\r\n\r\n",
  ["/304"] = upstream.with "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
  ["/chunked"] = upstream.with "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
  ["/head"] = upstream.with "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
  ["/1xx"] = upstream.with("HTTP/1.1 103 Early Hints\r\n\r\n" .. OK),
  ["/keeps"] = function(conn, head)
    conn:read_body(head)
    conn:send((OK:gsub("\r\n\r\n", "\r\nKeep-Alive: " .. head:get "x-keeps" .. "\r\n\r\n")))
  end,
  ["/unread"] = function(conn)
    conn:send(OK)
    conn:wait_end()
    return true
  end,
  ["/narrow/hold"] = function(conn, head)
    conn:read_body(head)
    conn:note { kind = "waiting" }
    conn:wait_release()
    conn:send(OK)
  end,
  ["/released"] = function(conn, head)         -- ends its idle connection when it is told to
    conn:read_body(head)
    conn:send(OK)
    conn:note { kind = "waiting" }
    conn:wait_release()
    if head:get "x-how" == "reset" then conn:reset() end
    return true
  end,
  ["/die"] = function(conn, head)
    conn:read_body(head)
    return true
  end,
  ["/once/die"] = function(conn, head)
    conn:read_body(head)
    return true
  end,
}

describe("the pool", function()
  local up, gw, c

  before_each(function()
    up = upstream.by_path(answers)
    gw = gateway.start((CONFIG:gsub("NODE", up.node)))
    c = client.connect(gw:port())
  end)

  after_each(function()
    c:close()
    gw:stop()
    up:stop()
  end)

  local function ask(r, from)
    from = from or c
    from:send(request(r))
    return assert(from:response { method = r.method })
  end

  local function ok(r) assert.equal(200, ask(r).status) end

  it("uses one connection for requests in a row, from any client", function()
    for _ = 1, 10 do ok {} end
    for _ = 1, 10 do assert.equal(200, assert(client.ask(gw:port(), request {})).status) end
    for _ = 1, 5 do ok { method = "POST", body = "body" } end
    assert.equal(1, up:connections())
    assert.equal(25, #up:requests())
  end)

  local reusable = {
    { "a 204", "/204" }, { "a 304 with a length", "/304" }, { "chunks and trailers", "/chunked" },
    { "interim responses", "/1xx" }, { "HTTP/1.0 with keep-alive", "/old-kept" },
    { "an answer to HEAD", "/head", method = "HEAD" },
  }
  for _, case in ipairs(reusable) do
    it("keeps a connection after " .. case[1], function()
      for _ = 1, 4 do ask { target = case[2], method = case.method } end
      assert.equal(1, up:connections())
    end)
  end

  for _, case in ipairs { { "the upstream said close", "/says-close" }, { "HTTP/1.0", "/old" } } do
    it("gives a connection up after " .. case[1], function()
      for _ = 1, 3 do ok { target = case[2] } end
      assert.equal(3, up:connections())
      up:wait_event("ended")
    end)
  end

  it("gives a connection up whose request was not taken whole", function()
    c:send(request { method = "POST", target = "/unread", headers = { "Content-Length: 100000" } } .. "half")
    assert.equal(200, assert(c:response()).status)
    c:close()
    up:wait_event("ended")
    c = client.connect(gw:port())
    ok {}
    assert.equal(2, up:connections())
  end)

  it("closes an idle connection after pool.idle", function()
    ok { target = "/short/" }
    local start = clock.now()
    assert.equal("eof", up:wait_event("ended").how)
    assert.truthy(clock.now() - start < 6)
    ok { target = "/short/" }
    assert.equal(2, up:connections())
  end)

  describe("an upstream that says how long it keeps a connection", function()
    local function keeps(value) ok { target = "/keeps", headers = { "X-Keeps: " .. value } } end

    it("does not have to close it: half of a short time, or a second before", function()
      for _, row in ipairs { { "timeout=1", 0.45, 0.95 }, { "max=5, Timeout=2", 0.95, 1.9 } } do
        local took = clock.quickest(row[3], function()
          up:forget()
          keeps(row[1])
          assert.equal("eof", up:wait_event("ended").how)
        end)
        assert.is_true(took > row[2] and took < row[3], ("%s: %gs"):format(row[1], took))
      end
    end)

    local counts = {
      { "max=3", { 3, 3, 1 } }, { "timeout=60, max=1", { 1, 1, 1, 1, 1, 1, 1 } }, { "max=0", { 1, 1, 1, 1, 1, 1, 1 } },
      { "max=100", { 7 } },
    }
    for _, row in ipairs(counts) do
      it("gets no more requests on it than it takes: " .. row[1], function()
        for _ = 1, 7 do keeps(row[1]) end
        local each = {}
        for _, got in ipairs(up:requests()) do each[got.connection] = (each[got.connection] or 0) + 1 end
        assert.same(row[2], each)
      end)
    end

    local senseless = {
      "timeout=abc, max=-1", "timeout=", "timeout=99999999999999999999, max=99999999999999999999", "max", ",,=,",
      "timeout=4294967, max=4294967295",
    }
    for _, value in ipairs(senseless) do
      it("is not believed where it makes no sense: " .. value, function()
        for _ = 1, 4 do keeps(value) end
        assert.equal(1, up:connections())
      end)
    end
  end)

  it("keeps pool.idle_per_node connections at most", function()
    local many = {}
    for i = 1, 6 do
      many[i] = client.connect(gw:port())
      many[i]:send(request { target = "/narrow/hold" })
    end
    clock.wait_until(function() return #up:events("waiting") == 6 end)
    up:release()
    for i = 1, 6 do
      assert.equal(200, assert(many[i]:response()).status)
      many[i]:close()
    end
    clock.wait_until(function() return #up:events("ended") == 4 end, nil, "the end of four connections")
    for _ = 1, 5 do ok { target = "/narrow/" } end
    assert.equal(6, up:connections())
    assert.equal(4, #up:events("ended"))
  end)

  it("keeps none where pool.idle_per_node is 0", function()
    for _ = 1, 3 do ok { target = "/none/" } end
    assert.equal(3, up:connections())
  end)

  it("closes a connection after pool.max_requests", function()
    for _ = 1, 7 do ok { target = "/counted/" } end
    local per_connection = {}
    for _, got in ipairs(up:requests()) do
      per_connection[got.connection] = (per_connection[got.connection] or 0) + 1
    end
    assert.same({ 3, 3, 1 }, per_connection)
  end)

  it("does not use a connection past pool.lifetime", function()
    local start = clock.now()
    ok { target = "/aged/" }
    clock.wait_until(function()
      ok { target = "/aged/" }
      return up:connections() > 1
    end, nil, "a second connection")
    assert.truthy(clock.now() - start >= 0.15)
  end)

  it("notices when the upstream closes an idle connection", function()
    ok { target = "/released", headers = { "X-How: close" } }
    up:wait_event("waiting")
    up:release()
    up:wait_event("ended")
    for _ = 1, 3 do ok { method = "POST", target = "/", body = "body" } end
    assert.equal(2, up:connections())
  end)

  describe("a stale connection", function()
    for _, path in ipairs { "/then-close", "/then-reset" } do
      for _, method in ipairs { "GET", "PUT", "DELETE" } do
        it(("that ends with a %s taken is replaced invisibly: %s"):format(method, path), function()
          ok { target = path }
          ok { method = method, target = "/again", body = method == "PUT" and "body" or nil }
          assert.equal(1, #up:events("taken"))
          assert.equal(2, up:connections())
          assert.equal("/again", up:last_request().target)
          assert.equal(method == "PUT" and "body" or "", up:last_request().body)
        end)
      end

      it("that ends with a POST taken is a 502: it must not be done twice: " .. path, function()
        ok { target = path }
        assert.equal(502, ask { method = "POST", target = "/again", body = "body" }.status)
        assert.equal(1, up:connections())
        assert.equal(1, #up:events("taken"))
      end)
    end

    it("that ends in the head of an answer is a failed try: there may be another one for GET", function()
      ok { target = "/then-half" }
      assert.equal(200, ask { target = "/again" }.status)
      assert.equal(2, up:connections())
    end)

    it("that ends in the head of an answer is a 502 for POST", function()
      ok { target = "/then-half" }
      assert.equal(502, ask { method = "POST", target = "/again", body = "body" }.status)
      assert.equal(1, up:connections())
    end)

    -- The worker stands still while both things happen, so that it cannot have noticed the end before it sends.
    for _, how in ipairs { "close", "reset" } do
      for _, first in ipairs { "request", "end" } do
        it(("that ends by %s as a POST comes, the %s first, is replaced invisibly"):format(how, first), function()
          ok { target = "/released", headers = { "X-How: " .. how } }
          up:wait_event("waiting")
          gw:pause()
          if first == "request" then c:send(request { method = "POST", target = "/again", body = "body" }) end
          up:release()
          up:wait_event("ended")
          if first == "end" then c:send(request { method = "POST", target = "/again", body = "body" }) end
          gw:resume()
          local response = assert(c:response())
          assert.equal(200, response.status)
          local posts = 0
          for _, got in ipairs(up:requests()) do
            if got.method == "POST" then posts = posts + 1 end
          end
          assert.equal(1, posts)
          assert.equal("body", up:last_request().body)
        end)
      end
    end
  end)

  describe("a new connection that ends unanswered", function()
    it("is tried again for GET, retries.attempts times", function()
      assert.equal(502, ask { target = "/die" }.status)
      assert.equal(3, #up:requests())
    end)

    it("is not tried again for POST", function()
      assert.equal(502, ask { method = "POST", target = "/die", body = "body" }.status)
      assert.equal(1, #up:requests())
    end)

    it("is not tried again where retries.attempts is 0", function()
      assert.equal(502, ask { target = "/once/die" }.status)
      assert.equal(1, #up:requests())
    end)
  end)
end)

describe("a node that refuses", function()
  it("is passed over for another, for POST too", function()
    local up = upstream.by_path {}
    local gw = gateway.start(("services: { app: { nodes: ['%s', '%s'], retries: { attempts: 1 } } }\n" ..
                              "routes: [{ path: '/*', service: app }]\n"):format(upstream.nobody(), up.node))
    finally(function()
      gw:stop()
      up:stop()
    end)
    for _ = 1, 4 do
      assert.equal(200, assert(client.ask(gw:port(), request { method = "POST", body = "body" })).status)
    end
    assert.equal(4, #up:requests())
  end)
end)
