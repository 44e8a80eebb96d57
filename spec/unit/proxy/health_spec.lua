--- One state per node: what is reported from anywhere leads to it, and every loop's next pick obeys it.
local balancing = require "support.balancing"
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local PASSIVE = {
  failures = 3, error_percent = 0, min_requests = 10, window_ms = 1000, eject_ms = 500, max_ejected_percent = 50,
}

local function passive(changes)
  local settings = {}
  for key, value in pairs(PASSIVE) do settings[key] = value end
  for key, value in pairs(changes or {}) do settings[key] = value end
  return settings
end

describe("a node's health", function()
  local s

  local function service(o)
    o.nodes = o.nodes or balancing.equal(4)
    s = balancing.service(o)
    return s
  end

  setup(function() C.log_set_level(C.LOG_ERROR) end)
  teardown(function() C.log_set_level(C.LOG_INFO) end)

  after_each(function()
    if s then s:free() end
    s = nil
  end)

  local function fail(index, times)
    for _ = 1, times do s:report(index, "it broke") end
  end

  local function reason(index) return ffi.string(s:state(index).health.reason) end

  describe("where both kinds of news are bad", function()
    local ACTIVE = { healthy = 1, unhealthy = 1, interval_ms = 1000 }

    before_each(function()
      service { passive = passive(), active = ACTIVE }
      fail(1, 3)
      s:checked(1, false, "status 500")
    end)

    it("keeps the reason of the checks when its ejection is over", function()
      assert.equal("unhealthy", s:word(1))
      s.now = s.now + 500
      C.health_tick(s:state(1), s.now)
      assert.same({ "unhealthy", "status 500", 2 }, { s:word(1), reason(1), s:state(1).health.changes })
      s:checked(1, true, "status 200")
      assert.same({ "healthy", "status 200", 3 }, { s:word(1), reason(1), s:state(1).health.changes })
    end)

    it("stays ejected when checks are good again, and comes back when that is over", function()
      s:checked(1, true, "status 200")
      assert.same({ "ejected", 2 }, { s:word(1), s:state(1).health.changes })
      assert.equal(0, s:counts(100)[1])
      s.now = s.now + 500
      C.health_tick(s:state(1), s.now)
      assert.same({ "healthy", "its ejection is over" }, { s:word(1), reason(1) })
      assert.is_true(s:counts(100)[1] > 0)
    end)
  end)

  describe("as clients see it", function()
    it("ends with so many failures in a row", function()
      service { passive = passive() }
      fail(1, 2)
      assert.equal("healthy", s:word(1))
      fail(1, 1)
      assert.equal("ejected", s:word(1))
      assert.equal("3 failures in a row: it broke", reason(1))
    end)

    it("does not end where a success is between them", function()
      service { passive = passive() }
      for _ = 1, 10 do
        fail(1, 2)
        s:report(1)
      end
      assert.equal("healthy", s:word(1))
    end)

    it("ends with a share of failures, once there are enough requests", function()
      service { passive = passive { failures = 0, error_percent = 40 } }
      for i = 1, 9 do s:report(1, i % 2 == 0 and "bad" or nil) end
      assert.equal("healthy", s:word(1))
      s:report(1, "bad")
      assert.equal("ejected", s:word(1))
      assert.equal("5 of 10 requests failed: bad", reason(1))
    end)

    it("does not end with a share of failures below that", function()
      service { passive = passive { failures = 0, error_percent = 40 } }
      for i = 1, 100 do s:report(1, i % 3 == 0 and "bad" or nil) end
      assert.equal("healthy", s:word(1))
    end)

    it("forgets failures older than the window", function()
      service { passive = passive { failures = 0, error_percent = 40 } }
      for _ = 1, 9 do s:report(1, "bad") end
      s.now = s.now + 2000
      for _ = 1, 9 do s:report(1) end
      s:report(1, "bad")
      assert.equal("healthy", s:word(1))
    end)

    it("spares as many nodes as it must", function()
      service { passive = passive() }
      for i = 1, 4 do fail(i, 5) end
      local words = {}
      for i = 1, 4 do words[i] = s:word(i) end
      assert.same({ "ejected", "ejected", "healthy", "healthy" }, words)
    end)

    it("spares a single node", function()
      service { nodes = balancing.equal(1), passive = passive() }
      fail(1, 100)
      assert.equal("healthy", s:word(1))
      assert.equal(1, (s:pick()))
    end)

    it("comes back when its time is over, and not before", function()
      service { passive = passive() }
      fail(1, 3)
      assert.equal(s.now + 500, tonumber(C.health_tick(s:state(1), s.now)))
      C.health_tick(s:state(1), s.now + 499)
      assert.equal("ejected", s:word(1))
      s.now = s.now + 500
      C.health_tick(s:state(1), s.now)
      assert.equal("healthy", s:word(1))
      fail(1, 2)
      assert.equal("healthy", s:word(1))
    end)

    it("is away longer each time, up to ten times as long, and begins anew after a good while", function()
      service { passive = passive() }
      local times = {}
      for i = 1, 12 do
        fail(1, 3)
        local till = tonumber(C.health_tick(s:state(1), s.now))
        times[i] = till - s.now
        s.now = till
        C.health_tick(s:state(1), s.now)
      end
      assert.same({ 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 5000, 5000 }, times)
      s.now = s.now + 6000
      fail(1, 3)
      assert.equal(s.now + 500, tonumber(C.health_tick(s:state(1), s.now)))
    end)

    it("is not touched by failures of requests from before", function()
      service { passive = passive() }
      fail(1, 3)
      fail(1, 10)
      assert.equal(1, s:state(1).health.ejections)
    end)
  end)

  describe("as checks see it", function()
    local ACTIVE = { healthy = 2, unhealthy = 3, interval_ms = 1000 }

    it("changes with so many of a kind in a row", function()
      service { active = ACTIVE }
      local words = {}
      for sign in ("--+---+-+--++--"):gmatch "." do
        s:checked(1, sign == "+", "status 500")
        words[#words + 1] = s:word(1) == "healthy" and "h" or "u"
      end
      assert.equal("hhhhhuuuuuuuhhh", table.concat(words))
    end)

    it("keeps the last twenty", function()
      service { active = ACTIVE }
      for i = 1, 25 do s:checked(1, i % 2 == 0, "check " .. i) end
      local h = s:state(1).health
      assert.equal(25, h.result_count)
      local kept = {}
      for i = 0, 19 do kept[ffi.string(h.results[i].reason)] = true end
      for i = 6, 25 do assert.is_true(kept["check " .. i]) end
    end)

    it("does not bring an ejected node back", function()
      service { active = ACTIVE, passive = passive() }
      fail(1, 3)
      for _ = 1, 5 do s:checked(1, true) end
      assert.equal("ejected", s:word(1))
    end)

    it("stays over a reload, as the results do", function()
      service { active = ACTIVE, name = "kept" }
      for _ = 1, 3 do s:checked(1, false, "down") end
      local new = balancing.service { nodes = balancing.equal(4), active = ACTIVE, name = "kept" }
      C.health_settle(new.service, new:state(1), new.now, false)
      assert.equal("unhealthy", new:word(1))
      assert.equal(3, new:state(1).health.result_count)
      new:free()
    end)

    it("is forgotten by a configuration that checks no more", function()
      service { active = ACTIVE, passive = passive(), name = "kept" }
      for _ = 1, 3 do s:checked(1, false, "down") end
      fail(1, 3)
      local new = balancing.service { nodes = balancing.equal(4), name = "kept" }
      C.health_settle(new.service, new:state(1), new.now, false)
      assert.equal("healthy", new:word(1))
      assert.equal(0, new.service.state.ejected)
      new:free()
    end)
  end)

  describe("and the balancer", function()
    local ALGORITHMS = { "ROUND_ROBIN", "RANDOM", "TWO_CHOICES", "LEAST_CONNECTIONS", "LEAST_LATENCY", "IP_HASH",
                         "CONSISTENT_HASH" }

    for _, algorithm in ipairs(ALGORITHMS) do
      it("leave a node alone that is not healthy, in every loop at once: " .. algorithm, function()
        service { passive = passive(), algorithm = algorithm, loops = 3 }
        s:counts(30, { key = tostring })
        fail(2, 3)
        local counts = s:counts(300, { key = tostring })
        assert.equal(0, counts[2])
        for _, i in ipairs { 1, 3, 4 } do assert.is_true(counts[i] > 0) end
        s.now = s.now + 500
        C.health_tick(s:state(2), s.now)
        assert.is_true(s:counts(300, { key = tostring })[2] > 0)
      end)

      it("use all where none is healthy: " .. algorithm, function()
        service { passive = passive { max_ejected_percent = 100 }, algorithm = algorithm }
        for i = 1, 4 do fail(i, 3) end
        for _, count in ipairs(s:counts(400, { key = tostring })) do assert.is_true(count > 0) end
      end)

      it("use none then where that is wished: " .. algorithm, function()
        service { passive = passive { max_ejected_percent = 100 }, algorithm = algorithm, fails_when_down = true }
        for i = 1, 4 do fail(i, 3) end
        assert.is_nil((s:pick { key = "x" }))
      end)

      it("use a backup when no other is healthy: " .. algorithm, function()
        service { passive = passive { max_ejected_percent = 100 }, algorithm = algorithm,
                  nodes = { {}, { backup = true }, {}, { backup = true } } }
        fail(1, 3)
        assert.equal(100, s:counts(100, { key = tostring })[3])
        fail(3, 3)
        local counts = s:counts(100, { key = tostring })
        assert.is_true(counts[2] > 0 and counts[4] > 0 and counts[1] + counts[3] == 0)
      end)

      it("use a backup when the only other one is ejected: " .. algorithm, function()
        service { passive = passive(), algorithm = algorithm, nodes = { {}, { backup = true } } }
        fail(1, 3)
        assert.equal("ejected", s:word(1))
        assert.equal(100, s:counts(100, { key = tostring })[2])
        fail(2, 3)
        assert.equal("healthy", s:word(2))
      end)

      it("give a node that has come back its share bit by bit: " .. algorithm, function()
        service { passive = passive(), algorithm = algorithm, slow_start_ms = 10000 }
        fail(2, 3)
        s.now = s.now + 500
        C.health_tick(s:state(2), s.now)
        assert.equal("slow start", s:word(2))
        -- Every request is done at once: where loads decide, turns do.
        local early = s:counts(1000, { key = tostring })[2]
        s.now = s.now + 5000
        local half = s:counts(1000, { key = tostring })[2]
        s.now = s.now + 5000
        local whole = s:counts(1000, { key = tostring })[2]
        assert.equal("healthy", s:word(2))
        assert.is_true(early < half and half < whole, ("%d, %d, %d"):format(early, half, whole))
        assert.is_true(early < 140, ("%d at first"):format(early))
      end)
    end

    it("move no key but those of the node that is not healthy", function()
      service { passive = passive(), algorithm = "CONSISTENT_HASH", nodes = balancing.equal(10) }
      local function places()
        local of = {}
        for i = 1, 2000 do
          local index, p = s:pick { key = "k" .. i }
          of[i] = index
          s:leave(p)
        end
        return of
      end
      local before = places()
      fail(4, 3)
      for i, index in ipairs(places()) do
        if before[i] ~= 4 then assert.equal(before[i], index) else assert.is_true(index ~= 4) end
      end
    end)
  end)
end)
