--- Passwords kept as hashes. Only such are known as are checked within a few milliseconds, because a loop serves nobody
-- else meanwhile: PBKDF2 of few rounds, and plain or salted digests (RFC 2307). bcrypt, scrypt, argon2 and crypt(3) are
-- not. Choose long, random passwords for what a gateway checks.
local base64 = require "tidegate.tide.base64"
local ffi = require "ffi"
local hash = require "tidegate.tide.hash"
local openssl = require "tidegate.tide.openssl"
local words = require "tidegate.tide.words"

local password = {}

local C = openssl.C
local ROUNDS_MAX = 10000                -- about five milliseconds
local ROUNDS = 5000
local PASSWORD_MAX = 1024               -- bytes
local RESULT_MAX = 64
local SALT = 16

local derived = ffi.new("uint8_t[?]", RESULT_MAX)

local function derive(secret, salt, rounds, size, digest)
  if C.PKCS5_PBKDF2_HMAC(secret, #secret, salt, #salt, rounds, digest, size, derived) ~= 1 then
    return nil, openssl.reason()
  end
  return ffi.string(derived, size)
end

--- PBKDF2, RFC 8018: a key from a password. 10,000 rounds take about five milliseconds, in which the loop does nothing
-- else; more are refused.
-- @tparam string secret the password, at most 1024 bytes
-- @tparam string salt
-- @tparam number rounds 1 to 10,000
-- @tparam number size bytes of the result, 1 to 64
-- @tparam[opt="sha256"] string algorithm of the digest
-- @treturn[1] string bytes
-- @return[2] nil and why
function password.pbkdf2(secret, salt, rounds, size, algorithm)
  if type(secret) ~= "string" then words.misuse("crypto.pbkdf2", "a text as password", secret) end
  if type(salt) ~= "string" then words.misuse("crypto.pbkdf2", "a text as salt", salt) end
  if type(rounds) ~= "number" then words.misuse("crypto.pbkdf2", "a number of rounds", rounds) end
  if type(size) ~= "number" then words.misuse("crypto.pbkdf2", "a number of bytes", size) end
  if algorithm ~= nil and type(algorithm) ~= "string" then
    words.misuse("crypto.pbkdf2", "the name of an algorithm", algorithm)
  end
  local digest, why = openssl.digest(algorithm or "sha256")
  if not digest then return nil, why end
  if #secret > PASSWORD_MAX then
    return nil, ("expected a password of at most %d bytes, found %d"):format(PASSWORD_MAX, #secret)
  end
  if rounds < 1 or rounds > ROUNDS_MAX or rounds % 1 ~= 0 then
    return nil, ("expected 1 to %d rounds, found %s"):format(ROUNDS_MAX, tostring(rounds))
  end
  if size < 1 or size > RESULT_MAX or size % 1 ~= 0 then
    return nil, ("expected 1 to %d bytes, found %s"):format(RESULT_MAX, tostring(size))
  end
  return derive(secret, salt, rounds, size, digest)
end

--- Base64 as PBKDF2 hashes have it: no padding, and "." for "+".
local function decode_adapted(text)
  return base64.decode_url((text:gsub("[./+]", { ["."] = "-", ["+"] = "-", ["/"] = "_" })))
end

local function verify_pbkdf2(kept, given)
  local algorithm, rounds, salt, wanted = kept:match "^%$pbkdf2%-(sha%d+)%$i?=?(%d+)%$([^$]*)%$([^$]+)$"
  if not algorithm or #rounds > 9 then return nil, "expected $pbkdf2-sha256$ROUNDS$SALT$HASH" end
  salt, wanted = decode_adapted(salt), decode_adapted(wanted)
  if not salt or not wanted then return nil, "expected salt and hash of $pbkdf2-...$ in base64" end
  local made, why = password.pbkdf2(given, salt, tonumber(rounds), #wanted, algorithm)
  if not made then return nil, why end
  return hash.equal(made, wanted)
end

local SCHEMES = {
  SHA = { "sha1", 20 }, SSHA = { "sha1", 20 }, SHA256 = { "sha256", 32 }, SSHA256 = { "sha256", 32 },
  SHA512 = { "sha512", 64 }, SSHA512 = { "sha512", 64 },
}

--- {SHA256}BASE64, and {SSHA256}BASE64 with the salt behind the digest.
local function verify_digest(kept, given)
  local scheme, text = kept:match "^{(%u%w*)}(.*)$"
  local known = SCHEMES[scheme]
  if not known then return nil, "expected {SHA}, {SSHA}, {SHA256}, {SSHA256}, {SHA512} or {SSHA512}" end
  local bytes, why = base64.decode(text)
  if not bytes then return nil, why end
  local is_salted = scheme:sub(1, 2) == "SS"
  if is_salted and #bytes <= known[2] or not is_salted and #bytes ~= known[2] then
    return nil, ("expected %d bytes of digest in {%s}%s, found %d"):format(
      known[2], scheme, is_salted and " and a salt" or "", #bytes)
  end
  local made
  made, why = hash.digest(known[1], given .. bytes:sub(known[2] + 1))
  if not made then return nil, why end
  return hash.equal(made, bytes:sub(1, known[2]))
end

--- Whether a password is the one that a hash was made of.
-- @tparam string kept the hash: $pbkdf2-sha256$ROUNDS$SALT$HASH (or -sha512; up to 10,000 rounds), {SHA}, {SSHA},
-- {SHA256}, {SSHA256}, {SHA512} or {SSHA512} with base64
-- @tparam string given the password
-- @treturn[1] boolean
-- @return[2] nil and why: a hash of another kind
function password.verify(kept, given)
  if type(kept) ~= "string" then words.misuse("crypto.verify_password", "a hash as text", kept) end
  if type(given) ~= "string" then words.misuse("crypto.verify_password", "a text as password", given) end
  if #given > PASSWORD_MAX then return false end
  if kept:find("$pbkdf2-", 1, true) == 1 then return verify_pbkdf2(kept, given) end
  if kept:find "^{" then return verify_digest(kept, given) end
  if kept:find "^%$" then
    return nil, ("expected a hash that is quick to check, such as $pbkdf2-sha256$ or {SSHA256}, found %s"):format(
      words.quote(kept:match "^%$[^$]*%$?"))
  end
  return nil, "expected a hash such as $pbkdf2-sha256$... or {SSHA256}..., found something else"
end

--- Makes a hash for crypto.verify_password: PBKDF2 with SHA-256 and a random salt.
-- @tparam string given the password, at most 1024 bytes
-- @tparam[opt=5000] number rounds 1 to 10,000
-- @treturn[1] string $pbkdf2-sha256$ROUNDS$SALT$HASH
-- @return[2] nil and why
function password.hash(given, rounds)
  if type(given) ~= "string" then words.misuse("crypto.hash_password", "a text as password", given) end
  if rounds ~= nil and type(rounds) ~= "number" then
    words.misuse("crypto.hash_password", "a number of rounds", rounds)
  end
  if C.RAND_bytes(derived, SALT) ~= 1 then error("crypto.hash_password: the system gives no random bytes") end
  local salt = ffi.string(derived, SALT)
  rounds = rounds or ROUNDS
  local made, why = password.pbkdf2(given, salt, rounds, 32)
  if not made then return nil, why end
  local function adapted(bytes) return (base64.encode(bytes):gsub("[+=]", { ["+"] = ".", ["="] = "" })) end
  return ("$pbkdf2-sha256$%d$%s$%s"):format(rounds, adapted(salt), adapted(made))
end

return password
