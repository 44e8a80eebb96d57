--- [B14]: a dictionary as a file, and back.
local core = require "support.core"
local dictionary = require "support.dictionary"
local ffi = require "ffi"
local files = require "support.files"
local stat = require "posix.sys.stat"
local C = core.C

if not pcall(ffi.typeof, "struct snapshot_record") then
  ffi.cdef [[
    struct snapshot_reader { uint64_t sum, offset, count; const char *why; };
    struct snapshot_record {
      uint64_t sum; uint8_t kind, zero; uint16_t key_len; uint32_t value_len; uint64_t scope;
      double expires_s, state[3];
    };
    int snapshot_next(struct snapshot_reader *r, struct slice *in, struct snapshot_record *record, struct slice *bytes);
    uint64_t snapshot_sum(uint64_t before, struct slice s);
  ]]
end

local WALL = 1700000000
local START, HEAD = 24, 56

local entries, trouble = ffi.new "uint64_t[1]", ffi.new "struct dict_trouble"

local function outcome(rc)
  rc = core.rc(rc)
  if rc ~= "OK" then return rc, ffi.string(trouble.text) end
  return tonumber(entries[0])
end

local function save(d, path, wall)
  return outcome(C.dict_save(d.dict, path, ffi.new("struct dict_clocks", d.now, wall or WALL), entries, trouble))
end

local function load(d, path, wall)
  return outcome(C.dict_load(d.dict, path, ffi.new("struct dict_clocks", d.now, wall or WALL), entries, trouble))
end

--- What another process would have, after so many seconds, with a clock that began anew.
local function restarted(d, after, bytes)
  local path = files.folder() .. "/snapshot"
  save(d, path)
  local other = dictionary.new(bytes, 5)
  return other, load(other, path, WALL + (after or 0))
end

--- The bytes of a snapshot of these values.
local function bytes_of(values)
  local d, path = dictionary.new(), files.folder() .. "/snapshot"
  for key, value in pairs(values) do d:put(key, value) end
  save(d, path)
  return files.read(path)
end

local function load_bytes(bytes)
  local path = files.folder() .. "/snapshot"
  files.write(path, bytes)
  local d = dictionary.new()
  local rc, why = load(d, path)
  return d, rc, why
end

describe("a snapshot", function()
  it("has every value, of every kind and scope", function()
    local d = dictionary.new()
    local values = { text = "v", long = ("0123456789"):rep(5000), empty = "", number = -0.5, huge = math.huge,
                     yes = true, no = false, [("k"):rep(1000)] = "long key", [""] = "no key" }
    for key, value in pairs(values) do d:put(key, value) end
    d.scope = 7
    d:put("text", "seven")
    local other, count = restarted(d)
    assert.equal(10, count)
    for key, value in pairs(values) do assert.equal(value, (other:get(key))) end
    other.scope = 7
    assert.equal("seven", (other:get "text"))
  end)

  it("of nothing is a good one", function()
    local other, count = restarted(dictionary.new())
    assert.equal(0, count)
    assert.same({}, other:keys())
  end)

  it("has many entries, some of them as large as can be", function()
    local d = dictionary.new(32 * 1024 * 1024)
    for i = 1, 20000 do d:put("key" .. i, "value" .. i) end
    for i = 1, 5 do d:put("large" .. i, (tostring(i)):rep(1024 * 1024)) end
    local other, count = restarted(d, 0, 32 * 1024 * 1024)
    assert.equal(20005, count)
    for i = 1, 20000 do assert.equal("value" .. i, (other:get("key" .. i))) end
    assert.equal(("3"):rep(1024 * 1024), (other:get "large3"))
  end)

  it("counts a time to live on while the gateway is down", function()
    local d = dictionary.new()
    d:put("long", 1, 100)
    d:put("short", 1, 10)
    d:put("ever", 1)
    local other, count = restarted(d, 30)
    assert.equal(2, count)
    assert.near(70, select(2, other:get "long"), 1e-6)
    assert.is_nil((other:get "short"))
    assert.equal(math.huge, select(2, other:get "ever"))
  end)

  it("goes on with what limiters have counted", function()
    local d = dictionary.new()
    d:bucket("bucket", 1, 10, 10)
    d:window("window", { limit = 5, window = 100, sliding = true }, 5)
    local other = restarted(d, 4)
    local allowed, remaining = other:bucket("bucket", 1, 10, 1)
    assert.is_true(allowed)
    assert.near(3, remaining, 1e-6)
    assert.near(196, select(4, other:window("window", { limit = 5, window = 100, sliding = true }, 0)), 1e-6)
  end)

  it("does not let a wall clock that was set back give tokens of the future", function()
    local d = dictionary.new()
    d:bucket("bucket", 1, 10, 10)
    local other = restarted(d, -1000)
    local _, remaining = other:bucket("bucket", 1, 10, 0)
    assert.near(0, remaining, 1e-6)
    other.now = 7
    assert.near(2, select(2, other:bucket("bucket", 1, 10, 0)), 1e-6)
  end)

  it("changes nothing that is there already", function()
    local path, d = files.folder() .. "/snapshot", dictionary.new()
    d:put("a", "saved")
    d:put("b", "saved")
    save(d, path)
    d:put("a", "newer")
    d:delete "b"
    assert.equal(1, load(d, path))
    assert.equal("newer", (d:get "a"))
    assert.equal("saved", (d:get "b"))
  end)

  it("fills a smaller dictionary as far as it goes", function()
    local d = dictionary.new(16 * 1024 * 1024)
    for i = 1, 5000 do d:put("key" .. i, i) end
    d:put("large", ("x"):rep(1024 * 1024))
    local other = restarted(d, 0, 64 * 1024)
    assert.is_true(other:stats().bytes_used <= 64 * 1024)
    assert.is_true(other:stats().entries > 100)
    assert.is_nil((other:get "large"))
  end)
end)

