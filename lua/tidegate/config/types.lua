--- The formats of scalars: what a text must look like, and what it becomes.
-- Each is { expected = words for messages, parse = function(text) -> value, or nil and why }. Where `why` says all
-- there is to say, parse gives true as third result.
local cjson = require "cjson.safe"
local ffi = require "ffi"
local C = require "tidegate.ffi"
local websocket_schemes = require "tidegate.config.websocket_schemes"

local types = {}

local why = ffi.new "struct tide_error"

types.string = {
  expected = "a text",
  parse = function(text) return text end,
}

types.secret = types.string

--- A text with variables of the request, which tide.template fills in.
types.template = {
  expected = "a text",
  parse = function(text)
    local fill, reason = require("tidegate.tide.template").compile(text)
    if not fill then return nil, reason, true end
    return text
  end,
}

--- PCRE2, as tide.re has it. Not taken before it is needed: most configurations hold no pattern.
types.regex = {
  expected = "a regular expression",
  parse = function(text)
    local re, reason = require("tidegate.tide.re").compile(text)
    if not re then return nil, reason, true end
    return text
  end,
}

types.json = {
  expected = "JSON",
  parse = function(text)
    local value, reason = cjson.decode(text)
    if value == nil then return nil, reason end
    return value
  end,
}

--- A name of something in the configuration: shown in logs and messages, so no control characters.
types.name = {
  expected = "a name",
  parse = function(text)
    if text == "" then return nil, "it is empty" end
    if #text > 128 then return nil, "it is longer than 128 bytes" end
    if text:find "%c" then return nil, "it holds a control character" end
    return text
  end,
}

-- Seconds; the units from the largest to the smallest.
local DURATION_UNITS = { { "d", 86400 }, { "h", 3600 }, { "m", 60 }, { "s", 1 }, { "ms", 0.001 } }

-- What else people write, in small letters.
local DURATION_MEANT = {
  day = "d", days = "d", hour = "h", hours = "h", hr = "h", hrs = "h", min = "m", mins = "m", minute = "m",
  minutes = "m", sec = "s", secs = "s", second = "s", seconds = "s", msec = "ms", millisecond = "ms",
  milliseconds = "ms", d = "d", h = "h", m = "m", s = "s", ms = "ms",
}

--- "30s" for "30 seconds"; nil where nothing is known to be meant.
local function meant_duration(text)
  local number, unit = text:match "^(%d+%.?%d*)%s*(%a+)$"
  local meant = unit and DURATION_MEANT[unit:lower()]
  return meant and number .. meant
end

local function duration_part(text, at)
  local number, unit, next_at = text:match("^(%d+%.?%d*)(%a+)()", at)
  for rank, known in ipairs(DURATION_UNITS) do
    if unit == known[1] then return tonumber(number) * known[2], rank, next_at end
  end
  return nil, unit
end

--- "1h30m" to seconds.
types.duration = {
  expected = "a duration such as 500ms, 30s or 5m",
  parse = function(text)
    if text == "0" then return 0 end
    if tonumber(text) then return nil, ("it needs a unit, for example %ss"):format(text) end
    local total, at, last_rank = 0, 1, 0
    while at <= #text do
      local seconds, rank, next_at = duration_part(text, at)
      if not seconds then
        local meant = meant_duration(text)
        if meant then return nil, "write " .. meant end
        return nil, rank and ('"%s" is no unit; ms, s, m, h and d are'):format(rank) or nil
      end
      if rank <= last_rank then return nil, "units go from large to small, each once" end
      total, at, last_rank = total + seconds, next_at, rank
    end
    if at == 1 then return nil end
    return total
  end,
}

local SIZE_UNITS = {
  B = 1, kB = 1e3, MB = 1e6, GB = 1e9, TB = 1e12, KiB = 2 ^ 10, MiB = 2 ^ 20, GiB = 2 ^ 30, TiB = 2 ^ 40,
}
local SIZE_MEANT = { k = "KiB", m = "MiB", g = "GiB", t = "TiB" }

