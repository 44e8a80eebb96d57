local core = require "support.core"
local heads = require "support.heads"
local ffi = require "ffi"
local C = core.C

local long = ("x"):rep(300)

-- What a good head has behind it: nothing, a body, or the next head.
local behind = { "", "\r\n", "body", "GET / HTTP/1.1\r\n\r\n" }

--- One case for each row: a name, the bytes, and what is expected of the head.
local function understands(kind, rows)
  for _, row in ipairs(rows) do
    it("understands " .. row[1], function()
      for _, more in ipairs(behind) do
        local rc, head = heads.parse(kind, row[2] .. more)
        assert.equal("OK", rc)
        assert.equal(#row[2], head.bytes)
        for key, value in pairs(row) do
          if type(key) == "string" then assert.same(value, head[key]) end
        end
      end
      assert.same({}, heads.surprises(kind, row[2], "OK"))
    end)
  end
end

describe("h1_parse_request", function()
  local good = {
    { "the smallest head", "GET / HTTP/1.1\r\n\r\n", method = "GET", target = "/", minor = 1, fields = {} },
    { "HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", minor = 0 },
    { "a higher minor version as ours", "GET / HTTP/1.9\r\n\r\n", minor = 1 },
    { "one empty line in front", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      method = "GET", fields = { { "Host", "a" } } },
    { "absolute form", "GET http://a:80/b?c HTTP/1.1\r\n\r\n", target = "http://a:80/b?c" },
    { "authority form", "CONNECT a:443 HTTP/1.1\r\n\r\n", method = "CONNECT", target = "a:443" },
    { "asterisk form", "OPTIONS * HTTP/1.1\r\n\r\n", target = "*" },
    { "every visible byte in a target", "GET /!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~ HTTP/1.1\r\n\r\n",
      target = "/!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~" },
    { "every token byte in a method", "!#$%&'*+-.^_`|~09AZaz / HTTP/1.1\r\n\r\n", method = "!#$%&'*+-.^_`|~09AZaz" },
    { "a method of 32 bytes", ("M"):rep(32) .. " / HTTP/1.1\r\n\r\n", method = ("M"):rep(32) },
    { "a field", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", fields = { { "Host", "a" } } },
    { "fields in their order, names as they came", "GET / HTTP/1.1\r\nb: 1\r\nA: 2\r\nb: 3\r\n\r\n",
      fields = { { "b", "1" }, { "A", "2" }, { "b", "3" } } },
    { "no space after the colon", "GET / HTTP/1.1\r\nA:b\r\n\r\n", fields = { { "A", "b" } } },
    { "white space around a value", "GET / HTTP/1.1\r\nA: \t b c\t \r\n\r\n", fields = { { "A", "b c" } } },
    { "empty values", "GET / HTTP/1.1\r\nA:\r\nB: \r\nC:\t \t\r\n\r\n",
      fields = { { "A", "" }, { "B", "" }, { "C", "" } } },
    { "colons in a value", "GET / HTTP/1.1\r\nA: b:c: d\r\n\r\n", fields = { { "A", "b:c: d" } } },
    { "a tab in a value", "GET / HTTP/1.1\r\nA: b\tc\r\n\r\n", fields = { { "A", "b\tc" } } },
    { "bytes over 127 in a value", "GET / HTTP/1.1\r\nA: \128\195\164\255\r\n\r\n",
      fields = { { "A", "\128\195\164\255" } } },
    { "every token byte in a name", "GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~09AZaz: 1\r\n\r\n",
      fields = { { "!#$%&'*+-.^_`|~09AZaz", "1" } } },
    { "a name of one byte", "GET / HTTP/1.1\r\na: 1\r\n\r\n", fields = { { "a", "1" } } },
    { "a long name and a long value", "GET / HTTP/1.1\r\n" .. long .. ": " .. long .. "\r\n\r\n",
      fields = { { long, long } } },
  }
  understands("request", good)

  it("understands values of every length, wherever they end", function()
    for len = 0, 70 do
      local value = ("v"):rep(len)
      local bytes = ("GET /%s HTTP/1.1\r\nA: %s\r\nB%s: 1\r\n\r\n"):format(value, value, value)
      local rc, head = heads.parse("request", bytes)
      assert.equal("OK", rc)
      assert.equal("/" .. value, head.target)
      assert.same({ { "A", value }, { "B" .. value, "1" } }, head.fields)
    end
  end)

  it("knows the known names", function()
    local _, head = heads.parse("request", "GET / HTTP/1.1\r\nX: 1\r\nhOST: a\r\nHost: b\r\ncontent-length: 2\r\n\r\n")
    assert.same({ 0, 1, 1, 3 }, { head.list.at[0].id, head.list.at[1].id, head.list.at[2].id, head.list.at[3].id })
    assert.equal(2, head.list.first[C.HEADER_HOST])
    assert.equal(4, head.list.first[C.HEADER_CONTENT_LENGTH])
    assert.equal(0, head.list.first[C.HEADER_DATE])
  end)

  local bad = {
    { "nothing but an empty line, twice", "\r\n\r\n", why = "no method" },
    { "two empty lines in front", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", why = "no method" },
    { "LF in front", "\nGET / HTTP/1.1\r\n\r\n", why = "bare LF" },
    { "CR in front", "\rGET / HTTP/1.1\r\n\r\n", why = "bare CR" },
    { "a space in front", " GET / HTTP/1.1\r\n\r\n", why = "no method" },
    { "bare LF behind the first line", "GET / HTTP/1.1\nHost: a\r\n\r\n", why = "bare LF" },
    { "bare LF behind a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", why = "bare LF" },
    { "bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", why = "bare LF" },
    { "bare CR behind the first line", "GET / HTTP/1.1\rHost: a\r\n\r\n", why = "bare CR" },
    { "bare CR in a value", "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", why = "bare CR" },
    { "CR CR LF behind a field", "GET / HTTP/1.1\r\nA: b\r\r\n\r\n", why = "bare CR" },
    { "bare CR as the empty line", "GET / HTTP/1.1\r\n\rA: b\r\n\r\n", why = "bare CR" },
    { "two spaces before the target", "GET  / HTTP/1.1\r\n\r\n", why = "no target" },
    { "two spaces behind the target", "GET /  HTTP/1.1\r\n\r\n", why = "no HTTP version" },
    { "a tab before the target", "GET\t/ HTTP/1.1\r\n\r\n", why = "bad byte in the method" },
    { "a tab behind the target", "GET /\tHTTP/1.1\r\n\r\n", why = "bad byte in the target" },
    { "a space behind the version", "GET / HTTP/1.1 \r\n\r\n", why = "bytes behind the HTTP version" },
    { "no target", "GET HTTP/1.1\r\n\r\n", why = "no HTTP version" },
    { "an empty target", "GET  HTTP/1.1\r\n\r\n", why = "no target" },
    { "no version", "GET /\r\n\r\n", why = "no HTTP version" },
    { "no method", "/ HTTP/1.1\r\n\r\n", why = "no method" },
    { "a fragment", "GET /a#b HTTP/1.1\r\n\r\n", why = "bad byte in the target" },
    { "a space in a target", "GET /a b HTTP/1.1\r\n\r\n", why = "no HTTP version" },
    { "a NUL in a target", "GET /a\0 HTTP/1.1\r\n\r\n", why = "bad byte in the target" },
    { "DEL in a target", "GET /a\127 HTTP/1.1\r\n\r\n", why = "bad byte in the target" },
    { "bytes over 127 in a target", "GET /\195\164 HTTP/1.1\r\n\r\n", why = "bad byte in the target" },
    { "a separator in a method", "GE(T / HTTP/1.1\r\n\r\n", why = "bad byte in the method" },
    { "bytes over 127 in a method", "G\195\164T / HTTP/1.1\r\n\r\n", why = "bad byte in the method" },
    { "a lower-case version", "GET / http/1.1\r\n\r\n", why = "no HTTP version" },
    { "another protocol", "GET / HTTQ/1.1\r\n\r\n", why = "no HTTP version" },
    { "a version without a point", "GET / HTTP/11\r\n\r\n\r\n", why = "no HTTP version" },
    { "a minor version of two digits", "GET / HTTP/1.10\r\n\r\n", why = "bytes behind the HTTP version" },
    { "a major version of two digits", "GET / HTTP/11.1\r\n\r\n", why = "no HTTP version" },
    { "no minor version", "GET / HTTP/1.\r\n\r\n\r\n", why = "no HTTP version" },
    { "letters for a version", "GET / HTTP/a.b\r\n\r\n", why = "no HTTP version" },
    { "a negative version", "GET / HTTP/-1.1\r\n\r\n", why = "no HTTP version" },
    { "a folded line", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", why = "folded field line" },
    { "a line folded with a tab", "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", why = "folded field line" },
    { "a space in front of the first field", "GET / HTTP/1.1\r\n A: b\r\n\r\n", why = "folded field line" },
    { "a space before the colon", "GET / HTTP/1.1\r\nA : b\r\n\r\n", why = "space before colon" },
    { "a tab before the colon", "GET / HTTP/1.1\r\nA\t: b\r\n\r\n", why = "space before colon" },
    { "no name", "GET / HTTP/1.1\r\n: b\r\n\r\n", why = "empty field name" },
    { "no colon", "GET / HTTP/1.1\r\nAb\r\n\r\n", why = "field line without colon" },
    { "a space in a name", "GET / HTTP/1.1\r\nA b: c\r\n\r\n", why = "space before colon" },
    { "a NUL in a name", "GET / HTTP/1.1\r\nA\0: b\r\n\r\n", why = "bad byte in a field name" },
    { "a separator in a name", "GET / HTTP/1.1\r\nA(b): c\r\n\r\n", why = "bad byte in a field name" },
    { "bytes over 127 in a name", "GET / HTTP/1.1\r\n\195\164: b\r\n\r\n", why = "bad byte in a field name" },
    { "a NUL in a value", "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", why = "control byte in a field value" },
    { "DEL in a value", "GET / HTTP/1.1\r\nA: b\127\r\n\r\n", why = "control byte in a field value" },
    { "vertical tab in a value", "GET / HTTP/1.1\r\nA: b\11c\r\n\r\n", why = "control byte in a field value" },
    { "escape in a value", "GET / HTTP/1.1\r\nA: \27[0m\r\n\r\n", why = "control byte in a field value" },
    { "the beginning of TLS", "\22\3\1\2\0\1\0\1\252\3\3", why = "TLS where plain HTTP was expected" },
    { "a response", "HTTP/1.1 200 OK\r\n\r\n", why = "bad byte in the method" },
    { "a version over 1", "GET / HTTP/2.0\r\n\r\n", "VERSION" },
    { "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "VERSION" },
    { "version 0.9", "GET / HTTP/0.9\r\n\r\n", "VERSION" },
    { "a method of 33 bytes", ("M"):rep(33) .. " / HTTP/1.1\r\n\r\n", "UNKNOWN_CODING" },
    { "a method without an end", ("M"):rep(10000), "UNKNOWN_CODING" },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1] .. (case.why and ", and says why" or ""), function()
      local rc = case[3] or "MALFORMED"
      assert.same({ rc, case.why }, { heads.parse("request", case[2]) })
      assert.same({}, heads.surprises("request", case[2], rc))
    end)
  end

  it("refuses every control byte, wherever it is in a value", function()
    for byte = 0, 255 do
      if (byte < 32 and byte ~= 9) or byte == 127 then
        for at = 0, 40 do
          local bytes = "GET / HTTP/1.1\r\nA: " .. ("v"):rep(at) .. string.char(byte) .. "vvv\r\n\r\n"
          assert.equal("MALFORMED", (heads.parse("request", bytes)))
        end
      end
    end
  end)

  local limits = {
    { "a target at the limit", "GET /aaa HTTP/1.1\r\n\r\n", { uri_bytes = 4 }, "OK" },
    { "a target over the limit", "GET /aaaa HTTP/1.1\r\n\r\n", { uri_bytes = 4 }, "URI_LIMIT" },
    { "a target over the limit that has no end yet", "GET /aaaa", { uri_bytes = 4 }, "URI_LIMIT" },
    { "a target at the limit that has no end yet", "GET /aaa", { uri_bytes = 4 }, "AGAIN" },
    { "as many fields as allowed", "GET / HTTP/1.1\r\na: 1\r\nb: 2\r\n\r\n", { headers = 2 }, "OK" },
    { "one field too many", "GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n", { headers = 2 }, "HEAD_LIMIT" },
    { "a head at the limit", "GET / HTTP/1.1\r\na: 1\r\n\r\n", { head_bytes = 24 }, "OK" },
    { "a head over the limit", "GET / HTTP/1.1\r\na: 12\r\n\r\n", { head_bytes = 24 }, "HEAD_LIMIT" },
    { "a head that cannot end within the limit", "GET / HTTP/1.1\r\na: 12345", { head_bytes = 24 }, "HEAD_LIMIT" },
    { "a head that can still end within the limit", "GET / HTTP/1.1\r\na: 123", { head_bytes = 24 }, "AGAIN" },
    { "a body behind a head at the limit", "GET / HTTP/1.1\r\na: 1\r\n\r\nbody", { head_bytes = 24 }, "OK" },
  }
  for _, case in ipairs(limits) do
    it(("gives %s for %s"):format(case[4], case[1]), function()
      assert.equal(case[4], (heads.parse("request", case[2], case[3])))
      local head = case[4] == "OK" and case[2]:match "^.-\r\n\r\n" or case[2]
      assert.same({}, heads.surprises("request", head, case[4], case[3]))
    end)
  end
end)

describe("h1_parse_response", function()
  local good = {
    { "the smallest head", "HTTP/1.1 200 OK\r\n\r\n", status = 200, reason = "OK", minor = 1, fields = {} },
    { "an empty reason", "HTTP/1.1 200 \r\n\r\n", status = 200, reason = "" },
    { "no space behind the status", "HTTP/1.1 200\r\n\r\n", status = 200, reason = "" },
    { "HTTP/1.0", "HTTP/1.0 404 Not Found\r\n\r\n", status = 404, minor = 0, reason = "Not Found" },
    { "an unknown status", "HTTP/1.1 599 x\r\n\r\n", status = 599 },
    { "the lowest and the highest status", "HTTP/1.1 100 a\r\n\r\n", status = 100 },
    { "a reason of any text", "HTTP/1.1 200 \ta: \195\164 b\r\n\r\n", reason = "\ta: \195\164 b" },
    { "fields", "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie:b \r\n\r\n",
      fields = { { "Set-Cookie", "a" }, { "Set-Cookie", "b" } } },
    { "a long reason", "HTTP/1.1 200 " .. long .. "\r\n\r\n", reason = long },
  }
  understands("response", good)

  local bad = {
    { "an empty line in front", "\r\nHTTP/1.1 200 OK\r\n\r\n" },
    { "a request", "GET / HTTP/1.1\r\n\r\n" },
    { "bare LF", "HTTP/1.1 200 OK\n\n" },
    { "bare CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n" },
    { "a NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n" },
    { "a status of two digits", "HTTP/1.1 20 OK\r\n\r\n" },
    { "a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n" },
    { "a status below 100", "HTTP/1.1 099 OK\r\n\r\n" },
    { "letters for a status", "HTTP/1.1 2x0 OK\r\n\r\n" },
    { "two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n" },
    { "a tab before the status", "HTTP/1.1\t200 OK\r\n\r\n" },
    { "a tab behind the status", "HTTP/1.1 200\tOK\r\n\r\n" },
    { "no status", "HTTP/1.1 OK\r\n\r\n" },
    { "a lower-case version", "http/1.1 200 OK\r\n\r\n" },
    { "ICY", "ICY 200 OK\r\n\r\n" },
    { "a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n" },
    { "a space before the colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n" },
    { "HTTP/0.9 content", "<html>hello</html>" },
    { "a minor version of two digits", "HTTP/1.10 200 OK\r\n\r\n" },
    { "a version over 1", "HTTP/2.0 200 OK\r\n\r\n", "VERSION" },
    { "more fields than allowed", "HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\n\r\n", "HEAD_LIMIT", { headers = 1 } },
    { "an endless head", "HTTP/1.1 200 OK\r\nA: " .. ("x"):rep(100), "HEAD_LIMIT", { head_bytes = 100 } },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1], function()
      local rc = case[3] or "MALFORMED"
      assert.equal(rc, (heads.parse("response", case[2], case[4])))
      assert.same({}, heads.surprises("response", case[2], rc, case[4]))
    end)
  end
end)

describe("h1_parse_fields", function()
  local function parse(bytes)
    local limits = ffi.new("struct h1_limits", { head_bytes = 100, headers = 3, uri_bytes = 1 })
    local used, list = ffi.new "size_t[1]", ffi.new "struct headers"
    local rc = C.h1_parse_fields(core.guarded(bytes, 64), limits, core.arena(), used, list)
    return core.rc(rc), tonumber(used[0]), list.count
  end
  local cases = {
    { "nothing but the empty line", "\r\n", "OK", 0 },
    { "fields", "A: b\r\nC:\r\n\r\n", "OK", 2 },
    { "too many fields", "a:\r\nb:\r\nc:\r\nd:\r\n\r\n", "HEAD_LIMIT" },
    { "too many bytes", "a: " .. ("x"):rep(100) .. "\r\n\r\n", "HEAD_LIMIT" },
    { "a folded line", "a: b\r\n c\r\n\r\n", "MALFORMED" },
    { "bare LF", "a: b\n\n", "MALFORMED" },
  }
  for _, case in ipairs(cases) do
    it(("gives %s for %s"):format(case[3], case[1]), function()
      local rc, used, count = parse(case[2] .. (case[3] == "OK" and "GET" or ""))
      assert.equal(case[3], rc)
      if rc == "OK" then assert.same({ #case[2], case[4] }, { used, count }) end
      for len = 0, #case[2] - 1 do
        rc = parse(case[2]:sub(1, len))
        assert.is_true(rc == "AGAIN" or rc == case[3] and rc ~= "OK")
      end
    end)
  end
end)

describe("a field value, with any byte at any place", function()
  local limits = ffi.new("struct h1_limits", { head_bytes = 1000, headers = 3, uri_bytes = 1 })
  for _, len in ipairs { 1, 2, 7, 8, 15, 16, 17, 18, 31, 32, 33, 34, 50 } do
    it(("of %d bytes is taken or refused as RFC 9110 section 5.5 says"):format(len), function()
      for place = 1, len do
        for byte = 0, 255 do
          local c = string.char(byte)
          local value = ("x"):rep(place - 1) .. c .. ("x"):rep(len - place)
          local used, list = ffi.new "size_t[1]", ffi.new "struct headers"
          local rc = core.rc(C.h1_parse_fields(core.guarded("a: " .. value .. "\r\nb: c\r\n\r\n", 64), limits,
                                               core.arena(), used, list))
          local good = byte == 9 or byte >= 32 and byte ~= 127
          assert.equal(good and "OK" or "MALFORMED", rc, ("%q"):format(value))
          if good then
            assert.equal((value:gsub("^[ \t]+", ""):gsub("[ \t]+$", "")), core.text(list.at[0].value))
          end
        end
      end
    end)
  end
end)

describe("h1_head_move", function()
  it("makes views of a copy", function()
    local bytes = "GET /a HTTP/1.1\r\nHost: b\r\nEmpty:\r\n\r\n"
    local arena, head, list = core.arena(), ffi.new "struct h1_head", ffi.new "struct headers"
    local limits = ffi.new("struct h1_limits", { head_bytes = 1000, headers = 10, uri_bytes = 100 })
    local from, copy = core.guarded(bytes, 64), ffi.new("char[?]", #bytes, bytes)
    assert.equal("OK", core.rc(C.h1_parse_request(from, limits, arena, head, list)))
    C.h1_head_move(head, list, from.at, copy)
    ffi.fill(ffi.cast("char *", from.at), #bytes)
    assert.same({ "GET", "/a" }, { core.text(head.method), core.text(head.target) })
    assert.is_true(head.reason.at == nil)
    assert.same({ "Host", "b", "Empty", "" }, {
      core.text(list.at[0].name), core.text(list.at[0].value), core.text(list.at[1].name), core.text(list.at[1].value),
    })
  end)
end)
