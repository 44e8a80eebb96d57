--- docs/configuration-files.md: its files are written where their first lines say, and its commands print what it says.
local files = require "support.files"
local markdown = require "support.markdown"
local shell = require "support.shell"

local DOC = "docs/configuration-files.md"

describe(DOC, function()
  local folder, bin
  local console, written = 0, 0

  setup(function()
    folder, bin = files.folder(), files.folder()
    local binary = shell.must("realpath " .. (os.getenv "TIDEGATE" or "build/tidegate")):gsub("\n", "")
    os.execute(("ln -s '%s' '%s/tidegate'"):format(binary, bin))
  end)

  for _, block in ipairs(markdown.blocks(DOC)) do
    if block.language == "yaml" then
      it(("writes the file of line %d"):format(block.line), function()
        local name = block.text:match "^# (%S+%.yaml)\n"
        assert.is_string(name)
        os.execute(("mkdir -p '%s/%s'"):format(folder, name:match "^(.*)/" or "."))
        files.write(folder .. "/" .. name, block.text)
        written = written + 1
      end)
    elseif block.language == "console" then
      it(("runs the command of line %d"):format(block.line), function()
        local command, expected = block.text:match "^%$ ([^\n]*)\n(.*)$"
        local text = shell.run(("PATH='%s':$PATH; %s"):format(bin, command), { folder = folder })
        assert.equal(expected, text)
        console = console + 1
      end)
    end
  end

  it("has files and commands", function()
    assert.is_true(written >= 5 and console >= 6)
  end)
end)
