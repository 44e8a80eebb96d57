--- Never ends.
local Endless = {
  version     = "1.0.0",
  description = "Loops without end.",
  band        = "filter",
}
Endless.__index = Endless

function Endless.new() return setmetatable({}, Endless) end

function Endless:request()
  while true do end
end

return Endless
