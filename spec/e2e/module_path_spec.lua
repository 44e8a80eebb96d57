--- Where the program takes its Lua modules from.
local files = require "support.files"
local shell = require "support.shell"

describe("tidegate in a folder of somebody else's", function()
  local folder

  setup(function()
    folder = files.folder()
    for _, name in ipairs { "cjson", "cjson.safe", "ffi", "bit", "lpeg", "posix", "tidegate.cli" } do
      local file = folder .. "/" .. name:gsub("%.", "/")
      os.execute(("mkdir -p '%s'"):format(file:match "^(.*)/"))
      files.write(file .. ".lua", 'io.stderr:write "taken from here" os.exit(77)')
      files.write(file .. ".so", "no library at all")
    end
  end)

  teardown(function() os.execute(("rm -r '%s'"):format(folder)) end)

  for _, arguments in ipairs { "version", "check -c good.yaml", "check --format json -c good.yaml", "plugin list" } do
    it("runs no module from there: " .. arguments, function()
      files.write(folder .. "/good.yaml", 'listen: ["127.0.0.1:0"]\nroutes: [{ path: /, respond: { body: "hi" } }]\n')
      local out, code = shell.run(("'%s' %s"):format(os.getenv "TIDEGATE", arguments), { folder = folder })
      assert.is_nil(out:find "taken from here", out)
      assert.equal(0, code, out)
    end)
  end

  it("says where it has looked when its own are missing", function()
    local out, code = shell.run(("TIDEGATE_LUA=/nowhere '%s' version"):format(os.getenv "TIDEGATE"))
    assert.equal(1, code)
    assert.matches("error lua: the gateway's own Lua files are missing[^\n]*TIDEGATE_LUA[^\n]*folder=/nowhere", out)
    assert.is_nil(out:find "traceback")
  end)
end)
