--- Commands of Redis as bytes, and those that plugins do not send: they would change a connection that others use next.
local resp = require "tidegate.tide.resp"

local commands = {}

local IN_NEW = "give username, password and db to redis.new"
local QUEUED = "use client:transaction"
local ENDLESS = "its replies never end"
local POOLED = "the pool closes connections"

local REFUSED = {
  AUTH = IN_NEW, HELLO = IN_NEW, SELECT = IN_NEW,
  MULTI = QUEUED, EXEC = QUEUED, DISCARD = QUEUED, WATCH = QUEUED, UNWATCH = QUEUED,
  SUBSCRIBE = ENDLESS, PSUBSCRIBE = ENDLESS, SSUBSCRIBE = ENDLESS, MONITOR = ENDLESS, SYNC = ENDLESS, PSYNC = ENDLESS,
  UNSUBSCRIBE = ENDLESS, PUNSUBSCRIBE = ENDLESS, SUNSUBSCRIBE = ENDLESS,
  QUIT = POOLED, RESET = POOLED,
  ["CLIENT REPLY"] = "replies are counted", ["CLIENT TRACKING"] = ENDLESS, ["CLIENT CACHING"] = ENDLESS,
}

--- Why a command is refused, or nil.
local function refusal(name, first)
  local both = type(first) == "string" and name .. " " .. first:upper()
  local refused = REFUSED[name] and name or both and REFUSED[both] and both
  return refused and ("redis: %s is refused on connections that are shared: %s"):format(refused, REFUSED[refused])
end

--- The bytes of any command.
-- @tparam string name of a command that takes no arguments from outside
function commands.plain(name, ...)
  return assert(resp.encode({ name, ... }, 1 + select("#", ...)))
end

--- The bytes of a command that a plugin gives.
-- @tparam table list the name, in any case, and the arguments
-- @tparam number n how many, with the name
-- @treturn[1] string
-- @return[2] nil and what is wrong, for the plugin's author
function commands.encode_list(list, n)
  local name = list[1]
  if type(name) ~= "string" or not name:find "^%w[%w._-]*$" then
    return nil, ("redis: expected the name of a command, found %s"):format(tostring(name))
  end
  name = name:upper()
  local refused = refusal(name, list[2])
  if refused then return nil, refused end
  list[1] = name
  local bytes, wrong = resp.encode(list, n)
  if not bytes then return nil, ("redis: %s: %s"):format(name, wrong) end
  return bytes
end

--- The same, of arguments as they are.
function commands.encode(...) return commands.encode_list({ ... }, select("#", ...)) end

local METHODS_MAX = 1000

--- An __index that makes methods of commands, and keeps them.
-- @tparam table methods those that are no commands
-- @tparam function method_of function(name) -> method
function commands.methods(methods, method_of)
  local made, count = {}, 0
  return function(_, name)
    local method = methods[name] or made[name]
    if method or type(name) ~= "string" then return method end
    method = method_of(name)
    if count < METHODS_MAX then
      made[name] = method
      count = count + 1
    end
    return method
  end
end

return commands
