require "tidegate.ffi"
local Report = require "tidegate.config.report"
local schema = require "tidegate.config.schema"
local yaml = require "tidegate.yaml"

--- Checks a YAML text against a field; gives the value, the messages and the marks.
local function check(field, text)
  local report = Report.new()
  local value, marks = schema.check(field, assert(yaml.parse(text, "a.yaml")), report)
  report:text()     -- sorts
  local messages = {}
  for i, e in ipairs(report.errors) do
    messages[i] = (e.path ~= "" and e.path .. ": " or "") .. e.message
  end
  return value, messages, marks
end

local function object(fields)
  return { type = "object", fields = fields }
end

describe("a field", function()
  local cases = {
    { "takes a text", { type = "string" }, "abc", "abc" },
    { "takes a number for a text, as written", { type = "string" }, "1.50", "1.50" },
    { "takes a whole number", { type = "integer" }, "42", 42 },
    { "takes any number", { type = "number" }, "1.5", 1.5 },
    { "takes a whole number for any number", { type = "number" }, "15", 15 },
    { "takes true", { type = "boolean" }, "true", true },
    { "takes false", { type = "boolean" }, "false", false },
    { "takes a word of an enum", { type = "enum", of = { "a", "b" } }, "b", "b" },
    { "takes a number of an enum by its text", { type = "enum", of = { "1.2", "1.3" } }, "1.3", "1.3" },
    { "takes a word besides its type", { type = "integer", words = { auto = 0 } }, "auto", 0 },
    { "takes a format", { type = "size" }, "1KiB", 1024 },
    { "takes a status", { type = "status" }, "404", 404 },
    { "takes a list", { type = "list", of = "integer" }, "[1, 2]", { 1, 2 } },
    { "takes a lone value for a list", { type = "list", of = "integer", single = true }, "1", { 1 } },
    { "takes a map", { type = "map", of = "integer" }, "{a: 1, b: 2}", { a = 1, b = 2 } },
    { "checks the keys of a map", { type = "map", of = "string", keys = "header_name" }, "{X-A: 1}",
      { ["x-a"] = "1" } },
    { "takes an object", object { a = { type = "string" } }, "{a: x}", { a = "x" } },
    { "takes a lone value for an object", { type = "object", short = "a", fields = { a = { type = "string" } } }, "x",
      { a = "x" } },
    { "takes anything", { type = "any" }, "{a: [1, x, {b: true}]}", { a = { 1, "x", { b = true } } } },
    { "takes JSON as text", { type = "json" }, "'{\"a\": [1, true]}'", { a = { 1, true } } },
    { "takes JSON as YAML", { type = "json" }, "{a: [1, true]}", { a = { 1, true } } },
    { "takes a number for JSON", { type = "json" }, "5", 5 },
    { "takes a lone value in a form of its own",
      { type = "object", fields = { a = { type = "string" } }, form = function(_, node)
        return { kind = "map", entries = { { key = "a", value = node } }, fields = { a = 1 } }
      end }, "x", { a = "x" } },
    { "takes what is within its limits", { type = "duration", min = "1s", max = "1m" }, "1m", 60 },
    { "takes what matches", { type = "string", match = "^%l+$" }, "abc", "abc" },
    { "takes what its check takes", { type = "string", check = function() return true end }, "abc", "abc" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local value, messages = check(case[2], case[3])
      assert.same({}, messages)
      assert.same(case[4], value)
    end)
  end
end)

describe("a wrong value", function()
  local cases = {
    { "of a text", { type = "string" }, "[a]", "expected a text, found a list" },
    { "that is a boolean for a text", { type = "string" }, "true", "expected a text, found true; put it in quotes" },
    { "that is nothing", { type = "string" }, "~", "expected a text, found nothing" },
    { "of a whole number", { type = "integer" }, "1.5", "expected a whole number, found 1.5" },
    { "in quotes", { type = "integer" }, "'5'", 'expected a whole number, found "5"; write it without quotes' },
    { "beyond all numbers", { type = "integer" }, ("9"):rep(30),
      ("expected a whole number, found %s; it is too large"):format(("9"):rep(30)) },
    { "that is not a number", { type = "number" }, ".nan", "expected a number, found .nan" },
    { "of a boolean", { type = "boolean" }, "On", 'expected true or false, found "On"; write true' },
    { "of a boolean in quotes", { type = "boolean" }, "'false'",
      'expected true or false, found "false"; write it without quotes' },
    { "of an enum", { type = "enum", of = { "round", "square" } }, "sqare",
      'expected one of round, square, found "sqare"; did you mean "square"?' },
    { "of an enum, not available yet", { type = "enum", of = { "a" }, later = { "b" } }, "b",
      '"b" is not available in this version; expected "a"' },
    { "of a status", { type = "status" }, "600", "expected a status code from 100 to 599, found 600" },
    { "of a list", { type = "list", of = "string" }, "a", 'expected a list, found "a"' },
    { "in a list", { type = "list", of = "integer" }, "[1, x, 3]", '[2]: expected a whole number, found "x"' },
    { "in a map", { type = "map", of = "integer" }, "{'a b': x}", '["a b"]: expected a whole number, found "x"' },
    { "as a key", { type = "map", keys = "header_name", of = "string" }, "{'a b': x}",
      '["a b"]: expected a header name, found "a b"' },
    { "as the same key again", { type = "map", keys = "header_name", of = "string" }, "{X-A: 1, x-a: 2}",
      'x-a: "x-a" stands here twice' },
    { "below a limit", { type = "size", min = "1KiB" }, "10B", 'expected at least 1KiB, found "10B"' },
    { "above a limit", { type = "integer", max = 5 }, "6", "expected at most 5, found 6" },
    { "where only one is right", { type = "integer", min = 1, max = 1 }, "2", "expected 1, found 2" },
    { "too short", { type = "string", min = 2 }, "a", "expected at least 2 bytes, found 1" },
    { "with too many items", { type = "list", of = "integer", max = 1 }, "[1, 2]", "expected at most 1 item, found 2" },
    { "that does not match", { type = "string", match = "^%l+$", expects = "small letters" }, "A",
      'expected small letters, found "A"' },
    { "refused by its check", { type = "string", check = function() return false, "no" end }, "A", "no" },
    { "refused without a word", { type = "string", check = function() return false end }, "A",
      'expected a text, found "A"' },
    { "of a secret, which is not shown", { type = "secret", match = "^x" }, "hunter2",
      "expected a text, found a value that is not shown" },
    { "of JSON", { type = "json" }, "'{'", "expected JSON, found \"{\"; Expected object key string but found T_END " ..
      "at character 2" },
    { "that is nothing for JSON", { type = "json" }, "~", "expected JSON, found nothing" },
    { "of a regular expression", { type = "regex" }, "'('",
      'expected a regular expression, found "(": missing closing parenthesis at byte 2' },
    { "of a format, with the reason", { type = "duration" }, "10",
      "expected a duration such as 500ms, 30s or 5m, found 10; it needs a unit, for example 10s" },
    { "that is a list where another key takes one", { type = "string", many = "names" }, "[a]",
      'expected a text, found a list; several go under "names"' },
  }
  for _, case in ipairs(cases) do
    it(case[1] .. " is refused", function()
      local _, messages = check(case[2], case[3])
      assert.same({ case[4] }, messages)
    end)
  end

  it("is counted", function()
    local field = { type = "list", of = "integer" }
    local _, _, failures = schema.check(field, assert(yaml.parse("[a, 1, b]", "a.yaml")), Report.new())
    assert.equal(2, failures)
  end)

  it("is cut short in messages", function()
    local _, messages = check({ type = "enum", of = { "a" } }, ("x"):rep(1000))
    assert.same({ 'expected "a", found "' .. ("x"):rep(60) .. '..."' }, messages)
  end)

  it("leaves no hole in a list, but those after it keep their number", function()
    local value, messages, marks = check({ type = "list", of = "integer" }, "[1, x, 3]")
    assert.same({ 1, 3 }, value)
    assert.equal(1, #messages)
    local place, path = marks:place(value, 2)
    assert.same({ 8, "[3]" }, { place.column, path })
  end)
end)

describe("an object", function()
  local fields = {
    name = { type = "string", required = true },
    size = { type = "size", default = "1KiB" },
    tags = { type = "list", of = "string", default = { "a" } },
    more = { type = "object", default = {}, fields = { deep = { type = "integer", default = 5 } } },
    later = { type = "any", later = true },
  }

  it("has defaults, at every depth", function()
    local value, messages = check(object(fields), "{name: x}")
    assert.same({}, messages)
    assert.same({ name = "x", size = 1024, tags = { "a" }, more = { deep = 5 } }, value)
  end)

  it("takes its defaults where nothing stands after a key", function()
    local value, messages = check(object(fields), "name: x\ntags:\nmore:\n")
    assert.same({}, messages)
    assert.same({ name = "x", size = 1024, tags = { "a" }, more = { deep = 5 } }, value)
  end)

  local cases = {
    { "misses a key", "{}", { "name: missing, expected a text" } },
    { "has a key too many", "{name: x, colour: red}",
      { "colour: unknown key; expected one of more, name, size, tags" } },
    { "has a misspelt key, which is then not missing", "{nme: x}", { 'nme: unknown key; did you mean "name"?' } },
    { "has a key of another version", "{name: x, later: 1}", { "later: not available in this version" } },
    { "has several errors", "{size: 1, more: {deep: x}}", { "name: missing, expected a text",
      "size: expected a size such as 64KiB or 10MiB, found 1; it needs a unit, for example 1B or 1KiB",
      'more.deep: expected a whole number, found "x"' } },
    { "is none", "[1]", { "expected a map, found a list" } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local _, messages = check(object(fields), case[2])
      assert.same(case[3], messages)
    end)
  end

  it("knows where its values came from", function()
    local value, _, marks = check(object(fields), "name: x\nmore: {deep: 7}\n")
    local place, path = marks:place(value.more, "deep")
    assert.same({ 2, 14, "more.deep" }, { place.line, place.column, path })
    assert.is_true(marks:is_written(value, "name"))
    assert.is_false(marks:is_written(value, "size"))
  end)
end)

describe("keys that belong together", function()
  local any = { type = "any" }
  local fields = {
    a = any, b = any, c = any, d = any, e = any,
    one_of = { "a", "b" }, conflicts = { { "c", "d" } }, requires = { c = { "e" } },
  }
  local cases = {
    { "may be right", "{a: 1, c: 1, e: 1}", {} },
    { "may be none of which one is needed", "{}", { "expected exactly one of a, b, found none" } },
    { "may be two of which one is needed", "{a: 1, b: 2}", { "expected exactly one of a, b, found a and b" } },
    { "may be two that exclude each other", "{a: 1, c: 1, d: 2, e: 3}", { "expected one of c and d, found both" } },
    { "may lack one that another needs", "{a: 1, c: 1}", { 'c: needs the key "e" beside it' } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local _, messages = check(object(fields), case[2])
      assert.same(case[3], messages)
    end)
  end
end)

describe("a schema", function()
  it("has the names of its types", function()
    local set = {}
    for _, name in ipairs(schema.type_names()) do set[name] = true end
    for name in ([[string integer number boolean enum list map object any duration size url host cidr path regex
                   header_name method status secret json template]]):gmatch "%S+" do
      assert.is_true(set[name], name)
    end
  end)

  it("may be given a type more", function()
    schema.add_type("pair", "two of a kind", function(own, field, node, parent, key)
      if node.kind == "list" and #node.items == 2 then return node.items[1].text .. "+" .. node.items[2].text end
      return own:mismatch(field, node, parent, key)
    end)
    assert.equal("a+b", (check({ type = "pair" }, "[a, b]")))
    assert.same({ "expected two of a kind, found a list" }, select(2, check({ type = "pair" }, "[a]")))
  end)

  it("may say where names of files start", function()
    local node = assert(yaml.parse("a/../b", "a.yaml"))
    assert.equal("/base/b", (schema.check({ type = "file" }, node, Report.new(), "x", "/base")))
    assert.equal("a/../b", (schema.check({ type = "file" }, node, Report.new(), "x")))
  end)

  it("may have a field named like a rule", function()
    local value, messages = check(object { one_of = { type = "string" } }, "{one_of: x}")
    assert.same({}, messages)
    assert.same({ one_of = "x" }, value)
  end)

  it("with an unknown type is an error of its author", function()
    assert.has_error(function() check({ type = "colour" }, "red") end, 'schema: unknown type "colour"')
  end)

  it("keeps the order of its fields when asked to", function()
    local fields = schema.ordered { { "z", type = "string" }, { "a", type = "string" }, one_of = { "z", "a" } }
    assert.same({ "z", "a" }, schema.names(fields))
    assert.same({ "z", "a" }, fields.one_of)
  end)

  it("has its fields by the alphabet otherwise", function()
    assert.same({ "a", "z" }, schema.names { z = { type = "string" }, a = { type = "string" }, one_of = { "a" } })
  end)
end)
