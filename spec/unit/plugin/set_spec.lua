local C = require "tidegate.ffi"
local buffer = require "string.buffer"
local code = require "tidegate.plugin.code"
local cjson = require "cjson"
local config = require "tidegate.config"
local configuration = require "support.configuration"
local files = require "support.files"
local plugins = require "support.plugins"

local HELLO = [[
local Hello = { version = "1.0.0", schema = { word = { type = "string", default = "hi" } } }
Hello.__index = Hello
function Hello.new(conf) return setmetatable({ word = conf.word }, Hello) end
function Hello:request() end
function Hello:log() end
return Hello
]]

local function simple(fields)
  return ("return { %s, request = function() end }"):format(fields)
end

--- Names of the instances of a chain.
local function names(bundle, chain)
  local list = {}
  for i, number in ipairs(chain) do list[i] = bundle.instances[number].name end
  return list
end

describe("the bundle for the loops", function()
  local folder = plugins.folder {
    ["plugins/hello.lua"] = HELLO,
    ["plugins/early.lua"] = simple 'band = "observe"',
    ["plugins/late.lua"] = "return { band = 'transform', response = function() end, response_body = function() end }",
    ["plugins/parts/init.lua"] = "local one = require 'one' return { one = one, upstream = function() end }",
    ["plugins/parts/one.lua"] = "return 1",
    ["plugins/parts/lazy/two.lua"] = "return 2",
    ["plugins/lib/shared.lua"] = "return 3",
    ["plugins/reader.lua"] = "return { new = function() return { require 'shared' } end, failure = function() end }",
  }

  it("is not there where no plugin runs", function()
    local bundle, result = plugins.bundle(folder, "plugins: [{ use: hello, enabled: false }]\ninstances: { a: hello }")
    assert.is_nil(bundle)
    assert.equal(0, result.plugins.hooks)
  end)

  it("holds files, instances and chains, and can be sent as bytes", function()
    local bundle = plugins.bundle(folder, [[
plugins: [hello, { hello: { word: moin } }]
routes:
  - { path: /a, respond: {}, plugins: [{ name: mine, use: hello, on_error: continue, when: { method: GET } }] }
  - { path: /b, respond: {} }
lua: { budget: 20ms, hard_limit: 2s, memory: 64MiB }
dictionaries: { small: 1MiB, kept: { size: 2MiB, file: kept.dict } }
]])
    assert.same(bundle, buffer.decode(buffer.encode(bundle)))
    assert.same({ name = "hello", path = "plugins/hello.lua", source = HELLO, dir = folder .. "/plugins",
                  trusted = false, quarantined = false, code = code.of(HELLO, "plugins/hello.lua", false) },
                bundle.files.hello)
    assert.same({ request = true, log = true }, bundle.hooks.hello)
    assert.same({ { word = "hi" }, { word = "moin" } }, { bundle.instances[1].conf, bundle.instances[2].conf })
    local mine = bundle.instances[3]
    assert.same({ "hello", "mine", "continue", "filter", 0, folder .. "/tidegate.yaml:4" },
                { mine.plugin, mine.name, mine.on_error, mine.band, mine.priority, mine.place })
    assert.same({ subject = "method", op = "equals", value = "GET" }, mine.when)
    assert.same({ { 1, 2 }, { { 3 }, {} }, { "route 1", "route 2" } },
                { bundle.global, bundle.routes, bundle.route_names })
    assert.same({ budget = 0.02, hard_limit = 2, memory = 64 * 2 ^ 20 }, bundle.settings)
    assert.same({ small = { size = 2 ^ 20 }, kept = { size = 2 ^ 21, file = folder .. "/kept.dict" } },
                bundle.dictionaries)
  end)

  it("numbers routes as C does: without those that are not enabled", function()
    local bundle = plugins.bundle(folder, [[
routes:
  - { path: /a, enabled: false, respond: {}, plugins: [hello] }
  - { path: /b, name: b, respond: {}, plugins: [early] }
]])
    assert.same({ { 1 } }, bundle.routes)
    assert.same({ "b" }, bundle.route_names)
    assert.same({ "early" }, names(bundle, bundle.routes[1]))
    assert.is_nil(bundle.files.hello)
  end)

  it("has chains in their order; an entry may override band and priority", function()
    local bundle = plugins.bundle(folder, [[
plugins:
  - hello
  - { name: first, use: hello, band: security }
  - late
  - { name: high, use: hello, priority: 5 }
  - early
routes: [{ path: /, respond: {}, plugins: [hello, late, { name: own, use: early, band: limit }, early] }]
]])
    assert.same({ "early", "first", "high", "hello", "late" }, names(bundle, bundle.global))
    assert.same({ "early", "own", "hello", "late" }, names(bundle, bundle.routes[1]))
  end)

  it("has one instance of what `instances` names, however many chains it is in [T30, T32, T33]", function()
    local bundle = plugins.bundle(folder, [[
instances:
  strict: { use: hello, config: { word: strict } }
  hello: { use: hello, config: { word: "the instance, not the plugin" } }
plugins: [early]
routes:
  - { path: /a, respond: {}, plugins: [strict, hello] }
  - { path: /b, respond: {}, plugins: [{ hello: {} }, strict] }
]])
    assert.same({ { "strict", "hello" }, { "hello", "strict" } },
                { names(bundle, bundle.routes[1]), names(bundle, bundle.routes[2]) })
    assert.equal(bundle.routes[1][1], bundle.routes[2][2])
    assert.equal("the instance, not the plugin", bundle.instances[bundle.routes[1][2]].conf.word)
    assert.equal("hi", bundle.instances[bundle.routes[2][1]].conf.word)
    assert.same({ "early" }, names(bundle, bundle.global))
  end)

  it("holds the modules that were required, and all beside an init.lua", function()
    local bundle = plugins.bundle(folder, "plugins: [parts, reader]")
    local function module(path, source) return { path = path, source = source, code = code.of(source, path, false) } end
    assert.same({ one = module("plugins/parts/one.lua", "return 1"),
                  ["lazy.two"] = module("plugins/parts/lazy/two.lua", "return 2") }, bundle.modules.parts)
    assert.same({ shared = module("plugins/lib/shared.lua", "return 3") }, bundle.modules.reader)
  end)

  it("says which plugins are trusted", function()
    plugins.write(folder, { ["plugins/native.lua"] = simple 'ffi = require "ffi"' })
    local bundle = plugins.bundle(folder, "plugins: [native, hello]\nlua: { trusted: native }")
    assert.same({ true, false }, { bundle.files.native.trusted, bundle.files.hello.trusted })
    assert.truthy(plugins.complaints(folder, "plugins: [native]")[1]:find("for trusted plugins only", 1, true))
  end)

  it("has settings as the schema makes them, files below the gateway's folder", function()
    plugins.write(folder, { ["plugins/typed.lua"] = simple [[schema = {
      wait = { type = "duration", default = "1m" }, room = { type = "size", default = "1KiB" },
      file = { type = "file" }, data = { type = "json" }, only = { type = "condition" },
    }]] })
    local bundle = plugins.bundle(folder, [[
gateway: { working_dir: . }
plugins: [{ typed: { file: a/b, data: '{"n": [1, null]}', only: { tls: true } } }]
]])
    local conf = buffer.decode(buffer.encode(bundle.instances[1].conf))
    assert.same({ 60, 1024, folder .. "/a/b" }, { conf.wait, conf.room, conf.file })
    assert.same({ 1, cjson.null }, conf.data.n)
    assert.same({ subject = "tls", op = "exists", value = true }, conf.only)
  end)

  it("leaves out what plugin.json does not enable, and says so [T39]", function()
    local own = plugins.folder { ["plugins/hello.lua"] = HELLO, ["plugins/hello.json"] = '{"enabled": false}' }
    local bundle, result = plugins.bundle(own, "plugins: [hello]")
    assert.is_nil(bundle)
    assert.equal("does not run: plugins/hello.json says that it is not enabled", result.report.warnings[1].message)
  end)
end)

