--- make bench: compares Tidegate with nginx and HAProxy, on one core each, in interleaved rounds. See bench/README.md.
local root = arg[0]:match("^(.*)/bench/run%.lua$") or arg[0] == "bench/run.lua" and "." or ".."
package.path = root .. "/?.lua;" .. package.path

local cjson = require "cjson"
local posix = require "posix"
local config_reloads = require "bench.config_reloads"
local instructions = require "bench.instructions"
local loads = require "bench.loads"
local memory = require "bench.memory"
local process = require "bench.process"
local proxies = require "bench.proxies"
local reloads = require "bench.reloads"
local report = require "bench.report"
local rounds = require "bench.rounds"
local router = require "bench.router"
local setups = require "bench.setups"

local usage = [[
usage: luajit bench/run.lua [options]
  --rounds N            how often each load runs on each proxy (7)
  --seconds S           how long each time (1)
  --only NAME[,NAME]    these loads only: %s
  --peers NAME[,NAME]   compare with these (nginx,haproxy)
  --reloads N           how many saves "reloads" and "route_reloads" are (10000)
  --without-tidegate    measure the peers only
  --markdown FILE       write the tables there too: between its lines "<!-- bench -->" and "<!-- /bench -->", where
                        it has them, else in place of all
  --save FILE           where the results are kept for the next run (bench/last.json in the build)
  --build DIR           the build that is measured (build)
]]

local function say(format, ...) io.stderr:write(format:format(...), "\n") end

-- ---- options ----

