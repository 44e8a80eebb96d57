--- The test kit: plugins and their instances.
local fake = require "tidegate.spec"
local kit = require "support.kit"

local function beside(...) return fake.plugin "beside" (...) end

describe("fake.plugin", function()
  it("finds a plugin beside the spec", function()
    assert.equal("beside 1 1", fake.request {}:through(beside {}).body)
  end)

  it("finds those that come with the gateway", function()
    local out = fake.request { method = "POST", body = "12345" }:through(fake.plugin "body_limit" { max = "4B" })
    assert.equal(413, out.status)
  end)

  it("tells what the plugin says of itself", function()
    local plugin = fake.plugin "beside"
    assert.equal("beside", plugin.name)
    assert.equal("beside", plugin.schema.text.default)
    assert.same({ request = true }, plugin.hooks)
    assert.same({ global = true, route = true }, plugin.stages)
  end)

  it("takes an empty table for a list where the schema has one", function()
    assert.equal("x 1 0", fake.request {}:through(beside { text = "x", list = {} }).body)
  end)

  local wrong = {
    { "an unknown name", 'there is no plugin "corse"; did you mean "cors"?', fake.plugin, "corse" },
    { "what is no name", "fake.plugin: expected a name, found a number", fake.plugin, 1 },
    { "a broken file", "(spec)/probe.lua:1:", fake.plugin, "probe", "return {" },
    { "a file without hooks", "has no hook", fake.plugin, "probe", "return {}" },
    { "unknown settings", 'beside.txt: unknown key; did you mean "text"?', beside, { txt = "a" } },
    { "wrong settings", "beside.text: expected a text, found a list", beside, { text = { 1 } } },
    { "what no file holds", "expected a value of a configuration, found a function", beside, { text = print } },
    { "unknown words of the entry", "an entry has no on_eror", beside, {}, { on_eror = "fail" } },
  }
  for _, row in ipairs(wrong) do
    it("refuses " .. row[1], function() kit.refuses(row[2], unpack(row, 3)) end)
  end

  it("tells the line of the spec that is wrong", function()
    local message = kit.message_of(function() fake.plugin "none" end)
    assert.matches("^spec/kit/plugin_spec.lua:%d+: there is no plugin", message)
  end)
end)

describe("an instance", function()
  local kept = beside {}

  it("keeps what it knows within a test", function()
    for i = 1, 3 do assert.equal(("beside %d 1"):format(i), fake.request {}:through(kept).body) end
  end)

  it("is a new one in the next", function() assert.equal("beside 1 1", fake.request {}:through(kept).body) end)

  it("stands where its options say", function()
    local plugin = fake.plugin("probe", kit.file "request(req) req:add_header('x-route', type(req.route))")
    local out = fake.request {}:through(plugin({}, { stage = "global" }), plugin {})
    assert.equal("nil, table", out.upstream.headers["x-route"])
    out = fake.request {}:through(plugin({}, { when = { header = "x-on" } }))
    assert.is_nil(out.upstream.headers["x-route"])
  end)

  it("runs in the order that the gateway makes", function()
    local plugin = fake.plugin("probe", kit.file "request(req) req:add_header('x-priority', self.conf.n)")
    plugin = fake.plugin("probe", (plugin.source:gsub("description", "schema = { n = { type = 'integer' } }, %0")))
    local out = fake.request {}:through(plugin { n = 1 }, plugin({ n = 2 }, { priority = 2 }))
    assert.equal("2, 1", out.upstream.headers["x-priority"])
  end)

  it("is all that through takes", function()
    kit.refuses("through: expected instances, as plugin{...} gives them; found a string at place 1", function()
      fake.request {}:through "beside"
    end)
  end)

  it("hears of its end", function()
    local closes = kit.instance("request()", "close() tide.log.info 'closed'")
    local gate = fake.memory { plugins = { closes } }
    gate:get "/"
    assert.equal("closed", gate:stop().log[1].message)
    kit.refuses("this gateway was stopped", gate.get, gate, "/")
  end)
end)
