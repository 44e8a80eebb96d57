--- What specs of names and of discovery begin with: nodes on all addresses of this machine, a name server of their own,
-- and a gateway that asks it.
local busted = require "busted"
local dns_server = require "support.dns_server"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local CONFIG = [[
gateway: { threads: 2, grace: 1s, resolver: { servers: "SERVER", min_ttl: 100ms, timeout: 300ms, RESOLVER } }
services: { app: { SERVICE } }
routes: [ { path: "/*", service: app } ]
]]

--- Sets it up for each case of the describe block that calls this, and takes it down again.
-- @tparam function take gets the upstream and the name server before each case
-- @treturn function starts the gateway, and returns it: (settings of the service, with PORT for that of the nodes;
--   options as for gateway.start, and `resolver`: further settings of it)
return function(take)
  local app, dns, gw

  busted.before_each(function()
    app, dns = upstream.everywhere(), dns_server.start {}
    take(app, dns)
  end)

  busted.after_each(function()
    if gw then gw:stop() end
    gw = nil
    dns:stop()
    app:stop()
  end)

  return function(service, o)
    gw = gateway.start((CONFIG:gsub("%u%u%u%u+", {
      SERVER = dns:address(), RESOLVER = o and o.resolver or "", SERVICE = service:gsub("PORT", app.port),
    })), o)
    return gw
  end
end
