--- How nodes are picked: who gets how much, whatever loop asks.
local balancing = require "support.balancing"
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function sum(list)
  local n = 0
  for _, value in ipairs(list) do n = n + value end
  return n
end

local function weights(...)
  local nodes = {}
  for i, weight in ipairs { ... } do nodes[i] = { weight = weight } end
  return nodes
end

--- Pearson's statistic of counts against shares in proportion to weights.
local function chi_square(counts, shares)
  local total, whole, x = sum(counts), sum(shares), 0
  for i, count in ipairs(counts) do
    local expected = total * shares[i] / whole
    x = x + (count - expected) ^ 2 / expected
  end
  return x
end

describe("picking a node", function()
  local made

  local function service(o)
    made = balancing.service(o)
    return made
  end

  setup(function() C.log_set_level(C.LOG_ERROR) end)
  teardown(function() C.log_set_level(C.LOG_INFO) end)

  after_each(function()
    if made then made:free() end
    made = nil
  end)

  describe("in turns", function()
    local cases = {
      { "1:1:1 in every 3", {}, 3, { 1, 1, 1 }, nodes = balancing.equal(3) },
      { "3:2:1 in every 6", {}, 6, { 3, 2, 1 }, nodes = weights(3, 2, 1) },
      { "5:1 in every 6", {}, 6, { 5, 1 }, nodes = weights(5, 1) },
      { "300:200:100 in every 6", {}, 6, { 3, 2, 1 }, nodes = weights(300, 200, 100) },
    }
    for _, case in ipairs(cases) do
      for _, algorithm in ipairs { "ROUND_ROBIN", "WEIGHTED_ROUND_ROBIN" } do
        for _, loops in ipairs { 1, 4 } do
          it(("gives %s, with %s over %d loops"):format(case[1], algorithm, loops), function()
            local s = service { nodes = case.nodes, algorithm = algorithm, loops = loops }
            for _ = 1, 50 do assert.same(case[4], s:counts(case[3])) end
          end)
        end
      end
    end

    it("goes on where it was after a reload", function()
      local old = balancing.service { nodes = balancing.equal(3) }
      local first = old:pick()
      local new = balancing.service { nodes = balancing.equal(3) }
      assert.equal(first % 3 + 1, (new:pick()))
      old:free()
      new:free()
    end)
  end)

  describe("at random", function()
    -- The bounds are those of one chance in 100000 (degrees of freedom: 2, 4).
    local cases = {
      { "RANDOM", balancing.equal(3), { 1, 1, 1 }, 23.1 },
      { "RANDOM", weights(3, 2, 1), { 3, 2, 1 }, 23.1 },
      { "RANDOM", weights(10, 1, 1, 5, 7), { 10, 1, 1, 5, 7 }, 28.5 },
      { "TWO_CHOICES", balancing.equal(3), { 1, 1, 1 }, 23.1 },
    }
    for _, case in ipairs(cases) do
      it(("spreads by weight: %s, %s"):format(case[1], table.concat(case[3], ":")), function()
        local s = service { nodes = case[2], algorithm = case[1], loops = 2 }
        assert.is_true(chi_square(s:counts(12000), case[3]) < case[4])
      end)
    end
  end)

  describe("two_choices", function()
    it("keeps the load of nodes close together, by weight", function()
      local s = service { nodes = weights(4, 2, 2, 2, 2, 2, 1, 1), algorithm = "TWO_CHOICES" }
      for _ = 1, 1600 do s:pick() end
      for i, weight in ipairs { 4, 2, 2, 2, 2, 2, 1, 1 } do
        local share = s:active(i) / weight
        assert.is_true(share > 80 and share < 120, ("node %d has %d"):format(i, s:active(i)))
      end
    end)

    it("takes the idle one of two", function()
      local s = service { nodes = balancing.equal(2), algorithm = "TWO_CHOICES" }
      s:state(1).active = 5
      assert.same({ 0, 50 }, s:counts(50))
    end)
  end)

  describe("least_connections", function()
    it("always takes a node with the least load for its weight, over all loops", function()
      core.seed()
      local shares = { 1, 2, 3, 5, 8 }
      local s = service { nodes = weights(unpack(shares)), algorithm = "LEAST_CONNECTIONS", loops = 4 }
      local held = {}
      for turn = 1, 3000 do
        if #held > 0 and math.random() < 0.45 then
          s:leave(table.remove(held, math.random(#held)))
        else
          local least = math.huge
          for i, weight in ipairs(shares) do least = math.min(least, (s:active(i) + 1) / weight) end
          local index, p = s:pick { loop = turn % 4 + 1 }
          -- It has been counted: what it had before is what it has now.
          assert.is_true(math.abs(s:active(index) / shares[index] - least) < 1e-6)
          held[#held + 1] = p
        end
      end
    end)

    it("takes turns among equals", function()
      local s = service { nodes = balancing.equal(5), algorithm = "LEAST_CONNECTIONS", loops = 2 }
      for _ = 1, 10 do assert.same({ 1, 1, 1, 1, 1 }, s:counts(5)) end
    end)

    it("knows after a reload what nodes had in hand", function()
      local old = balancing.service { nodes = balancing.equal(2), algorithm = "LEAST_CONNECTIONS" }
      local first, p = old:pick()
      local new = balancing.service { nodes = balancing.equal(2), algorithm = "LEAST_CONNECTIONS" }
      assert.equal(3 - first, (new:pick()))
      old:leave(p)
      assert.equal(first, (new:pick()))
      assert.equal(first, (new:pick { pick = select(2, new:pick()) }))
      old:free()
      new:free()
    end)

    it("gives a request of an old generation one of its own nodes", function()
      local old = balancing.service { nodes = { { address = "10.1.0.1" }, { address = "10.1.0.2" } },
                                      algorithm = "LEAST_CONNECTIONS" }
      local new = balancing.service { nodes = { { address = "10.1.0.2" }, { address = "10.1.0.3" } },
                                      algorithm = "LEAST_CONNECTIONS" }
      new:pick()
      new:pick()
      local one, held = old:pick()
      assert.equal(1, one)
      old:leave(held)
      new:free()
      old:free()
    end)
  end)

  describe("least_latency", function()
    it("sends nearly all to the node that answers at once", function()
      local s = service { nodes = balancing.equal(3), algorithm = "LEAST_LATENCY" }
      C.node_latency_note(s:state(1), 100000, s.now)
      C.node_latency_note(s:state(2), 1000, s.now)
      C.node_latency_note(s:state(3), 100000, s.now)
      local counts = s:counts(600)
      assert.is_true(counts[2] > 300 and counts[2] > counts[1] and counts[2] > counts[3])
    end)

    it("counts a slow answer at once and fast ones bit by bit", function()
      local s = service { nodes = balancing.equal(1) }
      local state = s:state(1)
      C.node_latency_note(state, 1000, s.now)
      C.node_latency_note(state, 50000, s.now)
      assert.equal(50000, C.node_latency_of(state, s.now))
      C.node_latency_note(state, 1000, s.now)
      local now = C.node_latency_of(state, s.now)
      assert.is_true(now > 40000 and now < 50000)
    end)

    it("forgets what it saw long ago", function()
      local s = service { nodes = balancing.equal(1) }
      C.node_latency_note(s:state(1), 50000, s.now)
      assert.is_true(C.node_latency_of(s:state(1), s.now + 60000) < 200)
    end)

    it("tries a node of which nothing is known", function()
      local s = service { nodes = balancing.equal(2), algorithm = "LEAST_LATENCY" }
      C.node_latency_note(s:state(1), 1000, s.now)
      assert.equal(2, (s:pick()))
      assert.equal(1, (s:pick()))           -- the other one is still at it
    end)
  end)

  describe("by a hash", function()
    local function user(i) return ("user-%d"):format(i) end

    --- Where each of so many keys goes, by the node's address.
    local function places(s, keys)
      local of = {}
      for i = 1, keys do
        local index, p = s:pick { key = user(i) }
        of[i] = ffi.string(s.service.nodes[index - 1].text)
        s:leave(p)
      end
      return of
    end

    it("gives a key the same node in every loop, and after a reload", function()
      local s = service { nodes = balancing.equal(10), algorithm = "CONSISTENT_HASH", loops = 3 }
      local other = balancing.service { nodes = balancing.equal(10), algorithm = "CONSISTENT_HASH" }
      for i = 1, 100 do
        local index, p = s:pick { key = user(i), loop = i % 3 + 1 }
        local same, q = other:pick { key = user(i) }
        assert.equal(index, same)
        s:leave(p)
        other:leave(q)
      end
      other:free()
    end)

    for _, algorithm in ipairs { "IP_HASH", "CONSISTENT_HASH" } do
      it("spreads keys by weight: " .. algorithm, function()
        local s = service { nodes = weights(1, 2, 3, 4), algorithm = algorithm }
        local counts = s:counts(20000, { key = user })
        for i, count in ipairs(counts) do
          assert.is_true(math.abs(count / 2000 / i - 1) < 0.15, ("node %d has %d"):format(i, count))
        end
      end)

      for _, count in ipairs { 2, 3, 10, 100 } do
        it(("moves the keys of a node that goes, and no others: %s of %d"):format(algorithm, count), function()
          local nodes = balancing.equal(count)
          local s = service { nodes = nodes, algorithm = algorithm }
          local before = places(s, 10000)
          local gone = ffi.string(s.service.nodes[0].text)
          local fewer = {}
          for i = 2, count do fewer[i - 1] = { address = ffi.string(s.service.nodes[i - 1].host) } end
          local rest = balancing.service { nodes = fewer, algorithm = algorithm, name = "other" }
          local after, moved = places(rest, 10000), 0
          for i, place in ipairs(before) do
            if place ~= after[i] then
              moved = moved + 1
              assert.equal(gone, place)
            end
          end
          assert.is_true(moved > 0 and moved <= 10000 / count * 1.2, moved .. " keys moved")
          rest:free()
        end)
      end
    end

    it("gives no node more than a quarter over its share of what is in hand, beyond eight", function()
      local s = service { nodes = weights(1, 1, 1, 2), algorithm = "CONSISTENT_HASH", load_percent = 125 }
      for n = 1, 400 do
        s:pick { key = "the one that all ask for" }
        for i, weight in ipairs { 1, 1, 1, 2 } do
          assert.is_true(s:active(i) <= math.max(8, math.ceil(n * weight / 5 * 1.25 - 1e-9)))
        end
      end
    end)

    it("lets a key stay where there is no bound", function()
      local s = service { nodes = balancing.equal(4), algorithm = "CONSISTENT_HASH" }
      local first = s:pick { key = "x" }
      for _ = 1, 100 do assert.equal(first, (s:pick { key = "x" })) end
    end)

    it("gives requests without a key turns", function()
      local s = service { nodes = balancing.equal(4), algorithm = "CONSISTENT_HASH", loops = 2 }
      assert.same({ 3, 3, 3, 3 }, s:counts(12))
    end)

    it("has a circle whose size is bounded", function()
      local nodes = {}
      for i = 1, 500 do nodes[i] = { weight = 65535 } end
      nodes[1].weight = 1
      local ring = service({ nodes = nodes, algorithm = "IP_HASH" }).service.ring
      assert.is_true(ring.count <= 262144 and ring.count >= 500)
      local has = false
      for i = 0, ring.count - 1 do has = has or ring.node[i] == 0 end
      assert.is_true(has)
    end)
  end)

  describe("for another try", function()
    for _, algorithm in ipairs {
      "ROUND_ROBIN", "RANDOM", "TWO_CHOICES", "LEAST_CONNECTIONS", "LEAST_LATENCY", "IP_HASH", "CONSISTENT_HASH",
    } do
      it("takes each other node once before any again: " .. algorithm, function()
        local s = service { nodes = balancing.equal(5), algorithm = algorithm }
        for round = 1, 20 do
          local seen, p = {}, nil
          for _ = 1, 5 do
            local index
            index, p = s:pick { pick = p, key = "k" .. round }
            assert.is_nil(seen[index])
            seen[index] = true
          end
          assert.is_not_nil((s:pick { pick = p, key = "k" }))
          s:leave(p)
        end
        for i = 1, 5 do assert.equal(0, s:active(i)) end
      end)

      it("takes none twice of many: " .. algorithm, function()
        local s = service { nodes = balancing.equal(200), algorithm = algorithm }
        local seen, p = {}, nil
        for _ = 1, 20 do
          local index
          index, p = s:pick { pick = p, key = "key" }
          assert.is_nil(seen[index])
          seen[index] = true
        end
      end)
    end
  end)

  describe("backups", function()
    for _, algorithm in ipairs { "ROUND_ROBIN", "RANDOM", "LEAST_CONNECTIONS", "LEAST_LATENCY", "CONSISTENT_HASH" } do
      it("get nothing while another node is usable: " .. algorithm, function()
        local s = service { nodes = { {}, { backup = true }, {} }, algorithm = algorithm }
        local counts = s:counts(200, { key = tostring })
        assert.equal(0, counts[2])
        assert.is_true(counts[1] > 0 and counts[3] > 0)
      end)

      it("get who has been at all others, and then these again: " .. algorithm, function()
        local s = service { nodes = { {}, { backup = true }, {} }, algorithm = algorithm }
        local first, second, p
        first, p = s:pick { key = "key" }
        second, p = s:pick { pick = p, key = "key" }
        assert.same({ 1, 3 }, { math.min(first, second), math.max(first, second) })
        assert.is_true(C.balancer_has_backup(p, s.service))
        assert.equal(2, (s:pick { pick = p, key = "key" }))
        assert.is_false(C.balancer_has_backup(p, s.service))
        assert.not_equal(2, (s:pick { pick = p, key = "key" }))
        s:leave(p)
        for i = 1, 3 do assert.equal(0, s:active(i)) end
      end)

      it("get nobody who asks again while they are not healthy: " .. algorithm, function()
        local s = service { nodes = { {}, { backup = true } }, algorithm = algorithm, active = { unhealthy = 1 } }
        s:checked(2, false, "down")
        local _, p = s:pick { key = "key" }
        assert.is_false(C.balancer_has_backup(p, s.service))
        assert.equal(1, (s:pick { pick = p, key = "key" }))
      end)

      it("get all where there is no other: " .. algorithm, function()
        local s = service { nodes = { { backup = true }, { backup = true } }, algorithm = algorithm }
        local counts = s:counts(200, { key = tostring })
        assert.is_true(counts[1] > 0 and counts[2] > 0)
      end)
    end
  end)

  it("finds none where there is none", function()
    for _, algorithm in ipairs { "ROUND_ROBIN", "RANDOM", "LEAST_CONNECTIONS", "IP_HASH", "LEAST_LATENCY" } do
      local s = balancing.service { nodes = {}, algorithm = algorithm }
      assert.is_nil((s:pick { key = "x" }))
      s:free()
    end
  end)
end)
