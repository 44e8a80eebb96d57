--- What stands between the fences of a Markdown file.
local files = require "support.files"

local markdown = {}

--- @treturn {table,...} blocks in their order: language, text, line
function markdown.blocks(path)
  local blocks, block, number = {}, nil, 0
  for line in (files.read(path) .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local language = line:match "^%s*```(%w*)%s*$"
    if language and not block then
      block = { language = language, line = number + 1 }
    elseif language then
      block.text = table.concat(block, "\n") .. "\n"
      blocks[#blocks + 1], block = block, nil
    elseif block then
      block[#block + 1] = line
    end
  end
  return blocks
end

return markdown
