--- Conversions of other gateways' configurations, for specs.
local configuration = require "support.configuration"       -- loads the library that tidegate.yaml is in
local Report = require "tidegate.config.report"
local assert = require "luassert"
local busted = require "busted"
local emit = require "tidegate.config.emit"
local files = require "support.files"
local yaml = require "tidegate.yaml"

local foreign = {}

local function messages(list)
  local texts = {}
  for i, e in ipairs(list) do
    texts[i] = ("%d: %s%s"):format(e.line or 0, e.path and e.path ~= "" and e.path .. ": " or "", e.message)
  end
  return texts
end

--- Parses a text of YAML that must be good.
function foreign.parse(text)
  local node, errors = yaml.parse(text, "file.yaml")
  if errors then error(errors[1].message, 2) end
  return node
end

--- Converts a text or a node.
-- @tparam string dialect kong, apisix
-- @treturn table text: YAML of ours; lost: what was told as not converted, warned: what differs, each as
-- "LINE: path: why"; node: what was read
function foreign.convert(dialect, input)
  local node = type(input) == "string" and foreign.parse(input) or input
  local report = Report.new()
  local value = require("tidegate.dialects." .. dialect).convert(node, nil, report)
  report:text()         -- sorts
  return { text = emit.text(value), lost = messages(report.errors), warned = messages(report.warnings), node = node }
end

--- The configuration that comes of it, as the gateway understands it; it must load without errors.
-- @tparam table result of convert
-- @tparam[opt] table options of configuration.load
function foreign.load(result, options)
  options = options or {}
  options.getenv = options.getenv or function(name) return "value-of-" .. name:lower() end
  local loaded = configuration.load(result.text, options)
  if not loaded.good then error(loaded.report:text() .. "\n" .. result.text, 2) end
  return loaded.config
end

--- Converts and loads.
function foreign.config(dialect, text, options)
  local result = foreign.convert(dialect, text)
  return foreign.load(result, options), result
end

--- The plugins of the first route, each as { use =, config =, when =, band = } with what is written alone; what is
-- told; and the configuration.
function foreign.chain(dialect, text)
  local result = foreign.convert(dialect, text)
  local config = foreign.load(result, { dry = false })
  local chain = {}
  for i, entry in ipairs(config.routes[1].plugins) do
    chain[i] = { use = entry.use, config = entry.config, when = entry.when, band = entry.band }
  end
  return chain, result, config
end

--- Cases of plugins, each as { its text, its chain }.
-- @tparam function chain_of as foreign.chain, of the text of a plugin
-- @tparam {table,...} cases
function foreign.it_converts(chain_of, cases)
  for _, case in ipairs(cases) do
    busted.it("has its equal: " .. case[1]:gsub("%s+", " "), function()
      local chain, result = chain_of(case[1])
      assert.same({}, result.lost)
      assert.same(case[2], chain)
    end)
  end
end

--- Cases of plugins that have no equal, each as { its text, what is told }; off: the route is shut; rest: what stands
-- behind the route.
-- @tparam function chain_of as foreign.chain, of the text of a plugin and of the rest
-- @tparam number line of the plugin
-- @tparam {table,...} cases
function foreign.it_tells(chain_of, line, cases)
  for _, case in ipairs(cases) do
    busted.it("is told where it has none: " .. case[1], function()
      local _, result, config = chain_of(case[1], case.rest)
      assert.equal(1, #result.lost, table.concat(result.lost, "\n"))
      assert.matches(line .. ": ", result.lost[1], 1, true)
      assert.matches(case[2], result.lost[1], 1, true)
      assert.is_true(config.routes[1].enabled)
      assert.equal(case.off or false, foreign.is_shut(config.routes[1]))
    end)
  end
end

function foreign.fixture(name)
  return files.read("spec/fixtures/foreign/" .. name .. ".yaml")
end

-- -- nothing is dropped --

local function each_entry(node, visit, path)
  for i, item in ipairs(node.items or {}) do each_entry(item, visit, ("%s[%d]"):format(path, i)) end
  for _, entry in ipairs(node.entries or {}) do
    local at = path == "" and entry.key or path .. "." .. entry.key
    if visit(entry, at) ~= "skip" then each_entry(entry.value, visit, at) end
  end
end

local function has_maps(node)
  if node.kind == "map" then return true end
  for _, item in ipairs(node.items or {}) do
    if has_maps(item) then return true end
  end
  return false
end

--- Keys of a converted node that nobody looked at: "LINE: path".
function foreign.forgotten(node)
  local list = {}
  each_entry(node, function(entry, path)
    if not entry.fate then list[#list + 1] = ("%d: %s"):format(entry.line, path) end
    -- What is told or known to be harmless is so with all that it holds; so is a value that was taken whole.
    if entry.fate ~= "read" or not has_maps(entry.value) then return "skip" end
  end, "")
  return list
end

--- Adds an entry that no gateway knows, on line 9999.
function foreign.add_unknown(map)
  local value = { kind = "scalar", type = "string", text = "unheard of", value = "unheard of", line = 9999, column = 6,
                  file = "file.yaml" }
  table.insert(map.entries, { key = "zzz", value = value, line = 9999, column = 1, file = "file.yaml" })
  map.fields.zzz = #map.entries
end

--- Maps of a text in which a key that nobody knows goes unnoticed: their paths.
-- @tparam string dialect
-- @tparam string text
-- @treturn {string,...}
-- @treturn number how many maps there are
function foreign.blind_spots(dialect, text)
  local list, count = {}, #foreign.maps(foreign.parse(text))
  for i = 1, count do
    local node = foreign.parse(text)
    local map = foreign.maps(node)[i]
    foreign.add_unknown(map.node)
    local is_told = false
    for _, message in ipairs(foreign.convert(dialect, node).lost) do
      is_told = is_told or message:find "^9999: .*zzz" ~= nil
    end
    if not is_told then list[#list + 1] = map.path end
  end
  return list, count
end

--- Every map of a node, with its path.
function foreign.maps(node)
  local list = { { node = node, path = "" } }
  local function look(value, path)
    if value.kind == "map" then list[#list + 1] = { node = value, path = path } end
    for i, item in ipairs(value.items or {}) do look(item, ("%s[%d]"):format(path, i)) end
  end
  each_entry(node, function(entry, path) look(entry.value, path) end, "")
  return list
end

--- Whether a converted route answers with 503 before all else.
function foreign.is_shut(route)
  local first = route.plugins[1]
  if not first or first.use ~= "respond" or first.when then return false end
  return first.config.status == 503 and first.band == "cors"
end

-- -- values of another kind --

local OTHER = {
  scalar = { kind = "scalar", type = "string", text = "x", value = "x" },
  list = { kind = "list", items = {} },
  map = { kind = "map", entries = {}, fields = {} },
  huge = { kind = "scalar", type = "number", text = "1e15", value = 1e15 },
  negative = { kind = "scalar", type = "integer", text = "-5", value = -5 },
}

--- How many values a node holds.
function foreign.count_values(node)
  local count = 0
  each_entry(node, function() count = count + 1 end, "")
  return count
end

--- Puts a value of a kind in place of the value of one entry.
-- @tparam table node changed in place
-- @tparam number number of the entry
-- @tparam string kind scalar, list or map
function foreign.replace_value(node, number, kind)
  each_entry(node, function(entry)
    number = number - 1
    if number ~= 0 then return nil end
    local value = { line = entry.line, column = entry.column, file = entry.file }
    for key, part in pairs(OTHER[kind]) do value[key] = part end
    entry.value = value
    return "skip"
  end, "")
end

return foreign
