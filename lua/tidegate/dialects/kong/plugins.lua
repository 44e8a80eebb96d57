--- Kong's plugins: which of them runs where, and what it is here.
--
-- In Kong the most specific of several uses of a plugin counts (route, then service, then everywhere), so each route
-- is given what counts for it. A plugin that keeps requests out must not get lost on the way: a route that would be
-- open without one answers with 503.
local answers = require "tidegate.dialects.foreign.answers"
local chains = require "tidegate.dialects.foreign.chains"
local equals = require "tidegate.dialects.kong.equals"

local plugins = {}

-- What does not decide who gets in: the routes of these stay on.
local HARMLESS_TO_LOSE = {}
for name in ([[
  prometheus zipkin opentelemetry datadog statsd statsd-advanced file-log http-log tcp-log udp-log syslog loggly
  kafka-log proxy-cache proxy-cache-advanced correlation-id response-transformer response-transformer-advanced cors
  rate-limiting rate-limiting-advanced response-ratelimiting request-size-limiting grpc-web grpc-gateway session
  request-transformer request-transformer-advanced azure-functions aws-lambda forward-proxy route-by-header
  exit-transformer redirect gzip standard-webhooks mocking canary tls-metadata-headers
]]):gmatch "%S+" do
  HARMLESS_TO_LOSE[name] = true
end

--- A use of a plugin.
-- @field name
-- @field scope { route =, service =, consumer =, consumer_group = } names
-- @field entries native ones, nil where there is no equal
-- @field is_lost it kept requests out, and is not there any more
local function read(map, kong, scope)
  local name = map:text("name", "")
  local use = { name = name, scope = scope, map = map, enabled = map:flag("enabled", true) }
  map:harmless("id", "created_at", "updated_at", "tags", "instance_name")
  -- Plugins run for every protocol that their route takes.
  map:harmless("protocols", "run_on")
  map:refuse { ordering = "the order of plugins is that of their bands; `band` and `priority` change it" }
  local config = map:map "config"
  if not use.enabled then
    map:warn("enabled", "%s is switched off: it is left out", name)
    map:harmless "config"
    use.entries = {}
  elseif scope.consumer or scope.consumer_group then
    map:tell("name", "%s for one consumer only is not converted", name)
    map:harmless "config"
  elseif not equals[name] then
    map:tell("name", "there is no equal of %s: not converted", name)
    map:harmless "config"
    use.is_lost = not HARMLESS_TO_LOSE[name]
  else
    config = config or map:empty "config"
    use.entries = equals[name](config, kong, use)
    config:finish()
    use.is_lost = not use.entries and not HARMLESS_TO_LOSE[name]
  end
  return use
end

local function scope_of(map, kong, owner)
  local scope = { route = owner.route, service = owner.service, consumer = owner.consumer }
  for _, key in ipairs { "route", "service", "consumer", "consumer_group" } do
    scope[key] = scope[key] or kong.refers(map, key)
  end
  return scope
end

--- Reads the plugins below a map.
-- @tparam Reading map holds "plugins"
-- @tparam table kong refers, consumers, ...
-- @tparam table owner { route = name } or { service = name } or { consumer = name }, or {}
-- @tparam {table,...} uses taken on
function plugins.read(map, kong, owner, uses)
  for _, each in ipairs(map:maps "plugins") do
    local use = read(each, kong, scope_of(each, kong, owner))
    each:finish()
    uses[#uses + 1] = use
  end
end

local function is_named(wanted, owner)
  return wanted == nil or owner ~= nil and (wanted == owner.name or wanted == owner.id)
end

--- How closely a use is meant for a route; nil where it is not.
local function closeness(use, route, service)
  local scope = use.scope
  if scope.consumer or scope.consumer_group then return nil end
  if not is_named(scope.route, route) or not is_named(scope.service, service) then return nil end
  return (scope.route and 2 or 0) + (scope.service and 1 or 0)
end

--- What counts for a route: by the plugin's name.
local function chosen(uses, route, service)
  local best, rank, order = {}, {}, {}
  for _, use in ipairs(uses) do
    local close = closeness(use, route, service)
    if close and use.enabled then
      if not best[use.name] then order[#order + 1] = use.name end
      if not best[use.name] or close > rank[use.name] then best[use.name], rank[use.name] = use, close end
    end
  end
  local list = {}
  for _, name in ipairs(order) do list[#list + 1] = best[name] end
  return list
end

local function is_everywhere(use)
  return next(use.scope) == nil
end

--- Whether an entry can stand among the global plugins: what changes paths would change which route is found, and what
-- limits would run before the routes ask for credentials.
local function is_fit_for_all(use, is_asked)
  for _, entry in ipairs(use.entries or {}) do
    if is_asked and entry.use == "rate_limit" then return false end
    if entry.use == "rewrite" or entry.use == "respond" or entry.use == "jwt_auth" or entry.use == "basic_auth" or
       entry.use == "require_header" then
      return false
    end
  end
  return true
end

--- Tells of uses whose route or service is not there, or not converted.
local function tell_dangling(uses)
  for _, use in ipairs(uses) do
    local scope = use.scope
    if use.count == 0 and use.enabled and (scope.route or scope.service) and not scope.consumer then
      use.map:warn(nil, "no route that is converted uses it: it is left out")
    end
  end
end

--- Gives each piece its chain.
-- @tparam {table,...} pieces of Route:write: { route =, owner =, rewrite = }
-- @tparam {table,...} uses
-- @tparam table out the result: plugins and instances are filled in
function plugins.assign(pieces, uses, out)
  local per_piece, global, is_asked = {}, {}, false
  for _, use in ipairs(uses) do use.count = 0 end
  for i, piece in ipairs(pieces) do
    per_piece[i] = chosen(uses, piece.owner, piece.owner.service)
    is_asked = chains.limit_late(per_piece[i]) or is_asked
    for _, use in ipairs(per_piece[i]) do use.count = use.count + 1 end
  end
  tell_dangling(uses)
  for _, use in ipairs(uses) do
    if is_everywhere(use) and use.enabled and use.count == #pieces and is_fit_for_all(use, is_asked) then
      global[use] = true
      for _, entry in ipairs(use.entries or {}) do table.insert(out.plugins, chains.short(entry)) end
    end
  end
  for i, piece in ipairs(pieces) do
    local chain, is_shut = {}, false
    if piece.owner.guard then chain[1] = piece.owner.guard end
    for _, use in ipairs(per_piece[i]) do
      local owner = use.scope.service or use.scope.route or "all"
      local shared_as = use.count > 1 and owner .. "_" .. use.name or nil
      if not global[use] then chains.attach(chain, use.entries or {}, shared_as, out.instances) end
      is_shut = is_shut or use.is_lost
    end
    if is_shut then table.insert(chain, 1, answers.shut()) end
    if piece.rewrite then chain[#chain + 1] = piece.rewrite end
    if #chain > 0 then piece.route.plugins = chain end
  end
end

return plugins
