local url = require "tidegate.tide.url"

describe("url.escape and url.unescape", function()
  local cases = {
    { "", "" }, { "aZ09-._~", "aZ09-._~" }, { "a b&c=d/e?f", "a%20b%26c%3Dd%2Fe%3Ff" }, { "100%", "100%25" },
    { "é", "%C3%A9" }, { "\0\255", "%00%FF" }, { "+", "%2B" },
  }
  for _, case in ipairs(cases) do
    it("turn into each other: " .. case[2], function()
      assert.equal(case[2], url.escape(case[1]))
      assert.equal(case[1], url.unescape(case[2]))
    end)
  end

  it("reads digits of either case", function() assert.equal("\171\171\171\171", url.unescape "%ab%AB%aB%Ab") end)
  it("leaves a plus sign", function() assert.equal("a+b", url.unescape "a+b") end)

  for _, text in ipairs { "%", "a%2", "%zz", "%2x", "%%20", "50% off", "%\0\0" } do
    it("refuses " .. text:gsub("%z", "?"), function()
      local value, why = url.unescape(text)
      assert.is_nil(value)
      assert.is_truthy(why:find "^expected two hexadecimal digits behind the percent sign at byte %d, found ")
    end)
  end
end)

describe("url.parse", function()
  local cases = {
    { "http://example.com", scheme = "http", host = "example.com", path = "" },
    { "HTTPS://User:pw@Example.COM:8443/a/B?c=D#e", scheme = "https", user = "User:pw", host = "example.com",
      port = 8443,
      path = "/a/B", query = "c=D", fragment = "e" },
    { "http://[::1]:80/", scheme = "http", host = "::1", port = 80, path = "/" },
    { "http://[2001:DB8::1]", scheme = "http", host = "2001:db8::1", path = "" },
    { "http://a:/", scheme = "http", host = "a", path = "/" },
    { "http://a:0/", scheme = "http", host = "a", port = 0, path = "/" },
    { "http://a?q", scheme = "http", host = "a", path = "", query = "q" },
    { "http://a/?", scheme = "http", host = "a", path = "/", query = "" },
    { "http://a/#", scheme = "http", host = "a", path = "/", fragment = "" },
    { "http://a/?x?y/z#f?g/h", scheme = "http", host = "a", path = "/", query = "x?y/z", fragment = "f?g/h" },
    { "http://@a/", scheme = "http", user = "", host = "a", path = "/" },
    { "http://a/%20%C3%A9", scheme = "http", host = "a", path = "/%20%C3%A9" },
    { "file:///etc/hosts", scheme = "file", host = "", path = "/etc/hosts" },
    { "mailto:a@example.com", scheme = "mailto", path = "a@example.com" },
    { "urn:isbn:0451450523", scheme = "urn", path = "isbn:0451450523" },
    { "//host/path", host = "host", path = "/path" },
    { "/path?query", path = "/path", query = "query" },
    { "a/b:c", path = "a/b:c" },
    { "?q", path = "", query = "q" },
    { "", path = "" },
  }
  for _, case in ipairs(cases) do
    it("takes apart: " .. case[1], function()
      local wanted = {}
      for name, value in pairs(case) do wanted[name] = value end
      wanted[1] = nil
      assert.same(wanted, url.parse(case[1]))
    end)
  end

  local complaints = {
    { "http://", 'expected a host behind the scheme, found "http://"' },
    { "http:///path", 'expected a host behind the scheme, found "http:///path"' },
    { "http:path", 'expected a host behind the scheme, found "http:path"' },
    { "http://a b/", "expected a URL, found byte 0x20 at byte 9" },
    { "http://a/\r\nx", "expected a URL, found byte 0x0D at byte 10" },
    { "http://a/\0", "expected a URL, found byte 0x00 at byte 10" },
    { "http://é/", "expected a URL, found byte 0xC3 at byte 8" },
    { "http://a/<b>", 'expected a URL, found "<" at byte 10' },
    { "http://a\\b/", 'expected a URL, found "\\" at byte 9' },
    { "http://a/%2", "expected a URL, found a percent sign without two digits at byte 10" },
    { "http://a:b/", 'expected a port of 0 to 65535, found "b"' },
    { "http://a:65536/", 'expected a port of 0 to 65535, found "65536"' },
    { "http://a:080000/", 'expected a port of 0 to 65535, found "080000"' },
    { "http://a:1:2/", 'expected a port of 0 to 65535, found "1:2"' },
    { "http://::1/", 'expected a port of 0 to 65535, found ":1"' },
    { "http://[::1/", 'expected a host, found "["' },
    { "http://[::1]x/", 'expected a port of 0 to 65535, found "x"' },
    { "http://[1.2.3.4]/", 'expected an IPv6 address in [ ], found "[1.2.3.4]"' },
    { "http://[v1.x]/", 'expected an IPv6 address in [ ], found "[v1.x]"' },
    { "http://[fe80::1%25eth0]/", 'expected an IPv6 address in [ ], found "[fe80::1%25eth0]"' },
    { "http://a@b@c/", 'expected a host, found "b@c"' },
    { "http://[@a/", 'expected a user, found "["' },
    { "http://a/[", 'expected a path without "[", "]" and "#", found "/["' },
    { "http://a/?[", 'expected a query without "[", "]" and "#", found "["' },
    { "http://a/#b#c", 'expected a fragment without "[", "]" and "#", found "b#c"' },
    { "1a:b", 'expected a scheme, or no colon before the first slash, found "1a:b"' },
    { ":b", 'expected a scheme, or no colon before the first slash, found ":b"' },
    { "http://a/" .. ("x"):rep(65536), "expected a URL of at most 65536 bytes, found 65545" },
  }
  for _, case in ipairs(complaints) do
    it("refuses " .. case[1]:sub(1, 40):gsub("[^\32-\126]", "?"), function()
      local parts, why = url.parse(case[1])
      assert.is_nil(parts)
      assert.equal(case[2], why)
    end)
  end
end)

