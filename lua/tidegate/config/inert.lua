--- Settings that count for nothing beside others: no error, but surely not meant.

local inert = {}

--- Warns of keys that were written and do nothing.
local function unused(checker, map, keys, why)
  for _, key in ipairs(keys) do
    if checker.marks:is_written(map, key) then checker:warn(map, key, "counts for nothing: %s", why) end
  end
end

--- What stands in `circuit_breaker`.
-- @tparam Checker checker of tidegate.config.check
-- @tparam table breaker
function inert.circuit_breaker(checker, breaker)
  if breaker.slow == 0 then unused(checker, breaker, { "slow_ratio" }, "without slow no answer is slow") end
end

--- What stands in `retries`, and waits that contradict each other.
-- @tparam Checker checker of tidegate.config.check
-- @tparam table retries of a service or a route
function inert.retries(checker, retries)
  if retries.attempts == 0 then
    unused(checker, retries, { "on", "hedge", "methods", "backoff", "budget" }, "attempts is 0")
  end
  local backoff = retries.backoff or {}
  if backoff.base and backoff.max and backoff.max < backoff.base then
    checker:fail(backoff, "max", "expected at least `base`, which is %gs, found %gs", backoff.base, backoff.max)
  end
end

--- What stands in the rest of a service.
-- @tparam Checker checker of tidegate.config.check
-- @tparam table service
function inert.service(checker, service)
  local pool, overload = service.pool, service.overload
  if pool and pool.max_per_node == 0 then
    unused(checker, pool, { "queue", "queue_timeout" }, "without max_per_node no request waits")
  end
  local health = service.health_check
  if health and not health.active and not health.passive then
    unused(checker, health, { "panic" }, "without active and passive every node is taken for healthy")
  end
  if overload and overload.queue == 0 then
    unused(checker, overload, { "queue_timeout" }, "queue is 0, so no request waits")
  end
  if overload and overload.max_requests and overload.max_requests > 0 then
    unused(checker, overload, { "least", "most" }, "only max_requests: adaptive changes its limit")
  end
end

return inert
