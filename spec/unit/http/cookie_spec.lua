--- One cookie of a Cookie field, as tide.cookie finds it.
local cookie = require "tidegate.tide.cookie"
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local value = ffi.new "struct slice[1]"

local function get(field, name)
  if C.cookie_get(core.guarded(field), core.slice(name), value) then return core.text(value[0]) or "" end
  return nil
end

describe("a cookie", function()
  local cases = {
    -- field, name, value
    { "a=1", "a", "1" },
    { "a=1; b=2", "b", "2" },
    { "a=1;b=2", "b", "2" },
    { "a=1; a=2", "a", "1" },
    { "aa=1; a=2", "a", "2" },
    { "b=a; a=2", "a", "2" },
    { " a = 1 ; b=2", "a", "1" },
    { 'a="1 2"; b=2', "a", "1 2" },
    { 'a="', "a", '"' },
    { 'a=""', "a", "" },
    { "a=", "a", "" },
    { "a=b=c", "a", "b=c" },
    { "a", "a", nil },
    { "a; a=1", "a", "1" },
    { "=1; a", "a", nil },
    { ";;;a=1", "a", "1" },
    { "A=1", "a", nil },
    { "", "a", nil },
    { "\ta\t=\t1\t", "a", "1" },
  }
  for _, case in ipairs(cases) do
    it(("%q has %s as %s"):format(case[1], case[2], tostring(case[3])), function()
      assert.equal(case[3], get(case[1], case[2]))
      assert.equal(case[3], cookie.get(case[1], case[2]))
    end)
  end

  it("is found as Lua finds it, in any field", function()
    core.seed()
    local pieces = { "a", "b", "ab", "=", "=", ";", ";", " ", "\t", '"', "1", "; a=", "x" }
    for _ = 1, 5000 do
      local field = {}
      for i = 1, math.random(0, 12) do field[i] = pieces[math.random(#pieces)] end
      field = table.concat(field)
      for _, name in ipairs { "a", "b", "ab" } do
        assert.equal(cookie.get(field, name), get(field, name), ("%q %s"):format(field, name))
      end
    end
  end)
end)
