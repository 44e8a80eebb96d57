--- Metrics of plugins: they show up in /metrics, summed over all loops, and survive reloads.
local C = require "tidegate.ffi"

local metrics = {}

local SERIES_MAX = 1000         -- different label values of one metric

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local DEFAULT_BUCKETS = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 }

local Metric = {}
local methods = {}
Metric.__index = methods
Metric.__metatable = false

local function fail(call, expected, found)
  error(("metrics.%s: expected %s, found %s"):format(call, expected, type(found) == "string" and ("%q"):format(found)
        or tostring(found)), 4)
end

local function make(kind, name, help, labels)
  if type(name) ~= "string" or not name:find "^[%a_:][%w_:]*$" then
    fail(kind, "a name such as cache_hits_total", name)
  end
  if type(help) ~= "string" or help == "" or help:find "%z" then fail(kind, "a help text", help) end
  for _, label in ipairs(labels or {}) do
    if type(label) ~= "string" or not label:find "^[%a_][%w_]*$" then fail(kind, "label names", label) end
  end
  return setmetatable({
    kind = kind, name = name, help = help, labels = labels or {}, numbers = {}, count = 0,
  }, Metric)
end

--- The text of the labels, as it is shown.
local function label_text(self, values, more)
  local parts = {}
  for i, name in ipairs(self.labels) do
    parts[i] = ('%s="%s"'):format(name, (tostring(values[i]):gsub('[\\"\n]', ESCAPES):gsub("%z", "")))
  end
  parts[#parts + 1] = more
  return table.concat(parts, ",")
end

--- The number of a series; 0 where there are too many.
local function number_of(self, suffix, values, more)
  local key = suffix .. "\0" .. (more or "")
  for i = 1, #self.labels do
    if values[i] == nil then
      error(("metrics: %s expects values for %s"):format(self.name, table.concat(self.labels, ", ")), 3)
    end
    key = key .. "\0" .. tostring(values[i])
  end
  local number = self.numbers[key]
  if number then return number end
  if self.count >= SERIES_MAX then return 0 end
  number = C.tide_metric(self.kind, self.name .. suffix, self.help, label_text(self, values, more))
  self.numbers[key], self.count = number, self.count + 1
  return number
end

local function add(self, suffix, n, values, more) C.tide_metric_add(number_of(self, suffix, values, more), n) end

--- Counts. A counter takes no negative numbers.
-- @tparam[opt=1] number n
-- @param ... the values of its labels, in their order
function methods:inc(n, ...)
  n = n or 1
  if self.kind == "histogram" then error("metrics: a histogram is told with observe", 2) end
  if type(n) ~= "number" or n ~= n or (self.kind == "counter" and n < 0) then
    error(("metrics: %s expects a number%s, found %s"):format(
          self.name, self.kind == "counter" and " that is not negative" or "", tostring(n)), 2)
  end
  add(self, "", n, { ... })
end

--- Sets a gauge.
-- @tparam number value
-- @param ... the values of its labels
function methods:set(value, ...)
  if self.kind ~= "gauge" then error("metrics: only a gauge can be set", 2) end
  if type(value) ~= "number" then error(("metrics: %s expects a number"):format(self.name), 2) end
  C.tide_metric_set(number_of(self, "", { ... }), value)
end

--- Tells a histogram a value.
-- @tparam number value
-- @param ... the values of its labels
function methods:observe(value, ...)
  if self.kind ~= "histogram" then error("metrics: only a histogram observes", 2) end
  if type(value) ~= "number" or value ~= value then error(("metrics: %s expects a number"):format(self.name), 2) end
  local values = { ... }
  for _, bound in ipairs(self.buckets) do
    add(self, "_bucket", value <= bound and 1 or 0, values, ('le="%s"'):format(bound))
  end
  add(self, "_bucket", 1, values, 'le="+Inf"')
  add(self, "_sum", value, values)
  add(self, "_count", 1, values)
end

--- A number that only grows.
-- @tparam string name by custom it ends in _total
-- @tparam string help
-- @tparam[opt] {string,...} labels names
-- @treturn table counter:inc([n, label values...])
function metrics.counter(name, help, labels) return make("counter", name, help, labels) end

--- A number that goes up and down. Each loop has its own: inc and dec are summed; set is for a value of one loop.
-- @treturn table gauge:inc([n, ...]), gauge:set(value, ...)
function metrics.gauge(name, help, labels) return make("gauge", name, help, labels) end

--- How values are distributed.
-- @tparam[opt] {number,...} buckets upper bounds, rising; default: from 5 ms to 10 s
-- @treturn table histogram:observe(value, label values...)
function metrics.histogram(name, help, labels, buckets)
  local self = make("histogram", name, help, labels)
  self.buckets = buckets or DEFAULT_BUCKETS
  for i, bound in ipairs(self.buckets) do
    if type(bound) ~= "number" or (i > 1 and bound <= self.buckets[i - 1]) then
      fail("histogram", "buckets that rise", bound)
    end
  end
  return self
end

return metrics
