require "tidegate.ffi"
local suggest = require "tidegate.config.suggest"

describe("a suggestion", function()
  local known = { "service", "services", "host", "hosts", "path", "paths", "methods", "warn", "on" }
  local cases = {
    { "servce", "service" }, { "sevrice", "service" }, { "Service", "service" }, { "pth", "path" },
    { "warning", "warn" }, { "method", "methods" }, { "serviecs", "services" },
    { "colour", nil }, { "x", nil }, { "", nil }, { ("service"):rep(20), nil },
  }
  for _, case in ipairs(cases) do
    it(("for %q is %s"):format(case[1]:sub(1, 20), tostring(case[2])), function()
      assert.equal(case[2], suggest(case[1], known))
    end)
  end

  it("is not looked for among very many words", function()
    local many = {}
    for i = 1, 1001 do many[i] = "service" end
    assert.is_nil(suggest("servce", many))
  end)
end)
