--- What one end of a WebSocket may send, and what it may not, through a gateway that checks frames, and through one
-- that shows messages to a plugin: the rows of fixtures.websocket from a client, and from an upstream (RFC 6455) [T79]
-- [T80] [T90] [T95].
local client = require "support.client"
local rows = require "fixtures.websocket"
local stage = require "support.stage"
local websocket = require "support.websocket"
local websocket_end = require "support.websocket_end"

local CLOSE, GOING_AWAY, BAD_GATEWAY, NO_CODE = websocket.CLOSE, 1001, 1014, 1005
local MASK = "\55\250\33\61"
local DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"

for i, row in ipairs(rows) do row.number = i end

--- Answers the handshake on the terms of a row.
local function switch(conn, head)
  conn:read_body(head)
  conn:send(websocket_end.switch(head:get "sec-websocket-extensions" and DEFLATE .. "\r\n" or ""))
end

--- Reads until the connection ends, and answers the other end's close frame.
local function read_all(connection, mask, has_closed)
  while true do
    local frame = websocket_end.read(connection.reader, 30)
    if not frame then return connection.reader.ended end
    if frame.opcode == CLOSE and not has_closed then
      connection:send(websocket.frame { opcode = CLOSE, payload = frame.payload, mask = mask })
      has_closed = true
    end
  end
end

local BYE = websocket.frame { opcode = CLOSE, payload = websocket.close_body(1000) }

local answers = {
  ["/take"] = function(conn, head)
    switch(conn, head)
    read_all(conn)
    return true
  end,
  default = function(conn, head)
    local row = rows[tonumber(head.target:match "/(%d+)$")]
    switch(conn, head)
    conn:send(websocket.stream(row.frames) .. ((row.fault or row.closed) and "" or BYE))
    read_all(conn, nil, not row.fault)
    return true
  end,
}

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - { path: "/*", service: app, websocket: {} }
  - { path: "/small/*", service: app, strip_prefix: /small, websocket: { max_message: 10B } }
  - { path: "/seen/*", service: app, strip_prefix: /seen, websocket: {}, plugins: [see] }
  - path: "/seen/small/*"
    service: app
    strip_prefix: /seen/small
    websocket: { max_message: 10B }
    plugins: [see]
]]

local SEE = [[
local See = {}
function See:message(msg, req) req.ctx.bytes = (req.ctx.bytes or 0) + #msg.data end
return See
]]

--- The frames that are good, as they were sent.
local function frames_of(row)
  local list = {}
  for i = 1, row.passes do
    local frame = row.frames[i]
    list[i] = { frame.opcode, frame.payload, frame.fin ~= false, frame.rsv or 0 }
  end
  return list
end

--- The same where messages are put together: each is one frame, once it is whole.
local function messages_of(row)
  local list, opcode, pieces = {}, nil, {}
  for i = 1, row.passes do
    local frame = row.frames[i]
    if frame.opcode >= CLOSE then
      list[#list + 1] = { frame.opcode, frame.payload, true, 0 }
    else
      if frame.opcode ~= websocket.CONTINUATION then opcode, pieces = frame.opcode, {} end
      pieces[#pieces + 1] = frame.payload
      if frame.fin ~= false then list[#list + 1] = { opcode, table.concat(pieces), true, 0 } end
    end
  end
  return list
end

--- What is wrong with the frames that one end got: the good ones of a row, and then how it ended.
-- @tparam table due what they have to be, see frames_of
-- @tparam string bytes all that it got
-- @tparam boolean masked whether they have to be
-- @tparam number lost the code that tells this end of a fault of the other one
-- @tparam boolean may_tear whether it may end within a frame that is wrong
local function compare(row, due, bytes, masked, lost, may_tear)
  local got, rest = websocket.frames(bytes)
  for i, frame in ipairs(due) do
    local g = got[i] or {}
    assert.same(frame, { g.opcode, g.payload, g.fin, g.rsv }, "frame " .. i)
  end
  for _, frame in ipairs(got) do assert.equal(masked, frame.masked) end
  local last = got[#due + 1]
  if row.closed then
    assert.is_nil(last)
    assert.equal("", rest)
  elseif row.fault and not last and may_tear then
    assert.not_equal("", rest)          -- the frame that is wrong had begun: no other can follow it
  else
    assert.same({ CLOSE, row.fault and lost or 1000, #due + 1 }, { last.opcode, last.code, #got })
  end
end

describe("a checked WebSocket", function()
  local up, gw, c

  stage(answers, CONFIG, function(...) up, gw, c = ... end, { plugins = { see = SEE } })

  --- Opens one on the terms of a row; from here on all that comes is kept.
  -- @treturn function gives it
  local function open(row, mode, path)
    local rules = row.rules or {}
    local _, head = websocket_end.open(c, mode.prefix .. (rules.max_message and "/small" or "") .. path,
                                       rules.deflate and { DEFLATE } or {})
    assert.equal(101, head.status)
    local bytes = { c.reader.held }
    c.reader.on_bytes = function(piece) bytes[#bytes + 1] = piece end
    return function() return table.concat(bytes) end
  end

  --- What the upstream got on the connection of the last request, behind its head, once that has ended.
  local function upstream_bytes()
    local connection = up:last_request().connection
    up:wait_event("ended", function(event) return event.connection == connection end)
    return (up:bytes(connection):gsub("^.-\r\n\r\n", "", 1))
  end

  local function from_client(row, mode, send)
    local bytes = open(row, mode, "/take")
    send(websocket.stream(row.frames, MASK))
    if not row.fault and not row.closed then
      c:send(websocket.frame { opcode = CLOSE, payload = websocket.close_body(1000), mask = MASK })
    end
    assert.equal("eof", read_all(c, MASK, not row.fault))
    c:close()
    local got = websocket.frames(bytes())
    local code = row.fault or row.closed or 1000
    assert.same({ CLOSE, code, 1 }, { got[1].opcode, got[1].code or NO_CODE, #got })
    compare(row, mode.due(row), upstream_bytes(), true, GOING_AWAY, mode.may_tear)
  end

  local function from_upstream(row, mode)
    local bytes = open(row, mode, "/" .. row.number)
    read_all(c, MASK)
    c:close()
    compare(row, mode.due(row), bytes(), false, BAD_GATEWAY, mode.may_tear)
    if row.fault then
      local got = websocket.frames(upstream_bytes())
      assert.same({ CLOSE, row.fault, 1 }, { got[1].opcode, got[1].code, #got })
    end
  end

  local function check(row, mode)
    local bytes = websocket.stream(row.frames, MASK)
    it((row.fault and "closes with " .. row.fault .. " for " or "passes ") .. row.name, function()
      from_client(row, mode, function() c:send(bytes) end)
      c = client.connect(gw:port())
      from_upstream(row, mode)
    end)
    local is_all_read = not row.closed or row.passes == #row.frames     -- a connection with bytes left is reset
    if #bytes > 64 or not is_all_read then return end
    it("finds the same byte by byte: " .. row.name, function()
      from_client(row, mode, function() c:send_bytewise(bytes) end)
    end)
  end

  describe("whose frames nobody looks at", function()
    local mode = { prefix = "", due = frames_of, may_tear = true }
    for _, row in ipairs(rows) do check(row, mode) end
  end)

  describe("whose messages a plugin sees", function()
    local mode = { prefix = "/seen", due = messages_of, may_tear = false }
    for _, row in ipairs(rows) do
      -- What says there that it is compressed is not.
      if not (row.rules or {}).deflate then check(row, mode) end
    end
  end)
end)
