--- Chains of converted plugins: those that several routes share become instances.
local native = require "tidegate.dialects.foreign.native"

local chains = {}

--- An entry as it is written: a name, { name: config } where no more is to be said, or as it is.
function chains.short(entry)
  for key in pairs(entry) do
    if key ~= "use" and key ~= "config" then return entry end
  end
  if not entry.config or next(entry.config) == nil then return entry.use end
  return { [entry.use] = entry.config }
end

--- The name of an instance: letters, digits and _, as plugins have them, and no plugin's.
local function instance_name(stem, number, entry, instances)
  local name = stem:lower():gsub("[^%w]", "_"):gsub("^[^%l]", "s_%0")
  if number > 1 then name = ("%s_%d"):format(name, number) end
  while instances[name] and instances[name] ~= entry or native.plugin(name) do name = name .. "_" end
  return name
end

--- Adds entries to a chain.
-- @tparam table chain
-- @tparam {table,...} entries
-- @tparam ?string shared_as what instances are named after; nil: the entries stand in this chain only
-- @tparam table instances of the result
function chains.attach(chain, entries, shared_as, instances)
  for i, entry in ipairs(entries) do
    if shared_as then
      local name = instance_name(shared_as, i, entry, instances)
      instances[name] = entry
      chain[#chain + 1] = name
    else
      chain[#chain + 1] = chains.short(entry)
    end
  end
end

local ASKS = { basic_auth = true, jwt_auth = true }

local function asks_for_credentials(uses)
  for _, use in ipairs(uses) do
    for _, entry in ipairs(use.entries or {}) do
      if ASKS[entry.use] or entry.use == "require_header" and entry.band == "auth" then return true end
    end
  end
  return false
end

--- Lets the rate limits of a route that asks for credentials run behind that, as in Kong and APISIX: who has none is
-- not counted.
-- @tparam {table,...} uses of plugins, with their entries
-- @treturn boolean whether the route asks
function chains.limit_late(uses)
  local asks = asks_for_credentials(uses)
  for _, use in ipairs(asks and uses or {}) do
    for _, entry in ipairs(use.entries or {}) do
      if entry.use == "rate_limit" then entry.band, entry.priority = "auth", -100 end
    end
  end
  return asks
end

--- A name that is not taken yet; it is taken then.
function chains.unique(name, taken)
  local candidate, n = name, 1
  while taken[candidate] do
    n = n + 1
    candidate = ("%s-%d"):format(name, n)
  end
  taken[candidate] = true
  return candidate
end

return chains
