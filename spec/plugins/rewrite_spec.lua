local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
plugins:
  - { name: early, use: rewrite, config: { match: "^/legacy/(\\w+)$", to: "/plain/$1?from=legacy" } }
routes:
  - { path: "/plain/*", service: app }
  - { path: "/path/*", service: app, plugins: [ { rewrite: { path: /fixed } } ] }
  - { path: "/strip/*", service: app, plugins: [ { rewrite: { strip_prefix: /strip/me } } ] }
  - { path: "/add/*", service: app, plugins: [ { rewrite: { strip_prefix: /add, add_prefix: /v2/ } } ] }
  - path: "/match/*"
    service: app
    plugins: [ { rewrite: { match: "^/match/(?<id>\\d+)/(\\w+)", to: "/${id}-$2$$" } } ]
  - { path: "/bare/*", service: app, plugins: [ { rewrite: { match: "^/bare/", to: "" } } ] }
  - { path: "/both/*", service: app, strip_prefix: /both, plugins: [ { rewrite: { match: "b$", to: c } } ] }
  - path: "/query/*"
    service: app
    plugins:
      - rewrite:
          query: { remove: [debug], set: { user: "${header.x-user:-nobody}", v: "2" }, add: { tag: "a b" } }
  - { path: "/method/*", service: app, plugins: [ { rewrite: { method: PUT, host: Other.test } } ] }
]]

describe("rewrite [G23]", function()
  local at = shipped.new(CONFIG)
  setup(at.start)
  teardown(at.stop)

  -- target, what the upstream is asked
  local cases = {
    { "puts another path in place", "/path/x?a=1", "GET /fixed?a=1 HTTP/1.1" },
    { "takes a prefix away", "/strip/me/now", "GET /now HTTP/1.1" },
    { "leaves a slash where nothing else is left", "/strip/me", "GET / HTTP/1.1" },
    { "takes whole segments only", "/strip/men", "GET /strip/men HTTP/1.1" },
    { "puts a prefix in front", "/add/x", "GET /v2/x HTTP/1.1" },
    { "puts groups into the path", "/match/12/ab/c?x", "GET /12-ab$/c?x HTTP/1.1" },
    { "leaves a path that does not match", "/match/a", "GET /match/a HTTP/1.1" },
    { "lets a path begin with a slash", "/bare/x", "GET /x HTTP/1.1" },
    { "comes before what the route does", "/both/ab", "GET /ac HTTP/1.1" },
    { "works on the path in normal form", "/match/1%32/%61b", "GET /12-ab$ HTTP/1.1" },
    { "changes the query", "/query/?debug=1&user=x&tag=c&k=v",
      "GET /query/?k=v&tag=c&tag=a%20b&user=nobody&v=2 HTTP/1.1" },
    { "makes a query", "/query/", "GET /query/?tag=a%20b&user=nobody&v=2 HTTP/1.1" },
    { "changes the method", "/method/x", "PUT /method/x HTTP/1.1" },
    { "comes before routing among the global plugins", "/legacy/page?b=1", "GET /plain/page?from=legacy&b=1 HTTP/1.1" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.equal(200, at.ask({ target = case[2] }).status)
      assert.equal(case[3], at.up:last_request().start)
    end)
  end

  it("fills in what the client sends, encoded", function()
    at.ask { target = "/query/", headers = { "X-User: a&b=c#d" } }
    assert.equal("GET /query/?tag=a%20b&user=a%26b%3Dc%23d&v=2 HTTP/1.1", at.up:last_request().start)
  end)

  it("changes the host", function()
    at.ask { target = "/method/x" }
    assert.equal("other.test", at.upwards "host")
  end)

  shipped.refuses(it, "rewrite", {
    { "{ match: a }", 'rewrite.match: needs the key "to" beside it' },
    { "{ path: /a, strip_prefix: /b }", "expected one of path and strip_prefix, found both" },
    { "{ match: 'a(', to: b }", 'rewrite.match: expected a regular expression, found "a(": missing' },
    { "{ match: a, to: $1 }", "to: expected $0 to $0, ${name} of a group or $$ in a replacement, found \"$1\"" },
    { "{ method: get }", 'rewrite.method: expected a method such as GET, found "get"; write "GET"' },
    { "{ query: { set: { a: '${status}' } } }", "query: a: ${status} cannot stand here: there is no response yet" },
  })
end)
