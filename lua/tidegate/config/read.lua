--- One file of the configuration: from its name to the node of the map that is in it.
local Node = require "tidegate.config.node"
local yaml = require "tidegate.yaml"

local FILE_MAX = 16 * 1024 * 1024

--- @tparam string name as messages show it
-- @tparam string file its absolute name
-- @tparam Sources sources
-- @tparam Report report takes what is wrong
-- @tparam[opt] table place where the file was asked for: a node that is told to be wrong where it cannot be read
-- @tparam[opt] string path of that node
-- @treturn ?table nil where the file cannot be understood, which has been told, or says nothing
-- @treturn number bytes read
return function(name, file, sources, report, place, path)
  local text, why = sources:read(file, FILE_MAX)
  if not text then
    if place then why = ("%s cannot be read: %s"):format(name, why) else why = "cannot be read: " .. why end
    report:add(place or { file = name }, path, why)
    return nil, 0
  end
  report:source(name, text)
  local node, errors = yaml.parse(text, name)
  for _, e in ipairs(errors or {}) do
    report:add({ file = name, line = e.line, column = e.column }, nil, e.message)
  end
  if not node or node.kind == "map" then return node, #text end
  if not Node.is_nothing(node) then
    report:add(node, nil, "expected a map, found a " .. (node.kind == "list" and "list" or "text"))
  elseif not place then
    report:add(node, nil, "expected a configuration, found an empty file")
  elseif not text:find "%S" then
    -- A file that is being written looks like this for a moment: what it held must not vanish for that long.
    report:add(node, nil, "the file is empty; where that is meant, write a comment into it")
  end
  return nil, #text
end
