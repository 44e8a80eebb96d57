--- Writes more about a request than the access log has by itself: fields of one's own, header fields, bodies. What is
-- secret is masked before it is written. It goes into the line of the access log (format json; ${plugin.NAME} in a
-- template), or with log_level into an event of the error log.
local Logging = {
  version     = "1.0.0",
  description = "Adds fields, headers and bodies to the access log, or writes them as an event.",
  band        = "observe",
  decode      = true,
}
Logging.__index = Logging

local MASK = "***"
local FIELDS_MAX = 20

-- What every line of the access log has.
local RESERVED = {}
for name in ([[time client_ip method target path version host status bytes_in bytes_out total connect first_byte
               upstream service route retries tls request_id referer user_agent failure time_common
               request_headers response_headers request_body response_body]]):gmatch "%S+" do
  RESERVED[name] = true
end

local function check_names(fields)
  for name in pairs(fields) do
    if RESERVED[name] then return false, ("%q is the name of another field"):format(name) end
    if not name:find "^[%a_][%w_.-]*$" or #name > 64 then
      return false, ("expected a name of at most 64 letters, digits and _, found %q"):format(name:sub(1, 70))
    end
  end
  return true
end

Logging.schema = {
  fields = {
    type = "map", of = "template", max = FIELDS_MAX, check = check_names, default = {},
    doc = "fields and their values; one that comes out empty is left out",
  },
  log_level = {
    type = "enum", of = { "debug", "info", "warn", "error" },
    doc = "write an event of this level into the error log, and leave the access log as it is",
  },
  include_headers = { type = "boolean", default = false, doc = "header fields of the request and of the response" },
  include_body = {
    type = "boolean", default = false,
    doc = "the beginning of both bodies, where they are of a type that is named below",
  },
  max_body = {
    type = "size", default = "1KiB", min = "1B", max = "2KiB", unit = "bytes", doc = "how much of a body is written",
  },
  max_headers = {
    type = "size", default = "1KiB", min = "64B", max = "2KiB", unit = "bytes",
    doc = "how much of the header fields of one side is written",
  },
  types = {
    type = "list", of = "string", default = { "text/", "json", "xml", "x-www-form-urlencoded", "javascript" },
    doc = "what the type of a body has in it that is written",
  },
  redact_headers = {
    type = "list", of = "header_name",
    default = {
      "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token", "x-csrf-token",
    },
    doc = "header fields whose values are masked",
  },
  redact_fields = {
    type = "list", of = { type = "string", min = 1 },
    default = {
      "password", "passwd", "secret", "client_secret", "token", "access_token", "refresh_token", "id_token", "api_key",
      "authorization",
    },
    doc = "names whose values are masked in bodies: members of JSON, arguments of forms",
  },
  redact_patterns = {
    type = "list", of = "regex", default = {}, doc = "regular expressions; what they match in bodies is masked",
  },
}

--- What masks values in bodies. A body is cut off somewhere: the last value need not have an end.
local function compile_masks(conf)
  local masks = {}
  local function add(pattern, flags, with)
    masks[#masks + 1] = { regex = assert(tide.re.compile(pattern, flags)), with = with }
  end
  if #conf.redact_fields > 0 then
    local names = {}
    for i, name in ipairs(conf.redact_fields) do names[i] = tide.re.escape(name) end
    local any = "(?:" .. table.concat(names, "|") .. ")"
    -- Where a list or an object begins, the rest is masked: what belongs to it is not told without reading it all.
    add('("' .. any .. '"\\s*:\\s*)("(?:[^"\\\\]|\\\\.)*"?|[\\[{].*|[^\\s",}\\]\\[{]+)', "is", '$1"' .. MASK .. '"')
    add("((?:^|&)" .. any .. "=)[^&]*", "is", "$1" .. MASK)
  end
  for _, pattern in ipairs(conf.redact_patterns) do add(pattern, "", MASK) end
  return masks
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

function Logging.new(conf)
  local self = {
    names = {}, fills = {}, level = conf.log_level, headers = conf.include_headers, max_body = conf.max_body,
    max_headers = conf.max_headers, types = conf.types, redacted = set_of(conf.redact_headers),
    masks = conf.include_body and compile_masks(conf) or {},
  }
  for name, text in pairs(conf.fields) do
    self.names[#self.names + 1] = name
    self.fills[name] = assert(tide.template.compile(text))
  end
  table.sort(self.names)
  if not conf.include_headers then self.request, self.response = false, false end
  if not conf.include_body then self.request_body, self.response_body = false, false end
  return setmetatable(self, Logging)
end

--- What this instance has seen of the request by now.
local function notes_of(self, req)
  local notes = req.ctx[self] or {}
  req.ctx[self] = notes
  return notes
end

-- -- headers --

function Logging:headers_of(message)
  local found, left = {}, self.max_headers
  for name, value in message:each_header() do
    if self.redacted[name] then value = MASK end
    left = left - #name - #value
    if left < 0 then break end
    found[name] = found[name] and found[name] .. ", " .. value or value
  end
  return found
end

function Logging:request(req) notes_of(self, req).request_headers = self:headers_of(req) end

function Logging:response(res, req) notes_of(self, req).response_headers = self:headers_of(res) end

-- -- bodies --

function Logging:is_text(message)
  if message:header "content-encoding" then return false end
  local kind = (message:header "content-type" or ""):lower()
  for _, part in ipairs(self.types) do
    if kind:find(part, 1, true) then return true end
  end
  return false
end

--- Keeps the beginning of a body.
function Logging:collect(notes, name, chunk, message)
  local kept = notes[name]
  if kept == nil then kept = self:is_text(message) and "" end
  if kept and #kept < self.max_body then kept = kept .. chunk:sub(1, self.max_body - #kept) end
  notes[name] = kept
end

function Logging:request_body(chunk, _, req) self:collect(notes_of(self, req), "request_body", chunk, req) end

function Logging:response_body(chunk, _, res, req)
  self:collect(notes_of(self, req), "response_body", chunk, res)
end

--- A body without what is secret; nil where there is nothing to write, or where that cannot be told.
function Logging:masked(body)
  if not body or body == "" then return nil end
  for _, mask in ipairs(self.masks) do
    body = mask.regex:gsub(body, mask.with)
    if not body then return nil end
  end
  return body
end

-- -- writing --

function Logging:values(req, res)
  local values, notes = {}, notes_of(self, req)
  for _, name in ipairs(self.names) do
    local value = self.fills[name](req, res)
    if value ~= "" then values[name] = value end
  end
  values.request_headers, values.response_headers = notes.request_headers, notes.response_headers
  values.request_body, values.response_body = self:masked(notes.request_body), self:masked(notes.response_body)
  return values
end

--- Adds a field to the access log; of a text that is too long, as much as there is room for.
local function add(req, name, value)
  while not req:set_log(name, value) do
    if type(value) ~= "string" or #value < 16 then return end
    value = value:sub(1, math.floor(#value / 2))
  end
end

function Logging:log(req, res)
  local values = self:values(req, res)
  if not self.level then
    for _, name in ipairs(self.names) do add(req, name, values[name]) end
    for _, name in ipairs { "request_headers", "response_headers", "request_body", "response_body" } do
      add(req, name, values[name])
    end
    return
  end
  values.method, values.path, values.status, values.client_ip = req.method, req.path, res.status, req.client_ip
  values.seconds = ("%.6f"):format(tide.now() - req.started)
  tide.log[self.level]("request", values)
end

return Logging
