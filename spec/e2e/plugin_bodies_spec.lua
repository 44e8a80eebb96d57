--- Bodies that stream through plugins: chunk by chunk, both ways, with back-pressure, changed or not.
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local FILTER = [[
--- Changes bodies as its settings say.
local Filter = { version = "1.0.0", description = "Changes bodies.", band = "transform",
                 schema = { act = { type = "string", default = "upper" } } }
Filter.__index = Filter
function Filter.new(conf) return setmetatable({ act = conf.act }, Filter) end

local acts = {}
function acts.upper(chunk) return chunk:upper() end
function acts.nothing() end
function acts.same(chunk) return chunk end
function acts.drop() return "" end
function acts.double(chunk) return chunk .. chunk end
function acts.brackets(chunk, last, ctx)
  local open = ctx.open and "" or "["
  ctx.open = true
  return open .. chunk .. (last and "]" or "")
end
function acts.sleep(chunk)
  tide.sleep(0.01)
  return chunk:upper()
end
function acts.sleep_same(chunk)
  tide.sleep(0.01)
  return chunk
end
function acts.fail() error "the filter broke" end
function acts.number() return 42 end
function acts.hold(chunk, last, ctx)
  ctx.held = (ctx.held or "") .. chunk
  return last and ctx.held:reverse() or ""
end

function Filter:request_body(chunk, last, req)
  req.ctx.up = req.ctx.up or {}
  return acts[self.act](chunk, last, req.ctx.up)
end
function Filter:response_body(chunk, last, res, req)
  req.ctx.back = req.ctx.back or {}
  return acts[self.act](chunk, last, req.ctx.back)
end
return Filter
]]

-- Sees compressed bodies plain.
local PLAIN = FILTER:gsub('band = "transform"', 'band = "transform", decode = true')

-- The same, one way only.
local BACK = FILTER:gsub("function Filter:request_body.-\nend\n", "")
local UP = FILTER:gsub("function Filter:response_body.-\nend\n", "")

local ACTS = {
  "upper", "nothing", "same", "drop", "double", "brackets", "sleep", "sleep_same", "fail", "number", "hold",
}

