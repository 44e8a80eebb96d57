--- The files of a configuration: each read once, so that nothing can change between two looks at it.
local ffi = require "ffi"

pcall(ffi.cdef, [[
  char *getcwd(char *at, size_t size);
  struct source_entry { uint64_t inode; int64_t next; uint16_t length; uint8_t type; char name[256]; };
  void *source_opendir(const char *path) __asm__("opendir");
  struct source_entry *source_readdir(void *folder) __asm__("readdir");
  int source_closedir(void *folder) __asm__("closedir");
  char *source_strerror(int code) __asm__("strerror");
]])

local NAMES_MAX = 100000        -- in one folder

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

--- The sorted names in a folder but "." and ".."; nil and why where it cannot be read.
local function names_in(path)
  local folder = ffi.C.source_opendir(path)
  if folder == nil then return nil, ffi.string(ffi.C.source_strerror(ffi.errno())) end
  local names = {}
  local entry = ffi.C.source_readdir(folder)
  while entry ~= nil and #names < NAMES_MAX do
    local name = ffi.string(entry.name)
    if name ~= "." and name ~= ".." and not name:find "\n" then names[#names + 1] = name end
    entry = ffi.C.source_readdir(folder)
  end
  ffi.C.source_closedir(folder)
  table.sort(names)
  return names
end

--- The names in a folder. Kept like the text of a file: whoever is given the texts of a load finds the same names.
-- @tparam string path
-- @treturn ?{string,...} sorted; nil where it cannot be read
-- @treturn ?string why not
function Sources:names(path)
  local key = Sources.absolute(path, self.folder) .. "/"
  local text, why = self.texts[key], nil
  if text == nil then
    local found
    found, why = names_in(key)
    text = found and table.concat(found, "\n") or false
    self.texts[key] = text
  end
  if not text then return nil, why or "No such file or directory" end
  local names = {}
  for name in text:gmatch "[^\n]+" do names[#names + 1] = name end
  return names
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
