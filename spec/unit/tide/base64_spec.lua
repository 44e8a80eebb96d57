local base64 = require "tidegate.tide.base64"
local url = require "tidegate.tide.url"

describe("base64", function()
  -- RFC 4648 section 10, and what the two alphabets differ in.
  local cases = {
    { "", "", "" }, { "f", "Zg==", "Zg" }, { "fo", "Zm8=", "Zm8" }, { "foo", "Zm9v", "Zm9v" },
    { "foob", "Zm9vYg==", "Zm9vYg" }, { "fooba", "Zm9vYmE=", "Zm9vYmE" }, { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
    { "\251\255\191", "+/+/", "-_-_" }, { "\0", "AA==", "AA" }, { "\0\0\0", "AAAA", "AAAA" }, { "\255", "/w==", "_w" },
  }
  for _, case in ipairs(cases) do
    it("is " .. (case[2] == "" and "nothing for nothing" or case[2]), function()
      assert.equal(case[2], base64.encode(case[1]))
      assert.equal(case[1], base64.decode(case[2]))
      assert.equal(case[3], base64.encode_url(case[1]))
      assert.equal(case[1], base64.decode_url(case[3]))
    end)
  end

  it("takes all bytes, and more of them than the buffer that is kept", function()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local all = table.concat(bytes)
    for _, text in ipairs { all, all:rep(1000), all:rep(1000) .. "x", all:rep(1000) .. "xy" } do
      assert.equal(text, base64.decode(base64.encode(text)))
      assert.equal(text, base64.decode_url(base64.encode_url(text)))
    end
  end)

  local complaints = {
    { "decode", "Zg=", "expected base64 in groups of 4 bytes, found 3 bytes" },
    { "decode", "Zg", "expected base64 in groups of 4 bytes, found 2 bytes" },
    { "decode", "=", "expected base64 in groups of 4 bytes, found 1 bytes" },
    { "decode", "====", 'expected base64, found "=" at byte 1' },
    { "decode", "Z===", 'expected base64, found "=" at byte 2' },
    { "decode", "Zm9v====", 'expected base64, found "=" at byte 5' },
    { "decode", "Zg==Zg==", 'expected base64, found "=" at byte 3' },
    { "decode", "Zm9v\n", "expected base64 in groups of 4 bytes, found 5 bytes" },
    { "decode", "Zm9\n", "expected base64, found byte 0x0A at byte 4" },
    { "decode", "Zm 9", "expected base64, found byte 0x20 at byte 3" },
    { "decode", "-_-_", 'expected base64, found "-" at byte 1' },
    { "decode", "Zm9\0", "expected base64, found byte 0x00 at byte 4" },
    { "decode", "Zm9\255", "expected base64, found byte 0xFF at byte 4" },
    { "decode", "Zh==", "expected base64 that ends with a whole byte, found bits left over at its end" },
    { "decode", "Zm9=", "expected base64 that ends with a whole byte, found bits left over at its end" },
    { "decode_url", "Z", "expected base64 without padding, found 1 bytes, one too many" },
    { "decode_url", "Zg==", 'expected base64, found "=" at byte 3' },
    { "decode_url", "+/+/", 'expected base64, found "+" at byte 1' },
    { "decode_url", "Zh", "expected base64 that ends with a whole byte, found bits left over at its end" },
    { "decode_url", "Zm9", "expected base64 that ends with a whole byte, found bits left over at its end" },
  }
  for _, case in ipairs(complaints) do
    it(("%s refuses %s"):format(case[1], url.escape(case[2])), function()
      local bytes, why = base64[case[1]](case[2])
      assert.is_nil(bytes)
      assert.equal(case[3], why)
    end)
  end

  for _, name in ipairs { "encode", "decode", "encode_url", "decode_url" } do
    it(name .. " takes nothing but texts", function()
      assert.has_error(function() base64[name](12) end, ("base64.%s: expected a text, found a number"):format(name))
    end)
  end
end)
