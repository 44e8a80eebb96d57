--- The proxies that are compared: how each is configured, started, and known to be ready.
local posix = require "posix"
local process = require "bench.process"
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

local function read_file(path)
  local file, why = io.open(path)
  if not file then error(why, 0) end
  local text = file:read("*a")
  file:close()
  return text
end

local function write_file(path, text)
  local file, why = io.open(path, "w")
  if not file then error(why, 0) end
  file:write(text)
  file:close()
end

local function fill(template, values)
  return (template:gsub("%${([%w_]+)}", function(name)
    return tostring(values[name] or error("no value for ${" .. name .. "}", 0))
  end))
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
-- @tparam table context dir, templates, upstream, files, user, certificates, load: see run.lua
-- @tparam ?table options routes: YAML instead of the one route; wrap: words in front of the command; timeout_s
-- @treturn table name, port, tls_port, process, and its process tree pids
function proxies.start(proxy, context, options)
  options = options or {}
  local instance = {
    name = proxy.name, title = proxy.title, port = proxies.free_port(), tls_port = proxies.free_port(),
  }
  local values = setmetatable({
    port = instance.port,
    tls_port = instance.tls_port,
    routes = options.routes or '  - { path: "/*", service: app }\n',
  }, { __index = context })
  local folder = ("%s/%s-%d"):format(context.dir, proxy.name, instance.port)
  posix.mkdir(folder)
  values.folder = folder
  local config = folder .. "/" .. proxy.kind.template
  write_file(config, fill(read_file(context.templates .. "/" .. proxy.kind.template), values))
  local words = proxy.kind.words(proxy.program, config, context)
  for i, word in ipairs(options.wrap or {}) do table.insert(words, i, word) end
  instance.process = process.start { words = words, core = context.proxy_core, log = folder .. ".errors" }
  wait_until_ready(instance, context, options.timeout_s or 15)
  instance.pids = instance.process:tree()
  return instance
end

return proxies
