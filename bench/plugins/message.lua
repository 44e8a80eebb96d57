--- Looks at each message of WebSockets, and lets it through.
local Message = {
  version     = "1.0.0",
  description = "Drops messages that say they are not wanted.",
  band        = "filter",
}
Message.__index = Message

function Message.new() return setmetatable({}, Message) end

function Message:message(msg)
  if msg.data:byte() == 0 then return false end
end

return Message
