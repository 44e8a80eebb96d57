--- What APISIX's plugins are here: by name, function(config, apisix, use) -> entries of a chain, or nil after telling.
local answers = require "tidegate.dialects.foreign.answers"
local auth = require "tidegate.dialects.apisix.auth"
local emit = require "tidegate.config.emit"
local native = require "tidegate.dialects.foreign.native"
local reading = require "tidegate.dialects.foreign.reading"
local rewriting = require "tidegate.dialects.apisix.rewriting"
local vars = require "tidegate.dialects.apisix.vars"

local equals = {
  ["key-auth"] = auth.key, ["basic-auth"] = auth.basic, ["jwt-auth"] = auth.jwt,
  ["proxy-rewrite"] = rewriting.request, ["response-rewrite"] = rewriting.response, redirect = rewriting.redirect,
}

-- -- limits --

--- What is counted by, as the key of rate_limit; nil after telling.
local function limit_key(config)
  local kind, key = config:text("key_type", "var"), config:text("key", "remote_addr")
  if kind == "var" then
    local found = vars.template(key)
    if not found then config:tell("key", "requests are not counted by $%s", key) end
    return found
  end
  if kind == "var_combination" then
    local found, why = vars.fill(key)
    if not found then config:tell("key", "%s", why) end
    return found
  end
  config:tell("key_type", "requests are not counted together for all; by a variable they are")
  return nil
end

local function limit_common(config, key)
  local shared = config:text("policy", "local")
  if shared ~= "local" then
    config:warn("policy", "each gateway counts by itself; nothing is shared over %s", shared)
  end
  for _, name in ipairs(config:keys()) do
    if name:find "^redis_" then config:harmless(name) end
  end
  config:harmless("allow_degradation", "nodelay", "sync_interval")
  return { key = key, status = config:status("rejected_code", 503, 400), message = config:text "rejected_msg" }
end

--- An entry that runs once the consumer is known, where the key asks for it.
local function limit_entry(out)
  local late = out.key:find("consumer", 1, true) ~= nil
  return { { use = "rate_limit", config = out, band = late and "auth" or nil, priority = late and -100 or nil } }
end

equals["limit-count"] = function(config)
  local key = limit_key(config)
  local count, window = config:number "count", config:number "time_window"
  local out = limit_common(config, key)
  out.algorithm = config:text("window_type", "fixed") == "sliding" and "sliding_window" or "fixed_window"
  out.name = config:text "group"
  if not config:flag("show_limit_quota_header", true) then out.headers = false end
  config:refuse { rules = "several rules in one are not converted: use the plugin several times" }
  config:harmless "window_type"
  if not key or not count or not window or count < 1 or window < 1 then
    if key and config.losses == 0 then config:tell(nil, "needs count and time_window") end
    return nil
  end
  out.rate = ("%d/%ds"):format(count, window)
  return limit_entry(out)
end

--- Requests in a second as a rate; less than one is one in several.
local function rate_of(number)
  if number >= 1 then return ("%d/s"):format(number) end
  return ("1/%ds"):format(math.ceil(1 / number))
end

equals["limit-req"] = function(config)
  local key = limit_key(config)
  local rate, burst = config:number("rate", 0), config:number("burst", 0)
  local nodelay = config:flag("nodelay", false)
  local out = limit_common(config, key)
  if not key or rate <= 0 then
    if key then config:tell("rate", "expected a number over 0") end
    return nil
  end
  out.rate, out.headers = rate_of(rate), false
  if nodelay then
    out.algorithm, out.burst = "token_bucket", math.floor(burst) + 1
  else
    out.algorithm, out.burst = "leaky_bucket", burst >= 1 and math.floor(burst) or nil
  end
  return limit_entry(out)
end

equals["client-control"] = function(config)
  local max = config:number("max_body_size", 0)
  if max < 1 then return {} end
  return { { use = "body_limit", config = { max = ("%dB"):format(max) } } }
end

-- -- cors --

local CORS_METHODS = { "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS" }

