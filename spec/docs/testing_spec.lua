--- What docs/testing.md shows is so: its plugins and specs run as they stand, and it leaves out no word of the kit.
local fake = require "tidegate.spec"
local files = require "support.files"
local markdown = require "support.markdown"
local outcome = require "tidegate.spec.outcome"
local peers = require "tidegate.spec.peers"
local request = require "tidegate.spec.request"
local shell = require "support.shell"

local PAGE = "docs/testing.md"

local function tidegate() return os.getenv "TIDEGATE" or "build/tidegate" end

describe("Lua in docs/testing.md", function()
  local folder, count

  setup(function()
    folder, count = files.folder(), 0
    os.execute("mkdir " .. folder .. "/plugins")
    for _, block in ipairs(markdown.blocks(PAGE)) do
      if block.language == "lua" then
        local name = assert(block.text:match "^%-%- (plugins/[%w_]+%.lua)\n", "no name at line " .. block.line)
        files.write(folder .. "/" .. name, block.text)
        count = count + select(2, block.text:gsub("%f[%w]it%(", ""))
      end
    end
  end)

  it("runs, and does what it says", function()
    local binary = shell.must("realpath " .. tidegate()):gsub("\n", "")
    local lua = shell.must("realpath lua"):gsub("\n", "")
    local text, code = shell.run(("TIDEGATE_LUA=%s %s plugin test"):format(lua, binary), { folder = folder })
    assert.equal(0, code, text)
    -- Two of them stand in a loop over two kinds of gateways.
    assert.equal(count + 2, tonumber(text:match "(%d+) successes"))
  end)
end)

describe("docs/testing.md", function()
  local page = files.read(PAGE)

  local function names(what, list)
    for name in pairs(list) do
      it(("names %s %s"):format(what, name), function()
        assert.is_truthy(page:find(("`[^`\n]*%%f[%%w_]%s%%f[^%%w_]"):format(name)), name)
      end)
    end
  end

  names("the function", fake)
  names("the function of the clock", { now = 1, advance = 1, set = 1 })
  names("the field of a request", request.FIELDS)
  names("the field of an answer", peers.ANSWER)
  local notes = outcome.notes()
  notes.answers = nil
  names("the field of an outcome", notes)
end)
