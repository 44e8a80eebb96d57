--- The command line, called in this process: for specs about what it says.
local lfs = require "lfs"

local command_line = {}

--- A file that writes into a list. It has a metatable, as files do.
local function writer(list)
  local function write(self, ...)
    for _, part in ipairs { ... } do list[#list + 1] = tostring(part) end
    return self
  end
  return setmetatable({ write = write }, {})
end

--- Runs words; gives the exit code, and what was written to the standard output and the standard error.
function command_line.run(...)
  local cli = require "tidegate.cli"
  local real_out, real_err = io.stdout, io.stderr
  local out, err = {}, {}
  io.stdout, io.stderr = writer(out), writer(err)
  local good, code = pcall(cli.main, { ... })
  io.stdout, io.stderr = real_out, real_err
  assert(good, code)
  return code, table.concat(out), table.concat(err)
end

--- Where modules are found, whatever the working folder.
local function absolute_path(here)
  local parts = {}
  for part in package.path:gmatch "[^;]+" do
    parts[#parts + 1] = part:sub(1, 1) == "/" and part or here .. "/" .. part
  end
  return table.concat(parts, ";")
end

--- The same in another working folder.
function command_line.run_in(folder, ...)
  local here, path = lfs.currentdir(), package.path
  package.path = absolute_path(here)
  assert(lfs.chdir(folder))
  local result = { pcall(command_line.run, ...) }
  assert(lfs.chdir(here))
  package.path = path
  assert(result[1], result[2])
  return unpack(result, 2)
end

return command_line
