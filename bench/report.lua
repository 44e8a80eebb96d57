--- From measured values to the tables of a report, and to the file that the next run compares with.
local cjson = require "cjson"
local posix = require "posix"
local files = require "bench.files"

local report = {}

-- The value below which a share of all lies, between two neighbours where it falls between them.
local function quantile(values, share)
  local sorted = {}
  for i, value in ipairs(values) do sorted[i] = value end     -- thousands are too many for unpack
  table.sort(sorted)
  local at = 1 + (#sorted - 1) * share
  local below = math.floor(at)
  local above = sorted[below + 1] or sorted[below]
  return sorted[below] + (above - sorted[below]) * (at - below)
end

function report.median(values) return quantile(values, 0.5) end

--- The median of the ratios round by round: what disturbs a round disturbs both of its sides.
-- @treturn number the median
-- @treturn table the first and the third quartile
function report.ratio(values, base)
  local ratios = {}
  for round, value in ipairs(values) do ratios[round] = value / base[round] end
  return report.median(ratios), { quantile(ratios, 0.25), quantile(ratios, 0.75) }
end

--- As ratio, of differences.
function report.difference(values, base)
  local differences = {}
  for round, value in ipairs(values) do differences[round] = value - base[round] end
  return report.median(differences), { quantile(differences, 0.25), quantile(differences, 0.75) }
end

local function number(value)
  if not value then return "-" end
  if value >= 1000 then return ("%.0f"):format(value) end
  if value >= 100 then return ("%.1f"):format(value) end
  return ("%.2f"):format(value)
end

local function row(cells) return "| " .. table.concat(cells, " | ") .. " |\n" end

local function heading(cells)
  local rule = {}
  for i = 1, #cells do rule[i] = "---" end
  return row(cells) .. row(rule)
end

-- 14.10 (0.69): the value, and its ratio where there is one.
local function cell(figure, name)
  local text = number(figure.values[name])
  if figure.ratios[name] then text = ("%s (%.2f)"):format(text, figure.ratios[name]) end
  return text
end

-- How far apart Tidegate's ratios or differences lie from round to round: a target inside is neither met nor missed for
-- certain.
local function spread(figure)
  local quartiles = figure.quartiles and figure.quartiles.tidegate
  return quartiles and ("%s to %s"):format(number(quartiles[1]), number(quartiles[2])) or "-"
end

--- What a figure's target is about: the ratio, or the value itself.
local function result(figure)
  if figure.relative then return figure.ratios.tidegate end
  return figure.values.tidegate
end

local function verdict(figure)
  if not figure.most then return "-" end
  local value, most = result(figure), number(figure.most)
  if not value then return "≤ " .. most end
  return ("≤ %s: %s"):format(most, value <= figure.most and "yes" or "**no**")
end

-- The figures, one line each.
local function figures_table(figures, proxies, last)
  local cells = { "figure" }
  for _, proxy in ipairs(proxies) do cells[#cells + 1] = proxy.title end
  cells[#cells + 1] = "half of the rounds"
  cells[#cells + 1] = "target"
  if last then cells[#cells + 1] = "last run" end
  local text = heading(cells)
  for _, figure in ipairs(figures) do
    cells = { figure.title }
    for _, proxy in ipairs(proxies) do cells[#cells + 1] = cell(figure, proxy.name) end
    cells[#cells + 1] = spread(figure)
    cells[#cells + 1] = verdict(figure)
    if last then cells[#cells + 1] = number(last[figure.name]) end
    text = text .. row(cells)
  end
  return text
end

local function detail(title, proxy, of)
  return row {
    title, proxy.title, ("%.0f"):format(report.median(of.rps)), number(report.median(of.p50)),
    number(report.median(of.p99)), number(report.median(of.cpu)), ("%.0f %%"):format(report.median(of.busy)),
  }
end

-- Throughput and latency behind the figures: a line for each load, side and proxy, medians over the rounds.
local function details_table(ran, proxies)
  local text = heading { "load", "proxy", "requests/s", "p50 µs", "p99 µs", "CPU µs/request", "core busy" }
  for _, one in ipairs(ran) do
    for _, proxy in ipairs(proxies) do
      local of = one.samples[proxy.name]
      if of then text = text .. detail(one.load.title, proxy, of.with) end
      if of and one.load.without then
        text = text .. detail(("%s / %s"):format(one.load.title, one.load.without.title), proxy, of.without)
      end
    end
  end
  return text
end

--- The report.
-- @tparam table figures of figure { name, title, most, relative, values, ratios, quartiles }, the last three by proxy;
--   most is nil where there is no target
-- @tparam table ran what rounds.run gave
-- @tparam table proxies in the order of the columns
-- @tparam ?table last results of the last run by figure name: another column
function report.tables(figures, ran, proxies, last)
  local text = figures_table(figures, proxies, last)
  if #ran > 0 then text = text .. "\n" .. details_table(ran, proxies) end
  return text
end

--- Puts tables into a file: between two lines that mark their place, where it has them, else in place of all.
function report.put(path, text)
  if posix.access(path) == 0 then
    local before, after = files.read(path):match("^(.-\n<!%-%- bench %-%->\n).-(<!%-%- /bench %-%->\n.*)$")
    if before then text = before .. text .. after end
  end
  files.write(path, text)
end

--- Results by figure name of the run that was saved last; empty when there is none.
function report.read_last(path)
  local file = io.open(path)
  if not file then return {} end
  local ok, saved = pcall(cjson.decode, file:read("*a"))
  file:close()
  return ok and saved.results or {}
end

--- Figures that were not measured this time keep their last result.
function report.save(path, figures, last)
  local saved = { date = os.date("%Y-%m-%d %H:%M"), results = {}, figures = {} }
  for name, value in pairs(last) do saved.results[name] = value end
  for _, figure in ipairs(figures) do
    saved.results[figure.name] = result(figure) or last[figure.name]
    saved.figures[figure.name] = { values = figure.values, ratios = figure.ratios }
  end
  files.write(path, cjson.encode(saved) .. "\n")
end

return report
