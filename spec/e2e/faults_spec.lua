--- Nodes that fail in each place where one can, in each way: what clients see, what is told, and that nothing is left.
local client = require "support.client"
local clock = require "support.clock"
local core = require "support.core"
local faults = require "support.faults"
local gateway = require "support.gateway"
local leftovers = require "support.leftovers"
local random = require "support.random"

local CONFIG = [[
gateway: { threads: 1, grace: 1s }
metrics: { listen: "unix:metrics.sock" }
services:
  alone:
    nodes: [BAD]
    retries: { attempts: 0 }
    timeouts: { connect: 1s, send: 150ms, first_byte: 150ms, idle: 150ms }
    pool: { idle_per_node: 0 }
  pair:
    nodes: [BAD, GOOD]
    retries: { attempts: 1 }
    timeouts: { connect: 1s, send: 150ms, first_byte: 150ms, idle: 150ms }
    pool: { idle_per_node: 0 }
routes:
  - { name: alone, path: /alone, service: alone }
  - { name: pair, path: /pair, service: pair }
]]

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

describe("a node that", function()
  local bad, good, gw

  setup(function()
    bad, good = faults.node(list), faults.node {}
    gw = gateway.start((CONFIG:gsub("%u%u%u+", { BAD = bad.address, GOOD = good.address })))
  end)

  teardown(function()
    gw:stop()
    bad:stop()
    good:stop()
  end)

  local function ask(path, fault)
    local method, body = fault and fault.body and "PUT" or "GET", fault and fault.body and ("b"):rep(20000) or nil
    local c = client.connect(gw:port())
    c:send(client.request { target = path, method = method, body = body })
    local response, why = c:response { timeout = 5 }
    c:close()
    if not response then return why == "reset" and "cut" or why end
    return response.complete and response.status or "cut"
  end

  --- How much figures have grown since they were read first.
  local function grown(before, ...)
    local now, list_of = leftovers.metrics(gw), {}
    for i, line in ipairs { ... } do list_of[i] = now(line) - before(line) end
    return unpack(list_of)
  end

  local function nothing_is_left()
    local now = leftovers.metrics(gw)
    return now "tidegate_connections_open" == 1         -- the one that asks
           and now "tidegate_upstream_connections_open" == 0
           and now(('tidegate_node_requests{service="alone",node="%s"}'):format(bad.address)) == 0
           and now(('tidegate_node_requests{service="pair",node="%s"}'):format(bad.address)) == 0
  end

  for _, fault in ipairs(list) do
    local alone, pair, word = expected(fault)
    it(("%s: clients get %s, or %s where there is another node"):format(fault.what, alone, pair), function()
      bad:set(fault)
      local before, at = leftovers.metrics(gw), #gw:log()
      assert.equal(alone, ask("/alone", fault))
      local one, other = ask("/pair", fault), ask("/pair", fault)
      -- The nodes take turns: one of the two requests has come to the bad one first.
      if one == 200 then one, other = other, one end
      assert.equal(pair, one)
      assert.equal(200, other)
      local tries, failures = grown(before, "tidegate_upstream_failures_total",
                                    'tidegate_request_failures_total{route="alone",service="alone"}')
      assert.equal(fault.good and 0 or bad:failed(), tries)
      assert.equal(fault.good and 0 or 1, failures)
      clock.wait_until(nothing_is_left, 5, "connections and requests to be gone")
      if word then
        clock.wait_until(function()
          return gw:log():find(("upstream: %s service=alone node=%s "):format(word, bad.address), at, true)
        end, 5, "a word in the log")
      end
      bad:set(nil)
      assert.equal(200, ask "/alone")
    end)
  end

  it("fails in another way each time is not noticed where there is another node", function()
    local numbers = random.numbers(core.seed())
    for _ = 1, 60 do
      local fault = list[numbers(#list)]
      local _, pair = expected(fault)
      bad:set(pair == 200 and fault or nil)
      assert.equal(200, ask("/pair", pair == 200 and fault or nil))
    end
  end)

  it("fails again and again costs no memory", function()
    local function round()
      for _, fault in ipairs(list) do
        if fault.how ~= "hang" and fault.how ~= "drip" then
          bad:set(fault)
          ask("/alone", fault)
          ask("/pair", fault)
        end
      end
      clock.wait_until(nothing_is_left, 5, "connections and requests to be gone")
      return gw:memory()
    end
    for _ = 1, 3 do round() end
    local before = round()
    for _ = 1, 5 do round() end
    assert.truthy(gateway.sanitized or gw:memory() - before < 512 * 1024, gw:memory() - before)
  end)
end)
