--- Cookies, RFC 6265: reading the header of a request, writing that of a response.
-- White space is passed over byte by byte: what looks simpler as a pattern takes the square of the time for a header
-- full of spaces.
local suggest = require "tidegate.config.suggest"
local words = require "tidegate.tide.words"

local cookie = {}

local COOKIES_MAX = 200
local BYTES_MAX = 4096          -- of a name and its value: what browsers keep

local TAB, SPACE, QUOTE, SEMICOLON, EQUALS = 9, 32, 34, 59, 61

--- The first place from here on that is no white space.
local function skip_space(text, at)
  local byte = text:byte(at)
  while byte == SPACE or byte == TAB do
    at = at + 1
    byte = text:byte(at)
  end
  return at
end

--- The last place up to here that is no white space.
local function skip_space_back(text, at)
  local byte = text:byte(at)
  while at > 0 and (byte == SPACE or byte == TAB) do
    at = at - 1
    byte = text:byte(at)
  end
  return at
end

--- The value between two places, without white space and quotes around it.
local function value_between(header, from, to)
  from, to = skip_space(header, from), skip_space_back(header, to)
  if to > from and header:byte(from) == QUOTE and header:byte(to) == QUOTE then from, to = from + 1, to - 1 end
  return header:sub(from, to)
end

--- Reads a Cookie header. Of cookies of one name the first counts, which is the one of the longest path. What has no
-- "=" or no name is passed over.
-- @tparam string header
-- @treturn[1] table name to value, without the quotes around it; nothing is percent-decoded
-- @return[2] nil and why: over 200 cookies
function cookie.parse(header)
  if type(header) ~= "string" then words.misuse("cookie.parse", "a text", header) end
  local cookies, n, at = {}, 0, 1
  while at <= #header do
    n = n + 1
    if n > COOKIES_MAX then return nil, ("expected at most %d cookies, found more"):format(COOKIES_MAX) end
    local stop = header:find(";", at, true) or #header + 1
    local equals = header:find("=", at, true)
    -- Behind the last "=" there is no cookie any more.
    if not equals then break end
    if equals < stop then
      local first = skip_space(header, at)
      local name = header:sub(first, skip_space_back(header, equals - 1))
      if first < equals and cookies[name] == nil then cookies[name] = value_between(header, equals + 1, stop - 1) end
    end
    at = stop + 1
  end
  return cookies
end

--- Whether a name begins at a place: nothing but white space between it and the ";" before it.
local function begins_at(header, at)
  local before = skip_space_back(header, at - 1)
  return before == 0 or header:byte(before) == SEMICOLON
end

