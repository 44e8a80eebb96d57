local base64 = require "tidegate.tide.base64"
local cjson = require "cjson"
local crypto = require "tidegate.tide.crypto"
local jwt = require "tidegate.tide.jwt"
local files = require "support.files"
local keys = require "support.keys"
local shipped = require "support.shipped"

local SECRET = "a secret of the gateway and those who sign"
local RSA_PUBLIC = keys.public "rsa"

--- A configuration's text in quotes: JSON is YAML.
local function quoted(text) return cjson.encode(text):gsub("\\/", "/") end

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - path: "/hs/*"
    service: app
    plugins: [ { jwt_auth: { algorithms: [HS256, HS512], secret: SECRET } } ]
  - path: "/rs/*"
    service: app
    plugins: [ { jwt_auth: { algorithms: RS256, public_key: RSA } } ]
  - path: "/keys/*"
    service: app
    plugins:
      - jwt_auth:
          algorithms: [HS256, RS256, ES256]
          keys:
            - { id: rsa, public_key: RSA }
            - { id: ec, jwk: JWK }
            - { id: shared, secret: SECRET }
            - { secret: other secret, }
  - path: "/strict/*"
    service: app
    plugins:
      - jwt_auth:
          algorithms: HS256
          secret: SECRET
          issuer: [me, you]
          audience: api
          required_claims: [exp, sub]
          leeway: 1m
          max_age: 1h
          realm: 'a "b"'
  - path: "/told/*"
    service: app
    plugins:
      - jwt_auth:
          algorithms: HS256
          secret: SECRET
          required: false
          hide_credentials: true
          cookie: token
          query: access_token
          consumer_claim: user.name
          claims_to_headers: { sub: x-user, user.name: x-name, roles: x-roles, user: x-all, age: x-age, none: x-none }
      - headers: { request: { set: { x-consumer: "${consumer}" } } }
  - path: "/bare/*"
    service: app
    plugins:
      - jwt_auth: { algorithms: HS256, secret: SECRET, header: X-Auth-Token, scheme: "", required_claims: [] }
]]

local function public_jwk(kind)
  local pem = keys.openssl("pkey -pubout -text_pub -noout", keys.private(kind))
  local hex = pem:match "pub:%s*(.-)%s*ASN1":gsub("[:%s]", "")
  local point = crypto.from_hex(hex)
  local x, y = point:sub(2, 33), point:sub(34, 65)
  return { kty = "EC", crv = "P-256", x = base64.encode_url(x), y = base64.encode_url(y) }
end

local STANDS_FOR = { SECRET = quoted(SECRET), RSA = quoted(RSA_PUBLIC), JWK = cjson.encode(public_jwk "P-256") }
CONFIG = CONFIG:gsub("%f[%u]%u%u+%f[%U]", STANDS_FOR)

