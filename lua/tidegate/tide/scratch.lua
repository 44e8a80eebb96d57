--- Bytes to put a result together in, before it becomes a Lua string.
-- One buffer per Lua state, good until the next call: nobody holds it over a wait or over a call of another function
-- that takes it.
local ffi = require "ffi"

local KEPT = 64 * 1024          -- larger ones are made anew and freed

local bytes = ffi.typeof "uint8_t[?]"
local kept = bytes(KEPT)

--- @tparam number n bytes needed
-- @treturn cdata uint8_t *, at least n bytes, whatever was in them before
return function(n)
  if n <= KEPT then return kept end
  return bytes(n)
end
