require "tidegate.ffi"
local configuration = require "support.configuration"
local files = require "support.files"
local json_schema = require "tidegate.config.json_schema"
local lfs = require "lfs"
local markdown = require "support.markdown"
local schema = require "tidegate.config.schema"
local shell = require "support.shell"
local tree = require "tidegate.config.tree"
local validator = require "support.json_schema"

local FIXTURES = "spec/fixtures/config/"

--- The schema for the plugins that a configuration finds.
local function made_for(plugins) return json_schema.make(plugins.found, plugins.describe()) end

local function small(lines) return configuration.small(lines) end

--- Plugins are looked for only where some are named.
local function loaded(text)
  return configuration.load(text, { dry = not (text:find "plugins:" or text:find "instances:") })
end

--- Whether a file is written in the language of the tree, and not in another that the loader takes.
local function is_native(value)
  for key in pairs(value) do
    if not tree.fields[key] then return false end
  end
  return true
end

--- Whether what is said of a fixture are warnings at most.
local function has_no_errors(path)
  for line in (files.read((path:gsub("yaml$", "txt"))) or ""):gmatch "[^\n]+" do
    if line:find "^%S+: " and not line:find "^%S+: warning: " then return false end
  end
  return true
end

--- Whether a block uses a plugin whose source stands on the same page: the schema is made without it.
local function uses_own_plugin(page, text)
  for _, block in ipairs(markdown.blocks(page)) do
    local name = block.text:match "^%-%- plugins/([%w_]+)%.lua\n"
    if name and text:find("%f[%w_]" .. name .. "%f[^%w_]") then return true end
  end
  return false
end

