--- A service of a generation that nobody serves, for specs of what picks nodes: as many loops as a spec wants, and
-- requests that stay in hand until the spec lets them go.
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local balancing = {}

local Service = {}
Service.__index = Service

--- @tparam table o nodes (a list of { weight =, backup =, address = }), algorithm ("ROUND_ROBIN"), loops (1), name,
-- load_percent, slow_start_ms, fails_when_down; passive, active: fields of their settings
function balancing.service(o)
  local self = setmetatable({ loops = o.loops or 1, texts = {}, now = 1000000 }, Service)
  local g = C.tide_generation_new()
  local s = C.tide_generation_add_service(g)
  self.g = g
  self:text(C.tide_generation_gateway(g).id_header, "x-request-id")
  self:text(s.name, o.name or "app")
  s.balance = C["BALANCE_" .. (o.algorithm or "ROUND_ROBIN")]
  s.load_percent, s.slow_start_ms = o.load_percent or 0, o.slow_start_ms or 0
  s.fails_when_down = o.fails_when_down or false
  for _, kind in ipairs { "passive", "active" } do
    for key, value in pairs(o[kind] or {}) do s[kind][key] = value end
    s[kind].is_on = o[kind] ~= nil
  end
  for i, node in ipairs(o.nodes) do
    local n = C.tide_generation_add_node(g)
    self:text(n.host, node.address or ("10.0.%d.%d"):format(math.floor(i / 250), i % 250))
    n.port, n.enabled, n.weight, n.backup = 80, true, node.weight or 1, node.backup or false
  end
  local e, part, index = ffi.new "struct tide_error", ffi.new "int[1]", ffi.new "int[1]"
  if C.tide_generation_finish(g, e, part, index) ~= 0 then error(ffi.string(e.text), 2) end
  C.generation_open(g, self.loops)
  self.service = g.services[0].newest
  self.by_node = {}
  for i = 0, self.service.node_count - 1 do
    self.by_node[tonumber(ffi.cast("intptr_t", self.service.nodes[i]))] = i + 1
  end
  return self
end

--- Nodes that are all alike.
function balancing.equal(count)
  local nodes = {}
  for i = 1, count do nodes[i] = {} end
  return nodes
end

function Service:text(slice, text)
  slice.at, slice.len = C.tide_generation_text(self.g, text, #text), #text
end

--- The number of the node that is picked, from 1; nil when there is none.
-- @tparam[opt] table o loop (from 1), key, pick (to go on from)
-- @treturn ?number
-- @treturn cdata the pick, in hand until it is left
function Service:pick(o)
  o = o or {}
  local p = o.pick or ffi.new "struct pick"
  if o.key then p.has_hash, p.hash = true, C.ring_hash(core.slice(o.key)) end
  if o.pick and p.service ~= nil then self:leave(p) end
  local n = C.balancer_choose(p, self.service, (o.loop or 1) - 1, self.now)
  return n ~= nil and self.by_node[tonumber(ffi.cast("intptr_t", n))] or nil, p
end

function Service:leave(p)
  C.balancer_uncount(p.service, p.node)
  p.service = nil
end

--- How many requests a node has in hand.
function Service:active(index) return self.service.states[index - 1].active end

--- Picks and leaves so often, over all loops in turn; how often each node was picked.
function Service:counts(times, o)
  local counts = {}
  for i = 1, self.service.node_count do counts[i] = 0 end
  for i = 1, times do
    local index, p = self:pick { loop = (i - 1) % self.loops + 1, key = o and o.key and o.key(i) }
    counts[index] = counts[index] + 1
    self:leave(p)
  end
  return counts
end

--- The state of a node.
function Service:state(index) return self.service.states[index - 1] end

--- An answer of a node, or a failure where why is given.
function Service:report(index, why)
  C.health_report(self.service, self:state(index), why == nil, why or "", self.now)
end

--- A check of a node has ended.
function Service:checked(index, is_good, reason)
  local result = ffi.new "struct check_result"
  result.is_good, result.reason = is_good, reason or ""
  C.health_checked(self.service, self:state(index), result, self.now)
end

--- "healthy", "unhealthy", "ejected" or "slow start".
function Service:word(index)
  return ffi.string(C.health_word(self:state(index).health, self.service.settings.slow_start_ms, self.now))
end

function Service:free() C.generation_free(self.g) end

return balancing
