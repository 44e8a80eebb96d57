local cjson = require "cjson"
local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - path: "/text/*"
    service: app
    plugins: [ { headers: { request: { set: { x-made: here } } } }, { echo: { max_body: 10B } } ]
  - { path: "/json/*", service: app, plugins: [ { echo: { format: json } } ] }
  - { path: "/all/*", service: app, plugins: [ { echo: { hide: [] } } ] }
]]

-- A filter comes before a transform: the order of the bands would show the request before it was changed.
CONFIG = CONFIG:gsub("{ echo: { max_body: 10B } }", "{ use: echo, band: transform, config: { max_body: 10B } }")

describe("echo", function()
  local at = shipped.new(CONFIG)
  setup(at.start)
  teardown(at.stop)

  local SECRETS = { "Authorization: Basic eDp5", "Cookie: id=1", "X-Own: yes" }

  it("shows the request as it would go to the upstream", function()
    local response = at.ask { method = "POST", target = "/text/a?b=c", body = "0123456789", headers = SECRETS }
    assert.equal(200, response.status)
    assert.equal("text/plain; charset=utf-8", response:get "content-type")
    assert.equal("nosniff", response:get "x-content-type-options")
    assert.equal("POST /text/a?b=c HTTP/1.1\nhost: gate.test\nx-own: yes\ncontent-length: 10\nx-made: here\n\n" ..
                 "0123456789", response.body)
  end)

  it("leaves out what a script in a browser must not read, unless told otherwise", function()
    assert.is_nil(at.ask({ target = "/text/", headers = SECRETS }).body:find "Basic")
    local all = at.ask({ target = "/all/", headers = SECRETS }).body
    assert.truthy(all:find("authorization: Basic eDp5\ncookie: id=1\n", 1, true))
  end)

  it("writes JSON", function()
    local response = at.ask { method = "PUT", target = "/json/a%20b?c=1&c=2&d", body = "text é",
                              headers = { "X-A: 1", "X-A: 2", SECRETS[1] } }
    assert.equal("application/json", response:get "content-type")
    local shown = cjson.decode(response.body)
    assert.equal(32, #shown.id)
    shown.id = nil
    assert.same({
      method = "PUT", scheme = "http", host = "gate.test", path = "/json/a%20b", query = "c=1&c=2&d", version = "1.1",
      args = { c = { "1", "2" }, d = true }, client_ip = "127.0.0.1", body = "text é",
      headers = { host = "gate.test", ["x-a"] = "1, 2", ["content-length"] = "7" },
    }, shown)
  end)

  it("writes a body that is no text in base64", function()
    local shown = cjson.decode(at.ask({ method = "PUT", target = "/json/", body = "\255\0" }).body)
    assert.is_nil(shown.body)
    assert.equal("/wA=", shown.body_base64)
  end)

  it("refuses a body that is too long to show", function()
    local response = at.ask { method = "POST", target = "/text/", body = "0123456789a" }
    assert.equal(413, response.status)
    assert.equal('{"error":"the body has more than 10 bytes"}\n', response.body)
  end)

  shipped.refuses(it, "echo", { { "{ format: xml }", "echo.format: expected one of text, json" } })
end)
