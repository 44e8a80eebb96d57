--- What plugins change must never make a message that the next one on the connection is mistaken for.
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local PLUGIN = [[
--- Changes what others rely on, as the path says.
local Odd = { version = "1.0.0", description = "Odd changes.", band = "filter" }
Odd.__index = Odd
function Odd.new() return setmetatable({}, Odd) end
local function is(req, word) return req.path:find("/" .. word, 1, true) == 1 end
function Odd:request(req)
  if is(req, "method-get") then req:set_method("GET") end
  if is(req, "method-head") then req:set_method("HEAD") end
  if is(req, "reply-timeout") then
    req:set_timeout(0.2)
    return req:reply(200, "ok")
  end
  if is(req, "read") then req:body() end
  if is(req, "big-head") then for i = 1, 900 do req:add_header("h" .. i, ("v"):rep(300)) end end
  if is(req, "insert") then
    local good, why = pcall(table.insert, req, 1, 5)
    return req:reply(200, tostring(good) .. " " .. tostring(why))
  end
  if is(req, "early-response") then
    local good, why = pcall(function() req.response_of:set_body("early") end)
    return req:reply(200, tostring(good) .. " " .. tostring(why))
  end
end
function Odd:upstream(req)
  if is(req, "upstream-set") then req:set_body("N") end
end
function Odd:request_body(chunk, last, req)
  if is(req, "body-set") then req:set_body("N") end
  if is(req, "read-set") then req:set_body(("N"):rep(100000)) end
  if is(req, "upstream-set") then return chunk .. "longer" end
end
function Odd:response(res, req)
  local status = tonumber(req.path:match "^/status/(%d+)")
  if status then res:set_status(status) end
  if is(req, "body-on") then res:set_body("hey") end
  if is(req, "gather") then res:body() end
end
function Odd:response_body(chunk, last, res, req)
  if is(req, "reply-timeout") then tide.sleep(0.3) end
end
function Odd:failure(err, req)
  if is(req, "gather") then
    tide.sleep(0.05)
    return req:reply(503, "own")
  end
end
function Odd:log(req)
  if is(req, "nil-error") then error(nil) end
end
return Odd
]]

local SOFT = [[
--- Breaks softly.
local Soft = { version = "1.0.0", description = "Breaks softly.", band = "filter" }
Soft.__index = Soft
function Soft.new() return setmetatable({}, Soft) end
function Soft:request(req)
  if req.path == "/soft/nil" then error(nil) end
  if req.path == "/soft/table" then error {} end
  if req.path == "/soft/return" then return 5 end
end
function Soft:response_body(chunk, last, res, req)
  if req.path == "/soft/body" then return 5 end
end
return Soft
]]

describe("framing under plugins", function()
  local up, gw

  setup(function()
    local function ok(conn, head)
      if not conn:read_body(head).complete then return true end
      local status = head.target:match "up(%d+)"
      if status == "204" then return conn:send("HTTP/1.1 204 No Content\r\n\r\n") and nil end
      if head.method == "HEAD" then return conn:send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") and nil end
      if head.target:find "chunked" then
        conn:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
      else
        conn:respond(200, "hello")
      end
    end
    up = upstream.by_path {
      default = ok,
      ["/gather"] = function(conn, head)
        conn:read_body(head)
        conn:send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n1234567")
        return true
      end,
    }
    gw = gateway.start(([[
services: { app: { nodes: ["NODE"], retries: { attempts: 0 } } }
routes:
  - { path: "/*", service: app, plugins: [ odd ] }
  - { path: "/soft/*", service: app, plugins: [ { name: soft, use: soft, on_error: continue } ] }
]]):gsub("NODE", up.node), { plugins = { odd = PLUGIN, soft = SOFT } })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  --- Two requests on one connection: the second must be answered by itself.
  local function pair(r)
    local c = client.connect(gw:port())
    c:send(request(r))
    local first = assert(c:response { method = r.method })
    if (first:get "connection" or "") ~= "close" then
      c:send(request { target = "/plain" })
      local second = assert(c:response())
      assert.equal(200, second.status)
      assert.equal("hello", second.body)
    end
    c:close()
    return first
  end

  local cases = {
    { "a status without a body", { target = "/status/204" }, 204, "" },
    { "a status without a body, of a chunked response", { target = "/status/204/chunked" }, 204, "" },
    { "not modified", { target = "/status/304/chunked" }, 304, "" },
    { "a status with a body, of a response without", { target = "/status/200/up204" }, 200, "" },
    { "a body for a response without", { target = "/body-on/up204" }, 204, "" },
    { "GET for a client's HEAD", { target = "/method-get", method = "HEAD" }, 200, "" },
    { "HEAD for a client's GET", { target = "/method-head" }, 200, "" },
  }
  for _, case in ipairs(cases) do
    it("is right with " .. case[1], function()
      local response = pair(case[2])
      assert.equal(case[3], response.status)
      assert.equal(case[4], response.body)
    end)
  end

  it("lets no body become a request to the upstream", function()
    local hidden = "X" .. "GET /hidden HTTP/1.1\r\nHost: evil\r\n\r\n"
    for _, target in ipairs { "/body-set", "/upstream-set", "/read-set" } do
      local r = client.ask(gw:port(), request { target = target, method = "POST", body = hidden })
      assert.truthy(r and (r.status == 200 or r.status == 500), target)
      assert.equal("hello", client.ask(gw:port(), request { target = "/plain" }).body)
    end
    for _, seen in ipairs(up:requests()) do assert.is_nil(seen.target:find "hidden") end
  end)

  it("ends a request whose time is over while a plugin holds its answer", function()
    local from = clock.now()
    local r = client.ask(gw:port(), request { target = "/reply-timeout" }, { timeout = 5 })
    assert.truthy(r)
    assert.is_true(clock.now() - from < 3)
  end)

  it("survives an upstream that breaks off while a plugin reads its body, and another waits", function()
    for _ = 1, 3 do
      local r = client.ask(gw:port(), request { target = "/gather" })
      assert.equal(503, r.status)
      assert.equal("own", r.body)
    end
  end)

  it("refuses heads that no peer would take", function()
    assert.equal(500, client.ask(gw:port(), request { target = "/big-head" }).status)
    gw:wait_log("add_header: over the limit")
  end)

  it("guards what a request object is made of", function()
    assert.truthy(client.ask(gw:port(), request { target = "/insert" }).body:find "false .*belongs to the gateway")
    assert.truthy(client.ask(gw:port(), request { target = "/early-response" }).body:find "false .*not in this hook")
  end)

  it("lets a request go on whatever a plugin with on_error: continue raises or returns", function()
    for _, target in ipairs { "/soft/nil", "/soft/table", "/soft/return", "/soft/body" } do
      local r = client.ask(gw:port(), request { target = target })
      assert.equal(200, r.status, target)
      assert.equal("hello", r.body)
    end
    assert.equal(200, client.ask(gw:port(), request { target = "/nil-error" }).status)
    gw:wait_log("an error that is no text")
  end)
end)
