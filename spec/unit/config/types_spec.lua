local types = require "tidegate.config.types"

--- Cases are { type, text, value } or { type, text, nil, why }.
local cases = {
  { "duration", "500ms", 0.5 }, { "duration", "30s", 30 }, { "duration", "5m", 300 }, { "duration", "1h", 3600 },
  { "duration", "7d", 604800 }, { "duration", "1h30m", 5400 }, { "duration", "1.5s", 1.5 }, { "duration", "0", 0 },
  { "duration", "0s", 0 }, { "duration", "1d2h3m4s5ms", 93784.005 },
  { "duration", "30", nil, "it needs a unit, for example 30s" },
  { "duration", "", nil }, { "duration", "s", nil }, { "duration", "-1s", nil }, { "duration", "1 s", nil, "write 1s" },
  { "duration", "1s1s", nil, "units go from large to small, each once" },
  { "duration", "1s1m", nil, "units go from large to small, each once" },
  { "duration", "1y", nil, '"y" is no unit; ms, s, m, h and d are' },
  { "duration", "1S", nil, "write 1s" }, { "duration", "10 minutes", nil, "write 10m" },
  { "duration", "1.5 Hours", nil, "write 1.5h" },
  { "duration", "1month", nil, '"month" is no unit; ms, s, m, h and d are' },

  { "size", "0", 0 }, { "size", "10B", 10 }, { "size", "1kB", 1000 }, { "size", "1KiB", 1024 }, { "size", "1MB", 1e6 },
  { "size", "64MiB", 64 * 2 ^ 20 }, { "size", "1.5KiB", 1536 }, { "size", "2GiB", 2 ^ 31 }, { "size", "1TiB", 2 ^ 40 },
  { "size", "10", nil, "it needs a unit, for example 10B or 10KiB" },
  { "size", "10m", nil, "write 10MiB" }, { "size", "10K", nil, "write 10KiB" }, { "size", "10KB", nil, "write 10KiB" },
  { "size", "1.5B", nil, "it is not a whole number of bytes" }, { "size", "1Q", nil, '"Q" is no unit' },
  { "size", "9000000TiB", nil, "it is too large" }, { "size", "-1B", nil }, { "size", "", nil },

  { "percent", "10%", 0.1 }, { "percent", "100%", 1 }, { "percent", "0.5%", 0.005 }, { "percent", "101%", nil },
  { "percent", "10", nil, "write 10%" }, { "percent", "0.2", nil, "write 20%" }, { "percent", "%", nil },

  { "url", "http://a", "http://a" }, { "url", "https://a:1/b?c#d", "https://a:1/b?c#d" }, { "url", "a.com", nil },
  { "url", "http://", nil }, { "url", "http://a b", nil },

  { "host", "A.Example.COM.", "a.example.com" }, { "host", "127.0.0.1", "127.0.0.1" }, { "host", "[::1]", "[::1]" },
  { "host", "my_app", "my_app" }, { "host", "a:80", nil, "a host has no port here" }, { "host", "", nil },
  { "host", "a..b", nil }, { "host", ".a", nil }, { "host", "a b", nil }, { "host", ("a"):rep(64), nil,
    "a part between dots is longer than 63 bytes" },
  { "host", ("a."):rep(127) .. "a", nil }, { "host", "ü", nil, "write an international name in its xn-- form" },
  { "host", "*.a", nil },

  { "host_pattern", "*.Example.com", "*.example.com" }, { "host_pattern", "a.b", "a.b" },
  { "host_pattern", "*", nil, "leave the key away to match every host" }, { "host_pattern", "*.", nil,
    'a "*" can only stand for the first parts, as in "*.example.com"' },
  { "host_pattern", "~^A\\d", "~^A\\d" }, { "host_pattern", "~", nil, 'a regular expression is missing behind "~"' },
  { "host_pattern", "~a(", nil,
    'expected a regular expression behind "~", found "a(": missing closing parenthesis at byte 3' },
  { "host_pattern", "*.*.a", nil, 'only one "*" is possible' }, { "host_pattern", "", nil },

  { "path", "/", "/" }, { "path", "/a/b", "/a/b" }, { "path", "/a b", "/a%20b" }, { "path", "/%61%2f", "/a%2F" },
  { "path", "/ü", "/%C3%BC" }, { "path", "a", nil, "it starts with a slash" }, { "path", "", nil,
    "it starts with a slash" },
  { "path", "/a?b", nil, "a query is no part of a path" }, { "path", "/%zz", nil, "a percent sign is written %25" },
  { "path", "/a\0", nil, "it holds a control character" },

  { "path_pattern", "/a", "/a" }, { "path_pattern", "/a/*", "/a/*" }, { "path_pattern", "/a/**", "/a/*" },
  { "path_pattern", "/*", "/*" }, { "path_pattern", "/**", "/*" }, { "path_pattern", "/ü/*", "/%C3%BC/*" },
  { "path_pattern", "*", nil, 'a "*" can only stand for the last segments, as in "/api/*"' },
  { "path_pattern", "/a*", nil, 'a "*" can only stand for the last segments, as in "/api/*"' },
  { "path_pattern", "/a/*/*", nil, 'a "*" can only stand for the last segments, as in "/api/*"' },
  { "path_pattern", "/{id}", "/{id}" }, { "path_pattern", "/ü/{id}/{_a1}", "/%C3%BC/{id}/{_a1}" },
  { "path_pattern", "/{id}/", "/{id}/" }, { "path_pattern", "/{id}/**", "/{id}/*" },
  { "path_pattern", "/{id}//{a}", nil, "request paths have no empty segments when they are compared" },
  { "path_pattern", "/{id}x", nil, 'a parameter is a whole segment, as in "/users/{id}"; "{id}x" is none' },
  { "path_pattern", ("/a"):rep(128) .. "/{id}", nil, "a path with parameters has at most 128 segments" },
  { "path_pattern", ("/a"):rep(127) .. "/{id}", ("/a"):rep(127) .. "/{id}" },
  { "path_pattern", ("/a"):rep(2049), nil, "it is longer than 4096 bytes" },
  { "path_pattern", "~^/{id}", "~^/{id}" }, { "path_pattern", "~", nil, 'a regular expression is missing behind "~"' },

  { "cidr", "10.0.0.0/8", "10.0.0.0/8" }, { "cidr", "::1", "::1" }, { "cidr", "10.0.0.0/33", nil }, { "cidr", "", nil },

  { "address", ":8080", "0.0.0.0:8080" }, { "address", "127.0.0.1:80", "127.0.0.1:80" }, { "address", "[::]:80",
    "[::]:80" },
  { "address", "unix:run/a.sock", "unix:run/a.sock" },
  { "address", "8080", nil, 'write ":8080"' },
  { "address", "host:80", nil, "a listener has an address, not a name" },
  { "address", "*:80", nil, 'write ":80"' }, { "address", "127.0.0.1", nil, "it needs a port" },
  { "address", "unix:", nil, "it is empty" }, { "address", "", nil },

  { "method", "GET", "GET" }, { "method", "M-SEARCH", "M-SEARCH" }, { "method", "get", nil, 'write "GET"' },
  { "method", "CONNECT", nil, "the gateway is no forward proxy" }, { "method", "G T", nil }, { "method", "", nil },

  { "header_name", "X-Request-Id", "x-request-id" }, { "header_name", "a b", nil }, { "header_name", "", nil },
  { "header_name", "a:", nil },
  { "cookie_name", "__Host-Shop", "__Host-Shop" }, { "cookie_name", "a b", nil }, { "cookie_name", "a=b", nil },
  { "cookie_name", "", nil }, { "cookie_name", ("a"):rep(128), ("a"):rep(128) },
  { "cookie_name", ("a"):rep(129), nil, "it is longer than 128 bytes" },

  { "file", "a b/c", "a b/c" }, { "file", "", nil, "it is empty" }, { "file", "a\0b", nil, "it holds a NUL byte" },
  { "file", ("x"):rep(4001), nil, "it is too long" },

  { "regex", "^/(a|b)$", "^/(a|b)$" },
  { "regex", "(", nil, 'expected a regular expression, found "(": missing closing parenthesis at byte 2' },
  { "json", "5", 5 }, { "json", '"x"', "x" }, { "json", "x", nil,
    "Expected value but found invalid token at character 1" },
  { "json", "", nil, "Expected value but found T_END at character 1" },

  { "name", "route 1", "route 1" }, { "name", "", nil, "it is empty" }, { "name", "a\nb", nil,
    "it holds a control character" },
  { "name", ("x"):rep(129), nil, "it is longer than 128 bytes" },
}

