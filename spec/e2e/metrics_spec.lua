--- The figures for Prometheus, on a listener of their own.
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local PLUGIN = [[
--- Counts.
local Count = { version = "1.0.0", description = "Counts.", band = "filter" }
Count.__index = Count
local seen = tide.metrics.counter("seen_total", "Requests seen.", { "method", "odd" })
local size = tide.metrics.histogram("size_bytes", "Sizes.", nil, { 1, 10, 100 })
local level = tide.metrics.gauge("level", "A level.")
function Count.new() return setmetatable({}, Count) end
function Count:request(req)
  seen:inc(1, req.method, 'a"b\\c\nd')
  size:observe(tonumber(req:arg "n") or 5)
  level:set(7.5)
  if req.path == "/fail" then error "broke" end
  if req.path == "/reply" then return req:reply(429, "slow down") end
end
return Count
]]

local CONFIG = [[
gateway: { threads: 2, grace: 1s }
metrics: { listen: "unix:metrics.sock" }
services: { app: { nodes: ["NODE"] }, gone: { nodes: ["NOBODY"] } }
routes:
  - { name: all, path: "/*", service: app, plugins: [ count ] }
  - { name: gone, path: /gone, service: gone }
  - { name: here, path: /here, respond: { body: here } }
]]

describe("the metrics listener", function()
  local up, gw

  setup(function()
    up = upstream.by_path { ["/missing"] = function(conn, head) conn:read_body(head) conn:respond(404, "no") end }
    gw = gateway.start(CONFIG:gsub("NODE", up.node):gsub("NOBODY", upstream.nobody()), { plugins = { count = PLUGIN } })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local function ask(target, o)
    o = o or {}
    return assert(client.ask(gw:port(), request { target = target, method = o.method, body = o.body }))
  end
  local function internal(r, o) return assert(client.ask(gw.folder .. "/metrics.sock", request(r), o)) end
  local function text() return internal({ target = "/metrics" }).body end
  local function value(line)
    local body = text()
    local at = body:find("\n" .. line .. " ", 1, true)
    return at and tonumber(body:match("^([%d.e+-]+)\n", at + #line + 2))
  end

  --- A request is counted when all of it is done, which is after its client has seen the end of the response.
  local function expect(wanted, line)
    clock.wait_until(function() return value(line) == wanted end, nil, ("%s to be %s"):format(line, wanted))
  end

  it("counts requests by route and status, responses by node and status", function()
    for _ = 1, 3 do ask "/x" end
    ask "/missing"
    ask "/gone"
    ask "/here"
    ask("/x", { method = "POST", body = "12345" })
    expect(4, 'tidegate_requests_total{route="all",service="app",status="200"}')
    expect(1, 'tidegate_requests_total{route="all",service="app",status="404"}')
    expect(1, 'tidegate_requests_total{route="gone",service="gone",status="502"}')
    expect(1, 'tidegate_requests_total{route="here",service="",status="200"}')
    expect(4, ('tidegate_upstream_responses_total{service="app",node="%s",status="200"}'):format(up.node))
    expect(1, 'tidegate_request_failures_total{route="gone",service="gone"}')
    expect(5, 'tidegate_request_bytes_total{route="all",service="app"}')
    expect(5, 'tidegate_request_duration_seconds_bucket{route="all",service="app",le="+Inf"}')
    expect(5, 'tidegate_request_duration_seconds_count{route="all",service="app"}')
  end)

  it("counts what has no route", function()
    local before = value 'tidegate_requests_total{route="",service="",status="400"}' or 0
    client.ask(gw:port(), "GET / HTTP/1.1\r\n\r\n")
    expect(before + 1, 'tidegate_requests_total{route="",service="",status="400"}')
  end)

  it("counts plugins' calls, errors and answers", function()
    ask "/fail"
    ask "/reply"
    local labels = '{plugin="count",instance="count",hook="request",route="all"}'
    clock.wait_until(function() return (value("tidegate_plugin_calls_total" .. labels) or 0) >= 2 end, nil, "calls")
    expect(1, "tidegate_plugin_errors_total" .. labels)
    expect(1, "tidegate_plugin_answers_total" .. labels)
    assert.is_true(value("tidegate_plugin_cpu_seconds_total" .. labels) > 0)
  end)

  it("shows what plugins count themselves", function()
    local before = value 'seen_total{method="GET",odd="a\\"b\\\\c\\nd"}'
    for _ = 1, 10 do ask "/x?n=50" end
    expect(before + 10, 'seen_total{method="GET",odd="a\\"b\\\\c\\nd"}')
    assert.is_true(value 'size_bytes_bucket{le="100"}' >= value 'size_bytes_bucket{le="10"}' + 10)
    assert.equal(value "size_bytes_count", value 'size_bytes_bucket{le="+Inf"}')
    assert.is_truthy(value "level")
  end)

  it("keeps counts over a reload", function()
    local line = 'tidegate_requests_total{route="here",service="",status="200"}'
    local before = value(line) or 0
    ask "/here"
    expect(before + 1, line)
    assert.equal(0, (gw:reload()))
    assert.equal(before + 1, value(line))
    ask "/here"
    expect(before + 2, line)
    assert.is_true(value 'tidegate_reloads_total{result="good"}' >= 1)
  end)

  it("is well-formed: each sample under a head of its metric, each value a number", function()
    local heads = {}
    for line in text():gmatch "[^\n]+" do
      local name, kind = line:match "^# TYPE (%S+) (%S+)$"
      if name then
        assert.is_nil(heads[name], name .. " has two heads")
        heads[name] = kind
      elseif not line:find "^# HELP " then
        local sample, number = line:match "^([%a_:][%w_:]*).- (%S+)$"
        assert.truthy(tonumber(number), line)
        local head = heads[sample] and sample or sample:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")
        assert.truthy(heads[head], line)
      end
    end
  end)

  it("is documented, each metric by its name", function()
    local documented = {}
    for name in files.read("docs/metrics.md"):gmatch "| `(tidegate_[%w_]+)`" do documented[name] = true end
    for name in text():gmatch "# TYPE (tidegate_%S+)" do
      assert.is_true(documented[name], name)
      documented[name] = nil
    end
    assert.same({}, documented)
  end)

  it("answers only what it is for", function()
    assert.equal(404, internal({ target = "/x" }).status)
    assert.equal(405, internal({ target = "/metrics", method = "DELETE" }).status)
    assert.equal(200, internal({ target = "/metrics", method = "HEAD" }, { method = "HEAD" }).status)
    assert.equal("text/plain; version=0.0.4", internal({ target = "/metrics" }):get "content-type")
    assert.equal(200, client.ask(gw:port(), request { target = "/metrics" }).status)
    assert.falsy(client.ask(gw:port(), request { target = "/metrics" }).body:find "tidegate_")
  end)

  it("survives clients that do not wait for the answer", function()
    for _ = 1, 50 do
      local c = client.connect(gw.folder .. "/metrics.sock")
      c:send(request { target = "/metrics" })
      c:reset()
    end
    assert.truthy(text():find "tidegate_generation")
  end)
end)
