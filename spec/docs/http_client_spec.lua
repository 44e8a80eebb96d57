--- What docs/http_client.md shows is so: its Lua runs in a gateway, and gives what stands behind each arrow.
local asking = require "support.asking"
local cjson = require "cjson"
local client = require "support.client"
local files = require "support.files"
local gateway = require "support.gateway"
local markdown = require "support.markdown"
local upstream = require "support.upstream"

local PAGE = "docs/http_client.md"

local CONFIG = [[
gateway: { threads: 1, grace: 1s }
routes: [{ path: "/*", respond: { body: own } }]
plugins: [ %s ]
]]

--- A plugin whose request hook is the block.
local function plugin(text)
  return ([[
--- Runs a block of the documentation.
local Block = { version = "1.0.0", description = "Runs a block of the documentation.", band = "filter" }
Block.__index = Block
function Block.new() return setmetatable({}, Block) end
function Block:request(req)
  local shown = {}
  local function text_of(...)
    local parts = {}
    for i = 1, select("#", ...) do
      local value = select(i, ...)
      parts[i] = value == nil and "nil" or tide.json.encode(value)
    end
    return table.concat(parts, ", ")
  end
  local function show(wanted, ...) shown[#shown + 1] = { wanted = wanted, found = text_of(...) } end
  do %s end
  return req:reply(200, tide.json.array(shown))
end
return Block
]]):format(text)
end

--- The block with its arrows made into calls of show.
local function with_shows(text)
  return (("\n" .. text):gsub("\n([^\n]-)%s+%-%-> ([^\n]*)", function(expression, result)
    return ("\nshow(%q, %s)"):format(result, expression)
  end))
end

describe("Lua in docs/http_client.md", function()
  local up

  setup(function()
    up = upstream.by_path {
      ["/users/7"] = function(conn, head)
        conn:read_body(head)
        conn:respond(200, '{"name":"bob"}', "Content-Type: application/json\r\n")
      end,
      ["/echo"] = upstream.echo,
      ["/slow"] = function(conn)
        conn:wait_end()
        return true
      end,
      ["/large"] = function(conn, head)
        conn:read_body(head)
        conn:respond(200, ("x"):rep(300000))
      end,
      ["/moved"] = function(conn, head)
        conn:read_body(head)
        conn:respond(302, "", "Location: /users/7\r\n")
      end,
      ["/directory"] = function(conn, head)
        conn:read_body(head)
        conn:respond(200, cjson.encode { node = head.target == "/directory?host=known.test" and head:get "host" and
                                                "http://" .. head:get "host" or nil })
      end,
    }
  end)

  teardown(function() up:stop() end)

  local function here(text) return (text:gsub("api%.test", up.node):gsub("nobody%.test", upstream.nobody())) end

  for _, block in ipairs(markdown.blocks(PAGE)) do
    local is_plugin = block.text:find "^%-%-%- "
    if block.language == "lua" and not is_plugin then
      it(("does what it says: line %d"):format(block.line), function()
        local gw = gateway.start(CONFIG:format "block", { plugins = { block = plugin(here(with_shows(block.text))) } })
        local response = assert(client.ask(gw:port(), client.request {}))
        assert.equal(200, response.status, gw:log())
        local shown = cjson.decode(response.body)
        assert.equal(select(2, block.text:gsub("%-%-> ", "")), #shown)
        for _, one in ipairs(shown) do assert.equal(one.wanted, one.found) end
        gw:stop()
      end)
    elseif block.language == "lua" then
      it(("is a plugin that works: line %d"):format(block.line), function()
        local use = ("{ directory: { url: 'http://%s/directory' } }"):format(up.node)
        local gw = gateway.start(CONFIG:format(use), { plugins = { directory = block.text } })
        local function ask(host)
          return assert(client.ask(gw:port(), client.request { target = "/users/7", host = host }))
        end
        assert.equal('{"name":"bob"}', ask("known.test").body)
        assert.equal("own", ask("other.test").body)
        gw:stop()
      end)
    end
  end
end)

describe("docs/http_client.md", function()
  local page = files.read(PAGE)

  it("names the options that there are", function()
    local gw = gateway.start(CONFIG:format "ask", { plugins = { ask = asking.PLUGIN } })
    local tables, n = {}, 0
    for rows in page:gmatch "\n| option [^\n]*\n[^\n]*\n(.-)\n\n" do tables[#tables + 1] = rows end
    for name in ("\n" .. tables[1]):gmatch "\n| `([%w_]+)` |" do
      local out = asking.ask(gw:port(), { [name] = false })
      assert.is_nil((out.raised or ""):find "there is no option", name)
      n = n + 1
    end
    for name in ("\n" .. tables[2]):gmatch "\n| `([%w_]+)` |" do
      local out = asking.ask(gw:port(), { url = "https://127.0.0.1:1/", tls = { [name] = 1 } })
      assert.is_truthy((out.raised or ""):find(name .. ": expected a ", 1, true), out.raised)
      n = n + 1
    end
    assert.equal(17, n)
    gw:stop()
  end)
end)
