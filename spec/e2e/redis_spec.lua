--- tide.redis in a real gateway: against a real redis-server, and against servers that do not keep to the protocol.
local certificates = require "support.certificates"
local client = require "support.client"
local clock = require "support.clock"
local probe = require "support.probe"
local redis_server = require "support.redis_server"
local upstream = require "support.upstream"

local function expect(expected, answer) assert.equal(expected, answer) end

describe("tide.redis [T20]", function()
  local server, locked, gw

  setup(function()
    server = redis_server.start()
    locked = redis_server.start("--requirepass", "secret", "--user", "alice", "on", ">pass", "~*", "+@all")
    local setup_code = [[
      self.r = tide.redis.new { port = PORT, timeout = 5 }
      self.four = tide.redis.new { port = PORT, db = 4, timeout = 40 }
      self.by_path = tide.redis.new { unix = "PATH" }
      function self.blocked() return tonumber(self.r:info("clients"):match "blocked_clients:(%d+)") end
      function self.connections(db)
        return select(2, self.by_path:client("list"):gsub(" db=" .. db .. " ", ""))
      end
    ]]
    setup_code = setup_code:gsub("PORT", server.port):gsub("PATH", server.unix)
    gw = probe.start(setup_code)
  end)
  teardown(function()
    gw:stop()
    server:stop()
    locked:stop()
  end)
  before_each(function() probe.run(gw, "return self.r:flushall()") end)

  local function run(code) return probe.run(gw, (code:gsub("LOCKED", locked.port):gsub("PORT", server.port))) end

  local commands = {
    { "sets and gets", 'return self.r:set("k", "v"), self.r:get "k"', "OK | v" },
    { "knows no value", 'return self.r:get "k", self.r:get "k" == tide.redis.null', "null | true" },
    { "takes options of commands", 'self.r:set("k", "v", "EX", 10) return self.r:ttl "k", self.r:set("k", 1, "NX")',
      "10 | null" },
    { "gives numbers", 'return self.r:incr "n", self.r:incrby("n", 41), self.r:get "n"', "1 | 42 | 42" },
    { "gives lists", 'self.r:rpush("l", "a", "b", "c") return self.r:lrange("l", 0, -1)', "{a b c}" },
    { "gives holes in lists", 'self.r:set("a", 1) return self.r:mget("a", "b", "a")', "{1 null 1}" },
    { "keeps bytes as they are",
      'self.r:set("k\\r\\n", "\\0\\255\\r\\n$5") return self.r:get "k\\r\\n" == "\\0\\255\\r\\n$5"', "true" },
    { "keeps large values",
      'local v = ("0123456789"):rep(500000) self.r:set("k", v) return self.r:get "k" == v, self.r:strlen "k"',
      "true | 5000000" },
    { "keeps numbers exact", 'return self.r:set("n", "9223372036854775806"), self.r:incr "n"',
      "OK | 9223372036854775807" },
    { "sends a command by its name", 'return self.r:command("set", "k", 1.5), self.r:command("GET", "k")', "OK | 1.5" },
    { "sends commands that Lua has as words", 'return self.r:type "none", #self.r:time()', "none | 2" },
    { "gives the server's errors", 'self.r:set("k", "v") return self.r:lpush("k", 1)',
      "nil | WRONGTYPE Operation against a key holding the wrong kind of value" },
    { "goes on after an error", 'self.r:set("k", "v") self.r:lpush("k", 1) return self.r:get "k"', "v" },
    { "reaches it by a unix socket", 'self.r:set("k", "v") return self.by_path:get "k"', "v" },
    { "selects a database",
      'local two = tide.redis.new { port = PORT, db = 2 } two:set("k", "two") return self.r:get "k", two:get "k"',
      "null | two" },
    { "gives a password", 'return tide.redis.new { port = LOCKED, password = "secret" }:ping()', "PONG" },
    { "gives a user and a password",
      'return tide.redis.new { port = LOCKED, username = "alice", password = "pass" }:command("ACL", "WHOAMI")',
      "alice" },
    { "keeps users apart", [[
      local alice = tide.redis.new { port = LOCKED, username = "alice", password = "pass" }
      local other = tide.redis.new { port = LOCKED, password = "secret" }
      local names = {}
      for i = 1, 6 do names[i] = (i % 2 == 0 and alice or other):command("ACL", "WHOAMI") end
      return names]], "{default alice default alice default alice}" },
    { "tells that the password is wrong", 'return tide.redis.new { port = LOCKED, password = "no" }:ping()',
      "nil | redis 127.0.0.1:LOCKED: AUTH: WRONGPASS invalid username-password pair or user is disabled." },
    { "tells that a password is missing", 'return tide.redis.new { port = LOCKED }:ping()',
      "nil | NOAUTH Authentication required." },
    { "tells that there is no such database", 'return tide.redis.new { port = PORT, db = 99 }:ping()',
      "nil | redis 127.0.0.1:PORT: SELECT: ERR DB index is out of range" },
    { "limits a reply", [[
      self.r:set("k", ("x"):rep(3000))
      local small = tide.redis.new { port = PORT, max_reply = 2000 }
      return small:get "k"]], "nil | redis 127.0.0.1:PORT: a length of 3000 is over 2000" },
    { "takes less than its time limit for a command", [[
      local quick = tide.redis.new { port = PORT, timeout = 0.5 }
      local from = tide.monotonic()
      local value, why = quick:blpop("none", 10)
      return value, why, tide.monotonic() - from < 5, quick:ping()]],
      "nil | redis 127.0.0.1:PORT: timeout | true | PONG" },
  }
  for _, case in ipairs(commands) do
    it(case[1], function()
      expect((case[3]:gsub("LOCKED", locked.port):gsub("PORT", server.port)), run(case[2]))
    end)
  end

  local batches = {
    { "gives all replies in order",
      'return self.r:pipeline(function(p) p:set("k", 1) p:incr "k" p:get "k" p:get "x" end)',
      "{OK 2 2 null}" },
    { "gives errors at their places",
      'return self.r:pipeline(function(p) p:set("k", 1) p:lpush("k", 1) p:command("GET", "k") end)',
      "{OK WRONGTYPE Operation against a key holding the wrong kind of value 1}" },
    { "tells errors from texts", [[
      local list = self.r:pipeline(function(p) p:echo "ERR" p:nope() end)
      return tide.redis.is_error(list[1]), tide.redis.is_error(list[2]), list[2].err:match "^ERR unknown command"]],
      "false | true | ERR unknown command" },
    { "may be empty", "return self.r:pipeline(function() end)", "{}" },
    { "may be long", [[
      local list = self.r:pipeline(function(p) for i = 1, 10000 do p:incr "n" end end)
      return #list, list[10000] ]], "10000 | 10000" },
    { "may carry much both ways", [[
      local v = ("x"):rep(100000)
      local list = self.r:pipeline(function(p) for i = 1, 100 do p:echo(v) end end)
      for i = 1, 100 do if list[i] ~= v then return i end end
      return #list]], "100" },
    { "does all of a transaction", 'return self.r:transaction(function(t) t:set("k", 1) t:incr "k" t:get "x" end)',
      "{OK 2 null}" },
    { "does nothing of a transaction that the server refuses", [[
      local results, why = self.r:transaction(function(t) t:set("k", 1) t:nope(1) end)
      return results, why:match "^ERR unknown command", self.r:get "k"]], "nil | ERR unknown command | null" },
    { "gives the errors of a transaction", [[
      return self.r:transaction(function(t) t:set("k", "v") t:lpush("k", 1) t:get "k" end)]],
      "{OK WRONGTYPE Operation against a key holding the wrong kind of value v}" },
    { "gives a transaction up", 'return self.r:transaction(function(t) t:set("k", 1) return false end)',
      "nil | given up" },
    { "does an empty transaction", "return self.r:transaction(function() end)", "{}" },
    { "watches a key", [[
      self.r:set("n", 5)
      local results = self.r:transaction(function(t) t:set("n", t:read("GET", "n") * 2) end, { watch = { "n" } })
      return results, self.r:get "n"]], "{OK} | 10" },
    { "does nothing when a watched key was changed", [[
      self.r:set("n", 5)
      local results, why = self.r:transaction(function(t)
        local n = t:read("GET", "n")
        self.r:set("n", 6)
        t:set("n", n * 2)
      end, { watch = { "n" } })
      return results, why, self.r:get "n", self.r:ping()]], "nil | conflict | 6 | PONG" },
    { "gives up after it has read", [[
      local results, why = self.r:transaction(function(t) t:read("GET", "n") return false end, { watch = { "n" } })
      return results, why, self.r:transaction(function(t) t:set("n", 1) end)]], "nil | given up | {OK}" },
    { "reads errors", [[
      self.r:set("k", "v")
      local value, why
      self.r:transaction(function(t) value, why = t:read("LPOP", "k") end, { watch = { "k" } })
      return value, why:match "^WRONGTYPE"]], "nil | WRONGTYPE" },
    { "runs a script", [[
      local script = self.r:script "redis.call('SET', KEYS[1], ARGV[1]) return { KEYS[1], ARGV[1], #ARGV }"
      local first = script:run({ "k" }, { "v", 2 })
      return first, script:run({ "k" }, { "w" }), self.r:get "k"]], "{k v 2} | {k w 1} | w" },
    { "runs a script that the server has forgotten", [[
      local script = self.r:script "return 7"
      local a = script:run()
      self.r:command("SCRIPT", "FLUSH")
      return a, script:run()]], "7 | 7" },
    { "gives the errors of a script", [[
      local value, why = self.r:script "return redis.call('LPUSH')":run()
      return value, why:match "^ERR Wrong number of args"]], "nil | ERR Wrong number of args" },
  }
  for _, case in ipairs(batches) do
    it(case[1], function() expect(case[3], run(case[2])) end)
  end

  local misuse = {
    { "an unknown option", "tide.redis.new { hots = 1 }", "redis.new: there is no option hots" },
    { "an unknown option of the pool", "tide.redis.new { pool = { max = 1 } }",
      "redis.new: pool: there is no option max" },
    { "a wrong port", "tide.redis.new { port = 0 }", "redis.new: expected port from 1 to 65535, found 0" },
    { "half a database", "tide.redis.new { db = 1.5 }", "redis.new: db: expected a whole number from 0 to" },
    { "a user without a password", 'tide.redis.new { username = "a" }',
      "redis.new: password: expected one beside username" },
    { "a pool too large", "tide.redis.new { pool = { size = 5000 } }",
      "pool.size: expected a whole number from 0 to 1000" },
    { "nil as an argument", "self.r:set('k', nil)", "redis: SET: argument 2: expected a text or a number, found nil" },
    { "a table as an argument", "self.r:set('k', {})", "argument 2: expected a text or a number, found a table" },
    { "no command", "self.r:command()", "redis: expected the name of a command, found nil" },
    { "a command with a space", "self.r:command('GET x')", "expected the name of a command, found GET x" },
    { "SELECT", "self.r:select(1)",
      "redis: SELECT is refused on connections that are shared: give username, password and db" },
    { "MULTI", "self.r:multi()", "redis: MULTI is refused on connections that are shared: use client:transaction" },
    { "SUBSCRIBE", "self.r:subscribe('x')", "redis: SUBSCRIBE is refused" },
    { "CLIENT REPLY", "self.r:client('reply', 'off')", "redis: CLIENT REPLY is refused" },
    { "SELECT in a pipeline", "self.r:pipeline(function(p) p:select(1) end)", "redis: SELECT is refused" },
    { "a pipeline without a function", "self.r:pipeline {}", "redis:pipeline: expected a function, found a table" },
    { "too many commands", "self.r:pipeline(function(p) for _ = 1, 10001 do p:ping() end end)",
      "expected at most 10000 commands at once, found more" },
    { "a pipeline used later", "local q self.r:pipeline(function(p) q = p end) q:ping()", "not later" },
    { "reading without watching", "self.r:transaction(function(t) t:read('GET', 'k') end)",
      "t:read needs the option watch" },
    { "a script that is no text", "self.r:script(5)", "redis:script: expected a text, found a number" },
  }
  for _, case in ipairs(misuse) do
    it("refuses " .. case[1], function() probe.refuses(run, case[2], case[3]) end)
  end

  it("cannot be used in the log hook", function()
    for _, code in ipairs { 'self.r:get "k"', 'self.r:pipeline(print)', 'self.r:transaction(print)' } do
      local answer = probe.log(gw, "local value = " .. code .. " return value")
      assert.truthy(answer:find("probe:1: redis: cannot wait in the log hook", 1, true), answer)
    end
  end)

  it("counts the time that a large reply takes", function()
    local c = probe.start(("self.r = tide.redis.new { port = %d }"):format(server.port), "", "10ms")
    local answer = probe.run(c, [[
      self.r:command("EVAL", "for i = 1, 100 do redis.call('RPUSH', 'large', unpack(KEYS)) end", 2000, unpack(
        (function() local t = {} for i = 1, 2000 do t[i] = i end return t end)()))
      return pcall(self.r.lrange, self.r, "large", 0, -1)]])
    expect("false | redis: the hook has used up its CPU budget (lua.budget) in a large reply", answer)
    c:stop()
  end)

  -- -- connections --

  it("uses a connection again", function()
    expect("true", run [[
      local from = tonumber(self.by_path:info("stats"):match "total_connections_received:(%d+)")
      for i = 1, 100 do self.r:incr "n" end
      local to = tonumber(self.by_path:info("stats"):match "total_connections_received:(%d+)")
      return to - from <= 1]])
  end)

  it("keeps no more connections than it is told", function()
    expect("10 | true", run [[
      local mine = tide.redis.new { port = PORT, pool = { size = 2 }, db = 3 }
      local done, most = 0, 0
      for i = 1, 10 do
        tide.spawn(function() mine:blpop("list", 5) done = done + 1 end)
      end
      while self.connections(3) < 10 do tide.sleep(0.005) end
      most = self.connections(3)
      tide.redis.new { port = PORT, db = 3 }:pipeline(function(p) for i = 1, 10 do p:rpush("list", i) end end)
      while done < 10 do tide.sleep(0.005) end
      while self.connections(3) > 3 do tide.sleep(0.005) end
      return most, self.connections(3) >= 1]])
  end)

  it("gives every request its own reply", function()
    local clients = {}
    for i = 1, 50 do
      clients[i] = probe.begin(gw, ([[
        for i = 1, 50 do
          local text = "%d-" .. i
          if self.r:echo(text) ~= text then return "mixed up" end
        end
        return "right"]]):format(i))
    end
    for _, c in ipairs(clients) do
      expect("right", c:response { timeout = 20 }.body)
      c:close()
    end
  end)

  --- Requests that wait for a list, on connections of their own.
  local function blocked(n)
    local clients = {}
    for i = 1, n do clients[i] = probe.begin(gw, 'return self.four:blpop("late", 30)') end
    clock.wait_until(function() return run "return self.blocked()" == tostring(n) end, nil, "blocked clients")
    run "tide.sleep(0.05)"      -- the gateway watches a client's connection only after some milliseconds
    return clients
  end

  local function check_connections()
    for i = 1, 20 do expect(tostring(i), run(("return self.four:echo(%d)"):format(i))) end
    clock.wait_until(function() return run "return self.connections(4)" == "1" end, nil, "the connections to be closed")
  end

  it("closes the connection of a request whose client went away", function()
    for _, c in ipairs(blocked(5)) do c:reset() end
    clock.wait_until(function() return run "return self.blocked()" == "0" end, nil, "the connections to be closed")
    check_connections()
  end)

  it("does so as well when the reply comes at the same moment", function()
    local clients = blocked(5)
    gw:pause()
    for _, c in ipairs(clients) do c:reset() end
    local direct = client.connect(server.port)
    direct:send("SELECT 4\r\nRPUSH late wrong wrong wrong wrong wrong\r\n")
    assert.equal("+OK\r\n:5\r\n", direct.reader:exactly(9))
    direct:close()
    gw:resume()
    check_connections()
  end)

  it("notices that the server was started again", function()
    run 'return self.r:set("k", "v")'
    server:stop()
    local answer = run 'return self.r:get "k"'
    assert.truthy(answer:find("^nil | redis 127.0.0.1:" .. server.port .. ": refused"), answer)
    server:again()
    expect("null", run 'return self.r:get "k"')
  end)
end)

-- What a server may say to a command: bytes, and what the plugin is told. "end": it closes; else it waits.
local HOSTILE = {
  { "garbage",                 "\1\2 hello\r\n", 'protocol: expected a reply of RESP, found "\\x01\\x02 hello"' },
  { "HTTP",                    "HTTP/1.1 400 Bad Request\r\n\r\n", "protocol: expected a reply of RESP" },
  { "nothing, and closes",     "", "closed", true },
  { "half a line, and closes", "+O", "closed", true },
  { "half a line",             "+O", "timeout" },
  { "half a bulk, and closes", "$10\r\nabc", "closed", true },
  { "half a bulk",             "$10\r\nabc", "timeout" },
  { "half an array",           "*3\r\n:1\r\n", "timeout" },
  { "a length below zero",     "$-5\r\n", "protocol: expected a length" },
  { "a length of gigabytes",   "$4294967296\r\n", "a length of 4294967296 is over 67108864" },
  { "an endless array",        "*1000000000\r\n", "a length of 1000000000 is over 1048576" },
  { "arrays in arrays",        ("*1\r\n"):rep(1000), "reply over 8 levels deep" },
  { "a line without an end",   "+" .. ("x"):rep(100000), "text over 65536 bytes" },
  { "a bulk without its end",  "$3\r\nabcdef\r\n", "protocol: expected CR LF behind a bulk string" },
  { "pushes without an end",   (">1\r\n+x\r\n"):rep(2000), "protocol: expected a reply, found 1000 pushes" },
}

describe("tide.redis and a server that", function()
  local up, gw

  setup(function()
    up = upstream.start(function(conn)
      while true do
        local count = conn.reader:line(30)
        if not count then return end
        local words = {}
        for i = 1, tonumber(count:sub(2)) do
          conn.reader:line(30)
          words[i] = conn.reader:line(30)
        end
        local case = HOSTILE[tonumber(words[2])]
        if case then
          conn:send(case[2])
          if case[4] then return end
        elseif words[1] == "TWICE" then
          conn:send "+one\r\n+two\r\n"
        else
          for c in ("$2\r\nok\r\n"):gmatch "." do conn:send(c) end
        end
      end
    end)
    gw = probe.start(("self.r = tide.redis.new { port = %d, timeout = 0.6 }"):format(up.port))
  end)
  teardown(function() gw:stop() end)

  for i, case in ipairs(HOSTILE) do
    it("sends " .. case[1], function()
      up:forget()
      local answer = probe.run(gw, ("return self.r:get(%d)"):format(i))
      local start = ("nil | redis 127.0.0.1:%d: "):format(up.port)
      expect(start .. case[3], answer:sub(1, #start + #case[3]))
      expect("ok", probe.run(gw, 'return self.r:get "good"'))
      up:wait_event "ended"
    end)
  end

  it("sends two replies for one command", function()
    up:forget()
    expect("one | ok | one", probe.run(gw, 'return self.r:twice(), self.r:get "good", self.r:twice()'))
    up:wait_event "ended"
  end)
end)

describe("tide.redis over TLS", function()
  it("verifies the server", function()
    local authority = certificates.authority()
    local mine = certificates.sign(authority, "redis", "DNS:localhost")
    local plain = upstream.free():match ":(%d+)"
    local server = redis_server.start("--tls-port", plain, "--tls-cert-file", mine.cert, "--tls-key-file", mine.key,
                                      "--tls-ca-cert-file", authority.ca, "--tls-auth-clients", "no")
    local gw = probe.start(([[
      self.r = tide.redis.new { host = "localhost", port = %d, tls = { ca = "%s" } }
      self.unknown = tide.redis.new { host = "localhost", port = %d, tls = true }
    ]]):format(plain, authority.ca, plain))
    expect("OK | v | v", probe.run(gw, 'return self.r:set("k", "v"), self.r:get "k", self.r:get "k"'))
    expect(("nil | redis localhost:%d: tls: self-signed certificate in certificate chain"):format(plain),
           probe.run(gw, "return self.unknown:ping()"))
    gw:stop()
    server:stop()
  end)
end)
