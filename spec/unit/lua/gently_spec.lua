--- Lua of the control thread that leaves the core to others now and then, and its garbage, which goes bit by bit. In a
-- Lua state of its own, made and run through the C API.
local ffi = require "ffi"

ffi.cdef [[
  typedef struct gently_state gently_state;
  gently_state *gently_newstate(void) __asm__("luaL_newstate");
  void gently_openlibs(gently_state *L) __asm__("luaL_openlibs");
  void gently_close(gently_state *L) __asm__("lua_close");
  int gently_loadstring(gently_state *L, const char *text) __asm__("luaL_loadstring");
  int gently_pcall(gently_state *L, int args, int results, int handler) __asm__("lua_pcall");
  void *gently_allocator(gently_state *L, void **owner) __asm__("lua_getallocf");
  void gently_begin(gently_state *L);
  void gently_end(gently_state *L);
  bool lua_tidy_some(gently_state *L, uint64_t us);
  size_t lua_memory(gently_state *L);
  struct gently_usage { int64_t times[4], others[12], voluntary, involuntary; };
  int gently_getrusage(int who, struct gently_usage *usage) __asm__("getrusage");
]]

local time = require "posix.time"

local C, library, RUSAGE_THREAD = ffi.C, ffi.load(os.getenv "TIDEGATE_LIB"), 1

-- Seconds.
local function clock()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

-- How often this thread has left the core by itself, and the microseconds that it has run.
local function usage()
  local u = ffi.new "struct gently_usage"
  assert.equal(0, C.gently_getrusage(RUSAGE_THREAD, u))
  return tonumber(u.voluntary), tonumber(u.times[0] * 1000000 + u.times[1] + u.times[2] * 1000000 + u.times[3])
end

describe("Lua of the control thread", function()
  local L

  before_each(function()
    L = C.gently_newstate()
    C.gently_openlibs(L)
  end)

  after_each(function()
    library.gently_end(L)
    C.gently_close(L)
  end)

  local function run(text)
    assert.equal(0, C.gently_loadstring(L, text))
    assert.equal(0, C.gently_pcall(L, 0, 0, 0))
  end

  --- Runs a loop for so many milliseconds of CPU time.
  local function work(ms)
    local text = "local till = os.clock() + %g repeat for i = 1, 500 do end until os.clock() > till"
    run(text:format(ms / 1000))
  end

  --- How often the thread rests meanwhile.
  local function rests(ms)
    local before = usage()
    work(ms)
    return usage() - before
  end

  it("rests where it runs for long", function()
    library.gently_begin(L)
    assert.is_true(rests(8) >= 8)
    library.gently_end(L)
  end)

  it("rests less once the work turns out to be long, where compiled code takes memory, too", function()
    library.gently_begin(L)
    work(40)
    run "till = os.clock() + 0.05 local kept repeat for i = 1, 500 do kept = { i } end until os.clock() > till"
    local before, at = usage(), clock()
    run "till = os.clock() + 0.02 local kept repeat for i = 1, 500 do kept = { i } end until os.clock() > till"
    local rests_then, took = usage() - before, clock() - at
    library.gently_end(L)
    assert.is_true(rests_then >= 10, rests_then .. " rests")
    assert.is_true(took >= 0.021, took)
  end)

  it("gives the state its own memory back", function()
    local own = ffi.new "void *[1]"
    local before = C.gently_allocator(L, own)
    library.gently_begin(L)
    assert.are_not.equal(before, C.gently_allocator(L, nil))
    library.gently_begin(L)
    library.gently_end(L)
    library.gently_end(L)
    local owner = ffi.new "void *[1]"
    assert.equal(before, C.gently_allocator(L, owner))
    assert.equal(own[0], owner[0])
  end)

  it("rests anew with the next work", function()
    library.gently_begin(L)
    work(40)
    library.gently_begin(L)
    assert.is_true(rests(8) >= 8)
    library.gently_end(L)
  end)

  it("does not rest where it need not be gentle", function()
    library.gently_begin(L)
    library.gently_end(L)
    assert.is_true(rests(20) <= 2)
  end)

  it("gives its garbage back bit by bit", function()
    local MIB = 1024 * 1024
    run "kept = {} for i = 1, 50000 do kept[i] = { i } end"
    run "collectgarbage()"
    local least = tonumber(library.lua_memory(L))
    run "collectgarbage 'stop' for i = 1, 100000 do kept[0] = { i } end collectgarbage 'restart'"
    assert.is_true(tonumber(library.lua_memory(L)) > least + MIB)
    local steps, most_us = 0, 0
    repeat
      local _, before = usage()
      local done = library.lua_tidy_some(L, 200)
      local _, after = usage()
      steps, most_us = steps + 1, math.max(most_us, after - before)
    until done
    assert.is_true(tonumber(library.lua_memory(L)) < least + MIB)
    assert.is_true(steps > 3, "all of it in " .. steps .. " steps")
    assert.is_true(most_us < 20000, "a step of " .. most_us .. " us")
  end)
end)
