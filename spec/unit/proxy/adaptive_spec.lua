local core = require "support.core"
local ffi = require "ffi"
local C = core.C

--- A service that does so many requests at a time in their usual time; with more, each takes its share longer. Clients
-- send as many as they may (or `offered`), each as soon as another one has ended.
local Simulation = {}
Simulation.__index = Simulation

local function simulation(o)
  local self = setmetatable({ a = ffi.new "struct adaptive", now_us = 1e9, least = 4, most = 1000, at_once = 10,
                              us = 10000, offered = math.huge, seed = 1 }, Simulation)
  for key, value in pairs(o or {}) do self[key] = value end
  self.limit = C.adaptive_limit(self.a, self.least, self.most)
  return self
end

--- Some chance, the same each time.
function Simulation:chance()
  self.seed = (self.seed * 16807) % 2147483647
  return self.seed / 2147483647
end

--- Lets seconds pass. Gives the mean of the limit, and the most it was.
function Simulation:run(seconds)
  local until_us = self.now_us + seconds * 1e6
  local most, sum, start_us = 0, 0, self.now_us
  while self.now_us < until_us do
    local used = math.min(self.limit, self.offered)
    local us = self.us * math.max(1, used / self.at_once)
    if self.noise then us = us * (1 + self.noise * (self:chance() - 0.5)) end
    self.now_us = self.now_us + us / used
    sum = sum + self.limit * us / used
    self.limit = C.adaptive_note(self.a, self.least, self.most, us, used, self.now_us / 1000)
    most = math.max(most, self.limit)
  end
  return sum / (self.now_us - start_us), most
end

describe("an adaptive limit", function()
  local rows = {
    -- at_once, microseconds
    { "finds what a small service takes", 4, 20000 },
    { "finds what a larger service takes", 40, 5000 },
    { "finds what a quick service takes", 20, 1000 },
    { "finds what a slow service takes", 10, 500000 },
    { "finds it with noise", 20, 10000, noise = 0.6 },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      local s = simulation { at_once = row[2], us = row[3], noise = row.noise }
      s:run(60)
      local mean = s:run(30)
      assert.is_true(mean >= row[2] and mean <= 3 * row[2], mean)
    end)
  end

  it("keeps answers short: they take less than three times as long as with few requests", function()
    local s = simulation { at_once = 10, us = 10000 }
    s:run(10)
    local _, most = s:run(60)
    assert.is_true(most / s.at_once < 3, most)
  end)

  it("gets to the limit of a large service within two seconds", function()
    local s = simulation { at_once = 400, us = 10000 }
    s:run(2)
    assert.is_true(s.limit >= 400, s.limit)
  end)

  it("does not grow with a service that has little to do", function()
    local s = simulation { at_once = 1000, offered = 5 }
    s:run(60)
    assert.is_true(s.limit <= C.ADAPTIVE_FIRST, s.limit)
  end)

  it("shrinks within seconds when a service gets worse, and grows again when it is better", function()
    local s = simulation { at_once = 60, us = 5000 }
    s:run(20)
    assert.is_true(s.limit >= 60, s.limit)
    s.at_once = 6
    s:run(5)
    assert.is_true(s.limit <= 25, s.limit)
    s.at_once = 60
    s:run(20)
    assert.is_true(s.limit >= 60, s.limit)
  end)

  it("learns that a service takes longer by itself now", function()
    local s = simulation { at_once = 50, us = 5000 }
    s:run(20)
    s.us = 50000
    s:run(10)
    assert.is_true(s.limit < 20, s.limit)
    s:run(60)
    assert.is_true(s.limit >= 50, s.limit)
  end)

  it("does not drift away in five minutes of overload", function()
    local s = simulation { at_once = 10, us = 10000 }
    s:run(60)
    local _, most = s:run(300)
    assert.is_true(most <= 30, most)
  end)

  it("stays within its bounds", function()
    local s = simulation { at_once = 1000, us = 1000, most = 50 }
    local _, most = s:run(20)
    assert.equal(50, most)
    s = simulation { at_once = 1, us = 50000, least = 8 }
    for _ = 1, 50 do
      s:run(1)
      assert.is_true(s.limit >= 8)
    end
  end)

  it("begins at its bounds where these leave nothing else", function()
    assert.equal(100, C.adaptive_limit(ffi.new "struct adaptive", 100, 200))
    assert.equal(1, C.adaptive_limit(ffi.new "struct adaptive", 1, 7))
    assert.equal(C.ADAPTIVE_FIRST / 4, C.adaptive_limit(ffi.new "struct adaptive", 1, 1000))
  end)

  it("bears any time and any clock", function()
    local a = ffi.new "struct adaptive"
    C.adaptive_limit(a, 4, 100)
    for _, us in ipairs { 0, 1, 2 ^ 31, 2 ^ 40, 2 ^ 52 } do
      for _, now in ipairs { 5000, 4000, 1, 2 ^ 50 } do
        for _ = 1, 200 do
          local limit = C.adaptive_note(a, 4, 100, us, 100, now)
          assert.is_true(limit >= 4 and limit <= 100)
        end
      end
    end
  end)
end)
