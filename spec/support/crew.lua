--- An upstream in one process, which answers many connections at a time after a while, and counts: how many connections
-- were open at once (exactly: at each new one it looks who has gone), how many requests it had in hand at once, and in
-- which order they came. Told to end it drains as a server should: it takes no new connection, finishes what
-- it has, answers with `Connection: close`, and leaves when its connections are closed.
local cjson = require "cjson"
local clock = require "support.clock"
local fcntl = require "posix.fcntl"
local files = require "support.files"
local poll = require "posix.poll"
local processes = require "support.processes"
local unistd = require "posix.unistd"
local wire = require "support.wire"

local crew = {}

local Crew = {}
Crew.__index = Crew

-- -- the process --

local LOOK = 0.01                       -- seconds between two looks whether what is held may go

local Process = {}
Process.__index = Process

function Process:tell()
  files.write(self.notes .. ".new", cjson.encode(self.seen))
  os.rename(self.notes .. ".new", self.notes)
end

function Process:forget(fd)
  wire.close(fd)
  if self.conns[fd].due then self.in_hand = self.in_hand - 1 end
  self.conns[fd] = nil
  self.seen.ended = self.seen.ended + 1
  self.changed = true
end

local function has_gone(fd)
  local bytes, why = wire.receive(fd, 0)
  if bytes then return false, bytes end
  return why ~= "timeout"
end

function Process:read(fd)
  local conn = self.conns[fd]
  local gone, bytes = has_gone(fd)
  if gone then return self:forget(fd) end
  if bytes then conn.held = conn.held .. bytes end
end

function Process:accept()
  local fd = wire.accept(self.listening)
  if not fd then return end
  for other in pairs(self.conns) do self:read(other) end
  self.conns[fd] = { held = "" }
  local open = 0
  for _ in pairs(self.conns) do open = open + 1 end
  self.seen.accepted = self.seen.accepted + 1
  self.seen.most_open = math.max(self.seen.most_open, open)
end

