--- The bundle of plugins as bytes, whose routes are taken apart one by one.
local pack = require "tidegate.plugin.pack"

local function bundle_of(count)
  local bundle = {
    global = { 1 }, instances = { { plugin = "a", conf = { word = "x" } } }, routes = {}, route_names = {},
  }
  for i = 1, count do bundle.routes[i], bundle.route_names[i] = { i, i + 1 }, "route " .. i end
  return bundle
end

describe("a packed bundle", function()
  for _, count in ipairs { 0, 1, 63, 64, 65, 128, 129, 1000 } do
    it(("gives back each of %d routes, and all else"):format(count), function()
      local given = bundle_of(count)
      local bundle = pack.decode(pack.encode(given))
      assert.same({ given.global, given.instances }, { bundle.global, bundle.instances })
      for i = 1, count do
        local numbers, name = pack.route(bundle, i)
        assert.same({ given.routes[i], given.route_names[i] }, { numbers, name })
      end
    end)
  end

  it("leaves the bundle that it was made of as it is", function()
    local given = bundle_of(3)
    pack.encode(given)
    assert.same(bundle_of(3), given)
  end)

  it("holds few values before a route is asked for, however many there are", function()
    local bundle = pack.decode(pack.encode(bundle_of(10000)))
    assert.is_nil(bundle.routes)
    assert.is_true(#bundle.blocks < 200)
  end)
end)
