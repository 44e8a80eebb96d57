--- What docs/migrating.md shows is what is printed, and what it says of plugins and operators is so.
local files = require "support.files"
local _ = require "support.foreign"        -- loads the library
local markdown = require "support.markdown"
local shell = require "support.shell"

local PAGE = "docs/migrating.md"

local function tidegate() return os.getenv "TIDEGATE" or "build/tidegate" end

--- The names in the first column of the table below a heading.
local function first_column(heading)
  local section = files.read(PAGE):match("\n#+ " .. heading .. "\n(.-)\n#")
  local names = {}
  for cell in section:gmatch "\n| ([^|]*) |" do
    for name in cell:gsub("%b()", ""):gmatch "%l[%l%d%-]+" do
      if name:find "%-" or name == "cors" or name == "jwt" or name == "redirect" or name == "prometheus" then
        names[#names + 1] = name
      end
    end
  end
  return names
end

describe("the page about coming from another gateway", function()
  it("shows what becomes of Kong's file", function()
    local blocks = {}
    for _, block in ipairs(markdown.blocks(PAGE)) do
      if block.language == "yaml" then blocks[#blocks + 1] = block end
    end
    local from, to
    for i, block in ipairs(blocks) do
      if block.text:find("_format_version", 1, true) then from, to = block.text, blocks[i + 1].text end
    end
    local folder = files.folder()
    files.write(folder .. "/kong.yaml", from)
    local text, code = shell.run(("%s convert --from kong %s/kong.yaml 2>%s/told"):format(tidegate(), folder, folder))
    assert.equal(0, code, files.read(folder .. "/told"))
    assert.equal(to, text)
  end)

  for _, row in ipairs { { "kong", "Plugins of Kong" }, { "apisix", "Plugins of APISIX" } } do
    it("names plugins that have an equal: " .. row[1], function()
      local names = first_column(row[2])
      assert.is_true(#names >= 12)
      local equals = require("tidegate.dialects." .. row[1] .. ".equals")
      local named = {}
      for _, name in ipairs(names) do
        named[name] = true
        assert.is_function(equals[name], name)
      end
      for name in pairs(equals) do assert.is_true(named[name] or name == "mocking", name .. " is not named") end
    end)
  end
end)
