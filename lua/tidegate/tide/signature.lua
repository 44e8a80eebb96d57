--- Signatures by the algorithms of JOSE: RFC 7518 section 3, RFC 8037. An algorithm takes keys of its own kind only.
local der = require "tidegate.tide.der"
local ffi = require "ffi"
local hash = require "tidegate.tide.hash"
local key = require "tidegate.tide.key"
local openssl = require "tidegate.tide.openssl"
local scratch = require "tidegate.tide.scratch"
local words = require "tidegate.tide.words"

local signature = {}

local C = openssl.C
local PSS_PADDING, SALT_LIKE_DIGEST = 6, -1

local algorithms = { EdDSA = { kind = "okp", needs = "an Ed25519 or Ed448 key" } }
for bits, curve in pairs { [256] = "P-256", [384] = "P-384", [512] = "P-521" } do
  local digest = "sha" .. bits
  algorithms["HS" .. bits] = { kind = "secret", digest = digest, needs = "a secret" }
  algorithms["RS" .. bits] = { kind = "rsa", digest = digest, needs = "an RSA key" }
  algorithms["PS" .. bits] = { kind = "rsa", digest = digest, is_pss = true, needs = "an RSA key" }
  algorithms["ES" .. bits] = { kind = "ec", digest = digest, curve = curve, needs = "an EC key on " .. curve,
                               size = bits == 512 and 66 or bits / 8 }
end

--- Whether there is an algorithm of a name.
function signature.is_known(name) return algorithms[name] ~= nil end

--- Whether a key serves an algorithm.
-- @tparam string name of the algorithm
-- @param with a key
-- @treturn[1] table the algorithm
-- @treturn[1] table the inside of the key
-- @return[2] nil and why not
local function match(name, with)
  local algorithm = algorithms[name]
  if not algorithm then return nil, ("expected an algorithm such as RS256, found %s"):format(words.quote(name)) end
  if with.kind ~= algorithm.kind or algorithm.curve and with.curve ~= algorithm.curve then
    return nil, ("%s: expected %s, found %s"):format(name, algorithm.needs, tostring(with))
  end
  if with.alg and with.alg ~= name then
    return nil, ("%s: expected a key for it, found one for %s"):format(name, words.quote(with.alg))
  end
  return algorithm, key.state(with)
end

local context = ffi.gc(C.EVP_MD_CTX_new(), C.EVP_MD_CTX_free)
local key_context = ffi.new "struct evp_pkey_ctx_st *[1]"
local size = ffi.new "size_t[1]"

--- Readies the context.
-- @param init EVP_DigestSignInit_ex or EVP_DigestVerifyInit_ex
local function begin(init, algorithm, pkey)
  C.EVP_MD_CTX_reset(context)
  local digest = algorithm.digest and algorithm.digest:upper() or nil
  if init(context, key_context, digest, nil, nil, pkey, nil) ~= 1 then return false end
  return not algorithm.is_pss or C.EVP_PKEY_CTX_set_rsa_padding(key_context[0], PSS_PADDING) == 1 and
         C.EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context[0], SALT_LIKE_DIGEST) == 1
end

local SIGNATURE_MAX = 1024      -- bytes: of an RSA key of 8192 bits

local function check_types(where, name, with, data)
  if type(name) ~= "string" then words.misuse(where, "the name of an algorithm", name, 4) end
  if not key.is(with) then words.misuse(where, "a key of crypto.key or crypto.secret", with, 4) end
  if type(data) ~= "string" then words.misuse(where, "a text", data, 4) end
end

--- Signs. An RSA signature takes about a millisecond; the others a tenth of that or less.
-- @tparam string name HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA
-- @param with a private key of crypto.key, or a secret of crypto.secret
-- @tparam string data
-- @treturn[1] string the signature, bytes; r and s for ES
-- @return[2] nil and why
function signature.sign(name, with, data)
  check_types("crypto.sign", name, with, data)
  local algorithm, state = match(name, with)
  if not algorithm then return nil, state end
  if not state.is_private then
    return nil, ("%s: expected a private key to sign with, found %s"):format(name, tostring(with))
  end
  if algorithm.kind == "secret" then return hash.hmac(algorithm.digest, state.bytes, data) end
  local to = scratch(SIGNATURE_MAX)
  size[0] = SIGNATURE_MAX
  if not begin(C.EVP_DigestSignInit_ex, algorithm, state.pkey) or
     C.EVP_DigestSign(context, to, size, data, #data) ~= 1 then
    return nil, openssl.reason()
  end
  local made = ffi.string(to, tonumber(size[0]))
  return algorithm.size and der.to_raw_signature(made, algorithm.size) or made
end

--- Checks a signature.
-- @tparam string name of the algorithm, as for crypto.sign
-- @param with a key, public or private, or a secret
-- @tparam string data
-- @tparam string signed the signature
-- @treturn[1] boolean whether it is good
-- @return[2] nil and why: a key that does not serve this algorithm
function signature.verify(name, with, data, signed)
  check_types("crypto.verify", name, with, data)
  if type(signed) ~= "string" then words.misuse("crypto.verify", "a signature as text", signed) end
  local algorithm, state = match(name, with)
  if not algorithm then return nil, state end
  if algorithm.kind == "secret" then
    local wanted, why = hash.hmac(algorithm.digest, state.bytes, data)
    if not wanted then return nil, why end
    return hash.equal(wanted, signed)
  end
  if #signed > SIGNATURE_MAX then return false end
  if algorithm.size then
    if #signed ~= 2 * algorithm.size then return false end
    signed = der.from_raw_signature(signed)
  end
  if not begin(C.EVP_DigestVerifyInit_ex, algorithm, state.pkey) then return nil, openssl.reason() end
  if C.EVP_DigestVerify(context, signed, #signed, data, #data) == 1 then return true end
  C.ERR_clear_error()
  return false
end

return signature
