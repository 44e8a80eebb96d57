require "tidegate.ffi"
local command_line = require "support.command_line"
local files = require "support.files"
local lfs = require "lfs"
local json = require "tidegate.tide.json"

local PLUGIN = [[
return { schema = { speed = { type = "integer", min = 3, doc = "how fast" } }, request = function() end }
]]

describe("tidegate schema", function()
  local folder

  before_each(function()
    folder = files.folder()
    lfs.mkdir(folder .. "/own")
    files.write(folder .. "/own/runner.lua", PLUGIN)
  end)

  local function settings(name, ...)
    local code, out, err = command_line.run_in(folder, "schema", ...)
    assert.equal(0, code, err)
    return json.decode(out).definitions["settings of " .. name]
  end

  it("holds the plugins that the configuration finds, in order and readable", function()
    files.write(folder .. "/a.yaml", 'listen: [":0"]\ngateway: { plugin_dirs: [own] }\nroutes: []\n')
    local speed = settings("runner", "-c", "a.yaml").properties.speed
    assert.equal(3, speed.minimum)
    assert.equal("how fast, at least 3", speed.description)
    assert.is_truthy(settings("cors", "-c", "a.yaml").properties.max_age)
    local _, out = command_line.run_in(folder, "schema", "-c", "a.yaml")
    assert.equal(out, (select(2, command_line.run_in(folder, "schema", "-c", "a.yaml"))))
  end)

  it("holds those of the gateway and of the folder plugins without a configuration", function()
    os.rename(folder .. "/own", folder .. "/plugins")
    assert.is_truthy(settings "runner")
    assert.is_truthy(settings "cors")
  end)

  it("is made of a configuration with mistakes, too: that is when it is needed", function()
    files.write(folder .. "/a.yaml", 'listn: [":0"]\ngateway: { plugin_dirs: [own] }\nroutes: [{ path: a }]\n')
    assert.is_truthy(settings("runner", "-c", "a.yaml"))
  end)

  it("takes a plugin that is broken just now with any settings", function()
    files.write(folder .. "/own/runner.lua", "return {")
    files.write(folder .. "/a.yaml", 'listen: [":0"]\ngateway: { plugin_dirs: [own] }\nroutes: []\n')
    assert.same({}, settings("runner", "-c", "a.yaml"))
  end)

  it("says why a file cannot be understood", function()
    files.write(folder .. "/a.yaml", "listen: [")
    local code, out, err = command_line.run_in(folder, "schema", "-c", "a.yaml")
    assert.equal(2, code)
    assert.equal("", out)
    assert.is_truthy(err:find("a.yaml:", 1, true))
  end)
end)
