--- Loading with gateway.on_invalid: quarantine: what is bad gives way, the rest comes in force.
local C = require "tidegate.ffi"
local files = require "support.files"
local quarantine = require "tidegate.config.quarantine"

local HEAD = 'listen: [":0"]\ngateway: { on_invalid: quarantine, plugin_dirs: plugins }\n'
local WORD = [[
return {
  version = "1.0.0", band = "filter", schema = { word = { type = "string", default = "-" } },
  request = function(_, req) return req:reply(200, "%s") end,
}
]]

--- Loads what the files of a folder say now; good: of the load before.
local function load(folder, good)
  local options = { getenv = function() return "secret" end, variables = {} }
  local result = quarantine.load(folder .. "/tidegate.yaml", options, good)
  if result.generation then C.tide_generation_drop(result.generation) end
  return result
end

local function folder_with(texts)
  local folder = files.folder()
  os.execute("mkdir -p " .. folder .. "/plugins")
  for name, text in pairs(texts) do files.write(folder .. "/" .. name, text) end
  return folder
end

--- What is in quarantine, as words; in the order of the files.
local function words_of(result)
  local list = {}
  for i, one in ipairs(result.quarantined) do list[i] = one.id .. " " .. one.version end
  return table.concat(list, ", ")
end

--- Each route as "name:status", or "name>service".
local function routes_of(result)
  local list = {}
  for i, route in ipairs(result.config.routes) do
    local name = route.name .. (route.when and "?" or "")
    list[i] = name .. (route.service and ">" .. route.service or ":" .. route.respond.status)
  end
  return table.concat(list, " ")
end

local GOOD = HEAD .. [[
services: { app: "127.0.0.1:9000" }
routes:
  - { name: a, path: /a, respond: { status: 201 } }
  - { name: b, path: /b, service: app }
]]

local cases = {
  { "keeps a route as it was", [[
services: { app: "127.0.0.1:9000" }
routes:
  - { name: a, path: /a, respond: { status: lots } }
  - { name: b, path: /b, respond: { status: 203 } }
]], "route a keeps its last good version", "a:201 b:203" },
  { "shuts a route that was never good, so that no wider one gets its requests", [[
services: { app: "127.0.0.1:9000" }
routes:
  - { name: new, path: /a/b, plugins: [ nothing_of_that_name ], respond: { status: 200 } }
  - { name: b, path: /b, service: app }
]], "route new answers with 503", "new:503 b>app" },
  { "shuts a route for no more than it would take", [[
services: { app: "127.0.0.1:9000" }
routes:
  - { name: new, path: /b, when: { header: x-new }, service: nothing_of_that_name }
  - { name: b, path: /b, service: app }
]], "route new answers with 503", "new?:503 b>app" },
  { "keeps a service as it was", [[
services: { app: { nodes: ["127.0.0.1:9000"], balance: by_whim } }
routes:
  - { name: b, path: /b, service: app }
]], "service app keeps its last good version", "b>app" },
  { "leaves out a new service, and shuts what needs it", [[
services: { app: "127.0.0.1:9000", fresh: { nodes: [] } }
routes:
  - { name: c, path: /c, service: fresh }
  - { name: b, path: /b, service: app }
]], "service fresh is left out, route c answers with 503", "c:503 b>app" },
  { "takes the good one of two with one name", [[
routes:
  - { name: b, path: /b, respond: { status: 201 } }
  - { name: b, path: /c, respond: { status: 202 } }
]], "route b (2) answers with 503", "b:201 route 2:503" },
  { "leaves out a new listener", [[
listen: [":0", { address: "nowhere at all" }]
routes: [{ name: a, path: /a, respond: { status: 201 } }]
]], "listener nowhere at all is left out", "a:201" },
}

