--- Sockets of plugins: TCP, TLS, unix and UDP. A call that has to wait lets the loop go on.
local buffer = require "string.buffer"
local ffi = require "ffi"
local C = require "tidegate.ffi"
local pool = require "tidegate.tide.socket_pool"
local target_of = require "tidegate.tide.socket_target"
local wait = require "tidegate.tide.wait"
local words = require "tidegate.tide.words"

local socket = {}

local IN, OUT = C.TIDE_SOCKET_IN, C.TIDE_SOCKET_OUT
local DONE, WAIT, MORE, FAILED = C.TIDE_SOCKET_DONE, C.TIDE_SOCKET_WAIT, C.TIDE_SOCKET_MORE, C.TIDE_SOCKET_FAILED
local LIMIT = C.TIDE_SOCKET_LIMIT

local LINE_MAX, RECEIVE_MAX, DATAGRAM_MAX = 64 * 1024, 16 * 1024 * 1024, 65535
local LARGEST = 2 ^ 31          -- that a limit may be
local TEXT_MAX = 1024           -- bytes to look for in receive_until
local KEEP_SECONDS, KEEP_SIZE = 60, 32
local CONNECT_DELAY = 0.25      -- RFC 8305 section 5

local REASONS = {
  [C.TIDE_SOCKET_GONE] = "closed",
  [C.TIDE_SOCKET_ENDED] = "closed",
  [C.TIDE_SOCKET_BROKEN] = "reset",
  [C.TIDE_SOCKET_REFUSED] = "refused",
  [C.TIDE_SOCKET_LIMIT] = "datagram too long",
}

local view = ffi.new "struct slice[1]"          -- read before anything waits
local failure = ffi.new "struct tide_error[1]"
local counter = ffi.typeof "double[1]"

local Socket = {}
Socket.__index = Socket

local Datagram = {}
Datagram.__index = Datagram

-- -- misuse --

local function must_wait(call)
  local good, where = wait.can()
  if not good then error(("%s: cannot wait %s"):format(call, where), 3) end
end

local OVER = {
  close = "the socket was closed",
  keep = "the socket was given back by keep: connect gives it again",
}
local DOING = { [IN] = "receiving from", [OUT] = "sending on" }

--- What every call on a socket begins with.
local function begin(self, call, way)
  if self.over then error(("%s: %s"):format(call, OVER[self.over]), 3) end
  local good, where = wait.can()
  if not good then error(("%s: cannot wait %s"):format(call, where), 3) end
  if C.tide_socket_is_busy(self.id, way) ~= 0 then
    error(("%s: another coroutine is %s this socket"):format(call, DOING[way]), 3)
  end
end

local function whole_number(call, name, value, least, most)
  if type(value) ~= "number" or not (value >= least and value <= most) or value % 1 ~= 0 then
    local message = "%s: %s: expected a whole number from %d to %.0f, found %s"
    error(message:format(call, name, least, most, tostring(value)), 3)
  end
  return value
end

local function seconds(call, value)
  if type(value) ~= "number" or value <= 0 or value ~= value then
    error(("%s: expected a number of seconds above 0, found %s"):format(call, tostring(value)), 3)
  end
  return value
end

-- -- waiting --

--- When a call that begins now must be over.
local function deadline_of(self, timeout)
  local due = C.tide_monotonic() + timeout
  return self.deadline and self.deadline < due and self.deadline or due
end

--- Waits for the socket.
-- @treturn number the number to come back with; 0: the time is over
local function await(self, way, due, call)
  local left = due - C.tide_monotonic()
  if left <= 0 then return 0 end
  local number = wait.begin(left, call)
  C.tide_socket_await(self.id, way, number)
  if wait.finish() then return number end
  C.tide_socket_await(self.id, way, 0)
  return 0
end

--- Notes that a call has failed, and why.
local function reason_of(self, result)
  self.broken = REASONS[result]
  return self.broken
end

-- -- connecting --

local collected = 0     -- when all that is garbage was collected last

