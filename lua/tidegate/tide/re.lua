--- Regular expressions: PCRE2, compiled to machine code, that always come to an end.
-- Three limits see to that. Backtracking is counted (MATCHES). What PCRE2 does not count is going over the same bytes
-- from each place where a match might begin: a long subject is therefore searched in windows of such places, between
-- which the time is looked at (TIME_MAX). The stack and the heap of one match are bounded as well.
local C = require "tidegate.ffi"
local bit = require "bit"
local ffi = require "ffi"
local opaque = require "tidegate.tide.opaque"
local words = require "tidegate.tide.words"

local re = {}

local band, bor = bit.band, bit.bor

ffi.cdef [[
  struct pcre2_real_code_8 *pcre2_compile_8(const char *pattern, size_t length, uint32_t options, int *error,
                                            size_t *offset, void *context);
  void pcre2_code_free_8(struct pcre2_real_code_8 *code);
  int pcre2_jit_compile_8(struct pcre2_real_code_8 *code, uint32_t options);
  int pcre2_pattern_info_8(const struct pcre2_real_code_8 *code, uint32_t what, void *where);
  struct pcre2_real_match_data_8 *pcre2_match_data_create_from_pattern_8(const struct pcre2_real_code_8 *code, void *);
  void pcre2_match_data_free_8(struct pcre2_real_match_data_8 *data);
  size_t *pcre2_get_ovector_pointer_8(struct pcre2_real_match_data_8 *data);
  size_t pcre2_get_startchar_8(struct pcre2_real_match_data_8 *data);
  struct pcre2_real_match_context_8 *pcre2_match_context_create_8(void *);
  void pcre2_match_context_free_8(struct pcre2_real_match_context_8 *context);
  int pcre2_set_match_limit_8(struct pcre2_real_match_context_8 *context, uint32_t limit);
  int pcre2_set_heap_limit_8(struct pcre2_real_match_context_8 *context, uint32_t kibibytes);
  int pcre2_set_offset_limit_8(struct pcre2_real_match_context_8 *context, size_t limit);
  struct pcre2_real_jit_stack_8 *pcre2_jit_stack_create_8(size_t first, size_t most, void *);
  void pcre2_jit_stack_free_8(struct pcre2_real_jit_stack_8 *stack);
  void pcre2_jit_stack_assign_8(struct pcre2_real_match_context_8 *context, void *callback, void *stack);
  int pcre2_match_8(const struct pcre2_real_code_8 *code, const char *subject, size_t length, size_t start,
                    uint32_t options, struct pcre2_real_match_data_8 *data, struct pcre2_real_match_context_8 *context);
  int pcre2_get_error_message_8(int error, char *to, size_t size);
  int tide_re_clock(int id, int64_t *seconds_and_nanoseconds) __asm__("clock_gettime");
]]

-- Of pcre2.h.
local ANCHORED, NO_UTF_CHECK, NOTEMPTY_ATSTART = 0x80000000, 0x40000000, 0x8
local NEVER_BACKSLASH_C, USE_OFFSET_LIMIT, NEVER_UCP, NEVER_UTF = 0x100000, 0x800000, 0x800, 0x1000
local JIT_COMPLETE = 1
local INFO_ALLOPTIONS, INFO_CAPTURECOUNT, INFO_NAMECOUNT, INFO_NAMEENTRYSIZE, INFO_NAMETABLE = 0, 4, 17, 18, 19
local NOMATCH, PARTIAL, UTF8_ERR1, UTF8_ERR21, BADUTFOFFSET = -1, -2, -3, -23, -36
local LIMIT_ERRORS = { [-46] = true, [-47] = true, [-53] = true, [-63] = true }   -- JIT stack, matches, depth, heap
local FLAGS = {
  i = 0x8, m = 0x400, s = 0x20, x = 0x80, n = 0x2000, U = 0x40000, A = ANCHORED, D = 0x10,
  u = 0x80000 + 0x20000,                -- UTF and UCP: classes know the letters of Unicode
}

