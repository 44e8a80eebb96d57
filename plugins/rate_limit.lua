--- So many requests for each client, user, path or whatever the key says; counted over all loops, in the dictionary
-- "limits".
local RateLimit = {
  version     = "1.0.0",
  description = "Limits how often clients may call.",
  band        = "limit",
}
RateLimit.__index = RateLimit

local UNITS = { s = 1, m = 60, h = 3600, d = 86400 }

--- "100/s", "5/10s" to how many in how many seconds.
local function parse_rate(text)
  local count, times, unit = text:match "^(%d+)/(%d*)(%l)$"
  local seconds = UNITS[unit] and (times == "" and 1 or tonumber(times)) * UNITS[unit]
  if not seconds or seconds == 0 or tonumber(count) == 0 then return nil end
  return tonumber(count), seconds
end

local function check_rate(text)
  return parse_rate(text) ~= nil, ('expected a rate such as 100/s, 60/m or 5/10s, found "%s"'):format(text)
end

--- A key as a template: a lone variable needs no braces.
local function template_of(key) return key:find("${", 1, true) and key or "${" .. key .. "}" end

local function check_key(key)
  local fill, why = tide.template.compile(template_of(key), { response = false })
  return fill ~= nil, why
end

RateLimit.schema = {
  rate = { type = "string", required = true, check = check_rate, expects = "a rate such as 100/s", doc = "how often" },
  burst = {
    type = "integer", min = 1, max = 1000000000,
    doc = "token_bucket: how many at once (default: as many as `rate` says); leaky_bucket: how many may wait (0)",
  },
  key = {
    type = "string", template = true, default = "client_ip", min = 1, check = check_key,
    doc = "who is counted: client_ip, header.x-user, consumer (needs an auth plugin that runs before: among the " ..
          "global ones, or beside this one with `band: auth` here), path, route, or a template of those such as " ..
          "${header.x-user}:${path}; the client's address where it comes out empty",
  },
  algorithm = {
    type = "enum", of = { "token_bucket", "leaky_bucket", "sliding_window", "fixed_window" }, default = "token_bucket",
    doc = "token_bucket: bursts, then the rate; leaky_bucket: requests wait for their turn; sliding_window: so " ..
          "many in any span of time; fixed_window: in each",
  },
  name = {
    type = "name", doc = "uses of one name, rate and algorithm count together; default: each route counts by itself",
  },
  status = { type = "status", default = 429, min = 400, doc = "status of the refusal" },
  message = { type = "string", default = "Too Many Requests", doc = "its body" },
  headers = { type = "boolean", default = true, doc = "responses tell with X-RateLimit-Limit, -Remaining and -Reset" },
}

local KEY_MAX = 160         -- bytes; of a longer one the digest counts

function RateLimit.new(conf)
  local count, seconds = parse_rate(conf.rate)
  if conf.burst and conf.algorithm:find "window" then return nil, "burst: a window has none" end
  local self = {
    limiter = tide.limiter.new {
      kind = conf.algorithm, rate = { limit = count, window = seconds }, burst = conf.burst,
    },
    key = conf.key, fill = assert(tide.template.compile(template_of(conf.key))), name = conf.name,
    status = conf.status, message = conf.message .. "\n",
  }
  if not conf.headers then self.response = false end
  return setmetatable(self, RateLimit)
end

--- What is counted together: by name or route, by what the key is of, and by its value.
function RateLimit:key_of(req)
  local kind, value = self.key, self.fill(req)
  if value == "" then kind, value = "client_ip", req.client_ip end
  local place = self.name
  if not place then
    local route = req.route
    place = route and route.name or ""
  end
  local key = place .. "\0" .. kind .. "\0" .. value
  return #key <= KEY_MAX and key or assert(tide.crypto.digest("sha256", key))
end

--- Remembers how much is left, of several limits the tightest.
function RateLimit:note(req, remaining, reset)
  local known = req.ctx.rate_limit
  if known and known.remaining <= remaining then return end
  req.ctx.rate_limit = { limit = self.limiter.limit, remaining = remaining, reset = reset }
end

function RateLimit:request(req)
  local is_allowed, remaining, retry_after, reset, delay = self.limiter:take(self:key_of(req))
  if is_allowed == nil then error(remaining, 0) end
  self:note(req, remaining, reset)
  if not is_allowed then
    local seconds = math.max(1, math.ceil(retry_after))
    return req:reply(self.status, self.message, { ["retry-after"] = ("%d"):format(seconds) })
  end
  if delay > 0 then tide.sleep(delay) end
end

function RateLimit:response(res, req)
  local known = req.ctx.rate_limit
  if not known then return end
  res:set_header("x-ratelimit-limit", ("%d"):format(known.limit))
  res:set_header("x-ratelimit-remaining", ("%d"):format(known.remaining))
  res:set_header("x-ratelimit-reset", ("%d"):format(math.ceil(known.reset)))
end

return RateLimit
