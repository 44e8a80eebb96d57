--- WebSockets between a client and a server that are not ours: Debian's python3-websockets at both ends [T79] [T80].
require "tidegate.ffi"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local json = require "tidegate.tide.json"
local processes = require "support.processes"
local shell = require "support.shell"

local PROGRAMS = "spec/fixtures/websocket_library/"

local function python(...) return { "/usr/bin/python3", ... } end

local function start_server(kind)
  local file = files.folder() .. "/port"
  local pid = processes.fork(function() processes.become(python(PROGRAMS .. "server.py", file, kind)) end)
  return pid, clock.wait_until(function() return files.read(file) end, 20, "a server of python3-websockets")
end

local CONFIG = [[
services: { deflate: { nodes: ["127.0.0.1:DEFLATE"] }, plain: { nodes: ["127.0.0.1:PLAIN"] } }
routes:
  - { path: "/tunnel/*", service: deflate }
  - { path: "/deflate/*", service: deflate, websocket: { max_message: 4MiB } }
  - { path: "/plain/*", service: plain, websocket: { max_message: 4MiB } }
  - { path: "/small/*", service: plain, websocket: { max_message: 1000B } }
  - { path: "/quick/*", service: deflate, websocket: { ping_interval: 50ms, pong_wait: 1s } }
  - { path: "/seen/*", service: deflate, websocket: { max_message: 4MiB }, plugins: [see] }
  - { path: "/copied/*", service: deflate, websocket: { max_message: 4MiB }, plugins: [copy] }
  - { path: "/copied-plain/*", service: plain, websocket: { max_message: 4MiB }, plugins: [copy] }
  - { path: "/seen-small/*", service: deflate, websocket: { max_message: 1000B }, plugins: [see] }
]]

local PLUGINS = {
  see = "local See = {}\nfunction See:message(msg) assert(#msg.data >= 0) end\nreturn See\n",
  copy = "local Copy = {}\nfunction Copy:message(msg) return msg.data .. '' end\nreturn Copy\n",
}

local TEXT = "κόσμε, 世界, 🌊 and ASCII. "
local MESSAGES = {
  { text = "" }, { text = "a" }, { text = TEXT }, { text = TEXT, times = 5000 },
  { text = TEXT, times = 4, pieces = 40 },
  { hex = "" }, { hex = "00ff80c0fe" }, { hex = "00ff80c0fe", times = 400000 },
  { hex = "00ff80c0fe", times = 20000, pieces = 500 }, { text = "x", times = 125 }, { text = "x", times = 126 },
  { text = "x", times = 65535 }, { text = "x", times = 65536 }, { text = "last" .. TEXT },
}

-- What the client does; what it has to come to: answers (what came back that was not what was sent), back (how many
-- messages did), the close.
local cases = {
  { "sends any message back, compressed", path = "/deflate/1", compression = "deflate", send = MESSAGES,
    extensions = { "permessage-deflate" } },
  { "sends any message back, not compressed", path = "/plain/1", send = MESSAGES, extensions = {} },
  { "agrees on no compression with a server that has none", path = "/plain/2", compression = "deflate",
    send = MESSAGES, extensions = {} },
  { "agrees on no compression with a client that has none", path = "/deflate/2", send = MESSAGES, extensions = {} },
  { "passes unseen without the key `websocket`", path = "/tunnel/1", compression = "deflate", send = MESSAGES,
    extensions = { "permessage-deflate" } },
  { "shows any message to a plugin, and sends it on as it was", path = "/seen/1", compression = "deflate",
    send = MESSAGES, extensions = { "permessage-deflate" } },
  { "sends on what a plugin makes of it, compressed", path = "/copied/1", compression = "deflate", send = MESSAGES,
    extensions = { "permessage-deflate" } },
  { "sends on what a plugin makes of it, not compressed", path = "/copied-plain/1", compression = "deflate",
    send = MESSAGES, extensions = {} },
  { "closes for a client whose message is too much when it is plain", path = "/seen-small/1", compression = "deflate",
    send = { { text = "x", times = 100000 } }, back = 0, code = 1009 },
  { "serves many at once", path = "/deflate/3", compression = "deflate", times = 40, send = MESSAGES },
  { "agrees on a subprotocol and tells both", path = "/deflate/4", compression = "deflate",
    subprotocols = { "other", "chat" }, subprotocol = "chat", send = { { text = "terms" } },
    answers = { "chat permessage-deflate" } },
  { "lets a server live that only answers pings", path = "/quick/1", silence = 2.5 },
  { "passes the server's close on", path = "/plain/3", send = { { text = "close 4001 bye, κόσμε" } }, back = 0,
    code = 4001, reason = "bye, κόσμε" },
  { "passes the client's close on", path = "/plain/4", close = { 3999, "that is it" }, code = 3999,
    reason = "that is it", last = "3999 that is it" },
  { "passes a close without a code on", path = "/plain/5", send = { { text = "a" } }, code = 1000, last = "1000 " },
  { "tells a client whose server drops the connection", path = "/plain/6", send = { { text = "drop" } }, back = 0,
    code = 1014, reason = "" },
  { "closes for a client that sends too much", path = "/small/1", send = { { text = "x", times = 1001 } }, back = 0,
    code = 1009, reason = "message too big", last = "1001 " },
  { "closes for a server that sends too much", path = "/small/2", send = { { text = "large 1001" } }, back = 0,
    code = 1014, reason = "", last = "1009 message too big" },
}

