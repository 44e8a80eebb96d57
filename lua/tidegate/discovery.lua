--- Nodes that a file lists: `discovery: { file: nodes.yaml }`. It holds a list as `nodes` takes it, in YAML or JSON.
local C = require "tidegate.ffi"
local Report = require "tidegate.config.report"
local Sources = require "tidegate.config.source"
local schema = require "tidegate.config.schema"
local tree = require "tidegate.config.tree"
local yaml = require "tidegate.yaml"

local discovery = {}

local FILE_MAX, NODES_MAX = 4 * 1024 * 1024, 4096

local LIST = {
  type = "list", of = tree.fields.services.of.fields.nodes.of, max = NODES_MAX, expects = "a list of nodes",
}

--- What a schema cannot see.
local function check(list, marks, report, name, protocol)
  for _, node in ipairs(list) do
    local target = node.url or {}
    local place, path = marks:place(node, "url")
    if target.scheme and target.scheme ~= protocol then
      report:add(place, path, ("expected %s as the service speaks it, found %s"):format(protocol, target.scheme))
    end
    if target.file then
      target.file = Sources.absolute(target.file, Sources.folder_of(name))
      if #target.file > 107 then report:add(place, path, "the path of a unix socket must be shorter than 108 bytes") end
    end
  end
end

--- The nodes in a text.
-- @tparam string text
-- @tparam string name of the file, absolute
-- @tparam string protocol of the service: "http" or "https"
-- @treturn ?{table,...} as a configuration's nodes; nil where something is wrong
-- @treturn Report
function discovery.parse(text, name, protocol)
  local report = Report.new()
  report:source(name, text)
  local node, errors = yaml.parse(text, name)
  for _, e in ipairs(errors or {}) do report:add({ file = name, line = e.line, column = e.column }, nil, e.message) end
  if report:has_errors() then return nil, report end
  -- A file that is being written looks like this for a moment.
  if not node or node.kind ~= "list" then
    report:add(node or { file = name }, nil, "expected a list of nodes; where there are none, write []")
    return nil, report
  end
  local list, marks = schema.check(LIST, node, report)
  check(list or {}, marks, report, name, protocol)
  return not report:has_errors() and list or nil, report
end

--- The same of a file.
function discovery.read(name, protocol)
  local text, why = Sources.new(Sources.folder_of(name)):read(name, FILE_MAX)
  if text then return discovery.parse(text, name, protocol) end
  local report = Report.new()
  report:add({ file = name }, nil, "cannot be read: " .. why)
  return nil, report
end

--- The first of the errors, in one line.
local function summary(report)
  local list = report:list()
  local e = list[1]
  local place = e.line and ("%s:%d:%d"):format(e.file, e.line, e.column) or e.file
  local path = e.path and e.path ~= "" and e.path .. ": " or ""
  local more = #list > 1 and (" (and %d more)"):format(#list - 1) or ""
  return ("%s: %s%s%s"):format(place, path, e.message, more)
end

local function give(source, list)
  for _, node in ipairs(list) do
    local target = node.url
    if node.enabled then
      local host = target.file or target.host
      local n = C.tide_source_add(source, host, #host)
      n.port, n.is_unix = target.port or 0, target.file ~= nil
      n.weight, n.backup = node.weight, node.backup
    end
  end
  C.tide_source_give(source)
end

--- Reads the file of a source, and gives it the nodes. Control thread.
-- @tparam string words of the source: the protocol, a space, the file's absolute name
function discovery.refresh(words)
  local protocol, name = words:match "^(%w+) (.*)$"
  local source = C.tide_source_begin("file", words)
  if source == nil then return end              -- gone meanwhile
  local list, report = discovery.read(name, protocol)
  if list then give(source, list) else C.tide_source_fail(source, summary(report)) end
end

return discovery
