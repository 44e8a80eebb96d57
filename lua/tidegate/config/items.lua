--- The items of a configuration that stand for themselves: its listeners, routes, services, plugins and instances. Each
-- has an identity, by which it is found again in another version of the files; here, in nodes (tidegate.yaml) as they
-- were written.
local items = {}

local SECTIONS = { "listen", "routes", "services", "plugins", "instances" }
local KINDS = {
  listen = "listener", routes = "route", services = "service", plugins = "plugin", instances = "instance",
}

-- -- what is written --

local function value_of(node, key)
  local index = node.fields and node.fields[key]
  return index and node.entries[index].value
end

local function text_of(node)
  return node and node.kind == "scalar" and node.type ~= "null" and node.text or nil
end

--- All words of a lone value or a list, sorted.
local function words_of(node)
  local words = { text_of(node) }
  for i, item in ipairs(node and node.items or {}) do words[i] = text_of(item) or "" end
  table.sort(words)
  return table.concat(words, " ")
end

-- -- identity --

local IDENTITY = {}

function IDENTITY.listen(node) return text_of(node) or text_of(value_of(node, "address")) end

--- The name; without one the hosts and paths.
function IDENTITY.routes(node)
  local name = text_of(value_of(node, "name"))
  if name then return name end
  local hosts = words_of(value_of(node, "host") or value_of(node, "hosts"))
  local paths = words_of(value_of(node, "path") or value_of(node, "paths"))
  return ("%s%s%s"):format(hosts, hosts ~= "" and paths ~= "" and " " or "", paths)
end

function IDENTITY.plugins(node)
  local named = text_of(node) or text_of(value_of(node, "name")) or text_of(value_of(node, "use"))
  return named or node.entries and node.entries[1] and node.entries[1].key
end

local function path_of(section, key)
  if type(key) == "number" then return ("%s[%d]"):format(section, key) end
  if key:find "^[%w_-]+$" then return section .. "." .. key end
  return nil          -- messages show such a key shortened: it cannot be found by them
end

