--- What Dispa checks before all else, and its plugins: as global plugins, or those of every route.
local Reading = require "tidegate.dialects.reading"
local conditions = require "tidegate.dialects.conditions"
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"

local security = {}

--- Puts a plugin among the instances, and its name into a chain.
local function add(self, chain, name, place, use, pairs)
  local instance = node.map(place, { { "use", use } })
  for i = 1, table.maxn(pairs) do
    if pairs[i] then node.put(instance, pairs[i][1], pairs[i][2]) end
  end
  local as = native.instance_name(name, self.instance_names)
  node.put(self.instances, as, instance, place)
  chain[#chain + 1] = node.scalar(as, place)
end

--- 10.0.0.* as a network.
local function networks(list)
  local items = {}
  for i, item in ipairs(list.items) do
    local parts = {}
    for part in item.text:gmatch "[^.]+" do parts[#parts + 1] = part end
    local known = 0
    while parts[known + 1] and parts[known + 1] ~= "*" do known = known + 1 end
    local is_wild = item.text:find("*", 1, true) and not item.text:find "[^%d.*]"
    if is_wild then
      for at = known + 1, 4 do parts[at] = "0" end
      items[i] = node.scalar(table.concat(parts, ".", 1, 4) .. "/" .. known * 8, item)
    else
      items[i] = node.copy(item)
    end
  end
  return node.list(items, list)
end

local function access(self, from)
  local allowed, denied = self:node(from, "allowed_ips"), self:node(from, "denied_ips")
  local list = {}
  if denied and #denied.items > 0 then list[1] = conditions.networks(networks(denied)) end
  if allowed and #allowed.items > 0 then
    list[#list + 1] = conditions.none(conditions.networks(networks(allowed)), allowed)
  end
  if #list > 0 then
    local place = self:place(from)
    add(self, self.chain, "access_control", place, "respond", {
      { "band", "security" }, { "when", conditions.any(list, place) },
      { "config", node.map(place, { { "status", 403 }, { "body", "Forbidden\n" } }) },
    })
  end
  if from.trust_proxy_headers then
    self:warn(from, "trust_proxy_headers", "name the proxies in gateway.trusted_proxies: only 127.0.0.1 is believed")
  end
end

local function auth(self, from)
  if from.enabled == false then return end
  local is_bearer = from.mode == "bearer"
  local values = self:node(from, is_bearer and "valid_tokens" or "valid_keys")
  local place = self:place(from, "mode")
  if not values or #values.items == 0 then
    return self:fail(from, "mode", ("needs the key %s: nobody could be let through"):format(
      is_bearer and "valid_tokens" or "valid_keys"))
  end
  local allowed = {}
  local before = is_bearer and "Bearer " or ""
  for i, value in ipairs(values.items) do allowed[i] = node.scalar(before .. value.text, value) end
  local header = not is_bearer and self:node(from, "header_name") or is_bearer and "Authorization" or "X-API-Key"
  add(self, self.chain, from.mode, place, "require_header", {
    { "band", "auth" },
    { "config", node.map(place, {
      { "header", header }, { "values", node.list(allowed, values) }, { "message", "Unauthorized" },
    }) },
  })
end

local HMAC = { HS256 = true, HS384 = true, HS512 = true }

local function jwt(self, from)
  if from.enabled == false then return end
  local secret, algorithm = self:node(from, "secret"), self:node(from, "algorithm")
  if from.jwks_url or algorithm and not HMAC[algorithm.text] then
    local key = from.jwks_url and "jwks_url" or "algorithm"
    return self:fail(from, key, "cannot be converted: give jwt_auth the issuer's public key by hand")
  end
  if not secret then return self:fail(from, nil, "needs the key secret: nobody could be let through") end
  local claims = {}
  if from.verify_exp ~= false then claims[1] = "exp" end
  if from.verify_iat then claims[#claims + 1] = "iat" end
  local prefix, header = self:node(from, "prefix"), self:node(from, "header_name")
  add(self, self.chain, "jwt", secret, "jwt_auth", { { "config", node.map(secret, {
    { "secret", secret }, { "algorithms", node.list({ algorithm or "HS256" }, secret) },
    header and { "header", header },
    prefix and { "scheme", node.scalar((prefix.text:gsub("%s+$", "")), prefix) },
    { "required_claims", node.list(claims, secret) },
  }) } })
end

local function rate_limit(self, from)
  if from.enabled == false then return end
  local rate, burst = self:node(from, "requests_per_second"), self:node(from, "burst_size")
  if not rate then return self:fail(from, nil, "needs the key requests_per_second") end
  self:leave_out(from, "window_size", "the rate is of one second")
  add(self, self.chain, "rate_limit", rate, "rate_limit", { { "config", node.map(rate, {
    { "rate", node.scalar(rate.text .. "/s", rate) }, burst and burst.text ~= "0" and { "burst", burst },
    { "name", "rate_limit" },
  }) } })
end

-- -- plugins --

--- Header fields as templates. {{uuid}} is what only the request knows.
function security.fields(written)
  local result = node.map(written)
  for _, item in ipairs(written.entries or {}) do
    local text = Reading.escape_template(item.value.text or ""):gsub("{{%s*uuid%s*}}", "${request_id}")
    node.put(result, item.key, node.scalar(text, item.value), item)
  end
  return result
end

local function headers(self, plugin)
  local config, place = self:node(plugin, "config"), self:place(plugin, "name")
  local settings = node.map(place)
  for _, side in ipairs { "request", "response" } do
    local written = node.get(config, side .. "_headers")
    local is_wanted = not plugin.stage or plugin.stage == "both" or plugin.stage == side
    local set = written and is_wanted and security.fields(written)
    if set then node.put(settings, side, node.map(written, { { "set", set } })) end
  end
  return "headers", settings
end

local function blocklist(self, plugin)
  local config, place = self:node(plugin, "config"), self:place(plugin, "name")
  local hosts, paths, list = node.get(config, "hosts"), node.get(config, "paths"), {}
  if hosts and #hosts.items > 0 then list[1] = conditions.hosts(hosts) end
  if paths and #paths.items > 0 then list[#list + 1] = conditions.paths(paths) end
  if #list == 0 then return self:fail(plugin, "config", "expected hosts or paths: lists of what is blocked") end
  return "respond", node.map(place, { { "status", 403 }, { "body", "Forbidden\n" } }), conditions.any(list, place)
end

local TYPES = { headerinjector = headers, headeroverride = headers, blocklist = blocklist }

local function plugin_of(self, plugin)
  if plugin.enabled == false then return end
  local convert = TYPES[plugin.type]
  if not convert then
    return self:fail(plugin, "type", ("there is no %s natively, and it may guard what is behind it: switch it off, " ..
                                      "or write it as a plugin in Lua"):format(plugin.type))
  end
  local use, config, condition = convert(self, plugin)
  if not use then return end
  local chain = self.file.plugins.apply_before_domain_match and self.global or self.chain
  add(self, chain, plugin.name, self:place(plugin, "name"), use, {
    condition and { "band", "security" }, condition and { "when", condition },
    plugin.error_strategy and { "on_error", self:node(plugin, "error_strategy") },
    { "config", config },
  })
end

--- Fills self.instances; self.global, the names of those that run for every request; and self.chain, those of every
-- route but the one for the gateway's own health, which nobody has to prove anything for.
function security.plugins(self)
  local from = self.file.security
  if from and from.enabled ~= false then
    if from.access_control then access(self, from.access_control) end
    if from.auth then auth(self, from.auth) end
    if from.jwt then jwt(self, from.jwt) end
    if from.rate_limit then rate_limit(self, from.rate_limit) end
    self:leave_out(from, "ddos", "limits has what one client may send")
  end
  local plugins = self.file.plugins
  if plugins and plugins.enabled ~= false then
    for _, plugin in ipairs(plugins.plugins or {}) do
      if plugin.name and plugin.type then plugin_of(self, plugin) end
    end
  end
end

return security
