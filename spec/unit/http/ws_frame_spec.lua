local core = require "support.core"
local ffi = require "ffi"
local websocket = require "support.websocket"
local C = core.C

local head = ffi.new "struct ws_head"

--- The head that bytes begin with: a result code, and its fields.
local function parse(bytes)
  local rc = core.rc(C.ws_head_parse(core.guarded(bytes), head))
  if rc ~= "OK" then return rc end
  return rc, { len = tonumber(head.len), opcode = head.opcode, rsv = head.rsv, size = head.size, fin = head.fin,
               masked = head.masked, mask = ffi.string(head.mask, 4) }
end

local function hex(text)
  return (text:gsub("%x%x ?", function(byte) return string.char(tonumber(byte:sub(1, 2), 16)) end))
end

local NO_MASK, MASK = "\0\0\0\0", hex "37 fa 21 3d"

describe("ws_head_parse and ws_head_write", function()
  -- The bytes of the head, as RFC 6455 section 5.7 has them and at every border; what they say.
  local good = {
    { "an unmasked text", hex "81 05", { opcode = 1, len = 5 } },
    { "a masked text", hex "81 85 37 fa 21 3d", { opcode = 1, len = 5, masked = true } },
    { "the first fragment of a text", hex "01 03", { opcode = 1, len = 3, fin = false } },
    { "its continuation", hex "80 02", { opcode = 0, len = 2 } },
    { "a ping", hex "89 05", { opcode = 9, len = 5 } },
    { "a masked pong", hex "8a 85 37 fa 21 3d", { opcode = 10, len = 5, masked = true } },
    { "256 bytes of binary", hex "82 7e 01 00", { opcode = 2, len = 256 } },
    { "64 KiB of binary", hex "82 7f 00 00 00 00 00 01 00 00", { opcode = 2, len = 65536 } },
    { "no payload", hex "88 00", { opcode = 8, len = 0 } },
    { "no payload, masked", hex "88 80 37 fa 21 3d", { opcode = 8, len = 0, masked = true } },
    { "125 bytes", hex "82 7d", { opcode = 2, len = 125 } },
    { "126 bytes", hex "82 7e 00 7e", { opcode = 2, len = 126 } },
    { "65535 bytes", hex "82 fe ff ff 37 fa 21 3d", { opcode = 2, len = 65535, masked = true } },
    { "2^53 - 1 bytes", hex "82 7f 00 1f ff ff ff ff ff ff", { opcode = 2, len = 2 ^ 53 - 1 } },
    { "the longest payload there may be", hex "82 7f 7f ff ff ff ff ff ff ff", { opcode = 2, len = 2 ^ 63 } },
    { "reserved bits", hex "f1 00", { opcode = 1, len = 0, rsv = 7 } },
    { "RSV1 alone", hex "c1 00", { opcode = 1, len = 0, rsv = 4 } },
    { "a reserved opcode", hex "0f 00", { opcode = 15, len = 0, fin = false } },
  }
  for _, case in ipairs(good) do
    it("agree on " .. case[1], function()
      local bytes, want = case[2], case[3]
      want.rsv, want.masked, want.size = want.rsv or 0, want.masked or false, #bytes
      if want.fin == nil then want.fin = true end
      want.mask = want.masked and MASK or NO_MASK
      for _, behind in ipairs { "", "\255", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" } do
        local rc, found = parse(bytes .. behind)
        assert.same({ "OK", want }, { rc, found })
      end
      local out = ffi.new("char[?]", C.WS_HEAD_MAX)
      assert.equal(bytes, ffi.string(out, C.ws_head_write(out, head)))
      for len = 0, #bytes - 1 do assert.equal("AGAIN", (parse(bytes:sub(1, len)))) end
    end)
  end

  local bad = {
    { "125 bytes in 16 bits", hex "82 7e 00 7d" },
    { "no bytes in 16 bits", hex "82 7e 00 00" },
    { "no bytes in 64 bits", hex "82 7f 00 00 00 00 00 00 00 00" },
    { "65535 bytes in 64 bits", hex "82 7f 00 00 00 00 00 00 ff ff" },
    { "a length of 64 bits", hex "82 7f 80 00 00 00 00 00 00 00" },
    { "the largest number as a length", hex "82 ff ff ff ff ff ff ff ff ff 37 fa 21 3d" },
  }
  for _, case in ipairs(bad) do
    it("refuse " .. case[1], function()
      assert.equal("MALFORMED", (parse(case[2])))
      assert.equal("MALFORMED", (parse(case[2] .. "behind it there is more")))
      for len = 0, #case[2] - 1 do assert.equal("AGAIN", (parse(case[2]:sub(1, len)))) end
    end)
  end

  it("agree on any head", function()
    core.seed()
    local out = ffi.new("char[?]", C.WS_HEAD_MAX)
    for _ = 1, 5000 do
      local len = math.floor(2 ^ (math.random() * 52)) - 1
      local bytes = websocket.frame { len = len, opcode = math.random(0, 15), rsv = math.random(0, 7),
                                      fin = math.random(2) == 1, mask = math.random(2) == 1 and MASK or nil }
      local rc, found = parse(bytes)
      assert.same({ "OK", len, #bytes }, { rc, found.len, found.size })
      assert.equal(bytes, ffi.string(out, C.ws_head_write(out, head)))
    end
  end)
end)

describe("ws_mask", function()
  it("is the example of RFC 6455 section 5.7", function()
    local mask = ffi.new("uint8_t[4]", { 0x37, 0xfa, 0x21, 0x3d })
    local bytes = ffi.new("char[5]", "Hello")
    C.ws_mask(bytes, 5, mask, 0)
    assert.equal(hex "7f 9f 4d 51 58", ffi.string(bytes, 5))
  end)

  it("masks any bytes at any offset, and nothing beside them", function()
    core.seed()
    for len = 0, 70 do
      local mask, payload = {}, {}
      for i = 1, 4 do mask[i] = string.char(math.random(0, 255)) end
      for i = 1, len do payload[i] = string.char(math.random(0, 255)) end
      mask, payload = table.concat(mask), table.concat(payload)
      local want = websocket.masked(payload, mask)
      for offset = 0, math.min(len, 9) do
        local slice = core.guarded(payload:sub(offset + 1))
        local at = ffi.cast("char *", slice.at)
        at[-1] = 7
        C.ws_mask(at, slice.len, ffi.cast("const uint8_t *", mask), offset)
        assert.equal(want:sub(offset + 1), ffi.string(at, slice.len))
        assert.equal(7, at[-1])
      end
    end
  end)

  it("goes on where the payload has more than 32 bits of bytes", function()
    local mask = ffi.new("uint8_t[4]", { 1, 2, 3, 4 })
    local bytes = ffi.new("char[4]")
    C.ws_mask(bytes, 4, mask, 2ULL ^ 40 + 3)
    assert.equal("\4\1\2\3", ffi.string(bytes, 4))
  end)
end)

describe("a close frame", function()
  it("may have the codes of RFC 6455 section 7.4 and IANA's registry, and no other", function()
    local function may(code)
      return (code >= 1000 and code <= 1003) or (code >= 1007 and code <= 1014) or (code >= 3000 and code <= 4999)
    end
    for code = 0, 65536 do assert.equal(may(code), C.ws_close_code_is_valid(code), code) end
    assert.is_false(C.ws_close_code_is_valid(2 ^ 32 - 1))
  end)

  -- Code, reason; the body.
  local long = ("x"):rep(200)
  local bodies = {
    { "a code alone", 1000, "", "\3\232" },
    { "a code and a reason", 1001, "bye", "\3\233bye" },
    { "no code, and so no reason", 1005, "reason", "" },
    { "a reason of 123 bytes", 1000, long:sub(1, 123), "\3\232" .. long:sub(1, 123) },
    { "a reason that is cut", 4999, long, "\19\135" .. long:sub(1, 123) },
    { "a reason that is cut before a character", 1000, long:sub(1, 121) .. "\226\130\172",
      "\3\232" .. long:sub(1, 121) },
    { "a reason that ends with a character", 1000, long:sub(1, 120) .. "\226\130\172abc",
      "\3\232" .. long:sub(1, 120) .. "\226\130\172" },
    { "what is UTF-8 of a reason", 1000, "good\255bad", "\3\232good" },
  }
  for _, case in ipairs(bodies) do
    it("has " .. case[1], function()
      local out = ffi.new("char[?]", C.WS_CONTROL_MAX)
      assert.equal(case[4], ffi.string(out, C.ws_close_write(out, case[2], core.guarded(case[3]))))
    end)
  end
end)
