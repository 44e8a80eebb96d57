local cjson = require "cjson"
local clock = require "support.clock"
local files = require "support.files"
local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
log:
  level: debug
  access:
    - { file: access.log, format: json }
    - { file: own.log, template: "${path} <${plugin.user}> ${plugin.up} ${plugin.none}" }
routes:
  - path: "/fields/*"
    service: app
    plugins:
      - logging:
          fields:
            { user: "${header.x-user}", up: "${res.header.x-up}", size: "${status} ${method}", none: "${cookie.none}" }
  - path: "/headers/*"
    service: app
    plugins: [ { logging: { include_headers: true, redact_headers: [x-key, set-cookie] } } ]
  - path: "/bodies/*"
    service: app
    plugins:
      - logging:
          { include_body: true, max_body: 200B, redact_fields: [password, pin], redact_patterns: ["\\b4\\d{7,}\\b"] }
  - path: "/event/*"
    service: app
    plugins:
      - logging: { log_level: warn, include_headers: true, include_body: true, fields: { user: "${header.x-user}" } }
  - { path: "/here", respond: { body: here }, plugins: [ { logging: { include_body: true, fields: { a: b } } } ] }
  - path: "/many/*"
    service: app
    plugins:
      - logging:
          include_headers: true
          include_body: true
          max_body: 2KiB
          max_headers: 2KiB
          fields: { long: "${header.x-long}" }
  - path: "/reply"
    service: app
    plugins:
      - logging: { include_body: true, types: [json] }
      - respond: { body: '{"a":1}', content_type: application/json }
]]

