--- What specs do with a running gateway: many clients at a time, each on a connection of its own, figures from its
-- metrics, and changes of its configuration.
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local load = require "support.load"

local PATIENCE = 20

local Visit = {}
Visit.__index = Visit

local visit = {}

--- @tparam Gateway gw with metrics on "unix:m.sock", where figures are asked for
function visit.new(gw) return setmetatable({ gw = gw, clients = {} }, Visit) end

--- Sends a request on a connection of its own, and gives that client.
function Visit:send(target, headers)
  local c = client.connect(self.gw:port())
  table.insert(self.clients, c)
  c:send(client.request { target = target, headers = headers })
  return c
end

--- A request and its response, which there must be.
function Visit:ask(target)
  return assert(client.ask(self.gw:port(), client.request { target = target }, { timeout = PATIENCE }))
end

--- So many clients ask until n requests were made; none may fail.
-- @tparam number count
-- @tparam number n
-- @tparam[opt="/"] string target
-- @treturn number requests
function Visit:ask_all(count, n, target)
  local asked = load.start { to = self.gw:port(), clients = count, target = target }
  asked:wait(n)
  local requests, failures = asked:stop()
  assert(#failures == 0, table.concat(failures, "\n"))
  return requests
end

--- The first number in the metrics behind a pattern.
function Visit:metric(pattern)
  local request = client.request { target = "/metrics" }
  local text = assert(client.ask(self.gw.folder .. "/m.sock", request, { timeout = PATIENCE })).body
  return tonumber(text:match(pattern .. "%b{} (%d+)"))
end

function Visit:wait_metric(pattern, n)
  clock.wait_until(function() return self:metric(pattern) == n end, PATIENCE, ("%s to be %d"):format(pattern, n))
end

--- Changes one place of the configuration, which must be good.
function Visit:change(from, to)
  local text, n = files.read(self.gw.file):gsub(from, to)
  assert(n == 1, "found " .. n .. " times: " .. from)
  self.gw:write(text)
  local code, words = self.gw:reload()
  assert(code == 0, words)
end

--- The response of a client, with this status.
function visit.expect(c, status)
  local response = assert(c:response { timeout = PATIENCE })
  assert(response.status == status, response.status)
  return response
end

--- Closes all clients and stops the gateway.
function Visit:close()
  for _, c in ipairs(self.clients) do c:close() end
  self.gw:stop()
end

return visit
