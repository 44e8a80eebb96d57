--- APISIX's consumers, and the plugins that ask for their credentials.
local auth = {}

local KINDS = { ["key-auth"] = { "key" }, ["basic-auth"] = { "username", "password" } }
local OTHER_AUTH = "credentials of this kind are not converted"

local function jwt_credential(map)
  local found = {
    key = map:text "key", secret = map:text "secret", algorithm = map:text("algorithm", "HS256"),
    public_key = map:text "public_key",
  }
  map:harmless("exp", "private_key", "lifetime_grace_period")
  map:refuse { base64_secret = "secrets are taken as they are written: decode them" }
  return found
end

--- What stands below `plugins` of a consumer or of one of its credentials.
local function read_plugins(map, name, all)
  local below = map:map "plugins"
  for _, plugin in ipairs(below and below:keys() or {}) do
    local config = below:map(plugin)
    if KINDS[plugin] then
      local found = { consumer = name, map = config }
      for _, key in ipairs(KINDS[plugin]) do found[key] = config:text(key) end
      table.insert(all[plugin], found)
    elseif plugin == "jwt-auth" then
      local found = jwt_credential(config)
      found.map = config
      table.insert(all[plugin], found)
    else
      below:tell(plugin, "%s", plugin:find "auth" and OTHER_AUTH or plugin .. " for one consumer only is not converted")
    end
    config:harmless "_meta"
    if below:place(plugin).fate ~= "told" then config:finish() end
  end
end

--- @tparam Reading root
-- @treturn table credentials by plugin
function auth.read(root)
  local all = { ["key-auth"] = {}, ["basic-auth"] = {}, ["jwt-auth"] = {} }
  for _, map in ipairs(root:maps "consumers") do
    local name = map:text("username", "")
    read_plugins(map, name, all)
    for _, each in ipairs(map:maps "credentials") do
      read_plugins(each, name, all)
      each:harmless("id", "name", "desc", "labels", "create_time", "update_time")
      each:finish()
    end
    map:harmless("desc", "labels", "create_time", "update_time", "id")
    map:refuse { group_id = "groups of consumers are not converted" }
    map:finish()
  end
  return all
end

local function nobody(config, kind)
  config:tell(nil, "no consumer has credentials of %s: nobody could be let in", kind)
  return nil
end

local function refuse_anonymous(config)
  config:refuse { anonymous_consumer = "credentials cannot be left out here" }
end

function auth.key(config, apisix)
  local keys = {}
  for i, each in ipairs(apisix.credentials["key-auth"]) do keys[i] = each.key end
  local header, hides = config:text("header", "apikey"), config:flag("hide_credentials", false)
  config:harmless "realm"
  refuse_anonymous(config)
  if #keys == 0 then return nobody(config, "key-auth") end
  if config.losses > 0 then return nil end
  config:warn(config:has "query" and "query" or nil, "the key is taken from the header %s only, not from the query, " ..
              "and services are not told whose it is", header)
  config:harmless "query"
  local entries = {
    { use = "require_header", band = "auth", config = { header = header, values = keys, message = "Invalid key" } },
  }
  if hides then entries[2] = { use = "headers", config = { request = { remove = { header:lower() } } } } end
  return entries
end

function auth.basic(config, apisix)
  local users = {}
  for i, each in ipairs(apisix.credentials["basic-auth"]) do
    users[i] = { username = each.username, password = each.password }
    if each.consumer ~= each.username then
      each.map:warn("username", "services are told this name, not that of the consumer (%s)", each.consumer)
    end
  end
  local out = {
    users = users, hide_credentials = config:flag("hide_credentials", false) or nil, realm = config:text "realm",
    consumer_header = "x-consumer-username",
  }
  refuse_anonymous(config)
  if #users == 0 then return nobody(config, "basic-auth") end
  return config.losses == 0 and { { use = "basic_auth", config = out } } or nil
end

--- Each key of a token is a consumer's: told apart by the claim `key`, of which there can be one here.
function auth.jwt(config, apisix)
  local all = apisix.credentials["jwt-auth"]
  local out = {
    header = config:text("header", "authorization"):lower(), query = config:text("query", "jwt"),
    cookie = config:text("cookie", "jwt"), hide_credentials = config:flag("hide_credentials", false) or nil,
    consumer_claim = config:text("key_claim_name", "key"), realm = config:text "realm",
  }
  config:harmless "store_in_ctx"
  config:refuse { claims_to_verify = "which claims are checked is `required_claims`" }
  refuse_anonymous(config)
  if #all == 0 then return nobody(config, "jwt-auth") end
  if #all > 1 then
    config:tell(nil, "several keys are told apart by the `kid` of tokens only, not by the claim %s", out.consumer_claim)
  end
  if config.losses > 0 or all[1].map.losses > 0 then return nil end
  out.algorithms, out.secret, out.public_key = { all[1].algorithm }, all[1].secret, all[1].public_key
  if out.public_key then out.secret = nil end
  return { { use = "jwt_auth", config = out } }
end

return auth
