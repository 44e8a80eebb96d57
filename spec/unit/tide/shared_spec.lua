--- tide.shared: what plugins see of the dictionaries of spec/unit/base/dict_spec.lua.
local shared = require "tidegate.tide.shared"

local number = 0

--- A dictionary of a case's own; they stay until the specs are over.
local function new(size)
  number = number + 1
  return shared.open("shared_spec." .. number, size or 65536)
end

describe("tide.shared", function()
  local clock, now

  before_each(function()
    clock, now = shared.now, 1000
    shared.now = function() return now end
  end)
  after_each(function() shared.now = clock end)

  it("gives the same dictionary for the same name, and 8 MiB where no size is said", function()
    local d = shared "shared_spec.default"
    assert.equal(d, shared "shared_spec.default")
    assert.equal(d, shared.open("shared_spec.default", 65536))
    assert.equal(8 * 1024 * 1024, d:stats().bytes)
    assert.equal(65536, new():stats().bytes)
  end)

  local values = { "text", "", "a\0b", 0, -1.5, math.huge, true, false }
  for _, value in ipairs(values) do
    it(("gives back what was set: %q"):format(tostring(value)), function()
      local d = new()
      assert.is_true(d:set("k", value))
      assert.equal(value, d:get "k")
    end)
  end

  it("sets, adds and replaces as told", function()
    local d = new()
    assert.same({ nil, "not found" }, { d:replace("k", 1) })
    assert.is_true(d:add("k", 2))
    assert.same({ nil, "exists" }, { d:add("k", 3) })
    assert.equal(2, d:get "k")
    assert.is_true(d:replace("k", 4))
    assert.equal(4, d:get "k")
    assert.is_true(d:delete "k")
    assert.is_false(d:delete "k")
    assert.is_nil(d:get "k")
  end)

  it("counts, with defaults for by and init", function()
    local d = new()
    assert.equal(1, d:incr "k")
    assert.equal(3, d:incr("k", 2))
    assert.equal(2.5, d:incr("k", -0.5))
    assert.equal(11, d:incr("other", 1, 10))
    d:set("text", "x")
    assert.same({ nil, "not a number" }, { d:incr "text" })
  end)

  it("forgets when the time to live is over", function()
    local d = new()
    d:set("k", "v", 10)
    d:incr("n", 1, 0, 10)
    d:set("ever", "v")
    assert.equal(10, d:ttl "k")
    assert.equal(math.huge, d:ttl "ever")
    now = 1009
    assert.equal(1, d:ttl "n")
    assert.is_true(d:expire("k", 5))
    assert.is_true(d:expire "n")
    now = 1011
    assert.equal("v", d:get "k")
    assert.equal(math.huge, d:ttl "n")
    now = 1014
    assert.is_nil(d:get "k")
    assert.same({ nil, "not found" }, { d:ttl "k" })
    assert.same({ nil, "not found" }, { d:expire("k", 1) })
  end)

  for _, ttl in ipairs { 0, -1 } do
    it(("takes a time to live of %d as over"):format(ttl), function()
      local d = new()
      d:set("k", "v")
      assert.is_true(d:set("k", "w", ttl))
      assert.is_nil(d:get "k")
    end)
  end

  it("lists keys, at most as many as asked for", function()
    local d, expected = new(8 * 1024 * 1024), {}
    for i = 1, 1500 do
      expected[i] = ("key%04d"):format(i)
      d:set(expected[i], i)
    end
    local all = d:keys(math.huge)
    table.sort(all)
    assert.same(expected, all)
    assert.equal(1024, #d:keys())
    assert.equal(7, #d:keys(7))
    assert.same({}, d:keys(0))
    d:flush()
    assert.same({}, d:keys())
  end)

  it("tells how it is used", function()
    local d = new()
    d:set("k", "v", 5)
    d:get "k"
    d:get "none"
    local stats = d:stats()
    assert.same({ 65536, 128, 1, 1, 1, 0, 0 }, {
      stats.bytes, stats.bytes_used, stats.entries, stats.hits, stats.misses, stats.evictions, stats.expired })
  end)

  it("refuses what is over a limit, with both numbers", function()
    local d = new()
    assert.same({ nil, "key: expected at most 8192 bytes, found 8193" }, { d:set(("k"):rep(8193), "v") })
    assert.same({ nil, "value: expected at most 16384 bytes, found 16385" }, { d:set("k", ("v"):rep(16385)) })
    assert.same({ nil, "key: expected at most 8192 bytes, found 8193" }, { d:incr(("k"):rep(8193)) })
    assert.is_nil(d:get(("k"):rep(100000)))
  end)

  local d = shared.open("shared_spec.misuse", 65536)
  local misuses = {
    { function() d:get(7) end,                   "shared:get: expected a text as key, found a number" },
    { function() d:get() end,                    "shared:get: expected a text as key, found nil" },
    { function() d:set({}, 1) end,               "shared:set: expected a text as key, found a table" },
    { function() d:set("k", nil) end,
      "shared:set: expected a text, a number or a boolean as value, found nil" },
    { function() d:add("k", {}) end,
      "shared:add: expected a text, a number or a boolean as value, found a table" },
    { function() d:replace("k", 1, "5s") end,    "shared:replace: expected seconds to live, found a string" },
    { function() d:set("k", 1, 0 / 0) end,       "shared:set: expected seconds to live, found NaN" },
    { function() d:incr(7) end,                  "shared:incr: expected a text as key, found a number" },
    { function() d:incr("k", "1") end,           "shared:incr: expected a finite number to add, found a string" },
    { function() d:incr("k", math.huge) end,     "shared:incr: expected a finite number to add, found a number" },
    { function() d:incr("k", 1, 0 / 0) end,      "shared:incr: expected a finite number as init, found a number" },
    { function() d:incr("k", 1, 0, "x") end,     "shared:incr: expected seconds to live, found a string" },
    { function() d:expire(1) end,                "shared:expire: expected a text as key, found a number" },
    { function() d:ttl(1) end,                   "shared:ttl: expected a text as key, found a number" },
    { function() d:delete(1) end,                "shared:delete: expected a text as key, found a number" },
    { function() d:keys "all" end,               "shared:keys: expected a number of keys, found a string" },
    { function() shared() end,                   "shared: expected a name, found nil" },
    { function() shared "" end,                  "shared: dictionary name: expected 1 to 64 printable characters" },
    { function() shared.open("n", "8MiB") end,   "shared: expected a number of bytes, found a string" },
    { function() shared.open("n", 1) end,        'shared: dictionary "n": expected a size from 65536 bytes' },
  }
  for _, case in ipairs(misuses) do
    it("says where it is misused: " .. case[2], function()
      local ok, why = pcall(case[1])
      assert.is_false(ok)
      assert.matches("shared_spec.lua:", why, 1, true)
      assert.matches(case[2], why, 1, true)
    end)
  end
end)