describe("a configuration in quarantine", function()
  for _, case in ipairs(cases) do
    it(case[1], function()
      local folder = folder_with { ["tidegate.yaml"] = GOOD }
      local first = load(folder)
      assert.same({ true, "" }, { first.good, first.told })
      local head = case[2]:find "^listen" and HEAD:gsub("^[^\n]*\n", "") or HEAD
      files.write(folder .. "/tidegate.yaml", head .. case[2])
      local result = load(folder, first)
      assert.is_true(result.good, result.told)
      assert.equal(case[3], words_of(result))
      assert.equal(case[4], routes_of(result))
      assert.truthy(result.told:find("tidegate.yaml:%d+:%d+: "), result.told)
      for _, one in ipairs(result.quarantined) do
        assert.truthy(result.told:find("in quarantine: " .. one.id, 1, true), result.told)
      end
    end)
  end

  local refused = {
    { "what is in no item", "limits: { head: enormous }\nroutes: []\n", "limits.head: expected a size" },
    { "a route of which nobody can tell what it takes: a path",
      "routes: [{ name: new, path: no_slash, respond: {} }, { name: wide, respond: {} }]\n", "routes%[1%].path" },
    { "... the path of one that had another, and no name", "routes: [{ path: /a*, respond: {} }, { respond: {} }]\n",
      "routes%[1%].path" },
    { "... conditions", "routes: [{ name: new, when: { header: x, matches: '(' }, respond: {} }]\n",
      "routes%[1%].when" },
    { "... a priority", "routes: [{ name: new, priority: high, respond: {} }]\n", "routes%[1%].priority" },
    { "... a switch", "routes: [{ name: new, enabled: maybe, respond: {} }]\n", "routes%[1%].enabled" },
    { "... one that is no map", "routes: [ new ]\n", "routes%[1%]: expected a map" },
    { "a text that is no YAML", "routes: [oops\n", "tidegate.yaml:%d+" },
    { "a new plugin of the global chain, which might be what guards", "plugins: [ guard ]\nroutes: []\n",
      'there is no plugin "guard"' },
    { "a new instance", "instances: { guard: { use: nothing } }\nroutes: []\n", 'there is no plugin "nothing"' },
    { "no listener that is left", "listen: [ nowhere ]\nroutes: []\n", "listen%[1%]" },
  }
  for _, case in ipairs(refused) do
    it("refuses " .. case[1], function()
      local head = case[2]:find "^listen" and HEAD:gsub("^[^\n]*\n", "") or HEAD
      local folder = folder_with { ["tidegate.yaml"] = GOOD }
      local first = load(folder)
      files.write(folder .. "/tidegate.yaml", head .. case[2])
      local result = load(folder, first)
      assert.is_false(result.good)
      assert.same({}, result.quarantined)
      local at = assert.truthy(result.told:find(case[3]), result.told)
      assert.is_nil(result.told:find(case[3], at + 1), "told again")
      assert.is_nil(result.told:find("in quarantine", 1, true))
    end)
  end

  it("knows routes without names by what they take, in any order", function()
    local FIRST, SECOND = "{ path: /x, when: { header: a }, respond: { status: 403 } }", "{ path: /x, respond: {} }"
    local folder = folder_with { ["tidegate.yaml"] = ("%sroutes: [%s, %s]\n"):format(HEAD, FIRST, SECOND) }
    local first = load(folder)
    local broken = FIRST:gsub("403", "lots")
    files.write(folder .. "/tidegate.yaml", ("%sroutes: [%s, %s]\n"):format(HEAD, SECOND, broken))
    local result = load(folder, first)
    assert.equal("route /x (2) keeps its last good version", words_of(result), result.told)
    assert.equal("route 1:200 route 2?:403", routes_of(result))
    broken = broken:gsub("header: a", "header: b")
    files.write(folder .. "/tidegate.yaml", ("%sroutes: [%s, %s]\n"):format(HEAD, SECOND, broken))
    result = load(folder, first)
    assert.equal("route /x (2) answers with 503", words_of(result), result.told)
    assert.equal("route 1:200 route 2?:503", routes_of(result))
  end)

  it("keeps nothing without the key", function()
    local folder = folder_with { ["tidegate.yaml"] = GOOD }
    local first = load(folder)
    files.write(folder .. "/tidegate.yaml",
                'listen: [":0"]\nroutes: [{ name: a, path: /a, respond: { status: lots } }]\n')
    assert.is_false(load(folder, first).good)
  end)

  it("keeps an item over many loads, also when others become bad later", function()
    local folder = folder_with { ["tidegate.yaml"] = GOOD }
    local result = load(folder)
    local versions = {
      { "{ name: a, path: /a, respond: { status: lots } }", "{ name: b, path: /b, respond: { status: 202 } }",
        "a:201 b:202" },
      { "{ name: a, path: /a, respond: { status: lots } }", "{ name: b, path: /b, respond: { status: 203 } }",
        "a:201 b:203" },
      { "{ name: a, path: /a, respond: { status: lots } }", "{ name: b, path: /b, respond: { status: lots } }",
        "a:201 b:203" },
      { "{ name: a, path: /a, respond: { status: 204 } }", "{ name: b, path: /b, respond: { status: lots } }",
        "a:204 b:203" },
    }
    for _, version in ipairs(versions) do
      files.write(folder .. "/tidegate.yaml", ("%sroutes: [%s, %s]\n"):format(HEAD, version[1], version[2]))
      result = load(folder, { texts = result.texts, edits = result.edits })
      assert.is_true(result.good, result.told)
      assert.equal(version[3], routes_of(result))
    end
  end)

  it("keeps no value of the environment", function()
    local folder = folder_with {
      ["tidegate.yaml"] = HEAD .. "routes: [{ name: a, path: /a, respond: { body: '${WORD}' } }]\n",
    }
    local first = load(folder)
    assert.equal("secret", first.config.routes[1].respond.body)
    files.write(folder .. "/tidegate.yaml",
                HEAD .. "routes: [{ name: a, path: /a, respond: { body: '${WORD}', status: lots } }]\n")
    local result = load(folder, first)
    assert.equal("secret", result.config.routes[1].respond.body)
    assert.is_nil(require("string.buffer").encode(result.edits):find("secret", 1, true))
  end)

  describe("of several files", function()
    local MAIN = HEAD .. "include: [ more.yaml ]\nroutes: [{ name: a, path: /a, respond: { status: 201 } }]\n"
    local MORE = "routes: [{ name: b, path: /b, respond: { status: 202 } }]\n"

    it("takes the last good text of one that is no YAML any more", function()
      local folder = folder_with { ["tidegate.yaml"] = MAIN, ["more.yaml"] = MORE }
      local first = load(folder)
      assert.same({ true, "" }, { first.good, first.told })
      files.write(folder .. "/tidegate.yaml", (MAIN:gsub("201", "204")))
      files.write(folder .. "/more.yaml", "routes: [oops\n")
      local result = load(folder, first)
      assert.is_true(result.good, result.told)
      assert.equal("a:204 b:202", routes_of(result))
      assert.equal("file " .. folder .. "/more.yaml keeps its last good version", words_of(result))
    end)

    it("keeps an item of one, and takes the rest of it", function()
      local folder = folder_with { ["tidegate.yaml"] = MAIN, ["more.yaml"] = MORE }
      local first = load(folder)
      files.write(folder .. "/more.yaml", MORE:gsub("202", "many") ..
                  "  # and\nservices: { fresh: \"127.0.0.1:1\" }\n")
      local result = load(folder, first)
      assert.is_true(result.good, result.told)
      assert.equal("a:201 b:202", routes_of(result))
      assert.truthy(result.config.services.fresh)
    end)

    it("refuses a new one that is no YAML", function()
      local folder = folder_with { ["tidegate.yaml"] = GOOD }
      local first = load(folder)
      files.write(folder .. "/more.yaml", "routes: [oops\n")
      files.write(folder .. "/tidegate.yaml", MAIN)
      local result = load(folder, first)
      assert.is_false(result.good)
      assert.truthy(result.told:find("more.yaml:%d+"), result.told)
    end)
  end)

  describe("with a plugin", function()
    local CONFIG = HEAD .. [[
plugins: [ word ]
routes:
  - { name: a, path: /a, plugins: [ { word: { word: x } } ], respond: { status: 201 } }
  - { name: b, path: /b, respond: { status: 202 } }
]]

    it("takes the last good text of its file", function()
      local folder = folder_with { ["tidegate.yaml"] = CONFIG, ["plugins/word.lua"] = WORD:format "first" }
      local first = load(folder)
      assert.same({ true, "" }, { first.good, first.told })
      files.write(folder .. "/plugins/word.lua", "return {{{\n")
      local result = load(folder, first)
      assert.is_true(result.good, result.told)
      assert.equal("file " .. folder .. "/plugins/word.lua keeps its last good version", words_of(result), result.told)
      assert.equal(WORD:format "first", result.plugins.bundle.files.word.source)
    end)

    it("takes the last good text when the settings in force no longer fit it", function()
      local folder = folder_with { ["tidegate.yaml"] = CONFIG, ["plugins/word.lua"] = WORD:format "first" }
      local first = load(folder)
      files.write(folder .. "/plugins/word.lua", (WORD:format("second"):gsub("word =", "wort =")))
      local result = load(folder, first)
      assert.is_true(result.good, result.told)
      assert.equal(WORD:format "first", result.plugins.bundle.files.word.source)
    end)

    it("shuts every route that uses a new one that is broken", function()
      local folder = folder_with { ["tidegate.yaml"] = GOOD, ["plugins/word.lua"] = "return {{{\n" }
      local first = load(folder)
      files.write(folder .. "/tidegate.yaml", HEAD .. [[
routes:
  - { name: c, path: /c, plugins: [ word ], respond: { status: 201 } }
  - { name: d, path: /d, plugins: [ word ], respond: { status: 202 } }
  - { name: e, path: /e, respond: { status: 203 } }
]])
      local result = load(folder, first)
      assert.is_true(result.good, result.told)
      assert.equal("c:503 d:503 e:203", routes_of(result))
    end)
  end)
end)
