--- The test kit: time.
local fake = require "tidegate.spec"
local kit = require "support.kit"
local tide = require "tidegate"

describe("fake.clock", function()
  it("stands still", function()
    local now = fake.clock:now()
    assert.is_true(math.abs(now - os.time()) < 3)
    assert.equal(now, tide.now())
    assert.equal(tide.monotonic(), tide.monotonic())
  end)

  it("passes while plugins sleep", function()
    local before = fake.clock:now()
    local out = fake.request {}:through(kit.instance "request() tide.sleep(3599)")
    assert.equal(200, out.status)
    assert.equal(3599, out.took)
    assert.equal(3599, fake.clock:now() - before)
  end)

  it("lets timers run", function()
    local ticks = "request() tide.timer.every(10, function() tide.log.info('tick', { at = tide.monotonic() }) end)"
    fake.request {}:through(kit.instance(ticks))
    assert.equal(0, #fake.clock:advance(9.5).log)
    assert.equal(1, #fake.clock:advance(0.5).log)
    assert.equal(6, #fake.clock:advance(60).log)
  end)

  it("lets work in the background go on", function()
    fake.http { delay = 4, body = "pong" }
    local asks = "request() tide.spawn(function() tide.log.info(tide.http.get('http://a.test/').body) end)"
    local out = fake.request {}:through(kit.instance(asks))
    assert.equal(1, #out.calls)
    assert.equal(0, #out.log)
    assert.equal("pong", fake.clock:advance(4).log[1].message)
  end)

  it("ends what dictionaries hold for a time", function()
    local counts = kit.instance "request(req) return req:reply(200, tostring(tide.shared 'kit':incr('n', 1, 0, 60)))"
    assert.equal("1", fake.request {}:through(counts).body)
    assert.equal("2", fake.request {}:through(counts).body)
    fake.clock:advance(61)
    assert.equal("1", fake.request {}:through(counts).body)
  end)

  it("begins with empty dictionaries in each test", function() assert.is_nil(tide.shared "kit":get "n") end)

  it("can be set", function()
    fake.clock:set(1e9)
    local out = fake.request {}:through(kit.instance "response(res) res:set_header('x-now', tide.now())")
    assert.equal("1000000000", out.headers["x-now"])
    assert.equal("Sun, 09 Sep 2001 01:46:40 GMT", out.headers.date)
  end)

  it("does not go back", function()
    kit.refuses("clock:advance: expected seconds, found -1", fake.clock.advance, fake.clock, -1)
  end)

  it("goes on by itself after the test", function() assert.is_true(math.abs(tide.now() - os.time()) < 3) end)
end)
