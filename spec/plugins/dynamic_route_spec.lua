local cjson = require "cjson"
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local shipped = require "support.shipped"
local upstream = require "support.upstream"

local CONFIG = [[
gateway: { threads: 2, grace: 1s }
metrics: { listen: "unix:metrics.sock" }
services:
  main: { nodes: ["MAIN"] }
  blue: { nodes: ["BLUE"] }
  green: { nodes: ["GREEN"] }
routes:
  - path: "/plain/*"
    service: main
    plugins:
      - dynamic_route: { api_url: "http://API/api/host", api_headers: { x-key: secret } }
      - headers: { request: { set: { x-target: "${ctx.dynamic_target_service}" } } }
  - path: "/slow/*"
    service: main
    plugins: [ { dynamic_route: { api_url: "http://API/slow", timeout: 50ms, failure_expiry: 1h } } ]
  - path: "/hold/*"
    service: main
    plugins: [ { dynamic_route: { api_url: "http://API/hold" } } ]
  - path: "/short/*"
    service: main
    plugins: [ { dynamic_route: { api_url: "http://API/short", cache_expiry: 20ms } } ]
  - path: "/never/*"
    service: main
    plugins: [ { dynamic_route: { api_url: "http://API/never", cache_expiry: 0s, failure_expiry: 0s } } ]
  - path: "/stale/*"
    service: main
    plugins: [ { dynamic_route: { api_url: "http://API/stale", cache_expiry: 10ms, stale: 1h, failure_expiry: 0s } } ]
  - path: "/dead/*"
    service: main
    plugins: [ { dynamic_route: { api_url: "http://NOBODY/", failure_expiry: 1h } } ]
  - path: "/more/*"
    service: main
    plugins: [ { dynamic_route: { api_url: "http://API/more", with_path: true, with_headers: [X-Tenant] } } ]
  - path: "/some/*"
    service: main
    plugins: [ { use: dynamic_route, config: { api_url: "http://API/some" }, when: { header: x-beta, equals: "yes" } } ]
  - path: "/batch/*"
    service: main
    plugins: [ { dynamic_route: { api_url: "http://API/batch" } } ]
]]

local function answer(conn, service, more)
  local data = { goto_services = service }
  for key, value in pairs(more or {}) do data[key] = value end
  conn:respond(200, cjson.encode { code = 200, msg = "success", data = data }, "Content-Type: application/json\r\n")
end

