local base64 = require "tidegate.tide.base64"
local clock = require "support.clock"
local shipped = require "support.shipped"

-- Rates are low where a spec counts, so that nothing fills up meanwhile.
local CONFIG = [[
gateway: { threads: 4, grace: 1s, trusted_proxies: ["127.0.0.1"] }
services: { app: { nodes: ["NODE"] } }
instances:
  shared: { use: rate_limit, config: { rate: 2/h, name: together } }
routes:
  - { path: "/ip/*", service: app, plugins: [ { rate_limit: { rate: 3/h } } ] }
  - { path: "/other/*", service: app, plugins: [ { rate_limit: { rate: 3/h } } ] }
  - { path: "/one/*", service: app, plugins: [ shared ] }
  - { path: "/two/*", service: app, plugins: [ shared ] }
  - { path: "/header/*", service: app, plugins: [ { rate_limit: { rate: 1/h, key: header.x-user } } ] }
  - { path: "/path/*", service: app, plugins: [ { rate_limit: { rate: 1/h, key: path } } ] }
  - { path: "/template/*", service: app, plugins: [ { rate_limit: { rate: 1/h, key: "${method}:${query.k:-none}" } } ] }
  - path: "/consumer/*"
    service: app
    plugins:
      - use: basic_auth
        band: security
        config: { users: [ { username: a, password: x }, { username: b, password: x } ] }
      - rate_limit: { rate: 1/h, key: consumer }
  - path: "/burst/*"
    service: app
    plugins: [ { rate_limit: { rate: 60/h, burst: 2, status: 503, message: later } } ]
  - { path: "/quick/*", service: app, plugins: [ { rate_limit: { rate: 20/s, burst: 1 } } ] }
  - { path: "/quiet/*", service: app, plugins: [ { rate_limit: { rate: 1/h, headers: false } } ] }
  - { path: "/window/*", service: app, plugins: [ { rate_limit: { rate: 2/d, algorithm: fixed_window } } ] }
  - { path: "/sliding/*", service: app, plugins: [ { rate_limit: { rate: 2/d, algorithm: sliding_window } } ] }
  - { path: "/leaky/*", service: app, plugins: [ { rate_limit: { rate: 10/s, burst: 1, algorithm: leaky_bucket } } ] }
  - path: "/nested/*"
    service: app
    plugins:
      - { name: wide, use: rate_limit, config: { rate: 100/h } }
      - { name: tight, use: rate_limit, config: { rate: 5/h } }
      - { name: middle, use: rate_limit, config: { rate: 50/h } }
]]

