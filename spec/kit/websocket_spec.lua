--- Fakes for WebSockets: the same messages through a gateway in memory and through a process, with the same outcome.
local fake = require "tidegate.spec"

local PLUGIN = [[
local Probe = { version = "1.0.0", description = "Does what messages say.", schema = {} }
Probe.__index = Probe
function Probe.new() return setmetatable({}, Probe) end

local does = {
  drop = function() return false end,
  change = function() return "changed" end,
  binary = function(msg) msg.type = "binary" return "\255" end,
  wait = function() tide.sleep(0.05) return "waited" end,
  reply = function(msg) msg:reply "one" msg:reply("two", "binary") return false end,
  both = function(msg) msg:reply "answer" end,
  push = function(_, req) req.websocket:send("upstream", "before") end,
  close = function(msg) msg:close(4000, "as you wish") end,
  fail = function() error "no message today" end,
  count = function(_, req)
    req.ctx.count = (req.ctx.count or 0) + 1
    return tostring(req.ctx.count)
  end,
  large = function() return ("x"):rep(70000) end,
  later = function(_, req)
    local ws = req.websocket
    tide.spawn(function() tide.sleep(0.02) ws:send("client", "late") end)
  end,
  number = function() return 7 end,
}

function Probe:request(req)
  if req.path == "/refused" then return req:reply(403, "no") end
end

function Probe:ws_open(req)
  if req.path == "/greets" then
    tide.sleep(0.01)
    req.websocket:send("client", "welcome")
    req.websocket:send("upstream", "hello")
  elseif req.path == "/bad" then
    error "no opening today"
  end
end

function Probe:message(msg, req)
  local run = does[msg.data]
  if run then return run(msg, req) end
  if msg.data == "where" then return msg.from end
end

function Probe:ws_close(close, req)
  tide.log.info("ended", { code = close.code, by = close.by, count = close.messages_in })
end

return Probe
]]

local function from_upstream(data) return { data = data, from = "upstream" } end

-- The fields of fake.websocket, and what comes of the messages: { data[, type] }, false where it is dropped, then what
-- was replied; what the whole came to: status, closed.
local CASES = {
  { "passes messages", { "a", "", ("x"):rep(200), ("x"):rep(100000) },
    { { "a" }, { "" }, { ("x"):rep(200) }, { ("x"):rep(100000) } } },
  { "passes them back", { from_upstream "a", { data = "\0\255", type = "binary", from = "upstream" } },
    { { "a" }, { "\0\255", "binary" } } },
  { "tells who sent one", { "where", from_upstream "where" }, { { "client" }, { "upstream" } } },
  { "changes one", { "change", "binary", "large" }, { { "changed" }, { "\255", "binary" }, { ("x"):rep(70000) } } },
  { "drops one", { "drop", "a" }, { false, { "a" } } },
  { "waits", { "wait", "a" }, { { "waited" }, { "a" } } },
  { "replies", { "reply", "both" }, { { nil, nil, { "one", "two" } }, { "both", nil, { "answer" } } } },
  { "replies upwards", { from_upstream "both" }, { { "both", nil, { "answer" } } } },
  { "sends others, before it", { "push" }, { { "before", passed = 2 } } },
  { "remembers", { "count", "count", from_upstream "count" }, { { "1" }, { "2" }, { "3" } } },
  { "sends later", { "later", { data = "next", after = 0.2 } }, { { "later" }, { "next", before = "late" } } },
  { "closes", { "close", "a" }, { false, false }, closed = { code = 4000, reason = "as you wish" } },
  { "fails", { "fail" }, { false }, closed = { code = 1011, reason = "internal error" }, error = "no message today" },
  { "answers nonsense", { "number" }, { false }, closed = { code = 1011, reason = "internal error" },
    error = "its message hook returned a number" },
  { "greets", { "a", path = "/greets" }, { { "a" } }, opening = { "welcome", "hello" } },
  { "fails when it opens", { "a", path = "/bad" }, { false }, closed = { code = 1011, reason = "internal error" },
    error = "no opening today" },
  { "refuses", { "a", path = "/refused" }, {}, status = 403 },
  { "is declined by the upstream", { "a", upstream = 404 }, {}, status = 404 },
  { "is ended by the client", { "a", close = { code = 4001, reason = "bye" } }, { { "a" } },
    log = "by=client code=4001 count=1" },
  { "is ended by the upstream", { close = { code = 4002, from = "upstream" } }, {},
    log = "by=upstream code=4002 count=0" },
}

local OPTIONS = {
  yaml = 'routes: [ { path: "/*", service: upstream, plugins: [ probe ] } ]\n', sources = { probe = PLUGIN },
}

local function datas(list)
  local texts = {}
  for i, one in ipairs(list or {}) do texts[i] = one.data end
  return texts
