--- A raw client: sends exactly these bytes, reads exactly what comes.
local message = require "support.message"
local Reader = require "support.reader"
local wire = require "support.wire"

local Client = {}
Client.__index = Client

local client = {}

--- Connects.
-- @tparam number|string to port of this machine, or the path of a unix socket
-- @tparam[opt] table o receive_buffer: bytes the kernel may hold for us
function client.connect(to, o)
  local fd = assert(wire.connect(to, o))
  return setmetatable({ fd = fd, reader = Reader.new(fd) }, Client)
end

--- One request on a connection of its own.
-- @tparam number|string to
-- @tparam string bytes the whole request
-- @tparam[opt] table o as for Client:response
-- @treturn ?table the response, or nil and a reason
function client.ask(to, bytes, o)
  local c = client.connect(to)
  c:send(bytes)
  local response, why = c:response(o)
  c:close()
  return response, why
end

--- The bytes of a request.
-- @tparam table r method (GET), target (/), headers (list of lines), body (Content-Length is added), version
function client.request(r)
  local lines = { ("%s %s HTTP/%s"):format(r.method or "GET", r.target or "/", r.version or "1.1") }
  if r.host ~= false then lines[#lines + 1] = "Host: " .. (r.host or "gate.test") end
  for _, line in ipairs(r.headers or {}) do lines[#lines + 1] = line end
  if r.body then lines[#lines + 1] = "Content-Length: " .. #r.body end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (r.body or "")
end

--- Bytes in the chunked coding.
-- @tparam table pieces one chunk each
-- @tparam[opt=""] string trailers lines, each with its CR LF
function client.chunked(pieces, trailers)
  local out = {}
  for _, piece in ipairs(pieces) do out[#out + 1] = ("%x\r\n%s\r\n"):format(#piece, piece) end
  return table.concat(out) .. "0\r\n" .. (trailers or "") .. "\r\n"
end

function Client:send(bytes, timeout) return wire.send(self.fd, bytes, timeout) end

--- One byte per packet.
function Client:send_bytewise(bytes)
  for i = 1, #bytes do
    local ok, why = wire.send(self.fd, bytes:sub(i, i))
    if not ok then return nil, why end
  end
  return true
end

--- The next head, interim ones too.
function Client:head(timeout) return message.read_head(self.reader, timeout) end

--- The next final response with its body; what came before it is in `interims`.
-- @tparam[opt] table o method: of the request (HEAD has no body); timeout in seconds, of each wait
-- @treturn ?table see support.message, or nil and a reason where no whole head came
function Client:response(o)
  o = o or {}
  local interims = {}
  while true do
    local m, why = message.read_head(self.reader, o.timeout)
    if not m then return nil, why end
    if m.status >= 200 or m.status == 101 then
      m.interims = interims
      return message.read_body(m, self.reader, o)
    end
    interims[#interims + 1] = m
  end
end

--- How the connection ends: "eof", "reset" or, where it does not, "timeout"; and what still came.
function Client:ending(timeout)
  local rest, how = self.reader:rest(timeout)
  return how, rest
end

function Client:shut() return wire.shut(self.fd) end

function Client:close()
  if self.fd then wire.close(self.fd) end
  self.fd = nil
end

--- Closes so that the peer sees a reset.
function Client:reset()
  wire.abort(self.fd)
  self.fd = nil
end

return client
