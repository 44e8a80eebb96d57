--- A WebSocket through a gateway under test, in memory or a process: both ends are played here, and told apart is what
-- each of them got for each message.
local frames = require "tidegate.spec.frames"
local message = require "tidegate.spec.message"
local request = require "tidegate.spec.request"
local world = require "tidegate.spec.world"

local websocket = {}

-- The example of RFC 6455 section 1.3.
local KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
local OPCODES = { text = frames.TEXT, binary = frames.BINARY }
local TYPES = { [frames.TEXT] = "text", [frames.BINARY] = "binary" }
local OTHER = { client = "upstream", upstream = "client" }

-- -- what a spec writes down --

local MESSAGE = { data = "string", type = "string", from = "string", after = "number" }
local CLOSE = { code = "number", reason = "string", from = "string" }

local function check(call, t, known)
  for name, value in pairs(t) do
    if not known[name] then error(("%s: there is no field %s"):format(call, tostring(name)), 0) end
    if type(value) ~= known[name] then
      error(("%s: %s: expected a %s, found a %s"):format(call, name, known[name], type(value)), 0)
    end
  end
  if t.from and not OTHER[t.from] then
    error(('%s: from: expected "client" or "upstream", found %q'):format(call, t.from), 0)
  end
  if t.type and not OPCODES[t.type] then
    error(('%s: type: expected "text" or "binary", found %q'):format(call, t.type), 0)
  end
end

local function message_of(given, i)
  local call = "fake.websocket: message " .. i
  if type(given) == "string" then given = { data = given } end
  if type(given) ~= "table" then error(("%s: expected a text or a table, found a %s"):format(call, type(given)), 0) end
  check(call, given, MESSAGE)
  if not given.data then error(call .. ": data: missing", 0) end
  return { data = given.data, type = given.type or "text", from = given.from or "client", after = given.after }
end

local Websocket = {}
Websocket.__index = Websocket
websocket.class = Websocket

--- @tparam table fields those of a request, and as a list the messages; close: how it is ended, { code, reason, from }
-- @treturn table websocket:through(instance, ...) is added by tidegate.spec
function websocket.new(fields)
  if type(fields) ~= "table" then
    error(("fake.websocket: expected a table, found a %s"):format(type(fields)), 0)
  end
  local self = { messages = {}, close = fields.close or {}, fields = {} }
  for i, given in ipairs(fields) do self.messages[i] = message_of(given, i) end
  for name, value in pairs(fields) do
    if type(name) ~= "number" and name ~= "close" then self.fields[name] = value end
  end
  check("fake.websocket: close", self.close, CLOSE)
  request.new(self.fields)
  return setmetatable(self, Websocket)
end

--- One message.
-- @tparam string data
-- @tparam[opt] table options type, from, after, close, and fields of a request
function websocket.of_message(data, options)
  local fields, one = {}, { data = data }
  for name, value in pairs(options or {}) do
    if MESSAGE[name] then one[name] = value else fields[name] = value end
  end
  fields[1] = one
  local self = websocket.new(fields)
  self.is_single = true
  return self
end

-- -- one end --

local End = {}
End.__index = End

local function end_on(connection, is_client)
  local self = setmetatable({ connection = connection, is_client = is_client, inbox = {}, heard = {} }, End)
  self.feed = frames.reader(function(opcode, payload) self:take(opcode, payload) end)
  connection.on_bytes = self.feed
  connection.on_end = function() self.is_over = true end
  return self
end

function End:send(opcode, payload) self.connection:send(frames.bytes(opcode, payload, self.is_client)) end

function End:say_close(code, reason)
  if self.said_close then return end
  self.said_close = true
  self:send(frames.CLOSE, frames.close_body(code, reason))
end

function End:take(opcode, payload)
  if TYPES[opcode] then
    table.insert(self.inbox, { data = payload, type = TYPES[opcode] })
  elseif opcode == frames.PING then
    self:send(frames.PONG, payload)
  elseif opcode == frames.PONG then
    self.heard[payload] = true
  elseif opcode == frames.CLOSE then
    self.closed = frames.close_of(payload)
    self:say_close(self.closed.code, self.closed.reason)
    if not self.is_client then self.connection:finish() end
  end
end

function End:take_inbox()
  local list = self.inbox
  self.inbox = {}
  return list
end

-- -- the whole --

local Session = {}
Session.__index = Session

--- Goes on until something is so.
function Session:wait(is_so)
  local driver = self.driver
  while not is_so() do
    local moved = driver:turn()
    moved = driver.peers:turn() or moved
    if not moved and not is_so() and not driver:wait(driver.peers:next_due(), self.limit) then
      error(driver:stuck(), 0)
    end
  end
end

function Session:pass(seconds)
  local stop = self.driver:now() + seconds
  self.limit = self.limit + seconds
  while self.driver:now() < stop - 1e-6 and not self:is_closed() do
    local moved = self.driver:turn()
    moved = self.driver.peers:turn() or moved
    if not moved then self.driver:wait(math.min(stop, self.driver.peers:next_due() or stop), self.limit) end
  end
