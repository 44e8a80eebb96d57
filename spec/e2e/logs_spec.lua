--- The access log and the error log [T101, G27, D10].
local cjson = require "cjson"
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local signal = require "posix.signal"
local upstream = require "support.upstream"

local function start(log, up)
  return gateway.start(([[
log: %s
services: { app: { nodes: ["%s"], retries: { attempts: 0 } } }
routes:
  - { name: fixed, path: /fixed, respond: { body: "fixed\n" } }
  - { name: all, path: "/*", service: app }
]]):format(log, up or upstream.nobody()))
end

--- The lines of a log, once there are at least n.
local function lines_of(file, n)
  local lines
  clock.wait_until(function()
    lines = {}
    for line in (files.read(file) or ""):gmatch("[^\n]+") do lines[#lines + 1] = line end
    return #lines >= n
  end, nil, n .. " lines in " .. file)
  return lines
end

local function ask(gw, r) return client.ask(gw:port(), client.request(r)) end

describe("the access log", function()
  it("writes JSON that tells what happened", function()
    local up = upstream.by_path {}
    local gw = start('{ access: [{ file: access.log, format: json }] }', up.node)
    ask(gw, { target = "/a?b=1", method = "POST", body = "12345",
              headers = { 'User-Agent: "quoted"\\ \t agent', "X-Request-Id: my-id" } })
    ask(gw, { target = "/fixed" })
    local lines = lines_of(gw.folder .. "/access.log", 2)
    local first, second = cjson.decode(lines[1]), cjson.decode(lines[2])
    assert.truthy(first.time:match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$"))
    local expected = { client_ip = "127.0.0.1", method = "POST", host = "gate.test", target = "/a?b=1",
                       version = "HTTP/1.1", status = 200, bytes_in = 5, bytes_out = 2, route = "all", service = "app",
                       upstream = up.node, retries = 0, tls = "-", request_id = "my-id",
                       user_agent = '"quoted"\\ \t agent', failure = "-" }
    for key, value in pairs(expected) do assert.equal(value, first[key], key) end
    assert.is_true(first.total >= first.first_byte and first.first_byte > 0 and first.connect >= 0)
    assert.equal("-", second.upstream)
    assert.equal("fixed", second.route)
    gw:stop()
  end)

  it("tells why a request failed", function()
    local gw = start('{ access: [{ file: access.log, format: json }] }')
    assert.equal(502, ask(gw, {}).status)
    local line = cjson.decode(lines_of(gw.folder .. "/access.log", 1)[1])
    assert.equal(502, line.status)
    assert.equal("upstream refused the connection", line.failure)
    gw:stop()
  end)

  local formats = {
    { "common", "format: common",
      '^127%.0%.0%.1 %- %- %[%d%d/%a%a%a/%d%d%d%d:%d%d:%d%d:%d%d %+0000%] "GET /fixed%?x HTTP/1%.1" 200 6$' },
    { "combined", "format: combined",
      '^127%.0%.0%.1 .* 200 6 "http://ref%.test/" "spec"$' },
    { "of its own", 'template: "${method} ${path} ${status} ${route} <${user_agent}> ${retries}"',
      "^GET /fixed 200 fixed <spec> 0$" },
  }
  for _, case in ipairs(formats) do
    it("writes the format " .. case[1], function()
      local gw = start(("{ access: [{ file: access.log, %s }] }"):format(case[2]))
      ask(gw, { target = "/fixed?x", headers = { "User-Agent: spec", "Referer: http://ref.test/" } })
      assert.matches(case[3], lines_of(gw.folder .. "/access.log", 1)[1])
      gw:stop()
    end)
  end

  it("cannot be forged: bytes that would end a line or a value are escaped", function()
    local gw = start('{ access: [{ file: access.log, format: json }, { file: plain.log, format: combined }] }')
    ask(gw, { target = "/fixed", headers = { 'User-Agent: x", "status": 1, "\195\164\t' } })
    local line = lines_of(gw.folder .. "/access.log", 1)[1]
    assert.equal(200, cjson.decode(line).status)
    assert.is_nil(line:find("[%z\1-\31\128-\255]"))
    assert.equal(1, #lines_of(gw.folder .. "/plain.log", 1))
    gw:stop()
  end)

  it("goes to a new file after a rotation [SIGUSR1]", function()
    local gw = start('{ access: [{ file: access.log, format: common }] }')
    local file = gw.folder .. "/access.log"
    ask(gw, { target = "/fixed" })
    lines_of(file, 1)
    assert(os.rename(file, file .. ".1"))
    gw:signal(signal.SIGUSR1)
    clock.wait_until(function()
      ask(gw, { target = "/fixed" })
      return files.read(file)
    end, nil, "the new file")
    gw:stop()
  end)

  it("loses lines and counts them when the disk is full, and requests go on", function()
    local gw = start('{ access: [{ file: /dev/full, format: common }] }')
    for _ = 1, 5 do assert.equal(200, ask(gw, { target = "/fixed" }).status) end
    clock.wait_until(function()
      local _, text = gw:status()
      return text:match("access log%s+5 lines, 5 lost")
    end, nil, "five lost lines to be counted")
    gw:wait_log "cannot write to the log file"
    gw:stop()
  end)

  it("makes the folder of its file", function()
    local gw = start('{ access: [{ file: logs/deep/access.log, format: common }] }')
    assert.equal(200, ask(gw, { target = "/fixed" }).status)
    lines_of(gw.folder .. "/logs/deep/access.log", 1)
    gw:stop()
  end)

  it("is not held up by a named pipe that nobody reads", function()
    local gw = start('{ access: [{ file: pipe, format: common }] }')
    os.execute(("rm -f '%s/pipe' && mkfifo '%s/pipe'"):format(gw.folder, gw.folder))
    gw:signal(signal.SIGUSR1)
    assert.equal(200, ask(gw, { target = "/fixed" }).status)
    assert.equal(0, (gw:reload()))
    assert.equal(200, ask(gw, { target = "/fixed" }).status)
    gw:stop()
  end)

  it("loses lines and counts them when its file cannot be opened", function()
    local gw = start('{ access: [{ file: tidegate.yaml/access.log, format: common }] }')
    assert.equal(200, ask(gw, { target = "/fixed" }).status)
    clock.wait_until(function()
      local _, text = gw:status()
      return text:match("1 lost")
    end, nil, "the lost line to be counted")
    gw:wait_log "cannot open the log file"
    gw:stop()
  end)
end)

describe("the error log", function()
  it("goes to its file, and each event is one line", function()
    local gw = start("{ level: info, error: error.log }")
    assert.equal(502, ask(gw, { target = "/%0d%0aforged" }).status)
    local lines = lines_of(gw.folder .. "/error.log", 1)
    local found
    for _, line in ipairs(lines) do found = found or line:match("warn  upstream: upstream refused the connection.*") end
    assert.truthy(found, table.concat(lines, "\n"))
    assert.truthy(found:find("service=app", 1, true))
    gw:stop()
  end)

  it("says what is wrong with a request that is refused, and who sent it", function()
    local up = upstream.by_path {}
    local gw = start("{ level: info }", up.node)
    local rows = {
      { "space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n" },
      { "two Content%-Length fields", client.request { headers = { "Content-Length: 1", "Content-Length: 1" } } },
      { "broken chunk or trailer", client.request { method = "POST", headers = { "Transfer-Encoding: chunked" } } ..
                                   "x\r\n" },
    }
    for _, row in ipairs(rows) do
      assert.equal(400, assert(client.ask(gw:port(), row[2])).status)
      gw:wait_log(('info  front: malformed message why="%s" client=127%%.0%%.0%%.1\n'):format(row[1]))
    end
    gw:stop()
  end)

  it("does not fill with refused requests: it counts them", function()
    local gw = start "{ level: info }"
    local began = clock.now()
    for _ = 1, 100 do assert.equal(400, assert(client.ask(gw:port(), "BROKEN\r\n\r\n")).status) end
    local told = select(2, gw:log():gsub("malformed message", ""))
    assert.truthy(told <= 10 * math.ceil(clock.now() - began + 1), told .. " lines")
    clock.wait_until(function()
      client.ask(gw:port(), "BROKEN\r\n\r\n")
      return gw:log():find "info  front: similar events were not told events=%d+\n"
    end, nil, "the number of those that were not told")
    gw:stop()
  end)

  it("leaves out what is below its level", function()
    local gw = start("{ level: error }")
    assert.equal(502, ask(gw, {}).status)
    assert.equal(0, (gw:reload()))
    assert.is_nil(gw:log():find("refused", 1, true))
    gw:stop()
  end)
end)
