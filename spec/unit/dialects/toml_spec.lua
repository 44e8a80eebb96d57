require "tidegate.ffi"           -- brings the core, which emit needs
local emit = require "tidegate.config.emit"
local node = require "tidegate.dialects.node"
local plain = require "support.plain"
local toml = require "tidegate.dialects.toml"

local function parse(text)
  local root, errors = toml.parse(text, "a.toml")
  if not root then error(("%d:%d: %s"):format(errors[1].line, errors[1].column, errors[1].message), 2) end
  return plain(root)
end

describe("TOML", function()
  local good = {
    { "an empty file", "", {} },
    { "comments and blank lines", "# a\n\n\t# b\r\na = 1 # c\n# end", { a = 1 } },
    { "a byte order mark", "\239\187\191a = 1", { a = 1 } },

    { "bare keys", "a-b_1 = 1\n1234 = 2", { ["a-b_1"] = 1, ["1234"] = 2 } },
    { "quoted keys", '"a b" = 1\n\'c"d\' = 2\n"" = 3', { ["a b"] = 1, ['c"d'] = 2, [""] = 3 } },
    { "dotted keys", 'a.b."c.d" = 1\na . e = 2', { a = { b = { ["c.d"] = 1 }, e = 2 } } },
    { "dotted keys out of order", "a.x = 1\nb.x = 2\na.y = 3", { a = { x = 1, y = 3 }, b = { x = 2 } } },
    { "numbers as keys", "3.14 = 1", { ["3"] = { ["14"] = 1 } } },

    { "basic texts", [[a = "x\ty\"z\\ \u00e9 \U0001F600"]], { a = 'x\ty"z\\ \195\169 \240\159\152\128' } },
    { "all short escapes", [[a = "\b\t\n\f\r"]], { a = "\b\t\n\f\r" } },
    { "literal texts", [[a = 'C:\x\n "q"']], { a = [[C:\x\n "q"]] } },
    { "empty texts", [[a = ""
b = '']], { a = "", b = "" } },
    { "blocks", 'a = """\nx\n  y"""', { a = "x\n  y" } },
    { "blocks that fold lines", 'a = """x \\\n\n   y \\  \n z"""', { a = "x y z" } },
    { "blocks with quotes in them", 'a = """x""y"""\nb = """"z"""""', { a = 'x""y', b = '"z""' } },
    { "empty blocks", 'a = """"""\nb = \'\'\'\'\'\'', { a = "", b = "" } },
    { "literal blocks", "a = '''\nx\\n\n'y''''", { a = "x\\n\n'y'" } },
    { "Windows lines in blocks", 'a = """\r\nx\r\ny"""', { a = "x\ny" } },

    { "integers", "a = 0\nb = +7\nc = -17\nd = 1_000\ne = -0", { a = 0, b = 7, c = -17, d = 1000, e = 0 } },
    { "other bases", "a = 0xDEAD_beef\nb = 0o755\nc = 0b1101", { a = 0xdeadbeef, b = 493, c = 13 } },
    { "floats", "a = 3.14\nb = -0.01\nc = 5e+22\nd = 1E06\ne = 6.6_2e-3_4",
      { a = 3.14, b = -0.01, c = 5e22, d = 1e6, e = 6.62e-34 } },
    { "infinity", "a = inf\nb = -inf", { a = math.huge, b = -math.huge } },
    { "truth", "a = true\nb = false", { a = true, b = false } },
    { "moments as texts", "a = 1979-05-27T07:32:00Z\nb = 1979-05-27 07:32:00.5-07:00\nc = 1979-05-27\nd = 07:32:00",
      { a = "1979-05-27T07:32:00Z", b = "1979-05-27 07:32:00.5-07:00", c = "1979-05-27", d = "07:32:00" } },
    { "a leap day", "a = 2024-02-29", { a = "2024-02-29" } },

    { "arrays", 'a = [1, "x", [true, []],]', { a = { 1, "x", { true, {} } } } },
    { "arrays over lines", "a = [ # x\n  1, # y\n\n  2 # z\n]", { a = { 1, 2 } } },
    { "inline tables", "a = { b = 1, c.d = 2, e = {} }", { a = { b = 1, c = { d = 2 }, e = {} } } },
    { "inline tables over lines", "a = {\n  b = 1, # x\n  c = [\n    { d = 2 },\n  ],\n}",
      { a = { b = 1, c = { { d = 2 } } } } },

    { "tables", "[a]\nx = 1\n[b.c]\ny = 2\n[b]\nz = 3", { a = { x = 1 }, b = { c = { y = 2 }, z = 3 } } },
    { "quoted tables", '[ a . "b.c" . \'d\' ]\nx = 1', { a = { ["b.c"] = { d = { x = 1 } } } } },
    { "arrays of tables", "[[a]]\nx = 1\n[[a]]\n[[a]]\nx = 3", { a = { { x = 1 }, {}, { x = 3 } } } },
    { "tables within arrays of tables", "[[a]]\n[a.b]\nx = 1\n[[a.c]]\ny = 2\n[[a]]\n[a.b]\nx = 3",
      { a = { { b = { x = 1 }, c = { { y = 2 } } }, { b = { x = 3 } } } } },
    { "a table below one of dotted keys", "[a]\nb.c = 1\n[a.b.d]\nx = 2", { a = { b = { c = 1, d = { x = 2 } } } } },
  }
  for _, case in ipairs(good) do
    it("reads " .. case[1], function() assert.same(case[3], parse(case[2])) end)
  end

  it("reads not a number", function()
    local value = parse("a = nan").a
    assert.is_true(value ~= value)
  end)

  it("keeps whole numbers of 64 bits as they are written", function()
    local root = toml.parse("a = 9223372036854775807\nb = -9223372036854775808\nc = 0x7fff_ffff_ffff_ffff", "a.toml")
    local texts = {}
    for i, entry in ipairs(root.entries) do texts[i] = entry.value.text end
    assert.same({ "9223372036854775807", "-9223372036854775808", "9223372036854775807" }, texts)
  end)

  it("says where everything stands", function()
    local root = toml.parse('# x\n[é."y"]\n  k = [1,\n 2]\n', "b.toml")
    assert.is_nil(root)     -- é is no bare key
    root = toml.parse('# x\n["é".y]\n  k = [1,\n 2]\n', "b.toml")
    local outer = root.entries[1]
    assert.same({ "é", 2, 2 }, { outer.key, outer.line, outer.column })
    local inner = outer.value.entries[1]
    assert.same({ "y", 2, 6, "b.toml" }, { inner.key, inner.line, inner.column, inner.file })
    local list = inner.value.entries[1].value
    assert.same({ 3, 7 }, { list.line, list.column })
    assert.same({ 3, 8, 4, 2 }, { list.items[1].line, list.items[1].column, list.items[2].line, list.items[2].column })
  end)
end)

