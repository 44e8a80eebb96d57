--- Paths that the upstream sees: rewritten by a pattern; and services that the path names [P7, P8].
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local request = client.request

local CONFIG = [[
services: { app: { nodes: ["NODE"] } }
routes:
  - { path: "/old/*", service: app, rewrite: { match: "^/old/(.*)", to: "/new/$1" } }
  - { path: "/part/*", service: app, rewrite: { match: "v1", to: v2 } }
  - path: "/named/*"
    service: app
    rewrite: { match: "^/named/(?<year>\\d{4})/(?<name>[^/]+)$", to: "/${name}/${year}" }
  - { path: "/swap/*", service: app, rewrite: { match: "^/swap/([^/]+)/([^/]+)", to: "/$2/$${1}0/$$/$0" } }
  - { path: "/item/*", service: app, rewrite: { match: "^/item/(.*)$", to: "/item?id=$1&fixed=1" } }
  - { path: "/bare/*", service: app, rewrite: { match: "^/bare/(.*)$", to: "/$1?" } }
  - { path: "/slash/*", service: app, rewrite: { match: "^/slash", to: "" } }
  - { path: "/head/*", service: app, rewrite: { match: "^/head/", to: "" } }
  - { path: "/up/*", service: app, rewrite: { match: "^/up/(.)(.)", to: "/..$1/" } }
  - { path: "/above/*", service: app, rewrite: { match: "above", to: "../.." } }
  - { path: "/odd/*", service: app, rewrite: { match: "odd", to: "a%zz" } }
  - { path: "/umlaut/*", service: app, rewrite: { match: "umlaut", to: "ü%7e//x" } }
  - { path: "/group/*", service: app, rewrite: { match: "^/group/(a)?(b)?", to: "/<$1><$2>" } }
  - { path: "/grow/*", service: app, rewrite: { match: "^/grow/(.*)", to: "/$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1" } }
  - { path: "/slow/*", service: app, rewrite: { match: "^/slow/(a+)+$", to: "/x" } }
  - { path: "/split/*", split: { app: 1 }, rewrite: { match: "^/split", to: "/parted" } }
  - { path: "/hook/*", service: app, rewrite: { match: "^/hooked/", to: "/rewritten/" }, plugins: [moved] }
]]

local PLUGIN = [[
--- Moves requests.
local Moved = { version = "1.0.0", description = "Moves requests.", band = "filter" }
Moved.__index = Moved
function Moved.new() return setmetatable({}, Moved) end
function Moved:request(req) req:set_path("/hooked/" .. req.path:sub(7) .. "?by=plugin") end
function Moved:response(res, req) res:set_header("x-path", req.path) end
return Moved
]]

describe("a rewrite", function()
  local up, gw

  setup(function()
    up = upstream.by_path {}
    gw = gateway.start((CONFIG:gsub("NODE", up.node)), { plugins = { moved = PLUGIN } })
  end)
  teardown(function()
    gw:stop()
    up:stop()
  end)

  local function ask(target) return assert(client.ask(gw:port(), request { target = target })) end

  local rows = {
    -- target, what the upstream gets
    { "/old/a/b?x=1", "/new/a/b?x=1" },
    { "/old/", "/new/" },
    { "/old", "/old" },
    { "/old/a?", "/new/a?" },
    { "/part/v1/v1", "/part/v2/v1" },
    { "/part/v3?v1", "/part/v3?v1" },
    { "/named/2024/tide?q", "/tide/2024?q" },
    { "/named/24/tide", "/named/24/tide" },
    { "/swap/a/b/c", "/b/a0/$/swap/a/b/c" },
    { "/item/7?admin=1", "/item?id=7&fixed=1" },
    { "/item/7&admin=1;x+y", "/item?id=7%26admin%3D1%3Bx%2By&fixed=1" },
    { "/item/a%20b", "/item?id=a%20b&fixed=1" },
    { "/item/", "/item?id=&fixed=1" },
    { "/bare/x?a=1", "/x" },
    { "/slash", "/" },
    { "/slash?a", "/?a" },
    { "/slash/x", "/x" },
    { "/head/x", "/x" },
    { "/up/ab", "/..a/" },
    { "/umlaut/a", "/%C3%BC~/x/a" },
    { "/group/a", "/%3Ca%3E%3C%3E" },
    { "/group/b", "/%3C%3E%3Cb%3E" },
    { "/split/x", "/parted/x" },
    { "/hook/x", "/rewritten/x?by=plugin" },
  }
  for _, row in ipairs(rows) do
    it(("sends %s as %s"):format(row[1], row[2]), function()
      up:forget()
      assert.equal(200, ask(row[1]).status)
      assert.equal(row[2], up:last_request().target)
    end)
  end

  local refused = {
    { "/above/x", 400 },
    { "/odd/x", 400 },
    { "/grow/" .. ("x"):rep(4000), 414 },
    { "/slow/" .. ("a"):rep(60) .. "!", 500 },
  }
  for _, row in ipairs(refused) do
    it(("answers %s with %d"):format(row[1]:sub(1, 20), row[2]), function()
      assert.equal(row[2], ask(row[1]).status)
      assert.equal(200, ask("/old/x").status)
    end)
  end
end)

