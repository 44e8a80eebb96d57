--- What plugins have cost, and how they are, in `tidegate status`.
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local json = require "tidegate.tide.json"

local request = client.request

local PLUGIN = [[
local Busy = { version = "1.0.0", band = "filter" }
Busy.__index = Busy
function Busy.new() return setmetatable({}, Busy) end
function Busy:request(req)
  if req.path == "/fail" then error "as asked" end
  if req.path == "/reply" then return req:reply(200, "replied") end
  if req.path == "/wait" then tide.sleep(0.05) end
end
function Busy:log() end
return Busy
]]

local CONFIG = [[
plugins: [busy]
routes:
  - { name: all, path: "/*", respond: { body: answered }, plugins: [{ name: soft, use: busy, on_error: continue }] }
]]

describe("tidegate status --plugins [T36]", function()
  local gw

  before_each(function() gw = gateway.start(CONFIG, { plugins = { busy = PLUGIN } }) end)
  after_each(function() gw:stop() end)

  local function ask(target) return assert(client.ask(gw:port(), request { target = target })).status end

  --- The rows by "NAME ROUTE HOOK", once so many calls of log hooks were counted.
  local function rows(logs)
    local list
    clock.wait_until(function()
      local code, text = gw:command("status", "--plugins", "--json")
      assert.equal(0, code, text)
      list = {}
      for _, row in ipairs(json.decode(text)) do list[("%s %s %s"):format(row.name, row.route, row.hook)] = row end
      return list["busy all log"] and list["busy all log"].calls >= logs
    end, nil, "the log hooks")
    return list
  end

  it("counts calls, errors, answers, CPU time and waiting, by instance, route and hook", function()
    assert.same({ 200, 200, 200, 500 }, { ask "/x", ask "/x", ask "/wait", ask "/fail" })
    assert.equal(200, ask "/reply")
    local list = rows(3)
    local global, soft = list["busy  request"], list["soft all request"]
    assert.same({ "busy", 5, 1, 1 }, { global.plugin, global.calls, global.errors, global.answers })
    assert.same({ "busy", 3, 0, 0 }, { soft.plugin, soft.calls, soft.errors, soft.answers })
    assert.is_true(global.wait >= 0.05 and global.wait < 5)
    assert.is_true(global.cpu > 0 and global.cpu < 1)
    assert.equal(3, list["soft all log"].calls)
    assert.equal(2, list["busy  log"].calls)        -- of those that had no route
  end)

  it("shows the same to people", function()
    ask "/x"
    rows(1)
    local code, text = gw:command("status", "--plugins")
    assert.equal(0, code)
    assert.truthy(text:find "^plugin +route +hook +calls +CPU ms +mean us +wait ms +errors +answers\n")
    assert.truthy(text:find "\nbusy +%(global%) +request +1 +%d+%.%d +%d+%.%d +0%.0 +0 +0\n")
    assert.truthy(text:find "\nsoft %(busy%) +all +request +1 ")
  end)

  it("says so where none has run", function()
    local other = gateway.start "routes: []"
    local _, text = other:command("status", "--plugins")
    local _, whole = other:status()
    other:stop()
    assert.equal("no plugin has run\n", text)
    assert.is_nil(whole:find "plugins")
  end)

  it("tells in the status which plugins fail, and how much memory Lua has", function()
    for _ = 1, 3 do ask "/fail" end
    local _, text = gw:status()
    assert.truthy(text:find "\n  plugins      %d+ calls of hooks, 3 errors: busy 3\n", text)
    local all, most = text:match "\n  lua +(%d+%.%d [KM]iB), at most (%d+%.%d [KM]iB) of 128%.0 MiB in one loop\n"
    assert.equal(all, most)     -- there is one loop
    local _, of_programs = gw:command("status", "--json")
    local lua = json.decode(of_programs).lua
    assert.is_true(lua.bytes == lua.bytes_most and lua.bytes > 100000 and lua.bytes_max == 128 * 2 ^ 20)
  end)
end)
