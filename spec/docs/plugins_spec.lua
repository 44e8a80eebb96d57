--- docs/plugins.md: the tutorial is typed word for word, and the reference names what there is.
local clock = require "support.clock"
local files = require "support.files"
local json = require "tidegate.tide.json"
local markdown = require "support.markdown"
local metadata = require "tidegate.plugin.metadata"
local order = require "tidegate.plugin.order"
local plugins = require "support.plugins"
local schema = require "tidegate.config.schema"
local shell = require "support.shell"
local wire = require "support.wire"
require "tidegate.plugin.when"

local PAGE = "docs/plugins.md"
local TEXT = files.read(PAGE)

local lines = {}
for line in (TEXT .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end

local reference_line
for i, line in ipairs(lines) do
  if line == "## Reference" then reference_line = i end
end

--- The file that a block is to be saved as: the last one that the words before it name.
local function file_named_before(block)
  local words = {}
  local at = block.line - 2
  while at > 0 and not lines[at]:find "^```" and not (lines[at] == "" and #words > 0) do
    if lines[at] ~= "" then table.insert(words, 1, lines[at]) end
    at = at - 1
  end
  local name
  for word in table.concat(words, " "):gmatch "`([%w_/]+%.[%w]+)`" do name = name or word end
  return assert(name, "no file is named before line " .. block.line)
end

-- -- a reader at the terminal --

local Reader = {}
Reader.__index = Reader

local function new_reader()
  local folder = files.folder()
  local binary = shell.must("realpath " .. (os.getenv "TIDEGATE" or "build/tidegate")):gsub("\n", "")
  shell.must(("ln -s %s build"):format(binary:match "^(.*)/"), { folder = folder })
  local fd, port = wire.listen {}
  wire.close(fd)
  return setmetatable({
    state = folder .. "/.state", folder = folder, path = os.getenv "PATH", port = tostring(port),
  }, Reader)
end

--- Port 8080 may be taken here: another stands in for it.
function Reader:here(text) return (text:gsub("8080", self.port)) end

-- The log is written by a thread of its own: a line may come after the response of the request that it is about. Who
-- types by hand is slower than that; the script looks again until there is something.
local PATIENT_GREP = [[
grep() {
  for last; do :; done
  tries=0
  while [ -f "$last" ] && [ $tries -lt 100 ] && ! command grep -q "$@"; do
    tries=$((tries + 1))
    sleep 0.05
  done
  command grep "$@"
}
]]

--- Types a block of commands in the folder, and with the PATH, that the one before has left.
function Reader:type(block)
  local script = ("%strap 'pwd > %s.cwd; echo \"$PATH\" > %s.path' EXIT\n%s"):format(PATIENT_GREP, self.state,
                                                                                       self.state,
                                                                                       self:here(block.text))
  local text, code = shell.run(script, { folder = self.folder, env = { PATH = self.path } })
  self.folder = files.read(self.state .. ".cwd"):gsub("\n", "")
  self.path = files.read(self.state .. ".path"):gsub("\n", "")
  return text, code
end

--- Runs a command that the page does not show.
function Reader:aside(command) return shell.run(command, { folder = self.folder, env = { PATH = self.path } }) end

--- How often the running gateway has loaded its configuration; nil where none runs.
function Reader:loads()
  if not files.read(self.folder .. "/run/tidegate.pid") then return nil end
  local text, code = self:aside "tidegate status --json"
  if code ~= 0 then return nil end
  local status = assert(json.decode(text))
  return status.reloads_good + status.reloads_bad
end

--- Does what changes a file that the gateway watches, and waits until it has seen that by itself. A file may be written
-- in several steps, of which it may have seen the first only: another load makes sure of the last.
function Reader:change(what)
  local before = self:loads()
  what()
  if not before then return end
  clock.wait_until(function() return self:loads() > before end, nil, "a reload")
  self:aside "tidegate reload"
end

function Reader:save(name, text)
  local path = self.folder .. "/" .. name
  local function write()
    files.write(path .. ".new", self:here(text))
    assert(os.rename(path .. ".new", path))
  end
  if name:find "_spec%.lua$" then write() else self:change(write) end
end

--- The text with the changes of a block of diff: what stands behind " " and "-" must be there once.
local function patched(text, diff)
  for hunk in (diff .. "@@\n"):gmatch "(.-)@@\n" do
    local old, new = {}, {}
    for sign, line in hunk:gmatch "([ +-])(.-)\n" do
      if sign ~= "+" then old[#old + 1] = line .. "\n" end
      if sign ~= "-" then new[#new + 1] = line .. "\n" end
    end
    if #old > 0 then
      old, new = table.concat(old), table.concat(new)
      local from, to = text:find(old, 1, true)
      assert(from, "the change has no place:\n" .. hunk)
      assert(not text:find(old, to, true), "the change has two places:\n" .. hunk)
      text = text:sub(1, from - 1) .. new .. text:sub(to + 1)
    end
  end
  return text
end

--- What differs from one run to the next.
local function settled(text)
  return (text:gsub("\r", ""):gsub("^[+]+\n", ""):gsub("pid %d+", "pid N"):gsub("[%d.]+ seconds", "N seconds")
              :gsub("[%w/_-]+/gate/", "/home/gate/"))
end

describe("the tutorial of docs/plugins.md", function()
  local reader
  setup(function() reader = new_reader() end)
  teardown(function() reader:aside "tidegate stop" end)

  local blocks = {}
  for _, block in ipairs(markdown.blocks(PAGE)) do
    if block.line < reference_line then blocks[#blocks + 1] = block end
  end

  local function type_block(block, answer)
    local text, code
    local function go() text, code = reader:type(block) end
    if block.text:find "sed %-i" then reader:change(go) else go() end
    if answer then
      assert.equal(settled(reader:here(answer.text)), settled(text))
    else
      assert.equal(0, code, text)
    end
  end

  for i, block in ipairs(blocks) do
    if block.language == "sh" then
      local answer = blocks[i + 1] and blocks[i + 1].language == "text" and blocks[i + 1] or nil
      it("types line " .. block.line, function() type_block(block, answer) end)
    elseif block.language == "lua" or block.language == "yaml" then
      it("saves line " .. block.line, function() reader:save(file_named_before(block), block.text) end)
    elseif block.language == "diff" then
      it("makes the changes of line " .. block.line, function()
        local name = file_named_before(block)
        reader:save(name, patched(files.read(reader.folder .. "/" .. name), block.text))
      end)
    end
  end
end)

-- -- the reference --

describe("the reference of docs/plugins.md", function()
  local types = files.read "lua/tidegate/types.lua"
  local reference = TEXT:sub(TEXT:find("## Reference", 1, true), -1)

  local function names(text) assert.truthy(reference:find(text, 1, true), text .. " is missing") end

  --- What the annotations say of a class: its fields and methods.
  local function members(class, variable)
    local section = types:match("%-%-%-@class " .. class:gsub("%.", "%%.") .. "\n(.-)\nlocal " .. variable .. " = {}")
    local fields, methods = {}, {}
    for name in section:gmatch "%-%-%-@field ([%w_]+)" do fields[#fields + 1] = name end
    for name, list in types:gmatch("\nfunction " .. variable .. ":([%w_]+)%((.-)%)") do methods[name] = list end
    return fields, methods
  end

  it("names every field and method of the request, with its parameters", function()
    local fields, methods = members("tide.Request", "Request")
    for _, name in ipairs(fields) do names("`" .. name .. "`") end
    for name, list in pairs(methods) do
      local plain = reference:gsub("[%[%]]", "")
      assert.truthy(plain:find(("`req:%s(%s)`"):format(name, list), 1, true), name .. "(" .. list .. ")")
    end
  end)

  it("names every field and method of the response", function()
    local fields, methods = members("tide.Response", "Response")
    for _, name in ipairs(fields) do names("`" .. name .. "`") end
    for name, list in pairs(methods) do
      assert.truthy(reference:find(("`res:%s(%s)`"):format(name, list), 1, true) or
                    reference:find("`" .. name .. "`", 1, true), name)
    end
  end)

  it("names every hook", function()
    for name in pairs(metadata.HOOKS) do
      if name ~= "message" then names("| `" .. name .. "(self, ") end
    end
  end)

  it("names the bands in their order", function()
    for _, stage in ipairs(order.STAGES) do
      names(("| %s | %s |"):format(stage, table.concat(order.BANDS[stage], ", ")))
    end
  end)

  it("names every type and attribute of settings", function()
    for _, name in ipairs(schema.type_names()) do names("`" .. name .. "`") end
    local section = types:match "%-%-%-@class tide.Field\n(.-)\n\n"
    for name in section:gmatch "%-%-%-@field ([%w_]+)" do names("`" .. name .. "`") end
  end)

  for _, block in ipairs(markdown.blocks(PAGE)) do
    if block.line > reference_line and block.language == "lua" and block.text:find "\nreturn %u%w+\n$" then
      it("shows a plugin that loads, at line " .. block.line, function()
        local folder = plugins.folder { ["plugins/shown.lua"] = block.text }
        assert.same({}, plugins.complaints(folder, "plugins: [{ shown: { to: 'http://x/' } }]"))
      end)
    end
  end
end)
