--- The test kit: what upstreams say.
local fake = require "tidegate.spec"
local kit = require "support.kit"

local function ask(upstream, request)
  request = request or {}
  request.upstream = upstream
  return fake.request(request):through(kit.instance "request()")
end

describe("an upstream", function()
  it("echoes where nothing is said", function()
    local out = ask(nil, { method = "POST", body = "abc", headers = { ["content-type"] = "a/b" } })
    assert.equal("abc", out.body)
    assert.equal("a/b", out.headers["content-type"])
  end)

  it("answers with a text, a status, a table, or what a function gives", function()
    assert.equal("text", ask("text").body)
    assert.equal(404, ask(404).status)
    local out = ask { status = 201, reason = "Made", headers = { { "x-a", "1" }, { "x-a", "2" } }, json = { 1 } }
    assert.equal("201 Made", out.status .. " " .. out.reason)
    assert.same({ "1", "2" }, out:all "X-A")
    assert.same({ 1 }, out:json())
    assert.equal("POST", ask(function(request) return request.method end, { method = "POST" }).body)
  end)

  it("may take its time, which passes at once", function()
    local out = ask { delay = 7.5, body = "late" }
    assert.equal("late", out.body)
    assert.equal(7.5, out.took)
  end)

  it("may never answer", function()
    local out = ask { never = true }
    assert.equal(504, out.status)
    assert.equal(30, out.took)
  end)

  it("may send interim responses first", function()
    local out = ask { interims = { { status = 103, headers = { link = "</a>" } } }, body = "then" }
    assert.equal("</a>", out.interims[1].headers.link)
    assert.equal("then", out.body)
  end)

  it("may refuse, break off, or talk nonsense", function()
    for _, answer in ipairs { { refuse = true }, { reset = true }, { raw = "what?\r\n\r\n" } } do
      assert.equal(502, ask(answer).status)
    end
    local out = ask { body = "0123456789", cut = 5 }
    assert.equal("01234", out.body)
    assert.is_true(out.cut)
    assert.equal("to the end", ask({ close = true, body = { "to", " the end" } }).body)
  end)

  it("has all that it got, one after the other", function()
    local out = ask { reset = true }
    assert.equal(2, #out.upstreams)
    assert.equal(out.upstreams[2], out.upstream)
    assert.equal("upstream", out.upstream.service)
  end)

  it("can be one of several services", function()
    local probe = kit.instance "request(req) req:set_service(req:header 'x-to')"
    local services = { a_b = "from a", other = function(request) return "from " .. request.service end }
    for to, body in pairs { a_b = "from a", other = "from other" } do
      local out = fake.request { headers = { ["x-to"] = to }, services = services }:through(probe)
      assert.equal(body, out.body)
      assert.equal(to, out.upstream.service)
    end
  end)

  it("lets the spec's own errors through", function()
    local failure = { "a table" }
    local good, why = pcall(ask, function() error(failure) end)
    assert.is_false(good)
    assert.equal(failure, why)
    assert.equal(200, ask("then").status)
  end)

  local wrong = {
    { "upstream upstream: expected an answer (a table, a text or a status), found nil", function() end },
    { "upstream upstream: an answer has no staus", { staus = 200 } },
    { "upstream upstream: status: expected a number, found a string", { status = "200" } },
  }
  for _, row in ipairs(wrong) do
    it("refuses: " .. row[1], function() kit.refuses(row[1], ask, row[2]) end)
  end

  it("cannot send a request itself", function()
    local other = kit.instance "request()"
    kit.refuses("a request is under way", ask, function() return fake.request {}:through(other).status end)
  end)
end)
