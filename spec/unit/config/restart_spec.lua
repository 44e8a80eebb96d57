require "tidegate.ffi"
local configuration = require "support.configuration"
local files = require "support.files"
local restart = require "tidegate.config.restart"

describe("what a gateway was started with", function()
  local function load(lines, in_force)
    return configuration.load(configuration.small(lines), { in_force = in_force })
  end

  it("is written as in the file", function()
    local result, folder = load "gateway: { threads: 3 }"
    assert.same({ ["gateway.threads"] = "3", ["gateway.user"] = "the default",
                  ["gateway.pid_file"] = folder .. "/run/tidegate.pid" }, restart.values(result.config))
    assert.equal("auto", restart.values(load("").config)["gateway.threads"])
  end)

  local cases = {
    { "the same", "gateway: { threads: 2, user: me }", { threads = "2", user = "me" }, {} },
    { "another number", "gateway: { threads: 2 }", { threads = "auto" },
      { "gateway.threads: 2 is not in force before a restart; auto is" } },
    { "a key that went away", "", { user = "me" },
      { "gateway.user: the default is not in force before a restart; me is" } },
    { "what has no value that counts", "gateway: { user: me }", {}, {} },
  }
  for _, case in ipairs(cases) do
    it("is compared with the file: " .. case[1], function()
      local in_force = {}
      for name, text in pairs(case[3]) do in_force["gateway." .. name] = text end
      local result = load(case[2], in_force)
      assert.is_true(result.good)
      assert.same(case[4], result.needs_restart)
      local warnings = {}
      for i, e in ipairs(result.report.warnings) do warnings[i] = e.path .. ": " .. e.message end
      assert.same(case[4], warnings)
    end)
  end

  it("keeps its pid file", function()
    local held = files.folder() .. "/held.pid"
    local result = load("gateway: { pid_file: new.pid }", { ["gateway.pid_file"] = held })
    assert.equal(held, result.config.gateway.pid_file)
    assert.equal(1, #result.needs_restart)
  end)
end)
