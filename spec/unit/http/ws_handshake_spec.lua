local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local terms = ffi.new "struct ws_terms"
local ANY = C.WS_BITS_ANY

--- Parameters as a spec writes them: { s = server_no_takeover, c = client_no_takeover, sb, cb = window bits }.
local function found()
  return { s = terms.server_no_takeover or nil, c = terms.client_no_takeover or nil,
           sb = terms.server_bits > 0 and terms.server_bits or nil,
           cb = terms.client_bits > 0 and terms.client_bits or nil }
end

local function offers(field)
  local list, out = ffi.new("struct slice[1]", core.guarded(field)), {}
  while true do
    local rc = core.rc(C.ws_offer_next(list, terms))
    if rc ~= "OK" then return rc, out end
    table.insert(out, found())
  end
end

local function answer(field, offered_bits)
  local rc = core.rc(C.ws_answer_parse(core.guarded(field), offered_bits, terms))
  return rc, rc == "OK" and found() or nil
end

describe("a WebSocket key", function()
  it("is answered as in RFC 6455 section 1.3", function()
    local out = ffi.new("char[?]", C.WS_ACCEPT_LEN)
    local cases = {
      ["dGhlIHNhbXBsZSBub25jZQ=="] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
      ["x3JJHMbDL1EzLkh9GBhXDw=="] = "HSmrc0sMlYUkAGmm5OPpG2HaGWk=",
    }
    for key, accept in pairs(cases) do
      C.ws_accept_for(core.guarded(key), out)
      assert.equal(accept, ffi.string(out, C.WS_ACCEPT_LEN))
    end
  end)

  local keys = {
    { "dGhlIHNhbXBsZSBub25jZQ==", true },
    { "AAAAAAAAAAAAAAAAAAAAAA==", true },
    { "+/+/+/+/+/+/+/+/+/+/+w==", true },
    { "", false },
    { "==", false },
    { "dGhlIHNhbXBsZSBub25jZQ=", false },
    { "dGhlIHNhbXBsZSBub25jZQ", false },
    { "dGhlIHNhbXBsZSBub25jZQA=", false },
    { "dGhlIHNhbXBsZSBub25jZQAA", false },
    { "dGhlIHNhbXBsZSBub25jZQ== ", false },
    { "dGhlIHNhbXBsZSBub25jZ===", false },
    { "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==", false },
    { "dGhlIHNhbXBs ZSBub25jZ==", false },
    { "dGhlIHNhbXBsZSBub25j_-==", false },
    { "dGhlIHNhbXBsZSBub25\0ZQ==", false },
  }
  for _, case in ipairs(keys) do
    it(("%s be %q"):format(case[2] and "may" or "may not", case[1]), function()
      assert.equal(case[2], C.ws_key_is_valid(core.guarded(case[1])))
    end)
  end
end)

describe("ws_protocol_is_offered", function()
  local cases = {
    { "chat", "chat", true },
    { "soap, chat", "chat", true },
    { " soap ,\tchat\t", "chat", true },
    { ",,chat,", "chat", true },
    { "chat2, chat.v1", "chat", false },
    { "Chat", "chat", false },
    { "", "chat", false },
    { "superchat", "chat", false },
  }
  for _, case in ipairs(cases) do
    it(("%s %s in %q"):format(case[3] and "finds" or "does not find", case[2], case[1]), function()
      assert.equal(case[3], C.ws_protocol_is_offered(core.guarded(case[1]), core.slice(case[2])))
    end)
  end
end)