describe("url.build", function()
  local cases = {
    { { scheme = "https", user = "u", host = "a.example", port = 444, path = "/x", query = "y", fragment = "z" },
      "https://u@a.example:444/x?y#z" },
    { { scheme = "http", host = "::1" }, "http://[::1]" },
    { { path = "/a", query = { b = "c d", e = { 1, 2 } } }, "/a?b=c%20d&e=1&e=2" },
    { { scheme = "http", host = "a", query = "" }, "http://a?" },
    { { host = "a", path = "/b" }, "//a/b" },
    { {}, "" },
  }
  for _, case in ipairs(cases) do
    it("writes " .. case[2], function() assert.equal(case[2], url.build(case[1])) end)
  end

  local complaints = {
    { { scheme = "http", host = "a", path = "b" }, "the path" },
    { { scheme = "http", host = "a/b" }, "the host" },
    { { scheme = "http", host = "a@b" }, "the host" },
    { { scheme = "http", host = "a", path = "/b?c" }, "the path" },
    { { scheme = "http", host = "a", path = "/", query = "b#c" }, "the query" },
    { { scheme = "http", host = "a", user = "b@c" }, 'a host, found "c@a"' },
    { { scheme = "http", host = "a", port = 70000 }, "a port of 0 to 65535" },
    { { scheme = "http", host = "a", port = 80.5 }, "a port of 0 to 65535" },
    { { scheme = "a b", host = "c" }, "byte 0x20" },
    { { scheme = "http", host = "a\r\nx: y" }, "byte 0x0D" },
    { { path = "//a" }, "the path" },
    { { path = "a:b" }, "the path" },
  }
  for _, case in ipairs(complaints) do
    it("refuses what would be read as something else: " .. case[2], function()
      local text, why = url.build(case[1])
      assert.is_nil(text)
      assert.is_truthy(why:find(case[2], 1, true), why)
    end)
  end

  it("takes parts of the right types only", function()
    assert.has_error(function() url.build { port = "80" } end, "url.build: port: expected a number, found a string")
    assert.has_error(function() url.build { path = 1 } end, "url.build: path: expected a string, found a number")
    assert.has_error(function() url.build "x" end, "url.build: expected a table of parts, found a string")
  end)
end)

describe("url.join", function()
  -- RFC 3986 sections 5.4.1 and 5.4.2.
  local cases = {
    { "g:h", "g:h" }, { "g", "http://a/b/c/g" }, { "./g", "http://a/b/c/g" }, { "g/", "http://a/b/c/g/" },
    { "/g", "http://a/g" }, { "//g", "http://g" }, { "?y", "http://a/b/c/d;p?y" }, { "g?y", "http://a/b/c/g?y" },
    { "#s", "http://a/b/c/d;p?q#s" }, { "g#s", "http://a/b/c/g#s" }, { "g?y#s", "http://a/b/c/g?y#s" },
    { ";x", "http://a/b/c/;x" }, { "g;x", "http://a/b/c/g;x" }, { "g;x?y#s", "http://a/b/c/g;x?y#s" },
    { "", "http://a/b/c/d;p?q" }, { ".", "http://a/b/c/" }, { "./", "http://a/b/c/" }, { "..", "http://a/b/" },
    { "../", "http://a/b/" }, { "../g", "http://a/b/g" }, { "../..", "http://a/" }, { "../../", "http://a/" },
    { "../../g", "http://a/g" }, { "../../../g", "http://a/g" }, { "../../../../g", "http://a/g" },
    { "/./g", "http://a/g" }, { "/../g", "http://a/g" }, { "g.", "http://a/b/c/g." }, { ".g", "http://a/b/c/.g" },
    { "g..", "http://a/b/c/g.." }, { "..g", "http://a/b/c/..g" }, { "./../g", "http://a/b/g" },
    { "./g/.", "http://a/b/c/g/" }, { "g/./h", "http://a/b/c/g/h" }, { "g/../h", "http://a/b/c/h" },
    { "g;x=1/./y", "http://a/b/c/g;x=1/y" }, { "g;x=1/../y", "http://a/b/c/y" }, { "g?y/./x", "http://a/b/c/g?y/./x" },
    { "g?y/../x", "http://a/b/c/g?y/../x" }, { "g#s/../x", "http://a/b/c/g#s/../x" },
  }
  for _, case in ipairs(cases) do
    it(("finds %s for %q"):format(case[2], case[1]), function()
      assert.equal(case[2], url.join("http://a/b/c/d;p?q", case[1]))
    end)
  end

  it("puts a slash between a host and a path", function()
    assert.equal("http://a:1/g", url.join("http://a:1", "g"))
  end)

  it("keeps user and port of the base with a path, and drops them with a host", function()
    assert.equal("http://u@a:1/y", url.join("http://u@a:1/x", "/y"))
    assert.equal("http://b/y", url.join("http://u@a:1/x", "//b/y"))
  end)

  it("refuses a base without a scheme, and what is no URL", function()
    assert.same({ nil, 'expected a base with a scheme, found "/a"' }, { url.join("/a", "b") })
    assert.same({ nil, "expected a URL, found byte 0x20 at byte 1" }, { url.join("http://a", " ") })
    assert.is_nil((url.join("a:/b", "..//c")))
  end)

  it("takes a time that grows with the text only", function()
    assert.equal("http://a/", url.join("http://a/", ("x/../"):rep(13000)))
  end)
end)

