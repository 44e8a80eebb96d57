--- Configurations with plugins of their own, for specs.
local configuration = require "support.configuration"
local files = require "support.files"

local plugins = {}

--- Writes files into a fresh folder, making the folders between.
-- @tparam table texts by name: { ["plugins/a.lua"] = "return ..." }
-- @treturn string the folder
function plugins.folder(texts)
  local folder = files.folder()
  plugins.write(folder, texts)
  return folder
end

function plugins.write(folder, texts)
  local made = {}
  for name, text in pairs(texts) do
    local path = folder .. "/" .. name
    local parent = path:match "^(.*)/"
    if not made[parent] then os.execute(("mkdir -p '%s'"):format(parent)) end
    made[parent] = true
    files.write(path, text)
  end
end

--- Loads the configuration of a folder, plugins and all; whatever it builds is dropped at once.
function plugins.load(folder, lines, options)
  local own = { dry = false }
  for key, value in pairs(options or {}) do own[key] = value end
  if lines then files.write(folder .. "/tidegate.yaml", configuration.small(lines)) end
  return configuration.load_file(folder .. "/tidegate.yaml", own)
end

--- The bundle of a configuration, which must be good.
function plugins.bundle(folder, lines, options)
  local result = plugins.load(folder, lines, options)
  if not result.good then error(result.report:text(), 2) end
  return result.plugins.bundle, result
end

--- What is said of a configuration: "file:line:column: path: message" without the excerpts.
function plugins.complaints(folder, lines, options)
  local list = {}
  for line in plugins.load(folder, lines, options).report:text():gmatch "[^\n]+" do
    if not line:find "^ " then list[#list + 1] = line:gsub(folder:gsub("%p", "%%%0") .. "/", "") end
  end
  return list
end

return plugins
