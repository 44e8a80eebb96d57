--- What a plugin's own table says, checked against the schema language; messages show the line of its file.
local locate = require "tidegate.plugin.locate"
local Node = require "tidegate.config.node"
local schema = require "tidegate.config.schema"

local DEPTH_MAX = 16

local Statement = {}
Statement.__index = Statement

--- @tparam table record path (as shown) and source of the plugin's file
-- @tparam Report report
-- @treturn table failures: how many errors it has told
local function new(record, report)
  return setmetatable({ record = record, report = report, failures = 0 }, Statement)
end

--- A path with one more step, or several.
local function below(path, ...)
  local list = { unpack(path) }
  for _, step in ipairs { ... } do list[#list + 1] = step end
  return list
end

local function shown(path)
  local text = ""
  for _, step in ipairs(path) do text = schema.path(text, step) end
  return text
end

--- Where a field stands.
-- @tparam {string|number,...} path { "schema", "max" }
function Statement:place(path)
  if self.at then return self.at end      -- what is looked at stands elsewhere: in plugin.json
  local line, column = locate.field(self.record.source, path)
  return { file = self.record.path, line = line, column = column }
end

--- Tells what is wrong with a field.
function Statement:fail(path, message, ...)
  self:fail_at(self:place(path), path, message, ...)
end

--- Tells what is wrong at a place.
-- @tparam ?{string|number,...} path
function Statement:fail_at(place, path, message, ...)
  self.failures = self.failures + 1
  self.report:add(place, path and shown(path), message:format(...))
end

--- Tells what is probably not meant.
function Statement:warn(path, message, ...)
  self:warn_at(self:place(path), path, message, ...)
end

--- Tells at a place what is probably not meant.
function Statement:warn_at(place, path, message, ...)
  self.report:warn(place, path and shown(path), message:format(...))
end

--- The end of a message that says which of the known words was meant.
function Statement:near(word, known)
  return (self.report:near(word, known))
end

--- Whether a value is made of texts, numbers, booleans and tables of these, without a ring.
local function is_plain(value, depth)
  local kind = type(value)
  if kind ~= "table" then return kind == "string" or kind == "number" or kind == "boolean" end
  if depth > DEPTH_MAX then return false end
  for key, item in pairs(value) do
    if type(key) ~= "string" and not (type(key) == "number" and value[#value] ~= nil) then return false end
    if not is_plain(item, depth + 1) then return false end
  end
  return true
end

--- Checks a value against a field of the schema language.
-- @return the value; nil where it is wrong
function Statement:value(field, value, path)
  if not is_plain(value, 1) then
    self:fail(path, "expected %s, found a %s", schema.expected(field), type(value))
    return nil
  end
  local node = Node.of(value, self:place(path))
  local result, _, failures = schema.check(field, node, self.report, shown(path))
  self.failures = self.failures + failures
  return failures == 0 and result or nil
end

return { new = new, below = below, is_plain = is_plain }