describe("saving", function()
  it("makes the folders above, and a file for its owner alone", function()
    local path = files.folder() .. "/a/b/snapshot"
    assert.equal(0, save(dictionary.new(), path))
    assert.equal("600", ("%o"):format(bit.band(stat.stat(path).st_mode, 511)))
  end)

  it("replaces a file as a whole, and what was left of a save that was cut off", function()
    local folder, d = files.folder(), dictionary.new()
    files.write(folder .. "/snapshot", ("old"):rep(1000))
    files.write(folder .. "/snapshot.new", "half")
    d:put("k", "v")
    assert.equal(1, save(d, folder .. "/snapshot"))
    assert.is_nil(stat.stat(folder .. "/snapshot.new"))
    assert.equal(1, load(dictionary.new(), folder .. "/snapshot"))
  end)

  it("keeps the file before when it fails, and says why", function()
    local folder = files.folder()
    stat.mkdir(folder .. "/snapshot")                   -- in the way of the rename
    local rc, why = save(dictionary.new(), folder .. "/snapshot")
    assert.equal("INTERNAL", rc)
    assert.matches("cannot be written: Is a directory", why)
    assert.is_nil(stat.stat(folder .. "/snapshot.new"))
    files.write(folder .. "/file", "no folder")
    assert.matches("cannot be written: Not a directory", select(2, save(dictionary.new(), folder .. "/file/snapshot")))
    assert.matches("name too long", select(2, save(dictionary.new(), folder .. ("/x"):rep(3000))))
  end)
end)

