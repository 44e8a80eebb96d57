--- tide.socket with names of several addresses: none is waited for alone (RFC 8305).
local addresses = require "support.addresses"
local black_hole = require "support.black_hole"
local clock = require "support.clock"
local leftovers = require "support.leftovers"
local probe = require "support.probe"
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

describe("tide.socket.connect to a name with several addresses", function()
  local gw, up, things, usual

  setup(function()
    things = {}
    local function answer(conn)
      local line = conn.reader:line(30)
      if line then conn:send("hello " .. line .. "\n") end
      conn:wait_end()
    end
    up = upstream.start(answer)
    things[1], things[2] = up, upstream.start(answer, { address = "::1", port = up.port })
    for i = 21, 27 do things[#things + 1] = black_hole.open { address = "127.0.0." .. i, port = up.port } end
    gw = probe.start(nil, nil, nil, addresses.environment(NAMES))
  end)

  teardown(function()
    gw:stop()
    for _, thing in ipairs(things) do (thing.stop or thing.close)(thing) end
  end)

  local CODE = [[
local began = tide.now()
local s, why = tide.socket.connect { host = "%s", port = %d, connect_timeout = %g, timeout = 10 }
local took = tide.now() - began
if not s then return why, took end
s:send "you\r\n"
local said = s:receive "line"
s:close()
return said, took
]]

  --- What came of it, and after how many seconds.
  local function connect(name, limit)
    local text = probe.run(gw, CODE:format(name, up.port, limit or LIMIT))
    local said, took = text:match "^(.*) | ([%d.e-]+)$"
    return said, tonumber(took)
  end

  --- All sockets are closed again, the losers' too.
  local function sockets_of_worker()
    local found = 0
    local list = assert(io.popen(("ls -l /proc/%d/fd"):format(gw:worker_pid())))
    for line in list:lines() do found = found + (line:find "socket:" and 1 or 0) end
    list:close()
    return found
  end

  setup(function()
    connect "good.test"
    leftovers.wait_none(gw)
    usual = sockets_of_worker()
  end)

  local rows = {
    { "takes the only one", "good.test", "hello you", 0 },
    { "takes the second where the first says nothing", "hole-first.test", "hello you", DELAY },
    { "takes the first where that is good", "six-first.test", "hello you", 0 },
    { "takes the other family in its turn", "four-first.test", "hello you", DELAY },
    { "takes the third where two say nothing", "third.test", "hello you", 2 * DELAY },
    { "takes the second at once where the first refuses", "refused-first.test", "hello you", 0 },
    { "takes the third at once where the second refuses", "refused-second.test", "hello you", DELAY },
    { "takes the last of eight", "last.test", "hello you", 7 * DELAY },
    { "takes the last of eight in a shorter time, too", "last.test", "hello you", 0.7, limit = 0.8 },
    { "says that all refuse", "refused.test", "refused", 0 },
    { "gives up when the time is over", "holes.test", "timeout", 0.6, limit = 0.6 },
    { "gives up where the one that is left says nothing", "hole-and-refused.test", "timeout", 0.6, limit = 0.6 },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      local said, took
      for _ = 1, 4 do                   -- a busy machine may take its time
        said, took = connect(row[2], row.limit)
        assert.equal(row[3], said)
        assert.is_true(took >= row[4] - 0.05, took)
        if took < row[4] + SLACK then break end
      end
      assert.is_true(took < row[4] + SLACK, took)
      clock.wait_until(function() return sockets_of_worker() == usual end, 5, "all sockets to be closed")
    end)
  end

  it("ends with its request", function()
    local c = probe.begin(gw, CODE:format("last.test", up.port, 30))
    clock.wait_until(function() return sockets_of_worker() >= usual + 3 end, 5, "three connects at a time")
    c:reset()
    clock.wait_until(function() return sockets_of_worker() == usual end, 5, "all sockets to be closed")
    assert.equal("hello you", (connect "good.test"))
  end)
end)
