--- Keys for signatures, loaded once from PEM (RFC 7468) or JWK (RFC 7517). A key knows what kind it is, and serves
-- nothing else. Everything is brought to DER, which OpenSSL reads: nothing can ask for a passphrase.
local base64 = require "tidegate.tide.base64"
local der = require "tidegate.tide.der"
local ffi = require "ffi"
local opaque = require "tidegate.tide.opaque"
local openssl = require "tidegate.tide.openssl"
local words = require "tidegate.tide.words"

local key = {}

local C = openssl.C
local PEM_MAX = 64 * 1024
local MEMBER_MAX = 4096                             -- bytes of a member of a JWK
local RSA_BITS_MIN, RSA_BITS_MAX = 2048, 8192       -- RFC 7518 section 3.3; more would take too long

--- What messages and logs see.
local function words_for(state)
  if state.kind == "secret" then return "a secret" end
  local what = state.kind == "rsa" and ("RSA key of %d bits"):format(state.bits) or state.curve .. " key"
  return ("a %s %s"):format(state.is_private and "private" or "public", what)
end

local Key = opaque("a key", {}, { "kind", "curve", "bits", "is_private", "kid", "alg" }, words_for)

--- Whether a value is a key.
function key.is(value) return Key.state(value) ~= nil end

--- What makes signatures: pkey, or bytes of a secret, besides what a key shows.
-- @treturn ?table nil for what is no key
key.state = Key.state

local function secret_state(bytes) return { kind = "secret", is_private = true, bytes = bytes } end

--- A secret for HMAC: what both sides know. A PEM text is refused, because a public key is no secret.
-- @tparam string bytes
-- @treturn[1] table kind is "secret"
-- @return[2] nil and why
function key.secret(bytes)
  if type(bytes) ~= "string" then words.misuse("crypto.secret", "a text", bytes) end
  if bytes == "" then return nil, "expected a secret, found an empty text" end
  if not bytes:find("-----BEGIN ", 1, true) then return Key.new(secret_state(bytes)) end
  return nil, "expected a secret, found a PEM text, which crypto.key takes"
end

-- -- from DER --

local CURVES = { prime256v1 = "P-256", secp384r1 = "P-384", secp521r1 = "P-521" }
local name, name_size = ffi.new "char[64]", ffi.new "size_t[1]"

--- The state of a key, if it is of a kind and size that signatures are made with.
local function describe(pkey, is_private)
  local made = { pkey = pkey, is_private = is_private }
  if C.EVP_PKEY_is_a(pkey, "RSA") == 1 then
    made.kind, made.bits = "rsa", C.EVP_PKEY_get_bits(pkey)
    if made.bits < RSA_BITS_MIN or made.bits > RSA_BITS_MAX then
      return nil, ("expected an RSA key of %d to %d bits, found one of %d"):format(
        RSA_BITS_MIN, RSA_BITS_MAX, made.bits)
    end
    return made
  end
  if C.EVP_PKEY_is_a(pkey, "EC") == 1 then
    local has_name = C.EVP_PKEY_get_group_name(pkey, name, ffi.sizeof(name), name_size) == 1
    made.kind, made.curve = "ec", has_name and CURVES[ffi.string(name)] or nil
    if made.curve then return made end
    openssl.reason()
    return nil, ("expected an EC key on P-256, P-384 or P-521, found one on %s"):format(
      has_name and ffi.string(name) or "a curve of its own")
  end
  for _, curve in ipairs { "Ed25519", "Ed448" } do
    if C.EVP_PKEY_is_a(pkey, curve:upper()) == 1 then
      made.kind, made.curve = "okp", curve
      return made
    end
  end
  return nil, "expected an RSA, EC or Ed25519 key, found one of another kind"
end