--- One cookie of a Cookie header, without making a table.
-- @tparam string header
-- @tparam string name
-- @treturn ?string as cookie.parse gives it; nil where it is not there
function cookie.get(header, name)
  if type(header) ~= "string" then words.misuse("cookie.get", "a text", header) end
  if type(name) ~= "string" or name == "" then words.misuse("cookie.get", "a name", name) end
  local at, last = header:find(name, 1, true)
  while at do
    local equals = skip_space(header, last + 1)
    if header:byte(equals) == EQUALS and begins_at(header, at) then
      return value_between(header, equals + 1, (header:find(";", equals, true) or #header + 1) - 1)
    end
    at, last = header:find(name, last + 1, true)
  end
  return nil
end

-- -- writing --

local NAME = "^[A-Za-z0-9!#$%%&'*+%-.^_`|~]+$"                          -- a token, RFC 9110 section 5.6.2
local VALUE = "^[\33\35-\43\45-\58\60-\91%]\94-\126]*$"                 -- cookie-octets, RFC 6265 section 4.1.1
local PATH = "^/[\32-\58\60-\126]*$"
local DOMAIN = "^[A-Za-z0-9.-]+$"
local SAME_SITE = { strict = "Strict", lax = "Lax", none = "None" }
local LAST_SECOND = 253402300799                                        -- of the year 9999

local ATTRIBUTES = {
  path = "string", domain = "string", max_age = "number", expires = "number", secure = "boolean", http_only = "boolean",
  same_site = "string", partitioned = "boolean",
}
local ATTRIBUTE_NAMES = {}
for name in pairs(ATTRIBUTES) do ATTRIBUTE_NAMES[#ATTRIBUTE_NAMES + 1] = name end

local function check_attribute(name, value)
  local wanted = ATTRIBUTES[name]
  if not wanted then
    local near = suggest(tostring(name), ATTRIBUTE_NAMES)
    error(("cookie.serialize: there is no attribute %s%s"):format(
      tostring(name), near and ("; did you mean %s?"):format(near) or ""), 3)
  end
  if type(value) ~= wanted then
    error(("cookie.serialize: attribute %s: expected a %s, found a %s"):format(name, wanted, type(value)), 3)
  end
end

local function refuse(expected, found)
  return nil, ("expected %s, found %s"):format(expected, found)
end

--- Whether the values of attributes are such as can be written.
local function check_values(attributes)
  local path, domain, same_site = attributes.path, attributes.domain, attributes.same_site
  local max_age, expires = attributes.max_age, attributes.expires
  if path and not path:find(PATH) then
    return refuse("a path that begins with a slash and has no ;", words.quote(path))
  end
  if domain and not domain:find(DOMAIN) then return refuse("a domain", words.quote(domain)) end
  if max_age and (max_age % 1 ~= 0 or math.abs(max_age) > 2 ^ 53) then
    return refuse("max_age in whole seconds", tostring(max_age))
  end
  if expires and not (expires >= 0 and expires <= LAST_SECOND) then
    return refuse("expires in seconds since 1970", tostring(expires))
  end
  if same_site and not SAME_SITE[same_site:lower()] then
    return refuse("same_site to be Strict, Lax or None", words.quote(same_site))
  end
  return true
end

--- What a name and attributes need of one another: draft-ietf-httpbis-rfc6265bis sections 4.1.2 and 4.1.3. A browser
-- would not take the cookie otherwise.
local function check_together(name, attributes)
  local prefix = name:lower():match "^__%l+%-"
  local named = (prefix == "__host-" or prefix == "__secure-") and "a name that begins with " .. name:sub(1, #prefix)
  local needs_secure = named or attributes.partitioned and "partitioned"
    or attributes.same_site and attributes.same_site:lower() == "none" and "same_site None"
  if needs_secure and not attributes.secure then return refuse("secure = true with " .. needs_secure, "none") end
  if prefix == "__host-" and (attributes.path ~= "/" or attributes.domain) then
    return refuse('path = "/" and no domain with ' .. named, "other ones")
  end
  return true
end

local function compose(name, value, attributes)
  local text = name .. "=" .. value
  if attributes.path then text = text .. "; Path=" .. attributes.path end
  if attributes.domain then text = text .. "; Domain=" .. attributes.domain end
  if attributes.max_age then text = text .. ("; Max-Age=%d"):format(attributes.max_age) end
  if attributes.expires then text = text .. os.date("!; Expires=%a, %d %b %Y %H:%M:%S GMT", attributes.expires) end
  if attributes.secure then text = text .. "; Secure" end
  if attributes.http_only then text = text .. "; HttpOnly" end
  if attributes.same_site then text = text .. "; SameSite=" .. SAME_SITE[attributes.same_site:lower()] end
  if attributes.partitioned then text = text .. "; Partitioned" end
  return text
end

--- The value of a Set-Cookie header. Strict: what a browser would refuse or misread is refused here.
-- @tparam string name
-- @tparam string value printable ASCII but for white space and ",;\ (encode others, for example with base64.encode_url)
-- @tparam[opt] table attributes path, domain, max_age (seconds; 0 removes the cookie), expires (seconds since 1970),
-- secure, http_only, same_site ("Strict", "Lax", "None"), partitioned
-- @treturn[1] string
-- @return[2] nil and why
function cookie.serialize(name, value, attributes)
  if type(name) ~= "string" then words.misuse("cookie.serialize", "a name", name) end
  if type(value) ~= "string" then words.misuse("cookie.serialize", "a text as value", value) end
  if attributes == nil then attributes = {} end
  if type(attributes) ~= "table" then words.misuse("cookie.serialize", "a table of attributes", attributes) end
  for key, given in pairs(attributes) do check_attribute(key, given) end
  if not name:find(NAME) then return refuse("a name of letters, digits and !#$%&'*+-.^_`|~", words.quote(name)) end
  if not value:find(VALUE) then
    return refuse("a value without white space, quotes, comma, ; and \\", words.quote(value))
  end
  if #name + #value > BYTES_MAX then
    return refuse(("at most %d bytes of name and value"):format(BYTES_MAX), tostring(#name + #value))
  end
  local ok, why = check_values(attributes)
  if ok then ok, why = check_together(name, attributes) end
  if not ok then return nil, why end
  return compose(name, value, attributes)
end

return cookie
