--- What the builder of the C core gets, seen in the structs it fills.
local C = require "tidegate.ffi"
local ffi = require "ffi"
local bit = require "bit"
local configuration = require "support.configuration"
local files = require "support.files"

local added = {}

--- The core, with a note of every struct that it hands out.
local recorder = setmetatable({}, { __index = C })
for name, list in pairs { listener = "listeners", service = "services", node = "nodes", route = "routes",
                          access_log = "logs" } do
  recorder["tide_generation_add_" .. name] = function(g)
    local struct = C["tide_generation_add_" .. name](g)
    table.insert(added[list], struct)
    return struct
  end
end
for _, name in ipairs { "host", "path", "method" } do
  recorder["tide_generation_add_" .. name] = function(g, at, len, why)
    table.insert(added[name .. "s"], at)
    return C["tide_generation_add_" .. name](g, at, len, why)
  end
end
function recorder.tide_generation_trust(g, at, len)
  table.insert(added.trusted, at)
  return C.tide_generation_trust(g, at, len)
end
function recorder.tide_generation_add_header(g, name, name_len, value, value_len, why)
  table.insert(added.headers, name .. ": " .. value)
  return C.tide_generation_add_header(g, name, name_len, value, value_len, why)
end

local function text(slice)
  return slice.len > 0 and ffi.string(slice.at, slice.len) or nil
end

