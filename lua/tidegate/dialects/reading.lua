--- A configuration of another gateway as it is read: its values, the nodes that they were written with, and a report
-- for what is found on the way. Converters add their own methods.
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"
local schema = require "tidegate.config.schema"

local Reading = {}
Reading.__index = Reading

--- A kind of reading with methods of its own.
function Reading.kind()
  local kind = setmetatable({}, { __index = Reading })
  kind.__index = kind
  return kind
end

--- Checks the shape of a file and takes it in.
-- @tparam table field schema
-- @tparam table root
-- @treturn table values
-- @treturn Marks where they came from
function Reading:read(field, root)
  local file, marks = schema.check_shape(field, root, self.report)
  self.marks = self.marks or marks
  for owner, mark in pairs(marks) do self.marks[owner] = mark end
  return file, marks
end

--- The node that a key was written with; nil where it was not, or there is no owner.
function Reading:node(owner, key)
  local mark = owner and self.marks[owner]
  return mark and mark.nodes[key]
end

--- The same as a node of its own, for a second place in the tree.
function Reading:copy(owner, key)
  local written = self:node(owner, key)
  return written and node.copy(written)
end

--- Where a value, or one of its keys, stands.
function Reading:place(owner, key)
  return (self.marks:place(owner, key))
end

function Reading:warn(owner, key, message)
  local place, path = self.marks:place(owner, key)
  self.report:warn(place, path, message)
end

function Reading:fail(owner, key, message)
  local place, path = self.marks:place(owner, key)
  self.report:add(place, path, message)
end

--- Tells of a key there are no words for, where it was written; what comes instead may be said.
function Reading:leave_out(owner, key, instead)
  if not self:node(owner, key) then return end
  local place, path = self.marks:place(owner, key)
  native.leave_out(self.report, place, path, instead)
end

--- The same for several keys.
function Reading:leave_out_all(owner, ...)
  for _, key in ipairs { ... } do
    if owner then self:leave_out(owner, key) end
  end
end

--- For messages: "(line 12)", "(conf.d/a.yaml:12)".
function Reading:where(owner, key)
  local place = self:place(owner, key)
  if place.file == self.root.file then return ("(line %d)"):format(place.line) end
  return ("(%s:%d)"):format(place.file, place.line)
end

--- A number with its unit behind it; what has one keeps it.
function Reading:with_unit(owner, key, unit)
  local value = self:node(owner, key)
  if not value or value.kind ~= "scalar" then return value end
  local is_bare = value.type == "integer" or value.type == "number" or value.text:find "^[%d.]*%${.*}$"
  return is_bare and node.scalar(value.text .. unit, value) or value
end

--- Texts in which "${" means nothing: it is written so that it does not in ours either.
function Reading.escape(root)
  if root.kind == "scalar" and root.type == "string" then
    root.text = root.text:gsub("%${", "$${")
    root.value = root.text
  end
  for _, item in ipairs(root.items or {}) do Reading.escape(item) end
  for _, entry in ipairs(root.entries or {}) do Reading.escape(entry.value) end
end

--- The same text, escaped already, where ours takes variables of the request: it means none there.
function Reading.escape_template(text)
  return (text:gsub("%$%${", "$$${"))
end

return Reading
