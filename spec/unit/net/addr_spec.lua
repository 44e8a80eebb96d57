local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10

local function print_addr(addr)
  local out = ffi.new("char[?]", C.ADDR_TEXT)
  return ffi.string(out, C.addr_print(addr, out))
end

local function print_ip(peer)
  local out = ffi.new("char[?]", 46)
  return ffi.string(out, C.peer_print_ip(peer, out))
end

local function peer(text)
  local out = ffi.new "struct peer"
  return C.peer_parse(core.guarded(text), out) and out or nil
end

describe("addr_parse", function()
  local cases = {
    { "1.2.3.4:80", "1.2.3.4:80", 16 }, { "255.255.255.255:65535", "255.255.255.255:65535", 16 },
    { ":80", "0.0.0.0:80", 16 }, { "0.0.0.0:0", "0.0.0.0:0", 16 }, { "127.0.0.1:00080", "127.0.0.1:80", 16 },
    { "[::1]:80", "[::1]:80", 28 }, { "[::]:0", "[::]:0", 28 }, { "[2001:DB8:0:0::1]:443", "[2001:db8::1]:443", 28 },
    { "[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1", 28 },
    { "unix:/run/a.sock", "unix:/run/a.sock", 110 }, { "unix:a", "unix:a", 110 },
    { "unix:/" .. ("x"):rep(106), "unix:/" .. ("x"):rep(106), 110 },
    { "unix:/" .. ("x"):rep(107), nil }, { "unix:", nil }, { "unix:/a\0b", nil }, { "UNIX:/a", nil },
    { "", nil }, { ":", nil }, { "80", nil }, { "1.2.3.4", nil }, { "1.2.3.4:", nil }, { "1.2.3.4:65536", nil },
    { "1.2.3.4:-1", nil }, { "1.2.3.4:+1", nil }, { "1.2.3.4: 1", nil }, { "1.2.3.4:1 ", nil }, { " 1.2.3.4:1", nil },
    { "1.2.3:80", nil }, { "1.2.3.4.5:80", nil }, { "1.2.3.256:80", nil }, { "01.2.3.4:80", nil },
    { "1.2.3.4\0:80", nil },
    { "::1:80", nil }, { "[::1]", nil }, { "[::1:80", nil }, { "::1]:80", nil }, { "[]:80", nil }, { "[::g]:80", nil },
    { "[::1%lo]:80", nil }, { "[[::1]]:80", nil }, { "localhost:80", nil }, { "*:80", nil },
    { ("1"):rep(300) .. ":80", nil },
  }
  for _, case in ipairs(cases) do
    it(case[2] and ("reads %q as %s"):format(case[1], case[2]) or ("refuses %q"):format(case[1]), function()
      local addr = ffi.new "struct addr"
      assert.equal(case[2] ~= nil, C.addr_parse(core.guarded(case[1]), addr))
      if case[2] then
        assert.equal(case[2], print_addr(addr))
        assert.equal(case[3], addr.len)
      end
    end)
  end

  it("reads what it prints", function()
    core.seed()
    for _ = 1, 2000 do
      local addr, again = ffi.new "struct addr", ffi.new "struct addr"
      local six = math.random(2) == 1
      addr.u.any.sa_family = six and AF_INET6 or AF_INET
      addr.len = six and 28 or 16
      local ip = six and addr.u.v6.sin6_addr or addr.u.v4.sin_addr
      for i = 0, six and 15 or 3 do ip[i] = math.random(3) == 1 and 0 or math.random(0, 255) end
      local port = six and addr.u.v6.sin6_port or addr.u.v4.sin_port
      port[0], port[1] = math.random(0, 255), math.random(0, 255)
      assert.is_true(C.addr_parse(core.guarded(print_addr(addr)), again))
      assert.equal(ffi.string(addr, ffi.sizeof(addr)), ffi.string(again, ffi.sizeof(again)))
    end
  end)
end)

