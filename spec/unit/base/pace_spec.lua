--- Long work that leaves its core to others now and then.
local ffi = require "ffi"

ffi.cdef [[
  void pace_begin(void);
  void pace_end(void);
  bool pace_is_long(void);
  void pace_look(void);
  struct pace_usage { int64_t times[4], others[12], voluntary, involuntary; };
  int pace_getrusage(int who, struct pace_usage *usage) __asm__("getrusage");
]]

local C, library, RUSAGE_THREAD = ffi.C, ffi.load(os.getenv "TIDEGATE_LIB"), 1

local function usage()
  local u = ffi.new "struct pace_usage"
  assert.equal(0, C.pace_getrusage(RUSAGE_THREAD, u))
  return tonumber(u.voluntary)
end

--- Runs for so many milliseconds of CPU time, and looks all the time. How often it has left the core meanwhile.
local function rests(ms)
  local before, till = usage(), os.clock() + ms / 1000
  repeat library.pace_look() until os.clock() > till
  return usage() - before
end

describe("pace", function()
  after_each(function() library.pace_end() end)

  it("rests after every little while", function()
    library.pace_begin()
    assert.is_false(library.pace_is_long())
    assert.is_true(rests(10) >= 10)     -- what others have of the core meanwhile may make it long work
  end)

  it("tells what has become long, and rests on", function()
    library.pace_begin()
    rests(20)
    assert.is_true(library.pace_is_long())
    local rested = rests(10)
    assert.is_true(rested >= 6 and rested <= 20, rested .. " rests")
  end)

  it("does not rest where nothing has begun, or it has ended", function()
    assert.is_true(rests(10) <= 2)
    library.pace_begin()
    library.pace_end()
    assert.is_true(rests(10) <= 2)
    assert.is_false(library.pace_is_long())
  end)

  it("begins anew with each work", function()
    library.pace_begin()
    rests(20)
    library.pace_begin()
    assert.is_false(library.pace_is_long())
  end)
end)
