--- HTTP requests of a plugin's own, over the gateway's connections and pools; others go on meanwhile.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local json = require "tidegate.tide.json"
local message = require "tidegate.message"
local origin = require "tidegate.tide.origin"
local url = require "tidegate.tide.url"
local wait = require "tidegate.tide.wait"
local words = require "tidegate.tide.words"

local http = {}

local raise_text = message.raise_text
local OK, WAIT = C.TIDE_OK, C.TIDE_WAIT
local TIMEOUT, BODY_MAX, SECONDS_MAX = 5, 1024 * 1024, 86400

local OPTIONS = {
  url = "string", service = "string", path = "string", method = "string", headers = "table", query = "table",
  body = "any", json = "any", timeout = "number", connect_timeout = "number", max_body = "number", tls = "table",
  follow = "number", on_chunk = "function",
}
local TLS_OPTIONS = { verify = "boolean", ca = "string", server_name = "string" }
local NO_TLS_OPTIONS = {}

-- What is used between two waits only.
local c_wish, news = ffi.new "struct tide_call_wish", ffi.new "struct tide_call_news"
local trouble = ffi.new "struct tide_error"
local position, slice, second = ffi.new "uint32_t[1]", ffi.new "struct slice[1]", ffi.new "struct slice[1]"

-- -- what is asked --

--- What is wrong here is the plugin's mistake, whatever the data.
local function misuse(where, format, ...) raise_text(where .. ": " .. format:format(...)) end

local function find_field(fields, name)
  for i, field in ipairs(fields) do
    if field[1]:lower() == name then return i end
  end
end

