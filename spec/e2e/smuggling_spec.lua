--- Requests that smuggle: each is refused, the connection ends, and the upstream sees no request that it was not meant
-- to see [D36].
local client = require "support.client"
local gateway = require "support.gateway"
local smuggling = require "fixtures.smuggling"
local upstream = require "support.upstream"

local STATUSES = { 400, 501 }

local function allowed(statuses, status)
  for _, one in ipairs(statuses) do
    if one == status then return true end
  end
  return false
end

describe("a smuggled request", function()
  local up, gw

  setup(function()
    up = upstream.by_path { default = upstream.echo }
    gw = gateway.start(("services: { app: { nodes: ['%s'], retries: { attempts: 0 } } }\n" ..
                        "timeouts: { head: 30s, body: 30s }\n" ..
                        "routes: [{ path: '/*', service: app }]\n"):format(up.node))
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local function try(case, send)
    local c = client.connect(gw:port())
    up:forget()
    send(c, case[2])
    local response, why = c:response()
    assert.truthy(response, "no response: " .. tostring(why))
    assert.truthy(allowed(case[3] or STATUSES, response.status), "status " .. response.status)
    local how, rest = c:ending()
    c:close()
    assert.equal("", rest)
    assert.not_equal("timeout", how)
    -- Whatever got through has reached the upstream before this, or shares its connection.
    assert.equal(200, assert(client.ask(gw:port(), client.request { target = "/after" })).status)
    local requests = up:requests()
    assert.equal("/after", requests[1] and requests[1].target)
    assert.equal(1, #requests)
  end

  for _, case in ipairs(smuggling.rows) do
    it("is refused: " .. case[1], function() try(case, function(c, bytes) c:send(bytes) end) end)
  end

  it("is refused however it is cut into packets", function()
    for i, case in ipairs(smuggling.rows) do
      if #case[2] < 400 then
        local at = 1 + i * 7 % #case[2]
        try(case, function(c, bytes)
          c:send(bytes:sub(1, at))
          c:send(bytes:sub(at + 1))
        end)
      end
    end
  end)

  it("has at least a hundred forms here", function() assert.truthy(#smuggling.rows >= 100) end)
end)
