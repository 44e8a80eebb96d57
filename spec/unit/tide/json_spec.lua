local json = require "tidegate.tide.json"

local DOCUMENT = [==[
{"text": "a \"quoted\" \u00e9\ud83d\ude00 ü", "list": [1, -2.5e3, true, false, null, []], "object": {"empty": {}}}]==]

describe("json.decode", function()
  local values = {
    { "1", 1 }, { "-0", 0 }, { "0.5", 0.5 }, { "1e2", 100 }, { "1E+2", 100 }, { "12.5e-1", 1.25 },
    { "9007199254740992", 2 ^ 53 }, { "-9007199254740991", -(2 ^ 53 - 1) }, { "123456789012345", 123456789012345 },
    { "1e308", 1e308 }, { "4.9e-324", 4.9e-324 },
    { " \t\r\n true \n", true }, { "false", false }, { "null", json.null },
    { '""', "" }, { '"a"', "a" }, { '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t' }, { '"\\u0041\\u00e9"', "Aé" },
    { '"\\u0000"', "\0" }, { '"\\ud83d\\ude00"', "😀" }, { '"ü €😀"', "ü €😀" }, { '"\127"', "\127" },
    { '"\\uFFFF\\u0800"', "\239\191\191\224\160\128" },
  }
  for _, case in ipairs(values) do
    it("reads " .. case[1], function() assert.equal(case[2], json.decode(case[1])) end)
  end

  it("reads arrays and objects", function()
    assert.same({ text = 'a "quoted" é😀 ü', list = { 1, -2500, true, false, json.null, {} }, object = { empty = {} } },
                json.decode(DOCUMENT))
  end)

  it("takes the last of keys that are there twice", function()
    assert.same({ a = 2 }, json.decode '{"a": 1, "a": 2}')
  end)

  local complaints = {
    { "", 'expected a value, found the end at line 1, column 1' },
    { "  ", 'expected a value, found the end at line 1, column 3' },
    { "tru", 'expected a value, found "t" at line 1, column 1' },
    { "True", 'expected a value, found "T" at line 1, column 1' },
    { "NaN", 'expected a value, found "N" at line 1, column 1' },
    { "Infinity", 'expected a value, found "I" at line 1, column 1' },
    { "-Infinity", 'expected a digit, found "I" at line 1, column 2' },
    { "1e999", 'expected a number that a double can hold, found "1" at line 1, column 1' },
    { "01", 'expected a number without zeros in front, found "0" at line 1, column 1' },
    { "-", "expected a digit, found the end at line 1, column 2" },
    { "1.", "expected a digit, found the end at line 1, column 3" },
    { ".5", 'expected a value, found "." at line 1, column 1' },
    { "+1", 'expected a value, found "+" at line 1, column 1' },
    { "1e", "expected a digit, found the end at line 1, column 3" },
    { "0x10", 'expected the end, found "x" at line 1, column 2' },
    { "1 2", 'expected the end, found "2" at line 1, column 3' },
    { "{} x", 'expected the end, found "x" at line 1, column 4' },
    { "null\0", "expected the end, found byte 0x00 at line 1, column 5" },
    { "[1,]", 'expected a value, found "]" at line 1, column 4' },
    { "[1 2]", 'expected "," or "]", found "2" at line 1, column 4' },
    { "[1", 'expected "," or "]", found the end at line 1, column 3' },
    { "{a: 1}", 'expected a key in quotes, found "a" at line 1, column 2' },
    { '{"a" 1}', 'expected ":", found "1" at line 1, column 6' },
    { '{"a": 1,}', 'expected a key in quotes, found "}" at line 1, column 9' },
    { '{"a": 1', 'expected "," or "}", found the end at line 1, column 8' },
    { "{\n  \"a\": x\n}", 'expected a value, found "x" at line 2, column 8' },
    { "'a'", 'expected a value, found "\'" at line 1, column 1' },
    { '"a', "expected the end of a text, control characters being written with a backslash, found the end "
            .. "at line 1, column 3" },
    { '"a\nb"', "expected the end of a text, control characters being written with a backslash, found byte 0x0A "
                .. "at line 1, column 3" },
    { '"\\x"', 'expected one of "\\/bfnrtu behind a backslash, found "x" at line 1, column 3' },
    { '"\\', 'expected one of "\\/bfnrtu behind a backslash, found the end at line 1, column 3' },
    { '"\\u12', 'expected four hexadecimal digits of a character, both halves of a pair, found "1" at line 1, '
      .. 'column 4' },
    { '"\\ud800"', 'expected four hexadecimal digits of a character, both halves of a pair, found "d" '
                   .. "at line 1, column 4" },
    { '"\\ud800\\u0041"', 'expected four hexadecimal digits of a character, both halves of a pair, found "d" '
                          .. "at line 1, column 4" },
    { '"\\udc00"', 'expected four hexadecimal digits of a character, both halves of a pair, found "d" '
                   .. "at line 1, column 4" },
    { '"\255"', "expected UTF-8, found byte 0xFF at line 1, column 2" },
    { '"\192\128"', "expected UTF-8, found byte 0xC0 at line 1, column 2" },
    { '"\224\128\128"', "expected UTF-8, found byte 0xE0 at line 1, column 2" },
    { '"\237\160\128"', "expected UTF-8, found byte 0xED at line 1, column 2" },
    { '"\240\128\128\128"', "expected UTF-8, found byte 0xF0 at line 1, column 2" },
    { '"\244\144\128\128"', "expected UTF-8, found byte 0xF4 at line 1, column 2" },
    { '"\195', "expected UTF-8, found byte 0xC3 at line 1, column 2" },
    { "\239\187\191{}", "expected a value, found byte 0xEF at line 1, column 1" },
    { "// x\n1", 'expected a value, found "/" at line 1, column 1' },
  }
  for _, case in ipairs(complaints) do
    it("refuses " .. case[1]:gsub("[^\32-\126]", "?"), function()
      local value, why = json.decode(case[1])
      assert.is_nil(value)
      assert.equal(case[2], why)
    end)
  end

  it("refuses every beginning of a document", function()
    for n = 0, #DOCUMENT - 1 do
      local value, why = json.decode(DOCUMENT:sub(1, n))
      assert.is_nil(value)
      assert.is_string(why)
    end
  end)

  it("refuses more than 100 levels, or than it is told", function()
    assert.is_table(json.decode(("["):rep(100) .. ("]"):rep(100)))
    local _, why = json.decode(("["):rep(101) .. ("]"):rep(101))
    assert.equal('expected no deeper level, found "[" at line 1, column 101', why)
    assert.equal('expected no deeper level, found "{" at line 1, column 2',
      select(2, json.decode("[{}]", { max_depth = 1 })))
  end)

  it("refuses more than a MiB, or than it is told", function()
    local text = '"' .. ("x"):rep(1024 * 1024 - 2) .. '"'
    assert.equal(1024 * 1024 - 2, #json.decode(text))
    assert.equal("expected at most 1048576 bytes of JSON, found 1048577", select(2, json.decode(text .. " ")))
    assert.equal("expected at most 3 bytes of JSON, found 4", select(2, json.decode("1234", { max_bytes = 3 })))
    assert.is_string(json.decode(text .. " ", { max_bytes = 2 ^ 21 }))
  end)

  it("takes many texts with escapes in a time that grows with their size only", function()
    local list = json.decode("[" .. ('"\\n",'):rep(100000) .. "0]")
    assert.equal(100001, #list)
  end)
end)

describe("json.encode", function()
  local cases = {
    { "a text", "a", '"a"' }, { "a number", 1, "1" }, { "a fraction", 0.1, "0.1" },
    { "a third", 1 / 3, "0.33333333333333331" },
    { "the largest exact integer", 2 ^ 53 - 1, "9007199254740991" },
    { "a negative one", -123456789012345, "-123456789012345" },
    { "a large number", 1e300, "1e+300" }, { "true", true, "true" }, { "false", false, "false" },
    { "null", json.null, "null" },
    { "an empty table", {}, "{}" }, { "an empty array", json.array {}, "[]" },
    { "an array", { 1, "b", { 3 } }, '[1,"b",[3]]' },
    { "a marked array", json.array { 1 }, "[1]" }, { "an object", { a = { b = 1 } }, '{"a":{"b":1}}' },
    { "control characters", "\0\1\b\t\n\f\r\31\127", '"\\u0000\\u0001\\b\\t\\n\\f\\r\\u001f\127"' },
    { "quotes, backslashes and slashes", '"\\/', '"\\"\\\\/"' }, { "UTF-8", "é€😀", '"é€😀"' },
    { "what is no UTF-8 as U+FFFD", "a\255\195b\237\160\128\240\159", '"a��b�����"' },
    { "a key with quotes", { ['a"b'] = 1 }, '{"a\\"b":1}' },
  }
  for _, case in ipairs(cases) do
    it("writes " .. case[1], function() assert.equal(case[3], json.encode(case[2])) end)
  end

  it("writes keys in their order, if asked to", function()
    assert.equal('{"a":1,"b":[{"c":2,"d":3}],"e":4}',
                 json.encode({ e = 4, b = { { d = 3, c = 2 } }, a = 1 }, { sorted = true }))
  end)

  it("writes over several lines, if asked to", function()
    assert.equal('{\n  "a": [\n    1,\n    {}\n  ],\n  "b": [],\n  "c": {\n    "d": 1\n  }\n}',
                 json.encode({ a = { 1, {} }, b = json.array(), c = { d = 1 } }, { pretty = true }))
  end)

  it("gives back what was read", function()
    for _, text in ipairs { '{"a":[],"b":{},"c":[null,1.5,"x"]}', "[[],[[]]]", "9007199254740992", '"\\u0000"' } do
      assert.equal(text, json.encode(json.decode(text), { sorted = true }))
    end
  end)

  local complaints = {
    { "a function", { a = { 1, print } }, 'expected what JSON can hold, found a function at "a[2]"' },
    { "nil", nil, "expected what JSON can hold, found nil" },
    { "NaN", 0 / 0, "expected what JSON can hold, found a number that is nan" },
    { "infinity", { math.huge }, 'expected what JSON can hold, found a number that is inf at "[1]"' },
    { "an array with holes", { 1, nil, 3, [9] = 1 }, "expected what JSON can hold, found an array with holes" },
    { "an array with other keys", { a = { 1, x = 2 } },
      'expected what JSON can hold, found an array that has the key "x" as well at "a"' },
    { "a marked array with other keys", json.array { x = 2 },
      'expected what JSON can hold, found an array that has the key "x" as well' },
    { "keys that are no texts", { [true] = 1 }, "expected what JSON can hold, found an object whose key is a boolean" },
    { "keys that are numbers", { [404] = 1 }, "expected what JSON can hold, found an object whose key is a number" },
  }
  for _, case in ipairs(complaints) do
    for _, sorted in ipairs { false, true } do
      it(("refuses %s%s"):format(case[1], sorted and ", sorted" or ""), function()
        local text, why = json.encode(case[2], { sorted = sorted })
        assert.is_nil(text)
        assert.equal(case[3], (why:gsub("%-nan", "nan")))
      end)
    end
  end

  it("refuses a table within itself", function()
    local ring = {}
    ring.ring = ring
    local text, why = json.encode(ring)
    assert.is_nil(text)
    assert.is_truthy(why:find("found more than 100 levels, perhaps a table within itself at ", 1, true))
    assert.equal('"a"', json.encode "a")
  end)
end)

describe("json", function()
  it("has a null that prints as such", function()
    assert.equal("null", tostring(json.null))
    assert.equal("userdata", type(json.null))
  end)

  it("refuses to mark what has a metatable", function()
    assert.has_error(function() json.array(setmetatable({}, {})) end,
                     "json.array: expected a table without a metatable of its own")
    local list = { 1 }
    assert.equal(list, json.array(json.array(list)))
  end)

  local misuses = {
    { "json.decode: expected a text, found nil", function() json.decode() end },
    { "json.decode: expected a table of options, found a number", function() json.decode("1", 1) end },
    { "json.decode: there is no option depth", function() json.decode("1", { depth = 1 }) end },
    { "json.decode: option max_depth: expected a number, found a string",
      function() json.decode("1", { max_depth = "1" }) end },
    { "json.encode: there is no option indent", function() json.encode(1, { indent = true }) end },
    { "json.array: expected a table, found a string", function() json.array "x" end },
  }
  for _, case in ipairs(misuses) do
    it("raises: " .. case[1], function() assert.has_error(case[2], case[1]) end)
  end

  it("raises at the caller's line", function()
    local _, message = pcall(function() json.decode(1) end)
    assert.is_truthy(message:find "^spec/unit/tide/json_spec.lua:%d+: json.decode: expected a text, found a number$")
  end)
end)
