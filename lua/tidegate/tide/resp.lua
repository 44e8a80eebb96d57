--- RESP, the protocol of Redis: commands as bytes, and replies read from a socket. Version 2, and what of version 3 a
-- server may answer with: https://redis.io/docs/latest/develop/reference/protocol-spec/
-- Strict: what is not of the protocol ends the reply with "protocol: ...", and the connection is of no more use.
local C = require "tidegate.ffi"

local resp = {}

local LINE_MAX = 64 * 1024          -- of a line: simple strings, errors, numbers
local DEPTH_MAX = 8
local ELEMENTS_MAX = 1024 * 1024    -- of one reply, over all its levels
local REPLY_MAX = 64 * 1024 * 1024  -- bytes of one reply
local ASIDE_MAX = 1000              -- attributes and pushes before one reply
local EXACT = 2 ^ 53                -- whole numbers below are exact in Lua
local LOOK = 1024                   -- values between two looks at the budget of the hook

--- What stands for "nothing" in replies: nil cannot be an element.
resp.null = setmetatable({}, { __tostring = function() return "null" end, __metatable = false })

local Failure = { __tostring = function(self) return self.err end }
Failure.__index = Failure

--- An error that the server has answered with, where it is one value of many.
-- @field err its text: "WRONGTYPE Operation against ..."
local function failure(text) return setmetatable({ err = text }, Failure) end

function resp.is_error(value) return type(value) == "table" and getmetatable(value) == Failure end

-- -- commands --

