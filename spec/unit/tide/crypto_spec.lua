local base64 = require "tidegate.tide.base64"
local crypto = require "tidegate.tide.crypto"
local keys = require "support.keys"
local openssl = require "tidegate.tide.openssl"

local function bytes(hex) return assert(crypto.from_hex((hex:gsub("%s", "")))) end

-- A connection of the same thread would take an error that is left for its own.
after_each(function()
  assert.equal(0, tonumber(openssl.C.ERR_get_error()))
end)

describe("crypto.digest", function()
  -- FIPS 180-4, RFC 1321: of "abc".
  local cases = {
    { "md5", "900150983cd24fb0d6963f7d28e17f72" },
    { "sha1", "a9993e364706816aba3e25717850c26c9cd0d89d" },
    { "sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "sha384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
    { "sha512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                .. "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
  }
  for _, case in ipairs(cases) do
    it("knows " .. case[1], function() assert.equal(case[2], crypto.hex(crypto.digest(case[1], "abc"))) end)
  end

  it("takes nothing, and much", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      crypto.hex(crypto.digest("sha256", "")))
    assert.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
                 crypto.hex(crypto.digest("sha256", ("a"):rep(1000000))))
  end)

  it("refuses other algorithms", function()
    assert.same({ nil, 'expected sha1, sha256, sha384, sha512 or md5, found "SHA256"' },
      { crypto.digest("SHA256", "") })
  end)
end)

