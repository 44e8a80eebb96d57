--- A client of Redis: pooled connections per loop; commands as methods, pipelines, transactions, scripts.
local commands = require "tidegate.tide.redis_commands"
local crypto = require "tidegate.tide.crypto"
local resp = require "tidegate.tide.resp"
local socket = require "tidegate.tide.socket"
local socket_target = require "tidegate.tide.socket_target"
local wait = require "tidegate.tide.wait"
local words = require "tidegate.tide.words"

local redis = { null = resp.null, is_error = resp.is_error }

local HOST, PORT = "127.0.0.1", 6379
local COMMANDS_MAX = 10000          -- of one pipeline
local REPLY_MAX, REPLY_LARGEST = 64 * 1024 * 1024, 1024 * 1024 * 1024
local POOL_SIZE, POOL_IDLE = 32, 60

local MULTI, EXEC, UNWATCH = commands.plain "MULTI", commands.plain "EXEC", commands.plain "UNWATCH"

-- -- connections; `settings` is what redis.new has made of its options --

--- Sends commands and reads their replies. Where that fails the connection is closed: what was still to come on it
-- would be taken for the reply to something else.
local function exchange(settings, connection, bytes, n)
  connection:set_deadline(settings.timeout)
  local good, why = connection:send(bytes)
  local replies = {}
  for i = 1, good and n or 0 do
    replies[i], why = resp.read(connection, settings.max_reply)
    if replies[i] == nil then
      good = false
      break
    end
  end
  if good then return replies end
  connection:close()
  return nil, ("%s: %s"):format(settings.name, why)
end

