local cidr = require "tidegate.tide.cidr"

describe("cidr.parse", function()
  local cases = {
    { "10.0.0.0/8", 4, 8, "10.0.0.0" }, { "0.0.0.0/0", 4, 0, "0.0.0.0" }, { "192.168.1.7", 4, 32, "192.168.1.7" },
    { "255.255.255.255/32", 4, 32, "255.255.255.255" }, { "172.16.0.0/12", 4, 12, "172.16.0.0" },
    { "::/0", 6, 0, "::" }, { "::1", 6, 128, "::1" }, { "2001:DB8::/32", 6, 32, "2001:db8::" },
    { "2001:db8:8000::/33", 6, 33, "2001:db8:8000::" }, { "fe80::/10", 6, 10, "fe80::" },
    { "1:2:3:4:5:6:7:8/128", 6, 128, "1:2:3:4:5:6:7:8" }, { "::ffff:0:0/96", 4, 0, "0.0.0.0" },
    { "::ffff:10.0.0.0/104", 4, 8, "10.0.0.0" }, { "::ffff:a01:203", 4, 32, "10.1.2.3" },
    { "64:ff9b::/96", 6, 96, "64:ff9b::" }, { "::fffe:0:0/96", 6, 96, "::fffe:0:0" },
  }
  for _, case in ipairs(cases) do
    it("reads " .. case[1], function()
      local network = assert(cidr.parse(case[1]))
      assert.same({ case[2], case[3], case[4] }, { network.family, network.bits, network.address })
      assert.equal(case[4] .. "/" .. case[3], network.text)
      assert.equal(network.text, tostring(network))
    end)
  end

  local complaints = {
    { "", "" }, { "x", "" }, { "10.0.0/8", "" }, { "10.0.0.0.0/8", "" }, { "256.0.0.0/8", "" }, { "010.0.0.0/8", "" },
    { "10.0.0.0/", ", whose prefix is not 0 to 32 bits" }, { "10.0.0.0/33", ", whose prefix is not 0 to 32 bits" },
    { "10.0.0.0/08", ", whose prefix is not 0 to 32 bits" }, { "10.0.0.0/-1", ", whose prefix is not 0 to 32 bits" },
    { "10.0.0.0/8/8", ", whose prefix is not 0 to 32 bits" }, { "10.0.0.0/+8", ", whose prefix is not 0 to 32 bits" },
    { "10.0.0.0/8 ", ", whose prefix is not 0 to 32 bits" }, { " 10.0.0.0/8", "" },
    { "10.0.0.1/8", "; the network of that address is 10.0.0.0/8" },
    { "2001:db8::1/32", "; the network of that address is 2001:db8::/32" },
    { "::1/129", ", whose prefix is not 0 to 128 bits" }, { ":::", "" }, { "1:2:3:4:5:6:7:8:9", "" },
    { "12345::", "" }, { "fe80::1%eth0", "" }, { "[::1]", "" }, { "1.2.3.4:80", "" },
    { "::ffff:10.0.0.0/8", ", where the prefix of an IPv4-mapped network is 96 to 128 bits" },
    { "::ffff:10.0.0.1/104", "; the network of that address is 10.0.0.0/8" },
  }
  for _, case in ipairs(complaints) do
    it(("refuses %q"):format(case[1]), function()
      local network, why = cidr.parse(case[1])
      assert.is_nil(network)
      assert.equal(('expected a network such as 10.0.0.0/8 or an address, found "%s"%s'):format(case[1], case[2]), why)
    end)
  end

  it("sees bytes behind a NUL", function()
    assert.is_nil((cidr.parse "10.0.0.0\0x"))
    assert.is_nil(cidr.family "10.0.0.1\0")
    assert.is_nil((cidr.parse(("1"):rep(1000))))
  end)
end)

describe("cidr.family", function()
  local cases = { { "1.2.3.4", 4 }, { "::1", 6 }, { "::ffff:1.2.3.4", 4 }, { "1.2.3.4/32" }, { "localhost" }, { "" } }
  for _, case in ipairs(cases) do
    it(("of %q is %s"):format(case[1], tostring(case[2])), function() assert.equal(case[2], cidr.family(case[1])) end)
  end
end)

