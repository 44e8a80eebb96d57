--- Several nodes of a service that can be killed, in the middle of whatever they do, and come back at their address.
local processes = require "support.processes"
local signal = require "posix.signal"
local upstream = require "support.upstream"

local Cluster = {}
Cluster.__index = Cluster

local cluster = {}

--- Starts them.
-- @tparam number count
-- @tparam table answers as for upstream.by_path
-- @treturn Cluster list has the addresses; nodes the upstreams that are up, by number; all also those that were killed
function cluster.start(count, answers)
  local self = setmetatable({ answers = answers, nodes = {}, ports = {}, list = {}, all = {} }, Cluster)
  for i = 1, count do
    self:up(i)
    self.ports[i], self.list[i] = self.nodes[i].port, self.nodes[i].node
  end
  return self
end

function Cluster:up(i)
  self.nodes[i] = upstream.by_path(self.answers, { port = self.ports[i] })
  self.all[#self.all + 1] = self.nodes[i]
end

--- How many whole requests they have got, those that were killed too.
function Cluster:requests()
  local sum = 0
  for _, up in ipairs(self.all) do sum = sum + #up:events "request" end
  return sum
end

--- The addresses as YAML.
-- @tparam[opt] function is_in says of a number whether that node is wanted
function Cluster:yaml(is_in)
  local words = {}
  for i, address in ipairs(self.list) do
    if not is_in or is_in(i) then words[#words + 1] = ('"%s"'):format(address) end
  end
  return "[" .. table.concat(words, ", ") .. "]"
end

--- kill -9: its connections end where they are.
function Cluster:kill(i)
  processes.kill(self.nodes[i].pid, signal.SIGKILL)
  processes.join(self.nodes[i].pid)
  self.nodes[i] = nil
end

--- Starts a node that was killed anew, at the same address.
function Cluster:revive(i) self:up(i) end

function Cluster:stop()
  for _, up in pairs(self.nodes) do up:stop() end
end

return cluster
