--- What Kong's plugins are here: by name, function(config, kong, use) -> entries of a chain, or nil after telling.
-- Logs and metrics, which are no plugins here, are noted in kong.
local answers = require "tidegate.dialects.foreign.answers"
local auth = require "tidegate.dialects.kong.auth"
local emit = require "tidegate.config.emit"
local native = require "tidegate.dialects.foreign.native"
local reading = require "tidegate.dialects.foreign.reading"
local transformers = require "tidegate.dialects.kong.transformers"

local equals = {
  ["basic-auth"] = auth.basic, ["key-auth"] = auth.key, jwt = auth.jwt,
  ["request-transformer"] = transformers.request, ["response-transformer"] = transformers.response,
}

-- -- limits --

local WINDOWS = {
  { "second", "s" }, { "minute", "m" }, { "hour", "h" }, { "day", "d" }, { "month", "30d" }, { "year", "365d" },
}

--- What is counted by, as the key of rate_limit; nil after telling.
local function limit_key(config)
  local by = config:text("limit_by", "consumer")
  if by == "ip" then return "client_ip" end
  if by == "consumer" or by == "credential" then return "consumer" end
  if by == "header" then
    local name = config:text "header_name"
    if name and native.takes("header_name", name) then return "header." .. name:lower() end
    config:tell("limit_by", "needs a header_name beside it")
    return nil
  end
  config:tell("limit_by", "requests are not counted by %s; by ip, consumer and header they are", by)
  return nil
end

equals["rate-limiting"] = function(config, _, use)
  local key = limit_key(config)
  config:harmless("header_name", "path", "fault_tolerant", "sync_rate")
  local policy = config:text("policy", "local")
  for _, name in ipairs(config:keys()) do
    if name:find "^redis" then config:harmless(name) end
  end
  if policy ~= "local" then
    config:warn("policy", "each gateway counts by itself; nothing is shared over %s", policy)
  end
  local common = {
    status = config:status("error_code", nil, 400),
    message = config:text "error_message", key = key, algorithm = "fixed_window",
  }
  if config:flag "hide_client_headers" then common.headers = false end
  local entries = {}
  for _, window in ipairs(WINDOWS) do
    local count = config:number(window[1])
    if count and count >= 1 and key then
      local copy = { rate = ("%d/%s"):format(count, window[2]) }
      for name, value in pairs(common) do copy[name] = value end
      copy.name = use.scope.service or use.scope.route or "all"
      -- Consumers are known once the credentials are checked.
      local late = key == "consumer"
      entries[#entries + 1] = {
        use = "rate_limit", config = copy, band = late and "auth" or nil, priority = late and -100 or nil,
      }
    end
  end
  return key and entries
end

local UNITS = { megabytes = "MiB", kilobytes = "KiB", bytes = "B" }

equals["request-size-limiting"] = function(config)
  local unit = UNITS[config:text("size_unit", "megabytes")]
  if config:flag("require_content_length", false) then
    config:warn("require_content_length", "bodies of unknown length are counted while they pass; " ..
                "security.require_content_length refuses them for every route")
  end
  local size = config:number("allowed_payload_size", 128)
  if not unit then
    config:tell("size_unit", "expected megabytes, kilobytes or bytes")
    return nil
  end
  return { { use = "body_limit", config = { max = ("%d%s"):format(math.max(1, size), unit) } } }
end

-- -- cors --

local CORS_METHODS = { "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS" }

--- An origin that Kong takes as a pattern, as one of ours; nil where there is none.
local function origin_of(text)
  if text == "*" or text == "null" or text:find "^%a[%w+.-]*://[%w.-]+$" or text:find "^%a[%w+.-]*://[%w.-]+:%d+$" then
    return text
  end
  local scheme, domain = text:match "^%^?(https?)://%.[*+]\\%.([%w%-\\.]+)%$?$"
  return scheme and ("%s://*.%s"):format(scheme, (domain:gsub("\\", ""))) or nil
end

