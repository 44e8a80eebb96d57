--- Digests, HMACs, and comparing them without telling by the time it takes where they differ.
local ffi = require "ffi"
local openssl = require "tidegate.tide.openssl"
local words = require "tidegate.tide.words"

local hash = {}

local C = openssl.C
local RESULT_MAX = 64           -- EVP_MAX_MD_SIZE

local result = ffi.new("uint8_t[?]", RESULT_MAX)
local result_bytes = ffi.new "unsigned int[1]"
local result_size = ffi.new "size_t[1]"
local context = ffi.gc(C.EVP_MD_CTX_new(), C.EVP_MD_CTX_free)

--- @tparam string algorithm sha1, sha256, sha384, sha512 or md5 (the first and the last for what is old)
-- @tparam string data
-- @treturn[1] string the digest, bytes
-- @return[2] nil and why: an algorithm that is not known
function hash.digest(algorithm, data)
  if type(algorithm) ~= "string" then words.misuse("crypto.digest", "the name of an algorithm", algorithm) end
  if type(data) ~= "string" then words.misuse("crypto.digest", "a text", data) end
  local digest, why = openssl.digest(algorithm)
  if not digest then return nil, why end
  if C.EVP_DigestInit_ex2(context, digest, nil) ~= 1 or C.EVP_DigestUpdate(context, data, #data) ~= 1 or
     C.EVP_DigestFinal_ex(context, result, result_bytes) ~= 1 then
    return nil, openssl.reason()
  end
  return ffi.string(result, result_bytes[0])
end

--- HMAC, RFC 2104.
-- @tparam string algorithm of the digest, as for crypto.digest
-- @tparam string key
-- @tparam string data
-- @treturn[1] string bytes
-- @return[2] nil and why: an algorithm that is not known
function hash.hmac(algorithm, key, data)
  if type(algorithm) ~= "string" then words.misuse("crypto.hmac", "the name of an algorithm", algorithm) end
  if type(key) ~= "string" then words.misuse("crypto.hmac", "a text as key", key) end
  if type(data) ~= "string" then words.misuse("crypto.hmac", "a text", data) end
  local mac, why = openssl.hmac(algorithm)
  if not mac then return nil, why end
  if C.EVP_MAC_init(mac, key, #key, nil) ~= 1 or C.EVP_MAC_update(mac, data, #data) ~= 1 or
     C.EVP_MAC_final(mac, result, result_size, RESULT_MAX) ~= 1 then
    return nil, openssl.reason()
  end
  return ffi.string(result, tonumber(result_size[0]))
end

--- Whether two texts are equal, in a time that depends on nothing but their lengths: for secrets and signatures.
-- @tparam string a
-- @tparam string b
-- @treturn boolean
function hash.equal(a, b)
  if type(a) ~= "string" then words.misuse("crypto.equal", "a text", a) end
  if type(b) ~= "string" then words.misuse("crypto.equal", "a text", b) end
  return #a == #b and C.CRYPTO_memcmp(a, b, #a) == 0
end

return hash