end

function Session:is_closed()
  local client, upstream = self.ends.client, self.ends.upstream
  return client.closed or client.is_over or upstream.is_over
end

--- Waits until all that this end has sent was seen to: a ping waits behind messages that hooks look at, and its pong
-- comes behind what they have answered.
function Session:settle(from)
  self.pings = self.pings + 1
  local mark, side = "mark " .. self.pings, self.ends[from]
  side:send(frames.PING, mark)
  self:wait(function() return side.heard[mark] or self:is_closed() end)
end

function Session:open()
  local client, reader = self.driver:connect(self.made), nil
  self.client = client
  reader = message.reader(function(response)
    self.response = response
    if response.status ~= 101 then return end
    local rest = reader:take(#reader.held)
    self.ends.client = end_on(client, true)
    self.ends.client.feed(rest)
  end)
  client.on_bytes = function(bytes) reader:feed(bytes) end
  client.on_end = function()
    self.cut, self.is_over = reader:finish(), true
  end
  for _, piece in ipairs(self.made.pieces) do client:send(piece) end
  self:wait(function() return self.response or self.is_over end)
  return self.ends.client ~= nil
end

--- What both ends have got by now.
function Session:take_inboxes()
  return { client = self.ends.client:take_inbox(), upstream = self.ends.upstream:take_inbox() }
end

--- Sends a message.
-- @treturn table what came of it
function Session:exchange(one)
  if one.after then self:pass(one.after) end
  local result = { before = self:take_inboxes(), replies = {}, passed = {}, dropped = true }
  if self:is_closed() then return result end
  self.ends[one.from]:send(OPCODES[one.type], one.data)
  self:settle(one.from)
  local got = self:take_inboxes()
  result.replies, result.passed = got[one.from], got[OTHER[one.from]]
  local first = result.passed[1]
  if first then result.data, result.type, result.dropped = first.data, first.type, false end
  return result
end

function Session:converse(result)
  local ends = self.ends
  self:settle "client"
  result.opening = self:take_inboxes()
  for i, one in ipairs(self.made.websocket.messages) do result.messages[i] = self:exchange(one) end
  local close = self.made.websocket.close
  if self:is_closed() then
    result.closed = ends.client.closed
  else
    ends[close.from or "client"]:say_close(close.code or 1000, close.reason)
  end
  self:wait(function() return ends.client.is_over end)
end

-- What takes the place of tidegate.spec.session: see there.
local session = {}

function session.run(driver, made, limit)
  local self = setmetatable({ driver = driver, made = made, ends = {}, pings = 0 }, Session)
  local began = driver:now()
  self.limit = began + limit
  world.switched = function(connection) self.ends.upstream = end_on(connection, false) end
  local good, why = pcall(function()
    if self:open() then self:converse(made.result) end
    self.client:finish()
  end)
  world.switched = nil
  if self.client then self.client:forget() end
  if not good then error(why, 0) end
  return self.response or self.cut, math.floor((driver:now() - began) * 1e3 + 0.5) / 1e3
end

--- Headers with those of a handshake.
local function with_upgrade(headers, ...)
  local all = {}
  for name, value in pairs(headers or {}) do all[name] = value end
  for _, field in ipairs { { "Connection", "Upgrade" }, { "Upgrade", "websocket" }, ... } do all[#all + 1] = field end
  return all
end

local function make(self, gate)
  local fields = {}
  for name, value in pairs(self.fields) do fields[name] = value end
  fields.headers = with_upgrade(fields.headers, { "Sec-WebSocket-Version", "13" }, { "Sec-WebSocket-Key", KEY })
  fields.upstream = fields.upstream or not gate.services.upstream and { websocket = true } or nil
  local made = request.make(fields)
  made.session, made.websocket, made.result = session, self, { messages = {} }
  return made
end

--- What an upstream says that opens it.
-- @tparam[opt] table headers further ones
-- @treturn string
function websocket.accept(headers)
  return message.pieces("HTTP/1.1 101 Switching Protocols", {
    headers = with_upgrade(headers, { "Sec-WebSocket-Accept", ACCEPT }),
  })[1]
end

--- Opens it, sends the messages, and ends it.
-- @tparam table self
-- @tparam table gate in memory, or a process
-- @treturn table see tidegate.spec.outcome; also messages, opening, closed; of a single message what came of that
function websocket.run(self, gate)
  local made = make(self, gate)
  local out = gate:run(made)
  for name, value in pairs(made.result) do out[name] = value end
  if self.is_single then
    for name, value in pairs(out.messages[1] or { dropped = true, replies = {}, passed = {} }) do out[name] = value end
  end
  return out
end

--- What every gateway under test has: gate:websocket{...}, gate:message(data, options).
-- @tparam table class with a method run(made request), and services
function websocket.methods(class)
  function class:websocket(fields) return websocket.run(websocket.new(fields), self) end
  function class:message(data, options) return websocket.run(websocket.of_message(data, options), self) end
end

return websocket
