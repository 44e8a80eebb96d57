local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function new() return ffi.gc(ffi.new "struct map", C.map_free) end
local function number(value) return tonumber(ffi.cast("uintptr_t", value)) end
local function value(n) return ffi.cast("void *", n) end

describe("map", function()
  it("has nothing in it at first", function()
    local map = new()
    assert.equal(0, number(C.map_get(map, core.slice "a")))
    assert.equal(0, number(C.map_remove(map, core.slice "a")))
  end)

  it("tells keys apart by all their bytes", function()
    local map = new()
    local keys = { "", "a", "A", "a\0", "\0a", "aa" }
    for i, key in ipairs(keys) do C.map_put(map, core.slice(key), value(i)) end
    for i, key in ipairs(keys) do assert.equal(i, number(C.map_get(map, core.guarded(key)))) end
    assert.equal(#keys, map.count)
  end)

  it("replaces the value of a key it has", function()
    local map = new()
    C.map_put(map, core.slice "a", value(1))
    C.map_put(map, core.slice "a", value(2))
    assert.equal(1, map.count)
    assert.equal(2, number(C.map_get(map, core.slice "a")))
  end)

  it("does what a table does, over any putting and removing", function()
    core.seed()
    local map, model, keys = new(), {}, {}
    for i = 1, 400 do keys[i] = "key" .. i end      -- held here: the map has views
    for i = 1, 20000 do
      local key = keys[math.random(#keys)]
      if math.random(5) <= 3 then
        C.map_put(map, core.slice(key), value(i))
        model[key] = i
      else
        assert.equal(model[key] or 0, number(C.map_remove(map, core.slice(key))))
        model[key] = nil
      end
      local other = keys[math.random(#keys)]
      assert.equal(model[other] or 0, number(C.map_get(map, core.slice(other))))
    end
    local count = 0
    for key, expected in pairs(model) do
      count = count + 1
      assert.equal(expected, number(C.map_get(map, core.slice(key))))
    end
    assert.equal(count, map.count)
  end)
end)
