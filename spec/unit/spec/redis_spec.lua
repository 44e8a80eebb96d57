--- tidegate.spec.redis: the server's side of RESP 2.
local kit = require "support.kit"
local redis = require "tidegate.spec.redis"

local function connection(answers, notes)
  return redis.connection(function(name, ...)
    local value = answers[name]
    if type(value) == "function" then return value(...), true end
    return value, value ~= nil
  end, function(words) table.insert(notes or {}, words) end, function() end)
end

local function command(...)
  local out = { ("*%d\r\n"):format(select("#", ...)) }
  for _, word in ipairs { ... } do out[#out + 1] = ("$%d\r\n%s\r\n"):format(#word, word) end
  return table.concat(out)
end

describe("a reply", function()
  local rows = {
    { "a text", "ab", "$2\r\nab\r\n" }, { "an empty text", "", "$0\r\n\r\n" }, { "a number", 7, ":7\r\n" },
    { "a fraction", 0.5, "$3\r\n0.5\r\n" }, { "OK", true, "+OK\r\n" }, { "nothing", nil, "$-1\r\n" },
    { "an error", { err = "ERR no" }, "-ERR no\r\n" },
    { "a list", { 1, { "a" }, false }, "*3\r\n:1\r\n*1\r\n$1\r\na\r\n$-1\r\n" },
  }
  for _, row in ipairs(rows) do
    it("is " .. row[1], function() assert.equal(row[3], redis.encode(row[2])) end)
  end

  it("is no function", function()
    kit.refuses("fake.redis: expected a reply, found a function", redis.encode, print)
  end)
end)

describe("a connection", function()
  it("takes commands in pieces", function()
    local notes = {}
    local server, out = connection({ GET = "v" }, notes), {}
    for byte in (command("get", "k\r\n") .. command "PING"):gmatch "." do out[#out + 1] = server:feed(byte) end
    assert.equal("$1\r\nv\r\n$4\r\nPONG\r\n", table.concat(out))
    assert.same({ { "GET", "k\r\n" }, { "PING" } }, notes)
  end)

  it("bundles what stands between MULTI and EXEC", function()
    local server = connection { INCR = 2 }
    assert.equal("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n:2\r\n",
                 server:feed(command "MULTI" .. command("INCR", "a") .. command("INCR", "b") .. command "EXEC"))
    assert.equal("+OK\r\n+QUEUED\r\n+OK\r\n", server:feed(command "MULTI" .. command("INCR", "a") .. command "DISCARD"))
  end)

  it("knows no script before it was given one", function()
    assert.matches("^%-NOSCRIPT", connection({}):feed(command("EVALSHA", "x", "0")))
  end)

  it("says what has no answer, and what is no command", function()
    kit.refuses("the plugin sends GET k to Redis", function() connection {}:feed(command("GET", "k")) end)
    kit.refuses('expected a command of Redis, found "GET / HTTP"', function() connection {}:feed "GET / HTTP" end)
  end)
end)
