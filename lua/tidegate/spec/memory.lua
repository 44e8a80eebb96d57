--- A gateway in memory: the very core, but without sockets, processes and waiting. The rest of the world is played by
-- the spec (peers.lua); time passes at once when nothing else can happen.
local ffi = require "ffi"
local configuration = require "tidegate.spec.configuration"
local core = require "tidegate.spec.core"
local outcome = require "tidegate.spec.outcome"
local peers = require "tidegate.spec.peers"
local request = require "tidegate.spec.request"
local session = require "tidegate.spec.session"
local websocket = require "tidegate.spec.websocket"
local world = require "tidegate.spec.world"

local memory = {}

local LIMIT = 3600          -- seconds of the fake clock that a request may take

-- -- connections --

local Connection = {}
Connection.__index = Connection

local native

function Connection:open() native.open_wire(self.id) end
function Connection:refuse() native.refuse(self.id) end
function Connection:send(bytes) return native.send(self.id, bytes) end
function Connection:finish() native.finish(self.id) end
function Connection:reset() native.reset(self.id) end

--- Forgets it, whatever state it is in.
function Connection:forget()
  if self.forgotten then return end
  self.forgotten = true
  native.forget(self.id)
end

-- -- the driver --

local Driver = {}
Driver.__index = Driver

local driver

local function add(self, id, kind, host, port)
  local connection = setmetatable({ id = id, kind = kind, host = host, port = port }, Connection)
  table.insert(self.connections, connection)
  return connection
end

function Driver:now() return core.ms() / 1e3 end

function Driver:connect(r)
  local tls = r.tls or {}
  local id = native.accept(r.client_ip, r.client_port, r.port, 0, tls.version, tls.cipher, tls.sni)
  self.client = add(self, id)
  return self.client
end

--- New connections of the gateway's to somebody else.
local function take_dialled(self)
  local moved = false
  while true do
    local id, kind, host, port = native.dialled()
    if not id then return moved end
    moved = true
    self.peers:accept(add(self, id, kind, host, port))
  end
end

--- What has come on one connection.
local function take_bytes(self, connection)
  local bytes, is_open = native.take(connection.id)
  if #bytes > 0 and connection.on_bytes then connection.on_bytes(bytes) end
  if is_open or connection.ended then return #bytes > 0 end
  connection.ended = true
  if connection.on_end then connection.on_end() end
  native.finish(connection.id)
  self.peers:forget(connection)
  return true
end

