--- What the upstream sees of a request, and the client of a response [G9, G23, P9, T59, T75].
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request
local CONFIG = [[
gateway: { threads: 1, grace: 1s, trusted_proxies: %s }
services:
  app: { nodes: ["NODE"] }
  by_node: { nodes: ["NODE"], host_header: node }
  fixed: { nodes: ["NODE"], host_header: inside.test }
routes:
  - { path: "/*", service: app }
  - { path: "/by-node", service: by_node }
  - { path: "/fixed-host", service: fixed }
  - { path: "/strip/*", service: app, strip_prefix: /strip }
  - { path: "/add/*", service: app, add_prefix: /in/side }
  - { path: "/both/*", service: app, strip_prefix: /both, add_prefix: /v2 }
]]

local function config(trusted, up)
  local yaml = CONFIG:format(trusted):gsub("NODE", up.node)
  return yaml
end

local answers = {
  default = upstream.echo,
  ["/hops"] = function(conn, head)
    conn:read_body(head)
    conn:send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\n" ..
              "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nTrailer: X\r\n" ..
              "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Kept: yes\r\nServer: spec\r\n" ..
              "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\nok")
  end,
}

describe("a forwarded request", function()
  local up, gw

  setup(function()
    up = upstream.by_path(answers)
    gw = gateway.start(config("[]", up))
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  before_each(function() up:forget() end)

  local function ask(r, to)
    local response = assert(client.ask((to or gw):port(), request(r)))
    return up:last_request(), response
  end

  describe("field of one connection only", function()
    local cases = {
      { "Connection",                 { "Connection: keep-alive" }, gone = "connection" },
      { "Keep-Alive",                 { "Keep-Alive: timeout=5" }, gone = "keep-alive" },
      { "Proxy-Connection",           { "Proxy-Connection: keep-alive" }, gone = "proxy-connection" },
      { "TE",                         { "TE: gzip" }, gone = "te" },
      { "Upgrade without Connection", { "Upgrade: websocket" }, gone = "upgrade" },
      { "one that Connection names",  { "Connection: X-Secret", "X-Secret: 1" }, gone = "x-secret" },
      { "several that it names",      { "Connection: x-one ,\tX-TWO", "X-Two: 1", "X-One: 1" }, gone = "x-two" },
      { "one named by a second Connection", { "Connection: X-One", "Connection: X-Two", "X-Two: 1" }, gone = "x-two" },
      { "a well-known one that it names",   { "Connection: Accept-Language", "Accept-Language: de" },
        gone = "accept-language" },
    }

    for _, case in ipairs(cases) do
      it("is not sent on: " .. case[1], function()
        case[2][#case[2] + 1] = "X-Kept: yes"
        local got = ask { headers = case[2] }
        assert.same({}, got:all(case.gone))
        assert.equal("yes", got:get "x-kept")
      end)
    end

    it("cannot be one that the gateway itself relies on", function()
      local got = ask { method = "POST", body = "hello",
                        headers = { "Connection: Host, Content-Length, X-Forwarded-For, X-Request-Id, Via" } }
      assert.equal("gate.test", got:get "host")
      assert.equal("5", got:get "content-length")
      assert.equal("hello", got.body)
      assert.equal("127.0.0.1", got:get "x-forwarded-for")
      assert.truthy(got:get "x-request-id")
      assert.equal("1.1 tidegate", got:get "via")
    end)
  end)

  it("keeps all its other fields, in their order and as they are", function()
    local got = ask { headers = { "X-B: 1", "x-a:  2 ", "X-B: 3", "Cookie: a=b; c=d", "X-Empty:",
                                  "X-High: \195\169", "Accept: */*" } }
    assert.same({ "1", "3" }, got:all "x-b")
    assert.equal("2", got:get "x-a")
    assert.equal("a=b; c=d", got:get "cookie")
    assert.equal("", got:get "x-empty")
    assert.equal("\195\169", got:get "x-high")
    local names = {}
    for i = 2, 8 do names[#names + 1] = got.fields[i].name end
    assert.same({ "X-B", "x-a", "X-B", "Cookie", "X-Empty", "X-High", "Accept" }, names)
  end)

  describe("from a client that is not trusted", function()
    it("says who the client is and what it asked for", function()
      local got = ask {}
      assert.same({ "127.0.0.1" }, got:all "x-forwarded-for")
      assert.same({ "http" }, got:all "x-forwarded-proto")
      assert.same({ "gate.test" }, got:all "x-forwarded-host")
      assert.same({ tostring(gw:port()) }, got:all "x-forwarded-port")
      assert.same({ 'for=127.0.0.1;host="gate.test";proto=http' }, got:all "forwarded")
      assert.same({ "1.1 tidegate" }, got:all "via")
    end)

    it("loses what it claims about itself", function()
      local got = ask { headers = { "X-Forwarded-For: 1.2.3.4", "x-forwarded-for: 5.6.7.8", "X-Forwarded-Proto: https",
                                    "X-Forwarded-Host: evil.test", "X-Forwarded-Port: 1", "Forwarded: for=1.2.3.4" } }
      assert.same({ "127.0.0.1" }, got:all "x-forwarded-for")
      assert.same({ "http" }, got:all "x-forwarded-proto")
      assert.same({ "gate.test" }, got:all "x-forwarded-host")
      assert.same({ tostring(gw:port()) }, got:all "x-forwarded-port")
      assert.same({ 'for=127.0.0.1;host="gate.test";proto=http' }, got:all "forwarded")
    end)

    it("keeps its Via and gains ours, with the version it spoke", function()
      local got = ask { version = "1.0", headers = { "Via: 1.1 edge" } }
      assert.equal("1.1 edge, 1.0 tidegate", table.concat(got:all "via", ", "))
    end)
  end)

  it("from a trusted proxy keeps what that says, and gains the proxy itself", function()
    local trusting = gateway.start(config("[127.0.0.0/8]", up))
    finally(function() trusting:stop() end)
    local got = ask({ headers = { "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8", "X-Forwarded-Proto: https",
                                  "X-Forwarded-Host: front.test", "X-Forwarded-Port: 443", "Forwarded: for=1.2.3.4" } },
                    trusting)
    assert.equal("1.2.3.4, 5.6.7.8, 127.0.0.1", table.concat(got:all "x-forwarded-for", ", "))
    assert.same({ "https" }, got:all "x-forwarded-proto")
    assert.same({ "front.test" }, got:all "x-forwarded-host")
    assert.same({ "443" }, got:all "x-forwarded-port")
    assert.equal('for=1.2.3.4, for=127.0.0.1;host="gate.test";proto=http', table.concat(got:all "forwarded", ", "))
  end)

  describe("id", function()
    it("is made where there is none, and never the same", function()
      local seen = {}
      for _ = 1, 20 do
        local id = assert(ask({}):get "x-request-id")
        assert.truthy(id:find "^%w[%w-]*$" and #id >= 16)
        assert.is_nil(seen[id])
        seen[id] = true
      end
    end)

    it("is the client's where there is one", function()
      assert.same({ "My-Id.1/x=2" }, ask({ headers = { "X-Request-Id: My-Id.1/x=2" } }):all "x-request-id")
      assert.same({ "one" }, ask({ headers = { "X-Request-Id: one", "X-Request-Id: two" } }):all "x-request-id")
      assert.equal(1, #ask({ headers = { "X-Request-Id: a b", "X-Request-Id: two" } }):all "x-request-id")
    end)

    local bad = { { "empty", "" }, { "too long", ("a"):rep(1000) }, { "with spaces", "a b" },
                  { "with quotes", 'a"b' }, { "with brackets", "<a>" } }
    for _, case in ipairs(bad) do
      it("is made anew where the client's is " .. case[1], function()
        local ids = ask({ headers = { "X-Request-Id: " .. case[2] } }):all "x-request-id"
        assert.equal(1, #ids)
        assert.truthy(ids[1]:find "^%w[%w-]*$" and #ids[1] >= 16 and #ids[1] <= 128)
      end)
    end
  end)

  describe("Host", function()
    it("is the client's by default", function()
      assert.same({ "Gate.Test:8080" }, ask({ host = "Gate.Test:8080" }):all "host")
    end)

    it("is the node's where the service says so", function()
      assert.same({ up.node }, ask({ target = "/by-node" }):all "host")
    end)

    it("is a fixed one where the service says so", function()
      assert.same({ "inside.test" }, ask({ target = "/fixed-host" }):all "host")
    end)

    it("is the node's where the client had none", function()
      assert.same({ up.node }, ask({ host = false, version = "1.0" }):all "host")
    end)
  end)

  describe("path", function()
    local cases = {
      { "/a/b",            "/a/b" },
      { "/",               "/" },
      { "/a/",             "/a/" },
      { "/a/./b",          "/a/b" },
      { "/a/../b",         "/b" },
      { "/a/b/..",         "/a/" },
      { "/a/b/.",          "/a/b/" },
      { "/a/b/../../c",    "/c" },
      { "/a/%2e%2E/b",     "/b" },
      { "/a/%2e/b",        "/a/b" },
      { "//a///b//",       "/a/b/" },
      { "/%61%7eb",        "/a~b" },
      { "/a%2fb",          "/a%2Fb" },
      { "/a%c3%a9",        "/a%C3%A9" },
      { "/a%20b",          "/a%20b" },
      { "/a%252e",         "/a%252e" },
      { "/a;b=c,d&e=f",    "/a;b=c,d&e=f" },
      { "/a?b=/../%2e&c=//", "/a?b=/../%2e&c=//" },
      { "/a?",             "/a?" },
      { "/a?b?c",          "/a?b?c" },
      { "/a..b/c.",        "/a..b/c." },
      { "/strip/x/y",      "/x/y" },
      { "/strip",          "/" },
      { "/strip/",         "/" },
      { "/stripped",       "/stripped" },
      { "/strip/../x",     "/x" },
      { "/x/../strip/y?q", "/y?q" },
      { "/add/x",          "/in/side/add/x" },
      { "/both/x",         "/v2/x" },
      { "/both",           "/v2/" },
      { "/.well-known/acme-challenge/x", "/.well-known/acme-challenge/x" },
    }

    for _, case in ipairs(cases) do
      it(("%s is sent on as %s"):format(case[1], case[2]), function()
        assert.equal(case[2], ask({ target = case[1] }).target)
      end)
    end

    for _, hidden in ipairs { "/.git/config", "/.env", "/a/.htaccess", "/%2egit/config", "/a/..b", "/a//.b",
                              "/.well-known/.env", "/...", "/a%2f.git/config", "/a%2F%2e%2E%2fb" } do
      it(hidden .. " is hidden: 404", function()
        local got, response = ask { target = hidden }
        assert.equal(404, response.status)
        assert.is_nil(got)
      end)
    end
  end)

  it("may name a hidden file where security.deny_hidden_files is off", function()
    local open = gateway.start("security: { deny_hidden_files: false }\n" .. config("[]", up))
    finally(function() open:stop() end)
    assert.equal("/.git/config", ask({ target = "/.git/config" }, open).target)
  end)

  it("keeps double slashes where security.merge_slashes is off", function()
    local open = gateway.start("security: { merge_slashes: false }\n" .. config("[]", up))
    finally(function() open:stop() end)
    assert.equal("//a///b//", ask({ target = "//a///b//" }, open).target)
  end)

  it("that is OPTIONS with Max-Forwards: 0 goes no further", function()
    local got, response = ask { method = "OPTIONS", headers = { "Max-Forwards: 0" } }
    assert.is_nil(got)
    assert.truthy(response.status < 300)
  end)

  it("that is OPTIONS loses one of its Max-Forwards", function()
    assert.equal("2", ask({ method = "OPTIONS", headers = { "Max-Forwards: 3" } }):get "max-forwards")
  end)

  describe("response", function()
    it("loses the fields of one connection, and keeps the others", function()
      local _, response = ask { target = "/hops" }
      for _, name in ipairs { "connection", "x-secret", "keep-alive", "proxy-connection", "upgrade" } do
        assert.same({}, response:all(name))
      end
      assert.same({ "a=1", "b=2" }, response:all "set-cookie")
      assert.equal("yes", response:get "x-kept")
      assert.equal("spec", response:get "server")
      assert.same({ "Thu, 01 Jan 2026 00:00:00 GMT" }, response:all "date")
      assert.same({ "1.1 tidegate" }, response:all "via")
    end)

    it("gains a date where it has none", function()
      local _, response = ask {}
      assert.truthy(response:get "date":find "^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$")
    end)
  end)
end)
