--- HTTP/1.1 as the peers of a gateway under test speak it: messages to bytes, and bytes to messages as they come.
-- What a test gets wrong is told; this is no parser for strangers.
local json = require "tidegate.tide.json"

local message = {}

--- All values of a field of a message, in their order.
-- @tparam table m
-- @tparam string name in any case
-- @treturn {string,...}
function message.all(m, name)
  local values = {}
  for _, field in ipairs(m.fields) do
    if field.name:lower() == name:lower() then values[#values + 1] = field.value end
  end
  return values
end

--- The body of a message as JSON.
-- @tparam table m
-- @return the value; nil where it is none
-- @treturn ?string why not
function message.json(m) return json.decode(m.body or "") end

-- What a message has as methods: m:all(name), m:json().
local Message = { __index = { all = message.all, json = message.json } }

-- -- bytes to messages --

local any_case = {
  __index = function(headers, name) return type(name) == "string" and rawget(headers, name:lower()) or nil end,
}

--- headers["x-name"], in any case; values of one name stand together, as RFC 9110 section 5.3 allows.
local function headers_of(fields)
  local headers = setmetatable({}, any_case)
  for _, field in ipairs(fields) do
    local name = field.name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. field.value or field.value
  end
  return headers
end

local function fields_of(lines)
  local fields = {}
  for line in lines do
    if line == "" then break end
    local name, value = line:match "^([^%s:]+):[ \t]*(.-)[ \t]*$"
    if not name then error(("expected a header field, found %q"):format(line), 0) end
    fields[#fields + 1] = { name = name, value = value }
  end
  return fields
end

--- Takes a head apart, through its empty line.
function message.parse_head(text)
  local lines = text:gmatch "([^\r\n]*)\r\n"
  local start = lines()
  local self = setmetatable({ body = "", complete = false, chunks = {} }, Message)
  local version, status, reason = start:match "^HTTP/(1%.%d) (%d%d%d) ?(.*)$"
  if status then
    self.version, self.status, self.reason = version, tonumber(status), reason
  else
    self.method, self.target, self.version = start:match "^(%S+) (%S+) HTTP/(1%.%d)$"
    if not self.method then error(("expected the first line of HTTP/1, found %q"):format(start), 0) end
    self.path, self.query = self.target:match "^([^?]*)%??(.*)$"
    if not self.target:find("?", 1, true) then self.query = nil end
  end
  self.fields = fields_of(lines)
  self.headers = headers_of(self.fields)
  return self
end

--- How long the body is: "none", "length", "chunked" or "close" (RFC 9112 section 6.3).
local function framing_of(m, is_bodiless)
  local length = m.headers["content-length"]
  if m.status and (is_bodiless or m.status < 200 or m.status == 204 or m.status == 304) then return "none" end
  if (m.headers["transfer-encoding"] or ""):lower():find "chunked" then return "chunked" end
  if length then
    m.left = tonumber(length)
    return "length"
  end
  return m.status and "close" or "none"
end

local Reader = {}
Reader.__index = Reader

--- Reads messages of one connection.
-- @tparam function on_message gets each when it is complete; interim responses are in its `interims`
-- @treturn table reader:feed(bytes), reader:finish(); `current` is the message that has begun
function message.reader(on_message)
  return setmetatable({ held = "", on_message = on_message, interims = {} }, Reader)
end

function Reader:take(n)
  local bytes = self.held:sub(1, n)
  self.held = self.held:sub(n + 1)
  return bytes
end

function Reader:take_line()
  local stop = self.held:find("\r\n", 1, true)
  return stop and self:take(stop + 1):sub(1, -3)
end

local steps = {}

function steps.none() return true end

function steps.length(self, m)
  local bytes = self:take(m.left)
  m.body_parts[#m.body_parts + 1] = bytes
  m.left = m.left - #bytes
  return m.left == 0
end

function steps.close(self, m)
  m.body_parts[#m.body_parts + 1] = self:take(#self.held)
  return false
end

--- The bytes of a chunk and its end.
local function take_chunk(self, m)
  if #self.held < m.left + 2 then return false end
  m.body_parts[#m.body_parts + 1] = self:take(m.left)
  m.chunks[#m.chunks + 1] = m.left
  m.left = nil
  local stop = self:take(2)
  if stop ~= "\r\n" then error(("expected the end of a chunk, found %q"):format(stop), 0) end
  return true
end

function steps.chunked(self, m)
  while true do
    if m.left and not take_chunk(self, m) then return false end
    local line = self:take_line()
    if not line then return false end
    if m.in_trailers then
      if line == "" then return true end
    else
      m.left = tonumber(line:match "^%x*", 16)
      if not m.left then error(("expected the size of a chunk, found %q"):format(line), 0) end
      if m.left == 0 then m.in_trailers, m.left = true, nil end
    end
  end
end

local function complete(self, m)
  m.body, m.body_parts, m.left, m.in_trailers = table.concat(m.body_parts), nil, nil, nil
  m.complete = true
  self.current = nil
  if m.status and m.status < 200 and m.status ~= 101 then
    table.insert(self.interims, m)
    return
  end
  m.interims, self.interims = self.interims, {}
  self.on_message(m)
end

local function begin(self)
  local stop = select(2, self.held:find("\r\n\r\n", 1, true))
  if not stop then return false end
  local m = message.parse_head(self:take(stop))
  m.framing = framing_of(m, self.is_bodiless)
  m.body_parts = {}
  self.current = m
  return true
end

--- Takes bytes as they come.
function Reader:feed(bytes)
  self.held = self.held .. bytes
  while self.current or begin(self) do
    local m = self.current
    if not steps[m.framing](self, m) then return end
    complete(self, m)
  end
end

--- Nothing more comes. What is not whole then stays as it is.
-- @treturn ?table the message that was cut off
function Reader:finish()
  local m = self.current
  if not m then return nil end
  if m.framing == "close" then
    complete(self, m)
    return nil
  end
  m.body, m.interims = table.concat(m.body_parts), self.interims
  return m
end

-- -- messages to bytes --

--- Adds the fields of a table name -> value or list of values, or of a list of { name, value }.
-- @treturn table set of the names, in lower case
local function add_fields(lines, headers)
  local names = {}
  local function add(name, value)
    names[name:lower()] = true
    lines[#lines + 1] = name .. ": " .. tostring(value)
  end
  for _, pair in ipairs(headers or {}) do add(pair[1], pair[2]) end
  local sorted = {}
  for name in pairs(headers or {}) do
    if type(name) == "string" then sorted[#sorted + 1] = name end
  end
  table.sort(sorted)
  for _, name in ipairs(sorted) do
    local value = headers[name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do add(name, one) end
  end
  return names
end

local function chunks_of(pieces)
  local out = {}
  for _, piece in ipairs(pieces) do
    if #piece > 0 then out[#out + 1] = ("%x\r\n%s\r\n"):format(#piece, piece) end
  end
  out[#out + 1] = "0\r\n\r\n"
  return out
end

--- A message as pieces of bytes: the head, then the body as it is to be sent.
-- @tparam string start first line
-- @tparam table m headers; body: a text, or a list of texts, which are sent as chunks; json: a value in place of body;
--   close = true: the end of the connection is the end of the body; connection: value of that field
-- @tparam boolean is_bodiless no body is sent, whatever there is
-- @treturn {string,...}
function message.pieces(start, m, is_bodiless)
  local lines, body = { start }, m.body
  local names = add_fields(lines, m.headers)
  if m.json ~= nil then
    body = assert(json.encode(m.json))
    if not names["content-type"] then lines[#lines + 1] = "Content-Type: application/json" end
  end
  local is_framed = names["content-length"] or names["transfer-encoding"]
  if type(body) == "table" and not m.close then
    if not is_framed then lines[#lines + 1] = "Transfer-Encoding: chunked" end
  elseif not m.close and not is_framed and (body or m.is_answer and not m.is_empty) then
    lines[#lines + 1] = "Content-Length: " .. #(body or "")
  end
  if m.connection and not names.connection then lines[#lines + 1] = "Connection: " .. m.connection end
  local out = { table.concat(lines, "\r\n") .. "\r\n\r\n" }
  if is_bodiless or not body then return out end
  local pieces = type(body) == "table" and (m.close and body or chunks_of(body)) or { body }
  for _, piece in ipairs(pieces) do out[#out + 1] = piece end
  return out
end

local WHOLE_ENDS, MIDDLE = 2048, 1021

--- Cuts the body of pieces as small as the feed says: "whole": as they are; "bytes": byte by byte (of a long body: its
-- first and last 2 KiB); a number: so many bytes at a time.
function message.cut(pieces, feed)
  if feed == "whole" then return pieces end
  local body = table.concat(pieces, "", 2)
  local out, at = { pieces[1] }, 1
  while at <= #body do
    local size = feed
    if feed == "bytes" then
      size = (at <= WHOLE_ENDS or at > #body - WHOLE_ENDS) and 1 or math.min(MIDDLE, #body - WHOLE_ENDS - at + 1)
    end
    out[#out + 1] = body:sub(at, at + size - 1)
    at = at + size
  end
  return out
end

return message