describe("crypto.hmac", function()
  -- RFC 4231 sections 4.2, 4.3 and 4.7; RFC 2202 for the old ones.
  local cases = {
    { "sha256", ("\11"):rep(20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { "sha256", "Jefe", "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { "sha384", "Jefe", "what do ya want for nothing?",
      "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649" },
    { "sha512", "Jefe", "what do ya want for nothing?",
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
      .. "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737" },
    { "sha256", ("\170"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    { "sha1", "Jefe", "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
    { "md5", "Jefe", "what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738" },
    { "sha256", "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
  }
  for i, case in ipairs(cases) do
    it(("knows %s, case %d"):format(case[1], i), function()
      assert.equal(case[4], crypto.hex(crypto.hmac(case[1], case[2], case[3])))
    end)
  end

  it("refuses other algorithms", function() assert.is_nil((crypto.hmac("sha3", "", ""))) end)
end)

describe("crypto.equal", function()
  local cases = { { "", "", true }, { "a", "a", true }, { "a", "b", false }, { "a", "ab", false },
    { "a\0b", "a\0c", false } }
  for _, case in ipairs(cases) do
    it(("says %s of %q and %q"):format(tostring(case[3]), case[1], case[2]):gsub("%z", "?"), function()
      assert.equal(case[3], crypto.equal(case[1], case[2]))
    end)
  end
end)

describe("crypto.hex and crypto.from_hex", function()
  it("turn into each other", function()
    assert.equal("", crypto.hex "")
    assert.equal("00ff10ab", crypto.hex "\0\255\16\171")
    assert.equal("\0\255\16\171", crypto.from_hex "00FF10aB")
    local long = crypto.random(50000)
    assert.equal(long, crypto.from_hex(crypto.hex(long)))
  end)

  local complaints = {
    { "0", "expected pairs of hexadecimal digits, found 1 bytes" },
    { "0g", 'expected a hexadecimal digit, found "g" at byte 2' },
    { "00g0", 'expected a hexadecimal digit, found "g" at byte 3' },
    { "0x", 'expected a hexadecimal digit, found "x" at byte 2' },
    { " 0", "expected a hexadecimal digit, found byte 0x20 at byte 1" },
  }
  for _, case in ipairs(complaints) do
    it(("refuse %q"):format(case[1]), function() assert.same({ nil, case[2] }, { crypto.from_hex(case[1]) }) end)
  end
end)

describe("crypto.random", function()
  it("gives as many bytes as it is asked for, others each time", function()
    for _, n in ipairs { 1, 16, 65536 } do assert.equal(n, #crypto.random(n)) end
    assert.are_not.equal(crypto.random(16), crypto.random(16))
  end)

  for _, n in ipairs { 0, -1, 1.5, 65537, 0 / 0, "16" } do
    it("raises for " .. tostring(n), function()
      assert.error_matches(function() crypto.random(n) end,
        "^crypto.random: expected a number of bytes, 1 to 65536, found")
    end)
  end
end)

describe("crypto.aes_gcm_encrypt", function()
  -- "The Galois/Counter Mode of Operation", test cases 2 (shortened to one block), 4 and 16.
  local key = "feffe9928665731c6d6a8f9467308308"
  local iv, aad = "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2"
  local plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    .. "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
  local cases = {
    { ("00"):rep(16), ("00"):rep(12), "", ("00"):rep(16),
      "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf" },
    { ("00"):rep(16), ("00"):rep(12), "", "", "58e2fccefa7e3061367f1d57a4e7455a" },
    { key, iv, aad, plain, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
      .. "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091" .. "5bc94fbc3221a5db94fae95ae7121a47" },
    { key .. key, iv, aad, plain, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
      .. "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" .. "76fc6ece0f4e1768cddf8853bb2d551b" },
  }
  for i, case in ipairs(cases) do
    it("knows test vector " .. i, function()
      local options = { iv = bytes(case[2]), aad = bytes(case[3]) }
      local sealed = assert(crypto.aes_gcm_encrypt(bytes(case[1]), bytes(case[4]), options))
      assert.equal(case[2] .. case[5], crypto.hex(sealed))
      assert.equal(bytes(case[4]), crypto.aes_gcm_decrypt(bytes(case[1]), sealed, { aad = options.aad }))
    end)
  end

  it("takes another iv each time", function()
    local one, other = crypto.aes_gcm_encrypt(("k"):rep(24), "text"), crypto.aes_gcm_encrypt(("k"):rep(24), "text")
    assert.are_not.equal(one:sub(1, 12), other:sub(1, 12))
    assert.equal("text", crypto.aes_gcm_decrypt(("k"):rep(24), one))
    assert.equal("text", crypto.aes_gcm_decrypt(("k"):rep(24), other))
  end)

  it("seals more than the buffer that is kept", function()
    local text = ("0123456789"):rep(20000)
    assert.equal(text, crypto.aes_gcm_decrypt(("k"):rep(16), crypto.aes_gcm_encrypt(("k"):rep(16), text)))
  end)

  it("lets nothing be changed", function()
    local k, sealed = ("k"):rep(16), crypto.aes_gcm_encrypt(("k"):rep(16), "text", { aad = "a" })
    for at = 1, #sealed do
      local changed = sealed:sub(1, at - 1) .. string.char(255 - sealed:byte(at)) .. sealed:sub(at + 1)
      assert.same({ nil, "authentication failed" }, { crypto.aes_gcm_decrypt(k, changed, { aad = "a" }) })
    end
    assert.same({ nil, "authentication failed" }, { crypto.aes_gcm_decrypt(k, sealed, { aad = "b" }) })
    assert.same({ nil, "authentication failed" }, { crypto.aes_gcm_decrypt(k, sealed) })
    assert.same({ nil, "authentication failed" }, { crypto.aes_gcm_decrypt(("j"):rep(16), sealed, { aad = "a" }) })
    assert.same({ nil, "authentication failed" }, { crypto.aes_gcm_decrypt(k, sealed:sub(1, -2), { aad = "a" }) })
  end)

  it("refuses keys and ivs of other sizes, and what is too short to open", function()
    assert.same({ nil, "expected a key of 16, 24 or 32 bytes, found 15" },
      { crypto.aes_gcm_encrypt(("k"):rep(15), "") })
    assert.same({ nil, "expected an iv of 12 bytes, found 16" },
                { crypto.aes_gcm_encrypt(("k"):rep(16), "", { iv = ("i"):rep(16) }) })
    assert.same({ nil, "expected at least 28 bytes, found 27" },
      { crypto.aes_gcm_decrypt(("k"):rep(16), ("x"):rep(27)) })
  end)
end)

describe("crypto.pbkdf2", function()
  -- RFC 7914 section 11, RFC 6070.
  local cases = {
    { "passwd", "salt", 1, 64, nil, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
      .. "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783" },
    { "password", "salt", 4096, 20, "sha1", "4b007901b765489abead49d926f721d065a429c1" },
    { "pass\0word", "sa\0lt", 4096, 16, "sha1", "56fa6aa75548099dcc37d7f03425e0c3" },
  }
  for i, case in ipairs(cases) do
    it("knows test vector " .. i, function()
      assert.equal(case[6], crypto.hex(crypto.pbkdf2(case[1], case[2], case[3], case[4], case[5])))
    end)
  end

  local complaints = {
    { 0, 32, "expected 1 to 10000 rounds, found 0" }, { 10001, 32, "expected 1 to 10000 rounds, found 10001" },
    { 1.5, 32, "expected 1 to 10000 rounds, found 1.5" }, { 1, 0, "expected 1 to 64 bytes, found 0" },
    { 1, 65, "expected 1 to 64 bytes, found 65" },
  }
  for _, case in ipairs(complaints) do
    it(("refuses %s rounds, %s bytes"):format(case[1], case[2]), function()
      assert.same({ nil, case[3] }, { crypto.pbkdf2("x", "y", case[1], case[2]) })
    end)
  end

  it("refuses a password without end", function()
    assert.same({ nil, "expected a password of at most 1024 bytes, found 1025" },
                { crypto.pbkdf2(("x"):rep(1025), "y", 1, 1) })
  end)
end)

describe("crypto.verify_password", function()
  local function ssha(algorithm, salt) return base64.encode(crypto.digest(algorithm, "secret" .. salt) .. salt) end
  local kept = {
    "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=",
    "{SHA512}" .. base64.encode(crypto.digest("sha512", "secret")),
    "{SSHA}" .. ssha("sha1", "salt"), "{SSHA256}" .. ssha("sha256", "12345678"), "{SSHA512}" .. ssha("sha512", "x"),
    crypto.hash_password "secret", crypto.hash_password("secret", 1),
    "$pbkdf2-sha512$1000$c2FsdA$" .. base64.encode_url(crypto.pbkdf2("secret", "salt", 1000, 64, "sha512"))
      :gsub("[-_]", { ["-"] = ".", _ = "/" }),
    "$pbkdf2-sha256$i=1000$c2FsdA$" .. base64.encode_url(crypto.pbkdf2("secret", "salt", 1000, 32)),
  }
  for _, hash in ipairs(kept) do
    it("checks " .. hash:sub(1, 24), function()
      assert.is_true(crypto.verify_password(hash, "secret"))
      assert.is_false(crypto.verify_password(hash, "Secret"))
      assert.is_false(crypto.verify_password(hash, ""))
      assert.is_false(crypto.verify_password(hash, ("x"):rep(2000)))
    end)
  end

  it("salts each hash", function()
    assert.are_not.equal(crypto.hash_password "x", crypto.hash_password "x")
  end)

  local complaints = {
    { "$2y$10$abcdefghijklmnopqrstuv",
      'expected a hash that is quick to check, such as $pbkdf2-sha256$ or {SSHA256}, found "$2y$"' },
    { "$6$salt$hash", 'expected a hash that is quick to check, such as $pbkdf2-sha256$ or {SSHA256}, found "$6$"' },
    { "secret", "expected a hash such as $pbkdf2-sha256$... or {SSHA256}..., found something else" },
    { "", "expected a hash such as $pbkdf2-sha256$... or {SSHA256}..., found something else" },
    { "{MD5}x", "expected {SHA}, {SSHA}, {SHA256}, {SSHA256}, {SHA512} or {SSHA512}" },
    { "{SHA}x", "expected base64 in groups of 4 bytes, found 1 bytes" },
    { "{SHA}AAAA", "expected 20 bytes of digest in {SHA}, found 3" },
    { "{SSHA}" .. base64.encode(("x"):rep(20)), "expected 20 bytes of digest in {SSHA} and a salt, found 20" },
    { "$pbkdf2-sha256$600000$c2FsdA$AAAA", "expected 1 to 10000 rounds, found 600000" },
    { "$pbkdf2-sha256$1$*$AAAA", "expected salt and hash of $pbkdf2-...$ in base64" },
    { "$pbkdf2-sha256$1$c2FsdA", "expected $pbkdf2-sha256$ROUNDS$SALT$HASH" },
    { "$pbkdf2-sha3$1$c2FsdA$AAAA", 'expected sha1, sha256, sha384, sha512 or md5, found "sha3"' },
  }
  for _, case in ipairs(complaints) do
    it("refuses " .. case[1]:sub(1, 30), function()
      assert.same({ nil, case[2] }, { crypto.verify_password(case[1], "secret") })
    end)
  end
end)

-- -- keys --

local function b64(text) return base64.encode_url(text) end

local function rsa_jwk(kind, is_private)
  local n = keys.rsa_numbers(kind)
  local jwk = { kty = "RSA", n = b64(n.modulus), e = "AQAB" }
  if is_private then
    jwk.d, jwk.p, jwk.q = b64(n.privateExponent), b64(n.prime1), b64(n.prime2)
    jwk.dp, jwk.dq, jwk.qi = b64(n.exponent1), b64(n.exponent2), b64(n.coefficient)
  end
  return jwk
end

-- RFC 7515 appendices A.3 and A.4, RFC 8037 appendix A.
local P256 = { kty = "EC", crv = "P-256", x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
               y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", d = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI" }
local P521 = { kty = "EC", crv = "P-521",
               x = "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
               y = "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
               d = "AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lOfRhWg6Y6rUrPAxerEzgdRhajnu0ferB0d53vM9mE15j2C" }
local ED25519 = { kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                  d = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" }

local function with(jwk, changes)
  local copy = {}
  for name, value in pairs(jwk) do copy[name] = value end
  for name, value in pairs(changes) do copy[name] = value or nil end
  return copy
end

describe("crypto.key", function()
  local good = {
    { "rsa", "a private RSA key of 2048 bits", "rsa" }, { "P-256", "a private P-256 key", "ec", "P-256" },
    { "P-384", "a private P-384 key", "ec", "P-384" }, { "P-521", "a private P-521 key", "ec", "P-521" },
    { "Ed25519", "a private Ed25519 key", "okp", "Ed25519" }, { "Ed448", "a private Ed448 key", "okp", "Ed448" },
  }
  for _, case in ipairs(good) do
    it(("loads %s from PEM"):format(case[1]), function()
      local key = assert(crypto.key(keys.private(case[1])))
      assert.equal(case[2], tostring(key))
      assert.same({ case[3], case[4], true }, { key.kind, key.curve, key.is_private })
      for _, pem in ipairs { keys.public(case[1]), keys.certificate(case[1]), "# words\n" .. keys.public(case[1]) } do
        local public = assert(crypto.key(pem))
        assert.equal((case[2]:gsub("private", "public")), tostring(public))
        assert.is_false(public.is_private)
      end
    end)
  end

  it("loads the older forms of PEM", function()
    assert.equal("a private RSA key of 2048 bits",
                 tostring(crypto.key(keys.openssl("rsa -traditional", keys.private "rsa"))))
    assert.equal("a public RSA key of 2048 bits",
                 tostring(crypto.key(keys.openssl("rsa -RSAPublicKey_out", keys.private "rsa"))))
    assert.equal("a private P-256 key",
      tostring(crypto.key(keys.openssl("pkcs8 -topk8 -nocrypt", keys.private "P-256"))))
    assert.equal("a private P-256 key", tostring(crypto.key((keys.private("P-256"):gsub("\n", "\r\n")))))
  end)

  it("loads JWK", function()
    local cases = {
      { "a public RSA key of 2048 bits", rsa_jwk "rsa" }, { "a private RSA key of 2048 bits", rsa_jwk("rsa", true) },
      { "a private P-256 key", P256 }, { "a public P-256 key", with(P256, { d = false }) },
      { "a private P-521 key", P521 }, { "a public P-521 key", with(P521, { d = false }) },
      { "a private Ed25519 key", ED25519 }, { "a public Ed25519 key", with(ED25519, { d = false }) },
      { "a secret", { kty = "oct", k = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ" } },
    }
    for _, case in ipairs(cases) do
      local key = assert(crypto.key(with(case[2], { kid = "7", use = "sig", alg = "RS256" })))
      assert.equal(case[1], tostring(key))
      assert.same({ "7", "RS256" }, { key.kid, key.alg })
    end
  end)

  local refused = {
    { "small_rsa", "expected an RSA key of 2048 to 8192 bits, found one of 1024" },
    { "secp256k1", "expected an EC key on P-256, P-384 or P-521, found one on secp256k1" },
    { "X25519", "expected an RSA, EC or Ed25519 key, found one of another kind" },
    { "dsa", 'expected a key or a certificate in PEM, found "DSA PARAMETERS"' },
    { "pss", "expected an RSA, EC or Ed25519 key, found one of another kind" },
    { "encrypted", "expected a private key in the clear, found an encrypted one" },
    { "encrypted_old", "expected a private key in the clear, found an encrypted one" },
  }
  for _, case in ipairs(refused) do
    it("refuses " .. case[1], function()
      local key, why = crypto.key(keys.private(case[1]))
      assert.is_nil(key)
      assert.equal(1, why:find(case[2], 1, true), why)
    end)
  end

  it("asks nobody for a passphrase, whatever a label says", function()
    local mislabelled = keys.private("encrypted"):gsub("ENCRYPTED PRIVATE KEY", "PRIVATE KEY")
    local key, why = crypto.key(mislabelled)
    assert.is_nil(key)
    assert.equal(1, why:find("expected a key in PEM PRIVATE KEY, found ", 1, true), why)
  end)

  it("refuses PEM that is cut, filled up or mislabelled", function()
    local public = keys.public "rsa"
    local body = base64.decode((public:gsub("%-%-%-%-%-[^-]+%-%-%-%-%-", ""):gsub("%s", "")))
    local function pem(label, content)
      return ("-----BEGIN %s-----\n%s\n-----END %s-----\n"):format(label, base64.encode(content), label)
    end
    assert.is_table(crypto.key(pem("PUBLIC KEY", body)))
    for _, text in ipairs {
      "", "x", "-----BEGIN PUBLIC KEY-----\n", public:gsub("END", "FIN"), public:gsub("\nMII", "\n*MII"),
      pem("PUBLIC KEY", body .. "x"), pem("PUBLIC KEY", body:sub(1, -2)), pem("PUBLIC KEY", ""),
      pem("PRIVATE KEY", body), pem("CERTIFICATE", body), pem("RSA PUBLIC KEY", body), pem("SOMETHING", body),
      ("x"):rep(65537),
    } do
      local key, why = crypto.key(text)
      assert.is_nil(key)
      assert.is_string(why)
    end
  end)

  local bad_jwk = {
    { {}, 'JWK: expected kty RSA, EC, OKP or oct, found "nil"' },
    { { kty = 1 }, "JWK: expected kty as a text, found a number" },
    { { kty = "RSA" }, "JWK RSA: expected n as a text" },
    { { kty = "RSA", n = "AQAB", e = "AQAB" }, "expected an RSA key of 2048 to 8192 bits, found one of 17" },
    { { kty = "RSA", n = "AQ==", e = "AQAB" }, 'JWK RSA: n: expected base64, found "=" at byte 3' },
    { { kty = "RSA", n = "", e = "AQAB" }, "JWK RSA: n: expected bytes, found none" },
    { { kty = "RSA", n = ("A"):rep(8000), e = "AQAB" }, "JWK RSA: n: expected at most 4096 bytes, found 6000" },
    { { kty = "RSA", n = "AQAB", e = "AQAB", d = "AQAB" }, "JWK RSA: expected p as a text" },
    { { kty = "RSA", n = "AQAB", e = "AQAB", d = "AQAB", oth = {} }, "JWK RSA: expected two primes, found more" },
    { with(P256, { crv = "secp256k1" }), "JWK EC: expected crv P-256, P-384 or P-521" },
    { with(P256, { crv = "rsa" }), "JWK EC: expected crv P-256, P-384 or P-521" },
    { with(P256, { crv = false }), "JWK EC: expected crv P-256, P-384 or P-521" },
    { with(P256, { crv = "P-384" }), "JWK EC: x: expected 48 bytes, found 32" },
    { with(P256, { y = P256.x, d = false }), "expected a key in JWK EC, found " },
    { with(P256, { d = ("A"):rep(42) .. "E" }),
      "expected a key in JWK EC, found d, x and y that do not belong together" },
    { with(ED25519, { crv = "X25519" }), "JWK OKP: expected crv Ed25519 or Ed448" },
    { with(ED25519, { d = ED25519.x }), "expected a key in JWK OKP, found d and x that do not belong together" },
    { with(ED25519, { x = "AQAB" }), "JWK OKP: x: expected 32 bytes, found 3" },
    { with(ED25519, { use = "enc" }), 'JWK: expected use sig, found "enc"' },
    { { kty = "oct", k = "" }, "JWK oct: k: expected bytes, found none" },
    { { kty = "oct" }, "JWK oct: expected k as a text" },
  }
  for i, case in ipairs(bad_jwk) do
    it(("refuses JWK %d: %s"):format(i, case[2]), function()
      local key, why = crypto.key(case[1])
      assert.is_nil(key)
      assert.equal(1, why:find(case[2], 1, true), why)
    end)
  end

  it("shows nothing of a secret", function()
    local key = crypto.secret "very secret"
    assert.equal("a secret", tostring(key))
    for _, name in ipairs { "bytes", "pkey", "k", "secret" } do assert.is_nil(key[name]) end
    assert.is_nil(next(key))
    assert.has_error(function() key.kind = "rsa" end, "assignment to kind of a key: it is not to be changed")
  end)
end)

describe("crypto.secret", function()
  it("refuses nothing and what is no secret", function()
    assert.same({ nil, "expected a secret, found an empty text" }, { crypto.secret "" })
    assert.same({ nil, "expected a secret, found a PEM text, which crypto.key takes" },
      { crypto.secret(keys.public "rsa") })
  end)
end)

describe("crypto.sign and crypto.verify", function()
  local PSS = " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:%d"
  local cases = {
    { "RS256", "rsa", "-sha256" }, { "RS384", "rsa", "-sha384" }, { "RS512", "rsa", "-sha512" },
    { "PS256", "rsa", "-sha256" .. PSS:format(32) }, { "PS384", "rsa", "-sha384" .. PSS:format(48) },
    { "PS512", "rsa", "-sha512" .. PSS:format(64) }, { "ES256", "P-256", "-sha256", 64 },
    { "ES384", "P-384", "-sha384", 96 },
    { "ES512", "P-521", "-sha512", 132 }, { "EdDSA", "Ed25519", nil, 64 }, { "EdDSA", "Ed448", nil, 114 },
    { "HS256", nil, nil, 32 }, { "HS384", nil, nil, 48 }, { "HS512", nil, nil, 64 },
  }
  for _, case in ipairs(cases) do
    it(("agree on %s %s"):format(case[1], case[2] or ""), function()
      local private = case[2] and crypto.key(keys.private(case[2])) or crypto.secret "shared"
      local public = case[2] and crypto.key(keys.public(case[2])) or private
      for _ = 1, 8 do
        local signature = assert(crypto.sign(case[1], private, "data"))
        assert.equal(case[4] or 256, #signature)
        assert.is_true(crypto.verify(case[1], public, "data", signature))
        assert.is_true(crypto.verify(case[1], private, "data", signature))
        assert.is_false(crypto.verify(case[1], public, "Data", signature))
        assert.is_false(crypto.verify(case[1], public, "data", signature:reverse()))
        assert.is_false(crypto.verify(case[1], public, "data", signature:sub(1, -2)))
        assert.is_false(crypto.verify(case[1], public, "data", signature .. "\0"))
        assert.is_false(crypto.verify(case[1], public, "data", ""))
        assert.is_false(crypto.verify(case[1], public, "data", ("\0"):rep(#signature)))
        assert.is_false(crypto.verify(case[1], public, "data", ("x"):rep(100000)))
      end
      if case[2] and case[2] ~= "Ed25519" and case[2] ~= "Ed448" then
        local der = require "tidegate.tide.der"
        local ours = crypto.sign(case[1], private, "data")
        assert.is_true(keys.verifies(case[2], case[3], "data", case[4] and der.from_raw_signature(ours) or ours))
        local theirs = keys.sign(case[2], case[3], "data")
        assert.is_true(crypto.verify(case[1], public, "data",
          case[4] and der.to_raw_signature(theirs, case[4] / 2) or theirs))
      end
    end)
  end

  it("want PSS with a salt as long as the digest: RFC 7518 section 3.5", function()
    local public = crypto.key(keys.public "rsa")
    assert.is_true(crypto.verify("PS256", public, "data", keys.sign("rsa", "-sha256" .. PSS:format(32), "data")))
    assert.is_false(crypto.verify("PS256", public, "data", keys.sign("rsa", "-sha256" .. PSS:format(20), "data")))
    assert.is_false(crypto.verify("PS256", public, "data", keys.sign("rsa", "-sha256", "data")))
    assert.is_false(crypto.verify("RS256", public, "data", keys.sign("rsa", "-sha256" .. PSS:format(32), "data")))
  end)

  local secret = crypto.secret "shared"
  local function key_of(kind) return kind == "secret" and secret or assert(crypto.key(keys.public(kind))) end
  local confusions = {
    { "HS256", "rsa" }, { "HS256", "P-256" }, { "HS256", "Ed25519" }, { "RS256", "secret" }, { "RS256", "P-256" },
    { "RS256", "Ed25519" }, { "PS256", "secret" }, { "PS256", "P-256" }, { "ES256", "secret" }, { "ES256", "rsa" },
    { "ES256", "P-384" }, { "ES256", "P-521" }, { "ES384", "P-256" }, { "ES512", "P-256" }, { "ES256", "Ed25519" },
    { "EdDSA", "secret" }, { "EdDSA", "rsa" }, { "EdDSA", "P-256" },
  }
  for _, case in ipairs(confusions) do
    it(("refuse %s with %s"):format(case[1], case[2]), function()
      local key = key_of(case[2])
      local ok, why = crypto.verify(case[1], key, "data", "signature")
      assert.is_nil(ok)
      assert.equal(1, why:find(case[1] .. ": expected a", 1, true), why)
      assert.is_truthy(why:find("found " .. tostring(key), 1, true))
      assert.is_nil((crypto.sign(case[1], key, "data")))
    end)
  end

  it("refuse a key that is for another algorithm, one that cannot sign, and an unknown algorithm", function()
    local key = crypto.key(with(P256, { alg = "ES512" }))
    assert.same({ nil, 'ES256: expected a key for it, found one for "ES512"' }, { crypto.sign("ES256", key, "") })
    assert.same({ nil, "RS256: expected a private key to sign with, found a public RSA key of 2048 bits" },
                { crypto.sign("RS256", crypto.key(keys.public "rsa"), "") })
    for _, name in ipairs { "none", "HS1", "rs256", "" } do
      assert.same({ nil, ('expected an algorithm such as RS256, found "%s"'):format(name) },
        { crypto.sign(name, secret, "") })
    end
  end)

  it("refuse what is no signature by numbers of ECDSA", function()
    local public = crypto.key(keys.public "P-256")
    for _, raw in ipairs { ("\0"):rep(64), ("\255"):rep(64), ("\0"):rep(63) .. "\1", ("\0"):rep(31) .. "\1"
      .. ("\0"):rep(32) } do
      assert.is_false(crypto.verify("ES256", public, "data", raw))
    end
  end)
end)

describe("misuse of crypto", function()
  local misuses = {
    { "crypto.digest: expected a text, found nil", function() crypto.digest "sha256" end },
    { "crypto.hmac: expected a text as key, found nil", function() crypto.hmac("sha256", nil, "") end },
    { "crypto.equal: expected a text, found nil", function() crypto.equal("", nil) end },
    { "crypto.key: expected a PEM text or a JWK as a table, found nil", function() crypto.key() end },
    { "crypto.secret: expected a text, found a number", function() crypto.secret(1) end },
    { "crypto.sign: expected a key of crypto.key or crypto.secret, found a string",
      function() crypto.sign("HS256", "secret", "") end },
    { "crypto.verify: expected a signature as text, found nil",
      function() crypto.verify("HS256", crypto.secret "x", "") end },
    { "crypto.aes_gcm_encrypt: there is no option add", function() crypto.aes_gcm_encrypt("", "", { add = "" }) end },
    { "crypto.aes_gcm_decrypt: there is no option iv", function() crypto.aes_gcm_decrypt("", "", { iv = "" }) end },
    { "crypto.pbkdf2: expected a number of rounds, found nil", function() crypto.pbkdf2("", "") end },
    { "crypto.verify_password: expected a text as password, found nil", function() crypto.verify_password "" end },
    { "crypto.hash_password: expected a number of rounds, found a string",
      function() crypto.hash_password("", "1") end },
  }
  for _, case in ipairs(misuses) do
    it("raises: " .. case[1], function() assert.has_error(case[2], case[1]) end)
  end
end)
