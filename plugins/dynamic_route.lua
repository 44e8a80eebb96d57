--- Asks an API which service a request is for. The API gets the host (and the path and header fields that are chosen):
--
--     POST /api/host    {"host":"example.com"}
--
-- and answers with the name of a service of the configuration, or with an empty one to leave the route as it is:
--
--     {"code":200,"msg":"success","data":{"goto_services":"blue"}}
--
-- It may add {"data":{..., "services":{"example.org":"green"}}} to tell of other hosts before anybody asks. Answers are
-- kept for a while, and one request asks for all that wait for the same. Where the API cannot tell, the route stays.
local DynamicRoute = {
  version     = "1.0.0",
  description = "Asks an API which service a request is for.",
  band        = "filter",
  schema      = {
    api_url = {
      type = "url", default = "http://127.0.0.1:7080/api/host", match = "^https?://",
      expects = "a URL of http or https", doc = "where the API is",
    },
    timeout = {
      type = "duration", default = "5s", min = "1ms", max = "1m", unit = "seconds",
      doc = "how long it may take; then the route stays",
    },
    cache_expiry = {
      type = "duration", default = "60s", max = "30d", unit = "seconds",
      doc = "how long an answer is kept; 0: not at all",
    },
    stale = {
      type = "duration", default = "0s", max = "30d", unit = "seconds",
      doc = "how much longer an answer counts while the API is asked again, and where that fails",
    },
    failure_expiry = {
      type = "duration", default = "1s", max = "1h", unit = "seconds",
      doc = "how long the API is not asked again after it failed",
    },
    with_path = { type = "boolean", default = false, doc = "the API gets the path, too, and answers for each path" },
    with_headers = {
      type = "list", of = "header_name", default = {}, max = 20,
      doc = "fields that the API gets, too; it answers for each combination of their values",
    },
    api_headers = {
      type = "map", keys = "header_name", of = "secret", default = {},
      doc = "fields for the API itself: a key, a token",
    },
  },
}
DynamicRoute.__index = DynamicRoute

local KEY_MAX = 160         -- bytes; of a longer question the digest is the key
local ANSWER_MAX = 64 * 1024
local HOSTS_MAX = 1000      -- that one answer may tell of

local requests = tide.metrics.counter(
  "tidegate_dynamic_route_requests_total", "Requests by what was made of the API's answer.", { "outcome" })
local questions = tide.metrics.counter(
  "tidegate_dynamic_route_questions_total", "Questions to the API by how they ended.", { "result" })
local seconds = tide.metrics.histogram("tidegate_dynamic_route_question_seconds", "How long the API took to answer.")

function DynamicRoute.new(conf)
  local self = {
    url = conf.api_url, timeout = conf.timeout, failure_expiry = conf.failure_expiry,
    with_path = conf.with_path, with_headers = conf.with_headers, headers = { ["content-type"] = "application/json" },
    keeps = conf.cache_expiry > 0, failures = tide.shared "dynamic_route",
    cache = tide.cache {
      name = "dynamic_route " .. conf.api_url, ttl = conf.cache_expiry, stale = conf.stale, timeout = conf.timeout + 1,
    },
  }
  for name, value in pairs(conf.api_headers) do self.headers[name] = value end
  return setmetatable(self, DynamicRoute)
end

-- -- asking --

--- The question that a request is, as JSON; the same for requests that the API cannot tell apart.
function DynamicRoute:question(req)
  local question = { host = req.host, path = self.with_path and req.path or nil }
  for _, name in ipairs(self.with_headers) do
    question.headers = question.headers or {}
    question.headers[name] = req:header(name) or ""
  end
  return assert(tide.json.encode(question, { sorted = true }))
end

local function key_of(question)
  return #question <= KEY_MAX and question or assert(tide.crypto.digest("sha256", question))
end

--- Keeps what an answer tells of other hosts.
function DynamicRoute:keep(services)
  if not self.keeps or self.with_path or #self.with_headers > 0 or type(services) ~= "table" then return end
  local count = 0
  for host, service in pairs(services) do
    count = count + 1
    if count > HOSTS_MAX then return end
    if type(host) == "string" and type(service) == "string" then
      self.cache:set(key_of(assert(tide.json.encode { host = host:lower() })), service)
    end
  end
end

--- What the API's answer says.
-- @treturn ?string name of a service, or ""
-- @treturn ?string why there is none
function DynamicRoute:read(res)
  if res.status ~= 200 then return nil, ("expected status 200, found %d"):format(res.status) end
  local answer, why = res:json()
  if type(answer) ~= "table" then return nil, why or "expected an object" end
  if answer.code ~= 200 then
    return nil, ("expected code 200, found %s: %s"):format(tostring(answer.code), tostring(answer.msg))
  end
  local data = answer.data
  if type(data) ~= "table" or type(data.goto_services) ~= "string" then
    return nil, "expected data.goto_services, a text"
  end
  self:keep(data.services)
  return data.goto_services
end

--- Asks the API. One that does not answer at all is left alone for a while, whatever the question.
function DynamicRoute:ask(question)
  local from = tide.monotonic()
  local res, why, phase = tide.http.request {
    url = self.url, method = "POST", headers = self.headers, body = question, timeout = self.timeout,
    max_body = ANSWER_MAX,
  }
  local service
  if res then service, why = self:read(res) end
  seconds:observe(tide.monotonic() - from)
  questions:inc(1, service and "answered" or res and "refused" or "failed")
  if service then return service end
  tide.log.warn("the API does not tell the service: the route stays",
                { url = self.url, question = question, why = why })
  if self.failure_expiry > 0 then
    local is_down = phase == "connect" or why == "timeout"
    self.failures:set(is_down and self.url or self.url .. " " .. key_of(question), true, self.failure_expiry)
  end
  return nil, why
end

--- The service for a question: called for all that wait for it.
local function load(key, self, question)
  local failures = self.failures
  if failures:get(self.url) or failures:get(self.url .. " " .. key) then return nil, "it failed a moment ago" end
  return self:ask(question)
end

function DynamicRoute:service_for(question)
  local key = key_of(question)
  if not self.keeps then return load(key, self, question) end
  return self.cache:get(key, load, self, question)
end

-- -- rerouting --

--- Tells once a minute of a name that is no service.
function DynamicRoute:complain(name)
  if not self.failures:add("unknown " .. name:sub(1, 100), true, 60) then return end
  tide.log.warn("the API names a service that there is not: the route stays", { url = self.url, service = name })
end

function DynamicRoute:request(req)
  local service = self:service_for(self:question(req))
  if not service then return requests:inc(1, "failed") end
  if service == "" then return requests:inc(1, "unchanged") end
  if not pcall(req.set_service, req, service) then
    self:complain(service)
    return requests:inc(1, "unknown service")
  end
  req.ctx.dynamic_target_service = service
  requests:inc(1, "rerouted")
end

return DynamicRoute
