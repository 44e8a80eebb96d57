local order = require "tidegate.plugin.order"

--- Names in the order in which they run; an entry is written "name band priority".
local function sorted(stage, ...)
  local entries, names = {}, {}
  for i, text in ipairs { ... } do
    local name, band, priority = text:match "^(%S+) (%S+) ?(%S*)$"
    entries[i] = { name = name, band = band, priority = tonumber(priority) or 0 }
  end
  for i, entry in ipairs(order.sort(entries, stage)) do names[i] = entry.name end
  return table.concat(names, " ")
end

describe("the order of a chain", function()
  local cases = {
    { "is that of the bands of the global stage", "global", "o s c a l f",
      { "f filter", "l limit", "a auth", "c cors", "s security", "o observe" } },
    { "is that of the bands of the route stage", "route", "c s l a b f t",
      { "t transform", "f filter", "b breaker", "a auth", "l limit", "s security", "c cors" } },
    { "is that of priorities within a band", "global", "x y z", { "z auth -1", "y auth", "x auth 10" } },
    { "is as written where nothing else decides", "global", "b a c", { "b auth 1", "a auth 1", "c auth 1" } },
    { "puts bands before priorities", "global", "x y", { "y auth 1000", "x cors -1000" } },
    { "takes a fraction for a priority", "route", "x y", { "y auth 0.5", "x auth 0.75" } },
    { "puts what observes first on a route", "route", "o c", { "c cors", "o observe" } },
    { "puts a breaker between limits and filters among the global ones", "global", "l b f",
      { "f filter", "b breaker", "l limit" } },
    { "puts what transforms last among the global ones", "global", "f t", { "t transform 9", "f filter" } },
    { "of nothing is nothing", "route", "", {} },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() assert.equal(case[3], sorted(case[2], unpack(case[4]))) end)
  end

  it("stays as written for many alike", function()
    local entries = {}
    for i = 1, 200 do entries[i] = { band = "auth", priority = 0, number = i } end
    for i, entry in ipairs(order.sort(entries, "global")) do assert.equal(i, entry.number) end
  end)

  it("leaves the list that it is given alone", function()
    local a, b = { band = "auth", priority = 0 }, { band = "cors", priority = 0 }
    local entries = { a, b }
    order.sort(entries, "route")
    assert.equal(a, entries[1])
  end)
end)

describe("a band", function()
  it("belongs to a stage", function()
    assert.is_true(order.has("global", "observe"))
    assert.is_false(order.has("route", "observe"))
    assert.is_false(order.has("global", "transform"))
    assert.is_false(order.has("route", "nothing"))
  end)

  it("is known to one stage at least", function()
    for _, band in ipairs(order.ALL_BANDS) do
      assert.is_true(order.has("global", band) or order.has("route", band), band)
    end
  end)
end)
