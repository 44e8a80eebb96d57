local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - { path: "/plain/*", service: app, plugins: [ request_id ] }
  - { path: "/quiet/*", service: app, plugins: [ { request_id: { response: false } } ] }
  - { path: "/new/*", service: app, plugins: [ { request_id: { accept: false } } ] }
  - { path: "/v4/*", service: app, plugins: [ { request_id: { format: uuid4 } } ] }
  - { path: "/v7/*", service: app, plugins: [ { request_id: { format: uuid7, header: X-Correlation-Id } } ] }
log: { access: [{ file: access.log, template: "${path} ${request_id}" }] }
]]

describe("request_id", function()
  local at = shipped.new(CONFIG)
  setup(at.start)
  teardown(at.stop)

  local GATEWAY = "^" .. ("%x"):rep(32) .. "$"
  local UUID = "^" .. ("%x"):rep(8) .. "%-%x%x%x%x%-VERSION%x%x%x%-[89ab]%x%x%x%-" .. ("%x"):rep(12) .. "$"
  local V4, V7 = UUID:gsub("VERSION", "4"), UUID:gsub("VERSION", "7")
  local WRONG = "not an id"

  -- path, field, what the client sends, what the upstream and the client get
  local cases = {
    { "tells the id of the gateway", "/plain/", "x-request-id", nil, GATEWAY },
    { "takes the client's", "/plain/", "x-request-id", "abc-1_2/3", "^abc%-1_2/3$" },
    { "makes one in place of what is none", "/plain/", "x-request-id", WRONG, GATEWAY },
    { "makes one in place of what is too long", "/plain/", "x-request-id", ("a"):rep(129), GATEWAY },
    { "makes one in place of the client's", "/new/", "x-request-id", "abc", GATEWAY },
    { "makes a random UUID", "/v4/", "x-request-id", nil, V4 },
    { "prefers the client's to a UUID", "/v4/", "x-request-id", "abc", "^abc$" },
    { "makes a UUID that sorts by time", "/v7/", "x-correlation-id", nil, V7 },
    { "takes the client's from another field", "/v7/", "x-correlation-id", "abc", "^abc$" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local response = at.ask { target = case[2], headers = { case[4] and case[3] .. ": " .. case[4] } }
      assert.equal(200, response.status)
      local id = response:get(case[3])
      assert.matches(case[5], id)
      assert.same({ id }, response:all(case[3]))
      assert.equal(id, at.upwards(case[3]))
      assert.equal(id, at.upwards "x-request-id")
    end)
  end

  it("does not tell the client where it shall not", function()
    local response = at.ask { target = "/quiet/" }
    assert.is_nil(response:get "x-request-id")
    assert.matches(GATEWAY, at.upwards "x-request-id")
  end)

  it("gives each request another one, and writes it into the access log", function()
    local first, second = at.ask { target = "/v7/a" }, at.ask { target = "/v7/b" }
    local one, other = first:get "x-correlation-id", second:get "x-correlation-id"
    assert.is_true(one < other)
    at.logged("/v7/b " .. other:gsub("%-", "%%-"))
  end)

  shipped.refuses(it, "request_id", {
    { "{ format: uuid5 }", 'request_id.format: expected one of gateway, uuid4, uuid7, found "uuid5"' },
    { "{ header: 'a b' }", 'request_id.header: expected a header name, found "a b"' },
  })
end)
