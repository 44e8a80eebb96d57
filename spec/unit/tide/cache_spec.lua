--- tide.cache [T52, T55]: one loader, the others wait.
local scheduler = require "support.coroutine_clock"
local shared = require "tidegate.tide.shared"

local number = 0

describe("tide.cache", function()
  local clock, time, real

  --- The module as another loop has it: what it holds in Lua is its own.
  local function loop()
    package.loaded["tidegate.tide.cache"] = nil
    return require "tidegate.tide.cache"
  end

  --- Caches of one name in as many loops.
  local function caches(loops, o)
    local made = {}
    number = number + 1
    o.name, o.dictionary = "cache_spec." .. number, "cache_spec"
    for i = 1, loops do made[i] = loop().new(o) end
    return unpack(made)
  end

  --- A loader that takes its time and counts; what it does after that is told by `outcome`.
  local function slow(seconds, outcome)
    local loader = { calls = 0 }
    loader.run = function(...)
      loader.calls = loader.calls + 1
      loader.given = { ... }
      time:sleep(seconds)
      return outcome(loader.calls)
    end
    return loader
  end

  local function returning(...)
    local values = { n = select("#", ...), ... }
    return function() return unpack(values, 1, values.n) end
  end

  before_each(function()
    time, clock, real = scheduler.new(), shared.now, {}
    shared.now = function() return time.now end
    for _, name in ipairs { "wait", "task" } do
      name = "tidegate.tide." .. name
      real[name] = package.loaded[name] or false
      package.loaded[name] = time[name:match "%a+$"]
    end
    shared.open("cache_spec", 1024 * 1024):flush()
  end)
  after_each(function()
    shared.now = clock
    for name, module in pairs(real) do package.loaded[name] = module or nil end
    package.loaded["tidegate.tide.cache"] = nil
  end)

  local values = {
    { "a text", "text" }, { "an empty text", "" }, { "a number", 1.5 }, { "true", true }, { "false", false },
    { "a table", { 1, "two", { three = { 4 } }, yes = true } }, { "an empty table", {} },
    { "a text like a table's", "T\1" }, { "a text like nothing", "n" },
  }
  for _, case in ipairs(values) do
    it("loads once and then keeps " .. case[1], function()
      local calls, here, there = 0, caches(2, { ttl = 10 })
      local function loader()
        calls = calls + 1
        return case[2]
      end
      assert.same(case[2], here:get("k", loader))
      assert.same(case[2], here:get("k", loader))
      assert.same(case[2], there:get("k", loader))
      assert.equal(1, calls)
    end)
  end

  it("gives the loader the key and what get was given", function()
    local cache = caches(1, { ttl = 10 })
    local given
    cache:get("k", function(...) given = { ... } return 1 end, "a", nil, "c")
    assert.same({ "k", "a", nil, "c" }, given)
  end)

  it("gives copies of a table", function()
    local cache = caches(1, { ttl = 10 })
    local loaded = cache:get("k", returning { 1 })
    loaded[1] = 2
    cache:get("k", error)[1] = 3
    assert.same({ 1 }, cache:get("k", error))
  end)

  it("loads again when the time to live is over", function()
    local cache = caches(1, { ttl = 10 })
    assert.equal(1, cache:get("k", returning(1)))
    time:pass(9.9)
    assert.equal(1, cache:get("k", returning(2)))
    time:pass(0.2)
    assert.equal(2, cache:get("k", returning(2)))
  end)

  it("keeps that there is nothing for its own time, or not at all", function()
    local with, without = caches(1, { ttl = 10, negative_ttl = 2, stale = 5 }), caches(1, { ttl = 10 })
    for _, cache in ipairs { with, without } do assert.same({ nil, nil }, { cache:get("k", returning(nil)) }) end
    assert.is_nil(with:get("k", returning(1)))
    assert.equal(1, without:get("k", returning(1)))
    time:pass(2)
    assert.equal(1, with:get("k", returning(1)))
  end)

  it("gives an error to the caller and does not keep it", function()
    local cache = caches(1, { ttl = 10, negative_ttl = 10 })
    assert.same({ nil, "refused" }, { cache:get("k", returning(nil, "refused")) })
    assert.equal(1, cache:get("k", returning(1)))
  end)

  it("lets what a loader raises through, and loads again", function()
    local cache, what = caches(1, { ttl = 10 }), { "any value" }
    local ok, why = pcall(cache.get, cache, "k", function() error(what) end)
    assert.is_false(ok)
    assert.equal(what, why)
    assert.equal(1, cache:get("k", returning(1)))
  end)

  it("refuses to keep a function, in the caller's words", function()
    local cache = caches(1, { ttl = 10 })
    assert.error_matches(function() cache:get("k", returning(print)) end,
      "cache: expected a text, number, boolean, table or nil from the loader, found a function", 1, true)
    assert.error_matches(function() cache:get("k", returning { print }) end, "cannot serialize 'function'")
    assert.equal(1, cache:get("k", returning(1)))
  end)

  it("gives a value that is too large to be kept, and a key that is too long", function()
    local cache, large, long = caches(1, { ttl = 10 }), ("x"):rep(300 * 1024), ("k"):rep(70000)
    assert.equal(large, cache:get("k", returning(large)))
    assert.equal(2, cache:get("k", returning(2)))
    assert.equal(3, cache:get(long, returning(3)))
    assert.equal(4, cache:get(long, returning(4)))
  end)

  it("forgets and sets as told, for all loops", function()
    local here, there = caches(2, { ttl = 10 })
    here:set("k", { 1 })
    assert.same({ 1 }, there:get("k", returning(2)))
    there:delete "k"
    assert.equal(2, here:get("k", returning(2)))
    here:set("k", nil)
    assert.equal(3, here:get("k", returning(3)))
  end)

  it("does not share with a cache of another name, nor with the values of plugins", function()
    local one, other = caches(1, { ttl = 10 }), caches(1, { ttl = 10 })
    shared.open "cache_spec":set("k", "plain")
    assert.equal(1, one:get("k", returning(1)))
    assert.equal(2, other:get("k", returning(2)))
    assert.equal("plain", shared.open "cache_spec":get "k")
  end)

  it("loads what is kept in a form that it does not know", function()
    local C = require "tidegate.ffi"
    local cache = caches(1, { ttl = 10 })
    for _, text in ipairs { "", "T", "T\255\255", "x", "Tn" } do
      C.tide_dict_put_string(cache.dict, cache.scope, "k", 1, text, #text, 100, time.now, C.TIDE_DICT_SET)
      assert.equal("loaded", cache:get("k", returning "loaded"), ("%q"):format(text))
    end
  end)

  describe("where several want what is not there", function()
    it("lets one of a loop load, and the others wait for it", function()
      local cache = caches(1, { ttl = 10 })
      local loader, tasks = slow(1, returning(false)), {}
      for i = 1, 5 do tasks[i] = time:run(cache.get, cache, "k", loader.run) end
      local other = time:run(cache.get, cache, "other", returning "now")
      assert.same({ true, "now" }, other.results)
      time:pass(0.9)
      assert.is_nil(tasks[1].results)
      time:pass(0.2)
      for i = 1, 5 do assert.same({ true, false }, tasks[i].results) end
      assert.equal(1, loader.calls)
    end)

    it("lets one of all loops load, and the others look for it", function()
      local here, there = caches(2, { ttl = 10 })
      local loader = slow(1, returning { 1 })
      local first = time:run(here.get, here, "k", loader.run)
      local second, third = time:run(there.get, there, "k", loader.run), time:run(there.get, there, "k", loader.run)
      time:pass(1.06)
      for _, task in ipairs { first, second, third } do assert.same({ true, { 1 } }, task.results) end
      assert.equal(1, loader.calls)
    end)

    it("tells an error to all of its loop, and lets another loop try itself", function()
      local here, there = caches(2, { ttl = 10 })
      local loader = slow(1, function(call)
        if call == 1 then return nil, "refused" end
        return call
      end)
      local first, second = time:run(here.get, here, "k", loader.run), time:run(here.get, here, "k", loader.run)
      local third = time:run(there.get, there, "k", loader.run)
      time:pass(1)
      assert.same({ true, nil, "refused" }, first.results)
      assert.same({ true, nil, "refused" }, second.results)
      time:pass(1.1)
      assert.same({ true, 2 }, third.results)
    end)

    it("tells those who wait that the loader raised", function()
      local here, there = caches(2, { ttl = 10 })
      local loader = slow(1, function(call)
        if call == 1 then error("broken", 0) end
        return call
      end)
      local first, second = time:run(here.get, here, "k", loader.run), time:run(here.get, here, "k", loader.run)
      local third = time:run(there.get, there, "k", loader.run)
      time:pass(3)
      assert.same({ false, "broken" }, first.results)
      assert.same({ true, nil, "cache: the loader failed: broken" }, second.results)
      assert.same({ true, 2 }, third.results)
    end)

    it("gives up after the timeout, in its loop and in others", function()
      local here, there = caches(2, { ttl = 10, timeout = 2 })
      local loader = slow(100, returning(1))
      time:run(here.get, here, "k", loader.run)
      time:pass(0.5)
      local second = time:run(here.get, here, "k", loader.run)
      local other = { slow(0.1, returning "other"), slow(0.1, returning "other") }
      local third = time:run(there.get, there, "k", other[1].run)
      time:pass(1.6)
      assert.same({ true, nil, "timeout" }, second.results)
      time:pass(1)                                      -- the claim has ended
      assert.same({ true, "other" }, third.results)
      assert.equal(1, other[1].calls)
    end)

    it("goes on without a leader that never came back", function()
      local here, there = caches(2, { ttl = 10, timeout = 2 })
      local lost = time:run(here.get, here, "k", slow(1, returning(1)).run)
      time.sleeping = {}                                -- its client is gone: nobody resumes it
      time:pass(2.1)
      assert.equal(2, here:get("k", returning(2)))
      assert.equal(2, there:get("k", returning(3)))
      assert.is_nil(lost.results)
    end)

    it("does not keep another loop's claim from it by ending too late", function()
      local here, there = caches(2, { ttl = 10, timeout = 2 })
      local late, long = slow(3, returning "late"), slow(1.9, returning "long")
      time:run(here.get, here, "k", late.run)
      time:pass(2.5)
      time:run(there.get, there, "k", long.run)         -- claims at 2.5, until 4.5
      time:pass(0.6)                                    -- late has ended
      here:delete "k"
      local third = time:run(here.get, here, "k", returning "third")
      assert.is_nil(third.results)                      -- waits for long
      time:pass(1.5)
      assert.same({ true, "long" }, third.results)
    end)

    it("loads where it cannot wait", function()
      local here, there = caches(2, { ttl = 10 })
      time:run(here.get, here, "k", slow(1, returning "slow").run)
      time.may_wait = false
      assert.equal("at once", here:get("k", returning "at once"))
      here:delete "k"
      assert.equal("also", there:get("k", returning "also"))
      assert.equal("also", here:get("k", returning "kept"))
    end)
  end)

  describe("with a time to be stale", function()
    it("gives the old value while one loop loads a new one", function()
      local here, there = caches(2, { ttl = 10, stale = 20 })
      here:get("k", returning "old")
      time:pass(11)
      local loader = slow(1, returning "new")
      for _, cache in ipairs { here, there, here, there } do assert.equal("old", cache:get("k", loader.run)) end
      time:pass(1)
      assert.equal("new", there:get("k", loader.run))
      assert.equal(1, loader.calls)
    end)

    it("gives the old value while loading fails, and tries again after a while", function()
      local cache = caches(1, { ttl = 10, stale = 20, retry = 3 })
      cache:get("k", returning "old")
      time:pass(11)
      local loader = slow(0, function(call)
        if call == 1 then return nil, "refused" end
        if call == 2 then error("broken", 0) end
        return "new"
      end)
      assert.equal("old", cache:get("k", loader.run))
      time:pass(2.9)
      assert.equal("old", cache:get("k", loader.run))
      assert.equal(1, loader.calls)
      time:pass(0.2)
      assert.equal("old", cache:get("k", loader.run))
      time:pass(3.1)
      assert.same({ "broken" }, time.failures)
      assert.equal("old", cache:get("k", loader.run))
      time:pass(0)
      assert.equal("new", cache:get("k", loader.run))
      assert.equal(3, loader.calls)
    end)

    it("takes that there is nothing any more as a new value", function()
      local cache = caches(1, { ttl = 10, stale = 20, negative_ttl = 5 })
      cache:get("k", returning "old")
      time:pass(11)
      assert.equal("old", cache:get("k", returning(nil)))
      assert.is_nil(cache:get("k", returning "other"))
    end)

    it("loads as if there were none when that is over as well", function()
      local cache = caches(1, { ttl = 10, stale = 20 })
      cache:get("k", returning "old")
      time:pass(31)
      assert.same({ nil, "refused" }, { cache:get("k", returning(nil, "refused")) })
    end)

    it("is never stale with an endless time to live", function()
      local cache = caches(1, { ttl = math.huge, stale = 20 })
      cache:get("k", returning "old")
      time:pass(1e6)
      assert.equal("old", cache:get("k", error))
    end)
  end)

  local misuses = {
    { { ttl = 1 },
      "cache: name: expected a name (caches of one name share what they keep), found nil" },
    { { name = "n" },                           "cache: ttl: expected seconds from 0 to inf, found nil" },
    { { name = "n", ttl = -1 },                 "cache: ttl: expected seconds from 0 to inf, found -1" },
    { { name = "n", ttl = 0 / 0 },              "cache: ttl: expected seconds from 0 to inf, found" },
    { { name = "n", ttl = 1, stale = math.huge }, "cache: stale: expected seconds from 0 to 1e+09, found inf" },
    { { name = "n", ttl = "1s" },               "cache: option ttl: expected a number, found a string" },
    { { name = "n", ttl = 1, tll = 1 },         "cache: there is no option tll" },
  }
  for _, case in ipairs(misuses) do
    it("says where it is misused: " .. case[2], function()
      local cache = loop()
      local ok, why = pcall(function() cache(case[1]) end)
      assert.is_false(ok)
      assert.matches("cache_spec.lua:", why, 1, true)
      assert.matches(case[2], why, 1, true)
    end)
  end

  it("takes the name that it is given for options without one", function()
    local one, other = loop(), loop()
    local o = { ttl = 10, dictionary = "cache_spec" }
    assert.equal(1, one.new(o, "cache_spec.given"):get("k", returning(1)))
    assert.equal(1, other.new(o, "cache_spec.given"):get("k", returning(2)))
  end)

  it("says where get is misused", function()
    local cache = caches(1, { ttl = 10 })
    for _, case in ipairs {
      { function() cache:get(1, print) end,    "cache:get: expected a text as key, found a number" },
      { function() cache:get "k" end,          "cache:get: expected a function as loader, found nil" },
      { function() cache:set({}, 1) end,       "cache:set: expected a text as key, found a table" },
      { function() cache:delete() end,         "cache:delete: expected a text as key, found nil" },
    } do
      local ok, why = pcall(case[1])
      assert.is_false(ok)
      assert.matches("cache_spec.lua:%d+: " .. case[2], why)
    end
  end)
end)
