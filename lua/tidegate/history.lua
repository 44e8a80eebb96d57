--- The configurations that were in force, and those that were refused: what `tidegate history` tells and `tidegate
-- rollback` goes back to. It lives beside the pid file, in a folder that only its owner may open: an index, and of each
-- generation a file with its texts. Bounded in number and in bytes; the oldest go first.
local buffer = require "string.buffer"
local ffi = require "ffi"

pcall(ffi.cdef, [[
  unsigned umask(unsigned mask);
  int history_mkdir(const char *path, unsigned mode) __asm__("mkdir");
  int history_link(const char *from, const char *to) __asm__("link");
]])

local GOOD_MAX, REFUSED_MAX = 20, 20
local BYTES_MAX = 64 * 1024 * 1024          -- of texts, over all generations
local PRIVATE, PRIVATE_FOLDER = 63, 448     -- umask 077, mode 0700

local History = {}
History.__index = History

-- -- files --

--- The value that write put into a file; nil where there is none, or it is broken.
function History.read(name)
  local file = io.open(name, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  local good, value = pcall(buffer.decode, text)
  return good and type(value) == "table" and value or nil
end

--- What a generation can be loaded from again, out of a file: { texts =, edits =, rolled_back = }.
-- @treturn ?table nil where there is none, or it is nothing of the kind: another version may have written it
function History.read_texts(name)
  local kept = History.read(name)
  if not kept or type(kept.texts) ~= "table" then return nil end
  for file, text in pairs(kept.texts) do
    if type(file) ~= "string" or (text and type(text) ~= "string") then return nil end
  end
  local has_edits = kept.edits == nil or type(kept.edits) == "table"
  local has_origin = kept.rolled_back == nil or type(kept.rolled_back) == "number"
  return has_edits and has_origin and kept or nil
end

local NUMBER_MAX = 2 ^ 32 - 1

local function is_entry(e)
  if type(e) ~= "table" or type(e.good) ~= "boolean" or type(e.time) ~= "number" or type(e.cause) ~= "string" or
     type(e.what) ~= "string" or (e.bytes ~= nil and type(e.bytes) ~= "number") then
    return false
  end
  if e.number == nil then return not e.good and not e.bytes end
  return type(e.number) == "number" and e.number >= 1 and e.number <= NUMBER_MAX and e.number % 1 == 0
end

--- The entries of an index, without what is none.
local function read_index(name)
  local entries = {}
  for _, entry in ipairs(History.read(name) or {}) do
    if is_entry(entry) then entries[#entries + 1] = entry end
  end
  return entries
end

--- Writes a value to a file that only its owner can read; whoever reads meanwhile finds the old or the new.
-- @treturn ?number bytes; nil and why not
function History.write(name, value)
  local text = buffer.encode(value)
  local before = ffi.C.umask(PRIVATE)
  local file, why = io.open(name .. ".new", "wb")
  ffi.C.umask(before)
  if not file then return nil, why end
  local good = file:write(text)
  good = file:close() and good
  if not good then return nil, name .. ": cannot be written" end
  good, why = os.rename(name .. ".new", name)
  return good and #text, why
end

-- -- the list --

--- @tparam string folder where it is kept; made with the first entry
function History.new(folder)
  local self = setmetatable({ folder = folder }, History)
  self.entries = read_index(folder .. "/index")
  return self
end

function History:file_of(number) return ("%s/%d"):format(self.folder, number) end

--- The number of the newest generation; 0 where there is none.
function History:last()
  local last = 0
  for _, entry in ipairs(self.entries) do last = math.max(last, entry.number or 0) end
  return last
end

--- Takes out the oldest entries that are too many, and the texts that are too large together.
function History:trim()
  local good, refused, bytes, kept = 0, 0, 0, {}
  for i = #self.entries, 1, -1 do
    local entry = self.entries[i]
    if entry.good then good = good + 1 else refused = refused + 1 end
    local is_old = entry.good and good > GOOD_MAX or not entry.good and refused > REFUSED_MAX
    bytes = bytes + (entry.bytes or 0)
    if entry.bytes and (is_old or bytes > BYTES_MAX) then
      os.remove(self:file_of(entry.number))
      bytes, entry.bytes = bytes - entry.bytes, nil
    end
    if not is_old then table.insert(kept, 1, entry) end
  end
  self.entries = kept
end

--- Adds what became of a load.
-- @tparam table entry { number = of the generation in force or nil, good =, cause =, what = }
-- @tparam ?string texts name of a file with the texts, which is linked and not copied
-- @tparam ?number bytes of it
function History:add(entry, texts, bytes)
  entry.time = os.time()
  ffi.C.history_mkdir(self.folder, PRIVATE_FOLDER)     -- is there already, but for the first time
  if texts then
    os.remove(self:file_of(entry.number))
    entry.bytes = ffi.C.history_link(texts, self:file_of(entry.number)) == 0 and bytes or nil
  end
  table.insert(self.entries, entry)
  self:trim()
  self.trouble = select(2, History.write(self.folder .. "/index", self.entries))
end

--- Whether a generation is among those that were good.
-- @treturn ?boolean true; nil and why not
function History:knows(number)
  for _, entry in ipairs(self.entries) do
    if entry.good and entry.number == number then return true end
  end
  return nil, ("there is no generation %d in the history: see tidegate history"):format(number)
end

--- The texts of a generation.
-- @treturn ?table nil and why not
function History:texts(number)
  local known, why = self:knows(number)
  if not known then return nil, why end
  local kept = History.read_texts(self:file_of(number))
  if kept then return kept end
  return nil, ("the texts of generation %d are no longer kept"):format(number)
end

-- -- words --

--- Lines for people, the newest first.
-- @tparam ?number running number of the generation in force
function History:text(running)
  local out = {}
  for i = #self.entries, 1, -1 do
    local entry = self.entries[i]
    out[#out + 1] = ("%s%5s  %s  %-7s  %-14s  %s\n"):format(
      entry.good and entry.number == running and "*" or " ", entry.good and entry.number or "-",
      os.date("!%Y-%m-%dT%H:%M:%SZ", entry.time), entry.good and "good" or "refused", entry.cause, entry.what)
  end
  return table.concat(out)
end

--- For programs: a list, the newest first.
function History:list(running)
  local list = {}
  for i = #self.entries, 1, -1 do
    local entry = self.entries[i]
    list[#list + 1] = {
      generation = entry.good and entry.number or nil, time = entry.time, good = entry.good, cause = entry.cause,
      what = entry.what, running = entry.good and entry.number == running, kept = entry.bytes ~= nil,
    }
  end
  return list
end

return History