--- Everything that is told as good somewhere: { name =, text =, path = of a file, for what it names }.
local function good_documents()
  local list = {}
  for path in shell.must("ls conf/*.yaml conf/*/*.yaml"):gmatch "[^\n]+" do
    list[#list + 1] = { name = path, text = files.read(path) }
  end
  for page in shell.must("ls README.md docs/*.md"):gmatch "[^\n]+" do
    for _, block in ipairs(page ~= "docs/plugins.md" and markdown.blocks(page) or {}) do
      local is_whole = block.language == "yaml" and ("\n" .. block.text):find "\nlisten:"
      if is_whole and not uses_own_plugin(page, block.text) then
        list[#list + 1] = { name = ("%s:%d"):format(page, block.line), text = block.text }
      end
    end
  end
  return list
end

describe("the JSON Schema", function()
  local own

  setup(function() own = made_for(loaded(small "plugins: []").plugins) end)

  it("is good by the rules for schemas, and takes every example and every block of the docs", function()
    local documents, names, seen = {}, {}, 0
    for _, document in ipairs(good_documents()) do
      local value = validator.values(document.text)
      if is_native(value) then
        documents[#documents + 1], names[#names + 1] = { schema = 1, value = value }, document.name
      end
    end
    for i, verdict in ipairs(validator.validate({ own }, documents)) do
      assert.equal("good", verdict, names[i])
      seen = seen + 1
    end
    assert.is_true(seen > 30)
  end)

  it("takes every fixture that the loader takes", function()
    local schemas, documents, names = {}, {}, {}
    for name in lfs.dir(FIXTURES) do
      local path = FIXTURES .. name
      local value = name:find "%.yaml$" and has_no_errors(path) and validator.values(files.read(path))
      if value and is_native(value) then
        schemas[#schemas + 1] = made_for(configuration.load_file(path, { dry = false }).plugins)
        documents[#schemas], names[#schemas] = { schema = #schemas, value = value }, name
      end
    end
    assert.is_true(#documents > 0)
    for i, verdict in ipairs(validator.validate(schemas, documents)) do assert.equal("good", verdict, names[i]) end
  end)

  it("refuses fixtures with mistakes that an editor can see", function()
    local schemas, documents, names = {}, {}, {
      "durations", "not_available", "plugin_settings", "sizes", "unknown_key", "unknown_top_level_key",
      "wrong_types",
    }
    for i, name in ipairs(names) do
      local path = FIXTURES .. name .. ".yaml"
      schemas[i] = made_for(configuration.load_file(path, { dry = false }).plugins)
      documents[i] = { schema = i, value = validator.values(files.read(path)) }
    end
    for i, verdict in ipairs(validator.validate(schemas, documents)) do assert.is_true(verdict ~= "good", names[i]) end
  end)

  local good = {
    "gateway: { threads: auto }", "gateway: { threads: 2 }", 'gateway: { threads: "${LOOPS:-3}" }',
    "gateway:", "limits: { body: 0, head: 16KiB }", "timeouts: { idle: 1h30m, head: 1.5s }",
    'security: { merge_slashes: "${YES:-true}" }', 'listen: { address: ":8080" }', "listen: ':${PORT}'",
    "services: { app: http://127.0.0.1:9000 }", 'services: { app: ["127.0.0.1:9000"] }',
    "services: { app: { nodes: [{ url: '127.0.0.1:9000', weight: '${PORT}' }], balance: round_robin } }",
    "dictionaries: { hits: 1MiB, more: { size: 64KiB } }",
    "plugins: [request_id, { cors: }, { cors: { allow_origins: ['*'] } }]",
    "plugins: [{ use: cors, on_error: continue, config: { max_age: 1h } }]",
    "instances: { mine: { use: cors, config: { max_age: '${AGE:-10m}' } }, other: cors }",
    "plugins: [{ use: cors, when: { all: [{ header: x-a, in: ['1'] }, { not: { path: { prefix: /a } } }] } }]",
    "plugins: [{ use: cors, when: { any: [{ method: [GET, PUT] }, { header: { name: x-a, gt: 3 } }] } }]",
    "routes: [{ path: /, respond: { body: 5 }, redirect: , labels: }]\nservices:",
    "log: { access: [{ file: stdout, format: '${FORMAT:-json}' }] }", "version: 1",
    "listen: [{ address: ':8443', tls: { certificates: [{ cert: a, key: b }], min_version: 1.2 } }]",
  }

  it("takes all forms of a value", function()
    local documents = {}
    for i, lines in ipairs(good) do documents[i] = { schema = 1, value = validator.values(small(lines)) } end
    for i, verdict in ipairs(validator.validate({ own }, documents)) do
      assert.equal("good", verdict, good[i])
      for _, e in ipairs(loaded(small(good[i])).report.errors) do
        assert.is_truthy(e.message:find "^cannot read", good[i])
      end
    end
  end)

  local broken = {
    -- types
    "gateway: { threads: many }", "gateway: [1]", 'gateway: { threads: "2" }', "security: { merge_slashes: on_demand }",
    "limits: { body: 10 }", "limits: { body: 10XB }", "timeouts: { idle: 75 }", "timeouts: { idle: 5 minutes }",
    "timeouts: { idle: [1s] }", "listen: 8080", "listen: [8080]", "routes: { path: / }", "services: [app]",
    "log: { level: 3 }", "metrics: { listen: true }", "routes: [{ path: a, respond: {} }]",
    "routes: [{ path: /, methods: [get/x], respond: {} }]", "dictionaries: { a: 5 }",
    "routes: [{ path: /, respond: { status: abc } }]", "routes: [{ path: /, respond: { headers: [a] } }]",
    "plugins: [[cors]]", "plugins: [{ cors: 5 }]",
    -- unknown keys
    "gatewy: {}", "gateway: { thread: 1 }", "routes: [{ path: /, respnd: {} }]",
    "plugins: [{ cors: { origins: [a] } }]",
    "services: { app: { nodes: ['a:1'], timeout: 1s } }", "plugins: [{ use: cors, confg: {} }]",
    "plugins: [{ use: cors, config: { origins: [a] } }]", "plugins: [{ corss: {} }]",
    "plugins: [{ use: cors, when: { header: x, equls: y } }]", "instances: { a: { use: cors, name: b } }",
    -- words
    "log: { level: loud }", "plugins: [{ use: cors, on_error: stop }]", "plugins: [{ use: cors, band: early }]",
    "services: { app: { nodes: ['a:1'], balance: fastest } }", "plugins: [{ cors: { max_age: [1s] } }]",
    "plugins: [{ use: cors, when: { scheme: ftp } }]",
    -- ranges
    "gateway: { threads: 0 }", "gateway: { threads: 65 }", "version: 2", "limits: { headers: 0 }",
    "routes: [{ path: /, respond: { status: 700 } }]", "routes: [{ path: /, hosts: [], respond: {} }]", "listen: []",
    "services: { app: { nodes: [] } }", "services: { app: { nodes: [{ url: 'a:1', weight: 70000 }] } }",
    -- what is missing, and what goes together
    "routes: [{ path: / }]", "routes: [{ path: /, respond: }]",
    "routes: [{ path: /, respond: {}, service: app }]", "metrics: {}",
    "routes: [{ path: /, paths: [/a], respond: {} }]", "listen: [{ name: a }]", "services: { app: { pool: {} } }",
    "log: { access: [{ file: stdout, format: json, template: a }] }", "plugins: [{ config: {} }]",
    "routes: [{ path: /, respond: { echo: true, body: a } }]",
  }

  it("refuses what the loader refuses", function()
    local documents = {}
    for i, lines in ipairs(broken) do documents[i] = { schema = 1, value = validator.values(small(lines)) } end
    for i, verdict in ipairs(validator.validate({ own }, documents)) do
      assert.is_false(loaded(small(broken[i])).good, broken[i])
      assert.is_true(verdict ~= "good", broken[i])
    end
  end)

  it("takes an included file, which holds a part only", function()
    local documents = {}
    for i, text in ipairs { "services: { app: 'http://a:1' }", "routes: [{ path: /, service: app }]", "{}" } do
      documents[i] = { schema = 1, value = validator.values(text) }
    end
    assert.same({ "good", "good", "good" }, validator.validate({ own }, documents))
  end)

  it("has every key of the tree with what it is for, and none that is not available", function()
    local function walk(field, at, path)
      if field.form or field.type == "condition" or not (field.fields or type(field.of) == "table") then return end
      for _, one in ipairs(at.anyOf or { at }) do
        if one.properties and field.fields then
          for _, name in ipairs(schema.names(field.fields)) do
            local known, said = field.fields[name], one.properties[name]
            assert.equal(known.later == true, said == nil, path .. "." .. name)
            if said then
              assert.is_truthy(said.description and said.description:find(known.doc, 1, true), path .. "." .. name)
              walk(known, said, path .. "." .. name)
            end
          end
        elseif field.type == "list" and one.items then
          walk(field.of, one.items, path .. "[]")
        end
      end
    end
    walk(tree, own, "")
  end)

  it("does not know the settings of a plugin that is broken just now", function()
    local made = json_schema.make({ broken = {} }, {})
    local value = validator.values(small "plugins: [{ broken: { anything: 1 } }]")
    assert.same({ "good" }, validator.validate({ made }, { { schema = 1, value = value } }))
  end)
end)