local function add(list, section, holder, place, key, node, identity)
  local id = KINDS[section] .. " " .. (identity or "?")
  local base, seen = id, list.seen[id]
  list.seen[id] = (seen or 0) + 1
  if seen then id = ("%s (%d)"):format(id, seen + 1) end
  local item = {
    section = section, id = id, holder = holder, place = place, path = path_of(section, key), node = node,
    base = base, seen = list.seen,
  }
  list[#list + 1] = item
  list.by_id[id] = item
  if item.path then list.by_path[item.path] = item end
end

--- All items of a configuration.
-- @tparam table node of the whole
-- @treturn table a list of { section =, id =, path =, node =, holder = node of the list or map, place = its number
--   there, base = id without a number, seen = of all of the list: how many have which base }, with by_id and by_path
function items.list(node)
  local list = { seen = {}, by_id = {}, by_path = {} }
  for _, section in ipairs(SECTIONS) do
    local holder = value_of(node, section)
    for i, item in ipairs(holder and holder.items or {}) do
      add(list, section, holder, i, i, item, IDENTITY[section](item))
    end
    for i, entry in ipairs(holder and holder.entries or {}) do
      add(list, section, holder, i, entry.key, entry.value, entry.key)
    end
  end
  return list
end

--- The item that a key belongs to.
-- @tparam table list of items.list
-- @tparam ?string path of the key: "routes[2].service"
function items.at(list, path)
  local first = path and (path:match "^%a+%[%d+%]" or path:match "^%a+%.[%w_-]+")
  return first and list.by_path[first]
end

-- -- the same item in another version --

-- What decides which requests a route takes.
local SELECTS = {
  host = true, hosts = true, path = true, paths = true, methods = true, on = true, when = true, priority = true,
  enabled = true,
}

local function text_below(node)
  if node.kind == "scalar" then return ("%q"):format(node.text) end
  local parts = {}
  for i, item in ipairs(node.items or {}) do parts[i] = text_below(item) end
  for i, entry in ipairs(node.entries or {}) do parts[i] = ("%q:%s"):format(entry.key, text_below(entry.value)) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function selection_of(route)
  local parts = {}
  for _, entry in ipairs(route.entries or {}) do
    if SELECTS[entry.key] then parts[#parts + 1] = entry.key .. ":" .. text_below(entry.value) end
  end
  table.sort(parts)
  return table.concat(parts, ",")
end

--- The item of another list that is the same. Of several routes with one identity, which have no names then, it is the
-- one that takes the same requests: their order says nothing.
-- @treturn ?table nil where there is none
function items.twin(list, item)
  local is_plain = item.seen[item.base] == 1 and (list.seen[item.base] or 0) <= 1
  if is_plain or item.section ~= "routes" then return list.by_id[item.id] end
  local wanted = selection_of(item.node)
  for _, other in ipairs(list) do
    if other.base == item.base and selection_of(other.node) == wanted then return other end
  end
  return nil
end

-- -- changes --

local function take_out(holder, gone)
  local kept = {}
  for i, one in ipairs(holder.items or holder.entries) do
    if not gone[i] then kept[#kept + 1] = one end
  end
  if holder.items then
    holder.items = kept
    return
  end
  holder.entries, holder.fields = kept, {}
  for i, entry in ipairs(kept) do holder.fields[entry.key] = i end
end

--- Whoever loads a configuration changes its nodes: what is used again is copied.
local function copy_of(node)
  local copy = {}
  for key, value in pairs(node) do copy[key] = type(value) == "table" and copy_of(value) or value end
  return copy
end

--- Puts other nodes in the place of items.
-- @tparam table node of the whole; changed in place
-- @tparam table edits by identity: a node, which is copied, or false to take the item out; of items that are not
--   there nothing is done
function items.replace(node, edits)
  local gone = {}
  for _, item in ipairs(items.list(node)) do
    local edit = edits[item.id]
    if edit == false then
      gone[item.holder] = gone[item.holder] or {}
      gone[item.holder][item.place] = true
    elseif edit and item.holder.items then
      item.holder.items[item.place] = copy_of(edit)
    elseif edit then
      item.holder.entries[item.place].value = copy_of(edit)
    end
  end
  for holder, places in pairs(gone) do take_out(holder, places) end
end

-- -- a route that is shut --

local function copy_at(node, place)
  local copy = {}
  for key, value in pairs(node) do copy[key] = value end
  copy.line, copy.column, copy.file = place.line, place.column, place.file
  return copy
end

--- A route that takes the same requests as another and answers each with 503: whoever left it out instead would hand
-- its requests to a wider route, past its plugins; and without its conditions it would take those of others.
-- @tparam table node of the route
-- @tparam boolean has_name false: leaves its name out, which may be what is bad
-- @treturn ?table node; nil where the route is no map
function items.shut(node, has_name)
  if node.kind ~= "map" then return nil end
  local function scalar(text, kind)
    return copy_at({ kind = "scalar", type = kind, text = text, value = tonumber(text) or text, style = "plain" }, node)
  end
  local function map(pairs_of)
    local entries, fields = {}, {}
    for i, pair in ipairs(pairs_of) do
      entries[i] = copy_at({ key = pair[1], value = pair[2] }, node)
      fields[pair[1]] = i
    end
    return copy_at({ kind = "map", entries = entries, fields = fields }, node)
  end
  local list = {}
  for _, entry in ipairs(node.entries) do
    if SELECTS[entry.key] or (has_name and entry.key == "name") then list[#list + 1] = { entry.key, entry.value } end
  end
  list[#list + 1] = {
    "respond", map { { "status", scalar("503", "integer") }, { "body", scalar("not available\n", "string") } },
  }
  local shut = map(list)
  shut.is_shut = true
  return shut
end

return items
