--- Reads a socket in the units of HTTP: lines, counted bytes, everything. Each call has its own deadline; the answer is
-- nil and a reason (see support.wire) when there is not enough, and what did come stays to be read.
local clock = require "support.clock"
local wire = require "support.wire"

local Reader = {}
Reader.__index = Reader

--- @tparam number fd
-- @tparam[opt] function on_bytes sees every piece as it comes
function Reader.new(fd, on_bytes) return setmetatable({ fd = fd, held = "", on_bytes = on_bytes }, Reader) end

function Reader:fill(deadline)
  if self.ended then return nil, self.ended end
  local bytes, why = wire.receive(self.fd, deadline)
  if not bytes then
    if why ~= "timeout" then self.ended = why end
    return nil, why
  end
  if self.on_bytes then self.on_bytes(bytes) end
  self.held = self.held .. bytes
  return true
end

--- Everything up to and with a plain string.
function Reader:through(mark, timeout)
  local deadline = clock.now() + (timeout or clock.PATIENCE)
  while true do
    local _, stop = self.held:find(mark, 1, true)
    if stop then
      local found = self.held:sub(1, stop)
      self.held = self.held:sub(stop + 1)
      return found
    end
    local ok, why = self:fill(deadline)
    if not ok then return nil, why end
  end
end

--- A line without its CR LF.
function Reader:line(timeout)
  local line, why = self:through("\r\n", timeout)
  return line and line:sub(1, -3), why
end

--- Exactly n bytes.
function Reader:exactly(n, timeout)
  local deadline = clock.now() + (timeout or clock.PATIENCE)
  local pieces, have = { self.held }, #self.held
  self.held = ""
  local ok, why = true, nil
  while have < n do
    ok, why = self:fill(deadline)
    if not ok then break end
    pieces[#pieces + 1] = self.held
    have = have + #self.held
    self.held = ""
  end
  local all = table.concat(pieces)
  if not ok then
    self.held = all
    return nil, why
  end
  self.held = all:sub(n + 1)
  return all:sub(1, n)
end

--- Everything until the end.
-- @treturn string the bytes
-- @treturn string how it ended: "eof", "reset" or "timeout"
function Reader:rest(timeout)
  local deadline = clock.now() + (timeout or clock.PATIENCE)
  local pieces = {}
  while true do
    pieces[#pieces + 1] = self.held
    self.held = ""
    local ok, why = self:fill(deadline)
    if not ok then return table.concat(pieces), why end
  end
end

return Reader
