local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
plugins:
  - { use: cors, config: {}, when: { path: { prefix: /open } } }
routes:
  - { path: "/open/*", service: app }
  - path: "/some/*"
    service: app
    plugins:
      - cors:
          allow_origins: ["https://App.example.com:443", "https://*.example.org", "http://[::1]:3000", "null"]
          allow_methods: [GET, PUT]
          allow_headers: [X-Token, Content-Type]
          expose_headers: [X-Total-Count, X-Request-Id]
          max_age: 10m
  - path: "/one/*"
    service: app
    plugins: [ { cors: { allow_origins: "https://a.test", allow_credentials: true } } ]
  - { path: "/methods/*", methods: [GET, PUT], service: app, plugins: [cors] }
  - { path: "/all/*", service: app, plugins: [{ cors: { allow_methods: ["*"] } }] }
  - { path: "/without/*", methods: [PUT], service: app }
  - { path: "/each", methods: [GET], service: app }
  - { path: "/each", methods: [PUT, PURGE], respond: {}, plugins: [{ cors: { allow_origins: "https://a.test" } }] }
  - path: /conditional
    methods: [PUT]
    service: app
    plugins: [{ use: cors, when: { header: x-cors } }]
  - { path: /options, methods: [OPTIONS], respond: { status: 202 } }
  - { path: /options, methods: [PUT], respond: {}, plugins: [cors] }
  - path: "/guarded/*"
    service: app
    plugins: [ { cors: { allow_origins: "https://a.test" } }, { require_header: { header: x-key } } ]
]]

