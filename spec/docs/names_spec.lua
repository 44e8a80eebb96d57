--- docs/names.md: its configurations are good and do what the page says.
local client = require "support.client"
local configuration = require "support.configuration"
local dns_server = require "support.dns_server"
local files = require "support.files"
local gateway = require "support.gateway"
local markdown = require "support.markdown"
local upstream = require "support.upstream"

local PAGE = "docs/names.md"

local function configured(name)
  for _, block in ipairs(markdown.blocks(PAGE)) do
    if block.text:find("# " .. name .. ":", 1, true) == 1 then return block.text end
  end
  error("no configuration " .. name)
end

describe(PAGE, function()
  for _, block in ipairs(markdown.blocks(PAGE)) do
    if block.language == "yaml" then
      it(("has a good configuration in line %d"):format(block.line), function()
        assert.same({}, configuration.load(block.text).report.errors)     -- a file of nodes may be missing
      end)
    end
  end

  local gw, dns, nodes

  before_each(function()
    dns = dns_server.start {}
    nodes = {}
    for i = 1, 2 do
      nodes[i] = upstream.start(function(conn)
        while conn:read_request() do conn:respond(200, "node " .. i) end
      end, { address = "0.0.0.0" })
    end
  end)

  after_each(function()
    if gw then gw:stop() end
    gw = nil
    dns:stop()
    for _, up in ipairs(nodes) do up:stop() end
  end)

  local function start(name, more)
    local text = configured(name):gsub("listen: %b[]", 'listen: ["127.0.0.1:0"]')
      :gsub("127%.0%.0%.1:5300", dns:address())
    gw = gateway.start((text:gsub(":900(%d)", function(i) return ":" .. nodes[tonumber(i)].port end)), more)
  end

  local function counts(times, target)
    local found = {}
    for _ = 1, times do
      local body = assert(client.ask(gw:port(), client.request { target = target })).body
      found[body] = (found[body] or 0) + 1
    end
    return found
  end

  it("finds nodes by SRV records and by a file", function()
    local list
    for _, block in ipairs(markdown.blocks(PAGE)) do
      if block.language == "json" then list = block.text end
    end
    dns:set {
      ["_http._tcp.users.internal"] = { SRV = { { 1, 1, nodes[1].port, "a.internal" } } },
      ["a.internal"] = { A = { "127.0.0.2" } },
    }
    start("found.yaml", { files = { ["orders.json"] = list:gsub(":900%d", ":" .. nodes[1].port) } })
    assert.same({ ["node 1"] = 4 }, counts(4, "/users/"))
    assert.same({ ["node 1"] = 16, ["node 2"] = 4 }, counts(20, "/orders/"))
  end)

  it("gives each address of a name its weight", function()
    dns:set { ["app.internal"] = { A = { "127.0.0.2", "127.0.0.3", "127.0.0.4" }, ttl = 60 } }
    start "named.yaml"
    assert.same({ ["node 1"] = 18, ["node 2"] = 2 }, counts(20))
    local _, text = gw:command("status", "--nodes")
    assert.matches("app%.internal +3 ", text)
    assert.is_nil(files.read(gw.err):find "cannot resolve")
  end)
end)
