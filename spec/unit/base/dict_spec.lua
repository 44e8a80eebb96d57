--- [B14] and tide.shared stand on this.
local core = require "support.core"
local dictionary = require "support.dictionary"

local KIB, MIB = 1024, 1024 * 1024

describe("dict", function()
  it("has nothing in it at first", function()
    local d = dictionary.new()
    assert.same({ nil, "absent" }, { d:get "a" })
    assert.same({}, d:keys())
    assert.equal(0, d:stats().bytes_used)
  end)

  local values = {
    { "a text",                        "text" },
    { "an empty text",                 "" },
    { "bytes of any kind",             "\0\255\r\n\0" },
    { "a text that fills its block",   ("x"):rep(55) },
    { "a text that is one byte more",  ("x"):rep(56) },
    { "a text of two blocks",          ("x"):rep(55 + 124) },
    { "a text of a byte over two",     ("x"):rep(56 + 124) },
    { "a long text",                   ("0123456789"):rep(10000) },
    { "a number",                      -1.5 },
    { "the largest number",            1.7976931348623157e308 },
    { "infinity",                      math.huge },
    { "true",                          true },
    { "false",                         false },
  }
  for _, case in ipairs(values) do
    it("gives back " .. case[1], function()
      local d = dictionary.new()
      assert.equal("done", d:put("k", case[2]))
      assert.equal(case[2], (d:get "k"))
    end)
  end

  for _, len in ipairs { 0, 1, 7, 8, 9, 55, 56, 57, 180, 181, 5000, 65535 } do
    it(("tells keys of %d bytes apart by all of them"):format(len), function()
      local d, key = dictionary.new(), ("k"):rep(len)
      d:put(key, "long")
      d:put(key .. "k", "longer")
      if len > 0 then d:put(key:sub(1, -2) .. "K", "other") end
      assert.equal("long", (d:get(key)))
      if len > 0 then assert.equal("other", (d:get(key:sub(1, -2) .. "K"))) end
      d:delete(key)
      assert.same({ nil, "absent" }, { d:get(key) })
    end)
  end

  local changes = {
    { "a text by a longer one",   "a",              ("b"):rep(1000) },
    { "a text by a shorter one",  ("b"):rep(1000),  "a" },
    { "a text by one as long",    ("b"):rep(1000),  ("c"):rep(1000) },
    { "a text by a number",       ("b"):rep(1000),  7 },
    { "a number by a text",       7,                "seven" },
    { "a number by a boolean",    7,                false },
    { "a text by an empty one",   "text",           "" },
  }
  for _, case in ipairs(changes) do
    it("replaces " .. case[1] .. " and takes no more memory than for that", function()
      local d, fresh = dictionary.new(), dictionary.new()
      d:put("k", case[2])
      d:put("k", case[3])
      fresh:put("k", case[3])
      assert.equal(case[3], (d:get "k"))
      assert.equal(1, d:stats().entries)
      assert.equal(fresh:stats().bytes_used, d:stats().bytes_used)
    end)
  end

  it("adds only what is absent, and replaces only what is there", function()
    local d = dictionary.new()
    assert.equal("absent", d:put("k", "one", nil, "replace"))
    assert.equal("done", d:put("k", "two", nil, "add"))
    assert.equal("exists", d:put("k", "three", nil, "add"))
    assert.equal("two", (d:get "k"))
    assert.equal("done", d:put("k", ("four"):rep(100), nil, "replace"))
    assert.equal(("four"):rep(100), (d:get "k"))
    assert.equal("exists", d:put("k", ("five"):rep(100), nil, "add"))
  end)

  it("adds up numbers, from what an absent one begins with", function()
    local d = dictionary.new()
    assert.equal(11, d:incr("k", 1, 10))
    assert.equal(13.5, d:incr("k", 2.5, 10))
    assert.equal(3.5, d:incr("k", -10))
    assert.equal(3.5, (d:get "k"))
  end)

  it("does not add to what is no number", function()
    local d = dictionary.new()
    d:put("text", "7")
    d:put("boolean", true)
    assert.same({ nil, "wrong kind" }, { d:incr("text", 1) })
    assert.same({ nil, "wrong kind" }, { d:incr("boolean", 1) })
    assert.equal("7", (d:get "text"))
  end)

  it("keeps scopes apart", function()
    local d = dictionary.new()
    d:put("k", "plain")
    d.scope = 7
    assert.same({ nil, "absent" }, { d:get "k" })
    d:put("k", "seven")
    d.scope = 0
    assert.equal("plain", (d:get "k"))
    assert.same({ "k" }, d:keys())
    assert.equal("done", d:delete "k")
    d.scope = 7
    assert.equal("seven", (d:get "k"))
  end)

  it("hands out no limiter's state", function()
    local d = dictionary.new()
    d:bucket("k", 1, 1)
    assert.same({ nil, "wrong kind" }, { d:get "k" })
    assert.same({ nil, "wrong kind" }, { d:incr("k", 1) })
  end)

  it("tells hits from misses", function()
    local d = dictionary.new()
    d:put("k", 1)
    d:get "k"
    d:get "k"
    d:get "none"
    assert.equal(2, d:stats().hits)
    assert.equal(1, d:stats().misses)
  end)

  it("lists keys of any length, once each", function()
    local d, expected = dictionary.new(4 * MIB), {}
    for i = 1, 3000 do
      expected[i] = ("%04d"):format(i) .. ("x"):rep(i % 500)
      d:put(expected[i], i)
    end
    assert.same(expected, d:keys())
  end)

  it("does what a table does, over any calls", function()
    core.seed()
    local d, model, keys = dictionary.new(16 * MIB), {}, {}
    for i = 1, 300 do keys[i] = ("key%d"):format(i):rep(math.random(1, 20)) end
    for i = 1, 30000 do
      local key, choice = keys[math.random(#keys)], math.random(6)
      if choice == 1 then
        model[key] = tostring(i):rep(math.random(0, 60))
        assert.equal("done", d:put(key, model[key]))
      elseif choice == 2 then
        assert.equal(model[key] == nil and "done" or "exists", d:put(key, i, nil, "add"))
        if model[key] == nil then model[key] = i end
      elseif choice == 3 then
        assert.equal(model[key] ~= nil and "done" or "absent", d:put(key, i, nil, "replace"))
        if model[key] ~= nil then model[key] = i end
      elseif choice == 4 then
        local sum, why = d:incr(key, 1, 5)
        if type(model[key]) == "string" then
          assert.equal("wrong kind", why)
        else
          model[key] = (model[key] or 5) + 1
          assert.equal(model[key], sum)
        end
      elseif choice == 5 then
        assert.equal(model[key] ~= nil and "done" or "absent", d:delete(key))
        model[key] = nil
      else
        assert.equal(model[key], (d:get(key)))
      end
    end
    local left = {}
    for key in pairs(model) do left[#left + 1] = key end
    table.sort(left)
    assert.same(left, d:keys())
    for _, key in ipairs(left) do d:delete(key) end
    assert.equal(0, d:stats().bytes_used)
  end)
end)

describe("the time to live of an entry", function()
  it("ends at its moment, not before", function()
    local d = dictionary.new()
    d:put("k", "v", 10)
    d.now = 1009.999
    local value, left = d:get "k"
    assert.equal("v", value)
    assert.near(0.001, left, 1e-9)
    d.now = 1010
    assert.same({ nil, "absent" }, { d:get "k" })
    assert.equal(1, d:stats().expired)
    assert.equal(0, d:stats().bytes_used)
  end)

  it("is for ever where none is given", function()
    local d = dictionary.new()
    d:put("k", "v")
    d.now = 1e9
    assert.same({ "v", math.huge }, { d:get "k" })
  end)

  local dead = { { "no time", 0 }, { "less than none", -5 } }
  for _, case in ipairs(dead) do
    it("is over at once with " .. case[1], function()
      local d = dictionary.new()
      d:put("k", "before")
      assert.equal("done", d:put("k", "v", case[2]))
      assert.same({ nil, "absent" }, { d:get "k" })
      assert.same({}, d:keys())
    end)
  end

  it("begins anew with another value, and is as told after expire", function()
    local d = dictionary.new()
    d:put("k", "v", 10)
    d:put("k", "w", 20)
    assert.equal(20, select(2, d:get "k"))
    d:put("k", "x")
    assert.equal(math.huge, select(2, d:get "k"))
    assert.equal("done", d:expire("k", 5))
    assert.equal(5, select(2, d:get "k"))
    d.now = 1005
    assert.equal("absent", d:expire("k", 5))
  end)

  it("is kept by a number that is added to", function()
    local d = dictionary.new()
    d:incr("k", 1, 0, 10)
    d.now = 1005
    d:incr("k", 1, 0, 10)
    assert.equal(5, select(2, d:get "k"))
    d.now = 1010
    assert.equal(1, d:incr("k", 1, 0, 10))
  end)

  it("makes an expired key an absent one for every call", function()
    local d = dictionary.new()
    d:put("k", "v", 1)
    d.now = 1002
    assert.equal("absent", d:put("k", "w", nil, "replace"))
    d:put("k", "v", 1)
    d.now = 1004
    assert.equal("done", d:put("k", "w", nil, "add"))
    d:put("k", "v", 1)
    d.now = 1006
    assert.equal("absent", d:delete "k")
  end)
end)

describe("a full dictionary", function()
  local function fill(d, from, to, ttl)
    for i = from, to do
      d.now = d.now + 0.001
      assert.equal("done", d:put("key" .. i, ("v"):rep(40), ttl))
    end
  end

  it("stays within its memory, whatever is put in", function()
    core.seed()
    local d = dictionary.new(256 * KIB)
    for i = 1, 20000 do
      d.now = d.now + 0.001
      local value = ("v"):rep(math.random(0, 2) ^ 12)
      assert.equal("done", d:put("key" .. math.random(5000), value, i % 3 == 0 and 5 or nil))
      local stats = d:stats()
      assert.is_true(stats.bytes_used <= stats.bytes)
    end
    assert.is_true(d:stats().evictions > 1000)
    assert.is_true(d:stats().bytes_used > 200 * KIB)
    d:flush()
    assert.equal(0, d:stats().bytes_used)
    assert.equal(0, d:stats().entries)
  end)

  it("lets go what was not used for the longest time, and nothing else", function()
    local d = dictionary.new(64 * KIB)
    local n = 0
    repeat
      n = n + 1
      fill(d, n, n)
    until d:stats().evictions == 1
    local room = n - 1
    assert.same({ nil, "absent" }, { d:get "key1" })
    d.now = d.now + 1
    assert.is_string(d:get "key2")                      -- used again: key3 is the oldest now
    fill(d, n + 1, n + 10)
    assert.is_string(d:get "key2")
    for i = 3, 12 do assert.is_nil((d:get("key" .. i))) end
    for i = 13, n + 10 do assert.is_string((d:get("key" .. i))) end
    assert.equal(room, d:stats().entries)
  end)

  it("lets go what has expired before anything that has not", function()
    local d = dictionary.new(64 * KIB)
    fill(d, 1, 100)
    fill(d, 101, 200, 5)                                -- newer, but over soon
    local n = 200
    while d:stats().bytes_used < 64 * KIB - 16 * KIB do
      n = n + 1
      fill(d, n, n)
    end
    d.now = d.now + 10
    fill(d, n + 1, n + 90)
    assert.equal(0, d:stats().evictions)
    assert.is_true(d:stats().expired > 0)
    for i = 1, 100 do assert.is_string((d:get("key" .. i))) end
  end)

  it("makes room for a large value by as much as it needs", function()
    local d = dictionary.new(8 * MIB)
    for i = 1, 60000 do d:put("key" .. i, i) end
    local before = d:stats()
    assert.equal("done", d:put("large", ("x"):rep(MIB)))
    assert.equal(MIB, #d:get "large")
    local needed = (MIB + 124 - 1) / 124 + 2
    assert.is_true(before.entries - d:stats().entries < needed)
  end)

  it("takes a large value as easily after any other sizes", function()
    core.seed()
    local d = dictionary.new(8 * MIB)
    for i = 1, 3000 do
      d.now = d.now + 0.001
      d:put("key" .. i, ("x"):rep(math.random(0, 20000)))
    end
    for i = 1, 5 do
      assert.equal("done", d:put("large" .. i, ("x"):rep(MIB)))
      for j = 1, i do assert.equal(MIB, #d:get("large" .. j)) end
    end
  end)
end)

describe("the limits of a dictionary", function()
  local cases = {
    { bytes = 64 * KIB,  key = 8 * KIB,  value = 16 * KIB },
    { bytes = MIB,       key = 65535,    value = 256 * KIB },
    { bytes = 8 * MIB,   key = 65535,    value = MIB },
  }
  for _, case in ipairs(cases) do
    it(("are %d and %d bytes in one of %d"):format(case.key, case.value, case.bytes), function()
      local d = dictionary.new(case.bytes)
      assert.equal("done", d:put(("k"):rep(case.key), ("v"):rep(case.value)))
      assert.equal(case.value, #d:get(("k"):rep(case.key)))
      assert.equal("key limit", d:put(("k"):rep(case.key + 1), "v"))
      assert.equal("value limit", d:put("k", ("v"):rep(case.value + 1)))
      assert.same({ nil, "key limit" }, { d:incr(("k"):rep(case.key + 1), 1) })
      assert.same({ nil, "key limit" }, { d:bucket(("k"):rep(case.key + 1), 1, 1) })
    end)
  end

  it("make a key over all limits absent", function()
    local d, key = dictionary.new(), ("k"):rep(65536)
    assert.same({ nil, "absent" }, { d:get(key) })
    assert.equal("absent", d:delete(key))
    assert.equal("absent", d:expire(key, 1))
  end)

  it("keep its size between 64 KiB and 16 GiB", function()
    assert.is_nil(dictionary.new(64 * KIB - 1))
    assert.is_nil(dictionary.new(16 * KIB * MIB + 1))
    local d = dictionary.new()
    assert.is_false(d:resize(64 * KIB - 1))
    assert.is_false(d:resize(16 * KIB * MIB + 1))
    assert.equal(MIB, d:stats().bytes)
  end)
end)

describe("a dictionary that is resized", function()
  local function filled(bytes, n)
    local d = dictionary.new(bytes)
    for i = 1, n do
      d.now = d.now + 0.001
      d:put("key" .. i, "value" .. i)
    end
    return d
  end

  it("keeps what it has when it grows, and takes more", function()
    local d = filled(64 * KIB, 300)
    assert.is_true(d:resize(32 * MIB))
    for i = 1, 100000 do d:put("more" .. i, i) end
    for i = 1, 300 do assert.equal("value" .. i, (d:get("key" .. i))) end
    for i = 1, 100000 do assert.equal(i, (d:get("more" .. i))) end
    assert.equal(0, d:stats().evictions)
    assert.equal(100300, #d:keys())
  end)

  it("lets the oldest go when it shrinks", function()
    local d = filled(4 * MIB, 2000)
    assert.is_true(d:resize(64 * KIB))
    local stats = d:stats()
    assert.is_true(stats.bytes_used <= 64 * KIB)
    assert.equal(2000, stats.entries + stats.evictions)
    for i = 1, stats.evictions do assert.is_nil((d:get("key" .. i))) end
    for i = stats.evictions + 1, 2000 do assert.equal("value" .. i, (d:get("key" .. i))) end
  end)

  it("is good for more after it was emptied, shrunk and grown again", function()
    local d = filled(4 * MIB, 2000)
    d:flush()
    for _, bytes in ipairs { 64 * KIB, 8 * MIB, 64 * KIB, MIB } do
      assert.is_true(d:resize(bytes))
      for i = 1, 300 do assert.equal("done", d:put("key" .. i, "again" .. i)) end
      for i = 1, 300 do assert.equal("again" .. i, (d:get("key" .. i))) end
    end
  end)

  it("shows a walk every key that is there all the time", function()
    local C, ffi = core.C, require "ffi"
    local d, seen = filled(64 * KIB, 300), {}
    local cursor, piece = ffi.new "uint64_t[1]", ffi.new "struct slice"
    local pieces = 0
    while C.tide_dict_keys(d.dict, cursor, d.now, piece) ~= 0 do
      for key in ffi.string(piece.at, piece.len):gmatch "key%d+" do seen[key] = true end
      pieces = pieces + 1
      if pieces == 10 then assert.is_true(d:resize(16 * MIB)) end
    end
    for i = 1, 300 do assert.is_true(seen["key" .. i]) end
  end)
end)

describe("a scope", function()
  -- The same bytes hashed by another program (SipHash-1-3, key 0).
  local known = {
    { 1, "68a914128e01e473" },
    { 2, "010bac45c41e3669" },
    { 7, "2f098ab0c751325a" },
    { 8, "ead411e67ebe2eea" },
    { 9, "75927f9d95124362" },
    { 12, "a6baf4fb0f9fe1c2" },
    { 15, "f30eb725bb91c9ea" },
    { 16, "8972188433a5c5b7" },
    { 17, "4883c49a2c009c1d" },
    { 31, "169739443111d49b" },
    { 63, "385d3e39e5f37359" },
  }
  for _, case in ipairs(known) do
    it(("is the SipHash of its name: %d bytes"):format(case[1]), function()
      local bytes = {}
      for i = 1, case[1] do bytes[i] = string.char(i - 1) end
      local name = table.concat(bytes)
      assert.equal(case[2], bit.tohex(core.C.tide_dict_scope(name, #name)))
    end)
  end
end)
