--- Names to addresses without blocking: what is known at once, what is asked for, and what is kept.
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

-- The loop of a spec runs until so many answers have come. C calls back into Lua here: that must not be compiled.
local function run(loop) C.loop_run(loop) end
jit.off(run)

local wanted, told
local on_answer = ffi.cast("resolve_fn *", function(loop, who)
  told[#told + 1] = who
  if #told == wanted then C.loop_stop(loop) end
end)

local function addresses(resolved)
  local text, list = ffi.new("char[?]", C.ADDR_TEXT), {}
  for i = 0, resolved.count - 1 do list[i + 1] = ffi.string(text, C.addr_print(resolved.at[i], text)) end
  table.sort(list)
  return list
end

--- Asks once: the name of the result code, and what was found, or why not.
local function ask(loop, name, port, who)
  local out = ffi.new "struct resolved"
  local rc = core.rc(C.resolve_async(loop, core.guarded(name), port or 80, out, on_answer, who or 1))
  if rc == "OK" then return rc, addresses(out) end
  return rc, rc ~= "AGAIN" and ffi.string(out.why) or nil
end

-- A label is too long for a query (RFC 1035 section 2.3.4): the system says no without asking anybody.
local function absent(i) return ("%s%d.test"):format(("x"):rep(64), i) end

describe("resolve_async", function()
  local loop

  before_each(function()
    loop = C.loop_new(nil)
    told = {}
  end)
  after_each(function() C.loop_free(loop) end)

  local literals = {
    { "127.0.0.1", 80, "127.0.0.1:80" }, { "::1", 443, "[::1]:443" }, { "[::1]", 443, "[::1]:443" },
    { "255.1.2.3", 65535, "255.1.2.3:65535" },
  }
  for _, case in ipairs(literals) do
    it(("knows %s at once"):format(case[1]), function()
      local rc, found = ask(loop, case[1], case[2])
      assert.equal("OK", rc)
      assert.same({ case[3] }, found)
    end)
  end

  local none = {
    "", ".", "a..b", ".a", "a b", "a\0b", "a/b", "b\195\188ro.test", "127.1", "1", "0x7f000001", "1.2.3.0x4",
    "1.2.3.4:80", "[::1", ("x"):rep(254), ("x."):rep(127) .. "xx",
  }
  for _, name in ipairs(none) do
    it(("refuses %q at once"):format(name:sub(1, 20)), function()
      local rc, why = ask(loop, name)
      assert.equal("UNREACHABLE", rc)
      assert.truthy(why:find("it is neither a name nor an address", 1, true), why)
    end)
  end

  it("asks for a name once for all, in any case, and keeps the answer", function()
    assert.equal("AGAIN", (ask(loop, "localhost", 80, 11)))
    -- The answer may be there before all have asked: those who come later have it at once.
    local waiting = { 11 }
    for i, name in ipairs { "LOCALHOST", "localhost." } do
      local rc = ask(loop, name, 80 + i, 11 + i)
      if rc == "AGAIN" then waiting[#waiting + 1] = 11 + i else assert.equal("OK", rc) end
    end
    wanted = #waiting
    run(loop)
    table.sort(told)
    assert.same(waiting, told)
    for port = 80, 82 do
      local rc, found = ask(loop, "LocalHost", port)
      assert.equal("OK", rc)
      assert.is_true(#found > 0)
      for _, address in ipairs(found) do assert.truthy(address:match("^[%[%d].*:" .. port .. "$"), address) end
    end
  end)

  it("keeps that there is no such name", function()
    assert.equal("AGAIN", (ask(loop, absent(0))))
    wanted = 1
    run(loop)
    local rc, why = ask(loop, absent(0))
    assert.equal("UNREACHABLE", rc)
    assert.truthy(why:find('cannot resolve "' .. absent(0) .. '": ', 1, true), why)
  end)

  it("forgets what was asked for by a loop that ends", function()
    local other = C.loop_new(nil)
    for i = 1, 20 do assert.equal("AGAIN", (ask(other, absent(i), 80, i))) end
    assert.equal("AGAIN", (ask(loop, absent(100), 80, 100)))
    C.loop_free(other)
    wanted = 1
    run(loop)
    assert.same({ 100 }, told)
  end)

  it("starts again after its last loop has ended", function()
    for i = 1, 3 do
      local other = C.loop_new(nil)
      assert.equal("AGAIN", (ask(other, "localhost", 80, i)))
      wanted = #told + 1
      run(other)
      assert.equal("OK", (ask(other, "localhost")))
      C.loop_free(other)
    end
    assert.same({ 1, 2, 3 }, told)
  end)

  it("answers each question, or says at once that there are too many", function()
    wanted = 0
    for i = 1, 3000 do
      local rc, why = ask(loop, absent(i), 80, i)
      if rc == "AGAIN" then
        wanted = wanted + 1
      else
        assert.equal(('cannot resolve "%s": too many names are being resolved'):format(absent(i)), why)
      end
    end
    assert.is_true(wanted >= 1024)
    run(loop)
    assert.equal(wanted, #told)
  end)
end)
