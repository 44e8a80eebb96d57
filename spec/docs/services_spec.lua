--- docs/services.md: its configurations are good and do what the page says, and its commands run.
local black_hole = require "support.black_hole"
local client = require "support.client"
local clock = require "support.clock"
local configuration = require "support.configuration"
local gateway = require "support.gateway"
local markdown = require "support.markdown"
local upstream = require "support.upstream"

local PAGE = "docs/services.md"

local function blocks(language)
  local list = {}
  for _, block in ipairs(markdown.blocks(PAGE)) do
    if block.language == language then list[#list + 1] = block end
  end
  return list
end

local function configured(name)
  for _, block in ipairs(blocks "yaml") do
    if block.text:find("# " .. name .. ":", 1, true) == 1 then return block.text end
  end
  error("no configuration " .. name)
end

describe("docs/services.md", function()
  for _, block in ipairs(blocks "yaml") do
    it(("has a good configuration in line %d"):format(block.line), function()
      local result = configuration.load(block.text)
      assert.equal("", result.report:text())
    end)
  end

  local gw, nodes

  before_each(function()
    nodes = {}
    for i = 1, 3 do
      nodes[i] = upstream.by_path { default = function(conn, head)
        conn:read_body(head)
        conn:respond(200, "node " .. i)
      end }
    end
  end)

  after_each(function()
    if gw then gw:stop() end
    gw = nil
    for _, up in ipairs(nodes) do up:stop() end
  end)

  --- Starts a gateway with a configuration of the page; a node with the port 9009 listens nowhere.
  local function start(name, change)
    local text = configured(name):gsub('listen: %b[]', 'listen: ["127.0.0.1:0"]')
    text = change and text:gsub(change[1], change[2]) or text
    text = text:gsub("127%.0%.0%.1:900(%d)", function(i)
      return nodes[tonumber(i)] and nodes[tonumber(i)].node or upstream.nobody()
    end)
    gw = gateway.start(text)
  end

  local function ask(headers)
    return assert(client.ask(gw:port(), client.request { headers = headers }))
  end

  it("gives the second node one request of four", function()
    start "several.yaml"
    local counts = { ["node 1"] = 0, ["node 2"] = 0 }
    for _ = 1, 40 do
      local body = ask().body
      counts[body] = counts[body] + 1
    end
    assert.same({ ["node 1"] = 30, ["node 2"] = 10 }, counts)
  end)

  it("keeps a user's requests at a node", function()
    start "hashed.yaml"
    for user = 1, 5 do
      local first = ask({ "X-User: " .. user }).body
      for _ = 1, 5 do assert.equal(first, ask({ "X-User: " .. user }).body) end
    end
  end)

  it("shows the line of the log, and the table of the status", function()
    start("health.yaml", { "9002", "9009" })
    for _ = 1, 6 do ask() end
    local shown = blocks ""
    local line = shown[1].text:gsub("127%.0%.0%.1:%d+", "NODE"):gsub("\n", "")
    gw:wait_log "health: node is"
    local said = gw:log():match "[^\n]*health: node is[^\n]*":gsub("^%S+ ", ""):gsub("127%.0%.0%.1:%d+", "NODE")
    assert.equal(line, said)
    local command = blocks("sh")[1].text:match "^tidegate (%S+ %S+) %-c health.yaml\n$"
    local code, text = gw:command(command:match "^(%S+) (%S+)$")
    assert.equal(0, code)
    assert.equal(shown[2].text:match("^[^\n]*"):gsub("%s+", " "), text:match("^[^\n]*"):gsub("%s+", " "))
    assert.truthy(text:find "ejected")
  end)

  it("does not wait for a node that says nothing", function()
    local hole = black_hole.open()
    start("unreachable.yaml", { "127.0.0.1:9002", hole.node })
    local longest = 0
    for _ = 1, 4 do
      local began = clock.now()
      assert.equal("node 1", ask().body)
      longest = math.max(longest, clock.now() - began)
    end
    assert.truthy(longest >= 0.1 and longest < 0.9, longest)
    hole:close()
  end)

  it("keeps a client at a node by a cookie", function()
    start "sticky.yaml"
    local res = ask()
    local seat = res:get("set-cookie"):match "^(seat=%x+);.*Max%-Age=3600"
    for _ = 1, 5 do assert.equal(res.body, ask({ "Cookie: " .. seat }).body) end
  end)
end)