describe("jwt_auth [T19 G40 P12 X17]", function()
  local at = shipped.new(CONFIG)
  setup(at.start)
  teardown(at.stop)

  local now = os.time()
  local shared, rsa, ec = assert(crypto.secret(SECRET)), nil, nil

  setup(function()
    rsa, ec = assert(crypto.key(keys.private "rsa")), assert(crypto.key(keys.private "P-256"))
  end)

  --- A token; where no claims are given, one that is good for a minute.
  local function token(alg, key, claims, kid)
    return assert(jwt.sign(claims or { sub = "alice", exp = now + 60 }, { alg = alg, key = key, kid = kid }))
  end

  local function bearer(text) return "Authorization: Bearer " .. text end

  local function ask(target, ...) return at.ask { target = target, headers = { ... } } end

  local function encode(value) return base64.encode_url(cjson.encode(value)) end

  it("takes tokens of the algorithms that are named", function()
    assert.equal(200, ask("/hs/", bearer(token("HS256", shared))).status)
    assert.equal(200, ask("/hs/", bearer(token("HS512", shared))).status)
    assert.equal(200, ask("/rs/", bearer(token("RS256", rsa))).status)
    assert.equal(200, ask("/hs/", "authorization: bEARER   " .. token("HS256", shared)).status)
  end)

  it("asks where there is none", function()
    local response = ask("/hs/")
    assert.equal(401, response.status)
    assert.equal("Unauthorized\n", response.body)
    assert.equal('Bearer realm="Restricted"', response:get "www-authenticate")
  end)

  local forged = {
    { "an algorithm that is not named", "/hs/", function() return token("HS384", shared) end },
    { "another secret", "/hs/", function() return token("HS256", assert(crypto.secret "another")) end },
    { "another key", "/rs/", function() return token("RS256", assert(crypto.key(keys.private "other_rsa"))) end },
    { "the public key as secret", "/rs/", function()
      local data = encode { alg = "HS256", typ = "JWT" } .. "." .. encode { sub = "x", exp = now + 60 }
      return data .. "." .. base64.encode_url(crypto.hmac("sha256", RSA_PUBLIC, data))
    end },
    { "the public key as secret, where both are accepted", "/keys/", function()
      local data = encode { alg = "HS256", kid = "rsa" } .. "." .. encode { sub = "x", exp = now + 60 }
      return data .. "." .. base64.encode_url(crypto.hmac("sha256", RSA_PUBLIC, data))
    end },
    { "no signature", "/hs/", function()
      return encode { alg = "none" } .. "." .. encode { exp = now + 60 } .. "."
    end },
    { "none as the algorithm", "/hs/", function()
      return encode { alg = "none" } .. "." .. token("HS256", shared):match "%.(.*)"
    end },
    { "other claims under the signature", "/hs/", function()
      local head, _, signed = token("HS256", shared):match "^(.-)%.(.-)%.(.*)$"
      return head .. "." .. encode { sub = "root", exp = now + 60 } .. "." .. signed
    end },
    { "a key that it brings along", "/rs/", function()
      return token("HS256", shared):gsub("^[^.]*", encode { alg = "RS256", jwk = { kty = "oct", k = "x" } })
    end },
    { "what is no token", "/hs/", function() return "abc" end },
    { "a key's id of another algorithm", "/keys/", function() return token("HS256", shared, nil, "ec") end },
    { "an id that is not known, with a key that has one", "/keys/", function()
      return token("RS256", rsa, nil, "x")
    end },
    { "no id, with a key that has one", "/keys/", function() return token("RS256", rsa) end },
  }
  for _, case in ipairs(forged) do
    it("refuses " .. case[1], function()
      at.up:forget()
      local response = ask(case[2], bearer((case[3]())))
      assert.equal(401, response.status)
      assert.equal('Bearer realm="Restricted", error="invalid_token", error_description="the token is not accepted"',
                   response:get "www-authenticate")
      assert.equal(0, #at.up:requests())
    end)
  end

  it("refuses what is no single bearer token", function()
    local good = token("HS256", shared)
    local wrong = {
      { "Authorization: Basic " .. good }, { "Authorization: " .. good }, { "Authorization: Bearer" },
      { bearer(good), bearer(good) }, { bearer(good .. " x") },
    }
    for _, headers in ipairs(wrong) do assert.equal(401, ask("/hs/", unpack(headers)).status, headers[1]) end
  end)

  it("finds the key by its id", function()
    assert.equal(200, ask("/keys/", bearer(token("RS256", rsa, nil, "rsa"))).status)
    assert.equal(200, ask("/keys/", bearer(token("ES256", ec, nil, "ec"))).status)
    assert.equal(200, ask("/keys/", bearer(token("HS256", shared, nil, "shared"))).status)
    local other = assert(crypto.secret "other secret")
    assert.equal(200, ask("/keys/", bearer(token("HS256", other))).status)
    assert.equal(200, ask("/keys/", bearer(token("HS256", other, nil, "anything"))).status)
  end)

  local function with(changes)
    local claims = { sub = "alice", iss = "me", aud = { "api", "web" }, exp = now + 60, iat = now }
    for name, value in pairs(changes) do claims[name] = value ~= "" and value or nil end
    return claims
  end

  local claims = {
    { "all as it should be", {}, 200 },
    { "the other issuer", { iss = "you" }, 200 },
    { "an audience alone", { aud = "api" }, 200 },
    { "an end that is within the leeway", { exp = now - 30 }, 200 },
    { "a start that is within the leeway", { nbf = now + 30, iat = now + 30 }, 200 },
    { "an end that is over", { exp = now - 120 }, 401, "the token has expired" },
    { "a start that is to come", { nbf = now + 120 }, 401, "the token is not valid yet" },
    { "an issue that is to come", { iat = now + 120 }, 401, "the token is not valid yet" },
    { "an issue that is long ago", { iat = now - 3700 }, 401, "the token has expired" },
    { "no issue", { iat = "" }, 401, "the token is not accepted" },
    { "no end", { exp = "" }, 401, "the token is not accepted" },
    { "an end that is no number", { exp = "tomorrow" }, 401, "the token is not accepted" },
    { "no subject", { sub = "" }, 401, "the token is not accepted" },
    { "another issuer", { iss = "them" }, 401, "the token is not accepted" },
    { "no issuer", { iss = "" }, 401, "the token is not accepted" },
    { "another audience", { aud = { "web" } }, 401, "the token is not accepted" },
  }
  for _, case in ipairs(claims) do
    it(("answers %d to a token with %s"):format(case[3], case[1]), function()
      local response = ask("/strict/", bearer(token("HS256", shared, with(case[2]))))
      assert.equal(case[3], response.status)
      if not case[4] then return end
      assert.equal(('Bearer realm="a \\"b\\"", error="invalid_token", error_description="%s"'):format(case[4]),
                   response:get "www-authenticate")
    end)
  end

  it("tells the upstream what the token says, and nothing that the client says instead", function()
    local user = { name = "Alice", age = 7 }
    local made = token("HS256", shared,
                       { sub = "a\r\nb", user = user, roles = { "r1", "r2" }, age = 7, exp = now + 60 })
    ask("/told/", bearer(made), "X-User: root", "X-None: root")
    local expected = {
      ["x-user"] = "a  b", ["x-name"] = "Alice", ["x-roles"] = "r1,r2", ["x-age"] = "7", ["x-none"] = "",
      authorization = "", ["x-consumer"] = "Alice",
    }
    for name, value in pairs(expected) do assert.equal(value, at.upwards(name), name) end
    assert.same(user, cjson.decode(at.upwards "x-all"))
  end)

  it("lets nobody through where none is required, but nothing wrong", function()
    assert.equal(200, ask("/told/", "X-User: root", "X-Roles: root").status)
    assert.equal("", at.upwards "x-user")
    assert.equal("", at.upwards "x-roles")
    assert.equal(401, ask("/told/", bearer "abc").status)
    assert.equal(401, ask("/told/", "Authorization: Basic eDp5").status)
  end)

  it("looks into a cookie and the query", function()
    local made = token("HS256", shared, { sub = "alice", user = { name = "Alice" }, exp = now + 60 })
    ask("/told/", "Cookie: a=b; token=" .. made)
    assert.equal("alice", at.upwards "x-user")
    ask("/told/?a=b&access_token=" .. made)
    assert.equal("alice", at.upwards "x-user")
    assert.equal("/told/?a=b", at.up:last_request().target)
    assert.equal(401, ask("/told/?access_token=abc").status)
    assert.equal(401, ask("/told/?access_token").status)
  end)

  it("takes a token that stands alone in a field of its own", function()
    assert.equal(200, ask("/bare/", "X-Auth-Token: " .. token("HS256", shared, { sub = "x" })).status)
    assert.equal(401, ask("/bare/", "X-Auth-Token: Bearer " .. token("HS256", shared)).status)
    assert.equal(401, ask("/bare/", bearer(token("HS256", shared))).status)
  end)

  it("writes neither token nor secret into the log", function()
    ask("/hs/", bearer(token("HS384", shared)))
    assert.is_nil(at.gw:log():find(SECRET, 1, true))
    assert.is_nil(at.gw:log():find("eyJ", 1, true))
  end)

  shipped.refuses(it, "jwt_auth", {
    { "{ secret: x }", "jwt_auth.algorithms: missing, expected a list" },
    { "{ algorithms: HS256 }", "expected exactly one of secret, public_key, keys, found none" },
    { "{ algorithms: none, secret: x }", 'jwt_auth.algorithms[1]: expected one of HS256' },
    { "{ algorithms: [HS256, RS256], secret: x }", "algorithms: there is no key that serves RS256" },
    { "{ algorithms: RS256, public_key: x }", "public_key: expected a PEM text" },
    { "{ algorithms: HS256, secret: '-----BEGIN PUBLIC KEY-----' }", "secret: expected a secret, found a PEM text" },
    { "{ algorithms: ES256, keys: [{ id: a, jwk: { kty: EC } }] }", "keys[1]: JWK EC: expected crv" },
    { "{ algorithms: ES256, keys: [{ id: a }] }", "expected exactly one of secret, public_key, jwk, found none" },
    { "{ algorithms: HS256, secret: x, scheme: 'a b' }", "jwt_auth.scheme: expected a word such as Bearer" },
  })

  it("refuses a private key, and a key of a curve that the algorithm does not use", function()
    local folder = files.folder()
    files.write(folder .. "/private.pem", keys.private "rsa")
    files.write(folder .. "/ec.pem", keys.public "P-384")
    local function complaint(algorithm, file)
      local settings = '{ algorithms: %s, public_key: "${file:%s/%s.pem}" }'
      return shipped.complaints("jwt_auth", settings:format(algorithm, folder, file))
    end
    assert.matches("expected a public key, found a private one", complaint("RS256", "private"))
    assert.matches("there is no key that serves ES256", complaint("ES256", "ec"))
  end)
end)
