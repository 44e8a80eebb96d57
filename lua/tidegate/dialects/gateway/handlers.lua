--- What Gateway runs for a route, as plugins: CORS, access rules, limits, authentication, filters. Which of them runs
-- first is the same natively (see tidegate.plugin.order), so that only what stands at an unusual place names its band.
local conditions = require "tidegate.dialects.conditions"
local node = require "tidegate.dialects.node"
local schema = require "tidegate.config.schema"

local handlers = {}

local ordered = schema.ordered

local ID = { "id", type = "string", min = 1 }
local NAME = { "name", type = "string" }
local TEXTS = { type = "string", min = 1 }

local function texts(name) return { name, type = "list", of = TEXTS } end

local function access(name)
  return {
    name, type = "object",
    fields = ordered {
      { "enabled", type = "boolean", default = true },
      { "strategy", type = "enum", of = { "whitelist", "blacklist" }, required = true },
      texts "whitelist", texts "blacklist",
    },
  }
end

local FILTER = {
  type = "object",
  fields = ordered {
    ID, NAME,
    { "enabled", type = "boolean", default = true },
    { "order", type = "integer", default = 0 },
    { "action", type = "enum", of = { "pre_request", "post_response" }, default = "pre_request" },
    { "config", type = "object",
      fields = ordered {
        { "log_level", type = "string" },
        { "include_headers", type = "boolean" },
        { "include_body", type = "boolean" },
        { "audit_enabled", type = "boolean" },
        { "add_headers", type = "map", of = "string" },
        texts "remove_headers",
      } },
  },
}

--- The blocks of a route, as fields of its schema.
handlers.FIELDS = {
  { "cors_config", type = "object",
    fields = ordered {
      ID, NAME,
      { "strategy", type = "enum", of = { "permissive", "strict" } },
      texts "allow_origins", texts "allow_methods", texts "allow_headers", texts "expose_headers",
      { "allow_credentials", type = "boolean" },
      { "max_age", type = "integer", min = 0 },
    } },
  { "security_config", type = "object",
    fields = ordered {
      ID, NAME, access "ip_access", access "user_agent_access", access "api_access", access "domain_access",
    } },
  { "limiter_config", type = "object",
    fields = ordered {
      ID, NAME,
      { "algorithm", type = "enum", of = { "token-bucket", "leaky-bucket", "sliding-window", "fixed-window" } },
      { "rate", type = "integer", required = true, min = 1 },
      { "burst", type = "integer", min = 0 },
      { "window_size", type = "duration" },
    } },
  { "auth_config", type = "object",
    fields = ordered {
      ID, NAME,
      { "strategy", type = "enum", of = { "none", "jwt", "api_key", "oauth2" }, required = true },
      { "config", type = "map", of = "any" },
    } },
  { "filter_config", type = "object",
    fields = ordered { ID, NAME, { "filters", type = "list", of = FILTER } } },
}

--- One entry of a chain.
local function entry(place, use, pairs)
  local result = node.map(place, { { "use", use } })
  for i = 1, table.maxn(pairs) do
    if pairs[i] then node.put(result, pairs[i][1], pairs[i][2]) end
  end
  return result
end

-- -- CORS --

--- A use of the plugin cors without its place in a chain.
function handlers.cors(self, block)
  local place = self.marks:place(block)
  local config = node.map(place)
  for _, key in ipairs { "allow_origins", "allow_methods", "allow_headers", "expose_headers", "allow_credentials" } do
    node.put(config, key, self:node(block, key))
  end
  local age = self:node(block, "max_age")
  if age then node.put(config, "max_age", node.scalar(age.text .. "s", age)) end
  return entry(place, "cors", { { "config", config } })
end

-- -- access rules --

-- What each says natively: a condition that holds for those on a list.
local SUBJECTS = {
  { key = "ip_access", is_on = conditions.networks },
  { key = "user_agent_access", is_on = conditions.user_agents },
  { key = "api_access", is_on = conditions.paths },
  { key = "domain_access", is_on = conditions.hosts },
}

