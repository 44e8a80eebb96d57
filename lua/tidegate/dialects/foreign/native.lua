--- What this version can do, as its own schema says: converters turn to what is there, and tell what is not.
local discover = require "tidegate.plugin.discover"
local tree = require "tidegate.config.tree"
local types = require "tidegate.config.types"

local native = {}

--- The field at the end of a path such as "routes.when" or "services.balance.algorithm"; nil where this version has
-- none. Lists and maps are walked through to what they hold.
local function field(path)
  local at = tree
  for name in path:gmatch "[^.]+" do
    while type(at.of) == "table" and at.of.type do at = at.of end
    at = at.fields and at.fields[name]
    if not at or at.later == true then return nil end
  end
  return at
end

--- Whether a key of the configuration is available.
-- @tparam string path "routes.when"
function native.has(path)
  return field(path) ~= nil
end

--- Whether a word of an enum is available.
-- @tparam string path "services.balance.algorithm"
function native.has_word(path, word)
  local found = field(path)
  while found and type(found.of) == "table" and found.of.type do found = found.of end
  for _, known in ipairs(found and found.of or {}) do
    if known == word then return true end
  end
  return false
end

--- Whether a text is taken as a value of a type; nil and why where it is not.
function native.takes(type_name, text)
  local value, why = types[type_name].parse(text)
  if value ~= nil then return true end
  return nil, why or ("expected " .. types[type_name].expected)
end

local function is_file(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

--- Whether a plugin comes with the gateway.
function native.plugin(name)
  return is_file(("%s/%s.lua"):format(discover.SHIPPED, name)) or
         is_file(("%s/%s/init.lua"):format(discover.SHIPPED, name))
end

--- Milliseconds as a duration.
function native.ms(number)
  number = math.max(1, math.floor(number + 0.5))
  if number % 1000 == 0 then return ("%ds"):format(number / 1000) end
  return ("%dms"):format(number)
end

return native
