--- The test kit: whom plugins ask by themselves.
local fake = require "tidegate.spec"
local kit = require "support.kit"

describe("fake.http", function()
  local ASKS = [[request(req)
    local res, why, phase = tide.http.get(req:arg "url", { headers = { ["x-a"] = "b" }, timeout = 3 })
    if not res then return req:reply(502, why .. ", " .. phase) end
    return req:reply(res.status, res.body, { ["x-got"] = res.headers["x-said"] })]]

  local function ask(url) return fake.request { query = { url = url } }:through(kit.instance(ASKS)) end

  it("answers requests of plugins, which are noted", function()
    fake.http(function(request)
      return { status = 201, body = request.url, headers = { ["x-said"] = request.headers["x-a"] } }
    end)
    local out = ask "https://auth.test/who?am=i"
    assert.equal("https://auth.test/who?am=i", out.body)
    assert.equal(201, out.status)
    assert.equal("b", out.headers["x-got"])
    assert.equal(1, #out.calls)
    local call = out.calls[1]
    assert.same({ "GET", "https", "auth.test", "/who" }, { call.method, call.scheme, call.host, call.path })
    assert.is_nil(out.upstream)
  end)

  it("may be an answer, late, or none", function()
    fake.http "plain"
    assert.equal("plain", ask("http://a.test:8080/").body)
    fake.http { delay = 2, body = "late" }
    assert.equal(2, ask("http://a.test/").took)
    fake.http { delay = 4 }
    assert.equal("timeout, response", ask("http://a.test/").body)
    fake.http { refuse = true }
    assert.equal("refused, connect", ask("http://10.0.0.1/").body)
  end)

  it("is not asked for a name that cannot be", function()
    assert.matches("cannot resolve", ask("http://a.invalid/").body)
  end)

  it("must be there", function()
    kit.refuses("a plugin asks https://auth.test:443, and nobody answers: fake.http", ask, "https://auth.test/")
  end)

  it("is forgotten after the test", function() kit.refuses("nobody answers", ask, "http://a.test/") end)

  it("takes what can answer", function()
    kit.refuses("fake.http: expected a function or a table, found a boolean", fake.http, true)
  end)
end)

describe("fake.redis", function()
  local function redis(code)
    return fake.request {}:through(kit.instance([[request(req)
      local client = tide.redis.new { host = "redis.test", password = "secret", db = 2 }
      local function run() ]] .. code .. [[ end
      return req:reply(200, { got = { run() } })]]))
  end

  local function first(key) return key .. "!" end
  local function count(name, ...) return name .. select("#", ...) end

  local rows = {
    { "by name", { GET = "v" }, "return client:get 'k'", { "v" } },
    { "by a function", { GET = first }, "return client:get 'k'", { "k!" } },
    { "all in one", count, "return client:set('k', 'v')", { "SET2" } },
    { "with numbers", { INCR = 3 }, "return client:incr 'k'", { 3 } },
    { "with lists", { MGET = { "a", 2 } }, "return client:mget('a', 'b')", { { "a", 2 } } },
    { "with OK", { SET = true }, "return client:set('k', 'v')", { "OK" } },
    { "with nothing", { GET = false }, "return client:get 'k' == tide.redis.null", { true } },
    { "with errors", { GET = { err = "ERR no" } }, "return (select(2, client:get 'k'))", { "ERR no" } },
    { "pipelines", { GET = first }, "return client:pipeline(function(p) p:get 'a' p:get 'b' end)", { { "a!", "b!" } } },
    { "transactions", { INCR = 4 }, "return client:transaction(function(t) t:incr 'a' end)", { { 4 } } },
    { "scripts", { EVAL = 9 }, "return client:script('return 9'):run({ 'k' }, { 1 })", { 9 } },
  }
  for _, row in ipairs(rows) do
    it("answers " .. row[1], function()
      fake.redis(row[2])
      local out = redis(row[3])
      assert.equal(200, out.status, tostring(out))
      assert.same(row[4], out:json().got)
    end)
  end

  it("notes commands", function()
    fake.redis { SET = true }
    local out = redis "return client:set('k', 'v')"
    assert.same({ { "AUTH", "secret" }, { "SELECT", "2" }, { "SET", "k", "v" } }, out.redis)
  end)

  it("must have an answer, and be there", function()
    fake.redis {}
    kit.refuses("the plugin sends GET k to Redis, and fake.redis has no answer", redis, "return client:get 'k'")
    fake.reset()
    kit.refuses("a plugin connects to redis.test:6379, and nobody is there", redis, "return client:get 'k'")
  end)
end)

describe("fake.socket", function()
  local TALKS = [[request(req)
    local s, why = tide.socket.connect { %s }
    if not s then return req:reply(502, why) end
    s:send "ping\n"
    local line, ended = s:receive "line"
    return req:reply(200, tostring(line) .. " " .. tostring(ended))]]

  it("answers on an address, or a path", function()
    fake.socket("peer.test:7", function(bytes) return bytes:upper() end)
    fake.socket("/run/peer.sock", function(_, connection) connection:finish() end)
    assert.equal("PING nil", fake.request {}:through(kit.instance(TALKS:format "host = 'peer.test', port = 7")).body)
    assert.equal("nil closed", fake.request {}:through(kit.instance(TALKS:format "unix = '/run/peer.sock'")).body)
  end)

  it("takes a function", function()
    kit.refuses("fake.socket: expected a function, found a nil", fake.socket, "a:1")
  end)

  it("knows no datagrams", function()
    local probe = kit.instance [[request(req)
      local _, why = tide.socket.udp { host = "10.0.0.1", port = 53 }
      return req:reply(200, why)]]
    assert.matches("unreachable", fake.request {}:through(probe).body)
  end)
end)
