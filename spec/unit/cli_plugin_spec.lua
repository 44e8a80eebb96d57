--- tidegate plugin list, doc, new and test.
local command_line = require "support.command_line"
local configuration = require "support.configuration"
local files = require "support.files"
local json = require "tidegate.tide.json"
local plugins = require "support.plugins"
local schema = require "tidegate.config.schema"
local shell = require "support.shell"
require "tidegate.plugin.when"

local run_in = command_line.run_in

local GREETER = [[
return {
  version = "1.2.0", description = "Greets.", band = "auth", priority = 5, requires = { "helper >= 1.0" },
  schema = {
    who = { type = "string", required = true, doc = "who is | greeted" },
    wait = { type = "duration", default = "5s", max = "1m", doc = "before greeting" },
    retry = { type = "object", of = { times = { type = "integer", default = 3, unit = "tries", doc = "how often" } },
              doc = "when nobody is there" },
    one_of = { "who" },
  },
  request = function() end, log = function() end,
}
]]
local HELPER = 'return { version = "1.0.1", stages = { "global" }, request = function() end }'

local function with_plugins(lines, texts)
  local all = { ["plugins/greeter.lua"] = GREETER, ["plugins/helper.lua"] = HELPER }
  for name, text in pairs(texts or {}) do all[name] = text end
  if lines then all["tidegate.yaml"] = configuration.small(lines) end
  return plugins.folder(all)
end

local USED = [[
plugins: [helper]
instances: { polite: { use: greeter, config: { who: me } } }
routes:
  - { name: one, path: /one, respond: {}, plugins: [polite] }
  - { name: two, path: /two, respond: {}, plugins: [polite, { greeter: { who: you } }] }
  - { name: off, path: /off, respond: {}, enabled: false, plugins: [polite] }
]]

