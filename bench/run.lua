--- make bench: compares Tidegate with nginx and HAProxy, on one core each, in interleaved rounds. See bench/README.md.
local root = arg[0]:match("^(.*)/bench/run%.lua$") or arg[0] == "bench/run.lua" and "." or ".."
package.path = root .. "/?.lua;" .. package.path

local cjson = require "cjson"
local posix = require "posix"
local instructions = require "bench.instructions"
local loads = require "bench.loads"
local memory = require "bench.memory"
local process = require "bench.process"
local proxies = require "bench.proxies"
local report = require "bench.report"
local routes = require "bench.routes"

local usage = [[
usage: luajit bench/run.lua [options]
  --rounds N            how often each load runs on each proxy (7)
  --seconds S           how long each time (1)
  --only NAME[,NAME]    these loads only: %s
  --peers NAME[,NAME]   compare with these (nginx,haproxy)
  --without-tidegate    measure the peers only
  --markdown FILE       write the tables there too
  --save FILE           where the results are kept for the next run (build/bench/last.json)
]]

local function say(format, ...) io.stderr:write(format:format(...), "\n") end

-- ---- options ----

local function load_names()
  local names = {}
  for _, list in ipairs { loads, memory.loads, { routes.load, instructions.load } } do
    for _, load in ipairs(list) do names[#names + 1] = load.name end
  end
  return names
end

local function split(text)
  local words = {}
  for word in text:gmatch("[^,]+") do words[#words + 1] = word end
  return words
end

local function positive(name, text)
  local value = tonumber(text)
  if not value or value <= 0 then error(name .. ": expected a positive number, found " .. text, 0) end
  return value
end

local function selection(names)
  local known, chosen = {}, {}
  for _, name in ipairs(load_names()) do known[name] = true end
  for _, name in ipairs(names) do
    if not known[name] then error(("no such load: %s (%s)"):format(name, table.concat(load_names(), ", ")), 0) end
    chosen[name] = true
  end
  return chosen
end

local function parse(words)
  local options = {
    rounds = 7, seconds = 1, only = selection(load_names()), peers = { "nginx", "haproxy" }, tidegate = true,
    save = root .. "/build/bench/last.json",
  }
  local takes = {
    ["--rounds"] = function(v) options.rounds = math.ceil(positive("--rounds", v)) end,
    ["--seconds"] = function(v) options.seconds = positive("--seconds", v) end,
    ["--only"] = function(v) options.only = selection(split(v)) end,
    ["--peers"] = function(v) options.peers = split(v) end,
    ["--markdown"] = function(v) options.markdown = v end,
    ["--save"] = function(v) options.save = v end,
  }
  local i = 1
  while words[i] do
    if words[i] == "--without-tidegate" then
      options.tidegate = false
    elseif words[i] == "--help" then
      io.stdout:write(usage:format(table.concat(load_names(), ", ")))
      os.exit(0)
    elseif takes[words[i]] and words[i + 1] then
      i = i + 1
      takes[words[i - 1]](words[i])
    else
      error(usage:format(table.concat(load_names(), ", ")), 0)
    end
    i = i + 1
  end
  return options
end

-- ---- the generator ----

local problems = {}             -- what makes the figures doubtful; told at the end

local context = { proxy_core = 0, load_core = 1 }

--- Starts the generator. Options are named like its own; server is a port.
function context.start_load(options)
  local words = { context.build .. "/load", "--core", tostring(options.core or context.load_core) }
  for _, name in ipairs { "mode", "connections", "body", "expect", "targets", "sources", "seconds", "requests" } do
    if options[name] then
      words[#words + 1] = "--" .. name
      words[#words + 1] = tostring(options[name])
    end
  end
  if options.tls then words[#words + 1] = "--tls" end
  if options.watch then
    words[#words + 1] = "--watch"
    words[#words + 1] = table.concat(options.watch, ",")
  end
  words[#words + 1] = "127.0.0.1:" .. options.server
  words[#words + 1] = options.path
  return process.start { words = words, log = context.dir .. "/load.errors" }
end

--- Waits for the result of the generator.
-- @treturn ?table nil when quiet is given and not all went well
function context.finish_load(load, quiet)
  local line = load:read_line(600)
  if not line and not quiet then load:fail("it ended without a result") end
  load:stop()
  local result = line and cjson.decode(line)
  if quiet then return result and result.errors == 0 and result or nil end
  if result.requests == 0 then error("no request succeeded: " .. result.first_error, 0) end
  return result
end

function context.load(options)
  return context.finish_load(context.start_load(options), options.quiet)
end

-- ---- rounds ----

local function sample(load, instance, seconds)
  local options = { seconds = seconds, watch = instance.pids, server = load.tls and instance.tls_port or instance.port }
  local result = context.load(setmetatable(options, { __index = load }))
  if result.errors > 0 then
    problems[#problems + 1] = ("%s: %d errors: %s"):format(instance.title, result.errors, result.first_error)
  end
  return {
    rps = result.rps, p50 = result.p50_us, p99 = result.p99_us,
    cpu = result.cpu_us / result.requests, busy = result.cpu_us / result.seconds / 1e4,
  }
end

local function keep(samples, load_name, proxy_name, values)
  samples[load_name] = samples[load_name] or {}
  local of = samples[load_name][proxy_name] or {}
  samples[load_name][proxy_name] = of
  for key, value in pairs(values) do
    of[key] = of[key] or {}
    table.insert(of[key], value)
  end
end

local function move_upstream(core)
  local command = ("taskset -cp %d %d >/dev/null"):format(core, context.upstream_process.pid)
  if os.execute(command) ~= 0 then error("cannot move the upstream to core " .. core, 0) end
end

local function run_load(load, round, instances, options, samples)
  local request = load.load
  if load.one_core then
    move_upstream(context.proxy_core)
    request = setmetatable({ core = context.proxy_core }, { __index = request })
  end
  local told = {}
  for i = 1, #instances do
    local instance = instances[(i + round) % #instances + 1]
    local values = sample(request, instance, options.seconds)
    keep(samples, load.name, instance.name, values)
    told[#told + 1] = ("%s %.2f"):format(instance.name, values.cpu)
  end
  if load.one_core then move_upstream(context.load_core) end
  say("round %d/%d  %-15s CPU µs/request: %s", round, options.rounds, load.name, table.concat(told, ", "))
end

local function run_rounds(chosen, present, options, samples)
  local instances = {}
  for _, proxy in ipairs(present) do instances[#instances + 1] = proxies.start(proxy, context) end
  for round = 1, options.rounds do
    for _, load in ipairs(chosen) do run_load(load, round, instances, options, samples) end
  end
  for _, instance in ipairs(instances) do instance.process:stop() end
end

local function figures_of_rounds(chosen, samples)
  local figures = {}
  for _, load in ipairs(chosen) do
    for _, wanted in ipairs(load.figures) do
      local figure = {
        name = load.name .. "." .. wanted.value,
        title = load.title .. (wanted.value == "p50" and ": p50 µs" or ": CPU µs"),
        most = wanted.most, relative = true, values = {}, ratios = {}, quartiles = {},
      }
      local base = samples[load.name].nginx
      for name, of in pairs(samples[load.name]) do
        figure.values[name] = report.median(of[wanted.value])
        if base and name ~= "nginx" then
          figure.ratios[name], figure.quartiles[name] = report.ratio(of[wanted.value], base[wanted.value])
        end
      end
      figures[#figures + 1] = figure
    end
  end
  return figures
end

-- ---- what is not measured in rounds of all proxies ----

local function measure_routes(tidegate, options)
  local instances, request = routes.start(tidegate, context)
  local samples = {}
  for round = 1, options.rounds do
    for i = 1, 2 do
      local which = (i + round) % 2 + 1
      keep(samples, "routes", which, sample(request, instances[which], options.seconds))
    end
  end
  for _, instance in ipairs(instances) do instance.process:stop() end
  local one, many = samples.routes[1].cpu, samples.routes[2].cpu
  local ratio, quartiles = report.ratio(many, one)
  return {
    name = "routes", title = routes.load.title, most = routes.load.most, relative = true,
    values = { tidegate = report.median(many) }, ratios = { tidegate = ratio }, quartiles = { tidegate = quartiles },
  }
end

local function measure_each(entry, present, measure)
  local figure = { name = entry.name, title = entry.title, most = entry.most, values = {}, ratios = {} }
  for _, proxy in ipairs(present) do
    figure.values[proxy.name] = measure(proxy)
    say("%-15s %s: %.2f", entry.name, proxy.name, figure.values[proxy.name])
  end
  return figure
end

-- ---- the run ----

local function need(path, how)
  if posix.access(path, "x") ~= 0 then error(("%s is not there: %s"):format(path, how), 0) end
end

local function make_certificate()
  context.certificate = context.dir .. "/cert.pem"
  context.key = context.dir .. "/key.pem"
  context.certificate_and_key = context.dir .. "/both.pem"
  local made = os.execute(([[umask 077 && cd '%s' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
    -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem \
    2>openssl.errors && cat cert.pem key.pem >both.pem]]):format(context.dir))
  if made ~= 0 then error("openssl cannot make a certificate: see " .. context.dir .. "/openssl.errors", 0) end
end

local function prepare()
  process.catch_signals()
  math.randomseed(os.time() + posix.getpid("pid"))       -- two runs at once choose different ports
  context.build = posix.realpath(root .. "/build/bench") or error("build/bench is not there: run make bench", 0)
  context.templates = posix.realpath(root .. "/bench/conf")
  context.dir = context.build .. "/run"
  need(context.build .. "/load", "run make bench")
  need(context.build .. "/upstream", "run make bench")
  for _, program in ipairs { "taskset", "openssl" } do
    if not process.find_program(program) then error(program .. " is not installed", 0) end
  end
  if posix.access("/sys/devices/system/cpu/cpu1") ~= 0 then error("two cores are needed", 0) end
  os.execute(("rm -rf '%s'"):format(context.dir))
  posix.mkdir(context.dir)
  context.files = process.raise_file_limit()
  context.user = posix.getpasswd(posix.geteuid()).name
  make_certificate()
end

local function start_upstream()
  local upstream = process.start {
    words = { context.build .. "/upstream", "--core", tostring(context.load_core) },
    log = context.dir .. "/upstream.errors",
  }
  local line = upstream:read_line(5) or upstream:fail("it did not start")
  context.upstream = line:match("listening on (%S+)")
  context.upstream_process = upstream
end

local function find_proxies(options)
  local present = {}
  local names = { unpack(options.peers) }
  if options.tidegate then names[#names + 1] = "tidegate" end
  for _, name in ipairs(names) do
    local proxy = proxies.find(name, root .. "/build")
    if proxy then
      present[#present + 1] = proxy
    else
      say("%s is not there, so it is left out", name == "tidegate" and "build/tidegate" or name)
    end
  end
  if #present == 0 then error("there is no proxy to measure", 0) end
  return present
end

local function measure_all(options, present)
  local figures, samples, chosen, tidegate = {}, {}, {}, nil
  for _, load in ipairs(loads) do
    if options.only[load.name] then chosen[#chosen + 1] = load end
  end
  for _, proxy in ipairs(present) do
    if proxy.name == "tidegate" then tidegate = proxy end
  end
  if #chosen > 0 then
    run_rounds(chosen, present, options, samples)
    figures = figures_of_rounds(chosen, samples)
  end
  for _, entry in ipairs(memory.loads) do
    if options.only[entry.name] then
      table.insert(figures, measure_each(entry, present, function(p) return memory.measure(entry, p, context) end))
    end
  end
  if options.only.instructions then
    local missing = instructions.missing()
    if missing then
      say("instructions are not counted: %s", missing)
    else
      local measure = function(p) return instructions.measure(p, context) end
      table.insert(figures, measure_each(instructions.load, present, measure))
    end
  end
  if options.only.routes and tidegate then table.insert(figures, measure_routes(tidegate, options)) end
  return figures, chosen, samples
end

local function main()
  local options = parse(arg)
  prepare()
  local present = find_proxies(options)
  start_upstream()
  local figures, chosen, samples = measure_all(options, present)
  local last = report.read_last(options.save)
  local text = report.figures(figures, present, last)
  if #chosen > 0 then text = text .. "\n" .. report.details(chosen, present, samples) end
  io.stdout:write(text)
  if options.markdown then
    local file, why = io.open(options.markdown, "w")
    if not file then error(why, 0) end
    file:write(text)
    file:close()
  end
  report.save(options.save, figures, last)
end

local ok, why = xpcall(main, function(why) return type(why) == "string" and why or debug.traceback(tostring(why)) end)
process.stop_all()
if not ok then
  say("bench: %s", why)
  os.exit(1)
end
for _, problem in ipairs(problems) do say("bench: %s", problem) end
os.exit(#problems == 0 and 0 or 1)
