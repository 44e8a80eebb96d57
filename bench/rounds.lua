--- The loads that run in rounds: each round runs all of them on all proxies, in another order each time, so that what
-- disturbs the machine for a while disturbs all sides.
local proxies = require "bench.proxies"
local report = require "bench.report"

local rounds = {}

local TITLES = { cpu = "CPU µs", p50 = "p50 µs", p99 = "p99 µs" }
local SHORT_WARMUP_S = 0.1

-- ---- one measurement ----

local function check_errors(result, instance, context)
  if result.errors > 0 then
    context.problem(("%s: %d errors: %s"):format(instance.title, result.errors, result.first_error))
  end
end

-- With what runs beside it, if anything does.
local function sample(side, context)
  local request, instance = side.request, side.instance
  local port = request.tls and instance.tls_port or instance.port
  local beside = request.beside and context.start_load(
    setmetatable({ server = port, seconds = 0 }, { __index = request.beside }))
  local result = context.load(setmetatable({ server = port, watch = instance.pids }, { __index = request }))
  check_errors(result, instance, context)
  if beside then
    beside:close_input()
    check_errors(context.finish_load(beside), instance, context)
  end
  return {
    rps = result.rps, p50 = result.p50_us, p99 = result.p99_us,
    cpu = result.cpu_us / result.requests, busy = result.cpu_us / result.seconds / 1e4,
  }
end

local function keep(samples, side, values)
  local of = samples[side.proxy] or { with = {}, without = {} }
  samples[side.proxy] = of
  for name, value in pairs(values) do
    of[side.which][name] = of[side.which][name] or {}
    table.insert(of[side.which][name], value)
  end
end

-- ---- sides ----

local function side_of(load, which, proxy, start, context)
  local request, setup = load.load, load.setup or "plain"
  if which == "without" then
    request = setmetatable(load.without, { __index = request })
    setup = load.without.setup or setup
  end
  local common = { seconds = context.seconds }
  if load.turns then common = { seconds = context.seconds / load.turns, warmup = SHORT_WARMUP_S } end
  if load.one_core then common.core = context.proxy_core end
  return {
    proxy = proxy.name, which = which, instance = start(proxy, setup),
    request = setmetatable(common, { __index = request }),
  }
end

--- A load with its sides; nil where there is no proxy for it.
local function plan(load, present, start, context)
  local sides = {}
  for _, proxy in ipairs(present) do
    if context.can(load, proxy) then
      sides[#sides + 1] = side_of(load, "with", proxy, start, context)
      if load.without then sides[#sides + 1] = side_of(load, "without", proxy, start, context) end
    end
  end
  return #sides > 0 and { load = load, sides = sides, samples = {} } or nil
end

-- ---- the run ----

-- Another side begins in each turn, and every other one goes backwards: each comes before and after each.
local function run_turn(planned, turn, context)
  local sides, told = planned.sides, {}
  for i = 1, #sides do
    local side = sides[((turn % 2 == 0 and i or -i) + turn) % #sides + 1]
    local values = sample(side, context)
    keep(planned.samples, side, values)
    local name = side.which == "with" and side.proxy or side.proxy .. " " .. planned.load.without.title
    told[#told + 1] = ("%s %.2f"):format(name, values.cpu)
  end
  return table.concat(told, ", ")
end

local function run_load(planned, round, context)
  local load = planned.load
  if load.one_core then context.move_upstream(context.proxy_core) end
  local turns = load.turns or 1
  for turn = 1, turns do
    local told = run_turn(planned, (round - 1) * turns + turn, context)
    if turn == turns then
      context.say("round %d/%d  %-15s CPU µs/request: %s", round, context.rounds, load.name, told)
    end
  end
  if load.one_core then context.move_upstream(context.load_core) end
end

--- Runs loads. Proxies are started once for all of them.
-- @tparam table chosen loads, rows of bench/loads.lua
-- @tparam table present proxies
-- @tparam table context rounds, seconds, and what run.lua has in it
-- @treturn table of { load, samples }: samples by proxy, "with" or "without", and value, a list of one per turn
function rounds.run(chosen, present, context)
  local instances = {}
  local function start(proxy, setup)
    local key = proxy.name .. " " .. setup
    instances[key] = instances[key] or proxies.start(proxy, context, { setup = setup, timeout_s = 60 })
    return instances[key]
  end
  local planned = {}
  for _, load in ipairs(chosen) do
    planned[#planned + 1] = plan(load, present, start, context)
  end
  for round = 1, context.rounds do
    for _, one in ipairs(planned) do run_load(one, round, context) end
  end
  for _, instance in pairs(instances) do instance.process:stop() end
  return planned
end

-- ---- figures ----

local function title_of(load, wanted)
  local title = load.title .. ": " .. TITLES[wanted.value]
  if wanted.added then return title .. ", more than with " .. load.without.title end
  if wanted.to == "without" then return title .. ", to " .. load.without.title end
  return title
end

--- What a ratio is to.
local function base_of(wanted, name, samples)
  if wanted.to == "without" then return samples[name].without end
  if name ~= "nginx" and samples.nginx then return samples.nginx.with end
end

local function figure_of(load, wanted, samples)
  local figure = {
    name = load.name .. "." .. wanted.value .. (wanted.added and ".added" or ""), title = title_of(load, wanted),
    most = wanted.most, relative = not wanted.added, values = {}, ratios = {}, quartiles = {},
  }
  for name, of in pairs(samples) do
    local values = of.with[wanted.value]
    if wanted.added then
      figure.values[name], figure.quartiles[name] = report.difference(values, of.without[wanted.value])
    else
      local base = base_of(wanted, name, samples)
      figure.values[name] = report.median(values)
      if base then figure.ratios[name], figure.quartiles[name] = report.ratio(values, base[wanted.value]) end
    end
  end
  return figure
end

--- The figures of loads that have run.
-- @tparam table planned what rounds.run gave
-- @treturn table a list, see report.figures
function rounds.figures(planned)
  local figures = {}
  for _, one in ipairs(planned) do
    for _, wanted in ipairs(one.load.figures) do
      figures[#figures + 1] = figure_of(one.load, wanted, one.samples)
    end
  end
  return figures
end

return rounds
