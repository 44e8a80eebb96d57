--- A node that is taken out by a reload finishes what it has.
local cjson = require "cjson"
local clock = require "support.clock"
local crew = require "support.crew"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local visit = require "support.visit"

local CONFIG = [[
gateway: { threads: 2, grace: 1s }
dictionaries: { gate: 1MiB }
services:
  app:
    nodes: [ { url: "http://ONE" }, { url: "http://TWO" } ]
    HEALTH
routes: [{ path: "/*", service: app, plugins: [late] }]
]]

-- Holds requests in a hook until it is told to let them go.
local LATE = [[
--- Lets requests with a header wait.
local Late = { version = "1.0.0", description = "Waits.", band = "filter", schema = {} }
Late.__index = Late
function Late.new() return setmetatable({}, Late) end
function Late:request(req)
  local dictionary = tide.shared "gate"
  if req.path == "/come" then return req:reply(200, tostring(dictionary:get "come" or 0)) end
  if req.path == "/open" then
    dictionary:set("open", 1)
    return req:reply(204)
  end
  if not req:header "x-late" then return end
  dictionary:incr "come"
  while not dictionary:get "open" do tide.sleep(0.01) end
end
return Late
]]

describe("a node that is taken out", function()
  local one, two, gw, v

  after_each(function()
    if v then v:close() end
    if one then one:stop() end
    if two then two:stop() end
    one, two, v = nil, nil, nil
  end)

  local function start(health)
    local yaml = CONFIG:gsub("ONE", one.node):gsub("TWO", two.node):gsub("HEALTH", health or "")
    gw = gateway.start(yaml, { plugins = { late = LATE } })
    v = visit.new(gw)
  end

  local function ok(c) visit.expect(c, 200) end
  local function disable() v:change('(http://[^"]*")( }, {)', "%1, enabled: false%2") end
  local function enable() v:change(", enabled: false", "") end

  --- The states of all nodes, and what the one that drains has in hand.
  local function states()
    local words, in_hand = {}, nil
    for i, node in ipairs(cjson.decode((select(2, gw:command("status", "--nodes", "--json"))))) do
      words[i] = node.state
      if node.state == "draining" then in_hand = node.connections end
    end
    return table.concat(words, " "), in_hand
  end

  local function wait_states(words)
    clock.wait_until(function() return states() == words end, 20, words)
  end

  --- Waits until so many requests are held by the plugin.
  local function wait_come(n)
    clock.wait_until(function() return tonumber(v:ask("/come").body) == n end, 20, "requests in the plugin")
  end

  it("finishes its requests, loses its idle connections, and gets no more", function()
    one, two = crew.start {}, crew.start {}
    start()
    local held = { v:send("/a", { "X-Hold: 1" }), v:send("/b", { "X-Hold: 1" }) }
    one:wait_requests(1)
    two:wait_requests(1)
    for _ = 1, 4 do ok(v:send "/") end            -- an idle connection to each
    local before = one:seen()
    assert.is_true(before.accepted >= 2)
    disable()
    -- All but the one in use.
    clock.wait_until(function() return one:seen().ended == one:seen().accepted - 1 end, 20, "idle connections to end")
    for _ = 1, 8 do ok(v:send "/later") end
    assert.equal(#before.targets, #one:seen().targets)
    local words, in_hand = states()
    assert.same({ "healthy draining", 1 }, { words, in_hand })
    local text = select(2, gw:command("status", "--nodes"))
    assert.truthy(text:find("draining +[^ ]+ +1 .-no longer in the configuration, or not enabled"), text)
    assert.truthy(text:find("\n\nnot enabled: app " .. one.node .. "\n", 1, true), text)
    gw:wait_log("drain: node leaves service=app node=" .. one.node)
    one:release()
    two:release()
    for _, c in ipairs(held) do ok(c) end
    wait_states "healthy"
    clock.wait_until(function() return one:seen().ended == one:seen().accepted end, 20, "the last connection to end")
  end)

  it("stays where it comes back before it has finished", function()
    one, two = crew.start {}, crew.start {}
    start()
    local held = { v:send("/a", { "X-Hold: 1" }), v:send("/b", { "X-Hold: 1" }) }
    one:wait_requests(1)
    disable()
    wait_states "healthy draining"
    enable()
    wait_states "healthy healthy"
    one:release()
    two:release()
    for _, c in ipairs(held) do ok(c) end
    for _ = 1, 6 do ok(v:send "/") end
    assert.is_true(#one:seen().targets >= 3)
    assert.is_true(one:seen().ended < one:seen().accepted)       -- it is kept
  end)

  it("keeps its tunnels until they end", function()
    local answers = { ["/tunnel"] = function(conn, head)
      conn:read_body(head)
      conn:send "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: spec\r\n\r\n"
      while true do
        local byte = conn.reader:exactly(1, 30)
        if not byte then return true end
        conn:send(byte)
      end
    end }
    one, two = upstream.by_path(answers), crew.start {}
    start()
    local c = v:send("/tunnel", { "Connection: Upgrade", "Upgrade: spec" })
    local head = assert(c:head())
    if head.status ~= 101 then                  -- the other node was the first
      c = v:send("/tunnel", { "Connection: Upgrade", "Upgrade: spec" })
      assert.equal(101, assert(c:head()).status)
    end
    disable()
    wait_states "healthy draining"
    v:change("path: ", "name: anything, path: ")          -- another generation
    wait_states "healthy draining"
    c:send "x"
    assert.equal("x", c.reader:exactly(1, 5))
    c:close()
    wait_states "healthy"
  end)

  it("gets no request that was on its way before", function()
    one, two = crew.start {}, crew.start {}
    start()
    ok(v:send "/")
    local late = {}
    for i = 1, 6 do late[i] = v:send("/late", { "X-Late: 1" }) end
    wait_come(#late)
    local before = #one:seen().targets
    disable()
    assert.equal(204, v:ask("/open").status)
    for _, c in ipairs(late) do ok(c) end
    assert.equal(before, #one:seen().targets)
  end)

  it("still gets requests from before where no node stays, also with panic: fail", function()
    one, two = crew.start {}, crew.start {}
    start "health_check: { panic: fail }"
    local late = {}
    for i = 1, 4 do late[i] = v:send("/late", { "X-Late: 1" }) end
    wait_come(#late)
    v:change("service: app", "respond: { status: 204 }")
    v:change("services:\n.-\nroutes", "routes")
    assert.equal(204, v:ask("/open").status)
    for _, c in ipairs(late) do ok(c) end
  end)
end)
