--- The gateway as a process of a spec's: its binary, a folder of its own, its end.
local ffi = require "ffi"
local C = require "tidegate.ffi"

pcall(ffi.cdef, [[
  extern char **environ;
  struct spec_actions { uint64_t room[32]; };
  int spec_spawn(int *pid, const char *path, struct spec_actions *actions, void *attributes, char *const argv[],
                 char *const envp[]) __asm__("posix_spawnp");
  int spec_actions_init(struct spec_actions *a) __asm__("posix_spawn_file_actions_init");
  int spec_actions_open(struct spec_actions *a, int fd, const char *path, int flags, unsigned mode)
    __asm__("posix_spawn_file_actions_addopen");
  int spec_actions_end(struct spec_actions *a) __asm__("posix_spawn_file_actions_destroy");
  int spec_wait_for(int pid, int *status, int options) __asm__("waitpid");
  int spec_kill(int pid, int signal) __asm__("kill");
  char *spec_mkdtemp(char *name) __asm__("mkdtemp");
  char *spec_reason(int code) __asm__("strerror");
  int spec_clock(int clock, int64_t *time) __asm__("clock_gettime");
]])

local process = {}

local O_WRONLY, O_CREAT, O_APPEND, WNOHANG, SIGKILL = 1, 64, 1024, 1, 9
process.SIGTERM = 15

local MONOTONIC = 1
local time = ffi.new "int64_t[2]"

--- Seconds of a clock that only goes forward, and that no spec can hold.
function process.now()
  ffi.C.spec_clock(MONOTONIC, time)
  return tonumber(time[0]) + tonumber(time[1]) / 1e9
end

--- A fresh, empty folder.
function process.folder()
  local name = (os.getenv "TMPDIR" or "/tmp") .. "/tidegate-spec-XXXXXX"
  local at = ffi.new("char[?]", #name + 1, name)
  if ffi.C.spec_mkdtemp(at) == nil then error("a folder cannot be made like " .. name, 0) end
  return ffi.string(at)
end

function process.remove(folder) os.execute("rm -rf '" .. folder .. "'") end

function process.read(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

function process.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- The gateway's binary: TIDEGATE says it; else this very process, where it is the gateway; else the one of a source
-- tree, or of the path.
function process.binary()
  local wish = os.getenv "TIDEGATE"
  if wish then return wish end
  if C == ffi.C then return "/proc/self/exe" end
  local folder = debug.getinfo(1, "S").source:match "^@(.*)/lua/tidegate/spec/process%.lua$" or "."
  local built = io.open(folder .. "/build/tidegate", "rb")
  if not built then return "tidegate" end
  built:close()
  return folder .. "/build/tidegate"
end

--- The environment with some variables put in place.
local function environment(variables)
  local list, at = {}, ffi.C.environ
  while at[0] ~= nil do
    local text = ffi.string(at[0])
    if not variables[text:match "^[^=]*"] then list[#list + 1] = text end
    at = at + 1
  end
  for name, value in pairs(variables) do list[#list + 1] = name .. "=" .. value end
  return list
end

local function pointers(texts)
  local array = ffi.new("char *[?]", #texts + 1)
  for i, text in ipairs(texts) do array[i - 1] = ffi.cast("char *", text) end
  return array
end

--- Starts a program; its output goes to files.
-- @tparam {string,...} words
-- @tparam table variables
-- @tparam string out name of a file
-- @tparam string err
-- @treturn number pid
function process.start(words, variables, out, err)
  local actions, pid = ffi.new "struct spec_actions", ffi.new "int[1]"
  local list = environment(variables)
  ffi.C.spec_actions_init(actions)
  for fd, path in ipairs { out, err } do
    ffi.C.spec_actions_open(actions, fd, path, O_WRONLY + O_CREAT + O_APPEND, 384)
  end
  local code = ffi.C.spec_spawn(pid, words[1], actions, nil, pointers(words), pointers(list))
  ffi.C.spec_actions_end(actions)
  if code ~= 0 then error(("cannot run %s: %s"):format(words[1], ffi.string(ffi.C.spec_reason(code))), 0) end
  return pid[0]
end

--- The exit code of a program that has ended; nil while it runs. After a signal: 128 and its number.
function process.ended(pid)
  local status = ffi.new "int[1]"
  if ffi.C.spec_wait_for(pid, status, WNOHANG) ~= pid then return nil end
  local signal = bit.band(status[0], 127)
  return signal ~= 0 and 128 + signal or bit.rshift(status[0], 8)
end

function process.signal(pid, number) ffi.C.spec_kill(pid, number) end

--- Ends a gateway without mercy, the worker with it.
function process.kill(pid)
  local children = process.read(("/proc/%d/task/%d/children"):format(pid, pid))
  ffi.C.spec_kill(pid, SIGKILL)
  for child in children:gmatch "%d+" do ffi.C.spec_kill(tonumber(child), SIGKILL) end
  ffi.C.spec_wait_for(pid, nil, 0)
end

return process
