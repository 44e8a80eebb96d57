require "tidegate.ffi"
local Report = require "tidegate.config.report"
local manifest = require "tidegate.plugin.manifest"
local metadata = require "tidegate.plugin.metadata"
local schema = require "tidegate.config.schema"
local yaml = require "tidegate.yaml"

local function nothing() end

--- Checks the table that a text makes; gives what metadata says, and the messages.
local function check(text, json)
  local record = { name = "x", path = "plugins/x.lua", source = text }
  local report = Report.new()
  local said
  if json then
    record.manifest = { path = "plugins/x.json", source = json }
    said = manifest.read(record, report)
  end
  local plugin = assert(loadstring(text, "@plugins/x.lua"))()
  local meta = (said or not json) and metadata.check(plugin, record, said, report) or nil
  report:text()     -- sorts
  local messages = {}
  for i, e in ipairs(report.errors) do
    messages[i] = ("%s%s%s"):format(e.line and e.line .. ": " or "", e.path and e.path ~= "" and e.path .. ": " or "",
                                    e.message)
  end
  return meta, messages
end

describe("a plugin's table", function()
  it("may say nothing but a hook", function()
    local meta, messages = check "return { request = function() end }"
    assert.same({}, messages)
    assert.same({ name = "x", band = "filter", priority = 0, stages = { global = true, route = true }, requires = {},
                  schema = {}, hooks = 1, hook_set = { request = true }, enabled = true }, meta)
  end)

  it("may say everything", function()
    local meta, messages = check [[
return {
  version = "1.2.3-rc.1", description = "D", band = "auth", priority = -1.5, requires = { "a >= 1" }, decode = true,
  stages = { "route" }, name = "x", schema = { n = { type = "integer" } }, log = function() end,
}]]
    assert.same({}, messages)
    assert.same({ "1.2.3-rc.1", "D", "auth", -1.5, "a", true, { route = true }, 128 },
                { meta.version, meta.description, meta.band, meta.priority, meta.requires[1].name, meta.decode,
                  meta.stages, meta.hooks })
  end)

  it("has its hooks in a mask as C numbers them", function()
    local source = "return { new = f, close = f, "
    local sum = 0
    for name, hook in pairs(metadata.HOOKS) do
      source, sum = source .. name .. " = f, ", sum + hook
    end
    local meta = check("local function f() end " .. source .. "}")
    assert.same({ 1023, 1023 }, { sum, meta.hooks })
  end)

  it("may be a background worker: only new", function()
    assert.same({}, select(2, check "return { new = function() return {} end }"))
  end)

  it("may have methods of its own", function()
    local _, messages = check [[
local P = { request = function() end }
local names = { "respond", "clone", "logger", "get", "body", "request_id", "_reqest", "failover", "on_timer" }
for _, name in ipairs(names) do
  P[name] = P.request
end
return P]]
    assert.same({}, messages)
  end)

  local misspelt = {
    { "reqest", "request" }, { "requets", "request" }, { "onRequest", "request" }, { "on_response", "response" },
    { "requestBody", "request_body" }, { "Response_body", "response_body" }, { "fialure", "failure" },
    { "mesage", "message" }, { "onLog", "log" }, { "New", "new" }, { "upstrem", "upstream" },
  }
  for _, case in ipairs(misspelt) do
    it("has no hook " .. case[1], function()
      local _, messages = check(("return {\n %s = function() end }"):format(case[1]))
      assert.same({ ('2: "%s" is no hook; did you mean "%s"?'):format(case[1], case[2]) }, messages)
    end)
  end

  local probably = {
    -- words of other gateways, and what does their work here
    { "access = function() end", '"access" is no hook here, and nothing calls it; did you mean "request"?' },
    { "rewrite = function() end", '"rewrite" is no hook here, and nothing calls it; did you mean "request"?' },
    { "header_filter = function() end",
      '"header_filter" is no hook here, and nothing calls it; did you mean "response"?' },
    { "body_filter_by_lua = function() end",
      '"body_filter_by_lua" is no hook here, and nothing calls it; did you mean "response_body"?' },
    { "init_worker = function() end", '"init_worker" is no hook here, and nothing calls it; did you mean "new"?' },
    { "before_proxy = function() end",
      '"before_proxy" is no hook here, and nothing calls it; did you mean "upstream"?' },
    -- short words
    { "logs = function() end", '"logs" is no hook here, and nothing calls it; did you mean "log"?' },
    { "clsoe = function() end", '"clsoe" is no hook here, and nothing calls it; did you mean "close"?' },
    { 'bnad = "auth"', 'bnad: unknown; did you mean "band"?' },
    { 'stage = { "route" }', 'stage: unknown; did you mean "stages"?' },
    { "decod = true", 'decod: unknown; did you mean "decode"?' },
    { 'shema = { a = { type = "string" } }', 'shema: unknown; did you mean "schema"?' },
    -- words of the plugin's own
    { 'bnad = "red"', nil }, { 'sand = "auth"', nil }, { "decod = 5", nil }, { 'hand = "auth"', nil },
    { "clone = function() end", nil }, { "rewrites = function() end", nil }, { "nest = function() end", nil },
    { "access = 5", nil },
    { "access = function() end, log = function(self) self:access() end", nil },
    { "logs = function() end, log = function(self) return self.logs(1) end", nil },
  }
  for _, case in ipairs(probably) do
    it(("%s %s"):format(case[2] and "is warned of" or "may have", case[1]), function()
      local report = Report.new()
      local source = ("return {\n  request = function() end,\n  %s }"):format(case[1])
      local record = { name = "x", path = "plugins/x.lua", source = source }
      local meta = metadata.check(assert(loadstring(source, "@plugins/x.lua"))(), record, nil, report)
      assert.is_truthy(meta)
      local told = {}
      for i, e in ipairs(report.warnings) do
        told[i] = (e.path and e.path .. ": " or "") .. e.message
        assert.same({ "plugins/x.lua", 3 }, { e.file, e.line })
      end
      assert.same({ case[2] }, told)
    end)
  end

  local bands = {
    { "observe", nil, true }, { "transform", nil, true }, { "observe", "route", false }, { "breaker", "global", false },
    { "cors", "route", true }, { "observe", "global", true },
  }
  for _, case in ipairs(bands) do
    it(("%s have the band %s in the stage %s"):format(case[3] and "may" or "may not", case[1], case[2] or "any"),
       function()
      local stages = case[2] and ('stages = { "%s" },'):format(case[2]) or ""
      local meta = check(('return { band = "%s", %s request = function() end }'):format(case[1], stages))
      assert.equal(case[3], meta ~= nil)
    end)
  end

  local wrong = {
    { "nothing", "", "expected the file to return a table, found nothing" },
    { "a function", "return function() end", "expected the file to return a table, found a function" },
    { "a table without hooks", "return {}", "has no hook; expected one of new, request, request_body, upstream, " ..
      "response, response_body, ws_open, message, ws_close, failure, log, close" },
    { "a function as description", "return { request = print, description = print }",
      "1: description: expected a text, found a function" },
    { "a schema that is no table", "return { request = print, schema = 5 }",
      "1: schema: expected a table of fields, found a number" },
    { "a field without a name", "return { request = print, schema = { { type = 'string' } } }",
      "1: schema: expected names of fields as keys, found 1" },
    { "a ring as default",
      "local t = {} t.t = t return { request = print, schema = { a = { type = 'any', default = t } } }",
      "1: schema.a.default: expected a value, found a table" },
    { "an attribute that is no text", "return { request = print, schema = { a = { type = 'any', [true] = 1 } } }",
      '1: schema.a: unknown attribute "true"' },
  }
  for _, case in ipairs(wrong) do
    it("is not " .. case[1], function()
      local meta, messages = check(case[2])
      assert.is_nil(meta)
      assert.same({ case[3] }, messages)
    end)
  end

  it("is not a schema without an end", function()
    local meta, messages = check [[
local field = { type = "list" }
field.of = field
return { request = print, schema = { a = field } }]]
    assert.is_nil(meta)
    assert.truthy(messages[1]:find("fields nest too deep", 1, true))
  end)
end)

