local base64 = require "tidegate.tide.base64"
local crypto = require "tidegate.tide.crypto"
local jwt = require "tidegate.tide.jwt"
local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
instances:
  strict_auth: { use: auth, config: { jwt_secret: your-secret-key, token_header: X-Auth-Token, require_auth: true } }
routes:
  - path: "/basic/*"
    service: app
    plugins: [ { auth: { type: basic, users: [ { username: admin, password: password } ] } } ]
  - { path: "/jwt/*", service: app, plugins: [ { auth: { jwt_secret: your-secret-key } } ] }
  - { path: "/header/*", service: app, plugins: [ strict_auth ] }
  - { path: "/lax/*", service: app, plugins: [ { auth: { jwt_secret: your-secret-key, require_auth: false } } ] }
]]

describe("auth [T19 X7]", function()
  local at = shipped.new(CONFIG)
  setup(at.start)
  teardown(at.stop)

  local function token(alg) return assert(jwt.sign({ sub = "admin", exp = os.time() + 60 }, {
    alg = alg or "HS256", key = assert(crypto.secret "your-secret-key"),
  })) end

  local function basic(text) return "Authorization: Basic " .. base64.encode(text) end

  -- path, field, status, challenge
  local cases = {
    { "asks for a password", "/basic/", nil, 401, 'Basic realm="Restricted"' },
    { "takes the right one", "/basic/", basic "admin:password", 200 },
    { "refuses a wrong one", "/basic/", basic "admin:admin", 401, 'Basic realm="Restricted"' },
    { "asks for a token", "/jwt/", nil, 401, 'Bearer realm="Restricted"' },
    { "takes the right one", "/jwt/", "Authorization: Bearer " .. token(), 200 },
    { "refuses another algorithm", "/jwt/", "Authorization: Bearer " .. token "HS512", 401 },
    { "asks for a token in a field of its own", "/header/", "Authorization: Bearer " .. token(), 401 },
    { "takes it from there", "/header/", "X-Auth-Token: " .. token(), 200 },
    { "lets nobody through where it is told to", "/lax/", nil, 200 },
    { "but nothing wrong", "/lax/", "Authorization: Bearer x", 401 },
  }
  for i, case in ipairs(cases) do
    it(("%s (%d)"):format(case[1], i), function()
      local response = at.ask { target = case[2], headers = { case[3] } }
      assert.equal(case[4], response.status)
      if case[4] == 401 then assert.equal("Unauthorized\n", response.body) end
      if case[5] then assert.equal(case[5], response:get "www-authenticate") end
    end)
  end

  shipped.refuses(it, "auth", {
    { "{}", "expected exactly one of users, jwt_secret, found none" },
    { "{ type: basic, jwt_secret: x }", "type: basic needs users" },
    { "{ type: jwt, users: [{ username: a, password: b }] }", "type: jwt needs jwt_secret" },
    { "{ type: none, jwt_secret: x }", 'auth.type: expected one of basic, jwt, found "none"' },
    { "{ jwt_secret: x, algorithm: RS256 }", "auth.algorithm: expected one of HS256, HS384, HS512" },
  })
end)