describe("what C is told of plugins", function()
  local folder = plugins.folder {
    ["plugins/hello.lua"] = HELLO,
    ["plugins/bodies.lua"] = "return { request_body = function() end, response_body = function() end }",
    ["plugins/choosy.lua"] = [[
return {
  schema = { body = { type = "boolean", default = false } },
  new = function(conf)
    local self = { log = false }
    if not conf.body then self.request_body = false end
    return self
  end,
  request = function() end, request_body = function() end, log = function() end,
}]],
  }

  it("has no hooks that an instance does without", function()
    local function hooks(settings) return plugins.load(folder, "plugins: [" .. settings .. "]").plugins.hooks end
    assert.equal(1, hooks "choosy")
    assert.equal(1 + 2, hooks "{ choosy: { body: true } }")
    assert.equal(1 + 2, hooks "choosy, { name: other, use: choosy, config: { body: true } }")
  end)

  it("is a mask of hooks for the global chain, and the limits of Lua", function()
    files.write(folder .. "/tidegate.yaml", configuration.small "plugins: [hello, bodies]\nlua: { budget: 5ms }")
    local result = config.load(folder .. "/tidegate.yaml", { variables = {} })
    local gateway = C.tide_generation_gateway(result.generation)
    assert.same({ 1 + 2 + 16 + 128, 5, 1000, 128 * 2 ^ 20 },
                { gateway.hooks, gateway.lua_budget_ms, gateway.lua_hard_ms, tonumber(gateway.lua_memory) })
    C.tide_generation_drop(result.generation)
  end)

  it("is a mask for each route's own chain", function()
    local result = plugins.load(folder, [[
plugins: [hello]
routes: [{ path: /a, respond: {}, plugins: [bodies] }, { path: /b, respond: {} }]
]])
    local routes = result.config.routes
    assert.same({ 129, 18, 0 }, { result.plugins.hooks, result.plugins.route_hooks[routes[1]],
                                  result.plugins.route_hooks[routes[2]] })
  end)
end)

