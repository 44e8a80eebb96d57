--- Health checks as Kong and APISIX write them (both take them from one library), as `health_check` of a service.
local native = require "tidegate.dialects.foreign.native"

local health = {}

local INTERVAL = 1              -- seconds
local COUNTERS = { "http_failures", "tcp_failures", "timeouts" }

--- The smallest of the counters that are not 0; nil where all are.
local function least(map, default)
  local found
  for _, name in ipairs(COUNTERS) do
    local count = map:number(name, default, 0, 1000)
    if count > 0 then found = math.min(found or count, count) end
  end
  return found
end

--- One side of a check; an empty one where it is not written.
local function side(map, name)
  return map:map(name) or map:empty(name)
end

local function fields(map)
  local out = {}
  local headers = map:has "headers" and map:map "headers"
  for _, name in ipairs(headers and headers:keys() or {}) do
    local values = headers:texts(name)
    if values and native.takes("header_name", name) then out[name:lower()] = values[1] end
  end
  for _, text in ipairs(map:texts "req_headers" or {}) do
    local name, value = text:match "^([^:]+):%s*(.*)$"
    if name and native.takes("header_name", name) then out[name:lower()] = value end
  end
  return next(out) and out or nil
end

local TYPES = { http = "http", https = "https", tcp = "tcp" }

--- @tparam table defaults interval and failures where nothing is written: Kong's mean "off"
local function active(map, defaults)
  local good, bad = side(map, "healthy"), side(map, "unhealthy")
  local intervals = {
    good:number("interval", defaults.interval, 0, 1e6), bad:number("interval", defaults.interval, 0, 1e6),
  }
  local written = map:text("type", "http")
  local out = {
    type = TYPES[written], path = map:text "http_path", host = map:text "host", headers = fields(map),
    timeout = native.ms(map:number("timeout", 1, 0, 1e6) * 1000), expect = good:texts "http_statuses",
    healthy = good:number("successes", defaults.successes, 0, 1000), unhealthy = least(bad, defaults.failures),
  }
  if not out.type then map:tell("type", "%s is no way to check here: http, https and tcp are", written) end
  if out.type == "tcp" then out.path, out.host, out.headers, out.expect = nil, nil, nil, nil end
  -- What a failure is, is said by what a success is.
  bad:harmless "http_statuses"
  map:harmless("concurrency", "https_verify_certificate")
  map:refuse {
    https_sni = "the name in the handshake is that of services.NAME.tls.server_name",
    port = "nodes are checked at the port where they answer",
  }
  good:finish()
  bad:finish()
  map:finish()
  local interval = intervals[1] > 0 and intervals[1] or intervals[2]
  local is_on = out.type and interval > 0 and out.unhealthy ~= nil
  if not is_on then return nil end
  out.interval = native.ms(interval * 1000)
  out.healthy = out.healthy > 0 and out.healthy or nil
  return out
end

local function passive(map, defaults)
  local good, bad = side(map, "healthy"), side(map, "unhealthy")
  local failures = least(bad, defaults.passive)
  -- A node comes back after a time, not by successes: nobody sends it requests. What counts as a failure is fixed.
  good:harmless("http_statuses", "successes")
  bad:harmless "http_statuses"
  map:harmless "type"
  good:finish()
  bad:finish()
  map:finish()
  return failures and { failures = failures } or nil
end

health.KONG = { interval = 0, failures = 0, passive = 0, successes = 0 }
health.APISIX = { interval = INTERVAL, failures = 2, passive = 2, successes = 2 }

--- @tparam Reading map holds the checks
-- @tparam string key under which they stand
-- @tparam table defaults health.KONG or health.APISIX
-- @treturn ?table
function health.convert(map, key, defaults)
  local checks = map:map(key)
  if not checks then return nil end
  local out = {}
  local below = checks:map "active"
  if below then out.active = active(below, defaults) end
  below = checks:map "passive"
  if below then out.passive = passive(below, defaults) end
  checks:refuse { threshold = "how many nodes must be well is not asked; `panic` says what happens when none is" }
  checks:finish()
  if next(out) == nil then return nil end
  if not native.has "services.health_check" then
    map:tell(key, "health checks are not available in this version")
    return nil
  end
  if out.passive then
    map:warn(key, "a node that fails is left out for a time (passive.eject), then it is tried again")
  end
  return out
end

return health
