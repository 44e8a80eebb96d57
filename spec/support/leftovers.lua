--- What a gateway still has when all is over: nothing. Connections, requests that nodes have in hand.
local cjson = require "cjson"
local client = require "support.client"
local clock = require "support.clock"

local leftovers = {}

--- What `tidegate status` says, as a table.
-- @tparam Gateway gw
-- @tparam ?string option such as "--nodes"
function leftovers.status(gw, option)
  local code, out = gw:command("status", "--json", option)
  if code ~= 0 then error("status failed: " .. out, 2) end
  return cjson.decode(out)
end

--- What there is, in words; nil where there is nothing. The pools' idle connections count: they must be short-lived.
function leftovers.of(gw)
  local s = leftovers.status(gw)
  if s.connections_open > 0 then return s.connections_open .. " client connections" end
  if s.upstream_open > 0 then return s.upstream_open .. " upstream connections" end
  for _, node in ipairs(leftovers.status(gw, "--nodes")) do
    if node.connections > 0 then return ("%d requests in hand of %s"):format(node.connections, node.node) end
  end
end

--- The figures of a gateway whose metrics listen at unix:metrics.sock.
-- @treturn function (line): the number behind the name and labels; those that are absent are 0
function leftovers.metrics(gw)
  local text = assert(client.ask(gw.folder .. "/metrics.sock", client.request { target = "/metrics" })).body
  return function(line)
    local _, stop = ("\n" .. text):find("\n" .. line .. " ", 1, true)
    return stop and tonumber(text:match("^[%d.e+-]+", stop)) or 0
  end
end

--- Waits until nothing is left.
-- @tparam Gateway gw its services with a short pool.idle
function leftovers.wait_none(gw)
  local left
  local ok = pcall(clock.wait_until, function()
    left = leftovers.of(gw)
    return not left
  end, 10)
  if not ok then error("the gateway still has " .. left, 2) end
end

return leftovers
