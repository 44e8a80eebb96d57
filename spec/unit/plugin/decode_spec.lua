--- Compressed bodies for plugins: what the coders of this machine make is read back, whole and byte by byte.
local ffi = require "ffi"
local decode = require "tidegate.plugin.decode"
local files = require "support.files"

local TEXT = ("The tide comes in, the tide goes out. "):rep(2000)

local function made_by(command, text)
  local path = files.folder() .. "/plain"
  files.write(path, text)
  local pipe = assert(io.popen((command:gsub("FILE", path))))
  local bytes = pipe:read "*a"
  pipe:close()
  return bytes
end

ffi.cdef "int compress(uint8_t *to, unsigned long *size, const uint8_t *from, unsigned long len);"

--- In the format of zlib: two bytes, the raw stream, four bytes.
local function zlib(text)
  local size = ffi.new("unsigned long[1]", #text + 1000)
  local to = ffi.new("uint8_t[?]", size[0])
  assert(ffi.load("z.so.1").compress(to, size, ffi.cast("const uint8_t *", text), #text) == 0)
  return ffi.string(to, size[0])
end

local function whole(decoder, bytes) return decode.feed(decoder, bytes, true) end

local function bytewise(decoder, bytes)
  local parts = {}
  for i = 1, #bytes do parts[i] = decode.feed(decoder, bytes:sub(i, i), false) end
  parts[#parts + 1] = decode.feed(decoder, "", true)
  return table.concat(parts)
end

describe("a decoder of bodies", function()
  local cases = {
    { "gzip", "gzip", "gzip -c FILE" },
    { "gzip of several members", "x-gzip", "gzip -c FILE; gzip -c FILE", 2 },
    { "deflate in zlib's format", "deflate", zlib },
    { "deflate in the raw format", "deflate", function(text) return zlib(text):sub(3, -5) end },
    { "any spelling of the name", "GZip", "gzip -c FILE" },
  }
  for _, case in ipairs(cases) do
    it("reads " .. case[1], function()
      local bytes = type(case[3]) == "function" and case[3](TEXT) or made_by(case[3], TEXT)
      local expected = TEXT:rep(case[4] or 1)
      assert.is_true(#bytes > 20)
      assert.is_true(whole(decode.open(case[2]), bytes) == expected)
      assert.is_true(bytewise(decode.open(case[2]), bytes) == expected)
    end)
  end

  it("reads brotli", function()
    -- RFC 7932: an empty stream, and one of a single metablock that is not compressed.
    assert.equal("", whole(decode.open "br", "\6"))
    local bytes = "\11\2\128hello\3"
    assert.equal("hello", whole(decode.open "br", bytes))
    assert.equal("hello", bytewise(decode.open "br", bytes))
  end)

  it("has nothing for what is not coded, or in an unknown way", function()
    for _, coding in ipairs { "identity", "zstd", "gzip, br", "" } do assert.is_nil(decode.open(coding)) end
    assert.is_nil(decode.open(nil))
  end)

  it("takes an empty body for an empty one", function()
    for _, coding in ipairs { "gzip", "deflate", "br" } do assert.equal("", whole(decode.open(coding), "")) end
  end)

  local broken = {
    { "garbage", "gzip", ("x"):rep(100), "a compressed body is broken" },
    { "garbage for brotli", "br", ("\255"):rep(100), "a compressed body is broken" },
    { "a body that ends too early", "gzip", function() return made_by("gzip -c FILE", TEXT):sub(1, 50) end,
      "ends too early" },
    { "a body that becomes huge", "gzip", function() return made_by("head -c 40000000 /dev/zero | gzip -c", "") end,
      "more than 16 MiB" },
  }
  for _, case in ipairs(broken) do
    it("refuses " .. case[1], function()
      local bytes = type(case[3]) == "function" and case[3]() or case[3]
      local good, why = pcall(whole, decode.open(case[2]), bytes)
      assert.is_false(good)
      assert.truthy(tostring(why):find(case[4], 1, true), why)
    end)
  end
end)
