--- A scripted upstream: every connection is a process of its own that runs a Lua function. All that it gets is noted
-- and can be asked for: the exact bytes, the whole requests, how connections ended.
local cjson = require "cjson"
local clock = require "support.clock"
local fcntl = require "posix.fcntl"
local files = require "support.files"
local message = require "support.message"
local processes = require "support.processes"
local Reader = require "support.reader"
local signal = require "posix.signal"
local unistd = require "posix.unistd"
local wire = require "support.wire"

local upstream = {}

local Connection = {}
Connection.__index = Connection

function Connection:note(event)
  event.connection = self.number
  unistd.write(self.notes, cjson.encode(event) .. "\n")
end

--- The next request head, or nil and a reason.
function Connection:read_head(timeout)
  local head, why = message.read_head(self.reader, timeout or 30)
  if head then self:note { kind = "head", text = head.head } end
  return head, why
end

--- The body of the request in hand.
function Connection:read_body(head, timeout)
  message.read_body(head, self.reader, { timeout = timeout or 30 })
  if head.complete then
    self:note { kind = "request", text = head.head, body = head.body, framing = head.framing }
  end
  return head
end

--- The next whole request, or nil and a reason.
function Connection:read_request(timeout)
  local head, why = self:read_head(timeout)
  if not head then return nil, why end
  self:read_body(head, timeout)
  if not head.complete then return nil, head.ended end
  return head
end

function Connection:send(bytes) return wire.send(self.fd, bytes, 30) end

