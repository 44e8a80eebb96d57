--- The command line: words to what they ask for.
local ffi = require "ffi"
local argparse = require "argparse"
local C = require "tidegate.ffi"
local config = require "tidegate.config"
local overrides = require "tidegate.config.overrides"
local dialects = require "tidegate.dialects"
local json = require "tidegate.tide.json"
local live = require "tidegate.cli.live"
local plugin = require "tidegate.cli.plugin"
local privileges = require "tidegate.config.privileges"
local schema = require "tidegate.cli.schema"
local telling = require "tidegate.cli.say"

local cli = {}

local GOOD, FAILED, BAD = telling.GOOD, telling.FAILED, telling.BAD
local say, complain = telling.line, telling.complain

local DEFAULT_FILES = { "tidegate.yaml", "/etc/tidegate/tidegate.yaml" }
local SIGTERM = 15
local STEP_MS = 50

-- -- words --

local function add_file_options(command)
  command:option("-c --config", "Configuration file; default: " .. table.concat(DEFAULT_FILES, ", else "))
    :argname "FILE"
  command:option("-s --set", "Overrides one value: --set gateway.threads=2. May be repeated.")
    :argname "KEY=VALUE":count "*"
  command:option("--env", "Adds NAME.yaml beside the configuration file, last."):argname "NAME"
  return command
end

local function whole_number(text)
  if text:find "^%d%d?%d?%d?%d?%d?%d?%d?%d?$" then return tonumber(text) end
  return nil, ("expected the number of a generation, found %q"):format(text)
end

local function add_check(p)
  local check = add_file_options(
    p:command("check", "Say all that is wrong with the configuration. Needs no running gateway."))
  check:option("--format", "text: for people; json: for programs; github: for its workflows.", "text")
    :choices { "text", "json", "github" }
  check:option("--show", "Print what the configuration says, and where each value comes from; PATH: only that part.")
    :argname "PATH":args "?"
  check:flag("--fragment", "The file is a part of others: what it refers to may be elsewhere.")
end

local function add_explain(p)
  local explain = add_file_options(p:command("explain", "Say where a request would go, and through which plugins."))
  explain:argument("url", "http://host/path; without a scheme it is http"):argname "URL"
  explain:option("-X --method", "Its method.", "GET"):argname "METHOD"
  explain:option("-H --header", "A header field, as in 'X-User: me'. May be repeated."):argname "FIELD":count "*"
  explain:option("--client-ip", "Who asks.", "127.0.0.1"):argname "ADDRESS"
  explain:flag("--running", "In the configuration that the running gateway has in force, not in the files.")
  explain:flag("--json", "For programs.")
end

local function add_convert(p)
  local convert = p:command("convert", "Print a configuration, also another gateway's, in Tidegate's own language.")
  convert:argument("file", "Configuration file."):argname "FILE"
  convert:option("--from", "Whose it is; default: seen by its keys. One of " ..
                 table.concat(dialects.NAMES, ", ") .. "."):argname "NAME"
end

local function add_live(p)
  add_file_options(p:command("diff", "Say what a reload would change, object by object. Exit code 0: nothing."))
    :flag("--json", "For programs.")
  add_file_options(p:command("history", "The last configurations that were loaded, and what they changed."))
    :flag("--json", "For programs.")
  add_file_options(p:command("rollback", "Go back to a generation of the history, until a file is saved."))
    :argument("number", "Of the generation."):argname "N":convert(whole_number)
end

local function add_plugin(p)
  local group = p:command("plugin", "List, describe, begin and test plugins.")
    :command_target "action"
    :require_command(true)
  add_file_options(group:command("list", "Every plugin there is, and where it is used."))
    :flag("--json", "For programs.")
  add_file_options(group:command("doc", "What a plugin does and how it is set up, as Markdown."))
    :argument("name", "Its name; without one: of all."):argname "NAME":args "?"
  local new = group:command("new", "Write a plugin to begin with, and its spec.")
  new:argument("name", "Its name: small letters, digits and _."):argname "NAME"
  new:option("--dir", "Folder to write them to.", "plugins"):argname "FOLDER"
  local test = add_file_options(group:command("test", "Run the specs of plugins (NAME_spec.lua) with busted."))
  test:argument("name", "Of which plugin; without one: of all."):argname "NAME":args "?"
  test:option("--dir", "Folder of plugins and specs; default: gateway.plugin_dirs of the configuration, else plugins.")
    :argname "FOLDER"
end

