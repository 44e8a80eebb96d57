--- docs/websocket.md: its configurations do what the page says, and its chat runs.
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local markdown = require "support.markdown"
local processes = require "support.processes"
local upstream = require "support.upstream"
local websocket = require "support.websocket"
local websocket_end = require "support.websocket_end"

local PAGE = "docs/websocket.md"

--- The block that begins with a comment of this name.
local function block(name)
  for _, found in ipairs(markdown.blocks(PAGE)) do
    local first = found.text:match "^[#-]+ ([^\n:]+)"
    if first == name then return found.text end
  end
  error("no block " .. name)
end

--- As it is here: a free port in place of :8080, and the upstream's in place of 9000.
local function here(text, node)
  return (text:gsub('":8080"', '"127.0.0.1:0"'):gsub("127%.0%.0%.1:9000", node))
end

describe("docs/websocket.md", function()
  local gw, up, pids, ends

  before_each(function() pids, ends = {}, {} end)

  after_each(function()
    for _, ws in ipairs(ends) do ws.connection:close() end
    if gw then gw:stop() end
    if up then up:stop() end
    for _, pid in ipairs(pids) do processes.finish(pid) end
    gw, up = nil, nil
  end)

  local function open(path, headers)
    local ws, head = websocket_end.open(client.connect(gw:port()), path, headers)
    ends[#ends + 1] = ws
    return ws, head.status
  end

  local function start(name)
    up = upstream.by_path { default = websocket_end.serve }
    gw = gateway.start(here(block(name), up.node))
  end

  it("passes a WebSocket unseen, and checks its handshake", function()
    start "plain"
    local ws, status = open("/any", { "Sec-WebSocket-Extensions: x-colour" })
    assert.equal(101, status)
    ws:send { payload = "\255", rsv = 2 }
    assert.same({ "\255", 2 }, (function(f) return { f.payload, f.rsv } end)(ws:message()))
    local res = client.ask(gw:port(), client.request { headers = { "Connection: Upgrade", "Upgrade: websocket" } })
    assert.equal(400, res.status)
  end)

  it("looks at frames where the key says so", function()
    start "looked-at"
    assert.equal(403, (select(2, open("/chat", { "Origin: https://evil.test" }))))
    local ws, status = open("/chat", { "Origin: https://a.example.org" })
    assert.same({ 101, "gateway" }, { status, up:last_request():get "x-from" })
    ws:text(("x"):rep(64 * 1024))
    assert.equal(64 * 1024, #ws:message().payload)
    ws:text(("x"):rep(64 * 1024 + 1))
    assert.equal(1009, ws:message().code)
    assert.equal(101, (select(2, open("/other", { "Origin: https://evil.test" }))))
  end)

  local function start_chat()
    local folder, port = files.folder(), upstream.free():match "%d+$"
    files.write(folder .. "/chat.py", (block("chat.py"):gsub("9000", port)))
    pids[1] = processes.fork(function() processes.become { "/usr/bin/python3", folder .. "/chat.py" } end)
    clock.wait_until(function()
      local is_there, connection = pcall(client.connect, tonumber(port))
      if is_there then connection:close() end
      return is_there
    end, 20, "the chat")
    gw = gateway.start(here(block "chat", "127.0.0.1:" .. port), {
      plugins = { manners = block "plugins/manners.lua" },
    })
  end

  local function said(ws)
    local f = ws:message(10)
    return f.opcode == websocket.TEXT and f.payload or f.code
  end

  it("has a chat that minds its language", function()
    start_chat()
    local ann, bob = open "/chat", open "/chat"
    for _, ws in ipairs { ann, bob } do assert.equal("Welcome. Be kind.", said(ws)) end
    ann:text "Blast, darn darning!"
    assert.equal("*****, **** darning!", said(bob))
    assert.equal("*****, **** darning!", said(ann))
    ann:text "/help"
    assert.equal("Say something kind.", said(ann))
    for i = 3, 5 do
      bob:text("message " .. i)
      assert.same({ "message " .. i, "message " .. i }, { said(ann), said(bob) })
    end
    bob:text "one too many"
    assert.equal("Take a breath.", said(bob))
    ann:text(("x"):rep(5000))
    assert.equal(1009, said(ann))
    gw:wait_log "has left [^\n]*code=1009 said=2"
  end)

  it("is talked to by the command that it shows", function()
    start_chat()
    local folder = files.folder()
    os.execute("mkfifo " .. folder .. "/in")
    local command = files.read(PAGE):match "`python3 (%-m websockets ws://localhost:8080/chat)`"
    command = assert(command):gsub("8080", gw:port())
    pids[2] = processes.fork(function()
      processes.become { "/bin/sh", "-c", ("exec /usr/bin/python3 %s <%s/in >%s/out"):format(command, folder, folder) }
    end)
    local keyboard = assert(io.open(folder .. "/in", "w"))
    keyboard:write "darn it\n"
    keyboard:flush()
    clock.wait_until(function()
      return (files.read(folder .. "/out") or ""):find("**** it", 1, true)
    end, 20, "the echo")
    keyboard:close()
  end)

  it("names all keys and all figures", function()
    local page, count = files.read(PAGE), 0
    local keys = files.read "docs/configuration.md":match "\n### `routes%[%]%.websocket`(.-)\n###"
    for key in keys:gmatch "\n| `([%l_]+)`" do
      assert.truthy(page:find("`" .. key .. "`", 1, true), key)
      count = count + 1
    end
    assert.equal(8, count)
    gw = gateway.start(here(block "plain", upstream.nobody()) .. 'metrics: { listen: "unix:m.sock" }\n')
    local text = client.ask(gw.folder .. "/m.sock", client.request { target = "/metrics" }).body
    for name in page:gmatch "`(tidegate_websocket[%l_]+)`" do assert.truthy(text:find(name, 1, true), name) end
  end)
end)