--- "a, b" as a list; nil for "*", "**" and nothing.
local function words(text)
  if not text or text:find "^%*%*?$" or text == "" then return nil end
  local list = {}
  for word in text:gmatch "[^,%s]+" do list[#list + 1] = word end
  return list
end

local function methods_of(text)
  local list = emit.list {}
  for _, method in ipairs(words(text) or CORS_METHODS) do
    if native.takes("method", method) and method ~= "TRACE" then list[#list + 1] = method end
  end
  return list
end

equals.cors = function(config)
  local origins = words(config:text("allow_origins", "*"))
  local methods = config:text "allow_methods"
  local out = {
    allow_origins = origins or { "*" }, allow_methods = methods_of(methods),
    allow_headers = words(config:text "allow_headers") or { "*", "authorization" },
    expose_headers = words(config:text "expose_headers"),
    max_age = ("%ds"):format(math.max(0, math.min(86400, config:number("max_age", 5, -1)))),
    allow_credentials = config:flag("allow_credential", false) or nil,
  }
  config:refuse {
    allow_origins_by_regex = "origins cannot be patterns: https://*.example.com stands for all below it",
    allow_origins_by_metadata = "name the origins", timing_allow_origins = "Timing-Allow-Origin is not sent",
    timing_allow_origins_by_regex = "Timing-Allow-Origin is not sent",
  }
  if out.allow_credentials then
    if not origins then
      config:tell("allow_credential", "every origin with credentials would let any page act as the user: name them")
      return nil
    end
    if out.allow_headers[1] == "*" then out.allow_headers = nil end
  end
  return { { use = "cors", config = out } }
end

-- -- who may come in --

equals["ip-restriction"] = function(config)
  return answers.by_address(config, {
    { key = "blacklist", networks = config:texts "blacklist" },
    { key = "whitelist", networks = config:texts "whitelist", is_allowed = true },
  }, {
    status = config:status("response_code", 403), content_type = answers.JSON,
    body = answers.json("message", config:text("message", "Your IP address is not allowed")),
  })
end

equals["ua-restriction"] = function(config)
  local out = {
    status = 403, content_type = answers.JSON, body = answers.json("message", config:text("message", "Not allowed")),
  }
  local entries, missing = {}, config:flag("bypass_missing", false)
  for key, negated in pairs { allowlist = true, denylist = false } do
    local list = {}
    for _, pattern in ipairs(config:texts(key, true) or {}) do
      local good, why = native.takes("regex", pattern)
      if not good then
        config:tell(key, "%s: %s", pattern, why)
        return nil
      end
      list[#list + 1] = { header = "user-agent", matches = pattern }
    end
    if #list > 0 then
      local when = { any = list }
      if negated then when = { all = { { header = "user-agent", exists = true }, { ["not"] = when } } } end
      entries[#entries + 1] = { use = "respond", band = "security", config = out, when = when }
    end
  end
  if not missing and #entries > 0 then
    entries[#entries + 1] = {
      use = "respond", band = "security", config = out, when = { header = "user-agent", exists = false },
    }
  end
  return entries
end

-- -- answers --

--- Lists of expressions, of which one must hold: fault-injection has its vars one level deeper.
local function any_of(map, key)
  local entry = map:entry(key)
  if not entry then return nil, true end
  local list = {}
  for _, item in ipairs(entry.value.items or {}) do
    local found, why = vars.condition(item)
    if why then
      map:tell(key, "%s", why)
      return nil, false
    end
    list[#list + 1] = found
  end
  return #list > 0 and (#list == 1 and list[1] or { any = list }) or nil, true
end

equals["fault-injection"] = function(config)
  config:refuse { delay = "requests are not delayed" }
  local abort = config:map "abort"
  if not abort then return {} end
  local when, is_good = any_of(abort, "vars")
  local out = { status = abort:status("http_status", 500), body = reading.literal(abort:text "body") }
  local headers = abort:map "headers"
  for _, name in ipairs(headers and headers:keys() or {}) do
    out.headers = out.headers or {}
    out.headers[name:lower()] = reading.literal(headers:text(name))
  end
  if abort:number("percentage", 100) < 100 then
    abort:tell("percentage", "a part of the requests cannot be chosen by chance: not converted")
    is_good = false
  end
  abort:finish()
  return is_good and { { use = "respond", band = "cors", config = out, when = when } } or {}
end

equals.mocking = function(config)
  local out = {
    status = config:status("response_status", 200), body = reading.literal(config:text "response_example"),
    content_type = config:text("content_type", "application/json;charset=utf8"),
  }
  local delay = config:number("delay", 0)
  if delay > 0 then config:tell("delay", "responses are not delayed") end
  config:refuse {
    response_schema = "responses are not made of a schema", response_headers = "its headers are not converted",
  }
  config:harmless "with_mock_header"
  return { { use = "respond", config = out } }
end

-- -- where it goes --

--- The upstreams of one rule, by weight; nil after telling.
local function split_of(map, apisix, use)
  local split, good = {}, true
  for _, each in ipairs(map:maps "weighted_upstreams") do
    local weight, name = each:number("weight", 1), false        -- the route's own
    if each:has "upstream_id" then name = apisix.upstreams:of(each, "upstream_id") end
    if each:has "upstream" then name = apisix.upstreams:inline(each:map "upstream", use.owner .. "-split") end
    good = good and name ~= nil
    split[#split + 1] = { name = name, weight = weight }
    each:finish()
  end
  return good and #split > 0 and split or nil
end

equals["traffic-split"] = function(config, apisix, use)
  local rules = config:maps "rules"
  for _, map in ipairs(rules) do
    local has_match = map:has "match"
    if has_match or #rules > 1 then
      map:tell(has_match and "match" or nil, "one rule, for all requests of the route, is converted; others can be " ..
               "routes with conditions of their own")
      map:harmless("weighted_upstreams", "match")
    elseif not native.has "routes.split" then
      map:tell("weighted_upstreams", "splitting is not available in this version: all goes to the route's own upstream")
    else
      use.split = split_of(map, apisix, use)
    end
    map:finish()
  end
  return {}
end

-- -- telling --

equals["request-id"] = function(config)
  local algorithm = config:text("algorithm", "uuid")
  if algorithm ~= "uuid" then config:warn("algorithm", "ids are random UUIDs (uuid4) instead of %s", algorithm) end
  config:harmless("range_id", "nanoid")
  local header = config:text("header_name", "X-Request-Id")
  return { { use = "request_id", config = {
    header = header:lower(), format = "uuid4", response = config:flag("include_in_response", true),
  } } }
end

equals["file-logger"] = function(config, apisix, use)
  local path = config:text("path", "")
  config:refuse {
    log_format = "fields of a log are not converted; `template` and the plugin logging have their own",
    include_req_body = "the plugin logging writes bodies", include_resp_body = "the plugin logging writes bodies",
    include_req_body_expr = "not converted", include_resp_body_expr = "not converted", match = "not converted",
  }
  if path == "" then
    return {}
  elseif use.is_global then
    table.insert(apisix.access_logs, { file = path, format = "json" })
  else
    config:tell("path", "an access log of one route alone is not available: all requests go to log.access")
  end
  return {}
end

equals.prometheus = function(config, apisix)
  config:harmless "prefer_name"
  if not apisix.has_metrics then
    config:warn(nil, "figures are at 127.0.0.1:9901/metrics, under names of our own (docs/metrics.md)")
  end
  apisix.has_metrics = true
  return {}
end

return equals
