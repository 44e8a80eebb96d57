local configuration = require "support.configuration"
local files = require "support.files"

local values, complaints = configuration.values, configuration.complaints

describe("the smallest configuration", function()
  local config = values [[
listen: [":8080"]
services:
  app: { nodes: ["127.0.0.1:9000"] }
routes:
  - { path: "/*", service: app }
]]

  it("listens, routes and has a service", function()
    assert.equal("0.0.0.0:8080", config.listen[1].address)
    assert.same({ "/*" }, config.routes[1].paths)
    assert.equal("app", config.routes[1].service)
    assert.same({ host = "127.0.0.1", port = 9000 }, config.services.app.nodes[1].url)
  end)

  it("has the defaults of the manual", function()
    assert.same({ idle = 75, head = 10, body = 30, write = 30 }, config.timeouts)
    assert.same({ head = 32768, headers = 100, uri = 8192, body = 64 * 2 ^ 20, connections = 100000,
                  requests_per_connection = 10000 }, config.limits)
    assert.same({ deny_hidden_files = true, require_content_length = false, merge_slashes = true }, config.security)
    assert.same({ level = "info", error = "stderr", access = {} }, config.log)
    local gateway = config.gateway
    assert.same({ 0, 30, "x-request-id", nil }, { gateway.threads, gateway.grace, gateway.id_header, gateway.user })
    assert.same({ "127.0.0.1/32" }, gateway.trusted_proxies)
    local service = config.services.app
    assert.same({ connect = 2, connect_delay = 0.25, send = 30, first_byte = 30, idle = 60 }, service.timeouts)
    assert.same({ idle_per_node = 64, idle = 60, lifetime = 3600, max_requests = 10000, max_per_node = 0, queue = 256,
                  queue_timeout = 1 }, service.pool)
    assert.same({ "http", "preserve", "round_robin", 1, true },
                { service.protocol, service.host_header, service.balance.algorithm, service.retries.attempts,
                  service.tls.verify })
    local route = config.routes[1]
    assert.same({ "route 1", true, 0 }, { route.name, route.enabled, route.priority })
  end)
end)