--- Sockets that nobody holds any more are open until they are collected.
local function new_socket(target)
  local id = C.tide_socket_new(target, failure)
  if id == 0 and C.tide_monotonic() - collected > 1 then
    collected = C.tide_monotonic()
    collectgarbage()
    collectgarbage()
    id = C.tide_socket_new(target, failure)
  end
  if id == 0 then return nil, ("too many sockets: %d are open in this loop"):format(C.tide_socket_count()) end
  if id < 0 then return nil, ffi.string(failure[0].text) end
  return id
end

local function close_guarded(guard) C.tide_socket_close(guard[0]) end

--- What the pool keeps of a socket. The guard closes that of a coroutine which was cancelled, once it is garbage.
local function new_entry(id) return { id = id, guard = ffi.gc(counter(id), close_guarded), uses = 0 } end

local function wrap(class, entry, options)
  return setmetatable({
    entry = entry, id = entry.id, key = options.key,
    read_timeout = options.timeout, write_timeout = options.timeout,
  }, class)
end

--- Waits for the addresses that are being tried. Where others are left, they do not wait for these for long: for even
-- less where the time would be over before all had their turn.
local function await_address(self, due, call)
  local left, now = C.tide_socket_left(self.id), C.tide_monotonic()
  if left == 0 then return await(self, OUT, due, call) end
  local own = await(self, OUT, now + math.min(CONNECT_DELAY, (due - now) / (left + 1)), call)
  if own == 0 then C.tide_socket_hurry(self.id) end
  return own
end

local function open(self, timeout, call)
  local due, own = C.tide_monotonic() + timeout, 0
  while true do
    local result = C.tide_socket_connect(self.id, own, failure)
    if result == DONE then return true end
    if result == FAILED then return nil, ffi.string(failure[0].text) end
    if result ~= WAIT then return nil, "closed" end
    own = await_address(self, due, call)
    if own == 0 and C.tide_monotonic() >= due then
      C.tide_socket_close(self.id)
      return nil, "timeout"
    end
  end
end

local function new_connection(class, options, call)
  local id, why = new_socket(options.c)
  if not id then return nil, why end
  local self = wrap(class, new_entry(id), options)
  local good
  good, why = open(self, options.connect_timeout, call)
  if not good then return nil, why end
  return self
end

