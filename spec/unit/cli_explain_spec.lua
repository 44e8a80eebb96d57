--- tidegate explain: where a request would go, and through which plugins.
local command_line = require "support.command_line"
local configuration = require "support.configuration"
local files = require "support.files"
local json = require "tidegate.tide.json"
local markdown = require "support.markdown"
local plugins = require "support.plugins"

local run_in = command_line.run_in

local PLUGIN = 'return { version = "1.0.0", band = "%s", request = function() end, response = function() end }'
local TEXTS = {
  ["plugins/early.lua"] = PLUGIN:format "cors", ["plugins/guard.lua"] = PLUGIN:format "auth",
  ["plugins/answers.lua"] = 'return { preflight = true, request = function() end }',
  ["plugins/plain.lua"] = PLUGIN:format "filter",
}

local CONFIG = [[
listen: [":8080", { address: "127.0.0.1:9090", name: inner }]
gateway: { plugin_dirs: plugins }
services: { app: "127.0.0.1:9000" }
plugins:
  - plain
  - { use: plain, name: first, priority: 10 }
  - guard
routes:
  - name: users
    host: "*.example.com"
    path: /users/*
    methods: [GET, POST]
    service: app
    plugins:
      - plain
      - { use: guard, when: { all: [{ header: x-user, exists: true }, { not: { client_ip: 10.0.0.0/8 } }] } }
      - { use: early, band: transform, when: { any: [{ query: debug, equals: "1" }, { cookie: c, in: [a, b] }] } }
  - { name: off, path: /off, enabled: false, respond: {} }
  - { name: inner, path: /inner, on: inner, redirect: { to: /users/, status: 307 } }
  - { name: echo, path: /echo, respond: { echo: true } }
  - name: fixed
    path: /fixed
    respond: { status: 204 }
    plugins: [{ use: plain, when: { header: x-n, matches: "^(a+)+$" } }]
  - { name: crossed, path: /crossed, methods: [PUT], respond: {}, plugins: [answers] }
  - { name: uncrossed, path: /crossed, methods: [GET], respond: {} }
]]

describe("tidegate explain", function()
  local folder
  setup(function()
    folder = plugins.folder(TEXTS)
    files.write(folder .. "/tidegate.yaml", CONFIG)
  end)

  local function explain(...) return run_in(folder, "explain", ...) end

  local function explained(...)
    local code, out, err = run_in(folder, "explain", "--json", ...)
    assert.same({ 0, "" }, { code, err })
    return assert(json.decode(out))
  end

  local preflights = {
    { "PUT", "Origin: https://a.test", "crossed" },
    { "GET", "Origin: https://a.test", nil },
    { "PUT", "X-Origin: https://a.test", nil },
  }
  for _, case in ipairs(preflights) do
    it(("finds the route of a CORS preflight for %s with %s"):format(case[1], case[2]), function()
      local told = explained("-X", "OPTIONS", "-H", case[2], "-H", "Access-Control-Request-Method: " .. case[1],
                             "http://h:8080/crossed")
      assert.equal(case[3], told.route.name)
      assert.equal(not case[3] and 405 or nil, told.route.status)
    end)
  end

  local bare = { "localhost:8080/echo", "127.0.0.1:8080/echo", "[::1]:8080/echo", "a.b/echo?x=http://y/" }
  for _, url in ipairs(bare) do
    it("takes a URL without a scheme as http: " .. url, function()
      local told = explained(url)
      assert.equal("echo", told.route.name)
      assert.equal("http://" .. url, told.url)
    end)
  end

  it("takes a URL without a path as that of the root", function()
    for _, url in ipairs { "a.b", "http://a.b", "a.b:8080?x=1" } do assert.equal("/", explained(url).path) end
  end)

  it("tells the whole way of a request", function()
    local code, out, err = explain("http://a.example.com:8080/users/7?debug=1", "-H", "X-User: me")
    assert.same({ 0, "" }, { code, err })
    assert.equal([[
request   GET http://a.example.com:8080/users/7?debug=1
listener  0.0.0.0:8080
route     users (tidegate.yaml:9): host *.example.com, path /users/*, method GET POST
answer    service app
candidates in the order in which they win
  route      at                host           path
  users      tidegate.yaml:9   *.example.com  /users/*  wins
  inner      tidegate.yaml:19  any            /inner    another path (tidegate.yaml:19)
  crossed    tidegate.yaml:25  any            /crossed  another path (tidegate.yaml:25)
  uncrossed  tidegate.yaml:26  any            /crossed  another path (tidegate.yaml:26)
  echo       tidegate.yaml:20  any            /echo     another path (tidegate.yaml:20)
  fixed      tidegate.yaml:21  any            /fixed    another path (tidegate.yaml:22)
plugins   in the order of their request hooks; response hooks run the other way round
  stage   band       priority  plugin         at                hooks             runs
  global  auth              0  guard          tidegate.yaml:7   request response  yes
  global  filter           10  first (plain)  tidegate.yaml:6   request response  yes
  global  filter            0  plain          tidegate.yaml:5   request response  yes
  route   auth              0  guard          tidegate.yaml:16  request response  yes, when all of ]] ..
[[(header x-user is there; not (client_ip cidr "10.0.0.0/8"))
  route   filter            0  plain          tidegate.yaml:15  request response  yes
  route   transform         0  early          tidegate.yaml:17  request response  yes, when any of ]] ..
[[(query debug equals "1"; cookie c in "a", "b")
]], out)
  end)

  local conditions = {
    { "a header that is missing", {}, { guard = false, early = false } },
    { "a header", { "-H", "x-user:" }, { guard = true, early = false } },
    { "who asks", { "-H", "x-user: me", "--client-ip", "10.1.2.3" }, { guard = false, early = false } },
    { "a cookie", { "-H", "Cookie: a=b; c=b" }, { guard = false, early = true } },
  }
  for _, case in ipairs(conditions) do
    it("asks conditions about " .. case[1], function()
      local runs = {}
      for _, use in ipairs(explained("http://a.example.com/users/", unpack(case[2])).plugins) do
        if use.stage == "route" and use.when then runs[use.name] = use.runs end
      end
      assert.same(case[3], runs)
    end)
  end

  it("says so where a condition takes too long to tell", function()
    local code, out = explain("http://x/fixed", "-H", "x-n: " .. ("a"):rep(50) .. "!")
    assert.equal(0, code)
    assert.truthy(out:find('cannot be told: condition with the pattern "^(a+)+$": match limit exceeded, when', 1, true),
                  out)
  end)

  local answers = {
    { "http://x/echo", "answer    the request itself (echo)" },
    { "http://x/fixed", "answer    a response of its own, status 204" },
    { "http://x:9090/inner", "answer    redirect 307 to /users/" },
    { "http://x:9090/inner", "listener  127.0.0.1:9090\n" },
    { "http://x/inner", "route     none: 404, no route" },
    { "http://x/inner", "listener  0.0.0.0:8080\n" },
    { "http://x:1/fixed", "listener  0.0.0.0:8080 (none has the port of the URL)" },
    { "https://x/fixed", "listener  0.0.0.0:8080 (none has the port of the URL)" },
    { "http://x/off", "route     none: 404, no route" },
    { "http://x/.git/config", "route     none: 404, hidden file" },
    { "http://x/echo/../%66ixed", "route     fixed (" },
    { "http://[::1]/echo", "route     echo (" },
    { "http://x/none", "global  auth" },
  }
  for _, case in ipairs(answers) do
    it(("of %s tells %q"):format(case[1], case[2]), function()
      local code, out, err = explain(case[1])
      assert.same({ 0, "" }, { code, err })
      assert.truthy(out:find(case[2], 1, true), out)
    end)
  end

  it("tells which methods would have a route", function()
    local _, out = explain("http://a.example.com/users/1", "-X", "DELETE")
    assert.truthy(out:find("route     none for this method: 405; GET, POST would have one", 1, true), out)
    _, out = explain("http://x/echo", "-X", "CONNECT")
    local all = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
    assert.truthy(out:find("none for this method: 405; " .. all .. " would", 1, true), out)
  end)

  it("tells programs", function()
    local told = explained "http://a.example.com/users/1"
    local route = told.route
    assert.same({ "users", "tidegate.yaml:9", "app", "service app", "/users/1", true },
                { route.name, route.place, route.service, route.action, told.path, told.listener_fits })
    assert.same({ { stage = "global", band = "auth", priority = 0, plugin = "guard", name = "guard", runs = true,
                    place = "tidegate.yaml:7", on_error = "fail", hooks = { "request", "response" } } },
                { told.plugins[1] })
    assert.same({ status = 404, reason = "no route" }, explained("http://x/").route)
    assert.same({ "GET", "POST" }, explained("http://a.example.com/users/1", "-X", "PUT").route.methods)
  end)

  describe("tells what speaks against each route:", function()
    local place
    setup(function()
      place = plugins.folder { ["tidegate.yaml"] = [[
listen: [":8080", { address: ":9090", name: inner }]
routes:
  - name: users
    hosts:
      - a.example.com
      - "~^b\\d$"
    paths:
      - /users/{id}
      - "~^/u/(?<id>\\d+)$"
    methods: [GET]
    when:
      all:
        - { header: x-a, exists: true }
        - header: x-b
          equals: "1"
    respond: {}
  - { name: inner, path: /users/7, on: inner, respond: {} }
  - { name: all, respond: {} }
  - { name: later, respond: {} }
]] }
    end)

    -- The request, further words, the verdict on the pair of the route "users" that comes first.
    local cases = {
      { "http://x/users/7", {}, "users", "host (tidegate.yaml:5)" },
      { "http://a.example.com/x", {}, "users", "path (tidegate.yaml:8)" },
      { "http://a.example.com/users/7", { "-X", "PUT" }, "users", "method (tidegate.yaml:10)" },
      { "http://a.example.com/users/7", {}, "users", "when (tidegate.yaml:13)" },
      { "http://a.example.com/users/7", { "-H", "x-a: 1" }, "users", "when (tidegate.yaml:15)" },
      { "http://a.example.com/users/7", { "-H", "x-a: 1", "-H", "x-b: 1" }, "users", "wins" },
      { "http://x/users/7", {}, "inner", "listener (tidegate.yaml:17)" },
      { "http://x/users/7", {}, "all", "wins" },
      { "http://x/users/7", {}, "later", "order" },
    }
    for i, case in ipairs(cases) do
      it(("%d: %s %s"):format(i, case[1], table.concat(case[2], " ")), function()
        local code, out = run_in(place, "explain", "--json", case[1], unpack(case[2]))
        assert.equal(0, code)
        for _, one in ipairs(json.decode(out).candidates) do
          if one.route == case[3] then
            local words = not one.failed and "wins" or one.failed_at and one.failed .. " (" .. one.failed_at .. ")"
            return assert.equal(case[4], words or one.failed)
          end
        end
        error "it is not there"
      end)
    end

    it("leaves out the many that are elsewhere", function()
      local lines = { 'listen: [":8080"]', "routes:" }
      for i = 1, 300 do lines[i + 2] = ("  - { name: r%d, path: /r%d, respond: {} }"):format(i, i) end
      lines[#lines + 1] = "  - { name: all, respond: {} }"
      local many = plugins.folder { ["tidegate.yaml"] = table.concat(lines, "\n") .. "\n" }
      local _, out = run_in(many, "explain", "http://x/")
      assert.truthy(out:find("\n  and 280 more of other hosts or paths\n", 1, true), out)
      assert.truthy(out:find "\n  all +tidegate.yaml:303 +any +any +wins\n", out)
    end)
  end)

  it("says that there are no plugins", function()
    local code, out = run_in(plugins.folder { ["tidegate.yaml"] = configuration.small "" }, "explain", "http://x/")
    assert.equal(0, code)
    assert.truthy(out:find "\nplugins   none\n$")
  end)

  local wrong = {
    { { "two words" }, 'expected a URL such as http://host/path, found "http://two words"' },
    { { "" }, 'expected a URL such as http://host/path, found "http://"' },
    { { "ftp://x/" }, 'expected a URL such as http://host/path, found "ftp://x/"' },
    { { "http:///" }, "expected a URL such as http://host/path" },
    { { "http://x/%zz" }, 'expected a' },
    { { "http://x/../x" }, 'expected a path, found "/../x"' },
    { { "http://x/", "-X", "A B" }, 'expected a method, found "A B"' },
    { { "http://x/", "-H", "nothing" }, "-H: expected a field such as 'X-User: me', found \"nothing\"" },
    { { "http://x/", "--client-ip", "me" }, '--client-ip: expected an address, found "me"' },
  }
  for _, case in ipairs(wrong) do
    it("refuses: " .. table.concat(case[1], " "), function()
      local code, out, err = explain(unpack(case[1]))
      assert.same({ 2, "" }, { code, out })
      assert.truthy(err:find("tidegate: " .. case[2], 1, true), err)
    end)
  end

  it("tells what is wrong with the configuration", function()
    local bad = plugins.folder { ["tidegate.yaml"] = "listen: []" }
    local code, out, err = run_in(bad, "explain", "http://x/")
    assert.same({ 2, "" }, { code, out })
    assert.truthy(err:find "expected at least 1 item")
  end)
end)

describe("tidegate explain on docs/routing.md", function()
  local folder
  setup(function()
    for _, block in ipairs(markdown.blocks "docs/routing.md") do
      if block.language == "yaml" and not folder then folder = plugins.folder { ["tidegate.yaml"] = block.text } end
    end
  end)

  for request, route in files.read("docs/routing.md"):gmatch "\n| `(%u+ [^`]+)` | (%l+) |" do
    it(("sends %s to %s, as the gateway does"):format(request, route), function()
      local method, place = request:match "^(%u+) (.+)$"
      local code, out = run_in(folder, "explain", "--json", "-X", method, "http://" .. place)
      assert.equal(0, code)
      assert.equal(route, json.decode(out).route.name)
    end)
  end
end)
