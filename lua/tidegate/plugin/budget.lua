--- Puts a counter into the source of a plugin, so that no loop of it runs on without end.
--
-- At the head of each loop, behind each label that a goto can come back to and at the entry of each function stands
-- `left=left-1 if left<0 then left=refill() end`. `refill` gives a new count, or raises where the time is used up; the
-- count stays below zero then, so that the next loop head raises again, whatever a pcall has swallowed.
-- All of it goes on the line where the loop is: lines in tracebacks stay true.
--
-- The counter is a local variable of the file, so that a file has one of its own and code elsewhere cannot reach it.
-- The instrumented chunk takes `refill` as its first argument, before those of its own.
local budget = {}

local find, match, sub = string.find, string.match, string.sub

local LEFT, REFILL, ARGUMENTS = "__budget_left", "__budget_refill", "__budget_arguments"
local RESERVED = { [LEFT] = true, [REFILL] = true, [ARGUMENTS] = true }

local STEP = (" %s=%s-1 if %s<0 then %s=%s() end "):format(LEFT, LEFT, LEFT, LEFT, REFILL)
local PREFIX = ("local %s,%s=0,...;"):format(LEFT, REFILL)
-- Only where the chunk looks at its own arguments: gives them without the refill function.
local ARGUMENTS_PREFIX = ("local function %s(_,...)return ... end "):format(ARGUMENTS)

local LIMITS = ". The counter that stops endless loops takes 2 of the upvalues of each function, and up to 3 of the"
  .. " local variables of the file: split what is so large"

local BLANKS = "^[ \t\r\n\v\f]*()"
local WORD = "^[%a_\128-\255][%w_\128-\255]*()"     -- LuaJIT takes every byte over 127 for a letter

-- What a token is where the text itself does not matter.
local LITERAL, END = "literal", "end of text"

--- Where the code begins: behind a byte order mark and a line that begins with "#", as LuaJIT has it.
local function start_of_code(source)
  local at = match(source, "^\239\187\191()") or 1
  local stop = match(source, "^#[^\r\n]*()", at)
  if not stop then return at end
  return match(source, "^\r\n()", stop) or match(source, "^\n\r()", stop) or match(source, "^[\r\n]()", stop) or stop
end

-- The source has been compiled before it comes here: what begins also ends.

