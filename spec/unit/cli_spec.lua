local C = require "tidegate.ffi"
local command_line = require "support.command_line"
local configuration = require "support.configuration"
local ffi = require "ffi"
local files = require "support.files"

local run, run_in = command_line.run, command_line.run_in

local GOOD = configuration.small 'services: { app: "127.0.0.1:9000" }\nroutes: [{ path: /, service: app }]'

describe("the command line", function()
  local folder = files.folder()
  local path = folder .. "/tidegate.yaml"

  before_each(function() files.write(path, GOOD) end)

  it("tells its version", function()
    assert.same({ 0, "tidegate " .. ffi.string(C.tide_version()) .. "\n", "" }, { run "version" })
    assert.same({ 0, "tidegate " .. ffi.string(C.tide_version()) .. "\n", "" }, { run "--version" })
  end)

  local wrong = {
    { {}, "a command is required" },
    { { "fly" }, "unknown command 'fly'" },
    { { "run", "--nope" }, "unknown option '--nope'" },
    { { "check", "-c" }, "option '-c' requires an argument" },
    { { "chekc" }, "unknown command 'chekc'" },
    { { "run", "x" }, "too many arguments" },
  }
  for _, case in ipairs(wrong) do
    it("refuses: tidegate " .. table.concat(case[1], " "), function()
      local code, out, err = run(unpack(case[1]))
      assert.same({ 2, "" }, { code, out })
      assert.truthy(err:find "^Usage: tidegate")
      assert.truthy(err:find("tidegate: " .. case[2], 1, true), err)
    end)
  end

  it("needs a configuration", function()
    local code, _, err = run_in("/", "check")
    assert.equal(2, code)
    assert.equal("tidegate: there is no configuration: neither tidegate.yaml nor /etc/tidegate/tidegate.yaml; " ..
                 "name one with -c FILE\n", err)
  end)

  it("says why it cannot read the tidegate.yaml that there is", function()
    local here = files.folder()
    assert.equal(0, os.execute(("ln -s tidegate.yaml '%s/tidegate.yaml'"):format(here)))
    local code, _, err = run_in(here, "check")
    assert.same({ 2, "tidegate.yaml: cannot be read: Too many levels of symbolic links\n" }, { code, err })
  end)

  it("finds tidegate.yaml in the folder it is started in", function()
    local code, out = run_in(folder, "check")
    assert.same({ 0, "tidegate.yaml is good: 1 route, 1 service, 1 listener\n" }, { code, out })
  end)
end)

describe("tidegate check for programs", function()
  local folder = files.folder()
  local path = folder .. "/tidegate.yaml"
  local shown = path:gsub("%p", "%%%0")

  local BAD = "listen: [\":0\"]\nroutes:\n  - { path: /, respond: {}, servic: \"a,b: 100%\" }\ninclude: [none/*.yaml]\n"

  it("gives a list in JSON", function()
    files.write(path, BAD)
    local code, out, err = run("check", "-c", path, "--format", "json")
    assert.same({ 2, "" }, { code, err })
    assert.same({
      { severity = "error", file = path, line = 3, column = 29, path = "routes[1].servic",
        message = 'unknown key; did you mean "service"?' },
      { severity = "notice", file = path, line = 4, column = 11, path = "include[1]",
        message = 'no file matches "none/*.yaml"' },
    }, require("cjson").decode(out))
  end)

  it("gives an empty list where all is well", function()
    files.write(path, GOOD)
    assert.same({ 0, "[]\n", "" }, { run("check", "-c", path, "--format", "json") })
    assert.same({ 0, "", "" }, { run("check", "-c", path, "--format", "github") })
  end)

  it("gives workflow commands", function()
    files.write(path, BAD)
    local code, out = run("check", "-c", path, "--format=github", "--set", "limits.head=100%")
    assert.equal(2, code)
    assert.equal("::error::--set limits.head=100%25: limits.head: expected a size such as 64KiB or 10MiB, found " ..
                 '"100%25"\n' ..
                 '::error file=F,line=3,col=29::routes[1].servic: unknown key; did you mean "service"?\n' ..
                 '::notice file=F,line=4,col=11::include[1]: no file matches "none/*.yaml"\n', (out:gsub(shown, "F")))
  end)

  it("escapes what would end a property of a workflow command", function()
    local odd = folder .. "/a,b:c%.yaml"
    files.write(odd, "rout: 1")
    local _, out = run("check", "-c", odd, "--format", "github")
    assert.truthy(out:find("/a%2Cb%3Ac%25.yaml,line=1,col=1::rout: unknown key", 1, true), out)
  end)

  it("refuses other formats", function()
    local code, _, err = run("check", "-c", path, "--format", "xml")
    assert.equal(2, code)
    assert.truthy(err:find("text", 1, true))
  end)
end)

