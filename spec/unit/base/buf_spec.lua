local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function new(max)
  local buf = ffi.gc(ffi.new "struct buf", C.buf_free)
  C.buf_init(buf, max)
  return buf
end

local function text(buf)
  if buf.at == nil then return "" end
  return ffi.string(buf.at + buf.start, buf["end"] - buf.start)
end

local function append(buf, bytes) return core.rc(C.buf_append(buf, core.slice(bytes))) end

describe("buf", function()
  it("holds no memory while it is empty", function()
    local buf = new(10)
    assert.equal("OK", append(buf, ""))
    assert.is_true(buf.at == nil)
    assert.equal("OK", append(buf, "abc"))
    assert.is_false(buf.at == nil)
    C.buf_consume(buf, 3)
    assert.is_true(buf.at == nil)
    assert.equal(10, buf.max)
  end)

  local limits = { 1, 2, 1023, 1024, 1025, 5000 }
  for _, max in ipairs(limits) do
    it(("holds %d bytes and not one more"):format(max), function()
      local buf = new(max)
      assert.equal("LIMIT", append(buf, ("x"):rep(max + 1)))
      assert.equal("", text(buf))
      assert.equal("OK", append(buf, ("y"):rep(max)))
      assert.equal("LIMIT", append(buf, "z"))
      assert.equal(("y"):rep(max), text(buf))
      assert.is_true(C.buf_room(buf, 1) == nil)
    end)
  end

  it("makes room again by what was consumed", function()
    local buf = new(8)
    append(buf, "abcdefgh")
    C.buf_consume(buf, 5)
    assert.equal("OK", append(buf, "12345"))
    assert.equal("fgh12345", text(buf))
    assert.equal("LIMIT", append(buf, "6"))
  end)

  it("refuses a room that would wrap around", function()
    local buf = new(100)
    append(buf, "a")
    assert.is_true(C.buf_room(buf, ffi.cast("size_t", -1)) == nil)
    assert.equal("a", text(buf))
  end)

  it("keeps the order of bytes over any appending and consuming", function()
    core.seed()
    local buf, model = new(3000), ""
    for i = 1, 3000 do
      if math.random(2) == 1 then
        local bytes = tostring(i):rep(math.random(0, 200))
        local fits = #model + #bytes <= 3000
        assert.equal(fits and "OK" or "LIMIT", append(buf, bytes))
        if fits then model = model .. bytes end
      else
        local n = math.random(0, #model)
        C.buf_consume(buf, n)
        model = model:sub(n + 1)
      end
      assert.equal(model, text(buf))
    end
  end)
end)
