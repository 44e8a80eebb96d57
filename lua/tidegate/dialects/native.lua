--- What the native language has in this version, asked of its schema: a converter says what there is words for, and
-- tells of the rest. So a key that becomes available is used from then on.
local discover = require "tidegate.plugin.discover"
local tree = require "tidegate.config.tree"
local types = require "tidegate.config.types"

local native = {}

local function field_at(...)
  local field = tree
  for _, key in ipairs { ... } do
    while type(field) == "table" and (field.type == "list" or field.type == "map") do field = field.of end
    field = type(field) == "table" and field.fields and field.fields[key]
    if type(field) ~= "table" or field.later == true then return nil end
  end
  return field
end

--- Whether there is a key: native.has("services", "health_check").
function native.has(...)
  return field_at(...) ~= nil
end

--- Whether a key takes a word: native.knows("random", "services", "balance", "algorithm").
function native.knows(word, ...)
  local field = field_at(...)
  for _, known in ipairs(field and field.of or {}) do
    if known == word then return true end
  end
  return false
end

--- Whether a text is one of a type (see tidegate.config.types). What stands for something else is taken on trust.
function native.takes(kind, text)
  return text:find("${", 1, true) ~= nil or types[kind].parse(text) ~= nil
end

--- Whether a plugin is there: among those that come with the gateway, or in the folder "plugins" of the configuration.
-- @tparam string name
-- @tparam Sources sources
function native.has_plugin(name, sources)
  for _, folder in ipairs { discover.SHIPPED, "plugins" } do
    for _, file in ipairs(sources:names(folder) or {}) do
      if file == name .. ".lua" or file == name then return true end
    end
  end
  return false
end

--- A name for an instance that chains can use: small letters, digits and _.
-- @tparam string text
-- @tparam table taken set of the names there are; the new one is added
-- @treturn string
function native.instance_name(text, taken)
  local stem = text:lower():gsub("[^%l%d]+", "_"):gsub("^_+", ""):gsub("_+$", "")
  if not stem:find "^%l" then stem = "plugin_" .. stem end
  local name, number = stem, 1
  while taken[name] do
    number = number + 1
    name = stem .. "_" .. number
  end
  taken[name] = true
  return name
end

local LEFT_OUT = "not available in this version; left out"

--- Tells of something there are no words for, where to leave it out does no harm.
-- @tparam Report report
-- @tparam table place
-- @tparam string path
-- @tparam[opt] string what comes instead
function native.leave_out(report, place, path, instead)
  report:warn(place, path, LEFT_OUT .. (instead and ": " .. instead or ""))
end

return native
