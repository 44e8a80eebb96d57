local C = require "tidegate.ffi"
local config = require "tidegate.config"
local configuration = require "support.configuration"
local files = require "support.files"
local lfs = require "lfs"
local overrides = require "tidegate.config.overrides"
local show = require "tidegate.config.show"

local ENVIRONMENT = { NAME = "value", TEMPLATE = "${host}", NUMBER = "3", TRUTH = "true", LIST = "[a]" }

--- Loads a file as the gateway would.
local function load(path, options)
  local own = { variables = {}, getenv = function(name) return ENVIRONMENT[name] end }
  for key, value in pairs(options or {}) do own[key] = value end
  local result = config.load(path, own)
  if result.generation then C.tide_generation_drop(result.generation) end
  if not result.good then error(result.report:text(), 2) end
  return result
end

--- What is shown of these lines, as tidegate.yaml of a fresh folder with more files; nothing of the folder's name.
local function shown(lines, o)
  o = o or {}
  local folder = files.folder()
  for name, text in pairs(o.files or {}) do files.write(folder .. "/" .. name, text) end
  local path = folder .. "/tidegate.yaml"
  files.write(path, configuration.small(lines))
  local text = show.text(load(path, o.options), o.path and overrides.steps_of(o.path))
  return text and text:gsub(folder:gsub("%p", "%%%0") .. "/", "")
end

--- Whatever is shown of a file loads as the same values.
local function assert_same_again(path)
  local first = load(path)
  local again = load(path, { texts = { [path] = show.text(first) } })
  first.config.include = nil            -- what they hold is in it
  assert.same(first.config, again.config)
  assert.equal(show.text(first):gsub(" +# [^\n]*", ""), (show.text(again):gsub(" +# [^\n]*", "")))
end