-- [G36] in_cidr
describe("a network", function()
  local cases = {
    { "10.0.0.0/8", "10.0.0.0", true }, { "10.0.0.0/8", "10.255.255.255", true }, { "10.0.0.0/8", "11.0.0.0", false },
    { "10.0.0.0/8", "9.255.255.255", false }, { "10.0.0.0/8", "::ffff:10.1.2.3", true },
    { "0.0.0.0/0", "255.255.255.255", true }, { "0.0.0.0/0", "::1", false }, { "::/0", "1.2.3.4", false },
    { "::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true }, { "::/0", "::ffff:1.2.3.4", false },
    { "2001:db8::/33", "2001:db8:7fff::1", true }, { "2001:db8::/33", "2001:db8:8000::", false },
    { "2001:db8::/127", "2001:db8::1", true }, { "2001:db8::/127", "2001:db8::2", false },
    { "::1", "::1", true }, { "::1", "::2", false }, { "1.2.3.4", "1.2.3.4", true },
    { "10.0.0.0/8", "10.0.0", false }, { "0.0.0.0/0", "", false }, { "0.0.0.0/0", "10.0.0.0/8", false },
  }
  for _, case in ipairs(cases) do
    it(("%s %s %q"):format(case[1], case[3] and "has" or "has not", case[2]), function()
      assert.equal(case[3], cidr.parse(case[1]):contains(case[2]))
      assert.equal(case[3], cidr.set({ case[1] }):contains(case[2]))
      assert.equal(case[3], cidr.set({ "203.0.113.0/24", case[1], "2001:db8:f::/48" }):contains(case[2]))
    end)
  end

  it("cannot be changed", function()
    local network = cidr.parse "10.0.0.0/8"
    assert.has_error(function() network.bits = 0 end, "assignment to bits of a network: it is not to be changed")
    assert.is_nil(network.ranges)
  end)
end)

describe("a set of networks", function()
  it("may be empty", function()
    local set = cidr.set {}
    assert.equal(0, set.count)
    assert.is_false(set:contains "1.2.3.4")
  end)

  it("may have networks within each other, in any order", function()
    for _, list in ipairs {
      { "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3" }, { "10.1.2.3", "10.1.0.0/16", "10.0.0.0/8" },
      { "10.0.0.0/16", "10.0.0.0/8", "10.0.0.0/24" }, { "10.0.0.0/8", "10.0.0.0/8" },
    } do
      local set = cidr.set(list)
      assert.equal(1, set.count)
      assert.is_true(set:contains "10.200.0.1")
      assert.is_false(set:contains "11.0.0.0")
    end
  end)

  it("is the same as its networks one by one, for thousands of them", function()
    math.randomseed(7)
    local list, networks = {}, {}
    for i = 1, 3000 do
      local bits = math.random(12, 32)
      local size = 2 ^ (32 - bits)
      local number = math.floor(math.random() * 2 ^ 32 / size) * size
      local text = ("%d.%d.%d.%d/%d"):format(number / 2 ^ 24, number / 2 ^ 16 % 256, number / 256 % 256, number % 256,
        bits)
      if i % 3 == 0 then text = ("2001:db8:%x::/%d"):format(math.random(0, 15) * 4096, math.random(36, 48)) end
      list[i], networks[i] = text, assert(cidr.parse(text))
    end
    local set = assert(cidr.set(list))
    local hits = 0
    for i = 1, 300 do
      local ip = i % 3 == 0 and ("2001:db8:%x::1"):format(math.random(0, 65535))
        or ("%d.%d.%d.%d"):format(math.random(0, 255), math.random(0, 255), math.random(0, 255), math.random(0, 255))
      local wanted = false
      for _, network in ipairs(networks) do wanted = wanted or network:contains(ip) end
      hits = hits + (wanted and 1 or 0)
      assert.equal(wanted, set:contains(ip), ip)
    end
    assert.is_true(hits > 20 and hits < 280)
  end)

  it("names the network that is none", function()
    assert.same({ nil, 'network 2: expected a network such as 10.0.0.0/8 or an address, found "x"' },
                { cidr.set { "10.0.0.0/8", "x" } })
  end)

  local misuses = {
    { "cidr.set: expected a list of texts, found a string", function() cidr.set "10.0.0.0/8" end },
    { "cidr.set: expected a list of texts, found a number", function() cidr.set { 1 } end },
    { "set:contains: expected a text, found nil", function() cidr.set({}):contains() end },
    { "set:contains: expected a set of networks before the colon, found a string",
      function() cidr.set({}).contains "1.2.3.4" end },
    { "network:contains: expected a text, found a table", function() cidr.parse("::"):contains {} end },
    { "cidr.parse: expected a text, found nil", function() cidr.parse() end },
  }
  for _, case in ipairs(misuses) do
    it("raises: " .. case[1], function() assert.has_error(case[2], case[1]) end)
  end
end)