--- "64KiB" to bytes.
types.size = {
  expected = "a size such as 64KiB or 10MiB",
  parse = function(text)
    if text == "0" then return 0 end
    local number, space, unit = text:match "^(%d+%.?%d*)(%s*)(%a*)$"
    if not number then return nil end
    if unit == "" then return nil, ("it needs a unit, for example %sB or %sKiB"):format(number, number) end
    local bytes = SIZE_UNITS[unit] and tonumber(number) * SIZE_UNITS[unit]
    if bytes and space ~= "" then return nil, ("write %s%s"):format(number, unit) end
    if not bytes then
      local meant = SIZE_MEANT[unit:sub(1, 1):lower()]
      return nil, meant and ("write %s%s"):format(number, meant) or ('"%s" is no unit'):format(unit)
    end
    if bytes > 2 ^ 53 then return nil, "it is too large" end
    if bytes % 1 ~= 0 then return nil, "it is not a whole number of bytes" end
    return bytes
  end,
}

--- "10%" to 0.1.
types.percent = {
  expected = "a percentage such as 10%",
  parse = function(text)
    local digits, sign = text:match "^(%d+%.?%d*)(%%?)$"
    local number = tonumber(digits)
    if not number or number > 100 then return nil end
    if sign == "" then return nil, ("write %g%%"):format(number < 1 and number * 100 or number) end
    return number / 100
  end,
}

types.url = {
  expected = "a URL such as http://127.0.0.1:9000",
  parse = function(text)
    if text:find "[%c%s]" then return nil end
    return text:match "^%a[%w+.-]*://[^/?#]+.*$"
  end,
}

local LABEL_MAX = 63

--- RFC 1123 section 2.1, and underscores, which are in use. In lower case, without a trailing dot.
local function host(text)
  -- What most names look like, and is all right as it is.
  if #text <= LABEL_MAX and text:find "^%l[%l%d.-]*%l$" and not text:find("..", 1, true) then return text end
  local name = text:lower():gsub("%.$", "")
  if name:find "^%[[%x:.]+%]$" then return name end
  if name:find "[\128-\255]" then return nil, "write an international name in its xn-- form" end
  if name:find "://" then return nil, "a host is a name alone, without what stands before and behind it in a URL" end
  if name:find ":" then return nil, "a host has no port here" end
  if name == "" or #name > 253 or name:find "[^%w._-]" or name:find "%.%." or name:find "^%." then return nil end
  for label in name:gmatch "[^.]+" do
    if #label > LABEL_MAX then return nil, "a part between dots is longer than 63 bytes" end
  end
  return name
end

types.host = { expected = "a host name", parse = host }

