--- Replacing in a text that comes in pieces: it must not matter where it is parted.
local re = require "tidegate.tide.re"

local function replacer(pattern, flags, replacement, options)
  return assert(assert(re.compile(pattern, flags)):replacer(replacement, options))
end

--- All pieces through one stream.
local function feed(made, pieces)
  local stream, out = made:stream(), {}
  for i, piece in ipairs(pieces) do out[i] = assert(stream:feed(piece, i == #pieces)) end
  return table.concat(out), out
end

local function bytes_of(text)
  local list = {}
  for i = 1, #text do list[i] = text:sub(i, i) end
  list[#list + 1] = ""
  return list
end

-- pattern, flags, replacement, text
local CASES = {
  { "old", "", "new", "an old cold older odo ol" },
  { "old", "i", "", "OldoLdOLD" },
  { "(\\w+)@(\\w+)", "", "$2 at $1", "a@b, c@dd x@ y@z" },
  { "(?<name>\\w)=", "", "${name}:", "a=1&b=2&c" },
  { "^a", "", "X", "aaa a" },
  { "^a", "m", "X", "aaa\na\nba" },
  { "a$", "", "X", "aaa" },
  { "a$", "m", "X", "a\naa\n" },
  { "\\bcat\\b", "", "dog", "cat concat cat cats cat" },
  { "(?<=foo)bar", "", "X", "foobar bar foobarbar" },
  { "foo(?!bar)", "", "X", "foobar foo foob foobaz foo" },
  { "a+", "", "<$0>", "aaabaa" },
  { "a+?", "", "-", "aaab" },
  { "<!--.*?-->", "s", "", "a<!-- b -->c<!--d-->e<!-- f" },
  { "a.{3}", "s", "", "abcdabcdab" },
  { "é", "u", "E", "aéb é" },
  { "(?<=é)é", "u", "E", "ééé" },
  { ".", "u", "x", "aéb€😀" },
  { "\\z", "", "!", "empty matches are left alone" },
  { "z", "", "", "" },
}

describe("re:replacer", function()
  for _, case in ipairs(CASES) do
    local pattern, flags, replacement, text = unpack(case)
    it(("of /%s/%s in %q, parted anywhere"):format(pattern, flags, text), function()
      local made = replacer(pattern, flags, replacement)
      local wanted = pattern == "\\z" and text or assert(re.compile(pattern, flags)):gsub(text, replacement)
      for first = 0, #text do
        for second = first, #text do
          local pieces = { text:sub(1, first), text:sub(first + 1, second), text:sub(second + 1) }
          assert.equal(wanted, (feed(made, pieces)), table.concat(pieces, "|"))
        end
      end
      assert.equal(wanted, (feed(made, bytes_of(text))))
    end)
  end

  it("keeps back only what may become a match", function()
    local _, out = feed(replacer("needle", "", "X"), { "hay needle hay nee", "d", "y need", "le", "" })
    assert.same({ "hay X hay ", "", "needy ", "X", "" }, out)
  end)

  it("calls a function with the groups", function()
    local made = replacer("(\\d+)", "", function(match) return tonumber(match[1]) * 2 end)
    assert.equal("a 24 b 68", (feed(made, { "a 1", "2 b 3", "4" })))
  end)

  it("keeps no more than it may: a match that is longer counts as it is", function()
    local made = replacer("<.*?>", "s", "X", { max = 8 })
    assert.equal("X", (feed(made, { "<12345", "6>" })))
    assert.equal("<1234567890>", (feed(made, { "<1234567890", ">" })))
    assert.equal("XX", (feed(replacer("a+", "", "X", { max = 8 }), { ("a"):rep(10), ("a"):rep(3) })))
  end)

  it("keeps streams apart", function()
    local made = replacer("ab", "", "X")
    local one, two = made:stream(), made:stream()
    assert.equal("", one:feed("a", false))
    assert.equal("", two:feed("a", false))
    assert.equal("X", one:feed("b", true))
    assert.equal("ac", two:feed("c", true))
  end)

  it("says what is no UTF-8, but not of a character that is parted", function()
    local stream = replacer("x", "u", "y"):stream()
    assert.equal("a", stream:feed("a\226\130", false))
    assert.equal("€", stream:feed("\172", false))
    assert.matches("^expected UTF%-8, found byte 0xFF", select(2, stream:feed("\255", false)))
    assert.same({ nil, "expected UTF-8, found byte 0xE2 at byte 2" },
                { replacer("x", "u", "y"):stream():feed("a\226\130", true) })
  end)

  it("gives up on a search that takes too long", function()
    local stream = replacer("(a+)+$", "", ""):stream()
    assert.same({ nil, "match limit exceeded" }, { stream:feed(("a"):rep(50) .. "!", true) })
  end)

  it("goes through much in little time", function()
    local text, from = ("0123456789abcdef"):rep(4096), os.clock()
    for _, pattern in ipairs { "needle", "\\d+x", "(?i)ABCDEF", "[a-f]+9" } do
      local stream = replacer(pattern, "", ""):stream()
      for i = 1, 16 do assert(stream:feed(text, i == 16)) end
    end
    assert.is_true(os.clock() - from < 5)
  end)

  local complaints = {
    { "a", "A", "", nil, "expected a pattern without the flag A and \\G, found one with it" },
    { "\\Ga", "", "", nil, "expected a pattern without the flag A and \\G, found one with it" },
    { "(a)", "", "$2", nil, 'expected $0 to $1, ${name} of a group or $$ in a replacement, found "$2"' },
  }
  for _, case in ipairs(complaints) do
    it("refuses " .. case[1] .. " for " .. case[3], function()
      assert.same({ nil, case[5] }, { assert(re.compile(case[1], case[2])):replacer(case[3], case[4]) })
    end)
  end

  it("raises on misuse", function()
    local regex = assert(re.compile "a")
    assert.has_error(function() regex:replacer(5) end,
                     "re:replacer: expected a text or a function as replacement, found a number")
    assert.has_error(function() regex:replacer("", { max = 0 }) end,
                     "re:replacer: max: expected 1 to 1048576 bytes, found 0")
    assert.has_error(function() regex:replacer(""):stream():feed(5) end, "stream:feed: expected a text, found a number")
    assert.is_nil(regex:replacer("").regex)
  end)
end)

describe("re.escape", function()
  for _, text in ipairs { "a.b*c", "[x]", "\\Q\\E", "a b#c", "1\n2", "\0", "é", "$1", "" } do
    it(("of %q matches just that"):format(text:gsub("%z", "?")), function()
      local regex = assert(re.compile("^" .. re.escape(text) .. "\\z"))
      assert.is_true(regex:test(text))
      assert.is_false(regex:test(text .. "x"))
    end)
  end
end)
