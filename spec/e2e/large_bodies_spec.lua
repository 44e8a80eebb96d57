--- Responses so large that they go from socket to socket inside the kernel, and those around that size [D29].
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request
local KIB = 1024
local LARGE = 64 * KIB          -- from here on a pipe is used
local HEAD_READ = 4 * KIB       -- bytes of the read for a head where a large body is expected
local HELD = 0.15               -- seconds: the kernel lets go by itself of what it was told to hold after 0.2
local SLOW = 24                 -- clients at once: more than pipes are kept

local CONFIG = [[
gateway: { threads: 1, grace: 1s }
services:
  app: { nodes: ["NODE"] }
routes:
  - { path: "/*", service: app }
]]

--- Bytes of which each sixteen are others, so that none can be lost, doubled or out of place unnoticed.
local function body(size)
  local lines = {}
  for i = 1, math.ceil(size / 16) do lines[i] = ("%015d\n"):format(i) end
  return table.concat(lines):sub(1, size)
end

local function head_of(size, fields)
  return ("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n"):format(fields or "", size)
end

local function asked(head) return tonumber(head.target:match "%d+$") end

local answers = {
  ["/whole"] = function(conn, head)
    local size = asked(head)
    conn:read_body(head)
    conn:send(head_of(size) .. (head.method == "HEAD" and "" or body(size)))
  end,
  -- So many bytes with the head, and the rest when the client has those.
  ["/held"] = function(conn, head)
    local first, all = asked(head), head_of(4 * LARGE) .. body(4 * LARGE)
    conn:read_body(head)
    conn:send(all:sub(1, first))
    conn:wait_release()
    conn:send(all:sub(first + 1))
  end,
  ["/cut"] = function(conn, head)
    conn:read_body(head)
    conn:send(head_of(8 * LARGE) .. body(5 * LARGE))
    return true
  end,
  -- An answer nobody asked for behind it.
  ["/surplus"] = function(conn, head)
    conn:read_body(head)
    conn:send(head_of(2 * LARGE) .. body(2 * LARGE) .. "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
  end,
  -- A head longer than the read for it.
  ["/wide"] = function(conn, head)
    conn:read_body(head)
    conn:send(head_of(2 * LARGE, ("X-Wide: %s\r\n"):format(("w"):rep(3 * HEAD_READ))) .. body(2 * LARGE))
  end,
}

describe("large bodies", function()
  local up, gw, c

  setup(function()
    up = upstream.by_path(answers)
    gw = gateway.start((CONFIG:gsub("NODE", up.node)))
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  before_each(function() c = client.connect(gw:port()) end)
  after_each(function() c:close() end)

  local function is_whole(response, size)
    assert.equal(200, response.status)
    assert.equal(tostring(size), response:get "content-length")
    assert.is_true(response.body == body(size), "not the body that was sent")
  end

  local function expect(size)
    c:send(request { target = "/whole?" .. size })
    is_whole(assert(c:response()), size)
  end

  it("of all sizes come whole one after the other over one connection, whatever came before", function()
    local sizes = { 1000, 100 * KIB, 100 * KIB, 1, 5000 * KIB, 5 * KIB, LARGE - 1, LARGE, LARGE + 1, HEAD_READ, 0,
                    LARGE + HEAD_READ, 0, 128 * KIB, 1024 * KIB, 128 * KIB, 1000 }
    up:forget()
    for _, size in ipairs(sizes) do expect(size) end
    for _, size in ipairs(sizes) do
      expect(100 * KIB)
      expect(size)
    end
    assert.is_true(up:connections() <= 1, "the upstream's connection was not kept")
  end)

  it("that HEAD asks about are not waited for", function()
    for _ = 1, 2 do
      expect(100 * KIB)
      c:send(request { method = "HEAD", target = "/whole?" .. 1024 * KIB })
      assert.equal(tostring(1024 * KIB), c:response { method = "HEAD" }:get "content-length")
    end
  end)

  it("come whole behind a head that is longer than the read for it", function()
    for _ = 1, 3 do
      c:send(request { target = "/wide" })
      is_whole(assert(c:response()), 2 * LARGE)
    end
  end)

  it("come whole to clients that ask for several at once", function()
    for _ = 1, 20 do c:send(request { target = "/whole?" .. 100 * KIB }) end
    for _ = 1, 20 do is_whole(assert(c:response()), 100 * KIB) end
  end)

  it("come whole to many clients that read late, all at once", function()
    local clients = {}
    for i = 1, SLOW do
      clients[i] = client.connect(gw:port(), { receive_buffer = 32768 })
      clients[i]:send(request { target = "/whole?" .. 5000 * KIB })
    end
    for _, slow in ipairs(clients) do
      is_whole(assert(slow:response()), 5000 * KIB)
      slow:close()
    end
  end)

  -- The head is held back for the body behind it where more seems to be there: it must not be where nothing is.
  for more = 0, 2 do
    it(("leave at once as far as they came, %d bytes behind what one read takes"):format(more), function()
      local first = HEAD_READ + more
      local took = clock.quickest(HELD, function()
        expect(100 * KIB)
        os.remove(up.folder .. "/release")
        c:send(request { target = "/held?" .. first })
        local start = clock.now()
        assert(c:head())
        local early = first - #head_of(4 * LARGE)
        local begun = assert(c.reader:exactly(early))
        local seconds = clock.now() - start
        up:release()
        assert.is_true(begun .. assert(c.reader:exactly(4 * LARGE - early)) == body(4 * LARGE), "another body")
        return seconds
      end)
      assert.is_true(took < HELD, ("took %.3f s"):format(took))
    end)
  end

  it("that the upstream cuts are cut for the client", function()
    for _ = 1, 2 do
      expect(100 * KIB)
      c:send(request { target = "/cut" })
      local response = assert(c:response())
      assert.is_false(response.complete)
      assert.is_true(#response.body <= 5 * LARGE)
      assert.equal(response.body, body(8 * LARGE):sub(1, #response.body))
      c:close()
      c = client.connect(gw:port())
    end
  end)

  it("end where they said, and what an upstream sends behind them is nobody's answer", function()
    for _ = 1, 3 do
      expect(100 * KIB)
      c:send(request { target = "/surplus" })
      is_whole(assert(c:response()), 2 * LARGE)
    end
    expect(1000)
  end)
end)
