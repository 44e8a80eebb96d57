local core = require "support.core"
local ffi = require "ffi"
local C = core.C

-- One for all of them: what a head means depends on none before it.
local memo = ffi.new "struct host_memo"

local BODIES = { [0] = "none", "sized", "streamed", "to close" }

--- Parses a head and reads it: the result code, why it is malformed, the request, and whether the connection goes on.
local function read(bytes, settings)
  settings = settings or {}
  local r = ffi.new "struct request"
  C.arena_init(r.arena, 4096)
  local limits = ffi.new("struct limits", { body_bytes = settings.body_bytes or 0 })
  local security = ffi.new("struct security", { merge_slashes = true,
                                                require_content_length = settings.require_content_length or false })
  r.limits, r.security = limits, security
  local head, keep, why = ffi.new "struct h1_head", ffi.new "bool[1]", ffi.new "const char *[1]"
  local parse = ffi.new("struct h1_limits", { head_bytes = 65536, headers = 100, uri_bytes = 8192 })
  assert.equal("OK", core.rc(C.h1_parse_request(core.guarded(bytes, 64), parse, r.arena, head, r.headers)))
  local rc = core.rc(C.h1_server_head(r, head, memo, keep, why))
  -- What a caller may hold on to is copied before the memory goes.
  local found = {
    path = core.text(r.path), query = core.text(r.query), host = core.text(r.host), authority = core.text(r.authority),
    is_plain = r.plain_path ~= nil and r.plain_path == r.path.at,
    version = r.version, body = BODIES[tonumber(r.body)], bytes = tonumber(r.body_bytes), keep = keep[0],
    expects_continue = r.expects_continue, wants_upgrade = r.wants_upgrade, skipped = {},
  }
  for i = 0, r.headers.count - 1 do
    if r.headers.at[i].skip then table.insert(found.skipped, core.text(r.headers.at[i].name)) end
  end
  C.arena_free(r.arena)
  return rc, why[0] ~= nil and ffi.string(why[0]) or nil, found
end

