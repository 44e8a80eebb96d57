--- Answers that other gateways' plugins give, as entries of the plugin respond.
local native = require "tidegate.dialects.foreign.native"
local reading = require "tidegate.dialects.foreign.reading"

local answers = {}

answers.JSON = "application/json; charset=utf-8"

--- A body such as {"message":"..."}.
function answers.json(key, text)
  local escaped = text:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end)
  return ('{"%s":"%s"}'):format(key, reading.literal(escaped))
end

--- Entries that refuse clients by their addresses.
-- @tparam Reading config
-- @tparam table lists { key = ..., networks = ?{string,...}, is_allowed = boolean }, ...
-- @tparam table answer settings of respond
-- @treturn ?{table,...} nil after telling of what is no network
function answers.by_address(config, lists, answer)
  local entries = {}
  for _, list in ipairs(lists) do
    for _, network in ipairs(list.networks or {}) do
      if not native.takes("cidr", network) then
        config:tell(list.key, "%s is no network", network)
        return nil
      end
    end
    if list.networks then
      local when = { client_ip = list.networks }
      if list.is_allowed then when = { ["not"] = when } end
      entries[#entries + 1] = { use = "respond", band = "security", config = answer, when = when }
    end
  end
  return entries
end

--- "https://..." in place of a request that came over plain HTTP; before anything else is asked.
function answers.to_https(status)
  return {
    use = "respond", band = "cors", priority = 1000, when = { scheme = "http" },
    config = { status = status, headers = { location = "https://${host}${request_uri}" } },
  }
end

--- In place of a plugin that kept requests out and is not there any more, before all others: the route still takes its
-- requests. Switched off, it would hand them to a wider one, past what guards it.
function answers.shut()
  return { use = "respond", band = "cors", priority = 1001, config = { status = 503, body = "not converted\n" } }
end

return answers
