--- Refuses request bodies over a size: at once where the client tells the length, else as soon as more has come. An
-- upstream that has got some of such a body by then gets no end of it.
local BodyLimit = {
  version     = "1.0.0",
  description = "Refuses request bodies over a size.",
  band        = "limit",
  schema      = {
    max = {
      type = "size", default = "1MiB", min = "1B", unit = "bytes",
      doc = "largest body let through; `limits.body` holds as well",
    },
  },
}
BodyLimit.__index = BodyLimit

--- Once per use in a configuration, per generation.
-- @tparam table conf checked against the schema: max is a number of bytes here
function BodyLimit.new(conf)
  return setmetatable({ max = conf.max }, BodyLimit)
end

function BodyLimit:request(req)
  if req:set_body_max(self.max) then return end
  return req:reply(413, { error = ("body over %d bytes"):format(self.max) })
end

return BodyLimit