local function parser()
  local p = argparse("tidegate", "An API gateway. C moves the bytes, Lua decides.")
    :command_target "command"
    :require_command(true)
    :add_help "-h --help"
  add_file_options(p:command("run", "Run in the foreground, until Ctrl-C."))
  add_file_options(p:command("start", "Start in the background; returns once connections are accepted."))
  add_file_options(p:command("stop", "Stop; requests in flight are waited for."))
  add_file_options(p:command("restart", "Stop, then start. A bad configuration stops nothing."))
  add_file_options(p:command("reload", "Load the configuration again, and say how that went."))
  local status = add_file_options(p:command("status", "Say how the running gateway is."))
  status:flag("--plugins", "What each hook of each plugin has cost, per route.")
  status:flag("--nodes", "How each node of each service is.")
  status:flag("--json", "For programs.")
  add_check(p)
  add_explain(p)
  add_convert(p)
  add_live(p)
  add_plugin(p)
  add_file_options(p:command("schema", "Print the JSON Schema of the configuration and its plugins, for editors."))
  p:command("version", "Print the version.")
  return p
end

--- "-config FILE", "--config=FILE" or "-c FILE" without a command means run.
local function normal(args)
  local words = {}
  for i, word in ipairs(args) do words[i] = word:gsub("^%-config", "--config"):gsub("^%-%-version$", "version") end
  local first = words[1] or ""
  for _, option in ipairs { "^%-c", "^%-%-config", "^%-s", "^%-%-set", "^%-%-env" } do
    if first:find(option) then
      table.insert(words, 1, "run")
      break
    end
  end
  return words
end

local ENOENT, ENOTDIR = 2, 20

--- Whether there is something of that name, also where it cannot be read: whoever reads it says why.
local function exists(path)
  local file, _, code = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil or (code ~= ENOENT and code ~= ENOTDIR)
end

--- The configuration file that is meant; nil where there is none.
local function file_of(options)
  if options.config then return options.config end
  for _, path in ipairs(DEFAULT_FILES) do
    if exists(path) then return path end
  end
  return nil
end

local function say_no_file()
  complain("there is no configuration: neither %s; name one with -c FILE", table.concat(DEFAULT_FILES, " nor "))
  return BAD
end

-- -- the running gateway --

local function say_not_running(gate)
  if exists(gate.pid_file) then
    complain("not running; %s is left over from one that ended without cleaning up", gate.pid_file)
  else
    complain("not running (there is no %s)", gate.pid_file)
  end
  return FAILED
end

--- The answer to a command over the control socket, as text; nil and why.
local function ask(gate, command, timeout_ms)
  local why = ffi.new "struct tide_error"
  local answer = C.tide_control_call(gate.socket, command, timeout_ms, why)
  if answer == nil then return nil, ffi.string(why.text) end
  local text = ffi.string(answer)
  C.tide_free(answer)
  return text
end

local ASK_MS = 1000

--- Files and pid of the gateway that a configuration describes. Somebody may have removed the pid file of one that
-- runs: then it says itself who it is.
local function instance(file, options)
  local pid_file, grace = config.pid_file(file, options)
  local gate = {
    pid_file = pid_file, grace = grace, socket = pid_file:gsub("%.pid$", "") .. ".sock",
    pid = C.tide_pid_alive(pid_file),
  }
  if gate.pid ~= 0 or exists(pid_file) then return gate end
  local answer = ask(gate, "status json", ASK_MS)
  if answer then
    gate.pid, gate.has_no_file = json.decode(answer).supervisor_pid, true
    complain("process %d runs, but its pid file %s is gone", gate.pid, pid_file)
  end
  return gate
end

local function is_running(gate)
  if gate.has_no_file then return exists(gate.socket) end
  return C.tide_pid_alive(gate.pid_file) == gate.pid
end

--- Ends the gateway and waits for it. True, or false after saying why.
local function end_gateway(gate)
  if C.tide_signal(gate.pid, SIGTERM) ~= 0 then
    complain("process %d cannot be told to stop: it belongs to somebody else", gate.pid)
    return false
  end
  local patience_ms = (gate.grace + 5) * 1000
  local waited_ms = 0
  while is_running(gate) do
    if waited_ms >= patience_ms then
      complain("process %d is still there after %d s; kill -9 %d ends it without mercy", gate.pid, patience_ms / 1000,
               gate.pid)
      return false
    end
    C.tide_sleep_ms(STEP_MS)
    waited_ms = waited_ms + STEP_MS
  end
  say("stopped (process %d, %.1f s)", gate.pid, waited_ms / 1000)
  return true
end

-- -- commands: each takes the file and the options, and gives the exit code --

local commands = {}

local function hand_over(mode, file, options)
  io.stdout:flush()     -- before C forks: what is still in the buffer would be written by both
  C.tide_command(mode, file, overrides.to_text(options))
  return GOOD
end

--- One that has lost its pid file holds no lock that would stop another one, which would take its socket away. An
-- upgrade is the one that runs (src/run/handover.c).
local function begin(mode)
  return function(file, options)
    if not os.getenv "TIDEGATE_HANDOVER" and instance(file, options).has_no_file then return FAILED end
    return hand_over(mode, file, options)
  end
