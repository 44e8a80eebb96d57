--- tide.socket in a real gateway: what is sent and received, what goes wrong, and who is told.
local certificates = require "support.certificates"
local clock = require "support.clock"
local datagrams = require "support.datagrams"
local files = require "support.files"
local probe = require "support.probe"
local upstream = require "support.upstream"

-- What the peer does, by the first line that it gets.
local deeds = {}

function deeds.echo(conn)
  while true do
    local line = conn.reader:line(30)
    if not line then return end
    conn:send(line .. "\n")
  end
end

function deeds.bytewise(conn)
  for c in ("one\r\ntwo\n12345rest--END--after"):gmatch "." do conn:send(c) end
  conn:wait_end()
end

function deeds.whole(conn)
  conn:send "one\r\ntwo\n12345rest--END--after"
  conn:wait_end()
end

function deeds.partial(conn) conn:send "par" conn:wait_end() end
function deeds.closing(conn) conn:send "par" end
function deeds.reset(conn) conn:send "par" conn.reader:line(30) conn:reset() end
function deeds.silent(conn) conn:wait_end() end
function deeds.deaf(conn) conn:wait_release() end
function deeds.long(conn) conn:send(("x"):rep(200000) .. "\n" .. ("y"):rep(3000000) .. "z") conn:wait_end() end
function deeds.twice(conn) conn:send "answer\nmore\n" conn:wait_end() end

local function serve(conn)
  local line = conn.reader:line(30)
  if line then deeds[line](conn) end
end

-- A name that is not asked for anywhere: a label is too long for a query (RFC 1035 section 2.3.4).
local ABSENT = ("x"):rep(64)

local SETUP = [[
function self.open(what, options)
  local o = { host = "127.0.0.1", port = PORT, timeout = 10 }
  for key, value in pairs(options or {}) do o[key] = value end
  local s = assert(tide.socket.connect(o))
  assert(s:send(what .. "\r\n"))
  return s
end
]]

