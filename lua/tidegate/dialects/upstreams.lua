--- What the services of several gateways have in common: how a node is picked, and how its health is looked at.
local native = require "tidegate.dialects.native"
local node = require "tidegate.dialects.node"

local upstreams = {}

--- The value of a service's `balance`.
-- @tparam table word node with the name of the algorithm, natively
-- @tparam Report report takes the warning where this version has it not
-- @tparam string path of the word
-- @treturn ?table node; nil for round robin
function upstreams.balance(word, report, path)
  if word.text == "round_robin" then return nil end
  if native.knows(word.text, "services", "balance", "algorithm") then return word end
  native.leave_out(report, word, path, "round_robin counts")
  return nil
end

--- The value of a service's `health_check`.
-- @tparam table settings node or value by native key: type, path, method, interval, timeout, expect ...
-- @tparam table place
-- @tparam Report report takes the warning where this version has none
-- @tparam string path
-- @treturn ?table node
function upstreams.health_check(settings, place, report, path)
  if not native.has("services", "health_check", "active") then
    native.leave_out(report, place, path)
    return nil
  end
  local active = node.map(place)
  for _, key in ipairs { "type", "path", "method", "interval", "timeout", "expect", "healthy", "unhealthy" } do
    node.put(active, key, settings[key])
  end
  return node.map(place, { { "active", active } })
end

--- A URL of a node: a WebSocket begins as HTTP, and that is what the node is asked.
-- @tparam ?table url node
function upstreams.url(url)
  if not url then return nil end
  local text = url.text:gsub("^ws://", "http://"):gsub("^wss://", "https://")
  return text == url.text and url or node.scalar(text, url)
end

return upstreams
