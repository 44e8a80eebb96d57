--- What the machine lacks is no fault of the nodes: a gateway without a free socket blames none of them.
local client = require "support.client"
local clock = require "support.clock"
local ffi = require "ffi"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

ffi.cdef [[
  struct spec_limit { uint64_t now, most; };
  int prlimit(int pid, int what, const struct spec_limit *new_limit, struct spec_limit *old_limit);
]]

local RLIMIT_NOFILE = 7

--- How many descriptors a process may have from now on; what it has stays.
local function limit(pid, files)
  local l = ffi.new "struct spec_limit"
  assert(ffi.C.prlimit(pid, RLIMIT_NOFILE, nil, l) == 0)
  l.now = files
  assert(ffi.C.prlimit(pid, RLIMIT_NOFILE, l, nil) == 0)
end

describe("a gateway that has no more sockets", function()
  it("answers 503, and finds all nodes healthy when there are some again", function()
    local up = upstream.by_path { default = upstream.echo }
    local gw = gateway.start(([[
services:
  app:
    nodes: ["%s"]
    pool: { idle_per_node: 0 }
    health_check:
      panic: fail
      active: { path: /, interval: 100ms, timeout: 5s, unhealthy: 1 }
      passive: { failures: 1, eject: 1h, max_ejected: 100%% }
routes: [{ path: "/*", service: app }]
]]):format(up.node))
    local c = client.connect(gw:port())
    local function ask()
      c:send(client.request {})
      return assert(c:response())
    end
    assert.equal(200, ask().status)
    limit(gw:worker_pid(), 3)
    local ends = clock.now() + 0.5
    clock.wait_until(function()
      local res = ask()
      assert.equal(503, res.status)
      assert.matches("gateway is full", res.body)
      return clock.now() > ends
    end, 5)
    gw:wait_log 'the gateway has no more sockets why="Too many open files" node='
    limit(gw:worker_pid(), 1024)
    assert.equal(200, ask().status)
    assert.is_nil(gw:log():find("node is", 1, true))
    c:close()
    gw:stop()
    up:stop()
  end)
end)
