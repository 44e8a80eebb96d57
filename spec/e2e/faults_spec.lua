--- Nodes that fail in each place where one can, in each way: what clients see, what is told, and that nothing is left.
local client = require "support.client"
local clock = require "support.clock"
local core = require "support.core"
local faults = require "support.faults"
local gateway = require "support.gateway"
local leftovers = require "support.leftovers"
local random = require "support.random"
local upstream = require "support.upstream"

-- How long nodes may take, by what is to be seen: a machine that is busy is no fault.
local LIMITS = {
  patient = "connect: 5s, send: 5s, first_byte: 5s, idle: 5s",
  hurried = "connect: 5s, send: 5s, first_byte: 250ms, idle: 5s",
  stalled = "connect: 5s, send: 5s, first_byte: 5s, idle: 250ms",
}

-- The bad node alone, and beside a good one, for each of them. The good one is kept connected: it answers at once.
local SERVICES = [[
  alone_%s: { nodes: [BAD], retries: { attempts: 0 }, timeouts: { %s } }
  pair_%s: { nodes: [BAD, GOOD], retries: { attempts: 1 }, pool: { idle: 10m }, timeouts: { %s } }
]]
local ROUTES = [[
  - { name: alone_%s, path: /alone/%s, service: alone_%s }
  - { name: pair_%s, path: /pair/%s, service: pair_%s }
]]

local function config(bad, good)
  local services, routes, count = {}, {}, 0
  for name, limits in pairs(LIMITS) do
    services[#services + 1] = SERVICES:format(name, limits, name, limits)
    routes[#routes + 1] = ROUTES:format(name, name, name, name, name, name)
    count = count + 1
  end
  local text = [[
gateway: { threads: 1, grace: 1s }
metrics: { listen: "unix:metrics.sock" }
services:
]] .. table.concat(services) .. "routes:\n" .. table.concat(routes)
  return text:gsub("%f[%w]%u%u%u+%f[%W]", { BAD = ("%q"):format(bad), GOOD = ("%q"):format(good) }), count
end

local list = faults.everywhere { "close", "reset", "hang" }

local function add(fault) list[#list + 1] = fault end

add { what = "sends less than its length", how = "close", begun = true,
      sent = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok" }
add { what = "sends more than its length", how = "close", good = true,
      sent = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!" }
add { what = "drips a head that takes too long", how = "drip", late = true, sent = "HTTP/1.1 200 OK\r\n",
      drips = ("X: y\r\n"):rep(30) }
add { what = "drips a body that never stops for long", how = "drip", good = true,
      sent = "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n", drips = ("ab"):rep(13) }

--- What clients get of a service with this node alone, of one that has another node too, and the word in the log.
local function expected(fault)
  if fault.good then return 200, 200 end
  local is_late = fault.how == "hang" or fault.late
  if fault.begun then return "cut", "cut", is_late and "upstream stopped in its response" or "response body cut" end
  if is_late then return 504, 504, "upstream did not answer in time" end
  return 502, 200, "upstream closed the connection early"
end

local function limits_of(fault)
  if not fault or fault.good or not (fault.how == "hang" or fault.late) then return "patient" end
  return fault.begun and "stalled" or "hurried"
end

describe("a node that", function()
  local bad, good, gw, kept

  local function ask(path, fault)
    local limits = limits_of(fault)
    local method, body = fault and fault.body and "PUT" or "GET", fault and fault.body and ("b"):rep(20000) or nil
    local c = client.connect(gw:port())
    c:send(client.request { target = ("/%s/%s"):format(path, limits), method = method, body = body })
    local response, why = c:response { timeout = 10 }
    c:close()
    if not response then return why == "reset" and "cut" or why end
    return response.complete and response.status or "cut"
  end

  setup(function()
    local text
    bad, good = faults.node(list), upstream.by_path {}
    text, kept = config(bad.address, good.node)
    gw = gateway.start(text)
    for name in pairs(LIMITS) do
      for _ = 1, 2 do client.ask(gw:port(), client.request { target = "/pair/" .. name }) end
    end
  end)

  teardown(function()
    gw:stop()
    bad:stop()
    good:stop()
  end)

  --- How much figures have grown since they were read first.
  local function grown(before, ...)
    local now, list_of = leftovers.metrics(gw), {}
    for i, line in ipairs { ... } do list_of[i] = now(line) - before(line) end
    return unpack(list_of)
  end

  local function nothing_is_left(limits)
    local now = leftovers.metrics(gw)
    return now "tidegate_connections_open" == 1         -- the one that asks
           and now "tidegate_upstream_connections_open" <= kept     -- those to the good node
           and now(('tidegate_node_requests{service="alone_%s",node="%s"}'):format(limits, bad.address)) == 0
           and now(('tidegate_node_requests{service="pair_%s",node="%s"}'):format(limits, bad.address)) == 0
  end

  for _, fault in ipairs(list) do
    local alone, pair, word = expected(fault)
    local limits = limits_of(fault)
    it(("%s: clients get %s, or %s where there is another node"):format(fault.what, alone, pair), function()
      bad:set(fault)
      local before, at = leftovers.metrics(gw), #gw:log()
      assert.equal(alone, ask("alone", fault))
      local one, other = ask("pair", fault), ask("pair", fault)
      -- The nodes take turns: one of the two requests has come to the bad one first.
      if one == 200 then one, other = other, one end
      assert.equal(pair, one)
      assert.equal(200, other)
      local tries, failures = grown(before, "tidegate_upstream_failures_total",
                                    ('tidegate_request_failures_total{route="alone_%s",service="alone_%s"}'):format(
                                      limits, limits))
      assert.equal(fault.good and 0 or bad:failed(), tries)
      assert.equal(fault.good and 0 or 1, failures)
      clock.wait_until(function() return nothing_is_left(limits) end, nil, "connections and requests to be gone")
      if word then
        clock.wait_until(function()
          return gw:log():find(("upstream: %s service=alone_%s node=%s "):format(word, limits, bad.address), at, true)
        end, nil, "a word in the log")
      end
      bad:set(nil)
      assert.equal(200, ask "alone")
    end)
  end

  it("fails in another way each time is not noticed where there is another node", function()
    local numbers = random.numbers(core.seed())
    local hidden = {}
    for _, fault in ipairs(list) do
      if select(2, expected(fault)) == 200 and limits_of(fault) == "patient" then hidden[#hidden + 1] = fault end
    end
    for _ = 1, 60 do
      local fault = hidden[numbers(#hidden)]
      bad:set(fault)
      assert.equal(200, ask("pair", fault))
    end
  end)

  it("fails again and again costs no memory", function()
    local function round()
      for _, fault in ipairs(list) do
        if fault.how ~= "hang" and fault.how ~= "drip" then
          bad:set(fault)
          ask("alone", fault)
          ask("pair", fault)
        end
      end
      clock.wait_until(function() return nothing_is_left "patient" end, nil, "connections and requests to be gone")
      return gw:memory()
    end
    for _ = 1, 3 do round() end
    local before = round()
    for _ = 1, 5 do round() end
    assert.truthy(gateway.sanitized or gw:memory() - before < 512 * 1024, gw:memory() - before)
  end)
end)
