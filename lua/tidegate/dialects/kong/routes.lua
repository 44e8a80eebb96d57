--- Kong's routes: what requests they take, in which order, and what becomes of the path.
local answers = require "tidegate.dialects.foreign.answers"
local native = require "tidegate.dialects.foreign.native"
local pieces = require "tidegate.dialects.foreign.pieces"

local routes = {}

local Route = { lose = pieces.lose, methods = pieces.methods }
Route.__index = Route

local HTTPS_STATUS = 426
local REDIRECTS = { [301] = true, [302] = true, [307] = true, [308] = true }

-- -- conditions --

--- A host as a pattern; nil after telling why none can be made.
function Route:host(text)
  local pattern = text
  if text:find ":%d+$" then
    self:lose("hosts", "%s: the port of a Host field is no condition here; name the listener under `on`", text)
    return nil
  end
  local head = text:match "^(.*)%.%*$"
  if head then pattern = "~^" .. head:gsub("%.", "\\.") .. "\\." end
  local good, why = native.takes("host_pattern", pattern)
  if good then return pattern end
  self:lose("hosts", "%s: %s", text, why)
  return nil
end

function Route:hosts()
  local list = {}
  for _, host in ipairs(self.map:texts("hosts", true) or {}) do list[#list + 1] = self:host(host) end
  return #list > 0 and list or nil
end

--- One header: any of its values. Kong compares without regard to capital letters.
local function header_condition(name, values)
  local words, any = {}, {}
  for _, value in ipairs(values) do
    local pattern = value:match "^~%*(.*)$"
    if pattern then
      any[#any + 1] = { header = name, matches = pattern, case = false }
    else
      words[#words + 1] = value
    end
  end
  if #words == 1 then table.insert(any, 1, { header = name, equals = words[1], case = false }) end
  if #words > 1 then table.insert(any, 1, { header = name, ["in"] = words, case = false }) end
  return #any == 1 and any[1] or { any = any }
end

--- @treturn ?table a condition
-- @treturn number how many headers are asked for
function Route:headers()
  local map = self.map:map "headers"
  local list = {}
  for _, name in ipairs(map and map:keys() or {}) do
    local values = map:texts(name)
    if values and native.takes("header_name", name) then
      list[#list + 1] = header_condition(name, values)
      for _, value in ipairs(values) do
        local pattern = value:match "^~%*(.*)$"
        local good, why = native.takes("regex", pattern or "")
        if not good then self:lose("headers", "%s: %s", value, why) end
      end
    end
  end
  if #list == 0 then return nil, 0 end
  if not native.has "routes.when" then
    self:lose("headers", "conditions of routes are not available in this version")
    return nil, #list
  end
  return #list == 1 and list[1] or { all = list }, #list
end

-- -- paths --

--- Whether a path is a regular expression: since format 3.0 by its "~", before by characters that no path has.
local function pattern_of(path, has_tildes)
  if has_tildes then return path:match "^~(.*)$" end
  return path:find "[^%w%.%-_~/%%]" and path or nil
end

--- One path as { written =, pattern = ours, regex = theirs or nil }; nil after telling.
function Route:path(text, format)
  local regex = pattern_of(text, format >= 3)
  local pattern = regex and "~^" .. regex:gsub("^%^", "") or text:gsub("/+$", "") .. "/*"
  local good, why = native.takes("path_pattern", pattern)
  if not good then
    self:lose("paths", "%s: %s", text, why)
    return nil
  end
  return { written = text, pattern = pattern, regex = regex and regex:gsub("^%^", "") }
end

function Route:paths(format)
  local list = {}
  for _, text in ipairs(self.map:texts("paths", true) or {}) do list[#list + 1] = self:path(text, format) end
  return list
end

--- What is done to the path before it is sent on, as keys of a route and a plugin.
local function path_change(path, strips, prefix)
  local lone = path and not path.regex and path.written:gsub("/+$", "") or nil
  if not strips or not path or lone == "" then return nil, prefix, nil end
  if lone then return lone, prefix, nil end
  return nil, nil, {
    use = "rewrite", config = { match = "^(?:" .. path.regex .. ")/?", to = "/", add_prefix = prefix },
  }
end

--- Paths that Kong ranks alike: all patterns, and literal ones of one length; each by itself where it is stripped.
local function groups(paths, strips)
  local list, by_kind = {}, {}
  for i, path in ipairs(paths) do
    local kind = path.regex and "regex" or #path.written
    if strips and #paths > 1 then kind = i end
    if not by_kind[kind] then
      by_kind[kind] = {}
      list[#list + 1] = by_kind[kind]
    end
    table.insert(by_kind[kind], path)
  end
  if #list == 0 then list[1] = {} end
  return list
end

-- -- protocols --

local HTTP = { http = true, https = true }

--- @treturn boolean whether plain HTTP is refused
-- @treturn boolean whether it is a route of requests at all
function Route:protocols()
  local set, is_http = {}, false
  for _, name in ipairs(self.map:texts "protocols" or { "http", "https" }) do
    set[name] = true
    is_http = is_http or HTTP[name] or false
    if not HTTP[name] then
      self.map:tell("protocols", "%s: only routes of http and https are converted", name)
    end
  end
  return set.https and not set.http, is_http
end

--- What Kong answers to plain HTTP on a route for https: 426, or a redirect.
local function https_only(status)
  local entry = answers.to_https(status)
  if not REDIRECTS[status] then entry.config = { status = status, body = "Please use HTTPS protocol" } end
  return entry
end

-- -- a route --

local function labels(map)
  local tags = map:texts "tags"
  return tags and { tags = table.concat(tags, ", ") } or nil
end

local UNLIKE = {
  snis = "the name in the TLS handshake is no condition here; `hosts` is",
  sources = "addresses of connections are no condition here; `client_ip` under `when` is",
  destinations = "addresses of connections are no condition here; `on` names a listener",
}

--- The weight of a route in Kong's order; the first place that differs decides.
local function weight(self, group, index)
  local count, is_plain = 0, self.native.hosts ~= nil
  for _, has in ipairs { self.native.methods or false, self.native.hosts or false, self.headers_count > 0,
                         group[1] or false, self.has_snis } do
    if has then count = count + 1 end
  end
  for _, host in ipairs(self.native.hosts or {}) do
    if host:find "[*~]" then is_plain = false end
  end
  local regex = group[1] and group[1].regex
  return {
    count, is_plain and 1 or 0, self.headers_count, regex and 1 or 0, regex and self.regex_priority or 0,
    group[1] and not regex and #group[1].written or 0, -index,
  }
end

--- The native routes of this one, each with its weight and the plugins that belong to its path.
function Route:write(out, format)
  local map = self.map
  local paths, strips = self:paths(format), map:flag("strip_path", true)
  local prefix = self.service and self.service.path
  for i, group in ipairs(groups(paths, strips)) do
    local copy = {}
    for key, value in pairs(self.native) do copy[key] = value end
    local rewrite
    copy.strip_prefix, copy.add_prefix, rewrite = path_change(group[1], strips, prefix)
    for j, path in ipairs(group) do
      copy.paths = copy.paths or {}
      copy.paths[j] = path.pattern
    end
    if #group == 0 and prefix then copy.add_prefix = prefix end
    copy.name = i == 1 and self.name or ("%s-%d"):format(self.name, i)
    out[#out + 1] = { route = copy, owner = self, rewrite = rewrite, weight = weight(self, group, #out) }
  end
  for _, path in ipairs(paths) do
    if not path.regex and path.written:find "[^/]$" then self.open_path = self.open_path or path.written end
  end
end

--- @tparam Reading map
-- @tparam ?Service service none: Kong answers 503
-- @treturn ?Route nil where it is no route of requests
function routes.read(map, service, number, format)
  local self = setmetatable({ map = map, service = service, plugins = {} }, Route)
  self.id = map:text "id"
  self.name = map:text "name" or self.id or ("route-%d"):format(number)
  local refuses_http, is_http = self:protocols()
  if map:has "expression" then
    map:tell("expression", "expressions are not converted: the route is left out")
    is_http = false
  end
  if not is_http then
    for _, key in ipairs(map:keys()) do map:place(key).fate = map:place(key).fate or "told" end
    return nil
  end
  self.native = { hosts = self:hosts(), methods = self:methods(), labels = labels(map) }
  self.native.when, self.headers_count = self:headers()
  self.regex_priority = map:number("regex_priority", 0)
  self.has_snis = map:texts "snis" ~= nil
  for key, reason in pairs(UNLIKE) do
    local entry = map:entry(key)
    if entry and entry.value.kind == "list" and #entry.value.items > 0 then self:lose(key, "%s", reason) end
  end
  self.preserves_host = map:flag("preserve_host", false)
  local status = map:status("https_redirect_status_code", HTTPS_STATUS)
  if refuses_http then self.guard = https_only(status) end
  -- Bodies always stream, and slashes are merged the one way.
  map:harmless("path_handling", "request_buffering", "response_buffering", "created_at", "updated_at")
  self.format = format
  return self
end

local function same_change(a, b)
  return a.owner == b.owner and not a.rewrite and not b.rewrite and a.route.priority == b.route.priority and
         a.route.strip_prefix == nil and b.route.strip_prefix == nil
end

--- Neighbours that came of one route and did not have to be told apart become one again.
function routes.merge(list)
  local merged = {}
  for _, piece in ipairs(list) do
    local last = merged[#merged]
    if last and same_change(last, piece) then
      for _, path in ipairs(piece.route.paths or {}) do table.insert(last.route.paths, path) end
    else
      merged[#merged + 1] = piece
    end
  end
  return merged
end

return routes
