local core = require "support.core"
local ffi = require "ffi"
require "tidegate.plugin.decode"        -- declares zlib
local C = core.C

local z = pcall(function() return ffi.C.inflate end) and ffi.C or ffi.load "z.so.1"
local ROOM = 1024 * 1024

local zip = ffi.gc(ffi.new "struct ws_zip", C.ws_zip_free)

local function hex(text)
  return (text:gsub("%x%x ?", function(byte) return string.char(tonumber(byte:sub(1, 2), 16)) end))
end

local function text_of(buf)
  return buf.at ~= nil and ffi.string(buf.at + buf.start, buf["end"] - buf.start) or ""
end

local function new_buf(max)
  local buf = ffi.gc(ffi.new "struct buf", C.buf_free)
  C.buf_init(buf, max or ROOM)
  return buf
end

--- The content of a message; or its result code and how many bytes it had come to.
local function inflate(payload, max, room)
  local buf = new_buf(room)
  local rc = core.rc(C.ws_inflate(zip, core.guarded(payload), buf, max or ROOM))
  local text = text_of(buf)
  C.buf_free(buf)
  if rc == "OK" then return text end
  return nil, rc, #text
end

local function deflate(text, bits)
  local buf = new_buf()
  assert.equal("OK", core.rc(C.ws_deflate(zip, core.slice(text), bits or 15, buf)))
  local payload = text_of(buf)
  C.buf_free(buf)
  return payload
end

--- The content for a reader whose window is no larger than it says.
local function inflate_within(payload, bits, size)
  local stream = ffi.gc(ffi.new "tide_z_stream", z.inflateEnd)
  assert(z.inflateInit2_(stream, -bits, z.zlibVersion(), ffi.sizeof "tide_z_stream") == 0)
  payload = payload .. "\0\0\255\255"
  local out = ffi.new("uint8_t[?]", size + 1)
  stream.next_in, stream.avail_in = ffi.cast("const uint8_t *", payload), #payload
  stream.next_out, stream.avail_out = out, size + 1
  assert.equal(0, z.inflate(stream, 2))
  assert.equal(0, stream.avail_in)
  return ffi.string(out, size + 1 - stream.avail_out)
end

