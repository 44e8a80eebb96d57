--- The arguments of a query in C, as tide.url.parse_query gives them.
local core = require "support.core"
local ffi = require "ffi"
local url = require "tidegate.tide.url"
local C = core.C

--- A list of { name, value }, or nil and the word of the error.
local function parse(text)
  local arena, query = core.arena(), ffi.new "struct query"
  local rc = core.rc(C.query_parse(core.guarded(text), arena, query))
  if rc ~= "OK" then
    assert.equal(0, query.count)
    return nil, rc
  end
  local list = {}
  for i = 0, query.count - 1 do
    list[i + 1] = { core.text(query.arguments[i].name) or "", core.text(query.arguments[i].value) or "" }
  end
  return list
end

local function in_lua(text)
  local list = url.parse_query(text, { list = true })
  for _, argument in ipairs(list or {}) do
    if argument[2] == true then argument[2] = "" end
  end
  return list
end

describe("a query", function()
  local cases = {
    { "", {} },
    { "&&", {} },
    { "a", { { "a", "" } } },
    { "a=", { { "a", "" } } },
    { "=", { { "", "" } } },
    { "a=1&b=2", { { "a", "1" }, { "b", "2" } } },
    { "&a=1&&b&", { { "a", "1" }, { "b", "" } } },
    { "a=b=c", { { "a", "b=c" } } },
    { "a+b=%41%2b+", { { "a b", "A+ " } } },
    { "%00=%ff", { { "\0", "\255" } } },
    { "a;b=1", { { "a;b", "1" } } },
    { "a=%", nil, "MALFORMED" },
    { "a=%4", nil, "MALFORMED" },
    { "a=%4g", nil, "MALFORMED" },
    { "a=1&%=2", nil, "MALFORMED" },
    { ("a&"):rep(101), nil, "LIMIT" },
  }
  for _, case in ipairs(cases) do
    it(("%q"):format(case[1]:sub(1, 20)), function()
      local list, why = parse(case[1])
      assert.same(case[2], list)
      assert.equal(case[3], why)
      assert.same(case[2], in_lua(case[1]))
    end)
  end

  it("has at most a hundred arguments", function()
    assert.equal(100, #parse(("a&"):rep(100)))
  end)

  it("is the same as in Lua, whatever it is", function()
    core.seed()
    local pieces = { "a", "b", "=", "=", "&", "&", "+", "%41", "%", "%4", "%zz", "%26", "", " ", "é" }
    for _ = 1, 5000 do
      local text = {}
      for i = 1, math.random(0, 10) do text[i] = pieces[math.random(#pieces)] end
      text = table.concat(text)
      assert.same(in_lua(text), (parse(text)), text)
    end
  end)

  it("gives the first of a name", function()
    local arena, query = core.arena(), ffi.new "struct query"
    local text = "a=1&b=2&a=3"
    assert.equal("OK", core.rc(C.query_parse(core.slice(text), arena, query)))
    assert.equal("1", core.text(C.query_find(query, core.slice "a").value))
    assert.is_true(C.query_find(query, core.slice "c") == nil)
  end)
end)
