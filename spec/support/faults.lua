--- Nodes that fail in every place where one can.
-- A fault is a table: what it is; how: it goes on by "close", "reset", "hang", or "drip" (it sends `drips` byte by
-- byte); sent: what it has sent by then; reads: how many bytes it has read, where that is not the whole request; body:
-- the request should have one; begun: the client may have the head of the answer.
local clock = require "support.clock"
local files = require "support.files"
local upstream = require "support.upstream"

local faults = {}

local SIZED = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
local CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

local places = {
  { at = "before it has read", reads = 0, sent = "" },
  { at = "in the request's head", reads = 20, sent = "" },
  { at = "in the request's body", reads = 3000, sent = "", body = true },
  { at = "before it answers", sent = "" },
  { at = "in its status line", sent = "HTTP/1.1 2" },
  { at = "in its head", sent = "HTTP/1.1 200 OK\r\nContent-Le" },
  { at = "at the end of its head", sent = SIZED:sub(1, -3) },
  { at = "behind its head", sent = SIZED, begun = true },
  { at = "in its body", sent = SIZED .. "half", begun = true },
  { at = "in a chunk's size", sent = CHUNKED .. "4\r\nhalf\r\n1", begun = true },
  { at = "in a chunk", sent = CHUNKED .. "a\r\nhalf", begun = true },
  { at = "behind a chunk", sent = CHUNKED .. "4\r\nhalf\r\n", begun = true },
  { at = "in its trailers", sent = CHUNKED .. "4\r\nhalf\r\n0\r\nX-Sum: 1", begun = true },
}

--- All places, each with each of these ways to go on.
-- @tparam {string,...} hows
-- @treturn {table,...} faults
function faults.everywhere(hows)
  local list = {}
  for _, how in ipairs(hows) do
    for _, place in ipairs(places) do
      list[#list + 1] = setmetatable({ what = how .. "s " .. place.at, how = how }, { __index = place })
    end
  end
  return list
end

local ends = {
  close = function() end,
  reset = function(conn) conn:reset() end,
  hang = function(conn) conn:wait_end() end,
}

-- A byte now and then, until all is sent or nobody wants more.
function ends.drip(conn, fault)
  for byte in fault.drips:gmatch "." do
    if not conn:send(byte) then return end
    clock.pause(0.01)
  end
end

local Node = {}
Node.__index = Node

local function commit(conn, fault)
  conn:note { kind = "fault" }
  if not fault.reads then
    local head = conn:read_head()
    if not head or not conn:read_body(head).complete then return end
  elseif fault.reads > 0 then
    conn.reader:exactly(fault.reads, 5)
  end
  if fault.sent ~= "" then conn:send(fault.sent) end
  ends[fault.how](conn, fault)
end

--- A node that answers 200 "ok", once per connection, until it is told to fail.
-- @tparam {table,...} list the faults that it may be told
function faults.node(list)
  local self = setmetatable({ numbers = {} }, Node)
  for i, fault in ipairs(list) do self.numbers[fault] = i end
  self.up = upstream.start(function(conn)
    local fault = list[tonumber(files.read(conn.folder .. "/fault"))]
    if fault then return commit(conn, fault) end
    local head = conn:read_head()
    if head and conn:read_body(head).complete then conn:respond(200, "ok", "Connection: close\r\n") end
  end)
  self.address = self.up.node
  return self
end

--- Its next connections fail so; nil: no longer.
function Node:set(fault)
  files.write(self.up.folder .. "/fault", tostring(self.numbers[fault] or ""))
  self.up:forget()
end

--- How many connections have failed since then.
function Node:failed() return #self.up:events "fault" end

function Node:stop() self.up:stop() end

return faults
