local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local NEVER = 18446744073709551615ULL

-- A callback cannot be called from compiled code.
jit.off(true, true)

local function address(d) return tonumber(ffi.cast("uintptr_t", ffi.cast("void *", d))) end

local function new(on_fire)
  local set = { all = ffi.gc(ffi.new "struct deadlines", C.deadlines_free), fired = {} }
  local names = {}
  set.fire = ffi.cast("void (*)(struct deadline *)", function(d)
    local name = names[address(d)]
    table.insert(set.fired, name)
    if on_fire then on_fire(set, name) end
  end)
  function set.make(name)
    local d = ffi.new "struct deadline"
    d.fire = set.fire
    names[address(d)] = name
    set[name] = d
    return d
  end
  -- deadline_set of net/deadline.h
  function set.set(d, due)
    if d.place ~= 0 and ffi.cast("uint64_t", due) >= d.armed_ms then
      d.due_ms = due
    else
      C.deadline_arm(set.all, d, due)
    end
  end
  function set.run(now)
    set.fired = {}
    C.deadlines_run(set.all, now)
    return set.fired
  end
  return set
end

describe("deadline", function()
  local set

  after_each(function() set.fire:free() end)

  it("fires when its time has come, once", function()
    set = new()
    set.set(set.make "a", 100)
    assert.same({}, set.run(99))
    assert.same({ "a" }, set.run(100))
    assert.same({}, set.run(1000))
    assert.equal(0, set.all.count)
  end)

  it("fires in the order of time", function()
    set = new()
    for _, due in ipairs { 50, 10, 40, 20, 30 } do set.set(set.make("at " .. due), due) end
    assert.same({ "at 10", "at 20", "at 30", "at 40", "at 50" }, set.run(50))
  end)

  it("moves later without firing at the old time", function()
    set = new()
    local a = set.make "a"
    set.set(a, 100)
    set.set(a, 500)
    assert.is_true(set.all.heap[0].armed_ms == 100)     -- not touched
    assert.same({}, set.run(100))
    assert.is_true(set.all.heap[0].armed_ms == 500)
    assert.same({ "a" }, set.run(500))
  end)

  it("moves earlier at once", function()
    set = new()
    local a, b = set.make "a", set.make "b"
    set.set(a, 100)
    set.set(b, 500)
    set.set(b, 50)
    assert.is_true(set.all.heap[0].armed_ms == 50)
    assert.same({ "b" }, set.run(50))
    assert.same({ "a" }, set.run(100))
  end)

  it("does not fire at all when it is set to never", function()
    set = new()
    local a, b = set.make "a", set.make "b"
    set.set(a, NEVER)
    assert.equal(0, a.place)
    set.set(b, 100)
    set.set(b, NEVER)
    assert.same({}, set.run(100000))
    assert.equal(0, set.all.count)
  end)

  it("does not fire after it was removed", function()
    set = new()
    for i = 1, 9 do set.set(set.make(i), i) end
    C.deadline_remove(set.all, set[5])
    C.deadline_remove(set.all, set[5])
    C.deadline_remove(set.all, set[1])
    C.deadline_remove(set.all, set[9])
    assert.same({ 2, 3, 4, 6, 7, 8 }, set.run(10))
  end)

  it("may set itself again when it fires", function()
    local due = 100
    set = new(function(s, name)
      due = due + 100
      s.set(s[name], due)
    end)
    set.set(set.make "a", due)
    for now = 100, 500, 100 do
      assert.same({ "a" }, set.run(now))
      assert.same({}, set.run(now + 99))
    end
  end)

  it("waits for the next run when it is set to a past time while it fires", function()
    local left = 3
    set = new(function(s, name)
      left = left - 1
      if left > 0 then s.set(s[name], 50) end
    end)
    set.set(set.make "a", 100)
    assert.same({ "a" }, set.run(100))
    assert.same({ "a" }, set.run(101))
  end)

  it("lets the others fire in the same run when one of them sets itself to a past time each time", function()
    set = new(function(s, name) if name == "a" then s.set(s.a, 5) end end)
    set.set(set.make "a", 10)
    set.set(set.make "b", 20)
    set.set(set.make "c", 30)
    assert.same({ "a", "b", "c" }, set.run(100))
    assert.same({ "a" }, set.run(101))
  end)

  it("may remove another one that is due too", function()
    set = new(function(s, name) if name == "a" then C.deadline_remove(s.all, s.b) end end)
    set.set(set.make "a", 1)
    set.set(set.make "b", 2)
    assert.same({ "a" }, set.run(5))
    assert.equal(0, set.b.place)
  end)

  it("does what a list does, over any setting, removing and running", function()
    core.seed()
    set = new()
    local model, now = {}, 0
    for i = 1, 50 do set.make(i) end
    for _ = 1, 4000 do
      local i = math.random(50)
      local what = math.random(10)
      if what <= 6 then
        model[i] = now + math.random(0, 300)
        set.set(set[i], model[i])
      elseif what == 7 then
        model[i] = nil
        set.set(set[i], NEVER)
      elseif what == 8 then
        model[i] = nil
        C.deadline_remove(set.all, set[i])
      else
        now = now + math.random(50)
        local due = {}
        for k, time in pairs(model) do
          if time <= now then table.insert(due, k) end
        end
        for _, k in ipairs(due) do model[k] = nil end
        local fired = set.run(now)
        table.sort(due)
        table.sort(fired)
        assert.same(due, fired)
      end
      for at = 1, set.all.count do
        local d = set.all.heap[at - 1]
        assert.is_true(d.place == at and (d.armed_ms <= d.due_ms or d.armed_ms <= set.all.ran_ms + 1))
        assert.is_true(at == 1 or set.all.heap[math.floor((at - 2) / 4)].armed_ms <= d.armed_ms)
      end
    end
  end)
end)
