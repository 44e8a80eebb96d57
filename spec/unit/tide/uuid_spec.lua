local uuid = require "tidegate.tide.uuid"

local RFC_V7 = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F"        -- RFC 9562 appendix A.6

-- [P14] UUIDv4 for sessions
describe("uuid", function()
  for _, version in ipairs { 4, 7 } do
    it(("version %d is valid, and no two are the same"):format(version), function()
      local seen = {}
      for _ = 1, 2000 do
        local text = uuid["v" .. version]()
        assert.is_truthy(text:find("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-" .. version .. "%x%x%x%-[89ab]%x%x%x%-%x+$"), text)
        assert.equal(36, #text)
        assert.equal(text, text:lower())
        assert.is_true(uuid.is_valid(text))
        assert.is_true(uuid.is_valid(text, version))
        assert.is_false(uuid.is_valid(text, 11 - version))
        assert.is_nil(seen[text])
        seen[text] = true
      end
    end)
  end

  it("version 7 sorts as it was made, and has the time", function()
    local last = ""
    for _ = 1, 20000 do
      local text = uuid.v7()
      assert.is_true(text > last)
      last = text
    end
    local seconds = tonumber((last:sub(1, 13):gsub("-", "")), 16) / 1000
    assert.is_true(math.abs(seconds - os.time()) < 20)
  end)

  it("is read", function()
    local bytes, version = uuid.parse(RFC_V7)
    assert.equal("\1\127\34\226\121\176\124\195\152\196\220\12\12\7\57\143", bytes)
    assert.equal(7, version)
    assert.equal(bytes, (uuid.parse(RFC_V7:lower())))
  end)

  local validity = {
    { RFC_V7, true }, { "919108f7-52d1-4320-9bac-f847db4148a8", true },
    { "C232AB00-9414-11EC-B3C8-9F6BDECED846", true },
    { "00000000-0000-0000-0000-000000000000", false }, { "ffffffff-ffff-ffff-ffff-ffffffffffff", false },
    { "919108f7-52d1-0320-9bac-f847db4148a8", false }, { "919108f7-52d1-9320-9bac-f847db4148a8", false },
    { "919108f7-52d1-4320-7bac-f847db4148a8", false }, { "919108f7-52d1-4320-cbac-f847db4148a8", false },
    { "", false }, { "919108f752d143209bacf847db4148a8", false }, { "{919108f7-52d1-4320-9bac-f847db4148a8}", false },
  }
  for _, case in ipairs(validity) do
    it(("is_valid says %s of %q"):format(tostring(case[2]), case[1]), function()
      assert.equal(case[2], uuid.is_valid(case[1]))
    end)
  end

  for _, text in ipairs {
    "", "919108f7-52d1-4320-9bac-f847db4148a", "919108f7-52d1-4320-9bac-f847db4148a8x",
    "919108f7_52d1-4320-9bac-f847db4148a8", "919108f7-52d1-4320-9bac-f847db4148ag",
    "919108f7-52d1-4320-9bac-f847db4148a\0",
    "919108f75-2d1-4320-9bac-f847db4148a8", (" "):rep(36),
  } do
    it("refuses " .. ("%q"):format(text):gsub("%z", "?"), function()
      local bytes, why = uuid.parse(text)
      assert.is_nil(bytes)
      assert.is_truthy(why:find "^expected a UUID such as 01890a5d%-ac96%-774b%-bcce%-b302099a8057, found \"")
    end)
  end

  it("takes nothing but texts and versions", function()
    assert.has_error(function() uuid.parse(1) end, "uuid.parse: expected a text, found a number")
    assert.has_error(function() uuid.is_valid(nil) end, "uuid.is_valid: expected a text, found nil")
    assert.has_error(function() uuid.is_valid(RFC_V7, "7") end, "uuid.is_valid: expected a version, found a string")
  end)
end)