describe("loading", function()
  it("tells a file that is not there from one that cannot be read", function()
    local folder = files.folder()
    assert.equal("EOF", (load(dictionary.new(), folder .. "/none")))
    assert.same({ "MALFORMED", "is no regular file" }, { load(dictionary.new(), folder) })
    assert.same({ "MALFORMED", "is no regular file" }, { load(dictionary.new(), "/dev/zero") })
  end)

  local whole = bytes_of { a = "one", b = 2, c = true, [("k"):rep(70)] = ("v"):rep(200) }

  it("takes nothing of a file in which one byte is another", function()
    for at = 1, #whole do
      local byte = string.char((whole:byte(at) + 1) % 256)
      local d, rc, why = load_bytes(whole:sub(1, at - 1) .. byte .. whole:sub(at + 1))
      assert.equal("MALFORMED", rc, "byte " .. at)
      assert.is_true(#why > 10)
      assert.same({}, d:keys())
    end
  end)

  it("takes nothing of a file that was cut off, at any byte", function()
    for len = 0, #whole - 1 do
      local d, rc, why = load_bytes(whole:sub(1, len))
      assert.equal("MALFORMED", rc, len .. " bytes")
      assert.equal(("ends after byte %d, before its last record"):format(len), why)
      assert.same({}, d:keys())
    end
  end)

  it("takes nothing of a file with bytes behind its end", function()
    local d, rc, why = load_bytes(whole .. "x")
    assert.same({ "MALFORMED", "bytes behind the last record" }, { rc, (why:gsub("^at byte %d+: ", "")) })
    assert.same({}, d:keys())
  end)

  it("takes nothing of a file with records missing or in another order", function()
    local two, record = bytes_of { a = "1", b = "2" }, HEAD + 2
    local first, second = two:sub(START + 1, START + record), two:sub(START + record + 1, START + 2 * record)
    local cases = {
      two:sub(1, START) .. second .. first .. two:sub(START + 2 * record + 1),
      two:sub(1, START) .. first .. two:sub(START + 2 * record + 1),
      two:sub(1, START) .. second .. two:sub(START + 2 * record + 1),
      two:sub(1, START) .. first .. first .. second .. two:sub(START + 2 * record + 1),
    }
    for i, bytes in ipairs(cases) do
      local d, rc = load_bytes(bytes)
      assert.equal("MALFORMED", rc, "case " .. i)
      assert.same({}, d:keys())
    end
  end)
end)

describe("a record of a snapshot", function()
  --- A snapshot with right sums around any heads: { record fields, bytes }.
  local function sealed(records)
    local start = ffi.new("uint32_t[2]", 1, 0)
    local begin = "TIDEDICT" .. ffi.string(start, 8)
    local out, sum = { begin }, C.snapshot_sum(0, core.slice(begin))
    local number = ffi.new "uint64_t[1]"
    local function put_sum()
      number[0] = sum
      out[#out + 1] = ffi.string(number, 8)
    end
    put_sum()
    for _, r in ipairs(records) do
      local head = ffi.new("struct snapshot_record", r.head)
      local rest = ffi.string(ffi.cast("char *", head) + 8, HEAD - 8) .. (r.bytes or "")
      sum = C.snapshot_sum(sum, core.slice(rest))
      put_sum()
      out[#out + 1] = rest
    end
    return table.concat(out)
  end

  local function one(fields, bytes)
    local head = { kind = 1, key_len = 1, expires_s = math.huge }
    for name, value in pairs(fields) do head[name] = value end
    return sealed { { head = head, bytes = bytes or "k" }, { head = { scope = 1 } } }
  end

  it("is taken when it is as it should be", function()
    local d, count = load_bytes(one({ value_len = 2 }, "kvv"))
    assert.equal(1, count)
    assert.equal("vv", (d:get "k"))
  end)

  local cases = {
    { "of no known kind",                    { kind = 6 },                               "kind that there is not" },
    { "with a byte that should be 0",        { zero = 1 },                               "kind that there is not" },
    { "with a value over the limit",         { value_len = 1048577 },                    "longer than it may be" },
    { "with a value of 4 GiB",               { value_len = 0xffffffff },                 "longer than it may be" },
    { "of a number with bytes of a value",   { kind = 2, value_len = 1 },                "longer than it may be" },
    { "that expires before time began",      { expires_s = -1 },                         "not after 0" },
    { "that expires at no time",             { expires_s = 0 / 0 },                      "not after 0" },
    { "of a text with a number",             { state = { 1, 0, 0 } },                    "where none belongs" },
    { "of a text with a third number",       { state = { 0, 0, 1 } },                    "where none belongs" },
    { "of a number with a second one",       { kind = 2, state = { 1, 1 } },             "where none belongs" },
    { "of a boolean that is 2",              { kind = 3, state = { 2, 0, 0 } },          "neither 0 nor 1" },
    { "of a boolean that is no number",      { kind = 3, state = { 0 / 0, 0, 0 } },      "neither 0 nor 1" },
    { "of a bucket with less than nothing",  { kind = 4, state = { -1, 5 } },            "below 0 or not finite" },
    { "of a bucket filled at no time",       { kind = 4, state = { 1, 0 / 0 } },         "below 0 or not finite" },
    { "of a bucket with a third number",     { kind = 4, state = { 1, 5, 1 } },          "where none belongs" },
    { "of a window that begins never",       { kind = 5, state = { math.huge, 1, 1 } },  "below 0 or not finite" },
  }
  for _, case in ipairs(cases) do
    it("is refused " .. case[1], function()
      local d, rc, why = load_bytes(one(case[2]))
      assert.equal("MALFORMED", rc)
      assert.matches("^at byte 24: .*" .. case[3], why)
      assert.same({}, d:keys())
    end)
  end

  it("is refused as the last one with another count or more than that", function()
    for _, head in ipairs { { scope = 2 }, { scope = 0 }, { scope = 1, key_len = 1 }, { scope = 1, expires_s = 1 } } do
      local _, rc = load_bytes(sealed { { head = { kind = 2, expires_s = 1e18 } }, { head = head, bytes = "" } })
      assert.equal("MALFORMED", rc)
    end
  end)

  it("is refused after the start of another version or another kind of file", function()
    local whole = one {}
    assert.matches("version that this program does not know",
      select(3, load_bytes(whole:sub(1, 8) .. "\2" .. whole:sub(10))))
    assert.matches('"TIDEDICT" expected', select(3, load_bytes("PNG" .. whole:sub(4))))
  end)

  it("is the same fed whole and byte by byte, and nothing behind is looked at", function()
    local bytes = one({ value_len = 200 }, "k" .. ("v"):rep(200))
    local record, view = ffi.new "struct snapshot_record", ffi.new "struct slice"
    local reader = ffi.new "struct snapshot_reader"
    local taken = 0
    for len = 0, #bytes do
      local input = core.guarded(bytes:sub(taken + 1, len))
      local rc
      repeat
        local before = tonumber(input.len)
        rc = core.rc(C.snapshot_next(reader, input, record, view))
        taken = taken + before - tonumber(input.len)
        if rc == "OK" then assert.equal("k" .. ("v"):rep(200), core.text(view)) end
      until rc ~= "OK"
      assert.equal(len == #bytes and "END" or "AGAIN", rc)
    end
    assert.equal(#bytes, taken)
    assert.equal(2, tonumber(reader.count))
  end)
end)
