--- Heads stay what they were while bodies pass: what a plugin reads late, and what leaves late.
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local LATE = [[
--- Looks at heads when bodies have been there.
local Late = { version = "1.0.0", description = "Looks at heads late." }
Late.__index = Late
function Late.new() return setmetatable({}, Late) end
function Late:request_body(_, last, req)
  if last then tide.log.info("request body", { sent = tostring(req:header "x-sent") }) end
end
function Late:response_body(_, last, res)
  if last then tide.log.info("response body", { up = tostring(res:header "x-up") }) end
end
function Late:log(req, res)
  tide.log.info("end", { sent = tostring(req:header "x-sent"), up = tostring(res:header "x-up") })
end
return Late
]]

local WHOLE = [[
--- Reads the whole response before its head leaves.
local Whole = { version = "1.0.0", description = "Reads the whole response." }
Whole.__index = Whole
function Whole.new() return setmetatable({}, Whole) end
function Whole:response(res) res:set_header("x-length", #assert(res:body(1e7))) end
return Whole
]]

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - { path: "/late/*", service: app, plugins: [ late ] }
  - { path: "/whole/*", service: app, plugins: [ whole ] }
]]

local BIG = ("x"):rep(300000)

describe("heads behind large bodies", function()
  local up, gw

  setup(function()
    up = upstream.by_path { default = function(conn, head)
      conn:read_body(head)
      conn:respond(200, BIG, "X-Up: from the upstream\r\n")
    end }
    gw = gateway.start((CONFIG:gsub("NODE", up.node)), { plugins = { late = LATE, whole = WHOLE } })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local function ask(target)
    return assert(client.ask(gw:port(), client.request { method = "POST", target = target, body = BIG,
                                                         headers = { "X-Sent: by the client" } }))
  end

  it("are what they were in body hooks and in the log hook", function()
    for _ = 1, 5 do assert.equal(BIG, ask("/late/").body) end
    gw:wait_log 'end[^\n]*sent="by the client"[^\n]*up="from the upstream"'
    for line in gw:log():gmatch "[^\n]*plugin=late[^\n]*" do
      assert.truthy(line:find 'sent="by the client"' or line:find 'up="from the upstream"', line)
      assert.is_nil(line:find "=nil", line)
    end
  end)

  it("leave as they came when a plugin has waited for the whole body", function()
    for _ = 1, 5 do
      local response = ask("/whole/")
      assert.equal(200, response.status)
      assert.equal("from the upstream", response:get "x-up")
      assert.equal("300000", response:get "x-length")
      assert.equal(BIG, response.body)
    end
  end)
end)
