--- Configurations shown in docs/routing.md load as they are, and what `tidegate explain` says there it says.
local command_line = require "support.command_line"
local configuration = require "support.configuration"
local files = require "support.files"
local markdown = require "support.markdown"

describe("docs/routing.md", function()
  local n, folder = 0, nil
  for _, block in ipairs(markdown.blocks "docs/routing.md") do
    if block.language == "yaml" then
      n = n + 1
      it("shows a configuration that loads: number " .. n, function()
        local place = files.folder()
        local file = place .. "/tidegate.yaml"
        files.write(file, block.text)
        folder = folder or place                -- the first one is what the commands are about
        local result = configuration.load_file(file, { dry = false })
        assert.equal("", result.report:text())
        assert.is_true(result.good)
      end)
    end
  end

  for _, block in ipairs(markdown.blocks "docs/routing.md") do
    local words, told = block.text:match "^%$ tidegate ([^\n]*)\n(.*)$"
    if block.language == "console" then
      it("shows what it says: tidegate " .. words, function()
        local list = {}
        for word in words:gmatch "%S+" do list[#list + 1] = word end
        assert.same({ 0, told, "" }, { command_line.run_in(folder, unpack(list)) })
      end)
    end
  end
end)
