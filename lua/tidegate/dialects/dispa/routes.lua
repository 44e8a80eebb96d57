--- Dispa's domains and routing rules as routes.
local conditions = require "tidegate.dialects.conditions"
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"
local security = require "tidegate.dialects.dispa.security"

local routes = {}

local FIRST = 1000000       -- what is excluded is so before all rules

--- One pattern of a host, natively; nil after telling that there is none.
local function host_of(self, item)
  local stem = item.text:match "^([^*]+)%.%*$"
  if not stem then return node.copy(item) end
  local regex = "~^" .. stem:gsub("%.", "\\.") .. "\\..*$"
  if native.takes("host_pattern", regex) then return node.scalar(regex, item) end
  native.leave_out(self.report, item, "domains", "only the first part of a host can be a star")
end

--- The hosts of a list of domains as the keys of a route; nil where it stands for all.
local function hosts_of(self, key)
  local written = self:node(self.file.domains, key)
  local items = {}
  for _, item in ipairs(written and (written.items or { written }) or {}) do
    if item.text == "*" then return nil end
    items[#items + 1] = host_of(self, item)
  end
  return written and node.list(items, written)
end

local function path_of(self, rule)
  local match = rule.match
  local prefix, regex = self:node(match, "path_prefix"), self:node(match, "path_regex")
  if prefix then return node.scalar(prefix.text:gsub("/+$", "") .. "/*", prefix) end
  if not regex then return nil end
  local text = "~" .. regex.text
  if not native.takes("path_pattern", text) then
    self:leave_out(match, "path_regex", "the rule is switched off")
    return nil, true
  end
  return node.scalar(text, regex)
end

local function condition_of(self, rule)
  local list = {}
  for _, kind in ipairs { { "headers", "header" }, { "query_params", "query" } } do
    local written = self:node(rule.match, kind[1])
    for _, item in ipairs(written and written.entries or {}) do
      list[#list + 1] = conditions.ask(item, kind[2], node.scalar(item.key, item), "equals", item.value)
    end
  end
  return conditions.all(list, self:place(rule))
end

local function transform_of(self, rule)
  local add, remove = self:node(rule.transform, "add_headers"), self:node(rule.transform, "remove_headers")
  if not add and not remove then return nil end
  local place = self:place(rule.transform)
  return node.map(place, { { "headers", node.map(place, { { "request", node.map(place, {
    remove and { "remove", remove }, add and { "set", security.fields(add) },
  }) } }) } })
end

--- A route with what all of them have.
local function add(self, list, place, pairs, own)
  local route = node.map(place)
  for i = 1, table.maxn(pairs) do
    if pairs[i] then node.put(route, pairs[i][1], pairs[i][2]) end
  end
  local plugins = {}
  for i, plugin in ipairs(self.chain) do plugins[i] = node.copy(plugin) end
  plugins[#plugins + 1] = own
  node.put(route, "timeout", self:timeout())
  if #plugins > 0 then node.put(route, "plugins", node.list(plugins, place)) end
  list[#list + 1] = route
end

local function add_rule(self, list, rule, hosts, index)
  local place = self:place(rule)
  local path, is_off = path_of(self, rule)
  local methods, priority = self:node(rule.match, "method"), self:node(rule, "priority")
  local name, condition = self:node(rule, "name"), condition_of(self, rule)
  local target = self:target(rule.target)
  if not target then
    return self:fail(rule, "target", ("there is no target %q; known are those of targets.targets"):format(rule.target))
  end
  is_off = is_off or rule.enabled == false
  add(self, list, place, {
    { "name", name or "rule " .. index }, is_off and { "enabled", node.scalar(false, place) },
    priority and { "priority", priority }, hosts and { "hosts", node.copy(hosts) },
    path and { "path", path }, methods and { "methods", methods }, condition and { "when", condition },
    { "service", node.scalar(target, self:place(rule, "target")) },
  }, transform_of(self, rule))
end

--- All routes.
-- @treturn table node
function routes.list(self)
  local list = {}
  local hosts, excluded = hosts_of(self, "intercept_domains"), hosts_of(self, "exclude_domains")
  if excluded and #excluded.items > 0 then
    list[1] = node.map(excluded, {
      { "name", "excluded" }, { "priority", FIRST }, { "hosts", excluded },
      { "respond", node.map(excluded, { { "status", 404 } }) },
    })
  end
  if hosts and #hosts.items == 0 then hosts = nil end
  local routing = self.file.routing
  for i, rule in ipairs(routing and routing.rules or {}) do
    if rule.target then add_rule(self, list, rule, hosts, i) end
  end
  local last = "targets"
  if routing and routing.default_target then
    last = self:target(routing.default_target)
    if not last then
      return self:fail(routing, "default_target", ("there is no target %q"):format(routing.default_target))
    end
  end
  add(self, list, hosts or self.root, {
    { "name", "all" }, hosts and { "hosts", hosts }, { "service", last },
  })
  if self.health_listener then
    for _, route in ipairs(list) do node.put(route, "on", node.list({ "main" }, route)) end
    local place = self.health_listener
    list[#list + 1] = node.map(place, {
      { "name", "health" }, { "path", "/health" }, { "on", node.list({ "health" }, place) },
      { "respond", node.map(place, { { "body", "OK\n" } }) },
    })
  end
  return node.list(list, self.root)
end

return routes
