--- Toyou's middlewares as plugins: what each type is natively, and what its settings become.
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"
local order = require "tidegate.plugin.order"

local middlewares = {}

--- Settings that keep their value: { theirs = ours }. The rest goes to `rest`, which puts it into the new map or gives
-- false where it knows no such key.
local function translate(config, names, rest)
  local result = node.map(config)
  for _, entry in ipairs(config.entries) do
    local name = names[entry.key]
    if name then
      node.put(result, name, entry.value, entry)
    elseif not rest or rest(result, entry) == false then
      node.put(result, entry.key, entry.value, entry)      -- the plugin says that it has no such setting
    end
  end
  return result
end

--- A number of seconds with its unit; what has one keeps it.
function middlewares.seconds(value)
  if value.kind ~= "scalar" then return value end
  local bare = value.type == "integer" or value.type == "number" or value.text:find "^[%d.]*%${.*}$"
  return bare and node.scalar(value.text .. "s", value) or value
end

local function rate_limit(config, def, report)
  local rate, burst, key = node.scalar("60/m", config), node.scalar(10, config), "client_ip"
  local header
  local result = translate(config, {}, function(_, entry)
    if entry.key == "requests_per_minute" then
      rate = node.scalar(entry.value.text .. "/m", entry.value)
    elseif entry.key == "burst" then
      burst = entry.value
    elseif entry.key == "header_name" then
      header = entry.value.text
    elseif entry.key == "key_extractor" then
      key = entry.value.text
      if key == "custom" then
        native.leave_out(report, entry, def.path .. ".config.key_extractor", "clients are counted by their address")
      elseif key ~= "ip" and key ~= "header" then
        report:add(entry.value, def.path .. ".config.key_extractor",
                   ('expected one of ip, header, custom, found "%s"'):format(key))
      end
    else
      return false
    end
  end)
  if key == "header" then
    if not header then
      report:warn(config, def.path .. ".config", "says no header_name beside key_extractor: header; x-api-key counts")
    end
    key = "header." .. (header or "x-api-key"):lower()
  else
    key = "client_ip"
  end
  node.put(result, "rate", rate)
  node.put(result, "burst", burst)
  node.put(result, "key", key)
  return node.put(result, "name", def.name)     -- all that name it count together
end

local CORS = {
  allowed_origins = "allow_origins", allowed_methods = "allow_methods", allowed_headers = "allow_headers",
  exposed_headers = "expose_headers", allow_credentials = "allow_credentials",
}

local function cors(config)
  return translate(config, CORS, function(result, entry)
    if entry.key ~= "max_age" then return false end
    node.put(result, "max_age", middlewares.seconds(entry.value), entry)
  end)
end

local DYNAMIC_ROUTE = { timeout_seconds = "timeout", cache_expiry_seconds = "cache_expiry" }

local function dynamic_route(config)
  return translate(config, {}, function(result, entry)
    local name = DYNAMIC_ROUTE[entry.key]
    if not name then return false end
    node.put(result, name, middlewares.seconds(entry.value), entry)
  end)
end

local function custom(config)
  local result = translate(config, { header_name = "header" })
  if not result.fields.header then node.put(result, "header", "X-Custom-Header") end
  return result
end

-- use: the plugin, where it has another name; band: where it stands in a chain; config: what its settings become.
local TYPES = {
  auth = { band = "auth" },
  rate_limit = { band = "limit", config = rate_limit },
  cors = { band = "cors", config = cors },
  logging = { band = "observe" },
  replace = { band = "filter" },
  dynamic_route = { band = "filter", config = dynamic_route },
  custom = { use = "require_header", band = "security", config = custom },
}

-- Types without which a request is served all the same. A plugin of that name is used where there is one.
local DISPENSABLE = { cache = true, gzip = true, compress = true }

--- Reads one definition.
-- @tparam table def name, type, place (of the definition), path, config (node, or nil); enabled
-- @tparam Sources sources
-- @tparam Report report
-- @treturn boolean whether there is a plugin for it; def.use, def.band and def.config are set then, and otherwise it
-- was told that there is none
function middlewares.read(def, sources, report)
  local known = TYPES[def.type]
  if not known and DISPENSABLE[def.type] and not native.has_plugin(def.type, sources) then
    native.leave_out(report, def.place, def.path)
    return false
  end
  known = known or {}
  local own = def.type == "custom" and native.has_plugin("custom", sources)
  def.use = not own and known.use or def.type
  def.band = not own and known.band or nil
  if known.config and not own then
    def.config = known.config(def.config or node.map(def.place), def, report)
  end
  return true
end

local RANK = {}
for rank, band in ipairs(order.BANDS.route) do RANK[band] = rank end

--- The bands in which plugins run in the order in which a rule names them.
-- @tparam {table,...} defs
-- @treturn {string|false,...} for each: a band other than its own, or false
function middlewares.bands(defs)
  local bands, last = {}, nil
  for i, def in ipairs(defs) do
    local rank = RANK[def.band]
    bands[i] = rank and last and rank < RANK[last] and last or false
    if rank and not bands[i] then last = def.band end
  end
  return bands
end

return middlewares