function Driver:turn()
  native.step()
  local moved, kept = take_dialled(self), {}
  for _, connection in ipairs(self.connections) do
    if not connection.forgotten and connection.ended and connection ~= self.client then connection:forget() end
    if not connection.forgotten then
      kept[#kept + 1] = connection
      moved = take_bytes(self, connection) or moved
    end
  end
  self.connections = kept
  return moved
end

local function whole_ms(seconds) return math.floor(seconds * 1e3 + 0.5) end

--- Lets time pass until something is due; false where nothing is before the limit. All in seconds.
function Driver:wait(due, limit)
  local ms = native.due()
  if due then ms = math.min(ms or math.huge, whole_ms(due)) end
  if not ms or ms > whole_ms(limit) then return false end
  core.move_to(ms)
  return true
end

function Driver:stuck()
  return ("nothing happens any more, and there is no response: after %d s of the fake clock"):format(LIMIT)
end

--- Ends whatever connections are left, after something has gone wrong.
function Driver:cut()
  for _, connection in ipairs(self.connections) do connection:forget() end
  self.connections = {}
  for id in native.dialled do native.forget(id) end
  native.step()
end

--- The one driver of this spec.
local function the_driver()
  if driver then return driver end
  native = core.open()
  driver = setmetatable({ connections = {} }, Driver)
  driver.peers = peers.new(function(connection) return world.target(connection, driver.gate) end,
                           function() return driver:now() end)
  return driver
end

-- -- what is told --

local function take_notes(notes)
  for _, entry in ipairs(outcome.log_entries(native.log())) do table.insert(notes.log, entry) end
  for plugin, hook, text in native.failures():gmatch "(%Z*)%z(%Z*)%z(%Z*)%z" do
    table.insert(notes.errors, { plugin = plugin, hook = hook, text = text })
  end
  for line in native.access do notes.access[#notes.access + 1] = line:gsub("\n$", "") end
  return notes
end

--- Runs something with notes of its own.
-- @treturn table the notes
local function noting(f)
  local outer = world.notes
  core.open()
  if world.is_busy then error("a request is under way: the spec's own functions cannot make another one", 3) end
  world.notes, world.is_busy = outcome.notes(), true
  local notes = world.notes
  native.log()
  native.failures()
  local good, why = pcall(f, notes)
  if not good then driver:cut() end
  take_notes(notes)
  world.notes, world.is_busy = outer, false
  if not good then error(why, 0) end
  return notes
end

-- -- the gateway --

local Gate = {}
Gate.__index = Gate
request.methods(Gate)
websocket.methods(Gate)

--- Loads a configuration.
-- @tparam table options see tidegate.spec.configuration
-- @treturn table
function memory.gateway(options)
  local self = setmetatable({ options = options, services = world.services(options) }, Gate)
  the_driver()
  local result = configuration.load(options)
  self.address = tonumber(ffi.cast("uintptr_t", result.generation))
  self.nodes = configuration.nodes(options, result.config)
  local loaded, why = native.load(self.address)
  if not loaded then error(why, 0) end
  self.lines = {}
  return self
end

--- What plugins are to find in req.ctx and req.consumer, and what they leave there.
local function watch_request(r, notes)
  core.on_request = function(object)
    local ctx = object.ctx      -- from now on it is kept, and can be read when the request is over
    notes.request = object
    for key, value in pairs(r.ctx or {}) do ctx[key] = value end
    if r.consumer ~= nil then object.consumer = r.consumer end
  end
end

--- Sends a request.
-- @tparam table r what tidegate.spec.request.make gives
-- @treturn table see tidegate.spec.outcome; also ctx and consumer, as plugins left them; took: seconds
function Gate:run(r)
  if self.stopped then error("this gateway was stopped", 3) end
  core.freeze()
  local response, took
  local notes = noting(function(notes)
    driver.gate, driver.peers.feed = self, r.feed
    self.handlers = world.handlers(r, self.services)
    native.use(self.address)
    watch_request(r, notes)
    response, took = (r.session or session).run(driver, r, LIMIT)
  end)
  core.on_request = nil
  for _, entry in ipairs(notes.log) do table.insert(self.lines, entry.line .. "\n") end
  local out = outcome.new(notes, response)
  out.took, out.ctx, out.consumer = took, {}, nil
  if out.request then out.ctx, out.consumer = out.request.ctx, out.request.consumer end
  return out
end

--- Lets time pass; what is due happens meanwhile.
-- @tparam number seconds
-- @treturn table notes of what happened: log, errors, calls, redis, upstreams
function memory.advance(seconds)
  the_driver()
  core.freeze()
  local stop = driver:now() + seconds
  return noting(function()
    repeat
      while driver:turn() or driver.peers:turn() do end
    until not driver:wait(driver.peers:next_due(), stop)
    core.move_to(whole_ms(stop))
    while driver:turn() or driver.peers:turn() do end
  end)
end

--- What was logged for its requests.
-- @tparam[opt] string text that must be there, no pattern
-- @treturn string
function Gate:log(text)
  local log = table.concat(self.lines)
  if text and not log:find(text, 1, true) then error(("the gateway has not logged %q:\n%s"):format(text, log), 2) end
  return log
end

--- Ends all connections, also those that plugins keep for later.
function memory.hang_up()
  if driver then driver:cut() end
end

--- Unloads it: its plugins' `close` runs.
-- @treturn ?table notes of what they did
function Gate:stop()
  if self.stopped then return end
  self.stopped = true
  return noting(function() native.unload(self.address) end)
end

return memory
