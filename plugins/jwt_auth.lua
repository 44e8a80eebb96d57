--- Lets requests through that carry a signed token: JSON Web Tokens, RFC 7519, as bearer tokens of RFC 6750.
--
-- The configuration says which algorithms count, never the token, and a key serves algorithms of its own kind only: a
-- public key is no secret. "none" is no algorithm. Where anything of a token is wrong, the answer is 401.
local JwtAuth = {
  version     = "1.0.0",
  description = "Lets requests through that carry a signed token (JWT).",
  band        = "auth",
}
JwtAuth.__index = JwtAuth

local ALGORITHMS = {
  "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

local function check_realm(text)
  if text:find "[%c\128-\255]" then return false, "expected a realm of printable ASCII" end
  return true
end

local SECRET_DOC = "secret of the algorithms HS256, HS384 and HS512"
local PUBLIC_KEY_DOC = "public key or certificate in PEM, of the other algorithms; ${file:keys/issuer.pem} reads a file"

JwtAuth.schema = {
  algorithms = {
    type = "list", single = true, required = true, min = 1, of = { type = "enum", of = ALGORITHMS },
    doc = "algorithms that are accepted",
  },
  secret = { type = "secret", min = 1, doc = SECRET_DOC },
  public_key = { type = "string", min = 1, doc = PUBLIC_KEY_DOC },
  keys = {
    type = "list", min = 1, doc = "several keys",
    of = {
      type = "object",
      fields = {
        id = { type = "string", min = 1, doc = "the `kid` of tokens that it is for; default: of those without one" },
        secret = { type = "secret", min = 1, doc = SECRET_DOC },
        public_key = { type = "string", min = 1, doc = PUBLIC_KEY_DOC },
        jwk = { type = "json", doc = "key as a JWK (RFC 7517), whose `kid` is the id where none is given" },
        one_of = { "secret", "public_key", "jwk" },
      },
    },
  },
  header = { type = "header_name", default = "authorization", doc = "field that carries the token" },
  scheme = {
    type = "string", default = "Bearer", match = "^[%w!#$%%&'*+.^_`|~-]*$", expects = "a word such as Bearer",
    doc = 'word before the token in that field; "" where there is none',
  },
  cookie = { type = "string", min = 1, doc = "cookie that is looked at where the field is not there" },
  query = { type = "string", min = 1, doc = "argument of the query that is looked at last; it may end up in logs" },
  issuer = { type = "list", single = true, of = "string", doc = "values of `iss` that are accepted; default: any" },
  audience = { type = "list", single = true, of = "string", doc = "one of these must be in `aud`; default: any" },
  required_claims = { type = "list", of = "string", default = { "exp" }, doc = "claims that must be there" },
  leeway = {
    type = "duration", default = "0s", max = "1h", unit = "seconds",
    doc = "by how much clocks may differ: exp, nbf, iat",
  },
  max_age = { type = "duration", min = "1s", unit = "seconds", doc = "oldest token that is accepted, by its `iat`" },
  required = {
    type = "boolean", default = true,
    doc = "false: who sends no token is let through as nobody; a wrong one is refused",
  },
  realm = { type = "string", default = "Restricted", check = check_realm, doc = "named in the refusal" },
  consumer_claim = { type = "string", default = "sub", min = 1, doc = "claim that names who is calling" },
  claims_to_headers = {
    type = "map", of = "header_name", default = {},
    doc = "claims the upstream gets, each in a field; what the client sends in these is taken away. a.b is b within a",
  },
  hide_credentials = {
    type = "boolean", default = false, doc = "the upstream does not get the token of field or query",
  },
  one_of = { "secret", "public_key", "keys" },
}

-- -- keys --

local KINDS = { HS = "secret", RS = "rsa", PS = "rsa", ES = "ec", Ed = "okp" }
local CURVES = { ES256 = "P-256", ES384 = "P-384", ES512 = "P-521" }

local function fits(key, algorithm)
  return key.kind == KINDS[algorithm:sub(1, 2)] and (not CURVES[algorithm] or key.curve == CURVES[algorithm]) and
    (not key.alg or key.alg == algorithm)
end

--- Loads one key.
-- @treturn table { key =, id = or nil }
local function load_key(given, place)
  local key, why
  if given.secret then
    key, why = tide.crypto.secret(given.secret)
  elseif given.jwk and type(given.jwk) ~= "table" then
    why = "expected a JWK, an object"
  else
    key, why = tide.crypto.key(given.public_key or given.jwk)
  end
  if not key then error(place .. why, 0) end
  if key.is_private and key.kind ~= "secret" then
    error(place .. "expected a public key, found a private one, which should stay with the issuer", 0)
  end
  return { key = key, id = given.id or key.kid }
end

local function load_keys(conf)
  if not conf.keys then return { load_key(conf, conf.secret and "secret: " or "public_key: ") } end
  local keys = {}
  for i, given in ipairs(conf.keys) do keys[i] = load_key(given, ("keys[%d]: "):format(i)) end
  return keys
end

local function find_fitting(keys, algorithm, id)
  for _, candidate in ipairs(keys) do
    if candidate.id == id and fits(candidate.key, algorithm) then return candidate.key end
  end
  return nil
end

--- What gives the key for a token. A key without an id serves tokens with any.
local function key_finder(keys)
  return function(id, header)
    local key = id and find_fitting(keys, header.alg, id) or find_fitting(keys, header.alg, nil)
    if key then return key end
    return nil, "there is no key for this id and algorithm"
  end
end

local function check_algorithms(algorithms, keys)
  for _, algorithm in ipairs(algorithms) do
    local has_key = false
    for _, candidate in ipairs(keys) do has_key = has_key or fits(candidate.key, algorithm) end
    if not has_key then error(("algorithms: there is no key that serves %s"):format(algorithm), 0) end
  end
end

-- -- tokens --

function JwtAuth.new(conf)
  local keys = load_keys(conf)
  check_algorithms(conf.algorithms, keys)
  local self = {
    header = conf.header, scheme = conf.scheme:lower(), cookie = conf.cookie, query = conf.query,
    leeway = conf.leeway, max_age = conf.max_age, required = conf.required, hides = conf.hide_credentials,
    consumer_claim = conf.consumer_claim, headers = conf.claims_to_headers,
    challenge = ('Bearer realm="%s"'):format((conf.realm:gsub('[\\"]', "\\%0"))),
  }
  self.options = {
    keys = key_finder(keys), algs = conf.algorithms, iss = conf.issuer, aud = conf.audience, leeway = conf.leeway,
    required = conf.required_claims, clock = tide.now,
  }
  return setmetatable(self, JwtAuth)
end

--- The token of the field; nil where there is none, false where there is something else.
function JwtAuth:from_header(req)
  local fields = req:header_all(self.header)
  if #fields == 0 then return nil end
  if #fields > 1 then return false end
  if self.scheme == "" then return fields[1] end
  local scheme, token = fields[1]:match "^([^ ]+) +([^ ]+)$"
  return scheme and scheme:lower() == self.scheme and token
end

function JwtAuth:token_of(req)
  local token = self:from_header(req)
  if token == nil and self.cookie then token = req:cookie(self.cookie) end
  if token == nil and self.query then token = req:arg(self.query) end
  return token
end

--- What tide.jwt leaves to us: when the token was issued.
function JwtAuth:check_age(claims)
  local age = claims.iat and tide.now() - claims.iat
  if age and age < -self.leeway then return nil, "it was issued in the future", "not_yet_valid" end
  if not self.max_age then return true end
  if not age then return nil, "expected the claim iat, found none", "missing_claim" end
  if age - self.leeway > self.max_age then return nil, ("it was issued %d seconds ago"):format(age), "expired" end
  return true
end

function JwtAuth:verify(token)
  if type(token) ~= "string" then return nil, "expected one bearer token", "malformed" end
  local claims, why, code = tide.jwt.verify(token, self.options)
  if not claims then return nil, why, code end
  local good
  good, why, code = self:check_age(claims)
  if not good then return nil, why, code end
  return claims
end

local TOLD = { expired = "the token has expired", not_yet_valid = "the token is not valid yet" }

--- The client hears what it can mend by itself; the rest is for the log.
function JwtAuth:refuse(req, why, code)
  local challenge = self.challenge
  if why then
    tide.log.debug("token refused", { why = why })
    challenge = ('%s, error="invalid_token", error_description="%s"'):format(challenge,
      TOLD[code] or "the token is not accepted")
  end
  return req:reply(401, "Unauthorized\n", { ["www-authenticate"] = challenge })
end

-- -- what others get to know --

--- A claim by its name, or along the dots of it.
local function claim_of(claims, name)
  local value = claims[name]
  if value ~= nil then return value end
  value = claims
  for part in name:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    value = value[part]
  end
  return value
end

--- A claim as the value of a field: lists with commas, objects as JSON.
local function text_of(value)
  local kind = type(value)
  if kind == "number" or kind == "boolean" then return tostring(value) end
  if kind == "string" then return (value:gsub("%c", " ")) end
  if kind ~= "table" or value == tide.json.null then return nil end
  for _, item in ipairs(value) do
    if type(item) ~= "string" then return (tide.json.encode(value)) end
  end
  return #value > 0 and table.concat(value, ","):gsub("%c", " ") or (tide.json.encode(value))
end

function JwtAuth:tell_upstream(req, claims)
  for name, header in pairs(self.headers) do
    local text = text_of(claim_of(claims, name))
    if text then req:set_header(header, text) end
  end
  if not self.hides then return end
  req:remove_header(self.header)
  if self.query and req:arg(self.query) ~= nil then
    local args = req:args()
    args[self.query] = nil
    req:set_args(args)
  end
end

function JwtAuth:request(req)
  for _, header in pairs(self.headers) do req:remove_header(header) end
  local token = self:token_of(req)
  if token == nil then
    if self.required then return self:refuse(req) end
    return
  end
  local claims, why, code = self:verify(token)
  if not claims then return self:refuse(req, why, code) end
  local name = claim_of(claims, self.consumer_claim)
  req.consumer = { name = type(name) == "string" and name or nil, claims = claims }
  self:tell_upstream(req, claims)
end

return JwtAuth
