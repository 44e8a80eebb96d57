local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local TURNS_MAX = 4096      -- BALANCER_TURNS_MAX of proxy/balancer.h

local function schedule(weights)
  local turns = ffi.new("uint16_t[?]", TURNS_MAX + 8)
  ffi.fill(turns, ffi.sizeof(turns), 0xee)
  local len = C.balancer_schedule(ffi.new("uint32_t[?]", #weights, weights), #weights, turns)
  for i = TURNS_MAX, TURNS_MAX + 7 do assert.equal(0xeeee, turns[i]) end
  local order, counts = {}, {}
  for i = 1, #weights do counts[i] = 0 end
  for i = 1, len do
    order[i] = turns[i - 1] + 1
    counts[order[i]] = counts[order[i]] + 1
  end
  return order, counts
end

local function sum(list)
  local n = 0
  for _, value in ipairs(list) do n = n + value end
  return n
end

describe("balancer_schedule", function()
  local orders = {
    { "has one turn for one node", { 7 }, { 1 } },
    { "takes turns among equals", { 1, 1, 1 }, { 1, 2, 3 } },
    { "takes turns among equals of any weight", { 100, 100 }, { 1, 2 } },
    { "spreads 3:2:1", { 3, 2, 1 }, { 1, 2, 1, 3, 2, 1 } },
    { "spreads 5:1:1 as nginx does", { 5, 1, 1 }, { 1, 1, 2, 1, 3, 1, 1 } },
    { "shortens what has a common divisor", { 30, 20, 10 }, { 1, 2, 1, 3, 2, 1 } },
    { "leaves a node of weight 0 out", { 0, 2, 1 }, { 2, 3, 2 } },
    { "has no turns for no nodes", {}, {} },
  }
  for _, case in ipairs(orders) do
    it(case[1], function() assert.same(case[3], (schedule(case[2]))) end)
  end

  it("gives each node as many turns as its weight, evenly spread", function()
    core.seed()
    for _ = 1, 200 do
      local weights = {}
      for i = 1, math.random(12) do weights[i] = math.random(20) end
      weights[#weights + 1] = 1         -- nothing to shorten
      local order, counts = schedule(weights)
      local total = sum(weights)
      assert.same(weights, counts)
      local seen = {}
      for turn, node in ipairs(order) do
        seen[node] = (seen[node] or 0) + 1
        for i, weight in ipairs(weights) do
          assert.is_true(math.abs((seen[i] or 0) - turn * weight / total) < #weights, table.concat(weights, ":"))
        end
      end
    end
  end)

  local large = {
    { 1000000, 1 }, { 4294967295, 4294967295 }, { 4294967295, 1 }, { 4294967295, 4294967294, 4294967293 },
    { 65535, 65534, 1 },
    { 3000, 2000, 999 }, { 4095, 1 }, { 4096, 1 }, { 2048, 2047 },
  }
  for _, weights in ipairs(large) do
    it("scales " .. table.concat(weights, ":") .. " down and forgets no node", function()
      local order, counts = schedule(weights)
      assert.is_true(#order > 0 and #order <= TURNS_MAX)
      for i, weight in ipairs(weights) do
        assert.is_true(counts[i] >= 1)
        local share = weight / sum(weights)
        assert.is_true(math.abs(counts[i] / #order - share) < 0.001 + 1 / #order)
      end
    end)
  end

  it("gives as many nodes as there are turns one turn each", function()
    local weights = {}
    for i = 1, TURNS_MAX do weights[i] = i * 1000 end
    local order, counts = schedule(weights)
    assert.equal(TURNS_MAX, #order)
    for i = 1, TURNS_MAX do assert.equal(1, counts[i]) end
  end)

  it("has no turns for more nodes than that", function()
    local weights = {}
    for i = 1, TURNS_MAX + 1 do weights[i] = 1 end
    assert.same({}, (schedule(weights)))
  end)
end)
