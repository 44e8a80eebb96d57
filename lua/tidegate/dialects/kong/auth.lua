--- Who may call: Kong's consumers and their credentials, and the plugins that ask for them. All consumers with a
-- credential of a kind are let in wherever the plugin of that kind runs, as in Kong.
local emit = require "tidegate.config.emit"

local auth = {}

local HARMLESS = { "id", "created_at", "updated_at", "tags", "ttl" }
local KINDS = {
  keyauth_credentials = { "key" }, basicauth_credentials = { "username", "password" },
  jwt_secrets = { "key", "secret", "algorithm", "rsa_public_key" },
}
local NOT_CONVERTED = {
  acls = "groups of consumers are not converted", oauth2_credentials = "OAuth 2 is not converted",
  hmacauth_credentials = "HMAC signatures are not converted",
  mtls_auth_credentials = "certificates as credentials are not converted",
  groups = "groups of consumers are not converted", jwe_secrets = "encrypted tokens are not converted",
}

local function read_credentials(map, kind, consumer, all)
  for _, each in ipairs(map:maps(kind)) do
    local found = { consumer = consumer or all.refers(each, "consumer"), map = each }
    for _, key in ipairs(KINDS[kind]) do found[key] = each:text(key) end
    each:harmless(unpack(HARMLESS))
    each:finish()
    table.insert(all[kind], found)
  end
end

--- @tparam Reading root
-- @tparam function refers
-- @tparam function read_plugins function(map, name) for the plugins below a consumer
-- @treturn table lists by kind
function auth.read(root, refers, read_plugins)
  local all = { refers = refers }
  for kind in pairs(KINDS) do all[kind] = {} end
  for _, map in ipairs(root:maps "consumers") do
    local name = map:text "username" or map:text "custom_id" or map:text "id"
    map:harmless("username", "custom_id", "id", "created_at", "updated_at", "tags", "type")
    for kind in pairs(KINDS) do read_credentials(map, kind, name, all) end
    map:refuse(NOT_CONVERTED)
    read_plugins(map, name)
    map:finish()
  end
  for kind in pairs(KINDS) do read_credentials(root, kind, nil, all) end
  root:refuse(NOT_CONVERTED)
  return all
end

--- Kong's `anonymous`: who shows nothing goes on as nobody.
local function required(config)
  if not config:text "anonymous" then return nil end
  config:warn("anonymous", "who shows nothing is let through as nobody; what is wrong is refused")
  return false
end

local function common(config)
  config:harmless("run_on_preflight", "identity_realms")
  return config:text "realm"
end

function auth.basic(config, kong)
  local users = {}
  for i, each in ipairs(kong.credentials.basicauth_credentials) do
    users[i] = { username = each.username, password = each.password }
    if each.consumer and each.consumer ~= each.username then
      each.map:warn("username", "services are told this name, not that of the consumer (%s)", each.consumer)
    end
  end
  local realm = common(config)
  config:refuse { brute_force_protection = "guesses are not counted; rate_limit does" }
  local out = {
    users = users, hide_credentials = config:flag("hide_credentials", false) or nil, realm = realm,
    required = required(config), consumer_header = "x-consumer-username",
  }
  if #users == 0 then
    config:tell(nil, "no consumer has basicauth_credentials: nobody could be let in")
    return nil
  end
  return { { use = "basic_auth", config = out } }
end

function auth.key(config, kong)
  local names = config:texts "key_names" or { "apikey" }
  local keys = {}
  for _, each in ipairs(kong.credentials.keyauth_credentials) do keys[#keys + 1] = each.key end
  common(config)
  local hides = config:flag("hide_credentials", false)
  config:refuse { key_in_body = "keys in bodies are not looked for", anonymous = "a key cannot be left out here" }
  if config.losses > 0 then return nil end
  if not config:flag("key_in_header", true) or #names > 1 or #keys == 0 then
    local nobody = "no consumer has keyauth_credentials: nobody could be let in"
    config:tell(nil, "%s", #keys == 0 and nobody or "keys are taken from one header only")
    return nil
  end
  config:warn(config:has "key_in_query" and "key_in_query" or nil, "the key is taken from the header %s only, not " ..
              "from the query, and services are not told whose it is", names[1])
  config:harmless "key_in_query"
  local entries = {
    { use = "require_header", band = "auth", config = { header = names[1], values = keys, message = "Invalid key" } },
  }
  if hides then entries[2] = { use = "headers", config = { request = { remove = { names[1]:lower() } } } } end
  return entries
end

local function jwt_key(each)
  if each.rsa_public_key then return { public_key = each.rsa_public_key } end
  return { secret = each.secret }
end

--- The keys of tokens: by `kid` where that names them, else there can be one issuer only.
local function jwt_keys(config, claim, secrets)
  if claim == "kid" then
    local keys = {}
    for i, each in ipairs(secrets) do
      keys[i] = jwt_key(each)
      keys[i].id = each.key
    end
    return { keys = keys }
  end
  if #secrets == 1 and claim == "iss" then
    local out = jwt_key(secrets[1])
    out.issuer = secrets[1].key
    return out
  end
  config:tell(nil, #secrets == 0 and "no consumer has jwt_secrets: nobody could be let in" or
              "several keys are told apart by the `kid` of tokens only, not by the claim " .. claim)
  return nil
end

local ALGORITHMS = {
  HS256 = true, HS384 = true, HS512 = true, RS256 = true, RS384 = true, RS512 = true, ES256 = true, ES384 = true,
  ES512 = true, PS256 = true, PS384 = true, PS512 = true, EdDSA = true,
}

function auth.jwt(config, kong)
  local secrets = kong.credentials.jwt_secrets
  common(config)
  local out = jwt_keys(config, config:text("key_claim_name", "iss"), secrets)
  local need = required(config)
  local claims, algorithms, known = config:texts "claims_to_verify" or {}, {}, {}
  for _, each in ipairs(secrets) do
    local name = each.algorithm or "HS256"
    if not ALGORITHMS[name] then
      each.map:tell("algorithm", "%s is not available", name)
      return nil
    end
    if not known[name] then algorithms[#algorithms + 1] = name end
    known[name] = true
  end
  local headers, cookies = config:texts "header_names", config:texts "cookie_names"
  local arguments = config:texts "uri_param_names" or { "jwt" }
  local longest = config:number("maximum_expiration", 0)
  config:refuse { secret_is_base64 = "secrets are taken as they are written: decode them" }
  if headers and #headers > 1 or cookies and #cookies > 1 or #arguments > 1 then
    config:tell(nil, "tokens are taken from one header, one cookie and one argument only")
  end
  if longest > 0 then
    config:tell("maximum_expiration", "how far away exp may be is not checked; max_age looks at iat")
  end
  if not out or config.losses > 0 then return nil end
  out.algorithms, out.required, out.required_claims = algorithms, need, #claims > 0 and claims or emit.list {}
  out.header, out.cookie, out.query = headers and headers[1]:lower(), cookies and cookies[1], arguments[1]
  out.consumer_claim = config:text("key_claim_name", "iss") == "iss" and "iss" or nil
  return { { use = "jwt_auth", config = out } }
end

return auth