local PATTERN_MAX = 32 * 1024
local SUBJECT_MAX = 4 * 1024 * 1024
local RESULT_MAX = 16 * 1024 * 1024     -- of gsub
local MATCHES = 100000                  -- tries of one search from one place
local HEAP_KIB = 4096
local STACK_FIRST, STACK_MAX = 32 * 1024, 512 * 1024
local WHOLE = 4096                      -- bytes up to which a subject is searched at once
local STEPS = 64 * 1024 * 1024          -- a window times the length of the subject
local WINDOW_MIN = 64
local TIME_MAX = 0.1                    -- seconds of processor time of one call

local LIMIT = "match limit exceeded"

local function new_context(stack)
  local context = ffi.gc(C.pcre2_match_context_create_8(nil), C.pcre2_match_context_free_8)
  C.pcre2_set_match_limit_8(context, MATCHES)
  C.pcre2_set_heap_limit_8(context, HEAP_KIB)
  C.pcre2_jit_stack_assign_8(context, nil, stack)
  return context
end

-- The stack is named with the contexts, which only point to it: it must not be collected before them.
local contexts = { stack = ffi.gc(C.pcre2_jit_stack_create_8(STACK_FIRST, STACK_MAX, nil), C.pcre2_jit_stack_free_8) }
contexts.whole, contexts.window = new_context(contexts.stack), new_context(contexts.stack)

local THREAD_CPU = 3            -- CLOCK_THREAD_CPUTIME_ID
local cpu = ffi.new "int64_t[2]"

--- Processor time of this thread, in seconds.
local function cpu_now()
  C.tide_re_clock(THREAD_CPU, cpu)
  return tonumber(cpu[0]) + tonumber(cpu[1]) / 1e9
end

--- When the time of a call is over. What counts is the processor's, but asking for that is a call of the kernel.
local function new_deadline()
  return { time = C.tide_monotonic() + TIME_MAX, cpu = cpu_now() + TIME_MAX }
end

local function is_over(deadline)
  return C.tide_monotonic() > deadline.time and cpu_now() > deadline.cpu
end

-- -- searching --

local function is_within_character(subject, at)
  return band(subject:byte(at + 1) or 0, 0xC0) == 0x80
end

--- Searches a long subject window by window.
local function search_windows(regex, subject, start, options, deadline)
  local n = #subject
  local window = math.max(WINDOW_MIN, math.floor(STEPS / n))
  deadline = deadline or new_deadline()
  while true do
    local last = start + window - 1
    C.pcre2_set_offset_limit_8(contexts.window, last)
    local rc = C.pcre2_match_8(regex.code, subject, n, start, options, regex.data, contexts.window)
    if rc ~= NOMATCH or last >= n then return rc end
    if is_over(deadline) then return nil, LIMIT end
    start = last + 1
    while regex.is_utf and is_within_character(subject, start) do start = start + 1 end
    options = regex.is_utf and NO_UTF_CHECK or 0        -- the first call has looked at the whole subject
  end
end

local function complain(regex, subject, rc)
  if LIMIT_ERRORS[rc] then return nil, LIMIT end
  if rc <= UTF8_ERR1 and rc >= UTF8_ERR21 then
    local at = tonumber(C.pcre2_get_startchar_8(regex.data)) + 1
    return nil, ("expected UTF-8, found %s at byte %d"):format(words.byte(subject, at), at)
  end
  if rc == BADUTFOFFSET then return nil, "expected a start at a character, found one within a character" end
  return nil, ("PCRE2 error %d"):format(rc)
end

