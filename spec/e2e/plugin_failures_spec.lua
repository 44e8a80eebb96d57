--- Plugins that misbehave: each costs its own request at most, and says what is wrong and where.
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local BAD = [[
--- Misbehaves as the path says.
local Bad = { version = "1.0.0", description = "Misbehaves.", band = "filter" }
Bad.__index = Bad
function Bad.new() return setmetatable({}, Bad) end
local kept, kept_res
local acts = {}
acts["/error"] = function() error "it broke" end
acts["/error-table"] = function() error { code = 1 } end
acts["/nil"] = function(req) return req.nothing.more end
acts["/typo"] = function(req) return req:heder "x" end
acts["/loop-while"] = function() while true do end end
acts["/loop-repeat"] = function() repeat until false end
acts["/loop-for"] = function() for i = 1, math.huge do local x = i end end
acts["/loop-goto"] = function() ::again:: goto again end
acts["/loop-recursion"] = function() local function f() return f() end return f() end
acts["/loop-pcall"] = function() while true do pcall(function() while true do end end) end end
acts["/loop-gsub"] = function() while true do (("x"):rep(1000)):gsub("x", function() return "y" end) end end
acts["/memory"] = function() local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1e6) .. i end end
acts["/memory-once"] = function() return #("x"):rep(2^31 - 10) end
acts["/stack"] = function() local function f(n) return 1 + f(n + 1) end return f(1) end
acts["/global"] = function() counter = 1 end
acts["/undeclared"] = function() return undeclared_thing.x end
acts["/execute"] = function() os.execute "true" end
acts["/popen"] = function() io.popen "true" end
acts["/read"] = function() io.open "/etc/passwd" end
acts["/socket"] = function() require "socket" end
acts["/ffi"] = function() require "ffi" end
acts["/yield"] = function() coroutine.yield() end
acts["/twice"] = function(req) req:reply(200, "a") req:reply(200, "b") end
acts["/header-crlf"] = function(req) req:set_header("x-a", "b\r\nX-Evil: 1") end
acts["/header-nul"] = function(req) req:set_header("x-a", "b\0c") end
acts["/header-name"] = function(req) req:set_header("x a", "b") end
acts["/header-length"] = function(req) req:set_header("content-length", "1") end
acts["/header-connection"] = function(req) req:set_header("Connection", "close") end
acts["/header-type"] = function(req) req:set_header("x-a", true) end
acts["/header-many"] = function(req) for i = 1, 2000 do req:add_header("x-" .. i, "y") end end
acts["/reply-status"] = function(req) local r = req:reply(99, "x") return r end
acts["/reply-crlf"] = function(req) local r = req:reply(200, "x", { ["x-a"] = "b\r\nX-Evil: 1" }) return r end
acts["/path"] = function(req) req:set_path("no slash") end
acts["/path-crlf"] = function(req) req:set_path("/a\r\nX: y") end
acts["/query-crlf"] = function(req) req:set_args { a = "b\r\nX: y" } end
acts["/method"] = function(req) req:set_method("BAD METHOD") end
acts["/host"] = function(req) req:set_host("a b") end
acts["/service"] = function(req) req:set_service "nobody" end
acts["/return"] = function() return "no reply" end
acts["/assign"] = function(req) req.path = "/x" end
acts["/assign-new"] = function(req) req.mine = 1 end
acts["/keep"] = function(req) kept, kept_res = req, req.ctx end
acts["/late"] = function(req)
  local ok, why = pcall(function() return kept.path end)
  local ok2, why2 = pcall(function() return kept:set_header("a", "b") end)
  return req:reply(200, tostring(why) .. "|" .. tostring(why2))
end
acts["/wait"] = function(req) tide.sleep(30) end
acts["/wait-short"] = function(req) tide.log.info("waiting") tide.sleep(0.5) return req:reply(200, "VERSION") end
acts["/count"] = function(req) return req:reply(200, tostring(tide.shared("kept"):incr("n", 1, 0))) end
acts["/background"] = function(req) tide.spawn(function() error "background broke" end) return req:reply(200, "") end
acts["/version"] = function(req) return req:reply(200, "VERSION") end
acts["/pattern"] = function() local at = ("a"):rep(40):find(("a*"):rep(40) .. "b") return at end
function Bad:request(req)
  local act = acts[req.path]
  if act then return act(req) end
end
function Bad:response(res, req)
  if req.path == "/response-error" then error "response broke" end
  if req.path == "/response-crlf" then res:set_header("x-a", "b\r\nX-Evil: 1") end
  if req.path == "/response-status" then res:set_status(100) end
end
function Bad:log(req, res)
  if req.path == "/log-wait" then tide.sleep(1) end
  if req.path == "/log-reply" then req:reply(200, "x") end
  if req.path == "/log-error" then error "log broke" end
end
return Bad
]]