describe("rate_limit [T20 X8 G13 G39 P19]", function()
  local at = shipped.new(CONFIG)
  setup(at.start)
  teardown(at.stop)

  local function ask(target, ...) return at.ask { target = target, headers = { ... } } end

  local function statuses(n, target, ...)
    local list = {}
    for i = 1, n do list[i] = ask(target, ...).status end
    return list
  end

  it("counts each client over all loops, and refuses what is too much", function()
    assert.same({ 200, 200, 200, 429, 429 }, statuses(5, "/ip/", "X-Forwarded-For: 192.0.2.1"))
    assert.same({ 200 }, statuses(1, "/ip/", "X-Forwarded-For: 192.0.2.2"))
  end)

  it("tells how many are left, and when to come again", function()
    local response = ask("/ip/", "X-Forwarded-For: 192.0.2.3")
    assert.equal("3", response:get "x-ratelimit-limit")
    assert.equal("2", response:get "x-ratelimit-remaining")
    local reset = tonumber(response:get "x-ratelimit-reset")
    assert.is_true(reset > 1100 and reset <= 1200, reset)
    assert.is_nil(response:get "retry-after")
    statuses(2, "/ip/", "X-Forwarded-For: 192.0.2.3")
    response = ask("/ip/", "X-Forwarded-For: 192.0.2.3")
    assert.equal(429, response.status)
    assert.equal("Too Many Requests\n", response.body)
    assert.equal("0", response:get "x-ratelimit-remaining")
    local after = tonumber(response:get "retry-after")
    assert.is_true(after > 1100 and after <= 1200, after)
  end)

  it("counts each route by itself, unless they have a name together", function()
    assert.same({ 200 }, statuses(1, "/other/", "X-Forwarded-For: 192.0.2.1"))
    assert.same({ 200 }, statuses(1, "/one/"))
    assert.same({ 200, 429 }, statuses(2, "/two/"))
    assert.same({ 429 }, statuses(1, "/one/"))
  end)

  it("counts by a field, and by address where there is none", function()
    assert.same({ 200, 429 }, statuses(2, "/header/", "X-User: a"))
    assert.same({ 200 }, statuses(1, "/header/", "X-User: b"))
    assert.same({ 200, 429 }, statuses(2, "/header/"))
    assert.same({ 429 }, statuses(1, "/header/", "X-User:"))
    assert.same({ 200, 429 }, statuses(2, "/header/", "X-User: 127.0.0.1"))
    assert.same({ 200, 429 }, statuses(2, "/header/", "X-User: " .. ("u"):rep(5000)))
  end)

  it("counts by path, template and consumer", function()
    assert.same({ 200, 429 }, statuses(2, "/path/a"))
    assert.same({ 200 }, statuses(1, "/path/b"))
    assert.same({ 200, 429 }, statuses(2, "/template/?k=1"))
    assert.same({ 200, 429 }, statuses(2, "/template/"))
    for _, name in ipairs { "a", "b" } do
      assert.same({ 200, 429 }, statuses(2, "/consumer/", "Authorization: Basic " .. base64.encode(name .. ":x")))
    end
    assert.same({ 401, 401 }, statuses(2, "/consumer/"))
  end)

  it("takes bursts apart from the rate, and refuses as it is told", function()
    assert.same({ 200, 200, 503 }, statuses(3, "/burst/"))
    assert.equal("later\n", ask("/burst/").body)
  end)

  it("fills up again at its rate, and not at once", function()
    assert.equal(200, ask("/quick/").status)
    clock.wait_until(function() return ask("/quick/").status == 200 end, nil, "the bucket to fill up")
  end)

  it("says nothing of it where it shall not", function()
    local response = ask("/quiet/")
    for _, field in ipairs(response.fields) do assert.is_nil(field.name:lower():find "ratelimit") end
    assert.equal(429, ask("/quiet/").status)
  end)

  it("counts in windows", function()
    assert.same({ 200, 200, 429 }, statuses(3, "/window/"))
    assert.same({ 200, 200, 429 }, statuses(3, "/sliding/"))
  end)

  it("lets requests wait for their turn", function()
    local from = clock.now()
    assert.same({ 200, 200 }, statuses(2, "/leaky/"))
    assert.is_true(clock.now() - from > 0.08)
  end)

  it("tells of the tightest of several limits", function()
    local response = ask("/nested/")
    assert.equal("5", response:get "x-ratelimit-limit")
    assert.equal("4", response:get "x-ratelimit-remaining")
  end)

  it("goes on counting over a reload", function()
    statuses(3, "/ip/", "X-Forwarded-For: 192.0.2.9")
    assert.equal(0, (at.gw:reload()))
    assert.same({ 429 }, statuses(1, "/ip/", "X-Forwarded-For: 192.0.2.9"))
  end)

  shipped.refuses(it, "rate_limit", {
    { "{}", "rate_limit.rate: missing, expected a rate such as 100/s" },
    { "{ rate: 100 }", 'rate_limit.rate: expected a rate such as 100/s, 60/m or 5/10s, found "100"' },
    { "{ rate: 0/s }", 'expected a rate such as 100/s, 60/m or 5/10s, found "0/s"' },
    { "{ rate: 1/x }", 'expected a rate such as 100/s, 60/m or 5/10s, found "1/x"' },
    { "{ rate: 1/s, key: ip }", "rate_limit.key: there is no variable ${ip}" },
    { "{ rate: 1/s, key: '${status}' }", "rate_limit.key: ${status} cannot stand here" },
    { "{ rate: 1/s, burst: 0 }", "rate_limit.burst: expected at least 1, found 0" },
    { "{ rate: 1/s, burst: 2, algorithm: fixed_window }", "burst: a window has none" },
    { "{ rate: 1/s, algorithm: gcra }", "rate_limit.algorithm: expected one of token_bucket" },
  })
end)
