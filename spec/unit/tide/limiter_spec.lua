--- tide.limiter [T20, X8]. The arithmetic is tested in spec/unit/base/dict_limit_spec.lua.
local limiter = require "tidegate.tide.limiter"
local shared = require "tidegate.tide.shared"

local number = 0

local function new(o)
  number = number + 1
  o.name = o.name or "limiter_spec." .. number
  o.dictionary = "limiter_spec"
  return limiter.new(o)
end

describe("tide.limiter", function()
  local clock, now

  before_each(function()
    clock, now = shared.now, 1000
    shared.now = function() return now end
    shared.open("limiter_spec", 65536):flush()
  end)
  after_each(function() shared.now = clock end)

  -- steps: { seconds after the one before, cost, allowed, remaining, retry_after, reset, delay }
  local cases = {
    { "a token bucket lets a burst through, then its rate", { rate = 2, burst = 3 }, limit = 3, steps = {
      { 0, 2, true, 1, 0, 1, 0 }, { 0, nil, true, 0, 0, 1.5, 0 }, { 0, 1, false, 0, 0.5, 1.5, 0 },
      { 0.75, 1, true, 0, 0, 1.25, 0 },
    } },
    { "a token bucket's burst is its limit where none is said",
      { kind = "token_bucket", rate = { limit = 60, window = 30 } }, limit = 60, steps = {
        { 0, 60, true, 0, 0, 30, 0 }, { 1, 3, false, 2, 0.5, 29, 0 },
      } },
    { "a rate below one in a second is one in more seconds", { rate = 0.25 }, limit = 1, steps = {
      { 0, 1, true, 0, 0, 4, 0 }, { 1, 1, false, 0, 3, 3, 0 }, { 3, 1, true, 0, 0, 4, 0 },
    } },
    { "a leaky bucket tells each when its turn is", { kind = "leaky_bucket", rate = 2, burst = 2 }, limit = 3, steps = {
      { 0, 1, true, 2, 0, 0.5, 0 }, { 0, 1, true, 1, 0, 1, 0.5 }, { 0.25, 1, true, 0, 0, 1.25, 0.75 },
      { 0, 1, false, 0, 0.25, 1.25, 0 }, { 10, 1, true, 2, 0, 0.5, 0 },
    } },
    { "a leaky bucket in which nobody may wait spaces evenly", { kind = "leaky_bucket", rate = 4 }, limit = 1, steps = {
      { 0, 1, true, 0, 0, 0.25, 0 }, { 0.125, 1, false, 0, 0.125, 0.125, 0 }, { 0.125, 1, true, 0, 0, 0.25, 0 },
    } },
    { "a fixed window starts again", { kind = "fixed_window", rate = { limit = 2, window = 10 } }, limit = 2, steps = {
      { 0, 2, true, 0, 0, 10, 0 }, { 4, 1, false, 0, 6, 6, 0 }, { 6, 1, true, 1, 0, 10, 0 },
    } },
    { "a sliding window remembers", { kind = "sliding_window", rate = { limit = 4, window = 10 } }, limit = 4, steps = {
      { 0, 4, true, 0, 0, 20, 0 }, { 10, 1, false, 0, 2.5, 10, 0 }, { 2.5, 1, true, 0, 0, 17.5, 0 },
    } },
    { "a cost that can never be is refused for ever", { rate = 1, burst = 5 }, limit = 5, steps = {
      { 0, 6, false, 5, math.huge, 0, 0 },
    } },
    { "a cost of nothing only asks", { rate = 1, burst = 5 }, limit = 5, steps = {
      { 0, 0, true, 5, 0, 0, 0 }, { 0, 5, true, 0, 0, 5, 0 }, { 0, 0, true, 0, 0, 5, 0 },
    } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local l = new(case[2])
      assert.equal(case.limit, l.limit)
      for i, step in ipairs(case.steps) do
        now = now + step[1]
        local results = { l:take("key", step[2]) }
        assert.equal(5, #results)
        assert.equal(step[3], results[1], "step " .. i)
        for k = 2, 5 do
          if step[2 + k] == math.huge then
            assert.equal(math.huge, results[k])
          else
            assert.near(step[2 + k], results[k], 1e-6, ("step %d, result %d"):format(i, k))
          end
        end
      end
    end)
  end

  it("counts each key for itself", function()
    local l = new { rate = 1 }
    assert.is_true((l:take "a"))
    assert.is_false((l:take "a"))
    assert.is_true((l:take "b"))
  end)

  local together = {
    { "the same name and kind",  { name = "n", rate = 1 },  { name = "n", rate = 5, burst = 1 },              true },
    { "another name",            { name = "n", rate = 1 },  { name = "m", rate = 1 },                         false },
    { "another kind",            { name = "n", rate = 1 },  { name = "n", rate = 1, kind = "fixed_window" },  false },
  }
  for _, case in ipairs(together) do
    it(("%s with one of %s"):format(case[4] and "counts together" or "does not count", case[1]), function()
      assert.is_true((new(case[2]):take "key"))
      assert.equal(not case[4], (new(case[3]):take "key"))
    end)
  end

  it("counts without a name with those of the same rate, and by a name that it is given", function()
    local o = { rate = 1, dictionary = "limiter_spec" }
    assert.is_true((limiter.new(o):take "key"))
    assert.is_false((limiter.new(o):take "key"))
    assert.is_true((limiter.new({ rate = 2, burst = 1, dictionary = "limiter_spec" }):take "key"))
    assert.is_true((limiter.new(o, "plugin.instance"):take "key"))
    assert.is_false((limiter.new({ rate = 1, dictionary = "limiter_spec", name = "plugin.instance" }):take "key"))
  end)

  it("does not meet what plugins keep in the same dictionary", function()
    shared.open "limiter_spec":set("key", "text")
    assert.is_true((new { rate = 1 }:take "key"))
    assert.equal("text", shared.open "limiter_spec":get "key")
  end)

  it("does not answer for a key that is too long", function()
    local allowed, why = new { rate = 1 }:take(("k"):rep(8193))
    assert.is_nil(allowed)
    assert.equal("key: expected at most 8192 bytes, found 8193", why)
  end)

  local misuses = {
    { { rate = 1, knd = "x" },                     "limiter: there is no option knd" },
    { { rate = 1, kind = "bucket" },
      'kind: expected token_bucket, leaky_bucket, fixed_window or sliding_window, found "bucket"' },
    { { rate = 1, store = "redis" },
      'store: expected "local", found "redis", which is not available in this version' },
    { {},                                          "rate: expected a number over 0, found nil" },
    { { rate = 0 },                                "rate: expected a number over 0, found 0" },
    { { rate = 0 / 0 },                            "rate: expected a number over 0, found" },
    { { rate = math.huge },                        "rate: expected a number over 0, found inf" },
    { { rate = "10/s" },                           "rate: expected a number over 0, found 10/s" },
    { { rate = { limit = 5 } },                    "rate.window: expected a number over 0, found nil" },
    { { rate = { limit = 5, per = 1 } },           "rate: expected limit and window, found per" },
    { { rate = 1, burst = -1 },                    "burst: expected a number over 0, found -1" },
    { { rate = 1, burst = 0 },                     "burst: expected a number over 0, found 0" },
    { { rate = 1, burst = 5, kind = "fixed_window" }, "burst: expected none for a window, found 5" },
    { { rate = 1, dictionary = "no good" },        "expected 1 to 64 printable characters" },
  }
  for _, case in ipairs(misuses) do
    it("says where it is misused: " .. case[2], function()
      local ok, why = pcall(function() limiter.new(case[1]) end)
      assert.is_false(ok)
      assert.matches(case[2], why, 1, true)
      if not case[1].dictionary then assert.matches("limiter_spec.lua:", why, 1, true) end
    end)
  end

  it("says where take is misused", function()
    local l = new { rate = 1 }
    for _, case in ipairs { { 7 }, { nil }, { "k", "1" }, { "k", -1 }, { "k", 0 / 0 } } do
      local ok, why = pcall(function() l:take(case[1], case[2]) end)
      assert.is_false(ok)
      assert.matches("limiter_spec.lua:%d+: limiter:take: expected a", why)
    end
  end)
end)
