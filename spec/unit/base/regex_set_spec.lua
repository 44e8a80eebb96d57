local core = require "support.core"
local ffi = require "ffi"
local re = require "tidegate.tide.re"
local C = core.C

local literals = ffi.new "struct regex_literals"

--- What is read off a pattern: the runs, the first with "^" in front where it is a prefix.
local function runs_of(pattern, flags)
  C.regex_literals_find(core.guarded(pattern), flags or 0, literals)
  local list = {}
  for i = 0, literals.count - 1 do
    list[i + 1] = ffi.string(literals.text + literals.runs[i].at, literals.runs[i].len)
  end
  if literals.is_prefix then list[1] = "^" .. list[1] end
  return table.concat(list, " ")
end

describe("regex_literals", function()
  local cases = {
    { "^/users/\\d+$", "^/users/" }, { "/users/", "/users/" }, { "^/u/(\\d+)/orders$", "^/u/ /orders" },
    { "\\.php$", ".php" }, { "^abc?d", "^ab d" }, { "^a*b", "b" }, { "^ab+c", "^ab c" }, { "ab{0,3}c", "a c" },
    { "ab{2}c", "ab c" }, { "ab{00}c", "a c" }, { "ab{10,}?c", "ab c" }, { "ab*+c", "a c" }, { "a|b", "" },
    { "^a|b", "" },
    { "a(b|c)d", "a d" }, { "a(?:b(c[)]d)e)f", "a f" }, { "a[^]x]b", "a b" }, { "a[[:alpha:]]b", "a b" },
    { "a.b", "a b" },
    { "a[\\]]b", "a b" }, { "(?i)abc", "" }, { "a(?i:b)c", "" }, { "ab(?#(x)c", "" }, { "\\Qa.b\\E", "" },
    { "a\\x62", "" }, { "a\\.b\\/c", "a.b/c" }, { "a\\db", "a b" }, { "(*COMMIT)a", "" }, { "a(?R)?b", "" },
    { "a(?=b)b", "a b" }, { "a(?<!b)c", "a c" }, { "a(?<n>b)c", "a c" }, { "a(?P<n>b)(?P=n)c", "" }, { "a{b", "" },
    { "", "" }, { "^", "" }, { "^$", "" }, { "a b#c", "a b#c" }, { "(a)b", "b" }, { "^(a)b", "b" }, { "^^ab", "ab" },
    { "ABC", "abc", C.REGEX_NOCASE }, { "a\\c)b", "" }, { "[\\c]]b", "" }, { "\\Aab", "ab" }, { "a\\Kb", "a b" },
  }
  for _, case in ipairs(cases) do
    it("of " .. case[1], function() assert.equal(case[2], runs_of(case[1], case[3])) end)
  end

  it("takes no more than there is room for", function()
    assert.equal(("a"):rep(256), runs_of(("a"):rep(1000)))
    assert.equal("a b c d e f g h", runs_of "a.b.c.d.e.f.g.h.i.j")
  end)
end)

describe("regex_set", function()
  local PIECES = { "/a", "/item1", "/item2", "users", "\\d", ".*", "(x|y)", "b?", "a{0,2}", "%2F", "$", "[ab]", "/",
    "e+" }
  local WORDS = { "/a", "/item1", "/item2", "users", "7", "x", "b", "aa", "%2F", "/", "ee", "item" }

  local function joined(list, most)
    local text = {}
    for i = 1, math.random(most) do text[i] = list[math.random(#list)] end
    return table.concat(text)
  end

  --- The values of the items of rank below the bound that a scan gives.
  local function scan(set, subject, bound)
    local state, values = ffi.new "struct regex_scan", {}
    C.regex_scan_begin(state, set, core.guarded(subject))
    while true do
      local item = C.regex_scan_next(state, bound)
      if item == nil then return values end
      assert.is_nil(values[item.value], "given twice")
      assert.is_true(item.rank < bound)
      values[item.value] = true
    end
  end

  it("gives every pattern that matches, and none twice", function()
    core.seed()
    local error_at, out, passed_over, asked = ffi.new "struct regex_error", ffi.new "struct regex *[1]", 0, 0
    for _ = 1, 60 do
      local set, kept, patterns = ffi.gc(C.regex_set_new(), C.regex_set_free), {}, {}
      for i = 1, math.random(0, 80) do
        local pattern = (math.random(2) == 1 and "^" or "") .. joined(PIECES, 5)
        assert.equal("OK", core.rc(C.regex_compile(core.slice(pattern), 0, out, error_at)))
        kept[i] = ffi.gc(out[0], C.regex_free)
        patterns[i] = { re = re.compile(pattern), rank = math.random(1000) }
        C.regex_set_add(set, kept[i], core.slice(pattern), 0, patterns[i].rank, i)
      end
      C.regex_set_seal(set)
      for _ = 1, 20 do
        local subject, bound = joined(WORDS, 8), math.random(1200)
        local given = scan(set, subject, bound)
        for i, pattern in ipairs(patterns) do
          asked = asked + 1
          if pattern.rank < bound and pattern.re:test(subject) then assert.is_true(given[i], pattern.re.pattern) end
          if not given[i] then passed_over = passed_over + 1 end
        end
      end
    end
    assert.is_true(passed_over > asked / 2)         -- that is what it is for
  end)

  it("finds one of thousands by what only it has", function()
    local error_at, out, kept = ffi.new "struct regex_error", ffi.new "struct regex *[1]", {}
    local set = ffi.gc(C.regex_set_new(), C.regex_set_free)
    for i = 1, 3000 do
      local pattern = ("^/shop/item%d/(\\d+)/details$"):format(i)
      C.regex_compile(core.slice(pattern), 0, out, error_at)
      kept[i] = ffi.gc(out[0], C.regex_free)
      C.regex_set_add(set, kept[i], core.slice(pattern), 0, i, i)
    end
    C.regex_set_seal(set)
    for _, i in ipairs { 1, 17, 500, 2999, 3000 } do
      local given = scan(set, ("/shop/item%d/12/details"):format(i), 100000)
      local count = 0
      for _ in pairs(given) do count = count + 1 end
      assert.is_true(given[i])
      assert.is_true(count <= 12, count .. " are asked")
    end
    assert.same({}, scan(set, "/", 100000))
  end)
end)
