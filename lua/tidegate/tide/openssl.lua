--- What the library calls of OpenSSL 3, and its errors as Lua takes them.
-- OpenSSL keeps the errors of a thread in a queue, which TLS connections of the same loop look at: whoever makes a call
-- fail empties it (openssl.reason).
local C = require "tidegate.ffi"
local ffi = require "ffi"
local words = require "tidegate.tide.words"

-- Once per state, even where the module is loaded again.
if not pcall(ffi.typeof, "struct tide_ossl_param") then
  ffi.cdef [[
    struct tide_ossl_param {        /* OSSL_PARAM */
      const char *key;
      unsigned int data_type;
      void *data;
      size_t data_size, return_size;
    };
  ]]
end

ffi.cdef [[
  unsigned long ERR_get_error(void);
  void ERR_error_string_n(unsigned long code, char *to, size_t size);
  void ERR_clear_error(void);

  int RAND_bytes(unsigned char *to, int n);
  int CRYPTO_memcmp(const void *a, const void *b, size_t n);
  int PKCS5_PBKDF2_HMAC(const char *password, int password_size, const char *salt, int salt_size, int rounds,
                        const struct evp_md_st *digest, int size, unsigned char *to);

  struct evp_md_st *EVP_MD_fetch(void *library, const char *name, const char *properties);
  void EVP_MD_free(struct evp_md_st *digest);
  struct evp_md_ctx_st *EVP_MD_CTX_new(void);
  void EVP_MD_CTX_free(struct evp_md_ctx_st *context);
  int EVP_MD_CTX_reset(struct evp_md_ctx_st *context);
  int EVP_DigestInit_ex2(struct evp_md_ctx_st *context, const struct evp_md_st *digest, const void *params);
  int EVP_DigestUpdate(struct evp_md_ctx_st *context, const void *data, size_t size);
  int EVP_DigestFinal_ex(struct evp_md_ctx_st *context, unsigned char *to, unsigned int *size);

  struct evp_mac_st *EVP_MAC_fetch(void *library, const char *name, const char *properties);
  void EVP_MAC_free(struct evp_mac_st *mac);
  struct evp_mac_ctx_st *EVP_MAC_CTX_new(struct evp_mac_st *mac);
  void EVP_MAC_CTX_free(struct evp_mac_ctx_st *context);
  int EVP_MAC_CTX_set_params(struct evp_mac_ctx_st *context, const struct tide_ossl_param *params);
  int EVP_MAC_init(struct evp_mac_ctx_st *context, const char *key, size_t size, const void *params);
  int EVP_MAC_update(struct evp_mac_ctx_st *context, const char *data, size_t size);
  int EVP_MAC_final(struct evp_mac_ctx_st *context, unsigned char *to, size_t *size, size_t room);

  struct evp_cipher_st *EVP_CIPHER_fetch(void *library, const char *name, const char *properties);
  void EVP_CIPHER_free(struct evp_cipher_st *cipher);
  struct evp_cipher_ctx_st *EVP_CIPHER_CTX_new(void);
  void EVP_CIPHER_CTX_free(struct evp_cipher_ctx_st *context);
  int EVP_CIPHER_CTX_reset(struct evp_cipher_ctx_st *context);
  int EVP_CIPHER_CTX_ctrl(struct evp_cipher_ctx_st *context, int what, int size, void *data);
  int EVP_CipherInit_ex2(struct evp_cipher_ctx_st *context, const struct evp_cipher_st *cipher, const char *key,
                         const char *iv, int is_encryption, const void *params);
  int EVP_CipherUpdate(struct evp_cipher_ctx_st *context, unsigned char *to, int *size, const char *from, int n);
  int EVP_CipherFinal_ex(struct evp_cipher_ctx_st *context, unsigned char *to, int *size);

  void EVP_PKEY_free(struct evp_pkey_st *key);
  int EVP_PKEY_is_a(const struct evp_pkey_st *key, const char *name);
  int EVP_PKEY_get_bits(const struct evp_pkey_st *key);
  int EVP_PKEY_get_group_name(const struct evp_pkey_st *key, char *to, size_t size, size_t *length);
  int EVP_PKEY_get_raw_public_key(const struct evp_pkey_st *key, unsigned char *to, size_t *size);
  struct evp_pkey_ctx_st *EVP_PKEY_CTX_new_from_pkey(void *library, struct evp_pkey_st *key, const char *properties);
  void EVP_PKEY_CTX_free(struct evp_pkey_ctx_st *context);
  int EVP_PKEY_pairwise_check(struct evp_pkey_ctx_st *context);
  int EVP_PKEY_CTX_set_rsa_padding(struct evp_pkey_ctx_st *context, int padding);
  int EVP_PKEY_CTX_set_rsa_pss_saltlen(struct evp_pkey_ctx_st *context, int size);
  struct evp_pkey_st *d2i_PUBKEY(struct evp_pkey_st **key, const unsigned char **at, long size);
  struct evp_pkey_st *d2i_AutoPrivateKey(struct evp_pkey_st **key, const unsigned char **at, long size);
  struct x509_st *d2i_X509(struct x509_st **certificate, const unsigned char **at, long size);
  struct evp_pkey_st *X509_get_pubkey(struct x509_st *certificate);
  void X509_free(struct x509_st *certificate);

  int EVP_DigestSignInit_ex(struct evp_md_ctx_st *context, struct evp_pkey_ctx_st **key_context, const char *digest,
                            void *library, const char *properties, struct evp_pkey_st *key, const void *params);
  int EVP_DigestSign(struct evp_md_ctx_st *context, unsigned char *to, size_t *size, const char *data, size_t n);
  int EVP_DigestVerifyInit_ex(struct evp_md_ctx_st *context, struct evp_pkey_ctx_st **key_context, const char *digest,
                              void *library, const char *properties, struct evp_pkey_st *key, const void *params);
  int EVP_DigestVerify(struct evp_md_ctx_st *context, const char *signature, size_t size, const char *data, size_t n);
]]