describe("the schema of a plugin", function()
  local function value(source, text)
    local meta, messages = check(("return { request = print, schema = %s }"):format(source))
    assert.same({}, messages)
    local report = Report.new()
    local result = schema.check({ type = "object", fields = meta.schema }, assert(yaml.parse(text, "a.yaml")), report)
    return result, report:text()
  end

  it("takes members of an object from of as well as from fields", function()
    local source = "{ a = { type = 'object', of = { b = { type = 'integer' } } } }"
    assert.same({ a = { b = 5 } }, (value(source, "{a: {b: 5}}")))
  end)

  it("takes anything in lists and maps that say no more", function()
    assert.same({ a = { 1, "x" }, m = { k = true } },
                (value("{ a = { type = 'list' }, m = { type = 'map' } }", "{a: [1, x], m: {k: true}}")))
  end)

  it("ties fields together", function()
    local source = "{ a = { type = 'any' }, b = { type = 'any' }, one_of = { 'a', 'b' } }"
    assert.truthy(select(2, value(source, "{}")):find("expected exactly one of a, b, found none", 1, true))
    source = "{ a = { type = 'any' }, b = { type = 'any' }, requires = { a = { 'b' } } }"
    assert.truthy(select(2, value(source, "{a: 1}")):find('a: needs the key "b" beside it', 1, true))
  end)

  it("may have fields named like rules", function()
    assert.same({ requires = "x" }, (value("{ requires = { type = 'string' } }", "{requires: x}")))
  end)

  it("has JSON in texts and as YAML", function()
    local source = "{ a = { type = 'json' }, b = { type = 'json' }, c = { type = 'json', default = { n = 1 } } }"
    assert.same({ a = { x = { 1, 2 } }, b = { y = true }, c = { n = 1 } },
                (value(source, "{a: '{\"x\": [1, 2]}', b: {y: true}}")))
    assert.truthy(select(2, value(source, "{a: 'x'}")):find('expected JSON, found "x"; Expected value', 1, true))
    assert.truthy(select(2, value(source, "{a: ~}")):find("a: expected JSON, found nothing", 1, true))
  end)

  it("is a copy: the plugin cannot change it afterwards", function()
    local record = { name = "x", path = "x", source = "" }
    local plugin = { request = nothing, schema = { a = { type = "enum", of = { "b" } } } }
    local meta = metadata.check(plugin, record, nil, Report.new())
    plugin.schema.a.of[1], plugin.schema.a.type = "c", "none"
    assert.same({ type = "enum", of = { "b" } }, meta.schema.a)
  end)

  it("may raise in its check, which is told", function()
    local _, text = value("{ a = { type = 'any', check = function() error('no') end } }", "{a: 1}")
    assert.truthy(text:find("a: its check failed: plugins/x.lua:1: no", 1, true))
  end)
end)

