--- What is wrong with a configuration, collected and then told all at once.
local suggest = require "tidegate.config.suggest"

local Report = {}
Report.__index = Report

local TOLD_MAX = 50         -- errors told; the rest is counted
local NOTED_MAX = 10000     -- errors noted at all
local NEAR_MAX = 100        -- words looked for among the known ones, which takes time
local COLUMNS_MAX = 100     -- of a source line; longer ones are cut around the caret

function Report.new()
  return setmetatable({
    errors = {}, warnings = {}, notices = {}, seen = {}, sources = {}, looked_for = 0, suffering = {},
  }, Report)
end

--- Lets the report show lines of a file.
-- @tparam string file as nodes name it
-- @tparam string text all of it
function Report:source(file, text)
  self.sources[file] = text
end

local function add(self, list, place, path, message)
  if #list >= NOTED_MAX then return end
  local key = table.concat({ place.file or "", place.line or 0, place.column or 0, path or "", message }, "\0")
  if self.seen[key] then return end
  self.seen[key] = true
  list[#list + 1] = {
    file = place.file, line = place.line, column = place.column, path = path, message = message, order = #list,
    is_secret = place.is_secret, item = place.item,
  }
end

--- Notes an error.
-- @tparam table place a node or entry: anything with file, line and column (line is nil outside files); item: the path
--   of what suffers, where the place itself is elsewhere
-- @tparam ?string path of the key: "routes[2].service"
-- @tparam string message
function Report:add(place, path, message)
  add(self, self.errors, place, path, message)
end

--- Notes who suffers from an error that is told elsewhere.
-- @tparam string path of a key
function Report:suffer(path) self.suffering[path] = true end

--- Notes what is no error, but surely not meant.
function Report:warn(place, path, message)
  add(self, self.warnings, place, path, message)
end

--- Notes a name that leads nowhere: an error, but in a part of a configuration, where it may lead to another part.
function Report:reference(place, path, message)
  add(self, self.is_fragment and self.notices or self.errors, place, path, message)
end

--- Notes what is as it should be, but worth knowing.
function Report:notice(place, path, message)
  add(self, self.notices, place, path, message)
end

--- The end of a message that says which known word was meant.
-- @treturn string "" or '; did you mean "service"?'
-- @treturn ?string that word
function Report:near(word, known)
  self.looked_for = self.looked_for + 1
  local found = self.looked_for <= NEAR_MAX and suggest(word, known) or nil
  return found and ('; did you mean "%s"?'):format(found) or "", found
end

function Report:has_errors()
  return #self.errors > 0
end

--- The line of a text with its line number; nil past the end.
local function line_of(text, number)
  local start = 1
  for _ = 2, number do
    start = text:find("\n", start, true)
    if not start then return nil end
    start = start + 1
  end
  return (text:match("^[^\r\n]*", start))
end

local function is_printable(c)
  local first = c:byte()
  if first < 0x80 then return first >= 0x20 and first ~= 0x7f end
  return #c == (first < 0xc2 and 0 or first < 0xe0 and 2 or first < 0xf0 and 3 or first < 0xf5 and 4 or 0)
end

--- Splits into UTF-8 characters; what is none, or would move the cursor, becomes "?".
local function characters(line)
  local list = {}
  for c in line:gmatch("[%z\1-\127\192-\255][\128-\191]*") do
    if c == "\t" then c = " " elseif not is_printable(c) then c = "?" end
    list[#list + 1] = c
  end
  return list
end

--- The source line and a caret below the column.
local function excerpt(text, line, column)
  local source = line_of(text, line)
  if not source or not source:find "%S" or #source > 1000000 then return "" end
  local chars = characters(source)
  local first = 1
  if #chars > COLUMNS_MAX then first = math.max(1, column - COLUMNS_MAX / 2) end
  local last = math.min(#chars, first + COLUMNS_MAX - 1)
  local shown = table.concat(chars, "", math.min(first, #chars + 1), last)
  local gutter = ("%5d | "):format(line)
  return ("%s%s\n      | %s^\n"):format(gutter, shown, (" "):rep(column - first))
end

local function place_of(e)
  if not e.line then return e.file or "" end
  return ("%s:%d:%d"):format(e.file, e.line, e.column)
end

local function before(a, b)
  if a.file ~= b.file then return (a.file or "") < (b.file or "") end
  if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
  if a.column ~= b.column then return (a.column or 0) < (b.column or 0) end
  return a.order < b.order
end

local function tell(self, list, label, max, out)
  table.sort(list, before)
  for i = 1, math.min(#list, max) do
    local e = list[i]
    local path = e.path and e.path ~= "" and e.path .. ": " or ""
    out[#out + 1] = ("%s: %s%s%s\n"):format(place_of(e), label, path, e.message)
    local text = e.line and not e.is_secret and self.sources[e.file]
    if text then out[#out + 1] = excerpt(text, e.line, e.column) end
  end
  if #list > max then
    out[#out + 1] = ("... and %d more\n"):format(#list - max)
  end
end

--- All errors, then all warnings, by file and line; "" where there are none.
-- @tparam[opt] table options max = how many of each, instead of 50; notices = true: those as well, last
function Report:text(options)
  local out, max = {}, options and options.max or TOLD_MAX
  tell(self, self.errors, "", max, out)
  tell(self, self.warnings, "warning: ", max, out)
  if options and options.notices then tell(self, self.notices, "notice: ", max, out) end
  return table.concat(out)
end

--- All that was noted, for programs.
-- @treturn {table,...} { severity = "error", "warning" or "notice", file =, line =, column =, path =, message = };
-- errors first, each sort by file and line
function Report:list()
  local all = {}
  for _, sort in ipairs { { "error", self.errors }, { "warning", self.warnings }, { "notice", self.notices } } do
    table.sort(sort[2], before)
    for _, e in ipairs(sort[2]) do
      all[#all + 1] = { severity = sort[1], file = e.file, line = e.line, column = e.column, path = e.path,
                        message = e.message }
    end
  end
  return all
end

return Report
