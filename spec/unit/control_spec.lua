local C = require "tidegate.ffi"
local cjson = require "cjson"
local configuration = require "support.configuration"
local control = require "tidegate.control"
local ffi = require "ffi"
local files = require "support.files"
local json = require "tidegate.tide.json"

describe("loading for the control thread", function()
  local folder = files.folder()
  local path = folder .. "/tidegate.yaml"

  it("gives the address of a generation and the files it depends on", function()
    files.write(folder .. "/secret", "x")
    files.write(path, configuration.small "routes: [{ path: /, respond: { body: '${file:secret}' } }]")
    local address, report, list = control.load(path, nil)
    assert.is_number(address)
    assert.same({ "", path .. "\n" .. folder .. "/secret" }, { report, list })
    local generation = ffi.cast("struct generation *", address)
    assert.equal(folder .. "/run/tidegate.pid", ffi.string(C.tide_generation_gateway(generation).pid_file.at))
    C.tide_generation_drop(generation)
  end)

  it("takes the words of the command line, one on a line", function()
    files.write(path, configuration.small "")
    files.write(folder .. "/own.yaml", "gateway: { threads: 2, grace: 1s }")
    local address = control.load(path, "--env=own\n--set=gateway.threads=3")
    local generation = ffi.cast("struct generation *", address)
    local gateway = C.tide_generation_gateway(generation)
    assert.same({ 3, 1000 }, { gateway.threads, gateway.grace_ms })
    C.tide_generation_drop(generation)
  end)

  it("tells the patterns that files are found by, and keeps notices to itself", function()
    files.write(path, configuration.small "include: ['none/*.yaml']")
    local address, report, list = control.load(path, nil)
    C.tide_generation_drop(ffi.cast("struct generation *", address))
    assert.same({ "", path .. "\n" .. folder .. "/none\nglob " .. folder .. "/none/*.yaml" }, { report, list })
  end)

  it("gives the report and the files where something is wrong", function()
    files.write(path, "listen: []")
    local address, report, list = control.load(path, "")
    assert.is_nil(address)
    assert.truthy(report:find("listen: expected at least 1 item", 1, true))
    assert.equal(path, list)
  end)
end)

describe("the control socket", function()
  it("tells the status to people", function()
    local text = control.command("status", "")
    assert.truthy(text:find "^tidegate [%d.]+, running for ")
    assert.is_nil(text:find "last reload")
  end)

  it("tells what was wrong at the last reload", function()
    assert.truthy(control.command("status", "a.yaml:1:1: wrong\n"):find("last reload:\na.yaml:1:1: wrong\n", 1, true))
  end)

  it("tells the status to programs", function()
    local status = cjson.decode(control.command(" status json \n", "all is well"))
    assert.equal("all is well", status.last_reload)
    assert.is_number(status.requests)
    assert.is_number(status.responses["2xx"])
  end)

  it("tells programs all keys in alphabetical order, however often they ask", function()
    for _, command in ipairs { "status json", "status plugins json" } do
      local text = control.command(command, "")
      local keys = {}
      for key in text:gmatch '"([%w_]+)":' do keys[#keys + 1] = key end
      assert.equal(json.encode(json.decode(text), { sorted = true }) .. "\n", text)
      for _ = 1, 3 do
        local again = {}
        for key in control.command(command, ""):gmatch '"([%w_]+)":' do again[#again + 1] = key end
        assert.same(keys, again)
      end
    end
    local top, before = control.command("status json", ""):match "^{(.*)}\n$", ""
    for key in top:gsub("%b{}", "x"):gmatch '"([%w_]+)":' do
      assert.is_true(before < key, before .. ", " .. key)
      before = key
    end
  end)

  it("knows its commands", function()
    assert.equal('error\nunknown command "fly"\n', control.command("fly", ""))
    assert.equal('error\nunknown command ""\n', control.command("", ""))
  end)
end)