local function after_long_bracket(source, at, level)
  local _, last = find(source, "]" .. level .. "]", at + #level + 2, true)
  return last + 1
end

local function after_comment(source, at)
  local level = match(source, "^%-%-%[(=*)%[", at)
  if level then return after_long_bracket(source, at + 2, level) end
  return find(source, "[\r\n]", at) or #source + 1
end

local function after_string(source, at)
  local stops = '[\\' .. sub(source, at, at) .. ']'
  local stop = find(source, stops, at + 1)
  while sub(source, stop, stop) == "\\" do stop = find(source, stops, stop + 2) end
  return stop + 1
end

--- The token at or behind a place.
-- @treturn number its first byte
-- @treturn number its last byte
-- @treturn string its text; LITERAL for numbers and strings; END
local function token(source, at)
  at = match(source, BLANKS, at)
  while find(source, "^%-%-", at) do at = match(source, BLANKS, after_comment(source, at)) end
  if at > #source then return at, at - 1, END end

  local stop = match(source, WORD, at) or match(source, "^%.%.%.?()", at) or match(source, "^::()", at)
  if stop then return at, stop - 1, sub(source, at, stop - 1) end
  -- A number with a signed exponent falls into three parts; no part is a word, which is all that matters.
  stop = match(source, "^%.?%d[%w_.\128-\255]*()", at)
  if stop then return at, stop - 1, LITERAL end
  if find(source, "^[\"']", at) then return at, after_string(source, at) - 1, LITERAL end
  local level = match(source, "^%[(=*)%[", at)
  if level then return at, after_long_bracket(source, at, level) - 1, LITERAL end
  return at, at, sub(source, at, at)
end

local Writer = {}
Writer.__index = Writer

--- Copies the source up to and with a byte, then writes a text of ours.
function Writer:put(last, text)
  local out = self.out
  out[#out + 1] = sub(self.source, self.done + 1, last)
  out[#out + 1] = text
  self.done = last
end

-- What a word does to the blocks that are open: a "head" still waits for the "do" of its loop.
local on = {}

local function open(kind)
  return function(writer) writer.blocks[#writer.blocks + 1] = kind end
end

local function close(writer)
  local blocks = writer.blocks
  if blocks[#blocks] == "function" then writer.functions = writer.functions - 1 end
  blocks[#blocks] = nil
end

on["while"], on["for"], on["if"] = open "head", open "head", open "block"
on["end"], on["until"] = close, close

on["repeat"] = function(writer, _, last)
  writer.blocks[#writer.blocks + 1] = "block"
  writer:put(last, STEP)
end

on["do"] = function(writer, _, last)
  local blocks = writer.blocks
  if blocks[#blocks] == "head" then
    blocks[#blocks] = "block"
    writer:put(last, STEP)
  else
    blocks[#blocks + 1] = "block"
  end
end

on["function"] = function(writer)
  writer.blocks[#writer.blocks + 1] = "function"
  writer.functions = writer.functions + 1
  writer.in_parameters = true
end

on[")"] = function(writer, _, last)
  if not writer.in_parameters then return end
  writer.in_parameters = false
  writer:put(last, STEP)
end

-- Nothing can come back to a label at the end of its block; and a statement behind it would bring it into the scope of
-- the block's local variables, where no goto may jump to.
local NO_STEP = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true, ["::"] = true, [END] = true }

on["::"] = function(writer, _, last)
  writer.in_label = not writer.in_label
  if writer.in_label then return end
  local _, _, text = token(writer.source, last + 1)
  if not NO_STEP[text] then writer:put(last, STEP) end
end

on["..."] = function(writer, first, last)
  if writer.functions > 0 then return end
  local _, _, text = token(writer.source, last + 1)
  -- A bracket would go on with our call, where it began a statement before.
  writer:put(first - 1, " " .. ARGUMENTS .. "(...)" .. (text == "(" and ";" or " "))
  writer.done = last
  writer.has_arguments = true
end

local function message_at(source, at, chunkname, message)
  local before = sub(source, 1, at - 1):gsub("\r\n", "\n"):gsub("\n\r", "\n")
  local _, lines = before:gsub("[\r\n]", "")
  return ("%s:%d: %s"):format(chunkname:gsub("^[@=]", ""):sub(1, 200), lines + 1, message)
end

--- @treturn ?string the source with the counter, or nil
-- @treturn string what is wrong, where it is nil
local function write(source, chunkname)
  local start = start_of_code(source)
  local writer = setmetatable({ source = source, done = 0, out = {}, blocks = {}, functions = 0 }, Writer)
  writer:put(start - 1, PREFIX)

  local first, last, text = token(source, start)
  while text ~= END do
    if RESERVED[text] then
      return nil, message_at(source, first, chunkname, ("the name %q is reserved for the gateway"):format(text))
    end
    local change = on[text]
    if change then change(writer, first, last) end
    first, last, text = token(source, last + 1)
  end

  writer:put(#source, "")
  if writer.has_arguments then writer.out[2] = PREFIX .. ARGUMENTS_PREFIX end
  return table.concat(writer.out)
end

--- Puts the counter into a source.
-- @tparam string source of one chunk
-- @tparam string chunkname as loadstring takes it: "@plugins/x.lua"
-- @treturn ?string the new source, of as many lines; nil where the source is bad, or too large for the counter
-- @return the compiled chunk, to be called with the refill function and then its own arguments; or "file:LINE: why"
function budget.instrument(source, chunkname)
  if source:byte() == 27 then
    return nil, message_at(source, 1, chunkname, "expected the text of a Lua program, found bytecode")
  end
  local chunk, message = loadstring(source, chunkname, "t")
  if not chunk then return nil, message end

  local counted
  counted, message = write(source, chunkname)
  if not counted then return nil, message end
  chunk, message = loadstring(counted, chunkname, "t")
  if not chunk then return nil, message .. LIMITS end
  return counted, chunk
end

return budget