describe("peer_parse", function()
  local cases = {
    { "0.0.0.0", "0.0.0.0" }, { "10.20.200.255", "10.20.200.255" }, { "::1", "::1" }, { "[::1]", "::1" },
    { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" }, { "FE80::A", "fe80::a" },
    { "1111:2222:3333:4444:5555:6666:7777:8888", "1111:2222:3333:4444:5555:6666:7777:8888" },
    { "", nil }, { "[]", nil }, { "[", nil }, { "1.2.3.4:80", nil }, { "1.2.3.4 ", nil }, { "1.2.3", nil },
    { "0x7f.1", nil },
    { "127.1", nil }, { "2130706433", nil }, { "::1\0", nil }, { ":::", nil }, { "1::2::3", nil }, { "::1/128", nil },
    { ("0"):rep(100), nil },
  }
  for _, case in ipairs(cases) do
    it(case[2] and ("reads %q"):format(case[1]) or ("refuses %q"):format(case[1]), function()
      local found = peer(case[1])
      assert.equal(case[2], found and print_ip(found))
    end)
  end

  it("prints a unix socket as a word", function()
    assert.equal("unix", print_ip(ffi.new("struct peer", { family = AF_UNIX })))
  end)
end)

describe("network_parse", function()
  local bad = {
    "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0/8", "::/129",
    "10.0.0.0/255.0.0.0", "10.0.0.0/8/8", "example.com/8", "10.0.0.0:80/8", "10.0.0.0/8\0",
  }
  for _, text in ipairs(bad) do
    it(("refuses %q"):format(text), function()
      assert.is_false(C.network_parse(core.guarded(text), ffi.new "struct network"))
    end)
  end
end)

describe("addr_interleave", function()
  local cases = {
    { "4a", "4a" }, { "", "" }, { "4a 4b 4c", "4a 4b 4c" }, { "6a 6b", "6a 6b" },
    { "6a 4a", "6a 4a" }, { "4a 6a", "4a 6a" }, { "6a 6b 4a 4b", "6a 4a 6b 4b" }, { "4a 4b 6a 6b", "4a 6a 4b 6b" },
    { "6a 6b 6c 6d 4a", "6a 4a 6b 6c 6d" }, { "4a 6a 6b 6c", "4a 6a 6b 6c" },
    { "6a 4a 4b 4c 6b 6c", "6a 4a 6b 4b 6c 4c" },
    { "6a 6b 6c 4a 4b 4c 4d 6d", "6a 4a 6b 4b 6c 4c 6d 4d" },
  }
  for _, case in ipairs(cases) do
    it(("makes %q of %q"):format(case[2], case[1]), function()
      local names = {}
      for name in case[1]:gmatch "%S+" do names[#names + 1] = name end
      local list = ffi.new("struct addr[?]", #names + 1)
      for i, name in ipairs(names) do
        local address = (name:find "^4" and "10.0.0." or "fd00::") .. name:byte(2) - 96
        assert.is_true(C.addr_parse_ip(core.guarded(address), 80, list[i - 1]))
      end
      C.addr_interleave(list, #names)
      local found = {}
      for i = 1, #names do
        local family, number = print_addr(list[i - 1]):match "^(%S+)[.:](%d)%]?:80$"
        found[i] = (family == "10.0.0" and "4" or "6") .. string.char(96 + number)
      end
      assert.equal(case[2], table.concat(found, " "))
    end)
  end
end)

describe("network_has", function()
  local cases = {
    { "10.0.0.0/8", "10.255.1.2", true }, { "10.0.0.0/8", "11.0.0.0", false }, { "10.1.2.3/8", "10.9.9.9", true },
    { "0.0.0.0/0", "1.2.3.4", true }, { "0.0.0.0/0", "::1", false }, { "0.0.0.0/0", "::ffff:1.2.3.4", true },
    { "192.168.1.1", "192.168.1.1", true }, { "192.168.1.1", "192.168.1.2", false },
    { "192.168.1.1/32", "192.168.1.0", false }, { "192.168.1.0/31", "192.168.1.1", true },
    { "192.168.1.0/31", "192.168.1.2", false }, { "172.16.0.0/12", "172.31.255.255", true },
    { "172.16.0.0/12", "172.32.0.0", false }, { "128.0.0.0/1", "127.255.255.255", false },
    { "128.0.0.0/1", "128.0.0.0", true }, { "10.0.0.0/8", "::ffff:10.1.1.1", true },
    { "10.0.0.0/8", "::ffff:11.1.1.1", false }, { "10.0.0.0/8", "::10.1.1.1", false },
    { "::/0", "2001:db8::1", true }, { "::/0", "1.2.3.4", false }, { "::1", "::1", true }, { "::1", "::2", false },
    { "2001:db8::/33", "2001:db8:7fff::", true }, { "2001:db8::/33", "2001:db8:8000::", false },
    { "fe80::/10", "febf::1", true }, { "fe80::/10", "fec0::1", false }, { "::1/127", "::", true },
    { "::ffff:10.0.0.0/104", "::ffff:10.9.9.9", true },
  }
  for _, case in ipairs(cases) do
    it(("says %s for %s in %s"):format(case[3], case[2], case[1]), function()
      local network = ffi.new "struct network"
      assert.is_true(C.network_parse(core.guarded(case[1]), network))
      assert.equal(case[3], C.network_has(network, peer(case[2])))
    end)
  end

  it("has no unix socket", function()
    local network = ffi.new "struct network"
    C.network_parse(core.slice "0.0.0.0/0", network)
    assert.is_false(C.network_has(network, ffi.new("struct peer", { family = AF_UNIX })))
  end)
end)
