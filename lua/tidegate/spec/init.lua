--- The test kit for plugins: `local fake = require "tidegate.spec"`. docs/testing.md tells all of it.
-- A gateway in memory is the gateway's own core, fed by hand: no process, no socket, no waiting. The rest of the world
-- is played by functions of the spec. What a test has set is forgotten after it.
local core = require "tidegate.spec.core"
local dictionaries = require "tidegate.spec.dictionaries"
local memory = require "tidegate.spec.memory"
local plugin = require "tidegate.spec.plugin"
local request = require "tidegate.spec.request"
local through = require "tidegate.spec.through"
local websocket = require "tidegate.spec.websocket"
local world = require "tidegate.spec.world"

local fake = { clock = {} }

--- A plugin, found by its name.
-- @tparam string name
-- @tparam[opt] string source the text of the plugin's file, where there is none
-- @treturn table callable: plugin(conf[, options of the entry]) gives an instance; name, schema, stages, hooks
function fake.plugin(name, source)
  if type(name) ~= "string" then error(("fake.plugin: expected a name, found a %s"):format(type(name)), 2) end
  local found = plugin.find(name, source, 2)
  return found          -- no tail call: the spec's file is looked for above this one
end

--- A request; request:through(instance, ...) sends it through a gateway with these plugins.
-- @tparam[opt] table fields method, path, query, headers, body, json, ...
fake.request = function(fields) return request.new(fields or {}) end

request.class.through = through

local function made(make, ...)
  local good, result = pcall(make, ...)
  if not good then error(result, 3) end
  return result
end

--- A WebSocket; websocket:through(instance, ...) opens it through a gateway with these plugins, sends the messages of
-- its list and ends it.
-- @tparam table fields those of a request; as a list the messages: texts, or { data =, type =, from =, after = };
--   close: { code =, reason =, from = }
fake.websocket = function(fields) return made(websocket.new, fields) end

--- A WebSocket with one message.
-- @tparam string data
-- @tparam[opt] table options type ("text" or "binary"), from ("client" or "upstream"), after (seconds), close, and
--   fields of a request
fake.message = function(data, options) return made(websocket.of_message, data, options) end

websocket.class.through = through.websocket

--- A gateway in memory.
-- @tparam table options plugins, global_plugins: lists of entries; upstream, services: handlers; yaml; sources
-- @treturn table gate:request{...}, gate:get(path, headers), gate:stop()
function fake.memory(options) return memory.gateway(options or {}) end

--- A gateway as a process, with the same options and methods as one in memory.
function fake.gateway(options) return require("tidegate.spec.gateway").start(options or {}) end

local HTTP = { ["function"] = true, table = true, string = true, number = true }
local REDIS = { ["function"] = true, table = true }

local function check_handler(call, handler, kinds)
  local kind = type(handler)
  if kinds[kind] then return handler end
  error(("%s: expected a function or a table, found a %s"):format(call, kind), 3)
end

--- Answers the HTTP requests that plugins make.
-- @tparam function|table|string|number handler of the request, or the answer
function fake.http(handler) world.http = check_handler("fake.http", handler, HTTP) end

--- Answers commands of Redis.
-- @tparam function|table handler function(name, ...), or functions and values by name of the command
function fake.redis(handler) world.redis = check_handler("fake.redis", handler, REDIS) end

--- Answers on a socket that a plugin opens.
-- @tparam string address "host:port", or the path of a unix socket
-- @tparam function handler function(bytes, connection) -> bytes or nil
function fake.socket(address, handler)
  if type(handler) ~= "function" then
    error(("fake.socket: expected a function, found a %s"):format(type(handler)), 2)
  end
  world.sockets[address] = handler
end

--- Seconds since the epoch.
function fake.clock:now() return core.now() end

--- Lets time pass: timers run, sleepers wake.
-- @tparam number seconds
-- @treturn table notes of what happened meanwhile: log, errors, calls, redis
function fake.clock:advance(seconds)
  if type(seconds) ~= "number" or seconds < 0 or seconds ~= seconds then
    error(("clock:advance: expected seconds, found %s"):format(tostring(seconds)), 2)
  end
  return memory.advance(seconds)
end

--- Sets the time; nothing else happens.
-- @tparam number seconds since the epoch
function fake.clock:set(seconds) core.set_now(seconds) end

--- Forgets all that a test has set: instances, what answers, dictionaries, the clock. After each test this is done
-- without saying. Gateways stay until they are stopped.
function fake.reset()
  through.reset()
  memory.hang_up()
  world.reset()
  dictionaries.clear()
  core.thaw()
end

--- Where busted runs the spec, it says when a test is over. Another file has its own copy of this module, and its own
-- tests.
local function follow_busted()
  local busted = package.loaded.busted
  if not busted or not busted.subscribe then return end
  local own = setmetatable({ fake = fake }, { __mode = "v" })
  busted.subscribe({ "test", "end" }, function()
    if own.fake and package.loaded["tidegate.spec"] == own.fake then own.fake.reset() end
    return nil, true
  end)
end

follow_busted()

return fake
