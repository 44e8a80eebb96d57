--- A redis-server of a spec's own, on a free port and a unix socket, with nothing on disk.
local clock = require "support.clock"
local fcntl = require "posix.fcntl"
local files = require "support.files"
local processes = require "support.processes"
local unistd = require "posix.unistd"
local wire = require "support.wire"

local Server = {}
Server.__index = Server

local redis_server = {}

local function free_port()
  local fd, port = wire.listen {}
  wire.close(fd)
  return port
end

local function launch(self)
  self.pid = processes.fork(function()
    local out = assert(fcntl.open(self.folder .. "/redis.log", bit.bor(fcntl.O_WRONLY, fcntl.O_CREAT), 384))
    unistd.dup2(out, unistd.STDOUT_FILENO)
    unistd.dup2(out, unistd.STDERR_FILENO)
    processes.become(self.argv)
  end)
  clock.wait_until(function()
    local fd = wire.connect(self.port)
    if fd then wire.close(fd) end
    return fd
  end, 10, "redis-server to listen")
end

--- Starts one.
-- @param ... more arguments: "--requirepass", "secret"
-- @treturn table port, unix
function redis_server.start(...)
  local folder = files.folder()
  local self = setmetatable({ folder = folder, port = free_port(), unix = folder .. "/redis.sock" }, Server)
  self.argv = {
    "redis-server", "--port", tostring(self.port), "--bind", "127.0.0.1", "--unixsocket", self.unix, "--save", "",
    "--appendonly", "no", "--dir", folder, ...,
  }
  launch(self)
  return self
end

function Server:stop() processes.finish(self.pid) end

--- Starts it again after a stop, empty.
function Server:again() launch(self) end

return redis_server
