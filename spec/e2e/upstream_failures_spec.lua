--- Upstreams on a bad day: the client gets a status that says whose fault it was, or a broken connection when the
-- response had begun; never a short body that looks whole.
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local wire = require "support.wire"

local request = client.request
local CONFIG = [[
timeouts: { body: 5s, write: 5s }
limits: { body: 0 }
services:
  app: { nodes: ["NODE"], retries: { attempts: 0 } }
  hasty: { nodes: ["NODE"], retries: { attempts: 0 }, timeouts: { send: 300ms, first_byte: 300ms } }
  restless: { nodes: ["NODE"], retries: { attempts: 0 }, timeouts: { idle: 300ms } }
  refusing: { nodes: ["NOBODY"], retries: { attempts: 0 } }
  disabled: { nodes: [{ url: "NODE", enabled: false }] }
  full: { nodes: ["FULL"], timeouts: { connect: 300ms }, retries: { attempts: 0 } }
routes:
  - { path: "/*", service: app }
  - { paths: [/deaf, /drip-head, SILENT], service: hasty }
  - { paths: [STOPPING], service: restless }
  - { path: "/refusing", service: refusing }
  - { path: "/disabled", service: disabled }
  - { path: "/full", service: full }
  - { path: "/route-timeout/*", service: app, timeout: 150ms }
]]

-- What the upstream does with a request it has read: bytes to send, then how it ends ("close", "reset", "hang").
local deeds = {}

