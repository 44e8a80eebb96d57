--- The bundle of tidegate.plugin.set as bytes, for the loops. What it says of routes is in blocks, each taken apart
-- when a chain of its is first needed: a loop that loads a configuration with ten thousand routes must not stand
-- still for it.
local buffer = require "string.buffer"

local pack = {}

local BLOCK = 64        -- routes

--- @tparam table bundle
-- @treturn string
function pack.encode(bundle)
  local packed = {}
  for key, value in pairs(bundle) do packed[key] = value end
  packed.routes, packed.route_names, packed.blocks = nil, nil, {}
  for first = 1, #bundle.routes, BLOCK do
    local block = { numbers = {}, names = {} }
    for i = first, math.min(first + BLOCK - 1, #bundle.routes) do
      block.numbers[#block.numbers + 1], block.names[#block.names + 1] = bundle.routes[i], bundle.route_names[i]
    end
    table.insert(packed.blocks, buffer.encode(block))
  end
  return buffer.encode(packed)
end

--- @tparam string bytes
-- @treturn table the bundle, for pack.route
function pack.decode(bytes) return buffer.decode(bytes) end

--- A route of a bundle.
-- @tparam table bundle of pack.decode
-- @tparam number number from 1
-- @treturn {number,...} numbers of the instances in its chain
-- @treturn string its name
function pack.route(bundle, number)
  local index = (number - 1) % BLOCK
  local block = buffer.decode(bundle.blocks[(number - 1 - index) / BLOCK + 1])
  return block.numbers[index + 1], block.names[index + 1]
end

return pack
