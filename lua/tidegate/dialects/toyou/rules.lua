--- Toyou's rules as routes. A rule for a host takes all of its paths, but those that its own rules take; a rule for a
-- path stands for itself.
local middlewares = require "tidegate.dialects.toyou.middlewares"
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"

local rules = {}

local NO_SERVICE = "there is no service %q: requests are answered with 503"
local NO_SETTINGS = "%s has no settings, so that nobody could be let through: requests are answered with 503"

--- Where a rule is asked for: names of listeners; nil: everywhere.
local function listeners_of(self, port)
  if self.has_one_listener then return nil end
  local own = port and self.listener_of[port.text]
  if not self.main_listener then return own and { own } end
  return own and own ~= self.main_listener and { self.main_listener, own } or { self.main_listener }
end

--- The middlewares that rules name, in order, each once; those that run for every request anyway are not among them,
-- but for WebSockets: there is no place for those but routes.
local function gather(self, ...)
  local defs, seen = {}, {}
  for _, name in ipairs(self.def_names) do
    local def = self.defs[name]
    if def.is_websocket and def.is_global then defs[#defs + 1], seen[def] = def, true end
  end
  for _, owner in ipairs { ... } do
    for i, name in ipairs(owner.middlewares or {}) do
      local def = self:def_of(name, owner.middlewares, i)
      local runs = not def.is_global and not def.is_left_out
      if runs and not seen[def] then defs[#defs + 1] = def end
      seen[def] = true
    end
  end
  return defs
end

--- The plugins of a route; a WebSocket's settings; a middleware that cannot be done without, and cannot be done.
local function chain(self, defs, place)
  local plugins, websocket, missing = {}, nil, nil
  for _, def in ipairs(defs) do
    if def.is_unusable then
      missing = def
    elseif def.is_websocket then
      websocket = def.enabled ~= false and def or nil
    else
      plugins[#plugins + 1] = def
    end
  end
  local bands = middlewares.bands(plugins)
  local items = {}
  for i, def in ipairs(plugins) do
    items[i] = bands[i] and self:entry_of(def, nil, bands[i]) or node.scalar(def.instance, place)
  end
  return #items > 0 and node.list(items, place) or nil, websocket, missing
end

local WEBSOCKET = {
  allowed_origins = "allow_origins", ping_interval = "ping_interval", pong_wait = "pong_wait",
  write_wait = "write_wait", max_message_size = "max_message",
}

local function websocket_of(def)
  local result = node.map(def.place)
  for _, entry in ipairs(def.config and def.config.entries or {}) do
    local name, value = WEBSOCKET[entry.key], node.copy(entry.value)
    if name == "max_message" then
      value = node.scalar(value.text .. "KiB", value)
    elseif name and name ~= "allow_origins" then
      value = middlewares.seconds(value)
    end
    if entry.key ~= "path_patterns" then node.put(result, name or entry.key, value, entry) end
  end
  return result
end

--- The path below which all fits a pattern; nil where that cannot be said.
local function stem_of(pattern)
  local stem = pattern:gsub("/%*$", ""):gsub("/$", "")
  return not stem:find "[*~]" and stem or nil
end

local function is_below(path, stem) return (path .. "/"):sub(1, #stem + 1) == stem .. "/" end

--- Paths of the settings of a WebSocket that get a route of their own: those within the rule's path (nil: any). Nil
-- where the settings are for all of the rule: its path lies within one of them, or meets none, and nobody is left out.
local function websocket_paths(def, own)
  local paths, stem = {}, own and stem_of(own.text)
  local patterns = node.get(def.config, "path_patterns")
  if own and (not stem or stem == own.text) then return nil end
  for _, item in ipairs(patterns and patterns.items or {}) do
    local text = item.text or ""
    local inner = stem_of(text)
    local is_for_all = text == "*" or own and (not inner or is_below(stem, inner))
    if is_for_all then return nil end
    if not own or is_below(inner, stem) then
      paths[#paths + 1] = node.scalar(inner and inner .. "/*" or text, item)
    end
  end
  return #paths > 0 and node.list(paths, patterns) or nil
end

--- Gives the route something to do.
local function answer(self, route, rule, missing)
  local target = self:node(rule, "target")
  if not missing and self.services[rule.target] then return node.put(route, "service", node.copy(target)) end
  local message = missing and NO_SETTINGS:format(missing.name) or NO_SERVICE:format(rule.target)
  self.report:warn(missing and missing.place or target, missing and missing.path, message)
  return node.put(route, "respond", node.map(target, { { "status", 503 }, { "body", "Service Unavailable\n" } }))
end

--- Whether a pattern can be said natively; a regular expression need not be.
local function is_sayable(self, rule, kind)
  local text = rule.pattern
  if text:sub(1, 1) ~= "~" or native.takes(kind, text) then return true end
  local place, path = self.marks:place(rule, "pattern")
  native.leave_out(self.report, place, path, "the rule never fits")
  return false
end

--- Adds a route for a host (or nil) and a path (or nil), both rules; the target is the last one's.
local function add(self, list, host, path, priority)
  local rule = path or host
  local place = self.marks:place(rule)
  local plugins, websocket, missing
  if host and path then
    plugins, websocket, missing = chain(self, gather(self, host, path), place)
  else
    plugins, websocket, missing = chain(self, gather(self, rule), place)
  end
  local on = listeners_of(self, host and self:node(host, "port"))
  local function route(paths, with_websocket)
    local result = node.map(place)
    if priority then node.put(result, "priority", priority) end
    if host and host.pattern ~= "*" then node.put(result, "host", node.copy(self:node(host, "pattern"))) end
    if paths then node.put(result, paths.kind == "list" and "paths" or "path", paths) end
    if on then node.put(result, "on", node.list(on, place)) end
    answer(self, result, rule, missing)
    if with_websocket then node.put(result, "websocket", websocket_of(websocket)) end
    if plugins then node.put(result, "plugins", node.copy(plugins)) end
    list[#list + 1] = result
  end
  local own = path and path.pattern ~= "*" and node.copy(self:node(path, "pattern")) or nil
  local ways = websocket and websocket_paths(websocket, own)
  if ways then route(ways, true) end
  route(own, websocket and not ways)
end

-- -- the two orders --

--- Whether a request may fit both patterns of paths. Of regular expressions nobody knows.
local function may_meet(a, b)
  if a:sub(1, 1) == "~" or b:sub(1, 1) == "~" or a == "*" or b == "*" then return true end
  local stem_a, stem_b = a:match "^(.-)/?%*+$", b:match "^(.-)/?%*+$"
  if stem_a and stem_b then return is_below(stem_a, stem_b) or is_below(stem_b, stem_a) end
  if stem_a then return is_below(b, stem_a) end
  if stem_b then return is_below(a, stem_b) end
  return a == b
end

--- The same as gather for one rule, which is asked for with each rule of the other kind.
local function gathered(self, rule)
  self.gathered[rule] = self.gathered[rule] or gather(self, rule)
  return self.gathered[rule]
end

local function is_same(self, host, other)
  if host.target ~= other.target then return false end
  local mine, theirs = gathered(self, host), gathered(self, other)
  for i = 1, math.max(#mine, #theirs) do
    if mine[i] ~= theirs[i] then return false end
  end
  return true
end

--- The part of a host rule that a rule for a path competes with; nil where there is none.
local function rival(self, host, other)
  for _, nested in ipairs(host.route_rules or {}) do
    if may_meet(nested.pattern, other.pattern) and not is_same(self, nested, other) then return nested end
  end
  if host.target and not is_same(self, host, other) then return host end
end

local PAIRS_MAX = 1000      -- that are told; whoever has so many knows

--- Tells of each pair of rules of which the one counts in one order, and the other in the other.
local function warn_of_order(self)
  if self.match_order then return end
  local count = 0
  for _, host in ipairs(self.host_rules) do
    for _, other in ipairs(self.route_rules) do
      local mine = count < PAIRS_MAX and rival(self, host, other)
      if mine then
        count = count + 1
        self:warn(mine, "pattern", ("a request for %s that fits %q too %s goes to %q, since rules for hosts come " ..
                                    "first; match_order: route_first sends it to %q, host_first keeps it here")
                                   :format(host.pattern, other.pattern, self:where(other, "pattern"), mine.target,
                                           other.target))
      end
    end
  end
end

--- All rules as routes.
-- @tparam table self converter of tidegate.dialects.toyou
-- @treturn table node
function rules.routes(self)
  local list = {}
  for _, host in ipairs(self.host_rules) do
    if is_sayable(self, host, "host_pattern") then
      for _, path in ipairs(host.route_rules or {}) do
        if is_sayable(self, path, "path_pattern") then add(self, list, host, path) end
      end
      if host.target then add(self, list, host) end
      if not host.target and not host.route_rules then
        self:fail(host, nil, "expected the key target or route_rules")
      end
    end
  end
  local priority = self.match_order == "route_first" and 1 or nil
  for _, path in ipairs(self.route_rules) do
    if is_sayable(self, path, "path_pattern") then add(self, list, nil, path, priority) end
  end
  warn_of_order(self)
  return node.list(list, self.root)
end

return rules
