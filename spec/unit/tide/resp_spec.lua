--- The protocol of Redis, [T20] and tide.redis: commands as bytes, and replies however they come.
local resp = require "tidegate.tide.resp"

--- A socket whose bytes come in pieces.
local function fake(bytes, piece)
  local source, at, come = {}, 1, 0
  local function take(last, behind)
    local text = bytes:sub(at, last)
    at = last + behind + 1
    return text
  end
  function source:receive(n, max)
    assert(n <= max)
    while come < at + n - 1 do
      if come == #bytes then return nil, "closed" end
      come = math.min(come + piece, #bytes)
    end
    return take(at + n - 1, 0)
  end
  function source:receive_until(text, max)
    while true do
      local first, last = bytes:find(text, at, true)
      if first and last <= come then
        if first - at > max then return nil, ("text over %d bytes"):format(max) end
        return take(first - 1, #text)
      end
      if come - at + 1 > max + #text then return nil, ("text over %d bytes"):format(max) end
      if come == #bytes then return nil, "closed" end
      come = math.min(come + piece, #bytes)
    end
  end
  function source:rest() return bytes:sub(at) end
  return source
end

--- A reply in one line.
local function show(value)
  if value == resp.null then return "null" end
  if resp.is_error(value) then return "error(" .. value.err .. ")" end
  if type(value) == "string" then return '"' .. value:gsub("[%c]", function(c) return "\\" .. c:byte() end) .. '"' end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, item in pairs(value) do
    parts[#parts + 1] = type(key) == "number" and show(item) or key .. "=" .. show(item)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, " ") .. "}"
end

--- How a text is fed: whole, and byte by byte unless that would take all day.
local function pieces_of(bytes)
  if #bytes > 2000 then return { #bytes + 10 } end
  return { #bytes + 10, 1, 3 }
end

describe("resp.read [T20]", function()
  local good = {
    { "+OK\r\n", '"OK"' },
    { "+\r\n", '""' },
    { "-ERR no\r\n", "error(ERR no)" },
    { ":0\r\n", "0" }, { ":-1\r\n", "-1" }, { ":+7\r\n", "7" },
    { ":9007199254740991\r\n", "9.007199254741e+15" },
    { ":9223372036854775807\r\n", '"9223372036854775807"' },
    { ":-9223372036854775808\r\n", '"-9223372036854775808"' },
    { "$0\r\n\r\n", '""' },
    { "$5\r\na\r\nb!\r\n", '"a\\13\\10b!"' },
    { "$-1\r\n", "null" }, { "*-1\r\n", "null" }, { "_\r\n", "null" },
    { "*0\r\n", "{}" },
    { "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", '{"a" {1}}' },
    { "*3\r\n+a\r\n-ERR in it\r\n$-1\r\n", '{"a" error(ERR in it) null}' },
    { "#t\r\n", "true" }, { "#f\r\n", "false" },
    { ",1.5\r\n", "1.5" }, { ",-2\r\n", "-2" }, { ",1e3\r\n", "1000" }, { ",inf\r\n", "inf" }, { ",-inf\r\n", "-inf" },
    { "(3492890328409238509324850943850943825024385\r\n", '"3492890328409238509324850943850943825024385"' },
    { "!9\r\nERR large\r\n", "error(ERR large)" },
    { "=7\r\ntxt:abc\r\n", '"abc"' },
    { "%2\r\n+a\r\n:1\r\n:2\r\n#t\r\n", "{a=1 true}" },
    { "~2\r\n+a\r\n+b\r\n", '{"a" "b"}' },
    { "|1\r\n+ttl\r\n:1\r\n+OK\r\n", '"OK"' },
    { ">2\r\n+pubsub\r\n+x\r\n:5\r\n", "5" },
    { ("*1\r\n"):rep(8) .. ":1\r\n", "{{{{{{{{1}}}}}}}}" },
    { "+" .. ("x"):rep(65000) .. "\r\n", '"' .. ("x"):rep(65000) .. '"' },
  }
  for _, case in ipairs(good) do
    local bytes, shown = case[1], case[2]
    it(("reads %q, whole and byte by byte"):format(bytes:sub(1, 40)), function()
      for _, piece in ipairs(pieces_of(bytes)) do
        local source = fake(bytes .. "+next\r\n", piece)
        assert.equal(shown, show(resp.read(source)))
        assert.equal("+next\r\n", source:rest())
      end
    end)
  end

  it("says that the connection ended, wherever it does", function()
    for _, case in ipairs(good) do
      local bytes = case[1]
      for i = 0, math.min(#bytes - 1, 100) do
        assert.same({ nil, "closed" }, { resp.read(fake(bytes:sub(1, i), 7)) })
      end
    end
  end)

  local bad = {
    { "hello\r\n", 'expected a reply of RESP, found "hello"' },
    { "\r\n", 'expected a reply of RESP, found ""' },
    { "HTTP/1.1 400 Bad Request\r\n", "expected a reply of RESP" },
    { "\255\254\r\n", 'found "\\xFF\\xFE"' },
    { "+a\nb\r\n", "expected a line that ends with CR LF" },
    { "+a\0b\r\n", "expected a line that ends with CR LF" },
    { ":\r\n", "expected a number" }, { ":1.5\r\n", "expected a number" }, { ":0x10\r\n", "expected a number" },
    { ": 1\r\n", "expected a number" }, { ":" .. ("9"):rep(21) .. "\r\n", "expected a number" },
    { "$\r\n", "expected a length" }, { "$-2\r\n", "expected a length" }, { "$+1\r\n", "expected a length" },
    { "$01\r\na\r\n", "expected a length" }, { "$1e3\r\n", "expected a length" }, { "$?\r\n", "expected a length" },
    { "$99999999999\r\n", "expected a length" },
    { "$1\r\nabc\r\n", 'expected CR LF behind a bulk string, found "bc"' },
    { "*-2\r\n", "expected a length" }, { "*x\r\n", "expected a length" },
    { "_x\r\n", "expected nothing behind a null" },
    { "#x\r\n", "expected t or f" }, { "#\r\n", "expected t or f" },
    { ",\r\n", "expected a double" }, { ",1.2.3\r\n", "expected a double" }, { ",0x1p4\r\n", "expected a double" },
    { "(12a\r\n", "expected a big number" },
    { "=3\r\nabc\r\n", "expected a verbatim string" },
    { "%1\r\n$-1\r\n:1\r\n", "expected texts and numbers as keys" },
    { "%1\r\n*0\r\n:1\r\n", "expected texts and numbers as keys" },
    { "%1\r\n,nan\r\n:1\r\n", "expected texts and numbers as keys" },
    { (">1\r\n+x\r\n"):rep(1001), "expected a reply, found 1000 pushes" },
    { ("*1\r\n"):rep(9) .. ":1\r\n", "over 8 levels" },
    { "*1048577\r\n", "over 1048576" },
    { "%600000\r\n", "over 1048576 elements" },
    { "*2\r\n*600000\r\n" .. (":1\r\n"):rep(600000) .. "*600000\r\n", "over 1048576 elements" },
    { "$67108865\r\n", "a length of 67108865 is over 67108864" },
    { "+" .. ("x"):rep(65537) .. "\r\n", "over 65536 bytes" },
  }
  for _, case in ipairs(bad) do
    it(("refuses %q"):format(case[1]:sub(1, 40)), function()
      for _, piece in ipairs(pieces_of(case[1])) do
        local reply, why = resp.read(fake(case[1], piece))
        assert.is_nil(reply)
        assert.truthy(why:find(case[2], 1, true), why)
      end
    end)
  end

  it("takes a limit for all bytes of a reply", function()
    local bytes = "*2\r\n$600\r\n" .. ("a"):rep(600) .. "\r\n$600\r\n" .. ("b"):rep(600) .. "\r\n"
    assert.same({ nil, "reply over 1100 bytes" }, { resp.read(fake(bytes, 100), 1100) })
    assert.equal(2, #resp.read(fake(bytes, 100), 1300))
  end)
end)

describe("resp.encode", function()
  local cases = {
    { { "GET", "a" }, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n" },
    { { "SET", "a\r\n\0", "" }, "*3\r\n$3\r\nSET\r\n$4\r\na\r\n\0\r\n$0\r\n\r\n" },
    { { "A", 1, -5, 1.5 }, "*4\r\n$1\r\nA\r\n$1\r\n1\r\n$2\r\n-5\r\n$3\r\n1.5\r\n" },
    { { "B", 1e20, 2 ^ 53 }, "*3\r\n$1\r\nB\r\n$5\r\n1e+20\r\n$16\r\n9007199254740992\r\n" },
  }
  for _, case in ipairs(cases) do
    it(("writes %q"):format(case[2]), function() assert.equal(case[2], resp.encode(case[1], #case[1])) end)
  end

  local refused = {
    { { "GET" }, 2, "argument 1: expected a text or a number, found nil" },
    { { "GET", true }, 2, "argument 1: expected a text or a number, found a boolean" },
    { { "GET", "a", {} }, 3, "argument 2: expected a text or a number, found a table" },
    { { "GET", 0 / 0 }, 2, "argument 1: expected a text or a number, found not a number" },
  }
  for _, case in ipairs(refused) do
    it("refuses: " .. case[3], function()
      assert.same({ nil, case[3] }, { resp.encode(case[1], case[2]) })
    end)
  end
end)
