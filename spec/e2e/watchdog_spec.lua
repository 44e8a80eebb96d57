--- Who is taken for a plugin that blocks a loop, and who is not [B4].
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"

-- Spins for so many ms of wall time; what it calls counts against no budget.
local SPINS = [[
local spins = {}
function spins:request(req)
  local till = tide.now() + tonumber(req.path:match "%d+") / 1000
  while tide.now() < till do end
end
return spins
]]

local SLEEPS = [[
local ffi = require "ffi"
ffi.cdef "int usleep(unsigned int us);"
local sleeps = {}
function sleeps:request() ffi.C.usleep(900000) ffi.C.usleep(900000) end
return sleeps
]]

describe("a loop that is busy for longer than hard_limit", function()
  it("is none that a plugin blocks, when it comes back to the core in between", function()
    local gw = gateway.start([[
gateway: { threads: 1 }
lua: { budget: 60ms, hard_limit: 200ms }
routes: [{ path: "/spin/*", respond: { body: done }, plugins: [spins] }]
]], { plugins = { spins = SPINS } })
    local worker, all = gw:worker_pid(), {}
    for i = 1, 40 do
      all[i] = client.connect(gw:port())
      all[i]:send(client.request { target = "/spin/1" })
      assert.equal(200, all[i]:response().status)
    end
    gw:pause()                                          -- so that all of them come in one turn of the loop
    for _, c in ipairs(all) do c:send(client.request { target = "/spin/20" }) end
    local from = clock.now()
    gw:resume()
    for _, c in ipairs(all) do
      local answer = c:response { timeout = 20 }
      assert.equal(200, answer and answer.status)
      c:close()
    end
    assert.is_true(clock.now() - from > 0.7)
    assert.equal(worker, gw:worker_pid())
    assert.is_nil(gw:log():find "blocks a loop")
    gw:stop()
  end)

  it("is one that a plugin blocks, when that sleeps in a call of C and takes no core", function()
    local gw = gateway.start([[
gateway: { threads: 1 }
lua: { hard_limit: 200ms, trusted: [sleeps] }
routes: [{ path: /, respond: { body: done }, plugins: [sleeps] }]
]], { plugins = { sleeps = SLEEPS } })
    local c = client.connect(gw:port())
    c:send(client.request {})
    gw:wait_log "a plugin has blocked a loop for too long: [^\n]*plugin=sleeps hook=request"
    c:close()
    gw:kill()
  end)
end)