local function config(node)
  local lines = { "services:", "  app: { nodes: [\"" .. node .. "\"], retries: { attempts: 1 } }", "routes:" }
  for _, act in ipairs(ACTS) do
    for _, plugin in ipairs { "back", "up", "both" } do
      lines[#lines + 1] = ("  - { path: /%s/%s/*, service: app, strip_prefix: /%s/%s, " ..
                           "plugins: [ { %s: { act: %s } } ] }"):format(plugin, act, plugin, act, plugin, act)
      lines[#lines + 1] = ("  - { path: /echo/%s/%s/*, respond: { echo: true }, plugins: [ { %s: { act: %s } } ] }")
        :format(plugin, act, plugin, act)
    end
    lines[#lines + 1] = ("  - { path: /fixed/%s, respond: { body: fixed }, plugins: [ { back: { act: %s } } ] }")
      :format(act, act)
  end
  lines[#lines + 1] = "  - { path: /plain/*, service: app, strip_prefix: /plain, " ..
                      "plugins: [ { plain: { act: upper } } ] }"
  lines[#lines + 1] = "  - { path: /two/*, service: app, strip_prefix: /two, plugins: " ..
                      "[ { name: a, use: back, config: { act: upper } }, " ..
                      "{ name: b, use: back, config: { act: brackets } } ] }"
  return table.concat(lines, "\n") .. "\n"
end

-- "hello", as gzip writes it.
local GZIP = "\31\139\8\0\0\0\0\0\0\3\203\72\205\201\201\7\0\134\166\16\54\5\0\0\0"
local BIG = ("0123456789abcdef"):rep(64 * 1024)         -- 1 MiB

describe("bodies through plugins [T23 D29]", function()
  local up, gw

  setup(function()
    up = upstream.by_path {
      ["/sized"] = function(conn, head)
        conn:read_body(head)
        conn:respond(200, "hello", 'ETag: "strong"\r\nAccept-Ranges: bytes\r\n')
      end,
      ["/chunked"] = function(conn, head)
        conn:read_body(head)
        conn:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
      end,
      ["/close"] = function(conn, head)
        conn:read_body(head)
        conn:send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
        return true
      end,
      ["/big"] = function(conn, head) conn:read_body(head) conn:respond(200, BIG) end,
      ["/empty"] = function(conn, head) conn:read_body(head) conn:respond(200, "") end,
      ["/204"] = function(conn, head) conn:read_body(head) conn:send("HTTP/1.1 204 No Content\r\n\r\n") end,
      ["/cut"] = function(conn, head)
        conn:read_body(head)
        conn:send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        return true
      end,
      ["/take"] = function(conn, head)
        if not conn:read_body(head).complete then return true end
        conn:respond(200, ("%s %s"):format(head.framing, head.body))
      end,
      ["/gzip"] = function(conn, head)
        conn:read_body(head)
        conn:respond(200, GZIP, "Content-Encoding: gzip\r\n")
      end,
      ["/half"] = function(conn, head)
        conn:read_body(head)
        conn:respond(200, GZIP:sub(1, 12), "Content-Encoding: gzip\r\n")
      end,
      ["/refuse"] = function(conn) conn:respond(413, "no") return true end,
      ["/events"] = function(conn, head)
        conn:read_body(head)
        conn:send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" ..
                  "6\r\ndata1\n\r\n")
        conn:wait_release()
        conn:send("6\r\ndata2\n\r\n0\r\n\r\n")
      end,
    }
    gw = gateway.start(config(up.node), { plugins = { back = BACK, up = UP, both = FILTER, plain = PLAIN } })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local function ask(r) return assert(client.ask(gw:port(), request(r), { method = r.method })) end

  local responses = {
    { "changes a sized body", "/back/upper/sized", "HELLO" },
    { "changes a chunked body", "/back/upper/chunked", "HELLO" },
    { "changes a body that ends with the connection", "/back/upper/close", "HELLO" },
    { "leaves a chunk as it is when the hook returns nothing", "/back/nothing/chunked", "hello" },
    { "leaves a chunk as it is when the hook returns it", "/back/same/sized", "hello" },
    { "drops what becomes empty", "/back/drop/sized", "" },
    { "lets a body grow", "/back/double/chunked", "hehellollo", "hellohello" },
    { "tells the last chunk", "/back/brackets/chunked", "[hello]" },
    { "waits in a chunk", "/back/sleep/chunked", "HELLO" },
    { "waits in a chunk and leaves it as it is", "/back/sleep_same/sized", "hello" },
    { "holds everything back", "/back/hold/chunked", "olleh" },
    { "wraps what plugins behind it do", "/two/sized", "[HELLO]" },
    { "changes what the gateway itself answers", "/fixed/upper", "FIXED" },
    { "waits in what the gateway itself answers", "/fixed/sleep", "FIXED" },
  }
  for _, case in ipairs(responses) do
    it(case[1], function()
      local response = ask { target = case[2] }
      assert.equal(200, response.status)
      assert.truthy(response.body == case[3] or response.body == case[4], response.body)
      assert.truthy(response.complete)
    end)
  end

  for _, act in ipairs { "upper", "nothing", "same", "double", "sleep", "hold" } do
    it("passes a large body through " .. act, function()
      local expected = ({ upper = BIG:upper(), double = nil, hold = BIG:reverse(), sleep = BIG:upper() })[act]
      local response = ask { target = "/back/" .. act .. "/big" }
      if act == "double" then
        assert.equal(2 * #BIG, #response.body)
      else
        assert.truthy(response.body == (expected or BIG))
      end
    end)
  end

  it("takes care of length and validators", function()
    local response = ask { target = "/back/upper/sized" }
    assert.is_nil(response:get "content-length")
    assert.equal("chunked", response:get "transfer-encoding")
    assert.equal('W/"strong"', response:get "etag")
    assert.is_nil(response:get "accept-ranges")
    assert.equal("5", ask({ target = "/fixed/upper" }):get "content-length")
  end)

  it("has nothing to do where there is no body", function()
    assert.equal(204, ask({ target = "/back/upper/204" }).status)
    assert.equal("", ask({ target = "/back/upper/empty" }).body)
    local head = ask { target = "/back/upper/sized", method = "HEAD" }
    assert.equal(200, head.status)
    assert.is_nil(head:get "content-length")
  end)

  it("ends the connection so that the client can tell where a hook fails behind the head", function()
    for _, act in ipairs { "fail", "number" } do
      local c = client.connect(gw:port())
      c:send(request { target = "/back/" .. act .. "/sized" })
      local response = c:response()
      assert.is_not_true(response and response.complete)
      c:close()
    end
    gw:wait_log("the filter broke")
    gw:wait_log("its response_body hook returned a number; expected the chunk as a text")
    assert.equal(500, ask({ target = "/fixed/fail" }).status)
  end)

  it("lets the client see that an upstream's body was cut", function()
    local c = client.connect(gw:port())
    c:send(request { target = "/back/upper/cut" })
    local response = c:response()
    assert.is_not_true(response and response.complete)
    c:close()
  end)

  local requests = {
    { "changes a sized request body", "/up/upper/take", { body = "hello" }, "^chunked HELLO$" },
    { "leaves a request body as it is", "/up/nothing/take", { body = "hello" }, "^chunked hello$" },
    { "waits in a request body", "/up/sleep/take", { body = "hello" }, "^chunked HELLO$" },
    { "tells the last chunk of a request body", "/up/brackets/take", { body = "hello" }, "^chunked %[hello%]$" },
    { "holds a request body back", "/up/hold/take", { body = "hello" }, "^chunked olleh$" },
    { "does nothing to a request without a body", "/up/upper/take", {}, " $" },
    { "changes both ways", "/both/upper/take", { body = "hello" }, "^CHUNKED HELLO$" },
    { "waits both ways", "/both/sleep/take", { body = "hello" }, "^CHUNKED HELLO$" },
    { "changes what is echoed", "/echo/back/upper/x", { body = "hello" }, "^POST /ECHO/BACK/UPPER/X .*HELLO$" },
    { "changes what goes into an echo", "/echo/up/upper/x", { body = "hello" }, "^POST /echo/up/upper/x .*HELLO$" },
    { "waits in an echo, both ways", "/echo/both/sleep/x", { body = "hello" }, "^POST /ECHO/BOTH/SLEEP/X .*HELLO$" },
  }
  for _, case in ipairs(requests) do
    it(case[1], function()
      local response = ask { target = case[2], method = "POST", body = case[3].body }
      assert.equal(200, response.status)
      assert.truthy(response.body:find(case[4]), response.body)
    end)
  end

  it("passes large bodies both ways at once", function()
    local response = ask { target = "/both/upper/take", method = "POST", body = BIG }
    assert.truthy(response.body == "CHUNKED " .. BIG:upper())
    response = ask { target = "/echo/both/upper/x", method = "POST", body = BIG }
    assert.equal(BIG:upper(), response.body:sub(-#BIG))
  end)

  it("reads chunked request bodies, byte by byte", function()
    local c = client.connect(gw:port())
    c:send_bytewise("POST /up/upper/take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" ..
                    client.chunked { "he", "l", "lo" })
    assert.equal("chunked HELLO", c:response().body)
    c:close()
  end)

  it("answers 500 where a request body's hook fails", function()
    assert.equal(500, ask({ target = "/up/fail/take", method = "POST", body = "hello" }).status)
    assert.equal(500, ask({ target = "/up/number/take", method = "POST", body = "hello" }).status)
  end)

  it("passes an early response on while the body is still going up", function()
    local response = ask { target = "/up/upper/refuse", method = "POST", body = ("x"):rep(100000) }
    assert.equal(413, response.status)
  end)

  it("shows a compressed body plain to a plugin that asks for it", function()
    local response = ask { target = "/plain/gzip" }
    assert.equal("HELLO", response.body)
    assert.is_nil(response:get "content-encoding")
    assert.equal("HELLO", ask({ target = "/plain/sized" }).body)
    assert.equal(GZIP:upper(), ask({ target = "/back/upper/gzip" }).body)
  end)

  it("shows a compressed request body plain", function()
    local gzip = { "Content-Encoding: gzip" }
    local response = ask { target = "/plain/take", method = "POST", body = GZIP, headers = gzip }
    assert.equal("CHUNKED HELLO", response.body)
    assert.is_nil(up:last_request():get "content-encoding")
  end)

  it("ends a response whose compressed body is broken", function()
    local c = client.connect(gw:port())
    c:send(request { target = "/plain/half" })
    local response = c:response()
    assert.is_not_true(response and response.complete)
    c:close()
    gw:wait_log("a compressed body ends too early")
  end)

  it("holds no event back [SSE]", function()
    local c = client.connect(gw:port())
    c:send(request { target = "/back/upper/events" })
    assert.equal(200, c:head().status)
    assert.equal("6", c.reader:line())
    assert.equal("DATA1\n", c.reader:line())
    up:release()
    assert.truthy(c.reader:through("DATA2\n"))
    c:close()
  end)

  it("keeps memory bounded while the client does not read", function()
    local before = gw:memory()
    local clients = {}
    for i = 1, 20 do
      clients[i] = client.connect(gw:port(), { receive_buffer = 4096 })
      clients[i]:send(request { target = "/back/upper/big" })
    end
    for i = 1, 20 do assert.equal(200, clients[i]:head().status) end
    if not gateway.sanitized then assert.is_true(gw:memory() - before < 24 * 1024 * 1024) end
    for i = 1, 20 do clients[i]:close() end
  end)
end)
