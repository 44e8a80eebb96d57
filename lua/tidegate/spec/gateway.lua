--- A gateway as a process, for specs: the same options, requests and answers as one in memory. Client and upstreams are
-- played in this process, over sockets of the loopback.
local C = require "tidegate.ffi"
local configuration = require "tidegate.spec.configuration"
local outcome = require "tidegate.spec.outcome"
local peers = require "tidegate.spec.peers"
local process = require "tidegate.spec.process"
local request = require "tidegate.spec.request"
local session = require "tidegate.spec.session"
local sockets = require "tidegate.spec.sockets"
local websocket = require "tidegate.spec.websocket"
local world = require "tidegate.spec.world"

local gateway = {}

local PATIENCE = 20         -- seconds for a start, a stop and a request

local now = process.now

-- -- connections --

local Connection = {}
Connection.__index = Connection

local function connection_on(fd) return setmetatable({ fd = fd, kind = "http", waiting = "" }, Connection) end

function Connection:open() end

function Connection:refuse()
  error("a process can only be refused by a service that refuses from the start: give it to fake.gateway", 0)
end

--- Sends on what did not fit.
function Connection:flush()
  local n = sockets.send(self.fd, self.waiting)
  if n < 0 then
    self.waiting = ""
    return
  end
  self.waiting = self.waiting:sub(n + 1)
  if self.waiting == "" and self.shut then sockets.shut(self.fd) end
end

function Connection:send(bytes)
  if not self.fd then return false end
  self.waiting = self.waiting .. bytes
  self:flush()
  return true
end

function Connection:finish()
  if not self.fd then return end
  self.shut = true
  if self.waiting == "" then sockets.shut(self.fd) end
end

function Connection:reset()
  if self.fd then sockets.reset(self.fd) end
  self.fd = nil
end

function Connection:forget()
  if self.fd then sockets.close(self.fd) end
  self.fd = nil
end

-- -- the driver --

local Driver = {}
Driver.__index = Driver

function Driver:now() return now() end

function Driver:connect()
  local connection = connection_on(sockets.connect(self.gate.ports[1]))
  table.insert(self.connections, connection)
  return connection
end

local function take_bytes(self, connection)
  if connection.waiting ~= "" then connection:flush() end
  local bytes = sockets.receive(connection.fd)
  if bytes == nil then return false end
  if bytes and bytes ~= "" then
    connection.on_bytes(bytes)
    return true
  end
  connection.on_end()
  self.peers:forget(connection)
  connection:forget()
  return true
end

--- Takes a connection of the gateway's to a service.
local function accept(self, service, listening)
  local fd = sockets.accept(listening)
  if not fd then return false end       -- it has gone again
  local connection = connection_on(fd)
  connection.service = service
  table.insert(self.connections, connection)
  self.peers:accept(connection)
  return true
end

