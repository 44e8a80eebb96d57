local core = require "support.core"
local ffi = require "ffi"
local rows = require "fixtures.websocket"
local websocket = require "support.websocket"
local C = core.C

local MASK = "\55\250\33\61"
local why = ffi.new "const char *[1]"

--- Takes one direction's bytes as a relay does: `pieces` as they come from the wire.
-- @treturn table fault, why; passes: whole frames that were good; closed; passed: bytes of theirs; at: bytes taken
local function relay(pieces, rules)
  local check, head = ffi.new "struct ws_check", ffi.new "struct ws_head"
  local held, r = "", { passes = 0, passed = 0, at = 0 }
  local function fault(code)
    r.fault, r.why = code, ffi.string(why[0])
    return r
  end
  for _, piece in ipairs(pieces) do
    held, r.at = held .. piece, r.at + #piece
    while #held > 0 do
      local code
      if check.left == 0 then
        if check.close_code ~= 0 then break end
        local rc = core.rc(C.ws_head_parse(core.guarded(held), head))
        if rc == "AGAIN" then break end
        if rc == "MALFORMED" then
          why[0] = "length"
          return fault(C.WS_CLOSE_PROTOCOL)
        end
        held, r.passed = held:sub(head.size + 1), r.passed + head.size
        code = C.ws_check_head(check, rules, head, why)
      else
        local bytes = held:sub(1, tonumber(check.left))
        held, r.passed = held:sub(#bytes + 1), r.passed + #bytes
        local slice = core.guarded(bytes)
        code = C.ws_check_payload(check, slice, why)
        assert(core.text(slice) == bytes, "it changed what is to be relayed")
      end
      if code ~= 0 then return fault(code) end
      if check.left == 0 then r.passes = r.passes + 1 end
    end
  end
  r.closed = check.close_code ~= 0 and check.left == 0 and check.close_code or nil
  return r
end

local function bytes_of(row, from_client) return websocket.stream(row.frames, from_client and MASK or nil) end

local function rules_of(row, from_client)
  local rules = row.rules or {}
  return ffi.new("struct ws_rules", { max_message = rules.max_message or 0, deflate = rules.deflate or false,
                                      expects_mask = from_client })
end

--- A stream in pieces of at most `most` bytes.
local function cut(bytes, most)
  local pieces, at = {}, 1
  while at <= #bytes do
    local n = most == 1 and 1 or math.random(most)
    pieces[#pieces + 1] = bytes:sub(at, at + n - 1)
    at = at + n
  end
  return pieces
end

describe("ws_check", function()
  core.seed()
  for _, row in ipairs(rows) do
    it((row.fault and "closes with " .. row.fault .. " for " or "lets through ") .. row.name, function()
      for _, from_client in ipairs { true, false } do
        local bytes, rules = bytes_of(row, from_client), rules_of(row, from_client)
        local ways = { { bytes }, cut(bytes, 3000) }
        if #bytes < 400 then
          ways[#ways + 1] = cut(bytes, 1)
          for i = 1, 10 do ways[#ways + 1] = cut(bytes, i) end
        end
        for _, pieces in ipairs(ways) do
          local r = relay(pieces, rules)
          assert.same({ row.fault, row.passes, row.closed }, { r.fault, r.passes, r.closed }, r.why)
        end
      end
    end)
  end

  -- What is wrong is known with the byte that makes it so.
  local early = {
    { "text that is not UTF-8", { payload = "ab\255cdefghijklmnop" }, 2 + 4 + 3, "text is not UTF-8" },
    { "a close code that may not be", { opcode = 8, payload = "\0\0reason" }, 2 + 4 + 2,
      "close code that may not be sent" },
    { "a close reason that is not UTF-8", { opcode = 8, payload = "\3\232ab\255cdefgh" }, 2 + 4 + 5,
      "close reason is not UTF-8" },
    { "a control frame that says it is long", { opcode = 9, len = 200 }, 2 + 2 + 4, "control frame over 125 bytes" },
  }
  for _, case in ipairs(early) do
    it("waits for no more than it needs to refuse " .. case[1], function()
      case[2].mask = MASK
      local r = relay(cut(websocket.frame(case[2]), 1), rules_of({}, true))
      assert.same({ case[3], case[4] }, { r.at, r.why })
    end)
  end

  it("refuses a frame behind the close frame, where a caller asks for it", function()
    local check, head, rules = ffi.new "struct ws_check", ffi.new "struct ws_head", rules_of({}, false)
    head.fin, head.opcode = true, websocket.CLOSE
    assert.equal(0, C.ws_check_head(check, rules, head, why))
    assert.equal(C.WS_CLOSE_NONE, check.close_code)
    head.opcode = websocket.PING
    assert.equal(C.WS_CLOSE_PROTOCOL, C.ws_check_head(check, rules, head, why))
  end)

  it("says the same of any frames, however they are cut", function()
    local payloads = { "", "a", "\206", "\186", "\206\186", "\3\232", "\3\232ok", "\255", ("x"):rep(126), "0123456789" }
    local opcodes = { 0, 0, 0, 1, 1, 2, 8, 9, 10, 3 }
    for _ = 1, 3000 do
      local frames = {}
      for i = 1, math.random(6) do
        frames[i] = { opcode = opcodes[math.random(#opcodes)], payload = payloads[math.random(#payloads)],
                      fin = math.random(3) > 1, rsv = math.random(20) == 1 and math.random(7) or 0 }
      end
      local row = { frames = frames, rules = { deflate = math.random(2) == 1, max_message = math.random(0, 3) * 50 } }
      local bytes, rules = bytes_of(row, true), rules_of(row, true)
      local whole = relay({ bytes }, rules)
      for most = 1, 3 do
        local r = relay(cut(bytes, most), rules)
        assert.same({ whole.fault, whole.why, whole.passes, whole.closed }, { r.fault, r.why, r.passes, r.closed })
      end
    end
  end)

  it("is small", function()
    assert.truthy(ffi.sizeof "struct ws_check" <= 40)
  end)
end)
