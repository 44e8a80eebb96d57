--- Clients on a bad day: slow, deaf, or gone. The upstream is let go, memory stays bounded, and nobody else notices.
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local stage = require "support.stage"

local request = client.request
local MIB = 1024 * 1024
local CONFIG = [[
timeouts: { idle: 30s, head: 2s, body: 2s, write: 1500ms }
services: { app: { nodes: ["NODE"], retries: { attempts: 0 }, pool: { idle_per_node: 8 } } }
routes: [{ path: "/*", service: app }]
]]

local HUGE = 256            -- MiB

-- A body of so many pieces of 1 MiB, as far as it is taken.
local function pour(first, piece)
  return function(conn, head)
    conn:read_body(head)
    conn:send("HTTP/1.1 200 OK\r\n" .. first .. "\r\n\r\n")
    for i = 1, HUGE do
      if not conn:send(piece) then break end
      conn:note { kind = "sent", mib = i }
    end
    return true
  end
end

-- These bytes, and then no more.
local function stop_after(bytes)
  return function(conn, head)
    conn:read_body(head)
    conn:send(bytes)
    conn:note { kind = "waiting" }
    conn:wait_end()
    return true
  end
end

local answers = {
  ["/huge"] = pour("Content-Length: " .. HUGE * MIB, ("h"):rep(MIB)),
  ["/huge-chunks"] = pour("Transfer-Encoding: chunked", "100000\r\n" .. ("h"):rep(MIB) .. "\r\n"),
  ["/wait"] = stop_after "",
  ["/half-head"] = stop_after "HTTP/1.1 200 OK\r\nContent-",
  ["/half-body"] = stop_after "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
  ["/released"] = function(conn, head)
    conn:read_body(head)
    conn:note { kind = "waiting" }
    conn:wait_release()
    conn:respond(200, "late")
  end,
}

