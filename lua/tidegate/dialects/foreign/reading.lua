--- Reads a map of another gateway's configuration so that nothing of it is dropped silently: each entry is taken,
-- known to be harmless, or told to the report; what nobody asked for is told at the end. The node remembers: entry.fate
-- is "read", "harmless" or "told".
local schema = require "tidegate.config.schema"

local reading = {}

local NUMBER_MAX = 2 ^ 31
reading.DAYS_MS = 49 * 86400 * 1000         -- the longest time that we take

local Reading = {}
Reading.__index = Reading

--- A text of the file as it must be written so that it means the same here: "${" would be a variable.
function reading.escape(text)
  return (text:gsub("%${", "$${"))
end

--- A text of Reading:text where a template is expected, which would take "${" for a variable once more.
-- @tparam ?string text
function reading.literal(text)
  return text and (text:gsub("%$%${", "$$${")) or nil
end

--- @tparam table node from tidegate.yaml
-- @tparam string path of it
-- @tparam Report report takes what cannot be converted (errors) and what differs (warnings)
-- @tparam[opt] function translate function(text) -> the text with its variables written our way, or nil and why
-- @treturn Reading where the node is no map, one without entries, after telling
function reading.new(node, path, report, translate)
  local self = setmetatable({
    node = node, path = path, report = report, translate = translate or reading.escape, losses = 0,
  }, Reading)
  if node.kind ~= "map" then
    self.node = { kind = "map", entries = {}, fields = {}, line = node.line, column = node.column, file = node.file }
    if not (node.kind == "scalar" and node.type == "null") then
      report:add(node, path, ("expected a map, found a %s"):format(node.kind))
    end
  end
  return self
end

local function is_null(node)
  return node.kind == "scalar" and node.type == "null"
end

--- The entry of a key, which counts as read; nil where there is none, or where its value is null.
function Reading:entry(key)
  local index = self.node.fields[key]
  local entry = index and self.node.entries[index]
  if not entry then return nil end
  entry.fate = entry.fate or "read"
  if not is_null(entry.value) then return entry end
end

--- Whether a key has a value; says nothing about its fate.
function Reading:has(key)
  local index = self.node.fields[key]
  return index ~= nil and not is_null(self.node.entries[index].value)
end

function Reading:path_of(key)
  return schema.path(self.path, key)
end

--- Where a key stands; the map's own place without one.
function Reading:place(key)
  local index = key and self.node.fields[key]
  return index and self.node.entries[index] or self.node
end

--- Says that something of a key cannot be converted.
function Reading:tell(key, message, ...)
  local index = key and self.node.fields[key]
  if index then self.node.entries[index].fate = "told" end
  self.losses = self.losses + 1
  self.report:add(self:place(key), key and self:path_of(key) or self.path, message:format(...))
end

--- Says that something of a key behaves otherwise.
function Reading:warn(key, message, ...)
  self.report:warn(self:place(key), key and self:path_of(key) or self.path, message:format(...))
end

--- Keys that mean nothing here, whatever they hold.
function Reading:harmless(...)
  for i = 1, select("#", ...) do
    local index = self.node.fields[(select(i, ...))]
    if index then self.node.entries[index].fate = "harmless" end
  end
end

--- Tells keys that have no equal. A value that says "off" (false, 0, an empty list or map) needs none.
-- @tparam table reasons by key
function Reading:refuse(reasons)
  for _, entry in ipairs(self.node.entries) do
    local reason, value = reasons[entry.key], entry.value
    if reason and not entry.fate then
      local is_off = is_null(value) or value.value == false or value.value == 0 or value.value == "" or
                     value.items and #value.items == 0 or value.entries and #value.entries == 0
      if is_off then entry.fate = "harmless" else self:tell(entry.key, "%s", reason) end
    end
  end
end

--- A scalar node as a text of ours; nil after telling.
function Reading:translated(key, node)
  local text, why = self.translate(node.text)
  if not text then self:tell(key, "%s", why) end
  return text
end

--- A text, as it is to be written here.
function Reading:text(key, default)
  local entry = self:entry(key)
  if not entry then return default end
  if entry.value.kind ~= "scalar" then
    self:tell(key, "expected a text, found a %s", entry.value.kind)
    return default
  end
  return self:translated(key, entry.value) or default
end

--- A text, byte for byte.
function Reading:raw(key, default)
  local entry = self:entry(key)
  if not entry then return default end
  if entry.value.kind == "scalar" then return entry.value.text end
  self:tell(key, "expected a text, found a %s", entry.value.kind)
  return default
end

--- A number. One that is none, or outside of the bounds, is told, and the default is taken.
-- @tparam string key
-- @tparam[opt] number default
-- @tparam[opt=0] number min
-- @tparam[opt=2^31] number max
function Reading:number(key, default, min, max)
  local entry = self:entry(key)
  if not entry then return default end
  local value = entry.value.kind == "scalar" and tonumber(entry.value.text)
  min, max = min or 0, max or NUMBER_MAX
  if value and value >= min and value <= max then return value end
  if value then
    self:tell(key, "expected a number from %g to %g, found %g", min, max, value)
  else
    self:tell(key, "expected a number")
  end
  return default
end

--- A status code of an answer that a gateway gives by itself.
function Reading:status(key, default, min)
  return self:number(key, default, min or 200, 599)
end

function Reading:flag(key, default)
  local entry = self:entry(key)
  if not entry then return default end
  if entry.value.kind == "scalar" and entry.value.type == "boolean" then return entry.value.value end
  self:tell(key, "expected true or false")
  return default
end

--- The scalars of a list, or a lone one. Empty lists are as if they were not there.
-- @treturn ?{string,...}
function Reading:texts(key, is_raw)
  local entry = self:entry(key)
  if not entry then return nil end
  local list = {}
  for _, item in ipairs(entry.value.kind == "list" and entry.value.items or { entry.value }) do
    if item.kind ~= "scalar" then
      self:tell(key, "expected a list of texts, found a %s in it", item.kind)
      return nil
    end
    list[#list + 1] = is_raw and item.text or self:translated(key, item)
  end
  return #list > 0 and list or nil
end

local function below(self, node, path)
  return reading.new(node, path, self.report, self.translate)
end

--- The maps of a list.
-- @treturn {Reading,...}
function Reading:maps(key)
  local entry = self:entry(key)
  local list = {}
  if not entry then return list end
  if entry.value.kind ~= "list" then
    self:tell(key, "expected a list, found a %s", entry.value.kind)
    return list
  end
  for i, item in ipairs(entry.value.items) do
    list[i] = below(self, item, schema.path(self:path_of(key), i))
  end
  return list
end

--- The map below a key; nil where there is none.
-- @treturn ?Reading
function Reading:map(key)
  local entry = self:entry(key)
  return entry and below(self, entry.value, self:path_of(key)) or nil
end

--- A map without entries in place of one that is not there.
-- @treturn Reading
function Reading:empty(key)
  local place = self.node
  return below(self, {
    kind = "map", entries = {}, fields = {}, line = place.line, column = place.column, file = place.file,
  }, self:path_of(key))
end

--- The keys that are there with a value, in their order.
function Reading:keys()
  local list = {}
  for _, entry in ipairs(self.node.entries) do
    if not is_null(entry.value) then list[#list + 1] = entry.key end
  end
  return list
end

--- Tells what nobody has asked for.
function Reading:finish()
  for _, entry in ipairs(self.node.entries) do
    if not entry.fate then
      if is_null(entry.value) then
        entry.fate = "harmless"
      else
        self:tell(entry.key, "unknown key: not converted")
      end
    end
  end
end

return reading