describe("a generation", function()
  local config, generation

  setup(function()
    package.loaded["tidegate.ffi"] = recorder
    package.loaded["tidegate.config.build"] = nil
    package.loaded["tidegate.config"] = nil
    config = require "tidegate.config"
    package.loaded["tidegate.ffi"] = C
  end)

  teardown(function()
    package.loaded["tidegate.config.build"] = nil
    package.loaded["tidegate.config"] = nil
  end)

  after_each(function()
    if generation then C.tide_generation_drop(generation) end
    generation = nil
  end)

  local function build(lines)
    for _, list in ipairs { "listeners", "services", "nodes", "routes", "logs", "hosts", "paths", "methods", "headers",
                            "trusted" } do
      added[list] = {}
    end
    local folder = files.folder()
    files.write(folder .. "/tidegate.yaml", configuration.small(lines))
    local result = config.load(folder .. "/tidegate.yaml", { variables = {} })
    assert.equal("", result.report:text())
    generation = result.generation
    return folder
  end

  it("has the gateway's settings", function()
    local folder = build [[
gateway:
  threads: 3
  user: nobody
  trusted_proxies: [10.0.0.0/8, "::1"]
  grace: 1500ms
  id_header: X-Id
timeouts: { idle: 1s, head: 2s, body: 3s, write: 4s }
limits: { head: 1KiB, headers: 5, uri: 2KiB, body: 0, connections: 6, requests_per_connection: 7 }
security: { deny_hidden_files: false, require_content_length: true, merge_slashes: false }
log: { level: warn, error: e.log }
]]
    local g = C.tide_generation_gateway(generation)
    assert.same({ 3, 1500, "nobody", folder .. "/run/tidegate.pid", "x-id", 2, folder .. "/e.log" },
                { g.threads, g.grace_ms, text(g.user), text(g.pid_file), text(g.id_header), g.log_level,
                  text(g.error_log) })
    assert.same({ 1000, 2000, 3000, 4000 },
                { g.timeouts.idle_ms, g.timeouts.head_ms, g.timeouts.body_ms, g.timeouts.write_ms })
    local l = g.limits
    assert.same({ 1024, 5, 2048, 0, 6, 7 },
                { l.head_bytes, l.headers, l.uri_bytes, tonumber(l.body_bytes), l.connections,
                  l.requests_per_connection })
    local s = g.security
    assert.same({ false, true, false }, { s.deny_hidden_files, s.require_content_length, s.merge_slashes })
    assert.same({ "10.0.0.0/8", "::1" }, added.trusted)
  end)

  it("stays who it is when no user is named", function()
    build ""
    assert.is_nil(text(C.tide_generation_gateway(generation).user))
  end)

  it("has listeners", function()
    build 'listen: ["[::1]:8080", { address: ":1", name: a, proxy_protocol: true }]'
    local one, two = added.listeners[1], added.listeners[2]
    assert.same({ "[::1]:8080", nil, false, false }, { text(one.address), text(one.name), one.proxy_protocol, one.tls })
    assert.same({ "0.0.0.0:1", "a", true }, { text(two.address), text(two.name), two.proxy_protocol })
  end)

  it("has services and their nodes", function()
    local folder = build [[
services:
  plain:
    host_header: app.internal
    balance: weighted_round_robin
    nodes: [{ url: "127.0.0.1:9000", weight: 3 }, { url: "http://[::1]:9001", enabled: false }, "unix:app.sock"]
    timeouts: { connect: 1s, connect_delay: 90ms, send: 2s, first_byte: 3s, idle: 4s }
    retries: { attempts: 5 }
    pool: { idle_per_node: 6, idle: 7s, lifetime: 0, max_requests: 8 }
  secure:
    host_header: node
    nodes: ["https://127.0.0.1"]
    tls: { verify: false, server_name: App.Internal }
]]
    local s = added.services[1]
    assert.same({ "plain", C.PROTOCOL_HTTP, C.HOST_FIXED, "app.internal", C.BALANCE_WEIGHTED_ROUND_ROBIN },
                { text(s.name), s.protocol, s.host_policy, text(s.host), s.balance })
    assert.same({ 1000, 90, 2000, 3000, 4000, 5 },
                { s.connect_ms, s.connect_delay_ms, s.send_ms, s.first_byte_ms, s.idle_ms, s.retry.attempts })
    assert.same({ 6, 7000, 0, 8 }, { s.pool_idle_per_node, s.pool_idle_ms, s.pool_lifetime_ms, s.pool_max_requests })
    s = added.services[2]
    assert.same({ C.PROTOCOL_HTTPS, C.HOST_NODE, nil, false, "app.internal" },
                { s.protocol, s.host_policy, text(s.host), s.tls_verify, text(s.tls_server_name) })
    local seen = {}
    for i, n in ipairs(added.nodes) do seen[i] = { text(n.host), n.port, n.is_unix, n.enabled, n.weight } end
    assert.same({ { "127.0.0.1", 9000, false, true, 3 }, { "::1", 9001, false, false, 1 },
                  { folder .. "/app.sock", 0, true, true, 1 }, { "127.0.0.1", 443, false, true, 1 } }, seen)
  end)

  it("has retries of services and of routes", function()
    build [[
services:
  usual: "127.0.0.1:1"
  own:
    nodes: "127.0.0.1:2"
    retries: { attempts: 3, on: [timeout, 503], per_try: 1s, backoff: 10ms, budget: 5%, methods: [GET, POST] }
  late: { nodes: "127.0.0.1:3", retries: { per_try: 1s, backoff: { base: 1s, max: 2s }, budget: { min: 0 } } }
routes:
  - { service: own, path: /a, retries: { on: [connect, 5xx, 404-405], per_try: 500ms } }
  - { service: own, path: /b, retries: { backoff: 30ms, hedge: 5ms, methods: PUT } }
]]
    local function causes(r)
      local statuses = {}
      for status = 0, 599 do
        if bit.band(r.statuses[math.floor(status / 64)], bit.lshift(1ULL, status % 64)) ~= 0 then
          statuses[#statuses + 1] = status
        end
      end
      return { r.on, #statuses, statuses[1], statuses[#statuses] }
    end
    local usual, own, late = added.services[1].retry, added.services[2].retry, added.services[3].retry
    assert.same({ 1, 25, 250, 20, 10, 0 }, { usual.attempts, usual.backoff_ms, usual.backoff_max_ms,
                                             usual.budget_percent, usual.budget_min, usual.per_try_ms })
    assert.same({ C.RETRY_ON_CONNECT + C.RETRY_ON_RESET, 0 }, causes(usual))
    assert.same({ 3, 10, 100, 5, 10, 1000 }, { own.attempts, own.backoff_ms, own.backoff_max_ms, own.budget_percent,
                                               own.budget_min, own.per_try_ms })
    assert.same({ C.RETRY_ON_TIMEOUT + C.RETRY_ON_STATUS, 1, 503, 503 }, causes(own))
    assert.equal(C.tide_method_bit("GET", 3) + C.tide_method_bit("POST", 4), own.methods)
    assert.same({ 1, 1000, 2000, 20, 0 }, { late.attempts, late.backoff_ms, late.backoff_max_ms, late.budget_percent,
                                            late.budget_min })
    assert.same({ C.RETRY_ON_CONNECT + C.RETRY_ON_RESET + C.RETRY_ON_TIMEOUT, 0 }, causes(late))
    local a, b = added.routes[1].retry, added.routes[2].retry
    assert.same({ C.RETRY_ON_CONNECT + C.RETRY_ON_STATUS, 102, 404, 599 }, causes(a))
    assert.equal(C.RETRY_KEY_ON + C.RETRY_KEY_PER_TRY, a.given)
    assert.same({ C.RETRY_KEY_BACKOFF + C.RETRY_KEY_METHODS + C.RETRY_KEY_HEDGE, 30, 300, 5,
                  C.tide_method_bit("PUT", 3) },
                { b.given, b.backoff_ms, b.backoff_max_ms, b.hedge_ms, b.methods })
  end)

  it("has routes that lead to services", function()
    local folder = build [[
listen: [":0", { address: ":0", name: a }, { address: ":0", name: b }]
services: { one: "127.0.0.1:1", two: "127.0.0.1:2" }
routes:
  - { service: two, hosts: [a.b, "*.c"], paths: [/x, "/y/**"], methods: [GET, PURGE], on: [b, a, b], priority: -2,
      strip_prefix: /y/, add_prefix: /z, timeout: 5s, retries: { attempts: 0 } }
  - { name: off, service: one, enabled: false }
  - { service: one, priority: -3 }
]]
    assert.equal(2, #added.routes)
    local r = added.routes[1]
    assert.same({ "route 1", folder .. "/tidegate.yaml:4", C.ACTION_SERVICE, 1, -2, 5000, C.RETRY_KEY_ATTEMPTS,
                  "/y", "/z" },
                { text(r.name), text(r.source), r.action, r.service, r.priority, r.timeout_ms, r.retry.given,
                  text(r.strip_prefix), text(r.add_prefix) })
    assert.equal(6, tonumber(r.listeners))
    assert.same({ { "a.b", "*.c" }, { "/x", "/y/*" }, { "GET", "PURGE" } }, { added.hosts, added.paths, added.methods })
    r = added.routes[2]
    assert.same({ "route 3", 0, 0, 0, nil }, { text(r.name), r.service, r.timeout_ms, r.retry.given,
                                                text(r.strip_prefix) })
    assert.equal(0, tonumber(r.listeners))
  end)

  it("has a bit for each of 64 listeners", function()
    local list = {}
    for i = 1, 64 do list[i] = ('{ address: "127.0.0.1:%d", name: l%d }'):format(i, i) end
    build("listen: [" .. table.concat(list, ", ") .. "]\nroutes: [{ path: /, on: [l1, l64], respond: {} }]")
    assert.is_true(added.routes[1].listeners == bit.bor(1ULL, bit.lshift(1ULL, 63)))
  end)

  it("has routes that answer", function()
    build [[
routes:
  - { path: /a, respond: { status: 201, headers: { X-B: two, x-a: one }, body: "a\0b" } }
  - { path: /b, respond: { echo: true } }
  - { path: /c, redirect: { to: "https://x${request_uri}", status: 308 } }
  - { path: /d, respond: {} }
]]
    local r = added.routes
    assert.same({ C.ACTION_RESPOND, 201, "a\0b" }, { r[1].action, r[1].status, text(r[1].body) })
    assert.same({ "x-b: two", "x-a: one" }, added.headers)
    assert.equal(C.ACTION_ECHO, r[2].action)
    assert.same({ C.ACTION_REDIRECT, 308, "https://x${request_uri}" },
                { r[3].action, r[3].status, text(r[3].redirect_to) })
    assert.same({ C.ACTION_RESPOND, 200, nil }, { r[4].action, r[4].status, text(r[4].body) })
  end)

  it("has access logs", function()
    build 'log: { access: [{ file: stdout }, { file: stderr, format: combined }, { file: /x, template: "${status}" }] }'
    local seen = {}
    for i, l in ipairs(added.logs) do seen[i] = { text(l.file), l.format, text(l.template_text) } end
    assert.same({ { "stdout", C.LOG_JSON }, { "stderr", C.LOG_COMBINED }, { "/x", C.LOG_TEMPLATE, "${status}" } }, seen)
  end)

  it("can be made many times over", function()
    for _ = 1, 50 do
      build 'services: { a: "127.0.0.1:1" }\nroutes: [{ path: /, service: a }]'
      C.tide_generation_drop(generation)
      generation = nil
    end
  end)
end)

describe("generations", function()
  it("can be dropped while another one is built", function()
    local why = ffi.new "struct tide_error"
    local old = C.tide_generation_new()
    local new = C.tide_generation_new()
    C.tide_generation_add_route(new)
    C.tide_generation_drop(old)
    assert.equal(0, C.tide_generation_add_host(new, "a.test", 6, why))
    assert.equal(0, C.tide_generation_add_path(new, "/x", 2, why))
    C.tide_generation_drop(new)
  end)
end)

describe("certificates", function()
  local folder = files.folder()
  local made = os.execute(("cd %s && for n in a b; do openssl req -x509 -newkey rsa:2048 -nodes -days 2 " ..
    "-subj /CN=$n.test -addext subjectAltName=DNS:$n.test -keyout $n.key -out $n.pem 2>/dev/null; done && " ..
    "openssl rsa -in a.key -aes128 -passout pass:secret -out locked.key 2>/dev/null && : > empty"):format(folder))

  files.write(folder .. "/huge", ("x"):rep(100000))
  assert.equal(0, os.execute("mkfifo " .. folder .. "/pipe"))

  local function complaints(tls)
    files.write(folder .. "/tidegate.yaml", configuration.small("listen: [{ address: ':1', tls: { " .. tls .. " } }]"))
    local result = configuration.load_file(folder .. "/tidegate.yaml", { dry = false })
    local list = {}
    local pattern = folder:gsub("%p", "%%%0") .. "/"
    for i, e in ipairs(result.report.errors) do list[i] = e.path .. ": " .. e.message:gsub(pattern, "") end
    return list, result
  end

  it("were made for this spec", function() assert.equal(0, made) end)

  it("are loaded", function()
    local list, result = complaints "certificates: [{ cert: a.pem, key: a.key }, { cert: b.pem, key: b.key }]"
    assert.same({}, list)
    assert.same({ "tidegate.yaml", "a.pem", "a.key", "b.pem", "b.key" },
                { result.files[1]:match "[^/]+$", result.files[2]:match "[^/]+$", result.files[3]:match "[^/]+$",
                  result.files[4]:match "[^/]+$", result.files[5]:match "[^/]+$" })
  end)

  it("may ask clients for theirs", function()
    assert.same({}, (complaints("certificates: [{ cert: a.pem, key: a.key }], client_auth: { mode: required, " ..
                                "ca: b.pem }, min_version: 1.3")))
  end)

  local cases = {
    { "must be there", "certificates: [{ cert: x.pem, key: a.key }]",
      "listen[1].tls.certificates[1].cert: cannot read x.pem: No such file or directory" },
    { "must be no pipe", "certificates: [{ cert: pipe, key: a.key }]",
      "listen[1].tls.certificates[1].cert: cannot read pipe: a pipe" },
    { "must fit their keys", "certificates: [{ cert: a.pem, key: a.key }, { cert: a.pem, key: b.key }]",
      "listen[1].tls.certificates[2].key: cannot load the private key \"b.key\": " ..
      "it does not belong to the certificate" },
    { "must have keys that need no pass phrase", "certificates: [{ cert: a.pem, key: locked.key }]",
      "listen[1].tls.certificates[1].key: cannot load the private key \"locked.key\": it wants a pass phrase; " ..
      "expected a key without one" },
    { "must have whole keys", "certificates: [{ cert: a.pem, key: empty }]",
      "listen[1].tls.certificates[1].key: cannot load the private key \"empty\": " ..
      "expected a private key in PEM, found none" },
    { "must not be keys", "certificates: [{ cert: a.key, key: a.key }]",
      "listen[1].tls.certificates[1].cert: cannot load the certificate \"a.key\": " ..
      "expected a certificate in PEM, found none" },
    { "must have known ciphers", "certificates: [{ cert: a.pem, key: a.key }], ciphers: NONSENSE",
      'listen[1].tls.ciphers: ciphers: OpenSSL does not know any of "NONSENSE"' },
    { "must have a readable CA", "certificates: [{ cert: a.pem, key: a.key }], client_auth: { mode: optional, " ..
      "ca: a.key }", "listen[1].tls.client_auth.ca: client_auth.ca: cannot load \"a.key\": " ..
      "expected certificates in PEM, found none" },
    { "must have an OCSP response of a sane size", "certificates: [{ cert: a.pem, key: a.key, ocsp: huge }]",
      "listen[1].tls.certificates[1].ocsp: cannot load the OCSP response \"huge\"" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local list = complaints(case[2])
      assert.equal(1, #list)
      assert.equal(case[3], list[1]:sub(1, #case[3]))
    end)
  end
end)

describe("names of nodes", function()
  it("that cannot be resolved are all told, each at its place", function()
    local long = ("x"):rep(70)          -- no name can have such a part: nobody is asked
    local result = configuration.load(configuration.small(([[
services:
  one:
    nodes: ["LONG1:80", "127.0.0.1:80", "http://LONG2:80"]
  two: "http://LONG3:80"
]]):gsub("LONG", long)), { dry = false })
    assert.is_nil(result.generation)
    local told = {}
    for i, e in ipairs(result.report.errors) do told[i] = { e.path, e.line, (e.message:gsub('": .*', '"')) } end
    assert.same({
      { "services.one.nodes[1].url", 4, ('cannot resolve "%s1"'):format(long) },
      { "services.one.nodes[3].url", 4, ('cannot resolve "%s2"'):format(long) },
      { "services.two.nodes[1].url", 5, ('cannot resolve "%s3"'):format(long) },
    }, told)
  end)
end)
