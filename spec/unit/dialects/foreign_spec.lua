local command_line = require "support.command_line"
local files = require "support.files"
local foreign = require "support.foreign"

--- Converts a text by the command line; gives code, output, errors and the folder.
local function convert(text, ...)
  local folder = files.folder()
  files.write(folder .. "/in.yaml", text)
  local code, out, err = command_line.run("convert", folder .. "/in.yaml", ...)
  return code, out, err, folder
end

local KONG = [[
_format_version: "3.0"
services:
  - { name: s, host: 127.0.0.1, routes: [{ name: r, hosts: [a.org] }], plugins: [{ name: zipkin }] }
]]

describe("tidegate convert of another gateway's file", function()
  it("prints what is converted, and says by its exit code that something is not", function()
    local code, out, err, folder = convert(KONG, "--from", "kong")
    assert.equal(1, code)
    assert.matches("name: r", out, 1, true)
    assert.matches("in.yaml:3:", err, 1, true)
    assert.matches("there is no equal of zipkin: not converted", err, 1, true)
    files.write(folder .. "/tidegate.yaml", out)
    assert.equal(0, (command_line.run("check", "-c", folder .. "/tidegate.yaml")))
  end)

  it("ends with 0 where all is converted, and knows whose file it is", function()
    local code, out, err = convert((KONG:gsub(", plugins.*%]", "")))
    assert.equal(0, code, err)
    assert.matches("hosts: [a.org]", out, 1, true)
    code, out = convert "routes: [{ uri: /a, upstream: { nodes: { '127.0.0.1:9': 1 } } }]\n#END\n"
    assert.equal(0, code)
    assert.matches("paths: [/a]", out, 1, true)
  end)

  it("tells each thing that is not converted, however many there are", function()
    local lines = {}
    for i = 1, 80 do lines[i] = ("unknown%d: 1"):format(i) end
    local code, _, err = convert(KONG .. table.concat(lines, "\n"), "--from", "kong")
    assert.equal(1, code)
    assert.matches("unknown80: unknown key", err, 1, true)
  end)

  it("says no more than what is wrong with the text where that is no good YAML", function()
    local code, out = convert("_format_version: '3.0'\nroutes: [", "--from", "kong")
    assert.equal(2, code)
    assert.equal("", out)
  end)

  -- Whatever stands where: never a crash, always a configuration that loads.
  for dialect, name in pairs { kong = "kong", apisix = "apisix" } do
    it("survives a value of another kind in place of each of " .. name .. "'s", function()
      local text = foreign.fixture(name)
      local kinds = { "scalar", "list", "map", "huge", "negative" }
      local count = foreign.count_values(foreign.parse(text))
      for i = 1, count, 3 do
        local node = foreign.parse(text)
        foreign.replace_value(node, i, kinds[i % #kinds + 1])
        foreign.load(foreign.convert(dialect, node))
      end
    end)
  end
end)