describe("tidegate check --fragment", function()
  local folder = files.folder()
  local path = folder .. "/users.yaml"

  local good = {
    { "routes to services that are elsewhere", "routes: [{ path: /, service: users }]",
      "there is no service \"users\"" },
    { "listeners that are elsewhere", "routes: [{ path: /, respond: {}, on: [tls] }]", "no listener has the name" },
    { "plugins that are elsewhere", "routes: [{ path: /, respond: {}, plugins: [own] }]",
      "there is no plugin \"own\"" },
    { "files that are elsewhere", "listen: { address: ':1', tls: { certificates: [{ cert: a, key: b }] } }",
      "cannot read" },
    { "services alone", "services: { a: '127.0.0.1:1' }", nil },
  }
  for _, case in ipairs(good) do
    it("lets pass " .. case[1], function()
      files.write(path, case[2])
      local code, out, err = run("check", "-c", path, "--fragment")
      assert.equal(0, code, err)
      assert.truthy(out:find("is good as a part: ", 1, true))
      if case[3] then assert.truthy(err:find("notice: .*" .. case[3]), err) else assert.equal("", err) end
    end)
  end

  local bad = {
    { "wrong words", "routes: [{ path: /, servic: users }]", 'did you mean "service"?' },
    { "settings of shipped plugins that are wrong", "plugins: [{ cors: { allow_origin: ['*'] } }]", "unknown key" },
    { "YAML that is none", "routes: [", "expected a value" },
  }
  for _, case in ipairs(bad) do
    it("still refuses " .. case[1], function()
      files.write(path, case[2])
      local code, _, err = run("check", "-c", path, "--fragment")
      assert.equal(2, code)
      assert.truthy(err:find(case[3], 1, true), err)
    end)
  end

  it("is needed: the same is wrong as a whole", function()
    files.write(path, "routes: [{ path: /, service: users }]")
    local code, _, err = run("check", "-c", path)
    assert.equal(2, code)
    assert.truthy(err:find("listen: missing", 1, true))
    assert.truthy(err:find('there is no service "users"', 1, true))
  end)
end)

describe("tidegate check --show", function()
  local folder = files.folder()
  local path = folder .. "/tidegate.yaml"

  before_each(function() files.write(path, GOOD) end)

  it("prints YAML that can be checked in turn", function()
    local code, out, err = run("check", "-c", path, "--show", "--set", "gateway.threads=3")
    assert.same({ 0, "" }, { code, err })
    assert.truthy(out:find("\n  threads: 3  # --set\n", 1, true), out)
    files.write(path, out)
    assert.equal(0, (run("check", "-c", path)))
  end)

  it("prints a part", function()
    local code, out = run("check", "-c", path, "--show", "services.app.nodes")
    assert.equal(0, code)
    assert.truthy(out:find("^%- url: 127%.0%.0%.1:9000  # .*/tidegate%.yaml:%d+\n"), out)
  end)

  local wrong = {
    { { "--show", "routes.a" }, 1, "there is no routes.a in this configuration; routes go by number, as in routes[2]" },
    { { "--show", "services.nope" }, 1, "there is no services.nope in this configuration" },
    { { "--show", "a..b" }, 2, "expected a path such as services.app.nodes[1]" },
    { { "--show", "--format", "json" }, 2, "--show prints YAML" },
    { { "--show", "-s", "gateway.threads=x" }, 2, "gateway.threads: expected" },
  }
  for _, case in ipairs(wrong) do
    it("says what is wrong with " .. table.concat(case[1], " "), function()
      local code, out, err = run("check", "-c", path, unpack(case[1]))
      assert.same({ case[2], "" }, { code, out })
      assert.truthy(err:find(case[3], 1, true), err)
    end)
  end
end)

describe("tidegate check", function()
  local folder = files.folder()
  local path = folder .. "/tidegate.yaml"

  it("counts what is in a good file", function()
    files.write(path, GOOD)
    assert.same({ 0, path .. " is good: 1 route, 1 service, 1 listener\n", "" }, { run("check", "-c", path) })
  end)

  it("tells all errors of a bad file", function()
    files.write(path, "listen: []\nrout: []\n")
    local code, out, err = run("check", "--config", path)
    assert.same({ 2, "" }, { code, out })
    assert.truthy(err:find("listen: expected at least 1 item, found 0", 1, true))
    assert.truthy(err:find('rout: unknown key; did you mean "routes"?', 1, true))
  end)

  it("tells what the core finds", function()
    files.write(path, GOOD .. "\nlog: { access: [{ file: stdout, template: '${nope}' }] }\n")
    local code, _, err = run("check", "-c", path)
    assert.equal(2, code)
    assert.truthy(err:find('log.access[1].template: unknown field "nope"', 1, true))
  end)

  it("tells warnings of a good file", function()
    files.write(path, GOOD .. "\n", "")
    local code, out, err = run("check", "-c", path, "--set", "services.app.nodes=[{ url: 'a:1', enabled: false }]",
                               "-s", "services.app={ nodes: [{ url: 'a:1', enabled: false }] }")
    assert.equal(2, code)       -- the first of the two has no place: services.app is a text
    assert.equal("", out)
    assert.truthy(err:find("there is no place for nodes here", 1, true))
    code, out, err = run("check", "-c", path, "-s", "services.app={ nodes: [{ url: 'a:1', enabled: false }] }")
    assert.equal(0, code)
    assert.truthy(out:find "is good")
    assert.truthy(err:find("warning: services.app.nodes: no node is enabled", 1, true))
  end)

  it("tells of a file that is not there", function()
    assert.same({ 2, "", "/nowhere.yaml: cannot be read: No such file or directory\n" },
                { run("check", "-c", "/nowhere.yaml") })
  end)
end)

