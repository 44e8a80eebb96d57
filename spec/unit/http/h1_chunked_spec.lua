local core = require "support.core"
local ffi = require "ffi"
local C = core.C

--- Feeds the pieces; gives the last result code, the body, and how many bytes behind it were not taken.
local function decode(pieces)
  local state, input, run = ffi.new "struct chunked", ffi.new "struct slice[1]", ffi.new "struct slice[1]"
  local body, rc = {}, "AGAIN"
  for _, piece in ipairs(pieces) do
    input[0] = core.guarded(piece)
    repeat
      rc = core.rc(C.chunked_next(state, input, run))
      if rc == "OK" then
        assert(run[0].len > 0)
        table.insert(body, core.text(run[0]))
      end
    until rc ~= "OK"
    if rc ~= "AGAIN" then break end
    assert(input[0].len == 0)
  end
  return rc, table.concat(body), tonumber(input[0].len)
end

local function compact(bytes)
  local state, body, rest = ffi.new "struct chunked", ffi.new "size_t[1]", ffi.new "struct slice[1]"
  local at = core.guarded(bytes).at
  local rc = core.rc(C.chunked_compact(state, ffi.cast("char *", at), #bytes, body, rest))
  return rc, ffi.string(at, body[0]), tonumber(rest[0].len)
end

local function bytes_of(text)
  local pieces = {}
  for i = 1, #text do pieces[i] = text:sub(i, i) end
  return pieces
end

describe("chunked_next", function()
  local long = ("x"):rep(300)
  -- The bytes; the body.
  local good = {
    { "no body", "0\r\n\r\n", "" },
    { "one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello" },
    { "several chunks", "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", "hello world" },
    { "a size in either case", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789" },
    { "zeros in front of a size", "00005\r\nhello\r\n000\r\n\r\n", "hello" },
    { "a size of 15 digits", "000000000000005\r\nhello\r\n000000000000000\r\n\r\n", "hello" },
    { "line ends in a chunk", "6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", "\r\n0\r\n\r" },
    { "a chunk that looks like the end", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n" },
    { "an extension", "5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello" },
    { "extensions of any text", "5;a=\"b;c\";d\t= \195\164\r\nhello\r\n0\r\n\r\n", "hello" },
    { "an empty extension", "5;\r\nhello\r\n0;\r\n\r\n", "hello" },
    { "as long an extension as there may be", "1;" .. ("e"):rep(4096) .. "\r\na\r\n0\r\n\r\n", "a" },
    { "a trailer", "1\r\na\r\n0\r\nA: b\r\n\r\n", "a" },
    { "trailers", "0\r\nA: b\r\nC:\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n", "" },
    { "a long chunk", "12c\r\n" .. long .. "\r\n0\r\n\r\n", long },
  }
  for _, case in ipairs(good) do
    it("understands " .. case[1], function()
      for _, behind in ipairs { "", "GET", "\r\n", "0\r\n\r\n" } do
        assert.same({ "END", case[3], #behind }, { decode { case[2] .. behind } })
        assert.same({ "END", case[3], #behind }, { compact(case[2] .. behind) })
      end
      assert.same({ "END", case[3], 0 }, { decode(bytes_of(case[2])) })
      for at = 1, #case[2] - 1 do
        local front = case[2]:sub(1, at)
        assert.same({ "END", case[3], 0 }, { decode { front, case[2]:sub(at + 1) } })
        local rc, body = decode { front }
        assert.equal("AGAIN", rc)
        assert.equal(case[3]:sub(1, #body), body)
        local compact_rc, compact_body = compact(front)
        assert.equal(body == "" and "AGAIN" or "OK", compact_rc)
        assert.equal(body, compact_body)
      end
    end)
  end

  -- The bytes, which are wrong by their last one at the latest; the body up to there.
  local bad = {
    { "no size", "\r\n" },
    { "no size but an extension", ";a\r\n" },
    { "a letter that is no digit", "g" },
    { "a sign", "-1" },
    { "a plus sign", "+1" },
    { "a space in front of a size", " 1" },
    { "a space behind a size", "1 " },
    { "a tab behind a size", "1\t" },
    { "a space before an extension", "1 ;a" },
    { "0x", "0x" },
    { "a point", "1." },
    { "an underscore", "1_0" },
    { "a NUL behind a size", "1\0" },
    { "a size of 16 digits", "1000000000000000" },
    { "a size of 16 zeros", "0000000000000000" },
    { "a size that would overflow", "1ffffffffffffffff" },
    { "bare LF behind a size", "5\n" },
    { "bare CR behind a size", "5\rh" },
    { "CR CR LF behind a size", "5\r\r" },
    { "bare LF in an extension", "5;a\n" },
    { "bare CR in an extension", "5;a\rb" },
    { "a NUL in an extension", "5;a\0" },
    { "DEL in an extension", "5;\127" },
    { "an extension over the limit", "5;" .. ("e"):rep(4097) },
    { "extensions over the limit together", ("1;" .. ("e"):rep(4095) .. "\r\na\r\n"):rep(2):sub(1, 4104 + 4), "a" },
    { "bare LF behind a chunk", "1\r\na\n", "a" },
    { "bare CR behind a chunk", "1\r\na\rb", "a" },
    { "a chunk that is longer than it says", "1\r\nab", "a" },
    { "a chunk that is shorter than it says", "3\r\na\r\n0", "a\r\n" },
    { "a chunk without a line end", "1\r\na1\r\n", "a" },
    { "bare LF as the empty line", "0\r\n\n" },
    { "bare CR as the empty line", "0\r\n\rA" },
    { "a trailer without a colon", "0\r\nA\r" },
    { "a trailer without a name", "0\r\n:" },
    { "a folded trailer", "0\r\nA: b\r\n c" },
    { "a space before the colon of a trailer", "0\r\nA :" },
    { "a space in front of a trailer", "0\r\n A" },
    { "bare LF behind a trailer", "0\r\nA: b\n" },
    { "bare CR in a trailer", "0\r\nA: b\rc" },
    { "a NUL in a trailer", "0\r\nA: \0" },
    { "trailers over the limit", "0\r\n" .. ("A: " .. ("x"):rep(1000) .. "\r\n"):rep(5) },
    { "a trailer name over the limit", "0\r\n" .. ("A"):rep(4097) },
    { "a request in place of a size", "GET / HTTP/1.1\r\n" },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1], function()
      local body = case[3] or ""
      for _, pieces in ipairs { { case[2] }, { case[2] .. "0\r\n\r\n" }, bytes_of(case[2]) } do
        local rc, found = decode(pieces)
        assert.same({ "MALFORMED", body }, { rc, found })
      end
      assert.equal("MALFORMED", (compact(case[2])))
      for at = 1, #case[2] - 1 do
        local rc, found = decode { case[2]:sub(1, at), case[2]:sub(at + 1) }
        assert.same({ "MALFORMED", body }, { rc, found })
      end
    end)
  end

  it("takes the largest size there is", function()
    local rc, body = decode { "fffffffffffffff\r\n", ("x"):rep(1000), ("y"):rep(1000) }
    assert.same({ "AGAIN", ("x"):rep(1000) .. ("y"):rep(1000) }, { rc, body })
  end)

  it("stays at the end", function()
    local state, input, run = ffi.new "struct chunked", ffi.new "struct slice[1]", ffi.new "struct slice[1]"
    input[0] = core.guarded "0\r\n\r\nGET"
    for _ = 1, 3 do
      assert.equal("END", core.rc(C.chunked_next(state, input, run)))
      assert.equal("GET", core.text(input[0]))
    end
  end)

  it("copies nothing: runs are views of the input", function()
    local state, input, run = ffi.new "struct chunked", ffi.new "struct slice[1]", ffi.new "struct slice[1]"
    local slice = core.guarded "5\r\nhello\r\n"
    input[0] = slice
    assert.equal("OK", core.rc(C.chunked_next(state, input, run)))
    assert.is_true(run[0].at == slice.at + 3)
  end)

  it("reads what it is given in any pieces", function()
    core.seed()
    for _ = 1, 500 do
      local chunks, body, pieces = {}, {}, {}
      for i = 1, math.random(0, 6) do
        body[i] = ("\r\n0;aF"):rep(40):sub(math.random(20), math.random(20, 200))
        chunks[i] = ("%x%s\r\n%s\r\n"):format(#body[i], math.random(3) == 1 and ";e=1" or "", body[i])
      end
      local bytes = table.concat(chunks) .. "0\r\n" .. (math.random(2) == 1 and "A: b\r\n" or "") .. "\r\n"
      local at = 1
      while at <= #bytes do
        local n = math.random(math.random(100))
        table.insert(pieces, bytes:sub(at, at + n - 1))
        at = at + n
      end
      assert.same({ "END", table.concat(body), 0 }, { decode(pieces) })
    end
  end)
end)
