local configuration = require "support.configuration"

local TEXT = [[
listen: [":8080"]
gateway: { grace: 10s }
services:
  app: { nodes: ["127.0.0.1:9000", "127.0.0.1:9001"] }
  My-App: "http://127.0.0.1:9002"
  api.v1: { nodes: ["127.0.0.1:9003"] }
routes:
  - { path: /, service: app }
]]

local function with(set, variables)
  return configuration.load(TEXT, { set = set, variables = variables })
end

local function values(set, variables)
  local result = with(set, variables)
  assert.equal("", result.report:text())
  return result.config
end

local function complaint(set, variables)
  return (with(set, variables).report:text())
end

describe("--set", function()
  it("replaces a value", function()
    assert.equal(20, values({ "gateway.grace=20s" }).gateway.grace)
  end)

  it("adds a value, and the maps above it", function()
    local config = values { "timeouts.idle=5s", "services.app.pool.idle=1s" }
    assert.equal(5, config.timeouts.idle)
    assert.equal(1, config.services.app.pool.idle)
  end)

  it("takes numbers and booleans for what they are expected to be", function()
    local config = values { "gateway.threads=2", "security.merge_slashes=false", "services.app.nodes[1]=10.0.0.1:1" }
    assert.equal(2, config.gateway.threads)
    assert.is_false(config.security.merge_slashes)
    assert.equal("10.0.0.1", config.services.app.nodes[1].url.host)
  end)

  it("reaches items of lists, from 1", function()
    assert.equal(7, values({ "services.app.nodes[2]={url: 'a:7', weight: 7}" }).services.app.nodes[2].weight)
  end)

  it("adds an item after the last one", function()
    assert.equal(3, #values({ "services.app.nodes[3]=127.0.0.1:9009" }).services.app.nodes)
  end)

  it("takes lists and maps in YAML", function()
    local config = values { 'listen=[":1", {address: ":2", name: two}]' }
    assert.equal("two", config.listen[2].name)
  end)

  it("reaches keys with dots in brackets", function()
    assert.equal("10.0.0.3", values({ "services[api.v1].nodes[1]=10.0.0.3:80" }).services["api.v1"].nodes[1].url.host)
  end)

  it("may hold what comes from outside", function()
    local config = configuration.load(TEXT, { set = { "gateway.threads=${PORT:-3}" }, getenv = function() end }).config
    assert.equal(3, config.gateway.threads)
  end)

  it("lets the last one win", function()
    assert.equal(2, values({ "gateway.grace=1s", "gateway.grace=2s" }).gateway.grace)
  end)

  local cases = {
    { "gateway.graze=1s", '--set gateway.graze=1s: gateway.graze: unknown key; did you mean "grace"?\n' },
    { "gateway.grace=soon", "--set gateway.grace=soon: gateway.grace: expected a duration such as 500ms, 30s or 5m, " ..
      'found "soon"\n' },
    { "gateway", "--set gateway: expected path.to.key=value\n" },
    { "a..b=1", "--set a..b=1: expected path.to.key=value\n" },
    { ".a=1", "--set .a=1: expected path.to.key=value\n" },
    { "=1", "--set =1: expected path.to.key=value\n" },
    { "a[=1", "--set a[=1: expected path.to.key=value\n" },
    { "services.app.nodes[9]=a:1", "--set services.app.nodes[9]=a:1: there is no place for 9 here\n" },
    { "services.app.nodes[0]=a:1", "--set services.app.nodes[0]=a:1: there is no place for 0 here\n" },
    { "services.My-App.pool.idle=1s", "--set services.My-App.pool.idle=1s: there is no place for pool here: " ..
      "a lone value stands there, which can be replaced as a whole\n" },
    { "listen=[", "--set listen=[: the value is not YAML\n" },
    { "listen=[[[]]]", "--set listen=[[[]]]: listen[1].address: expected an address such as \":8080\", " ..
      "\"127.0.0.1:8080\", \"[::]:80\" or \"unix:run/gate.sock\", found a list\n" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() assert.equal(case[2], complaint { case[1] }) end)
  end
end)

describe("the environment", function()
  it("replaces a value", function()
    assert.equal(20, values(nil, { { "TIDEGATE_GATEWAY__GRACE", "20s" } }).gateway.grace)
  end)

  it("gives way to --set", function()
    assert.equal(1, values({ "gateway.grace=1s" }, { { "TIDEGATE_GATEWAY__GRACE", "20s" } }).gateway.grace)
  end)

  it("reaches items of lists", function()
    local config = values(nil, { { "TIDEGATE_SERVICES__APP__NODES__1", "10.0.0.9:80" } })
    assert.equal("10.0.0.9", config.services.app.nodes[1].url.host)
  end)

  it("reaches keys whatever their case, with _ for -", function()
    local config = values(nil, { { "TIDEGATE_SERVICES__MY_APP", "http://10.0.0.8" } })
    assert.equal("10.0.0.8", config.services["My-App"].nodes[1].url.host)
  end)

  it("replaces a key of the top", function()
    assert.equal("0.0.0.0:9", values(nil, { { "TIDEGATE_LISTEN", ":9" } }).listen[1].address)
  end)

  it("may hold variables of other meaning", function()
    values(nil, { { "TIDEGATE_LIB", "x" }, { "TIDEGATE_VERSION", "2.0" }, { "TIDEGATE_PORT_8080_TCP", "tcp://x" },
                  { "TIDEGATE_ADMIN_TOKEN", "x" }, { "TIDEGATE___", "x" } })
  end)

  it("is named in errors", function()
    assert.equal('environment TIDEGATE_GATEWAY__GRAZE: gateway.graze: unknown key; did you mean "grace"?\n',
                 complaint(nil, { { "TIDEGATE_GATEWAY__GRAZE", "x" } }))
  end)
end)