describe("permessage-deflate", function()
  local DEFLATE = "permessage-deflate"
  -- The field; the offers in it that can be taken.
  local lists = {
    { "", {} },
    { " , ,\t", {} },
    { DEFLATE, { {} } },
    { "PerMessage-Deflate", { {} } },
    { "  permessage-deflate\t", { {} } },
    { DEFLATE .. "; client_max_window_bits", { { cb = ANY } } },
    { DEFLATE .. ";client_max_window_bits=8;server_max_window_bits=15", { { cb = 8, sb = 15 } } },
    { DEFLATE .. ' ; client_max_window_bits = "12" ; server_max_window_bits="9"', { { cb = 12, sb = 9 } } },
    { DEFLATE .. "; server_no_context_takeover; client_no_context_takeover", { { s = true, c = true } } },
    { DEFLATE .. "; SERVER_NO_CONTEXT_TAKEOVER", { { s = true } } },
    { DEFLATE .. "; client_max_window_bits; server_max_window_bits=10, " .. DEFLATE .. "; client_max_window_bits",
      { { cb = ANY, sb = 10 }, { cb = ANY } } },
    { "x-webkit-deflate-frame, " .. DEFLATE, { {} } },
    { 'mux; max-channels=4; flow-control, a; b="c", ' .. DEFLATE .. ", deflate-stream", { {} } },
    { "bbf-usp-protocol; eid=\"doc.a\"", {} },
    -- Offers that a server declines, RFC 7692 section 7; the next may be good.
    { DEFLATE .. "; foo", {} },
    { DEFLATE .. "; foo, " .. DEFLATE, { {} } },
    { DEFLATE .. "; server_no_context_takeover; server_no_context_takeover", {} },
    { DEFLATE .. "; client_no_context_takeover; CLIENT_no_context_takeover", {} },
    { DEFLATE .. "; client_no_context_takeover=1", {} },
    { DEFLATE .. "; server_no_context_takeover=\"true\"", {} },
    { DEFLATE .. "; client_max_window_bits; client_max_window_bits", {} },
    { DEFLATE .. "; client_max_window_bits=9; client_max_window_bits", {} },
    { DEFLATE .. "; client_max_window_bits; client_max_window_bits=9", {} },
    { DEFLATE .. "; server_max_window_bits=9; server_max_window_bits=9", {} },
    { DEFLATE .. "; server_max_window_bits", {} },
    { DEFLATE .. "; server_max_window_bits=7", {} },
    { DEFLATE .. "; server_max_window_bits=16", {} },
    { DEFLATE .. "; server_max_window_bits=08", {} },
    { DEFLATE .. "; server_max_window_bits=009", {} },
    { DEFLATE .. "; server_max_window_bits=+9", {} },
    { DEFLATE .. "; server_max_window_bits=9.0", {} },
    { DEFLATE .. "; client_max_window_bits=0", {} },
    { DEFLATE .. "; client_max_window_bits=999999999999999999999999999", {} },
    { DEFLATE .. "; client_max_window_bits=264", {} },
    { DEFLATE .. "-2", {} },
    -- Not a list.
    { DEFLATE .. ";", {}, "MALFORMED" },
    { DEFLATE .. "; ;", {}, "MALFORMED" },
    { DEFLATE .. "; client_max_window_bits=", {}, "MALFORMED" },
    { DEFLATE .. '; client_max_window_bits="9', {}, "MALFORMED" },
    { DEFLATE .. '; client_max_window_bits=""', {}, "MALFORMED" },
    { DEFLATE .. '; client_max_window_bits="9 "', {}, "MALFORMED" },
    { DEFLATE .. '; client_max_window_bits="\\9"', {}, "MALFORMED" },
    { DEFLATE .. '; client_max_window_bits="9"0', {}, "MALFORMED" },
    { DEFLATE .. "; =9", {}, "MALFORMED" },
    { DEFLATE .. " client_max_window_bits", {}, "MALFORMED" },
    { "; client_max_window_bits", {}, "MALFORMED" },
    { '"permessage-deflate"', {}, "MALFORMED" },
    { DEFLATE .. "\0", {}, "MALFORMED" },
    { DEFLATE .. ", a b", { {} }, "MALFORMED" },
  }
  for _, case in ipairs(lists) do
    it(("is offered %d times in %q"):format(#case[2], case[1]), function()
      assert.same({ case[3] or "END", case[2] }, { offers(case[1]) })
    end)
  end

  -- The field; its terms, or nil where the connection has failed; whether client_max_window_bits was offered.
  local answers = {
    { DEFLATE, {} },
    { DEFLATE .. ",", {} },
    { DEFLATE .. "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8",
      { s = true, c = true, sb = 8 } },
    { DEFLATE .. '; client_max_window_bits="10"', { cb = 10 }, true },
    { DEFLATE .. "; client_max_window_bits=10", nil },
    { DEFLATE .. "; client_max_window_bits", nil, true },
    { DEFLATE .. "; foo=1", nil },
    { DEFLATE .. ", " .. DEFLATE, nil },
    { DEFLATE .. ", mux", nil },
    { "mux", nil },
    { DEFLATE .. "; server_max_window_bits=16", nil },
    { DEFLATE .. "; server_no_context_takeover; server_no_context_takeover", nil },
    { DEFLATE .. ";", nil },
    { DEFLATE .. ", ;", nil },
  }
  for _, case in ipairs(answers) do
    it(("%s be answered with %q"):format(case[2] and "may" or "may not", case[1]), function()
      assert.same({ case[2] and "OK" or "MALFORMED", case[2] }, { answer(case[1], case[3] or false) })
    end)
  end

  it("is not agreed on by an empty answer", function()
    assert.equal("END", (answer("", false)))
    assert.equal("END", (answer(" ,", false)))
  end)

  it("is written so that it reads the same", function()
    local out = ffi.new("char[?]", C.WS_TERMS_MAX)
    for _, s in ipairs { false, true } do
      for _, c in ipairs { false, true } do
        for sb = 0, 15 do
          for cb = 0, 16 do
            if (sb == 0 or sb > 7) and (cb == 0 or cb > 7) then
              local want = ffi.new("struct ws_terms", s, c, sb, cb == 16 and ANY or cb)
              local text = ffi.string(out, C.ws_terms_write(out, want))
              local _, list = offers(text)
              assert.same({ { s = s or nil, c = c or nil, sb = sb > 0 and sb or nil,
                              cb = cb > 0 and (cb == 16 and ANY or cb) or nil } }, list, text)
            end
          end
        end
      end
    end
  end)

  -- The fields; alone; what is asked of the upstream; whether client_max_window_bits is offered.
  local asked = {
    { { "mux" }, true, "", false },
    { { DEFLATE }, false, DEFLATE, false },
    { { DEFLATE }, true, DEFLATE .. "; server_no_context_takeover; client_no_context_takeover", false },
    { { DEFLATE .. "; client_max_window_bits", "mux, " .. DEFLATE .. ";bad" }, false,
      DEFLATE .. "; client_max_window_bits", true },
    { { DEFLATE .. ';client_max_window_bits="9"', "a, " .. DEFLATE .. ";server_max_window_bits=9", DEFLATE }, true,
      DEFLATE .. "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=9, " ..
      DEFLATE .. "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9, " ..
      DEFLATE .. "; server_no_context_takeover; client_no_context_takeover", true },
  }
  for i, case in ipairs(asked) do
    it("is asked of the upstream as " .. (case[3] == "" and "nothing" or case[3]), function()
      local list, bits = ffi.gc(ffi.new "struct buf", C.buf_free), ffi.new("bool[1]", false)
      C.buf_init(list, 4096)
      for _, field in ipairs(case[1]) do
        assert.equal("OK", core.rc(C.ws_offers_append(list, core.guarded(field), case[2], bits)))
      end
      assert.equal(case[3], list.at ~= nil and ffi.string(list.at + list.start, list["end"] - list.start) or "", i)
      assert.equal(case[4], bits[0])
    end)
  end

  it("is not asked of the upstream where the field is malformed, or there is no room", function()
    local list, bits = ffi.gc(ffi.new "struct buf", C.buf_free), ffi.new("bool[1]", false)
    C.buf_init(list, 30)
    local field = DEFLATE .. "; client_max_window_bits, a b"
    assert.equal("MALFORMED", core.rc(C.ws_offers_append(list, core.guarded(field), true, bits)))
    assert.equal(0, list["end"])
    assert.is_false(bits[0])
    assert.equal("LIMIT", core.rc(C.ws_offers_append(list, core.guarded(DEFLATE), true, bits)))
    assert.equal(0, list["end"])
  end)

  it("is looked for in any bytes", function()
    core.seed()
    local pieces = { DEFLATE, "client_max_window_bits", "server_max_window_bits", "client_no_context_takeover", "=",
                     ";", ",", '"', "9", "15", "mux", " ", "\t", "\\", "\0", "\255" }
    for _ = 1, 20000 do
      local text = {}
      for i = 1, math.random(0, 12) do text[i] = pieces[math.random(#pieces)] end
      text = table.concat(text)
      local rc = offers(text)
      assert.truthy(rc == "END" or rc == "MALFORMED")
      local answer_rc = answer(text, true)
      assert.truthy(answer_rc ~= "OK" or rc == "END")
    end
  end)
end)
