--- tidegate explain: where a request would go, and through which plugins, in which order.
-- The route is found by the router itself, in a generation that is built and dropped again. Conditions are asked about
-- the request as the client sends it: what plugins change on the way is not known here.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local candidates = require "tidegate.cli.candidates"
local cidr = require "tidegate.tide.cidr"
local config = require "tidegate.config"
local cookie = require "tidegate.tide.cookie"
local enabled_routes = require "tidegate.config.enabled_routes"
local json = require "tidegate.tide.json"
local say = require "tidegate.cli.say"
local url = require "tidegate.tide.url"
local when = require "tidegate.plugin.when"

local METHODS = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE" }
local PORTS = { http = 80, https = 443 }

-- -- the request --

--- The fields of a request as conditions ask for them.
local Request = {}
Request.__index = Request

function Request:header(name)
  name = name:lower()
  for _, field in ipairs(self.fields) do
    if field.name == name then return field.value end
  end
  return nil
end

function Request:header_all(name)
  local values = {}
  name = name:lower()
  for _, field in ipairs(self.fields) do
    if field.name == name then values[#values + 1] = field.value end
  end
  return values
end

function Request:arg(name)
  local value = self.args[name]
  if type(value) == "table" then return value[1] end
  return value
end

function Request:cookie(name)
  for _, header in ipairs(self:header_all "cookie") do
    local value = cookie.get(header, name)
    if value then return value end
  end
  return nil
end

--- "Name: value" as a field; nil where it is none.
local function field_of(text)
  local name, value = text:match "^%s*([^%s:]+):%s*(.-)%s*$"
  return name and { name = name:lower(), value = value }
end

--- What a client says in its TLS hello: names only, RFC 6066 section 3.
local function sni_of(host) return not cidr.family(host) and host or nil end

--- @treturn ?table nil and what is wrong with the words
local function request_of(options)
  if not options.url:find "^%a[%w+.-]*://" then options.url = "http://" .. options.url end
  local target, why = url.parse(options.url)
  if not target or not PORTS[target.scheme] then
    return nil, ("expected a URL such as http://host/path, found %q%s"):format(options.url, why and ": " .. why or "")
  end
  if not cidr.family(options.client_ip) then
    return nil, ("--client-ip: expected an address, found %q"):format(options.client_ip)
  end
  local fields = {}
  for i, text in ipairs(options.header or {}) do
    fields[i] = field_of(text)
    if not fields[i] then return nil, ("-H: expected a field such as 'X-User: me', found %q"):format(text) end
  end
  return setmetatable({
    method = options.method, scheme = target.scheme, host = target.host, port = target.port,
    path = target.path == "" and "/" or target.path,
    tls = target.scheme == "https" and { sni = sni_of(target.host) } or nil, query = target.query,
    client_ip = options.client_ip, fields = fields,
    args = url.parse_query(target.query or "") or {},
    authority = target.host:find(":", 1, true) and "[" .. target.host .. "]" or target.host,
  }, Request)
end

-- -- the route --

local function port_of(listener) return tonumber(listener.address:match ":(%d+)$") end

--- The listener that the request comes in at; false as second result where none has its port.
local function listener_of(listeners, req)
  local port, other = req.port or PORTS[req.scheme], nil
  for i, listener in ipairs(listeners) do
    if (listener.tls ~= nil) == (req.scheme == "https") then
      if port_of(listener) == port then return i, true end
      other = other or i
    end
  end
  return other or 1, req.port == nil and other ~= nil
end

local query, answer, why = ffi.new "struct tide_route_query", ffi.new "struct tide_route_answer",
                           ffi.new "struct tide_error"

local held = {}                 -- the texts that `query` points to

local function put(name, text)
  held[name] = text
  query[name].at, query[name].len = held[name], #text
end

local function text_of(slice) return ffi.string(slice.at, slice.len) end

--- Names and values, each with a NUL behind it.
local function fields_of(req)
  local pieces = {}
  for _, field in ipairs(req.fields) do pieces[#pieces + 1] = field.name .. "\0" .. field.value .. "\0" end
  return table.concat(pieces)
end

--- Asks the router. True, or nil and what is wrong with the request; the answer is in `answer`.
local function ask(generation, req, method, listener)
  local path = req.path:match "^[^?]*"
  put("method", method)
  put("authority", req.authority)
  put("path", path)
  query.listener = listener - 1
  put("query", req.query or "")
  put("fields", fields_of(req))
  put("client_ip", req.client_ip)
  query.sni = req.tls and (req.tls.sni or "") or nil
  if C.tide_route_find(generation, query, answer, why) == 0 then return true end
  return nil, ffi.string(why.text)
end

--- Asks once more where a plugin would answer a CORS preflight in place of a 405: for the method that it asks about.
local function ask_as_preflight(generation, req, listener)
  local wanted = req.method == "OPTIONS" and req:header "origin" and req:header "access-control-request-method"
  if wanted and ask(generation, req, wanted, listener) and answer.route >= 0 and answer.preflight then return true end
  return ask(generation, req, req.method, listener)
end

--- The methods that would find a route where this one finds none.
local function other_methods(generation, req, listener)
  local list = {}
  for _, method in ipairs(METHODS) do
    if ask(generation, req, method, listener) and answer.route >= 0 then list[#list + 1] = method end
  end
  return list
end

--- Services and the parts of a route's requests that they get.
local function shares_of(route)
  local names, total, list = {}, 0, {}
  for name, weight in pairs(route.split) do
    names[#names + 1], total = name, total + weight
  end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = ("%s (%.4g%%)"):format(name, 100 * route.split[name] / total) end
  local sticky = route.sticky
  local how = sticky and (", sticky by the %s %s"):format(sticky.cookie and "cookie" or "header",
                                                          sticky.cookie or sticky.header) or ""
  return ("one of the services %s%s"):format(table.concat(list, ", "), how)
end

--- What the gateway answers with, in words.
local function action_of(route)
  if type(route.service) == "table" then
    local default = route.service.default
    return ("the service that segment %d of the path names%s"):format(
      route.service.segment, default and (", %s where it is empty"):format(default) or "")
  end
  if route.service then return ("service %s"):format(route.service) end
  if route.split then return shares_of(route) end
  if route.redirect then return ("redirect %d to %s"):format(route.redirect.status, route.redirect.to) end
  return route.respond.echo and "the request itself (echo)" or ("a response of its own, status %d"):format(
    route.respond.status)
end

--- @treturn ?table { number =, name =, place =, hosts =, paths =, methods =, action = }, or, where there
-- is none, { status =, reason =, methods = }; nil and what is wrong with the request
local function route_of(loaded, req, listener)
  local generation = loaded.generation
  local good, trouble = ask(generation, req, req.method, listener)
  if not good then return nil, trouble end
  local path = text_of(answer.path)
  if answer.status == 405 and answer.route < 0 then good, trouble = ask_as_preflight(generation, req, listener) end
  if not good then return nil, trouble end
  req.path = path
  if answer.route < 0 then
    local status, reason = answer.status, ffi.string(why.text)
    return { status = status, reason = reason,
             methods = status == 405 and other_methods(generation, req, listener) or nil }
  end
  local route = enabled_routes(loaded.config)[answer.route + 1]
  return {
    number = answer.route + 1, name = route.name, place = text_of(answer.source), hosts = route.hosts,
    paths = route.paths, methods = route.methods, service = route.service, action = action_of(route),
  }
end

-- -- the plugins --

local function quoted(value)
  if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
  local list = {}
  for i, item in ipairs(value) do list[i] = quoted(item) end
  return table.concat(list, ", ")
end

--- A condition in words.
local function words_of(condition)
  for _, group in ipairs { "all", "any" } do
    if condition[group] then
      local list = {}
      for i, inner in ipairs(condition[group]) do list[i] = words_of(inner) end
      return ("%s of (%s)"):format(group, table.concat(list, "; "))
    end
  end
  if condition["not"] then return ("not (%s)"):format(words_of(condition["not"])) end
  local subject = condition.subject .. (condition.name and " " .. condition.name or "")
  if condition.op == "exists" then return subject .. (condition.value and " is there" or " is not there") end
  return ("%s %s %s"):format(subject, condition.op, quoted(condition.value))
end

--- Whether a condition fits; nil and why where it cannot be told.
local function fits(condition, req)
  if not condition then return true end
  local good, result = pcall(when.compile(condition), req)
  if good then return result end
  return nil, result
end

local function add_chain(list, bundle, numbers, stage, req)
  for _, number in ipairs(numbers) do
    local use = bundle.instances[number]
    local runs, trouble = fits(use.when, req)
    local hooks = {}
    for hook in pairs(bundle.hooks[use.plugin]) do hooks[#hooks + 1] = hook end
    table.sort(hooks)
    list[#list + 1] = {
      stage = stage, band = use.band, priority = use.priority, plugin = use.plugin, name = use.name, place = use.place,
      on_error = use.on_error, hooks = json.array(hooks), runs = runs, trouble = trouble,
      when = use.when and words_of(use.when) or nil,
    }
  end
end

local function plugins_of(bundle, route, req)
  local list = {}
  if not bundle then return list end
  add_chain(list, bundle, bundle.global, "global", req)
  if route.number then add_chain(list, bundle, bundle.routes[route.number], "route", req) end
  return list
end

-- -- telling --

local function route_words(route)
  if route.status == 405 then
    local others = #route.methods > 0 and table.concat(route.methods, ", ") or "no method"
    return ("none for this method: 405; %s would have one"):format(others)
  end
  if route.status then return ("none: %d, %s"):format(route.status, route.reason) end
  local of = {}
  for _, part in ipairs { { "host", route.hosts }, { "path", route.paths }, { "method", route.methods } } do
    if part[2] then of[#of + 1] = part[1] .. " " .. table.concat(part[2], " ") end
  end
  local asks = #of > 0 and table.concat(of, ", ") or "every request"
  return ("%s (%s): %s"):format(route.name, route.place, asks)
end

local function runs_words(use)
  local verdict = use.runs and "yes" or use.runs == false and "no" or "cannot be told: " .. use.trouble
  return verdict .. (use.when and ", when " .. use.when or "")
end

local function tell_plugins(list)
  if #list == 0 then return say.line "plugins   none" end
  local rows = { { "", "stage", "band", "priority", "plugin", "at", "hooks", "runs" } }
  for _, use in ipairs(list) do
    local name = use.name == use.plugin and use.name or ("%s (%s)"):format(use.name, use.plugin)
    rows[#rows + 1] = { "", use.stage, use.band, ("%g"):format(use.priority), name, use.place,
                        table.concat(use.hooks, " "), runs_words(use) }
  end
  say.line "plugins   in the order of their request hooks; response hooks run the other way round"
  io.stdout:write(say.columns(rows, { [4] = true }))
  return nil
end

local function tell_candidates(told)
  if #told.candidates == 0 then return end
  say.line "candidates in the order in which they win"
  io.stdout:write(say.columns(candidates.rows(told.candidates)))
  if told.candidates_left_out > 0 then say.line("  and %d more of other hosts or paths", told.candidates_left_out) end
end

local function tell(told)
  say.line("request   %s %s", told.method, told.url)
  say.line("listener  %s%s", told.listener, told.listener_fits and "" or " (none has the port of the URL)")
  say.line("route     %s", route_words(told.route))
  if told.route.action then say.line("answer    %s", told.route.action) end
  tell_candidates(told)
  tell_plugins(told.plugins)
end

--- Looks everything up. Nil and what is wrong with the request.
local function explained(loaded, req, options)
  local number, listener_fits = listener_of(loaded.config.listen, req)
  local route, trouble = route_of(loaded, req, number)
  if not route then return nil, trouble end
  ask(loaded.generation, req, req.method, number)       -- puts the question again after those about other methods
  local list, left_out = candidates.list(loaded.generation, query, enabled_routes(loaded.config), loaded.marks)
  return {
    candidates = json.array(list), candidates_left_out = left_out,
    method = req.method, url = options.url, path = req.path, listener = loaded.config.listen[number].address,
    listener_fits = listener_fits, route = route, plugins = json.array(plugins_of(loaded.plugins.bundle, route, req)),
  }
end

local explain = {}

--- Where a request would go.
-- @tparam table loaded good, of config.load
-- @tparam table options url, method, header, client_ip
-- @treturn ?table plain values, for show; nil and what is wrong with the request
function explain.look_up(loaded, options)
  local req, trouble = request_of(options)
  if not req then return nil, trouble end
  return explained(loaded, req, options)
end

--- Tells what look_up has found.
function explain.show(told, options)
  if options.json then say.json(told) else tell(told) end
end

--- @tparam string file of the configuration
-- @tparam table options url, method, header, client_ip, json
-- @treturn number exit code
function explain.run(file, options)
  local req, trouble = request_of(options)
  if not req then
    say.complain("%s", trouble)
    return say.BAD
  end
  local loaded = config.load(file, options)
  io.stderr:write(loaded.report:text())
  if not loaded.good then return say.BAD end
  local told
  told, trouble = explained(loaded, req, options)
  C.tide_generation_drop(loaded.generation)
  if not told then
    say.complain("%s", trouble)
    return say.BAD
  end
  explain.show(told, options)
  return say.GOOD
end

return explain
