--- What a configuration says, object by object, in a form that is small enough to be kept and can be compared with
-- another: `tidegate diff`, and the line of `tidegate history`.
--
-- An object is a listener, a route, a service, an entry of the global chain, an instance, a dictionary, a consumer,
-- the source of a plugin, or one of the blocks that there is once (gateway, limits, ...). Its keys are paths within it;
-- each has a value to compare and one to show. Secrets, and all that came from outside (${...}, --set), are compared
-- by a keyed hash and never shown.
local buffer = require "string.buffer"
local C = require "tidegate.ffi"
local crypto = require "tidegate.tide.crypto"

local digest = {}

local HIDDEN = "(not shown)"
local SHOWN_MAX = 200
local SECRET_WORDS = { "secret", "password", "passwd", "token", "credential", "private" }

local key_of_process        -- so that a digest tells nothing about what it hides

local function fingerprint(text)
  key_of_process = key_of_process or crypto.random(32)
  return crypto.hex(crypto.hmac("sha256", key_of_process, text))
end

local function is_secret_path(path)
  local word = path:match "([%w_-]+)[%[%]%d]*$" or ""
  word = word:lower()
  for _, secret in ipairs(SECRET_WORDS) do
    if word:find(secret, 1, true) then return true end
  end
  return word == "key" or word == "keys" or word:find "[_-]keys?$" ~= nil
end

local judged        -- by path; for one digest, because paths hold names of the user's

local function is_hidden(node, path)
  if node and (node.is_secret or node.loose) then return true end
  if judged[path] == nil then judged[path] = is_secret_path(path) end
  return judged[path]
end

-- -- flattening --

-- The object at hand: path, value and what is shown of it, each with a NUL behind it, key after key.
local written = buffer.new()

local function clean(text) return text:find("\0", 1, true) and text:gsub("%z", "\\0") or text end

local function put(path, value, shown, hidden)
  if path == "" then path = "value" end
  if hidden then
    value, shown = fingerprint(value), HIDDEN
  else
    if #shown > SHOWN_MAX then shown = shown:sub(1, SHOWN_MAX) .. "..." end
    value, shown = clean(value), clean(shown)
  end
  written:put(clean(path), "\0", value, "\0", shown, "\0")
end

--- The keys of an object: { [path] = { value, shown } }.
local function keys_of(text)
  local keys = {}
  for path, value, shown in text:gmatch "([^%z]*)%z([^%z]*)%z([^%z]*)%z" do keys[path] = { value, shown } end
  return keys
end

local function join(path, key)
  if type(key) == "number" then return ("%s[%d]"):format(path, key) end
  return path == "" and key or path .. "." .. key
end

local function flatten_node(node, path)
  if node.kind == "scalar" then return put(path, node.text, node.text, is_hidden(node, path)) end
  for i, item in ipairs(node.items or {}) do flatten_node(item, join(path, i)) end
  for _, entry in ipairs(node.entries or {}) do flatten_node(entry.value, join(path, entry.key)) end
  return nil
end

local function flatten(marks, value, path, node)
  if type(value) ~= "table" then
    local text = tostring(value)
    local shown = node and node.kind == "scalar" and node.text or text
    return put(path, text, shown, is_hidden(node, path))
  end
  local mark = marks[value]
  if mark then
    for key, inner in pairs(value) do flatten(marks, inner, join(path, key), mark.nodes[key]) end
  elseif node then
    flatten_node(node, path)
  else
    for key, inner in pairs(value) do flatten(marks, inner, join(path, key)) end
  end
  return nil
end

-- -- objects --

local Digest = {}
Digest.__index = Digest

--- Adds what was put.
function Digest:add(kind, name, place)
  local id = kind .. "\0" .. name
  local seen = self.seen[id]
  self.seen[id] = (seen or 0) + 1
  if seen then id = ("%s (%d)"):format(id, seen + 1) end
  self.objects[id] = written:get()
  self.places[id] = place and place.line and ("%s:%d"):format(place.file, place.line) or nil
  return id
end

function Digest:object(marks, kind, name, value, place)
  C.tide_keep_pace()
  local mark = marks[value]
  if not mark then
    flatten(marks, value, "", place)
    return self:add(kind, name, place)
  end
  for key, inner in pairs(value) do
    -- A name that was not written is made from the place.
    if key ~= "name" or mark.nodes.name then flatten(marks, inner, join("", key), mark.nodes[key]) end
  end
  return self:add(kind, name, place)
end

local function named(marks, route)
  if marks:is_written(route, "name") then return route.name end
  local hosts, paths = table.concat(route.hosts or {}, " "), table.concat(route.paths or {}, " ")
  local name = hosts .. (hosts ~= "" and paths ~= "" and " " or "") .. paths
  return name ~= "" and name or "(every request)"
end

local LISTS = {
  listen = { "listener", function(_, one) return one.address end },
  routes = { "route", named },
  plugins = { "plugin", function(_, one) return one.name or one.use end },
  consumers = { "consumer", function(_, one) return one.name end },
}
local MAPS = { services = "service", instances = "instance", dictionaries = "dictionary" }
local ORDERED = { routes = true, plugins = true }       -- where the order decides

function Digest:list(marks, section, list)
  local kind, name_of = LISTS[section][1], LISTS[section][2]
  local order = {}
  for i, one in ipairs(list) do
    local mark = marks[one]
    order[i] = self:object(marks, kind, tostring(name_of(marks, one) or i), one, mark and mark.node)
  end
  if ORDERED[section] then self.orders[kind] = buffer.encode(order) end
