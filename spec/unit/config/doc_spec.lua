require "tidegate.ffi"
local doc = require "tidegate.config.doc"
local files = require "support.files"
local schema = require "tidegate.config.schema"
local tree = require "tidegate.config.tree"

describe("the reference", function()
  it("is up to date (make it anew: lua/tidegate/config/doc.lua says how)", function()
    assert.is_true(files.read "docs/configuration.md" == doc.text())
  end)

  it("explains every key", function()
    local function walk(field, path)
      if field.later == true then return end
      if field.type == "object" then
        for _, name in ipairs(schema.names(field.fields)) do
          local child = field.fields[name]
          assert.is_true(child.later == true or type(child.doc) == "string", path .. "." .. name)
          walk(child, path .. "." .. name)
        end
      elseif type(field.of) == "table" and field.of.type then
        walk(field.of, path .. "[]")
      end
    end
    walk(tree, "")
  end)
end)
