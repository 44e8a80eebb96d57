local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local NAME = "app"

-- As breaker_cancel, which is inline.
local function cancel(leave)
  if leave.breaker ~= nil then C.breaker_give_back(leave) end
end

describe("a circuit breaker", function()
  local b, s, now

  setup(function() C.log_set_level(C.LOG_ERROR) end)
  teardown(function() C.log_set_level(C.LOG_INFO) end)

  before_each(function()
    b, now = ffi.new "struct breaker", 100000
    C.breaker_init(b, "service", core.slice(NAME))
    s = ffi.new("struct breaker_settings", { is_on = true, error_percent = 50, slow_ms = 200, slow_percent = 80,
                                             window_ms = 1000, min_requests = 4, open_ms = 500, probes = 2 })
  end)

  local wait = ffi.new "uint64_t[1]"

  --- Leave for a request, or nil and the milliseconds to wait.
  local function ask()
    local leave = ffi.new "struct breaker_leave"
    if core.rc(C.breaker_ask(b, s, now, leave, wait)) ~= "OK" then return nil, tonumber(wait[0]) end
    return leave
  end

  local function tell(leave, is_bad) C.breaker_report(leave, is_bad, now) end
  local function state() return ffi.string(C.breaker_word(b.state)) end

  local function requests(signs)
    for sign in signs:gmatch "." do tell(ask(), sign == "-") end
  end

  local rows = {
    { "stays closed with too few requests", "---", "closed" },
    { "stays closed with a smaller share of failures", "+++-+-++-+", "closed" },
    { "opens with a large share of failures", "++--", "open" },
    { "counts successes too", "+++++----", "closed" },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      requests(row[2])
      assert.equal(row[3], state())
    end)
  end

  it("forgets what is older than the window", function()
    requests "---"
    now = now + 2000
    requests "+++-"
    assert.equal("closed", state())
  end)

  it("opens when most answers are slow", function()
    for i = 1, 5 do
      local leave = ask()
      now = now + (i == 1 and 10 or 200)
      tell(leave, false)
    end
    assert.equal("open", state())
  end)

  it("tells how long it stays open, and lets nothing through", function()
    requests "----"
    assert.same({ nil, 500 }, { ask() })
    now = now + 499
    assert.same({ nil, 1 }, { ask() })
  end)

  it("lets so many probes through at a time, and closes when they have succeeded", function()
    requests "----"
    now = now + 500
    local first, second = ask(), ask()
    assert.equal("half open", state())
    assert.is_nil((ask()))
    tell(first, false)
    assert.is_nil((ask()))
    tell(second, false)
    assert.equal("closed", state())
    assert.truthy(ask())
  end)

  it("opens again when a probe fails, or is slow", function()
    for _, how in ipairs { "bad", "slow" } do
      requests "----"
      now = now + 500
      local probe = ask()
      if how == "slow" then now = now + 200 end
      tell(probe, how == "bad")
      assert.equal("open", state())
      now = now + 500
      tell(ask(), false)
      tell(ask(), false)
      assert.equal("closed", state())
    end
    assert.equal(4, b.opened)
  end)

  it("lets another probe through where one has ended without news", function()
    requests "----"
    now = now + 500
    local first, second = ask(), ask()
    cancel(first)
    assert.truthy(ask())
    assert.is_nil((ask()))
    cancel(second)
  end)

  it("is not touched by requests from before a change", function()
    local old = {}
    for i = 1, 6 do old[i] = ask() end
    requests "----"
    now = now + 500
    local probe = ask()
    for _, leave in ipairs(old) do tell(leave, true) end
    assert.equal("half open", state())
    tell(probe, false)
    tell(ask(), false)
    assert.equal("closed", state())
  end)

  it("hears of each request once", function()
    local leave = ask()
    tell(leave, true)
    for _ = 1, 10 do tell(leave, true) end
    cancel(leave)
    assert.equal("closed", state())
  end)

  it("closes when a configuration has none any more", function()
    requests "----"
    s.is_on = false
    C.breaker_settle(b, s)
    assert.equal("closed", state())
  end)
end)
