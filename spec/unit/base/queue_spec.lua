local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function new(cap)
  local queue = ffi.gc(ffi.new "struct queue", C.queue_free)
  C.queue_init(queue, cap)
  return queue
end

local function write(queue, tag, bytes, reserve)
  local at = C.queue_reserve(queue, reserve or #bytes)
  if at == nil then return false end
  ffi.copy(at, bytes, #bytes)
  C.queue_commit(queue, tag, #bytes)
  return true
end

local tag, record = ffi.new "uint32_t[1]", ffi.new "struct slice[1]"

local function read(queue)
  if not C.queue_peek(queue, tag, record) then return nil end
  local bytes, number = core.text(record[0]), tag[0]
  C.queue_release(queue)
  return bytes, number
end

describe("queue", function()
  it("gives back what was written, with its tag, in order", function()
    local queue = new(256)
    assert.is_nil(read(queue))
    assert.is_true(write(queue, 7, "one"))
    assert.is_true(write(queue, 8, ""))
    assert.same({ "one", 7 }, { read(queue) })
    assert.same({ "", 8 }, { read(queue) })
    assert.is_nil(read(queue))
  end)

  it("shows nothing of a reservation that is not committed", function()
    local queue = new(256)
    for _ = 1, 20 do assert.is_false(C.queue_reserve(queue, 64) == nil) end
    assert.is_nil(read(queue))
  end)

  it("shows the same record until it is released", function()
    local queue = new(256)
    write(queue, 1, "first")
    write(queue, 2, "second")
    for _ = 1, 3 do
      assert.is_true(C.queue_peek(queue, tag, record))
      assert.equal("first", core.text(record[0]))
    end
    C.queue_release(queue)
    assert.equal("second", (read(queue)))
  end)

  it("refuses when it is full and takes more once it was read", function()
    local queue, written = new(256), 0
    while write(queue, written, ("x"):rep(20)) do written = written + 1 end
    assert.equal(8, written)                -- 20 bytes and a head of 8, rounded up to 32
    assert.equal(256, tonumber(C.queue_used(queue)))
    assert.equal(("x"):rep(20), (read(queue)))
    assert.is_true(write(queue, 9, ("y"):rep(20)))
    assert.is_false(write(queue, 10, ""))
  end)

  it("keeps a record in one piece where the ring ends", function()
    local queue = new(256)
    for i = 1, 100 do
      assert.is_true(write(queue, i, ("r"):rep(i % 57), 57))
      assert.same({ ("r"):rep(i % 57), i }, { read(queue) })
    end
    assert.equal(0, tonumber(C.queue_used(queue)))
  end)

  it("does what a list does, over any writing and reading", function()
    core.seed()
    local queue, model, refused = new(1024), {}, 0
    for i = 1, 50000 do
      if math.random(2) == 1 then
        local bytes = tostring(i):rep(math.random(0, 40))
        if write(queue, i, bytes, math.random(#bytes, 256)) then
          table.insert(model, { bytes, i })
        else
          refused = refused + 1
          assert.is_true(#model > 0)
        end
      elseif model[1] then
        assert.same(table.remove(model, 1), { read(queue) })
      else
        assert.is_nil(read(queue))
      end
    end
    assert.is_true(refused > 0)
  end)
end)
