--- Dictionaries by name. They live as long as the process, so each case has names of its own.
local core = require "support.core"
local ffi = require "ffi"
local files = require "support.files"
local processes = require "support.processes"
local C = core.C

local MIB = 1024 * 1024
local trouble = ffi.new "struct tide_error"
local number = 0

local function name()
  number = number + 1
  return ("registry.%d.%d"):format(number, tonumber(os.time()))
end

local function use(text, bytes)
  local d = C.tide_dict_use(text, #text, bytes or 0, trouble)
  if d == nil then return nil, ffi.string(trouble.text) end
  return d
end

local function open(text, bytes)
  local d = C.tide_dict_open(text, #text, bytes, trouble)
  if d == nil then return nil, ffi.string(trouble.text) end
  return d
end

local function bytes_of(d)
  local stats = ffi.new "struct tide_dict_stats"
  C.tide_dict_stats_read(d, stats)
  return stats.bytes
end

local function put(d, key) C.tide_dict_put_string(d, 0, key, #key, "v", 1, math.huge, 1000, C.TIDE_DICT_SET) end

local function has(d, key)
  return C.tide_dict_get(d, 0, key, #key, 1000, ffi.new "struct tide_dict_value") == C.TIDE_DICT_STRING
end

--- What tide_dict_at says of a name: the dictionary, and whether it was opened.
local function listed(text)
  local slice, opened = ffi.new "struct slice", ffi.new "bool[1]"
  for i = 0, 1000 do
    local d = C.tide_dict_at(i, slice, opened)
    if d == nil then return nil end
    if core.text(slice) == text then return d, opened[0] end
  end
end

describe("a dictionary by name", function()
  it("is made of 8 MiB when it is used first, and found ever after", function()
    local a, b = name(), name()
    local d = assert(use(a))
    assert.equal(8 * MIB, bytes_of(d))
    assert.equal(d, use(a))
    assert.equal(d, use(a, MIB))
    assert.is_false(d == use(b))
    assert.same({ d, false }, { listed(a) })
  end)

  it("is made of the size that its first user wants", function()
    assert.equal(2 * MIB, bytes_of(use(name(), 2 * MIB)))
  end)

  it("has the size that it is opened with, and keeps what it has", function()
    local a = name()
    local d = use(a)
    put(d, "k")
    assert.equal(d, open(a, 16 * MIB))
    assert.equal(16 * MIB, bytes_of(d))
    assert.equal(d, open(a, MIB))
    assert.equal(MIB, bytes_of(d))
    assert.is_true(has(d, "k"))
    assert.same({ d, true }, { listed(a) })
    assert.equal(d, use(a))
    assert.equal(MIB, bytes_of(d))
  end)

  it("is empty and as if it had never been opened when it is retired", function()
    local a = name()
    local d = open(a, MIB)
    put(d, "k")
    assert.equal(0, C.tide_dict_retire(a, #a))
    assert.is_false(has(d, "k"))
    assert.equal(8 * MIB, bytes_of(d))
    assert.same({ d, false }, { listed(a) })
    put(d, "k")
    assert.equal(-1, C.tide_dict_retire(a, #a))
    assert.is_true(has(d, "k"))
    assert.equal(-1, C.tide_dict_retire("never", 5))
  end)

  local refused = {
    { "no name",                  "",               "expected 1 to 64 printable characters without spaces, found 0" },
    { "a name that is too long",  ("n"):rep(65),    "found 65 bytes" },
    { "a name with a space",      "a b",            "without spaces" },
    { "a name with a NUL",        "a\0b",           "without spaces" },
    { "a name beyond ASCII",      "k\195\182nig",   "without spaces" },
  }
  for _, case in ipairs(refused) do
    it("is refused " .. case[1], function()
      assert.matches(case[3], select(2, use(case[2])), 1, true)
      assert.matches(case[3], select(2, open(case[2], MIB)), 1, true)
    end)
  end

  for _, bytes in ipairs { -1, 1, 65535, 2 ^ 34 + 4096, 1e300, 0 / 0 } do
    it(("is refused a size of %g bytes, and is not made then"):format(bytes), function()
      local a = name()
      assert.matches("expected a size from 65536 bytes to 17179869184", select(2, open(a, bytes)), 1, true)
      assert.matches("expected a size from 65536 bytes to 17179869184", select(2, use(a, bytes)), 1, true)
      assert.is_nil((listed(a)))
    end)
  end

  it("goes into a file and back with both clocks of the machine", function()
    local path = files.folder() .. "/dict"
    local a, b = use(name()), use(name())
    assert.equal(0, C.tide_dict_load(b, path, trouble))
    put(a, "k")
    assert.equal(1, C.tide_dict_save(a, path, trouble))
    assert.equal(1, C.tide_dict_load(b, path, trouble))
    assert.is_true(has(b, "k"))
    files.write(path, "nonsense")
    assert.equal(-1, C.tide_dict_load(b, path, trouble))
    assert.equal(path .. ": at byte 0: this is no snapshot: \"TIDEDICT\" expected", ffi.string(trouble.text))
    assert.equal(-1, C.tide_dict_save(b, "/proc/none/dict", trouble))
  end)

  it("is one of 256 at most", function()
    local child = processes.fork(function()             -- what is made stays: other specs need room as well
      for _ = 1, 256 do use(name(), 64 * 1024) end
      local _, why = use(name())
      return why and why:match "there are 256 already, which is the most there may be$" and 0 or 1
    end)
    assert.equal(0, processes.join(child, 10))
  end)
end)
