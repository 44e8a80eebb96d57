local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - { path: /empty, service: app, plugins: [ respond ] }
  - path: /text
    service: app
    plugins: [ { respond: { status: 503, body: "closed, ${query.q}\n", headers: { retry-after: "60" } } } ]
  - { path: /html, service: app, plugins: [ { respond: { body: "<p>${query.q}</p>", content_type: text/html } } ] }
  - path: /json
    service: app
    plugins: [ { respond: { body: '{"q":"${query.q}"}', content_type: application/json } } ]
  - { path: /moved, service: app, plugins: [ { respond: { status: 302, headers: { location: "/at?${query.q}" } } } ] }
  - { path: /none, service: app, plugins: [ { respond: { status: 204 } } ] }
]]

describe("respond", function()
  local at = shipped.new(CONFIG)
  setup(at.start)
  teardown(at.stop)

  local PLAIN = "text/plain; charset=utf-8"
  local Q = "?q=%3Cb%3E%22%27%26%0A%5C"       -- <b>"'&, a line feed and a backslash

  -- target, status, body, type
  local cases = {
    { "answers with nothing", "/empty", 200, "", nil },
    { "fills in values", "/text?q=sorry", 503, "closed, sorry\n", PLAIN },
    { "leaves values in plain text as they are", "/text" .. Q, 503, "closed, <b>\"'&\n\\\n", PLAIN },
    { "escapes values in HTML", "/html" .. Q, 200, "<p>&lt;b&gt;&quot;&#39;&amp;\n\\</p>", "text/html" },
    { "escapes values in JSON", "/json" .. Q, 200, '{"q":"<b>\\"\'&\\n\\\\"}', "application/json" },
    { "answers without a body", "/none", 204, "", nil },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local response = at.ask { target = case[2] }
      assert.equal(case[3], response.status)
      assert.equal(case[4], response.body)
      assert.equal(case[5], response:get "content-type")
    end)
  end

  it("sets fields, which values cannot end", function()
    assert.equal("60", at.ask({ target = "/text" }):get "retry-after")
    local response = at.ask { target = "/moved?q=a%0D%0AX-Evil:1" }
    assert.equal("/at?a  X-Evil:1", response:get "location")
    assert.is_nil(response:get "x-evil")
  end)

  it("asks no upstream", function()
    at.up:forget()
    at.ask { target = "/text" }
    assert.equal(0, #at.up:requests())
  end)

  shipped.refuses(it, "respond", {
    { "{ body: '${status}' }", "body: ${status} cannot stand here: there is no response yet" },
    { "{ headers: { content-length: '5' } }",
      "respond.headers: content-length says how the message is framed or connected: the gateway sets it" },
    { "{ status: 100 }", "respond.status: expected at least 200, found 100" },
  })
end)
