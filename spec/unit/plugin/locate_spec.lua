local locate = require "tidegate.plugin.locate"

local SOURCE = [==[
--- schema = { size = { default = 1 } } in a comment
local version = "not this one"
local text = [[ schema = { ]] .. 'schema = {' .. "\"schema = {"
--[=[ schema = {
]=]
local Plugin = {
  version = "1.0.0",
  nested = { schema = { size = 1 } },
  ["band"] = "auth",
  schema = {
    size = { type = "size", default = "1MiB" },   -- size = 5
    ["odd key"] = { doc = "}" },
    list = { of = { type = "list" }, default = { 1, 2 } },
    é = 1, wide = { doc = "ö", min = 1 },
  },
  check = function(x) if x == 1 then return { priority = 2 } end end,
}
Plugin.priority = 5
Plugin.requires = { "a >= 1.0" }
return Plugin
]==]

describe("a field of a Lua table", function()
  local cases = {
    { { "version" }, 7, 3 },
    { { "band" }, 9, 4 },
    { { "schema" }, 10, 3 },
    { { "schema", "size" }, 11, 5 },
    { { "schema", "size", "default" }, 11, 29 },
    { { "schema", "odd key", "doc" }, 12, 21 },
    { { "schema", "list", "of", "type" }, 13, 21 },
    { { "schema", "list", "default" }, 13, 38 },
    { { "schema", "wide", "min" }, 14, 32 },
    { { "priority" }, 18, 8 },
    { { "requires", 1 }, 19, 8 },
    { { "schema", "size", "nothing" }, 11, 5 },
    { { "schema", "nothing", "type" }, 10, 3 },
    { { "nothing" } },
  }
  for _, case in ipairs(cases) do
    it("is found: " .. table.concat(case[1], "."), function()
      assert.same({ case[2], case[3] }, { locate.field(SOURCE, case[1]) })
    end)
  end

  local odd = { "", "schema", "schema =", "{ schema = ", "return { schema = [[", "return { schema = 'a", "--[[", "--",
                "{ schema = { x = { } } ", "}}}", "{ ['schema'] = { ['x'] = '\\", "\0\255" }
  for _, text in ipairs(odd) do
    it(("may be looked for in %q"):format(text), function() locate.field(text, { "schema", "x", "y" }) end)
  end
end)

describe("the first column of a line", function()
  local cases = { { "a\n  b\n", 2, 3 }, { "a", 1, 1 }, { "\tx", 1, 2 }, { "a\n\nb", 2, 1 }, { "a", 9, 1 },
                  { "a\n   \n", 2, 1 } }
  for _, case in ipairs(cases) do
    it(("is %d in %q"):format(case[3], case[1]), function()
      assert.equal(case[3], locate.indent(case[1], case[2]))
    end)
  end
end)
