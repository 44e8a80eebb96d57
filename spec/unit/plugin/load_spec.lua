require "tidegate.ffi"
local limit = require "tidegate.plugin.limit"
local load = require "tidegate.plugin.load"

local function file(source, trusted)
  return { name = "x", path = "plugins/x.lua", source = source, trusted = trusted or false }
end

local function run(source, modules, memory)
  return load.plugin(file(source), modules or {}, {
    tide = { answer = 42 }, refill = limit.new(memory).refill, where = function() return "load" end,
  })
end

describe("the file of a plugin", function()
  it("gives what it returns", function()
    assert.same({ n = 42 }, (run "return { n = tide.answer }"))
  end)

  it("has modules from a table, as in the loops", function()
    local modules = { ["a.b"] = { path = "p/a/b.lua", source = "return { five = 5 }" } }
    assert.equal(5, (run("return require 'a.b'.five", modules)))
  end)

  it("has modules from a function, as in the control thread", function()
    local asked = {}
    local function find(name)
      asked[#asked + 1] = name
      if name == "a" then return { path = "p/a.lua", source = "local b = require 'b' return b" } end
      return nil, { "p/b.lua" }
    end
    local result, why = run("return require 'a'", find)
    assert.same({ "a", "b" }, asked)
    assert.is_nil(result)
    assert.equal('p/a.lua:1: module "b" not found for plugin x: looked in p/b.lua', why)
  end)

  local wrong = {
    { "does not compile", "local x =", "plugins/x.lua:1: unexpected symbol near '<eof>'" },
    { "is compiled already", string.dump(function() end), "plugins/x.lua:1: expected the text of a Lua program" },
    { "raises", "\nerror 'no'", "plugins/x.lua:2: no" },
    { "raises what is no text", "error {}", "an error that is no text, but a table" },
    { "raises nothing", "error()", "an error that is no text, but a nil" },
    { "writes a global", "x = 1", 'plugins/x.lua:1: assignment to undeclared global "x"' },
    { "does not end", "while true do end", "plugins/x.lua:1: still busy after 1 s of CPU time" },
    { "does not end, whatever it catches", "while true do pcall(function() while true do end end) end",
      "plugins/x.lua:1: still busy after 1 s of CPU time" },
  }
  for _, case in ipairs(wrong) do
    it("fails where it " .. case[1], function()
      local result, why = run(case[2])
      assert.is_nil(result)
      assert.equal(case[3], why:sub(1, #case[3]))
    end)
  end

  it("fails where it takes too much memory", function()
    local result, why = run("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", nil, 8 * 2 ^ 20)
    assert.is_nil(result)
    assert.equal("plugins/x.lua:1: took more than 8 MiB of memory while loading", why)
  end)
end)

describe("an instance", function()
  it("is what new gives", function()
    local plugin = assert(run "return { new = function(conf) return { n = conf.n + 1 } end }")
    assert.same({ n = 6 }, load.instance(plugin, { n = 5 }))
  end)

  it("has the hooks of its plugin and its settings where there is no new", function()
    local plugin = assert(run "return { request = function(self) return self.conf.n end }")
    assert.equal(5, load.instance(plugin, { n = 5 }):request())
  end)

  local wrong = {
    { "raises", "error 'no'", "plugins/x.lua:1: no" },
    { "gives nil and why", "return nil, 'no such thing'", "no such thing" },
    { "gives nothing", "", "new returned nothing" },
    { "gives false", "return false", "new returned nothing" },
  }
  for _, case in ipairs(wrong) do
    it("fails where new " .. case[1], function()
      local plugin = assert(run(("return { new = function() %s end }"):format(case[2])))
      local instance, why = load.instance(plugin, {})
      assert.is_nil(instance)
      assert.equal(case[3], why)
    end)
  end
end)
