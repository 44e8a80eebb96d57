--- Sticky sessions: a cookie leads a client back to the node that answered it, as long as that can be used.
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local CONFIG = [[
gateway: { threads: 3, grace: 1s }
services:
  app:
    nodes: [NODES]
    sticky: { cookie: seat SECRET }
    health_check: { passive: { failures: 1, eject: 60s } }
    retries: { attempts: 1 }
routes: [ { path: "/*", service: app } ]
]]

describe("a sticky service", function()
  local gw, nodes

  before_each(function()
    nodes = {}
    for i, name in ipairs { "a", "b", "c" } do
      nodes[i] = upstream.start(function(conn)
        while true do
          local head = conn:read_request()
          if not head then return end
          if head.target == "/fail-" .. name then conn:respond(503, "no") else conn:respond(200, name) end
        end
      end)
      nodes[i].name = name
    end
  end)

  after_each(function()
    if gw then gw:stop() end
    gw = nil
    for _, up in ipairs(nodes) do up:stop() end
  end)

  local function config(list, secret)
    local words = {}
    for i, up in ipairs(list) do words[i] = ("%q"):format(up.node) end
    return (CONFIG:gsub("NODES", table.concat(words, ", ")):gsub(" SECRET", secret and ", secret: " .. secret or ""))
  end

  local function ask(cookie, target)
    local headers = cookie and { "Cookie: other=1; seat=" .. cookie .. "; more=2" } or {}
    local res = assert(client.ask(gw:port(), request { target = target, headers = headers }))
    return res.body, res:get "set-cookie"
  end

  local function seat_of(set) return set:match "^seat=(%x+);" end

  it("leads back to the node, whose address the cookie does not tell", function()
    gw = gateway.start(config(nodes))
    local seen = {}
    for _ = 1, 6 do
      local name, set = ask()
      seen[name] = true
      local seat = seat_of(set)
      assert.equal(16, #seat)
      assert.equal(("seat=%s; Path=/; HttpOnly; SameSite=Lax"):format(seat), set)
      for _ = 1, 5 do
        local again, another = ask(seat)
        assert.equal(name, again)
        assert.is_nil(another)
      end
    end
    assert.same({ a = true, b = true, c = true }, seen)
  end)

  local strange = { "", "0", "0123456789abcdef", ("f"):rep(15), ("F"):rep(16), "127.0.0.1:80", ("x"):rep(4000), '"' }
  for i, text in ipairs(strange) do
    it("takes a cookie that names no node for none, " .. i, function()
      gw = gateway.start(config(nodes))
      local name, set = ask(text)
      assert.truthy(name:find "^[abc]$")
      assert.truthy(seat_of(set))
    end)
  end

  it("chooses anew where the node is not healthy, and sets the cookie again", function()
    gw = gateway.start(config(nodes))
    local name, set = ask()
    local seat = seat_of(set)
    ask(seat, "/fail-" .. name)
    gw:wait_log "node is ejected"
    local other, another = ask(seat)
    assert.is_true(other ~= name)
    assert.is_true(seat_of(another) ~= seat)
    assert.equal(other, (ask(seat_of(another))))
  end)

  it("chooses anew where the node cannot be reached, and sets the cookie again", function()
    gw = gateway.start(config(nodes))
    local name, set = ask()
    for _, up in ipairs(nodes) do
      if up.name == name then up:stop() end
    end
    local other, another = ask(seat_of(set))
    assert.is_true(other ~= name and other:find "^[abc]$" ~= nil)
    assert.is_true(seat_of(another) ~= seat_of(set))
  end)

  it("stays over a reload, and for a node that is gone begins anew", function()
    gw = gateway.start(config(nodes))
    local name, set = ask()
    local rest = {}
    for _, up in ipairs(nodes) do
      if up.name ~= name then rest[#rest + 1] = up end
    end
    gw:write(config { rest[2], rest[1], nodes[1].name == name and nodes[1] or nodes[2].name == name and nodes[2] or
                      nodes[3] })
    assert.equal(0, (gw:reload()))
    assert.equal(name, (ask(seat_of(set))))
    gw:write(config(rest))
    assert.equal(0, (gw:reload()))
    local other, another = ask(seat_of(set))
    assert.is_true(other ~= name)
    assert.truthy(seat_of(another))
  end)

  it("is shared by gateways with the same secret, and by no others", function()
    gw = gateway.start(config(nodes, "first secret"))
    local name, set = ask()
    local second = gateway.start(config(nodes, "first secret"))
    local third = gateway.start(config(nodes, "other secret"))
    local first = gw
    gw = second
    local again, another = ask(seat_of(set))
    assert.equal(name, again)
    assert.is_nil(another)
    gw = third
    local _, new = ask(seat_of(set))
    assert.is_true(seat_of(new) ~= seat_of(set))
    gw = first
    second:stop()
    third:stop()
  end)
end)
