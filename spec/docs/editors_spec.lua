--- docs/editors.md: its command makes the schema, and its configuration is good by it.
local files = require "support.files"
local json = require "tidegate.tide.json"
local markdown = require "support.markdown"
local shell = require "support.shell"
local validator = require "support.json_schema"

describe("docs/editors.md", function()
  local blocks, folder, made = markdown.blocks "docs/editors.md", nil, nil

  local function block(language)
    for _, one in ipairs(blocks) do
      if one.language == language then return one.text end
    end
  end

  setup(function()
    folder = files.folder()
    files.write(folder .. "/tidegate.yaml", block "yaml")
    local binary = shell.must("realpath " .. (os.getenv "TIDEGATE" or "build/tidegate")):gsub("\n", "")
    local text, code = shell.run(block("sh"):gsub("^tidegate", binary), { folder = folder })
    assert.equal(0, code, text)
    made = assert(json.decode(files.read(folder .. "/tidegate.schema.json")))
  end)

  it("shows a configuration that is good by the schema that it names", function()
    local name = block("yaml"):match "^# yaml%-language%-server: %$schema=%./(%S+)\n"
    assert.is_truthy(files.read(folder .. "/" .. name))
    assert.same({ "good" }, validator.validate({ made }, { { schema = 1, value = validator.values(block "yaml") } }))
  end)

  it("shows one whose mistakes the schema finds", function()
    local broken = block("yaml"):gsub("max_age: 10m", "max_age: 10 minutes")
    local verdict = validator.validate({ made }, { { schema = 1, value = validator.values(broken) } })[1]
    assert.is_true(verdict ~= "good")
  end)

  it("shows settings of editors that can be read", function()
    assert.is_truthy(json.decode(block "json"))
    assert.is_truthy(loadstring(block "lua"))
  end)
end)
