local cookie = require "tidegate.tide.cookie"

describe("cookie", function()
  local headers = {
    { "a=1", { a = "1" } },
    { "a=1; b=2", { a = "1", b = "2" } },
    { "a=1;b=2;", { a = "1", b = "2" } },
    { " \t a = 1 \t;  b=2 ", { a = "1", b = "2" } },
    { 'a="1"; b="', { a = "1", b = '"' } },
    { 'a="x y"; b=""', { a = "x y", b = "" } },
    { "a=b=c", { a = "b=c" } },
    { "a=", { a = "" } },
    { "a=1; a=2", { a = "1" } },
    { "a; =x; ; b=2", { b = "2" } },
    { "a;b;c", {} },
    { "", {} },
    { " ", {} },
    { 'a={"x":1,"y":[2]}', { a = '{"x":1,"y":[2]}' } },
    { "a=%20", { a = "%20" } },
    { "ab=1; b=2", { ab = "1", b = "2" } },
    { "x=a; a=1", { x = "a", a = "1" } },
    { "a\0=1", { ["a\0"] = "1" } },
  }
  for _, case in ipairs(headers) do
    it(("is read from %q"):format(case[1]), function()
      assert.same(case[2], cookie.parse(case[1]))
      for _, name in ipairs { "a", "b", "ab", "x", "c" } do
        assert.equal(case[2][name], cookie.get(case[1], name))
      end
    end)
  end

  it("is one of 200 at the most", function()
    assert.is_table(cookie.parse(("a=1;"):rep(200)))
    assert.same({ nil, "expected at most 200 cookies, found more" }, { cookie.parse(("a=1;"):rep(201)) })
  end)

  it("is found in a time that grows with the header only", function()
    local spaces = (" "):rep(100000)
    assert.same({}, cookie.parse("a" .. spaces .. "b"))
    assert.equal("1", cookie.get(("a" .. spaces):rep(10) .. "; a=1", "a"))
    assert.equal("x", cookie.get("a=" .. spaces .. "x" .. spaces, "a"))
    assert.is_nil(cookie.get(("a"):rep(100000), "a"))
  end)
end)

describe("cookie.serialize", function()
  local cases = {
    { "a=1", "a", "1" },
    { "a=", "a", "" },
    { "__Host-id=x; Path=/; Secure", "__Host-id", "x", { path = "/", secure = true } },
    { "__Secure-id=x; Secure", "__Secure-id", "x", { secure = true } },
    { "a=1; Path=/x; Domain=example.com; Max-Age=3600; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Secure; HttpOnly; "
      .. "SameSite=Strict; Partitioned", "a", "1",
      { path = "/x", domain = "example.com", max_age = 3600, expires = 784111777, secure = true, http_only = true,
        same_site = "strict", partitioned = true } },
    { "a=1; Max-Age=0", "a", "1", { max_age = 0, secure = false } },
    { "a=1; Secure; SameSite=None", "a", "1", { same_site = "None", secure = true } },
    { "a=1; SameSite=Lax", "a", "1", { same_site = "LAX" } },
    { "a=!#$%&'()*+-./0:<=>?@AZ[]^_`az{|}~", "a", "!#$%&'()*+-./0:<=>?@AZ[]^_`az{|}~" },
  }
  for _, case in ipairs(cases) do
    it("writes " .. case[1], function() assert.equal(case[1], cookie.serialize(case[2], case[3], case[4])) end)
  end

  local complaints = {
    { "an empty name", "", "1", nil, "expected a name of letters" },
    { "a name with a space", "a b", "1", nil, "expected a name of letters" },
    { "a name with =", "a=b", "1", nil, "expected a name of letters" },
    { "a value with a semicolon", "a", "1; Domain=evil", nil, "expected a value without" },
    { "a value with a line break", "a", "1\r\nX: y", nil, "expected a value without" },
    { "a value with a comma", "a", "1,2", nil, "expected a value without" },
    { "a value with quotes", "a", '"1"', nil, "expected a value without" },
    { "a value with a backslash", "a", "\\", nil, "expected a value without" },
    { "a value that is not ASCII", "a", "é", nil, "expected a value without" },
    { "a value that is too long", "a", ("x"):rep(4096), nil,
      "expected at most 4096 bytes of name and value, found 4097" },
    { "a path with a semicolon", "a", "1", { path = "/;Secure" }, "expected a path" },
    { "a path with a line break", "a", "1", { path = "/\n" }, "expected a path" },
    { "a path without a slash", "a", "1", { path = "x" }, "expected a path" },
    { "a domain with a semicolon", "a", "1", { domain = "a;b" }, "expected a domain" },
    { "an empty domain", "a", "1", { domain = "" }, "expected a domain" },
    { "parts of seconds", "a", "1", { max_age = 0.5 }, "expected max_age in whole seconds, found 0.5" },
    { "an endless age", "a", "1", { max_age = math.huge }, "expected max_age in whole seconds, found inf" },
    { "no number", "a", "1", { max_age = 0 / 0 }, "expected max_age in whole seconds" },
    { "a time before 1970", "a", "1", { expires = -1 }, "expected expires in seconds since 1970, found -1" },
    { "a time after 9999", "a", "1", { expires = 1e12 }, "expected expires in seconds since 1970" },
    { "another SameSite", "a", "1", { same_site = "sometimes" },
      'expected same_site to be Strict, Lax or None, found "sometimes"' },
    { "SameSite None without Secure", "a", "1", { same_site = "none" },
      "expected secure = true with same_site None, found none" },
    { "Partitioned without Secure", "a", "1", { partitioned = true },
      "expected secure = true with partitioned, found none" },
    { "__Secure- without Secure", "__secure-a", "1", {},
      "expected secure = true with a name that begins with __secure-, found none" },
    { "__Host- without a path", "__Host-a", "1", { secure = true }, 'expected path = "/" and no domain' },
    { "__Host- with a domain", "__Host-a", "1", { secure = true, path = "/", domain = "a" },
      'expected path = "/" and no domain' },
  }
  for _, case in ipairs(complaints) do
    it("refuses " .. case[1], function()
      local text, why = cookie.serialize(case[2], case[3], case[4])
      assert.is_nil(text)
      assert.equal(1, why:find(case[5], 1, true), why)
    end)
  end

  local misuses = {
    { "cookie.serialize: there is no attribute httponly; did you mean http_only?", "a", "1", { httponly = true } },
    { "cookie.serialize: there is no attribute 1", "a", "1", { "Secure" } },
    { "cookie.serialize: attribute max_age: expected a number, found a string", "a", "1", { max_age = "1" } },
    { "cookie.serialize: expected a name, found nil" },
    { "cookie.serialize: expected a text as value, found a number", "a", 1 },
    { "cookie.serialize: expected a table of attributes, found a boolean", "a", "1", true },
  }
  for _, case in ipairs(misuses) do
    it("raises: " .. case[1], function()
      assert.has_error(function() cookie.serialize(case[2], case[3], case[4]) end, case[1])
    end)
  end
end)
