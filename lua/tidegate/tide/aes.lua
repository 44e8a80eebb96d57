--- AES in Galois/counter mode: what is sealed can neither be read nor changed without the key.
local ffi = require "ffi"
local openssl = require "tidegate.tide.openssl"
local scratch = require "tidegate.tide.scratch"
local words = require "tidegate.tide.words"

local aes = {}

local C = openssl.C
local IV, TAG = 12, 16                  -- bytes
local DATA_MAX = 16 * 1024 * 1024
local GET_TAG, SET_TAG = 0x10, 0x11     -- EVP_CTRL_AEAD_...

local context = ffi.gc(C.EVP_CIPHER_CTX_new(), C.EVP_CIPHER_CTX_free)
local written = ffi.new "int[1]"
local tag = ffi.new "uint8_t[16]"

--- Readies the context and gives it the data that is only authenticated.
local function begin(cipher, key, iv, aad, is_encryption)
  C.EVP_CIPHER_CTX_reset(context)
  if C.EVP_CipherInit_ex2(context, cipher, key, iv, is_encryption and 1 or 0, nil) ~= 1 then return false end
  return aad == "" or C.EVP_CipherUpdate(context, nil, written, aad, #aad) == 1
end

--- Passes all data through; the context has the tag to compare with, or makes one.
local function pass(data, to)
  if #data > 0 and C.EVP_CipherUpdate(context, to, written, data, #data) ~= 1 then return false end
  return C.EVP_CipherFinal_ex(context, to + #data, written) == 1
end

local SEAL_OPTIONS, OPEN_OPTIONS = { aad = "string", iv = "string" }, { aad = "string" }

--- What both ways begin with.
-- @treturn[1] cdata the cipher
-- @treturn[1] string the data that is only authenticated
-- @treturn[1] ?string iv
-- @return[2] nil and why
local function check(where, key, data, options)
  if type(key) ~= "string" then words.misuse(where, "a key as text", key, 4) end
  if type(data) ~= "string" then words.misuse(where, "a text", data, 4) end
  if #data > DATA_MAX then return nil, ("expected at most %d bytes, found %d"):format(DATA_MAX, #data) end
  if options.iv and #options.iv ~= IV then
    return nil, ("expected an iv of %d bytes, found %d"):format(IV, #options.iv)
  end
  local cipher, why = openssl.aes_gcm(#key)
  if not cipher then return nil, why end
  return cipher, options.aad or "", options.iv
end

local function random_iv()
  if C.RAND_bytes(tag, IV) ~= 1 then error("crypto.aes_gcm_encrypt: the system gives no random bytes") end
  return ffi.string(tag, IV)
end

--- Seals data with AES-GCM.
-- @tparam string key 16, 24 or 32 bytes
-- @tparam string data at most 16 MiB
-- @tparam[opt] table options aad: data that is not sealed but must be the same when it is opened; iv: 12 bytes that
-- this key has never been used with, instead of random ones (which are good for 2^32 messages of one key)
-- @treturn[1] string the iv, the encrypted data, and the tag of 16 bytes, after one another
-- @return[2] nil and why
function aes.encrypt(key, data, options)
  options = words.options("crypto.aes_gcm_encrypt", options, SEAL_OPTIONS)
  local cipher, aad, iv = check("crypto.aes_gcm_encrypt", key, data, options)
  if not cipher then return nil, aad end
  iv = iv or random_iv()
  local to = scratch(#data + TAG)
  if not begin(cipher, key, iv, aad, true) or not pass(data, to) or
     C.EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG, tag) ~= 1 then
    return nil, openssl.reason()
  end
  return iv .. ffi.string(to, #data) .. ffi.string(tag, TAG)
end

--- Opens what crypto.aes_gcm_encrypt has sealed.
-- @tparam string key the same
-- @tparam string sealed
-- @tparam[opt] table options aad: the same
-- @treturn[1] string the data
-- @return[2] nil and why: "authentication failed" for another key, other aad, or anything changed
function aes.decrypt(key, sealed, options)
  options = words.options("crypto.aes_gcm_decrypt", options, OPEN_OPTIONS)
  local cipher, aad = check("crypto.aes_gcm_decrypt", key, sealed, options)
  if not cipher then return nil, aad end
  local n = #sealed - IV - TAG
  if n < 0 then return nil, ("expected at least %d bytes, found %d"):format(IV + TAG, #sealed) end
  local to = scratch(n + TAG)
  ffi.copy(tag, sealed:sub(-TAG), TAG)
  if not begin(cipher, key, sealed:sub(1, IV), aad, false) or
     C.EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG, tag) ~= 1 or not pass(sealed:sub(IV + 1, IV + n), to) then
    C.ERR_clear_error()
    return nil, "authentication failed"
  end
  return ffi.string(to, n)
end

return aes
