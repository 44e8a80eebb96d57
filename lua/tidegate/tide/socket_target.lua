--- Where a socket goes: the options of socket.connect and socket.udp, checked, as C takes them.
local ffi = require "ffi"

local target = {}

local TIMEOUT = 5

target.STREAM = {
  host = "string", port = "number", unix = "string", tls = "any", timeout = "number", connect_timeout = "number",
  pool = "string",
}
target.DATAGRAM = { host = "string", port = "number", unix = "string", timeout = "number" }
target.TLS = { verify = "boolean", server_name = "string", ca = "string", cert = "string", key = "string" }

local function expected(what, found) return ("expected %s, found %s"):format(what, tostring(found)) end

-- Each of these gives what is wrong, or nil.

local function wrong_text(options)
  for name, value in pairs(options) do
    if type(value) == "string" and name ~= "pool" and value:find "%z" then
      return expected(("a text without NUL as %s"):format(name), "one")
    end
  end
end

local function wrong_place(options)
  local port = options.port
  if options.unix then
    if options.host or port then return expected("unix, or host and port", "both") end
    return options.unix == "" and expected("a path as unix", '""') or nil
  end
  if not options.host then return expected("host and port, or unix", "neither") end
  if not port or not (port >= 1 and port <= 65535) or port % 1 ~= 0 then
    return expected("port from 1 to 65535", port)
  end
end

local function wrong_time(options)
  for _, name in ipairs { "timeout", "connect_timeout" } do
    local value = options[name]
    if value ~= nil and (value <= 0 or value ~= value) then return expected(name .. " as seconds above 0", value) end
  end
end

local function wrong_tls(options)
  local tls = options.tls
  if not tls then return end
  if tls == true then tls = {} end
  if type(tls) ~= "table" then return expected("tls as true or a table", "a " .. type(tls)) end
  if (tls.cert == nil) ~= (tls.key == nil) then return expected("tls.cert and tls.key together", "one of them") end
  if options.unix and not tls.server_name then
    return expected("tls.server_name, because a path names no server", "none")
  end
  return wrong_text(tls)
end

local function part(value) return value == nil and "" or tostring(value) end

--- What two connections have in common that can stand for each other.
local function key_of(options, tls)
  local parts = { part(options.pool), part(options.unix), part(options.host):lower(), part(options.port) }
  if tls then
    for _, name in ipairs { "verify", "server_name", "ca", "cert", "key" } do parts[#parts + 1] = part(tls[name]) end
  end
  return table.concat(parts, "\0")
end

local function fill(options, tls)
  local t = ffi.new "struct tide_socket_target"
  t.unix_path, t.host, t.port = options.unix, options.host, options.port or 0
  if tls then
    t.is_tls, t.verify = true, tls.verify ~= false
    t.server_name = tls.server_name or options.host
    t.ca, t.cert, t.key = tls.ca, tls.cert, tls.key
  end
  return t
end

local Target = {}
Target.__index = Target

local function check(options)
  local wrong = wrong_text(options) or wrong_place(options) or wrong_time(options) or wrong_tls(options)
  if wrong then return nil, wrong end
  local tls = options.tls and (options.tls == true and {} or options.tls)
  local timeout = options.timeout or TIMEOUT
  return setmetatable({
    options = options, tls = tls,       -- they keep the texts that c points to
    c = fill(options, tls),
    timeout = timeout, connect_timeout = options.connect_timeout or timeout,
    key = key_of(options, tls),
  }, Target)
end

--- A target from options, of the types that target.STREAM says; socket.connect takes it in place of them.
-- @treturn[1] table c (struct tide_socket_target), key (for the pool), timeout, connect_timeout
-- @return[2] nil and what is wrong
function target.stream(options) return check(options) end

function target.is_target(value) return getmetatable(value) == Target end

--- The same for datagrams.
function target.datagram(options)
  local checked, wrong = check(options)
  if not checked then return nil, wrong end
  checked.c.is_datagram = true
  return checked
end

return target
