--- Versions (semver.org 2.0.0) and what plugins require of each other: "request_id >= 1.0, < 2".
local requires = {}

local NUMBER_MAX = 1e9
local VERSION_MAX, REQUIREMENT_MAX = 100, 200      -- bytes

--- The numbers of "1.2.3"; nil where it is not that. count says how many there are.
local function numbers_of(text)
  local list = { count = 0 }
  for number in (text .. "."):gmatch "(.-)%." do
    if not number:find "^%d+$" or number:find "^0%d" or tonumber(number) > NUMBER_MAX then return nil end
    list.count = list.count + 1
    list[list.count] = tonumber(number)
  end
  return list.count <= 3 and list or nil
end

--- The parts of "rc.1"; nil where it is not that.
local function words_of(text)
  local list = {}
  for word in (text .. "."):gmatch "(.-)%." do
    if word == "" or word:find "[^%w-]" or word:find "^0%d+$" then return nil end
    list[#list + 1] = word:find "^%d+$" and tonumber(word) or word
  end
  return list
end

--- "1.2.3-rc.1+build" to { 1, 2, 3, count = 3, pre = { "rc", 1 } }; nil where it is none.
-- @tparam string text
-- @tparam[opt] boolean may_be_short "1" and "1.2" will do; count says how many numbers there are
function requires.version(text, may_be_short)
  if #text > VERSION_MAX then return nil end
  local core, rest = text:match "^([%d.]+)(.*)$"
  local version = core and numbers_of(core)
  if not version or version.count < 3 and not (may_be_short and rest == "") then return nil end
  for i = version.count + 1, 3 do version[i] = 0 end
  local pre, build = rest:match "^%-([^+]*)(.*)$"
  if pre then
    version.pre = words_of(pre)
    if not version.pre then return nil end
  end
  build = build or rest
  if build ~= "" and not build:find "^%+[%w.-]+$" then return nil end
  return version
end

--- A version in a schema.
requires.FIELD = {
  type = "string", expects = "a version such as 1.0.0", check = function(text)
    return requires.version(text) ~= nil
  end,
}

--- Numbers come before words; fewer parts before more.
local function compare_pre(a, b)
  for i = 1, math.max(#a, #b) do
    local x, y = a[i], b[i]
    if x == nil then return -1 end
    if y == nil then return 1 end
    if x ~= y then
      if type(x) == type(y) then return x < y and -1 or 1 end
      return type(x) == "number" and -1 or 1
    end
  end
  return 0
end

--- Which of two versions is the newer one: -1, 0 or 1.
function requires.compare(a, b)
  for i = 1, 3 do
    if a[i] ~= b[i] then return a[i] < b[i] and -1 or 1 end
  end
  if a.pre and b.pre then return compare_pre(a.pre, b.pre) end
  return a.pre and -1 or b.pre and 1 or 0
end

--- The first version after all that have the same first numbers: 1.2.x ends before 1.3.0.
local function next_after(version, place)
  local next_one = { 0, 0, 0 }
  for i = 1, place do next_one[i] = version[i] end
  next_one[place] = next_one[place] + 1
  return next_one
end

--- ^: the first number that is not 0 stays. ~: the first two stay, or the one that is given. =: what is given stays.
local UPPER = {
  ["^"] = function(v)
    for i = 1, v.count do
      if v[i] ~= 0 then return next_after(v, i) end
    end
    return next_after(v, v.count)
  end,
  ["~"] = function(v) return next_after(v, math.min(v.count, 2)) end,
  ["="] = function(v) return v.count < 3 and next_after(v, v.count) end,
}

local TESTS = {
  [">="] = function(c) return c >= 0 end,
  ["<="] = function(c) return c <= 0 end,
  [">"] = function(c) return c > 0 end,
  ["<"] = function(c) return c < 0 end,
  ["="] = function(c) return c == 0 end,
}

local function fits_one(version, range)
  local op, bound = range.op, range.version
  local upper = UPPER[op] and UPPER[op](bound)
  if upper then return requires.compare(version, bound) >= 0 and requires.compare(version, upper) < 0 end
  return TESTS[op](requires.compare(version, bound))
end

--- Whether a version lies in all ranges.
-- @tparam table version
-- @tparam {table,...} ranges of requires.parse
function requires.fits(version, ranges)
  for _, range in ipairs(ranges) do
    if not fits_one(version, range) then return false end
  end
  return true
end

local EXPECTED = 'expected a plugin and versions such as "request_id >= 1.0, < 2", found %q'

--- Reads a requirement.
-- @tparam string text
-- @treturn ?table { name =, text = the ranges as written, { op =, version = }, ... }
-- @treturn ?string why it is none
function requires.parse(text)
  local name, rest = text:match "^%s*(%l[%l%d_]*)%s*(.-)%s*$"
  if not name or rest:find "^[%w_]" or #text > REQUIREMENT_MAX then return nil, EXPECTED:format(text:sub(1, 60)) end
  local result = { name = name, text = rest }
  if rest == "" then return result end
  for part in (rest .. ","):gmatch "%s*(.-)%s*," do
    local op, number = part:match "^([<>=^~]*)%s*(.*)$"
    local version = requires.version(number, true)
    if not version or not (TESTS[op] or UPPER[op]) then return nil, EXPECTED:format(text) end
    result[#result + 1] = { op = op, version = version }
  end
  return result
end

local NO_VERSION = { 0, 0, 0, count = 3 }

local Walk = {}
Walk.__index = Walk

local function problem(meta, index, message, ...)
  return { meta = meta, index = index, message = message:format(...) }
end

--- The names from the one that is met again to the end of the way.
function Walk:ring(name, meta, index)
  local start = 1
  while self.way[start] ~= name do start = start + 1 end
  local found = problem(meta, index, "these require each other: %s -> %s", table.concat(self.way, " -> ", start), name)
  found.ring = { unpack(self.way, start) }
  return found
end

function Walk:need(meta, index, need)
  local way = table.concat(self.way, " -> ") .. " -> " .. need.name
  if self.on_way[need.name] then return self:ring(need.name, meta, index) end
  local other, is_missing = self.find(need.name)
  if is_missing then return problem(meta, index, "expected a plugin %s, found none (%s)", need.name, way) end
  if not other then return nil end
  if not requires.fits(other.parsed_version or NO_VERSION, need) then
    return problem(meta, index, "expected %s %s, found version %s (%s)", need.name, need.text,
                   other.version or "0.0.0", way)
  end
  return self:visit(other)
end

function Walk:visit(meta)
  local name, way = meta.name, self.way
  if self.good[name] then return nil end
  self.on_way[name], way[#way + 1] = true, name
  for i, need in ipairs(meta.requires) do
    local found = self:need(meta, i, need)
    if found then return found end
  end
  self.on_way[name], way[#way] = nil, nil
  self.good[name] = true
  return nil
end

--- Checks what a plugin requires, and what that requires in turn.
-- @tparam table meta of the plugin: name, requires = parsed requirements
-- @tparam function find function(name) -> the meta of a plugin; nil where its own errors are told already; nil, true
--   where there is no such plugin
-- @treturn ?table the first problem: message, which names the whole chain; meta and index of the requirement that does
--   not hold; ring: the names of plugins that require each other, where that is the problem
function requires.check(meta, find)
  return setmetatable({ find = find, way = {}, on_way = {}, good = {} }, Walk):visit(meta)
end

return requires
