--- A name server of a spec's own; what it answers can be changed at any time. See dns_server.py.
local cjson = require "cjson"
local clock = require "support.clock"
local files = require "support.files"
local processes = require "support.processes"
local unistd = require "posix.unistd"

local Server = {}
Server.__index = Server

local dns_server = {}

local function launch(self)
  local read, write = unistd.pipe()
  local out = self.folder .. "/port"
  files.write(out, "")
  self.pid = processes.fork(function()
    unistd.close(write)
    unistd.dup2(read, unistd.STDIN_FILENO)
    local fcntl = require "posix.fcntl"
    unistd.dup2(assert(fcntl.open(out, fcntl.O_WRONLY)), unistd.STDOUT_FILENO)
    processes.become { "python3", "spec/support/dns_server.py", self.folder .. "/zone", self.log_file,
                       tostring(self.port or 0) }
  end)
  unistd.close(read)
  self.input = write
  self.port = clock.wait_until(function() return tonumber(files.read(out)) end, 10, "the name server")
end

--- Starts one.
-- @tparam table zone
function dns_server.start(zone)
  local folder = files.folder()
  local self = setmetatable({ folder = folder, log_file = folder .. "/log" }, Server)
  files.write(self.log_file, "")
  self:set(zone)
  launch(self)
  return self
end

--- Where it is, as the configuration names it.
function Server:address() return "127.0.0.1:" .. self.port end

--- From now on it answers this.
function Server:set(zone)
  files.write(self.folder .. "/zone.new", cjson.encode(zone))
  assert(os.rename(self.folder .. "/zone.new", self.folder .. "/zone"))
end

--- The questions that it got, a line each: "udp A app.test".
function Server:questions()
  local list = {}
  for line in files.read(self.log_file):gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

--- Waits for n more questions like this.
function Server:wait_question(pattern, n)
  local function count()
    local found = 0
    for _, line in ipairs(self:questions()) do found = found + (line:find(pattern) and 1 or 0) end
    return found
  end
  local goal = count() + (n or 1)
  clock.wait_until(function() return count() >= goal end, 20, "a question like " .. pattern)
end

function Server:stop()
  processes.finish(self.pid)
  unistd.close(self.input)
end

--- On the same port as before.
function Server:again() launch(self) end

return dns_server
