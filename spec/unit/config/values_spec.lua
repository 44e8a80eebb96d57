local configuration = require "support.configuration"
local files = require "support.files"
local plugins = require "support.plugins"

local ENVIRONMENT = { NAME = "value", EMPTY = "", NUMBER = "3", TRUTH = "true", NESTED = "${NAME}", YAML = "[a, b]" }

local function getenv(name) return ENVIRONMENT[name] end

--- The body of a response that is written so.
local function body(text)
  local lines = ("routes: [{ path: /, respond: { body: %s } }]"):format(text)
  local values = configuration.values(lines, { getenv = getenv })
  return values.routes[1].respond.body
end

describe("a value from outside", function()
  local cases = {
    { "is the environment", '"${NAME}"', "value" },
    { "stands within a text, more than once", '"a ${NAME} b ${NAME}"', "a value b value" },
    { "has a default", '"${MISSING:-other}"', "other" },
    { "has a default that may be empty", '"${MISSING:-}"', "" },
    { "takes its default where it is empty", '"${EMPTY:-other}"', "other" },
    { "may be empty", '"${EMPTY}"', "" },
    { "is a text, whatever it looks like", '"${NUMBER}"', "3" },
    { "is a text even when it is true", '"${TRUTH}"', "true" },
    { "is not looked into", '"${NESTED}"', "${NAME}" },
    { "cannot change the structure", '"${YAML}"', "[a, b]" },
    { "may be written plain", "${NAME}", "value", block = true },
    { "is escaped by another dollar", '"$${NAME} $${lower} $$ $5"', "${NAME} ${lower} $$ $5" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      if case.block then
        local text = "routes:\n  - path: /\n    respond:\n      body: " .. case[2]
        assert.equal(case[3], configuration.values(text, { getenv = getenv }).routes[1].respond.body)
      else
        assert.equal(case[3], body(case[2]))
      end
    end)
  end

  it("is a number or a boolean where one is expected", function()
    local text = 'limits: { headers: "${NUMBER}" }\nsecurity: { merge_slashes: "${TRUTH}" }'
    local values = configuration.values(text, { getenv = getenv })
    assert.equal(3, values.limits.headers)
    assert.is_true(values.security.merge_slashes)
  end)

  it("does not stand for keys", function()
    local text = 'routes: [{ path: /, respond: { headers: { "${NAME}": x } } }]'
    assert.equal(1, #configuration.complaints(text, { getenv = getenv }))
  end)

  it("is left for run time where it is in lower case and may stand there", function()
    local text = 'routes: [{ path: /, redirect: { to: "https://${host}/${NAME}${path}" } }]'
    local values = configuration.values(text, { getenv = getenv })
    assert.equal("https://${host}/value${path}", values.routes[1].redirect.to)
  end)

  it("is left for run time with its default", function()
    local folder = plugins.folder { ["plugins/hello.lua"] =
      'return { schema = { word = { type = "template" } }, request = function() end }' }
    local yaml = 'plugins: [{ hello: { word: "${header.x-a:-NAME } ${NAME}" } }]'
    local bundle = plugins.bundle(folder, yaml, { getenv = getenv })
    assert.equal("${header.x-a:-NAME } value", bundle.instances[1].conf.word)
  end)

  local complaints = {
    { "is missed where it is not there", '"${MISSING}"',
      "the environment has no MISSING; ${MISSING:-...} would give a default" },
    { "is refused in mixed case", '"${Name}"',
      'expected ${NAME}, ${NAME:-default} or ${file:/path}; a plain "${" is written "$${"' },
    { "is refused without its end", '"${NAME"',
      'expected ${NAME}, ${NAME:-default} or ${file:/path}; a plain "${" is written "$${"' },
    { "is refused where no template can be", '"${client.ip}"',
      "the template ${client.ip} cannot stand here; write $${client.ip} for the text itself" },
    { "is one error, whatever else it should be", '"${MISSING} ${Wrong}"',
      "the environment has no MISSING; ${MISSING:-...} would give a default", more = 1 },
  }
  for _, case in ipairs(complaints) do
    it(case[1], function()
      local text = ("routes: [{ path: /, respond: { body: %s } }]"):format(case[2])
      local found = configuration.complaints(text, { getenv = getenv })
      assert.equal(1 + (case.more or 0), #found)
      assert.equal("routes[1].respond.body: " .. case[3], found[1])
    end)
  end
end)

describe("a value from a file", function()
  local function load(name, text)
    local folder = files.folder()
    if text then files.write(folder .. "/secret", text) end
    local lines = ("routes: [{ path: /, respond: { body: '${file:%s}' } }]"):format((name:gsub("HERE", folder)))
    files.write(folder .. "/tidegate.yaml", configuration.small(lines))
    return configuration.load_file(folder .. "/tidegate.yaml"), folder
  end

  it("is what the file holds, without the last line break", function()
    local result = load("HERE/secret", "one\ntwo\n")
    assert.equal("one\ntwo", result.config.routes[1].respond.body)
  end)

  it("is found beside the configuration", function()
    assert.equal("x", load("secret", "x").config.routes[1].respond.body)
  end)

  it("is among the files that the configuration depends on", function()
    local result, folder = load("secret", "x")
    assert.same({ folder .. "/tidegate.yaml", folder .. "/secret" }, result.files)
  end)

  it("is among them also when it is missing", function()
    local result, folder = load("secret")
    assert.same({ folder .. "/tidegate.yaml", folder .. "/secret" }, result.files)
    assert.truthy(result.report:text():find("cannot read secret: No such file or directory", 1, true))
  end)

  it("is refused when it is huge", function()
    assert.truthy(load("secret", ("x"):rep(1024 * 1024 + 1)).report:text():find("larger than 1 MiB", 1, true))
  end)

  it("is refused when it is a pipe that nobody writes to, and not waited for", function()
    local folder = files.folder()
    assert.equal(0, os.execute("mkfifo " .. folder .. "/pipe"))
    local said = load(folder .. "/pipe").report:text()
    assert.truthy(said:find("cannot read " .. folder .. "/pipe: a pipe out of which nothing comes", 1, true), said)
  end)

  it("may be a pipe that somebody writes to", function()
    local folder = files.folder()
    local pipe = folder .. "/pipe"
    assert.equal(0, os.execute(("mkfifo %s; (printf first; sleep 0.1; echo ' second') > %s &"):format(pipe, pipe)))
    assert.equal("first second", load(pipe).config.routes[1].respond.body)
  end)

  it("is refused when it is a folder", function()
    assert.truthy(load("HERE").report:text():find("Is a directory", 1, true))
  end)
end)
