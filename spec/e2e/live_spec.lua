--- Reloads of a running gateway: what they change, what they leave alone, what is told of them, and the way back.
local cjson = require "cjson"
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local signal = require "posix.signal"

local request = client.request

local GATEWAY = "gateway: { threads: 2, grace: 1s, on_invalid: %s }\n"

local function route(name, body, more)
  return ("  - { name: %s, path: /%s, respond: { body: %q } %s}\n"):format(name, name, body, more or "")
end

local function config(mode, ...)
  return GATEWAY:format(mode) .. "routes:\n" .. table.concat({ ... })
end

local function ask(gw, target)
  local response = client.ask(gw:port(), request { target = target })
  return response and ("%d %s"):format(response.status, (response.body:gsub("\n", "")))
end

local function wait_for(gw, target, wanted)
  clock.wait_until(function() return ask(gw, target) == wanted end, nil, ("%s to answer %s"):format(target, wanted))
end

describe("a gateway with on_invalid: quarantine", function()
  local gw
  before_each(function() gw = gateway.start(config("quarantine", route("a", "one"), route("b", "one"))) end)
  after_each(function() gw:stop() end)

  local BROKEN = config("quarantine", route("a", "two"), route("b", "two", ", timeout: soon"))

  it("keeps what became bad as it was, takes the rest, and tells it everywhere", function()
    gw:write(BROKEN)
    local code, text = gw:reload()
    assert.equal(1, code)
    assert.truthy(text:find("routes[2].timeout: expected a duration", 1, true), text)
    assert.truthy(text:find("in quarantine: route b ", 1, true), text)
    assert.same({ "200 two", "200 one" }, { ask(gw, "/a"), ask(gw, "/b") })
    code, text = gw:status()
    assert.equal(0, code)
    assert.truthy(text:find("quarantine   1 item of", 1, true), text)
    local _, json = gw:command("status", "--json")
    assert.equal("route b", cjson.decode(json).quarantined[1].id)
    gw:wait_log("in quarantine items=1")
    gw:write(config("quarantine", route("a", "two"), route("b", "three")))
    wait_for(gw, "/b", "200 three")
    _, text = gw:status()
    assert.is_nil(text:find("quarantine", 1, true), text)
  end)

  it("keeps it over the death of its worker", function()
    gw:write(BROKEN)
    wait_for(gw, "/a", "200 two")
    signal.kill(gw:worker_pid(), signal.SIGKILL)
    clock.wait_until(function() return ask(gw, "/b") == "200 one" end, nil, "the new worker")
    assert.equal("200 two", ask(gw, "/a"))
    gw:kill()
    gw.stopped = true
  end)

  it("counts it for Prometheus", function()
    local metrics = 'metrics: { listen: "unix:metrics.sock" }\nroutes:\n'
    local text = GATEWAY:format "quarantine" .. metrics .. route("a", "one")
    gw:stop()
    gw = gateway.start(text)
    local function items()
      local body = client.ask(gw.folder .. "/metrics.sock", request { target = "/metrics" }).body
      return body:match "\ntidegate_config_quarantined_items (%d+)"
    end
    assert.equal("0", items())
    gw:write(text .. route("b", "one", ", timeout: soon"))
    gw:reload()
    assert.same({ "1", "503 not available" }, { items(), ask(gw, "/b") })
  end)
end)

