local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function address(pointer) return tonumber(ffi.cast("uintptr_t", pointer)) end

describe("arena", function()
  it("takes no memory before the first allocation", function()
    local arena = core.arena(1024)
    assert.is_true(arena.blocks == nil)
    C.arena_zero(arena, 1)
    assert.is_false(arena.blocks == nil)
  end)

  local blocks = { 64, 100, 4096 }
  for _, block_bytes in ipairs(blocks) do
    it(("gives aligned, cleared places that do not overlap, in blocks of %d"):format(block_bytes), function()
      local arena, places = core.arena(block_bytes), {}
      for size = 0, 300 do
        local at = ffi.cast("char *", C.arena_zero(arena, size))
        assert.equal(0, address(at) % 8)
        assert.equal(("\0"):rep(size), ffi.string(at, size))
        ffi.fill(at, size, size % 251)
        places[size] = at
      end
      for size = 0, 300 do
        assert.equal(string.char(size % 251):rep(size), ffi.string(places[size], size))
      end
    end)
  end

  it("uses the caller's memory first and gives it out again after a reset", function()
    local memory = ffi.new "char[256]"
    local arena = ffi.gc(ffi.new "struct arena", C.arena_free)
    C.arena_init_on(arena, memory, 256, 1024)
    local first = C.arena_zero(arena, 200)
    assert.equal(address(memory), address(first))
    assert.is_true(arena.blocks == nil)
    local second = address(C.arena_zero(arena, 100))
    assert.is_true(second < address(memory) or second >= address(memory) + 256)
    C.arena_reset(arena)
    assert.is_true(arena.blocks == nil)
    assert.equal(address(memory), address(C.arena_zero(arena, 256)))
  end)

  it("keeps its first block over a reset", function()
    local arena = core.arena(1024)
    local first = address(C.arena_zero(arena, 100))
    for _ = 1, 50 do C.arena_zero(arena, 500) end
    C.arena_reset(arena)
    assert.equal(first, address(C.arena_zero(arena, 100)))
  end)

  it("is usable after a free", function()
    local arena = core.arena(1024)
    C.arena_zero(arena, 100)
    C.arena_free(arena)
    assert.is_true(arena.blocks == nil)
    assert.equal(("\0"):rep(100), ffi.string(ffi.cast("char *", C.arena_zero(arena, 100)), 100))
  end)

  local texts = { "", "a", "seven b", "eight by", "a\0b", ("x"):rep(5000) }
  for _, text in ipairs(texts) do
    it(("copies %d bytes and puts a NUL behind them"):format(#text), function()
      local copy = C.arena_copy(core.arena(64), core.guarded(text))
      assert.equal(text .. "\0", ffi.string(copy.at, copy.len + 1))
    end)
  end
end)
