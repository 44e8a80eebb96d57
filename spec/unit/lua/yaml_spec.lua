require "tidegate.ffi"
local plain = require "support.plain"
local yaml = require "tidegate.yaml"

local function parsed(text)
  local node, errors = yaml.parse(text, "a.yaml")
  assert.is_nil(errors and errors[1].message)
  return node
end

--- The only error of a text, as "line:column: message".
local function complaint(text)
  local _, errors = yaml.parse(text, "a.yaml")
  assert.is_table(errors)
  assert.equal(1, #errors)
  return ("%d:%d: %s"):format(errors[1].line, errors[1].column, errors[1].message)
end

describe("a YAML text", function()
  it("becomes maps, lists and scalars", function()
    local text = "a: 1\nb:\n  - x\n  - {c: [y, 'z']}\n"
    assert.same({ a = 1, b = { "x", { c = { "y", "z" } } } }, plain(parsed(text)))
  end)

  it("may be JSON", function()
    assert.same({ a = { 1, true, "null" }, b = "x" }, plain(parsed '{"a": [1, true, null], "b": "x"}', "null"))
  end)

  it("may begin with a byte order mark", function()
    local node = parsed "\239\187\191a: 1"
    assert.same({ a = 1 }, plain(node))
    assert.equal(1, node.entries[1].column)
  end)

  it("keeps the order of its keys", function()
    local keys = {}
    for _, entry in ipairs(parsed("z: 1\na: 2\nm: 3").entries) do keys[#keys + 1] = entry.key end
    assert.same({ "z", "a", "m" }, keys)
  end)

  it("finds a key's entry by its name", function()
    local node = parsed "z: 1\na: 2"
    assert.equal(2, node.entries[node.fields.a].value.value)
    assert.is_nil(node.fields.b)
  end)

  it("knows where everything stands", function()
    local node = parsed "a: 1\nb:\n  - x\n  - é: [y, z]\n"
    local list = node.entries[2].value
    assert.same({ 2, 1 }, { node.entries[2].line, node.entries[2].column })
    assert.same({ 3, 3 }, { list.line, list.column })
    local z = list.items[2].entries[1].value.items[2]
    assert.same({ 4, 12, "a.yaml" }, { z.line, z.column, z.file })
  end)

  it("is a null scalar when it is empty", function()
    for _, text in ipairs { "", "\n\n", "# nothing\n", "---\n" } do assert.equal("null", parsed(text).type) end
  end)

  it("keeps the text of scalars as written", function()
    local node = parsed "[0x1F, 'a b', 1.50]"
    assert.same({ "0x1F", "a b", "1.50" }, { node.items[1].text, node.items[2].text, node.items[3].text })
  end)

  it("tells the styles of scalars apart", function()
    local node = parsed "a: x\nb: 'x'\nc: |\n  x\n"
    local styles = {}
    for i, entry in ipairs(node.entries) do styles[i] = entry.value.style end
    assert.same({ "plain", "quoted", "block" }, styles)
  end)

  it("may hold NUL by an escape", function()
    assert.equal("a\0b", parsed('"a\\0b"').value)
  end)
end)

describe("a plain scalar", function()
  local cases = {
    { "", "null" }, { "~", "null" }, { "null", "null" }, { "Null", "null" }, { "nULL", "string", "nULL" },
    { "true", "boolean", true }, { "False", "boolean", false }, { "tRue", "string", "tRue" },
    { "yes", "string", "yes" }, { "no", "string", "no" }, { "on", "string", "on" }, { "off", "string", "off" },
    { "0", "integer", 0 }, { "42", "integer", 42 }, { "-7", "integer", -7 }, { "+7", "integer", 7 },
    { "010", "integer", 10 }, { "0o17", "integer", 15 }, { "0x1f", "integer", 31 }, { "0o8", "string", "0o8" },
    { "0x", "string", "0x" }, { "1_000", "string", "1_000" }, { "10:30", "string", "10:30" },
    { "1.5", "number", 1.5 }, { ".5", "number", 0.5 }, { "5.", "number", 5 }, { "1e3", "number", 1000 },
    { "-1.5E-2", "number", -0.015 }, { "1e", "string", "1e" }, { ".", "string", "." }, { "1.2.3", "string", "1.2.3" },
    { "-", "string", "-" }, { "--1", "string", "--1" }, { "0x1p4", "string", "0x1p4" }, { "inf", "string", "inf" },
    { ".inf", "number", math.huge }, { "-.INF", "number", -math.huge }, { "nan", "string", "nan" },
    { ("9"):rep(65), "string", ("9"):rep(65) }, { "1\0", "string", "1\0" },
  }
  for _, case in ipairs(cases) do
    it(("%q is of type %s"):format(case[1], case[2]), function()
      local found, value = yaml.resolve(case[1])
      assert.equal(case[2], found)
      assert.equal(case[3], value)
    end)
  end

  it("can be not a number", function()
    local found, value = yaml.resolve ".NaN"
    assert.equal("number", found)
    assert.is_true(value ~= value)
  end)

  it("is a string in quotes, or with the tag !!str", function()
    assert.same({ "1", "true", "1" }, plain(parsed "['1', \"true\", !!str 1]"))
  end)
end)

describe("an alias", function()
  it("is a copy of what it stands for, at the same place", function()
    local node = parsed "a: &x {k: [1]}\nb: *x"
    local a, b = node.entries[1].value, node.entries[2].value
    assert.same(a, b)
    assert.are_not.equal(a, b)
    assert.are_not.equal(a.entries[1].value, b.entries[1].value)
    assert.equal(1, b.line)
  end)

  it("may be a key", function()
    assert.same({ "x", x = 1 }, { plain(parsed "[&k x, {*k : 1}]")[1], x = plain(parsed "[&k x, {*k : 1}]")[2].x })
  end)

  it("stands for the last anchor of that name", function()
    assert.same({ 1, 1, 2, 2 }, plain(parsed "[&a 1, *a, &a 2, *a]"))
  end)

  local cases = {
    { "needs an anchor above it", "[*a]", '1:2: alias "a" has no anchor above it' },
    { "cannot hold itself", "&a [1, *a]", '1:8: alias "a" stands inside its own anchor' },
    { "cannot hold itself as a key's value", "&a {b: *a}", '1:8: alias "a" stands inside its own anchor' },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() assert.equal(case[3], complaint(case[2])) end)
  end
end)

describe("a merge key", function()
  local cases = {
    { "adds keys that are not there", "[&x {a: 1, b: 2}, {<<: *x, b: 3}]", { a = 1, b = 3 } },
    { "gives way to keys before it", "[&x {a: 1, b: 2}, {b: 3, <<: *x}]", { a = 1, b = 3 } },
    { "may be a list, of which the first counts", "[0, {<<: [{a: 1}, {a: 2, c: 4}], b: 3}]", { a = 1, b = 3, c = 4 } },
    { "is a plain key in quotes", "[0, {'<<': 1}]", { ["<<"] = 1 } },
    { "may stand in a map that is merged", "[&x {a: 1}, {<<: {<<: *x, b: 2}}]", { a = 1, b = 2 } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() assert.same(case[3], plain(parsed(case[2]), "null")[2]) end)
  end

  it("needs a map", function()
    local words = "1:1: expected a map or a list of maps after the merge key <<"
    assert.equal(words, complaint "{<<: 1}")
    assert.equal(words, complaint "{<<: [{a: 1}, 2]}")
  end)

  it("does not make duplicates", function()
    assert.same({ a = 1, b = 2 }, plain(parsed "{<<: {a: 1}, <<: {a: 2, b: 2}}"))
  end)
end)

describe("a broken text", function()
  local cases = {
    { "a: 1\na: 2", '2:1: duplicate key "a", first on line 1' },
    { "a:\n\tb: 1", "2:1: a tab cannot indent YAML: use spaces" },
    { "a: 'b", "1:4: this quote is not closed" },
    { "a: b: c", '1:5: unexpected ": "; a value that holds one needs quotes, and a key a line of its own' },
    { "a: [1, 2", "2:1: expected a comma or ] in the list that starts on line 1" },
    { "a: [1, }", '1:8: expected a value, found "}"' },
    { "a: [", "2:1: expected a value, found the end of the file" },
    { "a: [1, \n  b: {", "3:1: expected a value, found the end of the file" },
    { "a: {b: ${C}}", "1:9: a value with ${...} needs quotes between brackets or braces" },
    { "a: %x", "1:4: a word that starts with this character needs quotes" },
    { "a: &", "1:4: a word that starts with * or & needs quotes" },
    { 'a: "\\d"', "1:5: unknown escape: inside double quotes a backslash is written \\\\" },
    { "a: 1\n---\nb: 2", "2:1: a second document starts here; one file holds one" },
    { "a: \0", "1:4: a control character (0x00) cannot stand in YAML" },
    { "a: \27[0m", "1:4: a control character (0x1b) cannot stand in YAML" },
    { "a:\n b: \255", "2:5: not UTF-8 (byte 0xff): save the file as UTF-8" },
    { "é: \195", "1:4: not UTF-8 (byte 0xc3): save the file as UTF-8" },
    { "é: \195x", "1:4: not UTF-8 (byte 0xc3): save the file as UTF-8" },
    { "a: !thing 1", '1:4: unknown tag "!thing"' },
    { "a: !!int x", '1:4: "x" does not fit its tag' },
    { "? [a]\n: 1",
      "1:3: expected a word as key, found a list or a map; a value that starts with { or [ needs quotes" },
    { ("["):rep(65), "1:65: nested deeper than 64 levels" },
    { "a: " .. ("x"):rep(16 * 1024 * 1024), "1:1: larger than 16 MiB" },
  }
  for _, case in ipairs(cases) do
    it("is explained: " .. case[1]:sub(1, 20):gsub("%c", "."), function()
      assert.equal(case[2], complaint(case[1]))
    end)
  end

  it("gives all duplicate keys at once, and its node all the same", function()
    local node, errors = yaml.parse "a: {b: 1, b: 2}\na: 3"
    assert.equal(2, #errors)
    assert.equal(1, node.entries[1].value.entries[1].value.value)
  end)

  it("is not asked to hold more than so many errors", function()
    local _, errors = yaml.parse(("a: 1\n"):rep(1000))
    assert.equal(100, #errors)
  end)
end)

describe("the bounds of a text", function()
  it("are 64 levels", function()
    assert.is_table(parsed(("["):rep(64) .. ("]"):rep(64)))
  end)

  it("count what aliases stand for", function()
    local lines = { "a0: &a0 [x, x, x, x, x, x, x, x, x, x]" }
    for i = 1, 8 do
      lines[#lines + 1] = ("a%d: &a%d [%s]"):format(i, i, (("*a%d, "):format(i - 1)):rep(10))
    end
    assert.truthy(complaint(table.concat(lines, "\n")):find "more than a million values")
  end)

  it("count the levels behind aliases", function()
    local lines = { "a0: &a0 [x]" }
    for i = 1, 40 do lines[#lines + 1] = ("a%d: &a%d [[*a%d]]"):format(i, i, i - 1) end
    assert.truthy(complaint(table.concat(lines, "\n")):find "nested deeper than 64 levels by aliases")
  end)
end)

describe("the parser", function()
  local seed = "a: &x {k: [1, 'two', \"\\x41\"], <<: {z: ~}}\nb: *x\n# c\nd: |\n  text\n  é\ne: !!str 5\n"

  it("survives every cut of a text", function()
    for len = 0, #seed do yaml.parse(seed:sub(1, len)) end
  end)

  it("survives every byte in every place", function()
    for at = 1, #seed do
      for byte = 0, 255, 5 do
        local node, errors = yaml.parse(seed:sub(1, at - 1) .. string.char(byte) .. seed:sub(at + 1))
        assert.is_true(node ~= nil or #errors > 0)
      end
    end
  end)

  it("refuses what is no text", function()
    assert.has_error(function() yaml.parse(nil) end)
    assert.has_error(function() yaml.parse {} end)
  end)
end)
