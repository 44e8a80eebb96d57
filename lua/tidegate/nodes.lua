--- What is known of the nodes of the configuration in force. Control thread.
local ffi = require "ffi"
local C = require "tidegate.ffi"

local nodes = {}

local raw, more, check = ffi.new "struct tide_node", ffi.new "bool[1]", ffi.new "struct tide_check"

local function text(slice) return ffi.string(slice.at, slice.len) end

--- The checks that were made of a node, the newest first: { at = seconds since the epoch, took =, good =, reason = }.
local function read_checks(service, node)
  local list = {}
  while C.tide_check_read(service, node, #list, check) do
    list[#list + 1] = { at = check.at, took = check.took, good = check.good, reason = ffi.string(check.reason) }
  end
  return list
end

local function row(checks)
  return {
    service = text(raw.service), node = text(raw.address), state = ffi.string(raw.state), usable = raw.usable,
    backup = raw.backup, weight = raw.weight, connections = raw.active, since = raw.since,
    reason = text(raw.reason), failures = raw.failures, failed = raw.failed,
    ejections = raw.ejections, changes = raw.changes,
    open = raw.open, max_open = raw.max_open, waiting = raw.waiting, waited = raw.waited,
    turned_away = raw.turned_away,
    checks = checks,
  }
end

--- All nodes, in the order of the configuration, and then those that were taken out and still have something in hand.
-- @tparam[opt] boolean with_checks
-- @treturn {table,...} service, node, state, usable, backup, weight, connections, since (0: its state never changed),
-- reason, failures (in a row, where a health_check counts them), failed (tries, ever), ejections, changes, and checks
-- where they are asked for; open, max_open (0: connections are not counted): connections, waiting, waited, turned_away:
-- requests without one
function nodes.read(with_checks)
  local list, service, node = {}, 0, 0
  repeat
    if C.tide_node_read(service, node, raw, more) then
      list[#list + 1] = row(with_checks and read_checks(service, node) or nil)
      node = node + 1
    else
      service, node = service + 1, 0
    end
  until not more[0]
  local gone = 0
  while C.tide_draining_read(gone, raw) do
    list[#list + 1] = row(with_checks and {} or nil)
    gone = gone + 1
  end
  return list
end

local name = ffi.new "struct tide_name"

--- All names that nodes have, and how looking them up goes.
-- @treturn {table,...} name, kind ("address" or "service"), count (addresses or services), answered (when the last good
-- answer came; nil: never), next (seconds until it is asked again), failures (in a row since then), error (the last
-- one; nil: all is well)
function nodes.names()
  local list = {}
  while C.tide_name_read(#list, name) do
    local trouble = ffi.string(name.why)
    list[#list + 1] = {
      name = ffi.string(name.name), kind = name.is_service and "service" or "address", count = name.count,
      answered = name.good > 0 and name.good or nil, next = name.next, failures = name.failures,
      error = trouble ~= "" and trouble or nil,
    }
  end
  return list
end

local source = ffi.new "struct tide_source"

--- All places that nodes are discovered at.
-- @treturn {table,...} kind ("dns", "file"), from (the name, the file), count (nodes), answered, failures, error: as
-- nodes.names has them. What a name server says is told of the name.
function nodes.sources()
  local list, index = {}, 0
  while C.tide_source_read(index, source) do
    local kind, words, trouble = ffi.string(source.kind), ffi.string(source.words), ffi.string(source.why)
    list[#list + 1] = {
      kind = kind, from = kind == "file" and words:match " (.*)" or words, count = source.count,
      answered = source.good > 0 and source.good or nil, failures = source.failures,
      error = trouble ~= "" and trouble or nil,
    }
    index = index + 1
  end
  return list
end

local breaker = ffi.new "struct tide_breaker"

--- All circuit breakers, of services and then of routes.
-- @treturn {table,...} kind ("service", "route"), name, state ("closed", "open", "half open"), opened (how often),
-- failures and requests in the window; wait: seconds until it lets a request through, while it is open
function nodes.breakers()
  local list, index = {}, 0
  while true do
    if C.tide_breaker_read(index, breaker, more) then
      list[#list + 1] = {
        kind = breaker.is_route and "route" or "service", name = text(breaker.name), state = ffi.string(breaker.state),
        opened = breaker.opened, failures = breaker.failures, requests = breaker.requests, wait = breaker.wait,
      }
    elseif not more[0] then
      return list
    end
    index = index + 1
  end
end

local overload = ffi.new "struct tide_overload"

--- All services whose requests at a time are bounded.
-- @treturn {table,...} service, requests, limit, adaptive, waiting (all now), waited, turned_away (ever), and baseline:
-- seconds that an answer takes with few requests, 0 where the limit is fixed
function nodes.overloads()
  local list, service = {}, 0
  repeat
    if C.tide_overload_read(service, overload, more) then
      list[#list + 1] = {
        service = text(overload.service), requests = overload.requests, limit = overload.limit,
        adaptive = overload.adaptive, waiting = overload.waiting, waited = overload.waited,
        turned_away = overload.turned_away, baseline = overload.baseline,
      }
    end
    service = service + 1
  until not more[0]
  return list
end

return nodes
