--- The test kit: bodies in pieces of any size, and what that must not change.
local fake = require "tidegate.spec"
local kit = require "support.kit"
local tide = require "tidegate"

describe("a body", function()
  it("comes as it is fed", function()
    local counts = kit.instance "request_body(chunk, last, req) req.ctx.n = (req.ctx.n or 0) + 1 return chunk"
    local large, singly = 2 * 2048 + 10 * 1021, 2 * 2048
    local rows = { { "whole", 10, 1 }, { "bytes", 10, 10 }, { 3, 10, 4 }, { "bytes", large, singly + 10 } }
    for _, row in ipairs(rows) do
      local feed, size, chunks = unpack(row)
      local out = fake.request { method = "POST", body = ("x"):rep(size), feed = feed }:through(counts)
      assert.equal(chunks, out.ctx.n)
      assert.equal(size, #out.upstream.body)
    end
  end)

  local wrong = {
    { "response_body(chunk) return (chunk:gsub('ab', 'X'))",
      [[the response's body differs from byte 2 on: whole "1X2" (3 bytes), byte by byte "1ab2" (4 bytes)]] },
    { "request_body(chunk) return #chunk .. ''",
      [[differs from byte 1 on: whole "4" (1 bytes), byte by byte "1111" (4 bytes)]] },
    { "response_body(chunk) if #chunk == 1 then error 'too short' end", "the error differs from byte 1 on" },
    { "request_body(chunk) tide.http.get 'http://a.test/'", "the plugins make more requests: GET http://a.test/" },
    { "request_body(chunk) tide.redis.new {}:incr(chunk)", "the plugins send Redis another command: INCR 1" },
  }
  for _, row in ipairs(wrong) do
    it("must come out the same byte by byte: " .. row[1], function()
      fake.http(function() return "" end)
      fake.redis { INCR = 1 }
      local probe = kit.instance(row[1])
      local request = fake.request { method = "POST", body = "1ab2", upstream = "1ab2" }
      kit.refuses(row[2], function() request:through(probe) end)
    end)
  end

  it("is fed once where the spec says how", function()
    local probe = kit.instance "response_body(chunk) return (chunk:gsub('ab', 'X'))"
    assert.equal("1X2", fake.request { upstream = "1ab2", feed = "whole" }:through(probe).body)
  end)

  it("is fed twice where the upstream refuses", function()
    local probe = kit.instance("failure(err, req) return req:reply(520, err.reason)",
                               "response_body(chunk) return chunk:upper()")
    assert.equal("UPSTREAM REFUSED THE CONNECTION", fake.request { upstream = { refuse = true } }:through(probe).body)
  end)

  it("is fed twice without the spec's functions being called twice", function()
    local asked = { upstreams = 0, calls = 0, commands = 0 }
    local function note(what)
      asked[what] = asked[what] + 1
      return asked[what]
    end
    fake.http(function() return "h" .. note "calls" end)
    fake.redis { INCR = function() return note "commands" end }
    local probe = kit.instance([[request(req)
      req.ctx.tail = tide.http.get "http://a.test/".body .. tide.redis.new { host = "r.test" }:incr "k" ..
                     tide.shared "kit":incr "n" .. tide.now()]],
      "response_body(chunk, last, _, req) return last and chunk .. req.ctx.tail or chunk")
    local request = fake.request { upstream = function() return "u" .. note "upstreams" end }
    fake.clock:set(1e9)
    assert.equal("u1h1111000000000", request:through(probe).body)
    assert.same({ upstreams = 1, calls = 1, commands = 1 }, asked)
    assert.equal(1, tide.shared "kit":get "n")
    assert.equal("u2h2221000000000", request:through(probe).body)
  end)
end)
