--- Names of several addresses in plugins: none is waited for alone (RFC 8305).
local addresses = require "support.addresses"
local black_hole = require "support.black_hole"
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local leftovers = require "support.leftovers"
local upstream = require "support.upstream"

local DELAY = 0.25
local SLACK = 0.24              -- so it can be seen whose turn it was
local LIMIT = 3                 -- seconds that a connect may take

-- A good node is at 127.0.0.1 and at ::1, nobody at 127.0.0.1x, and at 127.0.0.2x and further there are black holes.
local NAMES = {
  ["good.test"] = { "127.0.0.1" },
  ["hole-first.test"] = { "127.0.0.21", "127.0.0.1" },
  ["six-first.test"] = { "::1", "127.0.0.21" },
  ["four-first.test"] = { "127.0.0.21", "127.0.0.22", "127.0.0.23", "::1" },
  ["third.test"] = { "127.0.0.21", "127.0.0.22", "127.0.0.1" },
  ["refused-first.test"] = { "127.0.0.11", "127.0.0.1" },
  ["refused-second.test"] = { "127.0.0.21", "127.0.0.11", "127.0.0.1" },
  ["last.test"] = { "127.0.0.21", "127.0.0.22", "127.0.0.23", "127.0.0.24", "127.0.0.25", "127.0.0.26", "127.0.0.27",
                    "127.0.0.1" },
  ["refused.test"] = { "127.0.0.11", "127.0.0.12", "127.0.0.13" },
  ["holes.test"] = { "127.0.0.21", "127.0.0.22" },
  ["hole-and-refused.test"] = { "127.0.0.21", "127.0.0.11" },
}

-- An address that has failed comes last for a while, under that name: further names of the same addresses.
local NUMBERED = {}
local function numbered(way, i, name) return ("%s%d-%s"):format((way:gsub("_", "-")), i, name) end
for name, list in pairs(NAMES) do
  NUMBERED[name] = list
  for i = 1, 5 do NUMBERED[numbered("set_node", i, name)], NUMBERED[numbered("http", i, name)] = list, list end
end

local PLUGIN = [[
--- Goes where a request says, in the way that it says.
local Go = { version = "1.0.0", description = "Goes where a request says.", band = "filter" }
Go.__index = Go
function Go.new() return setmetatable({}, Go) end

local ways = {}

function ways.socket(_, host, port, limit)
  local s, why = tide.socket.connect { host = host, port = port, connect_timeout = limit, timeout = 10 }
  if not s then return why end
  s:send "you\r\n"
  local said = s:receive "line"
  s:close()
  return said
end

function ways.set_node(req, host, port)
  req:set_node(("http://%s:%d"):format(host, port))
end

function ways.http(_, host, port, limit)
  local res, why = tide.http.get(("http://%s:%d/"):format(host, port), { connect_timeout = limit })
  return res and res.body or why
end

function Go:request(req)
  local way, host, port, limit = req:header("x-go"):match "^(%S+) (%S+) (%d+) (%S+)$"
  local said = ways[way](req, host, tonumber(port), tonumber(limit))
  if said then return req:reply(200, said) end
end
return Go
]]

local CONFIG = [[
plugins: [go]
routes: [{ path: "/*", respond: { status: 404 } }]
]]

