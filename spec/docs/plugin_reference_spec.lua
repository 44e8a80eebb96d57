require "tidegate.ffi"
local doc = require "tidegate.plugin.doc"
local files = require "support.files"

describe("docs/plugin-reference.md", function()
  it("is up to date (make it anew: lua/tidegate/plugin/doc.lua says how)", function()
    assert.is_true(files.read "docs/plugin-reference.md" == doc.shipped())
  end)

  it("says what every plugin and setting is for", function()
    for name, description in doc.shipped():gmatch "\n## ([%l%d_]+)\n\n([^\n]+)\n" do
      assert.truthy(description:find "^%u.+%.$" and not description:find "^Version ", name .. " has no description")
    end
    for line in doc.shipped():gmatch "[^\n]+" do assert.is_nil(line:find "^| `.* |  |$", line) end
  end)
end)