--- A response with a length.
function Connection:respond(status, body, headers)
  return self:send(("HTTP/1.1 %d Spec\r\n%sContent-Length: %d\r\n\r\n%s"):format(status, headers or "", #body, body))
end

--- Waits for the peer to end the connection, and notes how it did.
function Connection:wait_end(timeout)
  local _, how = self.reader:rest(timeout or 30)
  return how
end

--- Waits until the spec lets go of it (see Upstream:release).
function Connection:wait_release()
  clock.wait_until(function() return files.read(self.folder .. "/release") end, 30, "release")
end

function Connection:shut() wire.shut(self.fd) end

--- Closes so that the peer sees a reset.
function Connection:reset()
  wire.abort(self.fd)
  self.fd = nil
end

function Connection:close()
  if self.fd then wire.close(self.fd) end
  self.fd = nil
end

local Upstream = {}
Upstream.__index = Upstream

local function serve(up, fd, number, handler)
  local notes = assert(fcntl.open(up.notes, bit.bor(fcntl.O_WRONLY, fcntl.O_APPEND)))
  local conn = setmetatable({ fd = fd, number = number, notes = notes, folder = up.folder }, Connection)
  conn.reader = Reader.new(fd, function(bytes) conn:note { kind = "bytes", bytes = bytes } end)
  conn:note { kind = "accepted" }
  handler(conn)
  conn:close()
  conn:note { kind = "ended", how = conn.reader.ended or "here" }
end

local function accept_all(up, listening, handler)
  signal.signal(signal.SIGCHLD, signal.SIG_IGN)        -- the kernel buries them
  local number = 0
  while true do
    local fd = wire.accept(listening)
    if fd then
      number = number + 1
      -- The end of a connection is only seen when all who hold it have closed it: the child begins when we have.
      local alone, tell = unistd.pipe()
      processes.fork(function()
        unistd.close(listening)
        unistd.close(tell)
        unistd.read(alone, 1)
        unistd.close(alone)
        serve(up, fd, number, handler)
      end)
      unistd.close(fd)
      unistd.close(alone)
      unistd.close(tell)
    end
  end
end

--- Starts one.
-- @tparam function handler gets each connection; it is closed when the function returns
-- @tparam[opt] table o as for wire.listen
function upstream.start(handler, o)
  local folder = files.folder()
  local listening, at = wire.listen(o or {})
  local up = setmetatable({ folder = folder, notes = folder .. "/notes", port = at }, Upstream)
  local address = o and o.address ~= "0.0.0.0" and o.address or "127.0.0.1"
  up.node = o and o.unix and "unix:" .. at or wire.node(address, at)
  files.write(up.notes, "")
  up.pid = processes.fork(function() accept_all(up, listening, handler) end)
  wire.close(listening)
  return up
end

--- On all addresses of this machine, with one port: it answers with the address that it was reached at, and with 503
-- to /fail.
function upstream.everywhere()
  return upstream.start(function(conn)
    local address = wire.reached(conn.fd)
    while true do
      local head = conn:read_head()
      if not head or not conn:read_body(head).complete then return end
      if head.target == "/fail" then conn:respond(503, "no") else conn:respond(200, address) end
    end
  end, { address = "0.0.0.0" })
end

--- Answers each request on a connection with a function of (connection, request) found by path, until it ends. What
-- such a function returns true for ends the connection.
-- @tparam table answers
-- @tparam[opt] table o as for wire.listen
function upstream.by_path(answers, o)
  return upstream.start(function(conn)
    while true do
      local head = conn:read_head()
      if not head then return end
      local answer = answers[head.target:match("^[^?]*")] or answers.default or upstream.ok
      if answer(conn, head) then return end
    end
  end, o)
end

--- Reads the request and answers 200 with its head and body as the body.
function upstream.echo(conn, head)
  if not conn:read_body(head).complete then return true end
  conn:respond(200, head.head .. head.body)
end

--- Reads the request and answers 200 "ok".
function upstream.ok(conn, head)
  if not conn:read_body(head).complete then return true end
  conn:respond(200, "ok")
end

--- Reads the request and sends exactly these bytes.
function upstream.with(bytes)
  return function(conn, head)
    conn:read_body(head)
    conn:send(bytes)
  end
end

--- Answers one request, and ends the connection when the next one has come, which is noted as "taken".
-- @tparam string how "close", or "reset"
function upstream.then_end(how)
  return function(conn, head)
    conn:read_body(head)
    conn:respond(200, "ok")
    if conn:read_request() then conn:note { kind = "taken" } end
    if how == "reset" then conn:reset() end
    return true
  end
end

--- A port to listen on; somebody else may come first.
function upstream.free()
  local fd, port = wire.bind {}
  wire.close(fd)
  return "127.0.0.1:" .. port
end

--- A port nobody listens on, as long as the spec file runs.
function upstream.nobody()
  local fd, port = wire.bind {}
  processes.at_end(function() wire.close(fd) end)
  return "127.0.0.1:" .. port
end

--- What was noted, in order: { kind, connection, ... }.
function Upstream:events(kind)
  local found = {}
  for line in files.read(self.notes):gmatch("([^\n]+)\n") do
    local event = cjson.decode(line)
    if not kind or event.kind == kind then found[#found + 1] = event end
  end
  return found
end

--- The whole requests it got: messages with body, framing and the number of their connection.
function Upstream:requests()
  local requests = {}
  for i, event in ipairs(self:events("request")) do
    local m = message.parse(event.text)
    m.body, m.framing, m.connection = event.body, event.framing, event.connection
    requests[i] = m
  end
  return requests
end

function Upstream:last_request()
  local requests = self:requests()
  return requests[#requests]
end

--- How many connections it got.
function Upstream:connections() return #self:events("accepted") end

--- All bytes it got, or those of one connection.
function Upstream:bytes(connection)
  local pieces = {}
  for _, event in ipairs(self:events("bytes")) do
    if not connection or event.connection == connection then pieces[#pieces + 1] = event.bytes end
  end
  return table.concat(pieces)
end

--- Forgets what was noted so far.
function Upstream:forget() files.write(self.notes, "") end

--- Lets the handlers go on that wait_release holds.
function Upstream:release() files.write(self.folder .. "/release", "") end

--- Waits for an event for which the condition holds.
function Upstream:wait_event(kind, condition, timeout)
  return clock.wait_until(function()
    for _, event in ipairs(self:events(kind)) do
      if not condition or condition(event) then return event end
    end
  end, timeout, "an upstream event: " .. kind)
end

function Upstream:stop() processes.finish(self.pid) end

return upstream