local CONFIG = [[
dictionaries: { kept: { size: 64KiB, file: kept.dict } }
lua: { budget: 20ms, hard_limit: HARD, memory: 64MiB }
services: { app: { nodes: ["NODE"] } }
routes:
  - { name: bad, path: "/*", service: app, plugins: [ bad ] }
  - name: soft
    path: "/soft/*"
    service: app
    strip_prefix: /soft
    plugins: [ { name: soft_bad, use: bad, on_error: continue } ]
  - { name: good, path: /good, respond: { body: good } }
]]

describe("a plugin that misbehaves [B4 T33]", function()
  local up, gw

  local function start(hard)
    return gateway.start((CONFIG:gsub("NODE", up.node):gsub("HARD", hard or "30s")), { plugins = { bad = BAD } })
  end

  setup(function()
    up = upstream.by_path {}
    gw = start()
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local function ask(target) return assert(client.ask(gw:port(), request { target = target })) end

  -- target, what the log says
  local failures = {
    { "/error", "plugins/bad.lua:7: it broke" },
    { "/error-table", "an error that is no text" },
    { "/nil", "plugins/bad.lua:9: req has no field" },
    { "/typo", "plugins/bad.lua:10: req has no field .*heder.*did you mean .*header" },
    { "/loop-while", "plugins/bad.lua:11: .*CPU budget" },
    { "/loop-repeat", "plugins/bad.lua:12: .*CPU budget" },
    { "/loop-for", "plugins/bad.lua:13: .*CPU budget" },
    { "/loop-goto", "plugins/bad.lua:14: .*CPU budget" },
    { "/loop-recursion", "plugins/bad.lua:15: .*CPU budget" },
    { "/loop-pcall", "plugins/bad.lua:16: .*CPU budget" },
    { "/loop-gsub", "plugins/bad.lua:17: .*CPU budget" },
    { "/memory-once", "not enough memory" },
    { "/stack", "stack overflow" },
    { "/global", 'plugins/bad.lua:21: assignment to undeclared global .*counter.*tide.shared' },
    { "/undeclared", 'plugins/bad.lua:22: undeclared global .*undeclared_thing' },
    { "/execute", "plugins/bad.lua:23: os.execute .*" },
    { "/popen", "plugins/bad.lua:24: io.popen" },
    { "/read", "plugins/bad.lua:25: io.open blocks the loop" },
    { "/socket", "plugins/bad.lua:26: .*tide.socket" },
    { "/ffi", "plugins/bad.lua:27: .*trusted" },
    { "/yield", "plugins/bad.lua:28: coroutine.yield outside" },
    { "/twice", "plugins/bad.lua:29: reply: there is a reply already" },
    { "/header-crlf", "plugins/bad.lua:30: set_header: expected a value that can be put there" },
    { "/header-nul", "plugins/bad.lua:31: set_header: expected a value" },
    { "/header-name", "plugins/bad.lua:32: set_header: expected the name of a header field" },
    { "/header-length", "plugins/bad.lua:33: set_header: the gateway itself says" },
    { "/header-connection", "plugins/bad.lua:34: set_header: the gateway itself says" },
    { "/header-type", "plugins/bad.lua:35: set_header: expected a text, found a boolean" },
    { "/header-many", "plugins/bad.lua:36: add_header: over the limit" },
    { "/reply-status", "plugins/bad.lua:37: reply: expected a value" },
    { "/reply-crlf", "plugins/bad.lua:38: set_header: expected a value" },
    { "/path", "plugins/bad.lua:39: set_path: expected a value" },
    { "/method", "plugins/bad.lua:42: set_method" },
    { "/host", "plugins/bad.lua:43: set_host" },
    { "/service", 'plugins/bad.lua:44: set_service: there is no service .*nobody' },
    { "/return", "its request hook returned a string; expected nothing, or req:reply" },
    { "/assign", "plugins/bad.lua:46: req.path cannot be assigned, use req:set_path" },
    { "/assign-new", "plugins/bad.lua:47: req.mine: what plugins tell each other goes into req.ctx" },
    { "/response-error", "response broke" },
    { "/response-crlf", "plugins/bad.lua:66: set_header: expected a value" },
    { "/response-status", "set_status: expected a value" },
  }

  for _, case in ipairs(failures) do
    it("answers 500 with the request's id to " .. case[1] .. ", and logs why", function()
      local response = ask(case[1])
      assert.equal(500, response.status)
      assert.is_nil(response:get "x-evil")
      local id = assert(response:get "x-request-id")
      assert.is_nil(response.body:find("lua", 1, true), "tells the client nothing")
      local line = gw:wait_log("[^\n]*" .. case[2] .. "[^\n]*")
      assert.truthy(line:find("plugin=bad", 1, true), line)
      assert.truthy(line:find("route=bad", 1, true), line)
      assert.truthy(line:find("request=" .. id, 1, true), line)
      assert.equal("good", ask("/good").body)
    end)
  end

  it("lets the request go on where on_error says so", function()
    for _, target in ipairs { "/soft/x", "/soft/y" } do assert.equal(200, ask(target).status) end
    local c = client.ask(gw:port(), request { target = "/soft/response-error" })
    assert.equal(200, c.status)
  end)

  it("ends a hook that takes all memory, and gives it back", function()
    assert.equal(500, ask("/memory").status)
    assert.equal("good", ask("/good").body)
    for _ = 1, 5 do assert.equal(500, ask("/memory").status) end
    if not gateway.sanitized then assert.is_true(gw:memory() < 200 * 1024 * 1024) end
  end)

  it("says that a request is over when it is used later", function()
    assert.equal(200, ask("/keep").status)
    local text = ask("/late").body
    assert.truthy(text:find "this request is over.*|.*this request is over", text)
  end)

  it("says where it cannot wait or reply", function()
    assert.equal(200, ask("/log-wait").status)
    gw:wait_log("sleep: cannot wait in the log hook")
    assert.equal(200, ask("/log-reply").status)
    gw:wait_log("reply: too late")
    assert.equal(200, ask("/log-error").status)
    gw:wait_log("log broke")
  end)

  it("logs what breaks in the background under the plugin's name", function()
    assert.equal(200, ask("/background").status)
    gw:wait_log("background broke[^\n]* plugin=bad hook=background route=bad")
  end)

  it("logs the same error once a second, with a count of the rest", function()
    for _ = 1, 50 do ask("/error") end
    clock.wait_until(function()
      ask("/error")
      return gw:log():find "it broke.*left_out=%d+"
    end, nil, "a line that counts what was left out")
    local _, lines = gw:log():gsub("it broke", "")
    assert.is_true(lines < 20)
  end)

  it("cancels what waits when its client goes away", function()
    for _ = 1, 20 do
      local c = client.connect(gw:port())
      c:send(request { target = "/wait" })
      c:reset()
    end
    clock.wait_until(function()
      local _, text = gw:command("status", "--json")
      return text:find '"connections_open":0'
    end, nil, "all connections to be closed")
    assert.equal("good", ask("/good").body)
  end)

  it("serves others while one hook uses up its budget", function()
    local slow = client.connect(gw:port())
    slow:send(request { target = "/loop-while" })
    assert.equal("good", ask("/good").body)
    assert.equal(500, slow:response().status)
    slow:close()
  end)

  it("gets less of the loop's time while it uses up its budget again and again", function()
    local function cpu_time_each(times)
      local before = gw:cpu_time()
      for _ = 1, times do assert.equal(500, ask("/loop-while").status) end
      return (gw:cpu_time() - before) / times
    end
    -- Of a budget of 20 ms the second half is CPU time: where the machine is busy, the first is mostly spent waiting.
    assert.equal("VERSION", ask("/version").body)
    assert.is_true(cpu_time_each(3) >= 0.009)
    assert.is_true(cpu_time_each(40) < 0.009)
    assert.equal("VERSION", ask("/version").body)       -- a hook that comes to its end has the whole budget again
    assert.is_true(cpu_time_each(3) >= 0.009)
  end)

  it("finishes requests in flight with the code they started with", function()
    local c = client.connect(gw:port())
    c:send(request { target = "/wait-short" })
    gw:wait_log("plugin: waiting plugin=bad")
    gw:write_plugin("bad", (BAD:gsub("VERSION", "NEW")))
    clock.wait_until(function() return ask("/version").body == "NEW" end, nil, "the new code")
    assert.equal("VERSION", c:response().body)
    c:close()
    gw:write_plugin("bad", BAD)
    clock.wait_until(function() return ask("/version").body == "VERSION" end, nil, "the old code again")
  end)

  it("keeps what runs when a save is broken, and says so [B12 T35]", function()
    gw:write_plugin("bad", "local Bad = {\nfunction oops(\n")
    gw:wait_log("plugins/bad.lua:2:")
    assert.equal("VERSION", ask("/version").body)
    local _, status = gw:status()
    assert.truthy(status:find "plugins/bad.lua:2", status)
    gw:write_plugin("bad", BAD)
    clock.wait_until(function()
      local _, text = gw:status()
      return not text:find "plugins/bad.lua:2"
    end, nil, "a good reload")
  end)

  it("keeps what runs when the file is removed", function()
    os.remove(gw.folder .. "/plugins/bad.lua")
    gw:wait_log("there is no plugin \"bad\"")
    assert.equal("VERSION", ask("/version").body)
    gw:write_plugin("bad", BAD)
  end)

  it("survives a thousand saves in a second, and ends with the last", function()
    for i = 1, 1000 do gw:write_plugin("bad", (BAD:gsub("VERSION", "save " .. i))) end
    clock.wait_until(function() return ask("/version").body == "save 1000" end, nil, "the last save")
    gw:write_plugin("bad", BAD)
    clock.wait_until(function() return ask("/version").body == "VERSION" end, nil, "the old code again")
  end)
end)

describe("a plugin that blocks the loop in one call", function()
  it("costs the worker, once, and is quarantined until its file changes", function()
    local up = upstream.by_path {}
    local gw = gateway.start((CONFIG:gsub("NODE", up.node):gsub("HARD", "300ms")), { plugins = { bad = BAD } })
    local function ask(target)
      local function answered() return client.ask(gw:port(), request { target = target }) end
      return clock.wait_until(answered, nil, "an answer")
    end
    assert.equal("VERSION", ask("/version").body)
    assert.equal("1", ask("/count").body)
    local c = client.connect(gw:port())
    c:send(request { target = "/pattern" })
    gw:wait_log("a plugin blocks a loop plugin=bad hook=request route=bad")
    local line = gw:wait_log("a plugin has blocked a loop for too long[^\n]*")
    assert.truthy(line:find "plugin=bad hook=request route=bad", line)
    assert.truthy(line:find "plugins/bad.lua:%d+", line)
    clock.wait_until(function()
      local answer = client.ask(gw:port(), request { target = "/good" })
      return answer and answer.body == "good"
    end, nil, "the new worker")
    assert.equal(500, ask("/version").status)
    gw:wait_log("quarantine")
    assert.equal(200, ask("/soft/x").status)
    gw:write_plugin("bad", BAD .. "\n-- mended\n")
    clock.wait_until(function() return ask("/version").body == "VERSION" end, nil, "the mended file")
    assert.equal("2", ask("/count").body)
    c:close()
    gw:kill()
    up:stop()
  end)
end)
