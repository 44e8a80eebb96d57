--- Lua programs made up at random: they end, and give what they have seen. The same seed makes the same program.
local snippets = {}

local Maker = {}
Maker.__index = Maker

function Maker:below(n)
  self.state = (self.state * 1103515245 + 12345) % 2 ^ 31
  return math.floor(self.state / 65536) % n
end

function Maker:one_of(list) return list[self:below(#list) + 1] end

local GAPS = { " ", "\n", "\r\n", " --[[ do end ]] ", " --while\n", "\t", " --[==[ \n ]] for ]==]\n", "\n\n", " " }

function Maker:gap() return self:one_of(GAPS) end

--- A name that nothing else has.
function Maker:name(base)
  self.names = self.names + 1
  return base .. self.names
end

local VALUES = {
  "1", "0x1F", "3.5e-1", "0x.8p+1", "1e+2", ".5", "7LL", "9ULL", "'do'", '"end \\" while"', "[[function()]]",
  "[=[ ]] \n repeat ]=]", "'\\z  \n  for'", '"\\x41\\u{41}\\65"', "nil", "true", "{...}", "(...)", "goto", "#{1, 2}",
  "'a\\\nb'", "x", "({ goto = 1, [1] = 2 }).goto",
}

function Maker:value(depth)
  if depth <= 0 or self:below(3) > 0 then return self:one_of(VALUES) end
  return self:one_of {
    function() return "(function(...)" .. self:gap() .. self:block(depth - 1) .. self:gap() .. "end)(...)" end,
    function() return "tostring(" .. self:value(depth - 1) .. ") .. 'x'" end,
    function() return "(" .. self:value(depth - 1) .. ")" end,
    function() return "select('#', " .. self:value(depth - 1) .. ", ...)" end,
  }()
end

local STATEMENTS = {
  function(m, depth) return "see(" .. m:value(depth) .. ")" end,
  function(m, depth) return "local x =" .. m:gap() .. m:value(depth) .. m:gap() .. "see(x)" end,
  function(m) return "do local t = ..." .. m:gap() .. "(see)(t) end" end,
  function(m, depth) return "do" .. m:gap() .. m:block(depth) .. m:gap() .. "end" end,
  function(m, depth)
    local last = "#(function() for _ = 1, 2 do end return 'ab' end)()"
    return "for i = 1, " .. last .. " do" .. m:gap() .. m:block(depth) .. " end"
  end,
  function(m, depth)
    return "for _, v in ipairs { 1, 2 } do see(v)" .. m:gap() .. m:block(depth) .. m:gap() .. "end"
  end,
  function(m, depth)
    local n = m:name "n"
    local condition = ("(function() while true do break end return %s < 2 end)()"):format(n)
    return ("local %s = 0 while %s do%s%s = %s + 1 %s end"):format(n, condition, m:gap(), n, n, m:block(depth))
  end,
  function(m, depth)
    local n = m:name "n"
    return ("do local %s = 0 repeat local last = %s > 1%s%s%s%s = %s + 1 until last end"):format(n, n, m:gap(),
      m:block(depth), m:gap(), n, n)
  end,
  function(m, depth)
    local f = m:name "f"
    return ("local function %s(a, ...)%s%s end see(%s(1, 2))"):format(f, m:gap(), m:block(depth), f)
  end,
  function(m, depth)
    local n, l = m:name "n", m:name "l"
    return ("do local %s = 0 ::%s::%s%s = %s + 1 %s if %s < 3 then goto %s end end"):format(n, l, m:gap(), n, n,
      m:block(depth), n, l)
  end,
  function(m, depth)
    local l = m:name "l"
    return ("for i = 1, 3 do if i == 2 then goto %s end local y = i see(y)%s%s%s::%s::%send"):format(l, m:gap(),
      m:block(depth), m:gap(), l, m:gap())
  end,
  function(m, depth)
    return "if " .. m:value(depth) .. " then" .. m:gap() .. m:block(depth) .. " elseif x then see(1) else see(2) end"
  end,
  function(m) return "do local goto = 1" .. m:gap() .. "goto = goto + 1 see(goto) end" end,
  function(m) return "do local t = { f = function(self, a) return a end } function t.g(a) see(a) end function t:h(...)"
    .. m:gap() .. "see(...) end t.g(t:f(3)) t:h(4) end" end,
}

function Maker:block(depth)
  if depth <= 0 then return "see('leaf')" end
  local out = {}
  for i = 1, 1 + self:below(3) do out[i] = self:one_of(STATEMENTS)(self, depth - 1) end
  return table.concat(out, self:one_of { " ", "\n", ";", " ;\n" })
end

--- @tparam number seed
-- @treturn string a program that calls see(...) with what it comes by, and reads the globals x and goto
function snippets.program(seed)
  local maker = setmetatable({ state = seed * 7919 + 17, names = 0 }, Maker)
  local head = maker:one_of { "", "", "#!/usr/bin/luajit\n", "#!x\r\n", "\239\187\191" }
  local tail = maker:one_of { "", "\n", " -- the end", " return ...", " return (...)", "\nreturn 1;" }
  return head .. maker:block(4) .. tail
end

return snippets
