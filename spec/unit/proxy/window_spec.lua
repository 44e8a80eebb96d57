local core = require "support.core"
local ffi = require "ffi"
local C = core.C

describe("a window", function()
  local w

  before_each(function() w = ffi.new "struct window" end)

  local function sum(now)
    local s = C.window_sum(w, 1000, now)
    return { s.all, s.bad, s.slow }
  end

  it("counts what happens in it", function()
    C.window_add(w, 1000, 5000, true, false)
    C.window_add(w, 1000, 5050, false, true)
    C.window_add(w, 1000, 5999, true, true)
    assert.same({ 3, 2, 2 }, sum(5999))
  end)

  it("forgets a tenth at a time", function()
    for i = 0, 9 do C.window_add(w, 1000, 5000 + i * 100, true, false) end
    for i = 0, 9 do assert.same({ 10 - i, 10 - i, 0 }, sum(5900 + i * 100)) end
    assert.same({ 0, 0, 0 }, sum(6900))
  end)

  it("is empty after a long time", function()
    C.window_add(w, 1000, 5000, true, true)
    assert.same({ 0, 0, 0 }, sum(1e9))
  end)

  it("takes a clock that is a little behind for now", function()
    C.window_add(w, 1000, 5000, true, false)
    C.window_add(w, 1000, 4990, true, false)
    assert.same({ 2, 2, 0 }, sum(5000))
  end)

  it("may be shorter than its slices", function()
    C.window_add(w, 3, 5000, true, false)
    assert.equal(1, C.window_sum(w, 3, 5000).all)
    assert.equal(0, C.window_sum(w, 3, 5010).all)
  end)

  it("can be cleared", function()
    C.window_add(w, 1000, 5000, true, false)
    C.window_clear(w)
    assert.same({ 0, 0, 0 }, sum(5000))
  end)
end)