equals.cors = function(config)
  local out = { allow_origins = {}, allow_methods = emit.list {} }
  for _, text in ipairs(config:texts("origins", true) or { "*" }) do
    local origin = origin_of(text)
    if origin then
      table.insert(out.allow_origins, origin)
    else
      config:tell("origins", "the pattern %s cannot be written as an origin of ours", text)
    end
  end
  for _, method in ipairs(config:texts("methods", true) or CORS_METHODS) do
    if native.takes("method", method) and method ~= "TRACE" then table.insert(out.allow_methods, method) end
  end
  out.allow_credentials = config:flag("credentials", false) or nil
  -- Without a list Kong allows whatever is asked for.
  out.allow_headers = config:texts "headers"
  if not out.allow_headers and not out.allow_credentials then out.allow_headers = { "*", "authorization" } end
  out.expose_headers = config:texts "exposed_headers"
  local age = config:number("max_age", nil, -1)
  out.max_age = age and ("%ds"):format(math.min(86400, math.max(0, age)))
  config:refuse {
    preflight_continue = "preflights are answered here, not by services",
    private_network = "requests for private networks are not answered",
  }
  config:harmless "allow_origin_absent"
  if out.allow_credentials and (#out.allow_origins == 0 or out.allow_origins[1] == "*") then
    config:tell("credentials", "every origin with credentials would let any page act as the user: name the origins")
    return nil
  end
  return #out.allow_origins > 0 and { { use = "cors", config = out } } or nil
end

-- -- answers --

equals["request-termination"] = function(config)
  local status = config:status("status_code", 503)
  local body = reading.literal(config:text "body")
  local content_type = config:text "content_type"
  local message = config:text "message"
  local trigger = config:text "trigger"
  config:refuse { echo = "the request is not echoed" }
  local out = { status = status, body = body, content_type = content_type }
  if not body then
    out.body = answers.json("message", message or (status == 503 and "Service unavailable" or "Request terminated"))
    out.content_type = answers.JSON
  elseif not content_type then
    out.content_type = answers.JSON
  end
  local when = trigger and { any = { { header = trigger, exists = true }, { query = trigger, exists = true } } } or nil
  return { { use = "respond", config = out, when = when } }
end

equals.redirect = function(config)
  local location = reading.literal(config:text("location", "/"))
  local keeps = config:flag("keep_incoming_path", false)
  local target = keeps and location:gsub("^(%a+://[^/]*).*$", "%1") .. "${request_uri}" or location
  local out = { status = config:status("status_code", 301), headers = { location = target } }
  return { { use = "respond", config = out } }
end

equals["ip-restriction"] = function(config)
  local allow = config:texts "allow" or config:texts "whitelist"
  local deny = config:texts "deny" or config:texts "blacklist"
  return answers.by_address(config, {
    { key = "deny", networks = deny }, { key = "allow", networks = allow, is_allowed = true },
  }, {
    status = config:status("status", 403), content_type = answers.JSON,
    body = answers.json("message", config:text("message", "Your IP address is not allowed")),
  })
end

-- -- telling --

equals["correlation-id"] = function(config)
  local header = config:text("header_name", "Kong-Request-ID")
  local generator = config:text("generator", "uuid#counter")
  if generator ~= "uuid" then
    config:warn("generator", "ids are random UUIDs (uuid4) instead of %s", generator)
  end
  return { {
    use = "request_id",
    config = { header = header:lower(), format = "uuid4", response = config:flag("echo_downstream", false) },
  } }
end

equals["file-log"] = function(config, kong, use)
  local path = config:text("path", "")
  config:harmless "reopen"
  config:refuse { custom_fields_by_lua = "fields made by Lua are not converted; the plugin logging adds fields" }
  if next(use.scope) then
    config:tell("path", "an access log of one route or service alone is not available: all requests go to log.access")
    return {}
  end
  if path ~= "" then table.insert(kong.access_logs, { file = path, format = "json" }) end
  return {}
end

equals.prometheus = function(config, kong, use)
  -- What is counted is the same for all.
  config:harmless("per_consumer", "status_code_metrics", "latency_metrics", "bandwidth_metrics",
                  "upstream_health_metrics", "ai_metrics", "wasm_metrics")
  if next(use.scope) == nil then
    kong.has_metrics = true
    use.map:warn("name", "figures are at 127.0.0.1:9901/metrics, under names of our own (docs/metrics.md)")
  end
  return {}
end

return equals
