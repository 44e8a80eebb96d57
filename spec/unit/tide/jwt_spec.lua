local base64 = require "tidegate.tide.base64"
local crypto = require "tidegate.tide.crypto"
local json = require "tidegate.tide.json"
local jwt = require "tidegate.tide.jwt"
local keys = require "support.keys"
local openssl = require "tidegate.tide.openssl"

local NOW = 1000000

local function clock() return NOW end

--- A long word that was written over several lines.
local function packed(text) return (text:gsub("%s", "")) end

--- A token of any header and claims, valid but for what they say; `sign` makes the signature of its first two parts.
local function token_of(header, claims, sign)
  local function part(value)
    return base64.encode_url(type(value) == "string" and value or json.encode(value, { sorted = true }))
  end
  local data = part(header) .. "." .. part(claims)
  return data .. "." .. base64.encode_url(sign and sign(data) or "")
end

local secret = crypto.secret "shared secret"

local function hs256(data) return crypto.hmac("sha256", "shared secret", data) end

local function verify(token, options)
  local all = { keys = secret, algs = { "HS256" }, clock = clock }
  for name, value in pairs(options or {}) do all[name] = value end
  return jwt.verify(token, all)
end

local function assert_refused(code, why, token, options)
  local claims, found_why, found_code = verify(token, options)
  assert.is_nil(claims)
  assert.equal(code, found_code, found_why)
  if why then assert.equal(why, found_why) end
end

-- A connection of the same thread would take an error that is left for its own.
after_each(function()
  assert.equal(0, tonumber(openssl.C.ERR_get_error()))
end)

