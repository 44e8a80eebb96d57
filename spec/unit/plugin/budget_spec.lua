local util = require "jit.util"
local budget = require "tidegate.plugin.budget"
local snippets = require "support.snippets"

local function plenty() return 1000 end

local function instrument(source, chunkname)
  local text, chunk = budget.instrument(source, chunkname or "@x.lua")
  assert(text, chunk)
  return text, chunk
end

--- The first and last line of each function in a chunk, those of the counter's own taken out.
local function lines_of(chunk, source)
  local lines = {}
  local function collect(proto)
    local info = util.funcinfo(proto)
    lines[#lines + 1] = info.linedefined .. "-" .. info.lastlinedefined
    local i = -1
    local constant = util.funck(proto, i)
    while constant ~= nil do
      if type(constant) == "proto" then collect(constant) end
      i = i - 1
      constant = util.funck(proto, i)
    end
  end
  collect(chunk)
  local own = source:find("local function __budget_arguments", 1, true)
  table.sort(lines)
  if own then
    local _, before = source:sub(1, own):gsub("\n", "")
    local line = ("%d-%d"):format(before + 1, before + 1)
    for i, found in ipairs(lines) do
      if found == line then
        table.remove(lines, i)
        break
      end
    end
  end
  return table.concat(lines, " ")
end

--- What a chunk gives, does to `see` and says in errors.
local function behaviour(chunk, ...)
  local seen = {}
  local env = setmetatable({ ["goto"] = "global goto" }, { __index = _G })
  local function note(line, count, ...)
    seen[#seen + 1] = line .. ": " .. count
    for i = 1, count do seen[#seen + 1] = (tostring((select(i, ...))):gsub("0x%x+", "")) end
  end
  function env.see(...)
    note(debug.getinfo(2, "l").currentline, select("#", ...), ...)
    return {}
  end
  local function outcome(...) note("end", select("#", ...), ...) end
  outcome(pcall(setfenv(chunk, env), ...))
  return table.concat(seen, "\n")
end

--- Fails where instrumenting changes what a program does, or its lines.
local function assert_same(source)
  local plain = assert(loadstring(source, "@x.lua"))
  local text, counted = instrument(source)
  assert.equal(lines_of(plain, ""), lines_of(counted, text))
  assert.equal(behaviour(plain, "a", nil, 3), behaviour(counted, plenty, "a", nil, 3))
end

describe("a counter in a plugin's source", function()
  -- How many steps a piece takes: the places where the counter stands, times how often they are passed.
  local counts = {
    { "in a while loop", "local i = 0 while i < 5 do i = i + 1 end", 5 },
    { "in a for loop", "for i = 1, 5 do end", 5 },
    { "in a for loop over an iterator", "for _ in pairs { 1, 2, 3 } do end", 3 },
    { "in a repeat loop", "local i = 0 repeat i = i + 1 until i == 5", 5 },
    { "behind a label", "local i = 0 ::again:: i = i + 1 if i < 5 then goto again end", 5 },
    { "behind the last of several labels", "local i = 0 ::a:: ::b:: i = i + 1 if i < 5 then goto a end", 5 },
    { "in a function", "local function f() end f() f()", 2 },
    { "in a method with arguments", "local t = {} function t.a() end function t:b(x, ...) end t.a() t:b(1)", 2 },
    { "in a function in a list", "local t = { function() end, f = function(...) return ... end } t[1]() t.f()", 2 },
    { "not in a plain block", "do local x = 1 end if x then else end", 0 },
    { "not behind a label at the end of a block", "for i = 1, 3 do goto next do end ::next:: end", 3 },
    { "in the body of a loop, not in a loop of its condition",
      "local n = 0 while (function() for i = 1, 2 do end n = n + 1 return n < 3 end)() do end", 3 * 3 + 2 },
    { "in a loop in a list of a for loop", "for i = 1, (function() while true do break end return 2 end)() do end", 4 },
    { "in nested loops", "for i = 1, 2 do for j = 1, 3 do repeat until true end end", 2 + 6 + 6 },
    { "not for words in strings", [[local s = "while do" .. 'for \' do' .. '\\' .. "\"for do"]], 0 },
    { "not for words in long strings", "local s = [[while do]] .. [==[ ]] repeat ]==]", 0 },
    { "not for words in comments", "-- while do\n--[[ repeat ]] --[==[ ]] function() ]==]\n--[=x repeat", 0 },
    { "not for words within names", "local doing, _do, while1, fordo = 1", 0 },
    { "not for words with letters of other alphabets", "local repeaté, édo = 1", 0 },
  }
  for _, case in ipairs(counts) do
    it("stands " .. case[1], function()
      local steps, granted = 0, 0
      local _, chunk = instrument(case[2])
      -- A refill of 0 is used up by the very step that asked for it: each step asks.
      chunk(function()
        steps = steps + 1
        return granted
      end)
      assert.equal(case[3], steps)
    end)
  end

  it("is refilled when it is used up", function()
    local refills = 0
    local _, chunk = instrument "for i = 1, 1001 do end"
    chunk(function()
      refills = refills + 1
      return 99
    end)
    assert.equal(11, refills)
  end)

  it("is another one in each file", function()
    local refills = 0
    local function refill()
      refills = refills + 1
      return 10
    end
    for _ = 1, 2 do
      local _, chunk = instrument "for i = 1, 10 do end"
      chunk(refill)
    end
    assert.equal(2, refills)
  end)
end)

describe("a source with the counter", function()
  local same = {
    { "an empty one", "" },
    { "one without an end of line", "see(1) -- comment" },
    { "a line that begins with #", "#!/usr/bin/env luajit\nsee(1)\nerror 'x'" },
    { "a line that begins with #, and CR LF", "#!x\r\nsee(1)\r\nfor i = 1, 2 do\r\nsee(i) end" },
    { "a line that begins with #, and LF CR", "#!x\n\rsee(1)\n\rerror 'x'" },
    { "a line that begins with #, and nothing else", "#!x" },
    { "a byte order mark", "\239\187\191see(1)" },
    { "a byte order mark before a #", "\239\187\191#x\nsee(1)" },
    { "lines that end with CR", "see(1)\rfor i = 1, 2 do\rsee(i) end\rerror 'x'" },
    { "its arguments", "see(...) return ..." },
    { "its first argument", "return (...)" },
    { "its arguments in a table", "local t = { ... } see(#t, t[1], t[3]) return select('#', ...)" },
    { "its arguments in the middle", "return 'x' .. ... .. 'y'" },
    { "its arguments joined without blanks", "return...,1" },
    { "its arguments and a bracket", "local a = ...\n(see)(a)" },
    { "its arguments and a bracket behind until", "repeat until ... (see)(1)" },
    { "its arguments handed on", "return (function(...) return select('#', ...) end)(...)" },
    { "its arguments in a loop's head", "for _, v in ipairs { ... } do see(v) end" },
    { "no arguments at all", "return select('#')" },
    { "a bracket first", "(see)(1)" },
    { "a bracket behind do", "do (see)(1) end while true do (see)(1) break end" },
    { "a bracket behind a label", "::a:: (see)(1)" },
    { "a bracket behind parameters", "local function f() (see)(1) end f()" },
    { "a return in one line", "local function f() return end f() return f()" },
    { "a break in one line", "while true do break end for i = 1, 2 do break end repeat break until false" },
    { "a continue over variables", "for i = 1, 3 do if i == 2 then goto next end local x = i see(x) ::next:: end" },
    { "a continue with several labels", "do goto b local x = 1 see(x) ::a:: ::b:: end" },
    { "a continue in a branch", "if true then goto a local x = 1 see(x) ::a:: else goto b local y ::b:: end" },
    { "a continue in a file", "goto stop do return 1 end local x = 1 see(x) ::stop::" },
    { "a label before until", "local i = 0 repeat i = i + 1 goto a see(i) ::a:: until i == 3" },
    { "a label before a semicolon", "::a:: ; see(1)" },
    { "a label with blanks and comments", ":: a :: -- x\n::b ::--[[ y ]]see(1)" },
    { "a local variable that until sees", "local i = 0 repeat i = i + 1 local last = i == 3 until last see(i)" },
    { "goto as a name", "local t = { goto = 1 } see(t.goto, goto) goto = 2 see(goto)"
      .. " local function f(goto) see(goto) end f(3)" },
    { "goto as a value before a statement", "local a = goto see(a)" },
    { "a label called goto", "local i = 0 ::goto:: i = i + 1 see(i)" },
    { "numbers of all kinds", "see(0x10, 1e3) see(0x.8p+2) see(1e-2) see(3.) see(.5) see(5LL) see(0xffULL) see(2i)"
      .. "see(0xep1) see(0xe+1) see(1E+2)" },
    { "a number before two points", "see(1 .. 2) see(1. .. 2)" },
    { "escapes in strings", [[see("\"") see('\'') see("\\") see('\\\'') see("\z
         do") see("\x41\u{20AC}\065")]] },
    { "strings over lines", "see('a\\\nb')\nsee('a\\\r\nb') see('a\\\n\rb')\nerror 'x'" },
    { "long strings", "see([[\n a ]] .. [=[ ]] ]=] .. [==[\r\n]=]]==]) see(#[[]])\nerror 'x'" },
    { "brackets that are no long strings", "local t = { [1] = 2 } see(t[t[1]-1]) see(({ 5 })[#{ 1 }])" },
    { "comments of all kinds", "--\n--[[\n]]see(1)--[==[\n\n]] ]==]see(2)--[=\nsee(3) ---[[ x\nsee(4)" },
    { "a minus that is no comment", "see(3 - - 1) see(-1)" },
    { "calls with strings and tables", "see 'x' see [[y]] see { 1 } see({}).x = nil" },
    { "an error in a loop", "for i = 1, 2 do\n  see(i)\n  error('in line 3')\nend" },
    { "an error in a function", "\n\nlocal function f(a,\n b)\n return a.x.y end\nf({})" },
    { "methods and calls in a chain", "local t = { a = { b = {} } }"
      .. " function t.a.b:c(...) see(...) return self end t.a.b:c(1):c(2)" },
    { "a tail call", "local function f(n) if n > 0 then return f(n - 1) end return n end see(f(100000))" },
    { "coroutines", "local f = coroutine.wrap(function(...) for i = 1, 3 do coroutine.yield(i, ...) end end)"
      .. " see(f(7)) see(f())" },
    { "metamethods", "local t = setmetatable({}, { __index = function(t, k) return k end,"
      .. " __call = function(t, a) return a end }) see(t.x) see(t(5))" },
    { "60 levels of blocks", ("do "):rep(60) .. "see(1)" .. (" end"):rep(60) },
  }
  for _, case in ipairs(same) do
    it("does as without: " .. case[1], function() assert_same(case[2]) end)
  end

  it("does as without: programs made up at random", function()
    for seed = 1, 300 do
      local program = snippets.program(seed)
      local ok, why = pcall(assert_same, program)
      assert(ok, ("program %d: %s\n%s"):format(seed, tostring(why), program))
    end
  end)

  it("compiles with the lines where they were, for all files of Tidegate", function()
    local list = assert(io.popen "find lua plugins spec bench conf -name '*.lua'")
    local files = 0
    for path in list:lines() do
      local file = assert(io.open(path, "rb"))
      local source = file:read "*a"
      file:close()
      local plain = loadstring(source)
      if plain then             -- some are broken on purpose
        local text, counted = instrument(source, "@" .. path)
        assert.equal(lines_of(plain, ""), lines_of(counted, text), path)
        files = files + 1
      end
    end
    list:close()
    assert.is_true(files > 20)
  end)
end)

describe("a source that cannot be counted", function()
  local function upvalues(n)
    local names = {}
    for i = 1, n do names[i] = "v" .. i end
    local list = table.concat(names, ",")
    return ("local %s\nlocal function f() return %s end"):format(list, list)
  end

  local function variables(n)
    local lines = {}
    for i = 1, n do lines[i] = "local v" .. i end
    return table.concat(lines, "\n")
  end

  local cases = {
    { "has a syntax error", "local x =\nlocal", "^x%.lua:2: unexpected symbol near 'local'$" },
    { "has a syntax error that ours would mend", "while true", "^x%.lua:1: 'do' expected near '<eof>'$" },
    { "is bytecode", string.dump(function() end), "^x%.lua:1: expected the text of a Lua program, found bytecode$" },
    { "is bytecode behind a mark", "\239\187\191" .. string.dump(function() end), "bytecode" },
    { "has a name of ours", "\n\nlocal x = __budget_left", '^x%.lua:3: the name "__budget_left" is reserved' },
    { "sets a name of ours", "__budget_refill = nil", '^x%.lua:1: the name "__budget_refill" is reserved' },
    { "has too many upvalues for ours", upvalues(119), "^x%.lua:.*120 upvalues%. The counter .* 2 of the upvalues" },
    { "has too many variables for ours", variables(199), "^x%.lua:.*200 local variables%. The counter" },
  }
  for _, case in ipairs(cases) do
    it("is refused where it " .. case[1], function()
      local text, message = budget.instrument(case[2], "@x.lua")
      assert.is_nil(text)
      assert.matches(case[3], message)
    end)
  end

  local limits = {
    { "118 upvalues", upvalues(118) }, { "198 local variables", variables(198) },
    { "our names in strings and comments", "local x = '__budget_left' -- __budget_refill" },
  }
  for _, case in ipairs(limits) do
    it("is not one with " .. case[1], function() instrument(case[2]) end)
  end
end)

describe("a program without end", function()
  local USED_UP = "the time is used up"

  --- Refills so many times, then raises. Far beyond that something does not stop: the spec itself must.
  local function refills(times)
    local calls = 0
    return function()
      calls = calls + 1
      if calls > times + 1000000 then os.exit(3) end
      if calls > times then error(USED_UP, 0) end
      return 50
    end
  end

  local programs = {
    { "while", "while true do end" },
    { "while over lines", "while true\ndo\nend" },
    { "repeat", "repeat until false" },
    { "for", "for i = 1, math.huge do end" },
    { "for backwards without a step", "for i = 1, 0, 0 do end while true do end" },
    { "for over an iterator", "for x in function() return 1 end do end" },
    { "for over a C function", "for x in os.time do end" },
    { "goto", "::again:: goto again" },
    { "goto from a block", "do ::a:: do if true then goto a end end end" },
    { "goto between labels", "::a:: do goto b end ::b:: do goto a end" },
    { "tail calls", "local function f() return f() end f()" },
    { "tail calls of methods", "local t = {} function t:f() return self:f() end t:f()" },
    { "tail calls between two", "local f, g function f() return g() end function g() return f() end f()" },
    { "recursion", "local function f() f() f() end while true do pcall(f) end" },
    { "recursion through pcall", "local function f() pcall(f) pcall(f) end f() while true do f() end" },
    { "pcall in a loop", "while true do pcall(function() while true do end end) end" },
    { "pcall in pcall in a loop", "while true do pcall(pcall, function() while true do end end) end" },
    { "xpcall with a handler that loops", "local function f() while true do end end while true do xpcall(f, f) end" },
    { "xpcall of itself", "local function f() return xpcall(f, f) end while true do f() end" },
    { "a coroutine that loops", "coroutine.wrap(function() while true do end end)()" },
    { "a loop of coroutines that loop", "local function f() while true do end end"
      .. " while true do coroutine.resume(coroutine.create(f)) end" },
    { "coroutines that make coroutines", "local function f() coroutine.wrap(f)() end while true do pcall(f) end" },
    { "a coroutine that yields", "local f = coroutine.wrap(function() while true do coroutine.yield() end end)"
      .. " while true do f() end" },
    { "a callback of gsub", "while true do pcall(string.gsub, 'aaa', 'a', function() while true do end end) end" },
    { "a comparison of sort", "while true do pcall(table.sort, { 3, 2, 1 }, function() while true do end end) end" },
    { "__index that looks up", "local t t = setmetatable({}, { __index = function(_, k) return t[k .. 'x'] end })"
      .. " while true do pcall(function() return t.x end) end" },
    { "__index that loops", "local t = setmetatable({}, { __index = function() while true do end end })"
      .. " while true do pcall(function() return t.x end) end" },
    { "__newindex", "local t t = setmetatable({}, { __newindex = function(_, k, v) t[k] = v end })"
      .. " while true do pcall(function() t.x = 1 end) end" },
    { "__call", "local t t = setmetatable({}, { __call = function() return t() end }) t()" },
    { "__eq, __lt, __concat", "local m = {} local a, b = setmetatable({}, m), setmetatable({}, m)"
      .. " m.__eq = function() return a == b end m.__lt = function() return a < b end"
      .. " m.__concat = function() return a .. b end while true do pcall(function() return a == b end)"
      .. " pcall(function() return a < b end) pcall(function() return a .. b end) end" },
    { "__tostring", "local t t = setmetatable({}, { __tostring = function() return tostring(t) end })"
      .. " while true do pcall(tostring, t) end" },
    { "an error object that loops", "local e = setmetatable({}, { __tostring = function() while true do end end })"
      .. " while true do pcall(tostring, e) pcall(error, e) end" },
  }

  for _, mode in ipairs { "on", "off" } do
    describe("with the JIT " .. mode, function()
      local was_on = jit.status()
      before_each(function() jit[mode]() end)
      after_each(function() jit[was_on and "on" or "off"]() end)

      for _, case in ipairs(programs) do
        for _, times in ipairs { 0, 3, 200 } do
          it(("is stopped after %d refills: %s"):format(times, case[1]), function()
            local _, chunk = instrument(case[2])
            local ok, message = pcall(chunk, refills(times))
            assert.is_false(ok)
            assert.matches(USED_UP, tostring(message))
          end)
        end
      end

      it("can go on the next time, with a new budget", function()
        local _, chunk = instrument "return function(n) for i = 1, n do end return n end"
        local left = 2
        local run = chunk(function()
          left = left - 1
          if left < 0 then error(USED_UP, 0) end
          return 50
        end)
        assert.is_false(pcall(run, 1000))
        assert.is_false(pcall(run, 1))
        left = 2
        assert.equal(80, run(80))
      end)
    end)
  end
end)