describe("cors [T21 T29 G11 P17]", function()
  local at = shipped.new(CONFIG, {
    ["/one/up"] = function(conn, head)
      conn:read_body(head)
      conn:respond(200, "ok", "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n" ..
                              "Access-Control-Expose-Headers: *\r\nVary: Accept, origin\r\n")
    end,
    ["/some/vary"] = function(conn, head)
      conn:read_body(head)
      conn:respond(200, "ok", "Vary: X-Origin-Like\r\n")
    end,
    ["/some/star"] = function(conn, head)
      conn:read_body(head)
      conn:respond(200, "ok", "Vary: *\r\n")
    end,
  })
  setup(at.start)
  teardown(at.stop)

  local function ask(target, origin, more)
    local headers = { origin and "Origin: " .. origin }
    for _, line in ipairs(more or {}) do headers[#headers + 1] = line end
    return at.ask { target = target, headers = headers }
  end

  local function preflight(target, origin)
    return at.ask { method = "OPTIONS", target = target,
                    headers = { "Origin: " .. origin, "Access-Control-Request-Method: PUT" } }
  end

  -- path, the method asked about, status, what stands in Allow; other fields than those of a preflight
  local of_methods = {
    { "answers on a route that does not name OPTIONS", "/methods/", "PUT", 204 },
    { "answers for each of the route's methods", "/methods/", "GET", 204 },
    { "refuses a method that the route does not take", "/methods/", "DELETE", 405, "GET, PUT" },
    { "refuses a method that nobody knows", "/methods/", "F@O", 405, "GET, PUT" },
    { "refuses CONNECT", "/methods/", "CONNECT", 405, "GET, PUT" },
    { "leaves OPTIONS without a method in question alone", "/methods/", nil, 405, "GET, PUT" },
    { "leaves OPTIONS without an origin alone", "/methods/", "PUT", 405, "GET, PUT", "X-A: b" },
    { "does not matter on a route without it", "/without/", "PUT", 405, "PUT" },
    { "answers on the one of two routes that takes the method", "/each", "PURGE", 204 },
    { "does not answer for the other", "/each", "GET", 405 },
    { "says which origins it refuses there, too", "/each", "PUT", 403, nil, "Origin: https://b.test" },
    { "leaves a 405 where its condition does not fit", "/conditional", "PUT", 405, "PUT" },
    { "leaves OPTIONS to a route that takes it", "/options", "PUT", 202 },
  }
  for _, case in ipairs(of_methods) do
    it("where a route has methods, it " .. case[1] .. " [G11 G15 T21]", function()
      local headers = { case[6] or "Origin: https://a.test" }
      if case[3] then headers[2] = "Access-Control-Request-Method: " .. case[3] end
      local response = at.ask { method = "OPTIONS", target = case[2], headers = headers }
      assert.equal(case[4], response.status)
      if case[4] == 405 and case[5] then assert.equal(case[5], response:get "allow") end
      if case[4] == 204 then assert.is_truthy(response:get "access-control-allow-methods") end
    end)
  end

  it("allows every method where told to", function()
    assert.equal("*", preflight("/all/", "https://a.test"):get "access-control-allow-methods")
  end)

  it("where a route has methods, it marks the responses to the requests themselves", function()
    local response = at.ask { method = "PUT", target = "/methods/", headers = { "Origin: https://a.test" } }
    assert.equal(200, response.status)
    assert.equal("*", response:get "access-control-allow-origin")
  end)

  -- path, origin, what the client gets as allowed origin
  local origins = {
    { "allows every page where none is named", "/open/", "https://any.test", "*" },
    { "says so without an origin, too", "/open/", nil, "*" },
    { "allows an origin by its name in normal form", "/some/", "https://app.example.com", "https://app.example.com" },
    { "allows no other port", "/some/", "https://app.example.com:8443", nil },
    { "allows no other scheme", "/some/", "http://app.example.com", nil },
    { "allows nothing that goes on behind the name", "/some/", "https://app.example.com.evil.test", nil },
    { "compares bytes: browsers write small letters", "/some/", "https://APP.example.com", nil },
    { "allows what is below a domain", "/some/", "https://a.b.example.org", "https://a.b.example.org" },
    { "but not the domain itself", "/some/", "https://example.org", nil },
    { "and not what only ends alike", "/some/", "https://evilexample.org", nil },
    { "and no trick with a user's name", "/some/", "https://evil.test#.example.org", nil },
    { "and no trick with a path", "/some/", "https://evil.test/.example.org", nil },
    { "and no empty name", "/some/", "https://.example.org", nil },
    { "allows an IPv6 address", "/some/", "http://[::1]:3000", "http://[::1]:3000" },
    { "allows pages without an origin where told to", "/some/", "null", "null" },
    { "does not where not", "/one/", "null", nil },
    { "allows nobody without an origin", "/some/", nil, nil },
  }
  for _, case in ipairs(origins) do
    it(case[1], function()
      local response = ask(case[2], case[3])
      assert.equal(200, response.status)
      assert.equal(case[4], response:get "access-control-allow-origin")
      assert.equal(case[2] ~= "/open/" and "Origin" or nil, response:get "vary")
      local is_preflight_allowed = case[4] ~= nil
      if case[3] then assert.equal(is_preflight_allowed and 204 or 403, preflight(case[2], case[3]).status) end
    end)
  end

  it("answers a preflight itself", function()
    at.up:forget()
    local response = preflight("/some/x", "https://app.example.com")
    assert.equal(204, response.status)
    local expected = {
      ["access-control-allow-origin"] = "https://app.example.com", ["access-control-allow-methods"] = "GET, PUT",
      ["access-control-allow-headers"] = "x-token, content-type", ["access-control-max-age"] = "600", vary = "Origin",
    }
    for name, value in pairs(expected) do assert.equal(value, response:get(name), name) end
    assert.is_nil(response:get "access-control-allow-credentials")
    assert.equal(0, #at.up:requests())
  end)

  it("tells a page that is not allowed nothing", function()
    local response = preflight("/some/x", "https://evil.test")
    assert.equal(403, response.status)
    for _, field in ipairs(response.fields) do assert.is_nil(field.name:lower():find "^access%-control") end
  end)

  it("passes OPTIONS on that is no preflight", function()
    local response = at.ask { method = "OPTIONS", target = "/some/x", headers = { "Origin: https://app.example.com" } }
    assert.equal(200, response.status)
    assert.equal("OPTIONS /some/x HTTP/1.1", at.up:last_request().start)
  end)

  it("allows credentials to those that are named", function()
    for _, response in ipairs { ask("/one/", "https://a.test"), preflight("/one/", "https://a.test") } do
      assert.equal("true", response:get "access-control-allow-credentials")
      assert.equal("https://a.test", response:get "access-control-allow-origin")
    end
    assert.is_nil(ask("/one/", "https://b.test"):get "access-control-allow-credentials")
  end)

  it("says in place of the upstream who may read", function()
    local response = ask("/one/up", "https://b.test")
    assert.is_nil(response:get "access-control-allow-origin")
    assert.is_nil(response:get "access-control-allow-credentials")
    assert.is_nil(response:get "access-control-expose-headers")
    assert.same({ "Accept, origin" }, response:all "vary")
    assert.same({ "https://a.test" }, ask("/one/up", "https://a.test"):all "access-control-allow-origin")
  end)

  it("tells caches, unless they know", function()
    assert.same({ "X-Origin-Like", "Origin" }, ask("/some/vary"):all "vary")
    assert.same({ "*" }, ask("/some/star"):all "vary")
  end)

  it("names fields that may be read", function()
    local response = ask("/some/", "https://app.example.com")
    assert.equal("x-total-count, x-request-id", response:get "access-control-expose-headers")
  end)

  it("trusts no origin where there are two", function()
    local response = ask("/one/", "https://a.test", { "Origin: https://b.test" })
    assert.is_nil(response:get "access-control-allow-origin")
  end)

  it("lets pages read refusals, and answers preflights before whatever would refuse them", function()
    local response = ask("/guarded/", "https://a.test")
    assert.equal(401, response.status)
    assert.equal("https://a.test", response:get "access-control-allow-origin")
    assert.equal(204, preflight("/guarded/", "https://a.test").status)
  end)

  shipped.refuses(it, "cors", {
    { "{ allow_credentials: true }", 'allow_origins: "*" cannot stand beside allow_credentials: name what is allowed' },
    { "{ allow_credentials: true, allow_origins: ['https://a', '*'] }", 'allow_origins: "*" cannot stand beside' },
    { "{ allow_credentials: true, allow_origins: ['null'] }", 'allow_origins: "null" cannot stand beside' },
    { "{ allow_credentials: true, allow_origins: 'https://a', allow_headers: ['*'] }", 'allow_headers: "*" cannot' },
    { "{ allow_credentials: true, allow_origins: 'https://a', allow_methods: ['*'] }", 'allow_methods: "*" cannot' },
    { "{ allow_origins: [] }", "cors.allow_origins: expected at least 1 item, found 0" },
    { "{ allow_origins: 'https://a/' }",
      "cors.allow_origins[1]: expected an origin such as https://app.example.com, without a path" },
    { "{ allow_origins: a.example.com }", "expected an origin such as https://app.example.com" },
    { "{ allow_origins: 'https://user@a' }", "expected an origin such as https://app.example.com" },
    { "{ allow_origins: 'https://a*.example.com' }", 'expected a "*" only in place of the first part of a host' },
    { "{ allow_origins: 'https://*' }", 'expected a "*" only in place of the first part of a host' },
    { "{ max_age: 2d }", "cors.max_age: expected at most 1d, found" },
  })
end)
