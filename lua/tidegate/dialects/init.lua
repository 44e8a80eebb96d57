--- Other gateways' configurations. Each is a module beside this one:
--
--     title                            its name for people
--     keys                             set of the keys at the top of its files; needed where loads is true
--     format                           toml where its files are that, whatever they are called
--     loads = true                     its files load as they are; all others go through `tidegate convert`
--     is_partial = true                what it tells as an error is left out of a native form that is safe without it
--     recognise(node)                  the entry that shows that a file is one of its; nil where it is none
--     convert(node, sources, report)   the same in the native language: nodes (see dialects.node), or a value for
--                                      tidegate.config.emit; nil after telling why
--
-- What a converter cannot say natively it tells through report:warn(place, path, message), where leaving it out is
-- safe, and through report:add where it is not: a file that loses its authentication on the way must not convert.
local emit = require "tidegate.config.emit"
local node = require "tidegate.dialects.node"
local schema = require "tidegate.config.schema"
local tree = require "tidegate.config.tree"

local dialects = {}

--- In the order in which files are recognised.
dialects.NAMES = { "toyou", "gateway", "dispa", "pingora", "bighammer", "kong", "apisix" }

--- The module of a dialect; nil where there is none of that name.
function dialects.find(name)
  for _, known in ipairs(dialects.NAMES) do
    if known == name then return require("tidegate.dialects." .. name) end
  end
  return nil
end

--- Whose configuration a file is.
-- @tparam table root node of the whole file
-- @treturn ?string name of a dialect; nil: the native language, or none that is known
-- @treturn ?table the entry that shows it
function dialects.recognise(root)
  if root.kind ~= "map" then return nil end
  for _, name in ipairs(dialects.NAMES) do
    local entry = dialects.find(name).recognise(root)
    if entry then return name, entry end
  end
  return nil
end

local function is_native_alone(key, dialect)
  return tree.fields[key] ~= nil and type(tree.fields[key]) == "table" and not dialect.keys[key]
end

--- Whether the file is written in one language only; tells of the first native key otherwise.
local function is_pure(root, dialect, sign, report)
  for _, entry in ipairs(root.entries) do
    if is_native_alone(entry.key, dialect) then
      report:add(entry, entry.key, ("is a key of Tidegate's own language, but %s (line %d) is one of %s: a file is " ..
                                    "written in one of them; tidegate convert translates it")
                                   :format(schema.quote(sign.key), sign.line, dialect.title))
      return false
    end
  end
  return true
end

--- The native form of a file that is loaded.
-- @tparam table root node of the whole file
-- @tparam Sources sources reads the files that it names
-- @tparam Report report
-- @treturn ?table node; nil after telling why there is none
function dialects.normalise(root, sources, report)
  local name, sign = dialects.recognise(root)
  if not name then return root end
  local dialect = dialects.find(name)
  if not dialect.loads then
    report:add(sign, sign.key, ("shows a configuration of %s, which does not load as it is: tidegate convert " ..
                                "--from %s prints it in Tidegate's own language"):format(dialect.title, name))
    return nil
  end
  if not is_pure(root, dialect, sign, report) then return nil end
  return dialect.convert(root, sources, report)
end

--- A configuration as a text in the native language.
-- @param native node, or value for tidegate.config.emit
-- @treturn string
function dialects.text(native)
  return emit.text(node.is(native) and node.value(native) or native)
end

return dialects
