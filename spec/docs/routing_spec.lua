--- Configurations shown in docs/routing.md load as they are.
local configuration = require "support.configuration"
local files = require "support.files"
local markdown = require "support.markdown"

describe("docs/routing.md", function()
  local n = 0
  for _, block in ipairs(markdown.blocks "docs/routing.md") do
    if block.language == "yaml" then
      n = n + 1
      it("shows a configuration that loads: number " .. n, function()
        local file = files.folder() .. "/tidegate.yaml"
        files.write(file, block.text)
        local result = configuration.load_file(file, { dry = false })
        assert.equal("", result.report:text())
        assert.is_true(result.good)
      end)
    end
  end
end)
