--- Conditions of routes, answered by C, beside those of plugins, answered by Lua: what both read is one thing, and what
-- they say of a request must be one thing, too. Cases here name what C might do otherwise; then both are given
-- conditions and requests made at random.
local C = require "tidegate.ffi"
local config = require "tidegate.config"
local cookie = require "tidegate.tide.cookie"
local core = require "support.core"
local ffi = require "ffi"
local files = require "support.files"
local url = require "tidegate.tide.url"
local when = require "tidegate.plugin.when"

local query, answer = ffi.new "struct tide_route_query", ffi.new "struct tide_route_answer"
local why = ffi.new "struct tide_error"

-- -- a request, for both --

local Request = {}
Request.__index = function(self, key)
  if key == "tls" then return rawget(self, "sni") and { sni = self.sni ~= "" and self.sni or nil } or nil end
  if key == "scheme" then return rawget(self, "sni") and "https" or "http" end
  return Request[key]
end

function Request:header_all(name)
  local values = {}
  for _, field in ipairs(self.fields) do
    if field[1]:lower() == name then values[#values + 1] = field[2] end
  end
  if name == "host" then values = { self.authority } end
  return values
end
function Request:header(name) return self:header_all(name)[1] end
function Request:arg(name)
  local value = (url.parse_query(self.query) or {})[name]
  if type(value) == "table" then return value[1] end
  return value
end
function Request:cookie(name)
  for _, header in ipairs(self:header_all "cookie") do
    local value = cookie.get(header, name)
    if value then return value end
  end
end

local function request(own)
  local req = { method = "GET", authority = "gate.test", path = "/", query = "", client_ip = "192.0.2.7", fields = {} }
  for key, value in pairs(own) do req[key] = value end
  req.host = req.authority:lower():gsub(":%d+$", "")
  return setmetatable(req, Request)
end

-- -- asking both --

local loaded

local function load(text)
  local file = files.folder() .. "/tidegate.yaml"
  files.write(file, ('listen: [":0"]\nroutes:\n  - when: %s\n    respond: {}\n'):format(text))
  loaded = config.load(file, { variables = {} })
  if not loaded.good then error(text .. "\n" .. loaded.report:text(), 2) end
  return loaded.config.routes[1].when
end

local function drop()
  if loaded and loaded.generation then C.tide_generation_drop(loaded.generation) end
  loaded = nil
end

local held = {}

local function put(name, text)
  held[name] = text
  query[name].at, query[name].len = text, #text
end

--- Whether C takes the request; nil where that cannot be told.
local function takes(req)
  local fields = {}
  for _, field in ipairs(req.fields) do fields[#fields + 1] = field[1] .. "\0" .. field[2] .. "\0" end
  put("method", req.method)
  put("authority", req.authority)
  put("path", req.path)
  put("query", req.query)
  put("fields", table.concat(fields))
  put("client_ip", req.client_ip)
  held.sni = rawget(req, "sni")
  query.sni = held.sni
  if C.tide_route_find(loaded.generation, query, answer, why) ~= 0 then error(ffi.string(why.text), 2) end
  if answer.status == 500 then return nil end
  return answer.route == 0
end

describe("a route's condition", function()
  after_each(drop)

  local cases = {
    -- condition, request, whether it holds
    { "{ header: x-a, equals: b }", { fields = { { "X-A", "a" }, { "X-A", "b" } } }, true },
    { "{ header: host, equals: 'Gate.test:80' }", { authority = "Gate.test:80" }, true },
    { "{ header: user-agent, contains: curl, case: false }", { fields = { { "User-Agent", "a CURL/8" } } }, true },
    { "{ header: user-agent, contains: curl }", { fields = { { "User-Agent", "a CURL/8" } } }, false },
    { "{ header: x-a, contains: abc, case: false }", { fields = { { "x-a", "aAbABc" } } }, true },
    { "{ header: x-a, suffix: abcd }", { fields = { { "x-a", "bcd" } } }, false },
    { "{ header: x-a, prefix: '' }", { fields = { { "x-a", "" } } }, "bad" },
    { "{ header: x-a, equals: '' }", { fields = { { "x-a", "" } } }, true },
    { "{ header: x-a, in: [a, bb, cc, ddd, b, '', e, f, g, h, i, j] }", { fields = { { "x-a", "b" } } }, true },
    { "{ header: x-a, in: [a, bb, cc, ddd, b, '', e, f, g, h, i, j] }", { fields = { { "x-a", "k" } } }, false },
    { "{ header: x-a, in: [ABC, abd], case: false }", { fields = { { "x-a", "aBd" } } }, true },
    { "{ header: x-a, gt: 1 }", { fields = { { "x-a", "1.5" } } }, true },
    { "{ header: x-a, gt: 1 }", { fields = { { "x-a", "0x10" } } }, false },
    { "{ header: x-a, gt: 1 }", { fields = { { "x-a", "1e9" } } }, false },
    { "{ header: x-a, gt: 1 }", { fields = { { "x-a", "inf" } } }, false },
    { "{ header: x-a, gt: 1 }", { fields = { { "x-a", "+2" } } }, false },
    { "{ header: x-a, lt: 1 }", { fields = { { "x-a", "-2." } } }, true },
    { "{ header: x-a, lt: 1 }", { fields = { { "x-a", "-" } } }, false },
    { "{ header: x-a, gt: 1 }", { fields = { { "x-a", ("9"):rep(64) } } }, true },
    { "{ header: x-a, gt: 1 }", { fields = { { "x-a", ("9"):rep(65) } } }, false },
    { "{ header: x-a, cidr: 10.0.0.0/8 }", { fields = { { "x-a", "10.9.8.7" } } }, true },
    { "{ header: x-a, cidr: '::/0' }", { fields = { { "x-a", "[::1]" } } }, false },
    { "{ header: x-a, cidr: '::ffff:10.0.0.0/104' }", { fields = { { "x-a", "10.1.1.1" } } }, true },
    { "{ header: x-a, matches: '^\\d+$' }", { fields = { { "x-a", "12" } } }, true },
    { "{ query: a, equals: 'b c' }", { query = "a=b+c" }, true },
    { "{ query: 'a b', equals: 'é' }", { query = "x&a%20b=%C3%A9" }, true },
    { "{ query: a }", { query = "b=1&a" }, true },
    { "{ query: a, equals: '1' }", { query = "a=1&a=2" }, true },
    { "{ query: a, equals: '2' }", { query = "a=1&a=2" }, false },
    { "{ query: a }", { query = "a=1&b=%zz" }, false },
    { "{ query: a }", { query = "a=1&b=%2" }, false },
    { "{ query: a }", { query = "a=1&b%" }, false },
    { "{ query: a }", { query = "a=1" .. ("&b"):rep(99) }, true },
    { "{ query: a }", { query = "a=1" .. ("&b"):rep(100) }, false },
    { "{ query: a, matches: '^x$' }", { query = "a=x%0A" }, false },
    { "{ cookie: a, equals: '1' }", { fields = { { "Cookie", "b=2" }, { "Cookie", 'a="1"' } } }, true },
    { "{ client_ip: 192.0.2.0/24 }", {}, true },
    { "{ client_ip: 192.0.2.0/24 }", { client_ip = "::ffff:192.0.2.1" }, true },
    { "{ client_ip: '::/0' }", { client_ip = "::ffff:192.0.2.1" }, false },
    { "{ client_ip: '2001:db8::/32' }", { client_ip = "2001:db8::9" }, true },
    { "{ host: GATE.test }", { authority = "gate.TEST:81" }, true },
    { "{ method: [PUT, PURGE] }", { method = "PURGE" }, true },
    { "{ scheme: https }", { sni = "" }, true },
    { "{ tls: false }", {}, true },
    { "{ tls: true }", { sni = "" }, true },
    { "{ sni: { exists: true } }", { sni = "" }, false },
    { "{ sni: a.test }", { sni = "A.test" }, true },
    { "{ path: { prefix: /a } }", { path = "/a/b" }, true },
  }
  for _, case in ipairs(cases) do
    local words = case[3] == "bad" and "is refused" or case[3] and "holds" or "does not hold"
    it(("%s %s"):format(case[1], words), function()
      if case[3] == "bad" then
        assert.has_error(function() load(case[1]) end)
        return
      end
      local condition, req = load(case[1]), request(case[2])
      assert.equal(case[3], takes(req))
      assert.equal(case[3], when.compile(condition)(req))
    end)
  end

  it("is undecided where a pattern takes too long, however it would go on", function()
    local req = request { fields = { { "x-a", ("a"):rep(60) .. "!" } } }
    for _, text in ipairs { "{ header: x-a, matches: '^(a+)+$' }", "{ not: { header: x-a, matches: '^(a+)+$' } }" } do
      load(text)
      assert.is_nil(takes(req))
      assert.equal("pattern takes too long to match", ffi.string(why.text))
      drop()
    end
  end)

  it("does not ask what cannot change the outcome", function()
    local req = request { fields = { { "x-a", ("a"):rep(60) .. "!" } } }
    load "{ any: [{ method: GET }, { header: x-a, matches: '^(a+)+$' }] }"
    assert.is_true(takes(req))
    drop()
    load "{ all: [{ method: PUT }, { header: x-a, matches: '^(a+)+$' }] }"
    assert.is_false(takes(req))
  end)
end)

-- -- at random --

local function pick(list) return list[math.random(#list)] end

local TEXTS = { "a", "A", "b", "ab", "aB", "", "a b", "12", "3.5", "-1", "10.0.0.1", "abc", "ABC", "a.test" }
local PATTERNS = { "^a", "b$", "a.?b", "^[0-9.]+$", "A", "^$" }
local NETWORKS = { "10.0.0.0/8", "10.0.0.1", "::1", "2001:db8::/32", "0.0.0.0/0", "::ffff:10.0.0.0/104", "::/0" }
local NAMES = { "x-a", "X-B", "user-agent", "host", "cookie" }
local KEYS = { "a", "b", "A" }

local function quoted(text) return "'" .. text .. "'" end

local function list_of(make)
  local list = {}
  for i = 1, math.random(4) do list[i] = make() end
  return "[" .. table.concat(list, ", ") .. "]"
end

local function text() return quoted(pick(TEXTS)) end
local function part()
  local word
  repeat word = pick(TEXTS) until word ~= ""
  return quoted(word)
end
local function network() return quoted(pick(NETWORKS)) end

local WORD_TESTS = {
  function() return "equals: " .. text() end,
  function() return "in: " .. list_of(text) end,
  function() return "prefix: " .. part() end,
  function() return "suffix: " .. part() end,
  function() return "contains: " .. part() end,
  function() return "matches: " .. quoted(pick(PATTERNS)) end,
}
local MORE_TESTS = {
  function() return "exists: " .. pick { "true", "false" } end,
  function() return "cidr: " .. list_of(network) end,
  function() return "gt: " .. pick { "1", "-2", "3.5" } end,
  function() return "lt: " .. pick { "12", "0", "3.5" } end,
}

local function test(with_more)
  local made = (with_more and math.random(3) == 1) and pick(MORE_TESTS)() or pick(WORD_TESTS)()
  if math.random(3) == 1 then made = made .. ", case: " .. pick { "true", "false" } end
  return made
end

local LEAVES = {
  function() return ("{ header: %s, %s }"):format(pick(NAMES), test(true)) end,
  function() return ("{ header: %s }"):format(pick(NAMES)) end,
  function() return ("{ query: %s, %s }"):format(pick(KEYS), test(true)) end,
  function() return ("{ cookie: { name: %s, %s } }"):format(pick(KEYS), test(true)) end,
  function() return ("{ client_ip: %s }"):format(list_of(network)) end,
  function() return ("{ path: { %s } }"):format(pick { "prefix: /a", "suffix: b", "equals: /A, case: false",
                                                       "matches: 'a|b'", "in: [/a, /b]" }) end,
  function() return ("{ host: { %s } }"):format(test()) end,
  function() return ("{ sni: { %s } }"):format(test()) end,
  function() return ("{ method: %s }"):format(pick { "GET", "[GET, PUT]", "PURGE" }) end,
  function() return ("{ scheme: %s }"):format(pick { "http", "https" }) end,
  function() return ("{ tls: %s }"):format(pick { "true", "false" }) end,
}

local function condition_of(depth)
  local kind = depth > 0 and math.random(6) or 6
  if kind <= 2 then return ("{ all: %s }"):format(list_of(function() return condition_of(depth - 1) end)) end
  if kind <= 4 then return ("{ any: %s }"):format(list_of(function() return condition_of(depth - 1) end)) end
  if kind == 5 then return ("{ not: %s }"):format(condition_of(depth - 1)) end
  return pick(LEAVES)()
end

local function request_of()
  local fields = {}
  for i = 1, math.random(0, 4) do fields[i] = { pick { "x-a", "X-A", "x-b", "User-Agent" }, pick(TEXTS) } end
  for _ = 1, math.random(0, 2) do
    table.insert(fields, { "Cookie", pick { "a=", "b=", "a=x; b=", ";;a = ", "A=\"" } .. pick(TEXTS) })
  end
  local arguments = {}
  for i = 1, math.random(0, 3) do
    arguments[i] = pick(KEYS) .. pick { "", "=", "=", "=%41", "=%4" } .. url.escape(pick(TEXTS))
  end
  return request {
    fields = fields, query = table.concat(arguments, "&"), method = pick { "GET", "PUT", "PURGE" },
    path = pick { "/", "/a", "/A", "/b", "/a/b" }, authority = pick { "a.test", "A.test:80", "b", "abc" },
    client_ip = pick { "10.0.0.1", "192.0.2.1", "::1", "2001:db8::5", "::ffff:10.2.3.4" },
    sni = pick { false, "", "a.test", "ABC" } or nil,
  }
end

describe("conditions at random", function()
  after_each(drop)

  it("have the same answers in C and in Lua", function()
    core.seed()
    local counts = { [true] = 0, [false] = 0 }
    for _ = 1, 400 do
      local words = condition_of(3)
      local fits = when.compile(load(words))
      for _ = 1, 15 do
        local req = request_of()
        local expected = fits(req)
        counts[expected] = counts[expected] + 1
        if takes(req) ~= expected then
          error(("%s is %s in Lua for %s"):format(words, tostring(expected), require("cjson").encode {
            fields = req.fields, query = req.query, path = req.path, authority = req.authority, method = req.method,
            client_ip = req.client_ip, sni = rawget(req, "sni"),
          }), 0)
        end
      end
      drop()
    end
    assert.is_true(counts[true] > 1000 and counts[false] > 1000)
  end)
end)
