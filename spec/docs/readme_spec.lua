--- What README and docs show is so: configurations load, commands say what is printed, names exist.
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local markdown = require "support.markdown"
local processes = require "support.processes"
local shell = require "support.shell"
local signal = require "posix.signal"
local wire = require "support.wire"

local PAGES = { "README.md" }
for page in shell.must("ls docs/*.md"):gmatch "[^\n]+" do PAGES[#PAGES + 1] = page end

local function tidegate() return os.getenv "TIDEGATE" or "build/tidegate" end

--- Ports that nobody has at the moment, all different.
local function free_ports(n)
  local ports, fds = {}, {}
  for i = 1, n do
    local port
    fds[i], port = wire.listen {}
    ports[i] = tostring(port)
  end
  for _, fd in ipairs(fds) do wire.close(fd) end
  table.sort(ports)
  return ports
end

-- The configurations of the tutorial need the plugin that is written there: plugins_spec.lua.
local OWN = { ["docs/plugins.md"] = true }

--- Whether a block is a whole configuration, and no piece of one.
local function is_whole(block) return block.language == "yaml" and ("\n" .. block.text):find "\nlisten:" ~= nil end

--- The plugins that a page shows, with the names of their files.
local function write_plugins(folder, page)
  os.execute("mkdir " .. folder .. "/plugins")
  for _, block in ipairs(markdown.blocks(page)) do
    local name = block.text:match "^%-%- (plugins/[%w_]+%.lua)\n"
    if name then files.write(folder .. "/" .. name, block.text) end
  end
end

describe("a configuration in the documentation", function()
  for _, page in ipairs(PAGES) do
    for _, block in ipairs(markdown.blocks(page)) do
      if is_whole(block) and not OWN[page] then
        it(("loads: %s:%d"):format(page, block.line), function()
          local folder = files.folder()
          files.write(folder .. "/tidegate.yaml", block.text)
          write_plugins(folder, page)
          local text, code = shell.run(tidegate() .. " check -c " .. folder .. "/tidegate.yaml")
          assert.equal(0, code, text)
        end)
      end
    end
  end
end)

describe("a link in the documentation", function()
  for _, page in ipairs(PAGES) do
    it("leads somewhere: " .. page, function()
      local folder = page:match "^(.*/)" or ""
      for target in files.read(page):gmatch "%]%(([^)#]+)[^)]*%)" do
        if not target:find "^https?:" then
          assert.is_truthy(io.open(folder .. target) or nil, page .. ": " .. target)
        end
      end
    end)
  end
end)

describe("a file named in docs/architecture.md", function()
  it("is there", function()
    for _, prefix_and_name in ipairs { { "src/", "`(%l+/[%w_]+%.[ch])" }, { "", "`(src/%l+/[%w_]+%.[ch])" },
                                       { "", "`(lua/[%w_/]+%.lua)" } } do
      for name in files.read("docs/architecture.md"):gmatch(prefix_and_name[2]) do
        local path = name:find "^src/" and name or prefix_and_name[1] .. name
        assert.is_truthy(files.read(path), path)
      end
    end
  end)
end)

describe("the README's walk-through", function()
  local blocks = markdown.blocks "README.md"
  local ports, demo

  --- Ports 9001 to 9003 and 8080 may be taken here: others stand in for them.
  local function here(text)
    return (text:gsub("900(%d)", function(i) return ports[tonumber(i)] end):gsub("8080", ports[4]))
  end

  setup(function()
    ports = free_ports(4)
    local env = { PORTS = table.concat(ports, " ", 1, 3), GATEWAY_PORT = ports[4], TIDEGATE = tidegate() }
    local pid, out = shell.start("exec sh conf/demo/run.sh", { env = env })
    demo = { pid = pid, out = out }
    clock.wait_until(function()
      if processes.ended(pid) then error("the demo ended:\n" .. files.read(out)) end
      return (files.read(out) or ""):find "Ctrl%-C ends all"
    end, 30, "the demo")
  end)

  teardown(function()
    if demo then
      processes.kill(demo.pid, signal.SIGTERM)
      processes.join(demo.pid, 20)
    end
  end)

  it("begins with a clone and make demo", function()
    assert.equal("git clone <this repository> tidegate\ncd tidegate\nmake demo\n", blocks[1].text)
    assert.is_truthy(files.read("Makefile"):find("\ndemo:.-sh conf/demo/run%.sh"))
  end)

  it("asks the upstreams in turn and by weight, and prints what the README says", function()
    assert.equal("sh", blocks[2].language)
    assert.equal("text", blocks[3].language)
    assert.equal(here(blocks[3].text), shell.must(here(blocks[2].text)))
  end)

  it("goes on without errors when an upstream is ended, as the demo says", function()
    local first = tonumber(files.read(demo.out):match("%f[%d]" .. ports[1] .. " %(pid (%d+)"))
    signal.kill(first, signal.SIGTERM)
    clock.wait_until(function() return signal.kill(first, 0) ~= 0 end, nil, "the end of the upstream")
    local seen = {}
    for port in shell.must(here("for i in 1 2 3 4 5 6; do curl -sS localhost:8080; done")):gmatch "%d+" do
      seen[port] = (seen[port] or 0) + 1
    end
    assert.is_nil(seen[ports[1]])
    assert.is_true(seen[ports[2]] >= 2 and seen[ports[3]] >= 2)
    assert.equal(6, seen[ports[2]] + seen[ports[3]])
  end)

  it("ends all processes", function()
    local pids = {}
    for pid in files.read(demo.out):gmatch "%(pid (%d+)%)" do pids[#pids + 1] = tonumber(pid) end
    assert.equal(4, #pids)
    processes.kill(demo.pid, signal.SIGTERM)
    assert.equal(0, processes.join(demo.pid, 20))
    demo = nil
    for _, pid in ipairs(pids) do assert.is_truthy(signal.kill(pid, 0) ~= 0, "process " .. pid .. " is still there") end
  end)
end)

describe("the README's error", function()
  it("is what check prints", function()
    local wanted
    for _, block in ipairs(markdown.blocks "README.md") do
      if block.text:find "did you mean" then wanted = block.text end
    end
    local folder = files.folder()
    local smallest
    for _, block in ipairs(markdown.blocks "README.md") do
      if block.language == "yaml" then smallest = smallest or block.text end
    end
    files.write(folder .. "/tidegate.yaml", (smallest:gsub("service: app", "servce: app")))
    local binary = shell.must("realpath " .. tidegate()):gsub("\n", "")
    assert.equal(wanted, (shell.run(binary .. " check", { folder = folder })))
  end)
end)

describe("the README's plugin", function()
  local gw
  setup(function()
    local plugin
    for _, block in ipairs(markdown.blocks "README.md") do
      if block.language == "lua" then plugin = block.text end
    end
    local name = plugin:match "^%-%-%- plugins/([%l_]+)%.lua: "
    gw = gateway.start([[
routes:
  - { path: /plain, respond: {}, plugins: [greet] }
  - { path: /, respond: {}, plugins: [{ greet: { word: Hi } }] }
]], { plugins = { [name] = plugin } })
  end)
  teardown(function() gw:stop() end)

  it("greets as the README says", function()
    assert.is_truthy(files.read("README.md"):find("`curl localhost:8080/?name=Anna` says\n`Hi, Anna!`", 1, true))
    assert.equal("Hi, Anna!\n", client.ask(gw:port(), client.request { target = "/?name=Anna" }).body)
    assert.equal("Hello, world!\n", client.ask(gw:port(), client.request { target = "/plain" }).body)
  end)
end)

describe("make run", function()
  local gw
  setup(function()
    gw = gateway.start((files.read("conf/tidegate.yaml"):gsub("working_dir: %.%.", "threads: 1, grace: 1s")
                                                        :gsub('%[":8080"%]', '["127.0.0.1:0"]')))
  end)
  teardown(function() gw:stop() end)

  it("starts conf/tidegate.yaml", function()
    assert.is_truthy(files.read("Makefile"):find "\nrun:.-tidegate run %-c conf/tidegate%.yaml")
  end)

  it("says hello and how to go on", function()
    local hello = client.ask(gw:port(), client.request {})
    assert.equal(200, hello.status)
    assert.is_truthy(hello.body:find "Hello from Tidegate")
  end)

  it("echoes", function()
    local echo = client.ask(gw:port(), client.request { method = "POST", target = "/echo", body = "some text" })
    assert.is_truthy(echo.body:find "^POST /echo HTTP/1.1")
    assert.is_truthy(echo.body:find "some text$")
  end)
end)

describe("docs/routing.md", function()
  local config, gw
  setup(function()
    for _, block in ipairs(markdown.blocks "docs/routing.md") do
      if block.language == "yaml" then config = config or block.text end
    end
    gw = gateway.start((config:gsub('listen: %[":8080"%]', 'listen: ["127.0.0.1:0"]')))
  end)
  teardown(function() gw:stop() end)

  local rows = files.read("docs/routing.md")
  for request, route in rows:gmatch "\n| `(%u+ [^`]+)` | (%l+) |" do
    it(("sends %s to %s"):format(request, route), function()
      local method, host, path = request:match "^(%u+) ([^/]+)(/.*)$"
      local answer = client.ask(gw:port(), client.request { method = method, host = host, target = path })
      assert.equal(route .. "\n", answer.body)
    end)
  end
end)

describe("docs/operations.md", function()
  it("names every command of the command line", function()
    local page = files.read "docs/operations.md"
    for name in shell.must(tidegate() .. " --help"):match("Commands:\n(.*)"):gmatch "\n?%s+(%l+)%s+%u[^\n]+" do
      assert.is_truthy(page:find("tidegate " .. name, 1, true), name)
    end
  end)

  it("shows the status as it is", function()
    local gw = gateway.start "routes: [{ path: /, respond: {} }]"
    local _, text = gw:status()
    gw:stop()
    local function shape(status)
      return (status:gsub("for [^\n]+", "for"):gsub("%d+%.?%d*", "0"):gsub("0 [KMGT]?i?B", "B"))
    end
    local shown
    for _, block in ipairs(markdown.blocks "docs/operations.md") do
      if block.text:find "^tidegate .*running for" then shown = block.text end
    end
    assert.equal(shape(shown), shape(text))
  end)
end)
