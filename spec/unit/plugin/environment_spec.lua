require "tidegate.ffi"
local environment = require "tidegate.plugin.environment"
local files = require "support.files"

local WAIT = environment.WAIT

--- A stand-in for the library of the gateway.
local function library()
  local lines = {}
  return {
    lines = lines,
    log = { info = function(line) lines[#lines + 1] = line end },
    now = function() return 12 end,
    sleep = function(seconds) return coroutine.yield(WAIT, "sleep", seconds) end,
    json = { null = {} },
    cache = setmetatable({ size = 3 }, { __call = function(self, x) return self.size + x end }),
  }
end

--- An environment. helpers: the texts of helper files by name.
local function new(options)
  options = options or {}
  local helpers = options.helpers or {}
  local env, require_function, load = environment.new {
    name = "sample",
    trusted = options.trusted,
    tide = options.tide or library(),
    modules = function(name)
      local text = helpers[name]
      if not text then return nil, { "plugins/" .. name .. ".lua", "plugins/sample/" .. name .. ".lua" } end
      return text, "plugins/" .. name .. ".lua"
    end,
    refill = options.refill or function() return 1000 end,
    where = function() return options.where or "load" end,
  }
  return { env = env, require = require_function, load = load, options = options }
end

--- Runs a plugin file; gives what it returns, or raises.
local function run(source, options, ...)
  local plugin = options and options.load and options or new(options)
  return assert(plugin.load(source, "plugins/x.lua"))(...)
end

--- What a plugin file that raises says.
local function complaint(source, options)
  local ok, message = pcall(run, source, options)
  assert.is_false(ok, source .. " does not raise")
  return tostring(message)
end

describe("a plugin's environment", function()
  local values = {
    { "has the safe globals", "return type(assert) .. type(pcall) .. select('#', unpack { 1, 2 }) .. tostring(nil)",
      "functionfunction2nil" },
    { "has strings, tables and numbers", "return ('a'):upper() .. table.concat { 1, 2 } .. math.floor(2.5)", "A122" },
    { "has bits", "return bit.band(6, 3)", 2 },
    { "has the time", "return os.time() > 0 and os.date('%Y', 0) .. type(os.clock()) .. os.difftime(3, 1)",
      "1970number2" },
    { "has the process's environment", "return os.getenv 'PATH' ~= nil", true },
    { "has the library", "return tide.now()", 12 },
    { "has the library by require", "return require 'tidegate' == tide", true },
    { "has the library's modules by require", "return require 'tidegate.tide.log' == tide.log", true },
    { "has the values of the library's modules as they are",
      "return tide.json.null == require 'tidegate.tide.json'.null", true },
    { "calls what can be called in the library", "return tide.cache(4)", 7 },
    { "has no value where the library has none", "return tide.nothing", nil },
    { "has the standard libraries by require", "return require 'string' == string and require '_G' == _G", true },
    { "has its own table as _G", "return _G._G == _G and _G.print == print", true },
    { "looks for globals without raising", "return rawget(_G, 'ngx') == nil and rawget(_G, 'print') == print", true },
    { "has modules that do not block", "return require 'cjson'.encode { 1 } .. require 'cjson.safe'.encode { 2 }"
      .. " .. require 'bit'.tohex(1, 2)", "[1][2]01" },
    { "has tables of a size, and clears them", "local t = require 'table.new'(4, 0) t[1] = 1"
      .. " require 'table.clear'(t) return #t", 0 },
    { "has buffers", "local b = require 'string.buffer'.new() b:put('a', 1) return b:get()", "a1" },
    { "counts the memory", "return type(collectgarbage 'count')", "number" },
    { "gives tracebacks", "return debug.traceback('x'):match '^x\\nstack traceback:' ~= nil", true },
    { "keeps the arguments of a file", "return select('#', ...) .. (...)", "2a" },
    { "sees metatables of its own", "local m = {} return getmetatable(setmetatable({}, m)) == m", true },
    { "respects __metatable", "return getmetatable(setmetatable({}, { __metatable = 'x' }))", "x" },
    { "sets tables past their metatables",
      "local t = setmetatable({}, { __newindex = error }) rawset(t, 1, 2) return t[1]", 2 },
    { "changes metatables of its own", "local t = setmetatable({}, { a = 1 }) local m = { a = 2 }"
      .. " return getmetatable(setmetatable(t, m)).a", 2 },
  }
  for _, case in ipairs(values) do
    it(case[1], function() assert.equal(case[3], (run(case[2], nil, "a", nil))) end)
  end

  it("prints to the log", function()
    local tide = library()
    run("print(1, nil, 'x', nil) print()", { tide = tide })
    assert.same({ "1\tnil\tx\tnil", "" }, tide.lines)
  end)

  it("prints to the standard error where there is no log", function()
    local said, stderr = {}, io.stderr
    io.stderr = { write = function(_, ...) said[#said + 1] = table.concat { ... } end }
    local ok, why = pcall(run, "print('x', 1)", { tide = {} })
    io.stderr = stderr
    assert(ok, why)
    assert.same({ "x\t1\n" }, said)
  end)

  it("makes the values of the library when they are asked for", function()
    local asked = {}
    local tide = setmetatable({}, { __index = function(_, name)
      asked[#asked + 1] = name
      return { name = name }
    end })
    assert.equal("re re", run("return tide.re.name .. ' ' .. tide.re.name", { tide = tide }))
    assert.same({ "re" }, asked)
  end)

  it("tells a bad file by its line", function()
    local chunk, message = new().load("local x =\n", "plugins/x.lua")
    assert.is_nil(chunk)
    assert.equal("plugins/x.lua:2: unexpected symbol near '<eof>'", message)
  end)

  it("reads files while it is loaded", function()
    local path = files.folder() .. "/data.txt"
    files.write(path, "one\ntwo\n")
    local source = ([[
      local file = assert(io.open(%q))
      local first = file:read()
      file:close()
      local all = {}
      for line in io.lines(%q) do all[#all + 1] = line end
      return first .. #all .. all[2] ]]):format(path, path)
    assert.equal("one2two", run(source))
    assert.is_nil((run "return io.open '/nowhere/at/all'"))
  end)
end)

describe("a global of a plugin", function()
  local KEEP = ": keep state in self, req.ctx or tide.shared"
  local cases = {
    { "is not made", "\n\ncount = 1", 'plugins/x.lua:3: assignment to undeclared global "count"' .. KEEP },
    { "is not made by a function", "function help() end", '1: assignment to undeclared global "help"' .. KEEP },
    { "is not made in _G", "_G.count = 1", '1: assignment to undeclared global "count"' .. KEEP },
    { "is not made past the metatable", "rawset(_G, 'count', 1)", "1: rawset: this table belongs to the gateway" },
    { "is not replaced", "print = 1", '1: assignment to global "print"' .. KEEP },
    { "is not taken away", "tide = nil", '1: assignment to global "tide"' .. KEEP },
    { "is not read when it is not there", "\nlocal x = mine", '2: undeclared global "mine": declare it with local' },
    { "is told when it was misspelt", "tonumbr '1'", '1: undeclared global "tonumbr": did you mean "tonumber"?' },
    { "is not called when it is not there", "\n\nhelp()", '3: undeclared global "help"' },
    { "has a hint: package", "package.path = ''", 'undeclared global "package": helper files are found by require' },
    { "has a hint: ffi", "ffi.new 'int'", 'undeclared global "ffi": only a trusted plugin' },
    { "has a hint: ngx", "ngx.say 'x'", 'undeclared global "ngx": see tide' },
    { "may have any key", "_G[1] = 2", '1: assignment to undeclared global "1"' },
    { "is not read by any key", "return _G[{}]", 'undeclared global "table: ' },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local message = complaint(case[2])
      assert(message:find(case[3], 1, true), message)
    end)
  end
end)

describe("a call that blocks", function()
  local cases = {
    { "os.execute 'true'", "os.execute blocks the loop: run the program as a service" },
    { "io.popen 'true'", "io.popen blocks the loop: run the program as a service" },
    { "os.exit(1)", "os.exit would end the gateway: raise an error, or answer with req:reply" },
    { "os.remove 'x'", "os.remove blocks the loop: keep what has to last in tide.shared" },
    { "os.rename('x', 'y')", "os.rename blocks the loop" },
    { "os.tmpname()", "os.tmpname blocks the loop" },
    { "os.setlocale 'C'", "os.setlocale is refused" },
    { "io.read()", "io.read blocks the loop: the body of a request is req:body()" },
    { "io.write 'x'", "io.write blocks the loop: use tide.log" },
    { "io.lines()", "io.lines: expected a path, found a nil" },
    { "io.close()", "io.close closes a file of the gateway's" },
    { "io.output 'x'", "io.output blocks the loop" },
    { "io.input 'x'", "io.input blocks the loop" },
    { "io.tmpfile()", "io.tmpfile blocks the loop" },
    { "io.stderr:write 'x'", "io.stderr blocks the loop: use tide.log, or print" },
    { "io.stdin:read()", "io.stdin blocks the loop" },
    { "io.open('x', 'w')", 'io.open: expected mode "r", found "w": plugins only read files' },
    { "io.open('x', 'r+')", 'io.open: expected mode "r", found "r+"' },
    { "io.open '/dev/null'", "io.open blocks the loop: read the file while the plugin is loaded", where = "request" },
    { "io.lines '/dev/null'", "io.lines blocks the loop: read the file", where = "request" },
    { "dofile 'x'", "dofile blocks the loop: a helper file is loaded with require" },
    { "loadfile 'x'", "loadfile blocks the loop" },
    { "require 'socket'", 'require "socket" blocks the loop: use tide.socket or tide.http' },
    { "require 'socket.http'", 'require "socket.http" blocks the loop: use tide.socket or tide.http' },
    { "require 'posix.unistd'", 'require "posix.unistd" blocks the loop' },
    { "require 'redis'", 'require "redis" blocks the loop: use tide.redis' },
  }
  for _, case in ipairs(cases) do
    it("is refused: " .. case[1], function()
      local message = complaint("\nlocal x = " .. case[1], { where = case.where })
      assert(message:find("plugins/x.lua:2: " .. case[2], 1, true), message)
    end)
  end
end)

describe("a plugin", function()
  -- What an attacker would try: each raises, or gives nothing.
  local refused = {
    { "the metatable of _G", "setmetatable(_G, nil)", "setmetatable: this table belongs to the gateway" },
    { "the metatable of tide", "setmetatable(tide, {})", "setmetatable: this table belongs to the gateway" },
    { "the metatable of an object", "local object = ... setmetatable(object, nil)", "belongs to the gateway" },
    { "fields of tide", "tide.now = nil", "assignment to tide.now: tide belongs to the gateway" },
    { "fields of tide's modules", "tide.log.info = print", "assignment to tide.log.info: tide.log belongs" },
    { "new fields of tide", "tide.mine = 1", "assignment to tide.mine" },
    { "fields of tide past its metatable", "rawset(tide, 'now', 1)", "rawset: this table belongs" },
    { "fields of an object past its metatable", "rawset(..., 'id', 7)", "rawset: this table belongs" },
    { "all fields of an object", "require 'table.clear'(...)", "table.clear: this table belongs" },
    { "methods of all strings", "('').upper = nil", "attempt to index" },
    { "methods of all strings by a metatable", "getmetatable('').__index.upper = nil", "attempt to index" },
    { "metatables by debug", "debug.setmetatable('', {})", "debug.setmetatable is refused" },
    { "upvalues", "debug.setupvalue(print, 1, nil)", "debug.setupvalue is refused" },
    { "the registry", "debug.getregistry()", "debug.getregistry is refused" },
    { "hooks", "debug.sethook()", "debug.sethook is refused" },
    { "what runs", "debug.getinfo(1)", "debug.getinfo is refused: of debug, a plugin has only debug.traceback" },
    { "environments", "setfenv(1, {})", "setfenv is refused: it would open the environment" },
    { "environments of C functions", "getfenv(print)", "getfenv is refused" },
    { "the environment of the main thread", "getfenv(0)", "getfenv is refused" },
    { "bytecode", "string.dump(function() end)", "string.dump is refused" },
    { "proxies", "newproxy(true)", "newproxy is refused" },
    { "module", "module 'x'", "module is refused" },
    { "the collector", "collectgarbage()", "collectgarbage is refused" },
    { "the collector's pace", "collectgarbage('setpause', 1)", "collectgarbage is refused" },
    { "the generator of numbers", "math.randomseed(1)", "math.randomseed is refused" },
    { "ffi", "require 'ffi'", 'module "ffi" is for trusted plugins only' },
    { "the JIT", "require 'jit.opt'", 'module "jit.opt" is for trusted plugins only' },
    { "the gateway's modules", "require 'tidegate.ffi'",
      'module "tidegate.ffi" is not for plugins: expected "tidegate" or "tidegate.tide.NAME"' },
    { "the gateway's modules by a path", "require 'tidegate.tide.../ffi'", "is not for plugins" },
    { "modules that are not there", "require 'nothing'", 'module "nothing" not found for plugin sample: looked in'
      .. " plugins/nothing.lua, plugins/sample/nothing.lua" },
    { "modules without a name", "require(nil)", "require: expected a name, found a nil" },
    { "the counter", "__budget_left = 1e300", 'the name "__budget_left" is reserved' },
    { "the counter in a text", "assert(load('__budget_left = 1e300'))", 'the name "__budget_left" is reserved' },
    { "the refill function in a text", "assert(load('return __budget_refill', 'x', 't', {}))", "is reserved" },
    { "the gateway by a yield", "coroutine.yield(1)",
      "coroutine.yield outside of a coroutine that the plugin has made: to wait in a hook, use tide.sleep" },
  }
  for _, case in ipairs(refused) do
    it("does not reach " .. case[1], function()
      local object = setmetatable({ id = 1 }, { __index = {} })
      local plugin = new()
      local chunk, message = plugin.load(case[2], "plugins/x.lua")
      if chunk then
        local ok
        ok, message = pcall(chunk, object)
        assert.is_false(ok, "it does not raise")
      end
      assert(message:find(case[3], 1, true), message)
      assert.equal(1, object.id)
      assert.equal("A", ("a"):upper())
    end)
  end

  local hidden = {
    { "the metatable of strings", "return getmetatable ''" },
    { "the metatable of _G", "return getmetatable(_G)" },
    { "the metatable of tide", "return getmetatable(tide)" },
    { "the metatable of tide's modules", "return getmetatable(tide.log)" },
    { "the metatable of io", "return getmetatable(io)" },
    { "the metatable of an object", "return getmetatable(...)" },
    { "the metatable of an error of the gateway", "local _, e = pcall(...) return getmetatable(e)" },
    { "the metatable of files", "return getmetatable(io.open '/dev/null')" },
    { "the methods of files", "return io.open('/dev/null').__index" },
    { "the methods of buffers", "return require 'string.buffer'.new().__index" },
    { "the hook's coroutine", "return coroutine.running()" },
    { "a yield", "return coroutine.isyieldable()" },
    { "the environment of a text", "return load('return x', 'x', 't', {})()" },
    { "globals by a file of the same name", "return rawget(_G, 'package')" },
    { "a refill function in its arguments", "return select(2, ...)" },
    { "a refill function in those of a text", "return load('return ...')()" },
    { "bytecode by load", "return (load('\\27LJ'))" },
    { "bytecode by load, of a function", "return (load(('').dump(function() end)))" },
    { "bytecode by load, in pieces",
      "local t = { '\\27', 'LJ' } return (load(function() return table.remove(t, 1) end))" },
    { "bytecode by mode", "return (load('return 1', 'x', 'b'))" },
  }
  for _, case in ipairs(hidden) do
    it("does not see " .. case[1], function()
      local object = setmetatable({}, { __index = {}, __call = function() error(setmetatable({}, {})) end })
      assert.falsy((run(case[2], nil, object)))
    end)
  end

  it("does not change the libraries of another", function()
    local one, other = new(), new()
    run([[
      string.format, table.insert, math.floor, os.time, bit.band = nil
      coroutine.wrap, debug.traceback, io.open = nil
      require("string").rep = nil
      require("cjson").encode = nil
      require("cjson").decode_max_depth(1)
      require("string.buffer").new = nil
    ]], one)
    assert.equal("1 1 2 2 thread [[1]] buffer", run([=[
      local list = {}
      table.insert(list, 1)
      local json = require "cjson"
      return string.format("%d %d %d %s %s %s %s", list[1], math.floor(1.5), bit.band(2, 3), ("2"):rep(1),
        type(coroutine.create(function() end)), json.encode(json.decode "[[1]]"),
        require("string.buffer").new():put("buffer"):get())
    ]=], other))
    assert.equal("1", string.format("%d", 1))
  end)

  it("sees what it has changed in its own libraries", function()
    assert.equal("mine", run "string.mine = function() return 'mine' end return string.mine()")
  end)
end)

describe("require", function()
  it("loads a helper file once, with its name and path", function()
    local plugin = new { helpers = { helper = "return { name = (...), path = select(2, ...) }" } }
    local result = run("assert(require 'helper' == require 'helper') return require 'helper'", plugin)
    assert.same({ name = "helper", path = "plugins/helper.lua" }, result)
    assert.equal(result, plugin.require "helper")
  end)

  it("gives in a hook what was loaded with the plugin", function()
    local options = { helpers = { a = "return 1", b = "return 2" }, where = "load" }
    local plugin = new(options)
    local hook = run("require 'a' return function(name) return require(name) end", plugin)
    options.where = "request"
    assert.equal(1, hook "a")
    assert.equal("[1]", hook("cjson").encode { 1 })
    local ok, message = pcall(hook, "b")
    assert.is_false(ok)
    assert.matches('require "b" in a hook: require it at the head of the file, or in new', message)
  end)

  it("loads it once in each environment", function()
    local helpers = { helper = "return {}" }
    local one, other = new { helpers = helpers }, new { helpers = helpers }
    assert.not_equal(one.require "helper", other.require "helper")
  end)

  it("gives true for a file that returns nothing", function()
    assert.is_true(run("return require 'helper'", { helpers = { helper = "" } }))
  end)

  it("gives false for a file that returns it", function()
    assert.is_false(run("return require 'helper'", { helpers = { helper = "return false" } }))
  end)

  it("prefers a helper file over the advice against a module", function()
    assert.equal(1, run("return require 'redis'", { helpers = { redis = "return 1" } }))
  end)

  local failures = {
    { "names a cycle", { a = "require 'b'", b = "\nrequire 'c'", c = "require 'a'" },
      "plugins/c.lua:1: files require each other: a -> b -> c -> a" },
    { "names a file that requires itself", { a = "require 'a'" }, "files require each other: a -> a" },
    { "names a cycle, not the way to it", { a = "require 'b'", b = "require 'b'" },
      "files require each other: b -> b" },
    { "tells an error in a helper by its line", { a = "\n\nerror 'why'" }, "plugins/a.lua:3: why" },
    { "tells a syntax error in a helper by its line", { a = "\nlocal" }, "plugins/a.lua:2: '<name>' expected" },
    { "guards the globals of helpers", { a = "x = 1" }, 'plugins/a.lua:1: assignment to undeclared global "x"' },
    { "refuses a helper that waits", { a = "tide.sleep(1)" },
      "plugins/a.lua: expected a file that loads at once, found one that waits" },
    { "refuses a helper that yields", { a = "coroutine.yield()" }, "coroutine.yield outside of" },
  }
  for _, case in ipairs(failures) do
    it(case[1], function()
      local message = complaint("require 'a'", { helpers = case[2] })
      assert(message:find(case[3], 1, true), message)
    end)
  end

  it("loads a file again that has failed", function()
    local plugin = new { helpers = { a = "require 'b'", b = "error 'why'" } }
    assert.matches("why", complaint("require 'a'", plugin))
    plugin.options.helpers.b = "return 1"
    assert.is_true(run("return require 'a'", plugin))
  end)

  it("raises what a helper raises", function()
    local ok, value = pcall(run, "require 'a'", { helpers = { a = "error { code = 7 }" } })
    assert.is_false(ok)
    assert.equal(7, value.code)
  end)

  it("counts the loops of helpers", function()
    local function refill() error("the time is used up", 0) end
    local options = { helpers = { a = "while true do end" }, refill = refill }
    assert.matches("the time is used up", complaint("require 'a'", options))
  end)
end)

describe("load", function()
  local values = {
    { "runs a text", "return load('return 1 + 1')()", 2 },
    { "hands arguments on", "return load('return select(\"#\", ...), ...')(nil, nil)", 2 },
    { "is loadstring as well", "return loadstring('return 1')()", 1 },
    { "takes a reader function",
      "local t = { 'ret', 'urn 3' } return load(function() return table.remove(t, 1) end)()", 3 },
    { "takes a chunk name", "return select(2, pcall(load('error \"x\"', '@mine.lua')))", "mine.lua:1: x" },
    { "takes the text as the chunk's name", "return select(2, pcall(load('error \"x\"')))",
      '[string "error "x""]:1: x' },
    { "tells a syntax error", "return select(2, load('x =', '=mine'))", "mine:1: unexpected symbol near '<eof>'" },
    { "has the same globals", "return load('return tide.now()')()", 12 },
    { "takes an environment", "return load('y = x return y', 'x', 't', { x = 5 })()", 5 },
    { "takes no more than 256 KiB", "return select(2, load((' '):rep(262145)))",
      "load: expected at most 262144 bytes of text, found 262145" },
    { "takes no more than 256 KiB in pieces", "return select(2, load(os.date))",
      "load: expected at most 262144 bytes of text, found more" },
    { "takes no pieces but texts", "return select(2, load(function() return 1 end))",
      "load: expected a text from the reader function, found a number" },
  }
  for _, case in ipairs(values) do
    it(case[1], function() assert.equal(case[3], (run(case[2]))) end)
  end

  local failures = {
    { "guards globals", "load('count = 1', '=text')()", 'text:1: assignment to undeclared global "count"' },
    { "takes no number", "load(1)", "plugins/x.lua:1: load: expected a text or a reader function, found a number" },
    { "takes no environment but a table", "load('', 'x', 't', 1)", "1: load: expected a table as environment" },
    { "takes no chunk name but a text", "load('', {})", "1: load: expected a text as chunk name, found a table" },
  }
  for _, case in ipairs(failures) do
    it(case[1], function()
      local message = complaint(case[2])
      assert(message:find(case[3], 1, true), message)
    end)
  end

  it("counts the loops in a text", function()
    local asked = 0
    local function refill()
      asked = asked + 1
      return 10
    end
    run("load('for i = 1, 110 do end')()", { refill = refill })
    assert.equal(1 + 10, asked)       -- one for the text itself
  end)

  it("asks the budget for each text", function()
    local left = 3
    local function refill()
      left = left - 1
      if left < 0 then error("the time is used up", 0) end
      return 1000000
    end
    assert.matches("the time is used up", complaint("while true do load('') end", { refill = refill }))
  end)
end)

describe("a trusted plugin", function()
  it("may require ffi and jit", function()
    assert.equal("cdata number", run([[
      local ffi, opt = require "ffi", require "jit.opt"
      return type(ffi.new "int[1]") .. " " .. type(jit.version_num)
    ]], { trusted = true }))
  end)

  it("is not counted", function()
    local function refill() error("asked", 0) end
    assert.equal(5000, run("local n = 0 for i = 1, 5000 do n = i end return n", { trusted = true, refill = refill }))
    assert.equal(1, run("return load 'while true do return 1 end'()", { trusted = true, refill = refill }))
  end)

  local cases = {
    { "globals", "count = 1", "assignment to undeclared global" },
    { "blocking calls", "os.execute 'true'", "os.execute blocks the loop" },
    { "bytecode", "assert(load(('').dump(function() end)))", "wrong mode" },
    { "a bad text", "assert(load('x =', '=x'))", "x:1: unexpected symbol" },
    { "writes to tide", "tide.x = 1", "assignment to tide.x" },
  }
  for _, case in ipairs(cases) do
    it("is guarded as the others: " .. case[1], function()
      assert.matches(case[3], complaint(case[2], { trusted = true }))
    end)
  end
end)
