--- Cryptography over OpenSSL, as plugins see it: digests, signatures, encryption, random bytes, passwords.
local aes = require "tidegate.tide.aes"
local bit = require "bit"
local ffi = require "ffi"
local hash = require "tidegate.tide.hash"
local hex = require "tidegate.tide.hex"
local key = require "tidegate.tide.key"
local openssl = require "tidegate.tide.openssl"
local password = require "tidegate.tide.password"
local scratch = require "tidegate.tide.scratch"
local signature = require "tidegate.tide.signature"
local words = require "tidegate.tide.words"

local crypto = {
  digest = hash.digest, hmac = hash.hmac, equal = hash.equal,
  key = key.load, secret = key.secret,
  sign = signature.sign, verify = signature.verify,
  aes_gcm_encrypt = aes.encrypt, aes_gcm_decrypt = aes.decrypt,
  pbkdf2 = password.pbkdf2, hash_password = password.hash, verify_password = password.verify,
}

local band, bor, lshift, rshift = bit.band, bit.bor, bit.lshift, bit.rshift
local digits, values = hex.digits, hex.values
local RANDOM_MAX = 64 * 1024

--- Bytes as hexadecimal digits.
-- @tparam string bytes
-- @treturn string in lower case
function crypto.hex(bytes)
  if type(bytes) ~= "string" then words.misuse("crypto.hex", "a text", bytes) end
  local n = #bytes
  local from, to = ffi.cast("const uint8_t *", bytes), scratch(2 * n)
  for i = 0, n - 1 do
    to[2 * i], to[2 * i + 1] = digits[rshift(from[i], 4)], digits[band(from[i], 15)]
  end
  return ffi.string(to, 2 * n)
end

--- Bytes of hexadecimal digits, of either case.
-- @tparam string text
-- @treturn[1] string
-- @return[2] nil and why
function crypto.from_hex(text)
  if type(text) ~= "string" then words.misuse("crypto.from_hex", "a text", text) end
  local n = #text / 2
  if n % 1 ~= 0 then return nil, ("expected pairs of hexadecimal digits, found %d bytes"):format(#text) end
  local from, to = ffi.cast("const uint8_t *", text), scratch(n)
  for i = 0, n - 1 do
    local high, low = values[from[2 * i]], values[from[2 * i + 1]]
    if bor(high, low) > 15 then
      local at = 2 * i + (high > 15 and 1 or 2)
      return nil, ("expected a hexadecimal digit, found %s at byte %d"):format(words.byte(text, at), at)
    end
    to[i] = bor(lshift(high, 4), low)
  end
  return ffi.string(to, n)
end

--- Random bytes that nobody can foresee.
-- @tparam number n 1 to 65536
-- @treturn string
function crypto.random(n)
  if type(n) ~= "number" or n < 1 or n > RANDOM_MAX or n % 1 ~= 0 then
    error(("crypto.random: expected a number of bytes, 1 to %d, found %s"):format(RANDOM_MAX, tostring(n)), 2)
  end
  local to = scratch(n)
  if openssl.C.RAND_bytes(to, n) ~= 1 then error("crypto.random: the system gives no random bytes") end
  return ffi.string(to, n)
end

return crypto
