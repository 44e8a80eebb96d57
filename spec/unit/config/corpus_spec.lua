--- Broken files and what is said of them, word for word. UPDATE=1 writes the expectations anew.
local configuration = require "support.configuration"
local files = require "support.files"
local lfs = require "lfs"

local FOLDER = "spec/fixtures/config/"

local names = {}
for name in lfs.dir(FOLDER) do
  local stem = name:match "^(.*)%.yaml$"
  if stem then names[#names + 1] = stem end
end
table.sort(names)

--- Without the names of folders, which differ from machine to machine.
local function without_folders(text)
  local here = (lfs.currentdir() .. "/" .. FOLDER):gsub("%p", "%%%0")
  local folder = FOLDER:gsub("%p", "%%%0")
  return (text:gsub(here, ""):gsub(folder, ""))
end

describe("a broken configuration", function()
  it("has a corpus", function()
    assert.is_true(#names >= 40)
  end)

  for _, name in ipairs(names) do
    it("is reported as a whole: " .. name, function()
      local result = configuration.load_file(FOLDER .. name .. ".yaml", { dry = false })
      local text = without_folders(result.report:text { notices = true })
      if os.getenv "UPDATE" then files.write(FOLDER .. name .. ".txt", text) end
      assert.equal(files.read(FOLDER .. name .. ".txt"), text)
    end)
  end
end)
