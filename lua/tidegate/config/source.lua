--- The files of a configuration: each read once, so that nothing can change between two looks at it.
local ffi = require "ffi"

pcall(ffi.cdef, [[
  char *getcwd(char *at, size_t size);
  struct source_entry { uint64_t inode; int64_t next; uint16_t length; uint8_t type; char name[256]; };
  void *source_opendir(const char *path) __asm__("opendir");
  struct source_entry *source_readdir(void *folder) __asm__("readdir");
  int source_closedir(void *folder) __asm__("closedir");
  char *source_strerror(int code) __asm__("strerror");
  struct source_glob { size_t count; char **names; size_t offset; int flags; void *functions[5]; };
  int source_glob(const char *pattern, int flags, void *on_error, struct source_glob *found) __asm__("glob");
  void source_globfree(struct source_glob *found) __asm__("globfree");
  struct source_poll { int fd; short wanted, came; };
  int source_open(const char *path, int flags, ...) __asm__("open");
  int64_t source_read(int fd, void *at, size_t size) __asm__("read");
  int64_t source_seek(int fd, int64_t at, int from) __asm__("lseek");
  int source_poll(struct source_poll *list, unsigned long count, int ms) __asm__("poll");
  int source_close(int fd) __asm__("close");
]])

local NAMES_MAX = 100000        -- in one folder, or for one pattern

local READ_WITHOUT_WAITING = 0x80800         -- O_RDONLY, O_NONBLOCK, O_CLOEXEC
local SEEK_CURRENT, POLLIN = 1, 1
local EINTR, EAGAIN = 4, 11
local CHUNK = 65536
local PIPE_SECONDS, PIPE_MS = 2, 200

local GLOB_MARK, GLOB_NOSORT, GLOB_NOMATCH = 2, 4, 3

local function error_text() return ffi.string(ffi.C.source_strerror(ffi.errno())) end

local Sources = {}
Sources.__index = Sources

--- @tparam string folder where relative names start
-- @tparam[opt] table texts by absolute name: taken instead of what the files hold now
function Sources.new(folder, texts)
  return setmetatable({ folder = folder, texts = texts or {}, list = {}, globs = {}, known = {} }, Sources)
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

--- Waits until something can be read; false where that takes too long. Whoever reads configurations also answers
-- commands and checks nodes: a pipe without anybody at its other end must not stop that.
local function wait(fd, give_up_at)
  local list = ffi.new("struct source_poll[1]", { { fd, POLLIN, 0 } })
  repeat
    if ffi.C.source_poll(list, 1, PIPE_MS) > 0 then return true end
  until os.time() > give_up_at
  return false
end

local function read_all(fd, max)
  local give_up_at, parts, size = os.time() + PIPE_SECONDS, {}, 0
  local chunk = ffi.new("char[?]", CHUNK)
  local is_pipe = ffi.C.source_seek(fd, 0, SEEK_CURRENT) < 0        -- or a terminal
  local can_read = not is_pipe or wait(fd, give_up_at)
  while can_read do
    local got = tonumber(ffi.C.source_read(fd, chunk, CHUNK))
    local code = got < 0 and ffi.errno()
    if got == 0 then return table.concat(parts) end
    if code == EAGAIN then
      can_read = wait(fd, give_up_at)
    elseif code and code ~= EINTR then
      return nil, error_text()
    elseif not code then
      size = size + got
      if size > max then return nil, ("larger than %d MiB"):format(max / 2 ^ 20) end
      parts[#parts + 1] = ffi.string(chunk, got)
    end
  end
  return nil, "a pipe out of which nothing comes"
end

local function read(name, max)
  local fd = ffi.C.source_open(name, READ_WITHOUT_WAITING)
  if fd < 0 then return nil, error_text() end
  local text, why = read_all(fd, max)
  ffi.C.source_close(fd)
  return text, why
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
  if folder == nil then return nil, error_text() end
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

--- What a pattern stands for, sorted by bytes; folders are left out. Nil and why where that cannot be told.
local function expand(pattern)
  local found = ffi.new "struct source_glob"
  local code = ffi.C.source_glob(pattern, GLOB_MARK + GLOB_NOSORT, nil, found)
  if code == GLOB_NOMATCH then return {} end
  if code ~= 0 then return nil, "the folders of this pattern cannot be read" end
  local names = {}
  for i = 0, math.min(tonumber(found.count), NAMES_MAX) - 1 do
    local name = ffi.string(found.names[i])
    if not name:find "/$" and not name:find "\n" then names[#names + 1] = name end
  end
  ffi.C.source_globfree(found)
  table.sort(names)
  return names
end

--- The files that a pattern stands for: "*", "?" and "[a-z]", each within one name; a backslash before them takes them
-- as they are. Names that begin with a dot must be asked for by one. Kept like the text of a file.
-- @tparam string pattern
-- @tparam string folder where it starts
-- @treturn {string,...} absolute names, sorted
-- @treturn ?string why there are none
function Sources:glob(pattern, folder)
  local full = Sources.absolute(pattern, (folder:gsub("[\\*?[]", "\\%0")))
  local key = "glob " .. full
  self.globs[#self.globs + 1] = full
  local base = full:match "^([^\\*?[]*)/"
  if base ~= "" then self:note(base) end         -- a folder that is not there may appear
  if self.texts[key] == nil then
    local names, why = expand(full)
    if not names then return {}, why end
    self.texts[key] = table.concat(names, "\n")
  end
  local names = {}
  for name in self.texts[key]:gmatch "[^\n]+" do names[#names + 1] = name end
  return names
end

--- Whether a file can be opened for reading; nil and why otherwise.
function Sources:can_read(path)
  local fd = ffi.C.source_open(self:note(path), READ_WITHOUT_WAITING)
  if fd < 0 then return nil, error_text() end
  local is_pipe = ffi.C.source_seek(fd, 0, SEEK_CURRENT) < 0
  local why = is_pipe and "a pipe" or ffi.C.source_read(fd, ffi.new "char[1]", 1) < 0 and error_text() or nil
  ffi.C.source_close(fd)
  return not why or nil, why
end

return Sources
