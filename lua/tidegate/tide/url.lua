--- URLs, RFC 3986: taking apart, putting together, and the queries of forms.
local cidr = require "tidegate.tide.cidr"
local words = require "tidegate.tide.words"

local url = {}

local TEXT_MAX = 64 * 1024
local ARGUMENTS_MAX = 100

-- Lua's %a and %w would ask the locale.
local ALNUM = "A-Za-z0-9"
local UNRESERVED = ALNUM .. "%-._~"
local SUB_DELIMS = "!$&'()*+,;="

local ESCAPED = {}
for byte = 0, 255 do ESCAPED[string.char(byte)] = ("%%%02X"):format(byte) end

--- Percent-encodes all but letters, digits and -._~ so that the text can be a part of any component.
-- @tparam string text
-- @treturn string
function url.escape(text)
  if type(text) ~= "string" then words.misuse("url.escape", "a text", text) end
  if not text:find("[^" .. UNRESERVED .. "]") then return text end
  return (text:gsub("[^" .. UNRESERVED .. "]", ESCAPED))
end

local UNESCAPED = {}
for byte = 0, 255 do
  local low, high = ("%02x"):format(byte), ("%02X"):format(byte)
  for _, digits in ipairs { low, high, low:sub(1, 1) .. high:sub(2), high:sub(1, 1) .. low:sub(2) } do
    UNESCAPED[digits] = string.char(byte)
  end
end

--- Where a text has a percent sign without two hexadecimal digits; nil where it has none.
local function bad_escape(text)
  local at = text:find("%", 1, true)
  while at do
    if not UNESCAPED[text:sub(at + 1, at + 2)] then return at end
    at = text:find("%", at + 3, true)
  end
end

local function unescape(text)
  if not text:find("%", 1, true) then return text end
  local at = bad_escape(text)
  if at then
    return nil, ("expected two hexadecimal digits behind the percent sign at byte %d, found %s"):format(
      at, words.quote(text:sub(at + 1, at + 2)))
  end
  return (text:gsub("%%(..)", UNESCAPED))
end

--- Decodes percent signs. A plus sign stays one.
-- @tparam string text
-- @treturn[1] string any bytes, control characters among them
-- @return[2] nil and why: a percent sign without two hexadecimal digits
function url.unescape(text)
  if type(text) ~= "string" then words.misuse("url.unescape", "a text", text) end
  return unescape(text)
end

-- -- taking apart --

local NOT_IN_URL = "[^" .. UNRESERVED .. SUB_DELIMS .. ":/?#%[%]@%%]"

--- Whether a text has only the characters of a URL, in their right places as far as that is the same everywhere.
local function check_characters(text)
  if #text > TEXT_MAX then return nil, ("expected a URL of at most %d bytes, found %d"):format(TEXT_MAX, #text) end
  local at = text:find(NOT_IN_URL)
  if at then return nil, ("expected a URL, found %s at byte %d"):format(words.byte(text, at), at) end
  at = bad_escape(text)
  if at then return nil, ("expected a URL, found a percent sign without two digits at byte %d"):format(at) end
  return true
end

local function refuse_part(what, found)
  return nil, ("expected %s, found %s"):format(what, words.quote(found))
end

--- Puts user, host and port into parts: RFC 3986 section 3.2.
local function split_authority(authority, parts)
  local user, rest = authority:match "^([^@]*)@(.*)$"
  rest = rest or authority
  local host, port = rest:match "^%[(.*)%](.*)$"
  if host then
    if not host:find(":", 1, true) or not cidr.family(host) then return refuse_part("an IPv6 address in [ ]", rest) end
  else
    host, port = rest:match "^([^:]*)(.*)$"
    if host:find "[%[%]@]" then return refuse_part("a host", host) end
  end
  if port ~= "" then
    local digits = port:match "^:(%d*)$"
    if not digits or #digits > 5 or (tonumber(digits) or 0) > 65535 then
      return refuse_part("a port of 0 to 65535", port:gsub("^:", ""))
    end
    parts.port = tonumber(digits)
  end
  if user and user:find "[%[%]]" then return refuse_part("a user", user) end
  parts.user, parts.host = user, host:lower()
  return true
end

local NEEDS_HOST = { http = true, https = true, ws = true, wss = true }

