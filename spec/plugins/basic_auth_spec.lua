local base64 = require "tidegate.tide.base64"
local crypto = require "tidegate.tide.crypto"
local clock = require "support.clock"
local shipped = require "support.shipped"

local HASH = crypto.hash_password("correct horse", 10000)
local SALTED = "{SSHA256}" .. base64.encode(crypto.digest("sha256", "salted" .. "salt") .. "salt")

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
instances:
  strict:
    use: basic_auth
    config:
      users:
        - { username: alice, password: "wonder land:é" }
        - { username: bob, password_hash: "HASH" }
        - { username: carol, password_hash: "SALTED" }
      realm: 'The "inner" \ court'
      consumer_header: x-consumer
      hide_credentials: true
routes:
  - { path: "/strict/*", service: app, plugins: [ strict ] }
  - path: "/plain/*"
    service: app
    plugins: [ { basic_auth: { users: [ { username: alice, password: secret } ] } } ]
  - path: "/lax/*"
    service: app
    plugins:
      - basic_auth: { users: [ { username: alice, password: secret } ], required: false, consumer_header: x-consumer }
]]
CONFIG = CONFIG:gsub("HASH\"", function() return HASH .. '"' end):gsub("SALTED", function() return SALTED end)

describe("basic_auth [T19]", function()
  local at = shipped.new(CONFIG)
  setup(at.start)
  teardown(at.stop)

  local function basic(text) return "Authorization: Basic " .. base64.encode(text) end

  local function ask(target, ...) return at.ask { target = target, headers = { ... } } end

  local good = {
    { "takes the right password", "/strict/", basic "alice:wonder land:é", "alice" },
    { "takes the scheme in any case", "/strict/", (basic("alice:wonder land:é"):gsub("Basic", "bASIC")), "alice" },
    { "takes the right password of a hash", "/strict/", basic "bob:correct horse", "bob" },
    { "and takes it again", "/strict/", basic "bob:correct horse", "bob" },
    { "takes the right password of a salted digest", "/strict/", basic "carol:salted", "carol" },
    { "lets nobody through where it is not required", "/lax/", "X-Consumer: mallory", "" },
    { "names who is known all the same", "/lax/", basic "alice:secret", "alice" },
  }
  for _, case in ipairs(good) do
    it(case[1], function()
      assert.equal(200, ask(case[2], case[3]).status)
      assert.equal(case[4], at.upwards "x-consumer")
    end)
  end

  local bad = {
    { "asks where there is no password" },
    { "refuses a wrong password", basic "alice:wonder land:e" },
    { "refuses the beginning of a password", basic "alice:wonder land:" },
    { "refuses more than the password", basic "alice:wonder land:éé" },
    { "refuses an empty password", basic "alice:" },
    { "refuses a name that is not known", basic "mallory:wonder land:é" },
    { "refuses the password of another", basic "alice:correct horse" },
    { "refuses a name that is not known with a password that is", basic "mallory:correct horse" },
    { "refuses the hash as password", basic("bob:" .. HASH) },
    { "refuses a wrong password of a hash", basic "bob:correct hors" },
    { "refuses a name in another case", basic "Alice:wonder land:é" },
    { "refuses an empty name", basic ":wonder land:é" },
    { "refuses a name alone", basic "alice" },
    { "refuses nothing", basic "" },
    { "refuses what is no base64", "Authorization: Basic alice:wonder" },
    { "refuses base64 with something behind it", basic "alice:wonder land:é" .. " x" },
    { "refuses another scheme", "Authorization: Bearer " .. base64.encode "alice:wonder land:é" },
    { "refuses a scheme alone", "Authorization: Basic" },
    { "refuses a password of any length", basic("bob:" .. ("x"):rep(2000)) },
  }
  for _, case in ipairs(bad) do
    it(case[1], function()
      at.up:forget()
      local response = ask("/strict/", case[2])
      assert.equal(401, response.status)
      assert.equal("Unauthorized\n", response.body)
      assert.equal('Basic realm="The \\"inner\\" \\\\ court"', response:get "www-authenticate")
      assert.equal(0, #at.up:requests())
    end)
  end

  it("refuses a wrong password where none is required", function()
    assert.equal(401, ask("/lax/", basic "alice:wrong").status)
  end)

  it("refuses two passwords, of which the upstream might take the other", function()
    assert.equal(401, ask("/strict/", basic "alice:wonder land:é", basic "alice:x").status)
  end)

  it("has the realm that is always there", function()
    assert.equal('Basic realm="Restricted"', ask("/plain/"):get "www-authenticate")
  end)

  it("tells the upstream what it shall know", function()
    ask("/strict/", basic "alice:wonder land:é", "X-Consumer: mallory")
    assert.equal("alice", at.upwards "x-consumer")
    assert.equal("", at.upwards "authorization")
    ask("/plain/", basic "alice:secret", "X-Consumer: mine")
    assert.equal("Basic " .. base64.encode "alice:secret", at.upwards "authorization")
    assert.equal("mine", at.upwards "x-consumer")
  end)

  it("does not tell by its time which names are known", function()
    -- 10,000 rounds take milliseconds, all else far less than one.
    local function time(credentials)
      local least = math.huge
      for _ = 1, 10 do
        local from = clock.now()
        ask("/strict/", basic(credentials))
        least = math.min(least, clock.now() - from)
      end
      return least
    end
    local known = time "bob:x"
    assert.is_true(time "mallory:x" > known / 3)
    assert.is_true(time "alice:x" > known / 3)
  end)

  it("writes no password into any log", function()
    for _, text in ipairs { at.gw:log(), select(2, at.gw:command "check") } do
      for _, secret in ipairs { "wonder land", "correct horse", HASH } do
        assert.is_nil(text:find(secret, 1, true))
      end
    end
  end)

  shipped.refuses(it, "basic_auth", {
    { "{}", "basic_auth.users: missing, expected a list" },
    { "{ users: [] }", "basic_auth.users: expected at least 1 item, found 0" },
    { "{ users: [{ username: a }] }", "expected exactly one of password, password_hash, found none" },
    { "{ users: [{ username: a, password: b, password_hash: '{SHA}' }] }", "found password and password_hash" },
    { "{ users: [{ username: a, password: b }, { username: a, password: c }] }", 'the name "a" is there twice' },
    { "{ users: [{ username: 'a:b', password: c }] }", "expected a name without colons and control characters" },
    { "{ users: [{ username: a, password_hash: secret }] }", "expected a hash such as" },
    { "{ users: [{ username: a, password_hash: '$2y$10$abc' }] }", "expected a hash that is quick to check" },
    { "{ users: [{ username: a, password: b }], realm: 'é' }", "expected a realm of printable ASCII" },
  })

  it("shows no password in what it complains of", function()
    local found = shipped.complaints("basic_auth", "{ users: [{ username: a, password_hash: topsecret }] }")
    assert.is_nil(found:find("topsecret", 1, true))
  end)
end)