local function random_text(len)
  local words, out, size = { "tide", "gate", " ", "{\"id\":", "1234", "}", "\0", "\255\254", "aaaaaaaaaaaa" }, {}, 0
  while size < len do
    out[#out + 1] = math.random(4) == 1 and string.char(math.random(0, 255)) or words[math.random(#words)]
    size = size + #out[#out]
  end
  return table.concat(out):sub(1, len)
end

describe("ws_inflate", function()
  -- RFC 7692 section 7.2.3.
  local good = {
    { "the example of the RFC", "f2 48 cd c9 c9 07 00", "Hello" },
    { "a block that is not compressed", "00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello" },
    { "a block that says it is the last", "f3 48 cd c9 c9 07 00 00", "Hello" },
    { "two blocks", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello" },
    { "blocks behind one that says it is the last", "f3 48 cd c9 c9 07 00 f2 48 cd c9 c9 07 00", "HelloHello" },
    { "an empty message", "00", "" },
    { "a message of no bytes at all", "", "" },
    { "an empty last block, its bytes cut off as those of any other", "01", "" },
    { "empty blocks", "00 00 00 ff ff 00 00 00 ff ff 00", "" },
  }
  for _, case in ipairs(good) do
    it("reads " .. case[1], function()
      for _ = 1, 2 do assert.equal(case[3], (inflate(hex(case[2])))) end
    end)
  end

  local bad = {
    { "text", "48 65 6c 6c 6f" },
    { "a reserved kind of block", "07" },
    { "a stored block whose length is not its complement", "00 05 00 fa fe 48 65 6c 6c 6f 00" },
    { "a stored block that is cut off", "00 ff 00 00 ff 48 65 6c 6c 6f" },
    { "a message that is cut off", "f2 48 cd c9" },
    { "a message without its last byte", "f2 48 cd c9 c9 07" },
    { "a repeat of the message before", "f2 00 11 00 00" },
    { "a last block with nothing behind it", "f3 48 cd c9 c9 07 00" },
    { "garbage behind a last block", "f3 48 cd c9 c9 07 00 ff ff" },
    { "codes that no tree can have", "fc ff ff ff ff ff ff ff ff ff" },
    { "gzip", "1f 8b 08 00 00 00 00 00 00 03" },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1], function()
      assert.equal("Hello", (inflate(hex "f2 48 cd c9 c9 07 00")))
      local _, rc = inflate(hex(case[2]))
      assert.equal("MALFORMED", rc)
      assert.equal("Hello", (inflate(hex "f2 48 cd c9 c9 07 00")))
    end)
  end

  it("stops at once when a message has more than it may", function()
    local bomb = deflate(("\0"):rep(64 * 1024 * 1024))
    assert.truthy(#bomb < 500000)
    for _, max in ipairs { 0, 1, 4095, 4096, 4097, 100000 } do
      local _, rc, len = inflate(bomb, max)
      assert.equal("LIMIT", rc)
      assert.truthy(len <= max)
    end
    local _, rc, len = inflate(bomb, ROOM, 5000)
    assert.same({ "LIMIT", true }, { rc, len <= 5000 })
  end)

  it("lets a message of just the limit through", function()
    for _, len in ipairs { 1, 2, 4095, 4096, 4097, 8192, 70000 } do
      local text = random_text(len)
      local payload = deflate(text)
      assert.equal(text, (inflate(payload, len)))
      assert.equal(text, (inflate(payload, len, len)))
      assert.equal("LIMIT", (select(2, inflate(payload, len - 1))))
      assert.equal("LIMIT", (select(2, inflate(payload, len, len - 1))))
    end
    assert.equal("", (inflate("\0", 0)))
  end)

  it("appends to what is there", function()
    local buf = new_buf(10)
    for _ = 1, 2 do
      assert.equal("OK", core.rc(C.ws_inflate(zip, core.guarded(hex "f2 48 cd c9 c9 07 00"), buf, 5)))
    end
    assert.equal("HelloHello", text_of(buf))
  end)

  it("survives any bytes", function()
    core.seed()
    for _ = 1, 3000 do
      local payload = deflate(random_text(math.random(0, 300)))
      local at = math.random(0, #payload)
      local text, rc = inflate(payload:sub(1, at) .. string.char(math.random(0, 255)) .. payload:sub(at + 2), 1000)
      assert.truthy(text and #text <= 1000 or rc == "LIMIT" or rc == "MALFORMED")
    end
  end)
end)

describe("ws_deflate", function()
  it("writes what is read the same, in a window that the reader has", function()
    core.seed()
    for _, len in ipairs { 0, 1, 5, 100, 255, 256, 257, 511, 513, 4096, 40000, 200000 } do
      local text = random_text(len)
      for bits = 15, 8, -1 do
        local payload = deflate(text, bits)
        assert.equal(text, (inflate(payload)))
        assert.equal(text, inflate_within(payload, bits, len))
      end
    end
  end)

  it("uses a small window only", function()
    local far = random_text(200) .. ("x"):rep(200)
    local text = far:rep(10)
    for bits = 8, 15 do assert.equal(text, inflate_within(deflate(text, bits), bits, #text)) end
  end)

  it("writes each message by itself", function()
    local first = deflate "Hello"
    assert.equal(hex "f2 48 cd c9 c9 07 00", first)
    assert.equal(first, deflate "Hello")
    assert.equal("\0", deflate "")
  end)

  it("makes repetitive text small", function()
    assert.truthy(#deflate(('{"id":1,"name":"tide"},'):rep(1000)) < 500)
  end)

  it("says when there is no room", function()
    local text = random_text(5000)
    local len = #deflate(text)
    for _, room in ipairs { 0, 1, 3, 100, len - 1 } do
      assert.equal("LIMIT", core.rc(C.ws_deflate(zip, core.slice(text), 15, new_buf(room))))
    end
    local buf = new_buf(len + 16)
    assert.equal("OK", core.rc(C.ws_deflate(zip, core.slice(text), 15, buf)))
    assert.equal(text, (inflate(text_of(buf))))
  end)
end)

describe("ws_zip_free", function()
  it("may be called at any time, and what is freed opens again", function()
    local one = ffi.new "struct ws_zip"
    C.ws_zip_free(one)
    for _ = 1, 2 do
      local buf = new_buf()
      assert.equal("OK", core.rc(C.ws_deflate(one, core.slice "Hello", 9, buf)))
      assert.equal("OK", core.rc(C.ws_inflate(one, core.slice(hex "f2 48 cd c9 c9 07 00"), buf, 5)))
      C.ws_zip_free(one)
      assert.is_true(one.inflater == nil and one.deflater == nil)
    end
  end)
end)
