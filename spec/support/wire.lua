--- Sockets as specs need them: raw, with a deadline on everything, and an end that says whether it was clean.
-- Reasons for "no": "eof" (closed cleanly), "reset", "timeout", or the system's words.
local clock = require "support.clock"
local errno = require "posix.errno"
local fcntl = require "posix.fcntl"
local ffi = require "ffi"
local poll = require "posix.poll"
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"

ffi.cdef "int getsockname(int fd, void *address, uint32_t *len);"

local wire = {}
local TCP_NODELAY = socket.TCP_NODELAY

local function set_nonblocking(fd)
  assert(fcntl.fcntl(fd, fcntl.F_SETFL, bit.bor(fcntl.fcntl(fd, fcntl.F_GETFL), fcntl.O_NONBLOCK)))
  return fd
end

local function reason_of(number, text)
  if number == errno.ECONNRESET or number == errno.EPIPE then return "reset" end
  return text
end

--- True when the descriptor is ready before the deadline.
function wire.ready(fd, event, deadline)
  local fds = { [fd] = { events = { [event] = true } } }
  repeat
    local n = poll.poll(fds, clock.left(deadline))
    if n and n > 0 then return true end
  until clock.now() >= deadline
  return false
end

local function family_of(address) return address:find(":", 1, true) and socket.AF_INET6 or socket.AF_INET end

--- A socket that has a port: nobody else gets it, and who connects to it is refused.
-- @tparam table o as for wire.listen
-- @treturn number descriptor
-- @treturn number|string port or path
function wire.bind(o)
  local address = o.address or "127.0.0.1"
  local fd = assert(socket.socket(o.unix and socket.AF_UNIX or family_of(address), socket.SOCK_STREAM, 0))
  if o.receive_buffer then
    assert(socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_RCVBUF, o.receive_buffer))
  end
  if o.unix then
    assert(socket.bind(fd, { family = socket.AF_UNIX, path = o.unix }))
  else
    assert(socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1))
    assert(socket.bind(fd, { family = family_of(address), addr = address, port = o.port or 0 }))
  end
  assert(fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC))       -- no gateway is to inherit it
  return fd, o.unix or socket.getsockname(fd).port
end

--- A listening socket.
-- @tparam table o unix: path of a socket; address (127.0.0.1); port (a free one); backlog (2048); receive_buffer: bytes
-- @treturn number descriptor
-- @treturn number|string port or path
function wire.listen(o)
  local fd, place = wire.bind(o)
  assert(socket.listen(fd, o.backlog or 2048))
  return fd, place
end

--- The next connection of a listening socket; waits for it.
function wire.accept(listening)
  local fd, why, number
  repeat fd, why, number = socket.accept(listening) until fd or number ~= errno.EINTR
  if not fd then return nil, why end
  pcall(socket.setsockopt, fd, socket.IPPROTO_TCP, TCP_NODELAY, 1)     -- a unix socket has none
  return set_nonblocking(fd)
end

--- Connects to a port of this machine, or to a unix socket.
-- @tparam number|string to port or path
-- @tparam[opt] table o receive_buffer: bytes the kernel may hold for us; address (127.0.0.1)
function wire.connect(to, o)
  local is_unix, host = type(to) == "string", o and o.address or "127.0.0.1"
  local fd = assert(socket.socket(is_unix and socket.AF_UNIX or family_of(host), socket.SOCK_STREAM, 0))
  if o and o.receive_buffer then
    assert(socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_RCVBUF, o.receive_buffer))
  end
  local address = is_unix and { family = socket.AF_UNIX, path = to } or
                  { family = family_of(host), addr = host, port = to }
  local ok, why = socket.connect(fd, address)
  if not ok then
    unistd.close(fd)
    return nil, why
  end
  if not is_unix then socket.setsockopt(fd, socket.IPPROTO_TCP, TCP_NODELAY, 1) end
  return set_nonblocking(fd)
end

--- Sends all of it, or says why not and how much went.
function wire.send(fd, bytes, timeout)
  local deadline, at = clock.now() + (timeout or clock.PATIENCE), 1
  while at <= #bytes do
    local n, why, number = socket.send(fd, at == 1 and #bytes <= 65536 and bytes or bytes:sub(at, at + 65535))
    if n then
      at = at + n
    elseif number ~= errno.EAGAIN and number ~= errno.EINTR then
      return nil, reason_of(number, why), at - 1
    elseif not wire.ready(fd, "OUT", deadline) then
      return nil, "timeout", at - 1
    end
  end
  return true
end

--- Some bytes, as soon as there are any.
function wire.receive(fd, deadline)
  while true do
    local bytes, why, number = socket.recv(fd, 65536)
    if bytes and #bytes > 0 then return bytes end
    if bytes then return nil, "eof" end
    if number ~= errno.EAGAIN and number ~= errno.EINTR then return nil, reason_of(number, why) end
    if not wire.ready(fd, "IN", deadline) then return nil, "timeout" end
  end
end

--- Says that no more will be sent; what comes is still read.
function wire.shut(fd) return socket.shutdown(fd, socket.SHUT_WR) end

--- The IPv4 address that a peer has connected to. luaposix gives getsockname a length that it has not set.
function wire.reached(fd)
  local bytes, len = ffi.new "uint8_t[16]", ffi.new("uint32_t[1]", 16)
  assert(ffi.C.getsockname(fd, bytes, len) == 0)
  return ("%d.%d.%d.%d"):format(bytes[4], bytes[5], bytes[6], bytes[7])
end

--- An address and a port as a configuration has them.
function wire.node(address, port)
  return (address:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(address, port)
end

function wire.close(fd) unistd.close(fd) end

--- Closes so that the peer sees a reset.
function wire.abort(fd)
  socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_LINGER, 1, 0)
  unistd.close(fd)
end

return wire
