--- One route, several services: by weight, by a cookie that the gateway sets, by a header.
local certificates = require "support.certificates"
local client = require "support.client"
local gateway = require "support.gateway"
local shell = require "support.shell"
local upstream = require "support.upstream"

local request = client.request

local PLUGIN = [[
--- Sends requests to the service that they name.
local Chosen = { version = "1.0.0", description = "Sends requests to the service that they name.", band = "filter" }
Chosen.__index = Chosen
function Chosen.new() return setmetatable({}, Chosen) end
function Chosen:request(req)
  local name = req:header "x-service"
  if name then req:set_service(name) end
end
return Chosen
]]

local SERVICES = [[
services: { stable: { nodes: ["STABLE"] }, next: { nodes: ["NEXT"] }, gone: { nodes: ["GONE"] } }
]]

local CONFIG = SERVICES .. [[
gateway: { threads: 1, grace: 1s }
metrics: { listen: "unix:metrics.sock" }
listen:
  - 127.0.0.1:0
  - { address: "127.0.0.2:0", tls: { certificates: [{ cert: "CERT", key: "KEY" }] } }
routes:
  - { path: /all, split: { stable: 1, next: 0 } }
  - { path: /half, split: { stable: 1, next: 1 } }
  - { name: shop, path: /shop, split: { stable: 1, next: 1 }, sticky: { cookie: shop } }
  - { path: /aged, split: { stable: 1, next: 1 }, sticky: { cookie: aged, max_age: 90m } }
  - { path: /user, split: { stable: 1, next: 1 }, sticky: { header: x-user } }
  - { path: /agent, split: { stable: 1, next: 1 }, sticky: { header: User-Agent } }
  - { path: /down, split: { gone: 1 }, sticky: { cookie: down } }
  - { path: /chosen, split: { stable: 1 }, sticky: { cookie: chosen }, plugins: [chosen] }
  - { path: /stripped/*, split: { stable: 1 }, strip_prefix: /stripped }
]]

local function named(name)
  return upstream.by_path { default = function(conn, head)
    conn:read_body(head)
    conn:respond(200, name .. (head.target == "/target" and head.target or ""))
  end }
end

describe("a split", function()
  local stable, next_one, gw

  local function complete(text, certificate)
    return (text:gsub("STABLE", stable.node):gsub("NEXT", next_one.node):gsub("GONE", upstream.nobody())
      :gsub("CERT", certificate and certificate.cert or ""):gsub("KEY", certificate and certificate.key or ""))
  end

  setup(function()
    stable, next_one = named "stable", named "next"
    local certificate = certificates.sign(certificates.authority(), "gate", "IP:127.0.0.1")
    gw = gateway.start(complete(CONFIG, certificate), { plugins = { chosen = PLUGIN } })
  end)

  teardown(function()
    gw:stop()
    stable:stop()
    next_one:stop()
  end)

  local function ask(target, ...)
    return assert(client.ask(gw:port(), request { target = target, headers = { ... } }))
  end

  --- The names of services that answered n requests, each as often as it did.
  local function answers(n, target, ...)
    local counts, connection = {}, client.connect(gw:port())
    for _ = 1, n do
      connection:send(request { target = target, headers = { ... } })
      local body = assert(connection:response()).body
      counts[body] = (counts[body] or 0) + 1
    end
    connection:close()
    return counts
  end

  --- A cookie of the route whose service is this.
  local function cookie_for(service, target)
    for _ = 1, 60 do
      local answer = ask(target or "/shop")
      if answer.body == service then return answer:get("set-cookie"):match "^[^;]+" end
    end
    error("no response of " .. service)
  end

  it("sends nothing to a service of weight 0", function()
    assert.same({ stable = 30 }, answers(30, "/all"))
  end)

  it("sends by weight", function()
    local counts = answers(400, "/half")
    -- Six standard deviations of 200.
    assert.is_true(math.abs(counts.stable - 200) < 60, counts.stable)
  end)

  it("strips prefixes as for one service", function()
    assert.equal("stable/target", ask("/stripped/target").body)
  end)

  describe("sticky by a cookie", function()
    it("sets the cookie once, and stays", function()
      for _, service in ipairs { "stable", "next" } do
        local cookie = cookie_for(service)
        assert.is_truthy(cookie:find "^shop=%x+$")
        assert.is_nil(cookie:find(service, 1, true))
        for _ = 1, 10 do
          local answer = ask("/shop", "Cookie: a=b; " .. cookie .. "; c=d")
          assert.equal(service, answer.body)
          assert.is_nil(answer:get "set-cookie")
        end
      end
    end)

    it("finds it in a second Cookie field, and in quotes", function()
      local cookie = cookie_for "next"
      for _ = 1, 10 do
        assert.equal("next", ask("/shop", "Cookie: a=b", "Cookie: " .. cookie).body)
        assert.equal("next", ask("/shop", "Cookie: " .. cookie:gsub("=(.*)", '="%1"')).body)
      end
    end)

    for _, value in ipairs { "", "next", "gone", "0000000000000000", ("f"):rep(4000), "%6e%65%78%74" } do
      it("chooses anew where the cookie is " .. value:sub(1, 20), function()
        local answer = ask("/shop", "Cookie: shop=" .. value)
        assert.is_truthy(answer.body == "stable" or answer.body == "next")
        assert.is_truthy(answer:get("set-cookie"):find "^shop=%x+; Path=/; HttpOnly; SameSite=Lax$")
      end)
    end

    it("ignores the cookie of another route's service", function()
      local foreign = ask("/chosen"):get("set-cookie"):match "=(%x+)"
      assert.equal("stable", ask("/shop", "Cookie: shop=" .. foreign).body)       -- a service of this split, too
      assert.is_truthy(ask("/all", "Cookie: shop=" .. foreign).body == "stable")
    end)

    it("says how long it is kept", function()
      assert.is_truthy(ask("/aged"):get("set-cookie"):find "^aged=%x+; Max%-Age=5400; Path=/; HttpOnly; SameSite=Lax$")
    end)

    it("is Secure over TLS", function()
      local text = shell.must(("curl -sik https://127.0.0.2:%d/shop"):format(gw:port(2)))
      assert.is_truthy(text:find "[Ss]et%-[Cc]ookie: shop=%x+; Path=/; HttpOnly; SameSite=Lax; Secure\r\n")
    end)

    it("binds nobody to a service that does not answer", function()
      local answer = ask "/down"
      assert.equal(502, answer.status)
      assert.is_nil(answer:get "set-cookie")
    end)

    it("says nothing where a plugin has chosen another service", function()
      local answer = ask("/chosen", "X-Service: next")
      assert.equal("next", answer.body)
      assert.is_nil(answer:get "set-cookie")
      assert.is_truthy(ask("/chosen"):get "set-cookie")
    end)
  end)

  describe("sticky by a header", function()
    it("gives the same value the same service, and both some", function()
      local services = {}
      for i = 1, 40 do
        local user = "X-User: user " .. i
        local counts = answers(3, "/user", user)
        local service = assert(next(counts))
        assert.equal(3, counts[service])
        services[service] = true
      end
      assert.same({ stable = true, next = true }, services)
    end)

    it("takes a known name as well", function()
      local counts = answers(10, "/agent", "User-Agent: curl")
      assert.equal(10, counts[next(counts)])
    end)

    it("draws where the header is missing or empty", function()
      for _, line in ipairs { "X-Other: 1", "X-User:" } do
        local counts = answers(60, "/user", line)
        assert.is_truthy(counts.stable and counts.next)
      end
    end)

    it("sets no cookie", function()
      assert.is_nil(ask("/user", "X-User: me"):get "set-cookie")
    end)
  end)

  it("is counted by service", function()
    answers(5, "/shop")
    local text = client.ask(gw.folder .. "/metrics.sock", request { target = "/metrics" }).body
    for _, service in ipairs { "stable", "next" } do
      assert.is_truthy(text:find('route="shop",service="' .. service .. '"', 1, true), service)
    end
  end)

  it("is told by explain", function()
    local _, text = gw:command("explain", "http://gate.test/shop")
    assert.is_truthy(text:find("one of the services next (50%), stable (50%), sticky by the cookie shop", 1, true))
  end)
end)

describe("a split that changes", function()
  it("keeps clients over a reload, and moves those whose service has left", function()
    local stable, next_one = named "stable", named "next"
    local function config(shares)
      return (SERVICES .. "routes: [{ path: /shop, split: SHARES, sticky: { cookie: shop } }]\n")
        :gsub("STABLE", stable.node):gsub("NEXT", next_one.node):gsub("GONE", upstream.nobody()):gsub("SHARES", shares)
    end
    local gw = gateway.start((config "{ next: 1 }"))
    local function ask(...) return assert(client.ask(gw:port(), request { target = "/shop", headers = { ... } })) end
    local cookie = "Cookie: " .. ask():get("set-cookie"):match "^[^;]+"
    gw:write((config "{ stable: 100, next: 1 }"))
    assert.equal(0, (gw:reload()))
    for _ = 1, 10 do assert.equal("next", ask(cookie).body) end
    for _, shares in ipairs { "{ stable: 100, next: 0 }", "{ stable: 100 }" } do
      gw:write((config(shares)))
      assert.equal(0, (gw:reload()))
      local answer = ask(cookie)
      assert.equal("stable", answer.body)
      assert.is_truthy(answer:get "set-cookie")
    end
    gw:stop()
    stable:stop()
    next_one:stop()
  end)
end)