describe("a short form", function()
  it("listens with a lone address", function()
    assert.equal("0.0.0.0:80", values('listen: ":80"').listen[1].address)
  end)

  it("makes a service of a URL", function()
    local service = values('services: { web: "https://app" }').services.web
    assert.same({ scheme = "https", host = "app", port = 443 }, service.nodes[1].url)
    assert.equal("https", service.protocol)
  end)

  it("makes a service of a list", function()
    assert.equal(2, #values('services: { web: ["a:1", "b:2"] }').services.web.nodes)
  end)

  it("mixes texts and maps in nodes", function()
    local nodes = values('services: { web: { nodes: ["a:1", { url: "b:2", weight: 3 }] } }').services.web.nodes
    assert.same({ 1, 3 }, { nodes[1].weight, nodes[2].weight })
  end)

  it("names a balancer by a word or by a map", function()
    local text = 'services: { web: { nodes: ["a:1"], balance: %s } }'
    for _, form in ipairs { "weighted_round_robin", "{ algorithm: weighted_round_robin }" } do
      assert.equal("weighted_round_robin", values(text:format(form)).services.web.balance.algorithm)
    end
  end)

  it("makes lists of lone words", function()
    local route = values('listen: [{ address: ":1", name: a }]\n' ..
                         "routes: [{ host: a.b, path: /x, methods: GET, on: a, respond: {} }]").routes[1]
    assert.same({ { "a.b" }, { "/x" }, { "GET" }, { "a" } }, { route.hosts, route.paths, route.methods, route.on })
  end)
end)

describe("a relative name", function()
  local folder = files.folder()

  local function load(lines)
    files.write(folder .. "/tidegate.yaml", configuration.small(lines))
    local result = configuration.load_file(folder .. "/tidegate.yaml")
    assert.equal("", result.report:text())
    return result.config
  end

  it("starts in the folder of the file", function()
    local config = load [[
log: { error: logs/e.log, access: [{ file: a.log }] }
listen: ["unix:run/gate.sock"]
services: { app: "unix:app.sock" }
]]
    assert.equal(folder .. "/run/tidegate.pid", config.gateway.pid_file)
    assert.equal(folder .. "/logs/e.log", config.log.error)
    assert.equal(folder .. "/a.log", config.log.access[1].file)
    assert.equal("unix:" .. folder .. "/run/gate.sock", config.listen[1].address)
    assert.equal(folder .. "/app.sock", config.services.app.nodes[1].url.file)
  end)

  it("starts in the working folder where there is one", function()
    local config = load "gateway: { working_dir: a/../b/., pid_file: ../x.pid }"
    assert.equal(folder .. "/x.pid", config.gateway.pid_file)
  end)

  it("does not hold for stdout and stderr", function()
    local config = load "log: { access: [{ file: stdout }, { file: stderr }] }"
    assert.same({ "stderr", "stdout", "stderr" },
                { config.log.error, config.log.access[1].file, config.log.access[2].file })
  end)
end)

describe("a route", function()
  it("has normal hosts and paths", function()
    local text = 'routes: [{ hosts: [A.B., "*.C.d"], paths: ["/x y", "/z/**"], respond: {} }]'
    local route = values(text).routes[1]
    assert.same({ { "a.b", "*.c.d" }, { "/x%20y", "/z/*" } }, { route.hosts, route.paths })
  end)

  it("may have neither host nor path", function()
    local route = values("routes: [{ respond: {} }]").routes[1]
    assert.is_nil(route.hosts)
    assert.is_nil(route.paths)
  end)

  it("may lead to a service that has errors of its own", function()
    local found = complaints 'services: { app: { nodes: [] } }\nroutes: [{ path: /, service: app }]'
    assert.same({ "services.app.nodes: expected at least 1 item, found 0" }, found)
  end)

  it("is checked also when it is not enabled", function()
    assert.equal(1, #complaints "routes: [{ path: /, enabled: false, service: nobody }]")
  end)
end)

describe("a warning", function()
  local function warnings(lines)
    local list = {}
    local result = configuration.load(configuration.small(lines))
    assert.is_true(result.good)
    for i, w in ipairs(result.report.warnings) do list[i] = w.path .. ": " .. w.message end
    return list
  end

  it("tells of a route that never gets a request", function()
    assert.same({ "routes[2]: never gets a request: routes[1] (line 2) has the same host and path" },
                warnings "routes: [{ path: /a, respond: {} }, { path: /a, respond: {} }]")
  end)

  local silent = {
    { "where a method makes the difference", "{ path: /a, methods: GET, respond: {} }, { path: /a, respond: {} }" },
    { "where more conditions win", "{ path: /a, respond: {} }, { path: /a, methods: GET, respond: {} }" },
    { "where what is higher takes less", '{ path: "/a/*", respond: {} }, { path: /a, priority: 1, respond: {} }' },
    { "where the host differs", "{ path: /a, respond: {} }, { host: a.b, path: /a, respond: {} }" },
    { "where one is not enabled", "{ path: /a, enabled: false, respond: {} }, { path: /a, respond: {} }" },
    { "where some of its paths are its own", "{ path: /a, respond: {} }, { paths: [/a, /b], respond: {} }" },
  }
  for _, case in ipairs(silent) do
    it("is not told " .. case[1], function() assert.same({}, warnings("routes: [" .. case[2] .. "]")) end)
  end

  it("tells of a service without an enabled node", function()
    assert.same({ "services.a.nodes: no node is enabled: every request is answered with 503" },
                warnings 'services: { a: { nodes: [{ url: "a:1", enabled: false }] } }')
  end)
end)

describe("a file", function()
  it("that is not there is one error", function()
    local result = configuration.load_file "/nowhere/tidegate.yaml"
    assert.equal("/nowhere/tidegate.yaml: cannot be read: No such file or directory\n", result.report:text())
    assert.same({ "/nowhere/tidegate.yaml" }, result.files)
  end)

  it("that is a folder is one error", function()
    assert.equal("/tmp: cannot be read: Is a directory\n", configuration.load_file("/tmp").report:text())
  end)

  it("is read once for all that it is needed for", function()
    local Sources = require "tidegate.config.source"
    local folder = files.folder()
    files.write(folder .. "/a", "one")
    local sources = Sources.new(folder)
    assert.equal("one", sources:read("a", 10))
    files.write(folder .. "/a", "two")
    assert.equal("one", sources:read("./a", 10))
    assert.same({ folder .. "/a" }, sources.list)
  end)

  it("is listed with its neighbours once for all that it is looked for", function()
    local Sources = require "tidegate.config.source"
    local folder = files.folder()
    files.write(folder .. "/b", "")
    files.write(folder .. "/a", "")
    local sources = Sources.new(folder)
    assert.same({ "a", "b" }, sources:names ".")
    assert.is_nil(sources:names "a")
    assert.is_nil(sources:names "nowhere")
    files.write(folder .. "/c", "")
    assert.same({ "a", "b" }, sources:names(folder))
    assert.same({ "a", "b" }, Sources.new(folder, sources.texts):names ".")
  end)

  it("may share parts by anchors", function()
    local config = values [[
services:
  a: &base { nodes: ["a:1"], timeouts: { connect: 1s } }
  b: { <<: *base, nodes: ["b:1"] }
]]
    assert.equal(1, config.services.b.timeouts.connect)
    assert.equal("b", config.services.b.nodes[1].url.host)
  end)
end)

describe("where the pid is kept", function()
  local config = require "tidegate.config"
  local folder = files.folder()

  local cases = {
    { "follows the configuration", 'listen: [":0"]\nroutes: []\ngateway: { pid_file: a.pid, grace: 5s }', "/a.pid", 5 },
    { "has a default", "listen: [\":0\"]\nroutes: []", "/run/tidegate.pid", 30 },
    { "is known from a file with errors", "nonsense: 1\ngateway: { pid_file: a.pid }", "/a.pid", 30 },
    { "is known from a file that is no YAML", "a: [\ngateway:\n  working_dir: sub # here\n  pid_file: 'b.pid'\n",
      "/sub/b.pid", 30 },
    { "has a default where nothing is known", "[", "/run/tidegate.pid", 30 },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      files.write(folder .. "/tidegate.yaml", case[2])
      local path, grace = config.pid_file(folder .. "/tidegate.yaml")
      assert.same({ folder .. case[3], case[4] }, { path, grace })
    end)
  end

  it("has a default where there is no file", function()
    assert.equal("/nowhere/run/tidegate.pid", (config.pid_file "/nowhere/tidegate.yaml"))
  end)
end)
