--- One request through a gateway, whether it is in memory or a process: the client's side, and turns until all is said.
local message = require "tidegate.spec.message"

local session = {}

local SOON = 1e-6       -- seconds: fractions of them are not exact

local Session = {}
Session.__index = Session

local function client_of(self, driver, request)
  local client = driver:connect(request)
  local reader = message.reader(function(response) self.response = response end)
  reader.is_bodiless = request.method == "HEAD"
  client.on_bytes = function(bytes) reader:feed(bytes) end
  client.on_end = function()
    self.is_over = true
    self.cut = reader:finish()
  end
  return client
end

--- When the client goes away by itself; nil: it stays.
local function leave_at(request, driver)
  return request.leaves and driver:now() + request.leaves or nil
end

--- The earlier of two points in time, each of which may be none.
local function earlier(a, b) return a and b and math.min(a, b) or a or b end

--- Whatever can happen now: on the gateway's side, then on that of others.
function Session:turn()
  local moved = self.driver:turn()
  return self.driver.peers:turn() or moved
end

--- Until nothing happens any more by itself.
function Session:settle()
  repeat until not self:turn()
end

--- The next piece of the request; false where there is none left.
function Session:send_next()
  local piece = table.remove(self.pieces, 1)
  if not piece or self.is_over then return false end
  self.client:send(piece)
  return true
end

--- Goes on until the response is there, or the client or the gateway has given up.
function Session:exchange()
  local driver = self.driver
  while not self.response and not self.is_over do
    if self.leave_at and driver:now() >= self.leave_at - SOON then
      self.client:reset()
      self.is_over = true
    elseif not self:turn() and not self:send_next() then
      local due = earlier(driver.peers:next_due(), self.leave_at)
      if not driver:wait(due, self.limit) then error(driver:stuck(), 0) end
    end
  end
end

--- Sends what is left of the request, which the gateway may want to read away, and ends the connection.
function Session:finish()
  while self:send_next() do self:settle() end
  self:settle()
  self.client:finish()
  self:settle()
end

--- Sends a request, and waits for what comes of it.
-- @tparam table driver connect, turn, wait, now, stuck; peers
-- @tparam table request method; pieces: its bytes; leaves: seconds until the client goes away
-- @tparam number limit seconds that it may take
-- @treturn ?table the response, or what came of it; nil: nothing
-- @treturn number seconds that it took
function session.run(driver, request, limit)
  local self = setmetatable({ driver = driver, pieces = { unpack(request.pieces) } }, Session)
  local began = driver:now()
  self.limit = began + limit
  self.leave_at = leave_at(request, driver)
  self.client = client_of(self, driver, request)
  local good, why = pcall(function()
    self:exchange()
    self.took = math.floor((driver:now() - began) * 1e3 + 0.5) / 1e3
    self:finish()
  end)
  self.client:forget()
  if not good then error(why, 0) end
  return self.response or self.cut, self.took
end

return session