describe("a name with several addresses", function()
  local gw, up, things, usual

  setup(function()
    things = {}
    local function answer(conn)
      local line = conn.reader:line(30)
      if line == "you" then return conn:send "hello you\n" and conn:wait_end() end
      while line and line ~= "" do line = conn.reader:line(30) end
      if line then conn:respond(200, "hello you", "Connection: close\r\n") end
    end
    up = upstream.start(answer)
    things[1], things[2] = up, upstream.start(answer, { address = "::1", port = up.port })
    for i = 21, 27 do things[#things + 1] = black_hole.open { address = "127.0.0." .. i, port = up.port } end
    gw = gateway.start(CONFIG, { plugins = { go = PLUGIN }, environment = addresses.environment(NUMBERED) })
  end)

  teardown(function()
    gw:stop()
    for _, thing in ipairs(things) do (thing.stop or thing.close)(thing) end
  end)

  local function going(way, name, limit)
    return client.request { headers = { ("X-Go: %s %s %d %g"):format(way, name, up.port, limit or LIMIT) } }
  end

  --- What came of it, and after how many seconds.
  local function go(way, name, limit)
    local began = clock.now()
    local response = assert(client.ask(gw:port(), going(way, name, limit), { timeout = 20 }))
    return response.body, clock.now() - began
  end

  --- All sockets are closed again, the losers' too.
  local function sockets_of_worker()
    local found = 0
    local list = assert(io.popen(("ls -l /proc/%d/fd 2>/dev/null"):format(gw:worker_pid())))
    for line in list:lines() do found = found + (line:find "socket:" and 1 or 0) end
    list:close()
    return found
  end

  setup(function()
    for _, way in ipairs { "socket", "set_node", "http" } do assert.equal("hello you", (go(way, "good.test"))) end
    leftovers.wait_none(gw)
    usual = sockets_of_worker()
  end)

  local function is_so(way, row)
    local said, took
    for i = 1, 4 do                     -- a busy machine may take its time
      said, took = go(way, way == "socket" and row[2] or numbered(way, i, row[2]), row.limit)
      assert.truthy(said:find(row[3], 1, true), said)
      assert.is_true(took >= row[4] - 0.05, took)
      if took < row[4] + SLACK then break end
    end
    assert.is_true(took < row[4] + SLACK, took)
    clock.wait_until(function() return sockets_of_worker() == usual end, 5, "all sockets to be closed")
  end

  describe("in tide.socket.connect", function()
    local rows = {
      { "leads to the only one", "good.test", "hello you", 0 },
      { "leads to the second where the first says nothing", "hole-first.test", "hello you", DELAY },
      { "leads to the first where that is good", "six-first.test", "hello you", 0 },
      { "leads to the other family in its turn", "four-first.test", "hello you", DELAY },
      { "leads to the third where two say nothing", "third.test", "hello you", 2 * DELAY },
      { "leads to the second at once where the first refuses", "refused-first.test", "hello you", 0 },
      { "leads to the third at once where the second refuses", "refused-second.test", "hello you", DELAY },
      { "leads to the last of eight", "last.test", "hello you", 7 * DELAY },
      { "leads to the last of eight in a shorter time, too", "last.test", "hello you", 0.7, limit = 0.8 },
      { "says that all refuse", "refused.test", "refused", 0 },
      { "is given up when the time is over", "holes.test", "timeout", 0.6, limit = 0.6 },
      { "is given up where the one that is left says nothing", "hole-and-refused.test", "timeout", 0.6, limit = 0.6 },
    }
    for _, row in ipairs(rows) do
      it(row[1], function() is_so("socket", row) end)
    end

    it("is given up with its request", function()
      local c = client.connect(gw:port())
      c:send(going("socket", "last.test", 30))
      clock.wait_until(function() return sockets_of_worker() >= usual + 3 end, 5, "three connects at a time")
      c:reset()
      clock.wait_until(function() return sockets_of_worker() == usual end, 5, "all sockets to be closed")
    end)
  end)

  for _, way in ipairs { "set_node", "http" } do
    describe(way == "http" and "in tide.http" or "in req:set_node", function()
      local rows = {
        { "leads to the only one", "good.test", "hello you", 0 },
        { "leads to the second where the first says nothing", "hole-first.test", "hello you", DELAY },
        { "leads to the other family in its turn", "four-first.test", "hello you", DELAY },
        { "leads to the second at once where the first refuses", "refused-first.test", "hello you", 0 },
        { "leads to the third after a while where the second refuses", "refused-second.test", "hello you", 2 * DELAY },
        { "says that all refuse", "refused.test", "refused", 0 },
        { "is given up in the end", "holes.test", way == "http" and "timeout" or "connect timed out", 2 + DELAY,
          limit = 2 },
      }
      for _, row in ipairs(rows) do
        it(row[1], function() is_so(way, row) end)
      end

      it("leads straight to the good one the next time", function()
        local name = numbered(way, 5, "hole-first.test")
        local said, took = go(way, name)
        assert.truthy(said == "hello you" and took > DELAY - 0.05, took)
        said, took = go(way, name)
        assert.truthy(said == "hello you" and took < DELAY, took)
      end)
    end)
  end

  it("is given up with its request in tide.http, too", function()
    local c = client.connect(gw:port())
    c:send(going("http", "holes.test", 30))
    clock.wait_until(function() return sockets_of_worker() >= usual + 3 end, 5, "two connects at a time")
    c:reset()
    clock.wait_until(function() return sockets_of_worker() == usual end, 5, "all sockets to be closed")
  end)
end)
