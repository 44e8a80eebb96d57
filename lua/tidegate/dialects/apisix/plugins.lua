--- APISIX's plugins: which of them runs where, and what it is here.
--
-- A route's own plugin counts before that of its plugin_config, and that before its service's. What global rules name
-- runs besides. A plugin that keeps requests out must not get lost on the way: a route that would be open without one
-- answers with 503.
local answers = require "tidegate.dialects.foreign.answers"
local chains = require "tidegate.dialects.foreign.chains"
local equals = require "tidegate.dialects.apisix.equals"

local plugins = {}

-- What does not decide who gets in: the routes of these stay on.
local HARMLESS_TO_LOSE = {}
for name in ([[
  prometheus zipkin opentelemetry skywalking skywalking-logger datadog file-logger http-logger tcp-logger udp-logger
  kafka-logger rocketmq-logger clickhouse-logger syslog sls-logger google-cloud-logging splunk-hec-logging
  elasticsearch-logger tencent-cloud-cls loggly log-rotate error-log-logger proxy-cache proxy-mirror proxy-buffering
  proxy-control gzip brotli grpc-web grpc-transcode cors request-id response-rewrite proxy-rewrite redirect limit-req
  limit-count limit-conn api-breaker traffic-split fault-injection mocking echo server-info node-status public-api
  client-control real-ip degraphql body-transformer example-plugin batch-requests attach-consumer-label
]]):gmatch "%S+" do
  HARMLESS_TO_LOSE[name] = true
end

--- `_meta` of a plugin; whether it is switched off.
local function read_meta(config, below, name)
  local is_off = config:flag("disable", false)
  local meta = config:map "_meta"
  if meta then
    is_off = meta:flag("disable", false) or is_off
    meta:refuse {
      filter = "a condition on a plugin is not converted; `when` beside it is ours",
      error_response = "what a refusal says is the plugin's own", pre_function = "functions of Lua are not converted",
      priority = "the order of plugins is that of their bands; `band` and `priority` change it",
    }
    meta:finish()
  end
  if is_off then below:warn(name, "is switched off: it is left out") end
  return is_off, meta ~= nil and meta.losses > 0
end

--- @field name, entries, split; is_lost: it kept requests out, and is not there any more
local function read(below, name, apisix, owner, is_global)
  local use = { name = name, owner = owner, is_global = is_global, entries = {} }
  local config = below:map(name)
  if not config then return use end
  local is_off, has_lost_meta = read_meta(config, below, name)
  if is_off then
    for _, key in ipairs(config:keys()) do config:harmless(key) end
  elseif not equals[name] then
    below:tell(name, "there is no equal of %s: not converted", name)
    use.is_lost = not HARMLESS_TO_LOSE[name]
  else
    use.entries = equals[name](config, apisix, use)
    config:finish()
    use.is_lost = (not use.entries or has_lost_meta) and not HARMLESS_TO_LOSE[name]
    use.entries = use.entries or {}
  end
  return use
end

--- The plugins below a map, in their order.
-- @tparam Reading map holds "plugins"
-- @tparam table apisix what plugins may need: credentials, upstreams, ...
-- @tparam string owner for names
-- @tparam[opt] boolean is_global
-- @treturn {table,...}
function plugins.read(map, apisix, owner, is_global)
  local list = {}
  local below = map:map "plugins"
  for _, name in ipairs(below and below:keys() or {}) do
    list[#list + 1] = read(below, name, apisix, owner, is_global)
  end
  return list
end

--- What counts for a route, the first lists before the later ones.
local function chosen(lists)
  local list, seen = {}, {}
  for _, uses in ipairs(lists) do
    for _, use in ipairs(uses) do
      if not seen[use.name] then list[#list + 1] = use end
      seen[use.name] = true
    end
  end
  return list
end

--- Whether it changes which route would be found.
local function moves(use)
  for _, entry in ipairs(use.entries) do
    if entry.use == "rewrite" then return true end
  end
  return false
end

--- Gives each piece its chain, and the global rules theirs.
-- @tparam {table,...} pieces { route =, owner = } with owner.plugins, a list of lists of uses
-- @tparam {table,...} rules uses of global rules
-- @tparam table out the result: plugins and instances are filled in
function plugins.assign(pieces, rules, out)
  local everywhere = {}
  for _, use in ipairs(rules) do
    if moves(use) then
      everywhere[#everywhere + 1] = use
    else
      for _, entry in ipairs(use.entries) do table.insert(out.plugins, chains.short(entry)) end
    end
  end
  local count, per_piece = {}, {}
  for i, piece in ipairs(pieces) do
    per_piece[i] = chosen(piece.owner.plugins)
    for _, use in ipairs(everywhere) do table.insert(per_piece[i], use) end
    chains.limit_late(per_piece[i])
    for _, use in ipairs(per_piece[i]) do count[use] = (count[use] or 0) + 1 end
  end
  for i, piece in ipairs(pieces) do
    local chain, is_shut = {}, false
    for _, use in ipairs(per_piece[i]) do
      chains.attach(chain, use.entries, count[use] > 1 and use.owner .. "_" .. use.name or nil, out.instances)
      is_shut = is_shut or use.is_lost
      piece.split = piece.split or use.split
    end
    for _, use in ipairs(rules) do is_shut = is_shut or use.is_lost end
    if is_shut then table.insert(chain, 1, answers.shut()) end
    if #chain > 0 then piece.route.plugins = chain end
  end
end

return plugins
