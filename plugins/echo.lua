--- Answers with the request as it came, to see what a client sends and what other plugins make of it.
local Echo = {
  version     = "1.0.0",
  description = "Answers with the request itself.",
  band        = "filter",
  schema      = {
    format = { type = "enum", of = { "text", "json" }, default = "text", doc = "how it is written" },
    max_body = { type = "size", default = "64KiB", unit = "bytes", doc = "largest body that is shown; over it, 413" },
    hide = {
      type = "list", of = "header_name", default = { "authorization", "cookie", "proxy-authorization" },
      doc = "fields that are left out: what a script in a browser must not read",
    },
  },
}
Echo.__index = Echo

function Echo.new(conf)
  local hidden = {}
  for _, name in ipairs(conf.hide) do hidden[name] = true end
  return setmetatable({ is_json = conf.format == "json", max = conf.max_body, hidden = hidden }, Echo)
end

local utf8 = assert(tide.re.compile("", "u"))

--- The request in the form of HTTP/1.1, with bare line feeds.
function Echo:as_text(req, body)
  local query = req.query
  local lines = { ("%s %s%s HTTP/%.1f"):format(req.method, req.path, query and "?" .. query or "", req.version) }
  for name, value in req:each_header() do
    if not self.hidden[name] then lines[#lines + 1] = name .. ": " .. value end
  end
  return table.concat(lines, "\n") .. "\n\n" .. body
end

function Echo:as_table(req, body)
  local headers = {}
  for name, value in req:each_header() do
    if self.hidden[name] then
      headers[name] = nil
    elseif headers[name] then
      headers[name] = headers[name] .. ", " .. value
    else
      headers[name] = value
    end
  end
  local is_text = utf8:test(body)
  return {
    id = req.id, method = req.method, scheme = req.scheme, host = req.host, path = req.path, query = req.query,
    args = req:args(), version = ("%.1f"):format(req.version), client_ip = req.client_ip, headers = headers,
    body = is_text and body or nil, body_base64 = not is_text and tide.base64.encode(body) or nil,
  }
end

function Echo:request(req)
  local body, why = req:body(self.max)
  if not body then return req:reply(413, { error = why }) end
  if self.is_json then return req:reply(200, self:as_table(req, body)) end
  return req:reply(200, self:as_text(req, body), { ["x-content-type-options"] = "nosniff" })
end

return Echo