describe("a client that", function()
  local up, gw, c

  stage(answers, CONFIG, function(...) up, gw, c = ... end)

  local function served()
    local start = clock.now()
    assert.equal("ok", assert(client.ask(gw:port(), request { target = "/ok" })).body)
    return clock.now() - start
  end

  local slow = {
    { "sends half a head",        "GET / HT" },
    { "sends half a body",        request { method = "POST", headers = { "Content-Length: 10" } } .. "half" },
    { "sends nothing of a body",  request { method = "POST", headers = { "Content-Length: 10" } } },
    { "sends half a chunk size",  request { method = "POST", headers = { "Transfer-Encoding: chunked" } } .. "1" },
    { "sends no last chunk",      request { method = "POST", headers = { "Transfer-Encoding: chunked" } } ..
                                  "4\r\nhalf\r\n" },
  }

  for _, case in ipairs(slow) do
    it(case[1] .. " gets a 408, and the upstream no request", function()
      c:send(case[2])
      assert.truthy(served() < 1.8)         -- others do not wait for it
      local response = assert(c:response())
      assert.equal(408, response.status)
      assert.equal("eof", (c:ending()))
      for _, got in ipairs(up:requests()) do assert.equal("/ok", got.target) end
    end)
  end

  it("sends its body slowly, but steadily, is served", function()
    c:send(request { method = "POST", headers = { "Content-Length: 400" } })
    for _ = 1, 39 do
      c:send("0123456789")
      assert.is_nil((c:head(0.06)))        -- paces, and there is no answer yet
    end
    c:send("0123456789")
    assert.equal(200, assert(c:response()).status)
    assert.equal(("0123456789"):rep(40), up:last_request().body)
  end)

  for _, path in ipairs { "/huge", "/huge-chunks" } do
    it("does not read its response costs little memory, and is cut: " .. path, function()
      served()
      local before, deaf = gw:memory(), {}
      for i = 1, 4 do
        deaf[i] = client.connect(gw:port(), { receive_buffer = 4096 })
        deaf[i]:send(request { target = path })
      end
      up:wait_event("sent")
      local most, longest = 0, 0
      clock.wait_until(function()
        most = math.max(most, gw:memory())
        longest = math.max(longest, served())
        return #up:events("ended") >= 4 and true
      end, 20, "the end of the upstream connections")
      assert.truthy(most - before < 8 * MIB or gateway.sanitized, "grew by " .. (most - before))
      assert.truthy(longest < 1.4, "others waited " .. longest)
      for _, event in ipairs(up:events("sent")) do assert.truthy(event.mib < HUGE / 2, "sent " .. event.mib) end
      for i = 1, 4 do
        local response = deaf[i]:response()
        assert.truthy(response == nil or not response.complete)
        deaf[i]:close()
      end
    end)
  end

  it("reads slowly, but steadily, gets all of it", function()
    local reader = client.connect(gw:port(), { receive_buffer = 65536 })
    reader:send(request { target = "/huge" })
    local head = assert(reader:head())
    assert.equal(tostring(HUGE * MIB), head:get "content-length")
    for _ = 1, 30 do
      assert.truthy(reader.reader:exactly(100000))
      assert.truthy(served() < 1.4)
    end
    reader:reset()
  end)

  local gone = {
    { "in the head",             "GET /wait HTTP/1.1\r\nHo", nil },
    { "in the body",             request { method = "POST", target = "/wait",
                                           headers = { "Content-Length: 10" } } .. "half", "head" },
    { "in a chunk",              request { method = "POST", target = "/wait",
                                           headers = { "Transfer-Encoding: chunked" } } .. "a\r\nhalf", "head" },
    { "before the response",     request { target = "/wait" }, "waiting" },
    { "in the response's head",  request { target = "/half-head" }, "waiting" },
    { "in the response's body",  request { target = "/half-body" }, "waiting" },
    { "in a large response",     request { target = "/huge" }, "sent" },
    { "in large chunks",         request { target = "/huge-chunks" }, "sent" },
  }

  for _, case in ipairs(gone) do
    it(("goes with a reset %s: the upstream is let go"):format(case[1]), function()
      c:send(case[2])
      if case[3] then up:wait_event(case[3]) end
      local start = clock.now()
      c:reset()
      if case[3] then
        up:wait_event("ended")
        assert.truthy(clock.now() - start < 1.4, "not before a timeout")
      end
      served()
      for _, got in ipairs(up:requests()) do assert.not_equal("POST", got.method) end
    end)
  end

  it("goes with a clean close in the body: the upstream sees no whole request", function()
    c:send(gone[2][2])
    up:wait_event("head")
    c:close()
    up:wait_event("ended")
    assert.equal(0, #up:requests())
  end)

  it("sends no more after its request is still served", function()
    c:send(request { target = "/released" })
    c:shut()
    up:wait_event("waiting")
    up:release()
    assert.equal("late", assert(c:response()).body)
    assert.equal("eof", (c:ending()))
  end)

  it("sends no more after several requests is still served all of them", function()
    c:send(request { target = "/1" } .. request { method = "POST", target = "/2", body = "body" } ..
           request { target = "/3" })
    c:shut()
    for _ = 1, 3 do assert.equal("ok", assert(c:response()).body) end
    assert.equal("eof", (c:ending()))
    assert.equal(3, #up:requests())
  end)
end)

describe("a client over limits.connections", function()
  local gw, many

  setup(function()
    gw = gateway.start("limits: { connections: 10 }\nroutes: [{ path: '/*', respond: { body: 'ok' } }]\n")
  end)

  teardown(function() gw:stop() end)
  before_each(function() many = {} end)
  after_each(function()
    for _, c in ipairs(many) do c:close() end
  end)

  local function ask(c)
    c:send(request {})
    return c:response()
  end

  it("gets a 503, and a place when one is free again", function()
    for i = 1, 10 do
      many[i] = client.connect(gw:port())
      assert.equal(200, assert(ask(many[i])).status)
    end
    for _ = 1, 5 do
      local c = client.connect(gw:port())
      local refused = assert(ask(c))
      assert.equal(503, refused.status)
      assert.equal("1", refused:get "retry-after")
      assert.equal("close", refused:get "connection")
      assert.truthy(refused.complete)
      assert.equal("eof", (c:ending()))
      c:close()
    end
    for i = 1, 10 do assert.equal(200, assert(ask(many[i])).status) end
    many[10]:close()
    clock.wait_until(function()
      local c = client.connect(gw:port())
      local response = ask(c)
      c:close()
      return response and response.status == 200
    end, nil, "a free place")
  end)
end)
