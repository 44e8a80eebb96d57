--- The figures of the gateway in the text format of Prometheus, version 0.0.4.
local ffi = require "ffi"
local C = require "tidegate.ffi"

local metrics = {}

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function quote(text) return '"' .. text:gsub('[\\"\n]', ESCAPES) .. '"' end

local function number(value)
  if value % 1 == 0 and math.abs(value) < 1e15 then return ("%d"):format(value) end
  return ("%.9g"):format(value)
end

local Text = {}
Text.__index = Text

--- Begins a metric.
function Text:head(name, kind, help)
  self[#self + 1] = ("# HELP %s %s\n# TYPE %s %s\n"):format(name, help:gsub("[\\\n]", ESCAPES), name, kind)
end

--- Adds a sample. labels: a text as it stands between the braces, or nil.
function Text:sample(name, labels, value)
  self[#self + 1] = ("%s%s %s\n"):format(name, labels and labels ~= "" and "{" .. labels .. "}" or "", number(value))
end

local function labels_of(...)
  local words = { ... }
  local parts = {}
  for i = 1, #words, 2 do parts[#parts + 1] = words[i] .. "=" .. quote(words[i + 1]) end
  return table.concat(parts, ",")
end

-- -- the whole gateway --

local WHOLE = {
  { "connections_open", "gauge", "Client connections that are open." },
  { "connections_total", "counter", "Client connections accepted." },
  { "refused", "counter", "Client connections refused because there were too many.", "connections_refused_total" },
  { "accept_errors", "counter", "Errors of accept.", "accept_errors_total" },
  { "upstream_open", "gauge", "Upstream connections that are open.", "upstream_connections_open" },
  { "upstream_tries", "counter", "Requests sent to upstreams, further tries among them.", "upstream_tries_total" },
  { "upstream_reused", "counter", "Of these, those on a kept connection.", "upstream_reused_total" },
  { "upstream_retries", "counter", "Of these, further tries.", "upstream_retries_total" },
  { "upstream_retries_refused", "counter", "Further tries that a budget did not allow.",
    "upstream_retries_refused_total" },
  { "upstream_hedges", "counter", "Further tries beside one that took its time.", "upstream_hedges_total" },
  { "upstream_races", "counter", "Further connects beside one that took its time.", "upstream_races_total" },
  { "upstream_failures", "counter", "Tries that failed.", "upstream_failures_total" },
  { "websockets_open", "gauge", "WebSockets that are open." },
  { "websockets", "counter", "WebSockets opened.", "websockets_total" },
  { "websocket_messages_in", "counter", "Messages of clients, where frames are looked at.",
    "websocket_messages_in_total" },
  { "websocket_messages_out", "counter", "Messages of upstreams, where frames are looked at.",
    "websocket_messages_out_total" },
  { "websocket_bytes_in", "counter", "Bytes that WebSockets brought from clients.", "websocket_bytes_in_total" },
  { "websocket_bytes_out", "counter", "Bytes that WebSockets brought from upstreams.", "websocket_bytes_out_total" },
  { "websocket_errors", "counter", "WebSockets that ended otherwise than with a close frame of one end.",
    "websocket_errors_total" },
  { "websocket_connect", "counter", "From the request to the 101, in seconds, of all WebSockets together.",
    "websocket_connect_seconds_total" },
  { "longest_round", "gauge", "Longest time that a loop was busy without looking for news, in the last minute or two.",
    "loop_longest_round_seconds" },
  { "longest_chore", "gauge", "Most CPU time that a loop spent at once on what is for no request, such as a reload.",
    "loop_longest_chore_seconds" },
  { "log_lines", "counter", "Lines of the access log.", "log_lines_total" },
  { "log_lost", "counter", "Lines that no log took.", "log_lines_lost_total" },
  { "regex_limit_hits", "counter", "Matches of patterns given up because they took too long.",
    "regex_limit_hits_total" },
  { "worker_restarts", "counter", "Workers that ended unexpectedly.", "worker_restarts_total" },
  { "generation", "gauge", "Number of the configuration in force." },
  { "quarantined_items", "gauge", "Items of the configuration that are bad and not in force as the files have them.",
    "config_quarantined_items" },
  { "started", "gauge", "When the worker started, in seconds since the epoch.", "start_time_seconds" },
}

local function add_whole(text, status)
  for _, one in ipairs(WHOLE) do
    local name = "tidegate_" .. (one[4] or one[1])
    text:head(name, one[2], one[3])
    text:sample(name, nil, status[one[1]])
  end
  text:head("tidegate_lua_memory_bytes", "gauge", "Memory of plugins, over all loops.")
  text:sample("tidegate_lua_memory_bytes", nil, status.lua.bytes)
  text:head("tidegate_reloads_total", "counter", "Configurations that were loaded.")
  text:sample("tidegate_reloads_total", 'result="good"', status.reloads_good)
  text:sample("tidegate_reloads_total", 'result="bad"', status.reloads_bad)
end

-- -- requests --

local totals = ffi.new "struct tide_traffic"
local kind, first, second = ffi.new "const char *[1]", ffi.new "const char *[1]", ffi.new "const char *[1]"

--- All that was counted of a kind: { labels =, by_status = { [status] = n }, buckets = {}, ... }.
local function read_traffic(wanted)
  local list = {}
  for i = 0, C.tide_traffic_count() - 1 do
    if C.tide_traffic_read(i, totals, kind, first, second) and ffi.string(kind[0]) == wanted then
      local a, b = ffi.string(first[0]), ffi.string(second[0])
      local one = {
        labels = wanted == "route" and labels_of("route", a, "service", b) or labels_of("service", a, "node", b),
        by_status = {}, buckets = {}, time = totals.time, bytes_in = totals.bytes_in, bytes_out = totals.bytes_out,
        failures = totals.failures,
      }
      for place = 0, C.TIDE_STATUSES - 1 do
        if totals.by_status[place] > 0 then
          table.insert(one.by_status, { C.tide_traffic_status(place), totals.by_status[place] })
        end
      end
      for bucket = 0, C.TIDE_BUCKETS - 1 do one.buckets[bucket + 1] = totals.buckets[bucket] end
      list[#list + 1] = one
    end
  end
  return list
end

local function add_requests(text, name, help, list)
  text:head(name, "counter", help)
  for _, one in ipairs(list) do
    for _, pair in ipairs(one.by_status) do
      local status = pair[1] == 0 and "none" or tostring(pair[1])
      text:sample(name, ('%s,status="%s"'):format(one.labels, status), pair[2])
    end
  end
end

local function add_times(text, name, help, list)
  text:head(name, "histogram", help)
  for _, one in ipairs(list) do
    local sum = 0
    for bucket = 1, C.TIDE_BUCKETS do
      local bound = C.tide_traffic_bound(bucket - 1)
      sum = sum + one.buckets[bucket]
      text:sample(name .. "_bucket", ('%s,le="%s"'):format(one.labels, bound < 0 and "+Inf" or number(bound)), sum)
    end
    text:sample(name .. "_sum", one.labels, one.time)
    text:sample(name .. "_count", one.labels, sum)
  end
end

local function add_each(text, name, help, list, field, type_name)
  text:head(name, type_name or "counter", help)
  for _, one in ipairs(list) do text:sample(name, one.labels, one[field]) end
end

--- Adds metrics of one kind of thing: { field, type, name behind the prefix, help } of each.
local function add_fields(text, prefix, fields, list)
  for _, field in ipairs(fields) do add_each(text, prefix .. field[3], field[4], list, field[1], field[2]) end
end

local function add_traffic(text)
  local routes, nodes = read_traffic "route", read_traffic "node"
  add_requests(text, "tidegate_requests_total", "Requests by route and status.", routes)
  add_times(text, "tidegate_request_duration_seconds",
            "From the first byte of a request to the end of its response.", routes)
  add_each(text, "tidegate_request_bytes_total", "Bytes of request bodies.", routes, "bytes_in")
  add_each(text, "tidegate_response_bytes_total", "Bytes of response bodies.", routes, "bytes_out")
  add_each(text, "tidegate_request_failures_total", "Requests that the gateway could not serve.", routes, "failures")
  add_requests(text, "tidegate_upstream_responses_total", "Responses by node and status; none: there was none.", nodes)
  add_times(text, "tidegate_upstream_duration_seconds",
            "From the first byte of a request to its upstream's answer.", nodes)
end

-- -- plugins --

local hook_totals = ffi.new "struct tide_hook_totals"
local hook, route = ffi.new "const char *[1]", ffi.new "const char *[1]"

local HOOK_FIELDS = {
  { "calls", "counter", "calls_total", "Calls of plugin hooks." },
  { "cpu", "counter", "cpu_seconds_total", "Time that plugin hooks took, without their waits." },
  { "wait", "counter", "wait_seconds_total", "Time that plugin hooks waited." },
  { "errors", "counter", "errors_total", "Errors of plugin hooks." },
  { "answers", "counter", "answers_total", "Replies that plugin hooks made." },
}

local function add_plugins(text)
  local list = {}
  for i = 1, C.tide_hook_count() - 1 do
    if C.tide_hook_read(i, hook_totals, first, second, hook, route) and hook_totals.calls > 0 then
      local one = {
        labels = labels_of("plugin", ffi.string(first[0]), "instance", ffi.string(second[0]),
                           "hook", ffi.string(hook[0]), "route", ffi.string(route[0])),
      }
      for _, field in ipairs(HOOK_FIELDS) do one[field[1]] = hook_totals[field[1]] end
      list[#list + 1] = one
    end
  end
  add_fields(text, "tidegate_plugin_", HOOK_FIELDS, list)
end

-- -- nodes --

local NODE_FIELDS = {
  { "healthy", "gauge", "node_healthy", "1 where the node may be used, else 0." },
  { "connections", "gauge", "node_requests", "Requests that the node has in hand." },
  { "failed", "counter", "node_failed_tries_total", "Tries that failed at the node, retried ones among them." },
  { "changes", "counter", "node_state_changes_total", "Changes of the node's state." },
  { "ejections", "gauge", "node_ejections", "Ejections of the node that follow each other." },
}

-- Of nodes whose connections are counted.
local POOL_FIELDS = {
  { "open", "gauge", "node_connections", "Connections to the node, in use or idle." },
  { "waiting", "gauge", "node_waiting", "Requests that wait for a connection to the node." },
  { "waited", "counter", "node_waited_total", "Requests that have waited for a connection." },
  { "turned_away", "counter", "node_turned_away_total", "Requests that found the node's queue full." },
}

local function add_nodes(text)
  local list, counted = require("tidegate.nodes").read(), {}
  for _, node in ipairs(list) do
    node.labels = labels_of("service", node.service, "node", node.node)
    node.healthy = node.usable and 1 or 0
    if node.max_open > 0 then counted[#counted + 1] = node end
  end
  add_fields(text, "tidegate_", POOL_FIELDS, counted)
  add_fields(text, "tidegate_", NODE_FIELDS, list)
end

local function add_breakers(text)
  local list = require("tidegate.nodes").breakers()
  for _, one in ipairs(list) do
    one.labels = labels_of(one.kind, one.name)
    one.number = one.state == "closed" and 0 or one.state == "open" and 1 or 2
  end
  local help = "Circuit breaker of a service or a route: 0 closed, 1 open, 2 half open."
  add_each(text, "tidegate_breaker_state", help, list, "number", "gauge")
  add_each(text, "tidegate_breaker_opened_total", "How often it has opened.", list, "opened")
end

local OVERLOAD_FIELDS = {
  { "requests", "gauge", "requests", "Requests that a service with a limit has in hand." },
  { "limit", "gauge", "requests_limit", "How many it may have." },
  { "waiting", "gauge", "waiting", "Requests that wait for their turn at the service." },
  { "waited", "counter", "waited_total", "Requests that have waited for their turn." },
  { "turned_away", "counter", "turned_away_total", "Requests that the service's limit has turned away." },
}

local function add_overloads(text)
  local list = require("tidegate.nodes").overloads()
  for _, one in ipairs(list) do one.labels = labels_of("service", one.service) end
  add_fields(text, "tidegate_service_", OVERLOAD_FIELDS, list)
end

-- -- dictionaries --

local DICTIONARY_FIELDS = {
  { "bytes", "gauge", "bytes", "Bytes that a dictionary may have." },
  { "bytes_used", "gauge", "used_bytes", "Bytes that it has." },
  { "entries", "gauge", "entries", "Its entries." },
  { "hits", "counter", "hits_total", "Look-ups that found something." },
  { "misses", "counter", "misses_total", "Look-ups that found nothing." },
  { "evictions", "counter", "evictions_total", "Entries that made room for others." },
}

local function add_dictionaries(text)
  local name, opened, stats = ffi.new "struct slice[1]", ffi.new "bool[1]", ffi.new "struct tide_dict_stats"
  local list, i = {}, 0
  while true do
    local dict = C.tide_dict_at(i, name, opened)
    if dict == nil then break end
    C.tide_dict_stats_read(dict, stats)
    local one = { labels = labels_of("dictionary", ffi.string(name[0].at, name[0].len)) }
    for _, field in ipairs(DICTIONARY_FIELDS) do one[field[1]] = stats[field[1]] end
    list[#list + 1] = one
    i = i + 1
  end
  add_fields(text, "tidegate_dictionary_", DICTIONARY_FIELDS, list)
end

-- -- what plugins count themselves --

local value = ffi.new "double[1]"
local help = ffi.new "const char *[1]"

local function add_own(text)
  local by_name, names = {}, {}
  for i = 1, C.tide_metric_count() - 1 do
    if C.tide_metric_read(i, value, kind, first, help, second) then
      local name = ffi.string(first[0])
      -- The parts of a histogram stand under one head.
      local head = name
      if ffi.string(kind[0]) == "histogram" then
        head = name:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")
      end
      if not by_name[head] then
        by_name[head] = { kind = ffi.string(kind[0]), help = ffi.string(help[0]), samples = {} }
        names[#names + 1] = head
      end
      table.insert(by_name[head].samples, { name, ffi.string(second[0]), value[0] })
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local one = by_name[name]
    text:head(name, one.kind, one.help)
    for _, sample in ipairs(one.samples) do text:sample(sample[1], sample[2], sample[3]) end
  end
end

--- The whole text.
-- @tparam table status the gateway's numbers
-- @treturn string
function metrics.text(status)
  local text = setmetatable({}, Text)
  add_whole(text, status)
  add_traffic(text)
  add_plugins(text)
  add_nodes(text)
  add_breakers(text)
  add_overloads(text)
  add_dictionaries(text)
  add_own(text)
  return table.concat(text)
end

return metrics
