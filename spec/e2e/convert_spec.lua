--- Requests go where Kong and APISIX would send them, through the real gateway with the converted configuration. What
-- the upstream sees of them is what it would see there.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local BASIC = "Authorization: Basic YWxpY2U6d29uZGVy"       -- alice:wonder

--- Starts a gateway with what comes of a fixture, before an upstream that says what it gets.
local function start(dialect, name)
  local up = upstream.by_path { default = upstream.echo }
  local result = foreign.convert(dialect, (foreign.fixture(name):gsub("NODE", up.node)))
  local yaml = result.text:gsub('listen: %[":%d+"%]\n', "")
  return up, gateway.start(yaml), result
end

--- Asks a row: { target, what is expected, method =, host =, headers =, body = }. What is expected: status (200),
-- path and host as the upstream sees them, has and lacks: fields there; answers: fields of the response, body.
local function try(gw, up, row)
  up:forget()
  local response = assert(client.ask(gw:port(), client.request {
    target = row[1], method = row.method, host = row.host, headers = row.headers, body = row.body,
  }))
  local wanted = row[2]
  assert.equal(wanted.status or 200, response.status, row[1])
  for name, value in pairs(wanted.answers or {}) do assert.equal(value, response:get(name), row[1]) end
  if wanted.body then assert.equal(wanted.body, response.body) end
  if not wanted.path then return end
  local got = up:last_request()
  assert.equal(wanted.path, got.target)
  if wanted.host then assert.equal(wanted.host == "NODE" and up.node or wanted.host, got:get "host") end
  for name, value in pairs(wanted.has or {}) do assert.equal(value, got:get(name), row[1]) end
  for _, name in ipairs(wanted.lacks or {}) do assert.is_nil(got:get(name)) end
end