end

local function expect(case, out)
  assert.equal(case.status or 101, out.status, tostring(out))
  assert.same(case.closed, out.closed)
  assert.equal(#case[3], #out.messages)
  for i, wanted in ipairs(case[3]) do
    local found = out.messages[i]
    wanted = wanted or {}
    assert.equal(wanted[1], found.data)
    assert.equal(wanted[1] == nil, found.dropped)
    assert.equal(wanted[1] and (wanted[2] or "text"), found.type)
    assert.same(wanted[3] or {}, datas(found.replies))
    assert.equal(wanted.before, datas(found.before.client)[1])
    if wanted.passed then assert.equal(wanted.passed, #found.passed) end
  end
  local opening = out.opening or { client = {}, upstream = {} }
  assert.same({ { case.opening and "welcome" }, { case.opening and "hello" } },
              { datas(opening.client), datas(opening.upstream) })
end

describe("a WebSocket in memory", function()
  local memory, process

  setup(function() memory, process = fake.memory(OPTIONS), fake.gateway(OPTIONS) end)
  teardown(function()
    memory:stop()
    process:stop()
  end)

  for _, case in ipairs(CASES) do
    it("is as one through a gateway: " .. case[1], function()
      local out = memory:websocket(case[2])
      expect(case, out)
      if case.error then assert.matches(case.error, out.error, 1, true) else assert.is_nil(out.error) end
      if case.log then assert.truthy(out:logged(case.log), tostring(out)) end
      expect(case, process:websocket(case[2]))
      if case.log then process:log(case.log) end
    end)
  end
end)

describe("fake.message", function()
  local probe = fake.plugin("probe", PLUGIN)

  it("tells what came of one message", function()
    local out = fake.message("reply", { type = "text" }):through(probe {})
    assert.same({ nil, true, { { data = "one", type = "text" }, { data = "two", type = "binary" } } },
                { out.data, out.dropped, out.replies })
    out = fake.message("change", { from = "upstream" }):through(probe {})
    assert.same({ "changed", "text", false }, { out.data, out.type, out.dropped })
    assert.is_nil(out.closed)
    out = fake.message "close":through(probe {})
    assert.same({ code = 4000, reason = "as you wish" }, out.closed)
    assert.is_true(out.dropped)
  end)

  it("takes fields of a request, and tells what the upstream got", function()
    local out = fake.message("a", { path = "/x?y", headers = { ["x-a"] = "b" }, ctx = { count = 5 } }):through(probe {})
    assert.same({ "/x?y", "b", "a", 5 },
                { out.upstream.target, out.upstream.headers["x-a"], out.data, out.ctx.count })
  end)

  it("runs through several plugins in their order", function()
    local tag = fake.plugin("tag", [[
local Tag = { version = "1.0.0", description = "Tags.", schema = { tag = { type = "string", required = true } } }
function Tag:message(msg) return msg.data .. self.conf.tag end
return Tag
]])
    assert.equal("xab", fake.message "x":through(tag { tag = "a" }, tag { tag = "b" }).data)
    assert.equal("xba", fake.message("x", { from = "upstream" }):through(tag { tag = "a" }, tag { tag = "b" }).data)
  end)

  it("takes no time of the clock but what plugins wait", function()
    assert.equal(0.05, fake.message "wait":through(probe {}).took)
  end)

  it("works where nobody looks at messages", function()
    local quiet = fake.plugin("quiet", 'return { version = "1.0.0", description = "Nothing.", log = function() end }')
    assert.equal("a", fake.message "a":through(quiet {}).data)
  end)

  for _, case in ipairs {
    { function() fake.message() end, "message 1: data: missing" },
    { function() fake.message(7) end, "message 1: data: expected a string, found a number" },
    { function() fake.message("a", { type = "json" }) end, 'type: expected "text" or "binary", found "json"' },
    { function() fake.message("a", { from = "moon" }) end, 'from: expected "client" or "upstream", found "moon"' },
    { function() fake.message("a", { pth = "/" }) end, "there is no field pth" },
    { function() fake.websocket "a" end, "fake.websocket: expected a table, found a string" },
    { function() fake.websocket { 7 } end, "message 1: expected a text or a table, found a number" },
    { function() fake.websocket { close = { cod = 1 } } end, "close: there is no field cod" },
    { function() fake.message "a":through(7) end, "through: expected instances" },
    { function() fake.request { upstream = { websocket = true } }:through(probe {}) end,
      "expected a request of fake.websocket or fake.message" },
  } do
    it("says what is wrong: " .. case[2], function()
      local good, why = pcall(case[1])
      assert.is_false(good)
      assert.matches(case[2], tostring(why), 1, true)
    end)
  end
end)
