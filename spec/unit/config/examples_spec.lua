local configuration = require "support.configuration"
local files = require "support.files"
local lfs = require "lfs"

local function names(folder)
  local list = {}
  for name in lfs.dir(folder) do
    if name:find "%.yaml$" then list[#list + 1] = folder .. name end
  end
  table.sort(list)
  return list
end

describe("what comes with the gateway", function()
  it("runs as it is", function()
    assert.equal("", configuration.load_file("conf/tidegate.yaml", { dry = false }).report:text())
  end)

  for _, path in ipairs(names "conf/examples/") do
    it("is good: " .. path, function()
      local result = configuration.load_file(path, { dry = false })
      local rest = {}
      for _, e in ipairs(result.report.errors) do
        -- Files that the example's own commands make.
        if not e.message:find "^cannot read /tmp/" then rest[#rest + 1] = e.message end
      end
      assert.same({}, rest)
    end)

    it("says what to try: " .. path, function()
      local text = files.read(path)
      assert.equal("# " .. path .. ":", text:match "^[^:]*:")
      assert.truthy(text:find "\n# Try: ")
    end)
  end
end)
