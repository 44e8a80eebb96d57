--- The history of configurations beside the pid file.
local History = require "tidegate.history"
local files = require "support.files"

local function texts_file(folder, number)
  local name = folder .. "/good"
  local bytes = assert(History.write(name, { texts = { ["/a.yaml"] = "number " .. number }, edits = {} }))
  return name, bytes
end

local function add(history, folder, number)
  local name, bytes = texts_file(folder, number)
  history:add({ number = number, good = true, cause = "reload", what = "~route " .. number }, name, bytes)
end

describe("the history", function()
  local folder, history

  before_each(function()
    folder = files.folder()
    history = History.new(folder .. "/gate.pid.history")
  end)

  it("is empty where nothing was", function()
    assert.same({ 0, "" }, { history:last(), history:text() })
  end)

  it("finds the texts of a generation, also in another process", function()
    for number = 1, 3 do add(history, folder, number) end
    assert.equal("number 2", history:texts(2).texts["/a.yaml"])
    local again = History.new(folder .. "/gate.pid.history")
    assert.equal(3, again:last())
    assert.equal("number 3", again:texts(3).texts["/a.yaml"])
  end)

  it("is the owner's alone", function()
    add(history, folder, 1)
    for name, mode in pairs { [""] = "700", ["/index"] = "600", ["/1"] = "600" } do
      local pipe = io.popen(("stat -c %%a '%s/gate.pid.history%s'"):format(folder, name))
      assert.equal(mode .. "\n", pipe:read "*a")
      pipe:close()
    end
  end)

  it("keeps twenty of each kind, and no files of the others", function()
    for number = 1, 50 do
      add(history, folder, number)
      history:add { good = false, cause = "file save", what = "wrong" }
    end
    assert.equal(40, #history:list())
    local pipe = io.popen(("ls '%s/gate.pid.history' | wc -l"):format(folder))
    assert.equal(21, tonumber(pipe:read "*a"))      -- and the index
    pipe:close()
    assert.equal("number 31", history:texts(31).texts["/a.yaml"])
    assert.same({ nil, "there is no generation 30 in the history: see tidegate history" }, { history:texts(30) })
  end)

  it("tells the newest first, and which one runs", function()
    add(history, folder, 7)
    history:add { good = false, cause = "SIGHUP", what = "a.yaml:1:1: wrong" }
    add(history, folder, 8)
    local lines = {}
    for line in history:text(8):gmatch "[^\n]+" do
      lines[#lines + 1] = line:gsub("%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ", "TIME")
    end
    assert.same({
      "*    8  TIME  good     reload          ~route 8",
      "     -  TIME  refused  SIGHUP          a.yaml:1:1: wrong",
      "     7  TIME  good     reload          ~route 7",
    }, lines)
    local list = history:list(8)
    assert.same({ 8, true, true }, { list[1].generation, list[1].running, list[1].kept })
    assert.same({ nil, false, false }, { list[2].generation, list[2].running, list[2].kept })
  end)

  it("takes files that are no history for none", function()
    add(history, folder, 1)
    files.write(folder .. "/gate.pid.history/index", "\255\1\2 rubbish")
    files.write(folder .. "/gate.pid.history/1", "rubbish")
    assert.equal(0, History.new(folder .. "/gate.pid.history"):last())
    assert.same({ nil, "the texts of generation 1 are no longer kept" }, { history:texts(1) })
  end)

  it("leaves out what is no entry of a history", function()
    for number = 1, 2 do add(history, folder, number) end
    local good = history.entries[2]
    local function with(key, value)
      local entry = {}
      for k, v in pairs(good) do entry[k] = v end
      entry[key] = value
      return entry
    end
    local entries = {
      1, "x", {}, with("number", "a"), with("number", 1e300), with("number", -1), with("number", 1.5),
      with("time", "x"), with("what", {}), with("cause", 1), with("good", 1), with("bytes", "x"), with("number", nil),
      good,
    }
    assert(History.write(folder .. "/gate.pid.history/index", entries))
    local again = History.new(folder .. "/gate.pid.history")
    assert.same({ good }, again.entries)
    assert.equal(2, again:last())
  end)

  local strange = {
    { 1, 2 }, { texts = 5 }, { texts = { 1 } }, { texts = { ["/a"] = 5 } }, { texts = {}, edits = 7 },
    { texts = {}, rolled_back = "1" },
  }
  for i, value in ipairs(strange) do
    it("takes no texts from a file that holds something else, case " .. i, function()
      add(history, folder, 1)
      assert(History.write(folder .. "/gate.pid.history/1", value))
      assert.same({ nil, "the texts of generation 1 are no longer kept" }, { history:texts(1) })
    end)
  end

  it("says why it cannot be written, and still knows what was", function()
    local lost = History.new("/proc/nowhere/history")
    lost:add { number = 1, good = true, cause = "start", what = "" }
    assert.truthy(lost.trouble)
    assert.equal(1, lost:last())
  end)
end)
