--- Files with the keys, the structure and the shape of every example that the other gateways' documents have: each
-- loads or converts, and means the same when it is converted.
local dialects = require "support.dialects"
local files = require "support.files"
local markdown = require "support.markdown"

-- file; requirements that its example belongs to; what is said of it, whatever this version has.
local LOADED = {
  { "toyou/round_robin.yaml", "T60" },
  { "toyou/weighted_round_robin.yaml", "T60 T61" },
  { "toyou/ip_hash.yaml", "T60" },
  { "toyou/least_connections.yaml", "T60" },
  { "toyou/health_check.yaml", "T61 T62" },
  { "toyou/balanced.yaml", "T59 T60 T61 T62", says = { "url: does not count beside load_balancer.backends" } },
  { "toyou/quick_start.yaml", "T11 T19 T20 T21 T68 T75 X2", says = { "parts cannot be read" } },
  { "toyou/host_rules.yaml", "T8 T9 T10 T11",
    says = { 'there is no service "pages"', "auth has no settings, so that nobody could be let through" } },
  { "toyou/route_rules.yaml", "T10 T12", says = { "auth has no settings" } },
  { "toyou/services.yaml", "T59" },
  { "toyou/middlewares.yaml", "T19 T20 T21 T29 T81 X7" },
  { "toyou/middleware_services.yaml", "T30 T31" },
  { "toyou/advanced.yaml", "T75 X9" },
  { "toyou/files/config.yaml", "T68 T69 T70 T71 T72" },
  { "toyou/files/parts/domains.yaml", "T68", says = { "auth has no settings" } },
  { "toyou/files/parts/middlewares.yaml", "T68" },
  { "toyou/tenants.yaml", "T9 T16" },
  { "toyou/microservices.yaml", "T12" },
  { "toyou/development.yaml", "T8 T16" },
  { "toyou/several/config.yaml", "T68 T76 X3", says = { "since rules for hosts come first" } },
  { "toyou/several/parts/crew-services.yaml", "T76", says = { "since rules for hosts come first" } },
  { "toyou/several/parts/bridge-services.yaml", "T76" },
  { "toyou/several/parts/picture-services.yaml", "T76" },
  { "toyou/custom.yaml", "T28" },
  { "toyou/custom_service.yaml", "T28 T30" },
  { "toyou/dynamic_route.yaml", "T47 T48 T49" },
  { "toyou/websocket.yaml", "T81" },
  { "toyou/websocket_complete.yaml", "T81 T82 T83 T84 T85 T86 X9" },
  { "toyou/websocket_rules.yaml", "T66 T81" },
  { "toyou/websocket_talk.yaml", "T66 T81 T82" },
  { "toyou/websocket_push.yaml", "T66 T81 T83" },
  { "toyou/demo.yaml", "T60 T62 T64" },
  { "toyou/demo_weighted.yaml", "T60 T61 T64" },
  { "toyou/plugin_settings.yaml", "T19 T20 T45" },

  { "gateway/short.yaml", "G32 G33 G34 X11" },
  { "gateway/routes.yaml", "G35 G36 G37 G38 G39 G40 G41 G42 X12 X14", says = { 'there is no service "timetable"' } },
  { "gateway/services.yaml", "G43 G44" },
}

local CONVERTED = {
  { "dispa/small.toml", "D3 X20" },
  { "dispa/full.toml", "D3 D6 D22 D32 D33 D36 X20", says = { "only 127.0.0.1 is believed" } },
  { "pingora/full.toml", "P2 P3 P11 P17 P18 P19 P31 P33 P34 X16" },
  { "pingora/source_spelling.toml", "P18 P19 P34 X16" },
  { "bighammer/config/config.json", "B2 B5 B6 B7 B8 X19",
    says = { 'there is no plugin "telegraph"', "must speak HTTP on this socket" } },
}

local function says_all(said, wanted)
  for _, words in ipairs(wanted or {}) do assert.truthy(said:find(words, 1, true), words .. "\n" .. said) end
end

describe("a file of another gateway", function()
  for _, case in ipairs(LOADED) do
    it(("loads as it is: %s [%s]"):format(case[1], case[2]), function()
      local result = dialects.load(case[1])
      assert.same({}, result.report.errors)
      says_all(result.report:text(), case.says)
    end)

    it(("means the same converted: %s"):format(case[1]), function()
      local code, text, said = dialects.convert(case[1])
      assert.equal(said == "" and 0 or 1, code)
      local converted = dialects.load_converted(text)
      assert.equal("", converted.report:text())
      assert.same(dialects.values(dialects.load(case[1])), dialects.values(converted))
    end)
  end

  for _, case in ipairs(CONVERTED) do
    it(("converts: %s [%s]"):format(case[1], case[2]), function()
      local code, text, said = dialects.convert(case[1])
      assert.equal(said == "" and 0 or 1, code)
      says_all(said, case.says)
      assert.equal("", dialects.load_converted(text).report:text())
    end)

    it("is known by its keys: " .. case[1], function()
      local from = case[1]:match "^%l+"
      assert.same({ dialects.convert(case[1], from) }, { dialects.convert(case[1]) })
    end)

    it("does not load as it is: " .. case[1], function()
      assert.is_false(dialects.load(case[1]).good)
    end)
  end
end)

describe("the example in docs/migrating.md", function()
  it("becomes what stands below it", function()
    local blocks = markdown.blocks "docs/migrating.md"
    for i, block in ipairs(blocks) do
      if block.text:find "^# config.yaml of Toyou" then
        local folder = files.folder()
        files.write(folder .. "/config.yaml", block.text)
        assert.same({ 0, blocks[i + 1].text, "" }, { dialects.convert(folder .. "/config.yaml") })
        return
      end
    end
    error "there is none"
  end)
end)
