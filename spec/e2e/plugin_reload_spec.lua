--- Plugins that are saved while the gateway runs: live at once, for new requests, in every loop, with nothing lost.
local json = require "cjson"
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local gateway = require "support.gateway"
local load = require "support.load"

local request = client.request

local function plugin(answer, more)
  return ([[
--- Answers with a word.
local Word = { version = "1.0.0", description = "Answers with a word.", band = "filter" }
Word.__index = Word
%s
function Word.new() return setmetatable({}, Word) end
function Word:request(req)
  if req.path == "/load" then return end
  return req:reply(200, %s)
end
return Word
]]):format(more or "", answer)
end

local CONFIG = [[
gateway: { threads: 2, grace: 1s }
routes:
  - { path: "/*", respond: { body: none }, plugins: [ word ] }
]]

describe("a plugin that is saved [T34 T35 T36 T38 B12]", function()
  local gw

  local function start(config, plugins)
    gw = gateway.start(config or CONFIG, { plugins = plugins or { word = plugin '"first"' } })
  end

  after_each(function() gw:stop() end)

  local function word(target) return assert(client.ask(gw:port(), request { target = target or "/" })).body end

  local function wait_word(wanted, timeout)
    clock.wait_until(function() return word() == wanted end, timeout or 5, "the word " .. wanted)
  end

  --- Lets a change be made some times, and gives the median of the seconds until it was live.
  local function median(change)
    local times = {}
    for i = 1, 11 do
      local from = clock.now()
      change(i)
      clock.wait_until(function() return word() == tostring(i) end, nil, "change " .. i)
      times[i] = clock.now() - from
    end
    table.sort(times)
    return times[6]
  end

  it("is live within 100 ms of the save", function()
    start()
    local took = clock.quickest(0.1, function()
      return median(function(i) gw:write_plugin("word", plugin(('"%d"'):format(i))) end)
    end)
    assert.is_true(took < 0.1 or gateway.sanitized, took .. " s")
  end)

  local greedy = {
    { "one call of a C function", 'local _ = ("x"):rep(1e9)' },
    { "a file without an end", 'local _ = io.open("/dev/zero"):read "*a"' },
    { "a loop that is compiled", 'local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end' },
  }
  for _, case in ipairs(greedy) do
    it("takes no more memory while it is loaded than lua.memory allows: " .. case[1], function()
      start("lua: { memory: 16MiB }\n" .. CONFIG)
      gw:write_plugin("word", case[2])
      gw:wait_log("plugins/word.lua:1:1: took more than 16 MiB of memory while loading")
      assert.equal("first", word())
      local peak = files.read(("/proc/%d/status"):format(gw:worker_pid())):match "VmHWM:%s*(%d+) kB"
      assert.is_true(tonumber(peak) < 400 * 1024 or gateway.sanitized, peak)
    end)
  end

  it("is refused where all plugins together take more than a loop may have", function()
    local config = "lua: { memory: 16MiB }\n" .. CONFIG:gsub("%[ word %]", "[ word, two, three ]")
    local big = 'local kept = { ("%s"):rep(4e6) }\n' .. plugin "#kept[1]"
    start(config, { word = plugin '"first"', two = big:format "2", three = big:format "3" })
    gw:write_plugin("word", big:format "1")
    gw:wait_log("plugins/%l+.lua:1: not enough memory: all plugins of a loop may take 16 MiB together %(lua.memory%)\n")
    assert.equal("first", word())
  end)

  it("is live when a helper that it requires is saved", function()
    start(CONFIG, {
      word = plugin('Helper.word', 'local Helper = require "helper"'), helper = 'return { word = "first" }',
    })
    assert.equal("first", word())
    local took = clock.quickest(0.1, function()
      return median(function(i) gw:write_plugin("helper", ('return { word = "%d" }'):format(i)) end)
    end)
    assert.is_true(took < 0.1 or gateway.sanitized, took .. " s")
  end)

  it("is live when its link is turned to another file", function()
    start()
    local path = gw.folder .. "/plugins/word.lua"
    for _, name in ipairs { "blue", "green" } do files.write(gw.folder .. "/" .. name, plugin(('%q'):format(name))) end
    for _, name in ipairs { "blue", "green", "blue" } do
      assert(os.execute(("ln -s %s/%s %s.new && mv -T %s.new %s"):format(gw.folder, name, path, path, path)) == 0)
      wait_word(name)
    end
  end)

  it("is found when it appears, and missed when it goes", function()
    start(CONFIG .. "  - { path: /later, respond: { body: none }, plugins: [ word, { later: {} } ] }\n",
          { word = plugin '"first"', later = plugin '"later"' })
    os.remove(gw.folder .. "/plugins/later.lua")
    gw:wait_log('there is no plugin "later"')
    assert.equal("first", word())
    gw:write_plugin("later", plugin '"back"')
    clock.wait_until(function()
      local _, status = gw:status()
      return not status:find "there is no plugin"
    end, nil, "a good reload")
  end)

  it("is never half a file: what an editor writes in two steps is told and then mended", function()
    start()
    local text = plugin '"whole"'
    local file = assert(io.open(gw.folder .. "/plugins/word.lua", "w"))
    file:write(text:sub(1, #text / 2))
    file:flush()
    gw:wait_log("plugins/word.lua:%d+")
    assert.equal("first", word())
    file:write(text:sub(#text / 2 + 1))
    file:close()
    wait_word "whole"
  end)

  it("keeps no loop from its requests for more than a moment, however many plugins are used", function()
    local config = [[
gateway: { threads: 1, grace: 1s }
plugins: [ logging, request_id, { headers: { request: { set: { x-a: b } } } }, { body_limit: { max: 1MiB } },
           { rate_limit: { rate: 1000000/s } }, { cors: { allow_origins: ["https://a.example"] } } ]
instances:
  basic: { use: basic_auth, config: { users: [ { username: bob, password: "a secret word" } ] } }
  header: { use: require_header, config: { header: x-key } }
routes:
  - { path: /basic, respond: {}, plugins: [ basic ] }
  - { path: /header, respond: {}, plugins: [ header ] }
  - { path: "/*", respond: { body: none }, plugins: [ word ] }
]]
    -- A millisecond where the machine has nothing else to do; all of it at once was ten.
    local most = gateway.sanitized and 0.1 or 0.004
    local longest = clock.quickest(most, function()
      if gw then gw:stop() end              -- the longest time of all is told
      start(config)
      for i = 1, 5 do
        gw:write_plugin("word", plugin(('"%d"'):format(i)))
        wait_word(tostring(i))
      end
      local _, text = gw:command("status", "--json")
      local status = json.decode(text)
      assert.is_true(status.longest_round > 0 and status.longest_chore > 0, text)
      return status.longest_chore
    end)
    assert.is_true(longest < most, longest .. " s at once")
  end)

  it("goes into all loops as one generation", function()
    start()
    for i = 1, 5 do
      gw:write_plugin("word", plugin(('"%d"'):format(i)))
      wait_word(tostring(i))
      for _ = 1, 50 do assert.equal(tostring(i), word()) end
    end
  end)

  it("is switched on and off by the configuration", function()
    start()
    assert.equal("first", word())
    gw:write((CONFIG:gsub("%[ word %]", "[ { name: word, use: word, enabled: false } ]")))
    wait_word "none"
    gw:write(CONFIG)
    wait_word "first"
  end)

  it("closes the old instances when their last request is done, and ends their tasks", function()
    local more = [[
function Word:close() tide.log.info("closed NUMBER") end
tide.spawn(function() while true do tide.sleep(0.01) tide.log.info("ticks NUMBER") end end)
]]
    start(CONFIG, { word = plugin('"1"', (more:gsub("NUMBER", "1"))) })
    gw:wait_log "ticks 1"
    gw:write_plugin("word", plugin('"2"', (more:gsub("NUMBER", "2"))))
    gw:wait_log "closed 1"
    gw:wait_log "ticks 2"
    local function count(what) return select(2, gw:log():gsub(what, "")) end
    clock.wait_until(function()                       -- one loop may be later than the other
      local ones, twos = count "ticks 1", count "ticks 2"
      clock.wait_until(function() return count "ticks 2" > twos + 10 end, nil, "more ticks")
      return count "ticks 1" == ones
    end, nil, "the end of the old ticks")
  end)

  it("fails no request during many saves, good and bad, and stays the size it was", function()
    start()
    local asking = load.start { to = gw:port(), clients = 3, target = "/load" }
    local before
    local refused = 0
    local rounds = gateway.sanitized and 40 or 200
    for round = 1, rounds do
      if round % 5 == 0 then
        gw:write_plugin("word", "return oops(")
        refused = refused + 1
        clock.wait_until(function() return select(2, gw:log():gsub("configuration refused", "")) >= refused end, 5,
                         "a refusal")
      end
      gw:write_plugin("word", plugin(('"%d"'):format(round)))
      wait_word(tostring(round))
      if round == rounds / 2 then before = gw:memory() end
    end
    local grown = gw:memory() - before
    local requests, failures = asking:stop()
    assert.same({}, failures)
    assert.is_true(requests > 200, requests .. " requests only")
    assert.is_true(gateway.sanitized or grown < 2 * 1024 * 1024, "grown by " .. grown .. " bytes")
  end)
end)
