--- Sockets of this machine for a spec that talks to a gateway process: non-blocking TCP on the loopback, and poll.
local ffi = require "ffi"

-- Declared once per process, even where busted loads the module again.
pcall(ffi.cdef, [[
  struct spec_address { uint16_t family; uint8_t port[2]; uint8_t ip[4]; uint8_t zero[8]; };
  struct spec_poll { int fd; short events; short revents; };
  int spec_socket(int family, int type, int protocol) __asm__("socket");
  int spec_bind(int fd, const struct spec_address *to, uint32_t len) __asm__("bind");
  int spec_connect(int fd, const struct spec_address *to, uint32_t len) __asm__("connect");
  int spec_listen(int fd, int backlog) __asm__("listen");
  int spec_accept(int fd, void *from, uint32_t *len, int flags) __asm__("accept4");
  int spec_name(int fd, struct spec_address *out, uint32_t *len) __asm__("getsockname");
  int spec_option(int fd, int level, int name, const void *value, uint32_t len) __asm__("setsockopt");
  intptr_t spec_send(int fd, const char *at, size_t len, int flags) __asm__("send");
  intptr_t spec_receive(int fd, char *at, size_t len, int flags) __asm__("recv");
  int spec_shut(int fd, int how) __asm__("shutdown");
  int spec_close(int fd) __asm__("close");
  int spec_wait(struct spec_poll *at, unsigned long count, int ms) __asm__("poll");
  char *spec_words(int code) __asm__("strerror");
]])

local C = ffi.C
local sockets = {}

local AF_INET, SOCK_STREAM, NONBLOCK, CLOEXEC = 2, 1, 0x800, 0x80000
local SOL_SOCKET, SO_REUSEADDR, SO_LINGER, TCP, TCP_NODELAY = 1, 2, 13, 6, 1
local SHUT_WR, NOSIGNAL = 1, 0x4000
local IN, OUT, ERR, HUP = 1, 4, 8, 16
local EINTR, EAGAIN, EINPROGRESS = 4, 11, 115
local BUFFER = 64 * 1024

local buffer = ffi.new("char[?]", BUFFER)
local one = ffi.new("int[1]", 1)

local function why() return ffi.string(C.spec_words(ffi.errno())) end

local function address(port)
  local at = ffi.new("struct spec_address", { AF_INET, { math.floor(port / 256), port % 256 }, { 127, 0, 0, 1 } })
  return at, ffi.sizeof(at)
end

local function new_socket()
  local fd = C.spec_socket(AF_INET, SOCK_STREAM + NONBLOCK + CLOEXEC, 0)
  if fd < 0 then error("a socket cannot be made: " .. why(), 0) end
  return fd
end

--- A listening socket on a free port of the loopback.
-- @treturn number descriptor
-- @treturn number port
function sockets.listen()
  local fd = new_socket()
  C.spec_option(fd, SOL_SOCKET, SO_REUSEADDR, one, 4)
  local at, len = address(0)
  if C.spec_bind(fd, at, len) < 0 or C.spec_listen(fd, 128) < 0 then error("cannot listen: " .. why(), 0) end
  local size = ffi.new("uint32_t[1]", len)
  C.spec_name(fd, at, size)
  return fd, at.port[0] * 256 + at.port[1]
end

--- A port that nobody listens on now.
function sockets.free_port()
  local fd, port = sockets.listen()
  C.spec_close(fd)
  return port
end

--- The next connection; nil where none waits.
function sockets.accept(fd)
  local new = C.spec_accept(fd, nil, nil, NONBLOCK + CLOEXEC)
  return new >= 0 and new or nil
end

function sockets.connect(port)
  local fd = new_socket()
  local at, len = address(port)
  if C.spec_connect(fd, at, len) < 0 and ffi.errno() ~= EINPROGRESS then
    local reason = why()
    C.spec_close(fd)
    error(("cannot connect to port %d: %s"):format(port, reason), 0)
  end
  C.spec_option(fd, TCP, TCP_NODELAY, one, 4)
  return fd
end

--- Sends what fits.
-- @treturn number of bytes; -1 where the connection is gone
function sockets.send(fd, bytes)
  local n = C.spec_send(fd, bytes, #bytes, NOSIGNAL)
  if n >= 0 then return tonumber(n) end
  local code = ffi.errno()
  return (code == EAGAIN or code == EINTR) and 0 or -1
end

--- Receives what there is.
-- @treturn ?string nil where nothing is there, "" at the end, false where the connection was reset
function sockets.receive(fd)
  local n = C.spec_receive(fd, buffer, BUFFER, 0)
  if n >= 0 then return ffi.string(buffer, n) end
  local code = ffi.errno()
  if code == EAGAIN or code == EINTR then return nil end
  return false
end

--- Says that nothing more will be sent.
function sockets.shut(fd) C.spec_shut(fd, SHUT_WR) end
function sockets.close(fd) C.spec_close(fd) end

--- Closes so that the peer sees a reset.
function sockets.reset(fd)
  C.spec_option(fd, SOL_SOCKET, SO_LINGER, ffi.new("int[2]", 1, 0), 8)
  C.spec_close(fd)
end

--- Waits until one of some descriptors is ready.
-- @tparam {{fd,boolean},...} list descriptors, and whether they have something to send
-- @tparam number seconds at most
-- @treturn table set of the descriptors that are ready
function sockets.wait(list, seconds)
  local polled = ffi.new("struct spec_poll[?]", math.max(1, #list))
  for i, one_of in ipairs(list) do
    polled[i - 1].fd, polled[i - 1].events = one_of[1], one_of[2] and IN + OUT or IN
  end
  local n = C.spec_wait(polled, #list, math.ceil(seconds * 1e3))
  local ready = {}
  for i = 0, n > 0 and #list - 1 or -1 do
    if bit.band(polled[i].revents, IN + OUT + ERR + HUP) ~= 0 then ready[polled[i].fd] = true end
  end
  return ready
end

return sockets