describe("odd values in a plugin's table", function()
  local odd = { false, true, 0, -1, 0 / 0, "", "x", "%", {}, { 1 }, { a = 1 }, { {} }, { [true] = 1 }, print,
                coroutine.create(print), io.stdout, setmetatable({}, { __index = error }) }
  local record = { name = "x", path = "x", source = "" }

  local function check_all(make)
    for _, value in ipairs(odd) do
      local report = Report.new()
      local meta = metadata.check(make(value), record, nil, report)
      assert.equal(meta == nil, report:has_errors())
      report:text()
    end
  end

  local NAMES = { "version", "description", "band", "priority", "requires", "schema", "stages", "decode", "preflight",
                  "trusted", "name", "new", "request", "close", "reqest", "bnad", "stage" }
  for _, name in ipairs(NAMES) do
    it("are told, never raised: " .. name, function()
      check_all(function(value) return { log = nothing, [name] = value } end)
    end)
  end

  local ATTRIBUTES = { "type", "required", "default", "of", "fields", "keys", "short", "single", "words", "min", "max",
                       "match", "expects", "check", "template", "doc", "unit", "other" }
  for _, name in ipairs(ATTRIBUTES) do
    it("are told, never raised: of the attribute " .. name, function()
      for _, kind in ipairs(schema.type_names()) do
        check_all(function(value)
          local field = { type = kind, of = kind == "enum" and { "a" } or nil }
          field[name] = value
          return { log = nothing, schema = { a = field } }
        end)
      end
    end)
  end

  for _, name in ipairs { "one_of", "conflicts", "requires" } do
    it("are told, never raised: of the rule " .. name, function()
      check_all(function(value) return { log = nothing, schema = { a = { type = "any" }, [name] = value } } end)
    end)
  end
end)

