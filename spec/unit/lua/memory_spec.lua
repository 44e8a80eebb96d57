-- The allocator of a loop's Lua: a state of its own churns in it, and every byte must stay what it was.
local ffi = require "ffi"
local library = ffi.load(os.getenv "TIDEGATE_LIB")

ffi.cdef [[
  typedef void *(*memory_alloc)(void *owner, void *at, size_t old, size_t new);
  struct memory {
    void *free[17]; char *pool, *next; memory_alloc large; void *large_owner; size_t used, max; bool is_bounded;
  };
  typedef struct memory_state memory_state;
  void memory_begin(struct memory *m, memory_state *L);
  void memory_free(struct memory *m);
  memory_state *memory_newstate(void) __asm__("luaL_newstate");
  void memory_openlibs(memory_state *L) __asm__("luaL_openlibs");
  void memory_close(memory_state *L) __asm__("lua_close");
  int memory_load(memory_state *L, const char *text) __asm__("luaL_loadstring");
  int memory_pcall(memory_state *L, int args, int results, int handler) __asm__("lua_pcall");
  const char *memory_text(memory_state *L, int index, size_t *len) __asm__("lua_tolstring");
  int memory_gc(memory_state *L, int what, int data) __asm__("lua_gc");
]]

local C = ffi.C
local COLLECT = 2

-- Texts and tables of all sizes around the border between small and large, grown, replaced and dropped in disorder.
local CHURN = [[
  math.randomseed(7)
  local kept = {}
  local function word(n, c) return string.char(97 + c % 26):rep(n) end
  for round = 1, 60000 do
    local at, n = math.random(500), math.random(0, 700)
    local old = kept[at]
    if old then
      assert(old.text == word(old.n, old.c), "a text has changed")
      assert(#old.list == old.n % 40, "a list has changed")
      for i, v in ipairs(old.list) do assert(v == i + old.c, "an item has changed") end
    end
    local new = { n = n, c = round, text = word(n, round), list = {} }
    for i = 1, n % 40 do new.list[i] = i + round end
    kept[at] = new
    if round % 5 == 0 then kept[math.random(500)] = nil end
  end
  return "done"
]]

describe("the memory of a loop's Lua", function()
  local m, L

  before_each(function()
    m = ffi.new "struct memory"
    L = C.memory_newstate()
    C.memory_openlibs(L)
    library.memory_begin(m, L)
  end)

  after_each(function()
    C.memory_close(L)
    library.memory_free(m)
  end)

  local function run(text)
    assert.equal(0, C.memory_load(L, text))
    local code = C.memory_pcall(L, 0, 1, 0)
    return code, ffi.string(C.memory_text(L, -1, nil))
  end

  it("keeps what is in it", function()
    local code, text = run(CHURN)
    assert.equal("done", text)
    assert.equal(0, code)
  end)

  it("counts exactly what Lua itself counts", function()
    run(CHURN)
    C.memory_gc(L, COLLECT, 0)
    assert.equal(C.memory_gc(L, 3, 0) * 1024 + C.memory_gc(L, 4, 0), tonumber(m.used))
  end)

  it("uses freed blocks again", function()
    run(CHURN)
    C.memory_gc(L, COLLECT, 0)
    local top = m.next
    run(CHURN)
    C.memory_gc(L, COLLECT, 0)
    assert.is_true(m.next - top < 65536, tonumber(m.next - top) .. " bytes more")
  end)

  it("goes on with the large blocks when the small ones are used up", function()
    local code, text = run [[
      local all = {}
      for i = 1, 100000 do all[i] = { i, tostring(i) } end
      for i = 1, 100000 do assert(all[i][1] == i and all[i][2] == tostring(i)) end
      return "done"
    ]]
    assert.equal("done", text)
    assert.equal(0, code)
    assert.is_true(m.used > 8 * 1024 * 1024)
  end)

  it("has a bound while a plugin runs, and goes on after it was reached", function()
    m.max, m.is_bounded = 4 * 1024 * 1024, true
    local code, text = run "local all = {} for i = 1, 1e7 do all[i] = { i } end"
    assert.not_equal(0, code)
    assert.equal("not enough memory", text)
    assert.is_true(m.used <= m.max)
    m.is_bounded = false
    assert.equal("done", select(2, run(CHURN)))
  end)
end)
