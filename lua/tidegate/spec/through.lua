--- request:through(instance, ...): a gateway in memory whose one route has these plugins.
-- The same instances keep their gateway as long as the test runs, and with it whatever they remember. Where one has a
-- hook for bodies, the first request is sent a second time, byte by byte, to instances of its own: what comes out must
-- be the same.
local core = require "tidegate.spec.core"
local dictionaries = require "tidegate.spec.dictionaries"
local memory = require "tidegate.spec.memory"
local request = require "tidegate.spec.request"
local websocket = require "tidegate.spec.websocket"
local world = require "tidegate.spec.world"

local gates = {}        -- of this test: { instances =, services =, route =, gate = }

local function same(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local function names_of(services)
  local names = {}
  for name in pairs(services or {}) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- @treturn table the gateway
-- @treturn boolean whether it is a new one
local function gate_for(instances, services, route)
  local names = names_of(services)
  for _, known in ipairs(gates) do
    local is_alike = same(known.instances, instances) and same(known.services, names) and known.route == route
    if is_alike then return known.gate, false end
  end
  local gate = memory.gateway { plugins = instances, services = services, route = route }
  gates[#gates + 1] = { instances = instances, services = names, route = route, gate = gate }
  return gate, true
end

-- -- once more, byte by byte --

local function touches_bodies(instances)
  for _, instance in ipairs(instances) do
    local hooks = instance.plugin.hooks
    if hooks.request_body or hooks.response_body then return true end
  end
  return false
end

--- In place of a handler: what it has said before, in the same order. Only functions are spared: nothing else can tell.
-- @param handler
-- @tparam table list of answers
-- @tparam ?string service whose answers; nil: all
local function replay(handler, list, service)
  if type(handler) ~= "function" then return handler end
  local own, at = {}, 0
  for _, answer in ipairs(list) do
    if answer.asked.service == service then own[#own + 1] = answer.what end
  end
  return function(asked)
    at = at + 1
    if own[at] then return own[at] end
    error(("fed byte by byte, the plugins make more requests: %s %s"):format(asked.method, asked.url), 0)
  end
end

--- Answers of Redis by command: which come first, how they are bundled and what begins a connection may differ.
local function replay_redis(list)
  local answers = {}
  for _, answer in ipairs(list) do
    local key = table.concat(answer.asked, "\0")
    answers[key] = answers[key] or {}
    table.insert(answers[key], answer)
  end
  return function(...)
    local key = table.concat({ ... }, "\0")
    local known = answers[key]
    if known and #known > 0 then return table.remove(known, 1).what end
    if (...) == "AUTH" or (...) == "SELECT" then return true end
    error(("fed byte by byte, the plugins send Redis another command: %s"):format(table.concat({ ... }, " ")), 0)
  end
end

local function excerpt(text, at)
  local from = math.max(1, at - 20)
  return ("%s%q"):format(from > 1 and "..." or "", text:sub(from, at + 20))
end

local function compare(what, whole, bytes)
  whole, bytes = whole or "", bytes or ""
  if whole == bytes then return end
  local at = 1
  while whole:byte(at) == bytes:byte(at) do at = at + 1 end
  error(("fed byte by byte, %s differs from byte %d on: whole %s (%d bytes), byte by byte %s (%d bytes)"):format(
    what, at, excerpt(whole, at), #whole, excerpt(bytes, at), #bytes), 0)
end

--- Runs a function while others answer.
local function with_world(http, redis, f, ...)
  local before = { http = world.http, redis = world.redis }
  world.http, world.redis = http, redis
  local good, result = pcall(f, ...)
  world.http, world.redis = before.http, before.redis
  if not good then error(result, 0) end
  return result
end

--- The same request for new instances, with the same answers from everybody.
local function run_again(instances, r, answers)
  local gate = memory.gateway { plugins = instances, services = r.services, route = r.route }
  local made = request.make(r, "bytes")
  made.upstream, made.services = replay(r.upstream, answers.upstreams, "upstream"), {}
  for name, handler in pairs(r.services or {}) do made.services[name] = replay(handler, answers.upstreams, name) end
  local http, redis = replay(world.http, answers.calls), world.redis and replay_redis(answers.redis)
  local good, again = pcall(with_world, http, redis, gate.run, gate, made)
  gate:stop()
  if not good then error(again, 0) end
  return again
end

--- What dictionaries and clock were before counts for the second time as well; what the first has left is put back.
local function once_more(instances, r, out, before)
  local over, restore = core.now(), dictionaries.keep()
  memory.hang_up()
  before.restore()
  core.set_now(before.now)
  local good, again = pcall(run_again, instances, r, out.answers)
  memory.hang_up()
  core.set_now(over)
  restore()
  if not good then error(again, 0) end
  compare("the error", out.error, again.error)
  compare("the response's body", out.body, again.body)
  compare("the body that the upstream gets", out.upstream and out.upstream.body, again.upstream and again.upstream.body)
end

local through = {}

--- Forgets the gateways.
function through.reset()
  for _, known in ipairs(gates) do known.gate:stop() end
  gates = {}
end

local function check_instances(instances)
  for i, instance in ipairs(instances) do
    if type(instance) ~= "table" or not instance.is_instance then
      local message = "through: expected instances, as plugin{...} gives them; found a %s at place %d"
      error(message:format(type(instance), i), 3)
    end
  end
end

--- Opens a WebSocket through plugins, as a route would have them.
-- @tparam table w see tidegate.spec.websocket
-- @param ... instances
-- @treturn table see tidegate.spec.websocket
function through.websocket(w, ...)
  local instances = { ... }
  check_instances(instances)
  return (websocket.run(w, (gate_for(instances, w.fields.services, w.fields.route))))
end

--- Sends a request through plugins, as a route would have them.
-- @tparam table r a request
-- @param ... instances
-- @treturn table see tidegate.spec.outcome
function through.__call(_, r, ...)
  local instances = { ... }
  check_instances(instances)
  local gate, is_new = gate_for(instances, r.services, r.route)
  if not is_new or r.feed or not touches_bodies(instances) then return gate:run(request.make(r)) end
  local before = { now = core.now(), restore = dictionaries.keep() }
  local out = gate:run(request.make(r))
  once_more(instances, r, out, before)
  return out
end

return setmetatable(through, through)