--- The paths of the cases for which a timeout has to pass: all others have time.
local function waiting(cases, how, status)
  local paths = {}
  for _, case in ipairs(cases) do
    if case[#case] == how and (not status or case[3] == status) then paths[#paths + 1] = case[2] end
  end
  return table.concat(paths, ", ")
end

local function deed(path, bytes, how)
  deeds[path] = function(conn, head)
    conn:read_body(head)
    for _, piece in ipairs(type(bytes) == "table" and bytes or { bytes }) do
      conn:send(piece)
    end
    if how == "reset" then
      conn:reset()
    elseif how == "hang" then
      conn:wait_end()
    end
    return true
  end
end

local OK = "HTTP/1.1 200 OK\r\n"
local BIG = ("b"):rep(300000)

-- { what it is, path, status }: the client must get this status.
local told = {
  { "says nothing and closes",         "/close", 502, "", "close" },
  { "says nothing and resets",         "/reset", 502, "", "reset" },
  { "never answers",                   "/hang", 504, "", "hang" },
  { "closes in mid-head",              "/head-close", 502, OK .. "Content-Le", "close" },
  { "closes behind a header line",     "/head-close-2", 502, OK .. "Content-Length: 0\r\n", "close" },
  { "resets in mid-head",              "/head-reset", 502, OK .. "Content-Le", "reset" },
  { "stops in mid-head",               "/head-hang", 504, OK .. "Content-Le", "hang" },
  { "stops in its status line",        "/line-hang", 504, "HTT", "hang" },
  { "sends garbage",                   "/garbage", 502, "\1\2\3 what is this\r\n\r\n", "close" },
  { "sends garbage and waits",         "/garbage-hang", 502, "SSH-2.0-OpenSSH_9.2\r\n", "hang" },
  { "speaks TLS",                      "/tls", 502, "\21\3\1\0\2\2\70", "close" },
  { "answers in HTTP/0.9",             "/0.9", 502, "<html>hello</html>", "close" },
  { "answers in HTTP/2",               "/2", 502, "HTTP/2.0 200 OK\r\n\r\n", "close" },
  { "has a status of four digits",     "/status-4", 502, "HTTP/1.1 2000 OK\r\n\r\n", "close" },
  { "has a status of two digits",      "/status-2", 502, "HTTP/1.1 20 OK\r\n\r\n", "close" },
  { "has a status below 100",          "/status-099", 502, "HTTP/1.1 099 OK\r\n\r\n", "close" },
  { "has a status in letters",         "/status-x", 502, "HTTP/1.1 2xx OK\r\n\r\n", "close" },
  { "ends its lines with LF",          "/lf", 502, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "close" },
  { "has a header without a colon",    "/no-colon", 502, OK .. "what\r\n\r\n", "close" },
  { "has a space before a colon",      "/space-colon", 502, OK .. "Content-Length : 2\r\n\r\nok", "close" },
  { "folds a header line",             "/fold", 502, OK .. "X: y\r\n z\r\nContent-Length: 2\r\n\r\nok", "close" },
  { "has a NUL in a header",           "/nul", 502, OK .. "X: \0\r\nContent-Length: 2\r\n\r\nok", "close" },
  { "has a CR in a header",            "/cr", 502, OK .. "X: a\rb\r\nContent-Length: 2\r\n\r\nok", "close" },
  { "has a length and chunks",         "/both", 502,
    OK .. "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "close" },
  { "has two different lengths",       "/lengths", 502,
    OK .. "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!", "close" },
  { "has a list of lengths",           "/length-list", 502, OK .. "Content-Length: 2, 3\r\n\r\nok!", "close" },
  { "has a length that is no number",  "/length-x", 502, OK .. "Content-Length: two\r\n\r\nok", "close" },
  { "has a length below zero",         "/length-minus", 502, OK .. "Content-Length: -2\r\n\r\nok", "close" },
  { "has a length over 64 bits",       "/length-big", 502,
    OK .. "Content-Length: 18446744073709551618\r\n\r\nok", "close" },
  { "has an unknown coding",           "/coding", 502, OK .. "Transfer-Encoding: gzip\r\n\r\nok", "close" },
  { "has chunked in a list",           "/coding-list", 502, OK .. "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "close" },
  { "has chunks in HTTP/1.0",          "/coding-old", 502,
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "close" },
  { "begins with a bad chunk",         "/chunk-first", 502,
    OK .. "Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n", "close" },
  { "has a header line without end",   "/endless-line", 502, OK .. "X: " .. BIG, "hang" },
  { "has header lines without end",    "/endless-lines", 502, OK .. ("X: y\r\n"):rep(50000), "hang" },
  { "has a reason without end",        "/endless-reason", 502, "HTTP/1.1 200 " .. BIG, "hang" },
  { "sends 1xx without end",           "/1xx", 502,
    ("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"):rep(2000), "hang" },
  { "sends 100 without end",           "/100", 502, ("HTTP/1.1 100 Continue\r\n\r\n"):rep(2000), "hang" },
  { "sends a 1xx and closes",          "/1xx-close", 502, "HTTP/1.1 103 Early Hints\r\n\r\n", "close" },
  { "sends a 1xx with a body",         "/1xx-body", 502,
    "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nok", "close" },
  { "switches protocols unasked",      "/101", 502, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n" ..
    "Connection: upgrade\r\n\r\nraw", "hang" },
}

-- What the log says about some of them.
local reasons = {
  ["/garbage"] = "malformed status line", ["/status-4"] = "malformed status line", ["/2"] = "no HTTP/1 response",
  ["/tls"] = "TLS where plain HTTP was expected", ["/lf"] = "bare LF",
  ["/no-colon"] = "field line without colon", ["/space-colon"] = "space before colon",
  ["/nul"] = "control byte in a field value", ["/both"] = "Content-Length and Transfer-Encoding",
  ["/lengths"] = "two Content-Length fields", ["/length-x"] = "a Content-Length that is no number",
  ["/coding"] = "a Transfer-Encoding other than chunked", ["/coding-old"] = "Transfer-Encoding in HTTP/1.0",
  ["/endless-lines"] = "a head over 64 KiB or 256 fields", ["/endless-line"] = "a head over 64 KiB or 256 fields",
  ["/1xx"] = "too many 1xx responses", ["/1xx-body"] = "a 1xx response with a body",
  ["/101"] = "a 101 that was not asked for", ["/chunk-first"] = "a malformed chunk or trailer",
}

-- The response had begun: the client gets its head and must be able to tell that the body is not whole.
local cut = {
  { "closes in a sized body",           "/body-close", OK .. "Content-Length: 10\r\n\r\nhalf", "close" },
  { "resets in a sized body",           "/body-reset", OK .. "Content-Length: 10\r\n\r\nhalf", "reset" },
  { "stops in a sized body",            "/body-hang", OK .. "Content-Length: 10\r\n\r\nhalf", "hang" },
  { "closes in a large sized body",     "/large-close",
    { OK .. "Content-Length: 8000000\r\n\r\n", BIG, BIG }, "close" },
  { "resets in a large sized body",     "/large-reset",
    { OK .. "Content-Length: 8000000\r\n\r\n", BIG, BIG }, "reset" },
  { "stops in a large sized body",      "/large-hang", { OK .. "Content-Length: 8000000\r\n\r\n", BIG, BIG }, "hang" },
  { "closes in a chunk",                "/chunk-close", OK .. "Transfer-Encoding: chunked\r\n\r\na\r\nhalf", "close" },
  { "resets in a chunk",                "/chunk-reset", OK .. "Transfer-Encoding: chunked\r\n\r\na\r\nhalf", "reset" },
  { "stops in a chunk",                 "/chunk-hang", OK .. "Transfer-Encoding: chunked\r\n\r\na\r\nhalf", "hang" },
  { "closes between chunks",            "/chunks-close",
    OK .. "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "close" },
  { "closes before the last empty line", "/chunks-end", OK .. "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    "close" },
  { "has a bad chunk later",            "/chunk-bad",
    OK .. "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\nmore\r\n",
    "hang", in_time = true },           -- all of it may be there before the client got anything
  { "resets in a body without a length", "/unsized-reset", { OK .. "\r\n", "half", BIG }, "reset" },
  { "stops in a body without a length", "/unsized-hang", OK .. "\r\nhalf", "hang" },
}

for _, case in ipairs(told) do deed(case[2], case[4], case[5]) end
for _, case in ipairs(cut) do deed(case[2], case[3], case[4]) end

deed("/extra", OK .. "Content-Length: 2\r\n\r\nok" .. OK .. "Content-Length: 4\r\n\r\nevil", "hang")
deed("/extra-chunked", OK .. "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" .. OK ..
     "Content-Length: 4\r\n\r\nevil", "hang")
deed("/extra-204", "HTTP/1.1 204 No Content\r\n\r\n" .. OK .. "Content-Length: 4\r\n\r\nevil", "hang")
deed("/extra-head", OK .. "Content-Length: 4\r\n\r\nevil", "hang")

deeds["/deaf"] = function(conn) conn:wait_release() return true end
deeds["/drip-head"] = function(conn, head)
  conn:read_body(head)
  conn:send(OK)
  for i = 1, 1000 do
    if not conn:send(("X-%d: y\r\n"):format(i)) or conn.reader:rest(0.02) == nil then break end
    if conn.reader.ended then break end
  end
  return true
end
deeds["/early"] = function(conn)
  conn:send("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge")
  conn:shut()
  conn:wait_end()
  return true
end
deeds["/early-reset"] = function(conn)
  conn:send("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge")
  return true             -- closed with the rest of the body unread: a reset follows the response
end
deeds["/early-keep"] = function(conn, head)
  conn:send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
  conn:read_body(head)
end
deeds["/route-timeout/body"] = function(conn, head)
  conn:read_body(head)
  conn:send(OK .. "Content-Length: 10\r\n\r\nhalf")
  conn:wait_end()
  return true
end
deeds["/route-timeout/head"] = function(conn, head)
  conn:read_body(head)
  conn:wait_end()
  return true
end

describe("an upstream that", function()
  local up, gw, full, fillers

  setup(function()
    up = upstream.by_path(deeds)
    -- A listening socket whose queue is full: the kernel lets connects wait.
    local port
    full, port = wire.listen { backlog = 0 }
    fillers = { assert(wire.connect(port)) }
    gw = gateway.start((CONFIG:gsub("%u%u%u+", {
      NODE = up.node, NOBODY = upstream.nobody(), FULL = "127.0.0.1:" .. port,
      SILENT = waiting(told, "hang", 504), STOPPING = waiting(cut, "hang"),
    })))
  end)

  teardown(function()
    gw:stop()
    up:stop()
    for _, fd in ipairs(fillers) do wire.close(fd) end
    wire.close(full)
  end)

  before_each(function() up:forget() end)

  local function ask(r, o) return client.ask(gw:port(), request(r), o) end

  local function still_serves()
    local response = assert(ask { target = "/ok" })
    assert.equal(200, response.status)
    assert.equal("ok", response.body)
  end

  for _, case in ipairs(told) do
    it(("%s: %d"):format(case[1], case[3]), function()
      local c = client.connect(gw:port())
      c:send(request { target = case[2] })
      local response = assert(c:response { timeout = 10 })
      assert.equal(case[3], response.status)
      assert.truthy(response.complete)
      assert.truthy(response.body:find("^" .. case[3] .. " "))
      -- The client's own connection has nothing to do with it, and is kept.
      c:send(request { target = "/ok" })
      assert.equal("ok", assert(c:response()).body)
      c:close()
    end)
  end

  for path, why in pairs(reasons) do
    it("is blamed in the log with the reason: " .. path, function()
      local response = assert(ask { target = path })
      local words = why:gsub("%-", "%%-")
      gw:wait_log(('why="%s" service=%%l+ node=%%S+ request=%s'):format(words, response:get "x-request-id"))
    end)
  end

  for _, case in ipairs(cut) do
    for _, version in ipairs { "1.1", "1.0" } do
      it(("%s: a client of HTTP/%s can tell"):format(case[1], version), function()
        local response, why = ask({ target = case[2], version = version }, { timeout = 10 })
        if response and response.status == 502 then
          assert.truthy(case.in_time, "nothing of the response was passed on")
        elseif response then
          assert.equal(200, response.status)
          assert.is_false(response.complete)
          assert.not_equal("timeout", response.ended)
        else
          assert.equal("reset", why)
        end
        still_serves()
      end)
    end
  end

  it("refuses the connection: 502", function()
    assert.equal(502, assert(ask { target = "/refusing" }).status)
  end)

  it("has no enabled node: 503, and when to come back", function()
    local response = assert(ask { target = "/disabled" })
    assert.equal(503, response.status)
    assert.truthy(response:get "retry-after")
  end)

  it("does not accept the connection in time: 504", function()
    local start = clock.now()
    assert.equal(504, assert(ask { target = "/full" }).status)
    local took = clock.now() - start
    assert.truthy(took >= 0.25 and took < 2, took)
  end)

  it("does not read the request in time: 504", function()
    local c = client.connect(gw:port())
    c:send(request { method = "POST", target = "/deaf", headers = { "Content-Length: 67108864" } })
    local piece, response = ("x"):rep(65536), nil
    for _ = 1, 1024 do
      local ok, why = c:send(piece, 3)
      if not ok then
        assert.not_equal("timeout", why)
        break
      end
      response = c:response { timeout = 0 }
      if response then break end
    end
    response = response or assert(c:response())
    assert.equal(504, response.status)
    c:close()
    up:release()
    still_serves()
  end)

  it("drips its head: 504 in time", function()
    local start = clock.now()
    assert.equal(504, assert(ask { target = "/drip-head" }).status)
    assert.truthy(clock.now() - start < 10)         -- of the 20 s that it would take
  end)

  it("outlasts the route's timeout before its head: 504", function()
    local start = clock.now()
    assert.equal(504, assert(ask { target = "/route-timeout/head" }).status)
    assert.truthy(clock.now() - start < 5)
  end)

  it("outlasts the route's timeout in its body: the client can tell", function()
    local response
    clock.wait_until(function()
      response = ask { target = "/route-timeout/body" }
      return not response or response.status == 200         -- or the head came too late already
    end, nil, "the beginning of a body")
    assert.truthy(response == nil or not response.complete)
  end)

  for _, case in ipairs { { "/extra", "GET", "ok" }, { "/extra-chunked", "GET", "ok" }, { "/extra-204", "GET", "" },
                          { "/extra-head", "HEAD", "" } } do
    it("sends bytes after its response, that no other request gets: " .. case[1], function()
      local c = client.connect(gw:port())
      for _ = 1, 3 do
        c:send(request { method = case[2], target = case[1] })
        local response = assert(c:response { method = case[2] })
        assert.equal(case[3], response.body)
        c:send(request { target = "/ok" })
        assert.equal("ok", assert(c:response()).body)
      end
      c:close()
    end)
  end

  for _, path in ipairs { "/early", "/early-reset" } do
    it("answers before it has the whole body, and closes: " .. path, function()
      local c = client.connect(gw:port())
      c:send(request { method = "POST", target = path, headers = { "Content-Length: 4000000" } } .. ("x"):rep(100000))
      local response = assert(c:response())
      assert.equal(413, response.status)
      assert.equal("large", response.body)
      c:close()
      still_serves()
    end)
  end

  it("answers before it has the body, and takes the body still", function()
    local c = client.connect(gw:port())
    c:send(request { method = "POST", target = "/early-keep", headers = { "Content-Length: 10" } } .. "01234")
    assert.equal("early", assert(c:response()).body)
    c:close()
    still_serves()
  end)

  it("answers with another status than 200 is not a failure", function()
    assert.equal(200, assert(ask { target = "/ok" }).status)
    assert.is_nil(gw:log():find("worker ended", 1, true))
  end)
end)
