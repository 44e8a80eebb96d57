--- tidegate.spec.message: HTTP/1.1 as the peers of a gateway under test speak it.
local kit = require "support.kit"
local message = require "tidegate.spec.message"

--- All messages of some bytes, fed in pieces of a size.
local function read(bytes, size, is_bodiless)
  local found = {}
  local reader = message.reader(function(m) found[#found + 1] = m end)
  reader.is_bodiless = is_bodiless
  for at = 1, #bytes, size do reader:feed(bytes:sub(at, at + size - 1)) end
  return found, reader:finish()
end

local OK = "HTTP/1.1 200 OK\r\n"
local CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"

describe("a reader", function()
  -- Bytes, then bodies and framing of the messages in them.
  local rows = {
    { "a request without a body", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", { "" }, "none" },
    { "a length", "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", { "abc" }, "length" },
    { "a length of nothing", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", { "" }, "length" },
    { "chunks", OK .. CHUNKED .. "1\r\na\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", { "a0123456789" }, "chunked" },
    { "trailers", OK .. CHUNKED .. "1\r\na\r\n0\r\nX: 1\r\n\r\n", { "a" }, "chunked" },
    { "the end of the connection", OK .. "\r\nabc", { "abc" }, "close" },
    { "a status without a body", "HTTP/1.1 204 No Content\r\n\r\n", { "" }, "none" },
    { "two in a row", ("PUT / HTTP/1.1\r\nContent-Length: 1\r\n\r\n%s"):rep(2):format("a", "b"), { "a", "b" },
      "length" },
  }
  for _, row in ipairs(rows) do
    for _, size in ipairs { 1, 2, 7, 1000 } do
      it(("reads %s, %d at a time"):format(row[1], size), function()
        local found = read(row[2], size)
        assert.equal(#row[3], #found)
        for i, body in ipairs(row[3]) do
          assert.equal(body, found[i].body)
          assert.equal(row[4], found[i].framing)
          assert.is_true(found[i].complete)
        end
      end)
    end
  end

  it("takes a head apart", function()
    local m = read("GET /a?b=c HTTP/1.0\r\nHost: h\r\nX-A: 1\r\nx-a:  2 \r\nX-E:\r\n\r\n", 1000)[1]
    assert.same({ "GET", "/a?b=c", "/a", "b=c", "1.0" }, { m.method, m.target, m.path, m.query, m.version })
    assert.same({ host = "h", ["x-a"] = "1, 2", ["x-e"] = "" }, m.headers)
    assert.same({ "1", "2" }, m:all "X-a")
    m = read("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n[]", 1000)[1]
    assert.same({ 404, "Not Found" }, { m.status, m.reason })
    assert.same({}, m:json())
  end)

  it("knows that the answer to HEAD has no body", function()
    assert.equal(1, #read("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 5, true))
  end)

  it("gives interim responses with what they are interim to", function()
    local found = read("HTTP/1.1 103 Early\r\nA: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 3)
    assert.equal(1, #found)
    assert.equal("1", found[1].interims[1].headers.a)
  end)

  it("gives what was cut off", function()
    local found, cut = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", 4)
    assert.equal(0, #found)
    assert.same({ "abc", false }, { cut.body, cut.complete })
    assert.is_nil(select(2, read("HTTP/1.1 200", 4)))
  end)

  local broken = {
    { 'expected the first line of HTTP/1, found "what"', "what\r\n\r\n" },
    { 'expected a header field, found "x"', "GET / HTTP/1.1\r\nx\r\n\r\n" },
    { 'expected the size of a chunk, found "z"', OK .. CHUNKED .. "z\r\n" },
    { "expected the end of a chunk", OK .. CHUNKED .. "1\r\nabcd" },
  }
  for _, row in ipairs(broken) do
    it("refuses: " .. row[1], function() kit.refuses(row[1], read, row[2], 1000) end)
  end
end)

describe("pieces", function()
  local function bytes(m, is_bodiless) return table.concat(message.pieces("START", m, is_bodiless), "|") end

  local rows = {
    { "no body", {}, "START\r\n\r\n" },
    { "no body of an answer", { is_answer = true }, "START\r\nContent-Length: 0\r\n\r\n" },
    { "an answer that has none", { is_answer = true, is_empty = true }, "START\r\n\r\n" },
    { "a body", { body = "ab" }, "START\r\nContent-Length: 2\r\n\r\n|ab" },
    { "chunks", { body = { "a", "", "bc" } }, "START\r\n" .. CHUNKED .. "|1\r\na\r\n|2\r\nbc\r\n|0\r\n\r\n" },
    { "JSON", { json = { 1 } }, "START\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n|[1]" },
    { "up to the end", { body = { "a", "b" }, close = true }, "START\r\n\r\n|a|b" },
    { "fields by name", { headers = { b = 2, a = { "1", "x" } } }, "START\r\na: 1\r\na: x\r\nb: 2\r\n\r\n" },
    { "fields in order", { headers = { { "b", "2" }, { "a", "1" } } }, "START\r\nb: 2\r\na: 1\r\n\r\n" },
    { "a length of its own", { headers = { ["content-length"] = "9" }, body = "a" },
      "START\r\ncontent-length: 9\r\n\r\n|a" },
    { "the connection", { connection = "close" }, "START\r\nConnection: close\r\n\r\n" },
  }
  for _, row in ipairs(rows) do
    it("are made of " .. row[1], function() assert.equal(row[3], bytes(row[2])) end)
  end

  it("have no body where none may be", function()
    assert.equal("START\r\nContent-Length: 2\r\n\r\n", bytes({ body = "ab" }, true))
  end)

  it("are cut as small as it is said", function()
    local pieces = { "head", "abc", "defg" }
    assert.equal(pieces, message.cut(pieces, "whole"))
    assert.same({ "head", "a", "b", "c", "d", "e", "f", "g" }, message.cut(pieces, "bytes"))
    assert.same({ "head", "abc", "def", "g" }, message.cut(pieces, 3))
    assert.same({ "head" }, message.cut({ "head" }, "bytes"))
    local large = message.cut({ "head", ("x"):rep(10000) }, "bytes")
    assert.equal(10004, #table.concat(large))
    assert.equal(1, #large[2049])
    assert.equal(1021, #large[2050])
    assert.equal(1, #large[#large])
  end)
end)
