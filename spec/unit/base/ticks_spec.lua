local ffi = require "ffi"
local clock = require "support.clock"
local library = ffi.load(os.getenv "TIDEGATE_LIB")

ffi.cdef [[
  extern bool ticks_by_counter;
  uint64_t ticks_by_clock(void);
  double ticks_to_ns(uint64_t ticks);
]]

describe("ticks", function()
  it("are as many nanoseconds as the kernel's clock says", function()
    -- What a tick stands for must not depend on when that is asked.
    local first = library.ticks_to_ns(1000000000ULL)
    local from = clock.now()
    while clock.now() < from + 0.05 do end
    local second = library.ticks_to_ns(1000000000ULL)
    assert.is_true(math.abs(first / second - 1) < 0.01, first .. " and " .. second)
    if library.ticks_by_counter then
      assert.is_true(second > 1e8 and second < 1e10, "a counter between 100 MHz and 10 GHz")
    else
      assert.equal(1e9, second)
    end
  end)
end)
