local re = require "tidegate.tide.re"

local function compile(pattern, flags) return assert(re.compile(pattern, flags)) end

describe("re.compile", function()
  local complaints = {
    { "a(b", nil, 'expected a regular expression, found "a(b": missing closing parenthesis at byte 4' },
    { "*a", nil, 'expected a regular expression, found "*a": quantifier does not follow a repeatable item at byte 1' },
    { "[a", nil, 'expected a regular expression, found "[a": missing terminating ] for character class at byte 3' },
    { "a", "q", 'expected flags of "imsxnuUAD", found "q"' },
    { "a", "i\0", 'expected flags of "imsxnuUAD", found "\\x00"' },
    { ("a"):rep(32769), nil, "expected a regular expression of at most 32768 bytes, found 32769" },
  }
  for _, case in ipairs(complaints) do
    it("refuses " .. case[1]:sub(1, 20) .. " " .. (case[2] or ""):gsub("%z", "?"), function()
      local regex, why = re.compile(case[1], case[2])
      assert.is_nil(regex)
      assert.equal(case[3], why)
    end)
  end

  for _, pattern in ipairs { "(*UTF)a", "(*UCP)a", "\\C", "((a{9}b){99}){999}", ("("):rep(300) .. (")"):rep(300) } do
    it("refuses " .. pattern:sub(1, 20), function() assert.is_nil((re.compile(pattern))) end)
  end

  it("gives what prints as its pattern and cannot be changed", function()
    local regex = compile "a+"
    assert.equal("re: a+", tostring(regex))
    assert.equal("a+", regex.pattern)
    assert.has_error(function() regex.count = 5 end,
                     "assignment to count of a regular expression: it is not to be changed")
    assert.is_nil(regex.code)
  end)
end)

describe("re:match", function()
  local cases = {
    { "a(b)(c)?", "", "xabx", { [0] = "ab", "b", false } },
    { "(?<user>\\w+)@(?<host>[a-z.]+)", "", "to bob@example.com!",
      { [0] = "bob@example.com", "bob", "example.com", user = "bob", host = "example.com" } },
    { "(?<a>x)|(?<b>y)", "", "y", { [0] = "y", false, "y", a = false, b = "y" } },
    { "", "", "", { [0] = "" } }, { "^$", "", "", { [0] = "" } }, { "a", "", "b", nil }, { "a", "", "", nil },
    { "A", "i", "a", { [0] = "a" } }, { "A", "", "a", nil },
    { "^b$", "m", "a\nb\nc", { [0] = "b" } }, { "^b$", "", "a\nb\nc", nil },
    { "a.b", "s", "a\nb", { [0] = "a\nb" } }, { "a.b", "", "a\nb", nil },
    { "a  b # c", "x", "ab", { [0] = "ab" } },
    { "(a)(?<b>b)", "n", "ab", { [0] = "ab", "b", b = "b" } },
    { "a+", "U", "aaa", { [0] = "a" } }, { "b", "A", "ab", nil }, { "a$", "D", "a\n", nil },
    { "a$", "", "a\n", { [0] = "a" } },
    { ".", "u", "é", { [0] = "é" } }, { ".", "", "é", { [0] = "\195" } }, { "É", "iu", "é", { [0] = "é" } },
    { "^\\w+$", "u", "größe", { [0] = "größe" } }, { "^\\w+$", "", "größe", nil },
    { "a\\0b", "", "a\0b", { [0] = "a\0b" } }, { "a\0b", "", "xa\0b", { [0] = "a\0b" } },
    { "\\d+", "", "ab12cd34", { [0] = "12" } }, { "(?<=b)c", "", "abc", { [0] = "c" } },
  }
  for _, case in ipairs(cases) do
    it(("of /%s/%s in %q"):format(case[1]:gsub("%z", "?"), case[2], case[3]), function()
      local regex = compile(case[1], case[2])
      assert.same({ case[4] }, { regex:match(case[3]) })
      assert.equal(case[4] ~= nil, regex:test(case[3]))
      assert.same({ case[4] }, { re.match(case[3], case[1], case[2]) })
      assert.equal(case[4] ~= nil, re.test(case[3], case[1], case[2]))
    end)
  end

  it("begins where it is told, and sees what is before", function()
    local digits, bound = compile "\\d", compile "\\bb"
    assert.equal("2", digits:match("1 2", 2)[0])
    assert.is_nil(digits:match("1", 2))
    assert.is_nil(digits:match("1", 3))
    assert.is_nil(bound:match("ab", 2))
    assert.is_truthy(compile(""):match("a", 2))
  end)

  it("refuses what is not UTF-8, with the flag u", function()
    for _, case in ipairs { { "a\255", 2 }, { "é\195", 3 }, { "\237\160\128", 1 }, { "\192\128", 1 } } do
      local found, why = compile("a", "u"):match(case[1])
      assert.is_nil(found)
      assert.equal(("expected UTF-8, found byte 0x%02X at byte %d"):format(case[1]:byte(case[2]), case[2]), why)
    end
    assert.same({ nil, "expected a start at a character, found one within a character" },
                { compile("a", "u"):match("éa", 2) })
    assert.equal("a", compile("a", "u"):match("éa", 3)[0])
  end)

  it("works when it is compiled to machine code", function()
    local regex = compile "(\\d+)-(\\d+)"
    for i = 1, 500 do
      local found = regex:match(("x%d-%d"):format(i, i * 2))
      assert.equal(tostring(i), found[1])
      assert.equal(tostring(i * 2), found[2])
    end
  end)
end)

