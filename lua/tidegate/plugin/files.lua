--- The io library of plugins: files can be read, and that only while the plugin is loaded.
local refusals = require "tidegate.plugin.refusals"

local LATE = "%s blocks the loop: read the file while the plugin is loaded, in its file or in new"
local STREAMS = { stdin = true, stdout = true, stderr = true }

--- A library for one environment.
-- @tparam function where gives "load" while the plugin is loaded
-- @treturn table
return function(where)
  local library = refusals.copy "io"
  refusals.hide_methods(io.stdout)

  function library.open(path, mode)
    if mode ~= nil and mode ~= "r" and mode ~= "rb" then
      error(('io.open: expected mode "r", found "%s": plugins only read files'):format(tostring(mode)), 2)
    end
    if where() ~= "load" then error(LATE:format "io.open", 2) end
    return io.open(path, mode)
  end

  function library.lines(path, ...)
    if type(path) ~= "string" then error(("io.lines: expected a path, found a %s"):format(type(path)), 2) end
    if where() ~= "load" then error(LATE:format "io.lines", 2) end
    return io.lines(path, ...)
  end

  return setmetatable(library, { __index = function(_, key)
    if STREAMS[key] then error(("io.%s blocks the loop: use tide.log, or print"):format(key), 2) end
  end })
end
