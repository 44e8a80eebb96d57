--- The server's side of RESP 2, for plugins that talk to Redis. Commands are told to the spec, which says what they
-- give.
local redis = {}

local CRLF = "\r\n"

--- Bytes of a reply.
-- @param value a text; a whole number; true: "OK"; nil or false: nothing; { err = "ERR ..." }; a list of such values
function redis.encode(value)
  if value == nil or value == false then return "$-1" .. CRLF end
  if value == true then return "+OK" .. CRLF end
  if type(value) == "number" and value % 1 == 0 then return (":%d"):format(value) .. CRLF end
  if type(value) == "number" then value = ("%.17g"):format(value) end
  if type(value) == "string" then return ("$%d"):format(#value) .. CRLF .. value .. CRLF end
  if type(value) ~= "table" then error(("fake.redis: expected a reply, found a %s"):format(type(value)), 0) end
  if value.err then return "-" .. value.err .. CRLF end
  local out = { ("*%d"):format(#value) .. CRLF }
  for i = 1, #value do out[i + 1] = redis.encode(value[i]) end
  return table.concat(out)
end

--- Takes one whole command off the front of some bytes.
-- @treturn ?{string,...} its words; nil where more must come
-- @treturn string what is left
local function take_command(bytes)
  local count, at = bytes:match "^%*(%d+)\r\n()"
  if not count then
    if bytes == "" or ("*"):find(bytes:sub(1, 1), 1, true) and not bytes:find(CRLF, 1, true) then return nil, bytes end
    error(("fake.redis: expected a command of Redis, found %q"):format(bytes:sub(1, 40)), 0)
  end
  local words = {}
  for i = 1, tonumber(count) do
    local size, from = bytes:match("^%$(%d+)\r\n()", at)
    if not size or #bytes < from + size + 1 then return nil, bytes end
    words[i] = bytes:sub(from, from + size - 1)
    at = from + size + 2
  end
  return words, bytes:sub(at)
end

local function plain_ok() return true end

-- What a server says of itself, unless the spec has an answer of its own.
local DEFAULTS = {
  AUTH = plain_ok, SELECT = plain_ok, WATCH = plain_ok, UNWATCH = plain_ok,
  PING = function() return "PONG" end,
  EVALSHA = function() return { err = "NOSCRIPT No matching script. Please use EVAL." } end,
}

local Connection = {}
Connection.__index = Connection

--- One connection of a client.
-- @tparam function answer function(name, ...) -> reply, and whether there was one
-- @tparam function record gets each command, a list of words
-- @tparam function answered gets each reply, and its command
-- @treturn table connection:feed(bytes) -> bytes to send back
function redis.connection(answer, record, answered)
  return setmetatable({ held = "", answer = answer, record = record, answered = answered }, Connection)
end

local function reply_to(self, words)
  local name = words[1]:upper()
  local reply, found = self.answer(name, unpack(words, 2))
  if not found and DEFAULTS[name] then
    reply, found = DEFAULTS[name](), true
  end
  self.answered(reply, words)
  if found then return reply end
  error(("the plugin sends %s to Redis, and fake.redis has no answer for it"):format(table.concat(words, " ")), 0)
end

function Connection:run(words)
  local name = words[1]:upper()
  words[1] = name
  self.record(words)
  if name == "MULTI" then
    self.queue = {}
    return redis.encode(true)
  elseif name == "EXEC" or name == "DISCARD" then
    local queue, results = self.queue or {}, {}
    self.queue = nil
    if name == "DISCARD" then return redis.encode(true) end
    for i, queued in ipairs(queue) do results[i] = redis.encode(reply_to(self, queued)) end
    return ("*%d"):format(#results) .. CRLF .. table.concat(results)
  elseif self.queue then
    table.insert(self.queue, words)
    return "+QUEUED" .. CRLF
  end
  return redis.encode(reply_to(self, words))
end

function Connection:feed(bytes)
  local out = {}
  local words, rest = take_command(self.held .. bytes)
  while words do
    out[#out + 1] = self:run(words)
    words, rest = take_command(rest)
  end
  self.held = rest
  return table.concat(out)
end

return redis
