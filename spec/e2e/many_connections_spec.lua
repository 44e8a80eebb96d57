--- Ten thousand connections that are kept open and idle [D41].
local client = require "support.client"
local clock = require "support.clock"
local gateway = require "support.gateway"
local resource = require "posix.sys.resource"

local WANTED = gateway.sanitized and 1000 or 10000      -- a sanitizer takes ten times the time and memory
local SPARE = 500                                       -- descriptors for all else that a process has open
local AT_ONCE = 100

--- As many connections as the machine's limit of open files lets us and the gateway have.
local function affordable()
  local limit = resource.getrlimit(resource.RLIMIT_NOFILE)
  limit.rlim_cur = limit.rlim_max
  assert(resource.setrlimit(resource.RLIMIT_NOFILE, limit))
  if limit.rlim_max < 0 or limit.rlim_max >= WANTED + SPARE then return WANTED end      -- below 0: no limit
  local count = limit.rlim_max - SPARE
  io.write(("\nonly %d idle connections: the hard limit of open files is %d (ulimit -Hn)\n"):format(count,
                                                                                              limit.rlim_max))
  return count
end

describe("ten thousand idle connections", function()
  local gw, count

  setup(function()
    count = affordable()
    gw = gateway.start("timeouts: { idle: 60s }\nroutes: [{ path: '/*', respond: { body: 'ok' } }]\n")
  end)

  teardown(function() gw:stop() end)

  local function ask(connections)
    for _, c in ipairs(connections) do c:send(client.request {}) end
    for _, c in ipairs(connections) do assert.equal("ok", assert(c:response()).body) end
  end

  --- Seconds that somebody else waits for a response.
  local function others_wait()
    local start = clock.now()
    assert.equal("ok", assert(client.ask(gw:port(), client.request {})).body)
    return clock.now() - start
  end

  it("cost little each, let others be served meanwhile, and are served again", function()
    others_wait()
    local before, batches, longest = gw:memory(), {}, 0
    for first = 1, count, AT_ONCE do
      local batch = {}
      for i = 1, math.min(AT_ONCE, count - first + 1) do batch[i] = client.connect(gw:port()) end
      ask(batch)
      batches[#batches + 1] = batch
      longest = math.max(longest, others_wait())
    end
    local each = (gw:memory() - before) / count
    assert.truthy(each < 1024 or gateway.sanitized, each .. " bytes each")
    for _, batch in ipairs(batches) do
      ask(batch)
      longest = math.max(longest, others_wait())
    end
    assert.truthy(longest < 2, "others waited " .. longest .. " s")
    local _, status = gw:status()
    assert.truthy(status:find(("%d open"):format(count), 1, true), status)
    for _, batch in ipairs(batches) do
      for _, c in ipairs(batch) do c:reset() end        -- no port stays taken for a minute
    end
    clock.wait_until(function() return select(2, gw:status()):find("%f[%d]0 open") end, nil, "them to be gone")
  end)
end)
