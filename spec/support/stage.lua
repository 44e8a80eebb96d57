--- What most end-to-end specs begin with: a scripted upstream, a gateway in front of it, and for each case a fresh
-- connection of a client.
local busted = require "busted"
local client = require "support.client"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

--- Sets it up for the describe block that calls this, and takes it down again. What the upstream has noted is forgotten
-- before each case.
-- @tparam table answers see upstream.by_path
-- @tparam string yaml the gateway's configuration, with NODE wherever the upstream's address belongs
-- @tparam function take gets upstream, gateway and connection before each case
-- @tparam[opt] table o as for gateway.start
return function(answers, yaml, take, o)
  local up, gw, c

  busted.setup(function()
    up = upstream.by_path(answers)
    gw = gateway.start((yaml:gsub("NODE", up.node)), o)
  end)

  busted.teardown(function()
    gw:stop()
    up:stop()
  end)

  busted.before_each(function()
    up:forget()
    c = client.connect(gw:port())
    take(up, gw, c)
  end)

  busted.after_each(function() c:close() end)
end