describe("what is shown of a configuration", function()
  local origins = {
    { "a file and its line", "limits: { head: 16KiB }", "limits.head", "16KiB  # tidegate.yaml:2\n" },
    { "a default", "", "limits.head", "32KiB  # default\n" },
    { "an included file", "include: a.yaml", "services.a.nodes[1].url", "127.0.0.1:1  # a.yaml:1\n",
      files = { ["a.yaml"] = "services: { a: '127.0.0.1:1' }" } },
    { "the file of --env", "", "gateway.grace", "5s  # own.yaml:2\n",
      files = { ["own.yaml"] = "# own\ngateway: { grace: 5s }" }, options = { env = "own" } },
    { "--set", "", "gateway.threads", "3  # --set\n", options = { set = { "gateway.threads=3" } } },
    { "a variable that overrides", "", "gateway.threads", "3  # environment TIDEGATE_GATEWAY__THREADS\n",
      options = { variables = { { "TIDEGATE_GATEWAY__THREADS", "3" } } } },
    { "a variable in a value", "gateway: { threads: '${NUMBER}' }", "gateway.threads",
      "3  # tidegate.yaml:2 (environment NUMBER)\n" },
    { "a variable's default", "gateway: { threads: '${NONE:-4}' }", "gateway.threads",
      "4  # tidegate.yaml:2 (default of NONE)\n" },
  }
  for _, case in ipairs(origins) do
    it("says that a value comes from " .. case[1], function()
      assert.equal(case[4], shown(case[2], { path = case[3], files = case.files, options = case.options }))
    end)
  end

  local RESPOND = "routes: [{ path: /, respond: { body: %s } }]"
  local KEYED = "plugins: [{ jwt_auth: { algorithms: [HS256], secret: %s } }]"
  local values = {
    { "a text that looks like a number", RESPOND:format "'${NUMBER}'", "routes[1].respond.body", '"3"' },
    { "a text that looks like a boolean", RESPOND:format "'${TRUTH}'", "routes[1].respond.body", '"true"' },
    { "a text that looks like structure", RESPOND:format "'${LIST}'", "routes[1].respond.body", '"[a]"' },
    { "a text with a dollar sign", RESPOND:format "'$${NAME}'", "routes[1].respond.body", "$${NAME}" },
    { "a value that looks like a reference", RESPOND:format "'${TEMPLATE}'", "routes[1].respond.body", "$${host}" },
    { "a template", "routes: [{ path: /, redirect: { to: 'https://a${path}' } }]", "routes[1].redirect.to",
      "https://a${path}" },
    { "a file", RESPOND:format "'${file:word}'", "routes[1].respond.body", "${file:word}",
      files = { word = "what it holds" } },
    { "a secret", KEYED:format "0123456789abcdef0123456789abcdef", "plugins[1].config.secret", '"********"' },
    { "a secret from the environment", KEYED:format "'${SECRET}'", "plugins[1].config.secret", "${SECRET}" },
    { "a secret with a default", KEYED:format "'${NONE:-0123456789abcdef0123456789abcdef}'",
      "plugins[1].config.secret", '"********"' },
    { "settings of a plugin that is switched off", "plugins: [{ use: jwt_auth, enabled: false, config: { k: v } }]",
      "plugins[1].config.k", '"********"' },
    { "a secret of --set", KEYED:format "0123456789abcdef0123456789abcdef", "plugins[1].config.secret", '"********"',
      options = { set = { "plugins[1].jwt_auth.secret=abcdef0123456789abcdef0123456789" } } },
  }
  ENVIRONMENT.SECRET = "abcdef0123456789abcdef0123456789"
  for _, case in ipairs(values) do
    it("writes " .. case[1] .. " so that it is read the same, or not at all", function()
      local text = shown(case[2], { path = case[3], files = case.files, options = case.options })
      assert.equal(case[4], (text:gsub("  # [^\n]*\n$", "")))
    end)
  end

  it("holds no secret anywhere", function()
    local text = shown(KEYED:format "'${SECRET}'" .. "\nlog: { access: [{ file: '${file:pw}' }] }",
                       { files = { pw = "hunter2" }, options = { set = { "gateway.user=http://me:hunter2@x" } } })
    assert.falsy(text:find("hunter2", 1, true))
    assert.falsy(text:find(ENVIRONMENT.SECRET, 1, true))
    assert.truthy(text:find("http://me:********@x", 1, true))
  end)

  it("is a whole or a part, and nothing where there is no such part", function()
    assert.equal("- path: /  # tidegate.yaml:3\n", shown("routes:\n  - { path: /, respond: {} }", { path = "routes" })
                 :match("path: /[^\n]*\n"):gsub("^", "- "), nil)
    for _, path in ipairs { "nope", "routes[2]", "limits.head.x", "routes.name", "limits[1]" } do
      assert.is_nil(shown("routes: [{ path: /, respond: {} }]", { path = path }))
    end
  end)

  it("is in the order of the reference, whatever that of the file is", function()
    local a = shown "limits: { uri: 1KiB, head: 2KiB }\ntimeouts: { head: 1s, idle: 2s }\n"
    local b = shown "timeouts: { idle: 2s, head: 1s }\nlimits: { head: 2KiB, uri: 1KiB }\n"
    assert.equal(a:gsub("yaml:%d+", ""), (b:gsub("yaml:%d+", "")))
  end)

  local again = { "conf/tidegate.yaml" }
  for name in lfs.dir "conf/examples" do
    if name:find "%.yaml$" then again[#again + 1] = "conf/examples/" .. name end
  end
  table.sort(again)
  for _, path in ipairs(again) do
    local text = files.read(path)
    if not text:find("secret", 1, true) and not text:find("password", 1, true) and not text:find("/tmp/", 1, true) then
      it("loads again as the same: " .. path, function() assert_same_again(lfs.currentdir() .. "/" .. path) end)
    end
  end

  it("loads again as the same with all forms there are", function()
    local folder = files.folder()
    files.write(folder .. "/word", "x")
    files.write(folder .. "/more.yaml", "routes: [{ path: /more, service: b, labels: { yes: 'no', '1': '2' } }]")
    files.write(folder .. "/tidegate.yaml", [[
listen: [":8080", { address: "unix:g.sock", name: local }]
include: ["*.yaml"]
gateway: { threads: "${NUMBER}", trusted_proxies: 10.0.0.0/8 }
plugins: [request_id, one, { cors: { allow_origins: ["*"] } },
          { use: echo, enabled: false, when: { header: a, equals: b } }]
instances: { one: cors, two: { use: request_id, priority: 3 } }
services:
  a: { nodes: ["127.0.0.1:1", { url: "127.0.0.2:1", weight: 2 }] }
  b: "https://127.0.0.1:2"
routes:
  - { name: x, host: A.example.com, path: "/x/*", service: a, on: local, retries: { attempts: 3 }, timeout: 1m30s }
  - { path: /r, redirect: { to: "https://x${path}/${NAME}" }, enabled: false }
  - { path: /t, respond: { body: "a\n b: #\n\n", headers: { x-a: "${file:word}", X-B: "1" } } }
log: { access: [{ file: stdout, template: "${status} ${NAME}" }, { file: a.log, format: common }] }
dictionaries: { d: 1MiB, e: { size: 2MiB, file: e.dat } }
]])
    assert_same_again(folder .. "/tidegate.yaml")
  end)
end)