describe("plugin.json [T39]", function()
  local LUA = [[return { version = "1.0.0", request = print,
  schema = { size = { type = "size", default = "1KiB" }, name = { type = "string", required = true } } }]]
  local BARE = "return { request = print }"

  it("gives version, description and whether it is enabled", function()
    local meta = check(BARE, '{"name": "x", "version": "2.0.0", "description": "D", "entry_point": "PluginMain"}')
    assert.same({ "2.0.0", "D", true }, { meta.version, meta.description, meta.enabled })
    assert.is_false((check(BARE, '{"enabled": false}')).enabled)
  end)

  it("gives a schema, as the seed has it [X4]", function()
    local meta, messages = check(BARE, [[
{
    "name": "x", "version": "1.0.0", "entry_point": "PluginMain", "enabled": true,
    "config": {
        "header_name": { "type": "string", "default": "X-Custom-Header", "description": "which header" },
        "count": { "type": "int" }, "ratio": { "type": "float" }, "on": { "type": "bool" },
        "tags": { "type": "array" }, "more": { "type": "object" }, "mode": { "type": "string", "enum": ["a", "b"] }
    }
}]])
    assert.same({}, messages)
    assert.same({ type = "string", default = "X-Custom-Header", doc = "which header" }, meta.schema.header_name)
    assert.same({ "integer", "number", "boolean", "list", "map", "enum" },
                { meta.schema.count.type, meta.schema.ratio.type, meta.schema.on.type, meta.schema.tags.type,
                  meta.schema.more.type, meta.schema.mode.type })
  end)

  it("gives plain defaults, as the seed has them [X4]", function()
    local meta, messages = check(BARE, '{"config": {"type": "basic", "users": [{"username": "admin"}]}}')
    assert.same({}, messages)
    assert.same({ type = "any", default = "basic" }, meta.schema.type)
    assert.same({ type = "any", default = { { username = "admin" } } }, meta.schema.users)
  end)

  it("gives defaults for the plugin's own schema", function()
    local meta, messages = check(LUA, '{"config": {"name": "n", "size": "1KiB"}}')
    assert.same({}, messages)
    assert.same({ type = "string", default = "n" }, meta.schema.name)
  end)

  local wrong = {
    { "is no JSON", LUA, "{'a': 1}",
      { "1: not JSON: Expected object key string but found invalid token at character 2" } },
    { "is no object", LUA, "[]", { "1: expected a map, found a list" } },
    { "is cut short", LUA, '{\n"name": "x"',
      { "2: not JSON: Expected comma or object end but found T_END at character 14" } },
    { "is empty", LUA, "", { "1: not JSON: Expected value but found T_END at character 1" } },
    { "has another name", LUA, '{"name": "y"}', { '1: name: expected "x", as the plugin\'s file says, found "y"' } },
    { "has another version", LUA, '{"version": "1.0.1"}',
      { '1: version: expected "1.0.0", as plugins/x.lua says, found "1.0.1"' } },
    { "has a field that the schema has not", LUA, '{"config": {"sise": "1B"}}',
      { '1: config.sise: plugins/x.lua has no such field in its schema; did you mean "size"?' } },
    { "has a default that does not fit", LUA, '{"config": {"name": [1]}}',
      { "1: config.name: expected a text, found a list" } },
    { "has another default", LUA, '{"config": {"size": "2KiB"}}',
      { "1: config.size: the schema of plugins/x.lua has another default for this" } },
    { "has a bad schema", BARE, '{"config": {"a": {"type": "nonsense"}}}',
      { '1: config.a.type: unknown type "nonsense"' } },
    { "has a key twice", BARE, '{"name": "x", "name": "x"}', { '1: duplicate key "name", first on line 1' } },
  }
  for _, case in ipairs(wrong) do
    it("is an error where it " .. case[1], function()
      local meta, messages = check(case[2], case[3])
      assert.same(case[4], messages)
      assert.is_nil(meta)
    end)
  end

  it("may hold what YAML cannot say", function()
    local meta, messages = check(BARE, '{"description": "\\ud83d\\ude00"}')
    assert.same({}, messages)
    assert.equal("😀", meta.description)
  end)
end)
