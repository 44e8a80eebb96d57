--- tide.http over time: connections that are kept, many calls at once, clients and configurations that go away.
local asking = require "support.asking"
local cjson = require "cjson"
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local wire = require "support.wire"

local OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

local answers = {
  ["/then-close"] = upstream.then_end "close",
  ["/then-reset"] = upstream.then_end "reset",
  ["/idle-close"] = function(conn, head)
    conn:read_body(head)
    conn:send(OK)
    return true
  end,
  ["/held"] = function(conn, head)
    conn:read_body(head)
    conn:note { kind = "waiting" }
    conn:wait_release()
    conn:send(OK)
  end,
  ["/silent"] = function(conn, head)
    conn:read_body(head)
    conn:note { kind = "waiting" }
    conn:wait_end()
    return true
  end,
  ["/half"] = function(conn, head)
    conn:read_body(head)
    conn:send "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    conn:note { kind = "waiting" }
    conn:wait_end()
    return true
  end,
}

local CONFIG = [[
gateway: { threads: 1, grace: 1s }
services:
  app: { nodes: ["%s"] }
routes:
  - { path: "/proxied", service: app }
  - { path: "/*", respond: { body: here } }
plugins: [ ask ]
]]

describe("tide.http", function()
  local up, gw

  before_each(function()
    up = upstream.by_path(answers)
    gw = gateway.start(CONFIG:format(up.node), { plugins = { ask = asking.PLUGIN } })
  end)

  after_each(function()
    up:release()
    gw:stop()
    up:stop()
  end)

  local function url(path) return "http://" .. up.node .. path end

  local function ask(path, o)
    o = o or {}
    o.url = url(path)
    return asking.ask(gw:port(), o)
  end

  --- Begins a call, and gives the client that waits for it.
  local function begin(path, o)
    o = o or {}
    o.url = url(path)
    local c = client.connect(gw:port())
    c:send(asking.request(o))
    return c
  end

  describe("keeps connections [T55 T67]", function()
    it("and uses them again", function()
      for i = 1, 10 do assert.equal(200, ask("/ok", { method = i % 2 == 0 and "POST" or "GET", body = "x" }).status) end
      assert.equal(1, up:connections())
      assert.equal(10, #up:requests())
    end)

    it("of a service together with the requests that are proxied to it", function()
      assert.equal(200, asking.ask(gw:port(), { service = "app" }).status)
      assert.equal(200, assert(client.ask(gw:port(), client.request { target = "/proxied" })).status)
      assert.equal(200, asking.ask(gw:port(), { service = "app" }).status)
      assert.equal(1, up:connections())
    end)

    it("but not one that the upstream has closed meanwhile", function()
      assert.equal(200, ask("/idle-close").status)
      up:wait_event "ended"
      assert.equal(200, ask("/ok", { method = "POST" }).status)
      assert.equal(2, up:connections())
    end)

    for _, how in ipairs { "close", "reset" } do
      it(("and asks anew where an old one ends in a %s"):format(how), function()
        assert.equal(200, ask("/then-" .. how).status)
        assert.equal(200, ask("/ok").status)
        up:wait_event "taken"
        assert.equal(2, up:connections())
      end)

      it(("but repeats no POST whose connection ends in a %s"):format(how), function()
        assert.equal(200, ask("/then-" .. how).status)
        assert.equal("closed before a response", ask("/ok", { method = "POST", body = "once" }).why)
        assert.equal(1, up:connections())
        assert.equal(2, #up:requests())
      end)
    end
  end)

  it("has a hundred calls under way at once [T55]", function()
    local clients = {}
    -- The upstream forks a hundred processes: late in a whole run, with much memory to copy, that takes seconds.
    for i = 1, 100 do clients[i] = begin("/held", { timeout = 90 }) end
    clock.wait_until(function() return #up:events "waiting" == 100 end, 60, "all of them to reach the upstream")
    up:release()
    for _, c in ipairs(clients) do
      local out = cjson.decode(assert(c:response { timeout = 15 }).body)
      assert.equal(200, out.status)
      c:close()
    end
    assert.equal(100, up:connections())
  end)

  it("does not hold other requests while a host is slow or dead [T55]", function()
    local full, port = wire.listen { backlog = 0 }
    local filler = assert(wire.connect(port))
    local slow, dead = begin("/held"), client.connect(gw:port())
    dead:send(asking.request { url = "http://127.0.0.1:" .. port .. "/", connect_timeout = 10 })
    up:wait_event "waiting"
    local start = clock.now()
    for _ = 1, 20 do assert.equal("here", assert(client.ask(gw:port(), client.request {})).body) end
    for _ = 1, 20 do assert.equal(200, ask("/ok").status) end
    assert.is_true(clock.now() - start < 8)
    up:release()
    assert.equal(200, cjson.decode(assert(slow:response()).body).status)
    slow:close()
    dead:close()
    wire.close(filler)
    wire.close(full)
  end)

  describe("gives a call up when its client goes away", function()
    for _, path in ipairs { "/silent", "/half" } do
      it("while it waits for " .. path, function()
        local c = begin(path, { timeout = 30 })
        up:wait_event "waiting"
        c:reset()
        assert.equal("eof", up:wait_event("ended").how)
        assert.equal(200, ask("/ok").status)
        assert.equal(2, up:connections())
      end)
    end

    it("while a body comes in pieces", function()
      local c = begin("/half", { timeout = 30, chunks = true })
      up:wait_event "waiting"
      c:reset()
      assert.equal("eof", up:wait_event("ended").how)
    end)

    it("while it connects", function()
      local full, port = wire.listen { backlog = 0 }
      local filler = assert(wire.connect(port))
      local c = client.connect(gw:port())
      c:send(asking.request { url = "http://127.0.0.1:" .. port .. "/", connect_timeout = 30, timeout = 30 })
      c:reset()
      assert.equal(200, ask("/ok").status)
      wire.close(filler)
      wire.close(full)
    end)
  end)

  it("ends a call with the configuration that began it, and not sooner", function()
    local c = begin("/held", { timeout = 20 })
    up:wait_event "waiting"
    gw:write_plugin("ask", (asking.PLUGIN:gsub("Makes the requests", "Still makes the requests")))
    clock.wait_until(function() return select(2, gw:status()):find "generation +2" end, nil, "the reload")
    assert.equal(200, ask("/ok").status)
    up:release()
    assert.equal(200, cjson.decode(assert(c:response()).body).status)
    c:close()
  end)

  it("lets the gateway end in good order", function()
    local c = begin("/silent", { timeout = 30 })
    up:wait_event "waiting"
    gw:stop()
    up:wait_event "ended"
    c:close()
  end)
end)

describe("tide.http to a service", function()
  local one, two, gw

  setup(function()
    one, two = upstream.by_path { default = upstream.echo }, upstream.by_path { default = upstream.echo }
    gw = gateway.start(([[
gateway: { threads: 1, grace: 1s }
services:
  both: { nodes: ["%s", "%s"] }
  limping: { nodes: ["%s", "%s"] }
  fixed: { nodes: ["%s"], host_header: fixed.test }
  dead: { nodes: ["%s"] }
  empty: { nodes: [{ url: "%s", enabled: false }] }
routes: [{ path: "/*", respond: { echo: true } }]
plugins: [ ask ]
]]):format(one.node, two.node, one.node, upstream.nobody(), one.node, upstream.nobody(), one.node),
                       { plugins = { ask = asking.PLUGIN } })
  end)

  teardown(function()
    gw:stop()
    one:stop()
    two:stop()
  end)

  local function ask(o) return asking.ask(gw:port(), o) end

  it("balances over its nodes", function()
    for _ = 1, 10 do assert.equal(200, ask({ service = "both", path = "/a?b=c", query = { d = "e" } }).status) end
    assert.equal(5, #one:requests())
    assert.equal(5, #two:requests())
    assert.equal("/a?b=c&d=e", one:last_request().target)
    assert.equal(one.node, one:last_request():get "host")
  end)

  it("asks for / where no path is given", function()
    assert.equal(200, ask({ service = "fixed" }).status)
    assert.equal("/", one:last_request().target)
  end)

  it("takes another node for one that is dead", function()
    for _ = 1, 4 do assert.equal(200, ask({ service = "limping" }).status) end
  end)

  it("fails where all are dead or none is enabled", function()
    assert.same({ why = "refused", phase = "connect" }, ask { service = "dead" })
    assert.same({ why = "no node available", phase = "connect" }, ask { service = "empty" })
  end)
end)

local HOOKS = [[
--- Asks somebody in every hook that may wait.
local Hooks = { version = "1.0.0", description = "Asks somebody in every hook that may wait.", band = "filter",
                schema = { url = { type = "string" } } }
Hooks.__index = Hooks
function Hooks.new(conf) return setmetatable({ url = conf.url }, Hooks) end

local function ask(self)
  local body = assert(tide.http.get(self.url)).body
  assert(#body == 200000 and not body:find "[^x]")
end

function Hooks:request(req)
  if req.path == "/nested" then
    local inner
    assert(tide.http.get(self.url, { on_chunk = function()
      if not inner then
        ask(self)
        inner = true
      end
    end }))
    return req:reply(200, tostring(inner))
  end
  if req.path == "/coroutine" then
    local co = coroutine.wrap(function()
      for i = 1, 2 do
        ask(self)
        coroutine.yield(i)
      end
    end)
    return req:reply(200, co() .. " " .. co())
  end
  if req.path == "/patient" then
    local _, why, phase = tide.http.get(self.url, { timeout = 0.2, on_chunk = function() tide.sleep(0.3) end })
    return req:reply(200, why .. " " .. phase)
  end
  ask(self)
end
function Hooks:request_body() ask(self) end
function Hooks:upstream() ask(self) end
function Hooks:response(res)
  ask(self)
  res:set_header("x-asked", "yes")
end
function Hooks:response_body() ask(self) end
function Hooks:failure(err, req)
  ask(self)
  return req:reply(503, "nobody there: " .. err.reason)
end
return Hooks
]]

describe("tide.http in any hook", function()
  local up, gw
  local BODY = ("0123456789"):rep(30000)

  setup(function()
    up = upstream.by_path {
      ["/asked"] = function(conn, head)
        conn:read_body(head)
        conn:respond(200, ("x"):rep(200000))
      end,
      ["/echo"] = function(conn, head) conn:respond(200, conn:read_body(head).body) end,
    }
    gw = gateway.start(([[
gateway: { threads: 1, grace: 1s }
services:
  app: { nodes: ["%s"] }
  dead: { nodes: ["%s"], retries: { attempts: 0 } }
routes:
  - { path: "/dead", service: dead }
  - { path: "/*", service: app }
plugins: [{ hooks: { url: "http://%s/asked" } }]
]]):format(up.node, upstream.nobody(), up.node), { plugins = { hooks = HOOKS } })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local function ask(r) return assert(client.ask(gw:port(), client.request(r), { timeout = 10 })) end

  for _, framing in ipairs { "a length", "chunks" } do
    it("leaves bodies on their way as they are: " .. framing, function()
      local r = { method = "POST", target = "/echo", body = BODY }
      local bytes = client.request(r)
      if framing == "chunks" then
        r.body, r.headers = nil, { "Transfer-Encoding: chunked" }
        bytes = client.request(r) .. client.chunked { BODY:sub(1, 7), BODY:sub(8, 150000), BODY:sub(150001) }
      end
      local response = assert(client.ask(gw:port(), bytes, { timeout = 10 }))
      assert.equal(200, response.status)
      assert.equal("yes", response:get "x-asked")
      assert.is_true(response.body == BODY)
    end)
  end

  it("works before a failure is told", function()
    local response = ask { target = "/dead" }
    assert.equal(503, response.status)
    assert.equal("nobody there: upstream refused the connection", response.body)
  end)

  it("works within on_chunk and within coroutines of the plugin's own", function()
    assert.equal("true", ask({ target = "/nested" }).body)
    assert.equal("1 2", ask({ target = "/coroutine" }).body)
  end)

  it("counts the time that on_chunk takes", function()
    assert.equal("timeout body", ask({ target = "/patient" }).body)
  end)
end)

local BACKGROUND = [[
--- Makes requests in the background.
local Back = { version = "1.0.0", description = "Makes requests in the background.", band = "filter",
               schema = { url = { type = "string" } } }
Back.__index = Back

function Back.new(conf)
  local self = setmetatable({ url = conf.url }, Back)
  if conf.url then
    tide.spawn(function()
      local res, why = tide.http.get(conf.url, { timeout = 60 })
      tide.log.info("loaded", { status = res and res.status, why = why })
    end)
  end
  return self
end

function Back:request(req)
  if req.path == "/spawn" then
    local url = req:arg "url"
    tide.spawn(function()
      local res, why = tide.http.get(url)
      tide.log.info("spawned", { status = res and res.status, why = why })
    end)
  elseif req.path == "/many" then
    local url, counts = req:arg "url", { begun = 0, refused = 0 }
    for _ = 1, 1003 do
      tide.spawn(function()
        counts.begun = counts.begun + 1
        local _, why = tide.http.get(url, { timeout = 60 })
        if why == "too many requests under way" then counts.refused = counts.refused + 1 end
      end)
    end
    while counts.begun < 1003 do tide.sleep(0.01) end
    return req:reply(200, tostring(counts.refused))
  end
end

function Back:log(req)
  if req.path == "/log" then tide.http.get "http://127.0.0.1/" end
end

return Back
]]

describe("tide.http in the background", function()
  local up, gw

  local function config(path)
    return ([[
gateway: { threads: 1, grace: 1s }
routes: [{ path: "/*", respond: { body: here } }]
plugins: [{ back: { url: "%s" } }]
]]):format("http://" .. up.node .. path)
  end

  before_each(function()
    up = upstream.by_path(answers)
    gw = gateway.start(config "/ok", { plugins = { back = BACKGROUND } })
  end)

  after_each(function()
    gw:stop()
    up:stop()
  end)

  local function get(target) return assert(client.ask(gw:port(), client.request { target = target })) end

  it("works while plugins are loaded, and in tasks of a hook", function()
    gw:wait_log "loaded[^\n]*status=200"
    get("/spawn?url=http://" .. up.node .. "/ok")
    gw:wait_log "spawned[^\n]*status=200"
  end)

  it("ends with its configuration", function()
    gw:write(config "/silent")
    up:wait_event "waiting"
    gw:write(config "/ok")
    assert.equal("eof", up:wait_event("ended", function(event) return event.how == "eof" end).how)
  end)

  it("says that it cannot wait in the log hook", function()
    assert.equal("here", get("/log").body)
    gw:wait_log "back.lua:%d+: http.get: cannot wait in the log hook"
  end)

  it("has a thousand calls under way, and refuses more", function()
    gw:wait_log "loaded"                     -- what new has begun is over
    local silent, port = wire.listen {}      -- the kernel takes connections, nobody reads them
    assert.equal("3", get("/many?url=http://127.0.0.1:" .. port .. "/").body)
    assert.equal("here", get("/").body)
    wire.close(silent)
  end)
end)
