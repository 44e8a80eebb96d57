local configuration = require "support.configuration"
local files = require "support.files"

local MAIN = [[
listen: [":8080"]
include: [conf.d/*.yaml]
routes:
  - { name: main, path: /main, service: app }
services:
  app: "http://127.0.0.1:9000"
]]

--- A folder with these files, by name; folders are made as they are needed.
local function tree(texts)
  local folder = files.folder()
  for name, text in pairs(texts) do
    local below = name:match "^(.*)/"
    if below then os.execute(("mkdir -p '%s/%s'"):format(folder, below)) end
    files.write(folder .. "/" .. name, text)
  end
  return folder
end

--- Loads them; gives the result, and all that is told, without the folder.
local function load(texts, options)
  if not texts["tidegate.yaml"] then texts["tidegate.yaml"] = MAIN end
  local folder = tree(texts)
  local result = configuration.load_file(folder .. "/tidegate.yaml", options)
  local told = result.report:text { notices = true }
  return result, (told:gsub(folder:gsub("%p", "%%%0") .. "/", "")), folder
end

--- The values of files that must be good.
local function values(texts, options)
  local result, told = load(texts, options)
  if not result.good then error(told, 2) end
  return result.config, told
end

local function names(list)
  local result = {}
  for i, item in ipairs(list) do result[i] = item.name or item.address end
  return table.concat(result, " ")
end

describe("included files", function()
  it("come after the main file, in the order of their names", function()
    local config, told = values {
      ["conf.d/20-b.yaml"] = "routes: [{ name: b, path: /b, service: app }]",
      ["conf.d/10-a.yaml"] = "routes: [{ name: a, path: /a, service: two }]\nservices: { two: 'http://a:1' }",
      ["conf.d/notes.txt"] = "no YAML at all: [",
      ["conf.d/.hidden.yaml"] = "nor: [this",
    }
    assert.equal("main a b", names(config.routes))
    assert.equal("a", config.services.two.nodes[1].url.host)
    assert.equal("", told)
  end)

  it("add up their lists", function()
    local config = values {
      ["conf.d/a.yaml"] = "listen: ':8081'\nroutes:\n",
      ["conf.d/b.yaml"] = "listen: [':8082', { address: ':8083' }]",
      ["conf.d/c.yaml"] = "# nothing yet\n",
    }
    assert.equal("0.0.0.0:8080 0.0.0.0:8081 0.0.0.0:8082 0.0.0.0:8083", names(config.listen))
  end)

  it("may hold all routes and listeners there are", function()
    local config = values {
      ["tidegate.yaml"] = "include: ['*/listen.yaml', more.yaml]",
      ["a/listen.yaml"] = "listen: ':80'",
      ["b/listen.yaml"] = "listen: [':81']",
      ["more.yaml"] = "version: 1\nroutes: [{ name: r, path: /, respond: {} }]",
    }
    assert.equal("0.0.0.0:80 0.0.0.0:81", names(config.listen))
    assert.equal("r", names(config.routes))
  end)

  it("replace named things, which is told", function()
    local config, told = values {
      ["conf.d/a.yaml"] = "services:\n  app: 'http://a:1'\n  b: 'http://b:1'\ndictionaries: { d: 1MiB }",
      ["conf.d/b.yaml"] = "services: { b: 'http://b:2' }\ndictionaries: { d: 2MiB }\ninstances:\n",
    }
    assert.equal("a", config.services.app.nodes[1].url.host)
    assert.equal(2, config.services.b.nodes[1].url.port)
    assert.equal(2 * 2 ^ 20, config.dictionaries.d.size)
    assert.equal("conf.d/a.yaml:2:3: notice: services.app: replaces the one in tidegate.yaml:6\n" ..
                 "    2 |   app: 'http://a:1'\n      |   ^\n" ..
                 "conf.d/b.yaml:1:13: notice: services.b: replaces the one in conf.d/a.yaml:3\n" ..
                 "    1 | services: { b: 'http://b:2' }\n      |             ^\n" ..
                 "conf.d/b.yaml:2:17: notice: dictionaries.d: replaces the one in conf.d/a.yaml:4\n" ..
                 "    2 | dictionaries: { d: 2MiB }\n      |                 ^\n", told)
  end)

  it("are each read once, however often they are named", function()
    local config, told = values {
      ["tidegate.yaml"] = "include: [b.yaml, '*.yaml', ./b.yaml, 'tidegate.y?ml']\nlisten: [':1']",
      ["a.yaml"] = "routes: [{ name: a, path: /a, respond: {} }]",
      ["b.yaml"] = "routes: [{ name: b, path: /b, respond: {} }]",
    }
    assert.equal("b a", names(config.routes))
    assert.equal("", told)
  end)

  it("are found beside the main file, wherever relative names start otherwise", function()
    local config = values {
      ["tidegate.yaml"] = "include: conf/a.yaml\nlisten: [':1']\ngateway: { working_dir: /tmp }",
      ["conf/a.yaml"] = "routes: [{ name: a, path: /a, respond: {} }]",
    }
    assert.equal("a", names(config.routes))
  end)

  it("are named with values from the environment", function()
    local function getenv(name) return name == "STAGE" and "test" or nil end
    local config = values({
      ["tidegate.yaml"] = "include: ['${STAGE}/*.yaml', '${REGION:-eu}.yaml']\nlisten: [':1']",
      ["test/a.yaml"] = "routes: [{ name: a, path: /a, respond: { body: '${STAGE}' } }]",
      ["eu.yaml"] = "routes: [{ name: b, path: /b, respond: {} }]",
    }, { getenv = getenv })
    assert.equal("a b", names(config.routes))
    assert.equal("test", config.routes[1].respond.body)
  end)

  it("lie in folders whatever these are called", function()
    local folder = tree { ["odd [a]*\\/tidegate.yaml"] = MAIN,
                          ["odd [a]*\\/conf.d/a.yaml"] = "routes: [{ name: a, path: /, service: app }]" }
    local result = configuration.load_file(folder .. "/odd [a]*\\/tidegate.yaml")
    assert.equal("main a", names(result.config.routes))
  end)

  it("are depended on, and their patterns", function()
    local result, _, folder = load { ["conf.d/a.yaml"] = "routes: []" }
    assert.same({ folder .. "/tidegate.yaml", folder .. "/conf.d", folder .. "/conf.d/a.yaml" }, result.files)
    assert.same({ folder .. "/conf.d/*.yaml" }, result.globs)
  end)

  it("are the same for whoever is given the texts of a load", function()
    local result, _, folder = load { ["conf.d/a.yaml"] = "routes: [{ name: a, path: /a, service: app }]" }
    os.remove(folder .. "/conf.d/a.yaml")
    files.write(folder .. "/conf.d/b.yaml", "routes: [")
    local again = configuration.load_file(folder .. "/tidegate.yaml", { texts = result.texts })
    assert.equal("main a", names(again.config.routes))
  end)

  local wrong = {
    { "a name of nothing", { ["tidegate.yaml"] = "include: [gone.yaml]\nlisten: [':1']\nroutes: []" },
      "tidegate.yaml:1:11: include[1]: gone.yaml cannot be read: No such file or directory" },
    { "a folder", { ["tidegate.yaml"] = "include: conf.d\nlisten: [':1']\nroutes: []", ["conf.d/a.yaml"] = "" },
      "tidegate.yaml:1:10: include: conf.d cannot be read: Is a directory" },
    { "a pattern over levels", { ["tidegate.yaml"] = "include: ['conf/**.yaml']\nlisten: [':1']\nroutes: []" },
      'tidegate.yaml:1:11: include[1]: a "*" stands within one folder: write a pattern for each level' },
    { "a file that includes", { ["conf.d/a.yaml"] = "include: [b.yaml]" },
      "conf.d/a.yaml:1:1: include: an included file cannot include others; name them in tidegate.yaml" },
    { "broken YAML", { ["conf.d/a.yaml"] = "routes: [" }, "conf.d/a.yaml:2:1: expected a value" },
    { "an empty file, which may be one that is being written", { ["conf.d/a.yaml"] = "" },
      "conf.d/a.yaml:1:1: the file is empty; where that is meant, write a comment into it" },
    { "a list", { ["conf.d/a.yaml"] = "- path: /" }, "conf.d/a.yaml:1:1: expected a map, found a list" },
    { "routes that are no list", { ["conf.d/a.yaml"] = "routes: { path: / }" },
      "conf.d/a.yaml:1:9: routes: expected a list, found a map" },
    { "services that are no map", { ["conf.d/a.yaml"] = "services: [a]" },
      "conf.d/a.yaml:1:11: services: expected a map, found a list" },
    { "another version", { ["tidegate.yaml"] = "version: 1\n" .. MAIN, ["conf.d/a.yaml"] = "version: 2" },
      "conf.d/a.yaml:1:10: version: expected 1 as in tidegate.yaml:1, found \"2\"" },
    { "unknown keys in two files", { ["conf.d/a.yaml"] = "rout: 1", ["conf.d/b.yaml"] = "rout: 1" },
      'conf.d/a.yaml:1:1: rout: unknown key; did you mean "routes"?' },
    { "errors, with the number that the route has among all",
      { ["conf.d/a.yaml"] = "routes:\n  - { path: /a, service: app }\n  - { path: /b, servic: app }" },
      'conf.d/a.yaml:3:17: routes[3].servic: unknown key; did you mean "service"?' },
    { "names that are in use in another file",
      { ["conf.d/a.yaml"] = "routes: [{ name: main, path: /a, service: app }]" },
      'conf.d/a.yaml:1:18: routes[2].name: the name "main" is in use already (tidegate.yaml:4)' },
    { "addresses that are listened on in another file", { ["conf.d/a.yaml"] = "listen: ':8080'" },
      "conf.d/a.yaml:1:9: listen[2].address: 0.0.0.0:8080 is listened on already (tidegate.yaml:1)" },
    { "values that are missing", { ["conf.d/a.yaml"] = "routes: [{ path: /a, respond: { body: '${NOPE}' } }]" },
      "conf.d/a.yaml:1:39: routes[2].respond.body: the environment has no NOPE" },
    { "a missing value in its own name", { ["tidegate.yaml"] = "include: ['${NOPE}/*']\nlisten: ':1'\nroutes: []" },
      "tidegate.yaml:1:11: include[1]: the environment has no NOPE" },
    { "something else than names", { ["tidegate.yaml"] = "include: [{ a: b }, [c], 5, '']\nlisten: ':1'\nroutes: []" },
      "tidegate.yaml:1:11: include[1]: expected a text, found a map" },
  }
  for _, case in ipairs(wrong) do
    it("may not be or hold " .. case[1], function()
      local result, told = load(case[2])
      assert.is_false(result.good)
      assert.truthy(told:find(case[3], 1, true), told)
    end)
  end

  local noticed = {
    { "blocks that count in the main file alone",
      { ["conf.d/a.yaml"] = "gateway: { threads: nonsense }\nlimits: { head: 1KiB }" },
      "conf.d/a.yaml:1:1: notice: gateway: only counts in the main file, tidegate.yaml: ignored here" },
    { "a pattern that finds nothing", {}, 'tidegate.yaml:2:11: notice: include[1]: no file matches "conf.d/*.yaml"' },
  }
  for _, case in ipairs(noticed) do
    it("have notices about " .. case[1], function()
      local _, told = values(case[2])
      assert.truthy(told:find(case[3], 1, true), told)
    end)
  end

  it("have no notices where only errors and warnings are asked for", function()
    local result = load {}
    assert.equal("", result.report:text())
  end)

  it("are overridden like the main file", function()
    local config = values({ ["conf.d/a.yaml"] = "services: { b: 'http://b:1' }\nroutes: [{ path: /x, service: b }]" },
                          { set = { "services.b=http://c:2", "routes[2].path=/y" },
                            variables = { { "TIDEGATE_SERVICES__APP", "http://d:3" } } })
    assert.same({ "c", "d", "/y" }, { config.services.b.nodes[1].url.host, config.services.app.nodes[1].url.host,
                                     config.routes[2].paths[1] })
  end)

  it("are bounded in number", function()
    local folder = tree { ["tidegate.yaml"] = MAIN, ["conf.d/0.yaml"] = "routes: []" }
    for i = 1, 1000 do files.write(("%s/conf.d/%04d.yaml"):format(folder, i), "# empty") end
    local text = configuration.load_file(folder .. "/tidegate.yaml").report:text()
    assert.truthy(text:find("include[1]: expected at most 1000 files, found more", 1, true), text)
  end)

  it("are bounded in size", function()
    local line = "# " .. ("x"):rep(97) .. "\n"
    local big = line:rep(120000)
    local _, told = load { ["conf.d/a.yaml"] = big, ["conf.d/b.yaml"] = big, ["conf.d/c.yaml"] = big }
    assert.truthy(told:find("all files together hold more than 32 MiB; conf.d/c.yaml is too much", 1, true), told)
  end)

  it("are bounded in what their aliases stand for", function()
    local bomb = { "a: &a [x, x, x, x, x, x, x, x, x, x]" }
    for i = 1, 4 do
      local name = string.char(97 + i)
      local alias = "*" .. string.char(96 + i)
      bomb[#bomb + 1] = ("%s: &%s [%s]"):format(name, name, (alias .. ", "):rep(9) .. alias)
    end
    local text = table.concat(bomb, "\n")
    local parts = {}
    for i = 1, 12 do parts[("conf.d/%02d.yaml"):format(i)] = text end
    local _, told = load(parts)
    assert.truthy(told:find("all files together hold more than a million values", 1, true), told:sub(1, 300))
  end)
end)

describe("the file of an environment", function()
  local function texts(environment)
    return {
      ["tidegate.yaml"] = MAIN .. "gateway: { threads: 2, grace: 5s }\n" ..
                          "log: { level: info, access: [{ file: stdout }] }",
      ["conf.d/a.yaml"] = "services: { app: 'http://a:1' }",
      ["staging.yaml"] = environment,
    }
  end

  it("changes blocks key by key, and comes last", function()
    local config, told = values(texts [[
gateway: { threads: 3 }
log: { access: [] }
limits: { head: 16KiB }
services: { app: "http://staging:1" }
routes: [{ name: staging, path: /staging, respond: {} }]
]], { env = "staging" })
    assert.same({ 3, 5, "info", 0, 16384 }, { config.gateway.threads, config.gateway.grace, config.log.level,
                                              #config.log.access, config.limits.head })
    assert.equal("staging", config.services.app.nodes[1].url.host)
    assert.equal("main staging", names(config.routes))
    assert.truthy(told:find "replaces the one in tidegate.yaml")        -- what conf.d/a.yaml does
    assert.falsy(told:find "staging.yaml")
  end)

  it("is not read without being asked for, nor included by a pattern when it is", function()
    local own = { ["tidegate.yaml"] = "include: ['*.yaml']\nlisten: [':1']\nroutes: []",
                  ["staging.yaml"] = "routes: [{ name: s, path: /, respond: {} }]" }
    assert.equal("s", names(values(own, { env = "staging" }).routes))
    assert.equal("", names(values(texts "broken: [").routes):gsub("main", ""))
  end)

  local wrong = {
    { "is not there", nil, "--env staging: staging.yaml cannot be read: No such file or directory" },
    { "includes", "include: [a.yaml]", "staging.yaml:1:1: include: an included file cannot include others" },
    { "holds errors", "gateway: { thraeds: 1 }",
      'staging.yaml:1:12: gateway.thraeds: unknown key; did you mean "threads"' },
  }
  for _, case in ipairs(wrong) do
    it("is an error where it " .. case[1], function()
      local result, told = load(texts(case[2]), { env = "staging" })
      assert.is_false(result.good)
      assert.truthy(told:find(case[3], 1, true), told)
    end)
  end

  it("is overridden like the others", function()
    local config = values(texts "gateway: { threads: 3 }", { env = "staging", set = { "gateway.threads=4" } })
    assert.equal(4, config.gateway.threads)
  end)
end)
