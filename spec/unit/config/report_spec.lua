require "tidegate.ffi"
local Report = require "tidegate.config.report"

local function place(line, column, file) return { file = file or "a.yaml", line = line, column = column } end

describe("a report", function()
  it("is empty where all is well", function()
    local report = Report.new()
    assert.equal("", report:text())
    assert.is_false(report:has_errors())
  end)

  it("has place, path, message, the line and a caret", function()
    local report = Report.new()
    report:source("a.yaml", "a: 1\n  b: 2\n")
    report:add(place(2, 3), "a.b", "wrong")
    assert.equal("a.yaml:2:3: a.b: wrong\n    2 |   b: 2\n      |   ^\n", report:text())
  end)

  it("is in the order of files, lines and columns", function()
    local report = Report.new()
    for _, at in ipairs { { 2, 1, "b" }, { 10, 1, "a" }, { 2, 5, "a" }, { 2, 1, "a" } } do
      report:add(place(unpack(at)), nil, "x")
    end
    assert.equal("a:2:1: x\na:2:5: x\na:10:1: x\nb:2:1: x\n", report:text())
  end)

  it("says the same thing once", function()
    local report = Report.new()
    report:add(place(1, 1), "a", "x")
    report:add(place(1, 1), "a", "x")
    assert.equal("a.yaml:1:1: a: x\n", report:text())
  end)

  it("has warnings after errors, which are none", function()
    local report = Report.new()
    report:warn(place(1, 1), "a", "odd")
    assert.is_false(report:has_errors())
    report:add(place(2, 1), "b", "wrong")
    assert.equal("a.yaml:2:1: b: wrong\na.yaml:1:1: warning: a: odd\n", report:text())
  end)

  it("does not show the line of a secret", function()
    local report = Report.new()
    report:source("a.yaml", "key: hunter2\n")
    local at = place(1, 6)
    at.is_secret = true
    report:add(at, "key", "wrong")
    assert.equal("a.yaml:1:6: key: wrong\n", report:text())
  end)

  it("counts what it does not tell", function()
    local report = Report.new()
    for i = 1, 60 do report:add(place(i, 1), nil, "x") end
    assert.truthy(report:text():find("a.yaml:50:1: x\n... and 10 more\n", 1, true))
  end)

  it("has room for what is outside of files", function()
    local report = Report.new()
    report:add({ file = "--set a=1" }, "a", "wrong")
    assert.equal("--set a=1: a: wrong\n", report:text())
  end)

  local lines = {
    { "counts characters, not bytes", "é: ü", 4, "é: ü", 3 },
    { "shows tabs as one space", "\ta: 1", 2, " a: 1", 1 },
    { "shows what would move the cursor as a question mark", "a\27[2J: \0", 3, "a?[2J: ?", 2 },
    { "shows what is no UTF-8 as a question mark", "a: \255\195x", 5, "a: ??x", 4 },
    { "may point behind the end", "a", 2, "a", 1 },
    { "leaves out the end of the line", "a: 1\r", 1, "a: 1", 0 },
  }
  for _, case in ipairs(lines) do
    it(case[1], function()
      local report = Report.new()
      report:source("a.yaml", case[2] .. "\nnext\n")
      report:add(place(1, case[3]), nil, "x")
      assert.equal(("a.yaml:1:%d: x\n    1 | %s\n      | %s^\n"):format(case[3], case[4], (" "):rep(case[5])),
                   report:text())
    end)
  end

  it("cuts a long line around the caret", function()
    local report = Report.new()
    report:source("a.yaml", ("a"):rep(500) .. "b" .. ("c"):rep(500))
    report:add(place(1, 501), nil, "x")
    assert.equal(("    1 | %sb%s\n      | %s^\n"):format(("a"):rep(50), ("c"):rep(49), (" "):rep(50)),
                 report:text():match "\n(.*)")
  end)

  it("does without a line that is not there", function()
    local report = Report.new()
    report:source("a.yaml", "a: 1")
    report:add(place(99, 1), nil, "x")
    assert.equal("a.yaml:99:1: x\n", report:text())
  end)
end)
