--- The whole configuration as a schema: every key with its type, default, unit and meaning.
-- docs/configuration.md is made of it. What other versions know and this one does not is marked with later = true.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local elsewhere = require "tidegate.config.elsewhere"
local entry = require "tidegate.plugin.entry"
local schema = require "tidegate.config.schema"
local statuses = require "tidegate.config.statuses"
local types = require "tidegate.config.types"

local ordered, ELSEWHERE = schema.ordered, schema.ELSEWHERE

local function later(name)
  return { name, type = "any", later = true }
end

--- A time that must pass; what C keeps is 32 bits of milliseconds.
local function duration(name, default, doc, min)
  return { name, type = "duration", default = default, min = min or "1ms", max = "49d", doc = doc }
end

local function count(name, default, doc, min, max)
  return { name, type = "integer", default = default, min = min or 1, max = max or 4294967295, doc = doc }
end

local function file(name, doc, required)
  return { name, type = "file", doc = doc, required = required }
end

local labels = {
  "labels", type = "map", of = "string", keys = "name", doc = "words of your own, for people and tools",
}

local retries = require "tidegate.config.tree_retries"

-- -- gateway --

local why = ffi.new "struct tide_error"

--- The address of a name server; the port is 53 where none is said.
local function name_server(text)
  local literal = text
  if not text:find "^%[.*%]:%d+$" and not text:find "^[%d.]+:%d+$" then
    literal = text:find ":" and ("[%s]:53"):format(text:gsub("^%[(.*)%]$", "%1")) or text .. ":53"
  end
  if C.tide_address_check(literal, #literal, why) ~= 0 or literal:find "^[u:l]" then return nil end
  return ffi.string(why.text)
end

local function check_name_servers(list)
  for i, text in ipairs(list) do
    local address = name_server(text)
    if not address then
      return false, ('expected an IP address, with or without a port, such as 10.0.0.2 or "[fd00::2]:53", found "%s"')
        :format(text)
    end
    list[i] = address
  end
  return true
end

local resolver = {
  "resolver", type = "object", default = {}, doc = "how names of nodes become addresses; see docs/names.md",
  fields = ordered {
    { "servers", type = "list", single = true, min = 1, max = 16, of = "string", check = check_name_servers,
      doc = "name servers, asked in this order; default: those of /etc/resolv.conf" },
    duration("min_ttl", "1s", "an answer holds so long at least"),
    duration("max_ttl", "5m", "and so long at most, whatever its time to live says"),
    duration("timeout", "2s", "of a question, before it is asked again; and how long a new configuration waits for " ..
             "names that were never asked for", "10ms"),
  },
}

local gateway = {
  "gateway", type = "object", default = {}, doc = "the process itself",
  fields = ordered {
    { "threads", type = "integer", default = "auto", words = { auto = 0 }, min = 1, max = 64, restart = true,
      doc = "data-plane loops; auto: as many as there are cores" },
    { "user", type = "name", restart = true,
      doc = "who to become after binding, when started as root; default: stay" },
    { "pid_file", type = "file", default = "run/tidegate.pid", restart = true, check = function(path)
        return path:find "%.pid$" ~= nil, 'expected a name that ends in ".pid"'
      end,
      doc = "the control socket stands beside it, with .sock for .pid" },
    { "working_dir", type = "file", default = ".",
      doc = "where relative file names start; itself relative to the folder of this file" },
    { "trusted_proxies", type = "list", single = true, of = "cidr", default = { "127.0.0.1/32" },
      doc = "networks whose X-Forwarded-* headers and PROXY lines are believed" },
    { "recent_requests", type = "boolean", default = true,
      doc = "method, host and path of some requests are remembered, for `tidegate diff`" },
    { "on_invalid", type = "enum", of = { "refuse", "quarantine" }, default = "refuse",
      doc = "what becomes of new files with an error: `refuse` changes nothing; `quarantine` leaves the last good " ..
            "version of what is bad in force, and takes the rest" },
    duration("grace", "30s", "how long a stop waits for requests in flight", "0"),
    { "id_header", type = "header_name", default = "x-request-id",
      doc = "header that carries the id of a request; a client's is kept, a missing one is made" },
    resolver,
    { "timeout_header", type = "enum", of = { "trusted", "all", "nobody" }, default = "trusted",
      doc = "whose X-Request-Timeout counts (how long an answer may take: `2`, `0.5`, `500ms`): that of " ..
            "`trusted_proxies`, of all clients, or nobody's; see docs/retries.md" },
    { "plugin_dirs", type = "list", single = true, of = "file", default = { "plugins" }, implicit = true,
      doc = "folders of plugins; of two with the same name the one in the later folder counts; those that come with " ..
            "the gateway are looked for before" },
  },
}

-- -- plugins --

local lua = {
  "lua", type = "object", default = {}, doc = "what plugins may take",
  fields = ordered {
    duration("budget", "10ms", "CPU time of one hook; waiting does not count"),
    duration("hard_limit", "1s", "a hook that does not come back after it costs the worker a restart"),
    { "memory", type = "size", default = "128MiB", min = "8MiB", doc = "of all plugins together, in each loop" },
    { "trusted", type = "list", single = true, of = "string", default = {},
      doc = "plugins that may use the ffi, and whose loops are not counted" },
  },
}

local dictionary = {
  type = "object", short = "size",
  fields = ordered {
    { "size", type = "size", required = true, min = "64KiB", max = "16GiB",
      doc = "bytes; when it is full, what was not used for longest goes" },
    { "file", type = "file", doc = "where its contents are kept over a restart; default: they are not" },
  },
}

-- -- listeners --

local certificate = {
  type = "object",
  fields = ordered {
    file("cert", "PEM file: the certificate, then its chain", true),
    file("key", "PEM file: the private key", true),
    file("ocsp", "DER file: an OCSP response to staple"),
  },
}

local listener_tls = {
  "tls", type = "object", doc = "makes the listener speak TLS",
  fields = ordered {
    { "certificates", type = "list", required = true, min = 1, of = certificate,
      doc = "chosen by the names that they hold (SNI); the first is the default" },
    { "min_version", type = "enum", of = { "1.2", "1.3" }, default = "1.2", doc = "oldest TLS version spoken" },
    { "ciphers", type = "string", min = 1, default = "modern",
      doc = "modern, or a list in OpenSSL's words for TLS 1.2" },
    { "client_auth", type = "object", default = {}, doc = "client certificates",
      fields = ordered {
        { "mode", type = "enum", of = { "none", "optional", "required" }, default = "none",
          doc = "whether clients must show a certificate" },
        file("ca", "PEM file: who may sign them"),
      } },
  },
}

local listener = {
  type = "object", short = "address",
  fields = ordered {
    { "address", type = "address", required = true,
      doc = '":8080" (every IPv4 address), "127.0.0.1:8080", "[::]:80", "unix:run/gate.sock"; port 0: a free one' },
    { "name", type = "name", doc = "for a route's `on`" },
    { "protocols", type = "list", single = true, min = 1, default = { "http/1.1" }, doc = "spoken here",
      of = { type = "enum", of = { "http/1.1" }, later = { "h2", "h2c", "h3" } } },
    { "proxy_protocol", type = "boolean", default = false,
      doc = "connections begin with a PROXY line (version 1 or 2) that names the client" },
    { "optional", type = "boolean", default = false,
      doc = "where it cannot be bound (a port that is taken, or not allowed) that is a warning, and the others are" },
    listener_tls,
  },
}

-- -- clients --

local timeouts = {
  "timeouts", type = "object", default = {}, doc = "towards clients",
  fields = ordered {
    duration("idle", "75s", "between requests on a connection"),
    duration("head", "10s", "from the first byte of a request head to its last"),
    duration("body", "30s", "between two reads of a request body"),
    duration("write", "30s", "without any progress while a response is written"),
  },
}

local function size(name, default, doc, min, max)
  return { name, type = "size", default = default, min = min, max = max, doc = doc }
end

local limits = {
  "limits", type = "object", default = {}, doc = "what a client may send",
  fields = ordered {
    size("head", "32KiB", "request line and headers together; beyond: 431", "256B", "128KiB"),
    count("headers", 100, "number of header lines; beyond: 431", 1, 10000),
    size("uri", "8KiB", "request target; beyond: 414", "16B", "64KiB"),
    size("body", "64MiB", "request body; beyond: 413; 0: no limit"),
    count("connections", 100000, "open client connections; beyond: 503"),
    count("requests_per_connection", 10000, "requests on one connection, which is then closed"),
  },
}

local security = {
  "security", type = "object", default = {}, doc = "what is refused before routing",
  fields = ordered {
    { "deny_hidden_files", type = "boolean", default = true,
      doc = "404 for a path with a segment that starts with a dot (/.well-known/ excepted)" },
    { "require_content_length", type = "boolean", default = false, doc = "411 for a request body of unknown length" },
    { "merge_slashes", type = "boolean", default = true, doc = '"//" in a path counts, and is forwarded, as "/"' },
  },
}

local function circuit_breaker(doc)
  return {
    "circuit_breaker", type = "object", doc = doc,
    fields = ordered {
      [ELSEWHERE] = elsewhere.circuit_breaker,
      { "error_ratio", type = "number", default = 0.5, min = 0, max = 1,
        doc = "share of failures (no answer, or a status from 500 on) in the window that opens it; 0: not counted" },
      duration("slow", "0", "an answer that takes so long to begin is slow; 0: not counted", "0"),
      { "slow_ratio", type = "number", default = 0.8, min = 0.01, max = 1,
        doc = "share of slow answers in the window that opens it" },
      duration("window", "10s", "time over which shares are taken"),
      count("min_requests", 20, "requests in the window before shares count", 1, 1000000),
      duration("open", "30s", "how long no request is let through"),
      count("probes", 3, "requests that are then let through; if all succeed it closes, if one fails it opens",
            1, 10000),
    },
  }
end

-- -- routes --

local respond = {
  "respond", type = "object", doc = "answer from here",
  fields = ordered {
    { "status", type = "status", min = 200, default = 200, doc = "status code" },
    { "headers", type = "map", of = "string", keys = "header_name", default = {}, doc = "headers of the response" },
    { "body", type = "string", default = "", doc = "body of the response" },
    { "echo", type = "boolean", default = false, doc = "answer with the request as text" },
    conflicts = { { "echo", "status" }, { "echo", "headers" }, { "echo", "body" } },
  },
}

local VARIABLES = { scheme = true, host = true, path = true, query = true, request_uri = true }

local function check_variables(text)
  for name in text:gmatch "%${([^}]*)}?" do
    if not VARIABLES[name] then
      return false, ('unknown variable "%s"; expected one of host, path, query, request_uri, scheme'):format(name)
    end
  end
  if text:find "[%c%s]" then return false, "expected a URL without spaces" end
  return true
end

local redirect = {
  "redirect", type = "object", doc = "send the client elsewhere",
  fields = ordered {
    { "to", type = "string", required = true, min = 1, template = true, check = check_variables,
      doc = "URL or path; `${scheme}` `${host}` `${path}` `${query}` (with its ?) `${request_uri}` are the request's" },
    { "status", type = "status", default = 302, check = function(status)
        local good = status >= 301 and status <= 308 and status ~= 304 and status ~= 305 and status ~= 306
        return good, "expected 301, 302, 303, 307 or 308, found " .. status
      end,
      doc = "301, 302, 303, 307 or 308" },
  },
}

local split = {
  "split", type = "map", keys = "name", min = 1, of = { type = "integer", min = 0, max = 1000000 },
  doc = "services and their weights: `{ stable: 95, next: 5 }`; one of weight 0 gets nothing",
}

local sticky = {
  "sticky", type = "object", doc = "keeps a client at the service of the split that it was given",
  fields = ordered {
    { "cookie", type = "cookie_name", doc = "by a cookie of this name, which the first response sets" },
    { "max_age", type = "duration", min = "1s", max = "400d",
      doc = "how long the client keeps the cookie; default: as long as its session" },
    { "header", type = "header_name", doc = "by the value of this request header: the same value, the same service" },
    one_of = { "cookie", "header" },
    requires = { max_age = { "cookie" } },
  },
}

local rewrite = {
  "rewrite", type = "object", doc = "another path to send on, by a pattern",
  fields = ordered {
    { "match", type = "regex", required = true, doc = "the part of the path that is replaced; without it nothing is" },
    { "to", type = "string", required = true, template = true, match = "^[^%c%s#]*$",
      expects = "a path without spaces, # and control characters",
      doc = "what stands there instead; `$1` and `${name}` are groups of `match`, `$0` all of it, `$$` a dollar. " ..
            "What stands behind a ? is the query, in place of the request's" },
  },
}

local ORIGIN = 'expected "*", "https://example.com", "https://*.example.com", "example.com:8080" or "null", found "%s"'

local function check_origins(list)
  for _, text in ipairs(list) do
    local host = text:match "^%a[%w+.-]*://(.+)$" or text
    local is_host = host:gsub("^%*%.", ""):find "^[%w._%[%]:-]+$"
    if text ~= "*" and not is_host then return false, ORIGIN:format(text) end
  end
  return true
end

local websocket = {
  "websocket", type = "object",
  doc = "looks into the frames of WebSockets, and keeps both ends alive; without it they pass unseen; see " ..
        "docs/websocket.md",
  fields = ordered {
    [ELSEWHERE] = elsewhere.websocket,
    duration("ping_interval", "30s", "an end that has said nothing for so long is pinged; 0: never", "0"),
    duration("pong_wait", "60s", "an end that says nothing for so long is given up; 0: never", "0"),
    duration("write_wait", "10s", "an end that takes nothing for so long, or does not answer a close, is given up"),
    duration("idle", "0", "no message either way for so long: closed with 1001; 0: never", "0"),
    size("max_message", "512KiB", "of a message, fragments together; beyond: closed with 1009", "1B", "1GiB"),
    { "allow_origins", type = "list", single = true, min = 1, of = "string", default = { "*" }, check = check_origins,
      doc = "pages that may open one, by their Origin; others get 403; `*`: any" },
    { "headers", type = "map", of = "string", keys = "header_name", default = {},
      doc = "further headers of the handshake towards the upstream" },
    { "on_change", type = "enum", of = { "keep", "drain", "close" }, default = "keep",
      doc = "when a reload has changed the route, its service or its plugins: open ones go on as they are; or are " ..
            "closed with 1012, each at its next quiet second, or all at once" },
  },
}

local route = {
  type = "object",
  fields = ordered {
    [ELSEWHERE] = elsewhere.route,
    { "name", type = "name", doc = 'for logs and messages; default: "route 1", "route 2", ...' },
    { "enabled", type = "boolean", default = true, doc = "false: as if it were not there" },
    { "priority", type = "integer", default = 0, min = -1000000, max = 1000000,
      doc = "the higher wins, before all else" },
    { "host", type = "host_pattern", many = "hosts",
      doc = "one host; `*.example.com`: all below it; `~` and a regular expression: see docs/routing.md" },
    { "hosts", type = "list", min = 1, of = "host_pattern", doc = "several hosts; without any: all" },
    { "path", type = "path_pattern", many = "paths",
      doc = "one path; `/a/*`: /a and all below it; `/a/{id}`: any one segment; `~` and a regular expression" },
    { "paths", type = "list", min = 1, of = "path_pattern", doc = "several paths; without any: all" },
    { "methods", type = "list", single = true, min = 1, of = "method", doc = "without any: all but TRACE" },
    { "on", type = "list", single = true, min = 1, of = "name", doc = "listeners by name; without any: all" },
    { "when", type = "condition", doc = "more that has to hold; see [Conditions](#conditions)" },
    { "service", type = "service", template = true, many = "split",
      doc = "the service that answers; `${segment.1}`: the one that the first segment of the path names, " ..
            "`${segment.1:-app}`: and app where that is empty" },
    split,
    sticky,
    respond,
    redirect,
    { "strip_prefix", type = "path", doc = "taken off the path before it is sent on, on segment borders" },
    { "add_prefix", type = "path", doc = "put before the path when it is sent on" },
    rewrite,
    duration("timeout", nil, "the whole exchange; 0: no limit; default: no limit", "0"),
    retries.of_route,
    labels,
    circuit_breaker("the route is left alone where most of its requests fail: 503 at once"),
    websocket,
    entry.chain("plugins", "run for the requests of this route, after the global ones; a name alone means one of " ..
                           "`instances`, else a plugin"),
    one_of = { "service", "split", "respond", "redirect" },
    requires = { sticky = { "split" } },
    conflicts = {
      { "host", "hosts" }, { "path", "paths" }, { "rewrite", "strip_prefix" }, { "rewrite", "add_prefix" },
    },
  },
}

-- -- services --

local node = {
  type = "object", short = "url",
  fields = ordered {
    [ELSEWHERE] = elsewhere.node,
    { "url", type = "node", required = true,
      doc = '"10.0.0.1:8080", "http://name:8080", "https://name", "[::1]:8080" or "unix:/run/app.sock"' },
    { "weight", type = "integer", default = 1, min = 1, max = 65535, doc = "share of the requests" },
    { "enabled", type = "boolean", default = true, doc = "false: as if it were not there" },
    { "backup", type = "boolean", default = false, doc = "true: only when no other node is usable" },
    labels,
  },
}

local KEY = 'expected client_ip, path, header.NAME, cookie.NAME or query.NAME, found "%s"'

local function check_key(text)
  if text == "client_ip" or text == "path" then return true end
  local kind, name = text:match "^(%l+)%.(.+)$"
  local good = kind == "header" and not name:find "[^%w!#$%%&'*+.^_`|~-]" or
               (kind == "cookie" or kind == "query") and not name:find "[%s%c;,=&\"]"
  return good, KEY:format(text)
end

local balance = {
  "balance", type = "object", short = "algorithm", default = {}, doc = "how a node is picked",
  fields = ordered {
    [ELSEWHERE] = elsewhere.balance,
    { "algorithm", type = "enum", default = "round_robin", elsewhere = elsewhere.algorithms,
      of = { "round_robin", "weighted_round_robin", "random", "two_choices", "least_connections", "least_latency",
             "ip_hash", "consistent_hash" },
      doc = "weights count in all of them; `balance: round_robin` is the short form" },
    { "key", type = "string", check = check_key,
      doc = "for consistent_hash: what of the request decides: client_ip, path, header.NAME, cookie.NAME or " ..
            "query.NAME; default: client_ip" },
    { "load_factor", type = "number", min = 0, max = 100,
      doc = "for consistent_hash: a node with so many times the mean load is passed over; above 1; 0: never; " ..
            "default: 1.25" },
  },
}

--- Statuses and ranges of them: 200, "200-299", 2xx.
local function check_statuses(list)
  for _, text in ipairs(list) do
    if not statuses.range(text) then
      return false, ('expected statuses such as 200, ranges such as "200-299", or 2xx, found "%s"'):format(text)
    end
  end
  return true
end

local active_check = {
  "active", type = "object", doc = "the gateway asks each node itself, now and then",
  fields = ordered {
    [ELSEWHERE] = elsewhere.active,
    { "type", type = "enum", of = { "http", "https", "tcp" }, later = { "grpc" },
      doc = "what is asked; default: http, or https where the nodes are; tcp: whether it can be connected to" },
    { "path", type = "string", min = 1, doc = "path and query asked for; default: /",
      check = function(text)
        local good = text:find "^/[\33-\126]*$" and not text:find "#"
        return good, ('expected a path such as /health, found "%s"'):format(text)
      end },
    { "method", type = "method", doc = "method asked with; default: GET" },
    { "host", type = "string", min = 1, doc = "Host sent; default: the node's",
      check = function(text)
        return not text:find "[^%w._:%[%]-]", ('expected a host name, found "%s"'):format(text)
      end },
    { "headers", type = "map", of = "string", keys = "header_name", doc = "further headers sent" },
    duration("interval", "10s", "from check to check, a tenth more or less", "10ms"),
    duration("timeout", "5s", "of a check as a whole; the next one begins after its end"),
    { "expect", type = "list", single = true, min = 1, of = "string", check = check_statuses,
      doc = 'statuses of a healthy node: 200, ranges such as "200-299", or 2xx; default: "200-399"' },
    { "body", type = "string", min = 1, doc = "text that must be in the first 64 KiB of the body" },
    count("healthy", 2, "successes in a row until an unhealthy node is healthy", 1, 1000),
    count("unhealthy", 3, "failures in a row until it is unhealthy", 1, 1000),
  },
}

local passive_check = {
  "passive", type = "object", doc = "what clients get decides: a node that fails is ejected for a time",
  fields = ordered {
    [ELSEWHERE] = elsewhere.passive,
    count("failures", 5, "failures in a row that eject a node; 0: not counted", 0, 1000000),
    { "error_ratio", type = "number", default = 0, min = 0, max = 1,
      doc = "share of failures in the window that ejects a node; 0: not counted" },
    count("min_requests", 10, "requests in the window before its share of failures counts", 1, 1000000),
    duration("window", "10s", "time over which that share is taken"),
    duration("eject", "30s", "how long a node is ejected; each further time in a row so much longer, up to ten times"),
    { "max_ejected", type = "percent", default = "50%", doc = "share of the nodes that may be ejected at a time" },
  },
}

local health_check = {
  "health_check", type = "object", default = {}, doc = "which nodes are used",
  fields = ordered {
    [ELSEWHERE] = elsewhere.health_check,
    active_check,
    passive_check,
    { "panic", type = "enum", of = { "use_all", "fail" }, default = "use_all",
      doc = "when no node is usable: use all as if they were, or answer 503" },
  },
}

local service_sticky = {
  "sticky", type = "object", doc = "a client stays with the node that answered it first, as long as that is usable",
  fields = ordered {
    [ELSEWHERE] = elsewhere.sticky,
    { "cookie", type = "string", required = true, min = 1, doc = "name of the cookie that says so",
      check = function(text)
        local good = not text:find "[^%w!#$%&'*+.^_`|~-]" and #text <= 64
        return good, ('expected a cookie name of at most 64 bytes, found "%s"'):format(text)
      end },
    { "secret", type = "secret", min = 8,
      doc = "what the cookie's value is made with: the same in all gateways that share clients; default: made up at " ..
            "each start" },
    duration("max_age", "0", "how long the browser keeps it; 0: until it is closed", "0"),
  },
}

local overload = {
  "overload", type = "object", doc = "how many requests the service has at a time, over all loops; more get 503",
  fields = ordered {
    [ELSEWHERE] = elsewhere.overload,
    { "max_requests", type = "integer", required = true, min = 1, max = 1000000, words = { adaptive = 0 },
      doc = "so many; adaptive: found by how long answers take" },
    count("least", 4, "an adaptive limit is never below this", 1, 1000000),
    count("most", 1000, "... and never above this", 1, 1000000),
    count("queue", 0, "requests that may wait for their turn", 0, 1000000),
    duration("queue_timeout", "1s", "how long a request waits there"),
  },
}

local service_tls = {
  "tls", type = "object", default = {}, implicit = true, doc = "towards https nodes",
  fields = ordered {
    [ELSEWHERE] = elsewhere.tls,
    { "verify", type = "boolean", default = true, doc = "the node must show a certificate that is valid for its name" },
    file("ca", "PEM file: who may sign it; default: the system's"),
    { "server_name", type = "host", doc = "name asked for and checked; default: the node's host" },
    { "client_cert", type = "object", doc = "what the gateway shows",
      fields = ordered {
        file("cert", "PEM file: the certificate, then its chain", true),
        file("key", "PEM file: the private key", true),
      } },
  },
}

local LABELS = "^[%w_-]+$"

--- A name with SRV records ("_http._tcp.app.internal"), or one with addresses and a port.
local function check_dns(text)
  if text:sub(1, 1) ~= "_" then
    local target, reason = types.node.parse(text)
    if target and target.host and not target.scheme then return true end
    return false, ('expected "_service._proto.name" or "name:port", found "%s"%s'):format(
      text, not target and reason and "; " .. reason or "")
  end
  for label in (text:gsub("%.$", "") .. "."):gmatch "([^.]*)%." do
    if not label:find(LABELS) or #label > 63 or #text > 253 then
      return false, ('expected a name such as _http._tcp.app.internal, found "%s"'):format(text)
    end
  end
  return true
end

local discovery = {
  "discovery", type = "object", doc = "where further nodes are found; see docs/names.md",
  fields = ordered {
    [ELSEWHERE] = elsewhere.discovery,
    { "dns", type = "string", min = 1, check = check_dns,
      doc = "`_http._tcp.app.internal`: by the SRV records of that name; `app.internal:8080`: as a node of that name" },
    { "file", type = "file", doc = "a file with a list as `nodes` takes it, in YAML or JSON; live when it is saved" },
    later "etcd", later "consul",
    one_of = { "dns", "file" },
  },
}

local service = {
  type = "object", short = "nodes",
  fields = ordered {
    [ELSEWHERE] = elsewhere.service,
    { "protocol", type = "enum", of = { "http", "https", "ws", "wss" },
      later = { "h2c", "h2", "grpc", "grpcs", "fastcgi", "tcp" },
      doc = "ws is another word for http, wss for https; default: by the nodes' URLs, else http" },
    { "host_header", type = "string", default = "preserve", min = 1,
      doc = "Host sent on: preserve (the client's), node (the node's), or a fixed name" },
    balance,
    { "nodes", type = "list", single = true, min = 1, of = node,
      doc = "where it runs; a text is the short form of `{ url: ... }`" },
    discovery,
    { "timeouts", type = "object", default = {}, doc = "towards nodes",
      fields = ordered {
        [ELSEWHERE] = elsewhere.timeouts,
        duration("connect", "2s", "until the connection (and its TLS) stands"),
        duration("connect_delay", "250ms",
          "a connection that does not stand by then is not waited for alone: another node is tried beside it; 0: never",
          "0"),
        duration("send", "30s", "without progress while the request is written"),
        duration("first_byte", "30s", "from the request sent to the last byte of the response's head"),
        duration("idle", "60s", "between two reads of the response"),
      } },
    retries.of_service,
    { "timeout_header", type = "boolean", default = false,
      doc = "nodes are told by X-Request-Timeout how many seconds they have" },
    { "pool", type = "object", default = {}, doc = "connections to the nodes",
      fields = ordered {
        [ELSEWHERE] = elsewhere.pool,
        count("idle_per_node", 64, "idle connections that each loop keeps for one node; 0: none", 0, 1000000),
        duration("idle", "60s", "how long an idle connection is kept"),
        duration("lifetime", "1h", "age at which a connection is closed; 0: no limit", "0"),
        count("max_requests", 10000, "requests on one connection; 0: no limit", 0),
        count("max_per_node", 0, "connections to one node, of all loops, in use or idle; 0: no limit", 0, 1000000),
        count("queue", 256, "requests that may wait for a connection to one node; 0: none", 0, 1000000),
        duration("queue_timeout", "1s", "how long a request waits there"),
      } },
    service_tls,
    health_check,
    duration("slow_start", "0", "until a node that has come back, or was added, gets its whole share; 0: at once", "0"),
    service_sticky,
    overload,
    circuit_breaker "a service where most requests fail is left alone: 503 at once",
    some_of = { "nodes", "discovery" },
  },
}

-- -- logs --

local access_log = {
  type = "object",
  fields = ordered {
    { "file", type = "file", required = true, doc = "file name, stdout or stderr" },
    { "format", type = "enum", of = { "json", "common", "combined" }, default = "json", doc = "a known format" },
    { "template", type = "string", min = 1, template = true,
      doc = "a format of your own: `${client_ip} ${method} ${target} ${status} ${total}`; all fields are below" },
    conflicts = { "format", "template" },
  },
}

local log = {
  "log", type = "object", default = {}, doc = "what is written down",
  fields = ordered {
    { "level", type = "enum", of = { "debug", "info", "warn", "error" }, default = "info", doc = "least weight told" },
    { "error", type = "file", default = "stderr", doc = "where the gateway's own events go: a file name or stderr" },
    { "access", type = "list", default = {}, of = access_log, doc = "a line for each request, into each of these" },
  },
}

local metrics = {
  "metrics", type = "object",
  doc = "figures for Prometheus, on a listener of their own; without it nothing is counted by route",
  fields = ordered {
    { "listen", type = "address", required = true, doc = 'where they are asked for, for example "127.0.0.1:9901"' },
    { "path", type = "path", default = "/metrics", doc = "the one path that is answered there" },
  },
}

return {
  type = "object",
  fields = ordered {
    [ELSEWHERE] = elsewhere.top,
    { "version", type = "integer", default = 1, min = 1, max = 1, doc = "of this language" },
    { "include", type = "list", single = true, max = 100, of = { type = "string", min = 1, max = 4000 },
      expects = "a list of files or patterns such as conf.d/*.yaml",
      doc = "further files, relative to the folder of this one: names or patterns such as `conf.d/*.yaml`" },
    gateway,
    { "listen", type = "list", required = true, single = true, min = 1, max = 64, of = listener,
      doc = "where clients come in; a text is the short form of `{ address: ... }`" },
    timeouts,
    limits,
    security,
    lua,
    entry.chain("plugins", "run for every request, before routing"),
    { "instances", type = "map", default = {}, keys = "name", of = entry.INSTANCE,
      doc = "plugins with their settings, under names that routes use" },
    { "dictionaries", type = "map", default = {}, keys = "name", of = dictionary,
      doc = "memory that plugins share over all loops; a lone size is the short form of `{ size: ... }`" },
    metrics,
    { "routes", type = "list", required = true, of = route, doc = "what is answered, and by whom" },
    { "services", type = "map", default = {}, keys = "name", of = service,
      doc = "named sets of nodes; a lone URL is the short form of `{ nodes: [...] }`" },
    log,
    later "consumers", later "admin", later "tracing",
  },
}