-- Any terms of compression: kept where messages pass, and kept to where a plugin changes them. The offer, and what the
-- server makes of it, whose own bound is 12 bits.
local REPEATS = { { text = TEXT .. ("far apart "):rep(60), times = 40 }, { text = "again" }, { text = "again" } }
for _, route in ipairs { "deflate", "seen", "copied" } do
  for _, offer in ipairs {
    { { server_max_window_bits = 9 }, 9, 12 },
    { { server_max_window_bits = 15, client_max_window_bits = 9 }, 12, 9 },
    { { server_max_window_bits = 10, client_max_window_bits = true }, 10, 12 },
    { { client_max_window_bits = 15, server_no_context_takeover = true }, 12, 12, takeover = false },
  } do
    local takeover = route == "deflate" and offer.takeover ~= false
    cases[#cases + 1] = {
      ("agrees on windows of %d and %d bits under /%s"):format(offer[2], offer[3], route),
      path = ("/%s/bits-%d-%d"):format(route, offer[2], offer[3]), compression = offer[1], send = REPEATS,
      terms = { { takeover = takeover, server_bits = offer[2], client_bits = offer[3] } },
    }
  end
end

describe("a WebSocket of another library", function()
  local gw, deflate, plain
  local results = {}

  --- All cases in one run of the client, and then what the server says of how those ended.
  local function run(list)
    local file = files.folder() .. "/cases.json"
    files.write(file, assert(json.encode(list)))
    local out = shell.must(("/usr/bin/python3 %sclient.py %s"):format(PROGRAMS, file), { timeout = 120 })
    return assert(json.decode(out))
  end

  setup(function()
    local deflate_port, plain_port
    deflate, deflate_port = start_server "deflate"
    plain, plain_port = start_server "plain"
    gw = gateway.start((CONFIG:gsub("DEFLATE", deflate_port):gsub("PLAIN", plain_port)), { plugins = PLUGINS })
    local list, last = {}, {}
    for i, case in ipairs(cases) do
      local url = ("ws://127.0.0.1:%d%s"):format(gw:port(), case.path)
      list[i] = { url = url, compression = case.compression, subprotocols = case.subprotocols, times = case.times,
                  send = case.send, close = case.close, silence = case.silence }
      last[i] = { url = url, send = { { text = "last" } } }
    end
    results = run(list)
    for i, result in ipairs(run(last)) do results[i].last = result.answers[1] end
  end)

  teardown(function()
    gw:stop()
    processes.finish(deflate)
    processes.finish(plain)
  end)

  for i, case in ipairs(cases) do
    it(case[1], function()
      local result = results[i]
      assert.is_nil(result.error)
      assert.same(case.answers or {}, result.answers)
      assert.equal(case.back or #(case.send or {}), result.back)
      assert.equal(case.code or 1000, result.code)
      if case.reason then assert.equal(case.reason, result.reason) end
      if case.extensions then assert.same(case.extensions, result.extensions) end
      if case.terms then assert.same(case.terms, result.terms) end
      if case.subprotocol then assert.equal(case.subprotocol, result.subprotocol) end
      if case.last then assert.equal(case.last, result.last) end
    end)
  end
end)
