--- What messages say of a configuration: what stands in it, and what should stand there.
local types = require "tidegate.config.types"

local wording = {}

local SHOWN_MAX = 60

--- A word from the configuration as it is shown in a message.
-- @tparam string text
-- @treturn string
function wording.quote(text)
  if #text > SHOWN_MAX then text = text:sub(1, SHOWN_MAX) .. "..." end
  return '"' .. text:gsub("%c", "?") .. '"'
end

--- What a node is, for "found ...".
-- @tparam table node
-- @treturn string
function wording.describe(node)
  if node.kind ~= "scalar" then return "a " .. node.kind end
  if node.type == "null" then return "nothing" end
  if node.is_secret then return "a value that is not shown" end
  if node.type == "string" then return wording.quote(node.text) end
  return node.text
end

--- Where a value came from that does not stand in the file: " (environment PORT)", else "".
-- @tparam table node
-- @treturn string
function wording.origin(node)
  return node.from and (" (%s)"):format(table.concat(node.from, ", ")) or ""
end

--- By type: what a field of it expects, for types that tidegate.config.types does not know.
wording.EXPECTED = {
  integer = "a whole number", number = "a number", boolean = "true or false", list = "a list", map = "a map",
  object = "a map", any = "a value", status = "a status code from 100 to 599",
}

--- What a field takes, for "expected ...".
-- @tparam table field see tidegate.config.schema
-- @treturn string
function wording.expected(field)
  if field.expects then return field.expects end
  if field.type == "enum" then
    return #field.of == 1 and wording.quote(field.of[1]) or "one of " .. table.concat(field.of, ", ")
  end
  local words = {}
  for word in pairs(field.words or {}) do words[#words + 1] = word end
  table.sort(words)
  words[#words + 1] = wording.EXPECTED[field.type] or types[field.type].expected
  return table.concat(words, " or ")
end

--- Names one behind the other: "a, b and c".
-- @tparam {string,...} names one at least
-- @treturn string
function wording.series(names)
  return #names > 1 and table.concat(names, ", ", 1, #names - 1) .. " and " .. names[#names] or names[1]
end

return wording
