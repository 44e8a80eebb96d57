local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local function normalise(path, merge)
  local arena, out = core.arena(), ffi.new "struct slice[1]"
  local rc = core.rc(C.url_normalise(core.guarded(path), merge, arena, out))
  if rc ~= "OK" then return nil, rc end
  return core.text(out[0])
end

describe("url_normalise", function()
  -- The path; what it becomes (nil: malformed); what it becomes where slashes are merged, if that differs.
  local cases = {
    { "/", "/" }, { "/a", "/a" }, { "/a/", "/a/" }, { "/a/b.c/d-e_f~g", "/a/b.c/d-e_f~g" },
    { "/a;b=c,d/!$&'()*+:@", "/a;b=c,d/!$&'()*+:@" },
    -- dot segments
    { "/.", "/" }, { "/./", "/" }, { "/a/.", "/a/" }, { "/a/./", "/a/" }, { "/a/./b", "/a/b" }, { "/./a", "/a" },
    { "/a/..", "/" }, { "/a/../", "/" }, { "/a/../b", "/b" }, { "/a/b/..", "/a/" }, { "/a/b/../", "/a/" },
    { "/a/b/../../c", "/c" }, { "/a/b/c/./../../g", "/a/g" }, { "/a/./b/../c/.", "/a/c/" }, { "/././.", "/" },
    { "/...", "/..." }, { "/.a", "/.a" }, { "/a.", "/a." }, { "/a..", "/a.." }, { "/..a", "/..a" },
    { "/a/...", "/a/..." },
    { "/.../..", "/" }, { "/a/.b/..c/d..", "/a/.b/..c/d.." },
    -- above the root
    { "/..", nil }, { "/../", nil }, { "/../a", nil }, { "/a/../..", nil }, { "/a/../../b", nil }, { "/./..", nil },
    { "/a/b/../../../c", nil }, { "/%2e%2e/a", nil }, { "/a/%2e./..", nil },
    -- slashes
    { "//", "//", "/" }, { "///", "///", "/" }, { "//a", "//a", "/a" }, { "/a//", "/a//", "/a/" },
    { "/a//b", "/a//b", "/a/b" },
    { "/a///b//c//", "/a///b//c//", "/a/b/c/" }, { "/a//../b", "/a/b", "/b" }, { "//..", "/", nil },
    { "//../a", "/a", nil },
    { "/a/..//b", "//b", "/b" }, { "/a//.", "/a//", "/a/" }, { "/.//a", "//a", "/a" }, { "//.", "//", "/" },
    { "/a//b/../..", "/a/", "/" },
    -- percent-encoding
    { "/%41%62%7A%30%2D%2E%5F%7E", "/Abz0-._~" }, { "/%61%2f%62", "/a%2Fb" }, { "/%2f%2F", "/%2F%2F" },
    { "/%3f%3D%26", "/%3F%3D%26" }, { "/%25%32%65", "/%252e" }, { "/%252e%252e/a", "/%252e%252e/a" },
    { "/%5c..%5c", "/%5C..%5C" },
    { "/a%20b", "/a%20b" }, { "/%c3%a4", "/%C3%A4" }, { "/%e4/%ff", "/%E4/%FF" }, { "/%7f%01", "/%7F%01" },
    { "/%2e", "/" }, { "/%2E/a", "/a" }, { "/a/%2e%2E", "/" }, { "/a/.%2e/b", "/b" }, { "/a/%2e./b", "/b" },
    { "/a/%2e%2e%2f", "/a/..%2F" }, { "/a%2e%2e/b", "/a../b" },
    { "/a/%2e%2e/%2e/b%2F..", "/b%2F.." },
    -- bytes that are no URI characters
    { "/a b", "/a%20b" }, { "/a\"<>\\^`{|}", "/a%22%3C%3E%5C%5E%60%7B%7C%7D" }, { "/\195\164", "/%C3%A4" },
    { "/a\1\127", "/a%01%7F" }, { "/[a]", "/%5Ba%5D" }, { "/a?b", "/a%3Fb" }, { "/a#b", "/a%23b" }, { "/a\0b", nil },
    -- broken
    { "", nil }, { "a", nil }, { "a/b", nil }, { "*", nil }, { ".", nil }, { "%2f", nil }, { "?", nil }, { "\\", nil },
    { "/%", nil }, { "/%4", nil }, { "/%4g", nil }, { "/%g4", nil }, { "/%%41", nil }, { "/% 41", nil }, { "/a%", nil },
    { "/%00", nil }, { "/a%00b", nil }, { "/%u0041", nil }, { "/%-1", nil }, { "/%+1", nil }, { "/a/%2", nil },
    { "/%\0" .. "41", nil }, { "/%2\0", nil },
    -- long
    { "/" .. ("a/../"):rep(500), "/" }, { "/" .. ("a/"):rep(500) .. ("../"):rep(500), "/" },
    { "/" .. ("a/"):rep(500) .. ("../"):rep(501), nil }, { "/" .. ("%2e/"):rep(500) .. "b", "/b" },
    { "/" .. ("\255"):rep(1000), "/" .. ("%FF"):rep(1000) }, { ("/"):rep(1000), ("/"):rep(1000), "/" },
  }
  for _, case in ipairs(cases) do
    for _, merge in ipairs { false, true } do
      local expected = case[2]
      if merge and #case >= 3 then expected = case[3] end
      if merge and case[1]:find "^//%.%." then expected = nil end       -- there is no segment left to go back
      local name = ("%s %q%s%s"):format(expected and "makes" or "refuses", case[1]:sub(1, 50),
        expected and (" %q"):format(expected:sub(1, 50)) or "", merge and ", merging slashes" or "")

      it(name, function()
        local out, rc = normalise(case[1], merge)
        assert.equal(expected, out)
        if not expected then
          assert.equal("MALFORMED", rc)
        else
          assert.equal(expected, (normalise(expected, merge)))
        end
      end)
    end
  end

  it("gives a path that is normal already back as it lies there", function()
    local path, out = core.guarded "/a/b.c/d", ffi.new "struct slice[1]"
    C.url_normalise(path, true, core.arena(), out)
    assert.is_true(out[0].at == path.at)
  end)

  it("does what RFC 3986 says, over any path", function()
    core.seed()
    local pieces = {
      "/", "/", "/", ".", "..", "%2e", "%2E", "a", "b", "%41", "%2f", "%2F", "%25", " ", "\200", ";", "%",
    }

    -- Decodes and encodes, then takes segments off one after the other.
    local function slow(path, merge)
      local broken
      path = path:gsub("%%(.?.?)", function(hex)
        if not hex:match "^%x%x$" or hex == "00" then broken = true end
        local byte = string.char(tonumber(hex:match "^%x%x$" or "0", 16))
        return byte:match "^[%w%-%._~]$" and "\1" .. byte or "\2" .. hex:upper()
      end)
      if broken or path:sub(1, 1) ~= "/" then return nil end
      path = path:gsub("\1", ""):gsub("[^%w%-%._~!$&'()*+,;=:@/\2]", function(c) return ("\2%02X"):format(c:byte()) end)
      path = path:gsub("\2", "%%")
      local out, kept = {}, {}
      for segment in path:gmatch "/([^/]*)" do table.insert(out, segment) end
      local last = out[#out]
      for i, segment in ipairs(out) do
        if segment == ".." then
          if #kept == 0 then return nil end
          table.remove(kept)
        elseif segment ~= "." and not (merge and segment == "") or (i == #out and segment == "" and merge) then
          table.insert(kept, segment)
        end
      end
      if last == "." or last == ".." then table.insert(kept, "") end
      return "/" .. table.concat(kept, "/")
    end

    for _ = 1, 20000 do
      local path = { "/" }
      for i = 2, math.random(12) do path[i] = pieces[math.random(#pieces)] end
      path = table.concat(path)
      for _, merge in ipairs { false, true } do
        local out = normalise(path, merge)
        assert.equal(slow(path, merge), out, path)
        if out then assert.equal(out, (normalise(out, merge))) end
      end
    end
  end)
end)

describe("url_is_hidden", function()
  local cases = {
    { "/", false }, { "/a", false }, { "/a.b", false }, { "/a/b.", false }, { "/.a", true }, { "/a/.b", true },
    { "/.git/config", true }, { "/a/.htaccess", true }, { "/a/..b/c", true }, { "/...", true }, { "//.a", true },
    { "/.well-known/acme", false }, { "/.well-known/", false }, { "/.well-known", true }, { "/.well-known/.a", true },
    { "/.well-known/a/.b", true }, { "/a/.well-known/b", true }, { "/.well-knownx/a", true },
    { "/.Well-Known/a", true },
    { "/a./.", true }, { "*", false },
    { "/a%2F.git", true }, { "/%2F.a", true }, { "/a%2Fb%2F.c/d", true }, { "/a%2F..%2Fb", true },
    { "/.well-known/a%2F.b", true }, { "/.well-known%2Fa", true }, { "/a%2Fb.c", false }, { "/a%252F.b", false },
    { "/a%2F", false }, { "%2F.", true }, { "2F.", false }, { ".", false },
  }
  for _, case in ipairs(cases) do
    it(("says %s for %s"):format(case[2], case[1]), function()
      assert.equal(case[2], C.url_is_hidden(core.guarded(case[1])))
    end)
  end
end)

describe("url_split_authority", function()
  local cases = {
    { "a", "a", "" }, { "example.com", "example.com", "" }, { "example.com:80", "example.com", "80" },
    { "EXAMPLE.Com:8080", "example.com", "8080" }, { "example.com.", "example.com", "" },
    { "Example.Com.:80", "example.com", "80" }, { "a:", "a", "" }, { "a:0", "a", "0" }, { "a:65535", "a", "65535" },
    { "127.0.0.1:80", "127.0.0.1", "80" }, { "[::1]", "[::1]", "" }, { "[::1]:80", "[::1]", "80" },
    { "[2001:db8::1]:", "[2001:db8::1]", "" }, { "[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]", "1" },
    { "[2001:DB8::A]:80", "[2001:db8::a]", "80" }, { "a_b", "a_b", "" }, { "a%41b", "a%41b", "" },
    { "xn--bcher-kva.example", "xn--bcher-kva.example", "" },
    { "", nil }, { ":", nil }, { ":80", nil }, { ".", nil }, { ".:80", nil }, { "a:65536", nil }, { "a:-1", nil },
    { "a:+1", nil }, { "a: 1", nil }, { "a:1 ", nil }, { "a:1:2", nil }, { "a::1", nil }, { "::1", nil },
    { "a b", nil },
    { "a\tb", nil }, { "a/b", nil }, { "a?b", nil }, { "a#b", nil }, { "a@b", nil }, { "a\\b", nil }, { "a\"b", nil },
    { "a<b>", nil }, { "a\0b", nil }, { "a\0", nil }, { "\195\164", nil }, { "a|b", nil }, { "[", nil }, { "[]", nil },
    { "[::1", nil }, { "[::1]80", nil }, { "[::1]a", nil }, { "[::1]:a", nil }, { "[::1]:80:80", nil },
    { "[g::1]", nil },
    { "[::1]]", nil }, { "[[::1]]", nil }, { "[::1%25lo]", nil }, { "[1]", nil }, { "[:::]", nil }, { "]", nil },
    { "a%4", nil }, { "a%zz", nil }, { "%", nil }, { "a..", nil }, { "a..:80", nil }, { "..", nil },
  }
  for _, case in ipairs(cases) do
    it((case[2] and "understands %q" or "refuses %q"):format(case[1]), function()
      local arena, host, port = core.arena(), ffi.new "struct slice[1]", ffi.new "struct slice[1]"
      local rc = core.rc(C.url_split_authority(core.guarded(case[1]), arena, host, port))
      if not case[2] then
        assert.equal("MALFORMED", rc)
      else
        assert.equal("OK", rc)
        assert.same({ case[2], case[3] }, { core.text(host[0]), core.text(port[0]) })
      end
    end)
  end
end)

describe("url_split_authority, with any byte at any place of a host", function()
  -- What the rules of RFC 3986 section 3.2.2 say byte by byte, for hosts without escapes and brackets.
  local function expected(text)
    local host, rest = text:match "^([^:]*)(.*)$"
    if not host:find "^[%w%-._~!$&'()*+,;=]+$" or ("." .. host):find("..", 1, true) then return nil end
    local port = rest:match "^:(%d*)$"
    if rest ~= "" and (not port or (tonumber(port) or 0) > 65535) then return nil end
    host = host:gsub("%.$", "")
    return host ~= "" and { host:lower(), port or "" } or nil
  end
  local function found(text)
    local host, port = ffi.new "struct slice[1]", ffi.new "struct slice[1]"
    local rc = core.rc(C.url_split_authority(core.guarded(text), core.arena(), host, port))
    return rc == "OK" and { core.text(host[0]), core.text(port[0]) } or nil
  end
  for _, len in ipairs { 1, 2, 6, 7, 8, 9, 14, 15, 16, 17, 22, 23, 24, 25, 31, 32, 33, 40 } do
    it(("takes or refuses each in a host of %d bytes"):format(len), function()
      local base = ("abc-0.xyz9"):rep(4):sub(1, len)
      for place = 1, len do
        for byte = 0, 255 do
          local c = string.char(byte)
          if not c:find "[%%%[]" then
            local text = base:sub(1, place - 1) .. c .. base:sub(place + 1)
            assert.same(expected(text), found(text), ("%q"):format(text))
          end
        end
      end
      for _, port in ipairs { ":", ":8", ":65535", ":65536", ":80a", ":99999999999", ".:1", "..:1" } do
        assert.same(expected(base .. port), found(base .. port), base .. port)
      end
    end)
  end
end)

describe("url_split_absolute", function()
  local cases = {
    { "http://a/", "a", "/" }, { "http://a/b/c?d=e", "a", "/b/c?d=e" }, { "https://a:443/", "a:443", "/" },
    { "HTTP://A/b", "A", "/b" }, { "HtTpS://a", "a", "" }, { "http://a?b", "a", "?b" },
    { "http://[::1]:80/", "[::1]:80", "/" },
    { "http://a//b", "a", "//b" }, { "http://a/http://b/", "a", "/http://b/" }, { "http://a/@b", "a", "/@b" },
    { "", nil }, { "http", nil }, { "http:", nil }, { "http:/a", nil }, { "http://", nil }, { "http:///a", nil },
    { "http://?a", nil }, { "ftp://a/", nil }, { "ws://a/", nil }, { "//a/", nil }, { "/a", nil }, { "*", nil },
    { "a:80", nil },
    { "http://u@a/", nil }, { "http://u:p@a/", nil }, { "http://@a/", nil }, { " http://a/", nil },
    { "httpx://a/", nil },
  }
  for _, case in ipairs(cases) do
    it((case[2] and "understands %q" or "refuses %q"):format(case[1]), function()
      local authority, path = ffi.new "struct slice[1]", ffi.new "struct slice[1]"
      local rc = core.rc(C.url_split_absolute(core.guarded(case[1]), authority, path))
      if not case[2] then
        assert.equal("MALFORMED", rc)
      else
        assert.equal("OK", rc)
        assert.same({ case[2], case[3] }, { core.text(authority[0]), core.text(path[0]) })
      end
    end)
  end
end)