local function parse(text)
  local ok, why = check_characters(text)
  if not ok then return nil, why end
  local parts = {}
  local rest, fragment = text:match "^([^#]*)#(.*)$"
  rest, parts.fragment = rest or text, fragment
  local before, query = rest:match "^([^?]*)%?(.*)$"
  rest, parts.query = before or rest, query
  local scheme, behind = rest:match("^([A-Za-z][" .. ALNUM .. "+.-]*):(.*)$")
  if scheme then parts.scheme, rest = scheme:lower(), behind end
  local authority, path = rest:match "^//([^/]*)(.*)$"
  if authority then
    ok, why = split_authority(authority, parts)
    if not ok then return nil, why end
  end
  parts.path = path or rest
  for _, name in ipairs { "path", "query", "fragment" } do
    local part = parts[name]
    if part and part:find "[%[%]#]" then return refuse_part("a " .. name .. ' without "[", "]" and "#"', part) end
  end
  if not scheme and not authority and parts.path:match "^[^/]*":find(":", 1, true) then
    return refuse_part("a scheme, or no colon before the first slash", parts.path)
  end
  if NEEDS_HOST[parts.scheme] and (parts.host or "") == "" then return refuse_part("a host behind the scheme", text) end
  return parts
end

--- Takes a URL, or a reference to one such as "/path?query", apart. Strict: what is no URL is refused, not mended.
-- @tparam string text at most 64 KiB
-- @treturn[1] table scheme and host in lower case (an IPv6 host without brackets), user, port (a number), path (always
-- there), query and fragment without their ? and #; nothing is percent-decoded
-- @return[2] nil and why
function url.parse(text)
  if type(text) ~= "string" then words.misuse("url.parse", "a text", text) end
  return parse(text)
end

-- -- putting together --

local function put_together(parts)
  local host, text = parts.host, parts.path or ""
  if host then
    if host:find(":", 1, true) then host = "[" .. host .. "]" end
    local user, port = parts.user and parts.user .. "@" or "", parts.port and ":" .. parts.port or ""
    text = "//" .. user .. host .. port .. text
  end
  if parts.scheme then text = parts.scheme .. ":" .. text end
  if parts.query then text = text .. "?" .. parts.query end
  if parts.fragment then text = text .. "#" .. parts.fragment end
  return text
end

local PARTS = { "scheme", "user", "host", "port", "path", "query", "fragment" }

--- Puts parts together that may be anything of the right type.
local function compose(parts)
  if parts.host and parts.path:find "^[^/]" then return refuse_part("the path to begin with a slash", parts.path) end
  local text = put_together(parts)
  local back, why = parse(text)
  if not back then return nil, why end
  for _, name in ipairs(PARTS) do
    local value = parts[name]
    if value and (name == "scheme" or name == "host") then value = value:lower() end
    -- A part that should not be there comes from one that is read as something else.
    if value and back[name] ~= value then
      return nil, ("expected parts of a URL, found the %s %s, which would be read as something else"):format(
        name, words.quote(tostring(value)))
    end
  end
  return text
end

--- Puts a URL together.
-- @tparam table parts as url.parse gives them, each of them optional; query may be a table for url.build_query
-- @treturn[1] string
-- @return[2] nil and why, where the parts make no URL, or one that does not read back as them
function url.build(parts)
  if type(parts) ~= "table" then words.misuse("url.build", "a table of parts", parts) end
  local given = { path = "" }
  for _, name in ipairs(PARTS) do
    local value, wanted = parts[name], name == "port" and "number" or "string"
    if name == "query" and type(value) == "table" then value = url.build_query(value) end
    if value ~= nil and type(value) ~= wanted then
      error(("url.build: %s: expected a %s, found a %s"):format(name, wanted, type(value)), 2)
    end
    if value ~= nil then given[name] = value end
  end
  return compose(given)
end

--- A path without its "." and ".." segments: RFC 3986 section 5.2.4.
local function remove_dots(path)
  local kept, n = {}, 0
  local stop = #path
  for slash, segment, behind in path:gmatch "(/?)([^/]*)()" do
    local is_up, is_last = segment == "..", behind > stop
    if is_up and n > 0 then n = n - 1 end
    if not is_up and segment ~= "." then
      n = n + 1
      kept[n] = slash .. segment
    elseif is_last and slash ~= "" then
      n = n + 1
      kept[n] = "/"
    end
    if is_last then break end
  end
  local result = table.concat(kept, "", 1, n)
  -- Dots at the very front take the slash behind them along.
  return path:find "^%.%.?/" and result:sub(1, 1) == "/" and result:sub(2) or result
end

--- The path of a reference, seen from the base: RFC 3986 section 5.2.3.
local function merge(base, path)
  if path:sub(1, 1) == "/" then return path end
  if base.host and base.path == "" then return "/" .. path end
  return (base.path:match "^.*/" or "") .. path
