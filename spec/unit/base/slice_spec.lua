local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function members(list)
  local rest, member, found = core.guarded(list), ffi.new "struct slice[1]", {}
  local left = ffi.new("struct slice[1]", { rest })
  while C.slice_next_member(left, member) do table.insert(found, core.text(member[0])) end
  return found
end

describe("slice_equal_nocase", function()
  local cases = {
    { "is true for the same bytes", "Host", "Host", true },
    { "ignores the case of letters", "hOsT-1", "HoSt-1", true },
    { "tells bytes apart that differ by 32 and are no letters", "[a]", "{a}", false },
    { "tells @ and ` apart", "@", "`", false },
    { "does not fold letters outside of ASCII", "\196", "\228", false },
    { "is false for another length", "Host", "Hosts", false },
    { "is true for nothing and nothing", "", "", true },
    { "looks at bytes behind a NUL", "a\0b", "a\0c", false },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.equal(case[4], C.slice_equal_nocase(core.slice(case[2]), core.guarded(case[3])))
    end)
  end

  it("has one hash for names equal but for case", function()
    local name = "X-Forwarded-For"
    assert.equal(C.slice_hash_nocase(core.slice(name)), C.slice_hash_nocase(core.guarded(name:upper())))
    assert.equal(C.slice_hash(core.slice(name)), C.slice_hash(core.guarded(name)))
    assert.not_equal(C.slice_hash(core.slice(name)), C.slice_hash(core.guarded(name:upper())))
  end)
end)

describe("slice_trim", function()
  local cases = {
    { "", "" }, { " ", "" }, { "\t \t", "" }, { "a", "a" }, { "  a", "a" }, { "a\t", "a" }, { " a b ", "a b" },
    { "\na ", "\na" }, { "\0 ", "\0" },
  }
  for _, case in ipairs(cases) do
    it(("makes %q of %q"):format(case[2], case[1]), function()
      assert.equal(case[2], core.text(C.slice_trim(core.guarded(case[1]))))
    end)
  end
end)

describe("slice_next_member", function()
  local cases = {
    { "gives nothing for an empty list", "", {} },
    { "skips empty members", " ,, \t,", {} },
    { "trims members", " a ,b\t,\tc", { "a", "b", "c" } },
    { "keeps a comma inside a quoted string", 'a="1,2", b', { 'a="1,2"', "b" } },
    { "knows an escaped quote", [["a\",b",c]], { [["a\",b"]], "c" } },
    { "takes an open string to the end", 'a,"b,c', { "a", '"b,c' } },
    { "does not look behind a last backslash", [[a,"\]], { "a", [["\]] } },
    { "gives the last of a list that ends in a comma", "a,", { "a" } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() assert.same(case[3], members(case[2])) end)
  end
end)

describe("slice_list_has", function()
  local cases = {
    { "close", "close", true }, { "Keep-Alive, Close", "close", true }, { "closed", "close", false },
    { "", "close", false }, { '"close"', "close", false }, { "a close", "close", false }, { ",close ,", "close", true },
  }
  for _, case in ipairs(cases) do
    it(("says %s for %q in %q"):format(case[3], case[2], case[1]), function()
      assert.equal(case[3], C.slice_list_has(core.guarded(case[1]), core.slice(case[2])))
    end)
  end
end)

describe("slice_to_u64", function()
  local max = 18446744073709551615ULL
  local cases = {
    { "0", max, 0ULL }, { "00", max, 0ULL }, { "42", max, 42ULL }, { "007", max, 7ULL },
    { "18446744073709551615", max, max }, { "18446744073709551616", max, nil }, { "99999999999999999999", max, nil },
    { "65535", 65535ULL, 65535ULL }, { "65536", 65535ULL, nil }, { "9", 9ULL, 9ULL }, { "10", 9ULL, nil },
    { "0", 0ULL, 0ULL }, { "1", 0ULL, nil }, { "5", 4ULL, nil },
    { "", max, nil }, { "+1", max, nil }, { "-1", max, nil }, { " 1", max, nil }, { "1 ", max, nil },
    { "0x1", max, nil }, { "1,1", max, nil }, { "1\0", max, nil }, { "\178", max, nil },
  }
  for _, case in ipairs(cases) do
    it(("reads %q up to %s as %s"):format(case[1], tostring(case[2]), tostring(case[3])), function()
      local out = ffi.new("uint64_t[1]", 77)
      local ok = C.slice_to_u64(core.guarded(case[1]), case[2], out)
      assert.equal(case[3] ~= nil, ok)
      if ok then assert.is_true(out[0] == case[3]) end
    end)
  end
end)

describe("format_u64 and format_hex", function()
  local cases = {
    { 0ULL, "0", "0" }, { 9ULL, "9", "9" }, { 10ULL, "10", "a" }, { 255ULL, "255", "ff" }, { 4096ULL, "4096", "1000" },
    { 18446744073709551615ULL, "18446744073709551615", "ffffffffffffffff" },
  }
  for _, case in ipairs(cases) do
    it(("write %s and %s"):format(case[2], case[3]), function()
      local at = core.guarded(("x"):rep(20)).at
      assert.equal(case[2], ffi.string(at, C.format_u64(ffi.cast("char *", at), case[1])))
      at = core.guarded(("x"):rep(16)).at
      assert.equal(case[3], ffi.string(at, C.format_hex(ffi.cast("char *", at), case[1])))
    end)
  end

  it("write every number of digits", function()
    local at, power = core.guarded(("x"):rep(20)).at, 1ULL
    for digits = 1, 20 do
      local out = ffi.cast("char *", at)
      assert.equal("1" .. ("0"):rep(digits - 1), ffi.string(at, C.format_u64(out, power)))
      if digits > 1 then assert.equal(("9"):rep(digits - 1), ffi.string(at, C.format_u64(out, power - 1))) end
      power = power * 10
    end
    for n = 0, 20000 do
      assert.equal(tostring(n), ffi.string(at, C.format_u64(ffi.cast("char *", at), n)))
    end
  end)
end)

describe("rc", function()
  it("has a word and a status for every code", function()
    for i, name in ipairs(core.tables.RC) do
      assert.is_true(#ffi.string(C.rc_word(i - 1)) > 0, name)
      local status = C.rc_status(i - 1)
      assert.is_true(status >= 200 and status <= 599, name)
    end
  end)
end)
