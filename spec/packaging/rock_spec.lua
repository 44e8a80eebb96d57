--- luarocks make: builds with the Makefile and installs into a tree of its own.
local files = require "support.files"
local shell = require "support.shell"

-- It builds a gateway of its own, which is the same under sanitizers.
if os.getenv "TIDEGATE_ASAN_OPTIONS" or os.getenv "TSAN_OPTIONS" then return end

describe("luarocks make", function()
  it("installs a gateway that runs", function()
    local tree, elsewhere = files.folder(), files.folder()
    shell.must("luarocks --lua-version=5.1 make --tree=" .. tree,
               { timeout = 300, env = { HOME = tree, MAKEFLAGS = "-j2" } })
    files.write(elsewhere .. "/tidegate.yaml", 'listen: [":0"]\nroutes: [{ path: /, respond: {} }]\n')
    local text = shell.must(tree .. "/bin/tidegate check", { folder = elsewhere, env = { TIDEGATE_LUA = false } })
    assert.is_truthy(text:find "tidegate.yaml is good")
  end)
end)
