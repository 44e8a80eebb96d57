--- make install and uninstall, and the gateway that they leave, run from somewhere else.
local client = require "support.client"
local files = require "support.files"
local shell = require "support.shell"

describe("make install", function()
  local root, prefix, elsewhere
  local config = 'listen: ["127.0.0.1:0"]\ngateway: { threads: 1, grace: 1s }\n' ..
                 "routes: [{ path: /, respond: { body: installed } }]\n"

  local own = { TIDEGATE_LUA = false }      -- set for builds with sanitizers, which lie deeper in build/

  local function make(target)
    return shell.must(("make -s %s DESTDIR=%s PREFIX=/opt/tide"):format(target, root), { timeout = 120 })
  end

  setup(function()
    root, elsewhere = files.folder(), files.folder()
    prefix = root .. "/opt/tide"
    make "install"
    files.write(elsewhere .. "/tidegate.yaml", config)
  end)

  it("puts everything below DESTDIR and PREFIX", function()
    assert.equal("opt\n", shell.must("ls -A " .. root))
    assert.equal("bin\nlib\nshare\n", shell.must("ls -A " .. prefix))
    for _, path in ipairs { "bin/tidegate", "share/tidegate/lua/tidegate/cli.lua", "share/tidegate/conf/tidegate.yaml" }
    do
      assert.is_truthy(files.read(prefix .. "/" .. path), path)
    end
  end)

  it("names PREFIX in the systemd unit", function()
    local unit = files.read(prefix .. "/lib/systemd/system/tidegate.service")
    assert.is_truthy(unit:find("ExecStart=/opt/tide/bin/tidegate run", 1, true))
    assert.is_truthy(unit:find("ExecReload=/opt/tide/bin/tidegate reload", 1, true))
  end)

  it("gives a gateway that runs from any folder and finds its Lua", function()
    local binary = prefix .. "/bin/tidegate"
    local o = { folder = elsewhere, env = own }
    local port = shell.must(binary .. " start", o):match "tidegate is ready: http://127%.0%.0%.1:(%d+)"
    local answer = client.ask(tonumber(port), client.request {})
    assert.is_truthy(shell.must(binary .. " status", o):find "running for")
    shell.must(binary .. " stop", o)
    assert.equal("installed", answer.body)
  end)

  it("gives a gateway that does not need the folder it was built in", function()
    local moved = files.folder()
    shell.must(("cp -R %s/. . && mv share/tidegate/lua share/tidegate/other"):format(prefix), { folder = moved })
    local _, without = shell.run(moved .. "/bin/tidegate version", { folder = elsewhere, env = own })
    shell.must("mv share/tidegate/other share/tidegate/lua", { folder = moved })
    local text, with = shell.run(moved .. "/bin/tidegate version", { folder = elsewhere, env = own })
    assert.equal(0, with, text)
    assert.is_true(without ~= 0 or files.read("/usr/local/share/tidegate/lua/tidegate/cli.lua") ~= nil)
  end)

  it("is undone by make uninstall", function()
    make "uninstall"
    assert.equal("", shell.must("find . ! -type d", { folder = root }))
    assert.equal("", shell.must("find . -name '*tidegate*'", { folder = root }))
  end)
end)
