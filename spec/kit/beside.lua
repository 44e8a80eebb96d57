--- A plugin that lies beside the spec which asks for it.
local Beside = {
  version = "1.0.0", description = "Says where it lies.",
  schema = {
    text = { type = "string", default = "beside" },
    list = { type = "list", of = "string", default = { "a" } },
  },
}
Beside.__index = Beside

function Beside.new(conf) return setmetatable({ conf = conf, count = 0 }, Beside) end

function Beside:request(req)
  self.count = self.count + 1
  return req:reply(200, ("%s %d %d"):format(self.conf.text, self.count, #self.conf.list))
end

return Beside
