--- Reloads on bad days: whatever is changed, saved, lost or told in the middle, connections stay, the last save counts.
local certificates = require "support.certificates"
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local load = require "support.load"
local signal = require "posix.signal"
local upstream = require "support.upstream"

local request = client.request

local UPGRADE = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: spec\r\n\r\n"

local STILL = "still there"

--- The parts of a configuration by name, so that a spec can change one.
local function text_of(parts)
  return table.concat({
    "gateway: { threads: 2, grace: 1s }\n", "listen: ", parts.listen or '["127.0.0.1:0"]', "\n", "limits: ",
    parts.limits or "{}", "\n", "plugins: ", parts.plugins or "[]", "\n", "services: { app: ", parts.app, " }\n",
    "routes:\n  - { path: /version, respond: { body: \"", parts.version or "1", "\" } }\n",
    "  - { path: \"/*\", service: app }\n", parts.routes or "",
  })
end

describe("a reload", function()
  local up, gw

  setup(function()
    up = upstream.by_path {
      ["/tunnel"] = function(conn, head)
        conn:read_body(head)
        conn:send(UPGRADE)
        conn:send(conn.reader:exactly(#STILL, 30) or "")
        return true
      end,
    }
  end)

  local function text(parts)
    parts.app = parts.app or ("{ nodes: [\"%s\"] }"):format(up.node)
    return text_of(parts)
  end

  before_each(function() gw = gateway.start(text {}, { plugins = { stamp = [[
return { version = "1.0.0", band = "filter", response = function(_, _, res) res:set_header("x-stamp", "1") end }
]] } }) end)

  after_each(function() gw:stop() end)

  local function version()
    local response = client.ask(gw:port(), request { target = "/version" })
    return response and response.body
  end

  local function wait_version(wanted)
    clock.wait_until(function() return version() == wanted end, nil, "version " .. wanted)
  end

  --- What is open while something changes: each is used before and after.
  local function open_all()
    local open = {}
    for _, name in ipairs { "kept", "tunnel", "half" } do open[name] = client.connect(gw:port()) end
    open.kept:send(request { target = "/version" })
    assert.equal(200, open.kept:response().status)
    open.tunnel:send(request { target = "/tunnel", headers = { "Connection: Upgrade", "Upgrade: spec" } })
    assert.equal(101, open.tunnel:head().status)
    open.half:send "GET /version HTTP/1.1\r\nHost: half"
    return open
  end

  local function check_all(open)
    open.kept:send(request { target = "/version" })
    assert.equal(200, assert(open.kept:response()).status)
    open.tunnel:send(STILL)
    assert.equal(STILL, open.tunnel.reader:exactly(#STILL, 10))
    open.half:send "-sent\r\n\r\n"
    assert.equal(200, assert(open.half:response()).status)
    for _, connection in pairs(open) do connection:close() end
  end

  local changes = {
    { "a listener", function() return { listen = '["127.0.0.1:0", "unix:more.sock"]' } end },
    { "a route", function() return { routes = "  - { path: /more, respond: { body: more } }\n" } end },
    { "a service", function() return { app = ("{ nodes: [\"%s\", \"127.0.0.1:1\"], timeouts: { connect: 1s } }"):format(
      up.node) } end },
    { "a plugin", function() return { plugins = "[ stamp ]" } end },
    { "a limit", function() return { limits = "{ head: 16KiB, headers: 50, connections: 5000 }" } end },
    { "a timeout of clients", function() return { limits = "{}\ntimeouts: { idle: 60s }" } end },
  }
  for _, case in ipairs(changes) do
    it("that changes " .. case[1] .. " closes no connection: kept, upgraded or half-sent", function()
      local open = open_all()
      local parts = case[2]()
      parts.version = "2"
      gw:write(text(parts))
      local code, told = gw:reload()
      assert.equal(0, code, told)
      assert.equal("2", version())
      check_all(open)
    end)
  end

  it("that brings another certificate closes no connection", function()
    local authority = certificates.authority()
    local function place(name)
      local pair = certificates.sign(authority, name, "DNS:" .. name)
      os.execute(("cp '%s' '%s/c.pem' && cp '%s' '%s/k.pem'"):format(pair.cert, gw.folder, pair.key, gw.folder))
    end
    place "one.example.com"
    local tls = '{ address: "unix:tls.sock", tls: { certificates: [{ cert: c.pem, key: k.pem }] } }'
    gw:write(text { listen = ('["127.0.0.1:0", %s]'):format(tls) })
    assert.equal(0, (gw:reload()))
    local open = open_all()
    place "two.example.com"
    assert.equal(0, (gw:reload()))
    check_all(open)
  end)

  it("that fails leaves everything open, and is told with its errors", function()
    local open = open_all()
    gw:write("limits: { head: enormous }\nroutes: [{ path: 5 }]\n")
    local code, told = gw:reload()
    assert.equal(1, code)
    assert.truthy(told:find("limits.head: expected", 1, true), told)
    assert.truthy(told:find("routes[1]", 1, true), told)
    check_all(open)
    assert.equal("1", version())
  end)

  it("is not missed where a save comes during another", function()
    for i = 2, 21 do gw:write(text { version = tostring(i) }) end
    assert.equal(0, (gw:reload()))
    wait_version "21"
  end)

  it("ends in the last of 100 saves in quick succession, without failing a request", function()
    local asking = load.start { to = gw:port(), target = "/version", clients = 2 }
    for i = 2, 101 do gw:write(text { version = tostring(i) }) end
    wait_version "101"
    assert.same({}, select(2, asking:stop()))
  end)

  it("happens where the file becomes a link, and where the link is turned", function()
    for i, name in ipairs { "blue.yaml", "green.yaml" } do
      files.write(gw.folder .. "/" .. name, text { version = tostring(i + 1) })
      assert(os.execute(("ln -s %s %s.new && mv -T %s.new %s"):format(name, gw.file, gw.file, gw.file)) == 0)
      wait_version(tostring(i + 1))
    end
    files.write(gw.folder .. "/green.yaml", text { version = "4" })
    wait_version "4"
  end)

  it("happens where the file is deleted and comes back", function()
    os.remove(gw.file)
    gw:wait_log "cannot be read"
    assert.equal("1", version())
    gw:write(text { version = "2" })
    wait_version "2"
  end)

  it("is refused where the file may not be read any more, and happens where it may again", function()
    files.write(gw.folder .. "/inner.txt", "one")
    gw:write(text { version = "${file:inner.txt}" })
    wait_version "one"
    os.remove(gw.folder .. "/inner.txt")
    assert(os.execute(("mkdir '%s/inner.txt'"):format(gw.folder)) == 0)       -- as unreadable for root as for others
    gw:wait_log "configuration refused"
    assert.equal("one", version())
    assert(os.execute(("rmdir '%s/inner.txt'"):format(gw.folder)) == 0)
    files.write(gw.folder .. "/inner.txt", "two")
    wait_version "two"
  end)

  it("takes signals that come during another", function()
    for i = 2, 11 do
      gw:write(text { version = tostring(i) })
      gw:signal(signal.SIGHUP)
      gw:signal(signal.SIGHUP)
    end
    wait_version "11"
    assert.equal(0, (gw:status()))
  end)

  it("is in force in the end where the binary is upgraded meanwhile", function()
    local asking = load.start { to = gw:port(), target = "/version", clients = 2 }
    local worker = gw:worker_pid()
    gw:write(text { version = "2" })
    gw:signal(signal.SIGUSR2)
    gw:write(text { version = "3" })
    clock.wait_until(function()
      local now = gw:worker_pid()
      return now and now ~= worker and files.read("/proc/" .. worker .. "/stat") == nil
    end, 20, "the old worker to be gone")
    wait_version "3"
    assert.same({}, select(2, asking:stop()))
  end)
end)