local function load_names()
  local names = {}
  for _, list in ipairs { loads, memory.loads, instructions.loads, { reloads, router }, config_reloads.loads } do
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
    build = root .. "/build", reloads = 10000,
  }
  local takes = {
    ["--rounds"] = function(v) options.rounds = math.ceil(positive("--rounds", v)) end,
    ["--seconds"] = function(v) options.seconds = positive("--seconds", v) end,
    ["--only"] = function(v) options.only = selection(split(v)) end,
    ["--peers"] = function(v) options.peers = split(v) end,
    ["--markdown"] = function(v) options.markdown = v end,
    ["--save"] = function(v) options.save = v end,
    ["--build"] = function(v) options.build = v end,
    ["--reloads"] = function(v) options.reloads = math.ceil(positive("--reloads", v)) end,
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
  options.save = options.save or options.build .. "/bench/last.json"
  return options
end

-- ---- the generator ----

local problems = {}             -- what makes the figures doubtful; told at the end

local context = { proxy_core = 0, load_core = 1, say = say }

function context.problem(text) problems[#problems + 1] = text end

--- Whether a load is for a proxy. What could be, if something were there that is not, is told.
function context.can(load, proxy)
  if load.alone and proxy.name ~= "tidegate" then return false end
  local can, missing = setups.can(load.setup or "plain", proxy.name)
  if missing then say("%s: %s is left out: there is no %s", load.name, proxy.name, missing) end
  return can
end

local GENERATOR_OPTIONS = {
  "mode", "connections", "body", "message", "expect", "status", "sources", "seconds", "warmup", "requests",
}

--- Starts the generator. Options are named like its own; server is a port, targets a file in the folder of the run.
function context.start_load(options)
  local words = { context.build .. "/load", "--core", tostring(options.core or context.load_core) }
  for _, name in ipairs(GENERATOR_OPTIONS) do
    if options[name] then
      words[#words + 1] = "--" .. name
      words[#words + 1] = tostring(options[name])
    end
  end
  if options.targets then
    words[#words + 1] = "--targets"
    words[#words + 1] = context.dir .. "/" .. options.targets
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
  if result.requests == 0 then error("no request succeeded: " .. (result.first_error or "none was answered"), 0) end
  return result
end

function context.load(options)
  return context.finish_load(context.start_load(options), options.quiet)
end

--- Moves the upstream to another core.
function context.move_upstream(core)
  local command = ("taskset -cp %d %d >/dev/null"):format(core, context.upstream_process.pid)
  if os.execute(command) ~= 0 then error("cannot move the upstream to core " .. core, 0) end
end

--- This program itself leaves the proxy's core alone.
function context.step_aside()
  local command = ("taskset -cp %d %d >/dev/null"):format(context.load_core, posix.getpid "pid")
  if os.execute(command) ~= 0 then error("cannot leave the core of the proxy", 0) end
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

local function prepare(options)
  process.catch_signals()
  math.randomseed(os.time() + posix.getpid("pid"))       -- two runs at once choose different ports
  context.build = posix.realpath(options.build .. "/bench") or
    error(options.build .. "/bench is not there: run make bench", 0)
  context.templates = posix.realpath(root .. "/bench/conf")
  context.plugins = posix.realpath(root .. "/bench/plugins")
  context.tunnels = posix.realpath(root .. "/bench/tunnels.lua")
  context.rounds, context.seconds = options.rounds, options.seconds
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
  posix.setenv("TIDEGATE_LUA", posix.realpath(root .. "/lua"))     -- for a build that lies elsewhere
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
    local proxy = proxies.find(name, options.build)
    if proxy then
      present[#present + 1] = proxy
    else
      say("%s is not there, so it is left out", name == "tidegate" and options.build .. "/tidegate" or name)
    end
  end
  if #present == 0 then error("there is no proxy to measure", 0) end
  return present
end

-- What is measured for one proxy after the other.
local function measure_each(entry, present, measure)
  local figure = { name = entry.name, title = entry.title, most = entry.most, values = {}, ratios = {} }
  for _, proxy in ipairs(present) do
    if context.can(entry, proxy) then
      figure.values[proxy.name] = measure(entry, proxy, context)
      say("%-15s %s: %.2f", entry.name, proxy.name, figure.values[proxy.name])
    end
  end
  return figure
end

local function chosen_from(rows, options)
  local chosen = {}
  for _, row in ipairs(rows) do
    if options.only[row.name] then chosen[#chosen + 1] = row end
  end
  return chosen
end

local function measure_instructions(options, present, figures)
  local chosen, missing = chosen_from(instructions.loads, options), instructions.missing()
  if #chosen > 0 and missing then
    say("instructions are not counted: %s", missing)
    return
  end
  for _, entry in ipairs(chosen) do table.insert(figures, measure_each(entry, present, instructions.measure)) end
end

local function measure_reloads(options, present, figures)
  for _, proxy in ipairs(present) do
    if options.only.reloads and context.can(reloads, proxy) then
      for _, figure in ipairs(reloads.measure(proxy, options.reloads, context)) do table.insert(figures, figure) end
    end
  end
end

local function measure_config_reloads(options, present, figures)
  for _, entry in ipairs(chosen_from(config_reloads.loads, options)) do
    for _, proxy in ipairs(present) do
      if proxy.name == "tidegate" then
        for _, figure in ipairs(config_reloads.measure(entry, proxy, options.reloads, context)) do
          table.insert(figures, figure)
        end
      end
    end
  end
end

local function measure_router(options, present, figures)
  for _, proxy in ipairs(present) do
    if options.only.router and context.can(router, proxy) then
      need(context.build .. "/router", "run make bench")
      for _, figure in ipairs(router.measure(context)) do table.insert(figures, figure) end
    end
  end
end

local function measure_all(options, present)
  local ran = rounds.run(chosen_from(loads, options), present, context)
  local figures = rounds.figures(ran)
  for _, entry in ipairs(chosen_from(memory.loads, options)) do
    table.insert(figures, measure_each(entry, present, memory.measure))
  end
  measure_instructions(options, present, figures)
  measure_reloads(options, present, figures)
  measure_config_reloads(options, present, figures)
  measure_router(options, present, figures)
  return figures, ran
end

local function main()
  local options = parse(arg)
  prepare(options)
  local present = find_proxies(options)
  start_upstream()
  local figures, ran = measure_all(options, present)
  local last = report.read_last(options.save)
  io.stdout:write(report.tables(figures, ran, present, last))
  if options.markdown then report.put(options.markdown, report.tables(figures, ran, present)) end
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
