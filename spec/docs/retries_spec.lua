--- docs/retries.md: its configurations are good and do what the page says.
local client = require "support.client"
local configuration = require "support.configuration"
local gateway = require "support.gateway"
local markdown = require "support.markdown"
local upstream = require "support.upstream"

local PAGE = "docs/retries.md"

local function configurations()
  local list = {}
  for _, block in ipairs(markdown.blocks(PAGE)) do
    if block.language == "yaml" then list[#list + 1] = block end
  end
  return list
end

local function configured(name)
  for _, block in ipairs(configurations()) do
    if block.text:find("# " .. name .. ":", 1, true) == 1 then return block.text end
  end
  error("no configuration " .. name)
end

describe("docs/retries.md", function()
  for _, block in ipairs(configurations()) do
    it(("has a good configuration in line %d"):format(block.line), function()
      assert.equal("", configuration.load(block.text).report:text())
    end)
  end

  local gw, nodes

  before_each(function() nodes = {} end)

  after_each(function()
    if gw then gw:stop() end
    gw = nil
    for _, up in ipairs(nodes) do up:stop() end
  end)

  --- Starts a gateway with a configuration of the page, and nodes that do such things.
  local function start(name, deeds)
    for i, deed in ipairs(deeds) do nodes[i] = upstream.by_path { default = deed } end
    gw = gateway.start((configured(name):gsub('listen: %b[]', 'listen: ["127.0.0.1:0"]')
      :gsub("127%.0%.0%.1:900(%d)", function(i) return nodes[tonumber(i)].node end)))
  end

  it("asks another node than one that hangs, or is busy", function()
    start("retries.yaml", {
      function(conn) conn:wait_end() return true end,
      upstream.with "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
      upstream.ok,
    })
    for _ = 1, 4 do assert.equal(200, client.ask(gw:port(), client.request {}).status) end
  end)

  it("asks a second node where the first takes its time", function()
    start("hedge.yaml", { function(conn) conn:wait_end() return true end, upstream.ok })
    for _ = 1, 2 do assert.equal(200, client.ask(gw:port(), client.request {}).status) end
  end)

  it("tells nodes how long they have", function()
    local function tell(conn, head)
      conn:read_body(head)
      conn:respond(200, head:get "x-request-timeout")
    end
    start("deadline.yaml", { tell, tell })
    local function ask(headers) return client.ask(gw:port(), client.request { headers = headers }).body end
    assert.truthy(ask {}:find "^[12]%.%d%d%d$")
    assert.truthy(ask { "X-Request-Timeout: 250ms" }:find "^0%.2%d%d$")
  end)
end)
