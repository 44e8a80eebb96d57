--- One id for each request, from the client to the upstream and back, and in every line of the logs.
local RequestId = {
  version     = "1.0.0",
  description = "Gives each request an id that client, upstream and logs share.",
  band        = "observe",
  priority    = 100,
  schema      = {
    header = { type = "header_name", default = "x-request-id", doc = "field that carries the id, both ways" },
    accept = {
      type = "boolean", default = true,
      doc = "take the id that the client sends, if it is one: 1 to 128 letters, digits and signs",
    },
    format = {
      type = "enum", of = { "gateway", "uuid4", "uuid7" }, default = "gateway",
      doc = "of a new id: 32 hexadecimal digits; a random UUID; a UUID that sorts by time",
    },
    response = { type = "boolean", default = true, doc = "tell the client" },
  },
}
RequestId.__index = RequestId

local function hexadecimal() return (tide.uuid.v4():gsub("-", "")) end

local MAKERS = { gateway = hexadecimal, uuid4 = tide.uuid.v4, uuid7 = tide.uuid.v7 }

local function is_id(text)
  return #text >= 1 and #text <= 128 and not text:find "[^%w!#$%%&'*+.^_`|~=/:,@-]"
end

function RequestId.new(conf)
  local self = { header = conf.header, accept = conf.accept, make = MAKERS[conf.format] }
  -- The gateway has made an id already, which is as good as another one of that form.
  self.keeps = conf.accept and conf.format == "gateway"
  if not conf.response then self.response = false end
  return setmetatable(self, RequestId)
end

function RequestId:request(req)
  local sent = self.accept and req:header(self.header)
  if sent and is_id(sent) then
    if sent ~= req.id then req:set_id(sent) end
  elseif not self.keeps then
    req:set_id(self.make())
  end
  if sent ~= req.id then req:set_header(self.header, req.id) end
end

function RequestId:response(res, req)
  res:set_header(self.header, req.id)
end

return RequestId