end

--- Finds what a reference means on the page of a base: RFC 3986 section 5.2.
-- @tparam string base a URL with a scheme
-- @tparam string reference "next", "../x", "/y?z", "//host/", "https://..."
-- @treturn[1] string
-- @return[2] nil and why
function url.join(base, reference)
  if type(base) ~= "string" then words.misuse("url.join", "a text", base) end
  if type(reference) ~= "string" then words.misuse("url.join", "a text as reference", reference) end
  local from, why = parse(base)
  if not from then return nil, why end
  if not from.scheme then return refuse_part("a base with a scheme", base) end
  local to
  to, why = parse(reference)
  if not to then return nil, why end
  if not to.scheme then
    to.scheme = from.scheme
    if not to.host then
      to.user, to.host, to.port = from.user, from.host, from.port
      if to.path == "" then
        to.path, to.query = from.path, to.query or from.query
        return compose(to)
      end
      to.path = merge(from, to.path)
    end
  end
  to.path = remove_dots(to.path)
  return compose(to)
end

-- -- queries --

local function decode_argument(text)
  return unescape((text:gsub("+", " ")))
end

--- Adds an argument: the second of a name makes a list of both.
local function add_argument(arguments, name, value)
  local had = arguments[name]
  if had == nil then
    arguments[name] = value
  elseif type(had) == "table" then
    had[#had + 1] = value
  else
    arguments[name] = { had, value }
  end
end

local QUERY_OPTIONS = { max = "number", list = "boolean" }

--- Takes a query, or the body of a form, apart: application/x-www-form-urlencoded, "+" being a space.
-- @tparam string text without its "?"
-- @tparam[opt] table options max, of arguments (100); list = true for a list of { name, value } in their order
-- @treturn[1] table name to value: a text, true where there is no "=", or a list of those where the name is there
-- more than once
-- @return[2] nil and why: too many, or a percent sign without two hexadecimal digits
function url.parse_query(text, options)
  if type(text) ~= "string" then words.misuse("url.parse_query", "a text", text) end
  options = words.options("url.parse_query", options, QUERY_OPTIONS)
  local arguments, n, max = {}, 0, options.max or ARGUMENTS_MAX
  for piece in text:gmatch "[^&]+" do
    n = n + 1
    if n > max then return nil, ("expected at most %d arguments, found more"):format(max) end
    local name, value, why = piece, true
    local at = piece:find("=", 1, true)
    if at then
      value, why = decode_argument(piece:sub(at + 1))
      if not value then return nil, why end
      name = piece:sub(1, at - 1)
    end
    name, why = decode_argument(name)
    if not name then return nil, why end
    if options.list then arguments[n] = { name, value } else add_argument(arguments, name, value) end
  end
  return arguments
end

local function put_argument(pieces, name, value)
  -- Past 14 digits tostring would give an exponent.
  if type(value) == "number" then
    value = (value % 1 == 0 and math.abs(value) < 2 ^ 53 and "%d" or "%.14g"):format(value)
  end
  if type(value) == "string" then
    pieces[#pieces + 1] = url.escape(name) .. "=" .. url.escape(value)
  elseif value == true then
    pieces[#pieces + 1] = url.escape(name)
  elseif value ~= false then
    error(("url.build_query: argument %s: expected a text, a number, a boolean or a list of those, found a %s"):format(
      words.quote(name), type(value)), 3)
  end
end

local function sorted_names(arguments)
  local names = {}
  for name in pairs(arguments) do
    if type(name) ~= "string" then
      error("url.build_query: expected names that are texts, found a " .. type(name), 3)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- Writes a query.
-- @tparam table arguments as url.parse_query gives them: by name (written in the order of the names), or a list of
-- { name, value }; numbers are texts, true is a name alone, false leaves it out
-- @treturn string without "?"
function url.build_query(arguments)
  if type(arguments) ~= "table" then words.misuse("url.build_query", "a table", arguments) end
  local pieces = {}
  if type(arguments[1]) == "table" then
    for _, argument in ipairs(arguments) do
      if type(argument[1]) ~= "string" then words.misuse("url.build_query", "a name that is a text", argument[1]) end
      put_argument(pieces, argument[1], argument[2])
    end
    return table.concat(pieces, "&")
  end
  for _, name in ipairs(sorted_names(arguments)) do
    local value = arguments[name]
    if type(value) == "table" then
      for _, one in ipairs(value) do put_argument(pieces, name, one) end
    else
      put_argument(pieces, name, value)
    end
  end
  return table.concat(pieces, "&")
end

return url
