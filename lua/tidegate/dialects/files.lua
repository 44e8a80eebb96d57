--- Files that a configuration of another gateway names, read as that gateway would.
local Sources = require "tidegate.config.source"
local toml = require "tidegate.dialects.toml"
local yaml = require "tidegate.yaml"

local files = {}

local FILE_MAX = 16 * 1024 * 1024

--- A name as messages show it: from where the main file's is.
local function shown(path, main)
  local folder = Sources.folder_of(main)
  if path:sub(1, 1) == "/" or folder == "." then return path end
  return (((folder == "/" and "" or folder) .. "/" .. path):gsub("[^/.]+/%.%./", ""))
end

--- JSON with lines that are comments, which some write: they become empty.
local function without_comments(text)
  return (("\n" .. text):gsub("(\n[ \t]*)//[^\n]*", "%1"):sub(2))
end

local function read(path, name, sources, report, place, format)
  local text, why = sources:read(path, FILE_MAX)
  if not text then
    local what = place and name .. " " or ""        -- without a place the name stands before the message
    report:add(place or { file = name }, nil, ("%scannot be read: %s"):format(what, why))
    return nil
  end
  report:source(name, text)
  if path:find "%.json$" then text = without_comments(text) end
  local parse = (format == "toml" or not format and path:find "%.toml$") and toml.parse or yaml.parse
  local root, errors = parse(text, name)
  for _, e in ipairs(errors or {}) do
    report:add({ file = name, line = e.line, column = e.column }, nil, e.message)
  end
  return root
end

--- Reads one file of YAML or JSON.
-- @tparam string path absolute, or from the folder of the main file
-- @tparam string main name of the main file as messages show it
-- @tparam Sources sources
-- @tparam Report report takes what is wrong with it
-- @tparam[opt] table place of the name; where it cannot be read that is told there
-- @treturn ?table node; nil after telling why
function files.read(path, main, sources, report, place)
  return read(path, shown(path, main), sources, report, place)
end

--- Reads the main file.
-- @tparam string path absolute
-- @tparam string name as messages show it
-- @tparam Sources sources
-- @tparam Report report
-- @tparam[opt] string format toml, or yaml, which JSON is, too; default: by the end of the name
-- @treturn ?table node of a map; nil after telling why
function files.read_main(path, name, sources, report, format)
  local root = read(path, name, sources, report, nil, format)
  if not root or root.kind == "map" then return root end
  report:add(root, nil, root.type == "null" and "expected a configuration, found an empty file"
                        or ("expected a map, found a %s"):format(root.kind))
  return nil
end

--- Reads the YAML files of a folder in alphabetical order.
-- @tparam table place of the folder's name; its text is the name
-- @tparam string main
-- @tparam Sources sources
-- @tparam Report report takes what is wrong; a folder that is not there is a warning
-- @treturn {table,...} nodes of those that are maps
function files.read_folder(place, main, sources, report)
  local folder, names, list = place.text:gsub("/+$", ""), {}, {}
  local is_there, why = sources:names(folder)
  if not is_there then report:warn(place, nil, ("%s cannot be read: %s"):format(place.text, why)) end
  for _, pattern in ipairs { "/*.yaml", "/*.yml" } do       -- as patterns they are watched: files may come and go
    for _, name in ipairs(sources:glob(folder:gsub("[\\*?[]", "\\%0") .. pattern, sources.folder)) do
      names[#names + 1] = name:match "[^/]*$"
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local root = files.read(folder .. "/" .. name, main, sources, report)
    if root and root.kind == "map" then
      list[#list + 1] = root
    elseif root and root.type ~= "null" then
      report:add(root, nil, ("expected a map, found a %s"):format(root.kind))
    end
  end
  return list
end

return files