describe("a plugin", function()
  it("may be replaced by one of the same name in a later folder", function()
    local folder = plugins.folder { ["a/hello.lua"] = simple 'version = "1.0.0"',
                                    ["b/hello.lua"] = simple 'version = "2.0.0"' }
    local _, result = plugins.bundle(folder, "gateway: { plugin_dirs: [a, b] }\nplugins: [hello]")
    assert.equal("2.0.0", result.plugins.metas.hello.version)
  end)

  it("is not looked at where nothing uses it, but is found", function()
    local folder = plugins.folder { ["plugins/broken.lua"] = "this is not Lua", ["plugins/hello.lua"] = HELLO }
    local _, result = plugins.bundle(folder, "plugins: [hello, { use: broken, enabled: false }]")
    assert.equal("plugins/broken.lua", result.plugins.found.broken.path)
  end)

  it("is loaded once, and made for each use", function()
    local folder = plugins.folder { ["plugins/counts.lua"] = [[
local made = 0
return { request = function() end, new = function(conf) made = made + 1 error("made " .. made) end }]] }
    assert.same({ "plugins/counts.lua:2:1: made 1 (plugins[1], tidegate.yaml:2)",
                  "plugins/counts.lua:2:1: made 2 (plugins[2], tidegate.yaml:2)" },
                plugins.complaints(folder, "plugins: [counts, counts]"))
  end)

  it("is not run by a dry load", function()
    local folder = plugins.folder { ["plugins/bad.lua"] = "error 'ran'" }
    assert.is_true(plugins.load(folder, "plugins: [bad]", { dry = true }).good)
  end)

  it("is read once: new is checked on the bytes that are sent", function()
    local folder = plugins.folder { ["plugins/hello.lua"] = HELLO }
    local _, result = plugins.bundle(folder, "plugins: [hello]")
    assert.equal(HELLO, result.texts[folder .. "/plugins/hello.lua"])
    plugins.write(folder, { ["plugins/hello.lua"] = "broken" })
    local again = plugins.load(folder, nil, { texts = result.texts })
    assert.equal(HELLO, again.plugins.bundle.files.hello.source)
  end)

  it("cannot be named by a variable that means something else", function()
    local folder = plugins.folder { ["plugins/hello.lua"] = HELLO }
    local result = plugins.load(folder, "plugins: [hello]", { variables = { { "TIDEGATE_LUA", "/usr/share/lua" } } })
    assert.is_true(result.good)
  end)

  it("may be switched by an override", function()
    local folder = plugins.folder { ["plugins/hello.lua"] = HELLO }
    local bundle = plugins.bundle(folder, "plugins: [{ use: hello }]", { set = { "plugins[1].enabled=false" } })
    assert.is_nil(bundle)
    bundle = plugins.bundle(folder, "", { set = { "plugins=[hello]" } })
    assert.same({ 1 }, bundle.global)
    assert.equal("--set plugins=[hello]", bundle.instances[1].place)
  end)

  it("keeps its errors where it is broken and used many times", function()
    local folder = plugins.folder { ["plugins/bad.lua"] = "local x = = 1" }
    assert.same({ "plugins/bad.lua:1:1: unexpected symbol near '=' (plugins[1], tidegate.yaml:2)" },
                plugins.complaints(folder, "plugins: [bad, bad]\nroutes: [{ path: /, respond: {}, plugins: [bad] }]"))
  end)

  it("has errors of its modules shown in these", function()
    local folder = plugins.folder {
      ["plugins/x/init.lua"] = "return { part = require 'part', request = function() end }",
      ["plugins/x/part.lua"] = "local t = {}\n\nreturn t.a.b\n",
    }
    local text = plugins.load(folder, "plugins: [x]").report:text()
    assert.truthy(text:find("plugins/x/part.lua:3:1: attempt to index field 'a' (a nil value) (plugins[1]", 1, true))
    assert.truthy(text:find("\n    3 | return t.a.b\n", 1, true))
  end)

  it("tells of a module that cannot be read", function()
    local folder = plugins.folder { ["plugins/x.lua"] = "require 'big' return {}",
                                    ["plugins/big.lua"] = (" "):rep(2 ^ 20 + 1) }
    assert.same({ 'tidegate.yaml:2:11: plugins[1]: loading "x": plugins/big.lua cannot be read: larger than 1 MiB' },
                plugins.complaints(folder, "plugins: [x]"))
  end)

  it("cannot be set to what cannot be sent", function()
    local folder = plugins.folder { ["plugins/x.lua"] = simple "schema = { a = { type = 'json' } }" }
    local deep = ("["):rep(500) .. ("]"):rep(500)
    local found = plugins.complaints(folder, ("plugins: [{ x: { a: '%s' } }]"):format(deep))
    assert.truthy(found[1]:find("plugins[1].x: cannot be handed to the loops: ", 1, true))
  end)
end)

