--- How the gateway is, for `tidegate status`: for people and for programs. Control thread.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local json = require "tidegate.tide.json"
local nodes = require "tidegate.nodes"
local quarantine = require "tidegate.config.quarantine"
local running = require "tidegate.running"
local say = require "tidegate.cli.say"

--- in_force: what the gateway was started with, of the keys that count at the start only, by path; needs_restart: what
-- the newest configuration says otherwise, in words. Both are told by tidegate.control.
local status = { in_force = {}, needs_restart = {} }

-- -- numbers --

local FIELDS = {
  "generation", "requests", "connections_total", "connections_open", "bytes_in", "bytes_out", "upstream_tries",
  "upstream_reused", "upstream_retries", "upstream_retries_refused", "upstream_hedges", "upstream_races",
  "upstream_failures", "upstream_open", "log_lines", "log_lost", "accept_errors", "refused", "reloads_good",
  "reloads_bad", "worker_restarts", "threads", "supervisor_pid", "worker_pid", "regex_limit_hits", "websockets",
  "websockets_open", "websocket_messages_in", "websocket_messages_out", "websocket_bytes_in",
  "websocket_bytes_out", "websocket_errors",
}
local LUA_FIELDS = { bytes = "lua_bytes", bytes_most = "lua_bytes_most", bytes_max = "lua_bytes_max" }

--- All numbers of the gateway as a plain table.
function status.read()
  local raw = ffi.new "struct tide_status"
  C.tide_status_read(raw)
  local s = {
    version = ffi.string(C.tide_version()), websocket_connect = tonumber(raw.websocket_connect_us) / 1e6,
    started = tonumber(raw.started_ms) / 1000, responses = {}, lua = {},
  }
  for _, name in ipairs(FIELDS) do s[name] = tonumber(raw[name]) end
  for name, field in pairs(LUA_FIELDS) do s.lua[name] = tonumber(raw[field]) end
  s.longest_round, s.longest_chore = raw.longest_round, raw.longest_chore
  s.quarantined_items = #running.quarantined
  s.responses.cut = tonumber(raw.responses[0])
  for class = 1, 5 do s.responses[class .. "xx"] = tonumber(raw.responses[class]) end
  return s
end

local totals, label = ffi.new "struct tide_hook_totals", ffi.new "const char *[4]"

--- What each hook of each plugin has cost, per route: a list in the order of plugin, name, route and hook.
local function read_hooks()
  local list = {}
  for slot = 0, C.tide_hook_count() - 1 do
    if C.tide_hook_read(slot, totals, label, label + 1, label + 2, label + 3) then
      list[#list + 1] = {
        plugin = ffi.string(label[0]), name = ffi.string(label[1]), hook = ffi.string(label[2]),
        route = ffi.string(label[3]), calls = totals.calls, cpu = totals.cpu, wait = totals.wait,
        errors = totals.errors, answers = totals.answers,
      }
    end
  end
  table.sort(list, function(a, b)
    for _, key in ipairs { "plugin", "name", "route", "hook" } do
      if a[key] ~= b[key] then return a[key] < b[key] end
    end
    return false
  end)
  return list
end

-- -- words --