describe("tide.socket", function()
  local up, gw, path, udp

  setup(function()
    path = files.folder() .. "/peer.sock"
    up = upstream.start(serve)
    upstream.start(serve, { unix = path })
    udp = datagrams.start(function(text)
      if text == "long" then return ("x"):rep(2000) end
      return text ~= "silent" and text:upper() or nil
    end)
    gw = probe.start((SETUP:gsub("PORT", up.port)))
  end)
  teardown(function() gw:stop() end)
  before_each(function() up:forget() end)

  local function run(code)
    local nobody = upstream.nobody():match ":(%d+)"
    code = code:gsub("PORT", up.port):gsub("PATH", path):gsub("UDP", udp):gsub("NOBODY", nobody):gsub("ABSENT", ABSENT)
    return probe.run(gw, code)
  end

  local ways = {
    { "an address",          '{ host = "127.0.0.1", port = PORT }' },
    { "a name",              '{ host = "localhost", port = PORT }' },
    { "a name in any case",  '{ host = "LocalHost.", port = PORT }' },
    { "a unix socket",       '{ unix = "PATH" }' },
    { "another time limit",  '{ host = "127.0.0.1", port = PORT, timeout = 3, connect_timeout = 0.5 }' },
  }
  for _, way in ipairs(ways) do
    it("connects to " .. way[1], function()
      assert.equal("true | true | hello | true | false", run(([[
        local s = assert(tide.socket.connect %s)
        local open, sent = s:is_open(), s:send "echo\r\nhello\r\n"
        local line = s:receive "line"
        local still = s:is_open()
        s:close()
        s:close()
        return open, sent, line, still, s:is_open()]]):format(way[2])))
    end)
  end

  for _, how in ipairs { "whole", "bytewise" } do
    it("receives lines, bytes and texts, sent " .. how, function()
      assert.equal("one | two | 12345 | rest | after |  | true", run(([[
        local s = self.open "%s"
        local one, two, bytes = s:receive "line", s:receive "line", s:receive(5)
        local rest, after = s:receive_until "--END--", s:receive(5)
        return one, two, bytes, rest, after, s:receive(0), s:is_open()]]):format(how)))
    end)
  end

  it("receives what there is", function()
    assert.equal("true | 6 | one\r\ntwo\n12345rest--END--after", run [[
      local s = self.open "whole"
      local first = s:receive("any", 6)
      local all = first
      while #all < 27 do all = all .. s:receive "any" end
      return #first <= 6, #first, all .. s:receive(#"one\r\ntwo\n12345rest--END--after" - #all)]])
  end)

  it("receives more than its buffer holds", function()
    assert.equal("200000 | true | 3000000 | true | z", run [[
      local s = self.open "long"
      local line = s:receive("line", 200000)
      local bytes = s:receive(3000000)
      return #line, line == ("x"):rep(200000), #bytes, bytes == ("y"):rep(3000000), s:receive(1)]])
  end)

  it("finds a text across its buffers", function()
    assert.equal("3000000 | true", run [[
      local s = self.open "long"
      s:receive("line", 200000)
      local bytes = s:receive_until("yz", 4000000)
      return #bytes + 1, bytes == ("y"):rep(2999999)]])
  end)

  it("sends more than the kernel takes at once", function()
    assert.equal("true | 2000000 | true", run [[
      local s = self.open "echo"
      local text, got = ("a"):rep(2000000)
      local sent = s:send(text .. "\r\n")
      local line = s:receive("line", 3000000)
      return sent, #line, line == text]])
  end)

  local failures = {
    { "nobody listens", 'return tide.socket.connect { host = "127.0.0.1", port = NOBODY }', "nil | refused" },
    { "nobody listens at any address", 'return tide.socket.connect { host = "localhost", port = NOBODY }',
      "nil | refused" },
    { "there is no socket", 'return tide.socket.connect { unix = "PATHx" }',
      "nil | refused: there is no such socket" },
    { "there is no such name", 'return tide.socket.connect { host = "ABSENT1", port = 1 }',
      'nil | cannot resolve "' .. ABSENT .. '1": ' },
    { "a name is none", 'return tide.socket.connect { host = "a b", port = 1 }',
      'nil | cannot resolve "a b": it is neither a name nor an address' },
    { "an address is cut short", 'return tide.socket.connect { host = "127.1", port = PORT }',
      'nil | cannot resolve "127.1": it is neither a name nor an address' },
    { "an address is hexadecimal", 'return tide.socket.connect { host = "0x7F000001", port = PORT }',
      'nil | cannot resolve "0x7F000001": it is neither' },
    { "the path is too long", 'return tide.socket.connect { unix = ("p"):rep(108) }',
      'is no path of a unix socket: expected at most 107 bytes' },
    { "the peer says nothing", 'local s = self.open "silent" s:set_timeout(0.1) return s:receive "line"',
      "nil | timeout | " },
    { "the peer stops in mid-line", 'local s = self.open "partial" s:set_timeout(0.2) return s:receive "line"',
      "nil | timeout | par" },
    { "the peer closes", 'local s = self.open "closing" return s:receive(10)', "nil | closed | par" },
    { "the peer closes in mid-line", 'local s = self.open "closing" return s:receive "line"', "nil | closed | par" },
    { "the peer has closed", 'local s = self.open "closing" s:receive(3) return s:receive "any"', "nil | closed | " },
    { "the peer resets", 'local s = self.open "reset" s:receive(3) s:send "\\r\\n" return s:receive(10)',
      "nil | reset | " },
    { "a line is too long", 'local s = self.open "long" return s:receive "line"', "nil | line over 65536 bytes" },
    { "a line is over its limit", 'local s = self.open "echo" s:send "12345\\r\\n" return s:receive("line", 4)',
      "nil | line over 4 bytes" },
    { "a text comes too late", 'local s = self.open "long" return s:receive_until("z", 100)',
      "nil | text over 100 bytes" },
    { "a deadline is over", 'local s = self.open "silent" s:set_deadline(0.1) return s:receive "line"',
      "nil | timeout | " },
  }
  for _, case in ipairs(failures) do
    it(("says so when %s"):format(case[1]), function()
      local answer = run(case[2])
      assert.truthy(answer:find(case[3], 1, true), answer)
    end)
  end

  it("closes a socket whose send took too long", function()
    assert.equal("nil | timeout | false | nil | closed | ", run [[
      local s = self.open "deaf"
      s:set_timeout(10, 0.2)
      local sent, why = s:send(("x"):rep(20000000))
      return sent, why, s:is_open(), s:receive(1)]])
    up:release()
  end)

  local misuse = {
    { "no options", "tide.socket.connect()", "socket.connect: expected host and port, or unix, found neither" },
    { "an unknown option", "tide.socket.connect { hots = 1 }", "socket.connect: there is no option hots" },
    { "both places", 'tide.socket.connect { host = "a", port = 1, unix = "b" }', "expected unix, or host and port" },
    { "no port", 'tide.socket.connect { host = "a" }', "expected port from 1 to 65535, found nil" },
    { "a port too high", 'tide.socket.connect { host = "a", port = 65536 }', "from 1 to 65535, found 65536" },
    { "a NUL", 'tide.socket.connect { host = "a\\0b", port = 1 }', "expected a text without NUL as host" },
    { "a timeout of 0", 'tide.socket.connect { host = "a", port = 1, timeout = 0 }',
      "expected timeout as seconds above 0, found 0" },
    { "an unknown tls option", 'tide.socket.connect { host = "a", port = 1, tls = { no = 1 } }',
      "socket.connect: tls: there is no option no" },
    { "half a certificate", 'tide.socket.connect { host = "a", port = 1, tls = { cert = "x" } }',
      "expected tls.cert and tls.key together" },
    { "TLS without a name", 'tide.socket.connect { unix = "a", tls = true }', "expected tls.server_name" },
    { "use after close", 'local s = self.open "echo" s:close() s:send "x"', "socket:send: the socket was closed" },
    { "use after keep", 'local s = self.open "silent" s:keep() s:receive(1)',
      "socket:receive: the socket was given back by keep" },
    { "keep after close", 'local s = self.open "echo" s:close() s:keep()', "socket:keep: the socket was closed" },
    { "a send of no text", 'self.open "echo":send(5)', "socket:send: expected a text, found a number" },
    { "an unknown way", 'self.open "echo":receive "lines"',
      'expected a number of bytes, "line" or "any", found lines' },
    { "half a byte", 'self.open "echo":receive(1.5)', "bytes: expected a whole number from 0 to 16777216, found 1.5" },
    { "too much at once", 'self.open "echo":receive(16777217)', "from 0 to 16777216, found 16777217" },
    { "a limit of 0", 'self.open "echo":receive("line", 0)', "max: expected a whole number from 1 to 2147483648" },
    { "an empty text", 'self.open "echo":receive_until ""', "expected a text of 1 to 1024 bytes, found 0 bytes" },
    { "a timeout of nothing", 'self.open "echo":set_timeout()', "expected a number of seconds above 0, found nil" },
  }
  for _, case in ipairs(misuse) do
    it("refuses " .. case[1], function() probe.refuses(run, case[2], case[3]) end)
  end

  it("refuses two coroutines that read one socket", function()
    assert.equal("false | probe:5: socket:receive: another coroutine is receiving from this socket | hello", run [[
      local s, got = self.open "echo"
      tide.spawn(function() got = s:receive "line" end)
      tide.sleep(0.01)
      local good, why = pcall(function()
        local line = s:receive "line" return line end)
      s:send "hello\r\n"
      while not got do tide.sleep(0.001) end
      return good, why, got]])
  end)

  it("lets one coroutine send while another receives", function()
    assert.equal("hello", run [[
      local s, got = self.open "echo"
      tide.spawn(function() got = s:receive "line" end)
      tide.sleep(0.01)
      s:send "hello\r\n"
      while not got do tide.sleep(0.001) end
      return got]])
  end)

  it("ends the call of a coroutine whose socket is closed by another", function()
    assert.equal("nil closed ", run [[
      local s, got = self.open "silent"
      tide.spawn(function()
        local line, why, partial = s:receive "line"
        got = tostring(line) .. " " .. why .. " " .. partial
      end)
      tide.sleep(0.01)
      s:close()
      while not got do tide.sleep(0.001) end
      return got]])
  end)

  it("cannot be used in the log hook", function()
    local answer = probe.log(gw, 'return tide.socket.connect { host = "127.0.0.1", port = 1 }')
    assert.truthy(answer:find("socket.connect: cannot wait in the log hook", 1, true), answer)
  end)

  -- -- pooling --

  it("takes a socket that was kept, and no other", function()
    assert.equal("0 | true | 1 | again | true | 2 | 0 | 0", run [[
      local s = self.open "echo"
      local first, kept = s:reused(), s:keep()
      s = self.open "again"
      local second, line = s:reused(), s:receive "line"
      local again = s:keep()
      local named = tide.socket.connect { host = "127.0.0.1", port = PORT, timeout = 10, pool = "other" }
      s = self.open "x"
      local other = tide.socket.connect { host = "localhost", port = PORT, timeout = 10 }
      return first, kept, second, line, again, s:reused(), named:reused(), other:reused()]])
    up:wait_event("accepted", function() return up:connections() == 3 end)
  end)

  it("does not keep what is not clean", function()
    assert.equal("nil | closed, or bytes came that nobody has received | nil | a call has failed: timeout | " ..
                 "nil | a call has failed: limit | nil | none is to be kept", run [[
      local unread, silent, limit, none = self.open "twice", self.open "silent", self.open "echo", self.open "silent"
      unread:receive "line"
      silent:set_timeout(0.05)
      silent:receive "line"
      limit:send "12345\r\n"
      limit:receive("line", 2)
      local a, b = unread:keep()
      local c, d = silent:keep()
      local e, f = limit:keep()
      local g, h = none:keep(60, 0)
      return a, b, c, d, e, f, g, h]])
    for number = 1, 4 do up:wait_event("ended", function(e) return e.connection % 4 == number % 4 end) end
  end)

  it("does not take a socket that its peer has closed", function()
    run 'local s = self.open("closing", { pool = "c" }) s:receive(3) s:keep()'
    up:wait_event "ended"
    assert.equal("0", run 'return self.open("echo", { pool = "c" }):reused()')
  end)

  it("closes what was kept for too long, and the oldest of too many", function()
    run 'self.open("silent", { pool = "e" }):keep(0.05)'
    up:wait_event("ended")
    up:forget()
    assert.equal("0 | 1", run [[
      local a, b, c = self.open("silent", { pool = "f" }), self.open("silent", { pool = "f" }), self.open "silent"
      a:keep(60, 1)
      b:keep(60, 1)
      local fresh, kept = self.open("echo", { pool = "e" }), self.open("x", { pool = "f" })
      return fresh:reused(), kept:reused()]])
    up:wait_event "ended"
  end)

  -- -- endings --

  it("closes the socket of a client that went away", function()
    local c = probe.begin(gw, 'local s = self.open "silent" s:receive(1)')
    up:wait_event("bytes")
    c:reset()
    local ended = up:wait_event("ended", nil, 5)
    assert.equal("eof", ended.how)
  end)

  it("closes sockets that nobody holds any more", function()
    assert.equal("true", run [[
      for _ = 1, 50 do self.open "silent" end
      return true]])
    clock.wait_until(function()
      run "local t = {} for i = 1, 20000 do t[i] = { tostring(i) } end"
      return #up:events "ended" >= 50
    end, 20, "50 sockets to be closed")
  end)

  it("tells when too many are open, and collects those that nobody holds first", function()
    assert.equal("10000 | too many sockets: 10000 are open in this loop | true", run [[
      local all, why = {}, nil
      for _ = 1, 10001 do
        local s
        s, why = tide.socket.udp { host = "127.0.0.1", port = UDP }
        if not s then break end
        all[#all + 1] = s
      end
      local count = #all
      all = nil
      tide.sleep(1.1)
      return count, why, tide.socket.udp { host = "127.0.0.1", port = UDP } ~= nil]])
  end)

  -- -- datagrams --

  local datagram_cases = {
    { "sends and receives", 's:send "hello" return s:receive()', "HELLO" },
    { "keeps datagrams apart", 's:send "a" s:send "b" return s:receive(), s:receive()', "A | B" },
    { "knows empty ones", 's:send "" return s:receive()', "" },
    { "says that nothing came", 's:send "silent" s:set_timeout(0.1) return s:receive()', "nil | timeout" },
    { "loses what is over the limit", 's:send "long" return s:receive(100)', "nil | datagram over 100 bytes" },
    { "goes on after that", 's:send "long" s:receive(100) s:send "x" return s:receive(100)', "X" },
    { "refuses what no network takes", 'return s:send(("x"):rep(70000))', "nil | datagram too long" },
    { "is closed", 's:close() return pcall(s.send, s, "x")', "false | udp:send: the socket was closed" },
  }
  for _, case in ipairs(datagram_cases) do
    it("over UDP " .. case[1], function()
      assert.equal(case[3], run('local s = tide.socket.udp { host = "127.0.0.1", port = UDP } ' .. case[2]))
    end)
  end

  it("over UDP tells that nobody is there", function()
    assert.equal("nil | refused", run [[
      local s = tide.socket.udp { host = "127.0.0.1", port = NOBODY }
      s:send "x"
      return s:receive()]])
  end)
end)

describe("tide.socket in many loops", function()
  it("resolves names for all of them", function()
    local up = upstream.start(serve)
    local gw = probe.start((SETUP:gsub("PORT", up.port)), "gateway: { threads: 4, grace: 1s }\n")
    local clients = {}
    for i = 1, 40 do
      local name = i % 4 == 0 and ABSENT .. i % 8 or "localhost"
      clients[i] = probe.begin(gw, ([[
        local good, s = pcall(self.open, "echo", { host = "%s" })
        if not good then return s:match "cannot resolve" end
        s:send "hello\r\n"
        return s:receive "line"]]):format(name))
    end
    for i, c in ipairs(clients) do
      assert.equal(i % 4 == 0 and "cannot resolve" or "hello", c:response({ timeout = 20 }).body)
      c:close()
    end
    gw:stop()
  end)
end)

describe("tide.socket over TLS", function()
  local authority = certificates.authority()
  local mine = certificates.sign(authority, "peer", "DNS:localhost,DNS:peer.test")
  local alice = certificates.sign(authority, "alice", "DNS:alice")
  local gw

  setup(function()
    gw = probe.start([[
      function self.ask(options)
        local s, why = tide.socket.connect(options)
        if not s then return nil, why end
        s:send "GET / HTTP/1.1\r\nHost: peer.test\r\nX-Log: return 1\r\nConnection: close\r\n\r\n"
        return s:receive "line", s:receive_until "\r\n\r\n" ~= nil, s:receive "any"
      end
    ]], ([[
listen:
  - address: "127.0.0.1:0"
  - address: "%s"
    tls: { certificates: [{ cert: "%s", key: "%s" }] }
  - address: "%s"
    tls:
      certificates: [{ cert: "%s", key: "%s" }]
      client_auth: { mode: required, ca: "%s" }
]]):format(upstream.free(), mine.cert, mine.key, upstream.free(), mine.cert, mine.key, authority.ca))
  end)
  teardown(function() gw:stop() end)

  local GOOD = "HTTP/1.1 200 OK | true | logged"
  local cases = {
    { "verifies the name", 2, 'host = "localhost", tls = { ca = "CA" }', GOOD },
    { "verifies another name than that of the host", 2,
      'host = "127.0.0.1", tls = { ca = "CA", server_name = "peer.test" }', GOOD },
    { "does not verify where it is told so", 2, 'host = "127.0.0.1", tls = { verify = false }', GOOD },
    { "shows its certificate", 3, 'host = "localhost", tls = { ca = "CA", cert = "CERT", key = "KEY" }', GOOD },
    { "refuses an authority that is not known", 2, 'host = "localhost", tls = true',
      "nil | tls: unable to get local issuer certificate" },
    { "refuses another name", 2, 'host = "localhost", tls = { ca = "CA", server_name = "else.test" }',
      "nil | tls: hostname mismatch" },
    { "refuses another address", 2, 'host = "127.0.0.1", tls = { ca = "CA" }', "nil | tls: IP address mismatch" },
    { "refuses a peer without TLS", 1, 'host = "localhost", tls = { ca = "CA" }', "nil | tls: " },
    { "tells that a file is missing", 2, 'host = "localhost", tls = { ca = "CA.not" }',
      'nil | tls: cannot load the CA file "' },
    { "tells that a certificate is missing", 2, 'host = "localhost", tls = { ca = "CA", cert = "no", key = "KEY" }',
      'nil | tls: cannot load the client certificate "no"' },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local options = case[3]:gsub("CERT", alice.cert):gsub("KEY", alice.key):gsub("CA", authority.ca)
      local code = ("return self.ask { port = %d, timeout = 5, %s }"):format(gw:port(case[2]), options)
      assert.equal(case[4], probe.run(gw, code):sub(1, #case[4]))
    end)
  end
end)
