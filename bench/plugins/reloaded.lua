--- Tells how often it was saved: the number below counts up.
local Reloaded = {
  version     = "1.0.0",
  description = "Tells how often it was saved.",
  band        = "transform",
}
Reloaded.__index = Reloaded

local SAVED = 0

function Reloaded.new() return setmetatable({}, Reloaded) end

function Reloaded:response(res) res:set_header("x-saved", SAVED) end

return Reloaded
