--- A peer for datagrams: answers each with what a function makes of it.
local processes = require "support.processes"
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"

local datagrams = {}

--- @tparam function answer function(datagram) -> the answer, or nil for none
-- @treturn number port
function datagrams.start(answer)
  local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0))
  assert(socket.bind(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = 0 }))
  local port = socket.getsockname(fd).port
  processes.fork(function()
    while true do
      local text, from = socket.recvfrom(fd, 65536)
      local reply = text and answer(text)
      if reply then socket.sendto(fd, reply, from) end
    end
  end)
  unistd.close(fd)
  return port
end

return datagrams
