--- request-transformer and response-transformer as `headers` and `rewrite`.
local native = require "tidegate.dialects.foreign.native"
local templates = require "tidegate.dialects.kong.templates"

local transformers = {}

--- "name:value" pairs as a list of { name, value }; what cannot be said is told.
local function pairs_of(map, key, is_header)
  local list = {}
  for _, text in ipairs(map:texts(key) or {}) do
    local name, value = text:match "^([^:]+):%s*(.*)$"
    local filled, why = templates.convert(value or "")
    if not name then
      map:tell(key, '"%s": expected name:value', text)
    elseif not filled then
      map:tell(key, "%s: %s", name, why)
    elseif is_header and not native.takes("header_name", name) then
      map:tell(key, "%s is no name of a header", name)
    else
      list[#list + 1] = { is_header and name:lower() or name, filled }
    end
  end
  return list
end

local function as_map(list)
  local map = {}
  for _, pair in ipairs(list) do map[pair[1]] = pair[2] end
  return next(map) and map or nil
end

local function lower(list)
  for i, word in ipairs(list or {}) do list[i] = word:lower() end
  return list
end

--- One of the five groups of a transformer; nil where it is not there.
local function group(config, name, reasons)
  local map = config:map(name)
  if not map then return nil end
  map:refuse(reasons)
  return map
end

local BODY = "bodies are not transformed"
local OF_REQUEST = { body = BODY }
local OF_RESPONSE = { json = BODY, json_types = BODY, body = BODY, if_status = "a status is no condition here" }
local RENAME = "fields cannot be renamed: set one from ${header.name} and remove the other"

local function renames(config)
  local map = config:map "rename"
  if not map then return end
  map:refuse { headers = RENAME, querystring = RENAME, body = RENAME, json = RENAME }
  map:finish()
end

--- Fields that are replaced where they are there: one entry each, with that as its condition.
local function replacements(entries, subject, list, config_of)
  for _, pair in ipairs(list) do
    entries[#entries + 1] = {
      use = subject == "header" and "headers" or "rewrite", when = { [subject] = pair[1], exists = true },
      config = config_of { [pair[1]] = pair[2] },
    }
  end
end

local function replaced_uri(map, rewrite)
  local uri = map:text "uri"
  if not uri then return end
  local good, why = native.takes("path", uri)
  if good and not uri:find "%$%(" then
    rewrite.path = uri
  else
    map:tell("uri", "%s", uri:find "%$%(" and "a path made of variables is not converted" or why)
  end
end

local function has_any(config)
  return next(config) ~= nil
end

function transformers.request(config)
  local headers, query, rewrite, entries = {}, {}, {}, {}
  local method = config:text "http_method"
  if method and native.takes("method", method) then rewrite.method = method end
  local remove = group(config, "remove", OF_REQUEST)
  if remove then
    headers.remove, query.remove = lower(remove:texts "headers"), remove:texts "querystring"
    remove:finish()
  end
  renames(config)
  local replace = group(config, "replace", OF_REQUEST)
  if replace then
    replaced_uri(replace, rewrite)
    replacements(entries, "header", pairs_of(replace, "headers", true), function(set)
      return { request = { set = set } }
    end)
    replacements(entries, "query", pairs_of(replace, "querystring"), function(set)
      return { query = { set = set } }
    end)
    replace:finish()
  end
  local add = group(config, "add", OF_REQUEST)
  if add then
    headers.default = as_map(pairs_of(add, "headers", true))
    for _, pair in ipairs(pairs_of(add, "querystring")) do
      entries[#entries + 1] = {
        use = "rewrite", when = { query = pair[1], exists = false },
        config = { query = { add = { [pair[1]] = pair[2] } } },
      }
    end
    add:finish()
  end
  local append = group(config, "append", OF_REQUEST)
  if append then
    headers.add = as_map(pairs_of(append, "headers", true))
    query.add = as_map(pairs_of(append, "querystring"))
    append:finish()
  end
  config:refuse { dots_in_keys = "names with dots stay names" }
  if has_any(query) then rewrite.query = query end
  if has_any(headers) then entries[#entries + 1] = { use = "headers", config = { request = headers } } end
  if has_any(rewrite) then entries[#entries + 1] = { use = "rewrite", config = rewrite } end
  return entries
end

function transformers.response(config)
  local headers = {}
  local remove = group(config, "remove", OF_RESPONSE)
  if remove then
    headers.remove = lower(remove:texts "headers")
    remove:finish()
  end
  renames(config)
  local replace = group(config, "replace", OF_RESPONSE)
  if replace then
    replace:refuse {
      headers = "fields of responses cannot be replaced only where they are there; `set` sets them always",
    }
    replace:finish()
  end
  local add = group(config, "add", OF_RESPONSE)
  if add then
    headers.default = as_map(pairs_of(add, "headers", true))
    add:finish()
  end
  local append = group(config, "append", OF_RESPONSE)
  if append then
    headers.add = as_map(pairs_of(append, "headers", true))
    append:finish()
  end
  return has_any(headers) and { { use = "headers", config = { response = headers } } } or {}
end

return transformers
