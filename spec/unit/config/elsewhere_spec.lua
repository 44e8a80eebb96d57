--- Words of other gateways: each leads to a key that is there, and none hides a key.
require "tidegate.ffi"
local configuration = require "support.configuration"
local retries = require "tidegate.config.tree_retries"
local schema = require "tidegate.config.schema"
local tree = require "tidegate.config.tree"

local found = 0

--- What a field of the schema holds: of lists and maps, the items.
local function inside(field)
  while type(field) == "table" and (field.type == "list" or field.type == "map") do field = field.of end
  return type(field) == "table" and field or {}
end

--- The field at a path, from a schema.
local function field_at(fields, path)
  local field
  for word in path:gmatch "[^.]+" do
    if word ~= "NAME" then
      field = fields and fields[word]
      fields = field and inside(field).fields
    end
  end
  return field
end

local function check_words(path, fields)
  for word, target in pairs(rawget(fields, schema.ELSEWHERE) or {}) do
    found = found + 1
    assert.is_nil(fields[word], ("%s: %s is a key here"):format(path, word))
    assert.equal(word:lower(), word)
    local field = field_at(fields, target) or field_at(tree.fields, target)
    assert.truthy(field and field.later ~= true, ("%s: %s leads to %s, which is no key"):format(path, word, target))
  end
end

local function walk(path, field)
  field = inside(field)
  if field.type == "enum" then
    for word, target in pairs(field.elsewhere or {}) do
      assert.is_truthy((" " .. table.concat(field.of, " ") .. " "):find(" " .. target .. " ", 1, true), path .. word)
    end
  end
  if not field.fields then return end
  check_words(path, field.fields)
  for _, name in ipairs(schema.names(field.fields)) do walk(path .. "." .. name, field.fields[name]) end
end

describe("words of other gateways", function()
  it("lead to keys that there are", function()
    walk("", tree)
    assert.is_true(found > 300, found .. " words")
  end)

  it("lead to causes of retries that there are", function()
    for word, cause in pairs(require("tidegate.config.elsewhere").causes) do
      local known = retries.statuses(cause) or (" " .. table.concat(retries.CAUSES, " ") .. " "):find(cause, 1, true)
      assert.is_truthy(known, word)
    end
  end)

  it("do not make a file another gateway's, where it says what it listens on", function()
    local text = 'listen: [":8080"]\nservices: { a: { url: "http://127.0.0.1:1" } }\nroutes: [{ uri: /a, service: a }]'
    local report = configuration.load(text).report:text()
    assert.is_truthy(report:find('services.a.url: unknown key; did you mean "nodes"?', 1, true), report)
    assert.is_truthy(report:find('routes[1].uri: unknown key; did you mean "path"?', 1, true), report)
  end)
end)