end

--- Puts a text that is too long to be kept, or shown.
local function put_print(text)
  local print = crypto.hex(crypto.digest("sha256", text))
  put("text", print, "sha256 " .. print:sub(1, 12))
end

local function source_of(file, modules)
  local names, texts = {}, { file.source }
  for name in pairs(modules or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do texts[#texts + 1] = modules[name].source or "" end
  return table.concat(texts, "\0")
end

function Digest:sources(bundle)
  for name, file in pairs(bundle and bundle.files or {}) do
    put_print(source_of(file, bundle.modules[name]))
    self:add("plugin source", name, { file = file.path, line = 1 })
  end
end

--- What certificates hold is no text of the configuration, and yet a change of it.
function Digest:certificates(listeners)
  for _, listener in ipairs(listeners or {}) do
    for _, certificate in ipairs(listener.tls and listener.tls.certificates or {}) do
      local file = io.open(certificate.cert, "rb")
      local text = file and file:read(1024 * 1024) or ""
      if file then file:close() end
      put_print(text)
      self:add("certificate", certificate.cert)
    end
  end
end

--- The digest of a good configuration.
-- @tparam table result of config.load
function digest.of(result)
  local self = setmetatable({ objects = {}, places = {}, orders = {}, seen = {} }, Digest)
  local config, marks = result.config, result.marks
  judged = {}
  written:reset()
  for section, value in pairs(config) do
    if LISTS[section] then
      self:list(marks, section, value)
    elseif MAPS[section] then
      for name, one in pairs(value) do self:object(marks, MAPS[section], name, one, marks[value].nodes[name]) end
    elseif type(value) == "table" then
      local mark = marks[value]
      self:object(marks, section, "", value, mark and mark.node)
    else
      put("value", tostring(value), tostring(value))
      self:add(section, "")
    end
  end
  self:sources(result.plugins and result.plugins.bundle)
  self:certificates(config.listen)
  return { objects = self.objects, places = self.places, orders = self.orders }
end

-- -- comparing --

local function changed_keys(before, after)
  local old, new, names, list = keys_of(before), keys_of(after), {}, {}
  for key in pairs(old) do names[#names + 1] = key end
  for key in pairs(new) do
    if old[key] == nil then names[#names + 1] = key end
  end
  table.sort(names)
  for _, key in ipairs(names) do
    local a, b = old[key], new[key]
    if not (a and b) or a[1] ~= b[1] then
      list[#list + 1] = { key = key, old = a and a[2], new = b and b[2] }
    end
  end
  return list
end

local function among(order, other)
  local list = {}
  for _, id in ipairs(order and buffer.decode(order) or {}) do
    if other[id] then list[#list + 1] = id end
  end
  return table.concat(list, "\1")
end

local function split(id) return id:match "^([^%z]*)%z(.*)$" end

--- How two configurations differ.
-- @treturn table a list of { kind =, name =, change = "added", "removed", "changed" or "moved", place =,
--   keys = { { key =, old =, new = }, ... } }, by kind and name
function digest.compare(before, after)
  local list = {}
  local function add(id, change, place, keys)
    local kind, name = split(id)
    list[#list + 1] = { kind = kind, name = name, change = change, place = place, keys = keys or {} }
  end
  for id, text in pairs(after.objects) do
    local old = before.objects[id]
    if not old then
      add(id, "added", after.places[id])
    elseif old ~= text then
      local keys = changed_keys(old, text)
      if #keys > 0 then add(id, "changed", after.places[id], keys) end
    end
  end
  for id in pairs(before.objects) do
    if not after.objects[id] then add(id, "removed", before.places[id]) end
  end
  for kind, order in pairs(after.orders) do
    local old = before.orders[kind]
    if old ~= order and among(old, after.objects) ~= among(order, before.objects) then add(kind .. "\0", "moved") end
  end
  table.sort(list, function(a, b)
    if a.kind ~= b.kind then return a.kind < b.kind end
    if a.name ~= b.name then return a.name < b.name end
    return a.change < b.change
  end)
  return list
end

-- -- words --

local SIGNS = { added = "+", removed = "-", changed = "~", moved = "~" }
local LINE_MAX = 160

local function title(change)
  if change.change == "moved" then return ("the order of the %ss"):format(change.kind) end
  return change.kind .. (change.name ~= "" and " " .. change.name or "")
end

--- Lines for people.
function digest.text(changes)
  local out = {}
  for _, change in ipairs(changes) do
    local place = change.place and (" (%s)"):format(change.place) or ""
    out[#out + 1] = ("%s %s%s\n"):format(SIGNS[change.change], title(change), place)
    for _, one in ipairs(change.keys) do
      out[#out + 1] = ("    %s: %s -> %s\n"):format(one.key, one.old or "(none)", one.new or "(none)")
    end
  end
  return table.concat(out)
end

--- The same in one line.
function digest.line(changes)
  local words = {}
  for i, change in ipairs(changes) do words[i] = SIGNS[change.change] .. title(change) end
  local line = table.concat(words, ", ")
  if #line > LINE_MAX then line = ("%d changes: %s..."):format(#changes, line:sub(1, LINE_MAX - 20)) end
  return line ~= "" and line or "nothing changed"
end

return digest
