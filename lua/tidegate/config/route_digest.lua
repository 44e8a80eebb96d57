--- All that a route means, as one number: whether a reload has changed something for what goes on through it.
local ffi = require "ffi"
local crypto = require "tidegate.tide.crypto"

local word = ffi.new "uint64_t[1]"

--- A value as text, the same for equal values.
local function add(out, value)
  if type(value) ~= "table" then
    out[#out + 1] = type(value) .. ":" .. tostring(value)
    return
  end
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  out[#out + 1] = "{"
  for _, key in ipairs(keys) do
    out[#out + 1] = tostring(key)
    add(out, value[key])
  end
  out[#out + 1] = "}"
end

--- A plugin instance of a chain: its settings and the code that it runs.
local function add_instance(out, bundle, id)
  local instance = bundle.instances[id]
  local modules = {}
  for name, module in pairs(bundle.modules[instance.plugin] or {}) do modules[name] = module and module.source end
  add(out, { instance.plugin, instance.conf, instance.on_error, instance.when or false,
             bundle.files[instance.plugin].source, modules })
end

--- @tparam table config checked
-- @tparam table route of it
-- @tparam ?table bundle of tidegate.plugin.set
-- @tparam number number of the route among those that are enabled
-- @treturn cdata uint64_t, never 0
return function(config, route, bundle, number)
  local out = {}
  add(out, route)
  local by_path = type(route.service) == "table"
  local services = {}
  for name, service in pairs(config.services) do
    if by_path or name == route.service or route.split and route.split[name] then services[name] = service end
  end
  add(out, services)
  for _, ids in ipairs(bundle and { bundle.global, bundle.routes[number] or {} } or {}) do
    for _, id in ipairs(ids) do add_instance(out, bundle, id) end
  end
  ffi.copy(word, crypto.digest("sha256", table.concat(out, "\0")), 8)
  return word[0] == 0 and 1ULL or word[0] + 0ULL
end
