--- What a schema cannot see: names that lead nowhere, names used twice, files that cannot be read, and routes that
-- never get a request. Works on a tree with holes: what was wrong before is absent.
local C = require "tidegate.ffi"
local ffi = require "ffi"
local Sources = require "tidegate.config.source"
local discovery = require "tidegate.discovery"
local inert = require "tidegate.config.inert"
local check_routes = require "tidegate.config.check_routes"
local schema = require "tidegate.config.schema"
local sorted_keys = require "tidegate.sorted_keys"
local websocket_schemes = require "tidegate.config.websocket_schemes"

local quote = schema.quote
local why = ffi.new "struct tide_error"

--- For messages about another place: "(line 12)", "(other.yaml:12)", or where else it came from.
local function line_of(place, here)
  if not place.line then return ("(%s)"):format(place.file) end
  if here and here.file ~= place.file then return ("(%s:%d)"):format(place.file, place.line) end
  return ("(line %d)"):format(place.line)
end

local SOCKET_TOO_LONG = "the path of a unix socket must be shorter than 108 bytes, found "

--- An absolute name for a unix socket; nil and why where the kernel would not take it.
local function socket_path(file, folder)
  local path = Sources.absolute(file, folder)
  local address = "unix:" .. path
  if C.tide_address_check(address, #address, why) ~= 0 then return nil, SOCKET_TOO_LONG .. path end
  return path
end

-- Headers of a check that only the gateway can know.
local HELD_HEADERS = {
  host = true, connection = true, ["content-length"] = true, ["transfer-encoding"] = true, upgrade = true, te = true,
  expect = true, ["keep-alive"] = true,
}

local Checker = {}
Checker.__index = Checker

function Checker:fail(owner, key, message, ...)
  local place, path = self.marks:place(owner, key)
  self.report:add(place, path, message:format(...))
end

function Checker:reference(owner, key, message, ...)
  local place, path = self.marks:place(owner, key)
  self.report:reference(place, path, message:format(...))
end

--- Where another value stands, as seen from the one at hand.
function Checker:elsewhere(owner, key, here, here_key)
  return line_of(self.marks:place(owner, key), (self.marks:place(here, here_key)))
end

function Checker:warn(owner, key, message, ...)
  local place, path = self.marks:place(owner, key)
  self.report:warn(place, path, message:format(...))
end

--- The end of a message that says which name of a set was meant.
function Checker:near(word, set)
  self.sorted[set] = self.sorted[set] or sorted_keys(set)
  return (self.report:near(word, self.sorted[set]))
end

--- An absolute name; a file that cannot be read is an error at its key.
function Checker:readable(owner, key)
  if not owner or not owner[key] then return end
  owner[key] = Sources.absolute(owner[key], self.folder)
  local good, reason = self.sources:can_read(owner[key])
  if not good then self:reference(owner, key, "cannot read %s: %s", owner[key], reason) end
end

--- An absolute name of a file that need not be there.
function Checker:writable(owner, key, words)
  if owner and owner[key] and not (words and words[owner[key]]) then
    owner[key] = Sources.absolute(owner[key], self.folder)
  end
end

-- -- listeners --

function Checker:listener_address(listener)
  local file = listener.address:match "^unix:(.*)$"
  if not file then return listener.address end
  local path, reason = socket_path(file, self.folder)
  if not path then self:fail(listener, "address", "%s", reason) end
  return path and "unix:" .. path or listener.address
end

--- The listener of the metrics must not be one of the others.
function Checker:metrics(metrics, listeners)
  if not metrics.listen then return end
  metrics.listen = self:listener_address { address = metrics.listen }
  for _, l in ipairs(listeners) do
    if l.address == metrics.listen and not l.address:find ":0$" then
      self:fail(metrics, "listen", "%s is listened on already %s", l.address,
                self:elsewhere(l, "address", metrics, "listen"))
    end
  end
end

function Checker:listeners(listeners)
  local by_address, names = {}, {}
  for i, l in ipairs(listeners) do
    if l.address then
      l.address = self:listener_address(l)
      local other = by_address[l.address]
      if other and not l.address:find ":0$" then
        self:fail(l, "address", "%s is listened on already %s", l.address,
                  self:elsewhere(other, "address", l, "address"))
      end
      by_address[l.address] = other or l
    end
    if l.name and names[l.name] then
      self:fail(l, "name", "the name %s is in use already %s", quote(l.name),
                self:elsewhere(listeners[names[l.name]], "name", l, "name"))
    elseif l.name then
      names[l.name] = i
    end
    if l.tls then self:listener_tls(l.tls) end
  end
  return names
end

function Checker:listener_tls(tls)
  for _, certificate in ipairs(tls.certificates or {}) do
    self:readable(certificate, "cert")
    self:readable(certificate, "key")
    self:readable(certificate, "ocsp")
  end
  local auth = tls.client_auth
  if not auth then return end
  self:readable(auth, "ca")
  if auth.mode and auth.mode ~= "none" and not self.marks:is_written(auth, "ca") then
    self:fail(auth, "mode", '%s needs the key "ca" beside it: who may sign client certificates', auth.mode)
  end
end

-- -- services --

function Checker:nodes(service)
  local protocol, decided_by = websocket_schemes[service.protocol] or service.protocol, nil
  local enabled = 0
  for _, node in ipairs(service.nodes) do
    local target = node.url or {}
    if target.file then
      local path, reason = socket_path(target.file, self.folder)
      if not path then self:fail(node, "url", "%s", reason) end
      target.file = path
    end
    if protocol and target.scheme and target.scheme ~= protocol then
      self:fail(node, "url", "expected %s like %s, found %s; a service has one protocol", protocol,
                decided_by or "its protocol key", target.scheme)
    end
    decided_by = decided_by or not protocol and "the node before" or nil
    protocol = protocol or target.scheme
    if node.enabled then enabled = enabled + 1 end
  end
  if enabled == 0 and not service.discovery then
    self:warn(service, "nodes", "no node is enabled: every request is answered with 503")
  end
  service.protocol = protocol or "http"
end

function Checker:balance(balance)
  if not balance.algorithm then return end
  for _, key in ipairs { "key", "load_factor" } do
    if balance.algorithm ~= "consistent_hash" and self.marks:is_written(balance, key) then
      self:fail(balance, key, "only consistent_hash takes it, and the algorithm is %s", balance.algorithm)
    end
  end
  local factor = balance.load_factor
  if factor and factor ~= 0 and factor <= 1 then
    self:fail(balance, "load_factor", "expected 0, or more than 1, found %g", factor)
  end
  if balance.algorithm == "consistent_hash" then
    balance.key = balance.key or "client_ip"
    balance.load_factor = factor or 1.25
  end
end

function Checker:active_check(active, protocol)
  if active.type == "https" and protocol ~= "https" then
    self:fail(active, "type", "expected http or tcp, found https; the nodes do not speak TLS")
  elseif active.type == "http" and protocol == "https" then
    self:fail(active, "type", "expected https or tcp, found http; the nodes speak TLS")
  end
  for _, key in ipairs { "path", "method", "host", "headers", "expect", "body" } do
    if active.type == "tcp" and self.marks:is_written(active, key) then
      self:fail(active, key, "a tcp check only connects")
    end
  end
  for name, value in pairs(active.headers or {}) do
    if value:find "[%z\1-\8\10-\31\127]" then
      self:fail(active.headers, name, "a header value may not hold control characters")
    elseif HELD_HEADERS[name:lower()] then
      self:fail(active.headers, name, "%s is written by the gateway", name)
    end
  end
end

function Checker:passive_check(passive)
  if passive.failures == 0 and passive.error_ratio == 0 then
    self:fail(passive, nil, "with failures and error_ratio both 0 nothing is counted")
  end
end

--- What is wrong in a file of nodes keeps no configuration from coming in force: it may be mended at any time.
function Checker:discovery(service)
  local file = service.discovery.file
  if not file then return end
  service.discovery.file = Sources.absolute(file, self.folder)
  local _, found = discovery.read(service.discovery.file, service.protocol)
  for name, text in pairs(found.sources) do self.report:source(name, text) end
  for _, e in ipairs(found:list()) do
    if e.line then
      self.report:warn(e, e.path, e.message)
    else
      self:warn(service.discovery, "file", "%s %s", e.file, e.message)
    end
  end
end

function Checker:circuit_breaker(breaker)
  if breaker.error_ratio == 0 and breaker.slow == 0 then
    self:fail(breaker, nil, "with error_ratio and slow both 0 nothing is counted")
  end
  inert.circuit_breaker(self, breaker)
end

function Checker:service(service)
  if service.discovery then service.nodes = service.nodes or {} end
  if service.nodes then self:nodes(service) end
  if service.discovery then self:discovery(service) end
  if service.balance then self:balance(service.balance) end
  local health = service.health_check or {}
  if health.active and service.nodes then self:active_check(health.active, service.protocol) end
  if health.passive then self:passive_check(health.passive) end
  local overload = service.overload or {}
  local least, most = overload.least, overload.most
  if least and most and least > most then
    self:fail(overload, "least", "expected at most `most`, which is %d, found %d", most, least)
  end
  if service.circuit_breaker then self:circuit_breaker(service.circuit_breaker) end
  if service.retries then inert.retries(self, service.retries) end
  inert.service(self, service)
  local policy = service.host_header
  if policy and policy ~= "preserve" and policy ~= "node" and policy:find "[^%w._:%[%]-]" then
    self:fail(service, "host_header", "expected preserve, node or a host name, found %s", quote(policy))
  end
  local tls = service.tls
  if not tls then return end
  self:readable(tls, "ca")
  self:readable(tls.client_cert, "cert")
  self:readable(tls.client_cert, "key")
  if self.marks:is_written(service, "tls") and service.protocol ~= "https" then
    self:fail(service, "tls", "only https nodes use TLS; write https:// before the nodes, or protocol: https")
  end
end

--- Every service that was written, also one with errors: a route to it does not dangle.
function Checker:all_services(services)
  local all = {}
  for name in pairs(self.marks[services].nodes) do all[name] = true end
  return all
end

-- -- plugins --

function Checker:dictionaries(dictionaries)
  local by_file = {}
  for _, name in ipairs(self.marks[dictionaries].order) do
    local dictionary = dictionaries[name]
    self:writable(dictionary, "file")
    local other = dictionary.file and by_file[dictionary.file]
    if other then
      self:fail(dictionary, "file", "%s keeps another dictionary already %s", dictionary.file,
                self:elsewhere(other, "file", dictionary, "file"))
    end
    if dictionary.file then by_file[dictionary.file] = dictionary end
  end
end

function Checker:lua(lua)
  if lua.budget and lua.hard_limit and lua.hard_limit < lua.budget then
    self:fail(lua, "hard_limit", "expected at least the budget, %gs, found %gs", lua.budget, lua.hard_limit)
  end
end

--- Checks a configuration, and makes file names absolute and hosts and paths lists.
-- @tparam table config from the schema
-- @tparam Marks marks where its values came from
-- @tparam Sources sources
-- @tparam Report report
return function(config, marks, sources, report)
  local self = setmetatable({
    marks = marks, sources = sources, report = report, folder = sources.folder, sorted = {},
  }, Checker)
  local listeners = self:listeners(config.listen or {})
  if config.metrics then self:metrics(config.metrics, config.listen or {}) end
  for _, name in ipairs(config.services and marks[config.services].order or {}) do
    self:service(config.services[name])
  end
  check_routes(self, config.routes or {}, config.services and self:all_services(config.services) or {}, listeners)
  if config.gateway then self:writable(config.gateway, "pid_file") end
  if config.dictionaries then self:dictionaries(config.dictionaries) end
  if config.lua then self:lua(config.lua) end
  if config.log then
    self:writable(config.log, "error", { stderr = true })
    for _, log in ipairs(config.log.access or {}) do
      self:writable(log, "file", { stderr = true, stdout = true })
    end
  end
end
