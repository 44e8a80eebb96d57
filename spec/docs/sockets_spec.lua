--- What docs/sockets.md shows is so: its Lua runs in a gateway, and gives what stands behind each arrow.
local client = require "support.client"
local datagrams = require "support.datagrams"
local files = require "support.files"
local gateway = require "support.gateway"
local markdown = require "support.markdown"
local probe = require "support.probe"
local redis_server = require "support.redis_server"
local upstream = require "support.upstream"

local PAGE = "docs/sockets.md"

-- What the server of the page says to a line.
local SAYS = {
  ["colour?"] = "blue\n", record = "name => sea\n", hello = "hello\n",
  ["may GET /open"] = "yes\n", ["may GET /closed"] = "no\n",
}

-- In front of a block: what an arrow calls, with the text behind it.
local CHECK = [[
local wrong, count = {}, 0
local function check(wanted, ...)
  local found = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    found[i] = type(value) == "string" and ("%q"):format(value) or tostring(value)
  end
  count, found = count + 1, table.concat(found, ", ")
  if found ~= wanted then wrong[#wrong + 1] = wanted .. " is " .. found end
end
]]

--- The block as code that tells what is not as it says, and how many arrows it has.
local function checking(text)
  local code = ("\n" .. text):gsub("\n([^\n]-)%s+%-%-> ([^\n]*)", function(expression, wanted)
    return ("\ncheck(%q, %s)"):format(wanted, expression)
  end)
  return CHECK .. "do " .. code .. " end return wrong, count"
end

describe("Lua in docs/sockets.md", function()
  local up, udp, server, gw

  setup(function()
    up = upstream.start(function(conn)
      while true do
        local line = conn.reader:through("\n", 30)
        if not line then return end
        conn:send(SAYS[line:sub(1, -2)])
      end
    end)
    udp = datagrams.start(function(text) return text:upper() end)
    server = redis_server.start()
    gw = probe.start()
  end)
  teardown(function()
    gw:stop()
    up:stop()
    server:stop()
  end)

  --- The ports of the page as they are here.
  local function here(text)
    text = text:gsub("7000", up.port):gsub("7001", (upstream.nobody():match ":(%d+)")):gsub("7002", udp)
    return (text:gsub("6379", server.port):gsub("redis%.new%(%)", ("redis.new { port = %d }"):format(server.port)))
  end

  local function gateway_with(name, conf, text)
    local yaml = "plugins: [ { %s: { %s } } ]\nroutes: [{ path: \"/*\", respond: { body: own } }]\n"
    return gateway.start(yaml:format(name, conf), { plugins = { [name] = text } })
  end

  local function status(of, path)
    return assert(client.ask(of:port(), client.request { target = path, headers = { "X-Api-Key: a" } })).status
  end

  local plugins = {
    Policy = function(text)
      local g = gateway_with("policy", "port: " .. up.port, text)
      assert.same({ 200, 403 }, { status(g, "/open"), status(g, "/closed") })
      g:stop()
    end,
    Daily = function(text)
      local g = gateway_with("daily", ("port: %d, max: 2"):format(server.port), text)
      assert.same({ 200, 200, 429 }, { status(g, "/"), status(g, "/"), status(g, "/") })
      g:stop()
    end,
  }

  for _, block in ipairs(markdown.blocks(PAGE)) do
    local name = block.text:match "^%-%-%-.-\nlocal (%w+) ="
    it(("line %d: %s"):format(block.line, name or "does what it says"), function()
      if name then return plugins[name](block.text) end
      local _, arrows = block.text:gsub("%-%-> ", "")
      assert.equal(("{} | %d"):format(arrows), probe.run(gw, checking(here(block.text))))
    end)
  end

  it("names the options that there are", function()
    local page = files.read(PAGE)
    local tables = {}
    for rows in page:gmatch "\n| option [^\n]*\n[^\n]*\n(.-)\n\n" do tables[#tables + 1] = rows end
    local calls = {
      "tide.socket.connect { %s = {} }", "tide.socket.connect { tls = { %s = {} } }", "tide.redis.new { %s = {} }",
    }
    for i, call in ipairs(calls) do
      for names in ("\n" .. tables[i]):gmatch "\n| ([^|]*) |" do
        for name in names:gmatch "`([%w_]+)`" do
          local answer = probe.run(gw, ("return pcall(function() local x = %s end)"):format(call:format(name)))
          assert.is_nil(answer:find("there is no option", 1, true), name)
        end
      end
    end
  end)
end)