--- Reads one object, with nothing behind it, by a d2i function of OpenSSL.
local function read(text, d2i, free)
  local first = ffi.cast("const unsigned char *", text)
  local at = ffi.new("const unsigned char *[1]", first)
  local object = d2i(nil, at, #text)
  if object == nil then return nil, openssl.reason() end
  ffi.gc(object, free)
  -- What was tried on the way may have left errors, although it went well.
  C.ERR_clear_error()
  if at[0] - first ~= #text then return nil, "more behind its end" end
  return object
end

local function read_public(text) return read(text, C.d2i_PUBKEY, C.EVP_PKEY_free) end
local function read_private(text) return read(text, C.d2i_AutoPrivateKey, C.EVP_PKEY_free) end

local function read_certificate(text)
  local certificate, why = read(text, C.d2i_X509, C.X509_free)
  if not certificate then return nil, why end
  local pkey = C.X509_get_pubkey(certificate)
  if pkey == nil then return nil, openssl.reason() end
  return ffi.gc(pkey, C.EVP_PKEY_free)
end

--- SubjectPublicKeyInfo around a key: RFC 5280 section 4.1.
local function wrap_public(algorithm, bytes)
  return der.sequence(der.sequence(algorithm) .. der.bit_string(bytes))
end

--- PrivateKeyInfo around a key: RFC 5208 section 5.
local function wrap_private(algorithm, bytes)
  return der.sequence(der.integer "" .. der.sequence(algorithm) .. der.octets(bytes))
end

-- -- PEM --

local LABELS = {
  ["PUBLIC KEY"] = { read = read_public },
  ["RSA PUBLIC KEY"] = { read = function(text) return read_public(wrap_public(der.oids.rsa, text)) end },
  ["CERTIFICATE"] = { read = read_certificate },
  ["PRIVATE KEY"] = { read = read_private, is_private = true },
  ["RSA PRIVATE KEY"] = { read = read_private, is_private = true },
  ["EC PRIVATE KEY"] = { read = read_private, is_private = true },
}

local function from_pem(text)
  if #text > PEM_MAX then return nil, ("expected a PEM text of at most %d bytes, found %d"):format(PEM_MAX, #text) end
  -- openssl ecparam writes the curve in front of the key, which names it again.
  local rest = text:gsub("%-%-%-%-%-BEGIN EC PARAMETERS.-END EC PARAMETERS%-%-%-%-%-", "")
  local label, body = rest:match "%-%-%-%-%-BEGIN ([A-Z0-9 ]+)%-%-%-%-%-\r?\n(.-)%-%-%-%-%-END %1%-%-%-%-%-"
  if not label then return nil, "expected a PEM text, from -----BEGIN to -----END" end
  local known = LABELS[label]
  if label == "ENCRYPTED PRIVATE KEY" or body:find("Proc-Type", 1, true) then
    return nil, "expected a private key in the clear, found an encrypted one"
  end
  if not known then return nil, ("expected a key or a certificate in PEM, found %s"):format(words.quote(label)) end
  local bytes, why = base64.decode((body:gsub("[ \t\r\n]", "")))
  if not bytes then return nil, ("PEM %s: %s"):format(label, why) end
  local pkey
  pkey, why = known.read(bytes)
  if not pkey then return nil, ("expected a key in PEM %s, found %s"):format(label, why) end
  return describe(pkey, known.is_private or false)
end

-- -- JWK --

local CURVE_BYTES = { ["P-256"] = 32, ["P-384"] = 48, ["P-521"] = 66, Ed25519 = 32, Ed448 = 57 }

--- The bytes of members of a JWK, in their order; nil and why.
local function members(jwk, names, size)
  local found = {}
  for i, member in ipairs(names) do
    if type(jwk[member]) ~= "string" then return nil, ("JWK %s: expected %s as a text"):format(jwk.kty, member) end
    local value, why = base64.decode_url(jwk[member])
    if not value or value == "" then
      return nil, ("JWK %s: %s: %s"):format(jwk.kty, member, why or "expected bytes, found none")
    end
    if size and #value ~= size then
      return nil, ("JWK %s: %s: expected %d bytes, found %d"):format(jwk.kty, member, size, #value)
    end
    if #value > MEMBER_MAX then
      return nil, ("JWK %s: %s: expected at most %d bytes, found %d"):format(jwk.kty, member, MEMBER_MAX, #value)
    end
    found[i] = value
  end
  return found
end

local function rsa_from_jwk(jwk)
  if not jwk.d then
    local numbers, why = members(jwk, { "n", "e" })
    if not numbers then return nil, why end
    return read_public(wrap_public(der.oids.rsa, der.sequence(der.integer(numbers[1]) .. der.integer(numbers[2]))))
  end
  if jwk.oth then return nil, "JWK RSA: expected two primes, found more" end
  local numbers, why = members(jwk, { "n", "e", "d", "p", "q", "dp", "dq", "qi" })
  if not numbers then return nil, why end
  local content = der.integer ""
  for _, number in ipairs(numbers) do content = content .. der.integer(number) end
  return read_private(wrap_private(der.oids.rsa, der.sequence(content)))
end

--- Whether the public part of a key is that of its private part.
local function is_pair(pkey)
  local context = ffi.gc(C.EVP_PKEY_CTX_new_from_pkey(nil, pkey, nil), C.EVP_PKEY_CTX_free)
  local ok = C.EVP_PKEY_pairwise_check(context) == 1
  C.ERR_clear_error()
  return ok
end

local function ec_from_jwk(jwk)
  local curve = der.oids[jwk.crv]
  if not curve or not jwk.crv:find "^P%-" then return nil, "JWK EC: expected crv P-256, P-384 or P-521" end
  local size = CURVE_BYTES[jwk.crv]
  local numbers, why = members(jwk, { "x", "y", jwk.d and "d" }, size)
  if not numbers then return nil, why end
  local point = "\4" .. numbers[1] .. numbers[2]
  if not jwk.d then return read_public(wrap_public(der.oids.ec .. curve, point)) end
  local content = der.integer "\1" .. der.octets(numbers[3]) .. der.tagged(1, der.bit_string(point))   -- RFC 5915
  local pkey
  pkey, why = read_private(wrap_private(der.oids.ec .. curve, der.sequence(content)))
  if pkey and not is_pair(pkey) then return nil, "d, x and y that do not belong together" end
  return pkey, why
end

local raw, raw_size = ffi.new "uint8_t[64]", ffi.new "size_t[1]"

local function okp_from_jwk(jwk)
  local curve = jwk.crv
  if curve ~= "Ed25519" and curve ~= "Ed448" then return nil, "JWK OKP: expected crv Ed25519 or Ed448" end
  local numbers, why = members(jwk, { "x", jwk.d and "d" }, CURVE_BYTES[curve])
  if not numbers then return nil, why end
  if not jwk.d then return read_public(wrap_public(der.oids[curve], numbers[1])) end
  local pkey
  pkey, why = read_private(wrap_private(der.oids[curve], der.octets(numbers[2])))      -- RFC 8410 section 7
  if not pkey then return nil, why end
  raw_size[0] = 64
  local has_raw = C.EVP_PKEY_get_raw_public_key(pkey, raw, raw_size) == 1
  if has_raw and ffi.string(raw, tonumber(raw_size[0])) == numbers[1] then return pkey end
  C.ERR_clear_error()
  return nil, "d and x that do not belong together"
end

local KINDS = { RSA = rsa_from_jwk, EC = ec_from_jwk, OKP = okp_from_jwk }

local function from_jwk(jwk)
  for _, member in ipairs { "kty", "alg", "kid", "use", "crv" } do
    if jwk[member] ~= nil and type(jwk[member]) ~= "string" then
      return nil, ("JWK: expected %s as a text, found a %s"):format(member, type(jwk[member]))
    end
  end
  if jwk.use and jwk.use ~= "sig" then return nil, ("JWK: expected use sig, found %s"):format(words.quote(jwk.use)) end
  local made, why
  if jwk.kty == "oct" then
    local found
    found, why = members(jwk, { "k" })
    made = found and secret_state(found[1])
  else
    if not KINDS[jwk.kty] then
      return nil, ("JWK: expected kty RSA, EC, OKP or oct, found %s"):format(words.quote(tostring(jwk.kty)))
    end
    local pkey
    pkey, why = KINDS[jwk.kty](jwk)
    if not pkey and why:find "^JWK" then return nil, why end
    if not pkey then return nil, ("expected a key in JWK %s, found %s"):format(jwk.kty, why) end
    made, why = describe(pkey, jwk.d ~= nil)
  end
  if not made then return nil, why end
  made.kid, made.alg = jwk.kid, jwk.alg
  return made
end

--- Loads a key: once, in `new`. A certificate gives its public key, without being checked in any way.
-- @param source a PEM text (PUBLIC KEY, RSA PUBLIC KEY, CERTIFICATE, PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY; not
-- encrypted), or a JWK as a table (RSA, EC, OKP, oct)
-- @treturn[1] table kind ("rsa", "ec", "okp", "secret"), curve or bits, is_private; kid and alg of a JWK. With an alg
-- it serves that algorithm only
-- @return[2] nil and why
function key.load(source)
  local kind = type(source)
  if kind ~= "string" and kind ~= "table" then words.misuse("crypto.key", "a PEM text or a JWK as a table", source) end
  local made, why = (kind == "string" and from_pem or from_jwk)(source)
  if not made then return nil, why end
  return Key.new(made)
end

return key