describe("re:find", function()
  it("gives places that string.sub takes", function()
    local regex = compile "b+"
    assert.same({ 2, 3 }, { regex:find "abbc" })
    assert.same({ 3, 3 }, { regex:find("abbc", 3) })
    assert.same({}, { regex:find "x" })
    assert.same({ 2, 1 }, { compile("(?=b)"):find "ab" })
  end)
end)

describe("re:gmatch", function()
  local cases = {
    { "\\w+", "a bc, d", { "a", "bc", "d" } }, { "x*", "axb", { "", "x", "", "" } }, { "", "ab", { "", "", "" } },
    { "a", "", {} }, { "a|", "ba", { "", "a", "" } }, { "\\b|b", "ab", { "", "b", "" } },
  }
  for _, case in ipairs(cases) do
    it(("finds all of /%s/ in %q"):format(case[1], case[2]), function()
      local found = {}
      for match in compile(case[1]):gmatch(case[2]) do found[#found + 1] = match[0] end
      assert.same(case[3], found)
    end)
  end

  it("goes from character to character with the flag u", function()
    local n = 0
    for _ in compile("", "u"):gmatch "é€😀" do n = n + 1 end
    assert.equal(4, n)
  end)

  it("raises what it cannot give back", function()
    assert.has_error(function() compile("a", "u"):gmatch "\255" () end,
                     "re:gmatch: expected UTF-8, found byte 0xFF at byte 1")
  end)
end)

describe("re:gsub", function()
  local upper = function(match) return match[0]:upper() end
  local cases = {
    { "b", "abcb", "X", "aXcX", 2 }, { "b", "abcb", "X", "aXcb", 1, 1 }, { "b", "abcb", "X", "abcb", 0, 0 },
    { "x", "abc", "X", "abc", 0 }, { "(\\w)(\\w)", "abcd", "$2$1", "badc", 2 }, { "b", "abc", "[$0]", "a[b]c", 1 },
    { "(?<n>b)", "abc", "${n}${n}${1}", "abbbc", 1 }, { "b", "abc", "$$", "a$c", 1 }, { "b", "abc", "", "ac", 1 },
    { "(b)|c", "abc", "<$1>", "a<b><>", 2 }, { "a*", "aab", "x", "xxbx", 3 }, { "", "ab", "-", "-a-b-", 3 },
    { "b", "abc", upper, "aBc", 1 }, { "b", "abc", function() return nil end, "abc", 1 },
    { "b", "abc", function() return false end, "abc", 1 }, { "b", "abc", function() return 7 end, "a7c", 1 },
    { "", "", "x", "x", 1 },
  }
  for _, case in ipairs(cases) do
    it(("of /%s/ in %q by %s"):format(case[1], case[2], tostring(case[3]):gsub("0x%x+", "")), function()
      assert.same({ case[4], case[5] }, { compile(case[1]):gsub(case[2], case[3], case[6]) })
    end)
  end

  it("is there without compiling", function()
    assert.equal("a-c", (re.gsub("aBc", "b", "-", "i")))
    assert.is_nil((re.gsub("a", "(", "")))
  end)

  for _, replacement in ipairs { "$1", "$x", "a$", "${b}", "${1}", "${", "$-" } do
    it("refuses the replacement " .. replacement, function()
      local text, why = compile("a"):gsub("a", replacement)
      assert.is_nil(text)
      assert.equal(1, why:find("expected $0 to $0, ${name} of a group or $$ in a replacement, found ", 1, true), why)
    end)
  end

  it("lets its function use the same expression", function()
    local regex = compile "(\\d)"
    assert.equal("a<1>b<2>", (regex:gsub("a1b2", function(match)
      return "<" .. regex:match("x" .. match[1] .. "9")[1] .. ">"
    end)))
  end)

  it("does not let its result grow without end", function()
    local text, why = compile(""):gsub(("x"):rep(20000), ("y"):rep(1000))
    assert.is_nil(text)
    assert.equal("expected a result of at most 16777216 bytes, found more", why)
  end)
end)

describe("re:split", function()
  local cases = {
    { ",\\s*", "a, b,c", { "a", "b", "c" } }, { ",", "", { "" } }, { ",", ",a,,", { "", "a", "", "" } },
    { "", "abc", { "a", "b", "c" } }, { "x*", "axxb", { "a", "b" } }, { ",", "a,b,c", { "a", "b,c" }, 2 },
    { ",", "a,b", { "a,b" }, 1 }, { "(,)", "a,b", { "a", "b" } },
  }
  for _, case in ipairs(cases) do
    it(("of %q at /%s/"):format(case[2], case[1]), function()
      assert.same(case[3], compile(case[1]):split(case[2], case[4]))
    end)
  end
end)

describe("a pattern that would take for ever", function()
  local cases = {
    { "nested repeats", "(a+)+$", ("a"):rep(40) .. "!" },
    { "repeats in alternatives", "^(a|aa)+$", ("a"):rep(200) .. "!" },
    { "overlapping repeats", "(x+x+)+[yz]", ("x"):rep(200) },
    { "repeats with something between", "^(.*?,){25}[PQ]", ("1,"):rep(200) },
    { "the same bytes from every start", "a*b", ("a"):rep(1000000) .. "!" },
    { "the same bytes from every start, with the flag u", "é*b", ("é"):rep(500000) .. "!", "u" },
    { "deep recursion", "^(?:(a)|b(?1))*$|((?R)x)", ("a"):rep(100000) .. "!" },
  }
  for _, case in ipairs(cases) do
    it("is given up: " .. case[1], function()
      local started = os.clock()
      local regex = compile(case[2], case[4])
      for _, method in ipairs { "match", "test", "find", "split" } do
        assert.same({ nil, "match limit exceeded" }, { regex[method](regex, case[3]) })
      end
      assert.same({ nil, "match limit exceeded" }, { regex:gsub(case[3], "") })
      assert.has_error(function() regex:gmatch(case[3])() end, "re:gmatch: match limit exceeded")
      assert.is_true(os.clock() - started < 20)
    end)
  end
end)

describe("a long subject", function()
  local long = ("hay "):rep(25000)

  it("is searched to its end", function()
    assert.is_false(compile("needle"):test(long))
    assert.same({ #long + 1, #long + 6 }, { compile("needle"):find(long .. "needle") })
    assert.same({ #long + 1, #long + 6 }, { compile("(?<= )n\\w+$"):find(long .. "needle") })
    assert.equal(#long + 1, (compile("$"):find(long)))
    assert.is_false(compile("^x"):test(long))
    assert.is_true(compile("^needle", "m"):test(long .. "\nneedle"))
    assert.is_false(compile("needle", "A"):test(long .. "needle"))
    assert.is_false(compile("\\Gneedle"):test(long .. "needle"))
  end)

  it("is searched by characters with the flag u", function()
    local text = ("€"):rep(30000)
    assert.is_false(compile(".a", "u"):test(text))
    assert.same({ #text - 2, #text + 1 }, { compile(".a", "u"):find(text .. "a") })
    assert.same({ nil, ("expected UTF-8, found byte 0xFF at byte %d"):format(#text + 1) },
                { compile("a", "u"):test(text .. "\255") })
  end)

  it("is replaced in many places", function()
    -- Each place costs up to 5 us where nothing is compiled, and all together may cost 100 ms.
    local sparse = ("hay" .. ("."):rep(16) .. " "):rep(5000)
    local text, count = compile("h(a)y"):gsub(sparse, "s${1}y")
    assert.equal(5000, count)
    assert.equal(("say" .. ("."):rep(16) .. " "):rep(5000), text)
    assert.equal(5001, #compile(" "):split(sparse))
  end)

  it("is refused over 4 MiB", function()
    assert.same({ nil, "expected a subject of at most 4194304 bytes, found 4194305" },
                { compile("a"):test(("a"):rep(4194305)) })
  end)
end)

describe("patterns that are not kept", function()
  it("tell flags from patterns", function()
    assert.is_nil(re.match("A", "a"))
    assert.equal("A", re.match("A", "a", "i")[0])
    assert.is_nil(re.match("A", "a"))
  end)

  it("may be as many as they like", function()
    for round = 1, 2 do
      for i = 1, 1000 do assert.equal(tostring(i),
        re.match("x" .. i, "x(" .. i .. ")$", round == 1 and "" or "i")[1]) end
    end
    collectgarbage()
    collectgarbage()
  end)
end)

describe("misuse of re", function()
  local misuses = {
    { "re.compile: expected a text as pattern, found nil", function() re.compile() end },
    { "re.compile: expected a text of flags, found a boolean", function() re.compile("a", true) end },
    { "re.match: expected a text as pattern, found nil", function() re.match "a" end },
    { "re:match: expected a text, found nil", function() compile("a"):match() end },
    { "re:match: expected a start of 1 or more, found 0", function() compile("a"):match("a", 0) end },
    { "re:find: expected a start of 1 or more, found 1.5", function() compile("a"):find("a", 1.5) end },
    { "re:test: expected a regular expression before the colon, found a string",
      function() compile("a").test "a" end },
    { "re:gsub: expected a text or a function as replacement, found a table",
      function() compile("a"):gsub("a", {}) end },
    { "re:gsub: expected a number as limit, found a string", function() compile("a"):gsub("a", "b", "1") end },
    { "re:gsub: expected the function to give a text, found a table",
      function() compile("a"):gsub("a", function() return {} end) end },
    { "re:split: expected a number of pieces, found a string", function() compile("a"):split("a", "1") end },
  }
  for _, case in ipairs(misuses) do
    it("raises: " .. case[1], function() assert.has_error(case[2], case[1]) end)
  end
end)
