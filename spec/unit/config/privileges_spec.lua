require "tidegate.ffi"
local C = require "tidegate.ffi"
local command_line = require "support.command_line"
local config = require "tidegate.config"
local configuration = require "support.configuration"
local files = require "support.files"
local privileges = require "tidegate.config.privileges"

describe("privileges", function()
  local function told(lines, who)
    local result = configuration.load(configuration.small(lines), { dry = false })
    assert.is_true(result.good, result.report:text())
    local report = result.report
    privileges.check(result.config, result.marks, report, who)
    local list = {}
    for _, e in ipairs(report.errors) do list[#list + 1] = "error: " .. e.path .. ": " .. e.message end
    for _, e in ipairs(report.warnings) do list[#list + 1] = e.path .. ": " .. e.message end
    return list
  end

  local ordinary, root = { is_root = false, first_port = 1024 }, { is_root = true, first_port = 0 }
  local cannot = "port %d cannot be bound by this user: ports below 1024 need root or the capability " ..
                 "CAP_NET_BIND_SERVICE"
  local cases = {
    { "a port below 1024", 'listen: [":80"]', ordinary, { "listen[1].address: " .. cannot:format(80) } },
    { "the last of them", 'listen: ["[::1]:1023"]', ordinary, { "listen[1].address: " .. cannot:format(1023) } },
    { "the first that anybody may bind", 'listen: [":1024"]', ordinary, {} },
    { "a free port", 'listen: [":0"]', ordinary, {} },
    { "a unix socket", 'listen: ["unix:run/a:80"]', ordinary, {} },
    { "root", 'listen: [":80"]', root, {} },
    { "the listener of the metrics", 'metrics: { listen: "127.0.0.1:99" }', ordinary,
      { "metrics.listen: " .. cannot:format(99) } },
    { "a user that is there", "gateway: { user: root }", ordinary, {} },
    { "a user that is not", "gateway: { user: no-such-user }", ordinary,
      { 'error: gateway.user: there is no user "no-such-user" on this machine' } },
  }
  for _, case in ipairs(cases) do
    it("are looked at: " .. case[1], function() assert.same(case[4], told(case[2], case[3])) end)
  end

  it("are those of this process", function()
    local mine = privileges.mine()
    assert.equal("boolean", type(mine.is_root))
    assert.is_true(mine.first_port >= 0 and mine.first_port <= 65535)
  end)

  it("are told by check with file and line, before a start fails of them [T103]", function()
    local folder = files.folder()
    files.write(folder .. "/a.yaml", 'listen: [":0"]\ngateway:\n  user: no-such-user\nroutes: []\n')
    local code, out, err = command_line.run_in(folder, "check", "-c", "a.yaml")
    assert.equal(2, code)
    assert.equal("", out)
    assert.is_truthy(err:find('^a.yaml:3:9: gateway.user: there is no user "no%-such%-user"'), err)
  end)

  it("do not matter to what loads a configuration: the running gateway has given them back", function()
    local folder = files.folder()
    files.write(folder .. "/a.yaml", 'listen: [":80"]\ngateway: { user: no-such-user }\nroutes: []\n')
    local result = config.load(folder .. "/a.yaml", {})
    assert.equal("", result.report:text())
    C.tide_generation_drop(result.generation)
  end)
end)
