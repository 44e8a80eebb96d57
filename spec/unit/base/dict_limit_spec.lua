--- [T20, X8]: what limiters count with.
local dictionary = require "support.dictionary"

local INF = math.huge

--- Runs rows of { seconds after the one before, cost, allowed, remaining, retry_after, reset } over one key.
local function run(take, rows)
  local d = dictionary.new()
  for i, row in ipairs(rows) do
    d.now = d.now + row[1]
    local allowed, remaining, retry_after, reset = take(d, row[2])
    local where = "row " .. i
    assert.equal(row[3], allowed, where)
    for k, found in ipairs { remaining, retry_after, reset } do
      local expected = row[3 + k]
      if expected == INF then
        assert.equal(INF, found, where)
      else
        assert.near(expected, found, 1e-6, where)
      end
    end
  end
  return d
end

describe("a bucket of tokens", function()
  local cases = {
    { "is full at first, and refuses when it is empty", rate = 2, burst = 3, rows = {
      { 0, 1, true, 2, 0, 0.5 }, { 0, 1, true, 1, 0, 1 }, { 0, 1, true, 0, 0, 1.5 }, { 0, 1, false, 0, 0.5, 1.5 },
    } },
    { "is filled at its rate", rate = 2, burst = 3, rows = {
      { 0, 3, true, 0, 0, 1.5 }, { 0.25, 1, false, 0.5, 0.25, 1.25 }, { 0.25, 1, true, 0, 0, 1.5 },
      { 0.75, 1, true, 0.5, 0, 1.25 },
    } },
    { "holds no more than the burst", rate = 2, burst = 3, rows = {
      { 0, 1, true, 2, 0, 0.5 }, { 1000, 1, true, 2, 0, 0.5 },
    } },
    { "lets who comes back as told in", rate = 0.3, burst = 1, rows = {
      { 0, 1, true, 0, 0, 1 / 0.3 }, { 1, 1, false, 0.3, 0.7 / 0.3, 0.7 / 0.3 }, { 0.7 / 0.3, 1, true, 0, 0, 1 / 0.3 },
    } },
    { "never lets more than the burst in at once", rate = 10, burst = 5, rows = {
      { 0, 6, false, 5, INF, 0 }, { 100, 5, true, 0, 0, 0.5 }, { 0, 6, false, 0, INF, 0.5 },
    } },
    { "only tells for a cost of nothing", rate = 1, burst = 2, rows = {
      { 0, 0, true, 2, 0, 0 }, { 0, 2, true, 0, 0, 2 }, { 0, 0, true, 0, 0, 2 }, { 1, 0, true, 1, 0, 1 },
    } },
    { "takes parts of tokens", rate = 1, burst = 1, rows = {
      { 0, 0.25, true, 0.75, 0, 0.25 }, { 0, 0.5, true, 0.25, 0, 0.75 }, { 0, 0.5, false, 0.25, 0.25, 0.75 },
    } },
    { "takes nothing for what is refused", rate = 1, burst = 2, rows = {
      { 0, 2, true, 0, 0, 2 }, { 0, 1, false, 0, 1, 2 }, { 0, 1, false, 0, 1, 2 }, { 1, 1, true, 0, 0, 2 },
    } },
    { "takes a clock that is a little behind as standing still", rate = 1, burst = 2, rows = {
      { 0, 2, true, 0, 0, 2 }, { -0.5, 1, false, 0, 1, 2 }, { 0.5, 1, false, 0, 1, 2 }, { 1, 1, true, 0, 0, 2 },
    } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      run(function(d, cost) return d:bucket("k", case.rate, case.burst, cost) end, case.rows)
    end)
  end

  it("is another one for another key or scope", function()
    local d = dictionary.new()
    assert.is_true((d:bucket("a", 1, 1)))
    assert.is_false((d:bucket("a", 1, 1)))
    assert.is_true((d:bucket("b", 1, 1)))
    d.scope = 7
    assert.is_true((d:bucket("a", 1, 1)))
  end)

  it("holds memory until it is full again, not longer", function()
    local d = dictionary.new()
    d:bucket("k", 2, 4, 3)
    d.now = 1001.4
    assert.equal("done", d:delete "k")
    d:bucket("k", 2, 4, 3)
    d.now = 1002.9
    assert.equal("absent", d:delete "k")
  end)

  it("lets the rate through over a long time, in steps of any length", function()
    local d, through = dictionary.new(), 0
    math.randomseed(1)
    for _ = 1, 50000 do
      d.now = d.now + math.random() * 0.01
      if d:bucket("k", 50, 10) then through = through + 1 end
    end
    local expected = (d.now - 1000) * 50 + 10
    assert.is_true(through <= expected and through > expected - 15, through .. " of " .. expected)
  end)

  it("takes no key that is a value of a plugin, and no value's key", function()
    local d = dictionary.new()
    d:put("k", "text")
    assert.same({ nil, "wrong kind" }, { d:bucket("k", 1, 1) })
    assert.same({ nil, "wrong kind" }, { d:window("k", { limit = 1, window = 1 }) })
  end)
end)

describe("a window", function()
  local cases = {
    { "lets its limit through and then nothing until it ends", limit = 3, window = 10, rows = {
      { 0, 1, true, 2, 0, 10 }, { 1, 2, true, 0, 0, 9 }, { 1, 1, false, 0, 8, 8 }, { 7.999, 1, false, 0, 0.001, 0.001 },
      { 0.001, 1, true, 2, 0, 10 },
    } },
    { "begins with what is taken first", limit = 1, window = 10, rows = {
      { 3, 1, true, 0, 0, 10 }, { 9, 1, false, 0, 1, 1 }, { 25, 1, true, 0, 0, 10 },
    } },
    { "lets a small cost in where a large one is refused", limit = 3, window = 10, rows = {
      { 0, 2, true, 1, 0, 10 }, { 0, 2, false, 1, 10, 10 }, { 0, 1, true, 0, 0, 10 },
    } },
    { "never lets more than the limit in at once", limit = 3, window = 10, rows = {
      { 0, 4, false, 3, INF, 10 }, { 1, 3, true, 0, 0, 9 }, { 1, 4, false, 0, INF, 8 },
    } },
    { "only tells for a cost of nothing", limit = 3, window = 10, rows = {
      { 0, 3, true, 0, 0, 10 }, { 4, 0, true, 0, 0, 6 },
    } },
    { "slides: the one before counts as far as it is not past", limit = 10, window = 10, sliding = true, rows = {
      { 0, 10, true, 0, 0, 20 }, { 5, 1, false, 0, 6, 15 },
      { 5, 1, false, 0, 1, 10 },                    -- 10 * 1.0
      { 1, 1, true, 0, 0, 19 },                     -- 10 * 0.9, and 1
      { 4, 4, true, 0, 0, 15 },                     -- 10 * 0.5, and 5
      { 0, 1, false, 0, 1, 15 },                    -- 10 * 0.4 leaves room for 1
      { 0, 6, false, 0, 7, 15 },                    -- only in the next: 5 * 0.8 leaves room for 6
      { 7, 6, true, 0, 0, 18 },
      { 40, 10, true, 0, 0, 20 },
    } },
    { "slides over a pause of one window", limit = 4, window = 10, sliding = true, rows = {
      { 0, 4, true, 0, 0, 20 }, { 15, 2, true, 0, 0, 15 }, { 0, 1, false, 0, 2.5, 15 },
    } },
    { "lets who comes back as told in", limit = 3, window = 0.7, sliding = true, rows = {
      { 0, 3, true, 0, 0, 1.4 }, { 0.1, 1, false, 0, 0.6 + 0.7 / 3, 1.3 },
      { 0.6 + 0.7 / 3, 1, true, 0, 0, 1.4 - 0.7 / 3 },
    } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() run(function(d, cost) return d:window("k", case, cost) end, case.rows) end)
  end

  it("never lets more than the limit through in any one of it, fixed", function()
    local d, times = dictionary.new(), {}
    math.randomseed(2)
    for _ = 1, 5000 do
      d.now = d.now + math.random() * 0.02
      if d:window("k", { limit = 20, window = 1 }) then times[#times + 1] = d.now end
    end
    for i = 41, #times do assert.is_true(times[i] - times[i - 40] > 1 - 1e-6) end     -- two windows may touch
  end)

  it("holds memory until it would say the same as none", function()
    local d = dictionary.new()
    d:window("k", { limit = 3, window = 10, sliding = true })
    d.now = 1019.9
    assert.equal("done", d:delete "k")
    d:window("k", { limit = 3, window = 10 })
    d.now = 1029.9
    assert.equal("absent", d:delete "k")
  end)
end)
