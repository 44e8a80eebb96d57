--- The test kit: what a client sends.
local fake = require "tidegate.spec"
local kit = require "support.kit"

local PLAIN = "request()"

-- What is sent, and what the upstream gets: method, target, fields, body.
local ROWS = {
  { "a GET of / by itself", {}, "GET", "/", { host = "gateway.test" }, "" },
  { "method and path", { method = "DELETE", path = "/a/b?c=d" }, "DELETE", "/a/b?c=d", {}, "" },
  { "a query", { path = "/a?x=1", query = { y = "2 3" } }, "GET", "/a?x=1&y=2%203", {}, "" },
  { "fields", { headers = { ["X-A"] = "1", b = { "2", "3" } } }, "GET", "/", { ["x-a"] = "1", b = "2, 3" }, "" },
  { "fields in order", { headers = { { "a", "1" }, { "a", "2" } } }, "GET", "/", { a = "1, 2" }, "" },
  { "a host", { host = "other.test:81" }, "GET", "/", { host = "other.test:81" }, "" },
  { "a body", { method = "POST", body = "abc" }, "POST", "/", { ["content-length"] = "3" }, "abc" },
  { "chunks", { method = "PUT", body = { "a", "bc" } }, "PUT", "/", { ["transfer-encoding"] = "chunked" }, "abc" },
  { "JSON", { method = "PUT", json = { 1 } }, "PUT", "/", { ["content-type"] = "application/json" }, "[1]" },
  { "bytes as they are", { raw = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" }, "PUT", "/x", {}, "ab" },
}

describe("fake.request", function()
  for _, row in ipairs(ROWS) do
    it("sends " .. row[1], function()
      local out = fake.request(row[2]):through(kit.instance(PLAIN))
      assert.equal(200, out.status, tostring(out))
      assert.equal(row[3], out.upstream.method)
      assert.equal(row[4], out.upstream.target)
      for name, value in pairs(row[5]) do assert.equal(value, out.upstream.headers[name]) end
      assert.equal(row[6], out.upstream.body)
    end)
  end

  it("comes from where it says, over TLS where it says", function()
    local probe = kit.instance [[request(req)
      local tls = req.tls or {}
      return req:reply(200, { req.client_ip, req.scheme, tls.version or "", tls.sni or "", req.port }) ]]
    assert.same({ "127.0.0.1", "http", "", "", 80 }, fake.request {}:through(probe):json())
    local tls = { client_ip = "2001:db8::1", tls = { sni = "a.test" } }
    assert.same({ "2001:db8::1", "https", "TLSv1.3", "a.test", 443 }, fake.request(tls):through(probe):json())
  end)

  it("brings what other plugins would have left, and shows what is left", function()
    local probe = kit.instance "request(req) req.ctx.seen = req.ctx.user .. req.consumer.name; req.consumer = 'other'"
    local out = fake.request { ctx = { user = "ann" }, consumer = { name = "bob" } }:through(probe)
    assert.equal("annbob", out.ctx.seen)
    assert.equal("other", out.consumer)
  end)

  it("has the parameters of the route that it names", function()
    local probe = kit.instance [[request(req)
      return req:reply(200, { id = req.params.id, more = req.params.more, route = req.route.name }) ]]
    local function params(fields) return fake.request(fields):through(probe):json() end
    assert.same({ id = "7", route = "route" }, params { path = "/users/7", route = "/users/{id}" })
    assert.same({ id = "a%2Fb", more = "x", route = "route" }, params { path = "/a%2fb/x", route = "/{id}/{more}" })
    assert.same({ route = "route" }, params { path = "/users/7" })
    assert.equal(404, fake.request { path = "/users", route = "/users/{id}" }:through(probe).status)
  end)

  it("speaks HTTP/1.0", function()
    local probe = kit.instance "request(req) return req:reply(200, tostring(req.version))"
    assert.equal("1", fake.request { version = "1.0" }:through(probe).body)
  end)

  it("goes through without plugins", function() assert.equal(200, fake.request():through().status) end)

  it("may go away before the answer", function()
    local probe = kit.instance "log() tide.log.info 'over'"
    local out = fake.request { leaves = 2, upstream = { never = true } }:through(probe)
    assert.is_nil(out.status)
    assert.is_true(out.cut)
    assert.equal(2, out.took)
    assert.truthy(out:logged "plugin: over")
  end)

  it("ends where plugins wait for what never comes", function()
    local probe = kit.instance "request() tide.sleep(1e6)"
    kit.refuses("nothing happens any more, and there is no response: after 3600 s of the fake clock", function()
      fake.request {}:through(probe)
    end)
    assert.equal(200, fake.request {}:through(kit.instance(PLAIN)).status)
  end)

  local wrong = {
    { "there is no field metod; expected one of body, ", { metod = "GET" } },
    { "method: expected a string, found a number", { method = 1 } },
    { 'feed: expected "whole", "bytes" or a number of bytes, found bits', { feed = "bits" } },
    { 'expected the IP address of a client, found "nobody"', { client_ip = "nobody" } },
    { "fake.request: expected a table, found a string", "GET" },
  }
  for _, row in ipairs(wrong) do
    it("refuses: " .. row[1], function()
      kit.refuses(row[1], function() fake.request(row[2]):through() end)
    end)
  end
end)

describe("the outcome", function()
  it("has the log, taken apart", function()
    local out = fake.request { path = "/x" }:through(kit.instance
      [[request(req) tide.log.warn("odd = thing", { a = "b \"c\"\\", path = req.path, line = "1\n2" })]])
    local entry = out.log[1]
    assert.same({ "warn", "plugin", "odd = thing" }, { entry.level, entry.where, entry.message })
    assert.equal('b "c"\\', entry.fields.a)
    assert.equal("/x", entry.fields.path)
    assert.equal("1\n2", entry.fields.line)
    assert.equal("probe", entry.fields.plugin)
    assert.equal(entry, out:logged "odd = thing")
    assert.is_nil(out:logged "even")
  end)

  it("has values as they were logged, whatever is in them", function()
    local values = { 'a"b', "a\\b", "a b=c", "\1\2\127", "", "\\x41", 'end\\"', "ä", "=", " " }
    local probe = kit.instance "request(req) for i, v in ipairs(req.ctx) do tide.log.info('said', { v = v, z = i }) end"
    local out = fake.request { ctx = values }:through(probe)
    assert.equal(#values, #out.log)
    for i, value in ipairs(values) do
      assert.same({ value, tostring(i) }, { out.log[i].fields.v, out.log[i].fields.z })
    end
  end)

  it("has the errors of hooks, with their tracebacks", function()
    local out = fake.request {}:through(kit.instance "request() error 'it broke'")
    assert.equal(500, out.status)
    assert.matches("^%(spec%)/probe.lua:4: it broke\nstack traceback:\n.*%(spec%)/probe.lua:4: in function", out.error)
    assert.same({ "probe", "request" }, { out.errors[1].plugin, out.errors[1].hook })
    assert.matches("^500 Internal Server Error\n.*probe, request: %(spec%)/probe.lua:4: it broke", tostring(out))
  end)

  it("has the error also where the request goes on, and each time", function()
    local careless = fake.plugin("probe", kit.file "request() error 'it broke'")({}, { on_error = "continue" })
    for _ = 1, 3 do
      local out = fake.request {}:through(careless)
      assert.equal(200, out.status)
      assert.matches("it broke", out.error)
    end
  end)

  it("has the error of a hook that never ends", function()
    local out = fake.request {}:through(kit.instance "request() while true do end")
    assert.equal(500, out.status)
    assert.matches("the hook has used up its CPU budget", out.error)
  end)

  it("has lines of access logs", function()
    local gate = fake.memory { yaml = "log: { access: [{ file: stdout, template: '${method} ${path} ${status}' }] }" }
    assert.same({ "GET /a 200" }, gate:get("/a").access)
    gate:stop()
  end)
end)