local function text_of(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind ~= "number" then return nil, kind == "nil" and "nil" or "a " .. kind end
  if value % 1 == 0 and math.abs(value) < EXACT then return ("%d"):format(value) end
  if value ~= value then return nil, "not a number" end
  return ("%.17g"):format(value)
end

--- A command as bytes: an array of bulk strings.
-- @tparam table list texts and numbers, the command's name first
-- @tparam number n how many
-- @treturn[1] string
-- @return[2] nil and what is wrong
function resp.encode(list, n)
  local parts = { "*", n, "\r\n" }
  for i = 1, n do
    local text, found = text_of(list[i])
    if not text then return nil, ("argument %d: expected a text or a number, found %s"):format(i - 1, found) end
    parts[3 * i + 1], parts[3 * i + 2], parts[3 * i + 3] = "$" .. #text .. "\r\n", text, "\r\n"
  end
  return table.concat(parts)
end

-- -- replies --

local Reply = {}
Reply.__index = Reply

--- Ends the reply from whatever depth; the caught value is a table, so that an error of Lua is told apart.
local function stop(why) error({ why = why }, 0) end

local function wrong(expected, found)
  local shown = found:sub(1, 40):gsub("[^\32-\126]", function(c) return ("\\x%02X"):format(c:byte()) end)
  stop(("protocol: expected %s, found \"%s\""):format(expected, shown))
end

function Reply:count_bytes(n)
  self.bytes = self.bytes + n
  if self.bytes > self.bytes_max then stop(("reply over %d bytes"):format(self.bytes_max)) end
end

function Reply:count_elements(n)
  self.elements = self.elements + n
  if self.elements > ELEMENTS_MAX then stop(("reply over %d elements"):format(ELEMENTS_MAX)) end
end

function Reply:line()
  local line, why = self.source:receive_until("\r\n", LINE_MAX)
  if not line then stop(why) end
  self:count_bytes(#line)
  if line:find "[%z\r\n]" then wrong("a line that ends with CR LF", line) end
  return line
end

local function length_of(text, most)
  if not text:find "^%d+$" or #text > 10 or (#text > 1 and text:sub(1, 1) == "0") then wrong("a length", text) end
  local n = tonumber(text)
  if n > most then stop(("a length of %d is over %d"):format(n, most)) end
  return n
end

function Reply:bulk(text)
  local n = length_of(text, self.bytes_max)
  self:count_bytes(n)
  local bytes, why = self.source:receive(n + 2, self.bytes_max + 2)
  if not bytes then stop(why) end
  if bytes:sub(-2) ~= "\r\n" then wrong("CR LF behind a bulk string", bytes:sub(-2)) end
  return bytes:sub(1, -3)
end

local function integer(text)
  if not text:find "^[+-]?%d+$" or #text > 20 then wrong("a number", text) end
  local n = tonumber(text)
  return math.abs(n) < EXACT and n or text
end

local function big_number(text)
  if not text:find "^[+-]?%d+$" then wrong("a big number", text) end
  return text
end

local DOUBLES = { inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0, ["-nan"] = 0 / 0 }

local function double(text)
  if DOUBLES[text] then return DOUBLES[text] end
  if not text:find "^[+-]?%d*%.?%d*[eE]?[+-]?%d*$" or not tonumber(text) then wrong("a double", text) end
  return tonumber(text)
end

function Reply:array(text, per_item)
  local n = length_of(text, ELEMENTS_MAX) * per_item
  self:count_elements(n)
  self.depth = self.depth + 1
  if self.depth > DEPTH_MAX then stop(("reply over %d levels deep"):format(DEPTH_MAX)) end
  local items = {}
  for i = 1, n do items[i] = self:value() end
  self.depth = self.depth - 1
  return items
end

function Reply:map(text)
  local items, map = self:array(text, 2), {}
  for i = 1, #items, 2 do
    local key = items[i]
    if type(key) ~= "string" and type(key) ~= "number" or key ~= key then
      stop("protocol: expected texts and numbers as keys of a map, found a " .. type(key))
    end
    map[key] = items[i + 1]
  end
  return map
end

local kinds = {}

kinds["+"] = function(_, text) return text end
kinds["-"] = function(_, text) return failure(text) end
kinds[":"] = function(_, text) return integer(text) end
kinds["$"] = function(self, text) return text == "-1" and resp.null or self:bulk(text) end
kinds["*"] = function(self, text) return text == "-1" and resp.null or self:array(text, 1) end
kinds["_"] = function(_, text) return text == "" and resp.null or wrong("nothing behind a null", text) end
kinds["#"] = function(_, text)
  if text ~= "t" and text ~= "f" then wrong("t or f as a boolean", text) end
  return text == "t"
end
kinds[","] = function(_, text) return double(text) end
kinds["("] = function(_, text) return big_number(text) end
kinds["!"] = function(self, text) return failure(self:bulk(text)) end
kinds["="] = function(self, text)
  local bytes = self:bulk(text)
  if bytes:sub(4, 4) ~= ":" then wrong("a verbatim string with its format", bytes) end
  return bytes:sub(5)
end
kinds["%"] = function(self, text) return self:map(text) end
kinds["~"] = function(self, text) return self:array(text, 1) end

-- What is said beside the replies: read, and left out.
local asides = {
  ["|"] = function(self, text) self:map(text) end,
  [">"] = function(self, text) self:array(text, 1) end,
}

--- A large reply takes long enough to count.
function Reply:look()
  self.values = self.values + 1
  if self.values % LOOK == 0 and C.tide_budget_left() == 0 then
    error("redis: the hook has used up its CPU budget (lua.budget) in a large reply", 0)
  end
end

function Reply:value()
  self:look()
  for _ = 0, ASIDE_MAX do
    local line = self:line()
    local kind, text = line:sub(1, 1), line:sub(2)
    if kinds[kind] then return kinds[kind](self, text) end
    if not asides[kind] then wrong("a reply of RESP", line) end
    asides[kind](self, text)
  end
  stop(("protocol: expected a reply, found %d pushes"):format(ASIDE_MAX))
end

--- Reads one reply.
-- @tparam table source receive_until(text, max) and receive(n, max), as sockets have them
-- @tparam[opt=67108864] number max bytes
-- @return[1] the reply: string, number, boolean, resp.null, table, or an error of the server (resp.is_error). Whole
--   numbers beyond 2^53 are texts
-- @return[2] nil and why; the rest of the reply is still to come, or not of the protocol
function resp.read(source, max)
  local reply = { source = source, bytes = 0, bytes_max = max or REPLY_MAX, elements = 0, values = 0, depth = 0 }
  local good, value = pcall(Reply.value, setmetatable(reply, Reply))
  if good then return value end
  if type(value) == "table" and value.why then return nil, value.why end
  error(value, 0)
end

return resp
