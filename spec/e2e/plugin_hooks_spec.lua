--- Every hook of a plugin, against a real gateway and upstream: what it sees, what it can change, in which order.
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

-- One plugin that does what the path says, so that the rows below stay short.
local PROBE = [[
--- Does what the path says.
local Probe = { version = "1.0.0", description = "Does what the path says.", band = "filter",
                schema = { name = { type = "string", default = "probe" } } }
Probe.__index = Probe
function Probe.new(conf) return setmetatable({ name = conf.name }, Probe) end

local acts = {}
acts["/fields"] = function(req)
  local parts = {}
  for _, name in ipairs { "method", "scheme", "host", "path", "raw_path", "query", "version", "client_ip" } do
    parts[#parts + 1] = name .. "=" .. tostring(req[name])
  end
  parts[#parts + 1] = "port=" .. type(req.port) .. req.port % 1
  parts[#parts + 1] = "client_port=" .. type(req.client_port)
  parts[#parts + 1] = "id=" .. #req.id
  parts[#parts + 1] = "tls=" .. tostring(req.tls)
  parts[#parts + 1] = "route=" .. req.route.name
  parts[#parts + 1] = "recent=" .. tostring(math.abs(tide.now() - req.started) < 5)
  return req:reply(200, table.concat(parts, " "))
end
acts["/headers"] = function(req)
  local names = {}
  for name, value in req:each_header() do names[#names + 1] = name .. ":" .. value end
  return req:reply(200, table.concat(names, "|") .. "|" .. table.concat(req:header_all "x-many", ",") .. "|" ..
                        tostring(req:header "X-MANY") .. "|" .. tostring(req:header "x-none"))
end
acts["/change"] = function(req)
  req:set_header("x-set", "one")
  req:set_header("X-Set", "two")
  req:add_header("x-set", 3)
  req:set_header("x-list", { "a", "b" })
  req:remove_header("x-gone")
  req:set_header("user-agent", "probe")
  req:set_method("PUT")
  req:set_path("/changed//../other?a=b")
  req:set_host("other.test:81")
end
acts["/args"] = function(req)
  local args = req:args()
  return req:reply(200, { a = req:arg "a", list = args.list, flag = args.flag, cookie = req:cookie "c" })
end
acts["/set-args"] = function(req) req:set_args { x = "1 2" } end
acts["/body"] = function(req)
  local body, why = req:body(10)
  return req:reply(200, ("%s %s"):format(tostring(body), tostring(why)))
end
acts["/body-on"] = function(req) req:set_header("x-body", #req:body(100000)) end
acts["/peek"] = function(req) req:set_header("x-body", tostring(req:body(4))) end
acts["/set-body"] = function(req) req:set_body("new body") end
acts["/json"] = function(req)
  local value, why = req:json()
  return req:reply(200, { got = value, why = why })
end
acts["/form"] = function(req) return req:reply(200, { got = req:form() or false, why = select(2, req:form()) }) end
acts["/sleep"] = function(req)
  local from = tide.monotonic()
  tide.sleep(0.05)
  return req:reply(200, tide.monotonic() - from >= 0.05 and "slept" or "too early")
end
acts["/redirect"] = function(req) return req:redirect("https://else.test/", 307) end
acts["/reply-many"] = function(req)
  return req:reply(201, "x", { ["x-many"] = { "1", "2" }, ["content-type"] = "a/b" })
end
acts["/reply-empty"] = function(req) return req:reply(204) end
acts["/service"] = function(req) req:set_service "other" end
acts["/timeout"] = function(req) req:set_timeout(0.1) end
acts["/ctx"] = function(req) req.ctx.seen = "kept" end
local seen = {}
acts["/same"] = function(req) seen[#seen + 1] = req end
acts["/consumer"] = function(req) req.consumer = "alice" req:set_header("x-consumer", req.consumer) end

function Probe:request(req)
  req:add_header("x-order", self.name)
  local act = acts[req.path]
  if act and self.name == "probe" then return act(req) end
end

function Probe:upstream(req, try) req:set_header("x-try", try) end

local backs = {}
backs["/res-change"] = function(res)
  res:set_header("x-set", res:header "x-up" .. "!")
  res:remove_header("x-up")
  res:set_status(203)
  res:set_cookie("sid", "1", { path = "/", http_only = true })
end
backs["/res-body"] = function(res) res:set_header("x-length", #res:body()) end
backs["/res-limit"] = function(res)
  local body, why = res:body(3)
  res:set_header("x-why", tostring(body) .. " " .. tostring(why))
end
backs["/res-set-body"] = function(res) res:set_body(res:body():upper() .. "!") end
backs["/res-json"] = function(res) res:set_body { status = res.status } end
backs["/res-sleep"] = function(res) tide.sleep(0.02) res:set_header("x-slept", res:header "x-up") end
backs["/res-reply"] = function(_, req) return req:reply(418, "teapot") end
backs["/ctx"] = function(res, req) res:set_header("x-ctx", req.ctx.seen) end
backs["/same"] = function(res, req)
  res:set_header("x-same", tostring(req == seen[#seen]) .. " " .. tostring(req == seen[#seen - 1]))
  res:set_header("x-kept", tostring(req.ctx.seen) .. " " .. tostring(req.consumer))
  req.ctx.seen, req.consumer = "last", "bob"
end

function Probe:response(res, req)
  res:add_header("x-order", self.name)
  res:set_header("x-source", res.source)
  local act = backs[req.path]
  if act and self.name == "probe" then return act(res, req) end
end

function Probe:failure(err, req)
  if req.path == "/failure" then return req:reply(520, err.reason .. " " .. err.status) end
end

function Probe:log(req, res)
  if self.name == "probe" then
    tide.log.info("logged", { path = req.path, status = res.status, source = res.source, ctx = req.ctx.seen })
  end
end
return Probe
]]

local CONFIG = [[
plugins:
  - { name: outer, use: probe, config: { name: outer } }
services:
  app: { nodes: ["NODE"] }
  other: { nodes: ["OTHER"] }
  none: { nodes: ["NOBODY"], retries: { attempts: 2 } }
routes:
  - { name: all, path: "/*", service: app, plugins: [ probe, { name: inner, use: probe, config: { name: inner } } ] }
  - { name: failing, paths: ["/failure", "/fails"], service: none, plugins: [ probe ] }
  - { name: here, path: "/here", respond: { body: "here" }, plugins: [ probe ] }
]]

describe("plugin hooks [T29 T32 D32 D33]", function()
  local up, other, gw

  setup(function()
    up = upstream.by_path {
      default = function(conn, head)
        if not conn:read_body(head).complete then return true end
        conn:respond(200, head.head .. head.body, "X-Up: yes\r\n")
      end,
      ["/once"] = function(conn, head)
        conn:read_body(head)
        if head:get "x-try" == "1" then return true end
        conn:respond(200, head.head)
      end,
      ["/slow"] = function(conn, head) conn:read_body(head) conn:wait_release() end,
      ["/timeout"] = function(conn, head) conn:read_body(head) conn:wait_release() end,
    }
    other = upstream.by_path { default = function(conn, head) conn:read_body(head) conn:respond(200, "other") end }
    local config = CONFIG:gsub("NODE", up.node):gsub("OTHER", other.node):gsub("NOBODY", upstream.nobody())
    gw = gateway.start(config, { plugins = { probe = PROBE } })
  end)

  teardown(function()
    gw:stop()
    up:stop()
    other:stop()
  end)

  local function ask(r) return assert(client.ask(gw:port(), request(r), { method = r.method })) end

  local cases = {
    { "tells the request's fields", { target = "/fields?a=1", host = "Gate.Test:80" }, 200,
      "^method=GET scheme=http host=gate.test path=/fields raw_path=/fields%?a=1 query=a=1 version=1.1 " ..
      "client_ip=127.0.0.1 port=number0 client_port=number id=32 tls=nil route=all recent=true$" },
    { "tells its header fields",
      { target = "/headers", headers = { "X-Many: 1", "x-many: 2", "Connection: x-hop", "X-Hop: 1" } }, 200,
      "host:gate.test|x%-many:1|x%-many:2|connection:x%-hop|.*|1,2|1|nil$" },
    { "changes header fields, method, path and host",
      { target = "/change", headers = { "X-Gone: 1", "User-Agent: me" } }, 200,
      "^PUT /other%?a=b HTTP/1.1\r\nHost: other.test:81\r\n" },
    { "puts several fields for a list", { target = "/change" }, 200, "x%-list: a\r\nx%-list: b\r\n" },
    { "sets in place of all, and adds", { target = "/change" }, 200, "X%-Set: two\r\nx%-set: 3\r\n" },
    { "tells parameters and cookies",
      { target = "/args?a=1%202&list=1&list=2&flag", headers = { "Cookie: b=1; c=yes" } }, 200,
      '"a":"1 2"' },
    { "sets parameters", { target = "/set-args?a=1" }, 200, "^GET /set%-args%?x=1[+%%]2?0?2 " },
    { "waits for the body", { target = "/body", method = "POST", body = "12345" }, 200, "^12345 nil$" },
    { "has an empty body where there is none", { target = "/body" }, 200, "^ nil$" },
    { "refuses a body over what the plugin wants", { target = "/body", method = "POST", body = ("x"):rep(11) }, 200,
      "^nil the body has more than 10 bytes$" },
    { "sends a body on that it has read", { target = "/body-on", method = "POST", body = ("x"):rep(50000) }, 200,
      "x%-body: 50000\r\n.*\r\n\r\n" .. ("x"):rep(50000) .. "$" },
    { "loses nothing of a body that was too long", { target = "/peek", method = "POST", body = "123456789" }, 200,
      "x%-body: nil\r\n.*\r\n\r\n123456789$" },
    { "puts another body in place", { target = "/set-body", method = "POST", body = "old" }, 200,
      "Content%-Length: 8\r\n.*new body$" },
    { "gives a body to a request that had none", { target = "/set-body", method = "POST" }, 200,
      "Content%-Length: 8\r\n.*new body$" },
    { "reads JSON", { target = "/json", method = "POST", body = '{"a":[1,2]}' }, 200, '"a":%[1,2%]' },
    { "tells what is wrong with JSON", { target = "/json", method = "POST", body = '{"a":' }, 200, '"why":"' },
    { "reads a form", { target = "/form", method = "POST", body = "a=1+2&b=%41",
      headers = { "Content-Type: application/x-www-form-urlencoded" } }, 200, '"b":"A"' },
    { "tells that a body is no form", { target = "/form", method = "POST", body = "x" }, 200,
      "expected a body of type" },
    { "sleeps", { target = "/sleep" }, 200, "^slept$" },
    { "redirects", { target = "/redirect" }, 307, "^$" },
    { "replies with fields", { target = "/reply-many" }, 201, "^x$" },
    { "replies without a body", { target = "/reply-empty" }, 204, "^$" },
    { "chooses another service", { target = "/service" }, 200, "^other$" },
    { "limits the exchange", { target = "/timeout" }, 504, "route timeout" },
    { "remembers the consumer", { target = "/consumer" }, 200, "x%-consumer: alice\r\n" },
    { "counts tries", { target = "/" }, 200, "x%-try: 1\r\n" },
    { "changes the head of another try too", { target = "/once" }, 200, "x%-try: 2\r\n" },
    { "runs the global stage first, then the route's plugins as written", { target = "/" }, 200,
      "x%-order: outer\r\nx%-order: probe\r\nx%-order: inner\r\n" },
    { "waits for the whole response", { target = "/res-body" }, 200, "^GET /res%-body " },
    { "sends a response on that was too long to look at", { target = "/res-limit" }, 200, "^GET /res%-limit " },
    { "changes the response's body", { target = "/res-set-body" }, 200, "^GET /RES%-SET%-BODY .*!$" },
    { "makes JSON of a table", { target = "/res-json" }, 200, '^{"status":200}' },
    { "replies in place of a response", { target = "/res-reply" }, 418, "^teapot$" },
    { "replies to a failure", { target = "/failure" }, 520, "^upstream refused the connection 502$" },
    { "leaves a failure as it is", { target = "/fails" }, 502, "upstream refused the connection" },
    { "runs where the gateway answers itself", { target = "/here" }, 200, "^here$" },
  }

  for _, case in ipairs(cases) do
    it(case[1], function()
      local response = ask(case[2])
      assert.equal(case[3], response.status)
      assert.truthy(response.body:find(case[4]), response.body)
    end)
  end

  it("runs response hooks in reverse order, and for every kind of response", function()
    local sources = { ["/"] = "upstream", ["/here"] = "gateway", ["/reply-many"] = "plugin", ["/fails"] = "gateway" }
    for target, source in pairs(sources) do
      local response = ask { target = target }
      assert.equal(source, response:get "x-source", target)
      local order = table.concat(response:all "x-order", " ")
      local has_inner = target == "/" or target == "/reply-many"
      assert.equal(has_inner and "inner probe outer" or "probe outer", order)
    end
  end)

  it("changes fields, status and cookies of a response", function()
    local response = ask { target = "/res-change" }
    assert.equal(203, response.status)
    assert.equal("yes!", response:get "x-set")
    assert.is_nil(response:get "x-up")
    assert.equal("sid=1; Path=/; HttpOnly", response:get "set-cookie")
  end)

  it("keeps a response's head while a plugin waits", function()
    local response = ask { target = "/res-sleep" }
    assert.equal("yes", response:get "x-slept")
    assert.equal("yes", response:get "x-up")
    assert.truthy(response.body:find "^GET /res%-sleep ")
  end)

  it("says that more came than was wanted", function()
    assert.equal("nil the body has more than 3 bytes", ask({ target = "/res-limit" }):get "x-why")
    assert.equal(tostring(#ask({ target = "/res-body" }).body), ask({ target = "/res-body" }):get "x-length")
  end)

  it("keeps what plugins tell each other for the length of a request", function()
    assert.equal("kept", ask({ target = "/ctx" }):get "x-ctx")
    gw:wait_log("plugin: logged plugin=probe request=%x+ route=all ctx=kept path=/ctx source=upstream status=200")
  end)

  it("gives each request a ctx and a consumer of its own, and tells requests apart", function()
    assert.equal("true false", ask({ target = "/same" }):get "x-same")
    local c = client.connect(gw:port())
    for _ = 1, 3 do
      c:send(request { target = "/same" })
      local res = c:response()
      assert.equal("true false", res:get "x-same")
      assert.equal("nil nil", res:get "x-kept")
    end
    c:close()
  end)

  it("runs the log hook where nothing was found and where the client broke off", function()
    local c = client.connect(gw:port())
    c:send(request { target = "/slow" })
    up:wait_event("request", function(e) return e.text:find "/slow" end)
    c:reset()
    gw:wait_log("plugin: logged .* path=/slow")
  end)

  it("answers HEAD and many requests of one connection", function()
    local c = client.connect(gw:port())
    for i = 1, 20 do
      c:send(request { target = i % 2 == 0 and "/res-body" or "/sleep", method = i % 3 == 0 and "HEAD" or "GET" })
      assert.equal(200, c:response({ method = i % 3 == 0 and "HEAD" or "GET" }).status)
    end
    c:close()
  end)

  it("sends 100 Continue when a plugin wants the body", function()
    local c = client.connect(gw:port())
    c:send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert.equal(100, c:head().status)
    c:send("1234")
    assert.equal("1234 nil", c:response().body)
    c:close()
  end)
end)
