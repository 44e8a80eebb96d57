require "tidegate.ffi"
local Report = require "tidegate.config.report"
local buffer = require "string.buffer"
local schema = require "tidegate.config.schema"
local when = require "tidegate.plugin.when"
local yaml = require "tidegate.yaml"

local function read(text)
  local report = Report.new()
  local value = schema.check({ type = "condition" }, assert(yaml.parse(text, "a.yaml")), report, "when")
  return value, report
end

local function request(own)
  local req = {
    client_ip = "10.1.2.3", path = "/api/users", method = "GET", scheme = "https", host = "api.example.com",
    tls = { version = "TLSv1.3", sni = "API.example.com" },
    headers = { ["x-api-version"] = "2", ["user-agent"] = "Curl/8", ["x-tag"] = { "a", "b", "12" } },
    query = { debug = "", page = "17" }, cookies = { tester = "yes" },
  }
  for key, value in pairs(own or {}) do req[key] = value end
  function req:header(name) return self:header_all(name)[1] end
  function req:header_all(name)
    local value = self.headers[name]
    return type(value) == "table" and value or { value }
  end
  function req:arg(name) return self.query[name] end
  function req:cookie(name) return self.cookies[name] end
  return req
end

describe("a condition", function()
  local cases = {
    -- text, and whether it fits the request above
    { "{ header: x-api-version, in: ['1', '2'] }", true },
    { "{ header: x-api-version, in: ['1', '3'] }", false },
    { "{ header: X-Api-Version, equals: 2 }", true },
    { "{ header: x-api-version, in: 2 }", true },
    { "{ header: x-api-version }", true },
    { "{ header: x-nothing }", false },
    { "{ header: x-nothing, exists: false }", true },
    { "{ header: x-api-version, exists: false }", false },
    { "{ header: x-nothing, equals: '' }", false },
    { "{ header: { name: x-api-version, gt: 1, lt: 3 } }", true },
    { "{ header: x-api-version, gt: 2 }", false },
    { "{ header: x-api-version, lt: 2 }", false },
    { "{ header: user-agent, gt: 2 }", false },
    { "{ header: x-tag, equals: a }", true },
    { "{ header: x-tag, equals: b }", true },
    { "{ header: x-tag, equals: c }", false },
    { "{ header: x-tag, gt: 11 }", true },
    { "{ not: { header: x-tag, equals: b } }", false },
    { "{ sni: api.example.com }", true },
    { "{ sni: [a.b, API.EXAMPLE.COM] }", true },
    { "{ sni: { suffix: .example.com } }", true },
    { "{ sni: { exists: false } }", false },
    { "{ sni: other.example.com }", false },
    { "{ header: user-agent, equals: curl/8 }", false },
    { "{ header: user-agent, equals: curl/8, case: false }", true },
    { "{ header: user-agent, in: [CURL/8], case: false }", true },
    { "{ header: user-agent, in: [CURL/8], case: true }", false },
    { "{ header: user-agent, prefix: Curl/ }", true },
    { "{ header: user-agent, prefix: curl/ }", false },
    { "{ header: user-agent, suffix: /8 }", true },
    { "{ header: user-agent, suffix: 'Curl/88' }", false },
    { "{ header: user-agent, contains: rl }", true },
    { "{ header: user-agent, contains: '.' }", false },
    { "{ header: user-agent, matches: '^Curl/\\d$' }", true },
    { "{ header: user-agent, matches: '^curl/\\d$' }", false },
    { "{ header: user-agent, matches: '^curl/\\d$', case: false }", true },
    { "{ header: user-agent, prefix: Curl, suffix: '9' }", false },
    { "{ query: debug }", true },
    { "{ query: debug, exists: true }", true },
    { "{ query: debug, equals: '' }", true },
    { "{ query: page, gt: 16.5 }", true },
    { "{ query: nothing, exists: true }", false },
    { "{ cookie: tester, equals: 'yes' }", true },
    { "{ cookie: { name: tester, equals: 'no' } }", false },
    { "{ client_ip: { cidr: 10.0.0.0/8 } }", true },
    { "{ client_ip: { cidr: [192.168.0.0/16, 10.1.0.0/16] } }", true },
    { "{ client_ip: 10.1.2.3 }", true },
    { "{ client_ip: [10.1.2.4, '::1'] }", false },
    { "{ client_ip: { equals: 10.1.2.3 } }", true },
    { "{ client_ip: { in: [10.1.2.4] } }", false },
    { "{ path: /api/users }", true },
    { "{ path: [/a, /api/users] }", true },
    { "{ path: { prefix: /api/ } }", true },
    { "{ path: { suffix: users } }", true },
    { "{ path: { matches: '^/api/(users|groups)$' } }", true },
    { "{ path: { equals: /API/users, case: false } }", true },
    { "{ method: GET }", true },
    { "{ method: [POST, PUT] }", false },
    { "{ method: { in: [GET, HEAD] } }", true },
    { "{ scheme: https }", true },
    { "{ scheme: { equals: http } }", false },
    { "{ host: API.example.com }", true },
    { "{ host: { suffix: .EXAMPLE.com } }", true },
    { "{ host: [a.b, c.d] }", false },
    { "{ tls: true }", true },
    { "{ tls: false }", false },
    { "{ tls: { exists: true } }", true },
    { "{ not: { method: GET } }", false },
    { "{ not: { not: { method: GET } } }", true },
    { "{ all: [{ method: GET }, { path: /api/users }] }", true },
    { "{ all: [{ method: GET }, { path: /other }] }", false },
    { "{ any: [{ method: POST }, { path: /api/users }] }", true },
    { "{ any: [{ method: POST }, { path: /other }] }", false },
    { "{ all: [{ any: [{ method: POST }, { tls: true }] }, { not: { header: x-nothing } }] }", true },
  }
  for _, case in ipairs(cases) do
    it(("%s %s"):format(case[1], case[2] and "fits" or "does not fit"), function()
      local condition, report = read(case[1])
      assert.equal("", report:text())
      -- As it comes to the loops.
      local test = when.compile(buffer.decode(buffer.encode(condition)))
      assert.equal(case[2], test(request()))
    end)
  end

  it("is the manual's", function()
    local condition, report = read [[
all:
  - { header: x-api-version, in: ["1", "2"] }
  - { client_ip: { cidr: 10.0.0.0/8 } }
  - any: [ { query: debug, exists: true }, { cookie: tester, equals: "yes" } ]
]]
    assert.equal("", report:text())
    local test = when.compile(condition)
    assert.is_true(test(request()))
    assert.is_true(test(request { query = {} }))
    assert.is_false(test(request { query = {}, cookies = {} }))
    assert.is_false(test(request { client_ip = "11.0.0.1" }))
  end)

  it("may compare without regard to case [G36]", function()
    local insensitive = when.compile((read "{ header: content-type, equals: application/json, case: false }"))
    local sensitive = when.compile((read "{ header: content-type, equals: application/json }"))
    local req = request { headers = { ["content-type"] = "Application/JSON" } }
    assert.same({ true, false }, { insensitive(req), sensitive(req) })
  end)

  it("knows a client without an address in no network", function()
    assert.is_false(when.compile((read "{ client_ip: '0.0.0.0/0' }"))(request { client_ip = "unix:" }))
  end)

  it("knows no TLS where there is none", function()
    local req = request()
    req.tls = nil
    assert.is_false(when.compile((read "{ tls: true }"))(req))
  end)

  it("takes an argument without a value for an empty one", function()
    assert.is_true(when.compile((read "{ query: debug, equals: '' }"))(request { query = { debug = true } }))
  end)

  it("raises where a pattern takes too long, instead of leaving its plugin out", function()
    local test = when.compile((read "{ header: x, matches: '^(a+)+$' }"))
    assert.has_error(function() test(request { headers = { x = ("a"):rep(40) .. "!" } }) end,
                     'condition with the pattern "^(a+)+$": match limit exceeded')
  end)

  it("nests so deep only", function()
    local _, report = read(("{ not: "):rep(16) .. "{ method: GET }" .. (" }"):rep(16))
    assert.truthy(report:text():find("conditions nest at most 16 deep", 1, true))
    _, report = read(("{ not: "):rep(15) .. "{ method: GET }" .. (" }"):rep(15))
    assert.equal("", report:text())
  end)

  it("is a value in any schema", function()
    local report = Report.new()
    local field = { type = "list", of = "condition" }
    schema.check(field, assert(yaml.parse("[{ method: get }]", "a.yaml")), report, "plugins[1].x.only")
    assert.equal("plugins[1].x.only[1].method", report.errors[1].path)
  end)
end)