local openssl = { C = C }

local message = ffi.new "char[256]"

--- Why the last call failed; the thread has no errors after it.
-- @treturn string
function openssl.reason()
  local code = C.ERR_get_error()
  C.ERR_clear_error()
  if code == 0 then return "no reason given" end
  C.ERR_error_string_n(code, message, ffi.sizeof(message))
  -- error:1E08010C:DECODER routines::unsupported
  return (ffi.string(message):match "([^:]+)$") or ffi.string(message)
end

--- What a fetch gave, freed with the last who knows it.
local function fetched(what, name, free)
  if what ~= nil then return ffi.gc(what, free) end
  return nil, ("expected %s in this OpenSSL, found %s"):format(name, openssl.reason())
end

local DIGESTS = { sha1 = "SHA1", sha256 = "SHA256", sha384 = "SHA384", sha512 = "SHA512", md5 = "MD5" }
local digests = {}

--- A digest by its name here; fetched once, because that takes longer than most digests.
-- @tparam string name
-- @treturn[1] cdata EVP_MD *
-- @return[2] nil and why
function openssl.digest(name)
  if digests[name] then return digests[name] end
  if not DIGESTS[name] then
    return nil, ("expected sha1, sha256, sha384, sha512 or md5, found %s"):format(words.quote(name))
  end
  local digest, why = fetched(C.EVP_MD_fetch(nil, DIGESTS[name], nil), name, C.EVP_MD_free)
  if not digest then return nil, why end
  digests[name] = digest
  return digest
end

local UTF8_STRING = 4           -- OSSL_PARAM_UTF8_STRING

local macs = {}

--- A context that makes HMACs with a digest.
-- @tparam string name of the digest
-- @treturn[1] cdata EVP_MAC_CTX *
-- @return[2] nil and why
function openssl.hmac(name)
  if macs[name] then return macs[name] end
  local digest, mac, why
  digest, why = openssl.digest(name)
  if not digest then return nil, why end
  mac, why = fetched(C.EVP_MAC_fetch(nil, "HMAC", nil), "HMAC", C.EVP_MAC_free)
  if not mac then return nil, why end
  local context = ffi.gc(C.EVP_MAC_CTX_new(mac), C.EVP_MAC_CTX_free)
  local digest_name = ffi.new("char[16]", DIGESTS[name])
  local params = ffi.new "struct tide_ossl_param[2]"        -- all zero: the end
  params[0].key, params[0].data_type = "digest", UTF8_STRING
  params[0].data, params[0].data_size = digest_name, #DIGESTS[name]
  if C.EVP_MAC_CTX_set_params(context, params) ~= 1 then return nil, openssl.reason() end
  macs[name] = context
  return context
end

local ciphers = {}

--- AES in GCM for keys of so many bytes: 16, 24 or 32.
-- @treturn[1] cdata EVP_CIPHER *
-- @return[2] nil and why
function openssl.aes_gcm(bytes)
  if ciphers[bytes] then return ciphers[bytes] end
  if bytes ~= 16 and bytes ~= 24 and bytes ~= 32 then
    return nil, ("expected a key of 16, 24 or 32 bytes, found %d"):format(bytes)
  end
  local name = ("AES-%d-GCM"):format(bytes * 8)
  local cipher, why = fetched(C.EVP_CIPHER_fetch(nil, name, nil), name, C.EVP_CIPHER_free)
  if not cipher then return nil, why end
  ciphers[bytes] = cipher
  return cipher
end

return openssl
