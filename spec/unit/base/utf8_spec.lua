local bit = require "bit"
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local WHOLE, BROKEN = C.UTF8_WHOLE, C.UTF8_BROKEN

--- Writes a character's bytes, as RFC 3629 section 3 makes them, and gives how many they are.
local function encode(code, at)
  local function low(shift) return 0x80 + bit.band(bit.rshift(code, shift), 0x3f) end
  if code < 0x80 then
    at[0] = code
    return 1
  elseif code < 0x800 then
    at[0], at[1] = 0xc0 + bit.rshift(code, 6), low(0)
    return 2
  elseif code < 0x10000 then
    at[0], at[1], at[2] = 0xe0 + bit.rshift(code, 12), low(6), low(0)
    return 3
  end
  at[0], at[1], at[2], at[3] = 0xf0 + bit.rshift(code, 18), low(12), low(6), low(0)
  return 4
end

--- The bytes of all characters of a range.
local function characters(first, last)
  local bytes, len = ffi.new("uint8_t[?]", 4 * (last - first + 1)), 0
  for code = first, last do len = len + encode(code, bytes + len) end
  return ffi.string(bytes, len)
end

--- The state after each piece, on the way to the last.
local function feed(pieces, key)
  local state, states = WHOLE, {}
  for i, piece in ipairs(pieces) do
    state = C.utf8_next(state, core.guarded(piece), key or 0)
    states[i] = state
  end
  return state, states
end

local function bytewise(text)
  local pieces = {}
  for i = 1, #text do pieces[i] = text:sub(i, i) end
  return pieces
end

--- How many bytes of the front are whole characters, by the rules of RFC 3629 written another way.
local function valid_bytes(text)
  local at = 1
  while at <= #text do
    local a = text:byte(at)
    local size = a < 0x80 and 1 or a < 0xc0 and 0 or a < 0xe0 and 2 or a < 0xf0 and 3 or a < 0xf8 and 4 or 0
    if size == 0 or at + size - 1 > #text then return at - 1 end
    local code = size == 1 and a or a % 2 ^ (7 - size)
    for i = at + 1, at + size - 1 do
      local b = text:byte(i)
      if b < 0x80 or b > 0xbf then return at - 1 end
      code = code * 64 + b % 64
    end
    local least = ({ 0, 0x80, 0x800, 0x10000 })[size]
    if code < least or code > 0x10ffff or (code >= 0xd800 and code <= 0xdfff) then return at - 1 end
    at = at + size
  end
  return #text
end

describe("utf8_next", function()
  it("takes every character there is", function()
    local text = characters(0, 0xd7ff) .. characters(0xe000, 0x10ffff)
    assert.equal(WHOLE, C.utf8_next(WHOLE, core.slice(text), 0))
    for start = 0, 7 do
      local slice = ffi.new("struct slice", ffi.cast("const char *", text) + start, 100000 - start)
      local state = C.utf8_next(WHOLE, ffi.new("struct slice", text, start), 0)
      assert.not_equal(BROKEN, C.utf8_next(state, slice, 0))
    end
  end)

  it("refuses every surrogate", function()
    for code = 0xd800, 0xdfff do assert.equal(BROKEN, (feed { characters(code, code) })) end
  end)

  -- The bytes, the state that they must lead to: whole, broken or (nil) neither.
  local cases = {
    { "nothing", "", WHOLE },
    { "ASCII with NUL and DEL", "a\0\127b", WHOLE },
    { "Greek", "\206\186\225\189\185\207\131\206\188\206\181", WHOLE },
    { "U+0080", "\194\128", WHOLE },
    { "U+07FF", "\223\191", WHOLE },
    { "U+0800", "\224\160\128", WHOLE },
    { "U+D7FF", "\237\159\191", WHOLE },
    { "U+E000", "\238\128\128", WHOLE },
    { "U+FFFD", "\239\191\189", WHOLE },
    { "U+FFFE, no character but UTF-8", "\239\191\190", WHOLE },
    { "U+10000", "\240\144\128\128", WHOLE },
    { "U+10FFFF", "\244\143\191\191", WHOLE },
    { "U+110000", "\244\144\128\128", BROKEN },
    { "a form of five bytes", "\248\136\128\128\128", BROKEN },
    { "a form of six bytes", "\252\132\128\128\128\128", BROKEN },
    { "a continuation alone", "\128", BROKEN },
    { "a continuation behind a character", "\194\128\128", BROKEN },
    { "ASCII in two bytes", "\192\175", BROKEN },
    { "ASCII in three bytes", "\224\128\175", BROKEN },
    { "ASCII in four bytes", "\240\128\128\175", BROKEN },
    { "NUL in two bytes", "\192\128", BROKEN },
    { "the last that two bytes are too many for", "\193\191", BROKEN },
    { "the last that three bytes are too many for", "\224\159\191", BROKEN },
    { "the last that four bytes are too many for", "\240\143\191\191", BROKEN },
    { "FE", "\254", BROKEN },
    { "FF", "\255", BROKEN },
    { "a character that ends early for ASCII", "\226\130a", BROKEN },
    { "a character that ends early for another", "\226\130\226", BROKEN },
    { "the first of two bytes", "\194" },
    { "two of three bytes", "\226\130" },
    { "three of four bytes", "\240\159\152" },
  }
  for _, case in ipairs(cases) do
    it("knows " .. case[1], function()
      for _, front in ipairs { "", "a", "abcdefg", "abcdefgh", "\194\162abcdefghijkl" } do
        local text = front .. case[2]
        for _, state in ipairs { feed { text }, (feed(bytewise(text))) } do
          if case[3] then
            assert.equal(case[3], state)
          else
            assert.truthy(state ~= WHOLE and state ~= BROKEN)
          end
        end
        if case[3] then
          local behind = feed { text, "behind it there is more" }
          assert.equal(case[3], behind)
        end
      end
    end)
  end

  it("says so with the first byte that cannot be", function()
    local _, states = feed(bytewise "\206\186\244\144")
    assert.equal(BROKEN, states[4])
    assert.not_equal(BROKEN, states[3])
  end)

  it("agrees with the rules on any bytes, in any split, under any key", function()
    core.seed()
    local pieces = { "a", "abcdefghijk", "\194\162", "\226\130\172", "\240\159\152\128", "\237", "\160", "\224", "\128",
                     "\191", "\244", "\143", "\240", "\144", "\255", "\239\191\189" }
    for _ = 1, 4000 do
      local text = {}
      for i = 1, math.random(0, 14) do text[i] = pieces[math.random(math.random(#pieces))] end
      text = table.concat(text)
      local valid = valid_bytes(text)
      local key = ffi.new("uint8_t[8]")
      for i = 0, 7 do key[i] = math.random(0, 255) end
      local masked = ffi.new("uint8_t[?]", #text)
      ffi.copy(masked, text, #text)
      for i = 0, #text - 1 do masked[i] = bit.bxor(masked[i], key[i % 8]) end
      local whole = C.utf8_next(WHOLE, core.guarded(text), 0)
      assert.equal(valid == #text, whole == WHOLE, text)
      assert.equal(whole, C.utf8_next(WHOLE, core.guarded(ffi.string(masked, #text)),
                                      ffi.cast("uint64_t *", key)[0]))
      local cut = math.random(0, #text)
      assert.equal(whole, (feed { text:sub(1, cut), text:sub(cut + 1) }))
      local max = math.random(0, #text + 2)
      assert.equal(valid_bytes(text:sub(1, max)), tonumber(C.utf8_prefix(core.guarded(text), max)))
    end
  end)
end)
