--- The commands that ask the running gateway about its configuration: diff, history, rollback, explain --running.
local cjson = require "cjson"
local Sources = require "tidegate.config.source"
local explain = require "tidegate.cli.explain"
local say = require "tidegate.cli.say"

local live = {}

-- Exit codes of diff, as those of diff(1).
local SAME, DIFFERENT, TROUBLE = 0, 1, 2

local function decoded(text)
  local good, value = pcall(cjson.decode, text)
  return good and type(value) == "table" and value or nil
end

--- @tparam function ask command -> answer, or nil after saying why not
-- @tparam table options set, env, json
-- @tparam string file the main file
-- @treturn number exit code
function live.diff(ask, options, file)
  local wish = {
    file = Sources.absolute(file, Sources.working_folder()), set = #options.set > 0 and options.set or nil,
    env = options.env,
  }
  local answer = ask("diff " .. cjson.encode(wish))
  local told = answer and decoded(answer)
  if not told then return TROUBLE end
  io.stderr:write(told.report)
  if options.json then
    io.stdout:write(answer)
  elseif told.good then
    io.stdout:write(told.text ~= "" and told.text or "nothing would change\n")
  end
  if not told.good or #told.quarantined > 0 then return TROUBLE end
  return #told.changes > 0 and DIFFERENT or SAME
end

--- @treturn number exit code
function live.history(ask, options)
  local answer = ask("history" .. (options.json and " json" or ""))
  if not answer then return say.FAILED end
  io.stdout:write(answer)
  return say.GOOD
end

--- Tells how a reload went, or a rollback.
-- @tparam ?string answer verdict in the first line
-- @treturn number exit code
function live.verdict(answer)
  if not answer then return say.FAILED end
  local verdict, rest = answer:match "^([^\n]*)\n?(.*)$"
  local is_good = verdict == "ok"
  local out = is_good and io.stdout or io.stderr
  if verdict == "partly" then out:write "not all of it: what is bad is in quarantine\n" end
  out:write(rest ~= "" and rest or (is_good and "reloaded\n" or "not reloaded\n"))
  return is_good and say.GOOD or say.FAILED
end

--- @treturn number exit code
function live.rollback(ask, options) return live.verdict(ask("rollback " .. options.number)) end

--- @treturn number exit code
function live.explain(ask, options)
  local wish = {
    url = options.url, method = options.method, header = #options.header > 0 and options.header or nil,
    client_ip = options.client_ip,
  }
  local answer = ask("explain " .. cjson.encode(wish))
  local found = answer and decoded(answer)
  if not found then return say.FAILED end
  if not found.told then
    say.complain("%s", (found.trouble:gsub("\n+$", "")))
    return say.BAD
  end
  explain.show(found.told, options)
  return say.GOOD
end

return live
