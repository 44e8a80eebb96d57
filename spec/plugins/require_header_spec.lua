local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - { path: /any, service: app, plugins: [ { require_header: { header: X-Custom-Header } } ] }
  - { path: /one, service: app, plugins: [ { require_header: { header: X-Key, values: a } } ] }
  - path: /some
    service: app
    plugins: [ { require_header: { header: X-Key, values: [a, b], status: 403, message: no } } ]
  - { path: /like, service: app, plugins: [ { require_header: { header: X-Key, matches: "^v\\d+$" } } ] }
  - { path: /slow, service: app, plugins: [ { require_header: { header: X-Key, matches: "^(a+)+$" } } ] }
]]

describe("require_header [T28]", function()
  local at = shipped.new(CONFIG)
  setup(at.start)
  teardown(at.stop)

  local WRONG = "Wrong value of header: X-Key\n"

  -- path, fields, status, body of a refusal
  local cases = {
    { "lets a request through that has it", "/any", { "X-Custom-Header: 1" }, 200 },
    { "takes the name in any case", "/any", { "x-custom-HEADER: 1" }, 200 },
    { "takes an empty value for one", "/any", { "X-Custom-Header:" }, 200 },
    { "refuses a request without it", "/any", {}, 401, "Missing required header: X-Custom-Header\n" },
    { "lets the right value through", "/one", { "X-Key: a" }, 200 },
    { "refuses another value", "/one", { "X-Key: b" }, 401, WRONG },
    { "compares values as they are", "/one", { "X-Key: A" }, 401, WRONG },
    { "lets each of several values through", "/some", { "X-Key: b" }, 200 },
    { "refuses with its own status and message", "/some", { "X-Key: c" }, 403, "no\n" },
    { "refuses where one of several fields is wrong", "/one", { "X-Key: a", "X-Key: b" }, 401, WRONG },
    { "lets a value through that matches", "/like", { "X-Key: v12" }, 200 },
    { "refuses one that does not", "/like", { "X-Key: v12x" }, 401, WRONG },
    { "does not open where the expression takes too long", "/slow", { "X-Key: " .. ("a"):rep(50) .. "!" }, 500 },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local response = at.ask { target = case[2], headers = case[3] }
      assert.equal(case[4], response.status)
      if case[5] then assert.equal(case[5], response.body) end
    end)
  end

  shipped.refuses(it, "require_header", {
    { "{}", "require_header.header: missing, expected a header name" },
    { "{ header: 'a b' }", 'require_header.header: expected a header name, found "a b"' },
    { "{ header: a, values: x, matches: y }", "require_header: expected one of values and matches, found both" },
    { "{ header: a, values: [] }", "require_header.values: expected at least 1 item, found 0" },
  })
end)
