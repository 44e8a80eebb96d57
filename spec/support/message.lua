--- HTTP/1.1 messages as specs look at them: a start line, fields in their order, a body and how it was framed.
local message = {}

local Message = {}
Message.__index = Message

--- The first value of a field, or nil.
function Message:get(name)
  for _, field in ipairs(self.fields) do
    if field.name:lower() == name:lower() then return field.value end
  end
  return nil
end

--- All values of a field, in order.
function Message:all(name)
  local values = {}
  for _, field in ipairs(self.fields) do
    if field.name:lower() == name:lower() then values[#values + 1] = field.value end
  end
  return values
end

local function add_field(fields, line)
  local name, value = line:match("^([^:]*):[ \t]*(.-)[ \t]*$")
  fields[#fields + 1] = { name = name or line, value = value or "" }
end

--- Takes a head apart.
-- @tparam string text through the empty line
function message.parse(text)
  local lines = text:gmatch("([^\r\n]*)\r\n")
  local start = lines()
  local m = setmetatable({ head = text, start = start, fields = {}, body = "" }, Message)
  local status, reason = start:match("^HTTP/1%.%d (%d%d%d) ?(.*)$")
  if status then
    m.status, m.reason = tonumber(status), reason
    m.version = start:match("^HTTP/(1%.%d)")
  else
    m.method, m.target, m.version = start:match("^(%S+) (%S+) HTTP/(%d%.%d)$")
  end
  for line in lines do
    if line == "" then break end
    add_field(m.fields, line)
  end
  return m
end

--- Reads a head; nil and a reason when none came whole.
function message.read_head(reader, timeout)
  local text, why = reader:through("\r\n\r\n", timeout)
  if not text then return nil, why end
  return message.parse(text)
end

local function read_chunks(m, reader, timeout)
  m.chunks, m.trailers = {}, {}
  local pieces = {}
  while true do
    local line, why = reader:line(timeout)
    if not line then return table.concat(pieces), why end
    local size = tonumber(line:match("^%x+"), 16)
    if not size then return table.concat(pieces), "bad chunk size: " .. line end
    if size == 0 then break end
    local data, cut = reader:exactly(size, timeout)
    if not data then
      pieces[#pieces + 1] = reader:rest(0.1)
      return table.concat(pieces), cut
    end
    pieces[#pieces + 1] = data
    m.chunks[#m.chunks + 1] = size
    local finish, gone = reader:exactly(2, timeout)
    if finish ~= "\r\n" then return table.concat(pieces), gone or "bad end of chunk" end
  end
  while true do
    local line, why = reader:line(timeout)
    if not line then return table.concat(pieces), why end
    if line == "" then return table.concat(pieces) end
    add_field(m.trailers, line)
  end
end

--- Reads the body that a head announces (RFC 9112 section 6.3). Sets body, framing, complete, and ended: why there was
-- no more, where the body is not complete or reaches to the end of the connection.
-- @tparam table m from read_head
-- @tparam table o method: of the request, for a response; timeout
function message.read_body(m, reader, o)
  local method = o.method or m.method
  local length = tonumber(m:get("content-length") or nil)
  m.complete = true
  if m.status and (method == "HEAD" or m.status < 200 or m.status == 204 or m.status == 304) then
    m.framing = "none"
  elseif (m:get("transfer-encoding") or ""):lower():find("chunked", 1, true) then
    m.framing = "chunked"
    m.body, m.ended = read_chunks(m, reader, o.timeout)
    m.complete = m.ended == nil
  elseif length then
    m.framing = "length"
    local body, why = reader:exactly(length, o.timeout)
    m.complete, m.ended = body ~= nil, why
    m.body = body or reader:rest(0.05)
  elseif m.status then
    m.framing = "close"
    m.body, m.ended = reader:rest(o.timeout)
    m.complete = m.ended == "eof"
  else
    m.framing = "none"
  end
  return m
end

return message
