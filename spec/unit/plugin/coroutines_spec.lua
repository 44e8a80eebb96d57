local coroutines = require "tidegate.plugin.coroutines"

local WAIT = coroutines.WAIT
local library = coroutines.library()

--- What waits in the gateway.
local function wait(...) return coroutine.yield(WAIT, ...) end

--- Runs a hook as the gateway does: answers every wait with what it waits for, twice.
local function through(hook, ...)
  local co = coroutine.create(hook)
  local waits = {}
  local result = { coroutine.resume(co, ...) }
  while coroutine.status(co) == "suspended" do
    assert.equal(WAIT, result[2])
    waits[#waits + 1] = result[3]
    result = { coroutine.resume(co, result[3], result[3]) }
  end
  assert(result[1], result[2])
  return result[2], table.concat(waits, " ")
end

local function count(...) return select("#", ...) end

describe("a plugin's coroutine", function()
  it("yields to the plugin and is resumed by it", function()
    local co = library.create(function(a, b)
      local c = library.yield(a + b)
      return c, nil, nil
    end)
    assert.same({ true, 3 }, { library.resume(co, 1, 2) })
    assert.equal("suspended", library.status(co))
    assert.equal(4, count(library.resume(co, 7)))
    assert.equal("dead", library.status(co))
    assert.same({ false, "cannot resume dead coroutine" }, { library.resume(co) })
  end)

  it("gives exactly as many values as it yields", function()
    local co = library.create(function(...)
      library.yield()
      library.yield(nil)
      return ...
    end)
    assert.equal(1, count(library.resume(co)))
    assert.equal(2, count(library.resume(co)))
    assert.equal(1, count(library.resume(co)))
  end)

  it("fails as the plain ones do", function()
    for _, lib in ipairs { coroutine, library } do
      local function fail() error "why" end
      local co = lib.create(fail)
      local ok, message = lib.resume(co)
      assert.is_false(ok)
      assert.matches("coroutines_spec.lua:%d+: why$", message)
      local line = debug.getinfo(1, "l").currentline + 1
      local _, wrapped = pcall(function() local x = lib.wrap(fail)() return x end)
      assert.matches("^[^:]*coroutines_spec.lua:" .. line .. ": [^:]*coroutines_spec.lua:%d+: why$", wrapped)
      local _, object = pcall(lib.wrap(function() error { 7 } end))
      assert.same({ 7 }, object)
      assert.is_false(pcall(lib.create, 1))
      assert.is_false(pcall(lib.wrap, nil))
      assert.is_false(pcall(lib.resume, 1))
      assert.is_false(pcall(lib.status, nil))
    end
  end)

  it("is the running one inside, and none is outside", function()
    local co
    co = library.create(function() return library.running() == co, library.isyieldable(), library.status(co) end)
    assert.same({ true, true, true, "running" }, { library.resume(co) })
    assert.same({}, { library.running() })
    assert.is_nil(through(function() return library.running() end))
    assert.is_false(through(function() return library.isyieldable() end))
  end)

  it("does not yield outside", function()
    local function hook()
      local ok, message = pcall(library.yield, 1)
      return not ok and message
    end
    assert.matches("coroutine.yield outside of a coroutine that the plugin has made: to wait in a hook, use tide.sleep",
      through(hook))
  end)

  it("is a generator", function()
    local sum = 0
    for i in library.wrap(function() for i = 1, 4 do library.yield(i) end end) do sum = sum + i end
    assert.equal(10, sum)
  end)
end)

describe("a wait inside a plugin's coroutine", function()
  it("goes to the gateway, and its answer comes back", function()
    local result, waits = through(function()
      local f = library.wrap(function(x)
        local a, b = wait "one"
        local y = library.yield(x .. a .. b)
        return y .. wait "two"
      end)
      return f "x" .. f "y"
    end)
    assert.equal("xoneoneytwo", result)
    assert.equal("one two", waits)
  end)

  it("goes through coroutines in coroutines", function()
    local function nested(depth)
      if depth == 0 then return (wait "deep") .. library.yield "inner" end
      local co = library.create(nested)
      local _, value = library.resume(co, depth - 1)
      while library.status(co) ~= "dead" do
        local _, more = library.resume(co, library.yield(value))
        value = more
      end
      return value .. depth
    end
    local result, waits = through(function()
      local f = library.wrap(nested)
      assert.equal("inner", f(3))
      return f "answer"
    end)
    assert.equal("deepanswer123", result)
    assert.equal("deep", waits)
  end)

  it("goes through pcall", function()
    assert.equal("in out", (through(function()
      local _, value = library.resume(library.create(function()
        local _, inner = pcall(wait, "in")
        return inner
      end))
      return value .. " " .. wait "out"
    end)))
  end)

  it("may be made many times", function()
    local result = through(function()
      local n = 0
      local f = library.wrap(function() for i = 1, 1000 do n = n + wait(i) end end)
      f()
      return n
    end)
    assert.equal(500500, result)
  end)

  it("may end in an error", function()
    assert.equal("broken", through(function()
      local _, message = library.resume(library.create(function()
        wait "x"
        error("broken", 0)
      end))
      return message
    end))
  end)

  it("cannot be answered by another request", function()
    local shared
    local first = coroutine.create(function()
      shared = library.create(function() return wait "answer" end)
      local _, value = library.resume(shared)
      return value
    end)
    assert.same({ true, WAIT, "answer" }, { coroutine.resume(first) })
    assert.equal("normal", library.status(shared))
    local function intrude() return select(2, library.resume(shared, "wrong")) end
    assert.equal("cannot resume a coroutine that waits for the gateway", through(intrude))
    assert.same({ true, "right" }, { coroutine.resume(first, "right") })
    assert.equal("dead", library.status(shared))
  end)

  it("cannot be made by the plugin for a coroutine of the gateway", function()
    local hook = coroutine.create(function() return wait "answer" end)
    coroutine.resume(hook)
    assert.same({ false, "cannot resume a coroutine of the gateway" }, { library.resume(hook, "wrong") })
  end)

  it("is forgotten with the request that is gone", function()
    local kept = setmetatable({}, { __mode = "k" })
    local hook = coroutine.create(function()
      local co = library.create(function() wait "never" end)
      kept[co] = true
      library.resume(co)
    end)
    coroutine.resume(hook)
    assert.truthy(next(kept))
    hook = nil      -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(kept))
  end)
end)

describe("a library of coroutines", function()
  it("is another one for each plugin", function()
    local other = coroutines.library()
    other.wrap = nil
    assert.is_function(coroutines.library().wrap)
    assert.is_function(library.wrap)
  end)

  it("knows the coroutines of other plugins", function()
    local co = coroutines.library().create(function() return 5 end)
    assert.same({ true, 5 }, { library.resume(co) })
  end)
end)