-- What the API answers, by host.
local ANSWERS = {
  ["blue.test"] = function(conn) answer(conn, "blue") end,
  ["green.test"] = function(conn) answer(conn, "green") end,
  ["same.test"] = function(conn) answer(conn, "") end,
  ["nowhere.test"] = function(conn) answer(conn, "nowhere") end,
  ["refused.test"] = function(conn) conn:respond(200, '{"code":404,"msg":"no such host"}') end,
  ["status.test"] = function(conn) conn:respond(500, '{"code":200,"data":{"goto_services":"blue"}}') end,
  ["garbage.test"] = function(conn) conn:respond(200, "blue") end,
  ["list.test"] = function(conn) conn:respond(200, "[]") end,
  ["null.test"] = function(conn) conn:respond(200, '{"code":200,"data":null}') end,
  ["number.test"] = function(conn) conn:respond(200, '{"code":200,"data":{"goto_services":5}}') end,
  ["large.test"] = function(conn) answer(conn, "blue", { filler = ("x"):rep(100000) }) end,
  ["cut.test"] = function(conn) conn:send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{") return true end,
}

local function api()
  local function asked(conn, head)
    return conn:read_body(head).complete and cjson.decode(head.body)
  end
  return upstream.by_path {
    default = function(conn, head)
      local question = asked(conn, head)
      return ANSWERS[question.host](conn)
    end,
    ["/slow"] = function(conn, head) asked(conn, head) conn:wait_end() return true end,
    ["/hold"] = function(conn, head) asked(conn, head) conn:wait_release() answer(conn, "blue") end,
    ["/stale"] = function(conn, head)
      asked(conn, head)
      if files.read(conn.folder .. "/broken") then return true end
      answer(conn, "blue")
    end,
    ["/more"] = function(conn, head)
      local question = asked(conn, head)
      answer(conn, question.headers["x-tenant"] == "b" and "blue" or question.path == "/more/g" and "green" or "")
    end,
    ["/batch"] = function(conn, head)
      asked(conn, head)
      answer(conn, "blue", { services = { ["Second.test"] = "green", ["third.test"] = "", ["bad.test"] = 5 } })
    end,
  }
end

local function named(name)
  return upstream.by_path {
    default = function(conn, head)
      conn:read_body(head)
      conn:respond(200, name .. head.head)
    end,
  }
end

describe("dynamic_route [T24 T47-T58 T17]", function()
  local up, gw = {}, nil

  setup(function()
    up.api = api()
    local config = CONFIG:gsub("API", up.api.node):gsub("NOBODY", upstream.nobody())
    for _, name in ipairs { "main", "blue", "green" } do
      up[name] = named(name .. " ")
      config = config:gsub(name:upper(), up[name].node)
    end
    gw = gateway.start(config)
  end)

  teardown(function()
    gw:stop()
    for _, one in pairs(up) do one:stop() end
  end)

  local function ask(path, host, ...)
    return assert(client.ask(gw:port(), client.request { target = path, host = host, headers = { ... } }))
  end

  --- Which service answered.
  local function service(...) return (ask(...).body:match "^%l+") end

  --- The questions that the API got at a path.
  local function questions(path)
    local list = {}
    for _, request in ipairs(up.api:requests()) do
      if request.target == path then list[#list + 1] = request end
    end
    return list
  end

  it("asks as it is agreed", function()
    ask("/plain/", "Blue.test:8080")
    local question = questions("/api/host")[1]
    assert.equal("POST", question.method)
    assert.equal("application/json", question:get "content-type")
    assert.equal('{"host":"blue.test"}', question.body)
    assert.equal("secret", question:get "x-key")
    assert.equal(up.api.node, question:get "host")
  end)

  -- host, service
  local cases = {
    { "reroutes", "blue.test", "blue" },
    { "reroutes another host elsewhere", "green.test", "green" },
    { "leaves the route where the answer is empty", "same.test", "main" },
    { "leaves the route where there is no such service", "nowhere.test", "main" },
    { "leaves the route where the API refuses", "refused.test", "main", "expected code 200, found 404: no such host" },
    { "leaves the route where the API fails", "status.test", "main", "expected status 200, found 500" },
    { "leaves the route where the answer is no JSON", "garbage.test", "main", "expected" },
    { "leaves the route where the answer is a list", "list.test", "main", "expected code 200, found nil" },
    { "leaves the route where the answer has no data", "null.test", "main", "expected data.goto_services, a text" },
    { "leaves the route where the answer is no text", "number.test", "main", "expected data.goto_services, a text" },
    { "leaves the route where the answer is too long", "large.test", "main", "response body over 65536 bytes" },
    { "leaves the route where the answer is cut", "cut.test", "main", "cut.test" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.equal(case[3], service("/plain/", case[2]))
      if case[4] then gw:wait_log((case[4]:gsub("%p", "%%%0"))) end
    end)
  end

  it("tells other plugins where the request goes", function()
    assert.truthy(ask("/plain/", "blue.test").body:find("x%-target: blue\r\n"))
    assert.is_nil(ask("/plain/", "same.test").body:find("x%-target"))
  end)

  it("asks once for each host while the answer is kept, over all loops", function()
    for _ = 1, 10 do
      assert.equal("green", service("/plain/", "green.test"))
      assert.equal("main", service("/plain/", "same.test"))
    end
    local counts = {}
    for _, question in ipairs(questions "/api/host") do counts[question.body] = (counts[question.body] or 0) + 1 end
    assert.equal(1, counts['{"host":"green.test"}'])
    assert.equal(1, counts['{"host":"same.test"}'])
  end)

  it("asks again when the answer has expired", function()
    assert.equal("blue", service("/short/", "blue.test"))
    clock.wait_until(function()
      assert.equal("blue", service("/short/", "blue.test"))
      return #questions "/short" >= 2
    end, nil, "a second question")
  end)

  it("asks each time where nothing is kept", function()
    for _ = 1, 3 do assert.equal("blue", service("/never/", "blue.test")) end
    assert.equal(3, #questions "/never")
  end)

  it("waits only so long, and leaves the API alone then", function()
    local from = clock.now()
    for i = 1, 5 do assert.equal("main", service("/slow/", ("slow%d.test"):format(i))) end
    assert.is_true(clock.now() - from < 2)
    assert.equal(1, #questions "/slow")
    gw:wait_log "timeout"
  end)

  it("leaves the route where nobody is there", function()
    for _ = 1, 3 do assert.equal("main", service("/dead/", "blue.test")) end
    gw:wait_log "the API does not tell the service"
  end)

  it("lets one ask for all that wait", function()
    local clients = {}
    for i = 1, 20 do
      clients[i] = client.connect(gw:port())
      clients[i]:send(client.request { target = "/hold/", host = "hold.test" })
    end
    up.api:wait_event("request", function(e) return e.text:find "/hold" end)
    up.api:release()
    for i = 1, 20 do
      assert.equal("blue", clients[i]:response().body:match "^%l+")
      clients[i]:close()
    end
    assert.equal(1, #questions "/hold")
  end)

  it("goes on with the old answer where the API breaks down", function()
    assert.equal("blue", service("/stale/", "blue.test"))
    files.write(up.api.folder .. "/broken", "")
    clock.wait_until(function()
      assert.equal("blue", service("/stale/", "blue.test"))
      return #questions "/stale" >= 2
    end, nil, "a question that fails")
    assert.equal("blue", service("/stale/", "blue.test"))
  end)

  it("asks with path and fields, and keeps answers for each combination", function()
    assert.equal("main", service("/more/x?q", "a.test"))
    assert.equal("green", service("/more/g", "a.test"))
    assert.equal("blue", service("/more/g", "a.test", "X-Tenant: b"))
    assert.equal("green", service("/more/g", "a.test", "X-Tenant: c"))
    assert.equal("green", service("/more/g", "a.test"))
    assert.equal("main", service("/more/" .. ("y"):rep(1000), "a.test"))
    assert.equal("main", service("/more/" .. ("y"):rep(1000), "a.test"))
    local asked = questions "/more"
    assert.equal(5, #asked)
    assert.equal('{"headers":{"x-tenant":""},"host":"a.test","path":"/more/x"}', asked[1].body)
  end)

  it("asks only for requests that fit a condition", function()
    assert.equal("main", service("/some/", "blue.test"))
    assert.equal("blue", service("/some/", "blue.test", "X-Beta: yes"))
    assert.equal(1, #questions "/some")
  end)

  it("takes answers for other hosts along", function()
    assert.equal("blue", service("/batch/", "first.test"))
    assert.equal("green", service("/batch/", "second.test"))
    assert.equal("main", service("/batch/", "third.test"))
    assert.equal(1, #questions "/batch")
    assert.equal("blue", service("/batch/", "bad.test"))
    assert.equal(2, #questions "/batch")
  end)

  it("uses a connection to the API again", function()
    up.api:forget()
    for _ = 1, 5 do service("/never/", "blue.test") end
    local connections = {}
    for _, question in ipairs(questions "/never") do connections[question.connection] = true end
    local count = 0
    for _ in pairs(connections) do count = count + 1 end
    assert.is_true(count <= 2)          -- one for each loop
  end)

  it("counts what became of requests and of questions [T58]", function()
    local text = assert(client.ask(gw.folder .. "/metrics.sock", client.request { target = "/metrics" })).body
    local function value(name, label)
      return tonumber(text:match(("\n%s{%s} ([%%d.]+)\n"):format(name, label)))
    end
    for _, outcome in ipairs { "rerouted", "unchanged", "failed", "unknown service" } do
      assert.is_true(value("tidegate_dynamic_route_requests_total", ('outcome="%s"'):format(outcome)) > 0, outcome)
    end
    for _, result in ipairs { "answered", "refused", "failed" } do
      assert.is_true(value("tidegate_dynamic_route_questions_total", ('result="%s"'):format(result)) > 0, result)
    end
    assert.truthy(text:find "\ntidegate_dynamic_route_question_seconds_count %d")
  end)

  shipped.refuses(it, "dynamic_route", {
    { "{ api_url: api/host }", "dynamic_route.api_url: expected a URL of http or https, found" },
    { "{ api_url: 'ftp://a/' }", "dynamic_route.api_url: expected a URL of http or https, found" },
    { "{ timeout: 5 }", "dynamic_route.timeout: expected a duration such as 500ms, 30s or 5m, found 5; it needs a" },
    { "{ timeout: 2m }", "dynamic_route.timeout: expected at most 1m" },
  })

  it("needs no settings", function()
    assert.equal("", shipped.complaints("dynamic_route", "{}"))
  end)
end)
