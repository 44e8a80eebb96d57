--- As little as a plugin can be of use with: it looks at one header field, which is hardly ever there.
local Trivial = {
  version     = "1.0.0",
  description = "Refuses requests that say they are not wanted.",
  band        = "filter",
}
Trivial.__index = Trivial

function Trivial.new() return setmetatable({}, Trivial) end

function Trivial:request(req)
  if req:header "x-unwanted" then return req:reply(403, { error = "not wanted" }) end
end

return Trivial
