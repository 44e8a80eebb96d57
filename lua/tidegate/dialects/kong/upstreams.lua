--- Kong's upstreams and targets: nodes and how one of them is picked.
local health = require "tidegate.dialects.foreign.health"
local native = require "tidegate.dialects.foreign.native"

local upstreams = {}

local PORT = 8000               -- of a target that names none
local WEIGHT = 100              -- of a target that names none

local ALGORITHMS = {
  ["round-robin"] = "round_robin", ["consistent-hashing"] = "consistent_hash",
  ["least-connections"] = "least_connections", latency = "least_latency",
}

--- What the key of a hash is made of, as `balance.key` names it. Each is { the key that names it, the word for it }.
local HASH_ON = {
  ip = { nil, "client_ip" }, path = { nil, "path" }, header = { "hash_on_header", "header." },
  cookie = { "hash_on_cookie", "cookie." }, query_arg = { "hash_on_query_arg", "query." },
}

--- The hash of an upstream as a `balance` map; nil after telling.
local function hash(map)
  local on = map:text("hash_on", "none")
  local known = HASH_ON[on]
  if not known then
    map:tell("hash_on", "nodes are not picked by %s; it is round_robin instead", on)
    return nil
  end
  local name = known[1] and map:text(known[1])
  if known[1] and not name then
    map:tell("hash_on", "needs the key %s beside it", known[1])
    return nil
  end
  if on == "header" then name = name:lower() end
  return { algorithm = "consistent_hash", key = known[2] .. (name or "") }
end

local function balance(map)
  local written = map:text("algorithm", "round-robin")
  local algorithm = ALGORITHMS[written]
  -- Kong hashes nothing where it is not said what.
  local hashes = map:text("hash_on", "none") ~= "none"
  if written == "round-robin" and hashes or written == "consistent-hashing" and not hashes then
    algorithm = hashes and "consistent_hash" or "round_robin"
  end
  if not algorithm or not native.has_word("services.balance.algorithm", algorithm) then
    map:tell("algorithm", "picking nodes by %s is not available in this version; it is round_robin instead", written)
    map:harmless("hash_on", "hash_on_header", "hash_on_cookie", "hash_on_query_arg", "hash_on_uri_capture")
    return nil
  end
  if algorithm == "round_robin" then return nil end
  if algorithm == "consistent_hash" then return hash(map) end
  return algorithm
end

--- A target as a node; nil after telling.
local function node(target, address, weight)
  local host, port = address:match "^(.-):(%d+)$"
  if address:find "^%[.*%]$" or not host then host, port = address, PORT end
  local url = ("%s:%s"):format(host, port)
  local good, why = native.takes("node", url)
  if not good then
    target:tell("target", "%s is no address of a node: %s", address, why)
    return nil
  end
  local found = { url = url, weight = math.max(1, weight) }
  if weight == 0 then found.enabled = false end
  return found
end

local function read_target(map)
  local address = map:text("target", "")
  local found = node(map, address, map:number("weight", WEIGHT, 0, 65535))
  map:harmless("id", "created_at", "updated_at", "tags")
  map:refuse { failover = "targets for failover only are not available" }
  return found
end

--- @tparam Reading root
-- @tparam function refers function(map, key) -> the name that a reference gives
-- @treturn table by name: { name =, nodes =, balance =, host = host_header }
function upstreams.read(root, refers)
  local all = {}
  for _, map in ipairs(root:maps "upstreams") do
    local name = map:text("name", "")
    local found = { name = name, map = map, nodes = {}, balance = balance(map), host = map:text "host_header" }
    all[name] = found
    local id = map:text "id"
    if id then all[id] = found end
    for _, target in ipairs(map:maps "targets") do
      table.insert(found.nodes, read_target(target))
      target:finish()
    end
    found.health_check = health.convert(map, "healthchecks", health.KONG)
    -- How Kong spreads keys over a ring, and where a node's own cookie goes, has no counterpart to be set.
    map:harmless("id", "slots", "created_at", "updated_at", "tags", "hash_on_cookie_path", "use_srv_name")
    if map:text("hash_fallback", "none") ~= "none" then
      map:tell("hash_fallback", "a second key to hash is not available; where the first is empty, any node is taken")
    end
    map:harmless("hash_fallback_header", "hash_fallback_query_arg", "hash_fallback_uri_capture", "hash_on_header",
                 "hash_on_cookie", "hash_on_query_arg", "hash_on_uri_capture")
    map:refuse {
      client_certificate = "its certificate is part of the file; keep it in files, and name them under tls.client_cert",
      sticky_sessions_cookie = "sticky sessions are not converted",
    }
    map:harmless "sticky_sessions_cookie_path"
    map:finish()
  end
  for _, target in ipairs(root:maps "targets") do
    local owner = all[refers(target, "upstream") or ""]
    local found = read_target(target)
    if owner then
      table.insert(owner.nodes, found)
    else
      target:tell("upstream", "there is no such upstream")
    end
    target:finish()
  end
  return all
end

--- Tells of upstreams that no service names.
function upstreams.tell_unused(all)
  for _, each in pairs(all) do
    if not each.is_used then each.map:warn(nil, "no service has this host: not converted") end
  end
end

--- Weights that are all alike say nothing.
function upstreams.plain_weights(nodes)
  for _, each in ipairs(nodes) do
    if each.weight ~= nodes[1].weight then return end
  end
  for _, each in ipairs(nodes) do each.weight = nil end
end

return upstreams
