local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function resolve(host, port, max)
  local out, why, text = ffi.new("struct addr[?]", max or 4), ffi.new "char[256]", ffi.new("char[?]", C.ADDR_TEXT)
  local n = C.resolve(host, port, out, max or 4, why, 256)
  if n < 0 then return nil, ffi.string(why) end
  local found = {}
  for i = 0, n - 1 do found[i + 1] = ffi.string(text, C.addr_print(out[i], text)) end
  return found
end

describe("resolve", function()
  local literals = {
    { "127.0.0.1", 80, "127.0.0.1:80" }, { "0.0.0.0", 0, "0.0.0.0:0" }, { "255.1.2.3", 65535, "255.1.2.3:65535" },
    { "::1", 443, "[::1]:443" }, { "[::1]", 443, "[::1]:443" }, { "2001:DB8::7", 1, "[2001:db8::7]:1" },
  }
  for _, case in ipairs(literals) do
    it(("gives %s for the literal %s"):format(case[3], case[1]), function()
      assert.same({ case[3] }, resolve(case[1], case[2]))
    end)
  end

  it("gives no more than it was asked for", function()
    assert.same({ "127.0.0.1:80" }, resolve("127.0.0.1", 80, 1))
  end)

  it("finds localhost, each address once", function()
    local found, seen = assert(resolve("localhost", 8080)), {}
    assert.is_true(#found > 0)
    for _, address in ipairs(found) do
      assert.is_truthy(address:match ":8080$")
      assert.is_nil(seen[address])
      seen[address] = true
    end
  end)

  local bad = { "", "[::1", "a b", "no.such.name.invalid", ("x"):rep(300), "1.2.3.4:80" }
  for _, host in ipairs(bad) do
    it(("says why it cannot resolve %q"):format(host), function()
      local found, why = resolve(host, 80)
      assert.is_nil(found)
      assert.is_truthy(why:find "^cannot resolve ")
    end)
  end
end)
