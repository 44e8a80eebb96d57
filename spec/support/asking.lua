--- A plugin that makes the requests it is told to with tide.http, and how specs tell it.
local cjson = require "cjson"
local client = require "support.client"

local asking = {}

--- Requests to /ask have the options of tide.http.request as JSON; the answer is what came of it. `chunks`: with
-- on_chunk; `shorthand`: the name of another function, called with url and the rest.
asking.PLUGIN = [[
--- Makes the requests that it is told to.
local Ask = { version = "1.0.0", description = "Makes the requests that it is told to.", band = "filter" }
Ask.__index = Ask
function Ask.new() return setmetatable({}, Ask) end

local function call(o)
  if not o.shorthand then return tide.http.request(o) end
  local name, url = o.shorthand, o.url
  o.shorthand, o.url = nil, nil
  return tide.http[name](url, next(o) and o or nil)
end

function Ask:request(req)
  if req.path ~= "/ask" then return end
  local o = assert(req:json(16 * 1024 * 1024))
  local chunks, bytes = {}, 0
  if o.chunks then
    o.chunks = nil
    o.on_chunk = function(chunk, res)
      chunks[#chunks + 1], bytes = res.status, bytes + #chunk
      if chunk:find "raise" then error "on_chunk says no" end
    end
  end
  if o.big_body then o.body, o.big_body = ("x"):rep(o.big_body), nil end
  local good, res, why, phase = pcall(call, o)
  if not good then return req:reply(500, { raised = res }) end
  if not res then return req:reply(200, { why = why, phase = phase }) end
  local headers = {}
  for name, value in pairs(res.headers) do headers[name] = value end
  local body = res.body and #res.body > 100000 and #res.body or res.body
  return req:reply(200, {
    status = res.status, body = body, headers = headers, url = res.url, id = req.id,
    any_case = res.headers["CONTENT-type"], many = res:header_all "X-Many", first = res:header "X-Many",
    json = res.headers["content-type"] == "application/json" and res:json() or nil,
    chunks = #chunks > 0 and #chunks or nil, bytes = #chunks > 0 and bytes or nil, seen = chunks[1],
  })
end

return Ask
]]

--- The request that tells the plugin.
-- @tparam table options of tide.http.request
-- @treturn string
function asking.request(options)
  return client.request { method = "POST", target = "/ask", body = cjson.encode(options) }
end

--- Tells the plugin of a gateway, and gives what came of it.
-- @tparam number port
-- @tparam table options
-- @treturn table what the plugin tells
function asking.ask(port, options)
  local response = assert(client.ask(port, asking.request(options), { timeout = 15 }))
  return cjson.decode(response.body)
end

return asking
