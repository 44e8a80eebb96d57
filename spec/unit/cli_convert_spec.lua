local command_line = require "support.command_line"
local configuration = require "support.configuration"
local files = require "support.files"

local run = command_line.run

local TOYOU = [[
host_rules: [{ pattern: shop.example.com, target: shop }]
services: { shop: { url: "http://127.0.0.1:9000" } }
]]

local NATIVE = [[
listen: [":8080"]
routes:
  - host: shop.example.com
    service: shop
services:
  shop:
    nodes: ["http://127.0.0.1:9000"]
]]

describe("tidegate convert", function()
  local folder = files.folder()
  local path = folder .. "/config.yaml"

  local function convert(text, ...)
    files.write(path, text)
    return run("convert", path, ...)
  end

  it("prints the native form of a file that it recognises", function()
    assert.same({ 0, NATIVE, "" }, { convert(TOYOU) })
  end)

  it("prints the native form of a file whose language is named", function()
    assert.same({ 0, NATIVE, "" }, { convert(TOYOU, "--from", "toyou") })
  end)

  it("prints a native file as it is, without replacing what comes from outside", function()
    local text = NATIVE:gsub("shop%.example%.com", "${HOST:-a.example.com}")
    assert.same({ 0, text, "" }, { convert(text) })
    assert.same({ 0, text, "" }, { convert(text, "--from", "native") })
  end)

  it("prints what it can and gives 1 where something is left out", function()
    local code, out, err = convert(TOYOU .. "config_dir: nowhere\n")
    assert.same({ 1, NATIVE }, { code, out })
    assert.truthy(err:find("config.yaml:3:13: warning: nowhere cannot be read: No such file", 1, true), err)
  end)

  local bad = {
    { "a file with a wrong key", TOYOU .. "hosts_rules: []\n", "unknown key; did you mean \"host_rules\"?" },
    { "a file that is no YAML", "a: [", "config.yaml:" },
    { "an empty file", "", "expected a configuration, found an empty file" },
    { "a list", "- 1\n", "expected a map, found a list" },
  }
  for _, case in ipairs(bad) do
    it("prints nothing and gives 2 for " .. case[1], function()
      local code, out, err = convert(case[2])
      assert.same({ 2, "" }, { code, out })
      assert.truthy(err:find(case[3], 1, true), err)
    end)
  end

  it("says which languages there are", function()
    local code, out, err = convert(TOYOU, "--from", "nginx")
    assert.same({ 2, "" }, { code, out })
    assert.truthy(err:find "^tidegate: there is no dialect nginx; known are toyou.*native\n$", err)
  end)

  it("says that a file is not there", function()
    local code, _, err = run("convert", folder .. "/none.yaml")
    assert.equal(2, code)
    assert.truthy(err:find("none.yaml: cannot be read: No such file or directory", 1, true), err)
  end)
end)

describe("a file of two languages", function()
  it("is an error that names a key of each", function()
    local result = configuration.load(TOYOU .. "instances: {}\n")
    assert.truthy(result.report:text():find(
      'tidegate.yaml:3:1: instances: is a key of Tidegate\'s own language, but "host_rules" (line 1) is one of ' ..
      "Toyou: a file is written in one of them", 1, true), result.report:text())
  end)
end)
