local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function id_of(name) return tonumber(C.header_id_of(core.guarded(name))) end

describe("header_id_of", function()
  for id = 1, tonumber(C.HEADER_COUNT) - 1 do
    local name = core.text(C.header_name(id))

    it("knows " .. name .. " in any case, and no name one byte off", function()
      assert.equal(core.tables.HEADER[id], (name:upper():gsub("-", "_")))
      for _, spelling in ipairs { name, name:lower(), name:upper() } do assert.equal(id, id_of(spelling)) end
      for i = 1, #name do
        local before, behind = name:sub(1, i - 1), name:sub(i + 1)
        local far = string.char(bit.bxor(name:byte(i), 0x20))       -- a letter's other case; of '-' it is CR
        local others = { before .. "!" .. behind, before .. behind, before .. "~" .. name:sub(i) }
        table.insert(others, before .. far .. behind)
        for _, other in ipairs(others) do
          local found = id_of(other)
          assert.is_true(found == 0 or core.text(C.header_name(found)):lower() == other:lower(), other)
        end
      end
    end)
  end

  local unknown = {
    "", "X", "a", "zz", "Hos", "Hostt", "Content_Length", "Content-Length ", "Content-Lengt", "X-Forwarded-Fo", "Via\0",
    "Transfer-Encoding-Transfer", ("x"):rep(24), ("x"):rep(25), ("Host"):rep(1000), "H\239st",
  }
  for _, name in ipairs(unknown) do
    it(("does not know %q"):format(name:sub(1, 40)), function() assert.equal(0, id_of(name)) end)
  end

  it("has no two ids for names equal but for case", function()
    local seen = {}
    for id = 1, tonumber(C.HEADER_COUNT) - 1 do
      local name = core.text(C.header_name(id)):lower()
      assert.is_nil(seen[name])
      seen[name] = id
    end
  end)
end)

describe("header_is_token and header_is_value", function()
  local token = "!#$%&'*+-.^_`|~"
  it("agree with RFC 9110 on every byte", function()
    for byte = 0, 255 do
      local c = string.char(byte)
      local is_token = c:match "^[%w]$" and byte < 128 or token:find(c, 1, true) and true or false
      local is_value = c == "\t" or (byte >= 32 and byte ~= 127)
      assert.equal(is_token and true or false, C.header_is_token(core.guarded(c)), byte)
      assert.equal(is_value, C.header_is_value(core.guarded(c)), byte)
      assert.equal(is_token and 1 or 0, C.header_token_table[byte])
    end
  end)

  it("look at every byte", function()
    assert.is_true(C.header_is_token(core.guarded "Content-Type"))
    assert.is_false(C.header_is_token(core.guarded "Content-Type "))
    assert.is_false(C.header_is_token(core.guarded ""))
    assert.is_true(C.header_is_value(core.guarded ""))
    assert.is_true(C.header_is_value(core.guarded "a b\t\255"))
    assert.is_false(C.header_is_value(core.guarded "a b\r"))
  end)

  it("look at every byte of values of any length", function()
    local bytes = { [0] = false, [9] = true, [10] = false, [31] = false, [32] = true, [126] = true, [127] = false,
                    [128] = true, [255] = true }
    for len = 1, 26 do
      for place = 1, len do
        for byte, is_value in pairs(bytes) do
          local text = ("a"):rep(place - 1) .. string.char(byte) .. ("\255"):rep(len - place)
          assert.equal(is_value, C.header_is_value(core.guarded(text)), ("%d at %d of %d"):format(byte, place, len))
          local after_tab = "\t" .. text
          assert.equal(is_value, C.header_is_value(core.guarded(after_tab)), ("%d behind a tab"):format(byte))
        end
      end
    end
  end)
end)

describe("method_of", function()
  local methods = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE" }
  for id, name in ipairs(methods) do
    it("knows " .. name .. " in this very case only", function()
      assert.equal(id, tonumber(C.method_of(core.guarded(name))))
      assert.equal(0, tonumber(C.method_of(core.guarded(name:lower()))))
      assert.equal(0, tonumber(C.method_of(core.guarded(name .. "X"))))
      assert.equal(0, tonumber(C.method_of(core.guarded(name:sub(1, -2)))))
      assert.equal(0, tonumber(C.method_of(core.guarded(name:sub(1, -2) .. "~"))))
    end)
  end
  for _, name in ipairs { "", "G", "PROPFIND", "PURGE", "M-SEARCH", ("A"):rep(32) } do
    it(("has %q among the others"):format(name), function()
      assert.equal(0, tonumber(C.method_of(core.guarded(name))))
    end)
  end
end)

describe("headers_grow", function()
  it("keeps what is in the list", function()
    local arena, list = core.arena(), ffi.new "struct headers"
    local texts = {}
    for i = 0, 999 do
      if list.count == list.cap then C.headers_grow(list, arena) end
      texts[i] = "name" .. i
      list.at[i].name = core.slice(texts[i])
      list.count = i + 1
    end
    for i = 0, 999 do assert.equal(texts[i], core.text(list.at[i].name)) end
  end)
end)
