--- A node that takes long to be reached is not waited for alone: another one is tried beside it (RFC 8305) [T65 T66].
local black_hole = require "support.black_hole"
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local leftovers = require "support.leftovers"
local upstream = require "support.upstream"

local request = client.request

local DELAY = 0.25                      -- of timeouts.connect_delay, where nothing else is said
local SLACK = gateway.sanitized and 0.9 or 0.5

describe("a connect that takes long", function()
  local gw, open

  before_each(function() open = {} end)

  after_each(function()
    if gw then
      leftovers.wait_none(gw)
      gw:stop()
    end
    gw = nil
    for _, thing in ipairs(open) do (thing.stop or thing.close)(thing) end
  end)

  local function keep(thing)
    open[#open + 1] = thing
    return thing
  end

  local function hole(o) return keep(black_hole.open(o)) end
  local function good(o) return keep(upstream.by_path({ default = upstream.echo }, o)) end

  --- A service with these nodes, each on new connections where nothing else is said, and further keys.
  local function start(nodes, more, resolver)
    local words = {}
    for i, node in ipairs(nodes) do words[i] = ("%q"):format(node.node or node) end
    if not (more or ""):find "pool:" then more = (more or "") .. ", pool: { idle_per_node: 0 }" end
    gw = gateway.start(([[
gateway: { threads: 1, grace: 1s, %s }
services: { app: { nodes: [%s], %s } }
routes: [{ path: "/*", service: app }, { path: "/brief", service: app, timeout: 400ms }]
]]):format(resolver or "", table.concat(words, ", "), more:gsub("^, ", "")))
  end

  --- @treturn table the response
  -- @treturn number seconds until it was there
  local function ask(r)
    local began = clock.now()
    local response = assert(client.ask(gw:port(), request(r or {}), { timeout = 10 }))
    return response, clock.now() - began
  end

  --- The longest of so many requests that are all answered with 200: each node is the first to be asked.
  local function longest_of(n, r)
    local longest = 0
    for _ = 1, n do
      local response, took = ask(r)
      assert.equal(200, response.status)
      longest = math.max(longest, took)
    end
    return longest
  end

  local function races() return leftovers.status(gw).upstream_races end
  local function is_about(seconds, took) assert.is_true(took >= seconds - 0.02 and took < seconds + SLACK, took) end

  local requests = {
    { "GET", {} },
    { "POST with a body", { method = "POST", body = ("0123456789"):rep(3000) } },
    { "POST in chunks", { method = "POST", headers = { "Transfer-Encoding: chunked" } },
      client.chunked { "ab", "cd" } },
  }
  for _, row in ipairs(requests) do
    it("costs a " .. row[1] .. " the delay, and not the time-out", function()
      start { hole(), good() }
      local longest = 0
      for _ = 1, 2 do
        local began = clock.now()
        local response = assert(client.ask(gw:port(), request(row[2]) .. (row[3] or "")))
        longest = math.max(longest, clock.now() - began)
        assert.equal(200, response.status)
        local body = row[2].body or row[3] and "abcd" or ""
        assert.equal(body, response.body:sub(#response.body - #body + 1))
        assert.truthy(response.body:find("^" .. (row[2].method or "GET") .. " "))
      end
      is_about(DELAY, longest)
      local status = leftovers.status(gw)
      assert.truthy(status.upstream_races >= 1 and status.upstream_races <= 2)
      assert.same({ 0, 0 }, { status.upstream_retries, status.upstream_failures })
    end)
  end

  it("is waited for as long as the configuration says", function()
    start({ hole(), good() }, "timeouts: { connect_delay: 600ms }")
    is_about(0.6, longest_of(2))
  end)

  it("is waited for alone where the delay is 0", function()
    start({ hole(), good() }, "timeouts: { connect: 700ms, connect_delay: 0 }")
    is_about(0.7, longest_of(2))
    assert.equal(0, races())
  end)

  it("is left for an idle connection of another node", function()
    start({ hole(), good() }, "pool: { idle: 2s }")
    is_about(DELAY, longest_of(4))
    assert.equal(1, open[2]:connections())
    assert.truthy(leftovers.status(gw).upstream_reused >= 1)
  end)

  it("is given up in the end, where the other node says nothing either", function()
    start({ hole(), hole() }, "timeouts: { connect: 600ms }")
    local response, took = ask()
    assert.equal(504, response.status)
    is_about(0.6 + DELAY, took)
    local status = leftovers.status(gw)
    assert.same({ 1, 2, 2 }, { status.upstream_races, status.upstream_tries, status.upstream_failures })
  end)

  it("ends with the client", function()
    start { hole(), hole() }
    local c = client.connect(gw:port())
    c:send(request {})
    clock.wait_until(function() return races() == 1 end)
    c:reset()
  end)

  it("ends with the time of the route", function()
    start { hole(), hole() }
    local response, took = ask { target = "/brief" }
    assert.equal(504, response.status)
    is_about(0.4, took)
  end)
end)
