--- Replaces matches in a text that comes in pieces, as bodies do.
--
-- PCRE2 tells where something begins that more text could make a match (PCRE2_PARTIAL_HARD). Only that is kept until
-- more comes; all before it is given at once. Of what was given a little is kept as well, for \b and look-behind.
local C = require "tidegate.ffi"
local ffi = require "ffi"
local opaque = require "tidegate.tide.opaque"
local words = require "tidegate.tide.words"

local ANCHORED, NOTEMPTY, PARTIAL_HARD = 0x80000000, 0x4, 0x20
local JIT_PARTIAL_HARD = 4
local INFO_MAXLOOKBEHIND = 15

local KEPT_MAX = 4096           -- bytes of a match that pieces part
local KEPT_MOST = 1024 * 1024
local CHARACTER = 4             -- most bytes of one

local lookbehind = ffi.new "uint32_t[1]"

--- How many bytes before its start a search may look at. One at least, so that "^" knows where the text began.
local function context_of(regex)
  C.pcre2_pattern_info_8(regex.code, INFO_MAXLOOKBEHIND, lookbehind)
  return math.max(1, lookbehind[0] * (regex.is_utf and CHARACTER or 1))
end

local function is_within_character(text, at)
  local byte = text:byte(at + 1)
  return byte ~= nil and byte >= 0x80 and byte < 0xC0
end

--- How many bytes at the end of a text are the beginning of a character.
local function unfinished(text)
  for back = 1, math.min(CHARACTER - 1, #text) do
    local byte = text:byte(-back)
    if byte >= 0xC0 then
      local wanted = byte >= 0xF0 and 4 or byte >= 0xE0 and 3 or 2
      return back < wanted and byte <= 0xF4 and back or 0
    end
    if byte < 0x80 then return 0 end
  end
  return 0
end

-- -- one text --

local methods = {}
local Stream = opaque("a stream", methods)

--- The next match, or where one may begin.
-- @treturn ?number where it begins, an offset; nil where there is none
-- @treturn ?number where it ends; nil where more text has to tell
-- @treturn ?string why the search failed
local function find(self, subject, start, is_last, deadline)
  local re, regex = self.re, self.regex
  local options = is_last and NOTEMPTY or NOTEMPTY + PARTIAL_HARD
  while true do
    local found, why = re.search(regex, subject, start, options, deadline)
    if found == nil then return nil, nil, why end
    local from, to = re.place(regex)
    if found then return from, to end
    if #subject - from <= self.max then return from end
    -- It is too long to be kept: what is there has to do.
    found, why = re.search(regex, subject, from, NOTEMPTY + ANCHORED, deadline)
    if why then return nil, nil, why end
    if found then return re.place(regex) end
    start = from + 1
    while regex.is_utf and is_within_character(subject, start) do start = start + 1 end
    if re.is_over(deadline) then return nil, nil, re.LIMIT end
  end
end

--- Keeps what begins at an offset, and what the next search may look back at.
local function keep(self, subject, from)
  local start = math.max(0, from - self.context)
  while self.regex.is_utf and start > 0 and is_within_character(subject, start) do start = start - 1 end
  self.rest, self.at = subject:sub(start + 1), from - start
end

--- Takes the next piece of the text.
-- @tparam string text
-- @tparam boolean is_last whether nothing comes behind it
-- @treturn[1] string what can be given of the text by now, with the matches replaced
-- @return[2] nil and why: "match limit exceeded", or no UTF-8 with the flag u; the stream is at its end then
function methods:feed(text, is_last)
  local stream = Stream.need(self, "stream:feed")
  if type(text) ~= "string" then words.misuse("stream:feed", "a text", text) end
  local subject = stream.rest .. text
  local cut = stream.regex.is_utf and not is_last and unfinished(subject) or 0
  local tail = subject:sub(#subject - cut + 1)
  if cut > 0 then subject = subject:sub(1, -cut - 1) end
  local re, regex = stream.re, stream.regex
  local pieces, at, held, deadline = {}, stream.at, #subject, re.new_deadline()
  while true do
    local from, to, why = find(stream, subject, at, is_last, deadline)
    if why then return nil, why end
    if not to then
      held = from or held
      break
    end
    pieces[#pieces + 1] = subject:sub(at + 1, from)
    pieces[#pieces + 1] = re.replacement_for(stream.replacement, stream.has_groups and re.captures(regex, subject))
    at = to
    if #pieces % 128 == 0 and re.is_over(deadline) then return nil, re.LIMIT end
  end
  pieces[#pieces + 1] = subject:sub(at + 1, held)
  keep(stream, subject, held)
  stream.rest = stream.rest .. tail
  return table.concat(pieces)
end

-- -- what makes them --

local makers = {}
local Replacer = opaque("a replacer", makers)

--- Begins with a new text.
-- @treturn table with feed(text, is_last)
function makers:stream()
  local replacer = Replacer.need(self, "replacer:stream")
  return Stream.new {
    re = replacer.re, regex = replacer.regex, replacement = replacer.replacement, has_groups = replacer.has_groups,
    max = replacer.max, context = replacer.context, rest = "", at = 0,
  }
end

local OPTIONS = { max = "number" }

--- Makes a replacer; see Regex:replacer.
-- @tparam table re what tidegate.tide.re lends
-- @tparam table regex the state of a regular expression
-- @param replacement a text or a function
-- @tparam ?table options
return function(re, regex, replacement, options)
  options = words.options("re:replacer", options, OPTIONS)
  local max = options.max or KEPT_MAX
  if max < 1 or max > KEPT_MOST then
    error(("re:replacer: max: expected 1 to %d bytes, found %s"):format(KEPT_MOST, tostring(max)), 3)
  end
  if regex.is_chained then return nil, "expected a pattern without the flag A and \\G, found one with it" end
  local pieces = replacement
  if type(replacement) == "string" then
    local why
    pieces, why = re.parse_replacement(regex, replacement)
    if not pieces then return nil, why end
  end
  -- Without machine code for it the search is the same, but slower.
  C.pcre2_jit_compile_8(regex.code, JIT_PARTIAL_HARD)
  return Replacer.new {
    re = re, regex = regex, replacement = pieces, has_groups = type(pieces) == "function" or #pieces > 1,
    max = max, context = context_of(regex),
  }
end