--- The first match from an offset on; its place is in regex.places then.
-- @treturn ?boolean true; nil where there is none; false where there may be one when more comes, if that was asked
-- @treturn ?string why not, if it is for another reason
local function search(regex, subject, start, options, deadline)
  local n = #subject
  if n > SUBJECT_MAX then return nil, ("expected a subject of at most %d bytes, found %d"):format(SUBJECT_MAX, n) end
  if start > n then return nil end
  local rc, why
  if n - start <= WHOLE or regex.is_single or band(options, ANCHORED) ~= 0 then
    rc = C.pcre2_match_8(regex.code, subject, n, start, options, regex.data, contexts.whole)
  else
    rc, why = search_windows(regex, subject, start, options, deadline)
    if not rc then return nil, why end
  end
  if rc > 0 then return true end
  if rc == NOMATCH then return nil end
  if rc == PARTIAL then return false end
  return complain(regex, subject, rc)
end

--- Where the match found last begins and ends: an offset, and the offset behind it.
local function place(regex)
  return tonumber(regex.places[0]), tonumber(regex.places[1])
end

--- The captures of the match found last.
local function captures(regex, subject)
  local places, found = regex.places, {}
  for i = 0, regex.count do
    local from, to = tonumber(places[2 * i]), tonumber(places[2 * i + 1])
    -- A group that took no part has the largest number of all as its place.
    found[i] = from <= #subject and subject:sub(from + 1, to)
  end
  for name, group in pairs(regex.names) do found[name] = found[group] end
  return found
end

-- -- compiling --

local methods = {}
local Regex = opaque("a regular expression", methods, { "pattern" }, function(state) return "re: " .. state.pattern end)

local number, size = ffi.new "int[1]", ffi.new "size_t[1]"
local info = ffi.new "uint32_t[1]"
local table_at = ffi.new "const uint8_t *[1]"
local message = ffi.new "char[160]"

local function info_of(code, what)
  C.pcre2_pattern_info_8(code, what, info)
  return info[0]
end

--- Group numbers by name: entries of two bytes of number, then the name and NULs.
local function names_of(code)
  local names, entry_size = {}, info_of(code, INFO_NAMEENTRYSIZE)
  C.pcre2_pattern_info_8(code, INFO_NAMETABLE, table_at)
  for i = 0, info_of(code, INFO_NAMECOUNT) - 1 do
    local entry = table_at[0] + i * entry_size
    names[ffi.string(entry + 2)] = entry[0] * 256 + entry[1]
  end
  return names
end

--- The options of letters; nil and why.
local function options_of(flags)
  local options = bor(USE_OFFSET_LIMIT, NEVER_BACKSLASH_C)
  for letter in flags:gmatch "." do
    if not FLAGS[letter] then return nil, ('expected flags of "imsxnuUAD", found %s'):format(words.quote(letter)) end
    options = bor(options, FLAGS[letter])
  end
  if not flags:find("u", 1, true) then options = bor(options, NEVER_UTF, NEVER_UCP) end
  return options % 2 ^ 32
end

