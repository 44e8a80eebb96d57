local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function parse(bytes)
  local header, used = ffi.new "struct proxy_header", ffi.new "size_t[1]"
  return core.rc(C.proxy_header_parse(core.guarded(bytes), header, used)), header, tonumber(used[0])
end

local function source(header)
  if not header.has_peer then return nil end
  local text = ffi.new "char[64]"
  return ("%s %d > %d"):format(ffi.string(text, C.peer_print_ip(header.peer, text)), header.peer.port, header.to_port)
end

local SIGNATURE = "\r\n\r\n\0\r\nQUIT\n"
local function v2(command, family, payload, len)
  len = len or #payload
  return SIGNATURE .. string.char(command, family, math.floor(len / 256), len % 256) .. payload
end
local FOUR = "\1\2\3\4\5\6\7\8\0\80\1\187"                           -- 1.2.3.4:80 to 5.6.7.8:443
local SIX = ("\32\1\13\184" .. ("\0"):rep(11) .. "\1"):rep(2) .. "\0\80\1\187"

describe("proxy_header_parse", function()
  -- What follows the header is added by the spec; a prefix of the bytes is always the beginning of a header.
  local good = {
    { "version 1 over IPv4", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1 56324 > 443" },
    { "version 1 over IPv6", "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", "2001:db8::1 1 > 65535" },
    { "the longest IPv6 line",
      "PROXY TCP6 " .. ("ffff:"):rep(7) .. "ffff " .. ("ffff:"):rep(7) .. "ffff 65535 65535\r\n",
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 > 65535" },
    { "version 1 of an unknown family", "PROXY UNKNOWN\r\n", nil },
    { "an unknown family with words behind it", "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", nil },
    { "the longest line there is", "PROXY UNKNOWN " .. ("x"):rep(91) .. "\r\n", nil },
    { "version 2 over IPv4", v2(0x21, 0x11, FOUR), "1.2.3.4 80 > 443" },
    { "version 2 over IPv6", v2(0x21, 0x21, SIX), "2001:db8::1 80 > 443" },
    { "version 2 with extensions", v2(0x21, 0x11, FOUR .. "\4\0\5hello"), "1.2.3.4 80 > 443" },
    { "version 2 as long as we take it", v2(0x21, 0x11, FOUR .. ("x"):rep(4096 - 16 - 12)), "1.2.3.4 80 > 443" },
    { "version 2 LOCAL without addresses", v2(0x20, 0x00, ""), nil },
    { "version 2 LOCAL, whose addresses do not count", v2(0x20, 0x11, FOUR), nil },
    { "version 2 of an unspecified family", v2(0x21, 0x00, "abc"), nil },
    { "version 2 from a unix socket", v2(0x21, 0x31, ("a"):rep(216)), nil },
  }
  for _, case in ipairs(good) do
    it("understands " .. case[1], function()
      for _, behind in ipairs { "", "GET / HTTP/1.1\r\n", case[2] } do
        local rc, header, used = parse(case[2] .. behind)
        assert.equal("OK", rc)
        assert.equal(#case[2], used)
        assert.equal(case[3], source(header))
      end
      for len = 0, #case[2] - 1 do
        local rc, header = parse(case[2]:sub(1, len))
        assert.equal("AGAIN", rc)
        assert.is_false(header.has_peer)
      end
    end)
  end

  local bad = {
    { "a request", "GET / HTTP/1.1\r\n\r\n" },
    { "a lower-case word", "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n" },
    { "a tab for a space", "PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n" },
    { "a line that ends in LF alone", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n" },
    { "a line of 108 bytes", "PROXY UNKNOWN " .. ("x"):rep(92) .. "\r\n" },
    { "a line without an end", "PROXY UNKNOWN " .. ("x"):rep(500) },
    { "no family", "PROXY \r\n" },
    { "an empty line", "PROXY \n" },
    { "another family", "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n" },
    { "a family with more letters", "PROXY TCP44 1.2.3.4 5.6.7.8 1 2\r\n" },
    { "UNKNOWN with more letters", "PROXY UNKNOWNS\r\n" },
    { "too few words", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n" },
    { "too many words", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n" },
    { "two spaces", "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n" },
    { "a space at the end", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n" },
    { "a name", "PROXY TCP4 localhost 5.6.7.8 1 2\r\n" },
    { "an IPv6 source under TCP4", "PROXY TCP4 ::1 ::1 1 2\r\n" },
    { "an IPv4 source under TCP6", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n" },
    { "a destination of the other family", "PROXY TCP4 1.2.3.4 ::1 1 2\r\n" },
    { "an address in brackets", "PROXY TCP6 [::1] [::1] 1 2\r\n" },
    { "an address over 255", "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n" },
    { "a NUL in an address", "PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n" },
    { "a port over 65535", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n" },
    { "a negative port", "PROXY TCP4 1.2.3.4 5.6.7.8 1 -2\r\n" },
    { "an empty port", "PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n" },
    { "CR in the middle", "PROXY TCP4 1.2.3.4\r5.6.7.8 1 2\r\n" },
    { "a broken signature", "\r\n\r\n\0\r\nQUIT\r" .. ("\0"):rep(20) },
    { "version 1 in the binary form", v2(0x11, 0x11, FOUR) },
    { "version 3", v2(0x31, 0x11, FOUR) },
    { "command 2", v2(0x22, 0x11, FOUR) },
    { "a family that does not exist", v2(0x21, 0x41, FOUR) },
    { "a transport that does not exist", v2(0x21, 0x13, FOUR) },
    { "datagrams", v2(0x21, 0x12, FOUR) },
    { "an unspecified transport of IPv4", v2(0x21, 0x10, FOUR) },
    { "IPv4 addresses cut short", v2(0x21, 0x11, FOUR:sub(1, 11)) },
    { "IPv6 addresses cut short", v2(0x21, 0x21, SIX:sub(1, 35)) },
    { "IPv4 addresses under IPv6", v2(0x21, 0x21, FOUR) },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1], function()
      local rc = parse(case[2])
      assert.equal("MALFORMED", rc)
      for len = 0, #case[2] - 1 do
        rc = parse(case[2]:sub(1, len))
        assert.is_true(rc == "AGAIN" or rc == "MALFORMED", rc)
      end
    end)
  end

  it("refuses a header over the limit before it has come", function()
    assert.equal("LIMIT", (parse(v2(0x21, 0x11, "", 4081))))
    assert.equal("LIMIT", (parse(v2(0x20, 0x00, "", 65535))))
    assert.equal("AGAIN", (parse(v2(0x21, 0x11, "", 4080))))
  end)
end)
