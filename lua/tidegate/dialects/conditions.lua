--- Conditions (`when`) as nodes, made of lists of other gateways.
local node = require "tidegate.dialects.node"

local conditions = {}

--- { subject: NAME, op: value } or { subject: { op: value } }.
-- @tparam table place
-- @tparam string subject
-- @tparam ?string name of a header, an argument or a cookie
-- @tparam string op
-- @param value node or value
-- @tparam[opt] boolean ignores_case
function conditions.ask(place, subject, name, op, value, ignores_case)
  local case = ignores_case and { "case", node.scalar(false, place) } or nil
  if name then return node.map(place, { { subject, name }, { op, value }, case }) end
  return node.map(place, { { subject, node.map(place, { { op, value }, case }) } })
end

--- One of several conditions; nil where there is none of them.
function conditions.any(list, place)
  if #list < 2 then return list[1] end
  return node.map(place, { { "any", node.list(list, place) } })
end

--- All of several conditions; nil where there is none of them.
function conditions.all(list, place)
  if #list < 2 then return list[1] end
  return node.map(place, { { "all", node.list(list, place) } })
end

--- The opposite of a condition; without one: always.
function conditions.none(condition, place)
  if condition then return node.map(place, { { "not", condition } }) end
  return conditions.ask(place, "path", nil, "prefix", "/")
end

--- That the client's address is in one of the networks of a list.
function conditions.networks(list)
  return conditions.ask(list, "client_ip", nil, "cidr", node.copy(list))
end

--- That one of the texts of a list is in the name of the client's program.
function conditions.user_agents(list)
  local found = {}
  for i, item in ipairs(list.items) do
    found[i] = conditions.ask(item, "header", "user-agent", "contains", node.copy(item), true)
  end
  return conditions.any(found, list)
end

--- That the path is one of a list, or below one of it. A star at the end says nothing more.
function conditions.paths(list)
  local found = {}
  for _, item in ipairs(list.items) do
    local stem = item.text:gsub("/%*+$", ""):gsub("/$", "")
    if stem ~= "" then
      table.insert(found, conditions.ask(item, "path", nil, "equals", node.scalar(stem, item)))
    end
    table.insert(found, conditions.ask(item, "path", nil, "prefix", node.scalar(stem .. "/", item)))
  end
  return conditions.any(found, list)
end

--- That the host is one of a list; *.example.com stands for all below it.
function conditions.hosts(list)
  local found = {}
  for i, item in ipairs(list.items) do
    local suffix = item.text:match "^%*(%..+)$"
    local op = suffix and "suffix" or "equals"
    found[i] = conditions.ask(item, "host", nil, op, node.scalar(suffix or item.text, item))
  end
  return conditions.any(found, list)
end

return conditions