local function compile(pattern, flags)
  if #pattern > PATTERN_MAX then
    return nil, ("expected a regular expression of at most %d bytes, found %d"):format(PATTERN_MAX, #pattern)
  end
  local options, why = options_of(flags)
  if not options then return nil, why end
  local code = C.pcre2_compile_8(pattern, #pattern, options, number, size, nil)
  if code == nil then
    C.pcre2_get_error_message_8(number[0], message, ffi.sizeof(message))
    return nil, ("expected a regular expression, found %s: %s at byte %d"):format(
      words.quote(pattern), ffi.string(message), tonumber(size[0]) + 1)
  end
  ffi.gc(code, C.pcre2_code_free_8)
  -- Where the system lets nobody make machine code, PCRE2 goes on without.
  C.pcre2_jit_compile_8(code, JIT_COMPLETE)
  local is_chained = flags:find("A", 1, true) ~= nil or pattern:find("\\G", 1, true) ~= nil
  local data = ffi.gc(C.pcre2_match_data_create_from_pattern_8(code, nil), C.pcre2_match_data_free_8)
  return Regex.new {
    code = code, data = data, places = C.pcre2_get_ovector_pointer_8(data), pattern = pattern,
    names = names_of(code), count = info_of(code, INFO_CAPTURECOUNT), is_utf = flags:find("u", 1, true) ~= nil,
    -- Where a match can only begin at the start of the search, other starts would change what it means.
    is_single = is_chained or band(info_of(code, INFO_ALLOPTIONS), ANCHORED) ~= 0,
    is_chained = is_chained,            -- a match begins where the one before it ended, or not at all
  }
end

--- Compiles a regular expression: once, in `new`.
-- @tparam string pattern as in Perl; at most 32 KiB
-- @tparam[opt=""] string flags letters: i no case, m ^ and $ at every line, s "." is a line break too, x white space
-- and comments in the pattern, n only named groups, u UTF-8 (subjects that are not are an error), U ungreedy, A only at
-- the start, D "$" only at the very end
-- @treturn[1] table with match, test, find, gmatch, gsub and split
-- @return[2] nil and why, with the place in the pattern
function re.compile(pattern, flags)
  if type(pattern) ~= "string" then words.misuse("re.compile", "a text as pattern", pattern) end
  if flags ~= nil and type(flags) ~= "string" then words.misuse("re.compile", "a text of flags", flags) end
  return compile(pattern, flags or "")
end

--- The offset that a call begins to search at.
local function offset_of(where, subject, init)
  if type(subject) ~= "string" then words.misuse(where, "a text", subject, 4) end
  if init == nil then return 0 end
  if type(init) ~= "number" or init < 1 or init % 1 ~= 0 then
    error(("%s: expected a start of 1 or more, found %s"):format(where, tostring(init)), 3)
  end
  return init - 1
end

--- The first match, with what its groups have captured.
-- @tparam string subject at most 4 MiB
-- @tparam[opt=1] number init where to begin
-- @treturn[1] table [0] the whole match, [1] and so on the groups, and those with a name under it; false for a group
-- that took no part
-- @return[2] nil where there is none
-- @return[3] nil and why: "match limit exceeded", or no UTF-8 with the flag u
function methods:match(subject, init)
  local regex = Regex.need(self, "re:match")
  local ok, why = search(regex, subject, offset_of("re:match", subject, init), 0)
  if not ok then return nil, why end
  return captures(regex, subject)
end

--- Whether there is a match.
-- @tparam string subject
-- @treturn[1] boolean
-- @return[2] nil and why
function methods:test(subject)
  local regex = Regex.need(self, "re:test")
  local ok, why = search(regex, subject, offset_of("re:test", subject), 0)
  if why then return nil, why end
  return ok == true
end

--- Where the first match is.
-- @tparam string subject
-- @tparam[opt=1] number init where to begin
-- @treturn[1] number its first byte
-- @treturn[1] number its last byte, the one before the first where the match is empty
-- @return[2] nil where there is none
-- @return[3] nil and why
function methods:find(subject, init)
  local regex = Regex.need(self, "re:find")
  local ok, why = search(regex, subject, offset_of("re:find", subject, init), 0)
  if not ok then return nil, why end
  local from, to = place(regex)
  return from + 1, to
end

-- -- all matches --

--- The next match from an offset on. Behind an empty match the same place is tried again, for one that is not.
local function search_next(regex, subject, from, to, deadline)
  return search(regex, subject, to, from == to and NOTEMPTY_ATSTART or 0, deadline)
end

--- All matches after one another: f(match) for each, with the captures.
-- @treturn function for a generic for; an error such as "match limit exceeded" is raised
-- @tparam string subject
function methods:gmatch(subject)
  local regex = Regex.need(self, "re:gmatch")
  offset_of("re:gmatch", subject)
  local from, to = -1, 0
  return function()
    if not from then return nil end
    local ok, why = search_next(regex, subject, from, to)
    if why then error("re:gmatch: " .. why, 2) end
    if not ok then
      from = nil
      return nil
    end
    from, to = place(regex)
    return captures(regex, subject)
  end
end

--- Places of all matches, in one list: where the first begins, where it ends, where the second begins...
-- @tparam number most matches
-- @tparam ?table found takes the captures of each
local function collect(regex, subject, most, found)
  local places, n = {}, 0
  local from, to, deadline = -1, 0, new_deadline()
  while n < most do
    local ok, why = search_next(regex, subject, from, to, deadline)
    if why then return nil, why end
    if not ok then break end
    from, to = place(regex)
    places[2 * n + 1], places[2 * n + 2] = from, to
    n = n + 1
    if found then found[n] = captures(regex, subject) end
    if n % 64 == 0 and is_over(deadline) then return nil, LIMIT end
  end
  return places
end

--- The pieces of a replacement: texts, and the numbers of groups.
local function parse_replacement(regex, text)
  local pieces, at = {}, 1
  while true do
    local dollar = text:find("$", at, true)
    pieces[#pieces + 1] = text:sub(at, (dollar or 0) - 1)
    if not dollar then return pieces end
    local name, behind = text:match("^{([%w_]+)}()", dollar + 1)
    if not name then name, behind = text:match("^(%d%d?)()", dollar + 1) end
    if text:sub(dollar + 1, dollar + 1) == "$" then
      pieces[#pieces + 1], at = "$", dollar + 2
    else
      local group = name and (regex.names[name] or tonumber(name))
      if not group or group > regex.count then
        return nil, ("expected $0 to $%d, ${name} of a group or $$ in a replacement, found %s"):format(
          regex.count, words.quote(text:sub(dollar, (behind or dollar + 2) - 1)))
      end
      pieces[#pieces + 1], at = group, behind
    end
  end
end

--- What stands for one match.
local function replacement_for(replacement, match)
  if type(replacement) == "function" then
    local text = replacement(match)
    if type(text) == "number" then text = tostring(text) end
    if text ~= nil and text ~= false and type(text) ~= "string" then
      error(("re:gsub: expected the function to give a text, found a %s"):format(type(text)), 3)
    end
    return text or match[0]
  end
  if #replacement == 1 then return replacement[1] end
  local pieces = {}
  for i, piece in ipairs(replacement) do
    if type(piece) == "number" then piece = match[piece] or "" end
    pieces[i] = piece
  end
  return table.concat(pieces)
end

--- Replaces matches.
-- @tparam string subject
-- @param replacement a text, in which $1, ${1} and ${name} stand for groups, $0 for the match, $$ for a dollar; or a
-- function that takes the table of Regex:match and gives a text, or nil or false to leave the match as it is
-- @tparam[opt] number limit of replacements
-- @treturn[1] string
-- @treturn[1] number replacements made
-- @return[2] nil and why
function methods:gsub(subject, replacement, limit)
  local regex = Regex.need(self, "re:gsub")
  offset_of("re:gsub", subject)
  if type(replacement) ~= "string" and type(replacement) ~= "function" then
    words.misuse("re:gsub", "a text or a function as replacement", replacement)
  end
  if limit ~= nil and type(limit) ~= "number" then words.misuse("re:gsub", "a number as limit", limit) end
  local why
  if type(replacement) == "string" then
    replacement, why = parse_replacement(regex, replacement)
    if not replacement then return nil, why end
  end
  local needs_captures = type(replacement) == "function" or #replacement > 1
  local found, places = needs_captures and {} or nil
  places, why = collect(regex, subject, limit or math.huge, found)
  if not places then return nil, why end
  local pieces, at, length = {}, 0, 0
  for i = 1, #places / 2 do
    local from, to = places[2 * i - 1], places[2 * i]
    local text = replacement_for(replacement, found and found[i])
    pieces[2 * i - 1], pieces[2 * i] = subject:sub(at + 1, from), text
    length, at = length + from - at + #text, to
    if length > RESULT_MAX then return nil, ("expected a result of at most %d bytes, found more"):format(RESULT_MAX) end
  end
  pieces[#pieces + 1] = subject:sub(at + 1)
  return table.concat(pieces), #places / 2
end

local lent = {
  search = search, place = place, captures = captures, parse_replacement = parse_replacement,
  replacement_for = replacement_for, new_deadline = new_deadline, is_over = is_over, LIMIT = LIMIT,
}

--- What replaces matches in texts that come in pieces, wherever they are parted: made once, in `new`. Empty matches are
-- left alone.
-- @param replacement as for gsub
-- @tparam[opt] table options max: bytes that are kept of a match which is not at its end yet (4096); it counts as it is
-- where it gets longer
-- @treturn[1] table with stream(), which gives a table for one text, with feed(text, is_last)
-- @return[2] nil and why
function methods:replacer(replacement, options)
  local regex = Regex.need(self, "re:replacer")
  if type(replacement) ~= "string" and type(replacement) ~= "function" then
    words.misuse("re:replacer", "a text or a function as replacement", replacement)
  end
  return require("tidegate.tide.re_stream")(lent, regex, replacement, options)
end

--- The pieces between matches. An empty match parts two characters.
-- @tparam string subject
-- @tparam[opt] number most pieces; the last one has the rest
-- @treturn[1] {string,...}
-- @return[2] nil and why
function methods:split(subject, most)
  local regex = Regex.need(self, "re:split")
  offset_of("re:split", subject)
  if most ~= nil and type(most) ~= "number" then words.misuse("re:split", "a number of pieces", most) end
  local places, why = collect(regex, subject, math.huge)
  if not places then return nil, why end
  local pieces, at = {}, 0
  for i = 1, #places, 2 do
    local from, to = places[i], places[i + 1]
    local is_edge = from == to and (from == at or from == #subject)
    if most and #pieces + 1 >= most then break end
    if not is_edge then pieces[#pieces + 1], at = subject:sub(at + 1, from), to end
  end
  pieces[#pieces + 1] = subject:sub(at + 1)
  return pieces
end

--- A pattern that matches just this text.
-- @tparam string text
-- @treturn string
function re.escape(text)
  if type(text) ~= "string" then words.misuse("re.escape", "a text", text) end
  return (text:gsub("[^%w_\128-\255]", "\\%0"))
end

-- -- patterns that are not kept --

local GENERATION = 128          -- compiled patterns; there are at most two such generations

local young, old, young_count = {}, {}, 0       -- by flags, then by pattern

local function keep(flags, pattern, regex)
  if young_count == GENERATION then young, old, young_count = {}, young, 0 end
  young[flags] = young[flags] or {}
  young[flags][pattern] = regex
  young_count = young_count + 1
end

--- The compiled pattern. One that was used since the generations changed last stays when they change next.
local function cached(where, pattern, flags)
  if type(pattern) ~= "string" then words.misuse(where, "a text as pattern", pattern, 4) end
  if flags ~= nil and type(flags) ~= "string" then words.misuse(where, "a text of flags", flags, 4) end
  flags = flags or ""
  local of_flags = young[flags]
  if of_flags and of_flags[pattern] then return of_flags[pattern] end
  of_flags = old[flags]
  local regex, why = of_flags and of_flags[pattern]
  if not regex then
    regex, why = compile(pattern, flags)
    if not regex then return nil, why end
  end
  keep(flags, pattern, regex)
  return regex
end

--- Regex:match with a pattern that is compiled now, or was of late.
-- @tparam string subject
-- @tparam string pattern
-- @tparam[opt] string flags
function re.match(subject, pattern, flags)
  local regex, why = cached("re.match", pattern, flags)
  if not regex then return nil, why end
  return regex:match(subject)
end

--- Regex:test with a pattern that is compiled now, or was of late.
function re.test(subject, pattern, flags)
  local regex, why = cached("re.test", pattern, flags)
  if not regex then return nil, why end
  return regex:test(subject)
end

--- Regex:gsub with a pattern that is compiled now, or was of late.
function re.gsub(subject, pattern, replacement, flags)
  local regex, why = cached("re.gsub", pattern, flags)
  if not regex then return nil, why end
  return regex:gsub(subject, replacement)
end

return re
