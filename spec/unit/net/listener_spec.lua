--- What sockets are set to before they listen. A gateway with real traffic on them is the business of spec/e2e.
local core = require "support.core"
local ffi = require "ffi"
local unistd = require "posix.unistd"
local C = core.C

ffi.cdef [[ int getsockopt(int fd, int level, int name, void *value, socklen_t *len); ]]

local IPPROTO_TCP, TCP_CONGESTION = 6, 13

local function bound(where)
  local a, fds, why = ffi.new "struct addr", ffi.new "int[1]", ffi.new "char[200]"
  assert(C.addr_parse(core.guarded(where), a))
  assert.equal(1, C.listener_bind(a, 1, fds, why, 200), ffi.string(why))
  return fds[0]
end

local function congestion_control(fd)
  local name, len = ffi.new "char[16]", ffi.new("socklen_t[1]", 16)
  assert.equal(0, ffi.C.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, len))
  return ffi.string(name)
end

describe("a listening socket", function()
  local cases = {
    { "127.0.0.1:0",   true },  { "127.1.2.3:0", true }, { "[::1]:0", true },
    { "0.0.0.0:0",     false }, { "[::]:0", false },
  }
  for _, case in ipairs(cases) do
    local where, is_loopback = case[1], case[2]
    it(("at %s has %s congestion control"):format(where, is_loopback and "a simple" or "the machine's"), function()
      local fd = bound(where)
      local file = assert(io.open "/proc/sys/net/ipv4/tcp_congestion_control")
      local machine = file:read "*l"
      file:close()
      assert.equal(is_loopback and "reno" or machine, congestion_control(fd))
      unistd.close(fd)
    end)
  end
end)
