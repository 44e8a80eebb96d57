--- base/clock: time that runs, and time that specs hold still.
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

describe("the clock", function()
  after_each(function() C.clock_thaw() end)

  it("runs", function()
    local before = C.clock_us()
    assert.is_true(C.clock_us() >= before)
    assert.is_true(math.abs(tonumber(C.clock_wall_us()) / 1e6 - os.time()) < 2)
  end)

  it("stands still where it is held", function()
    local clock = ffi.new "struct clock"
    C.clock_freeze(5000999, 784111777123456)
    assert.equal(5000999, tonumber(C.clock_us()))
    assert.equal(784111777123456, tonumber(C.clock_wall_us()))
    C.clock_tick(clock)
    assert.equal(5000, tonumber(clock.now_ms))
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", ffi.string(clock.date))
    assert.equal(784111777.123456, C.tide_now())
    assert.equal(5.000999, C.tide_monotonic())
  end)

  it("runs again", function()
    C.clock_freeze(1, 1)
    C.clock_thaw()
    assert.is_true(tonumber(C.clock_wall_us()) > 1e15)
  end)
end)