--- What a new connection has to say first: who it is, and which database it wants.
local function introduce(settings, connection)
  local list = settings.introduction
  if #list == 0 then return true end
  local replies, why = exchange(settings, connection, settings.introduction_bytes, #list)
  if not replies then return nil, why end
  for i, name in ipairs(list) do
    if resp.is_error(replies[i]) then
      connection:close()
      return nil, ("%s: %s: %s"):format(settings.name, name, replies[i].err)
    end
  end
  return true
end

local function check_out(settings)
  local connection, why = socket.connect(settings.target)
  if not connection then return nil, ("%s: %s"):format(settings.name, why) end
  if connection:reused() > 0 then return connection end
  local good
  good, why = introduce(settings, connection)
  if not good then return nil, why end
  return connection
end

--- Back to the pool, or closed where it cannot be kept: nothing is lost by that.
local function check_in(settings, connection) connection:keep(settings.idle, settings.size) end

local function run(settings, bytes, n)
  local connection, why = check_out(settings)
  if not connection then return nil, why end
  local replies
  replies, why = exchange(settings, connection, bytes, n)
  if not replies then return nil, why end
  check_in(settings, connection)
  return replies
end

--- The reply of a single command; an error of the server is the second result.
local function only_reply(replies, why)
  if not replies then return nil, why end
  if resp.is_error(replies[1]) then return nil, replies[1].err end
  return replies[1]
end

-- -- commands --

local client = {}

--- The bytes of a command that is to be sent now; nil and what is wrong where it cannot.
local function to_send(bytes, wrong)
  local good, where = wait.can()
  if not good then return nil, "redis: cannot wait " .. where end
  return bytes, wrong
end

--- Sends any command.
-- @tparam string name "GET"
-- @param ... texts and numbers
-- @return[1] the reply: string, number, boolean, table, or redis.null
-- @return[2] nil and why: the server's error, or "redis HOST:PORT: " and what went wrong
function client:command(name, ...)
  local bytes, wrong = to_send(commands.encode(name, ...))
  if not bytes then error(wrong, 2) end
  return only_reply(run(self.settings, bytes, 1))
end

local function command_method(name)
  return function(self, ...)
    local bytes, wrong = to_send(commands.encode(name, ...))
    if not bytes then error(wrong, 2) end
    return only_reply(run(self.settings, bytes, 1))
  end
end

local Client = { __index = commands.methods(client, command_method) }

-- -- pipelines --

local batch = {}

--- nil, or what is wrong.
local function add(self, bytes, wrong)
  if not bytes then return wrong end
  if self.over then return "redis: commands are added while the function runs, not later" end
  if self.count == COMMANDS_MAX then
    return ("redis: expected at most %d commands at once, found more"):format(COMMANDS_MAX)
  end
  self.count = self.count + 1
  self.parts[self.count] = bytes
end

--- Adds any command.
function batch:command(name, ...)
  local wrong = add(self, commands.encode(name, ...))
  if wrong then error(wrong, 2) end
end

local function batch_method(name)
  return function(self, ...)
    local wrong = add(self, commands.encode(name, ...))
    if wrong then error(wrong, 2) end
  end
end

local Batch = { __index = commands.methods(batch, batch_method) }

local function new_batch() return setmetatable({ parts = {}, count = 0, over = false }, Batch) end

--- Sends many commands at once, and waits for all replies.
-- @tparam function f gets p; p:get("a") or p:command("GET", "a") adds a command
-- @treturn[1] table the replies, in order; errors of the server among them (redis.is_error, and their text in .err)
-- @return[2] nil and why
function client:pipeline(f)
  if type(f) ~= "function" then words.misuse("redis:pipeline", "a function", f) end
  local good, wrong = to_send(true)
  if not good then error(wrong, 2) end
  local p = new_batch()
  f(p)
  p.over = true
  if p.count == 0 then return {} end
  return run(self.settings, table.concat(p.parts), p.count)
end

-- -- transactions --

local transaction = { command = batch.command }

--- Reads before anything is queued; what was read does not change until the transaction is done, or nothing is done.
-- @return[1] the reply
-- @return[2] nil and why
function transaction:read(name, ...)
  if not self.connection then error("redis: t:read needs the option watch", 2) end
  if self.over then error("redis: t:read is for while the function runs, not later", 2) end
  local bytes, wrong = commands.encode(name, ...)
  if not bytes then error(wrong, 2) end
  if self.failed then return nil, self.failed end
  local replies, why = exchange(self.settings, self.connection, bytes, 1)
  if not replies then self.failed = why end
  return only_reply(replies, why)
end

local Transaction = { __index = commands.methods(transaction, batch_method) }

--- What EXEC has answered.
local function outcome(settings, replies, why)
  if not replies then return nil, why end
  local results = replies[#replies]
  if results == resp.null then return nil, "conflict" end
  for _, reply in ipairs(resp.is_error(results) and replies or {}) do
    if resp.is_error(reply) then return nil, reply.err end      -- the first says more than "EXECABORT"
  end
  if type(results) == "table" then return results end
  return nil, ("%s: protocol: expected the results of EXEC, found %s"):format(settings.name, tostring(results))
end

local function queued(t) return MULTI .. table.concat(t.parts) .. EXEC, t.count + 2 end

--- The rest of a transaction that watches, on its connection.
local function run_watched(settings, t, go_on)
  local connection = t.connection
  if t.failed then return nil, t.failed end
  local bytes, n = UNWATCH, 1
  if go_on and t.count > 0 then bytes, n = queued(t) end
  local replies, why = exchange(settings, connection, bytes, n)
  if not replies then return nil, why end
  check_in(settings, connection)
  if not go_on then return nil, "given up" end
  if n == 1 then return {} end
  return outcome(settings, replies)
end

local function begin_watched(settings, t, bytes)
  local connection, why = check_out(settings)
  if not connection then return nil, why end
  local reply
  reply, why = only_reply(exchange(settings, connection, bytes, 1))
  if not reply then
    connection:close()
    return nil, why
  end
  t.connection = connection
  return true
end

--- MULTI and EXEC: all of the commands with no others in between, or none.
-- @tparam function f gets t, which takes commands as a pipeline does; where it returns false nothing is done
-- @tparam[opt] table options watch: a list of keys. Then t:read("GET", "a") reads before commands are queued, and
--   nothing is done where somebody else has changed one of the keys meanwhile
-- @treturn[1] table the results, in order
-- @return[2] nil and why: "conflict", "given up", the server's error, or what went wrong
function client:transaction(f, options)
  if type(f) ~= "function" then words.misuse("redis:transaction", "a function", f) end
  local can, misused = to_send(true)
  if not can then error(misused, 2) end
  options = words.options("redis:transaction", options, { watch = "table" })
  local settings = self.settings
  -- All fields are there from the start: a name that is not is a command.
  local t = setmetatable({
    parts = {}, count = 0, over = false, settings = settings, connection = false, failed = false,
  }, Transaction)
  if options.watch then
    local bytes, wrong = resp.encode({ "WATCH", unpack(options.watch) }, 1 + #options.watch)
    if not bytes then error("redis:transaction: watch: " .. wrong, 2) end
    local good, why = begin_watched(settings, t, bytes)
    if not good then return nil, why end
  end
  local go_on = f(t) ~= false
  t.over = true
  if t.connection then return run_watched(settings, t, go_on) end
  if not go_on then return nil, "given up" end
  if t.count == 0 then return {} end
  return outcome(settings, run(settings, queued(t)))
end

-- -- scripts --

local Script = {}
Script.__index = Script

--- Runs the script; the server is given its text only where it does not have it yet.
-- @tparam[opt] table keys texts and numbers
-- @tparam[opt] table args texts and numbers
-- @return[1] what it returned
-- @return[2] nil and why
function Script:run(keys, args)
  keys, args = keys or {}, args or {}
  if type(keys) ~= "table" then words.misuse("script:run", "a table of keys", keys) end
  if type(args) ~= "table" then words.misuse("script:run", "a table of arguments", args) end
  local list, n = { "EVALSHA", self.sha1, #keys }, 3 + #keys + #args
  for i = 1, #keys do list[3 + i] = keys[i] end
  for i = 1, #args do list[3 + #keys + i] = args[i] end
  local bytes, wrong = to_send(commands.encode_list(list, n))
  if not bytes then error(wrong, 2) end
  local replies, why = run(self.settings, bytes, 1)
  if replies and resp.is_error(replies[1]) and replies[1].err:find "^NOSCRIPT" then
    list[1], list[2] = "EVAL", self.source
    replies, why = run(self.settings, assert(resp.encode(list, n)), 1)
  end
  return only_reply(replies, why)
end

--- A script, to be run on the server as often as one likes.
-- @tparam string source in Redis' Lua
-- @treturn table script:run(keys, args)
function client:script(source)
  if type(source) ~= "string" then words.misuse("redis:script", "a text", source) end
  local sha1 = crypto.hex(assert(crypto.digest("sha1", source)))
  return setmetatable({ settings = self.settings, source = source, sha1 = sha1 }, Script)
end

-- -- new --

local OPTIONS = {
  host = "string", port = "number", unix = "string", tls = "any", username = "string", password = "string",
  db = "number", timeout = "number", connect_timeout = "number", max_reply = "number", pool = "table",
}
local POOL_OPTIONS = { size = "number", idle = "number" }

local function expected(name, what, found)
  return ("redis.new: %s: expected %s, found %s"):format(name, what, tostring(found))
end

--- What is wrong with the numbers, or nil.
local function wrong_number(options, pool)
  local ranges = {
    { "db", options.db, 0, 2 ^ 31 - 1, true },
    { "max_reply", options.max_reply, 1024, REPLY_LARGEST, true },
    { "pool.size", pool.size, 0, 1000, true },
    { "pool.idle", pool.idle, 0.001, 86400, false },
  }
  for _, range in ipairs(ranges) do
    local name, value, least, most, whole = unpack(range, 1, 5)
    if value and (value ~= value or value < least or value > most or whole and value % 1 ~= 0) then
      return expected(name, ("%s from %s to %.0f"):format(whole and "a whole number" or "a number", least, most), value)
    end
  end
end

local function introduction_of(options)
  local names, parts = {}, {}
  if options.password then
    names[1] = "AUTH"
    parts[1] = options.username and commands.plain("AUTH", options.username, options.password) or
               commands.plain("AUTH", options.password)
  end
  if (options.db or 0) > 0 then
    names[#names + 1] = "SELECT"
    parts[#parts + 1] = commands.plain("SELECT", options.db)
  end
  return names, table.concat(parts)
end

local function target_of(options)
  local place = {
    host = options.host, port = options.port, unix = options.unix, tls = options.tls,
    timeout = options.timeout, connect_timeout = options.connect_timeout,
    pool = table.concat({ "redis", options.username or "", options.password or "", options.db or 0 }, "\0"),
  }
  if not place.unix then place.host, place.port = place.host or HOST, place.port or PORT end
  return socket_target.stream(place)
end

--- A client. Nothing is connected yet; make one in `new` and use it in hooks.
-- @tparam[opt] table options host ("127.0.0.1") and port (6379), or unix; username, password, db (0); tls as for
--   socket.connect; timeout: seconds of a command or pipeline (5), connect_timeout (timeout); max_reply: bytes of a
--   reply (64 MiB); pool: { size = connections kept per loop (32), idle = seconds that they are kept (60) }
-- @treturn table
function redis.new(options)
  options = words.options("redis.new", options, OPTIONS)
  local pool = words.options("redis.new: pool", options.pool, POOL_OPTIONS)
  if type(options.tls) == "table" then words.options("redis.new: tls", options.tls, socket_target.TLS) end
  local wrong = wrong_number(options, pool)
  if options.username and not options.password then wrong = expected("password", "one beside username", nil) end
  if wrong then error(wrong, 2) end
  local target
  target, wrong = target_of(options)
  if not target then error("redis.new: " .. wrong, 2) end
  local place = target.options
  local names, bytes = introduction_of(options)
  return setmetatable({ settings = {
    name = "redis " .. (place.unix and "unix:" .. place.unix or place.host .. ":" .. place.port),
    target = target, introduction = names, introduction_bytes = bytes,
    timeout = target.timeout, max_reply = options.max_reply or REPLY_MAX,
    size = pool.size or POOL_SIZE, idle = pool.idle or POOL_IDLE,
  } }, Client)
end

return redis
