--- What docs/library.md shows is so: its Lua runs, and gives what stands behind each arrow.
local json = require "tidegate.tide.json"
local files = require "support.files"
local markdown = require "support.markdown"
local tide = require "tidegate"

local PAGE = "docs/library.md"

--- A value as the page writes it.
local function shown(value)
  if value == nil then return "nil" end
  return assert(json.encode(value, { sorted = true }))
end

--- The block as a program: `expression  --> result` becomes a comparison.
local function program(text)
  return (("\n" .. text):gsub("\n([^\n]-)%s+%-%-> ([^\n]*)", function(expression, result)
    return ("\nshow(%q, %s)"):format(result, expression)
  end):sub(2))
end

describe("Lua in docs/library.md", function()
  for _, block in ipairs(markdown.blocks(PAGE)) do
    if block.language == "lua" then
      it(("does what it says: line %d"):format(block.line), function()
        local shows = 0
        local function show(wanted, ...)
          local found = {}
          for i = 1, select("#", ...) do found[i] = shown((select(i, ...))) end
          assert.equal(wanted, table.concat(found, ", "))
          shows = shows + 1
        end
        local chunk = assert(loadstring(program(block.text), "=" .. PAGE))
        setfenv(chunk, setmetatable({ tide = tide, show = show }, { __index = _G }))()
        assert.equal(select(2, block.text:gsub("%-%-> ", "")), shows)
      end)
    end
  end
end)

describe("docs/library.md", function()
  local page = files.read(PAGE)

  for _, name in ipairs { "json", "base64", "url", "cookie", "template", "cidr", "uuid", "re", "crypto", "jwt" } do
    it("names every function of " .. name, function()
      for key in pairs(tide[name]) do
        assert.is_truthy(page:find(("`%s.%s"):format(name, key), 1, true), ("%s.%s"):format(name, key))
      end
    end)
  end
end)
