--- A token bucket for each client. It never runs empty: what is measured is asking, not refusing.
local Bucket = {
  version     = "1.0.0",
  description = "Limits the requests of each client address.",
  band        = "limit",
  schema      = {
    rate  = { type = "number", default = 1000, doc = "requests per second" },
    burst = { type = "number", default = 1e9, doc = "requests at once" },
  },
}
Bucket.__index = Bucket

function Bucket.new(conf)
  return setmetatable({ limiter = tide.limiter.new { rate = conf.rate, burst = conf.burst } }, Bucket)
end

function Bucket:request(req)
  if not self.limiter:take(req.client_ip) then return req:reply(429, { error = "slow down" }) end
end

return Bucket