--- The next whole request of a connection, if it is there.
local function shift(conn)
  local head = conn.held:match "^(.-\r\n\r\n)"
  if not head then return nil end
  local length = tonumber(head:match "[Cc]ontent%-[Ll]ength: *(%d+)") or 0
  if #conn.held < #head + length then return nil end
  conn.held = conn.held:sub(#head + length + 1)
  return head
end

function Process:take(fd, conn)
  local head = shift(conn)
  if not head then return end
  local from = clock.now()
  if self.options.one_by_one then from = math.max(from, self.busy_until or 0) end
  conn.due = from + (self.options.delay or 0)
  self.busy_until = conn.due
  conn.held_back = head:find "\r\n[Xx]%-[Hh]old:" ~= nil
  self.seen.held = self.seen.held + (conn.held_back and 1 or 0)
  self.in_hand = self.in_hand + 1
  self.seen.most_in_hand = math.max(self.seen.most_in_hand, self.in_hand)
  table.insert(self.seen.targets, head:match "^%u+ (%S+)")
  self.changed = true
  self:answer(fd, conn)
end

function Process:answer(fd, conn)
  if clock.now() < conn.due or (conn.held_back and not files.read(self.notes .. ".release")) then return end
  conn.due = nil
  self.in_hand = self.in_hand - 1
  self.seen.answered = self.seen.answered + 1
  self:tell()                           -- who has the answer may look
  local headers = (self.options.headers or "") .. (self.draining and "Connection: close\r\n" or "")
  wire.send(fd, ("HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok"):format(headers))
  if self.draining then
    wire.shut(fd)
    conn.done = true
  end
end

function Process:nearest()
  local due = clock.now() + 1
  for _, conn in pairs(self.conns) do
    if conn.due then due = math.min(due, conn.held_back and clock.now() + LOOK or conn.due) end
  end
  return clock.left(due)
end

--- Nobody is left at the door when it closes.
function Process:leave_door()
  if not self.listening then return end
  while wire.ready(self.listening, "IN", 0) do self:accept() end
  wire.close(self.listening)
  self.listening = nil
end

function Process:turn()
  local fds = {}
  if not self.draining then fds[self.ear] = { events = { IN = true } } end
  if self.listening and not self.draining then fds[self.listening] = { events = { IN = true } } end
  for fd in pairs(self.conns) do fds[fd] = { events = { IN = true } } end
  local ready = poll.poll(fds, self:nearest())
  if ready and ready > 0 then
    local told = fds[self.ear]
    self.draining = self.draining or (told.revents and told.revents.IN)
    for fd, one in pairs(fds) do
      if self.conns[fd] and one.revents and next(one.revents) and (one.revents.IN or one.revents.HUP) then
        self:read(fd)
      end
    end
    local at_door = self.listening and fds[self.listening]
    if at_door and at_door.revents and at_door.revents.IN then self:accept() end
  end
  if self.draining and self.options.owns then self:leave_door() end
  for fd, conn in pairs(self.conns) do
    if conn.due then self:answer(fd, conn) end
    if not conn.due and not conn.done then self:take(fd, conn) end
  end
  if self.changed then self:tell() end
  self.changed = false
end

local function serve(self)
  self:tell()
  repeat self:turn() until self.draining and not next(self.conns)
  self:tell()
  return 0
end

-- -- for specs --

local function launch(self)
  local notes = ("%s/notes%d"):format(self.folder, #self.all_notes + 1)
  table.insert(self.all_notes, notes)
  if not self.listening then
    self.listening, self.port = wire.listen { port = self.port }
    assert(fcntl.fcntl(self.listening, fcntl.F_SETFL, fcntl.O_NONBLOCK))
  end
  local ear, mouth = unistd.pipe()
  self.mouth = mouth
  local process = setmetatable({
    ear = ear, listening = self.listening, options = self.options, notes = notes, conns = {}, in_hand = 0,
    seen = { accepted = 0, ended = 0, answered = 0, held = 0, most_open = 0, most_in_hand = 0, targets = {} },
  }, Process)
  self.pid = processes.fork(function() return serve(process) end)
  unistd.close(ear)
  if self.options.owns then self:shut_door() end
  clock.wait_until(function() return files.read(notes) end, 5, "an upstream")
end

--- Starts one.
-- @tparam[opt] table o delay: seconds until an answer; one_by_one: they come one after the other; headers: lines of
-- each answer; owns: the listening socket is the process's, and goes with it. Else it is its supervisor's, as with
-- socket activation: connections that come while a process has gone wait for the next one. A request with `X-Hold` is
-- answered after Crew:release.
function crew.start(o)
  local self = setmetatable({ options = o or {}, folder = files.folder(), all_notes = {} }, Crew)
  launch(self)
  self.node = "127.0.0.1:" .. self.port
  return self
end

function Crew:shut_door()
  if self.listening then wire.close(self.listening) end
  self.listening = nil
end

--- What the process that runs now has seen: accepted, ended (connections), answered, held, most_open, most_in_hand,
-- targets in order.
function Crew:seen() return cjson.decode(files.read(self.all_notes[#self.all_notes])) end

--- Waits until so many requests have come.
function Crew:wait_requests(n)
  clock.wait_until(function() return #self:seen().targets >= n end, 20, n .. " requests at the upstream")
end

--- Lets requests with X-Hold be answered, from now on.
function Crew:release() files.write(self.all_notes[#self.all_notes] .. ".release", "") end

--- Answers of all its processes.
function Crew:answered()
  local sum = 0
  for _, notes in ipairs(self.all_notes) do sum = sum + cjson.decode(files.read(notes)).answered end
  return sum
end

--- Tells its process to end, waits until that has finished what it had, and starts another one in its place.
function Crew:restart()
  unistd.write(self.mouth, "x")
  unistd.close(self.mouth)
  assert(processes.join(self.pid, 20) == 0)
  launch(self)
end

function Crew:stop()
  processes.finish(self.pid)
  self:shut_door()
end

return crew
