--- Takes each chunk of a response into Lua, and gives it back as it came.
local Body = {
  version     = "1.0.0",
  description = "Passes response bodies on unchanged.",
  band        = "transform",
}
Body.__index = Body

function Body.new() return setmetatable({}, Body) end

function Body:response_body(chunk) return chunk end

return Body
