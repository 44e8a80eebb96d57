--- What plugins add to the access log with req:set_log.
local cjson = require "cjson"
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local probe = require "support.probe"

local LOG = [[
log: { access: [ { file: access.log }, { file: own.log, template: "<${plugin.a}> <${plugin.b.c}>" } ] }
]]

describe("req:set_log [T22]", function()
  local gw

  setup(function() gw = probe.start("", LOG) end)
  teardown(function() gw:stop() end)

  local count = 0

  local function lines_of(name)
    local lines = {}
    for line in (files.read(gw.folder .. "/" .. name) or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
    return lines
  end

  local function wait_lines()
    clock.wait_until(function()
      return #lines_of "access.log" >= count and #lines_of "own.log" >= count
    end, nil, "the logs")
  end

  --- Runs code; gives what it returned, its line as JSON, and that of the template.
  local function run(code)
    count = count + 1
    local shown = probe.run(gw, code)
    wait_lines()
    return shown, cjson.decode(lines_of("access.log")[count]), lines_of("own.log")[count]
  end

  it("takes texts, numbers, truth and tables", function()
    local _, line, own = run [[
      req:set_log("a", 'say "x"\n\\ \0é') req:set_log("n", 1.5) req:set_log("t", true)
      req:set_log("b.c", { list = { 1, 2 } })
    ]]
    assert.equal('say "x"\n\\ \0é', line.a)
    assert.equal(1.5, line.n)
    assert.is_true(line.t)
    assert.same({ list = { 1, 2 } }, line["b.c"])
    assert.equal([[<say \"x\"\n\\ \u0000é> <{\"list\":[1,2]}>]], own)
  end)

  it("replaces and takes away", function()
    local _, line, own = run [[
      req:set_log("a", 1) req:set_log("a", "two")
      req:set_log("gone", 1) req:set_log("gone", nil) req:set_log("never", nil)
    ]]
    assert.equal("two", line.a)
    assert.is_nil(line.gone)
    assert.equal("<two> <->", own)
  end)

  it("has limits", function()
    local shown, line = run [[
      local good = 0
      for i = 1, 40 do if req:set_log("f" .. i, i) then good = good + 1 end end
      return good, select(2, req:set_log("more", 1)), req:set_log("f1", "again")
    ]]
    assert.equal("32 | over 32 fields, or 4096 bytes of names and values | true", shown)
    assert.equal("again", line.f1)
    assert.is_nil(line.more)
    shown, line = run [[
      return req:set_log("long", ("x"):rep(4089)), (req:set_log("long", ("x"):rep(4091))), (req:set_log("a", 1))
    ]]
    assert.equal("true | nil | nil", shown)
    assert.equal(4089, #line.long)
  end)

  it("keeps the line whole where all of it is long", function()
    local target = "/" .. ("%22"):rep(900)
    count = count + 1
    client.ask(gw:port(), client.request {
      method = "POST", target = target, headers = { "User-Agent: " .. ('"'):rep(3000) },
      body = 'req:set_log("long", ("x"):rep(4000)) req:set_log("short", 1)',
    })
    wait_lines()
    local line = cjson.decode(lines_of("access.log")[count])
    assert.is_nil(line.long)
    assert.equal(1, line.short)
  end)

  it("refuses what is no name of its own", function()
    for _, name in ipairs { "", "1a", "a b", 'a"', "status", "time", "user_agent", ("a"):rep(65) } do
      local shown = run(("return select(2, pcall(req.set_log, req, %q, 1))"):format(name))
      assert.truthy(shown:find("set_log: expected a name of its own for the field, found", 1, true), shown)
    end
    local shown = run "return select(2, pcall(req.set_log, req, 5, 1)), select(2, pcall(req.set_log, req, 'a', print))"
    assert.truthy(shown:find "expected a name, found a number.*set_log: ", shown)
  end)

  it("can be done in the log hook", function()
    probe.log(gw, 'return req:set_log("late", "yes")')
    count = count + 1
    wait_lines()
    assert.equal("yes", cjson.decode(lines_of("access.log")[count]).late)
  end)
end)
