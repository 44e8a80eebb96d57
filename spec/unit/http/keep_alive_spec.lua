--- What a Keep-Alive field says.
local core = require "support.core"
local C = core.C

describe("a Keep-Alive field", function()
  local rows = {
    -- field, milliseconds, requests
    { "timeout=5, max=100", 5000, 100 },
    { "max=100,timeout=5", 5000, 100 },
    { "TimeOut=5", 5000 },
    { "timeout=5;max=3", 0 },
    { "max=0", 0, 0 },
    { "timeout=0", 1 },
    { "timeout=5, timeout=7", 7000 },
    { "timeout=1000000", 1000000000 },
    { "timeout=1000001", 0 },
    { "max=2147483647", 0, 2147483647 },
    { "max=2147483648", 0 },
    { "timeout=", 0 }, { "timeout", 0 }, { "max=", 0 }, { "timeout=-1", 0 }, { "timeout=+1", 0 }, { "timeout=1.5", 0 },
    { "timeout=0x10", 0 }, { "timeout= 5", 0 }, { "timeout=99999999999999999999999, max=3", 0, 3 },
    { "", 0 }, { ",,, ,", 0 }, { "another=5", 0 }, { "xtimeout=5", 0 }, { "300", 0 },
  }
  for _, row in ipairs(rows) do
    it(("is understood: %q"):format(row[1]), function()
      local said = C.keep_alive_read(core.guarded(row[1]))
      assert.same({ row[2], row[3] }, { said.idle_ms, said.has_max and said.max or nil })
    end)
  end
end)