--- The condition under which a request is refused; nil where none is.
local function refused(self, rule, is_on)
  local place = self.marks:place(rule)
  local black, white = self:node(rule, "blacklist"), self:node(rule, "whitelist")
  local list = {}
  if rule.strategy == "whitelist" then
    list[1] = conditions.none(white and #white.items > 0 and is_on(white) or nil, place)
  end
  if black and #black.items > 0 then list[#list + 1] = is_on(black) end
  return conditions.any(list, place)
end

local function security(self, block, list)
  for _, subject in ipairs(SUBJECTS) do
    local rule = block[subject.key]
    local condition = rule and rule.enabled ~= false and refused(self, rule, subject.is_on)
    if condition then
      local place = self.marks:place(rule)
      table.insert(list, entry(place, "respond", {
        { "name", (block.id or "security") .. " " .. subject.key }, { "band", "security" }, { "when", condition },
        { "config", node.map(place, { { "status", 403 }, { "body", "Forbidden\n" } }) },
      }))
    end
  end
end

-- -- limits --

--- The settings of rate_limit.
-- @tparam table get function(key) -> node or nil
function handlers.rate_limit(get, place, warn)
  local algorithm, rate, burst, window = get "algorithm", get "rate", get "burst", get "window_size"
  local word = algorithm and algorithm.text:gsub("-", "_")
  local is_window = word and word:find "window$"
  local config = node.map(place)
  if rate then
    local per = window and is_window and window.text or "s"
    node.put(config, "rate", node.scalar(rate.text .. "/" .. (per:gsub("^1(%l)$", "%1")), rate))
  end
  if window and not is_window and window.text ~= "1s" then
    warn("window_size", "does not count for " .. (word or "token_bucket") .. ": its rate is of one second")
  end
  if word and word ~= "token_bucket" then node.put(config, "algorithm", node.scalar(word, algorithm)) end
  if burst and is_window then
    warn("burst", "does not count for " .. word .. ": a window has none")
  elseif burst and burst.text ~= "0" then
    node.put(config, "burst", burst)
  end
  return config
end

local function limiter(self, block, list)
  local place = self.marks:place(block)
  local config = handlers.rate_limit(function(key) return self:node(block, key) end, place, function(key, message)
    self:warn(block, key, message)
  end)
  table.insert(list, entry(place, "rate_limit", { block.id and { "name", block.id }, { "config", config } }))
end

-- -- authentication --

local JWT = { secret = "secret", header = "header", claims_to_verify = "required_claims" }

--- The settings of jwt_auth.
function handlers.jwt(config, place)
  local result = node.map(place)
  local algorithm
  for _, item in ipairs(config and config.entries or {}) do
    local value = item.value
    if item.key == "algorithm" then
      algorithm = value
    elseif item.key == "prefix" then
      node.put(result, "scheme", node.scalar((value.text or ""):gsub("%s+$", ""), value), item)
    else
      node.put(result, JWT[item.key] or item.key, value, item)
    end
  end
  return node.put(result, "algorithms", node.list({ algorithm or "HS256" }, algorithm or place))
end

local function api_key(config, place)
  local header, keys = node.get(config, "header"), node.get(config, "keys")
  return node.map(place, {
    { "header", header or "X-API-Key" }, { "values", keys or node.list({}, place) },
    { "message", "Unauthorized" },
  })
end

local function auth(self, block, list)
  local place, path = self.marks:place(block, "strategy")
  local config, name = self:node(block, "config"), block.id and { "name", block.id }
  if block.strategy == "jwt" then
    table.insert(list, entry(place, "jwt_auth", { name, { "config", handlers.jwt(config, place) } }))
  elseif block.strategy == "api_key" then
    table.insert(list, entry(place, "require_header", {
      name, { "band", "auth" }, { "config", api_key(config, place) },
    }))
  elseif block.strategy == "oauth2" then
    -- Left out it would let everybody in.
    self.report:add(place, path, "oauth2 is not available in this version; expected one of none, jwt, api_key")
  end
end

-- -- filters --

local function headers_of(self, filter, config)
  local add, remove = self:node(config, "add_headers"), self:node(config, "remove_headers")
  if not add and not remove then return nil end
  local place = self.marks:place(config)
  local side = node.map(place, { remove and { "remove", remove }, add and { "set", add } })
  return entry(place, "headers", {
    filter.id and { "name", filter.id },
    { "config", node.map(place, { { filter.action == "post_response" and "response" or "request", side } }) },
  })
end

local function logging_of(self, filter, config)
  local written = node.map((self.marks:place(config)))
  for _, key in ipairs { "log_level", "include_headers", "include_body" } do
    node.put(written, key, self:node(config, key))
  end
  local audit = config.audit_enabled and self:node(config, "audit_enabled")
  if audit then node.put(written, "fields", node.map(audit, { { "audit", node.scalar("true", audit) } })) end
  if #written.entries == 0 then return nil end
  local name = filter.id and filter.id .. ((config.add_headers or config.remove_headers) and " log" or "")
  return entry(written, "logging", { name and { "name", name }, { "config", written } })
end

local function filters(self, block, list)
  local sorted, written = {}, {}
  for i, filter in ipairs(block.filters or {}) do
    written[filter] = i
    if filter.enabled ~= false then sorted[#sorted + 1] = filter end
  end
  table.sort(sorted, function(a, b)
    if a.order ~= b.order then return a.order < b.order end
    return written[a] < written[b]
  end)
  for _, filter in ipairs(sorted) do
    local before = #list
    if filter.config then
      list[#list + 1] = logging_of(self, filter, filter.config)
      list[#list + 1] = headers_of(self, filter, filter.config)
    end
    if #list == before then self:warn(filter, nil, "has no settings, and does nothing") end
  end
end

local BLOCKS = {
  { "security_config", security }, { "limiter_config", limiter }, { "auth_config", auth }, { "filter_config", filters },
}

--- The plugins of a route but CORS.
-- @tparam table self converter of tidegate.dialects.gateway
-- @tparam table route
-- @treturn {table,...} nodes
function handlers.plugins(self, route)
  local list = {}
  for _, block in ipairs(BLOCKS) do
    if route[block[1]] then block[2](self, route[block[1]], list) end
  end
  return list
end

return handlers
