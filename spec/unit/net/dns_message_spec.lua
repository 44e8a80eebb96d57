--- Answers of name servers: what is read, and what is refused. Each message ends at an unreadable page.
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function u16(n) return string.char(bit.rshift(n, 8), bit.band(n, 255)) end
local function u32(n) return u16(math.floor(n / 65536)) .. u16(n % 65536) end

local function name(text)
  return (text:gsub("[^.]+%.?", function(label)
    label = label:gsub("%.$", "")
    return string.char(#label) .. label
  end)) .. "\0"
end

local TYPES = { A = 1, CNAME = 5, TXT = 16, AAAA = 28, SRV = 33 }

local function record(owner, kind, ttl, data, class)
  return owner .. u16(TYPES[kind]) .. u16(class or 1) .. u32(ttl) .. u16(#data) .. data
end

local HEAD = "\1\2\129\128"
local ASKED = "\192\12"                 -- the name of the question

local function message(o)
  local records = o.records or {}
  return HEAD .. u16(o.questions or 1) .. u16(o.count or #records) .. "\0\0\0\0" ..
    (o.question or name(o.name or "app.test") .. u16(1) .. u16(1)) .. table.concat(records)
end

--- The name of the result code, and what was read: { "text of a record", ... }, and its time to live.
local function read(bytes, kind)
  local arena, out = core.arena(), ffi.new "struct dns_answer"
  local rc = core.rc(C.dns_message_read(core.guarded(bytes), C["DNS_" .. (kind or "A")], arena, out))
  local list = {}
  for i = 0, out.count - 1 do
    local r, bytes_of = out.records[i], {}
    for k = 0, (kind == "AAAA") and 15 or 3 do bytes_of[k + 1] = r.ip[k] end
    list[i + 1] = kind == "SRV" and ("%d %d %d %s"):format(r.priority, r.weight, r.port, core.text(r.target)) or
                  table.concat(bytes_of, ".")
  end
  return rc, list, out.ttl_s
end

local function address(last, ttl) return record(ASKED, "A", ttl or 60, "\10\0\0" .. string.char(last)) end

local function service(target, o)
  o = o or {}
  return record(ASKED, "SRV", 30, u16(o.priority or 1) .. u16(o.weight or 2) .. u16(o.port or 80) .. target)
end

describe("dns_message", function()
  local good = {
    { "an address", { address(1) }, "A", { "10.0.0.1" }, 60 },
    { "several, with the least time to live", { address(2), address(1, 5), address(3) }, "A",
      { "10.0.0.2", "10.0.0.1", "10.0.0.3" }, 5 },
    { "none", {}, "A", {}, 0 },
    { "an IPv6 address", { record(ASKED, "AAAA", 9, ("\1"):rep(16)) }, "AAAA", { ("1."):rep(15) .. "1" }, 9 },
    { "a name in another case", { record(name "APP.tEST", "A", 7, "\1\2\3\4") }, "A", { "1.2.3.4" }, 7 },
    { "an alias, in any order", {
      record(name "b.test", "A", 50, "\1\2\3\4"), record(name "a.test", "CNAME", 8, name "b.test"),
      record(ASKED, "CNAME", 20, name "a.test"),
    }, "A", { "1.2.3.4" }, 8 },
    { "a time to live with the highest bit as none", { address(1, 2147483648) }, "A", { "10.0.0.1" }, 0 },
    { "services", { service(name "A.test", { priority = 3 }), service("\1b\192\16") }, "SRV",
      { "3 2 80 a.test", "1 2 80 b.test" }, 30 },
    { "no service where the target is the root, a number, or the port is 0", {
      service "\0", service(name "127.1"), service(name "a.test", { port = 0 }),
    }, "SRV", {}, 0 },
    { "nothing of other types, classes and names", {
      record(ASKED, "TXT", 1, "abc"), record(ASKED, "A", 1, "\1\1\1\1", 3),
      record(name "other.test", "A", 1, "\2\2\2\2"), address(4),
    }, "A", { "10.0.0.4" }, 60 },
  }
  for _, case in ipairs(good) do
    it("reads " .. case[1], function()
      local rc, list, ttl = read(message { records = case[2] }, case[3])
      assert.equal("OK", rc)
      assert.same(case[4], list)
      assert.equal(case[5], ttl)
    end)
  end

  local self_alias = record(ASKED, "CNAME", 1, ASKED)
  local far = {}
  for i = 1, 17 do far[i] = record(name("a" .. i .. ".test"), "CNAME", 1, name("a" .. i + 1 .. ".test")) end
  local many = {}
  for i = 1, 4097 do many[i] = address(i % 256) end
  local bad = {
    { "nothing", "", "MALFORMED" },
    { "half a head", HEAD, "MALFORMED" },
    { "no question", message { questions = 0 }, "MALFORMED" },
    { "two questions", message { questions = 2 }, "MALFORMED" },
    { "fewer records than announced", message { records = { address(1) }, count = 2 }, "MALFORMED" },
    { "a record over the end", message { records = { address(1):sub(1, -2) } }, "MALFORMED" },
    { "an address of 5 bytes", message { records = { record(ASKED, "A", 1, "12345") } }, "MALFORMED" },
    { "an IPv6 address of 4 bytes", message { records = { record(ASKED, "AAAA", 1, "1234") } }, "MALFORMED", "AAAA" },
    { "a pointer to itself", message { records = { record("\192\26", "A", 1, "1234") } }, "MALFORMED" },
    { "a pointer forwards", message { records = { record("\192\40", "A", 1, "1234") } }, "MALFORMED" },
    { "a pointer without its second byte", message { question = "\192" }, "MALFORMED" },
    { "a label of a kind that there is not", message { question = "\64" .. ("a"):rep(64) .. "\0\0\1\0\1" },
      "MALFORMED" },
    { "a name of 254 bytes", message { name = ("a"):rep(63) .. ("." .. ("b"):rep(63)):rep(2) .. "." .. ("c"):rep(62) },
      "MALFORMED" },
    { "a dot within a label", message { question = "\3a.b\0\0\1\0\1" }, "MALFORMED" },
    { "a name without an end", message { question = "\1a\1b" }, "MALFORMED" },
    { "an alias of itself", message { records = { self_alias } }, "LIMIT" },
    { "seventeen aliases in a row", message { name = "a1.test", records = far }, "LIMIT" },
    { "a service that is too short", message { records = { record(ASKED, "SRV", 1, "\0\1\0\1\0\1") } }, "MALFORMED",
      "SRV" },
    { "a service with bytes behind it", message { records = { service(name "a.test" .. "x") } }, "MALFORMED", "SRV" },
    { "a good service before one that is too short",
      message { records = { service(name "a.test"), record(ASKED, "SRV", 1, "\2") } }, "MALFORMED", "SRV" },
    { "4,097 addresses", message { records = many }, "LIMIT" },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1], function()
      local rc, list, ttl = read(case[2], case[4])
      assert.equal(case[3], rc)
      assert.same({}, list)
      assert.equal(0, ttl)
    end)
  end

  it("refuses every beginning of a message, and reads no byte behind it", function()
    local whole = message { records = { service(name "a.test"), service("\1b\192\16") } }
    for n = 0, #whole - 1 do assert.equal("MALFORMED", (read(whole:sub(1, n), "SRV"))) end
    assert.equal("OK", (read(whole, "SRV")))
  end)

  it("survives any byte in the place of any other", function()
    local whole = message { records = { service(name "a.test"), service("\1b\192\16"), address(1) } }
    for i = 1, #whole do
      for _, byte in ipairs { 0, 1, 63, 64, 192, 255 } do
        read(whole:sub(1, i - 1) .. string.char(byte) .. whole:sub(i + 1), "SRV")
      end
    end
  end)
end)

describe("names as they are asked for", function()
  local function clean(text)
    local out, len = ffi.new("char[?]", C.DNS_NAME_MAX), ffi.new "size_t[1]"
    return C.dns_name_clean(core.guarded(text), out, len) and ffi.string(out, len[0]) or nil
  end
  local cases = {
    { "App.Test.", "app.test" }, { "localhost", "localhost" }, { "_http._tcp.a-b", "_http._tcp.a-b" },
    { "1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa" }, { "a.0xg", "a.0xg" },
    { "", nil }, { ".", nil }, { "a..b", nil }, { ".a", nil }, { "a..", nil }, { "a b", nil }, { "a/b", nil },
    { "127.1", nil }, { "0x7f", nil }, { "1.0x7F", nil }, { ("a"):rep(254), nil },
  }
  for _, case in ipairs(cases) do
    it(("%q: %s"):format(case[1]:sub(1, 30), case[2] or "none"), function() assert.equal(case[2], clean(case[1])) end)
  end
end)
