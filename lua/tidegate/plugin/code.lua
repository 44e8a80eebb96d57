--- The files of plugins as bytecode, with their loops counted (tidegate.plugin.budget). The control thread makes it
-- once for each text; loops are given it with the bundle, because to read a text takes much longer.
local budget = require "tidegate.plugin.budget"

local code = {}

local KEPT_MAX = 1000       -- files; beyond, all are made anew

local kept, count = {}, 0   -- by path: { source =, trusted =, bytes = }

--- @treturn ?string bytecode; nil where the text is bad
-- @treturn ?string "path:line: why"
local function make(source, chunkname, trusted)
  local chunk, message
  if trusted then
    chunk, message = loadstring(source, chunkname, "t")
  else
    message, chunk = budget.instrument(source, chunkname)
    if not message then chunk, message = nil, chunk end
  end
  if not chunk then return nil, message end
  return string.dump(chunk)
end

--- The bytecode of a file. That of a plugin which is not trusted takes `refill` before its own arguments.
-- @tparam string source
-- @tparam string path as tracebacks show it
-- @tparam boolean trusted
-- @treturn ?string nil where the text is bad
-- @treturn ?string "path:line: why"
function code.of(source, path, trusted)
  local known = kept[path]
  if known and known.source == source and known.trusted == trusted then return known.bytes end
  local bytes, why = make(source, "@" .. path, trusted)
  if not bytes then return nil, why end
  if count == KEPT_MAX then kept, count = {}, 0 end
  count = count + (kept[path] and 0 or 1)
  kept[path] = { source = source, trusted = trusted, bytes = bytes }
  return bytes
end

return code
