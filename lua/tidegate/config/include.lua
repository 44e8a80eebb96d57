--- Several files as one tree: those that `include` of the main file names, in the order of their names, and in the end
-- NAME.yaml beside the main file for --env NAME.
--
-- Lists add up, maps of named things take the later of two. Everything else counts in the main file alone, except that
-- the file of --env may change it key by key: environments are what it is for.
local Node = require "tidegate.config.node"
local Sources = require "tidegate.config.source"
local read = require "tidegate.config.read"
local schema = require "tidegate.config.schema"
local tree = require "tidegate.config.tree"
local values = require "tidegate.config.values"

local is_nothing = Node.is_nothing

local FILES_MAX = 1000
local BYTES_MAX = 32 * 1024 * 1024
local NODES_MAX = 1000000       -- as in one file
local PATTERNS_MAX = 100

local LISTS = { routes = true, plugins = true, listen = true, consumers = true }
local NAMED = { services = true, instances = true, dictionaries = true }

local Gatherer = {}
Gatherer.__index = Gatherer

local function describe(node)
  return node.kind == "scalar" and schema.quote(node.text) or "a " .. node.kind
end

--- Where something stands, for "... in FILE:LINE".
local function place_of(node)
  return node.line and ("%s:%d"):format(node.file, node.line) or node.file
end

local function entry_of(map, key)
  return map.entries[map.fields[key] or 0]
end

--- Puts an entry into a map, in place of one with the same key.
local function put(map, entry)
  local index = map.fields[entry.key] or #map.entries + 1
  map.entries[index], map.fields[entry.key] = entry, index
end

-- -- merging --

--- Adds the items of a list to the main one.
function Gatherer:add_list(root, entry)
  local items = entry.value.items
  local field = tree.fields[entry.key]
  if not items and field.single then items = { entry.value } end
  if not items then
    self.report:add(entry.value, entry.key, "expected a list, found " .. describe(entry.value))
    return
  end
  local mine = entry_of(root, entry.key)
  if not mine or is_nothing(mine.value) then
    entry.value = { kind = "list", items = items, line = entry.value.line, column = entry.value.column,
                    file = entry.value.file }
    return put(root, entry)
  end
  if not mine.value.items and field.single then
    local first = mine.value
    mine.value = { kind = "list", items = { first }, line = first.line, column = first.column, file = first.file }
  end
  if not mine.value.items then return end       -- not a list: the schema says so
  for _, item in ipairs(items) do table.insert(mine.value.items, item) end
end

--- Adds named things. One that is there already is replaced, which is told unless that is what the file is for.
function Gatherer:add_named(root, entry)
  if entry.value.kind ~= "map" then
    self.report:add(entry.value, entry.key, "expected a map, found " .. describe(entry.value))
    return
  end
  local mine = entry_of(root, entry.key)
  if not mine or is_nothing(mine.value) then return put(root, entry) end
  if mine.value.kind ~= "map" then return end   -- the schema says so
  for _, named in ipairs(entry.value.entries) do
    local other = entry_of(mine.value, named.key)
    if other and not self.is_environment then
      self.report:notice(named, schema.path(entry.key, named.key), "replaces the one in " .. place_of(other))
    end
    put(mine.value, named)
  end
end

--- Lays one map over another, key by key.
local function lay_over(map, entry)
  local mine = entry_of(map, entry.key)
  if not mine or mine.value.kind ~= "map" or entry.value.kind ~= "map" then return put(map, entry) end
  for _, inner in ipairs(entry.value.entries) do lay_over(mine.value, inner) end
end

function Gatherer:add_version(root, entry)
  local mine = entry_of(root, "version")
  if not mine then return put(root, entry) end
  if mine.value.text ~= entry.value.text then
    self.report:add(entry.value, "version", ("expected %s as in %s, found %s"):format(
      mine.value.text or describe(mine.value), place_of(mine.value), describe(entry.value)))
  end
end

