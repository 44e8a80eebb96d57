--- The systemd unit, and what the gateway tells a service manager.
local clock = require "support.clock"
local files = require "support.files"
local processes = require "support.processes"
local shell = require "support.shell"
local signal = require "posix.signal"
local socket = require "posix.sys.socket"
local poll = require "posix.poll"

describe("conf/tidegate.service", function()
  local sections, current = {}, nil
  for line in files.read("conf/tidegate.service"):gmatch "[^\n]+" do
    local name = line:match "^%[(%a+)%]$"
    if name then
      current = name
      sections[name] = {}
    elseif not line:find "^#" then
      local key, value = line:match "^(%u%a+)=(.*)$"
      assert(key, "not a line of a unit: " .. line)
      sections[current][key] = value
    end
  end

  it("has the three sections", function()
    assert.is_truthy(sections.Unit and sections.Service and sections.Install)
  end)

  it("waits for the gateway's word that it is ready", function()
    assert.equal("notify", sections.Service.Type)
  end)

  it("runs, and reloads, the installed gateway", function()
    assert.equal("/usr/local/bin/tidegate run -c /etc/tidegate/tidegate.yaml", sections.Service.ExecStart)
    assert.equal("/usr/local/bin/tidegate reload -c /etc/tidegate/tidegate.yaml", sections.Service.ExecReload)
  end)

  it("lets the supervisor stop its worker itself", function()
    assert.equal("mixed", sections.Service.KillMode)
  end)

  it("may bind low ports and do nothing else of root's", function()
    assert.equal("CAP_NET_BIND_SERVICE", sections.Service.AmbientCapabilities)
    assert.equal("CAP_NET_BIND_SERVICE", sections.Service.CapabilityBoundingSet)
    assert.equal("yes", sections.Service.NoNewPrivileges)
    assert.equal("strict", sections.Service.ProtectSystem)
    assert.is_nil(sections.Service.MemoryDenyWriteExecute)
  end)

  it("is what systemd understands, where there is systemd", function()
    if os.execute "command -v systemd-analyze > /dev/null" ~= 0 then return end
    local folder = files.folder()
    local binary = shell.must("realpath " .. (os.getenv "TIDEGATE" or "build/tidegate")):gsub("\n", "")
    files.write(folder .. "/tidegate.service",
                (files.read("conf/tidegate.service"):gsub("/usr/local/bin/tidegate", binary)))
    local text, code = shell.run(("systemd-analyze verify %s/tidegate.service"):format(folder))
    assert.equal(0, code, text)
    assert.is_nil(text:find "Unknown", text)
  end)
end)

describe("a service manager", function()
  it("hears that the gateway is ready, and that it stops", function()
    local folder = files.folder()
    files.write(folder .. "/tidegate.yaml",
                'listen: ["127.0.0.1:0"]\ngateway: { threads: 1, grace: 1s }\nroutes: [{ path: /, respond: {} }]\n')
    local fd = assert(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM, 0))
    assert(socket.bind(fd, { family = socket.AF_UNIX, path = folder .. "/notify" }))
    local function heard()
      assert.equal(1, poll.rpoll(fd, 20000))
      return socket.recv(fd, 4096)
    end
    local binary = os.getenv "TIDEGATE" or "build/tidegate"
    local pid = shell.start(("exec %s run -c %s/tidegate.yaml"):format(binary, folder),
                            { env = { NOTIFY_SOCKET = folder .. "/notify" } })
    assert.equal("READY=1", heard())
    processes.kill(pid, signal.SIGTERM)
    assert.equal("STOPPING=1", heard())
    assert.equal(0, processes.join(pid, 20))
    clock.wait_until(function() return not files.read(folder .. "/run/tidegate.pid") end, 5, "the end of the pid file")
  end)
end)