describe("the files of a configuration with plugins", function()
  local function watched(folder, lines)
    local set = {}
    for _, name in ipairs(plugins.load(folder, lines).files) do set[name:sub(#folder + 2)] = true end
    return set
  end

  it("are those of the plugins it uses, and those that could be them [T36]", function()
    local folder = plugins.folder {
      ["a/hello.lua"] = HELLO, ["a/other.lua"] = HELLO, ["b/part/init.lua"] = simple "x = require 'one'",
      ["b/part/one.lua"] = "return 1",
    }
    local set = watched(folder, "gateway: { plugin_dirs: [a, b] }\nplugins: [hello, part]")
    for _, name in ipairs { "a/hello.lua", "b/hello.lua", "b/hello/init.lua", "a/hello.json", "a", "b", "b/part",
                            "b/part/init.lua", "b/part/plugin.json", "b/part/one.lua", "a/part.lua" } do
      assert.is_true(set[name], name)
    end
    assert.is_nil(set["a/other.lua"])
  end)

  it("are noted where nothing is there yet", function()
    local folder = plugins.folder {}
    local set = watched(folder, "plugins: [hello]")
    assert.is_true(set["plugins"] and set["plugins/hello.lua"] and set["plugins/hello/init.lua"])
    set = watched(folder, "gateway: { plugin_dirs: [nowhere] }")
    assert.is_true(set["nowhere"])
  end)

  it("are those of modules that were looked for in vain", function()
    local folder = plugins.folder { ["plugins/x/init.lua"] = simple "y = require 'sub.part'" }
    local set = watched(folder, "plugins: [x]")
    for _, name in ipairs { "plugins/x/sub/part.lua", "plugins/x/sub", "plugins/sub/part.lua",
                            "plugins/lib/sub/part.lua" } do
      assert.is_true(set[name], name)
    end
  end)

  it("are not more than before where there are no plugins", function()
    local folder = plugins.folder {}
    assert.same({ ["tidegate.yaml"] = true }, watched(folder, ""))
  end)
end)

describe("twenty plugins", function()
  it("are loaded in less than 50 ms", function()
    local texts, lines = {}, {}
    for i = 1, 20 do
      texts[("plugins/p%d.lua"):format(i)] = HELLO .. ("-- a comment that makes it longer\n"):rep(100)
      lines[i] = ("  - p%d: { word: w }\n"):format(i)
    end
    local folder = plugins.folder(texts)
    local text = "plugins:\n" .. table.concat(lines)
    plugins.bundle(folder, text)
    local best = math.huge
    for _ = 1, 5 do
      local start = os.clock()
      plugins.load(folder)
      best = math.min(best, os.clock() - start)
    end
    assert.is_true(best < 0.05, ("%.1f ms"):format(best * 1000))
  end)
end)

describe("what is known of a configuration", function()
  it("goes with it, though a function of a plugin stays", function()
    local folder = plugins.folder { ["plugins/clingy.lua"] = [[
local Clingy = { version = "1.0.0", schema = {} }
function Clingy.new() return Clingy end
function Clingy:request() return require end
require "jit".kept_by_spec = Clingy
return Clingy
]] }
    local watched = setmetatable({}, { __mode = "k" })
    local result = plugins.load(folder, "plugins: [clingy]\nlua: { trusted: clingy }")
    assert.is_true(result.good, result.report:text())
    watched[result.marks], watched[result.config] = true, true
    result = nil    -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.is_not_nil(jit.kept_by_spec.request)
    rawset(jit, "kept_by_spec", nil)
    assert.is_nil((next(watched)))
  end)
end)

describe("a hostile configuration", function()
  local TEXT = [[
plugins:
  - hello
  - hello: { word: a }
  - { name: n, use: hello, enabled: true, on_error: fail, band: auth, priority: 1, when: { path: /a }, config: {} }
instances: { one: { use: hello, config: { word: c } }, two: hello }
lua: { budget: 10ms, trusted: [hello] }
gateway: { plugin_dirs: [plugins] }
routes: [{ path: /, respond: {}, plugins: [one, two, { hello: {} }] }]
]]
  local PARTS = { "{", "}", "[", "]", ":", ", ", "- ", "~", "''", "hello", "one", "use", "name: ", "config: ", "when: ",
                  "null", "-1", "true", "\n", "\n  ", "{}", "[]", "\0", "é", "*", "&a ", "${X" }
  local folder = plugins.folder { ["plugins/hello.lua"] = HELLO, ["plugins/one.lua"] = simple "" }

  it("is told what is wrong, never raises", function()
    math.randomseed(11)
    for _ = 1, 500 do
      local at, len = math.random(0, #TEXT), math.random(0, 8)
      local part = PARTS[math.random(#PARTS)]
      local result = plugins.load(folder, TEXT:sub(1, at) .. part .. TEXT:sub(at + 1 + len))
      assert.equal(result.good, not result.report:has_errors())
      assert.is_string(result.report:text())
    end
  end)
end)
