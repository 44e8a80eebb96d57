--- What may be tried again, and how much of it.
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function settings(values) return ffi.new("struct retry_settings", values or {}) end

describe("a retry budget", function()
  local b, now

  before_each(function() b, now = ffi.new "struct retry_budget", 1000000 end)

  local function requests(n)
    for _ = 1, n do C.retry_count(b, now) end
  end

  --- How many of n retries are allowed.
  local function spend(n, values)
    local s, allowed = settings(values), 0
    for _ = 1, n do
      if C.retry_spend(b, s, now) then allowed = allowed + 1 end
    end
    return allowed
  end

  local rows = {
    { "is a share of the requests", 100, { budget_percent = 20 }, 20 },
    { "is rounded down", 99, { budget_percent = 20 }, 19 },
    { "may be all of them", 100, { budget_percent = 100 }, 100 },
    { "may be nothing", 100, {}, 0 },
    { "has a least number per second", 0, { budget_percent = 20, budget_min = 3 }, 30 },
    { "is the larger one of the two", 1000, { budget_percent = 20, budget_min = 3 }, 200 },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      requests(row[2])
      assert.equal(row[4], spend(1000, row[3]))
    end)
  end

  it("looks back for ten seconds", function()
    local s = { budget_percent = 50 }
    requests(100)
    assert.equal(50, spend(60, s))
    now = now + 9000
    assert.equal(0, spend(60, s))
    requests(100)
    assert.equal(50, spend(60, s))
    now = now + 1000
    assert.equal(0, spend(60, s))       -- half of the hundred of a second ago, and those are spent
    now = now + 20000
    assert.equal(0, spend(60, s))
    requests(10)
    assert.equal(5, spend(60, s))
  end)

  it("takes a clock that has gone back a little for the newest second", function()
    requests(10)
    now = now - 1
    requests(10)
    now = now + 1
    assert.equal(10, spend(60, { budget_percent = 50 }))
  end)
end)

describe("a wait before a retry", function()
  local function longest(values, n)
    local random, most = ffi.new("struct random", { 7 }), 0
    for _ = 1, 2000 do most = math.max(most, C.retry_backoff(settings(values), n, random)) end
    return most
  end

  local rows = {
    { "is at most the base at first", { backoff_ms = 20, backoff_max_ms = 1000 }, 0, 20 },
    { "doubles", { backoff_ms = 20, backoff_max_ms = 1000 }, 3, 160 },
    { "has a bound", { backoff_ms = 20, backoff_max_ms = 100 }, 5, 100 },
    { "does not overflow", { backoff_ms = 4000000000, backoff_max_ms = 50 }, 200, 50 },
    { "is none without a base", { backoff_max_ms = 50 }, 9, 0 },
  }
  for _, row in ipairs(rows) do
    it(row[1], function() assert.equal(row[4], longest(row[2], row[3])) end)
  end
end)

describe("a route's retries", function()
  local SERVICE = { attempts = 3, on = C.RETRY_ON_CONNECT, per_try_ms = 10, hedge_ms = 0, backoff_ms = 1,
                    backoff_max_ms = 2, methods = 6, budget_percent = 7, budget_min = 8 }

  local rows = {
    { "are the service's where it says nothing", { attempts = 9 }, {} },
    { "may have another number", { given = C.RETRY_KEY_ATTEMPTS, attempts = 9 }, { attempts = 9 } },
    { "may have none", { given = C.RETRY_KEY_ATTEMPTS }, { attempts = 0 } },
    { "may limit tries, and want more then", { given = C.RETRY_KEY_PER_TRY, per_try_ms = 5 },
      { per_try_ms = 5, on = C.RETRY_ON_CONNECT + C.RETRY_ON_TIMEOUT } },
    { "may limit tries, and say what they want",
      { given = C.RETRY_KEY_PER_TRY + C.RETRY_KEY_ON, per_try_ms = 5, on = C.RETRY_ON_RESET },
      { per_try_ms = 5, on = C.RETRY_ON_RESET } },
    { "may wait longer", { given = C.RETRY_KEY_BACKOFF, backoff_ms = 50, backoff_max_ms = 60 },
      { backoff_ms = 50, backoff_max_ms = 60 } },
    { "may ask two nodes", { given = C.RETRY_KEY_HEDGE, hedge_ms = 5 }, { hedge_ms = 5 } },
    { "may send other methods again", { given = C.RETRY_KEY_METHODS, methods = 1 }, { methods = 1 } },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      local out, expected = ffi.new "struct retry_settings", {}
      C.retry_merge(settings(SERVICE), settings(row[2]), out)
      for key, value in pairs(SERVICE) do expected[key] = row[3][key] or value end
      local seen = {}
      for key in pairs(expected) do seen[key] = out[key] end
      assert.same(expected, seen)
    end)
  end
end)