describe("what a running gateway tells of its configuration", function()
  local gw
  before_each(function() gw = gateway.start(config("refuse", route("a", "one"), route("b", "one"))) end)
  after_each(function() gw:stop() end)

  --- Runs a command of the command line about another main file beside the one in force.
  local function command_about(text, ...)
    local own = gw.file
    gw.file = gw.folder .. "/candidate.yaml"
    gw:write(text)
    local code, answer = gw:command(...)
    gw.file = own
    return code, answer
  end

  local function same() return files.read(gw.file) end

  local diffs = {
    { "0 where nothing would change", same, 0, "nothing would change" },
    { "1 where something would", function() return config("refuse", route("a", "two"), route("c", "one")) end, 1,
      "~ route a [^\n]*\n    respond.body: one %-> two\n%- route b [^\n]*\n%+ route c " },
    { "2 where the files are bad", function() return config("refuse", route("a", "two", ", timeout: soon")) end, 2,
      "routes%[1%].timeout: expected a duration" },
    { "2 where something would be in quarantine", function()
        return config("quarantine", route("a", "two", ", timeout: soon"), route("b", "one"))
      end, 2, "in quarantine: route a " },
  }
  for _, case in ipairs(diffs) do
    it("diff ends with " .. case[1], function()
      local code, text = command_about(case[2](), "diff")
      assert.equal(case[3], code, text)
      assert.truthy(text:find(case[4]), text)
      assert.equal("200 one", ask(gw, "/a"))
    end)
  end

  it("diff speaks JSON", function()
    local code, text = command_about(config("refuse", route("a", "two"), route("b", "one")), "diff", "--json")
    assert.equal(1, code, text)
    local change = cjson.decode(text).changes[1]
    assert.same({ "route", "a", "changed" }, { change.kind, change.name, change.change })
    assert.same({ { key = "respond.body", old = "one", new = "two" } }, change.keys)
  end)

  it("diff tells which recent requests would go elsewhere, once each", function()
    local candidate = config("refuse", route("a", "one"), "  - { name: b, path: /b, redirect: { to: /a } }\n",
                             "  - { name: new, path: /new/*, respond: {} }\n")
    local function told_of(target)
      ask(gw, target)
      local code, text = command_about(candidate, "diff")
      assert.equal(1, code, text)
      return text:match("of %d+ recent requests %d+ would go elsewhere:\n.*")
    end
    -- One request in 10 ms is remembered: it is asked until it was the one.
    local text = clock.wait_until(function()
      local told = told_of "/b?secret=1"
      return told and told:find("  GET gate.test/b: b (", 1, true) and told
    end, nil, "the moved request")
    assert.truthy(text:find("GET gate%.test/b: b %([^\n]*, status 200%) %-> b %([^\n]*, redirect 302 to /a%)"), text)
    assert.is_nil(text:find("secret", 1, true), text)
    text = clock.wait_until(function()
      local told = told_of "/new/%61"
      return told and told:find("gate.test/new/a", 1, true) and told
    end, nil, "the new request")
    assert.truthy(text:find("GET gate%.test/new/a: 404 %-> new %("), text)
    local _, json = command_about(candidate, "diff", "--json")
    local requests = cjson.decode(json).requests
    assert.is_true(requests.asked >= 2)
    local from = {}
    for _, one in ipairs(requests.moved) do from[one.from.route or one.from.status] = true end
    assert.same({ b = true, ["404"] = true }, from)
  end)

  it("diff tells nothing of requests that are not remembered", function()
    local text = config("refuse", route("a", "one"), route("b", "one"))
    gw:write((text:gsub("threads: 2", "threads: 2, recent_requests: false")))
    assert.equal(0, (gw:reload()))
    for _ = 1, 5 do ask(gw, "/b") end
    local _, told = command_about(config("refuse", route("a", "one")), "diff")
    assert.truthy(told:find("- route b", 1, true), told)
    assert.is_nil(told:find("recent requests", 1, true), text)
  end)

  it("diff, history and rollback say that nothing runs", function()
    gw:stop()
    for _, case in ipairs { { 2, "diff" }, { 1, "history" }, { 1, "rollback", "1" } } do
      local code, text = gw:command(case[2], case[3])
      assert.equal(case[1], code, text)
      assert.truthy(text:find("not running", 1, true), text)
    end
  end)

  it("history tells what each load changed, and by which cause", function()
    gw:write(config("refuse", route("a", "two"), route("b", "one")))
    wait_for(gw, "/a", "200 two")
    gw:write("routes: [oops\n")
    gw:wait_log "configuration refused"
    gw:write(config("refuse", route("a", "two")))
    gw:wait_log "generation=3"
    local code, text = gw:command "history"
    assert.equal(0, code, text)
    local lines = {}
    for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
    local patterns = {
      "^%*    3 .* good +file save +%-route b$", "^     %- .* refused +file save +.*tidegate.yaml:%d",
      "^     2 .* good +file save +~route a$", "^     1 .* good +start ",
    }
    assert.equal(#patterns, #lines, text)
    for i, pattern in ipairs(patterns) do assert.truthy(lines[i]:find(pattern), lines[i]) end
    local _, json = gw:command("history", "--json")
    assert.same({ 3, true }, { cjson.decode(json)[1].generation, cjson.decode(json)[1].running })
  end)

  it("explains by what is in force, whatever the files say", function()
    gw:write("routes: [oops\n")
    gw:wait_log "configuration refused"
    assert.equal(2, (gw:command("explain", "http://h/b")))
    local code, text = gw:command("explain", "--running", "http://h/b")
    assert.equal(0, code, text)
    assert.truthy(text:find("route     b ", 1, true), text)
    code, text = gw:command("explain", "--running", "ftp://h/b")
    assert.equal(2, code, text)
    assert.truthy(text:find("expected a URL", 1, true), text)
  end)
end)

describe("a rollback", function()
  local gw
  before_each(function()
    gw = gateway.start(config("refuse", route("a", "one")))
    gw:write(config("refuse", route("a", "two")))
    wait_for(gw, "/a", "200 two")
    local code, text = gw:command("rollback", "1")
    assert.equal(0, code, text)
    assert.equal("200 one", ask(gw, "/a"))
  end)
  after_each(function() gw:stop() end)

  it("leaves the files as they are, and says that they differ", function()
    assert.truthy(files.read(gw.file):find("two", 1, true))
    gw:wait_log "the files say something else"
    local _, text = gw:status()
    assert.truthy(text:find("rollback     generation 1 is in force again", 1, true), text)
    local code, diff = gw:command "diff"
    assert.equal(1, code, diff)
    assert.truthy(diff:find("respond.body: one -> two", 1, true), diff)
  end)

  it("ends with the next save, or a reload", function()
    gw:write(config("refuse", route("a", "three")))
    wait_for(gw, "/a", "200 three")
    assert.equal(0, (gw:command("rollback", "1")))
    assert.equal("200 one", ask(gw, "/a"))
    assert.equal(0, (gw:reload()))
    assert.equal("200 three", ask(gw, "/a"))
    local _, text = gw:status()
    assert.is_nil(text:find("rollback", 1, true), text)
  end)

  it("stays when the worker dies", function()
    signal.kill(gw:worker_pid(), signal.SIGKILL)
    clock.wait_until(function() return ask(gw, "/a") == "200 one" end, nil, "the new worker")
    local _, text = gw:status()
    assert.truthy(text:find("rollback     generation 1", 1, true), text)
    gw:kill()
    gw.stopped = true
  end)

  it("ends with the next save also where that cannot be kept, which status tells, and the worker dies", function()
    assert.equal(0, os.execute(("mkdir '%s/run/tidegate.pid.good.new'"):format(gw.folder)))
    gw:write(config("refuse", route("a", "three")))
    wait_for(gw, "/a", "200 three")
    local _, text = gw:status()
    assert.truthy(text:find("history      not kept: %S+: Is a directory"), text)
    signal.kill(gw:worker_pid(), signal.SIGKILL)
    gw:wait_log "worker ended unexpectedly"
    clock.wait_until(function() return ask(gw, "/a") == "200 three" end, nil, "the new worker")
    gw:kill()
    gw.stopped = true
  end)

  it("is over with a restart: then the files count, and the history is still there", function()
    gw:stop()
    local code, text = gw:command "start"
    assert.equal(0, code, text)
    gw.ports[1] = tonumber(text:match "127%.0%.0%.1:(%d+)")
    assert.equal("200 two", ask(gw, "/a"))
    code, text = gw:command("rollback", "1")
    assert.equal(0, code, text)
    assert.equal("200 one", ask(gw, "/a"))
    assert.equal(0, (gw:command "stop"))
  end)

  it("refuses what is no generation of the history", function()
    local code, text = gw:command("rollback", "77")
    assert.equal(1, code, text)
    assert.truthy(text:find("there is no generation 77", 1, true), text)
    local _, status = gw:status()
    assert.falsy(status:find("generation 77", 1, true), "no reload: " .. status)
    code, text = gw:command("rollback", "one")
    assert.equal(2, code, text)
    assert.equal("200 one", ask(gw, "/a"))
  end)
end)