--- Connects, or takes an idle connection of the same options that `keep` has left.
-- @tparam table options host (a name or an address) and port, or unix (the path of a socket); tls: true, or a table
--   of verify (true), server_name (the host), ca (PEM file; the system's), cert and key (PEM files of a client);
--   timeout: seconds for each call (5); connect_timeout: seconds until it is open (timeout);
--   pool: only sockets kept under the same name are taken ("")
-- @treturn[1] table
-- @return[2] nil and why: "refused", "timeout", "cannot resolve ...", "unreachable: ...", "tls: ..."
function socket.connect(options)
  must_wait "socket.connect"
  local target = options
  if not target_of.is_target(options) then
    options = words.options("socket.connect", options, target_of.STREAM)
    if type(options.tls) == "table" then words.options("socket.connect: tls", options.tls, target_of.TLS) end
    local checked, wrong = target_of.stream(options)
    if not checked then error("socket.connect: " .. wrong, 2) end
    target = checked
  end
  local entry = pool.take(target.key)
  if not entry then return new_connection(Socket, target, "socket.connect") end
  return wrap(Socket, entry, target)
end

--- A socket for datagrams to and from one address. Nothing is sent: that somebody is there shows later.
-- @tparam table options host and port, or unix; timeout: seconds for each call (5)
-- @treturn[1] table
-- @return[2] nil and why
function socket.udp(options)
  must_wait "socket.udp"
  options = words.options("socket.udp", options, target_of.DATAGRAM)
  local target, wrong = target_of.datagram(options)
  if not target then error("socket.udp: " .. wrong, 2) end
  return new_connection(Datagram, target, "socket.udp")
end

-- -- sending --

local function must_be_text(call, text)
  if type(text) ~= "string" then error(("%s: expected a text, found a %s"):format(call, type(text)), 3) end
end

local function send(self, text, call)
  local sent, own = counter(0), 0
  local due = deadline_of(self, self.write_timeout)
  while true do
    local result = C.tide_socket_send(self.id, own, text, #text, sent)
    if result == DONE then return true end
    if result ~= WAIT then return nil, reason_of(self, result) end
    own = await(self, OUT, due, call)
    if own == 0 then
      -- Nobody knows how much of it the peer has.
      self.broken = "timeout"
      C.tide_socket_close(self.id)
      return nil, "timeout"
    end
  end
end

--- Sends a text, all of it. When the time is over, the socket is closed.
-- @tparam string text
-- @treturn[1] boolean true
-- @return[2] nil and why: "timeout", "closed", "reset"
function Socket:send(text)
  begin(self, "socket:send", OUT)
  must_be_text("socket:send", text)
  if text == "" then return true end
  return send(self, text, "socket:send")
end

--- Sends one datagram.
-- @tparam string text
-- @treturn[1] boolean true
-- @return[2] nil and why: "refused" (an earlier one was), "datagram too long", "timeout"
function Datagram:send(text)
  begin(self, "udp:send", OUT)
  must_be_text("udp:send", text)
  return send(self, text, "udp:send")
end

-- -- receiving --

local function viewed() return ffi.string(view[0].at, view[0].len) end

--- Ends a call that did not get what it wanted: what came is the third result.
local function cut(self, why, pieces)
  self.broken = self.broken or why
  if not pieces then return nil, why, viewed() end
  return nil, why, pieces:putcdata(view[0].at, view[0].len):tostring()
end

local function cut_by_time(self, pieces)
  if C.tide_socket_rest(self.id, view) ~= DONE then view[0].len = 0 end
  return cut(self, "timeout", pieces)
end

--- Asks C again and again until all is there. Pieces are put together here, where the memory that Lua may have is a
-- bound.
-- @tparam function ask function(id, wait, size so far, argument)
-- @tparam string what "line", for the message when there is more than max
local function gather(self, call, ask, argument, max, what)
  local due, own, size, pieces = deadline_of(self, self.read_timeout), 0, 0, nil
  while true do
    local result = ask(self.id, own, size, argument)
    if result == WAIT then
      own = await(self, IN, due, call)
      if own == 0 then return cut_by_time(self, pieces) end
    elseif result == DONE or result == MORE then
      own, size = 0, size + tonumber(view[0].len)
      if size > max then
        self.broken = "limit"
        return nil, ("%s over %d bytes"):format(what, max)
      end
      if result == DONE and not pieces then return viewed() end
      pieces = (pieces or buffer.new()):putcdata(view[0].at, view[0].len)
      if result == DONE then return pieces:tostring() end
    else
      return cut(self, reason_of(self, result), pieces)
    end
  end
end

local function ask_bytes(id, own, size, n) return C.tide_socket_receive(id, own, n - size, view) end
local function ask_any(id, own, _, n) return C.tide_socket_receive_any(id, own, n, view) end
local function ask_until(id, own, _, text) return C.tide_socket_receive_until(id, own, text, #text, view) end

local function receive_line(self, max)
  local line, why, partial = gather(self, "socket:receive", ask_until, "\n", max + 2, "line")
  if not line then
    if why:find "^line over" then why = ("line over %d bytes"):format(max) end
    return nil, why, partial
  end
  line = line:sub(-2, -2) == "\r" and line:sub(1, -3) or line:sub(1, -2)
  if #line <= max then return line end
  self.broken = "limit"
  return nil, ("line over %d bytes"):format(max)
end

--- Receives.
-- @tparam number|string what a number of bytes; "line": up to a line feed, which is not given, nor a carriage return
--   before it; "any": what there is, at least one byte
-- @tparam[opt] number max bytes of a line or of "any" (64 KiB), or that the number may be (16 MiB)
-- @treturn[1] string
-- @return[2] nil, why ("timeout", "closed", "reset", "line over N bytes"), and what came of it so far
function Socket:receive(what, max)
  begin(self, "socket:receive", IN)
  if max ~= nil then whole_number("socket:receive", "max", max, 1, LARGEST) end
  if what == "line" then return receive_line(self, max or LINE_MAX) end
  if what == "any" then
    max = max or LINE_MAX
    return gather(self, "socket:receive", ask_any, max, max, "bytes")
  end
  if type(what) ~= "number" then
    error(('socket:receive: expected a number of bytes, "line" or "any", found %s'):format(tostring(what)), 2)
  end
  max = max or RECEIVE_MAX
  whole_number("socket:receive", "bytes", what, 0, max)
  return gather(self, "socket:receive", ask_bytes, what, max, "bytes")
end

--- Receives up to a text, which is taken but not given.
-- @tparam string text 1 to 1024 bytes, as they are (no pattern)
-- @tparam[opt=65536] number max bytes before it
-- @treturn[1] string
-- @return[2] nil, why ("timeout", "closed", "reset", "text over N bytes"), and what came so far
function Socket:receive_until(text, max)
  begin(self, "socket:receive_until", IN)
  if type(text) ~= "string" or #text < 1 or #text > TEXT_MAX then
    error(("socket:receive_until: expected a text of 1 to %d bytes, found %s"):format(TEXT_MAX,
      type(text) == "string" and #text .. " bytes" or "a " .. type(text)), 2)
  end
  max = whole_number("socket:receive_until", "max", max or LINE_MAX, 1, LARGEST)
  local found, why, partial = gather(self, "socket:receive_until", ask_until, text, max + #text, "text")
  if found then return found:sub(1, -1 - #text) end
  if why:find "^text over" then why = ("text over %d bytes"):format(max) end
  return nil, why, partial
end

--- Receives one datagram.
-- @tparam[opt=65535] number max bytes; a longer one is lost
-- @treturn[1] string
-- @return[2] nil and why: "timeout", "refused" (nobody listens there), "datagram too long"
function Datagram:receive(max)
  begin(self, "udp:receive", IN)
  max = whole_number("udp:receive", "max", max or DATAGRAM_MAX, 1, DATAGRAM_MAX)
  local due, own = deadline_of(self, self.read_timeout), 0
  while true do
    local result = C.tide_socket_receive_any(self.id, own, max, view)
    if result == DONE then return viewed() end
    if result ~= WAIT then
      local why = reason_of(self, result)
      if result == LIMIT then why = ("datagram over %d bytes"):format(max) end
      return nil, why
    end
    own = await(self, IN, due, "udp:receive")
    if own == 0 then return nil, "timeout" end
  end
end

-- -- the rest, of both kinds --

--- Seconds that each call may take from now on; of writing, where it is told apart.
function Socket:set_timeout(read, write)
  self.read_timeout = seconds("socket:set_timeout", read)
  self.write_timeout = write == nil and read or seconds("socket:set_timeout", write)
end

--- All that follows must be over in so many seconds, whatever the timeouts of single calls; nil: no such limit.
function Socket:set_deadline(left)
  self.deadline = left ~= nil and C.tide_monotonic() + seconds("socket:set_deadline", left) or nil
end

--- Closes it; harmless where it is closed.
function Socket:close()
  if self.over then return end
  self.over = "close"
  C.tide_socket_close(self.id)
end

--- Whether it can be used, as far as is known: that the peer has closed it shows when it is read.
function Socket:is_open() return not self.over and C.tide_socket_is_open(self.id) ~= 0 end

Datagram.set_timeout, Datagram.set_deadline = Socket.set_timeout, Socket.set_deadline
Datagram.close, Datagram.is_open = Socket.close, Socket.is_open

--- How often it was used before: 0 for a connection that is new.
function Socket:reused() return self.entry.uses end

--- Gives it back, to be taken by the next `connect` with the same options. It cannot be used here any more.
-- One that a call has failed on, or that has bytes nobody has received, is closed.
-- @tparam[opt=60] number idle_seconds how long it may wait to be used
-- @tparam[opt=32] number pool_size how many with these options may wait, per loop; the oldest goes first
-- @treturn[1] boolean true
-- @return[2] nil and why it was closed instead
function Socket:keep(idle_seconds, pool_size)
  if self.over then error("socket:keep: " .. OVER[self.over], 2) end
  idle_seconds = seconds("socket:keep", idle_seconds or KEEP_SECONDS)
  pool_size = whole_number("socket:keep", "pool_size", pool_size or KEEP_SIZE, 0, 1000)
  if self.broken then
    local why = self.broken
    self:close()
    return nil, "a call has failed: " .. why
  end
  self.over = "keep"
  if pool.put(self.key, self.entry, idle_seconds, pool_size) then return true end
  return nil, pool_size == 0 and "none is to be kept" or "closed, or bytes came that nobody has received"
end

return socket
