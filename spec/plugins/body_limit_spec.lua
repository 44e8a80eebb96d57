local client = require "support.client"
local shipped = require "support.shipped"

local CONFIG = [[
limits: { body: 2KiB }
services: { app: { nodes: ["NODE"], retries: { attempts: 0 } } }
routes:
  - { path: "/ten", service: app, plugins: [ { body_limit: { max: 10B } } ] }
  - { path: "/hold", service: app, plugins: [ { body_limit: { max: 10B } } ] }
  - { path: "/early", service: app, plugins: [ { body_limit: { max: 10B } } ] }
  - { path: "/large", service: app, plugins: [ { body_limit: { max: 4KiB } } ] }
]]

describe("body_limit [T20 D36]", function()
  local at = shipped.new(CONFIG, {
    ["/early"] = function(conn, head)
      conn:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
      conn:read_body(head)
      return true
    end,
  })
  setup(at.start)
  teardown(at.stop)

  local function chunked(target, pieces)
    return ("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"):format(target) ..
      client.chunked(pieces)
  end

  local function sized(target, body) return client.request { target = target, method = "POST", body = body } end

  local cases = {
    { "lets a body at the limit through", sized("/ten", "0123456789"), 200 },
    { "refuses a body over it", sized("/ten", "0123456789a"), 413 },
    { "lets a request without a body through", client.request { target = "/ten" }, 200 },
    { "lets chunks up to the limit through", chunked("/ten", { "01234", "56789" }), 200 },
    { "refuses chunks over it", chunked("/ten", { "01234", "567890" }), 413 },
    { "refuses one large chunk", chunked("/ten", { ("x"):rep(1000) }), 413 },
    { "makes no limit larger", chunked("/large", { ("x"):rep(3000) }), 413 },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local response = assert(client.ask(at.gw:port(), case[2]))
      assert.equal(case[3], response.status)
    end)
  end

  it("says how long a body may be", function()
    local response = at.ask { target = "/ten", method = "POST", body = "0123456789a" }
    assert.equal('{"error":"body over 10 bytes"}\n', response.body)
  end)

  it("refuses chunks that come over time, and gives the upstream no end of the body", function()
    local c = at.connect()
    c:send("POST /hold HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n")
    at.up:wait_event("head", function(e) return e.text:find "/hold" end)
    c:send("6\r\n567890\r\n0\r\n\r\n")
    assert.equal(413, c:response().status)
    c:close()
    at.up:wait_event("ended")
    for _, request in ipairs(at.up:requests()) do assert.is_not_equal("/hold", request.target) end
  end)

  it("cuts the connection where the response has begun already", function()
    local c = at.connect()
    c:send("POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n")
    assert.equal(200, c:head().status)
    c:send("6\r\n567890\r\n0\r\n\r\n")
    local how, rest = c:ending()
    assert.is_not_equal("timeout", how)
    assert.is_nil(rest:find("0\r\n\r\n", 1, true))
    c:close()
  end)

  shipped.refuses(it, "body_limit", {
    { "{ max: 10 }", "body_limit.max: expected a size such as 64KiB or 10MiB, found 10; it needs a unit" },
    { "{ max: 0B }", "body_limit.max: expected at least 1B" },
  })
end)
