--- Which node a request goes to, with the real binary and several loops [T60 G22].
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local KEY = [[
--- Gives requests the hash key that they ask for.
local Key = { version = "1.0.0", description = "Sets a hash key.", band = "filter", schema = {} }
Key.__index = Key
function Key.new() return setmetatable({}, Key) end
function Key:request(req)
  local key = req:header "x-key"
  if not key then return end
  local good, why = pcall(req.set_hash_key, req, key)
  if not good then return req:reply(500, why) end
end
return Key
]]

local CONFIG = [[
gateway: { threads: 4, grace: 1s }
plugins: [ key ]
services:
  turns: { nodes: [NODES] }
  weights: { balance: weighted_round_robin, nodes: [WEIGHTED] }
  least: { balance: least_connections, nodes: [NODES] }
  by_ip: { balance: ip_hash, nodes: [NODES] }
  by_header: { balance: { algorithm: consistent_hash, key: header.X-User }, nodes: [NODES] }
  by_cookie: { balance: { algorithm: consistent_hash, key: cookie.user }, nodes: [NODES] }
  by_query: { balance: { algorithm: consistent_hash, key: query.user }, nodes: [NODES] }
  by_path: { balance: { algorithm: consistent_hash, key: path }, nodes: [NODES] }
  spare: { nodes: ["DEAD", { url: "SPARE", backup: true }] }
  once: { nodes: ["DEAD", { url: "SPARE", backup: true }], retries: { attempts: 0 } }
routes:
  - { path: /turns, service: turns }
  - { path: /weights, service: weights }
  - { path: "/least/*", service: least }
  - { path: /by-ip, service: by_ip }
  - { path: /by-header, service: by_header }
  - { path: /by-cookie, service: by_cookie }
  - { path: /by-query, service: by_query }
  - { path: "/by-path/*", service: by_path }
  - { path: /spare, service: spare }
  - { path: /once, service: once }
]]

describe("balancing over four loops", function()
  local gw, nodes, by_name

  setup(function()
    nodes, by_name = {}, {}
    for i, name in ipairs { "a", "b", "c" } do
      nodes[i] = upstream.by_path {
        ["/least/hold"] = function(conn, head)
          conn:read_body(head)
          conn:wait_release()
          conn:respond(200, name)
        end,
        default = function(conn, head)
          conn:read_body(head)
          conn:respond(200, name)
        end,
      }
      by_name[name] = nodes[i]
    end
    local plain, weighted = {}, {}
    for i, up in ipairs(nodes) do
      plain[i] = ("%q"):format(up.node)
      weighted[i] = ("{ url: %q, weight: %d }"):format(up.node, 4 - i)
    end
    local yaml = CONFIG:gsub("NODES", table.concat(plain, ", ")):gsub("WEIGHTED", table.concat(weighted, ", "))
      :gsub("DEAD", upstream.nobody()):gsub("SPARE", nodes[3].node)
    gw = gateway.start(yaml, { plugins = { key = KEY } })
  end)

  teardown(function()
    gw:stop()
    for _, up in ipairs(nodes) do up:stop() end
  end)

  local function node_of(target, headers)
    local res = assert(client.ask(gw:port(), request { target = target, headers = headers }))
    assert.equal(200, res.status)
    return res.body
  end

  --- How often each node answered so many requests, each on a connection of its own, so that all loops have some.
  local function counts(target, times)
    local found = { a = 0, b = 0, c = 0 }
    for _ = 1, times do
      local name = node_of(target)
      found[name] = found[name] + 1
    end
    return found
  end

  it("takes turns that are exact over all loops", function()
    for _ = 1, 3 do assert.same({ a = 100, b = 100, c = 100 }, counts("/turns", 300)) end
  end)

  it("takes turns by weight, exact in every six", function()
    for _ = 1, 20 do assert.same({ a = 3, b = 2, c = 1 }, counts("/weights", 6)) end
  end)

  it("sends a request to the node with the fewest in hand", function()
    local held = {}
    for i = 1, 2 do
      held[i] = client.connect(gw:port())
      held[i]:send(request { target = "/least/hold" })
    end
    local free = { a = true, b = true, c = true }
    for _, up in ipairs(nodes) do
      -- A node that holds one has noted the head of its request.
      up.holds = function()
        for _, event in ipairs(up:events "head") do
          if event.text:find "/least/hold" then return true end
        end
      end
    end
    require("support.clock").wait_until(function()
      local n = 0
      for name, up in pairs(by_name) do
        if up.holds() then
          n = n + 1
          free[name] = nil
        end
      end
      return n == 2
    end, nil, "two nodes to hold a request")
    local idle = next(free)
    for _ = 1, 20 do assert.equal(idle, node_of "/least/quick") end
    for _, up in ipairs(nodes) do up:release() end
    for _, c in ipairs(held) do
      assert.equal(200, c:response().status)
      c:close()
    end
  end)

  local keyed = {
    { "client's address", function() return "/by-ip" end, one = true },
    { "header", function(i) return "/by-header", { "x-user: " .. i } end },
    { "cookie", function(i) return "/by-cookie", { "Cookie: a=1; user=" .. i .. "; b=2" } end },
    { "query parameter", function(i) return "/by-query?a=b&user=" .. i end },
    { "path", function(i) return "/by-path/" .. i end },
    { "key that a plugin sets", function(i) return "/by-ip", { "X-Key: " .. i } end },
  }
  for _, case in ipairs(keyed) do
    it("sends the same " .. case[1] .. " to the same node", function()
      local found = {}
      for i = 1, 12 do
        local name = node_of(case[2](i))
        found[name] = true
        for _ = 1, 3 do assert.equal(name, node_of(case[2](i))) end
      end
      local n = 0
      for _ in pairs(found) do n = n + 1 end
      if case.one then assert.equal(1, n) else assert.is_true(n > 1) end
    end)
  end

  it("takes turns where the key is not there", function()
    local found = {}
    for _ = 1, 9 do found[node_of "/by-header"] = true end
    assert.same({ a = true, b = true, c = true }, found)
  end)

  it("tells a plugin that an empty key is none", function()
    local res = client.ask(gw:port(), request { target = "/by-ip", headers = { "X-Key:" } })
    assert.equal(500, res.status)
    assert.truthy(res.body:find "set_hash_key")
  end)

  it("asks a backup where all other nodes have failed the request, and no sooner", function()
    assert.equal(200, client.ask(gw:port(), request { target = "/spare" }).status)
    assert.equal(200, client.ask(gw:port(), request { method = "POST", target = "/spare" }).status)
    assert.equal(502, client.ask(gw:port(), request { target = "/once" }).status)
  end)
end)