describe("logging [T22 G27 G41]", function()
  local at = shipped.new(CONFIG, {
    default = function(conn, head)
      if not conn:read_body(head).complete then return true end
      conn:respond(200, head.body, "X-Up: yes\r\nSet-Cookie: id=1\r\nContent-Type: " ..
                   (head:get "content-type" or "text/plain") .. "\r\n")
    end,
  })
  setup(at.start)
  teardown(at.stop)

  local count = 0

  --- One request, and its line of the access log.
  local function logged(r)
    count = count + 1
    local response = at.ask(r)
    local lines = {}
    clock.wait_until(function()
      lines = {}
      for line in (files.read(at.gw.folder .. "/access.log") or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
      return #lines >= count
    end, nil, "a line in the access log")
    return cjson.decode(lines[count]), response
  end

  it("adds fields to the access log", function()
    local line = logged { target = "/fields/a", headers = { 'X-User: "bob"\\ é' } }
    assert.equal('"bob"\\ é', line.user)
    assert.equal("yes", line.up)
    assert.equal("200 GET", line.size)
    assert.is_nil(line.none)
    assert.equal("/fields/a", line.target)
    assert.is_nil(line.request_headers)
  end)

  it("gives them to templates", function()
    logged { target = "/fields/b", headers = { 'X-User: "bob"\t<x>' } }
    clock.wait_until(function()
      return (files.read(at.gw.folder .. "/own.log") or ""):find('/fields/b <\\"bob\\"\\t<x>> yes -\n', 1, true)
    end, nil, "the line of the template")
  end)

  it("adds header fields, of which it masks some", function()
    local line = logged { target = "/headers/", headers = { "X-A: 1", "X-A: 2", "X-Key: secret", "Cookie: id=1" } }
    assert.same({ host = "gate.test", ["x-a"] = "1, 2", ["x-key"] = "***", cookie = "id=1" }, line.request_headers)
    assert.equal("yes", line.response_headers["x-up"])
    assert.equal("***", line.response_headers["set-cookie"])
  end)

  local JSON, FORM = "Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded"

  -- type, body, what is written
  local bodies = {
    { JSON, '{"user":"a","password":"x\\"y"}', '{"user":"a","password":"***"}' },
    { JSON, '{"Password" : "x", "b": 1}', '{"Password" : "***", "b": 1}' },
    { JSON, '{"pin":1234,"b":true}', '{"pin":"***","b":true}' },
    { JSON, '{"pin":null}', '{"pin":"***"}' },
    { JSON, '{"pin":["a","b"],"b":1}', '{"pin":"***"' },
    { JSON, '{"pin":{"a":"b"},"b":1}', '{"pin":"***"' },
    { JSON, '{"passwords":"x","spin":1}', '{"passwords":"x","spin":1}' },
    { JSON, '{"a":"' .. ("x"):rep(150) .. '","password":"' .. ("y"):rep(100) .. '"}',
      '{"a":"' .. ("x"):rep(150) .. '","password":"***"' },
    { FORM, "a=1&password=x%20y&pin=1&b=2", "a=1&password=***&pin=***&b=2" },
    { FORM, "password=x", "password=***" },
    { JSON, '{"card":"4111111111111111"}', '{"card":"***"}' },
    { "Content-Type: text/plain", ("x"):rep(1000), ("x"):rep(200) },
    { "Content-Type: text/plain", "line\nline\0", "line\nline\0" },
    { "Content-Type: image/png", "bytes", nil },
    { "X-No: type", "bytes", nil },
  }
  for i, case in ipairs(bodies) do
    it(("writes the beginning of bodies, without what is secret: %d"):format(i), function()
      local line, response = logged { method = "POST", target = "/bodies/", body = case[2], headers = { case[1] } }
      assert.equal(case[2], response.body)
      assert.equal(case[3], line.request_body)
      assert.equal(i ~= #bodies and case[3] or i == #bodies and "bytes" or nil, line.response_body)
    end)
  end

  it("writes an event in place of it", function()
    local line = logged { method = "POST", target = "/event/", body = '{"token":"x"}',
                          headers = { JSON, "X-User: bob", "Authorization: Basic eDp5" } }
    assert.is_nil(line.user)
    assert.is_nil(line.request_body)
    local event = at.gw:wait_log "[^\n]*warn[^\n]*request[^\n]*path=/event/[^\n]*"
    local parts = { "plugin=logging", "method=POST", "status=200", "user=bob", "client_ip=127.0.0.1", "seconds=0.",
                    '{\\"token\\":\\"***\\"}' }
    for _, part in ipairs(parts) do assert.truthy(event:find(part, 1, true), part .. " in " .. event) end
    assert.is_nil(event:find("eDp5", 1, true))
  end)

  it("writes what the gateway itself and other plugins answer", function()
    local line = logged { target = "/here" }
    assert.equal("b", line.a)
    assert.equal("here", line.response_body)
    line = logged { target = "/reply" }
    assert.equal('{"a":1}', line.response_body)
  end)

  it("has an end: the line stays whole, with as much as there is room for", function()
    local long = ("l"):rep(3000)
    local line = logged { method = "POST", target = "/many/", body = ("b"):rep(5000),
                          headers = { "X-Long: " .. long, "X-H: " .. ("h"):rep(1500), "X-I: " .. ("i"):rep(1500),
                                      "Content-Type: text/plain" } }
    assert.equal(200, line.status)
    assert.equal(long:sub(1, #line.long), line.long)
    assert.is_true(#line.long > 1000)
    assert.is_true(#cjson.encode(line) < 8192)
  end)

  it("leaves lengths alone where it does not look at bodies", function()
    logged { method = "POST", target = "/fields/", body = "12345" }
    assert.equal("5", at.upwards "content-length")
  end)

  shipped.refuses(it, "logging", {
    { "{ fields: { status: x } }", 'logging.fields: "status" is the name of another field' },
    { "{ fields: { 'a b': x } }", 'expected a name of at most 64 letters, digits and _, found "a b"' },
    { "{ fields: { a: '${nothing}' } }", "logging.fields.a: there is no variable ${nothing}" },
    { "{ log_level: loud }", "logging.log_level: expected one of debug, info, warn, error" },
    { "{ max_body: 1MiB }", "logging.max_body: expected at most 2KiB" },
    { "{ redact_patterns: ['('] }", "logging.redact_patterns[1]: expected a regular expression" },
  })
end)