end

commands.run, commands.start = begin(C.TIDE_RUN), begin(C.TIDE_START)

function commands.stop(file, options)
  local gate = instance(file, options)
  if gate.pid == 0 then return say_not_running(gate) end
  return end_gateway(gate) and GOOD or FAILED
end

--- What a gateway that runs by this file was started with; nil where none runs, or none answers.
local function in_force(file, options)
  local gate = instance(file, options)
  local answer = gate.pid ~= 0 and ask(gate, "status json", ASK_MS)
  local status = answer and json.decode(answer)
  return status and status.in_force
end

--- Loads the configuration as a start would. Nil after saying all that is wrong.
local function checked(file, options)
  local result = config.load(file, { set = options.set, env = options.env })
  local report = result.report
  if result.generation then C.tide_generation_drop(result.generation) end
  if result.good then privileges.check(result.config, result.marks, report) end
  io.stderr:write(report:text())
  return not report:has_errors() and result.config or nil
end

function commands.restart(file, options)
  if not checked(file, options) then
    complain("not restarted: the configuration is bad")
    return BAD
  end
  local gate = instance(file, options)
  if gate.pid == 0 then
    say("was not running")
  elseif not end_gateway(gate) then
    return FAILED
  end
  return hand_over(C.TIDE_START, file, options)
end

function commands.check(file, options)
  return require("tidegate.cli.check")(file, options, in_force(file, options))
end

local RELOAD_MS, STATUS_MS = 60000, 5000

function commands.status(file, options)
  local gate = instance(file, options)
  if gate.pid == 0 then
    if options.json then say '{"running":false}' else say_not_running(gate) end
    return FAILED
  end
  local command = "status" .. (options.plugins and " plugins" or options.nodes and " nodes" or "") ..
                  (options.json and " json" or "")
  local answer, why = ask(gate, command, STATUS_MS)
  if not answer then
    complain("process %d runs, but does not answer: %s", gate.pid, why)
    return FAILED
  end
  io.stdout:write(answer)
  return GOOD
end

--- A function that asks the running gateway: command -> answer, or nil after saying why not. Nil where none runs.
local function asking(gate, timeout_ms)
  if gate.pid == 0 then
    say_not_running(gate)
    return nil
  end
  return function(command)
    local answer, why = ask(gate, command, timeout_ms)
    if not answer then complain("no answer from process %d: %s", gate.pid, why) end
    return answer
  end
end

--- A command of the module live; failed: its exit code where no gateway runs.
local function live_command(name, failed)
  return function(file, options)
    local asks = asking(instance(file, options), RELOAD_MS)
    return asks and live[name](asks, options, file) or failed
  end
end

commands.diff = live_command("diff", BAD)
commands.history = live_command("history", FAILED)
commands.rollback = live_command("rollback", FAILED)

function commands.reload(file, options)
  local asks = asking(instance(file, options), RELOAD_MS)
  return asks and live.verdict(asks "reload") or FAILED
end

local explain_running = live_command("explain", FAILED)

function commands.explain(file, options)
  if options.running then return explain_running(file, options) end
  return require("tidegate.cli.explain").run(file, options)
end

function commands.version()
  say("tidegate %s", ffi.string(C.tide_version()))
  return GOOD
end

--- Does what the words say.
-- @tparam {string,...} args without the program's name
-- @treturn number exit code; where it is 0, C goes on with what tide_command was told
function cli.main(args)
  -- The parser ends the process itself after --help. Lua is closed first: libraries under it have memory of their own.
  local exit = os.exit
  os.exit = function(code) exit(code, true) end         -- luacheck: ignore 122
  local p = parser()
  if args[1] == "help" then args = { "--help" } end
  local good, options = p:pparse(normal(args))
  if not good then
    io.stderr:write(p:get_usage(), "\n\ntidegate: ", options, "\n")
    return BAD
  end
  options.set = options.set or {}
  if options.env and not options.env:find "^[%w_][%w_.-]*$" then
    complain("--env: expected the name of a file beside the configuration, without .yaml; found %q", options.env)
    return BAD
  end
  for _, assignment in ipairs(options.set) do
    if assignment:find "\n" then
      complain("a value of --set holds no line breaks; ${file:/path} can bring them in")
      return BAD
    end
  end
  if options.command == "version" then return commands.version() end
  if options.command == "convert" then return require("tidegate.cli.convert")(options) end
  local file = file_of(options)
  if options.command == "plugin" then return plugin[options.action](file, options) end
  if options.command == "schema" then return schema(file, options) end
  if not file then return say_no_file() end
  return commands[options.command](file, options)
end

return cli
