--- The files of a configuration: each read once, so that nothing can change between two looks at it.
local ffi = require "ffi"

pcall(ffi.cdef, "char *getcwd(char *at, size_t size);")

local Sources = {}
Sources.__index = Sources

--- @tparam string folder where relative names start
-- @tparam[opt] table texts by absolute name: taken instead of what the files hold now
function Sources.new(folder, texts)
  return setmetatable({ folder = folder, texts = texts or {}, list = {}, known = {} }, Sources)
end

function Sources.working_folder()
  local at = ffi.new "char[4096]"
  return ffi.C.getcwd(at, 4096) ~= nil and ffi.string(at) or "/"
end

--- The folder of a file: "a/b.yaml" is in "a".
function Sources.folder_of(path)
  return path:match "^(.*)/[^/]*$" or (path:sub(1, 1) == "/" and "/" or ".")
end

--- An absolute name without "." and "..", as far as the text alone tells.
function Sources.absolute(path, folder)
  if path:sub(1, 1) ~= "/" then path = folder .. "/" .. path end
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return "/" .. table.concat(parts, "/")
end

--- Notes that the configuration depends on a file; gives its absolute name.
function Sources:note(path)
  local name = Sources.absolute(path, self.folder)
  if not self.known[name] then
    self.known[name] = true
    self.list[#self.list + 1] = name
  end
  return name
end

local function read(name, max)
  local file, why = io.open(name, "rb")
  if not file then return nil, (why:gsub("^.*: ", "")) end
  local text, reason = file:read(max + 1)
  file:close()
  if not text and reason then return nil, reason end
  if text and #text > max then return nil, ("larger than %d MiB"):format(max / 2 ^ 20) end
  return text or ""
end

--- The bytes of a file.
-- @tparam string path
-- @tparam number max bytes
-- @treturn ?string nil and why
function Sources:read(path, max)
  local name = self:note(path)
  if not self.texts[name] then
    local text, why = read(name, max)
    if not text then return nil, why end
    self.texts[name] = text
  end
  return self.texts[name]
end

--- Whether a file can be opened for reading; nil and why otherwise.
function Sources:can_read(path)
  local name = self:note(path)
  local file, why = io.open(name, "rb")
  if not file then return nil, (why:gsub("^.*: ", "")) end
  local _, reason = file:read(0)
  file:close()
  if reason then return nil, reason end
  return true
end

return Sources
