--- Files and folders of a spec; the folders vanish with it.
local processes = require "support.processes"
local stdlib = require "posix.stdlib"

local files = {}

--- A fresh, empty folder.
function files.folder()
  local path = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/tidegate-spec-XXXXXX"))
  processes.at_end(function() os.execute("rm -rf '" .. path .. "'") end)
  return path
end

--- The whole text of a file, or nil.
function files.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

function files.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

return files
