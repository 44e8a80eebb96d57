--- A configuration of several files while the gateway runs: files that come, change, break and go, values in files of
-- their own, and the environment that was asked for at the start.
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local signal = require "posix.signal"

local MAIN = [[
include: ["conf.d/*.yaml", "teams/*/routes.yaml"]
routes:
  - { path: /main, respond: { body: main } }
]]

local function route(path, body)
  return ("routes:\n  - { path: %s, respond: { body: '%s' } }\n"):format(path, body or path)
end

describe("a gateway with several files", function()
  local gw

  local function start(yaml, o) gw = gateway.start(yaml or MAIN, o) end

  after_each(function() gw:stop() end)

  local function ask(path) return client.ask(gw:port(), client.request { target = path }) end

  local function wait_for(path, body)
    clock.wait_until(function()
      local got = ask(path)
      return body and got.status == 200 and got.body == body or not body and got.status == 404
    end, nil, path .. " to be " .. (body or "gone"))
  end

  it("sees files of an included folder come, change and go", function()
    start(nil, { files = { ["conf.d/a.yaml"] = route "/a" } })
    wait_for("/a", "/a")
    gw:write_file("conf.d/b.yaml", route "/b")
    wait_for("/b", "/b")
    gw:write_file("conf.d/b.yaml", route("/b", "changed"))
    wait_for("/b", "changed")
    os.remove(gw.folder .. "/conf.d/a.yaml")
    wait_for("/a", nil)
    wait_for("/main", "main")
  end)

  it("sees folders that come after the start, and files that come to them later", function()
    start()
    os.execute("mkdir '" .. gw.folder .. "/conf.d'")
    gw:wait_log "configuration in force generation=2"
    gw:write_file("conf.d/a.yaml", route "/a")
    wait_for("/a", "/a")
    os.execute(("mkdir -p '%s/teams/red'"):format(gw.folder))
    gw:write_file("teams/red/routes.yaml", route "/red")
    wait_for("/red", "/red")
    os.execute(("mkdir -p '%s/teams/blue'"):format(gw.folder))
    gw:write_file("teams/blue/routes.yaml", route "/blue")
    wait_for("/blue", "/blue")
  end)

  it("does not mind other files beside them", function()
    start(nil, { files = { ["conf.d/a.yaml"] = route "/a" } })
    gw:write_file("conf.d/notes.txt", "routes: [")
    gw:write_file("conf.d/.a.yaml.swp", "routes: [")
    gw:write_file("conf.d/b.yaml", route "/b")
    wait_for("/b", "/b")
    gw:wait_log "generation=2"
    assert.falsy(gw:log():find("refused", 1, true))
    assert.falsy(gw:log():find("generation=4", 1, true))
  end)

  local broken = {
    { "half of a file", "routes:\n  - { path: /a, resp", "conf.d/a.yaml:3:1: expected a comma or }" },
    { "an empty file", "", "conf.d/a.yaml:1:1: the file is empty" },
    { "a wrong word", "routes:\n  - { pat: /a, respond: {} }", "conf.d/a.yaml:2:7: routes[2].pat: unknown key" },
  }
  for _, case in ipairs(broken) do
    it("keeps what it has while there is " .. case[1], function()
      start(nil, { files = { ["conf.d/a.yaml"] = route "/a" } })
      files.write(gw.folder .. "/conf.d/a.yaml", case[2])
      gw:wait_log(case[3]:gsub("%p", "%%%0"))
      assert.equal("/a", ask("/a").body)
      local code, text = gw:reload()
      assert.equal(1, code)
      assert.truthy(text:find(case[3], 1, true), text)
      gw:write_file("conf.d/a.yaml", route("/a", "mended"))
      wait_for("/a", "mended")
    end)
  end

  it("quarantines the broken one of two included files, where that is wanted", function()
    start("gateway: { threads: 1, grace: 1s, on_invalid: quarantine }\n" .. MAIN,
          { files = { ["conf.d/a.yaml"] = route "/a", ["conf.d/b.yaml"] = route "/b" } })
    gw:write_file("conf.d/a.yaml", "routes: [")
    gw:wait_log "in quarantine: file [^\n]*/conf.d/a.yaml"
    gw:write_file("conf.d/b.yaml", route("/b", "changed"))
    wait_for("/b", "changed")
    assert.equal("/a", ask("/a").body)
    gw:write_file("conf.d/a.yaml", "routes:\n  - { path: /a, respond: { status: no } }\n" ..
                                   "  - { path: /new, respond: { body: new } }\n")
    wait_for("/new", "new")
    assert.same({ "/a", "main" }, { ask("/a").body, ask("/main").body })
  end)

  it("reads a file again whose contents are a value", function()
    start("routes:\n  - { path: /, respond: { body: \"${file:secrets/word}\" } }\n",
          { files = { ["secrets/word"] = "first\n" } })
    wait_for("/", "first")
    gw:write_file("secrets/word", "second\n")
    wait_for("/", "second")
    os.remove(gw.folder .. "/secrets/word")
    gw:wait_log "cannot read secrets/word: No such file or directory"
    assert.equal("second", ask("/").body)
    gw:write_file("secrets/word", "third")
    wait_for("/", "third")
  end)

  it("reads a secret again that is swapped under a symlink, as orchestrators do", function()
    start("routes:\n  - { path: /, respond: { body: \"${file:secrets/word}\" } }\n", { files = {
      ["secrets/..1/word"] = "first", ["secrets/word"] = "to be replaced",
    } })
    local at = gw.folder .. "/secrets/"
    os.execute(("ln -s ..1 '%s..data' && ln -sf ..data/word '%sword'"):format(at, at))
    wait_for("/", "first")
    gw:write_file("secrets/..2/word", "second")
    os.execute(("ln -s ..2 '%s..new' && mv -T '%s..new' '%s..data'"):format(at, at, at))
    wait_for("/", "second")
  end)

  it("keeps its environment over reloads, a crash and an upgrade", function()
    start(MAIN, { args = { "--env", "test", "--set", "routes[1].respond.status=202" },
                  files = { ["test.yaml"] = route "/test" } })
    wait_for("/test", "/test")
    gw:write_file("test.yaml", route("/test", "changed"))
    wait_for("/test", "changed")
    local worker = gw:worker_pid()
    signal.kill(worker, signal.SIGKILL)
    clock.wait_until(function()
      local now = gw:worker_pid()
      return now and now ~= worker and pcall(ask, "/test") and ask("/test").body == "changed"
    end, nil, "the next worker")
    worker = gw:worker_pid()
    gw:signal(signal.SIGUSR2)
    clock.wait_until(function()
      local now = gw:worker_pid()
      return now and now ~= worker and ask("/test").body == "changed"
    end, 20, "the new binary's worker")
    assert.equal(202, ask("/main").status)
    gw.stopped = true                   -- a worker that ended unexpectedly is what this is about
    gw:signal(signal.SIGTERM)
    clock.wait_until(function() return not gw:worker_pid() end, nil, "the end")
  end)
end)
