--- The proxies that are compared: how each is configured, started, and known to be ready.
local posix = require "posix"
local files = require "bench.files"
local process = require "bench.process"
local setups = require "bench.setups"
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"

local proxies = {}

-- words: the command line that keeps it in the foreground.
local kinds = {
  nginx = {
    title = "nginx",
    template = "nginx.conf",
    words = function(program, config, context)
      local globals = "daemon off;" .. (context.user == "root" and " user root;" or "")
      return { program, "-e", "stderr", "-c", config, "-g", globals }
    end,
    version = { "-v", "nginx/(%S+)" },
  },
  haproxy = {
    title = "HAProxy",
    template = "haproxy.cfg",
    words = function(program, config) return { program, "-q", "-db", "-f", config } end,
    version = { "-v", "version (%d[%d.]*)" },
  },
  tidegate = {
    title = "Tidegate",
    template = "tidegate.yaml",
    serves = "fronts_accept",           -- a function that only threads run which serve clients
    words = function(program, config) return { program, "run", "-c", config } end,
    version = { "version", "(%d[%w.-]*)" },
  },
}

--- Looks where a proxy is.
-- @tparam string name nginx, haproxy or tidegate
-- @tparam string build the folder with the gateway
-- @treturn ?table nil when it is not there
function proxies.find(name, build)
  local kind = kinds[name] or error(("no such proxy: %s (nginx, haproxy)"):format(name), 0)
  local program = process.find_program(name == "tidegate" and build .. "/tidegate" or name)
  if not program then return nil end
  local pipe = io.popen(("'%s' %s 2>&1"):format(program, kind.version[1]))
  local version = pipe:read("*a"):match(kind.version[2])
  pipe:close()
  return { name = name, kind = kind, program = program, title = kind.title .. (version and " " .. version or "") }
end

-- Below the range that outgoing connections take theirs from, so that nothing else takes it before the proxy does.
local function ephemeral_range_start()
  local file = io.open("/proc/sys/net/ipv4/ip_local_port_range")
  local first = file and tonumber(file:read("*a"):match("%d+"))
  if file then file:close() end
  return first and first > 12000 and first or 32768
end

local given = {}

--- A TCP port of 127.0.0.1 that nobody listens on.
function proxies.free_port()
  local last = ephemeral_range_start() - 1
  for _ = 1, 1000 do
    local port = math.random(10000, last)
    local fd = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    local free = socket.bind(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = port })
    unistd.close(fd)
    if free and not given[port] then
      given[port] = true
      return port
    end
  end
  error("no free port", 0)
end

-- Ready is what answers; both listeners, since TLS may come later. A request that fails is tried again.
local function wait_until_ready(instance, context, timeout_s)
  local deadline = process.now() + timeout_s
  for _, use in ipairs { { port = instance.port }, { port = instance.tls_port, tls = true } } do
    local ok
    repeat
      if not instance.process:is_running() then instance.process:fail("it ended while starting") end
      ok = context.load { server = use.port, tls = use.tls, path = "/1k", connections = 1, requests = 1, quiet = true }
      if not ok then
        if process.now() > deadline then instance.process:fail("it does not answer") end
        process.sleep(0.05)
      end
    until ok
  end
end

--- Starts a proxy on free ports and waits until it answers.
-- @tparam table proxy from proxies.find
-- @tparam table context dir, templates, plugins, upstream, files, user, certificates, load: see run.lua
-- @tparam ?table options setup: the name of one of bench/setups.lua ("plain"); wrap: words in front of the command;
--   timeout_s
-- @treturn table name, title, port, tls_port, folder, process, and its process tree pids
function proxies.start(proxy, context, options)
  options = options or {}
  local instance = {
    name = proxy.name, title = proxy.title, port = proxies.free_port(), tls_port = proxies.free_port(),
  }
  instance.folder = ("%s/%s-%d"):format(context.dir, proxy.name, instance.port)
  posix.mkdir(instance.folder)
  local values = setups[options.setup or "plain"][proxy.name](instance.folder, context)
  values.port, values.tls_port, values.folder = instance.port, instance.tls_port, instance.folder
  local config = instance.folder .. "/" .. proxy.kind.template
  local template = files.read(context.templates .. "/" .. proxy.kind.template)
  files.write(config, files.fill(template, setmetatable(values, { __index = context })))
  local words = proxy.kind.words(proxy.program, config, context)
  for i, word in ipairs(options.wrap or {}) do table.insert(words, i, word) end
  instance.process = process.start { words = words, core = context.proxy_core, log = instance.folder .. ".errors" }
  wait_until_ready(instance, context, options.timeout_s or 15)
  instance.pids = instance.process:tree()
  return instance
end

return proxies