local function fixture(dialect, name, rows, more)
  local up, gw, result

  setup(function() up, gw, result = start(dialect, name) end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  for i, row in ipairs(rows) do
    it(("sends on or answers %s %s (%d)"):format(row.method or "GET", row[1], i), function() try(gw, up, row) end)
  end

  if more then more(function() return result end, function(row) try(gw, up, row) end) end
end

local function lost(result, text)
  for _, message in ipairs(result.lost) do
    if message:find(text, 1, true) then return true end
  end
  error("nothing is told of " .. text .. ":\n" .. table.concat(result.lost, "\n"))
end

describe("a configuration of Kong, converted", function()
  fixture("kong", "kong_shop", {
    { "/users",                   { path = "/v1/", host = "NODE" } },
    { "/users/7?a=b",             { path = "/v1/7?a=b" } },
    { "/kept/7",                  { path = "/v1/kept/7" } },
    { "/users/7",                 { path = "/v1/users/7" }, method = "POST", body = "x" },
    { "/users/7",                 { path = "/v1/users/7", host = "me.test" }, host = "me.test",
      headers = { "X-Stage: GAMMA" } },
    { "/users/7",                 { path = "/v1/7" }, headers = { "X-Stage: delta" } },
    { "/n/12/rest",               { path = "/v1/rest" } },
    { "/n/12/keep",               { path = "/v1/n/12/keep" } },
    { "/n/x",                     { status = 404 } },
    { "/usersx",                  { status = 404 } },
    { "/tls/x",                   { status = 426 } },
    { "/moved/x?y=z",             { status = 302, answers = { location = "https://gate.test/moved/x?y=z" } } },
    { "/closed",                  { status = 410, body = '{"message":"gone ${x}"}',
                                    answers = { ["content-type"] = "application/json; charset=utf-8" } } },
    { "/nobody",                  { status = 503 } },
    { "/none",                    { status = 404 } },
    { "/any/thing",               { path = "/v1/any/thing", host = "NODE" }, host = "a.shop.test" },
    { "/passwords/x",             { status = 401 } },
    { "/passwords/x",             { path = "/x", lacks = { "authorization" },
                                    has = { ["x-consumer-username"] = "alice" } }, headers = { BASIC } },
    { "/keys/x",                  { status = 401 } },
    { "/keys/x",                  { status = 401 }, headers = { "X-Key: other" } },
    { "/keys/x",                  { path = "/x", lacks = { "x-key" } }, headers = { "X-Key: k-1" } },
    { "/acl",                     { status = 503 } },
    { "/elsewhere",               { status = 403 } },
    { "/small",                   { path = "/" }, method = "POST", body = "0123456789" },
    { "/small",                   { status = 413 }, method = "POST", body = "0123456789a" },
    { "/changed/x?debug=1&page=2",
      { path = "/x?page=2&source=kong", lacks = { "x-old", "x-is" },
        has = { ["x-default"] = "d", ["x-copy"] = "1", ["x-more"] = "2" }, answers = { ["x-added"] = "yes" } },
      headers = { "X-Old: 1", "X-Here: 1" } },
    { "/changed/x?source=me",     { path = "/x?source=me", has = { ["x-is"] = "new" } }, headers = { "X-Is: old" } },
    { "/kept",                    { path = "/v1/kept", has = { ["x-trace"] = "mine" },
                                    answers = { ["x-trace"] = "mine" } }, headers = { "X-Trace: mine" } },
  }, function(result, ask)
    it("counts requests as it did", function()
      for _ = 1, 2 do ask { "/few", { status = 200, path = "/" } } end
      ask { "/few", { status = 430 } }
    end)

    it("tells of what is switched off", function()
      lost(result(), "there is no equal of acl")
    end)
  end)
end)

describe("a configuration of Kong 2, converted", function()
  fixture("kong", "kong_two", {
    { "/a/b",     { path = "/plain/b" } },
    { "/a/12/x",  { path = "/pattern/a/12/x" } },
    { "/a/12/y",  { path = "/plain/12/y" } },
    { "/z",       { path = "/host/z" }, host = "a.test" },
    { "/a/12",    { path = "/plain/12" } },
  })
end)

describe("a configuration of APISIX, converted", function()
  fixture("apisix", "apisix_shop", {
    { "/exact",        { path = "/exact", host = "gate.test", answers = { ["x-route"] = "exact" } } },
    { "/exact/x",      { status = 404 } },
    { "/below/x?y=z",  { path = "/below/x?y=z", answers = { ["x-route"] = "below" } } },
    { "/ranked?v=2",   { answers = { ["x-route"] = "high" } }, headers = { "X-On: yes" } },
    { "/ranked?v=2",   { answers = { ["x-route"] = "low" } } },
    { "/ranked?v=3",   { answers = { ["x-route"] = "low" } }, headers = { "X-On: yes" } },
    { "/loosely",      { path = "/loosely", answers = { ["x-route"] = "loose" } } },
    { "/users/7",      { path = "/users/7", answers = { ["x-route"] = "user" } } },
    { "/users/7/x",    { status = 404 } },
    { "/old/a/b",      { path = "/new/b/a", has = { ["x-from"] = "127.0.0.1" }, lacks = { "x-gone" } },
      headers = { "X-Gone: 1" } },
    { "/moved",        { status = 301, answers = { location = "/there/moved" } } },
    { "/off",          { status = 404 } },
    { "/node",         { path = "/node", host = "NODE" } },
    { "/lua",          { status = 404 } },
    { "/basic",        { status = 401 } },
    { "/basic",        { path = "/basic", has = { ["x-consumer-username"] = "alice" } }, headers = { BASIC } },
    { "/openid",       { status = 503 } },
    { "/fault",        { status = 418 } },
    { "/split",        { path = "/split", host = "two.test" } },
  }, function(result, ask)
    it("counts requests as it did", function()
      for _ = 1, 2 do ask { "/few", { path = "/few" } } end
      ask { "/few", { status = 430 } }
    end)

    it("tells of what is switched off", function()
      lost(result(), "there is no equal of openid-connect")
      lost(result(), "a function of Lua is no condition here")
    end)
  end)
end)
