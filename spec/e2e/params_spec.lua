--- req.params: what the path of the route has captured, for plugins.
local client = require "support.client"
local gateway = require "support.gateway"
local json = require "cjson"

local request = client.request

local PLUGIN = [[
--- Tells the parameters, and what becomes of them.
local Tell = { version = "1.0.0", description = "Tells the parameters.", band = "filter" }
Tell.__index = Tell
function Tell.new() return setmetatable({}, Tell) end
function Tell:request(req)
  if not req.route then
    req.ctx.early = next(req.params) == nil
    return nil
  end
  local before = req.params
  req:set_path("/elsewhere")
  tide.sleep(0.001)
  return req:reply(200, { early = req.ctx.early, params = req.params, same = before == req.params })
end
function Tell:log(req) if req.params.id then tide.log.info("still there", { id = req.params.id }) end end
return Tell
]]

describe("req.params", function()
  local gw

  setup(function()
    gw = gateway.start([[
plugins: [tell]
routes:
  - { path: "/users/{id}", respond: {}, plugins: [tell] }
  - { path: "/users/{id}/posts/{post_id}/*", respond: {}, plugins: [tell] }
  - { path: "~^/(?<year>\\d{4})(?:/(?<month>\\d\\d))?$", respond: {}, plugins: [tell] }
  - { path: "/plain", respond: {}, plugins: [tell] }
  - { path: "/when/{id}", when: { header: x-a }, respond: {}, plugins: [tell] }
]], { plugins = { tell = PLUGIN } })
  end)
  teardown(function() gw:stop() end)

  local rows = {
    { "/users/7", { id = "7" } },
    { "/users/%7e%2f", { id = "~%2F" } },
    { "/users/7/posts/9/comments", { id = "7", post_id = "9" } },
    { "/2024/05", { year = "2024", month = "05" } },
    { "/2024", { year = "2024" } },
    { "/plain", {} },
    { "/when/5", { id = "5" } },
  }
  for _, row in ipairs(rows) do
    it("has those of " .. row[1], function()
      local answer = assert(client.ask(gw:port(), request { target = row[1], headers = { "X-A: 1" } }))
      local told = json.decode(answer.body)
      assert.same(row[2], told.params)
      assert.is_true(told.early)
      assert.equal(next(row[2]) ~= nil, told.same)
    end)
  end

  it("is there for the log, too", function()
    client.ask(gw:port(), request { target = "/users/last" })
    assert.is_truthy(gw:wait_log 'still there[^\n]*id="?last')
  end)
end)
