--- Tells the upstream who asks, and the client who answers.
local Hook = {
  version     = "1.0.0",
  description = "Reads two header fields of the request, sets one there and one in the response.",
  band        = "transform",
}
Hook.__index = Hook

function Hook.new() return setmetatable({}, Hook) end

function Hook:request(req)
  local agent, accept = req:header "user-agent", req:header "accept"
  if agent and accept then req:set_header("x-client", agent) end
end

function Hook:response(res) res:set_header("x-served-by", "bench") end

return Hook
