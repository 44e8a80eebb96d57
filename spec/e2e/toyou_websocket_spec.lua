--- WebSockets with configurations of Toyou: what their documents say of paths, origins, times and sizes, with real
-- traffic [T66] [T77] to [T96].
local client = require "support.client"
local files = require "support.files"
local gateway = require "support.gateway"
local upstream = require "support.upstream"
local websocket = require "support.websocket"
local websocket_end = require "support.websocket_end"

local FOLDER = "spec/fixtures/dialects/toyou/"

-- The middleware's settings alone, as two of the fixtures have them, used by these rules.
local RULES = [[
host_rules: [{ pattern: "radio.harbour.test", target: radio, middlewares: [websocket] }]
route_rules: [{ pattern: "/tickets/*", target: radio, middlewares: [websocket] }]
services: { radio: { url: "ws://localhost:9301" } }
]]

describe("Toyou's WebSockets", function()
  local up, gw, c

  setup(function()
    up = upstream.by_path { default = websocket_end.serve, ["/talk/http"] = upstream.echo }
  end)
  teardown(function() up:stop() end)

  before_each(function() up:forget() end)
  after_each(function()
    if c then c:close() end
    if gw then gw:stop() end
    c, gw = nil, nil
  end)

  local function start(fixture, rules)
    local text = files.read(FOLDER .. fixture .. ".yaml") .. (rules or "")
    gw = gateway.start((text:gsub("localhost:930%d", up.node)), {
      as_is = true,
      args = { "--set", "gateway.threads=1", "--set", "gateway.grace=1s", "--set", "listen[1]=" .. upstream.free() },
    })
  end

  local function open(host, path, origin)
    if c then c:close() end
    c = client.connect(gw:port())
    c:send(client.request { host = host, target = path,
                            headers = websocket_end.fields { origin and "Origin: " .. origin } })
    local head = assert(c:head())
    return websocket_end.new(c, true), head.status
  end

  local function echoes(ws, text)
    ws:text(text)
    local f = ws:message()
    return f and f.payload == text
  end

  --- Whether frames are looked at: a text that is none costs the connection, or passes.
  local function is_looked_at(ws)
    ws:text "a\255"
    return ws:message().opcode == websocket.CLOSE
  end

  -- fixture, rules, and for each path: host, path, origin, status, whether its frames are looked at
  local CASES = {
    { "websocket", RULES, {
      { "radio.harbour.test", "/radio", nil, 101, true },
      { "radio.harbour.test", "/radio/1", "https://any.test", 101, true },
      { "radio.harbour.test", "/other", nil, 101, false },
      { "any.test", "/tickets/radio", nil, 101, true },
      { "any.test", "/tickets/other", nil, 101, false },
      { "any.test", "/other", nil, 404 },
    } },
    { "websocket_complete", RULES, {
      { "radio.harbour.test", "/morse", "https://harbour.test", 101, true },
      { "radio.harbour.test", "/morse", "https://app.harbour.test", 101, true },
      { "radio.harbour.test", "/morse", "http://harbour.test", 403 },
      { "radio.harbour.test", "/radio/1", "https://evil.test", 403 },
      { "radio.harbour.test", "/morse", nil, 101, true },
      { "any.test", "/tickets/radio", "https://evil.test", 403 },
      { "any.test", "/tickets/other", "https://evil.test", 101, false },
    } },
    { "websocket_rules", nil, {
      { "radio.harbour.test", "/any/path", "https://any.test", 101, true },
      { "any.test", "/radio/1", nil, 101, true },
      { "any.test", "/other", nil, 404 },
    } },
    { "websocket_talk", nil, {
      { "talk.harbour.test", "/talk", "https://talk.harbour.test", 101, true },
      { "talk.harbour.test", "/talk", "https://evil.test", 403 },
      { "talk.harbour.test", "/other", "https://evil.test", 101, false },
      { "other.test", "/talk", nil, 404 },
    } },
    { "websocket_push", nil, {
      { "any.test", "/gauges/live/1", nil, 101, true },
      { "any.test", "/gauges/1", nil, 404 },
    } },
  }
  for _, case in ipairs(CASES) do
    it(("go where %s.yaml says [T81 T82]"):format(case[1]), function()
      start(case[1], case[2])
      for _, row in ipairs(case[3]) do
        local what = ("%s%s from %s"):format(row[1], row[2], row[3] or "no page")
        local ws, status = open(row[1], row[2], row[3])
        assert.equal(row[4], status, what)
        if status == 101 then
          assert.is_true(echoes(ws, "hello"), what)
          assert.equal(row[5], is_looked_at(ws), what)
        end
      end
    end)
  end

  it("may be as large as the middleware says, in KB [T86]", function()
    start("websocket_complete", RULES)
    local ws = open("radio.harbour.test", "/radio")
    assert.is_true(echoes(ws, ("x"):rep(256 * 1024)))
    ws:text(("x"):rep(256 * 1024 + 1))
    assert.equal(1009, ws:message().code)
  end)

  it("are pinged as often as the middleware says, in seconds [T83]", function()
    local text = "middlewares: [{ name: websocket, config: { ping_interval: 1, pong_wait: 2 } }]\n"
    start("websocket_rules", text)
    local ws = open("radio.harbour.test", "/")
    assert.equal(websocket.PING, ws:read(5).opcode)
  end)

  it("stand beside requests that are none [T88 T96]", function()
    start("websocket_talk")
    local response = client.ask(gw:port(), client.request { host = "talk.harbour.test", target = "/talk/http" })
    assert.equal(200, response.status)
  end)
end)
