--- Routes by parameters and regular expressions, in the gateway itself.
local client = require "support.client"
local gateway = require "support.gateway"

local CONFIG = [[
gateway: { threads: 1, grace: 1s }
routes:
  - { name: user, path: "/users/{id}", methods: [GET], respond: { body: user } }
  - { name: me, path: /users/me, respond: { body: me } }
  - { name: post, path: "/users/{id}/posts/{post}/*", respond: { body: post } }
  - { name: all, path: "/users/*", respond: { body: all } }
  - { name: number, path: '~^/n/(?<number>\d+)$', respond: { body: number } }
  - { name: script, path: '~\.PHP$', respond: { body: script } }
  - { name: shard, host: '~^S\d+\.example\.com$', respond: { body: shard } }
  - { name: guarded, path: '~^/g/(a+)+$', priority: 1, respond: { status: 403, body: guarded } }
  - { name: open, path: "/g/*", respond: { body: open } }
]]

describe("a route of a pattern", function()
  local gw
  setup(function() gw = gateway.start(CONFIG) end)
  teardown(function() gw:stop() end)

  local function ask(target, host, method)
    return client.ask(gw:port(), client.request {
      method = method, target = target, host = host or "a.example.net",
    })
  end

  local cases = {
    { "/users/7", "user" }, { "/users/%7e", "user" }, { "/users/me", "me" }, { "/users/7/", "all" },
    { "/users/", "all" },
    { "/users/7/posts/1", "post" }, { "/users/7/posts/1/x/y", "post" }, { "/users/7/posts", "all" },
    { "/n/12", "number" }, { "/n/12?x=a", "number" }, { "/n/x", nil }, { "/x.PHP", "script" }, { "/x.php", nil },
    { "/", "shard", "s12.example.com" }, { "/", "shard", "S12.Example.Com.:80" }, { "/", nil, "s.example.com" },
    { "/n/1", "shard", "s1.example.com" }, { "/g/b", "open" }, { "/g/aa", "guarded" },
  }
  for _, case in ipairs(cases) do
    it(("sends %s%s to %s"):format(case[3] or "", case[1], case[2] or "none"), function()
      local answer = ask(case[1], case[3])
      if case[2] then assert.equal(case[2], answer.body) else assert.equal(404, answer.status) end
    end)
  end

  it("says which methods it takes where no other fits", function()
    local own = gateway.start 'routes: [{ path: "/users/{id}", methods: [GET, PATCH], respond: {} }]'
    local answer = client.ask(own:port(), client.request { method = "PUT", target = "/users/7" })
    own:stop()
    assert.equal(405, answer.status)
    assert.equal("GET, PATCH", answer:get "allow")
  end)

  it("ends a request of which nobody can tell whether it fits, and counts it", function()
    local answer = ask("/g/" .. ("a"):rep(64) .. "!")
    assert.equal(500, answer.status)
    gw:wait_log "takes too long to match[^\n]*the host or path of a route"
    assert.equal("open", ask("/g/b").body)
    assert.truthy(select(2, gw:status()):find "patterns +1 matches given up")
  end)
end)
