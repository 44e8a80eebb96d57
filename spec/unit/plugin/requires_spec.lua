local requires = require "tidegate.plugin.requires"

describe("a version", function()
  local good = { "0.0.0", "1.2.3", "10.20.30", "1.0.0-rc.1", "1.0.0-alpha-b.2", "1.0.0+build.5", "1.0.0-rc.1+001",
                 "999999999.0.0" }
  for _, text in ipairs(good) do
    it("is " .. text, function() assert.is_table(requires.version(text)) end)
  end

  local bad = { "", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "01.2.3", "1.2.03", "1.2.3-", "1.2.3-a..b", "1.2.3-01",
                "1.2.3+", "1.2.3 ", "1..2", "1.2.3-ä", "1.2.-3", "99999999999.0.0", ("1"):rep(200) .. ".0.0" }
  for _, text in ipairs(bad) do
    it(("is not %q"):format(text:sub(1, 20)), function() assert.is_nil(requires.version(text)) end)
  end

  it("may be short where that is wanted", function()
    assert.same({ 1, 2, 0, count = 2 }, requires.version("1.2", true))
    assert.same({ 1, 0, 0, count = 1 }, requires.version("1", true))
    assert.is_nil(requires.version("1.2-rc", true))
  end)

  it("is compared as semver says", function()
    -- semver.org, section 11
    local rising = { "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
                     "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0" }
    for i, a in ipairs(rising) do
      for k, b in ipairs(rising) do
        local expected = i < k and -1 or i > k and 1 or 0
        assert.equal(expected, requires.compare(requires.version(a), requires.version(b)), a .. " and " .. b)
      end
    end
    assert.equal(0, requires.compare(requires.version "1.0.0+a", requires.version "1.0.0+b"))
  end)
end)

describe("a requirement [T37]", function()
  local cases = {
    -- ranges, versions that fit, versions that do not
    { "x", { "0.0.1", "9.9.9", "1.0.0-rc" }, {} },
    { "x >= 1.0", { "1.0.0", "1.0.1", "2.0.0" }, { "0.9.9", "1.0.0-rc.1" } },
    { "x>=1.0", { "1.0.0" }, { "0.9.9" } },
    { "x > 1.2.3", { "1.2.4" }, { "1.2.3", "1.2.2" } },
    { "x <= 1.2", { "1.2.0", "1.1.9" }, { "1.2.1" } },
    { "x < 2", { "1.9.9" }, { "2.0.0" } },
    { "x = 1.2.3", { "1.2.3", "1.2.3+b" }, { "1.2.4", "1.2.3-rc" } },
    { "x = 1.2", { "1.2.0", "1.2.9" }, { "1.3.0", "1.1.9" } },
    { "x >= 1.0, < 2", { "1.0.0", "1.9.9" }, { "2.0.0", "0.1.0" } },
    { "x ^1.2.3", { "1.2.3", "1.9.0" }, { "1.2.2", "2.0.0" } },
    { "x ^0.2.3", { "0.2.3", "0.2.9" }, { "0.3.0", "0.2.2" } },
    { "x ^0.0.3", { "0.0.3" }, { "0.0.4" } },
    { "x ^1", { "1.0.0", "1.9.9" }, { "2.0.0" } },
    { "x ^0", { "0.0.0", "0.9.9" }, { "1.0.0" } },
    { "x ~1.2.3", { "1.2.3", "1.2.9" }, { "1.3.0", "1.2.2" } },
    { "x ~1.2", { "1.2.0", "1.2.9" }, { "1.3.0" } },
    { "x ~1", { "1.0.0", "1.9.9" }, { "2.0.0" } },
    { " x  >=  1 ,  <= 1.5 ", { "1.5.0" }, { "1.5.1" } },
  }
  for _, case in ipairs(cases) do
    it(("%q has its versions"):format(case[1]), function()
      local need = assert(requires.parse(case[1]))
      assert.equal("x", need.name)
      for _, version in ipairs(case[2]) do assert.is_true(requires.fits(requires.version(version), need), version) end
      for _, version in ipairs(case[3]) do assert.is_false(requires.fits(requires.version(version), need), version) end
    end)
  end

  local bad = { "", "X >= 1", "x >> 1", "x >= one", "x 1.0", "x >=", "x >= 1,", "x =< 1", "x ^1 || ^2", ">= 1", "x-y",
                "x >= 1.0-rc", ("x"):rep(300) }
  for _, text in ipairs(bad) do
    it(("is not %q"):format(text:sub(1, 20)), function()
      local need, why = requires.parse(text)
      assert.is_nil(need)
      assert.truthy(why:find('expected a plugin and versions such as "request_id >= 1.0, < 2", found', 1, true))
    end)
  end
end)

describe("what plugins require of each other [T37]", function()
  --- Plugins by name: version, and requirements as texts.
  local function check(plugins, first)
    local metas = {}
    for name, plugin in pairs(plugins) do
      local meta = { name = name, version = plugin[1], parsed_version = plugin[1] and requires.version(plugin[1]) }
      meta.requires = {}
      for i = 2, #plugin do meta.requires[i - 1] = assert(requires.parse(plugin[i])) end
      metas[name] = meta
    end
    return requires.check(metas[first], function(name) return metas[name], metas[name] == nil end)
  end

  it("may be nothing", function() assert.is_nil(check({ a = { "1.0.0" } }, "a")) end)

  it("may be right, also where two require the same", function()
    assert.is_nil(check({ a = { "1.0.0", "b", "c" }, b = { "1.0.0", "d" }, c = { "1.0.0", "d >= 1" }, d = { "1.0.0" } },
                        "a"))
  end)

  local cases = {
    { "is missing", { a = { "1.0.0", "b" }, b = { "1.0.0", "c ^1" } }, "expected a plugin c, found none (a -> b -> c)",
      "b", 1 },
    { "has another version", { a = { "1.0.0", "b", "c >= 2" }, b = { "1.0.0" }, c = { "1.9.0" } },
      "expected c >= 2, found version 1.9.0 (a -> c)", "a", 2 },
    { "has no version", { a = { "1.0.0", "b >= 1" }, b = { false } },
      "expected b >= 1, found version 0.0.0 (a -> b)", "a", 1 },
    { "requires it in turn", { a = { "1.0.0", "b" }, b = { "1.0.0", "c" }, c = { "1.0.0", "b" } },
      "these require each other: b -> c -> b", "c", 1 },
    { "is the plugin itself", { a = { "1.0.0", "a" } }, "these require each other: a -> a", "a", 1 },
  }
  for _, case in ipairs(cases) do
    it("is a problem where it " .. case[1], function()
      local problem = check(case[2], "a")
      assert.same({ case[3], case[4], case[5] }, { problem.message, problem.meta.name, problem.index })
    end)
  end

  it("names the plugins of a ring, and these only", function()
    local problem = check({ a = { "1.0.0", "b" }, b = { "1.0.0", "c" }, c = { "1.0.0", "b" } }, "a")
    assert.same({ "b", "c" }, problem.ring)
  end)

  it("is not told again where the errors of a plugin are told already", function()
    local meta = { name = "a", requires = { assert(requires.parse "broken >= 1") } }
    assert.is_nil(requires.check(meta, function() return nil end))
  end)
end)
