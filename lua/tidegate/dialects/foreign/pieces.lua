--- Routes of another gateway on their way to native ones: each is written as one piece or several, which get the order
-- that they have there.
--
-- A piece is { route = the native one, owner = the route it came of, weight = numbers that decide who wins, the first
-- that differ; the higher wins }. An owner is { map = its Reading, is_off = it must not take requests }.
local chains = require "tidegate.dialects.foreign.chains"
local native = require "tidegate.dialects.foreign.native"
local precedence = require "tidegate.dialects.foreign.precedence"

local pieces = {}

--- Something decides which requests are meant, and cannot be said here: a route without it would take more than it
-- did, so it is there but switched off.
-- @tparam table owner
-- @tparam string key
-- @tparam string message and what stands in it
function pieces.lose(owner, key, message, ...)
  owner.map:tell(key, message .. "; the route is written with `enabled: false`", ...)
  owner.is_off = true
end

--- The methods that an owner's key `methods` names; nil where it names none.
-- @tparam table owner
-- @treturn ?{string,...}
function pieces.methods(owner)
  local list = {}
  for _, method in ipairs(owner.map:texts("methods", true) or {}) do
    local good, why = native.takes("method", method)
    if good then list[#list + 1] = method else pieces.lose(owner, "methods", "%s: %s", method, why) end
  end
  return #list > 0 and list or nil
end

local function is_before(a, b)
  for i = 1, #a.weight do
    if a.weight[i] ~= b.weight[i] then return a.weight[i] > b.weight[i] end
  end
  return false
end

--- Gives the native routes the priorities that keep the order of their weights.
-- @tparam {table,...} list pieces
function pieces.put_in_order(list)
  local order, natives = {}, {}
  for i, piece in ipairs(list) do order[i], natives[i] = piece, piece.route end
  table.sort(order, is_before)
  for rank, piece in ipairs(order) do piece.route.rank = rank end
  precedence.assign(natives)
end

--- Writes the native routes, each with a name of its own.
-- @tparam {table,...} list pieces
-- @tparam table out the result
function pieces.write(list, out)
  local taken = {}
  for i, piece in ipairs(list) do
    piece.route.name = chains.unique(piece.route.name, taken)
    if piece.owner.is_off then piece.route.enabled = false end
    out.routes[i] = piece.route
  end
end

--- Leaves out the sections of a result that hold nothing.
-- @tparam table out
-- @treturn table the same
function pieces.without_empty(out)
  for _, name in ipairs { "plugins", "instances", "services" } do
    if next(out[name]) == nil then out[name] = nil end
  end
  return out
end

return pieces
