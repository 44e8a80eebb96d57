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

local LENGTHS = [[
--- Sets fields whose names and values have all lengths that are copied in different ways, and one that is there.
local Lengths = { version = "1.0.0", description = "Sets fields of many lengths." }
Lengths.__index = Lengths
function Lengths.new() return setmetatable({}, Lengths) end
local function set_all(message)
  for n = 0, 40 do
    message:set_header("x" .. ("n"):rep(n), ("v"):rep(n) .. "-" .. n)
    message:set_header("y" .. ("n"):rep(n), ("0123456789"):rep(4):sub(1, n))
  end
  message:set_header("X-Known", "new")
  message:set_header("accept", "text/new")
end
function Lengths:request(req) set_all(req) end
function Lengths:response(res) set_all(res) end
return Lengths
]]

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - { path: "/lengths", service: app, plugins: [ lengths ] }
  - { path: "/late/*", service: app, plugins: [ late ] }
  - { path: "/whole/*", service: app, plugins: [ whole ] }
]]

local BIG = ("x"):rep(300000)

describe("heads behind large bodies", function()
  local up, gw

  setup(function()
    up = upstream.by_path { ["/lengths"] = function(conn, head) conn:respond(200, head.head, "X-Known: old\r\n") end,
                            default = function(conn, head)
      conn:read_body(head)
      conn:respond(200, BIG, "X-Up: from the upstream\r\n")
    end }
    gw = gateway.start((CONFIG:gsub("NODE", up.node)), { plugins = { late = LATE, whole = WHOLE, lengths = LENGTHS } })
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

  it("have fields of every length as plugins set them, once", function()
    local response = assert(client.ask(gw:port(), client.request {
      target = "/lengths", headers = { "X-Known: old", "Accept: text/old", "Xnn: old", "Xnn: older" } }))
    assert.equal(200, response.status)
    local function check(head, get)
      for n = 0, 40 do
        assert.equal(("v"):rep(n) .. "-" .. n, get("x" .. ("n"):rep(n)))
        assert.equal(("0123456789"):rep(4):sub(1, n), get("y" .. ("n"):rep(n)))
      end
      assert.equal("new", get "x-known")
      assert.equal("text/new", get "accept")
      assert.is_nil(head:find("old", 1, true))
    end
    check(response.head, function(name) return response:get(name) end)
    local sent = response.body:lower()
    check(response.body, function(name) return sent:match("\n" .. name:gsub("%-", "%%-") .. ": ([^\r]*)") end)
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
