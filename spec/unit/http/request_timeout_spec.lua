local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local ms = ffi.new "uint64_t[1]"

local function parse(text)
  local rc = core.rc(C.request_timeout_parse(core.guarded(text), ms))
  return rc == "OK" and tonumber(ms[0]) or rc
end

describe("X-Request-Timeout", function()
  local good = {
    ["0"] = 0, ["0.000"] = 0, ["0ms"] = 0, ["1"] = 1000, ["1s"] = 1000, ["01"] = 1000, ["1.5"] = 1500, ["0.25s"] = 250,
    ["250ms"] = 250, ["0.1ms"] = 1, ["0.0000001"] = 1, ["0.000000001"] = 1, ["0.000000000"] = 0, ["1.0001"] = 1001,
    ["1.000999999"] = 1001, ["1.5ms"] = 2, ["1m"] = 60000, ["0.5m"] = 30000, ["0.0001m"] = 6, ["0.000000001m"] = 1,
    ["86399999.999"] = 86399999999, ["1439999m"] = 86399940000,
  }
  for text, expected in pairs(good) do
    it(("takes %s for %d ms"):format(text, expected), function() assert.equal(expected, parse(text)) end)
  end

  local bad = {
    "", " ", "s", ".5", "1.", "1.s", "-1", "+1", "1e3", "0x1", "1 s", " 1", "1 ", "1S", "1MS", "1h", "1us", "1sec",
    "1,5", "1.2.3", "1;2", "inf", "nan", "1.0000000000", "123456789012", "86400000", "86400000000ms", "99999999999m",
    "1\0", "1\r\n", ("9"):rep(5000), "1." .. ("0"):rep(5000),
  }
  for _, text in ipairs(bad) do
    it(("does not take %q"):format(#text > 20 and text:sub(1, 20) .. "..." or text), function()
      assert.equal("MALFORMED", parse(text))
    end)
  end

  it("is written as seconds that can be read again", function()
    local out = ffi.new("char[?]", C.REQUEST_TIMEOUT_TEXT)
    for n, expected in pairs { [0] = "0.000", [1] = "0.001", [250] = "0.250", [61002] = "61.002" } do
      local text = ffi.string(out, C.request_timeout_print(n, out))
      assert.equal(expected, text)
      assert.equal(n, parse(text))
    end
  end)
end)
