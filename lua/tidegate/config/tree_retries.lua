--- The part of the configuration's schema that says what is tried again: `retries` of services and of routes.
local elsewhere = require "tidegate.config.elsewhere"
local schema = require "tidegate.config.schema"
local statuses = require "tidegate.config.statuses"

local ordered, ELSEWHERE = schema.ordered, schema.ELSEWHERE

local retries = {}

--- The words of `on` besides statuses.
retries.CAUSES = { "connect", "reset", "timeout" }

local METHODS = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE" }
local IDEMPOTENT = { "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE" }

--- The statuses that a word of `on` means: "503", "5xx", "502-504".
-- @tparam string word
-- @treturn ?number the first one; nil where it means none
-- @treturn ?number the last one
function retries.statuses(word) return statuses.range(word, 400) end

local EXPECTED = 'expected connect, reset, timeout, or statuses from 400 on such as 503, 5xx or 502-504, found "%s"'

local CAUSE = {
  type = "string",
  check = function(word)
    local is_known = retries.statuses(word) ~= nil
    for _, cause in ipairs(retries.CAUSES) do is_known = is_known or word == cause end
    local meant = elsewhere.causes[word:lower()]
    return is_known, EXPECTED:format(word) .. (meant and ('; did you mean "%s"?'):format(meant) or "")
  end,
}

local function method_list(default, doc)
  return { "methods", type = "list", single = true, default = default, of = { type = "enum", of = METHODS }, doc = doc }
end

local function duration(name, default, doc, min)
  return { name, type = "duration", default = default, min = min or "0", max = "1d", doc = doc }
end

local backoff = ordered {
  [ELSEWHERE] = elsewhere.backoff,
  duration("base", "25ms", "longest wait before the first of these tries; doubled for each further one"),
  duration("max", nil, "longest wait of all; default: ten times the base"),
}

local function backoff_of(default)
  return {
    "backoff", type = "object", short = "base", default = default, fields = backoff,
    doc = "a random wait before nodes are asked again that were asked already; another node is asked at once",
  }
end

local budget = {
  "budget", type = "object", short = "share", default = {},
  doc = "how much may be sent again of what nodes may have worked on already; over the last 10 seconds, in all loops",
  fields = ordered {
    [ELSEWHERE] = elsewhere.budget,
    { "share", type = "percent", default = "20%", doc = "of the service's requests" },
    { "min", type = "integer", default = 10, min = 0, max = 1000000,
      doc = "retries per second that are allowed whatever the share is" },
  },
}

local function fields(is_route)
  local function default(value) return not is_route and value or nil end
  local or_services = is_route and "; default: the service's" or ""
  local list = {
    [ELSEWHERE] = elsewhere.retries,
    { "attempts", type = "integer", default = default(1), min = 0, max = 100,
      doc = "further tries after the first; 0: none" .. or_services },
    { "on", type = "list", single = true, min = 1, of = CAUSE,
      doc = "what asks for another try: connect, reset, timeout, and statuses such as 503, 5xx or 502-504; default: " ..
            (is_route and "the service's" or "connect and reset") .. ", and timeout where per_try is given" },
    duration("per_try", default "0", "from the choice of a node to the head of its answer; 0: no limit" .. or_services),
    backoff_of(default {}),
    duration("hedge", default "0",
             "without an answer after so long another node is asked as well, and the first answer counts; 0: never" ..
             or_services),
    method_list(default(IDEMPOTENT),
                "what a node may get twice; what was not sent is sent whatever it is" .. or_services),
  }
  if not is_route then table.insert(list, 5, budget) end
  return ordered(list)
end

retries.of_service = {
  "retries", type = "object", short = "attempts", default = {}, fields = fields(false),
  doc = "another try at another node, where that is safe",
}

--- The same for a route, where a key left away means the service's.
retries.of_route = {
  "retries", type = "object", short = "attempts", fields = fields(true), doc = "instead of the service's",
}

return retries
