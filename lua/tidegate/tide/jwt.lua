--- JSON Web Tokens, RFC 7519: signed ones in compact form (RFC 7515 section 7.1).
-- What a token says of itself decides nothing: the caller names the algorithms, and a key serves those of its own kind
-- only (RFC 8725). "none" is no algorithm here.
local base64 = require "tidegate.tide.base64"
local json = require "tidegate.tide.json"
local key = require "tidegate.tide.key"
local signature = require "tidegate.tide.signature"
local words = require "tidegate.tide.words"

local jwt = {}

local TOKEN_MAX = 16 * 1024

--- The object in one part of a token; nil and why.
local function read_object(part, what)
  local text, value, why
  text, why = base64.decode_url(part)
  if text then value, why = json.decode(text) end
  if value == nil then return nil, ("%s: %s"):format(what, why), "malformed" end
  if not text:find "^[ \t\r\n]*{" then return nil, what .. ": expected an object", "malformed" end
  return value
end

--- Where the two dots of a token are.
local function find_dots(token)
  if #token > TOKEN_MAX then
    return nil, ("expected a token of at most %d bytes, found %d"):format(TOKEN_MAX, #token), "too_large"
  end
  local first = token:find(".", 1, true)
  local second = first and token:find(".", first + 1, true)
  if not second or token:find(".", second + 1, true) then
    return nil, "expected a token of three parts with dots between them", "malformed"
  end
  return first, second
end

--- What a token says, without any check of its signature: anybody may have written it. For looking only.
-- @tparam string token
-- @treturn[1] table claims
-- @treturn[1] table header
-- @return[2] nil, why, and "malformed" or "too_large"
function jwt.decode_unverified(token)
  if type(token) ~= "string" then words.misuse("jwt.decode_unverified", "a token as text", token) end
  local first, second, code = find_dots(token)
  if not first then return nil, second, code end
  local header, claims, why
  header, why, code = read_object(token:sub(1, first - 1), "header")
  if not header then return nil, why, code end
  claims, why, code = read_object(token:sub(first + 1, second - 1), "claims")
  if not claims then return nil, why, code end
  return claims, header
end

-- -- checking --

local function contains(list, value)
  for i = 1, #list do
    if list[i] == value then return true end
  end
  return false
end

local VERIFY_OPTIONS = {
  keys = "any", algs = "table", iss = "any", aud = "any", leeway = "number", required = "table", clock = "function",
}

--- Raises what is wrong with the options themselves, in the caller of jwt.verify.
local function check_options(options)
  local algs = options.algs
  if type(algs) ~= "table" or #algs == 0 then
    error('jwt.verify: expected algs, a list of the algorithms to accept such as { "RS256" }', 3)
  end
  for i = 1, #algs do
    if not signature.is_known(algs[i]) then
      error(("jwt.verify: algs: expected algorithms such as RS256, found %s"):format(words.quote(tostring(algs[i]))), 3)
    end
  end
  local kind = type(options.keys)
  if kind ~= "table" and kind ~= "function" then
    error("jwt.verify: expected keys (a key of crypto.key or crypto.secret, a table of them by kid, or a function), "
          .. "found a " .. kind, 3)
  end
  for _, name in ipairs { "iss", "aud" } do
    kind = type(options[name])
    if kind ~= "nil" and kind ~= "string" and kind ~= "table" then
      error(("jwt.verify: option %s: expected a text or a list of texts, found a %s"):format(name, kind), 3)
    end
  end
end

--- The key for a token; nil, why and code.
local function find_key(keys, header)
  if key.is(keys) then return keys end
  local kid, found, why = header.kid, nil, nil
  if type(keys) == "function" then
    found, why = keys(kid, header)
  elseif kid ~= nil then
    found = keys[kid]
  else
    why = "expected a kid in the header"
  end
  if found == nil or found == false then
    return nil, why or ("expected a kid that is known, found %s"):format(words.quote(kid or "none")), "unknown_key"
  end
  if not key.is(found) then error("jwt.verify: keys: expected keys of crypto.key or crypto.secret", 0) end
  return found
end

local function check_header(header, algs)
  local alg = header.alg
  if type(alg) ~= "string" then return nil, "header: expected alg as a text", "malformed" end
  if not contains(algs, alg) then
    return nil, ("expected algorithm %s, found %s"):format(table.concat(algs, " or "), words.quote(alg)), "algorithm"
  end
  if header.crit ~= nil then return nil, "expected a header without crit, of which nothing is known here", "crit" end
  if header.kid == nil or type(header.kid) == "string" then return true end
  return nil, "header: expected kid as a text", "malformed"
end

--- The signature of a token, checked.
local function check_signature(token, first, second, options)
  local header, why, code = read_object(token:sub(1, first - 1), "header")
  if not header then return nil, why, code end
  local ok
  ok, why, code = check_header(header, options.algs)
  if not ok then return nil, why, code end
  local with
  with, why, code = find_key(options.keys, header)
  if not with then return nil, why, code end
  local signed
  signed, why = base64.decode_url(token:sub(second + 1))
  if not signed then return nil, "signature: " .. why, "malformed" end
  ok, why = signature.verify(header.alg, with, token:sub(1, second - 1), signed)
  if ok == nil then return nil, why, "key" end
  if not ok then return nil, "expected a signature by the key, found another one", "signature" end
  return header
end

local function check_times(claims, options)
  for _, name in ipairs { "exp", "nbf", "iat" } do
    if claims[name] ~= nil and type(claims[name]) ~= "number" then
      return nil, ("claim %s: expected a number of seconds"):format(name), "malformed"
    end
  end
  local now, leeway = (options.clock or os.time)(), options.leeway or 0
  if claims.exp and now - leeway >= claims.exp then
    local ago = now - claims.exp
    return nil, ("expected a token that is still valid, found one that expired %d seconds ago"):format(ago), "expired"
  end
  if claims.nbf and now + leeway < claims.nbf then
    local ahead = claims.nbf - now
    return nil, ("expected a token that is valid already, found one for %d seconds from now"):format(ahead),
      "not_yet_valid"
  end
  return true
end

--- Whether a claim, a text or a list of texts, has one of the wanted texts.
local function has_one_of(claim, wanted)
  if type(claim) == "string" then
    if type(wanted) == "string" then return claim == wanted end
    return contains(wanted, claim)
  end
  if type(claim) ~= "table" then return false end
  for i = 1, #claim do
    if type(claim[i]) == "string" and has_one_of(claim[i], wanted) then return true end
  end
  return false
end

local function check_claims(claims, options)
  for _, name in ipairs(options.required or {}) do
    if claims[name] == nil or claims[name] == json.null then
      return nil, ("expected the claim %s, found none"):format(name), "missing_claim"
    end
  end
  local ok, why, code = check_times(claims, options)
  if not ok then return nil, why, code end
  if options.iss and (type(claims.iss) ~= "string" or not has_one_of(claims.iss, options.iss)) then
    return nil, "expected another issuer (iss)", "issuer"
  end
  if not options.aud or has_one_of(claims.aud, options.aud) then return true end
  return nil, "expected another audience (aud)", "audience"
end

--- Checks a token: its signature first, then its claims.
-- @tparam string token at most 16 KiB
-- @tparam table options
-- keys: a key of crypto.key or crypto.secret; or a table of them by kid; or a function(kid, header) that gives one, or
-- nil and why.
-- algs: list of the algorithms to accept, no default.
-- iss, aud: a text or a list of texts, one of which the claim must be or have; not looked at where they are nil.
-- leeway: seconds by which clocks may differ (0). required: list of claims that must be there.
-- clock: function that gives the time in seconds since 1970 (os.time).
-- exp and nbf are always checked where they are; exp, nbf and iat must be numbers. A header with crit is refused.
-- @treturn[1] table claims
-- @treturn[1] table header
-- @return[2] nil, why, and a code: malformed, too_large, algorithm, crit, unknown_key, key, signature, expired,
-- not_yet_valid, missing_claim, issuer, audience
function jwt.verify(token, options)
  if type(token) ~= "string" then words.misuse("jwt.verify", "a token as text", token) end
  options = words.options("jwt.verify", options, VERIFY_OPTIONS)
  check_options(options)
  local first, second, code = find_dots(token)
  if not first then return nil, second, code end
  local header, claims, ok, why
  header, why, code = check_signature(token, first, second, options)
  if not header then return nil, why, code end
  claims, why, code = read_object(token:sub(first + 1, second - 1), "claims")
  if not claims then return nil, why, code end
  ok, why, code = check_claims(claims, options)
  if not ok then return nil, why, code end
  return claims, header
end

-- -- making --

local SIGN_OPTIONS = { alg = "string", key = "table", kid = "string", typ = "string" }

--- Makes a token.
-- @tparam table claims what json.encode takes; exp, nbf and iat in seconds since 1970
-- @tparam table options alg; key: a private key of crypto.key or a secret of crypto.secret; kid (the key's own); typ
-- ("JWT")
-- @treturn[1] string
-- @return[2] nil and why
function jwt.sign(claims, options)
  if type(claims) ~= "table" then words.misuse("jwt.sign", "a table of claims", claims) end
  options = words.options("jwt.sign", options, SIGN_OPTIONS)
  if not options.alg then error("jwt.sign: expected the option alg, such as \"HS256\"", 2) end
  if not key.is(options.key) then error("jwt.sign: expected the option key, of crypto.key or crypto.secret", 2) end
  local header = { alg = options.alg, kid = options.kid or options.key.kid, typ = options.typ or "JWT" }
  local body, signed, why
  body, why = json.encode(claims, { sorted = true })
  if not body then return nil, "claims: " .. why end
  local data = base64.encode_url(json.encode(header, { sorted = true })) .. "." .. base64.encode_url(body)
  signed, why = signature.sign(options.alg, options.key, data)
  if not signed then return nil, why end
  local token = data .. "." .. base64.encode_url(signed)
  if #token <= TOKEN_MAX then return token end
  return nil, ("expected a token of at most %d bytes, found %d"):format(TOKEN_MAX, #token)
end

return jwt
