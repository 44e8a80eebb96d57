local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local why = ffi.new "struct regex_error"
local out = ffi.new "struct regex *[1]"

--- Compiles; nil and what is wrong with its offset.
local function compile(pattern, flags)
  local rc = C.regex_compile(core.guarded(pattern), flags or 0, out, why)
  if core.rc(rc) ~= "OK" then return nil, ffi.string(why.text), tonumber(why.offset) end
  return ffi.gc(out[0], C.regex_free)
end

--- The result code, and the groups: false for one that took no part.
local function match(regex, subject, count)
  count = count or 1
  local groups = ffi.new("struct slice[?]", count)
  local view = core.guarded(subject)
  local rc = core.rc(C.regex_match(regex, view, groups, count))
  local list = {}
  if rc == "OK" then
    for i = 0, count - 1 do list[i + 1] = core.text(groups[i]) or false end
  end
  return rc, list
end

describe("regex", function()
  -- Pattern, subject, groups; none: not found.
  local cases = {
    { "^/u/(\\d+)$", "/u/12", { "/u/12", "12" } },
    { "^/u/(\\d+)$", "/u/x" },
    { "b", "abc", { "b" } },
    { "", "", { "" } },
    { "", "a", { "" } },
    { "^$", "", { "" } },
    { "(a)|(b)", "b", { "b", false, "b" } },
    { "(a)?b(c)?", "b", { "b", false, false } },
    { "(a*)b", "b", { "b", "" } },
    { "^a$", "a\n" },
    { "A", "a" },
    { "A", "a", { "a" }, C.REGEX_NOCASE },
    { "a\\x00b", "a\0b", { "a\0b" } },
    { "^.$", "é" },                             -- bytes, not characters
    { "(?<year>\\d{4})-(?<month>\\d\\d)", "on 2024-05", { "2024-05", "2024", "05" } },
    { "a\\Kb", "ab", { "b" } },
    { "x", ("a"):rep(5000) .. "x", { "x" } },
    { "(?<=a)x$", ("a"):rep(5000) .. "x", { "x" } },
    { "^x", ("a"):rep(5000) .. "x" },
    { "a{300}b", ("a"):rep(1000) .. "b", { ("a"):rep(300) .. "b" } },
    { "\\Gb", ("a"):rep(255) .. ("b"):rep(600) },
    { "a(*COMMIT)c|b", ("a"):rep(600) .. "b" },
  }
  for i, case in ipairs(cases) do
    it(("matches %q: %d"):format(case[1], i), function()
      local regex = compile(case[1], case[4])
      local rc, groups = match(regex, case[2], case[3] and #case[3])
      assert.equal(case[3] and "OK" or "END", rc)
      assert.same(case[3] or {}, groups)
    end)
  end

  it("gives nothing for groups that there are not", function()
    local _, groups = match(compile "(a)", "a", 4)
    assert.same({ "a", "a", false, false }, groups)
  end)

  it("knows its groups and their names", function()
    local regex = compile "(?<a>x)(y)(?<long_name>z)"
    assert.equal(3, C.regex_groups(regex))
    local names = {}
    for i = 1, 3 do names[i] = core.text(C.regex_group_name(regex, i)) or false end
    assert.same({ "a", false, "long_name" }, names)
    assert.is_true(C.regex_bytes(regex) > 100)
  end)

  local bad = {
    { "a(b", "missing closing parenthesis at byte 4", 3 },
    { "[z-a]", "range out of order in character class at byte 4", 3 },
    { "*", "quantifier does not follow a repeatable item at byte 1", 0 },
    { "a\\", "\\ at end of pattern at byte 3", 2 },
    { ("(a)"):rep(33), "more than 32 groups at byte 100", 99 },
    { "(?:[ab]{60}){1000}", "regular expression is too large at byte 19", 18 },
    { "(?:[ab]{60}){5000}", "regular expression is too large at byte 19", 18 },
    { ("a"):rep(8193), "longer than 8192 bytes at byte 8193", 8192 },
    { "(*UTF)a", "using UTF is disabled by the application at byte 7", 6 },
    { ("("):rep(300) .. (")"):rep(300), "parentheses are too deeply nested at byte 252", 251 },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1]:sub(1, 40), function()
      assert.same({ nil, case[2], case[3] }, { compile(case[1]) })
    end)
  end

  -- What would go on for seconds to centuries; the subject, and whether it can be told after all.
  local endless = {
    { "^(a+)+$", ("a"):rep(64) .. "b" },
    { "^(?:(?:a|a)*)*b", ("a"):rep(200) },
    { "(x+x+)+y", ("x"):rep(60000) },
    { "(.*)*(.*)*(.*)*!", ("a"):rep(8192) },
    { "a*a*a*a*b", ("a"):rep(60000) },
    { "(?:a*)*(*COMMIT)b", ("a"):rep(4096) },
    { "\\Gx|a*b", ("a"):rep(60000) },
    { "^(a|(?1)b)*$", ("ab"):rep(4000) .. "c" },
    { "^(?R)?a", ("a"):rep(60000) },
  }
  for _, case in ipairs(endless) do
    it("comes to an end: " .. case[1], function()
      local regex = compile(case[1])
      local before, began = C.regex_limit_hits(), os.clock()
      local rc = match(regex, case[2])
      local took = os.clock() - began
      assert.is_true(took < 2, ("%s after %.3f s"):format(rc, took))
      assert.equal(rc == "LIMIT" and 1 or 0, tonumber(C.regex_limit_hits() - before))
      assert.not_equal("OK", rc)
    end)
  end

  it("says that a limit was met, and counts it", function()
    local before = C.regex_limit_hits()
    assert.equal("LIMIT", (match(compile "^(a+)+$", ("a"):rep(64) .. "b")))
    assert.equal(before + 1, C.regex_limit_hits())
  end)

  it("finds what Lua finds for plain texts, wherever it stands", function()
    for _, length in ipairs { 0, 1, 63, 64, 65, 191, 192, 255, 256, 257, 258, 319, 320, 321, 1000 } do
      for _, pattern in ipairs { "b", "ab", "aab$", "^b" } do
        local regex = compile(pattern)
        local subject = ("a"):rep(length) .. "b"
        assert.equal(subject:find(pattern) and "OK" or "END", (match(regex, subject)), pattern .. length)
        assert.equal("END", (match(regex, ("a"):rep(length))), pattern .. length)
      end
    end
  end)
end)
