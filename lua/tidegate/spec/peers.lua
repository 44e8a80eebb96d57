--- The rest of the world, as a gateway under test sees it: whoever its connections lead to. They answer as the spec
-- says; what they were asked is noted.
local message = require "tidegate.spec.message"
local redis = require "tidegate.spec.redis"
local websocket = require "tidegate.spec.websocket"

local peers = {}

local SOON = 1e-6       -- seconds: fractions of them are not exact

--- What an answer may say, and of which type it is.
peers.ANSWER = {
  status = "number", reason = "string", headers = "table", body = "any", json = "any", interims = "table",
  delay = "number", feed = "any", close = "boolean", cut = "number", raw = "string",
  refuse = "boolean", reset = "boolean", never = "boolean", websocket = "boolean",
}

local function check_answer(answer, who)
  for name, value in pairs(answer) do
    local wanted = peers.ANSWER[name]
    if not wanted then error(("%s: an answer has no %s"):format(who, tostring(name)), 0) end
    if wanted ~= "any" and type(value) ~= wanted then
      error(("%s: %s: expected a %s, found a %s"):format(who, name, wanted, type(value)), 0)
    end
  end
  return answer
end

--- What a handler of the spec's says to a request.
-- @param handler a function of the request, or an answer: a table, a text (the body), or a number (the status)
local function answer_to(handler, request, who)
  local value = handler
  if type(value) == "function" then value = value(request) end
  if type(value) == "string" then return { body = value } end
  if type(value) == "number" then return { status = value } end
  if type(value) == "table" then return check_answer(value, who) end
  error(("%s: expected an answer (a table, a text or a status), found %s"):format(who, tostring(value)), 0)
end

--- The pieces of bytes that an answer is made of.
local function pieces_of(answer, request, feed)
  if answer.raw then return { answer.raw } end
  if answer.websocket then return { websocket.accept(answer.headers) } end
  local out = {}
  for _, interim in ipairs(answer.interims or {}) do
    local start = ("HTTP/1.1 %d %s"):format(interim.status, interim.reason or "Interim")
    out[#out + 1] = message.pieces(start, { headers = interim.headers })[1]
  end
  local status = answer.status or 200
  local is_empty = status == 204 or status == 304
  local pieces = message.pieces(("HTTP/1.1 %d %s"):format(status, answer.reason or "Spec"), {
    headers = answer.headers, body = answer.body, json = answer.json, close = answer.close, connection = "close",
    is_answer = true, is_empty = is_empty,
  }, request.method == "HEAD" or is_empty)
  if answer.cut then pieces = { pieces[1], table.concat(pieces, "", 2):sub(1, answer.cut) } end
  for _, piece in ipairs(message.cut(pieces, answer.feed or feed)) do out[#out + 1] = piece end
  return out
end

local Peer = {}
Peer.__index = Peer

--- Whether it has something to send now.
function Peer:is_due(now) return self.pieces and now >= self.due - SOON end

--- Sends the next piece.
function Peer:send_next()
  local piece = table.remove(self.pieces, 1)
  if self.then_switch then
    self.pieces = nil
    self.then_switch(self.connection)       -- first: frames may come at once
  end
  if piece then return self.connection:send(piece) end
  self.pieces = nil
  if self.then_reset then self.connection:reset() else self.connection:finish() end
end

local function reply(self, request, now)
  local answer = answer_to(self.target.handler, request, self.target.name)
  self.target.answered(answer, request)
  if answer.never then return end
  self.due, self.pieces = now + (answer.delay or 0), {}
  self.then_reset = answer.reset
  if answer.websocket then
    self.then_switch = self.target.switched
    if not self.then_switch then
      error(("%s: websocket: expected a request of fake.websocket or fake.message"):format(self.target.name), 0)
    end
  end
  if not answer.reset then self.pieces = pieces_of(answer, request, self.feed) end
end

local function serve_http(self)
  local connection, target = self.connection, self.target
  local reader = message.reader(function(request)
    request.host = request.headers.host
    request.scheme, request.service = connection.kind, target.service
    request.url = ("%s://%s%s"):format(request.scheme, request.host or connection.host, request.target)
    target.record(request)
    reply(self, request, self.all.now())
  end)
  connection.on_bytes = function(bytes) reader:feed(bytes) end
end

local function serve_redis(self)
  local connection, target = self.connection, self.target
  local server = redis.connection(function(name, ...)
    local handler = target.now()        -- a plugin may keep the connection for longer than the spec its words
    if type(handler) == "function" then return handler(name, ...), true end
    local value = handler[name]
    if type(value) == "function" then return value(...), true end
    return value, value ~= nil
  end, target.record, target.answered)
  connection.on_bytes = function(bytes)
    local out = server:feed(bytes)
    if #out > 0 then connection:send(out) end
  end
end

local function serve_socket(self)
  local connection, target = self.connection, self.target
  connection.on_bytes = function(bytes)
    local out = target.handler(bytes, connection)
    if out then connection:send(out) end
  end
end

local SERVE = { http = serve_http, https = serve_http, redis = serve_redis, socket = serve_socket }

local Peers = {}
Peers.__index = Peers

--- @tparam function find function(connection) -> who is there: handler; name, for messages; record (function of what it
--   was asked), answered (function of what it said, and to what); service, its name where it is one; serves: "redis",
--   and then now (function: the handler that counts by now); switched (function of the connection: it has become a
--   WebSocket)
-- @tparam function now seconds
function peers.new(find, now) return setmetatable({ find = find, now = now, list = {}, feed = "whole" }, Peers) end

--- A connection of the gateway's has come.
-- @tparam table connection kind ("http", "https", "socket"), host, port; open(), refuse(), send(bytes), finish(),
--   reset(); calls on_bytes(bytes) and on_end() of it
function Peers:accept(connection)
  local target = self.find(connection)
  local handler = target.handler
  if type(handler) == "table" and handler.refuse then return connection:refuse() end
  local peer = setmetatable({ all = self, connection = connection, target = target, feed = self.feed }, Peer)
  connection.on_end = function() peer.pieces = nil end
  SERVE[target.serves or connection.kind](peer)
  self.list[connection] = peer
  connection:open()
end

--- Forgets a connection that has ended.
function Peers:forget(connection) self.list[connection] = nil end

--- Sends what is due: one piece on each connection.
-- @treturn boolean whether there was anything
function Peers:turn()
  local moved, now = false, self.now()
  for _, peer in pairs(self.list) do
    if peer:is_due(now) then
      peer:send_next()
      moved = true
    end
  end
  return moved
end

--- When the next piece is due; nil where nothing waits for its time.
function Peers:next_due()
  local due
  for _, peer in pairs(self.list) do
    if peer.pieces then due = math.min(due or peer.due, peer.due) end
  end
  return due
end

return peers
