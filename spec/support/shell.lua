--- Runs scripts of the shell, for specs about what a user types.
local files = require "support.files"
local processes = require "support.processes"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"

local shell = {}

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function launch(script, o)
  o = o or {}
  local out = o.out or files.folder() .. "/out"
  return processes.fork(function()
    if o.folder then assert(unistd.chdir(o.folder)) end
    -- Words of the make and the runner above are not for a user's commands.
    for _, name in ipairs { "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "SAN", "T", "LUA_PATH" } do stdlib.setenv(name, nil) end
    for name, value in pairs(o.env or {}) do stdlib.setenv(name, value or nil) end
    processes.become { "sh", "-c", ("exec > %s 2>&1 < /dev/null\n%s"):format(quoted(out), script) }
  end), out
end

--- Runs a script to its end.
-- @tparam string script
-- @tparam[opt] table o folder: where; env: more variables, false for none; timeout in seconds (60)
-- @treturn string what it wrote, to standard output and error
-- @treturn number exit code
function shell.run(script, o)
  local pid, out = launch(script, o)
  local code = processes.join(pid, o and o.timeout or 60)
  return files.read(out), code
end

--- The same, and an exit code other than 0 is an error.
function shell.must(script, o)
  local text, code = shell.run(script, o)
  if code ~= 0 then error(("exit code %d: %s\n%s"):format(code, script, text), 2) end
  return text
end

--- Starts a script that goes on; gives its process id and the file that it writes to.
function shell.start(script, o) return launch(script, o) end

return shell