describe("bad TOML", function()
  local bad = {
    { "a key without a value", "a =", '1:4: expected a value, found the end of the file' },
    { "a key alone", "a", '1:2: expected "=" behind the key, found the end of the file' },
    { "no key", "= 1", '1:1: expected a key, found "="' },
    { "two pairs on a line", "a = 1 b = 2", '1:7: expected the end of the line, found "b"' },
    { "a value on the next line", "a =\n1", "1:4: expected a value, found the end of the line" },
    { "a word", "a = yes", '1:5: expected a value, found "yes"' },
    { "a key twice", "a = 1\na = 2", '2:1: "a" stands here twice; first on line 1' },
    { "a key twice, once in quotes", 'a = 1\n"a" = 2', '2:1: "a" stands here twice' },
    { "a dotted key below a value", "a = 1\na.b = 2", '2:1: "a" stands here twice' },
    { "a block as a key", '"""a""" = 1', "1:1: a key stands on one line" },
    { "a dot at the end of a key", "a. = 1", '1:4: expected a key, found "="' },

    { "a table twice", "[a]\n[a]", '2:2: "a" stands here twice; first on line 1' },
    { "a table that is a value", "a = 1\n[a]", '2:2: "a" stands here twice' },
    { "a table below a value", "a = 1\n[a.b]", '2:2: "a" stands here twice' },
    { "a table that is one of dotted keys", "[a]\nb.c = 1\n[a.b]", '3:4: "b" stands here twice' },
    { "dotted keys into a table of a header", "[a.b]\nx = 1\n[a]\nb.y = 2", '4:1: "b" stands here twice' },
    { "dotted keys into an implied table", "[a.b.c]\nx = 1\n[a]\nb.c.y = 2", '4:1: "b" stands here twice' },
    { "a table over an array of tables", "[[a]]\n[a]", '2:2: "a" stands here twice' },
    { "an array of tables over a table", "[a]\n[[a]]", '2:3: "a" stands here twice' },
    { "an array of tables over an array", "a = []\n[[a]]", '2:3: "a" stands here twice' },
    { "an array of tables over an implied table", "[a.b]\n[[a]]", '2:3: "a" stands here twice' },
    { "an inline table that goes on", "a = {}\n[a.b]", '2:2: "a" stands here twice' },
    { "an inline table that goes on by dotted keys", "a = { b.c = 1 }\na.b.d = 2", '2:1: "a" stands here twice' },
    { "a header that is not closed", "[a\n", "1:3: expected ], found the end of the line" },
    { "a header closed once", "[[a]\n", "1:5: expected ]], found the end of the line" },
    { "a header of blanks", "[ ]", '1:3: expected a key, found "]"' },
    { "something behind a header", "[a] b = 1", '1:5: expected the end of the line, found "b"' },

    { "a text without an end", 'a = "x', "1:5: the text has no end" },
    { "a text over two lines", 'a = "x\ny"', "1:5: the text has no end on its line" },
    { "a block without an end", 'a = """x""', "1:5: the text has no end" },
    { "an unknown escape", [[a = "\q"]], "1:7: expected one of b, t, n, f, r" },
    { "half a character", [[a = "\ud800"]], "1:7: expected 4 digits of a Unicode character" },
    { "a character beyond the last", [[a = "\U00110000"]], "1:7: expected 8 digits of a Unicode character" },
    { "a short escape", [[a = "\u12"]], "1:7: expected 4 digits of a Unicode character" },
    { "a control character in a text", 'a = "\1"', "1:6: a text may not hold the byte 0x01" },
    { "a control character in a block", 'a = """\127"""', "1:8: a text may not hold the byte 0x7F" },
    { "a lone carriage return in a block", 'a = """\rx"""', "1:8: a text may not hold the byte 0x0D" },
    { "a control character in a comment", "# \1\n", "1:3: a comment may not hold control characters" },
    { "a lone carriage return", "a = 1\rb = 2", "1:6: expected the end of the line, found the end of the line" },
    { "no UTF-8", "a = '\255'", "1:6: expected UTF-8, found the byte 0xFF" },
    { "overlong UTF-8", "a = '\192\128'", "1:6: expected UTF-8, found the byte 0xC0" },
    { "half a character at the end", "a = '\226\130", "1:6: expected UTF-8, found the byte 0xE2" },
    { "a NUL", "a = 1\0", "1:6: expected the end of the line, found the byte 0x00" },

    { "a zero before a number", "a = 007", "1:5: a number has no zero before it" },
    { "underscores in a row", "a = 1__0", "1:5: underscores stand between digits" },
    { "an underscore at the end", "a = 1_", "1:5: underscores stand between digits" },
    { "an underscore before the point", "a = 1_.0", "1:5: underscores stand between digits" },
    { "a number too large", "a = 9223372036854775808", "1:5: a whole number has 64 bits at most" },
    { "a number too small", "a = -9223372036854775809", "1:5: a whole number has 64 bits at most" },
    { "a hexadecimal number too large", "a = 0x8000000000000000", "1:5: a whole number has 64 bits at most" },
    { "a sign before another base", "a = +0x1", '1:5: expected a value' },
    { "a wrong digit", "a = 0b12", "1:5: expected digits of base 2" },
    { "a point without digits", "a = 1.", "1:5: expected a value" },
    { "a point without digits before", "a = .5", "1:5: expected a value" },
    { "an exponent without digits", "a = 1e", "1:5: expected a value" },
    { "a day that is none", "a = 2023-02-29", "1:5: there is no such day" },
    { "a month that is none", "a = 2023-13-01", "1:5: there is no such day" },
    { "an hour that is none", "a = 24:00:00", "1:5: expected a time such as 07:32:00" },
    { "an offset that is none", "a = 2023-01-01T00:00:00+25:00", "1:5: expected a time such as" },

    { "an array without an end", "a = [1, 2", '1:10: expected "," or "]", found the end of the file' },
    { "two commas", "a = [1,,2]", '1:8: expected a value, found ","' },
    { "an array without commas", "a = [1 2]", '1:8: expected "," or "]", found "2"' },
    { "an inline table without an end", "a = { b = 1", '1:12: expected "," or "}", found the end of the file' },
    { "a key twice in an inline table", "a = { b = 1, b = 2 }", '1:14: "b" stands here twice' },
  }
  for _, case in ipairs(bad) do
    it("is told with its place: " .. case[1], function()
      local root, errors = toml.parse(case[2], "a.toml")
      assert.is_nil(root)
      local e = errors[1]
      local text = ("%d:%d: %s"):format(e.line, e.column, e.message)
      assert.equal(case[3], text:sub(1, #case[3]))
    end)
  end

  local huge = {
    { "arrays in arrays", "a = " .. ("["):rep(100000), "more than 64 levels" },
    { "inline tables in inline tables", ("a={"):rep(100000), "more than 64 levels" },
    { "dotted keys", ("a."):rep(100000) .. "b = 1", "more than 64 levels" },
    { "a deep header", "[" .. ("a."):rep(100000) .. "b]", "more than 64 levels" },
    { "a deep value below a deep header", "[" .. ("a."):rep(60) .. "b]\nc = " .. ("["):rep(10), "more than 64 levels" },
    { "values", "a = [" .. ("1,"):rep(1000001) .. "]", "more than 1000000 values" },
    { "bytes", ("#"):rep(16 * 1024 * 1024 + 1), "larger than 16 MiB" },
  }
  for _, case in ipairs(huge) do
    it("is bounded in " .. case[1], function()
      local root, errors = toml.parse(case[2], "a.toml")
      assert.is_nil(root)
      assert.equal(case[3], errors[1].message)
    end)
  end
end)

-- -- properties --

local random = math.random

local WORDS = { "a", "b-1", "x y", "", "ü", 'q"\'', "tab\there", "two\nlines", "\\", "0" }

local function random_value(depth)
  local pick = random(depth > 3 and 5 or 8)
  if pick == 1 then return WORDS[random(#WORDS)] end
  if pick == 2 then return random(-1000000, 1000000) end
  if pick == 3 then return random(-1000, 1000) / 8 + 1 / 16 end
  if pick == 4 then return random() < 0.5 end
  if pick == 5 then return WORDS[random(#WORDS)] .. WORDS[random(#WORDS)] end
  local value = {}
  if pick == 6 then
    for i = 1, random(0, 3) do value[i] = random_value(depth + 1) end
    return emit.list(value)
  end
  for _ = 1, random(0, 3) do value[WORDS[random(#WORDS)]] = random_value(depth + 1) end
  return emit.map { map = value }
end

local function quoted(text)
  if random() < 0.3 and not text:find "[%c']" then return "'" .. text .. "'" end
  if random() < 0.3 and not text:find "\\" then return '"""\n' .. text:gsub('"', '\\"') .. '"""' end
  return '"' .. text:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function key(text)
  if text:find "^[%w_-]+$" and random() < 0.7 then return text end
  return '"' .. text:gsub('[%c"\\]', function(c) return ("\\u%04X"):format(c:byte()) end) .. '"'
end

local function blank() return random() < 0.3 and "\n # x\n " or " " end

--- The value as TOML, and as plain values.
local function written(value)
  if type(value) == "string" then return quoted(value), value end
  if type(value) == "number" then return value % 1 == 0 and ("%d"):format(value) or ("%.17g"):format(value), value end
  if type(value) == "boolean" then return tostring(value), value end
  local parts, same = {}, {}
  if not value.map then
    for i, item in ipairs(value) do parts[i], same[i] = written(item) end
    return "[" .. blank() .. table.concat(parts, "," .. blank()) .. blank() .. "]", same
  end
  for name, item in pairs(value.map) do
    local text
    text, same[name] = written(item)
    parts[#parts + 1] = key(name) .. " = " .. text
  end
  return "{ " .. table.concat(parts, ", ") .. " }", same
end

describe("TOML of any shape", function()
  it("is read back as what it was", function()
    math.randomseed(20261121)
    for _ = 1, 500 do
      local text, same = written(random_value(0))
      assert.same({ a = same }, parse("a = " .. text .. "\n"), text)
    end
  end)

  it("is read or refused, never more, whatever is changed in it", function()
    math.randomseed(20261122)
    local seed = '[a."b"]\nc = [1, 2.5e3, true]\nd = """x\\\n y"""\n[[e]]\nf = { g = 1979-05-27, h.i = \'z\' }\n'
    local bytes = { "\0", "\n", '"', "'", "[", "]", "{", "}", "=", ".", ",", "#", "\\", "\255", "\195\169", "_", "0" }
    for _ = 1, 3000 do
      local text = seed
      for _ = 1, random(3) do
        local at = random(#text)
        text = text:sub(1, at - 1) .. bytes[random(#bytes)] .. text:sub(at + random(0, 2))
      end
      local root, errors = toml.parse(text, "a.toml")
      assert.is_true(root ~= nil and errors == nil or errors[1].line >= 1 and errors[1].column >= 1, text)
      if root then assert.is_string(emit.text(node.value(root))) end
    end
  end)
end)