describe("a gateway that is not running", function()
  local folder = files.folder()
  local path = folder .. "/tidegate.yaml"

  before_each(function()
    os.remove(folder .. "/a.pid")
    files.write(path, GOOD .. "\ngateway: { pid_file: a.pid }\n")
  end)

  for _, command in ipairs { "stop", "reload", "status" } do
    it("is told: " .. command, function()
      assert.same({ 1, "", ("tidegate: not running (there is no %s/a.pid)\n"):format(folder) },
                  { run(command, "-c", path) })
    end)

    it("is told with a pid file left over: " .. command, function()
      files.write(folder .. "/a.pid", "1\n")
      local code, _, err = run(command, "-c", path)
      assert.equal(1, code)
      assert.truthy(err:find("a.pid is left over from one that ended without cleaning up", 1, true))
    end)

    it("is told with a broken configuration: " .. command, function()
      files.write(path, "gateway: { pid_file: a.pid\n  oops")
      local code, _, err = run(command, "-c", path)
      assert.equal(1, code)
      assert.truthy(err:find "^tidegate: not running")
    end)
  end

  it("is told to programs", function()
    assert.same({ 1, '{"running":false}\n', "" }, { run("status", "--json", "-c", path) })
  end)

  it("is not restarted with a bad configuration", function()
    files.write(path, "nonsense: 1\n")
    local code, _, err = run("restart", "-c", path)
    assert.equal(2, code)
    assert.truthy(err:find("tidegate: not restarted: the configuration is bad\n", 1, true))
  end)
end)

describe("what C is told to do", function()
  local told
  local recorder = setmetatable({}, { __index = C })
  function recorder.tide_command(mode, file, overrides) told = { tonumber(mode), file, overrides } end

  local own

  setup(function()
    package.loaded["tidegate.ffi"] = recorder
    package.loaded["tidegate.cli"] = nil
    own = require "tidegate.cli"
    package.loaded["tidegate.ffi"] = C
    package.loaded["tidegate.cli"] = nil
  end)

  local RUN, START = tonumber(C.TIDE_RUN), tonumber(C.TIDE_START)
  local cases = {
    { { "run", "-c", "a.yaml" }, { RUN, "a.yaml", "" } },
    { { "start", "--config", "a.yaml" }, { START, "a.yaml", "" } },
    { { "-c", "a.yaml" }, { RUN, "a.yaml", "" } },
    { { "-config", "a.yaml" }, { RUN, "a.yaml", "" } },
    { { "--config=a.yaml" }, { RUN, "a.yaml", "" } },
    { { "-config=a.yaml" }, { RUN, "a.yaml", "" } },
    { { "run", "-config", "a.yaml" }, { RUN, "a.yaml", "" } },
    { { "run", "-c", "a.yaml", "--set", "a=1", "-s", "b.c=x y" }, { RUN, "a.yaml", "--set=a=1\n--set=b.c=x y" } },
    { { "-s", "a=1", "-c", "a.yaml" }, { RUN, "a.yaml", "--set=a=1" } },
    { { "start", "-c", "a.yaml", "--env", "test", "-s", "a=1" }, { START, "a.yaml", "--env=test\n--set=a=1" } },
    { { "--env=test", "-c", "a.yaml" }, { RUN, "a.yaml", "--env=test" } },
  }
  for _, case in ipairs(cases) do
    it("by: tidegate " .. table.concat(case[1], " "), function()
      told = nil
      assert.equal(0, own.main(case[1]))
      assert.same(case[2], told)
    end)
  end

  it("is nothing where a value has line breaks", function()
    told = nil
    local real = io.stderr
    io.stderr = { write = function() end }
    local code = own.main { "run", "-c", "a.yaml", "--set", "a=1\nb=2" }
    io.stderr = real
    assert.equal(2, code)
    assert.is_nil(told)
  end)
end)