describe("url.parse_query", function()
  local cases = {
    { "", {} }, { "a=1", { a = "1" } }, { "a=1&b=2", { a = "1", b = "2" } },
    { "a=1&a=2&a=3", { a = { "1", "2", "3" } } },
    { "a", { a = true } }, { "a=", { a = "" } }, { "=x", { [""] = "x" } }, { "a=b=c", { a = "b=c" } },
    { "&&a=1&&", { a = "1" } }, { "a+b=c+d", { ["a b"] = "c d" } }, { "a%20b=%26%3D%2B", { ["a b"] = "&=+" } },
    { "a&a=1", { a = { true, "1" } } }, { "a[]=1", { ["a[]"] = "1" } }, { "%C3%A9=%00", { ["é"] = "\0" } },
  }
  for _, case in ipairs(cases) do
    it(("reads %q"):format(case[1]), function() assert.same(case[2], url.parse_query(case[1])) end)
  end

  it("gives the order, if asked to", function()
    assert.same({ { "b", "1" }, { "a", true }, { "b", "" } }, url.parse_query("b=1&a&b=", { list = true }))
  end)

  it("refuses more arguments than 100, or than it is told", function()
    assert.is_table(url.parse_query(("a&"):rep(100)))
    assert.equal("expected at most 100 arguments, found more", select(2, url.parse_query(("a&"):rep(101))))
    assert.equal("expected at most 1 arguments, found more", select(2, url.parse_query("a&b", { max = 1 })))
  end)

  it("refuses a broken percent sign in a name or a value", function()
    assert.is_nil((url.parse_query "a=%"))
    assert.is_nil((url.parse_query "a%zz=1"))
    assert.is_nil((url.parse_query("a=1&%2", { list = true })))
  end)
end)

describe("url.build_query", function()
  local cases = {
    { "by name, in order", { b = "2", a = "1", c = { 3, true, "x y" } }, "a=1&b=2&c=3&c&c=x%20y" },
    { "as a list", { { "b", "2" }, { "a", true }, { "b", 1 } }, "b=2&a&b=1" },
    { "with true and false", { a = true, b = false }, "a" },
    { "with signs", { ["ä&"] = "=+" }, "%C3%A4%26=%3D%2B" },
    { "with numbers", { a = 2 ^ 52, b = 0.5 }, "a=4503599627370496&b=0.5" },
    { "with nothing", {}, "" },
  }
  for _, case in ipairs(cases) do
    it("writes arguments " .. case[1], function() assert.equal(case[3], url.build_query(case[2])) end)
  end

  it("gives back what was read", function()
    for _, text in ipairs { "a=1&b=2", "a&b=", "x%20y=%2B%26" } do
      assert.equal(text, url.build_query(url.parse_query(text)))
      assert.equal(text, url.build_query(url.parse_query(text, { list = true })))
    end
  end)

  local misuses = {
    { "url.build_query: expected a table, found a string", "a=1" },
    { "url.build_query: expected names that are texts, found a number", { "a" } },
    { 'url.build_query: argument "a": expected a text, a number, a boolean or a list of those, found a function',
      { a = print } },
    { "url.build_query: expected a name that is a text, found a number", { { 1, 2 } } },
  }
  for _, case in ipairs(misuses) do
    it("raises: " .. case[1], function()
      assert.has_error(function() url.build_query(case[2]) end, case[1])
    end)
  end
end)
