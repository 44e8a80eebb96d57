--- Cross-origin requests, as the Fetch standard has them: tells browsers which pages may read responses, and answers
-- their preflights here. What an upstream says of it does not count.
local Cors = {
  version     = "1.0.0",
  description = "Lets pages of other origins read responses, and answers preflights.",
  band        = "cors",
  preflight   = true,
}
Cors.__index = Cors

local DEFAULT_PORTS = { http = "80", https = "443" }

--- An origin as browsers write it: https://a.example.com, https://a.example.com:8443. Nil where it is none.
local function normal_origin(text)
  local scheme, host, rest = text:lower():match "^(%a[%w+.-]*)://([^/?#@:%[%]%s]+)(.*)$"
  if not scheme then scheme, host, rest = text:lower():match "^(%a[%w+.-]*)://(%[[%x:.]+%])(.*)$" end
  if not scheme or not (rest == "" or rest:find "^:%d+$") then return nil end
  if rest == ":" .. (DEFAULT_PORTS[scheme] or "") then rest = "" end
  return scheme .. "://" .. host .. rest
end

local function check_origin(text)
  if text == "*" or text == "null" then return true end
  local origin = normal_origin(text)
  local _, stars = text:gsub("%*", "")
  if not origin then return false, "expected an origin such as https://app.example.com, without a path" end
  if stars == 0 or stars == 1 and origin:find "://%*%.[^.]" then return true end
  return false, 'expected a "*" only in place of the first part of a host, as in https://*.example.com'
end

Cors.schema = {
  allow_origins = {
    type = "list", single = true, min = 1, of = { type = "string", check = check_origin }, default = { "*" },
    doc = "origins whose pages may read responses: https://app.example.com, https://*.example.com, or * for all",
  },
  allow_methods = {
    type = "list", of = { type = "method", words = { ["*"] = "*" } },
    default = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" },
    doc = "methods that such pages may use; * for all",
  },
  allow_headers = {
    type = "list", of = "header_name", default = { "accept", "authorization", "content-type", "x-requested-with" },
    doc = "fields that they may send; * for all but authorization",
  },
  expose_headers = {
    type = "list", of = "header_name", default = {},
    doc = "fields of responses that they may read besides the usual ones",
  },
  allow_credentials = {
    type = "boolean", default = false, doc = "cookies and authorization of users go along; needs origins to be named",
  },
  max_age = {
    type = "duration", default = "1h", min = "0s", max = "1d", unit = "seconds",
    doc = "how long a browser may remember the answer to a preflight",
  },
}

local function has(list, word)
  for _, other in ipairs(list) do
    if other == word then return true end
  end
  return false
end

--- Whether an answer for everybody stands beside credentials: that would let every page act as the user.
local function check_credentials(conf)
  for _, name in ipairs { "allow_origins", "allow_methods", "allow_headers", "expose_headers" } do
    if has(conf[name], "*") then
      return nil, ('%s: "*" cannot stand beside allow_credentials: name what is allowed'):format(name)
    end
  end
  if has(conf.allow_origins, "null") then
    return nil, 'allow_origins: "null" cannot stand beside allow_credentials: any page can send it'
  end
  return true
end

function Cors.new(conf)
  if conf.allow_credentials then
    local good, why = check_credentials(conf)
    if not good then return nil, why end
  end
  local self = {
    allows_all = has(conf.allow_origins, "*"), exact = {}, below = {}, credentials = conf.allow_credentials,
    methods = table.concat(conf.allow_methods, ", "), headers = table.concat(conf.allow_headers, ", "),
    expose = #conf.expose_headers > 0 and table.concat(conf.expose_headers, ", ") or nil,
    max_age = ("%d"):format(conf.max_age),
  }
  for _, text in ipairs(conf.allow_origins) do
    local origin = text == "null" and text or normal_origin(text)
    local scheme, domain = (origin or ""):match "^(.-://)%*(%..*)$"
    if scheme then
      table.insert(self.below, { scheme = scheme, domain = domain })
    elseif origin then
      self.exact[origin] = true
    end
  end
  return setmetatable(self, Cors)
end

--- Whether the pages of an origin may read responses. Bytes are compared as they are: browsers write in normal form.
function Cors:allows(origin)
  if self.allows_all or self.exact[origin] then return true end
  for _, pattern in ipairs(self.below) do
    local from, to = #pattern.scheme, #origin - #pattern.domain
    if to > from and origin:sub(1, from) == pattern.scheme and origin:sub(to + 1) == pattern.domain and
        origin:sub(from + 1, to):find "^[%w_][%w_.-]*$" then
      return true
    end
  end
  return false
end

--- The origin of a request; nil where there is none, or more than one.
local function origin_of(req)
  local origins = req:header_all "origin"
  return #origins == 1 and origins[1] or nil
end

function Cors:request(req)
  if req.method ~= "OPTIONS" or not req:header "access-control-request-method" then return end
  local origin = origin_of(req)
  if not origin then return end
  if not self:allows(origin) then return req:reply(403, "this origin is not allowed\n") end
  return req:reply(204, nil, {
    ["access-control-allow-methods"] = self.methods, ["access-control-allow-headers"] = self.headers,
    ["access-control-max-age"] = self.max_age,
  })
end

--- Tells caches that the response is another one for another origin.
local function vary(res)
  for _, value in ipairs(res:header_all "vary") do
    local members = "," .. value:lower():gsub("%s", "") .. ","
    if members:find(",origin,", 1, true) or members:find(",*,", 1, true) then return end
  end
  res:add_header("vary", "Origin")
end

function Cors:response(res, req)
  for _, name in ipairs { "origin", "credentials" } do res:remove_header("access-control-allow-" .. name) end
  res:remove_header "access-control-expose-headers"
  if not self.allows_all then vary(res) end
  local origin = self.allows_all and "*" or origin_of(req)
  if not origin or not self:allows(origin) then return end
  res:set_header("access-control-allow-origin", origin)
  if self.credentials then res:set_header("access-control-allow-credentials", "true") end
  if self.expose then res:set_header("access-control-expose-headers", self.expose) end
end

return Cors
