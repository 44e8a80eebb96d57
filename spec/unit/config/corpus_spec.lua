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

-- Folders with a tidegate.yaml each, for what is wrong between files.
local TREES = FOLDER .. "trees/"
local trees = {}
for name in lfs.dir(TREES) do
  if lfs.attributes(TREES .. name .. "/tidegate.yaml") then trees[#trees + 1] = name end
end
table.sort(trees)

--- Without the names of folders, which differ from machine to machine.
local function without_folders(text)
  local here = (lfs.currentdir() .. "/" .. FOLDER):gsub("%p", "%%%0")
  local folder = FOLDER:gsub("%p", "%%%0")
  return (text:gsub(here, ""):gsub(folder, ""))
end

--- Compares what is told of a file with what is expected; gives whether it was an error.
local function check(file, expected)
  local result = configuration.load_file(file, { dry = false })
  local text = without_folders(result.report:text { notices = true })
  if os.getenv "UPDATE" then files.write(expected, text) end
  assert.equal(files.read(expected), text)
  return not result.good
end

describe("a broken configuration", function()
  local broken = 0

  for _, name in ipairs(names) do
    it("is reported as a whole: " .. name, function()
      if check(FOLDER .. name .. ".yaml", FOLDER .. name .. ".txt") then broken = broken + 1 end
    end)
  end

  for _, name in ipairs(trees) do
    it("of several files is reported as a whole: " .. name, function()
      if check(TREES .. name .. "/tidegate.yaml", TREES .. name .. ".txt") then broken = broken + 1 end
    end)
  end

  it("has a corpus", function()
    assert.is_true(broken >= 100, broken .. " are broken")
  end)
end)
