--- tidegate.spec.outcome: lines of the log, and what came of a request.
local outcome = require "tidegate.spec.outcome"

local WHEN = "2026-01-02T03:04:05.678Z "

describe("a line of the log", function()
  local rows = {
    { "info  plugin: hello", "info", "plugin", "hello", {} },
    { "warn  upstream: no node service=app node=1.2.3.4:80", "warn", "upstream", "no node",
      { service = "app", node = "1.2.3.4:80" } },
    { 'error front: a b c="d e" f=', "error", "front", "a b", { c = "d e", f = "" } },
    { 'debug plugin: odd = "thing" a="b \\"c\\" = \\\\" d=1', "debug", "plugin", 'odd = "thing"',
      { a = 'b "c" = \\', d = "1" } },
    { "info  plugin: two\\x0alines a=\"1\\x0a2\"", "info", "plugin", "two\nlines", { a = "1\n2" } },
    { "info  plugin: x=1 but then words", "info", "plugin", "x=1 but then words", {} },
  }
  for _, row in ipairs(rows) do
    it("is taken apart: " .. row[1], function()
      local entry = outcome.log_entry(WHEN .. row[1])
      assert.same({ row[2], row[3], row[4], row[5] }, { entry.level, entry.where, entry.message, entry.fields })
      assert.equal(WHEN .. row[1], entry.line)
    end)
  end

  it("may be none of the gateway's", function() assert.same({ line = "what" }, outcome.log_entry "what") end)
end)

describe("an outcome", function()
  it("is what was noted, and the response", function()
    local notes = outcome.notes()
    notes.upstreams = { { body = "1" }, { body = "2" } }
    notes.errors = { { plugin = "p", hook = "request", text = "oops" } }
    local out = outcome.new(notes, {
      status = 200, reason = "OK", headers = { a = "1" }, fields = { { name = "A", value = "1" } }, body = "[1]",
      interims = {}, complete = true,
    })
    assert.equal("2", out.upstream.body)
    assert.equal("oops", out.error)
    assert.is_false(out.cut)
    assert.same({ "1" }, out:all "a")
    assert.same({ 1 }, out:json())
    assert.equal("200 OK\nA: 1\n\n[1]\n\np, request: oops", tostring(out))
  end)

  it("is empty where nothing came", function()
    local out = outcome.new(outcome.notes())
    assert.is_true(out.cut)
    assert.same({}, out.headers)
    assert.equal("no response\n\n\n", tostring(out))
  end)
end)