local function span(seconds)
  local parts = {}
  for _, unit in ipairs { { 86400, "d" }, { 3600, "h" }, { 60, "m" } } do
    local n = math.floor(seconds / unit[1])
    if n > 0 then parts[#parts + 1] = n .. unit[2] end
    seconds = seconds - n * unit[1]
  end
  parts[#parts + 1] = math.floor(seconds) .. "s"
  return table.concat(parts, " ", 1, math.min(#parts, 2))
end

local function bytes(n)
  local units = { "B", "KiB", "MiB", "GiB", "TiB" }
  local i = 1
  while n >= 1024 and i < #units do
    n, i = n / 1024, i + 1
  end
  return (i == 1 and "%d %s" or "%.1f %s"):format(n, units[i])
end

local function milliseconds(seconds) return ("%.1f ms"):format(seconds * 1000) end

--- How often plugins ran and failed, with the names of those that failed, the worst first.
local function plugin_words(hooks)
  local calls, errors, by_name, names = 0, 0, {}, {}
  for _, hook in ipairs(hooks) do
    calls, errors = calls + hook.calls, errors + hook.errors
    if hook.errors > 0 then
      if not by_name[hook.name] then names[#names + 1] = hook.name end
      by_name[hook.name] = (by_name[hook.name] or 0) + hook.errors
    end
  end
  table.sort(names, function(a, b)
    if by_name[a] ~= by_name[b] then return by_name[a] > by_name[b] end
    return a < b
  end)
  local words = {}
  for i, name in ipairs(names) do words[i] = ("%s %d"):format(name, by_name[name]) end
  local whose = #words > 0 and ": " .. table.concat(words, ", ") or ""
  return ("%d calls of hooks, %d errors%s"):format(calls, errors, whose)
end

--- Lines about plugins; none where none has been loaded.
local function add_lua(out, s)
  if s.lua.bytes == 0 then return end
  out[#out + 1] = "  plugins      " .. plugin_words(read_hooks())
  out[#out + 1] = ("  lua          %s, at most %s of %s in one loop"):format(
    bytes(s.lua.bytes), bytes(s.lua.bytes_most), bytes(s.lua.bytes_max))
end

local NAME_HEADS = { "from", "found", "answered", "asked again", "failures", "error" }
local NAME_NUMBERS = { [2] = true, [5] = true }

local function name_row(n)
  local age = n.answered and span(math.max(0, os.time() - n.answered)) .. " ago" or "never"
  return {
    n.kind == "service" and n.name .. " (SRV)" or n.name or n.from, ("%d"):format(n.count), age,
    n.next and "in " .. span(math.ceil(n.next)) or "when it is saved", ("%d"):format(n.failures), n.error or "-",
  }
end

--- Names, and files: what a name server says is told of the name.
local function read_origins()
  local list = nodes.names()
  for _, source in ipairs(nodes.sources()) do
    if source.kind ~= "dns" then list[#list + 1] = source end
  end
  return list
end

local NODES_TOLD_MAX = 5

--- A line of how many nodes are usable, and which are not.
local function add_nodes(out)
  local list, bad = nodes.read(), {}
  for _, n in ipairs(list) do
    if not n.usable then bad[#bad + 1] = ("%s %s is %s"):format(n.service, n.node, n.state) end
  end
  if #list == 0 then return end
  local rest = #bad > NODES_TOLD_MAX and (", and %d more"):format(#bad - NODES_TOLD_MAX) or ""
  local words = #bad == 0 and "all usable" or ("%d usable: %s%s"):format(
    #list - #bad, table.concat(bad, ", ", 1, math.min(#bad, NODES_TOLD_MAX)), rest)
  out[#out + 1] = ("  nodes        %d, %s"):format(#list, words)
end

--- What a circuit breaker is about to do, or of what it was told.
local function breaker_outlook(b)
  if b.state == "open" and b.wait > 0 then return ("lets a request through in %s"):format(span(math.ceil(b.wait))) end
  if b.state == "open" then return "lets the next request through" end
  return ("%d of %d requests failed lately"):format(b.failures, b.requests)
end

--- @tparam ?string state what the last reload had to say
-- @treturn string lines for people
function status.text(state)
  local s = status.read()
  local r = s.responses
  local out = {
    ("tidegate %s, running for %s"):format(s.version, span(math.max(0, os.time() - s.started))),
    ("  processes    supervisor %d, worker %d, %d loops, restarted %d times"):format(
      s.supervisor_pid, s.worker_pid, s.threads, s.worker_restarts),
    ("  generation   %d (reloads: %d good, %d bad)"):format(s.generation, s.reloads_good, s.reloads_bad),
    ("  connections  %d open, %d in all, %d refused, %d accept errors"):format(
      s.connections_open, s.connections_total, s.refused, s.accept_errors),
    ("  requests     %d (1xx %d, 2xx %d, 3xx %d, 4xx %d, 5xx %d, cut %d)"):format(
      s.requests, r["1xx"], r["2xx"], r["3xx"], r["4xx"], r["5xx"], r.cut),
    ("  bytes        %s in, %s out"):format(bytes(s.bytes_in), bytes(s.bytes_out)),
    ("  upstream     %d open, %d tries, %d on kept connections, %d retries (%d refused), %d failures"):format(
      s.upstream_open, s.upstream_tries, s.upstream_reused, s.upstream_retries, s.upstream_retries_refused,
      s.upstream_failures),
    ("  access log   %d lines, %d lost"):format(s.log_lines, s.log_lost),
    ("  loops        longest round %s, longest chore %s, in the last minute or two"):format(
      milliseconds(s.longest_round), milliseconds(s.longest_chore)),
  }
  if s.websockets > 0 then
    out[#out + 1] = ("  websockets   %d open, %d in all, opened in %.1f ms; %d errors"):format(
      s.websockets_open, s.websockets, s.websocket_connect / s.websockets * 1000, s.websocket_errors)
    out[#out + 1] = ("               %d messages in, %d out; %s in, %s out"):format(
      s.websocket_messages_in, s.websocket_messages_out, bytes(s.websocket_bytes_in), bytes(s.websocket_bytes_out))
  end
  if s.regex_limit_hits > 0 then
    out[#out + 1] = ("  patterns     %d matches given up because they took too long"):format(s.regex_limit_hits)
  end
  add_nodes(out)
  for _, n in ipairs(read_origins()) do
    if n.error then
      local trouble = n.error:gsub("^" .. (n.name or n.from):gsub("%p", "%%%0") .. ": ", "")
      out[#out + 1] = ("  nodes        %s: %s; %s"):format(n.name or n.from, trouble, n.answered and
        ("the answer of %s ago is in force"):format(span(math.max(0, os.time() - n.answered))) or "no answer so far")
    end
  end
  for _, b in ipairs(nodes.breakers()) do
    out[#out + 1] = ("  breaker      %s: %s, opened %d times; %s"):format(
      b.kind == "route" and "route " .. b.name or b.name, b.state, b.opened, breaker_outlook(b))
  end
  for _, o in ipairs(nodes.overloads()) do
    local how = o.adaptive and (" (adaptive, %.1f ms with few)"):format(o.baseline * 1000) or ""
    out[#out + 1] = ("  overload     %s: %d of %d requests%s, %d wait; %d have waited, %d were turned away"):format(
      o.service, o.requests, o.limit, how, o.waiting, o.waited, o.turned_away)
  end
  add_lua(out, s)
  if running.rolled_back then
    out[#out + 1] = ("  rollback     generation %d is in force again; the files say something else"):format(
      running.rolled_back)
  end
  if running.trouble then out[#out + 1] = "  history      not kept: " .. running.trouble end
  if s.quarantined_items > 0 then
    local words = quarantine.words(running.quarantined):gsub("[^\n]+", "    %0"):gsub("\n$", "")
    out[#out + 1] = ("  quarantine   %d %s of the configuration:\n%s"):format(
      s.quarantined_items, s.quarantined_items == 1 and "item" or "items", words)
  end
  if state and state ~= "" then out[#out + 1] = "last reload:\n" .. state:gsub("\n+$", "") end
  return table.concat(out, "\n") .. "\n"
end

--- The same for programs.
-- @treturn string JSON in one line
function status.json(state)
  local s = status.read()
  s.last_reload = state or ""
  s.quarantined, s.rolled_back = json.array(running.quarantined), running.rolled_back
  s.history_trouble = running.trouble
  s.names, s.discovery = json.array(nodes.names()), json.array(nodes.sources())
  s.in_force, s.needs_restart = status.in_force, json.array(status.needs_restart)
  return assert(json.encode(s, { sorted = true })) .. "\n"
end

local HEADS = { "plugin", "route", "hook", "calls", "CPU ms", "mean us", "wait ms", "errors", "answers" }
local NUMBERS = { [4] = true, [5] = true, [6] = true, [7] = true, [8] = true, [9] = true }

local function hook_row(h)
  local name = h.name == h.plugin and h.name or ("%s (%s)"):format(h.name, h.plugin)
  return {
    name, h.route ~= "" and h.route or "(global)", h.hook,
    ("%d"):format(h.calls), ("%.1f"):format(h.cpu * 1000), ("%.1f"):format(h.calls > 0 and h.cpu * 1e6 / h.calls or 0),
    ("%.1f"):format(h.wait * 1000), ("%d"):format(h.errors), ("%d"):format(h.answers),
  }
end

--- What each hook of each plugin has cost, per route, since the worker began.
-- @treturn string lines for people
function status.plugins()
  local rows = { HEADS }
  for i, hook in ipairs(read_hooks()) do rows[i + 1] = hook_row(hook) end
  return #rows > 1 and say.columns(rows, NUMBERS) or "no plugin has run\n"
end

--- The same for programs: a list; cpu and wait are seconds.
function status.plugins_json()
  return assert(json.encode(json.array(read_hooks()), { sorted = true })) .. "\n"
end

local NODE_HEADS = {
  "service", "node", "weight", "state", "since", "in hand", "failed", "in a row", "checks", "reason",
}
local NODE_NUMBERS = { [3] = true, [6] = true, [7] = true, [8] = true }
local POOL_PLACE = 7                    -- of the column of connections, where they are counted
local POOL_NUMBERS = { [3] = true, [6] = true, [7] = true, [8] = true, [9] = true }

--- "2/3", and how many requests wait: "3/3+5".
local function pool_words(n)
  if n.max_open == 0 then return "-" end
  local words = ("%d/%d"):format(n.open, n.max_open)
  return n.waiting > 0 and ("%s+%d"):format(words, n.waiting) or words
end

--- The newest checks, the newest first: + for a good one, - for a bad one.
local function check_signs(checks)
  local signs = {}
  for i, check in ipairs(checks) do signs[i] = check.good and "+" or "-" end
  return #signs > 0 and table.concat(signs) or "none"
end

local function node_row(n)
  return {
    n.service, n.backup and n.node .. " (backup)" or n.node, ("%d"):format(n.weight), n.state,
    n.since > 0 and span(math.max(0, os.time() - n.since)) or "start", ("%d"):format(n.connections),
    ("%d"):format(n.failed), ("%d"):format(n.failures), check_signs(n.checks), n.reason ~= "" and n.reason or "-",
  }
end

local function node_rows(list)
  local rows, counted = { { unpack(NODE_HEADS) } }, false
  if #list == 0 then return "there is no node\n" end
  for i, node in ipairs(list) do
    rows[i + 1] = node_row(node)
    counted = counted or node.max_open > 0
  end
  if not counted then return say.columns(rows, NODE_NUMBERS) end
  table.insert(rows[1], POOL_PLACE, "open")
  for i, node in ipairs(list) do table.insert(rows[i + 1], POOL_PLACE, pool_words(node)) end
  return say.columns(rows, POOL_NUMBERS)
end

--- How each node of each service is, and each name of a node.
-- @treturn string lines for people
function status.nodes()
  local list, names = read_origins(), { NAME_HEADS }
  for i, name in ipairs(list) do names[i + 1] = name_row(name) end
  local text = node_rows(nodes.read(true))
  if #running.disabled > 0 then
    text = ("%s\nnot enabled: %s\n"):format(text, table.concat(running.disabled, ", "))
  end
  return #list > 0 and text .. "\n" .. say.columns(names, NAME_NUMBERS) or text
end

--- The same for programs: a list; times are seconds, since is 0 where the state never changed.
function status.nodes_json()
  local list = nodes.read(true)
  for _, node in ipairs(list) do node.checks = json.array(node.checks) end
  return assert(json.encode(json.array(list), { sorted = true })) .. "\n"
end

return status