local BY_PATH = [[
services:
  users: { nodes: ["USERS"] }
  default: { nodes: ["DEFAULT"] }
  a-b_c.d: { nodes: ["USERS"] }
routes:
  - { path: "/*", service: "${segment.1:-default}" }
  - { path: "/v1/*", service: "${segment.2}", strip_prefix: /v1 }
  - { path: "/node/*", service: "${segment.2}", plugins: [own_node] }
]]

local OWN_NODE = [[
--- Sends requests to a node of its own.
local Own = { version = "1.0.0", description = "Sends requests to a node of its own.", band = "filter",
              schema = { url = { type = "string", default = "URL" } } }
Own.__index = Own
function Own.new(conf) return setmetatable({ url = conf.url }, Own) end
function Own:request(req) req:set_node(self.url) end
return Own
]]

describe("a service that the path names", function()
  local users, default, gw

  local function named(name)
    return upstream.by_path { default = function(conn, head)
      conn:read_body(head)
      conn:respond(200, name .. " " .. head.target)
    end }
  end

  setup(function()
    users, default = named "users", named "default"
    gw = gateway.start((BY_PATH:gsub("USERS", users.node):gsub("DEFAULT", default.node)),
                       { plugins = { own_node = (OWN_NODE:gsub("URL", "http://" .. default.node)) } })
  end)
  teardown(function()
    gw:stop()
    users:stop()
    default:stop()
  end)

  local function ask(target, ...)
    return assert(client.ask(gw:port(), request { target = target, headers = { ... } }))
  end

  local rows = {
    { "/users/7?q", "users /users/7?q" },
    { "/users", "users /users" },
    { "/users/", "users /users/" },
    { "/", "default /" },
    { "/?users", "default /?users" },
    { "/default", "default /default" },
    { "/a-b_c.d/x", "users /a-b_c.d/x" },
    { "/%75sers/x", "users /users/x" },
    { "/v1/users/7", "users /users/7" },
    { "/node/nobody", "default /node/nobody" },
  }
  for _, row in ipairs(rows) do
    it(("gets %s [P7]"):format(row[1]), function() assert.equal(row[2], ask(row[1]).body) end)
  end

  for target, name in pairs { ["/nobody/users"] = "nobody", ["/Users"] = "Users", ["/v1"] = "", ["/v1/"] = "",
                              ["/%22%5C'/x"] = "%22%5C'", ["/use"] = "use", ["/usersx"] = "usersx" } do
    it(("is none for %s [P8]"):format(target), function()
      local answer = ask(target)
      assert.same({ 404, ("Service '%s' not found"):format(name) }, { answer.status, answer.body })
      answer = ask(target, "Accept: application/json")
      assert.equal(404, answer.status)
      assert.equal(("Service '%s' not found"):format(name), require("cjson").decode(answer.body).error)
    end)
  end

  it("is told by explain", function()
    local _, text = gw:command("explain", "http://gate.test/users")
    assert.is_truthy(text:find("the service that segment 1 of the path names, default where it is empty", 1, true))
  end)
end)
