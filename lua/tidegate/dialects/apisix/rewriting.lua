--- proxy-rewrite, response-rewrite and redirect.
local answers = require "tidegate.dialects.foreign.answers"
local native = require "tidegate.dialects.foreign.native"
local vars = require "tidegate.dialects.apisix.vars"

local rewriting = {}

--- A text with our variables in place of $name; nil after telling.
local function filled(map, key, text)
  local result, why = vars.fill(text)
  if not result then map:tell(key, "%s", why) end
  return result
end

--- A map of header fields and their values; nil where it is empty.
local function fields_of(map, key)
  local below, result = map:map(key), {}
  for _, name in ipairs(below and below:keys() or {}) do
    local value = below:text(name)
    if not native.takes("header_name", name) then
      below:tell(name, "is no name of a header")
    elseif value then
      result[name:lower()] = filled(below, name, value)
    end
  end
  return next(result) and result or nil
end

--- Whether fields stand below set, add and remove; before version 3 they stood there themselves.
local function has_groups(below)
  for _, key in ipairs { "set", "add", "remove" } do
    if below:has(key) and below:place(key).value.kind ~= "scalar" then return true end
  end
  return false
end

--- `add` as a list of "name: value", as responses have it.
local function added(below)
  local result = {}
  for _, text in ipairs(below:texts "add" or {}) do
    local name, value = text:match "^([^:]+):%s*(.*)$"
    if name then
      result[name:lower()] = filled(below, "add", value)
    else
      below:tell("add", '"%s": expected name: value', text)
    end
  end
  return result
end

--- The `headers` of a rewrite: { set, add, remove }.
local function headers_of(config)
  if not config:has "headers" then return nil end
  local below = config:map "headers"
  if not has_groups(below) then return { set = fields_of(config, "headers") } end
  local out = { set = fields_of(below, "set") }
  if below:has "add" then
    out.add = below:place("add").value.kind == "list" and added(below) or fields_of(below, "add")
  end
  out.remove = below:texts "remove"
  for i, name in ipairs(out.remove or {}) do out.remove[i] = name:lower() end
  below:finish()
  return next(out) and out or nil
end

--- "/new/$1/$2": groups of a pattern stay as they are, other variables have no equal there.
local function replacement(config, key, text)
  local name = text:match "%$([%a_][%w_]*)"
  if name then
    config:tell(key, "$%s has no equal in a path that is made by a pattern", name)
    return nil
  end
  return (text:gsub("%${(%d+)}", "$%1"))
end

--- regex_uri: the first of its pairs.
local function by_pattern(config, rewrite)
  local list = config:texts("regex_uri", true)
  if not list then return end
  local good, why = native.takes("regex", list[1])
  if #list > 2 then
    config:tell("regex_uri", "one pattern is possible, and there are %d: the first is converted", math.floor(#list / 2))
  end
  if not good or not list[2] then
    config:tell("regex_uri", "%s", why or "expected a pattern and what stands instead")
    return
  end
  -- The pattern stands for the whole path.
  local to = replacement(config, "regex_uri", list[2])
  if to then rewrite.match, rewrite.to = list[1], to end
end

function rewriting.request(config)
  local rewrite = {}
  by_pattern(config, rewrite)
  local uri = config:text "uri"
  if uri then
    local good, why = native.takes("path", uri)
    if good and not uri:find "%$[%a{]" then
      rewrite.path, rewrite.match, rewrite.to = uri, nil, nil
    else
      config:tell("uri", "%s", good and "a path made of variables is not converted" or why)
    end
  end
  local method, host = config:text "method", config:text "host"
  if method and native.takes("method", method) then rewrite.method = method end
  if host then
    if native.takes("host", host) then rewrite.host = host else config:tell("host", "%s is no name of a host", host) end
  end
  config:refuse {
    scheme = "how nodes are spoken to is their service's protocol",
    use_real_request_uri_unsafe = "the path is always in normal form",
  }
  local entries, headers = {}, headers_of(config)
  if headers then entries[1] = { use = "headers", config = { request = headers } } end
  if next(rewrite) then entries[#entries + 1] = { use = "rewrite", config = rewrite } end
  return entries
end

--- filters: texts that are replaced in the body.
local function filters(config)
  local rules = {}
  for _, map in ipairs(config:maps "filters") do
    local regex, with = map:text("regex", ""), map:text("replace", "")
    local good, why = native.takes("regex", regex)
    if map:text("scope", "once") ~= "global" then
      map:tell("scope", "every match is replaced, not the first alone: not converted")
    elseif not good then
      map:tell("regex", "%s", why)
    else
      local options = map:text("options", "jo")
      rules[#rules + 1] = { regex = regex, with = with, ignore_case = options:find "i" and true or nil }
    end
    map:harmless("options", "scope")
    map:finish()
  end
  return rules
end

function rewriting.response(config)
  local headers, rules = headers_of(config), filters(config)
  config:refuse {
    status_code = "the status of a response is not changed; the plugin respond answers by itself",
    body = "a body is not put in place of another; the plugin respond answers by itself",
    body_base64 = "a body is not put in place of another", vars = "conditions on responses are not converted",
  }
  local entries = {}
  if headers then entries[1] = { use = "headers", config = { response = headers } } end
  if #rules > 0 then entries[#entries + 1] = { use = "replace", config = { response = rules } } end
  return entries
end

local REDIRECT_STATUS = 302

function rewriting.redirect(config)
  local status = config:status("ret_code", REDIRECT_STATUS)
  config:refuse {
    regex_uri = "a place made by a pattern is not converted", encode_uri = "the place is sent as it is written",
  }
  if config:flag("http_to_https", false) then
    config:harmless("append_query_string", "ret_code")
    return { answers.to_https(301) }
  end
  local uri = config:text "uri"
  local location = uri and filled(config, "uri", uri)
  if not location then return {} end
  if config:flag("append_query_string", false) then location = location .. "${query}" end
  return { { use = "respond", config = { status = status, headers = { location = location } } } }
end

return rewriting