function Gatherer:add_entry(root, entry)
  local key = entry.key
  if key == "include" then
    self.report:add(entry, key, "an included file cannot include others; name them in " .. self.main)
  elseif key == "version" then
    self:add_version(root, entry)
  elseif is_nothing(entry.value) then
    return
  elseif LISTS[key] then
    self:add_list(root, entry)
  elseif NAMED[key] then
    self:add_named(root, entry)
  elseif not tree.fields[key] then
    table.insert(root.entries, entry)           -- for the schema to tell, once for each file
  elseif self.is_environment then
    lay_over(root, entry)
  else
    self.report:notice(entry, key, ("only counts in the main file, %s: ignored here"):format(self.main))
  end
end

-- -- files --

local function count_nodes(node)
  local count = 1
  for _, item in ipairs(node.items or {}) do count = count + count_nodes(item) end
  for _, entry in ipairs(node.entries or {}) do count = count + count_nodes(entry.value) end
  return count
end

--- How messages name a file: as the main file is named, where it lies in or below the same folder.
function Gatherer:shown(file)
  local folder = self.folder == "/" and "/" or self.folder .. "/"
  if file:sub(1, #folder) == folder then return self.prefix .. file:sub(#folder + 1) end
  return file
end

--- False where the bounds are reached, which has been told.
function Gatherer:add_file(root, file, place, path)
  local name = self:shown(file)
  local node, bytes = read(name, file, self.sources, self.report, place, path)
  self.bytes = self.bytes + bytes
  self.nodes = (self.nodes or count_nodes(root)) + (node and count_nodes(node) or 0)
  if self.bytes > BYTES_MAX or self.nodes > NODES_MAX then
    local what = self.bytes > BYTES_MAX and ("%d MiB"):format(BYTES_MAX / 2 ^ 20) or "a million values"
    self.report:add(place, path, ("all files together hold more than %s; %s is too much"):format(what, name))
    return false
  end
  for _, entry in ipairs(node and node.entries or {}) do self:add_entry(root, entry) end
  return true
end

--- The absolute names that a word of `include` stands for.
function Gatherer:matches(item, path)
  if not item.text:find "[*?[]" then return { Sources.absolute(item.text, self.folder) } end
  if item.text:find("**", 1, true) then
    self.report:add(item, path, 'a "*" stands within one folder: write a pattern for each level instead of "**"')
    return {}
  end
  local found, why = self.sources:glob(item.text, self.folder)
  if why then self.report:add(item, path, why) end
  if #found == 0 and not why then self.report:notice(item, path, "no file matches " .. schema.quote(item.text)) end
  return found
end

--- Each file once, and the main file and that of the environment not at all.
function Gatherer:add_matches(root, item, path)
  for _, file in ipairs(self:matches(item, path)) do
    if not self.known[file] then
      self.known[file] = true
      self.count = self.count + 1
      if self.count > FILES_MAX then
        self.report:add(item, path, ("expected at most %d files, found more"):format(FILES_MAX))
        return false
      end
      if not self:add_file(root, file, item, path) then return false end
    end
  end
  return true
end

function Gatherer:add_included(root, getenv)
  local entry = entry_of(root, "include")
  if not entry or is_nothing(entry.value) then return end
  values.replace(entry.value, self.sources, self.report, getenv, "include")
  local items = entry.value.items or { entry.value }
  for i = 1, math.min(#items, PATTERNS_MAX) do
    local item, path = items[i], entry.value.items and schema.path("include", i) or "include"
    local is_name = item.kind == "scalar" and not item.broken and item.text ~= "" and not item.text:find "%z"
    if is_name and not self:add_matches(root, item, path) then return end
  end
end

--- Adds the files of `include` and of --env to the main one.
-- @tparam table root node of the main file; changed in place
-- @tparam string main its name as messages show it
-- @tparam Sources sources whose folder is the main file's
-- @tparam Report report
-- @tparam table options env: NAME of --env; getenv
return function(root, main, sources, report, options)
  local self = setmetatable({
    main = main, prefix = main:match "^(.*/)" or "", folder = sources.folder, sources = sources, report = report,
    known = {}, count = 0, bytes = 0,
  }, Gatherer)
  self.known[Sources.absolute(main, Sources.working_folder())] = true
  local environment = options.env and sources.folder .. "/" .. options.env .. ".yaml"
  if environment then self.known[environment] = true end
  self:add_included(root, options.getenv)
  if not environment then return end
  self.is_environment = true
  self:add_file(root, environment, { file = "--env " .. options.env })
end
