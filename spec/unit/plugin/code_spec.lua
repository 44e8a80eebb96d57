--- The bytecode of plugins' files: what the loops run instead of their texts.
local code = require "tidegate.plugin.code"

local function run(bytes, ...) return assert(loadstring(bytes, "@x", "b"))(...) end

describe("the code of a plugin's file", function()
  it("runs, and counts its loops", function()
    local steps = 0
    local function refill()
      steps = steps + 1
      return 0
    end
    local bytes = assert(code.of("local n = 0 for _ = 1, 3 do n = n + 1 end return n", "counted.lua", false))
    assert.equal(3, run(bytes, refill))
    assert.equal(3, steps)
  end)

  it("of a trusted plugin counts nothing", function()
    assert.equal("mine", run(assert(code.of("return ...", "trusted.lua", true)), "mine"))
  end)

  it("keeps file and lines for what goes wrong", function()
    local good, why = pcall(run, assert(code.of("local a\n\nreturn a.b", "plugins/lines.lua", true)))
    assert.is_false(good)
    assert.truthy(why:find("plugins/lines.lua:3:", 1, true))
  end)

  it("says what is wrong with a text, as often as it is asked", function()
    for _ = 1, 2 do
      local bytes, why = code.of("return\nreturn", "plugins/bad.lua", false)
      assert.is_nil(bytes)
      assert.truthy(why:find("^plugins/bad%.lua:2: "))
    end
  end)

  it("is made anew for another text, or another trust", function()
    local first = code.of("return 1", "moving.lua", false)
    local second = code.of("return 2", "moving.lua", false)
    local third = code.of("return 2", "moving.lua", true)
    assert.same({ 1, 2, 2 }, { run(first), run(second), run(third) })
    assert.not_equal(second, third)
    assert.equal(third, code.of("return 2", "moving.lua", true))
  end)

  it("does not take bytecode for a text", function()
    local bytes, why = code.of(string.dump(function() end), "plugins/binary.lua", false)
    assert.is_nil(bytes)
    assert.truthy(why:find "bytecode")
    assert.is_nil((code.of(string.dump(function() end), "plugins/binary.lua", true)))
  end)
end)