-- [P12] HS256, HS384, HS512, and more
describe("jwt.verify", function()
  local JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
  local vectors = {
    { "RFC 7515 A.1", "HS256", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
      "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
      { kty = "oct", k = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow" } },
    { "RFC 7515 A.2", "RS256", "eyJhbGciOiJSUzI1NiJ9", packed [[
        cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU
        Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d
        O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig
        cN_IoypGlUPQGe77Rw]],
      { kty = "RSA", e = "AQAB", n = packed [[
          ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2
          lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTB
          EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kz
          k2PAcDTW9gb54h4FRWyuXpoQ]] } },
    { "RFC 7515 A.3", "ES256", "eyJhbGciOiJFUzI1NiJ9",
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
      { kty = "EC", crv = "P-256", x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" } },
  }
  for _, case in ipairs(vectors) do
    it("finds the token of " .. case[1] .. " good", function()
      local options = { keys = assert(crypto.key(case[5])), algs = { case[2] } }
      local claims, header = verify(("%s.%s.%s"):format(case[3], JOE, case[4]), options)
      assert.same({ iss = "joe", exp = 1300819380, ["http://example.com/is_root"] = true }, claims)
      assert.equal(case[2], header.alg)
      local changed = JOE:gsub("^eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb2Uj")
      assert_refused("signature", nil, ("%s.%s.%s"):format(case[3], changed, case[4]), options)
    end)
  end

  -- RFC 7515 A.4 and RFC 8037 A.4 sign texts that are no JSON.
  local texts = {
    { "RFC 7515 A.4", "ES512", { kty = "EC", crv = "P-521",
        x = "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        y = "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2" },
      packed [[
        eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.
        AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2Y
        BJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn]] },
    { "RFC 8037 A.4", "EdDSA", { kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
      packed [[
        eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg]] },
  }
  for _, case in ipairs(texts) do
    it("finds the signature of " .. case[1] .. " good, and the claims no JSON", function()
      local options = { keys = assert(crypto.key(case[3])), algs = { case[2] } }
      assert_refused("malformed", nil, case[4], options)
      assert.is_truthy(select(2, verify(case[4], options)):find "^claims: expected a value")
      assert_refused("signature", nil, case[4]:gsub("%.[UR]", ".V"), options)
    end)
  end

  local algorithms = {
    HS256 = "secret", HS384 = "secret", HS512 = "secret", RS256 = "rsa", RS384 = "rsa", RS512 = "rsa", PS256 = "rsa",
    PS384 = "rsa", PS512 = "rsa", ES256 = "P-256", ES384 = "P-384", ES512 = "P-521", EdDSA = "Ed25519",
  }
  for alg, kind in pairs(algorithms) do
    it("takes what jwt.sign makes with " .. alg, function()
      local private = kind == "secret" and secret or crypto.key(keys.private(kind))
      local public = kind == "secret" and secret or crypto.key(keys.public(kind))
      local token = assert(jwt.sign({ sub = "bob", exp = NOW + 1 }, { alg = alg, key = private }))
      assert.same({ { sub = "bob", exp = NOW + 1 }, { alg = alg, typ = "JWT" } },
                  { verify(token, { keys = public, algs = { "HS256", alg } }) })
      assert_refused("algorithm", nil, token, { keys = public, algs = { alg == "HS256" and "HS512" or "HS256" } })
    end)
  end

  describe("is not confused:", function()
    local public_pem = keys.public "rsa"
    local rsa, other = crypto.key(public_pem), crypto.key(keys.public "other_rsa")
    local p256 = crypto.key(keys.public "P-256")
    local claims = { sub = "admin" }
    local function hmac_with(text, digest)
      return function(data) return crypto.hmac(digest or "sha256", text, data) end
    end
    local function signed_by(kind, alg)
      return function(data) return assert(crypto.sign(alg, crypto.key(keys.private(kind)), data)) end
    end
    local attacks = {
      { "no algorithm", { alg = "none" }, nil, { keys = rsa, algs = { "RS256" } }, "algorithm" },
      { "no algorithm, in other letters", { alg = "nOnE" }, nil, { keys = rsa, algs = { "RS256" } }, "algorithm" },
      { "no algorithm and a secret", { alg = "none" }, nil, { keys = secret, algs = { "HS256" } }, "algorithm" },
      { "no alg", { typ = "JWT" }, nil, { keys = secret, algs = { "HS256" } }, "malformed" },
      { "an alg that is no text", { alg = { "HS256" } }, hs256, { keys = secret, algs = { "HS256" } }, "malformed" },
      { "an empty signature", { alg = "HS256" }, nil, { keys = secret, algs = { "HS256" } }, "signature" },
      { "an empty signature, RSA", { alg = "RS256" }, nil, { keys = rsa, algs = { "RS256" } }, "signature" },
      { "HMAC with the public key's PEM", { alg = "HS256" }, hmac_with(public_pem), { keys = rsa, algs = { "RS256" } },
        "algorithm" },
      { "HMAC with the public key's PEM, and HS256 accepted", { alg = "HS256" }, hmac_with(public_pem),
        { keys = rsa, algs = { "RS256", "HS256" } }, "key" },
      { "HMAC with nothing", { alg = "HS256" }, hmac_with "", { keys = rsa, algs = { "RS256", "HS256" } }, "key" },
      { "a secret for RS256", { alg = "RS256" }, hs256, { keys = secret, algs = { "RS256", "HS256" } }, "key" },
      { "a weaker HMAC than accepted", { alg = "HS256" }, hs256, { keys = secret, algs = { "HS512" } }, "algorithm" },
      { "HS256 called HS512", { alg = "HS512" }, hs256, { keys = secret, algs = { "HS512" } }, "signature" },
      { "another key", { alg = "RS256" }, signed_by("other_rsa", "RS256"), { keys = rsa, algs = { "RS256" } },
        "signature" },
      { "PKCS 1 called PSS", { alg = "PS256" }, signed_by("rsa", "RS256"), { keys = rsa, algs = { "PS256", "RS256" } },
        "signature" },
      { "RSA for an EC key", { alg = "RS256" }, signed_by("rsa", "RS256"), { keys = p256, algs = { "RS256", "ES256" } },
        "key" },
      { "EC for an RSA key", { alg = "ES256" }, signed_by("P-256", "ES256"),
        { keys = rsa, algs = { "RS256", "ES256" } },
        "key" },
      { "another curve", { alg = "ES384" }, signed_by("P-384", "ES384"), { keys = p256, algs = { "ES256", "ES384" } },
        "key" },
      { "EdDSA for an EC key", { alg = "EdDSA" }, signed_by("Ed25519", "EdDSA"),
        { keys = p256, algs = { "ES256", "EdDSA" } },
        "key" },
      { "a key that it brings along", { alg = "RS256", jwk = { kty = "RSA", n = "AQAB", e = "AQAB" } },
        signed_by("other_rsa", "RS256"), { keys = rsa, algs = { "RS256" } }, "signature" },
      { "a place of keys that it names", { alg = "RS256", jku = "http://evil.example/", x5u = "http://evil.example/" },
        signed_by("other_rsa", "RS256"), { keys = rsa, algs = { "RS256" } }, "signature" },
      { "the kid of another key", { alg = "RS256", kid = "b" }, signed_by("other_rsa", "RS256"),
        { keys = { a = rsa, b = secret }, algs = { "RS256", "HS256" } }, "key" },
      { "the kid of the other key", { alg = "RS256", kid = "a" }, signed_by("other_rsa", "RS256"),
        { keys = { a = rsa, b = other }, algs = { "RS256" } }, "signature" },
      { "a kid that is nowhere", { alg = "RS256", kid = "../../dev/null" }, signed_by("other_rsa", "RS256"),
        { keys = { a = rsa }, algs = { "RS256" } }, "unknown_key" },
      { "a kid of a metatable", { alg = "RS256", kid = "__index" }, hs256, { keys = { a = rsa }, algs = { "RS256" } },
        "unknown_key" },
      { "no kid where keys have one", { alg = "RS256" }, signed_by("rsa", "RS256"),
        { keys = { a = rsa }, algs = { "RS256" } },
        "unknown_key" },
      { "a kid that is no text", { alg = "RS256", kid = 1 }, hs256, { keys = { rsa }, algs = { "RS256" } },
        "malformed" },
      { "crit", { alg = "HS256", crit = { "exp" }, exp = 1 }, hs256, {}, "crit" },
      { "crit with nothing in it", { alg = "HS256", crit = json.array {} }, hs256, {}, "crit" },
      { "crit and b64", { alg = "HS256", crit = { "b64" }, b64 = false }, hs256, {}, "crit" },
      { "a JWK for another algorithm", { alg = "HS256" }, hs256,
        { keys = crypto.key { kty = "oct", k = base64.encode_url "shared secret", alg = "HS512" }, algs = { "HS256" } },
        "key" },
    }
    for _, case in ipairs(attacks) do
      it(case[1], function() assert_refused(case[5], nil, token_of(case[2], claims, case[3]), case[4]) end)
    end
  end)

  local malformed = {
    { "nothing", "", "expected a token of three parts with dots between them" },
    { "one part", "abc", "expected a token of three parts with dots between them" },
    { "two parts", "e30.e30", "expected a token of three parts with dots between them" },
    { "five parts, as of an encrypted one", "e30.e30.e30.e30.e30",
      "expected a token of three parts with dots between them" },
    { "an empty header", ".e30.", "header: expected a value, found the end at line 1, column 1" },
    { "padding", "e30=.e30.", 'header: expected base64, found "=" at byte 4' },
    { "the other alphabet", "e+0.e30.", 'header: expected base64, found "+" at byte 2' },
    { "white space", " e30.e30.", "header: expected base64, found byte 0x20 at byte 1" },
    { "a list as header", token_of("[]", {}), "header: expected an object" },
    { "null as header", token_of("null", {}), "header: expected an object" },
    { "a text as header", token_of('"{"', {}), "header: expected an object" },
    { "broken JSON", token_of("{", {}), "header: expected a key in quotes, found the end at line 1, column 2" },
    { "a list as claims", token_of({ alg = "HS256" }, '[{"sub":"admin"}]', hs256), "claims: expected an object" },
    { "false as claims", token_of({ alg = "HS256" }, "false", hs256), "claims: expected an object" },
    { "exp as a text", token_of({ alg = "HS256" }, { exp = "never" }, hs256),
      "claim exp: expected a number of seconds" },
    { "exp that is null", token_of({ alg = "HS256" }, { exp = json.null }, hs256),
      "claim exp: expected a number of seconds" },
    { "nbf as an object", token_of({ alg = "HS256" }, { nbf = {} }, hs256), "claim nbf: expected a number of seconds" },
    { "iat as true", token_of({ alg = "HS256" }, { iat = true }, hs256), "claim iat: expected a number of seconds" },
    { "a signature that is no base64", token_of({ alg = "HS256" }, {}) .. "!!",
      'signature: expected base64, found "!" at byte 1' },
  }
  for _, case in ipairs(malformed) do
    it("refuses " .. case[1], function() assert_refused("malformed", case[3], case[2]) end)
  end

  it("refuses more than 16 KiB before it looks at them", function()
    assert_refused("too_large", "expected a token of at most 16384 bytes, found 16385", ("."):rep(16385))
  end)

  it("refuses every change of a byte", function()
    local token = token_of({ alg = "HS256" }, { sub = "bob" }, hs256)
    assert.is_table((verify(token)))
    for at = 1, #token do
      local claims = verify(token:sub(1, at - 1) .. (token:sub(at, at) == "A" and "B" or "A") .. token:sub(at + 1))
      assert.is_nil(claims)
    end
    assert.is_nil((verify(token .. "A")))
    assert.is_nil((verify(token:sub(1, -2))))
  end)

  -- [G40] claims_to_verify
  local times = {
    { "exp in the future", { exp = NOW + 1 } }, { "exp now", { exp = NOW }, nil, "expired" },
    { "exp in the past", { exp = NOW - 10 }, nil, "expired",
      "expected a token that is still valid, found one that expired 10 seconds ago" },
    { "exp in the past, within the leeway", { exp = NOW - 10 }, { leeway = 11 } },
    { "exp in the past, at the end of the leeway", { exp = NOW - 10 }, { leeway = 10 }, "expired" },
    { "exp as a fraction", { exp = NOW + 0.5 } }, { "exp at the end of time", { exp = 1e300 } },
    { "exp before all time", { exp = -1e300 }, nil, "expired" },
    { "nbf now", { nbf = NOW } },
    { "nbf in the future", { nbf = NOW + 10 }, nil, "not_yet_valid",
      "expected a token that is valid already, found one for 10 seconds from now" },
    { "nbf in the future, within the leeway", { nbf = NOW + 10 }, { leeway = 10 } },
    { "nbf at the end of time", { nbf = 1e300 }, nil, "not_yet_valid" },
    { "iat in the future", { iat = NOW + 10 } },
    { "no exp", {} }, { "no exp that is required", {}, { required = { "exp" } }, "missing_claim",
      "expected the claim exp, found none" },
    { "exp that is required", { exp = NOW + 1 }, { required = { "exp" } } },
    { "a claim that is null", { sub = json.null }, { required = { "sub" } }, "missing_claim" },
    { "a claim that is false", { sub = false }, { required = { "sub" } } },
  }
  for _, case in ipairs(times) do
    it(("%s %s"):format(case[4] and "refuses" or "takes", case[1]), function()
      local token = token_of({ alg = "HS256" }, case[2], hs256)
      if case[4] then return assert_refused(case[4], case[5], token, case[3]) end
      assert.is_table((verify(token, case[3])))
    end)
  end

  local parties = {
    { { iss = "a" }, { iss = "a" } }, { { iss = "a" }, { iss = { "b", "a" } } }, { { iss = "a" }, {} },
    { { iss = "a" }, { iss = "b" }, "issuer" }, { {}, { iss = "a" }, "issuer" },
    { { iss = { "a" } }, { iss = "a" }, "issuer" },
    { { iss = "a" }, { iss = {} }, "issuer" },
    { { aud = "a" }, { aud = "a" } }, { { aud = { "x", "a" } }, { aud = "a" } },
    { { aud = { "x", "a" } }, { aud = { "b", "a" } } },
    { { aud = "a" }, { aud = "b" }, "audience" }, { { aud = { "x", "y" } }, { aud = "a" }, "audience" },
    { {}, { aud = "a" }, "audience" }, { { aud = {} }, { aud = "a" }, "audience" },
    { { aud = 1 }, { aud = "a" }, "audience" },
    { { aud = { { "a" } } }, { aud = "a" }, "audience" }, { { aud = { a = "a" } }, { aud = "a" }, "audience" },
    { { aud = json.null }, { aud = "a" }, "audience" },
  }
  for _, case in ipairs(parties) do
    it(("%s %s for %s"):format(case[3] and "refuses" or "takes", json.encode(case[1], { sorted = true }),
                               json.encode(case[2], { sorted = true })), function()
      local token = token_of({ alg = "HS256" }, case[1], hs256)
      if case[3] then return assert_refused(case[3], nil, token, case[2]) end
      assert.is_table((verify(token, case[2])))
    end)
  end

  it("asks a function for the key, which may refuse or wait", function()
    local token = jwt.sign({ sub = "x" }, { alg = "HS256", key = secret, kid = "7" })
    local seen
    assert.is_table((verify(token, { keys = function(kid, header)
      seen = kid .. header.alg
      return secret
    end })))
    assert.equal("7HS256", seen)
    assert_refused("unknown_key", "no such key", token, { keys = function() return nil, "no such key" end })
    assert_refused("unknown_key", 'expected a kid that is known, found "7"', token, { keys = function() end })
    local waiting = coroutine.wrap(function()
      return verify(token, { keys = function() return coroutine.yield "fetch" end })
    end)
    assert.equal("fetch", waiting())
    assert_refused("signature", nil, token, { keys = crypto.secret "another" })
    assert.equal("x", waiting(secret).sub)
  end)

  -- [X17] an unknown algorithm is an error, never another one
  local misuses = {
    { "jwt.verify: expected a token as text, found nil", nil, {} },
    { 'jwt.verify: expected algs, a list of the algorithms to accept such as { "RS256" }', "a.b.c", { keys = secret } },
    { 'jwt.verify: expected algs, a list of the algorithms to accept such as { "RS256" }', "a.b.c",
      { keys = secret, algs = {} } },
    { 'jwt.verify: algs: expected algorithms such as RS256, found "none"', "a.b.c",
      { keys = secret, algs = { "none" } } },
    { 'jwt.verify: algs: expected algorithms such as RS256, found "HS1"', "a.b.c",
      { keys = secret, algs = { "HS256", "HS1" } } },
    { "jwt.verify: option algs: expected a table, found a string", "a.b.c", { keys = secret, algs = "HS256" } },
    { "jwt.verify: expected keys (a key of crypto.key or crypto.secret, a table of them by kid, or a function)"
      .. ", found a string",
      "a.b.c", { keys = "secret", algs = { "HS256" } } },
    { "jwt.verify: there is no option key", "a.b.c", { key = secret, algs = { "HS256" } } },
    { "jwt.verify: option iss: expected a text or a list of texts, found a number", "a.b.c",
      { keys = secret, algs = { "HS256" }, iss = 1 } },
    { "jwt.verify: keys: expected keys of crypto.key or crypto.secret",
      token_of({ alg = "HS256", kid = "a" }, {}, hs256), { keys = { a = "secret" }, algs = { "HS256" } } },
  }
  for i, case in ipairs(misuses) do
    it(("raises %d: %s"):format(i, case[1]), function()
      assert.has_error(function() jwt.verify(case[2], case[3]) end, case[1])
    end)
  end
end)

-- [P13] issuing
describe("jwt.sign", function()
  it("names the key", function()
    local key = crypto.key { kty = "oct", k = "c2VjcmV0", kid = "k1" }
    local _, header = jwt.decode_unverified(jwt.sign({}, { alg = "HS256", key = key }))
    assert.same({ alg = "HS256", kid = "k1", typ = "JWT" }, header)
    _, header = jwt.decode_unverified(jwt.sign({}, { alg = "HS256", key = key, kid = "k2", typ = "at+jwt" }))
    assert.same({ alg = "HS256", kid = "k2", typ = "at+jwt" }, header)
  end)

  it("makes the same of the same", function()
    local function make() return jwt.sign({ a = 1, b = { 2 }, c = "x" }, { alg = "HS256", key = secret }) end
    assert.equal(make(), make())
  end)

  local complaints = {
    { { sub = print }, { alg = "HS256", key = secret },
      'claims: expected what JSON can hold, found a function at "sub"' },
    { {}, { alg = "none", key = secret }, 'expected an algorithm such as RS256, found "none"' },
    { {}, { alg = "RS256", key = secret }, "RS256: expected an RSA key, found a secret" },
    { { sub = ("x"):rep(16384) }, { alg = "HS256", key = secret },
      "expected a token of at most 16384 bytes, found 21940" },
  }
  for _, case in ipairs(complaints) do
    it("refuses: " .. case[3], function() assert.same({ nil, case[3] }, { jwt.sign(case[1], case[2]) }) end)
  end

  it("raises for options that are not there", function()
    assert.has_error(function() jwt.sign({}, { key = secret }) end,
      'jwt.sign: expected the option alg, such as "HS256"')
    assert.has_error(function() jwt.sign({}, { alg = "HS256", key = {} }) end,
                     "jwt.sign: expected the option key, of crypto.key or crypto.secret")
    assert.has_error(function() jwt.sign("{}", {}) end, "jwt.sign: expected a table of claims, found a string")
  end)
end)

describe("jwt.decode_unverified", function()
  it("gives what a token says, whoever wrote it", function()
    assert.same({ { sub = "x" }, { alg = "none" } },
      { jwt.decode_unverified(token_of({ alg = "none" }, { sub = "x" })) })
  end)

  it("refuses what is no token", function()
    assert.same({ nil, "expected a token of three parts with dots between them", "malformed" },
      { jwt.decode_unverified "x" })
    assert.same({ nil, "claims: expected an object", "malformed" }, { jwt.decode_unverified(token_of({}, "1")) })
    assert.same({ nil, "expected a token of at most 16384 bytes, found 20000", "too_large" },
                { jwt.decode_unverified(("x"):rep(20000)) })
  end)
end)