--- Whoever is ready has its turn.
local function take_turn(self, seconds)
  local list, by_fd = {}, {}
  for name, listening in pairs(self.gate.listening) do
    list[#list + 1] = { listening.fd }
    by_fd[listening.fd] = name
  end
  local kept = {}
  for _, connection in ipairs(self.connections) do
    if connection.fd then
      kept[#kept + 1] = connection
      list[#list + 1] = { connection.fd, connection.waiting ~= "" }
      by_fd[connection.fd] = connection
    end
  end
  self.connections = kept
  local moved = false
  for fd in pairs(sockets.wait(list, seconds)) do
    local who = by_fd[fd]
    if type(who) == "string" then
      moved = accept(self, who, fd) or moved
    else
      moved = take_bytes(self, who) or moved
    end
  end
  return moved
end

function Driver:turn() return take_turn(self, 0) end

function Driver:wait(due, limit)
  local at = now()
  if at >= limit then return false end
  take_turn(self, math.max(0, math.min(due and due - at or 1, limit - at)))
  return true
end

function Driver:stuck() return ("there is no response after %d s\n%s"):format(PATIENCE, self.gate:log()) end

-- -- the gateway --

local Gateway = {}
Gateway.__index = Gateway
request.methods(Gateway)
websocket.methods(Gateway)

local function read_ready_line(self)
  local limit = now() + PATIENCE
  while true do
    local line = process.read(self.folder .. "/stdout"):match "tidegate is ready: [^\n]*\n"
    if line then return line end
    local code = process.ended(self.pid)
    if code then error(("the gateway ended with code %d:\n%s"):format(code, self:log()), 0) end
    if now() > limit then error("the gateway does not start:\n" .. self:log(), 0) end
    C.tide_sleep_ms(5)
  end
end

--- Where a service is: a port that the spec listens on, or one that nobody does.
local function open_services(self, options)
  for _, name in ipairs(configuration.service_names(options)) do
    local handler = self.services[name]
    if type(handler) == "table" and handler.refuse then
      self.nodes[name] = sockets.free_port()
    else
      local fd, port = sockets.listen()
      self.listening[name] = { fd = fd }
      self.nodes[name] = port
    end
  end
end

local function write_files(self, options, node_of)
  local folder = self.folder
  local folders = configuration.folders(options)
  os.execute("mkdir '" .. folder .. "/plugins'")
  for name, text in pairs(configuration.sources(options)) do
    process.write(("%s/plugins/%s.lua"):format(folder, name), text)
  end
  folders[#folders + 1] = folder .. "/plugins"
  process.write(folder .. "/tidegate.yaml", configuration.text(options, node_of))
  process.write(folder .. "/stdout", "")
  process.write(folder .. "/stderr", "")
  return folders
end

--- Starts one, and waits until it accepts connections.
-- @tparam table options see tidegate.spec.configuration
-- @treturn table gw:request{...}, gw:get(path, headers), gw:log(), gw:stop()
function gateway.start(options)
  local self = setmetatable({
    folder = process.folder(), services = world.services(options), nodes = {}, listening = {}, ports = {},
  }, Gateway)
  open_services(self, options)
  local function node_of(name) return "127.0.0.1:" .. self.nodes[name] end
  local folders = write_files(self, options, node_of)
  self.pid = process.start({
    process.binary(), "run", "-c", self.folder .. "/tidegate.yaml",
    "-s", "gateway.plugin_dirs=" .. configuration.flow(folders, { type = "list" }),
  }, configuration.variables(options, node_of), self.folder .. "/stdout", self.folder .. "/stderr")
  self.guard = newproxy(true)
  getmetatable(self.guard).__gc = function() self:kill() end
  local good, why = pcall(read_ready_line, self)
  if not good then
    self:kill()
    error(why, 0)
  end
  for port in why:gsub("%b[]", ""):gmatch ":(%d+)%f[%D]" do table.insert(self.ports, tonumber(port)) end
  return self
end

--- What it has written to its error log.
-- @tparam[opt] string text to wait for, no pattern
-- @treturn string
function Gateway:log(text)
  local limit = now() + PATIENCE
  while true do
    local log = process.read(self.folder .. "/stderr")
    if not text or log:find(text, 1, true) then return log end
    if now() > limit then error(("the gateway does not log %q:\n%s"):format(text, log), 2) end
    C.tide_sleep_ms(5)
  end
end

local function driver_of(self, handlers)
  local driver = setmetatable({ gate = self, connections = {} }, Driver)
  driver.peers = peers.new(function(connection) return world.service(connection.service, handlers) end, now)
  return driver
end

--- Sends a request.
-- @treturn table see tidegate.spec.outcome; its log are the lines that the gateway has written meanwhile
function Gateway:run(r)
  if self.stopped then error("this gateway was stopped", 3) end
  local driver, outer = driver_of(self, world.handlers(r, self.services)), world.notes
  driver.peers.feed = r.feed
  local logged, notes = #self:log(), outcome.notes()
  world.notes = notes
  local good, response, took = pcall((r.session or session).run, driver, r, PATIENCE)
  world.notes = outer
  for _, connection in ipairs(driver.connections) do connection:forget() end
  if not good then error(response, 0) end
  notes.log = outcome.log_entries(self:log():sub(logged + 1))
  local out = outcome.new(notes, response)
  out.took = took
  return out
end

local function close(self)
  for _, listening in pairs(self.listening) do sockets.close(listening.fd) end
  self.listening, self.stopped = {}, true
  process.remove(self.folder)
end

--- Ends it at once.
function Gateway:kill()
  if self.stopped then return end
  if self.pid then process.kill(self.pid) end
  close(self)
end

--- Ends it in good order. That it does not come to that is an error.
function Gateway:stop()
  if self.stopped then return end
  process.signal(self.pid, process.SIGTERM)
  local limit, code = now() + PATIENCE, process.ended(self.pid)
  while not code and now() < limit do
    C.tide_sleep_ms(2)
    code = process.ended(self.pid)
  end
  local log = self:log()
  if not code then process.kill(self.pid) end
  close(self)
  if code ~= 0 then error(("the gateway ended with code %s\n%s"):format(tostring(code), log), 2) end
end

return gateway
