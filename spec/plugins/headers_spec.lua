local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
plugins:
  - { name: outer, use: headers, config: { response: { set: { x-outer: "${res.header.x-time}" } } } }
routes:
  - path: "/all/*"
    service: app
    plugins:
      - headers:
          request:
            remove: [User-Agent, x-gone]
            set: { X-User: "${query.user}", x-who: "${header.x-user:-nobody} from ${client_ip}", host: other.test }
            add: { x-many: two, x-none: "${cookie.none}" }
            default: { x-kept: mine, x-new: "${method}" }
          response:
            remove: [x-secret]
            set: { x-status: "${status} ${header.x-who}", x-gone: "${res.header.x-none}" }
            add: { vary: Accept }
            default: { x-up: mine, x-time: "${response_time}" }
  - { path: "/up/*", service: app, plugins: [ { headers: { request: { set: { x-a: b } } } } ] }
  - path: "/here"
    respond: { status: 404 }
    plugins: [ { headers: { response: { set: { x-here: "${status}" } } } } ]
]]

describe("headers [G23 G41 G42]", function()
  local at = shipped.new(CONFIG, {
    ["/all/up"] = function(conn, head)
      conn:read_body(head)
      conn:respond(200, "ok", "X-Up: yes\r\nX-Secret: 1\r\nX-Gone: 1\r\nVary: Origin\r\n")
    end,
  })
  setup(at.start)
  teardown(at.stop)

  it("changes the request", function()
    at.ask { target = "/all/x?user=bob", headers = { "User-Agent: me", "X-Gone: 1", "X-User: spoofed", "X-Many: one",
                                                     "X-Kept: yours" } }
    local expected = {
      ["user-agent"] = "", ["x-gone"] = "", ["x-user"] = "bob", ["x-who"] = "bob from 127.0.0.1",
      ["x-many"] = "one, two", ["x-none"] = "", ["x-kept"] = "yours", ["x-new"] = "GET", host = "other.test",
    }
    for name, value in pairs(expected) do assert.equal(value, at.upwards(name), name) end
  end)

  it("takes a field away whose value comes out empty, so that no client can set it", function()
    at.ask { target = "/all/x", headers = { "X-User: spoofed" } }
    assert.equal("", at.upwards "x-user")
    assert.equal("nobody from 127.0.0.1", at.upwards "x-who")
  end)

  it("lets no value end its field", function()
    at.ask { target = "/all/x?user=a%0D%0AX-Evil:%201%00" }
    assert.equal("a  X-Evil: 1", at.upwards "x-user")
    assert.equal("", at.upwards "x-evil")
  end)

  it("changes the response", function()
    local response = at.ask { target = "/all/up?user=bob" }
    local expected = {
      ["x-up"] = "yes", ["x-secret"] = "", ["x-gone"] = "", ["x-status"] = "200 bob from 127.0.0.1",
      vary = "Origin, Accept",
    }
    for name, value in pairs(expected) do assert.equal(value, table.concat(response:all(name), ", "), name) end
    assert.matches("^%d+%.%d$", response:get "x-time")
  end)

  it("wraps what plugins behind it do to the response", function()
    local response = at.ask { target = "/all/up" }
    assert.equal(response:get "x-time", response:get "x-outer")
  end)

  it("changes what the gateway itself answers", function()
    assert.equal("404", at.ask({ target = "/here" }):get "x-here")
  end)

  it("leaves a side alone that it has nothing for", function()
    local response = at.ask { target = "/up/x" }
    assert.equal("b", at.upwards "x-a")
    assert.is_nil(response:get "x-a")
  end)

  shipped.refuses(it, "headers", {
    { "{ request: { set: { Content-Length: '1' } } }",
      "headers.request.set: content-length says how the message is framed or connected: the gateway sets it" },
    { "{ response: { remove: [connection] } }",
      "headers.response.remove[1]: connection says how the message is framed or connected: the gateway sets it" },
    { "{ request: { set: { x-a: '${client.ip}' } } }",
      "headers.request.set.x-a: there is no variable ${client.ip}; did you mean ${client_ip}?" },
    { "{ request: { set: { x-a: '${status}' } } }",
      'making "headers": x-a: ${status} cannot stand here: there is no response yet' },
    { "{ request: { set: { 'a b': c } } }", 'headers.request.set["a b"]: expected a header name, found "a b"' },
    { "{ requests: {} }", 'headers.requests: unknown key; did you mean "request"?' },
  })
end)
