require "tidegate.ffi"           -- brings the core, which has the reader of YAML
local emit = require "tidegate.config.emit"
local plain = require "support.plain"
local yaml = require "tidegate.yaml"

local function read(text)
  local node, errors = yaml.parse(text, "emitted.yaml")
  assert.is_nil(errors and ("%d:%d: %s\n%s"):format(errors[1].line, errors[1].column, errors[1].message, text))
  return node, plain(node, emit.null)
end

--- What libyaml knows about the order of keys.
local function keys_of(text)
  local list = {}
  for _, entry in ipairs((read(text)).entries) do list[#list + 1] = entry.key end
  return list
end

describe("emitted YAML", function()
  local layouts = {
    { "stands in blocks", { a = { b = { c = 1 } }, d = "x" }, "a:\n  b:\n    c: 1\nd: x\n" },
    { "keeps short lists on a line", { a = { "GET", "POST" } }, "a: [GET, POST]\n" },
    { "begins a map in a list beside its dash", { { a = 1, b = 2 }, { c = { d = 1 } } },
      "- a: 1\n  b: 2\n- c:\n    d: 1\n" },
    { "has lists in lists", { { { a = 1 } }, { "b" } }, "-\n  - a: 1\n- [b]\n" },
    { "tells empty lists from empty maps", emit.map { { "a", {} }, { "b", emit.map {} }, { "c", emit.list {} } },
      "a: []\nb: {}\nc: []\n" },
    { "keeps the order of a map that has one", emit.map { { "z", 1 }, { "a", 2 }, { "m", nil }, { "b", 3 } },
      "z: 1\na: 2\nb: 3\n" },
    { "puts the keys first that are named first", { path = 1, name = 2, zeta = 3, alpha = 4 },
      "name: 2\npath: 1\nalpha: 4\nzeta: 3\n", { order = { "name", "path" } } },
    { "has comments behind values", emit.map { { "a", emit.with(1, { comment = "x" }) },
      { "b", emit.with({ c = 1 }, { comment = "y\nz" }) }, { "d", emit.with("l\nm\n", { comment = "t" }) } },
      "a: 1  # x\nb:  # y z\n  c: 1\nd: |  # t\n  l\n  m\n" },
    { "has comments above values", emit.map { { "a", emit.with(1, { above = "one\n\ntwo" }) } },
      "# one\n#\n# two\na: 1\n" },
    { "has comments in lists", { emit.with("a", { above = "x" }), emit.with({ b = 1 }, { comment = "y" }) },
      "# x\n- a\n-  # y\n  b: 1\n" },
    { "has comments above the first key in a list", { emit.map { { "a", emit.with(1, { above = "x" }) } } },
      "-\n  # x\n  a: 1\n" },
    { "stands on one line when it is told to", { a = emit.with({ b = { "c", { d = "x:1" } } }, { flow = true }) },
      'a: { b: [c, { d: "x:1" }] }\n' },
    { "writes several lines as a block", { a = "one\ntwo\n", b = "one\n\ntwo", c = "one\n\n\n" },
      "a: |\n  one\n  two\nb: |-\n  one\n\n  two\nc: |+\n  one\n\n\n" },
    { "writes numbers as short as they are", { 1, -2, 0.1, 1e300, 2 ^ 53, 1 / 3 },
      "[1, -2, 0.1, 1e+300, 9007199254740992, 0.3333333333333333]\n" },
    { "is one value", "text", "text\n" },
    { "is one value of several lines", "a\nb", '"a\\nb"\n' },
    { "is nothing", nil, "null\n" },
  }
  for _, case in ipairs(layouts) do
    it(case[1], function()
      assert.equal(case[3], emit.text(case[2], case[4]))
      read(case[3])
    end)
  end

  it("breaks a list that is too wide", function()
    local list = {}
    for i = 1, 30 do list[i] = "item" .. i end
    assert.equal("a:\n  - item1\n  - item2\n", emit.text { a = list }:sub(1, 23))
  end)

  local plain_texts = { "a", "a b", "/api/*", "http://127.0.0.1:9000", "api.example.com", "10s", "64KiB", "a#b", "a:b",
                        "x${y}", "é", "10%", "a'b", 'a"b', "it's", "127.0.0.1/32", "x~", "\\", "a\\b", "${X}" }
  local quoted_texts = {
    "", " a", "a ", "true", "True", "null", "~", "yes", "No", "ON", "off", "y", "N", "1", "-1", "1.5", "1e3", "0x1F",
    "0o17", ".inf", ".nan", "1_000", "12:30", "12:30:45", "2024-01-02", "0b11", "<<", "=", "- a", "-", "?",
    "? a", ":8080", "a: b", "a:", "a #b", "# a", "&a", "*a", "!a", "|", ">", "'a'", '"a"', "%a", "@a", "`a", "[a",
    "{a", "]", "}",
    ",a",
    "---", "...", "a\tb", "a\0b", "\27", "\127", "\194\133", "\226\128\168", "\239\187\191", "\239\191\191", "+1",
    "+.5", "017", "a\rb",
  }
  it("leaves plain what needs no quotes", function()
    for _, text in ipairs(plain_texts) do assert.equal("a: " .. text .. "\n", emit.text { a = text }) end
  end)

  it("quotes what would be read as something else, also by readers of YAML 1.1", function()
    for _, text in ipairs(quoted_texts) do
      assert.truthy(emit.text({ a = text }):find('^a: "'), ("%q"):format(text))
      for _, written in ipairs { emit.text { a = text }, emit.text { [text] = "a" }, emit.text { { text } },
                                 emit.text(emit.with({ a = text }, { flow = true })), emit.text(text) } do
        read(written)
      end
      assert.equal(text, select(2, read(emit.text { a = text })).a)
      assert.equal("a", select(2, read(emit.text { [text] = "a" }))[text])
      assert.equal(text, select(2, read(emit.text { { text } }))[1][1])
    end
  end)

  it("gives long keys a form of their own", function()
    local long = ("k"):rep(1500)
    assert.same({ [long] = { b = 1 } }, select(2, read(emit.text { [long] = { b = 1 } })))
    assert.same({ { [long] = "x" } }, select(2, read(emit.text { { [long] = "x" } })))
    assert.same({ [long] = "x" }, select(2, read(emit.text(emit.with({ [long] = "x" }, { flow = true })))))
  end)

  it("holds no bytes that are no UTF-8", function()
    for _, bytes in ipairs { "a\255b", "\192\128", "\237\160\128", "\244\144\128\128", "\195", "\226\130" } do
      local value = select(2, read(emit.text { a = bytes })).a
      assert.truthy(value:find("\239\191\189", 1, true))
    end
  end)

  it("refuses what no YAML stands for", function()
    assert.has_error(function() emit.text { a = print } end, "emit: expected a value, found a function")
  end)

  -- A value at random. Depth and width shrink on the way down.
  local parts = { "a", "b", "1", "-", ":", " ", "#", "\n", "\t", "'", '"', "{", "}", "[", "]", ",", "*", "&", "!",
                  "|", ">", "%", "@", "`", "?", "é", "\226\130\172", "\240\159\152\128", "yes", "null", "\\", "~", "\0",
                  "\r",
                  "\194\133", "...", "---", "<<", "$", "0", ".", "e", "  ", "\n\n" }
  local function random_text()
    local out = {}
    for i = 1, math.random(0, 6) do out[i] = parts[math.random(#parts)] end
    return table.concat(out)
  end

  local function random_value(depth)
    local kind = math.random(depth > 0 and 9 or 6)
    if kind <= 3 then return random_text() end
    if kind == 4 then return math.random() < 0.5 and math.random(-99, 99) or math.random() * 1e9 end
    if kind == 5 then return math.random() < 0.5 end
    if kind == 6 then return emit.null end
    local result, marked = {}, math.random() < 0.3
    if kind <= 7 then
      for i = 1, math.random(0, 4) do result[i] = random_value(depth - 1) end
      return marked and emit.list(result) or result
    end
    for _ = 1, math.random(1, 4) do result["k" .. random_text()] = random_value(depth - 1) end
    if kind == 9 then result[random_text()] = 1 end
    return result
  end

  --- The same value with comments and flow forms strewn in.
  local function decorated(value)
    if type(value) == "table" then
      local copy = setmetatable({}, getmetatable(value))
      for k, v in pairs(value) do copy[k] = decorated(v) end
      value = copy
    end
    local roll = math.random(8)
    if roll == 1 then return emit.with(value, { comment = random_text() }) end
    if roll == 2 then return emit.with(value, { above = random_text() }) end
    if roll == 3 then return emit.with(value, { flow = true }) end
    return value
  end

  it("is read back as what it was, whatever that is", function()
    math.randomseed(20)
    for _ = 1, 3000 do
      local value = random_value(4)
      local text = emit.text(value)
      assert.same(value, select(2, read(text)), text)
      local noted = emit.text(decorated(value))
      assert.same(value, select(2, read(noted)), noted)
    end
  end)

  it("keeps the order of keys over reading", function()
    assert.same({ "z", "a", "k" }, keys_of(emit.text(emit.map { { "z", 1 }, { "a", { 1 } }, { "k", "x" } })))
  end)
end)