--- A pattern behind "~". nil, the reason, true where it is none.
local function regex(text, nocase)
  local pattern = text:sub(2)
  if pattern == "" then return nil, 'a regular expression is missing behind "~"', true end
  if C.tide_regex_check(pattern, #pattern, nocase and 1 or 0, why) == 0 then return text end
  return nil, ('expected a regular expression behind "~", found "%s": %s'):format(pattern, ffi.string(why.text)), true
end

types.host_pattern = {
  expected = "a host such as api.example.com or *.example.com",
  parse = function(text)
    if text:find "^~" then return regex(text, true) end
    if text:find "[%w*]%s*,%s*[%w*]" then return nil, 'several go under "hosts", as a list' end
    local name = text:match "^%*%.(.+)$"
    if not name then
      if text == "*" then return nil, "leave the key away to match every host" end
      if text:find("*", 1, true) then return nil, 'a "*" can only stand for the first parts, as in "*.example.com"' end
      return host(text)
    end
    if name:find("*", 1, true) then return nil, 'only one "*" is possible' end
    local value, reason = host(name)
    return value and "*." .. value, reason
  end,
}

--- The form that request paths are brought to before they are compared: RFC 3986 section 6.2.2.
local function normal_path(text)
  if text:sub(1, 1) ~= "/" then return nil, "it starts with a slash" end
  -- What most paths look like, and is in normal form already.
  if not text:find "[^%w/_-]" and not text:find("//", 1, true) then return text end
  if text:find "[?#]" then return nil, "a query is no part of a path" end
  if text:find "%c" then return nil, "it holds a control character" end
  if text:find " $" then return nil, "it ends with a space" end
  for segment in text:gmatch "[^/]+" do
    if segment == "." or segment == ".." then
      return nil, 'request paths have no "." and ".." when they are compared: it would never match'
    end
  end
  if text:find "//" then return nil, "request paths have no empty segments when they are compared" end
  if text:gsub("%%%x%x", ""):find("%", 1, true) then return nil, "a percent sign is written %25" end
  local decoded = text:gsub("%%(%x%x)", function(hex)
    local c = string.char(tonumber(hex, 16))
    return c:find "[%w._~-]" and c or "%" .. hex:upper()
  end)
  return (decoded:gsub("[^%w._~!$&'()*+,;=:@/%%-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

types.path = {
  expected = "a path such as /api/v1",
  parse = normal_path,
}

local PARAMETERS_MAX, PARAMETER_MAX, SEGMENTS_MAX, PATH_MAX = 16, 32, 128, 4096

--- What is wrong with a segment that has a brace in it; nil where it is a parameter. seen: those before it.
local function wrong_parameter(segment, seen)
  local name = segment:match "^{([^{}]*)}$"
  if not name then return ('a parameter is a whole segment, as in "/users/{id}"; "%s" is none'):format(segment) end
  if name == "" then return 'a parameter needs a name, as in "/users/{id}"' end
  if #name > PARAMETER_MAX then return ("the name of a parameter is longer than %d bytes"):format(PARAMETER_MAX) end
  if not name:find "^[%a_][%w_]*$" then
    return ('the name of a parameter has letters, digits and "_", and begins with no digit; "%s" does not'):format(name)
  end
  if seen[name] then return ("the parameter {%s} is there twice"):format(name) end
  seen[name] = true
  seen.count = (seen.count or 0) + 1
  if seen.count > PARAMETERS_MAX then return ("it has more than %d parameters"):format(PARAMETERS_MAX) end
  return nil
end

--- The normal form of a path with parameters: what stands between them is a path each.
local function parameter_path(text)
  local out, start, seen, reason = {}, 1, {}, nil
  if text:find "//" then return normal_path(text) end       -- which says what is wrong with it
  local function literal(last)
    local piece = text:sub(start, last)
    if piece == "" and start > 1 then return true end
    out[#out + 1], reason = normal_path(piece)
    return reason == nil
  end
  for from, segment, behind in text:gmatch "()/([^/]*[{}][^/]*)()" do
    reason = wrong_parameter(segment, seen)
    if reason or not (from == 1 or literal(from - 1)) then return nil, reason end
    out[#out + 1] = "/" .. segment
    start = behind
  end
  if not literal(#text) then return nil, reason end
  if select(2, text:gsub("/", "/")) > SEGMENTS_MAX then
    return nil, ("a path with parameters has at most %d segments"):format(SEGMENTS_MAX)
  end
  return table.concat(out)
end

--- "/a/**" becomes "/a/*".
types.path_pattern = {
  expected = "a path such as /login, /users/{id} or /api/*",
  parse = function(text)
    if text:find "^~" then return regex(text) end
    if #text > PATH_MAX then return nil, ("it is longer than %d bytes"):format(PATH_MAX) end
    local fixed = text:gsub("/%*%*?$", "/")
    if fixed:find("*", 1, true) then return nil, 'a "*" can only stand for the last segments, as in "/api/*"' end
    local value, reason = (fixed:find "[{}]" and parameter_path or normal_path)(fixed)
    if not value then return nil, reason end
    return fixed == text and value or value .. "*"
  end,
}

--- A file of this machine.
types.file = {
  expected = "a file name",
  parse = function(text)
    if text == "" then return nil, "it is empty" end
    if text:find "%z" then return nil, "it holds a NUL byte" end
    if #text > 4000 then return nil, "it is too long" end
    return text
  end,
}

types.cidr = {
  expected = "a network such as 10.0.0.0/8 or an address",
  parse = function(text) return C.tide_cidr_check(text, #text) == 0 and text or nil end,
}

local PORT_RANGE = "a port is a number from 1 to 65535"

--- Whether what stands behind the last colon cannot be a port.
local function has_wrong_port(text)
  local port = text:match ":([^:%]]*)$"
  return port and port ~= "" and not (port:find "^%d+$" and tonumber(port) >= 1 and tonumber(port) <= 65535)
end

--- Where to listen. A name of a unix socket stays as it is: it may be relative.
types.address = {
  expected = 'an address such as ":8080", "127.0.0.1:8080", "[::]:80" or "unix:run/gate.sock"',
  parse = function(text)
    local file = text:match "^unix:(.*)$"
    if file then
      local value, reason = types.file.parse(file)
      return value and "unix:" .. value, reason
    end
    if text:find "^%d+$" then return nil, ('write ":%s"'):format(text) end
    if C.tide_address_check(text, #text, why) == 0 then return ffi.string(why.text) end
    if text:find "://" then return nil, "an address has no protocol before it; the key tls makes it HTTPS" end
    local port = text:match "^%*(:%d+)$"
    if port then return nil, ('write "%s"'):format(port) end
    if text:find ":.*:" and text:sub(1, 1) ~= "[" then return nil, "an IPv6 address stands in brackets" end
    if has_wrong_port(text) then return nil, PORT_RANGE end
    if text:find "^[%d.]+$" then return nil, "it needs a port" end
    return nil, text:find "^%a[%w.-]*:?%d*$" and "a listener has an address, not a name" or nil
  end,
}

-- "host:port", "[v6]:port", "host"; the port may be missing where the scheme gives one.
local function split_authority(text, port)
  local literal, rest = text:match "^(%[[%x:.]+%])(.*)$"
  local name = literal and literal:sub(2, -2)
  if not literal then name, rest = text:match "^([%w._-]+)(.*)$" end
  if not name or #name > 253 then return nil end
  if rest == "" then return name:lower(), port end
  local number = tonumber(rest:match "^:(%d%d?%d?%d?%d?)$")
  if not number or number < 1 or number > 65535 then return nil end
  return name:lower(), number
end

local PORTS = { http = 80, https = 443 }
local LATER = { h2c = true, h2 = true, grpc = true, grpcs = true, fastcgi = true, tcp = true }

--- Where a service runs: { scheme = "http", "https" or nil, host =, port = }, or { file = } of a unix socket.
types.node = {
  expected = 'a node such as "10.0.0.1:8080", "http://app:8080", "https://app" or "unix:/run/app.sock"',
  parse = function(text)
    local file = text:match "^unix:(.*)$"
    if file then
      local value, reason = types.file.parse((file:gsub("^//", "")))
      return value and { file = value }, reason
    end
    local scheme, rest = text:match "^(%a[%w+.-]*)://(.*)$"
    scheme = scheme and scheme:lower()
    if LATER[scheme] then return nil, ("the protocol %s is not available in this version"):format(scheme), true end
    scheme = websocket_schemes[scheme] or scheme
    if scheme and not PORTS[scheme] then return nil, "its protocol is none of http, https, ws and wss" end
    if text:find "^[%w.:-]+%s*,[%w.:, -]+$" then return nil, "several are a list, each with a port" end
    local authority, tail = (rest or text):match "^([^/?#]*)(.*)$"
    if tail ~= "" and tail ~= "/" then return nil, "it has no path; a route's add_prefix puts one before each path" end
    local name, port = split_authority(authority, PORTS[scheme])
    if not name then return nil, has_wrong_port(authority) and PORT_RANGE or nil end
    if not port then return nil, "it needs a port" end
    return { scheme = scheme, host = name, port = port }
  end,
}

types.method = {
  expected = "a method such as GET",
  parse = function(text)
    local is_several = text:find "^%u%u%u+[, ]+%u%u%u"
    if is_several then return nil, ("several are a list: [%s]"):format((text:gsub("[, ]+", ", "))) end
    if text == "*" then return nil, "leave the key away to match every method" end
    if text == "" or text:find "[^!#$%%&'*+.^_`|~%w-]" then return nil end
    if text ~= text:upper() then return nil, ('write "%s"'):format(text:upper()) end
    if text == "CONNECT" then return nil, "the gateway is no forward proxy", false end
    return text
  end,
}

--- RFC 9110 section 5.1. In lower case.
types.header_name = {
  expected = "a header name",
  parse = function(text)
    if text == "" or text:find "[^!#$%%&'*+.^_`|~%w-]" then return nil end
    return text:lower()
  end,
}

--- The name of a service, or where it stands in the path: { segment = 1, default = "app" }.
types.service = {
  expected = "a service",
  parse = function(text)
    if not text:find("${", 1, true) then return types.name.parse(text) end
    local number, default = text:match "^%${segment%.(%d+)}$", nil
    if not number then number, default = text:match "^%${segment%.(%d+):%-([^}]+)}$" end
    number = tonumber(number)
    if not number then return nil, "the only template here is ${segment.1}, as the whole text" end
    if number < 1 or number > 32 then return nil, "segments are 1 to 32" end
    return { segment = number, default = default }
  end,
}

--- RFC 6265 section 4.1.1: a token.
types.cookie_name = {
  expected = "a cookie name",
  parse = function(text)
    if text == "" or text:find "[^!#$%%&'*+.^_`|~%w-]" then return nil end
    if #text > 128 then return nil, "it is longer than 128 bytes" end
    return text
  end,
}

return types
