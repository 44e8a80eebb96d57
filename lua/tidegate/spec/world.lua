--- What a spec plays of the world around a gateway: services, hosts that plugins ask, Redis. Set by the spec, forgotten
-- after its test.
local outcome = require "tidegate.spec.outcome"

local world = {
  notes = outcome.notes(),      -- of what happens now
  http = nil, redis = nil,      -- handlers
  sockets = {},                 -- handlers by address
  switched = nil,               -- gets a connection to an upstream that has become a WebSocket
}

--- What an upstream says that the spec has no words for: the body of the request.
local function echo(request)
  return { body = request.body, headers = { ["content-type"] = request.headers["content-type"] } }
end

--- Handlers of the services of a gateway.
function world.services(options)
  local services = { upstream = options.upstream }
  for name, handler in pairs(options.services or {}) do services[name] = handler end
  return services
end

--- The same for one request, whose own come first.
function world.handlers(request, services)
  local handlers = { upstream = request.upstream }
  for name, handler in pairs(request.services or {}) do handlers[name] = handler end
  return setmetatable(handlers, { __index = services })
end

local function note(list) return function(what) table.insert(world.notes[list], what) end end

--- Notes what was said to whom.
local function answer(list)
  return function(what, asked) table.insert(world.notes.answers[list], { what = what, asked = asked }) end
end

--- One that answers for a service.
function world.service(name, handlers)
  return {
    name = "upstream " .. name, service = name, handler = handlers[name] or handlers.upstream or echo,
    record = note "upstreams", answered = answer "upstreams", switched = world.switched,
  }
end

local function nobody(format, ...) error(format:format(...), 0) end

local function http_target(connection)
  if not world.http then
    nobody("a plugin asks %s://%s:%d, and nobody answers: fake.http(function(request) ... end) would", connection.kind,
           connection.host, connection.port)
  end
  return { name = "fake.http", handler = world.http, record = note "calls", answered = answer "calls" }
end

local function redis_handler(address)
  if world.redis then return world.redis end
  nobody("a plugin connects to %s, and nobody is there: fake.redis(...) or fake.socket(%q, ...) would be", address,
         address)
end

local function socket_target(address)
  local handler = world.sockets[address]
  if handler then return { name = "fake.socket", handler = handler } end
  return {
    name = "fake.redis", handler = redis_handler(address), serves = "redis", record = note "redis",
    answered = answer "redis", now = function() return redis_handler(address) end,
  }
end

--- Who is at the other end of a connection that a gateway in memory opens.
-- @tparam table connection kind, host, port
-- @tparam ?table gate the gateway: nodes, handlers
function world.target(connection, gate)
  local address = connection.port > 0 and ("%s:%d"):format(connection.host, connection.port) or connection.host
  local service = gate and gate.nodes[address]
  if service then return world.service(service, gate.handlers or gate.services) end
  if connection.kind == "socket" then return socket_target(address) end
  return http_target(connection)
end

--- Forgets all.
function world.reset()
  world.notes, world.http, world.redis, world.sockets = outcome.notes(), nil, nil, {}
end

return world