describe("a format", function()
  for _, case in ipairs(cases) do
    local name, text, value, why = case[1], case[2], case[3], case[4]
    it(("%s %s %s"):format(name, value ~= nil and "takes" or "refuses", ("%q"):format(text:sub(1, 30))), function()
      local found, reason = types[name].parse(text)
      if type(value) == "number" then
        assert.is_true(math.abs(found - value) < 1e-9)
      else
        assert.equal(value, found)
      end
      assert.equal(why, reason)
    end)
  end
end)

local PORT = "a port is a number from 1 to 65535"

describe("a node", function()
  local nodes = {
    { "10.0.0.1:8080", { host = "10.0.0.1", port = 8080 } },
    { "App.internal:80", { host = "app.internal", port = 80 } },
    { "http://app", { scheme = "http", host = "app", port = 80 } },
    { "HTTPS://app/", { scheme = "https", host = "app", port = 443 } },
    { "https://[::1]:8443", { scheme = "https", host = "::1", port = 8443 } },
    { "[fe80::1]:80", { host = "fe80::1", port = 80 } },
    { "unix:/run/app.sock", { file = "/run/app.sock" } },
    { "unix:run/app.sock", { file = "run/app.sock" } },
    { "unix:///run/app.sock", { file = "/run/app.sock" } },
    { "app", nil, "it needs a port" },
    { "[::1]", nil, "it needs a port" },
    { "::1:80", nil },
    { "a:0", nil, PORT }, { "a:65536", nil, PORT }, { "a:", nil }, { "a:8x", nil, PORT }, { "", nil },
    { "unix:", nil, "it is empty" },
    { "http://", nil }, { "http://a b", nil }, { "user@a:80", nil },
    { "http://a/b", nil, "it has no path; a route's add_prefix puts one before each path" },
    { "a:80?b", nil, "it has no path; a route's add_prefix puts one before each path" },
    { "ftp://a", nil, "its protocol is none of http, https, ws and wss" },
    { "grpc://a:1", nil, "the protocol grpc is not available in this version" },
  }
  for _, case in ipairs(nodes) do
    it(("is %sread from %q"):format(case[2] and "" or "not ", case[1]), function()
      local found, why = types.node.parse(case[1])
      assert.same(case[2], found)
      assert.equal(case[3], why)
    end)
  end
end)
