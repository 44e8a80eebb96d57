--- Texts with variables: "${header.x-user}", compiled once and filled in per request.
--
--   ${name}             what the request or the response has; nothing where it has not
--   ${name:-default}    the default where it is absent or empty
--   $${                 a plain "${"
local C = require "tidegate.ffi"
local suggest = require "tidegate.config.suggest"
local words = require "tidegate.tide.words"

local template = {}

local TEXT_MAX = 64 * 1024

-- -- variables --

--- What stands for a thing that has a name: route, service, consumer.
local function name_of(value)
  if type(value) == "table" then return value.name or value.id end
  return value
end

local function query_of(req)
  local query = req.query
  return query and query ~= "" and "?" .. query or nil
end

--- What came, up to the query: a variable of its own.
local function raw_path_of(req)
  return req.raw_path:match "^[^?]*"
end

local function milliseconds_since(started)
  return started and ("%.1f"):format((C.tide_now() - started) * 1000)
end

-- Each gets the request and the response, and gives a text, a number, a boolean or nil.
local VARIABLES = {
  id = function(req) return req.id end,
  request_id = function(req) return req.id end,
  method = function(req) return req.method end,
  scheme = function(req) return req.scheme end,
  host = function(req) return req.host end,
  port = function(req) return req.port end,
  path = function(req) return req.path end,
  raw_path = raw_path_of,
  query = query_of,
  request_uri = function(req) return raw_path_of(req) .. (query_of(req) or "") end,
  version = function(req) return req.version end,
  client_ip = function(req) return req.client_ip end,
  client_port = function(req) return req.client_port end,
  consumer = function(req) return name_of(req.consumer) end,
  route = function(req) return name_of(req.route) end,
  service = function(req) return name_of(req.service) end,
  node = function(req) return name_of(req.node) end,
  time = function() return os.date("!%Y-%m-%dT%H:%M:%SZ") end,
  timestamp = function() return os.time() end,
  response_time = function(req) return milliseconds_since(req.started) end,
}

-- The same of a response, which is not there yet while the request is on its way.
local RESPONSE_VARIABLES = {
  status = function(_, res) return res and res.status end,
  upstream_time = function(_, res) return res and res.upstream_time end,
}

local function first_of(value)
  if type(value) == "table" then return value[1] end
  return value
end

--- A value of ctx, looked for along the dots of its name.
local function from_context(req, _, name)
  local value = req.ctx
  for part in name:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    value = value[part]
  end
  return value
end

-- ${group.name}: each gets the name as well.
local GROUPS = {
  header = function(req, _, name) return req:header(name) end,
  query = function(req, _, name) return first_of(req:arg(name)) end,
  cookie = function(req, _, name) return req:cookie(name) end,
  param = function(req, _, name) return req.params[name] end,
  ctx = from_context,
  ["res.header"] = function(_, res, name) return res and res:header(name) end,
}
local IS_HEADER = { header = true, ["res.header"] = true }
local IS_RESPONSE = { ["res.header"] = true }

-- -- compiling --

local Compiler = {}
Compiler.__index = Compiler

--- The nearest of all names that there are.
function Compiler:near(name)
  local known = {}
  for _, names in ipairs { VARIABLES, self.names, self.has_response and RESPONSE_VARIABLES or {} } do
    for other in pairs(names) do known[#known + 1] = other end
  end
  local near = suggest(name, known)
  if near then return near end
  local group, rest = name:match "^(.*)%.([^.]*)$"
  local groups = { "env" }
  for other in pairs(GROUPS) do groups[#groups + 1] = other end
  near = group and suggest(group, groups)
  return near and near .. "." .. rest
end

function Compiler:unknown(name)
  local near = self:near(name)
  return nil, ("there is no variable ${%s}%s"):format(name, near and ("; did you mean ${%s}?"):format(near) or "")
end

--- The value of ${env.NAME}, which does not change any more.
function Compiler:environment(name, default)
  if not name:find "^[A-Za-z_][A-Za-z0-9_]*$" then
    return nil, ("expected the name of an environment variable in ${env.%s}"):format(name)
  end
  local value = self.getenv(name)
  if value and (value ~= "" or not default) then return value end
  if default then return default end
  return nil, ("the environment has no %s; ${env.%s:-...} would give a default"):format(name, name)
end

--- What one ${...} is: a text, or { get = function, name = ..., default = ... }; nil and why.
function Compiler:variable(body)
  local name, default = body:match "^(.-):%-(.*)$"
  name = name or body
  local env = name:match "^env%.(.*)$"
  if env then return self:environment(env, default) end
  local get = self.names[name] or VARIABLES[name] or self.has_response and RESPONSE_VARIABLES[name]
  if get then return { get = get, default = default or "", escape = self.escape } end

  local group, rest = name:match "^(res%.header)%.(.+)$"
  if not group then group, rest = name:match "^(%l+)%.(.+)$" end
  get = GROUPS[group]
  if GROUPS[name:match "^(.*)%.$"] then return nil, ("expected a name behind the dot of ${%s}"):format(name) end
  if RESPONSE_VARIABLES[name] or IS_RESPONSE[group] and not self.has_response then
    return nil, ("${%s} cannot stand here: there is no response yet"):format(name)
  end
  if not get then return self:unknown(name) end
  if IS_HEADER[group] then
    if rest:find "[^A-Za-z0-9!#$%%&'*+%-.^_`|~]" then
      return nil, ("expected the name of a header in ${%s}"):format(name)
    end
    rest = rest:lower()
  end
  return { get = get, name = rest, default = default or "", escape = self.escape }
end

--- The pieces of a template, texts next to each other being one.
function Compiler:parse(text)
  local pieces, at = {}, 1
  local function put(piece)
    local last = #pieces
    if type(piece) == "string" and type(pieces[last]) == "string" then
      pieces[last] = pieces[last] .. piece
    elseif piece ~= "" then
      pieces[last + 1] = piece
    end
  end
  while true do
    local start = text:find("${", at, true)
    if not start then break end
    if start > at and text:byte(start - 1) == 36 then
      put(text:sub(at, start - 2) .. "${")
      at = start + 2
    else
      local stop = text:find("}", start, true)
      if not stop then return nil, ("expected } behind the ${ at byte %d, found the end"):format(start) end
      put(text:sub(at, start - 1))
      local piece, why = self:variable(text:sub(start + 2, stop - 1))
      if not piece then return nil, why end
      put(piece)
      at = stop + 1
    end
  end
  put(text:sub(at))
  return pieces
end

-- -- filling in --

--- The text of one piece.
local function fill(piece, req, res)
  local value = piece.get(req, res, piece.name)
  local kind = type(value)
  if kind == "string" and value ~= "" then return piece.escape and piece.escape(value) or value end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  return piece.default
end

--- The function that fills pieces in.
local function renderer(pieces)
  local n, first = #pieces, pieces[1] or ""
  if n <= 1 and type(first) == "string" then
    return function() return first end
  end
  if n == 1 then
    return function(req, res) return fill(first, req, res) end
  end
  return function(req, res)
    local texts = {}
    for i = 1, n do
      local piece = pieces[i]
      texts[i] = type(piece) == "string" and piece or fill(piece, req, res)
    end
    return table.concat(texts)
  end
end

local OPTIONS = { names = "table", response = "boolean", getenv = "function", escape = "function" }

--- Compiles a template: once, in `new`. What it gives may hold any bytes that the client has sent, decoded ones among
-- them.
-- @tparam string text at most 64 KiB
-- @tparam[opt] table options names: more variables, each a function(req, res); response: false where the template is
-- used before there is a response, so that ${status} is an error; escape: function(text) that makes a value fit what is
-- around it; getenv: in place of os.getenv
-- @treturn[1] function(req, res) gives the text
-- @return[2] nil and why, with the variable that was probably meant
function template.compile(text, options)
  if type(text) ~= "string" then words.misuse("template.compile", "a text", text) end
  options = words.options("template.compile", options, OPTIONS)
  if #text > TEXT_MAX then return nil, ("expected a template of at most %d bytes, found %d"):format(TEXT_MAX, #text) end
  local compiler = setmetatable({
    names = options.names or {}, has_response = options.response ~= false, getenv = options.getenv or os.getenv,
    escape = options.escape,
  }, Compiler)
  for name, get in pairs(compiler.names) do
    if type(name) ~= "string" or type(get) ~= "function" then
      error(("template.compile: names: expected names with functions, found a %s for %s"):format(
        type(get), tostring(name)), 2)
    end
  end
  local pieces, why = compiler:parse(text)
  if not pieces then return nil, why end
  return renderer(pieces)
end

return template