local function request(fields, o)
  o = o or {}
  local lines = { ("%s %s HTTP/1.%d"):format(o.method or "GET", o.target or "/", o.minor or 1) }
  if o.host ~= false then lines[2] = "Host: " .. (o.host or "a.test") end
  for _, line in ipairs(fields) do lines[#lines + 1] = line end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

describe("h1_server_head", function()
  local good = {
    { "a path and a query", request({}, { target = "/a//b?c=d?" }), path = "/a/b", query = "c=d?", body = "none" },
    { "no query at all", request {}, query = nil },
    { "a host without its port, in lower case", request({}, { host = "A.Test:80" }), host = "a.test",
      authority = "A.Test:80" },
    { "an authority in the target before Host", request({}, { target = "http://B.test/c", host = "a.test" }),
      host = "b.test", path = "/c" },
    { "an absolute target without a path", request({}, { target = "http://b.test?q" }), path = "/", query = "q" },
    { "the asterisk of OPTIONS", request({}, { method = "OPTIONS", target = "*" }), path = "*" },
    { "an empty Host", request({}, { host = "" }), host = nil, authority = "" },
    { "no Host in HTTP/1.0", request({}, { minor = 0, host = false }), version = 10 },

    { "a sized body", request({ "Content-Length: 12" }, { method = "POST" }), body = "sized", bytes = 12 },
    { "an empty body of a method that has one", request({ "Content-Length: 0" }, { method = "PUT" }), body = "sized" },
    { "an empty body of a method that has none", request { "Content-Length: 0" }, body = "none",
      skipped = { "Host", "Content-Length" } },
    { "a chunked body", request({ "Transfer-Encoding: ChunKed" }, { method = "POST" }), body = "streamed" },

    { "that HTTP/1.1 goes on", request {}, keep = true },
    { "that HTTP/1.1 ends when it says so", request { "Connection: x, Close" }, keep = false },
    { "that HTTP/1.0 ends", request({}, { minor = 0 }), keep = false },
    { "that HTTP/1.0 goes on when it says so", request({ "Connection: keep-alive" }, { minor = 0 }), keep = true },
    { "that HTTP/1.0 ends when it says both", request({ "Connection: keep-alive, close" }, { minor = 0 }),
      keep = false },
    { "that nothing follows CONNECT", request({}, { method = "CONNECT", target = "a:1" }), keep = false },

    { "what Connection names, which goes no further",
      request { "X: 1", "Connection: x, Y, keep-alive, Host", "y: 2", "Z: 3", "Keep-Alive: 5", "TE: trailers" },
      skipped = { "Host", "X", "Connection", "y", "Keep-Alive", "TE" } },
    { "an upgrade", request { "Connection: upgrade", "Upgrade: websocket" }, wants_upgrade = true },
    { "no upgrade to cleartext HTTP/2", request { "Connection: upgrade", "Upgrade: x, h2c" }, wants_upgrade = false },
    { "no upgrade that Connection does not name", request { "Upgrade: websocket" }, wants_upgrade = false },
    { "no upgrade behind a body", request { "Connection: upgrade", "Upgrade: x", "Content-Length: 1" },
      wants_upgrade = false },
    { "an expectation", request { "Expect: 100-Continue" }, expects_continue = true },
    { "no expectation of HTTP/1.0", request({ "Expect: 100-continue" }, { minor = 0 }), expects_continue = false,
      skipped = { "Host", "Expect" } },
  }
  for _, case in ipairs(good) do
    it("reads " .. case[1], function()
      local rc, why, found = read(case[2])
      assert.same({ "OK" }, { rc, why })
      for key, value in pairs(case) do
        if type(key) == "string" then assert.same(value, found[key], key) end
      end
    end)
  end

  local bad = {
    { "two Host fields", request { "Host: b" } },
    { "no Host field", request({}, { host = false }) },
    { "two Content-Length fields", request { "Content-Length: 1", "Content-Length: 1" } },
    { "Content-Length is no number", request { "Content-Length: 1, 1" } },
    { "Content-Length is no number", request { "Content-Length: +1" } },
    { "Content-Length is no number", request { "Content-Length: 9223372036854775808" } },
    { "two Transfer-Encoding fields", request { "Transfer-Encoding: chunked", "Transfer-Encoding: chunked" } },
    { "Transfer-Encoding in HTTP/1.0", request({ "Transfer-Encoding: chunked" }, { minor = 0 }) },
    { "Transfer-Encoding is no list of tokens", request { "Transfer-Encoding: a b" } },
    { "Transfer-Encoding is not just chunked", request { "Transfer-Encoding: chunked, chunked" } },
    { "Transfer-Encoding is not just chunked", request { "Transfer-Encoding:" } },
    { "both Content-Length and Transfer-Encoding", request { "Content-Length: 1", "Transfer-Encoding: chunked" } },
    { "the target is neither a path nor an http URL", request({}, { target = "a" }) },
    { "the target is neither a path nor an http URL", request({}, { target = "ftp://a/" }) },
    { "the path has a broken escape, a NUL, or leads above the root", request({}, { target = "/%zz" }) },
    { "the path has a broken escape, a NUL, or leads above the root", request({}, { target = "/a/../.." }) },
    { "the host is no name or address", request({}, { host = "a b" }) },
    { "the host is no name or address", request({}, { target = "http://:80/" }) },
  }
  for _, case in ipairs(bad) do
    it(("refuses a head and says: %s (%s)"):format(case[1], case[2]:gsub("\r\n", " ")), function()
      local rc, why = read(case[2])
      assert.same({ "MALFORMED", case[1] }, { rc, why })
    end)
  end

  local refused = {
    { "UNKNOWN_CODING", request { "Transfer-Encoding: gzip, chunked" } },
    { "EXPECTATION", request { "Expect: miracles" } },
    { "BODY_LIMIT", request({ "Content-Length: 11" }, { method = "POST" }), { body_bytes = 10 } },
    { "OK", request({ "Content-Length: 10" }, { method = "POST" }), { body_bytes = 10 } },
    { "NO_LENGTH", request { "Transfer-Encoding: chunked" }, { require_content_length = true } },
  }
  for _, case in ipairs(refused) do
    it(("gives %s for %s"):format(case[1], case[2]:gsub("\r\n", " ")), function()
      local rc, why = read(case[2], case[3])
      assert.same({ case[1] }, { rc, why })
    end)
  end

  --- What a path becomes, and whether it hides something, asked of the functions that look at each byte.
  local function normal(path)
    local out, arena = ffi.new "struct slice", core.arena()
    local rc = core.rc(C.url_normalise(core.slice(path), true, arena, out))
    return rc == "OK" and core.text(out) or nil, rc == "OK" and C.url_is_hidden(out)
  end

  it("takes no path for plain that is not, whichever byte is wherever in it", function()
    for len = 1, 36 do
      for at = 1, len do
        for byte = 0x21, 0x7e do
          local path = "/" .. ("a"):rep(at - 1) .. string.char(byte) .. ("b"):rep(len - at)
          if not path:find "[#?]" then
            local rc, _, found = read(request({}, { target = path .. "?q/./?" }))
            local expected, hidden = normal(path)
            if found.path ~= expected and rc == "OK" or (rc == "OK") ~= (expected ~= nil) or found.query ~= "q/./?" or
               hidden and found.is_plain then
              assert.same({ path, expected }, { path, rc == "OK" and found.path or rc })
            end
          end
        end
      end
    end
  end)

  it("finds double slashes and dots wherever they are", function()
    for len = 0, 40 do
      for _, odd in ipairs { "//", "/.", "/..", "/./", "/../", "/.x", "%2F." } do
        local path = "/" .. ("a"):rep(len) .. odd .. "b/c"
        local rc, _, found = read(request({}, { target = path }))
        local expected = normal(path)
        assert.same({ expected and "OK" or "MALFORMED", expected }, { rc, expected and found.path })
        assert.is_false(found.is_plain)
      end
      local _, _, plain = read(request({}, { target = "/a" .. ("a"):rep(len) .. "/b-c_d/9" }))
      assert.is_true(plain.is_plain)
    end
  end)

  describe("remembers hosts", function()
    --- Hosts of one length that differ in one byte, wherever that is: some share a place.
    local function hosts(len)
      local all = {}
      for at = 1, len do
        for _, c in ipairs { "a", "b", "7" } do all[#all + 1] = ("x"):rep(at - 1) .. c .. ("x"):rep(len - at) end
      end
      return all
    end

    for _, len in ipairs { 1, 7, 8, 9, 15, 16, 17, 24, 33, 63, 64, 65, 80 } do
      it(("of %d bytes, and takes none for another"):format(len), function()
        for _ = 1, 2 do
          for _, name in ipairs(hosts(len)) do
            for _, port in ipairs { "", ":8", ":8080" } do
              local rc, _, found = read(request({}, { host = name .. port }))
              assert.same({ "OK", name, name .. port }, { rc, found.host, found.authority })
            end
          end
        end
      end)
    end

    it("only as far as they are good as they are", function()
      local hosts_of = {
        { "Upper.Test", "upper.test" }, { "upper.test", "upper.test" }, { "dot.at.end.", "dot.at.end" },
        { "dot.at.end", "dot.at.end" }, { "[2001:db8::1]:8080", "[2001:db8::1]" },
      }
      for _ = 1, 3 do
        for _, case in ipairs(hosts_of) do
          local _, _, found = read(request({}, { host = case[1] }))
          assert.equal(case[2], found.host)
        end
        for _, name in ipairs { "two..dots.test", "bad_port.test:70000", "bad port.test", "under%zzscore" } do
          assert.equal("MALFORMED", (read(request({}, { host = name }))))
        end
      end
    end)
  end)
end)
