--- Tunnels and WebSockets that no plugin has anything to do with any more leave their exchange, and are small: what is
-- logged and counted in the end is the same as of those that keep it, because a log hook waits for it [T94, G27].
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local websocket_end = require "support.websocket_end"

local FIELDS = {
  "client_ip", "method", "target", "path", "version", "host", "status", "bytes_in", "bytes_out", "upstream", "service",
  "route", "retries", "tls", "request_id", "referer", "user_agent", "failure",
}

local function template()
  local list = {}
  for i, name in ipairs(FIELDS) do list[i] = name .. "=${" .. name .. "}" end
  return table.concat(list, " ")
end

local HEADERS = { "Referer: http://ref.test/", "User-Agent: spec \"1\"", "X-Request-Id: my-id" }

local LAST = "local last = {}\nfunction last:log() end\nreturn last\n"

-- Keeps a request over its 101.
local KEEPER = [[
local keeper = {}
function keeper:request(req)
  local way = req:header "X-Way"
  tide.spawn(function()
    local good, header
    for _ = 1, way == "whole" and 10 or 600 do
      tide.sleep(0.05)
      good, header = pcall(function() return req:header "X-Way" end)
      if not good then break end
    end
    tide.log.info("asked later", { way = way, header = good and header, why = not good and tostring(header) or nil })
  end)
end
return keeper
]]

-- A plain relay and a checked one, both once as they are and once with a plugin that waits for the end.
local KINDS = { "relay", "checked" }

describe("an open WebSocket", function()
  local up, gw

  setup(function()
    up = upstream.by_path { default = websocket_end.serve }
    gw = gateway.start(([[
plugins: []
log: { access: [{ file: access.log, template: '%s' }] }
services:
  app: { nodes: ["%s"], timeouts: { idle: 300ms } }
  patient: { nodes: ["%s"] }
routes:
  - { name: relay-lean, path: "/lean/relay/*", service: app }
  - { name: relay-whole, path: "/whole/relay/*", service: app, plugins: [last] }
  - { name: checked-lean, path: "/lean/checked/*", service: app, websocket: { idle: 300ms, max_message: 1KiB } }
  - name: checked-whole
    path: "/whole/checked/*"
    service: app
    websocket: { idle: 300ms, max_message: 1KiB }
    plugins: [last]
  - { path: "/kept/lean", service: patient, plugins: [keeper] }
  - { path: "/kept/whole", service: patient, plugins: [keeper, last] }
]]):format(template(), up.node, up.node), { plugins = { keeper = KEEPER, last = LAST } })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local function lines()
    local list = {}
    for line in (files.read(gw.folder .. "/access.log") or ""):gmatch "[^\n]+" do list[#list + 1] = line end
    return list
  end

  -- What the log says of one; without what tells both ways apart.
  local function line_of(path, does)
    local before = #lines()
    local c = client.connect(gw:port())
    local ws, head = websocket_end.open(c, path .. "?q=1", HEADERS)
    assert.equal(101, head.status)
    ws:text "hello"
    assert.equal("hello", ws:message().payload)
    does(ws, c)
    clock.wait_until(function() return #lines() > before end, nil, "the line of " .. path)
    c:close()
    local line = lines()[before + 1]
    return (line:gsub("/lean/", "/way/"):gsub("/whole/", "/way/"):gsub("%-lean", ""):gsub("%-whole", ""))
  end

  local ENDS = {
    { "closes in good order", function(ws) ws:close(1000) ws:message() end },
    { "loses its client", function(_, c) c:close() end },
    { "loses its client by a reset", function(_, c) c:reset() end },
    { "loses its upstream", function(ws, c)
      ws:text "drop"
      ws:message()
      c:close()
    end },
    { "is idle for too long", function(ws, c)
      ws:message()
      c:close()
    end },
    { "moves bytes of many turns", function(ws)
      for i = 1, 200 do ws:text(("x"):rep(i)) end
      for i = 1, 200 do assert.equal(i, #ws:message().payload) end
      ws:close(1000)
      ws:message()
    end },
  }

  for _, kind in ipairs(KINDS) do
    for _, case in ipairs(ENDS) do
      it(("that %s is logged with all there is, %s"):format(case[1], kind), function()
        local lean = line_of("/lean/" .. kind .. "/ws", case[2])
        local whole = line_of("/whole/" .. kind .. "/ws", case[2])
        assert.equal(whole, lean)
        assert.matches("client_ip=127.0.0.1 method=GET target=/way/" .. kind .. "/ws%?q=1 path=/way/" .. kind ..
                       "/ws version=HTTP/1.1 host=gate.test status=101 bytes_in=%d+ bytes_out=%d+", lean)
        assert.matches("upstream=" .. up.node:gsub("%p", "%%%0") .. " service=app route=" .. kind .. " retries=0", lean)
        assert.matches('request_id=my%-id referer=http://ref%.test/ user_agent=spec \\"1\\" failure=', lean)
      end)
    end
  end

  it("breaks the rules and is told so, either way", function()
    for _, way in ipairs { "whole", "lean" } do
      local c = client.connect(gw:port())
      local ws = websocket_end.open(c, "/" .. way .. "/checked/ws", HEADERS)
      ws:send { opcode = 15, payload = "" }
      assert.equal(1002, ws:message().code, way)
      c:close()
    end
  end)

  it("is over for a coroutine that has kept its request, and for nobody else", function()
    local ws_of = {}
    for _, way in ipairs { "lean", "whole" } do
      local c = client.connect(gw:port())
      local ws = websocket_end.open(c, "/kept/" .. way, { "X-Way: " .. way })
      ws:text "hello"
      assert.equal("hello", ws:message().payload)
      ws_of[way] = c
    end
    gw:wait_log "asked later [^\n]*header=whole[^\n]*way=whole"
    gw:wait_log("asked later [^\n]*way=lean[^\n]*this request is over", 40)
    for _, c in pairs(ws_of) do c:close() end
  end)

  it("costs little memory, in thousands as well as alone", function()
    local MANY, FIRST, MOST_KIB = gateway.sanitized and 20 or 800, 100, 2.5
    local all = {}
    local function open(n)
      for _ = 1, n do
        local c = client.connect(gw:port())
        local ws, head = websocket_end.open(c, "/patient/ws")
        assert.equal(101, head.status)
        ws:text "hello"
        assert.equal("hello", ws:message().payload)
        all[#all + 1] = c
      end
    end
    gw:write(([[
services: { app: { nodes: ["%s"] } }
routes: [{ path: "/patient/*", service: app }]
]]):format(up.node))
    gw:reload()
    open(FIRST)
    local before = gw:memory()
    open(MANY)
    local each = (gw:memory() - before) / MANY / 1024
    for _, c in ipairs(all) do c:close() end
    assert.is_true(gateway.sanitized or each < MOST_KIB, each)
  end)
end)
