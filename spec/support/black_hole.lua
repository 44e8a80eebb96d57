--- A node that says nothing to a connect, neither yes nor no: a listening socket whose queue is full. The kernel lets
-- the connect wait, and asks again after 1, 3, 7 ... seconds.
local wire = require "support.wire"

local BlackHole = {}
BlackHole.__index = BlackHole

local black_hole = {}

--- Opens one.
-- @tparam[opt] table o address (127.0.0.1), port (a free one)
-- @treturn BlackHole with port and node
function black_hole.open(o)
  local address = o and o.address or "127.0.0.1"
  local fd, port = wire.listen { address = address, port = o and o.port, backlog = 0 }
  local filler = assert(wire.connect(port, { address = address }))
  return setmetatable({ fd = fd, filler = filler, port = port, node = wire.node(address, port) }, BlackHole)
end

function BlackHole:close()
  wire.close(self.filler)
  wire.close(self.fd)
end

return black_hole