describe("tidegate plugin list", function()
  it("tells version, band, folder and uses of every plugin", function()
    local code, out, err = run_in(with_plugins(USED), "plugin", "list")
    assert.same({ 0, "" }, { code, err })
    local lines = {}
    for line in out:gmatch "[^\n]+" do
      if line:find "^greeter" or line:find "^helper" then lines[#lines + 1] = line end
    end
    assert.truthy(out:find "^plugin +version +band +folder +used\n")
    local uses = 'route "one" as polite (tidegate.yaml:3), route "two" as polite (tidegate.yaml:3), ' ..
                 'route "two" (tidegate.yaml:6)'
    assert.truthy(lines[1]:find "^greeter +1%.2%.0 +auth +plugins +route", lines[1])
    assert.equal(uses, lines[1]:sub(-#uses))
    assert.truthy(lines[2]:find "^helper +1%.0%.1 +filter +plugins +global %(tidegate.yaml:2%)$", lines[2])
  end)

  it("tells the same to programs", function()
    local folder = with_plugins(USED)
    local code, out = run_in(folder, "plugin", "list", "--json")
    assert.equal(0, code)
    local by_name = {}
    for _, entry in ipairs(assert(json.decode(out))) do by_name[entry.name] = entry end
    assert.same({ { stage = "global", name = "helper", place = "tidegate.yaml:2" } }, by_name.helper.uses)
    assert.same({ "global" }, by_name.helper.stages)
    assert.same({ "1.2.0", "auth", 5, true, true, folder .. "/plugins/greeter.lua" },
                { by_name.greeter.version, by_name.greeter.band, by_name.greeter.priority, by_name.greeter.good,
                  by_name.greeter.enabled, by_name.greeter.file })
    assert.same({ "one", "two", "two" },
                { by_name.greeter.uses[1].route, by_name.greeter.uses[2].route, by_name.greeter.uses[3].route })
  end)

  it("needs no configuration", function()
    local code, out, err = run_in(with_plugins(), "plugin", "list")
    assert.same({ 0, "" }, { code, err })
    assert.truthy(out:find "greeter +1%.2%.0 +auth +plugins +%-\n")
  end)

  it("tells what is wrong with a plugin that nobody uses", function()
    local folder = with_plugins(nil, { ["plugins/broken.lua"] = "return {\n  band = 'auht' }\n" })
    local code, out, err = run_in(folder, "plugin", "list")
    assert.equal(1, code)
    assert.truthy(out:find "broken +broken +%- +plugins +%-\n")
    assert.truthy(out:find "greeter +1%.2%.0")
    assert.truthy(err:find('plugins/broken.lua:2:3: band: expected one of observe, security', 1, true), err)
  end)

  it("knows modules that lie among the plugins, and finds nothing wrong with them", function()
    local folder = with_plugins(nil, {
      ["plugins/tools.lua"] = "return { add = function(a, b) return a + b end }",
      ["plugins/words.lua"] = "return { 'a', 'b' }", ["plugins/one.lua"] = "return 1",
    })
    local code, out, err = run_in(folder, "plugin", "list")
    assert.same({ 0, "" }, { code, err })
    for _, name in ipairs { "tools", "words", "one" } do
      assert.truthy(out:find(name .. " +%- +%- +plugins +not a plugin: returns no table with hooks\n"), out)
    end
    local by_name = {}
    for _, entry in ipairs(json.decode((select(2, run_in(folder, "plugin", "list", "--json"))))) do
      by_name[entry.name] = entry
    end
    assert.same({ false, false, true }, { by_name.tools.is_plugin, by_name.tools.good, by_name.greeter.is_plugin })
  end)

  it("still says what is wrong with one that is used as a plugin", function()
    local folder = with_plugins("plugins: [tools]", { ["plugins/tools.lua"] = "return { add = function() end }" })
    local code, _, err = run_in(folder, "plugin", "list")
    assert.equal(1, code)
    assert.truthy(err:find("plugins/tools.lua: has no hook; expected one of", 1, true), err)
  end)

  it("lists although the configuration is bad, and tells why it is", function()
    local code, out, err = run_in(with_plugins "plugins: [greeter]", "plugin", "list")
    assert.equal(1, code)
    assert.truthy(out:find "greeter +1%.2%.0 +auth +plugins +%-\n")
    assert.truthy(err:find("plugins[1].greeter.who: missing", 1, true) or err:find("who: missing", 1, true), err)
  end)

  it("cannot read what is no configuration", function()
    local folder = plugins.folder { ["tidegate.yaml"] = "{" }
    local code, out = run_in(folder, "plugin", "list")
    assert.same({ 2, "" }, { code, out })
  end)
end)

-- What a setting of some types needs besides.
local OF = {
  enum = "of = { 'a', 'b' }", list = "of = 'size'", map = "of = 'duration'",
  object = "fields = { x = { type = 'url', required = true }, y = { type = 'object', fields = {}, required = true } }",
}

describe("tidegate plugin doc", function()
  it("tells all that a plugin says of itself", function()
    local code, out, err = run_in(with_plugins(), "plugin", "doc", "greeter")
    assert.same({ 0, "" }, { code, err })
    assert.equal([[
## greeter

Greets.

Version 1.2.0. Runs globally or on a route, in the band `auth` with priority 5. Hooks: `request`, `log`. Needs ]] ..
[[`helper >= 1.0` for the same requests.

| key | type | default | |
| --- | --- | --- | --- |
| `retry` | map | - | when nobody is there |
| `wait` | duration, at most 1m | `5s` | before greeting |
| `who` | text | **required** | who is \| greeted |

Exactly one of `who`.

### `retry`

When nobody is there.

| key | type | default | |
| --- | --- | --- | --- |
| `times` | whole number in tries | `3` | how often |

```yaml
listen: [":8080"]
routes:
  - path: "/*"
    respond: { echo: true }
    plugins: [{ greeter: { who: text } }]
```
]], out)
  end)

  it("shows a global plugin globally", function()
    local _, out = run_in(with_plugins(), "plugin", "doc", "helper")
    assert.truthy(out:find("Runs globally only, in the band `filter`.", 1, true))
    assert.truthy(out:find("It has no settings.", 1, true))
    assert.truthy(out:find('listen: [":8080"]\nplugins: [helper]\n', 1, true))
  end)

  it("tells of all without a name", function()
    local code, out = run_in(with_plugins(), "plugin", "doc")
    assert.equal(0, code)
    assert.truthy(out:find "## greeter\n.*## helper\n")
  end)

  it("shows examples that load", function()
    local fields = {}
    for _, name in ipairs(schema.type_names()) do
      fields[#fields + 1] = ("%s = { type = %q, required = true, %s },"):format(name, name, OF[name] or "")
    end
    local text = ("return { schema = { %s least = { type = 'integer', min = 7, required = true } }, log = print }")
    local texts = { ["plugins/every.lua"] = text:format(table.concat(fields, "\n")) }
    local folder = with_plugins(nil, texts)
    local _, out = run_in(folder, "plugin", "doc", "every")
    files.write(folder .. "/tidegate.yaml", (out:match "```yaml\n(.-)```"))
    local code, _, err = run_in(folder, "check")
    assert.same({ 0, "" }, { code, err })
  end)

  it("knows what was meant", function()
    assert.same({ 2, "", 'tidegate: there is no plugin "greter"; did you mean "greeter"?\n' },
                { run_in(with_plugins(), "plugin", "doc", "greter") })
  end)

  it("says of a module of others that it is none", function()
    local folder = with_plugins(nil, { ["plugins/tools.lua"] = "return { add = function() end }" })
    local code, out, err = run_in(folder, "plugin", "doc", "tools")
    assert.same({ 1, "", "tidegate: plugins/tools.lua is not a plugin: returns no table with hooks\n" },
                { code, out, err })
  end)

  it("tells what is wrong with a broken one", function()
    local folder = with_plugins(nil, { ["plugins/broken.lua"] = "return { log = 1 }" })
    local code, out, err = run_in(folder, "plugin", "doc", "broken")
    assert.same({ 1, "" }, { code, out })
    assert.truthy(err:find("plugins/broken.lua:1:10: log: expected a function, found a number", 1, true), err)
  end)
end)

describe("tidegate plugin new", function()
  local folder
  before_each(function() folder = files.folder() end)

  local function written()
    return shell.must("find . -type f | sort", { folder = folder })
  end

  it("writes a plugin and its spec, and nothing else", function()
    assert.same({ 0, "plugins/key_count.lua\nplugins/key_count_spec.lua\n", "" },
                { run_in(folder, "plugin", "new", "key_count") })
    assert.equal("./plugins/key_count.lua\n./plugins/key_count_spec.lua\n", written())
    local text = files.read(folder .. "/plugins/key_count.lua")
    assert.truthy(text:find("local KeyCount = {", 1, true))
    assert.truthy(text:find('res:set_header("x-key-count", self.text)', 1, true))
    assert.is_nil(text:find "@")
    local code, _, err = run_in(folder, "plugin", "doc", "key_count")
    assert.same({ 0, "" }, { code, err })
  end)

  it("writes into another folder, and makes it", function()
    assert.same({ 0, "a/b/x2.lua\na/b/x2_spec.lua\n", "" },
                { run_in(folder, "plugin", "new", "x2", "--dir", "a/b/") })
    assert.equal("./a/b/x2.lua\n./a/b/x2_spec.lua\n", written())
  end)

  local names = {
    { "Key", "a plugin's name is small letters, digits and _, beginning with a letter" },
    { "2x", "a plugin's name is small letters" },
    { "a-b", "a plugin's name is small letters" },
    { "../x", "a plugin's name is small letters" },
    { "", "a plugin's name is small letters" },
    { "when", "its name is a word of the configuration" },
    { ("x"):rep(65), "expected at most 64 letters, found 65" },
  }
  for _, case in ipairs(names) do
    it(("refuses the name %q"):format(case[1]:sub(1, 10)), function()
      local code, out, err = run_in(folder, "plugin", "new", case[1])
      assert.same({ 2, "" }, { code, out })
      local wanted = ('tidegate: "%s" cannot be the name of a plugin: %s'):format(case[1], case[2])
      assert.equal(wanted, err:sub(1, #wanted))
      assert.equal("", written())
    end)
  end

  for _, there in ipairs { "plugins/x.lua", "plugins/x_spec.lua", "plugins/x/init.lua" } do
    it("overwrites nothing: " .. there, function()
      plugins.write(folder, { [there] = "mine" })
      local code, out, err = run_in(folder, "plugin", "new", "x")
      assert.same({ 1, "" }, { code, out })
      assert.truthy(err:find "^tidegate: plugins/x[%w_.]* is there already, and nothing was written\n$", err)
      assert.equal("./" .. there .. "\n", written())
      assert.equal("mine", files.read(folder .. "/" .. there))
    end)
  end

  it("tells why it cannot write", function()
    files.write(folder .. "/plugins", "a file")
    local code, out, err = run_in(folder, "plugin", "new", "x")
    assert.same({ 1, "" }, { code, out })
    assert.equal("tidegate: cannot write plugins/x.lua: Not a directory\n", err)
  end)

  it("tells why it cannot make the folder", function()
    files.write(folder .. "/a", "a file")
    local code, _, err = run_in(folder, "plugin", "new", "x", "--dir", "a/b")
    assert.same({ 1, "tidegate: cannot make the folder a/b: Not a directory\n" }, { code, err })
  end)
end)

describe("tidegate plugin test", function()
  local folder
  before_each(function()
    folder = plugins.folder {
      ["plugins/good_spec.lua"] = 'describe("good", function() it("is", function() assert.equal(1, 1) end) end)',
      ["plugins/deep/init.lua"] = "", ["plugins/deep/part_spec.lua"] = 'it("works", function() end)',
    }
  end)

  local function test(...)
    local words = table.concat({ ... }, " ")
    local binary = shell.must("realpath " .. (os.getenv "TIDEGATE" or "build/tidegate")):gsub("\n", "")
    local text, code = shell.run(binary .. " plugin test " .. words, { folder = folder })
    return code, text
  end

  it("runs the specs beside the plugins, and of NAME/init.lua those in its folder", function()
    local code, text = test()
    assert.equal(0, code, text)
    assert.truthy(text:find "2 successes / 0 failures / 0 errors")
  end)

  it("runs those of one plugin", function()
    for name, count in pairs { good = 1, deep = 1 } do
      local code, text = test(name)
      assert.equal(0, code, text)
      assert.truthy(text:find(count .. " success / 0 failures", 1, true), text)
    end
  end)

  it("fails where a spec fails, and shows which", function()
    plugins.write(folder, { ["plugins/bad_spec.lua"] = 'it("is bad", function() assert.equal(1, 2) end)' })
    local code, text = test()
    assert.equal(1, code)
    assert.truthy(text:find "2 successes / 1 failure / 0 errors")
    assert.truthy(text:find("plugins/bad_spec.lua @ 1", 1, true), text)
    assert.is_nil(text:find "traceback")
  end)

  it("fails where a spec is no Lua", function()
    plugins.write(folder, { ["plugins/bad_spec.lua"] = "it(" })
    local code, text = test "bad"
    assert.equal(1, code)
    assert.truthy(text:find("plugins/bad_spec.lua", 1, true), text)
  end)

  it("has the core, and tells specs where the gateway and the plugins are", function()
    plugins.write(folder, { ["plugins/core_spec.lua"] = [[
      it("has the core", function()
        assert.is_string(require("ffi").string(require("tidegate.ffi").tide_version()))
        assert.truthy(os.getenv("TIDEGATE"):find "/tidegate$")
        assert.truthy(os.getenv("TIDEGATE_PLUGIN_DIRS"):find "^/.*/plugins$")
      end)]] })
    local code, text = test "core"
    assert.equal(0, code, text)
  end)

  it("takes the folders of a configuration, wherever it is", function()
    plugins.write(folder, {
      ["conf/a.yaml"] = 'listen: [":0"]\ngateway: { working_dir: .., plugin_dirs: [plugins, more] }\nroutes: [oops]\n',
      ["more/other_spec.lua"] = [[
        it("knows all folders", function()
          assert.truthy(os.getenv("TIDEGATE_PLUGIN_DIRS"):find "/plugins:/.*/more$")
        end)]],
      ["nowhere.yaml"] = 'listen: [":0"]\ngateway: { plugin_dirs: [no, none] }\nroutes: []\n',
      ["broken.yaml"] = "listen: [",
    })
    local code, text = test("-c", "conf/a.yaml")
    assert.equal(0, code, text)
    assert.truthy(text:find("3 successes / 0 failures", 1, true), text)
    code, text = test("-c", "conf/a.yaml", "other")
    assert.equal(0, code, text)
    assert.truthy(text:find("1 success / 0 failures", 1, true), text)
    code, text = test("-c", "conf/a.yaml", "--dir", "plugins")
    assert.equal(0, code, text)
    assert.truthy(text:find("2 successes / 0 failures", 1, true), text)
    code, text = test("-c", "nowhere.yaml")
    assert.equal(1, code)
    assert.truthy(text:find("/no cannot be read: No such file or directory; /.*/none cannot be read"), text)
    code, text = test("-c", "broken.yaml")
    assert.equal(2, code)
    assert.truthy(text:find("broken.yaml:", 1, true), text)
  end)

  it("tells where there is nothing to run", function()
    assert.same({ 1, "tidegate: there is no spec plugins/other_spec.lua\n" }, { test "other" })
    assert.same({ 1, "tidegate: nowhere cannot be read: No such file or directory\n" }, { test("--dir", "nowhere") })
    assert.same({ 2, 'tidegate: "a/b" cannot be the name of a plugin\n' }, { test "a/b" })
  end)
end)