local function add_field(where, fields, name, value)
  if type(name) ~= "string" then misuse(where, "headers: expected names that are texts, found a %s", type(name)) end
  if type(value) == "number" then value = tostring(value) end
  if type(value) ~= "string" then
    misuse(where, "headers: %s: expected a text, a number or a list of those, found a %s", name, type(value))
  end
  if name:find "%z" or value:find "%z" then
    misuse(where, "headers: expected no NUL, found one in %s", words.quote(name))
  end
  fields[#fields + 1] = { name, value }
end

local function fields_of(where, headers)
  local fields = {}
  for name, value in pairs(headers or {}) do
    if type(value) ~= "table" then value = { value } end
    for _, one in ipairs(value) do add_field(where, fields, name, one) end
  end
  return fields
end

--- The bytes of the body; nil where there is none.
local function body_of(where, o, fields)
  local value = o.body
  if value ~= nil and o.json ~= nil then misuse(where, "expected body or json, found both") end
  if o.json == nil and type(value) ~= "table" then
    if value == nil or type(value) == "string" then return value end
    misuse(where, "body: expected a text or a table, found a %s", type(value))
  end
  if o.json ~= nil then value = o.json end
  local text, why = json.encode(value)
  if not text then misuse(where, "json: %s", why) end
  if not find_field(fields, "content-type") then add_field(where, fields, "content-type", "application/json") end
  return text
end

local NUMBERS = {
  timeout = { min = 0.001, max = SECONDS_MAX, unit = "seconds" },
  connect_timeout = { min = 0.001, max = SECONDS_MAX, unit = "seconds" },
  max_body = { min = 0, max = 2 ^ 31, unit = "bytes" },
  follow = { min = 0, max = 20, unit = "redirects" },
}

local function check_options(where, o, known)
  for name, value in pairs(o) do
    local wanted = known[name]
    if not wanted then misuse(where, "there is no option %s", tostring(name)) end
    if wanted ~= "any" and type(value) ~= wanted then
      misuse(where, "%s: expected a %s, found a %s", name, wanted, type(value))
    end
  end
end

local function check_numbers(where, o)
  for name, limit in pairs(NUMBERS) do
    local value = o[name]
    if value and not (value >= limit.min and value <= limit.max) then
      misuse(where, "%s: expected %g to %g %s, found %g", name, limit.min, limit.max, limit.unit, value)
    end
  end
end

local function check_place(where, o)
  if o.url and o.service then misuse(where, "expected url or service, found both") end
  if not o.url and not o.service then misuse(where, "expected url or service, found neither") end
  if o.url and o.path then misuse(where, "path: expected it with service only, found it with url") end
  if o.service and o.tls then misuse(where, "tls: expected it with url only: a service has its own") end
  if o.service and (o.follow or 0) > 0 then misuse(where, "follow: expected it with url only") end
end

local function asked_of(where, o)
  check_options(where, o, OPTIONS)
  check_options(where .. ": tls", o.tls or NO_TLS_OPTIONS, TLS_OPTIONS)
  check_place(where, o)
  check_numbers(where, o)
  local fields = fields_of(where, o.headers)
  return {
    where = where, options = o, method = o.method or "GET", fields = fields, body = body_of(where, o, fields),
    url = o.url, tls = o.tls or NO_TLS_OPTIONS, due = C.tide_monotonic() + (o.timeout or TIMEOUT),
  }
end

-- -- what comes --

local Response = {}
Response.__index = Response

--- The value of the first field of a name.
-- @tparam string name in any case
-- @treturn ?string
function Response:header(name) return self.headers[name] end

--- The values of all fields of a name, in their order.
-- @tparam string name in any case
-- @treturn table
function Response:header_all(name)
  if type(name) ~= "string" then words.misuse("header_all", "a name", name) end
  local values = {}
  for _, field in ipairs(self.fields) do
    if field[1] == name:lower() then values[#values + 1] = field[2] end
  end
  return values
end

--- The body as JSON.
-- @return the value; nil where it is none
-- @treturn ?string why not
function Response:json() return json.decode(self.body or "") end

-- Names come in lower case; whoever asks may write them as they like.
local any_case = {
  __index = function(headers, name) return type(name) == "string" and rawget(headers, name:lower()) or nil end,
}

local function text_of(one) return ffi.string(one.at, one.len) end

local function response_of(call, asked)
  local fields, headers = {}, {}
  position[0] = 0
  while C.tide_call_field(call, position, slice, second) == OK do
    local name, value = text_of(slice[0]):lower(), text_of(second[0])
    fields[#fields + 1] = { name, value }
    headers[name] = headers[name] or value
  end
  return setmetatable({
    status = news.status, headers = setmetatable(headers, any_case), fields = fields, url = asked.url,
  }, Response)
end

-- -- one request --

local function put(to, text)
  if text then to.at, to.len = text, #text end
end

--- Begins it. The texts are copied before this returns.
local function start(asked, node, waiting)
  local o, pieces = asked.options, {}
  for i, field in ipairs(asked.fields) do pieces[i] = field[1] .. "\0" .. field[2] .. "\0" end
  asked.sent_fields = table.concat(pieces)      -- what C reads must not be collected before it has
  ffi.fill(c_wish, ffi.sizeof(c_wish))
  put(c_wish.method, asked.method)
  put(c_wish.target, node.target)
  put(c_wish.service, o.service)
  put(c_wish.host, node.host)
  put(c_wish.fields, asked.sent_fields)
  put(c_wish.body, asked.body)
  put(c_wish.ca, asked.tls.ca)
  put(c_wish.server_name, asked.tls.server_name)
  c_wish.timeout = asked.due - C.tide_monotonic()
  c_wish.connect_timeout = o.connect_timeout or 0
  c_wish.body_max = o.max_body or (o.on_chunk and math.huge or BODY_MAX)
  c_wish.port, c_wish.is_tls = node.port or 0, node.is_tls or false
  c_wish.verify, c_wish.streams = asked.tls.verify ~= false, o.on_chunk ~= nil
  return C.tide_call_start(c_wish, waiting, trouble)
end

--- Ends a call that has failed.
local function failed(call)
  local why, phase = ffi.string(news.why), ffi.string(news.phase)
  C.tide_call_end(call)
  return nil, why, phase
end

--- Gives the body to a function piece by piece.
local function stream(asked, call, res)
  while true do
    local ended, chunk = news.ended, text_of(news.body)
    if #chunk > 0 then
      local good, why = pcall(asked.options.on_chunk, chunk, res)
      if not good then
        C.tide_call_end(call)
        error(why, 0)
      end
    end
    if ended then break end
    if C.tide_call_more(call, wait.begin(nil, asked.where)) == WAIT then wait.finish() end
    C.tide_call_read(call, news)
    if news.status == 0 then return failed(call) end
  end
  C.tide_call_end(call)
  return res
end

local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

local function is_redirect(asked, res)
  return (asked.options.follow or 0) > 0 and REDIRECTS[res.status] and res.headers.location
end

local function ask(asked, node)
  local call = start(asked, node, wait.begin(nil, asked.where))
  if call < 0 then misuse(asked.where, "%s", ffi.string(trouble.text)) end
  if call == 0 then return nil, ffi.string(trouble.text), "start" end
  wait.finish()
  C.tide_call_read(call, news)
  if news.status == 0 then return failed(call) end
  local res = response_of(call, asked)
  if asked.options.on_chunk and not is_redirect(asked, res) then return stream(asked, call, res) end
  res.body = text_of(news.body)
  C.tide_call_end(call)
  return res
end

-- -- redirects --

local SECRETS = { "authorization", "cookie", "proxy-authorization" }

local function remove_fields(fields, names)
  for _, name in ipairs(names) do
    local i = find_field(fields, name)
    while i do
      table.remove(fields, i)
      i = find_field(fields, name)
    end
  end
end

--- RFC 9110 section 15.4: what is asked for next. What was meant for one origin is not told to another.
local function redirect(asked, node, res)
  local to, why = url.join(asked.url, res.headers.location)
  if not to then return nil, "broken redirect: " .. why end
  local next_node
  next_node, why = origin.parse(to)
  if not next_node then return nil, "broken redirect: " .. why end
  if node.is_tls and not next_node.is_tls then return nil, "redirect refused: it leads from https to http" end
  if node.host ~= next_node.host or node.port ~= next_node.port or node.is_tls ~= next_node.is_tls then
    remove_fields(asked.fields, SECRETS)
    remove_fields(asked.fields, { "host" })
    asked.tls = { verify = asked.tls.verify, ca = asked.tls.ca }
  end
  local status, method = res.status, asked.method
  if (status == 303 and method ~= "HEAD") or (status < 303 and method == "POST") then
    asked.method, asked.body = "GET", nil
    remove_fields(asked.fields, { "content-type", "content-encoding", "content-language", "content-location" })
  end
  asked.url = to:gsub("#.*$", "")
  return next_node
end

-- -- the whole --

local function with_query(target, query)
  if not query or next(query) == nil then return target end
  return target .. (target:find("?", 1, true) and "&" or "?") .. url.build_query(query)
end

local function first_node(asked)
  local o = asked.options
  if o.service then return { target = with_query(o.path or "/", o.query) } end
  local node, why = origin.parse(o.url)
  if not node then return nil, "url: " .. why end
  node.target = with_query(node.target, o.query)
  return node
end

local function run(asked)
  local node, why = first_node(asked)
  if not node then return nil, why, "start" end
  for _ = 0, asked.options.follow or 0 do
    local res, phase
    res, why, phase = ask(asked, node)
    if not res then return nil, why, phase end
    if not is_redirect(asked, res) then return res end
    node, why = redirect(asked, node, res)
    if not node then return nil, why, "redirect" end
  end
  return nil, ("more than %d redirects"):format(asked.options.follow), "redirect"
end

local function must_wait(where)
  local can, place = wait.can()
  if not can then misuse(where, "cannot wait %s", place) end
end

--- Makes a request, and waits for the response. docs/http_client.md tells the options.
-- @tparam table options
-- @treturn[1] table status, headers, body, url; res:header(name), res:header_all(name), res:json()
-- @return[2] nil, why ("timeout", "refused", ...), and what it was doing ("connect", "send", "response", "body")
function http.request(options)
  must_wait "http.request"
  if type(options) ~= "table" then misuse("http.request", "expected a table of options, found %s", type(options)) end
  return run(asked_of("http.request", options))
end

-- The same with the URL in front: http.get(url, options).
for name, method in pairs { get = "GET", post = "POST", put = "PUT", delete = "DELETE" } do
  local where = "http." .. name
  http[name] = function(text, options)
    must_wait(where)
    if type(text) ~= "string" then misuse(where, "expected a URL, found %s", type(text)) end
    if options ~= nil and type(options) ~= "table" then
      misuse(where, "expected a table of options, found a %s", type(options))
    end
    local all = { url = text, method = method }
    for key, value in pairs(options or {}) do all[key] = value end
    return run(asked_of(where, all))
  end
end

return http
