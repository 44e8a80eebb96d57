local core = require "support.core"
local heads = require "support.heads"
local ffi = require "ffi"
local C = core.C

local kept = {}        -- Lua strings that slices point into

local function slice(text)
  if text == nil then return ffi.new "struct slice" end
  table.insert(kept, text)
  return core.slice(text)
end

local BODY = { none = 0, sized = 1, streamed = 2, to_close = 3 }
local CONNECTION = { none = 0, close = 1, keep_alive = 2, upgrade = 3 }

--- Adds fields; what is { name, value, skip = true } was taken out.
local function fill(list, arena, fields)
  for _, field in ipairs(fields or {}) do
    if list.count == list.cap then C.headers_grow(list, arena) end
    local h = list.at[list.count]
    list.count = list.count + 1
    h.name, h.value, h.id = slice(field[1]), slice(field[2]), tonumber(C.header_id_of(slice(field[1])))
    h.skip = field.skip or false
    h.line = C.LINE_NONE
    if h.id ~= 0 and list.first[h.id] == 0 then list.first[h.id] = list.count end
  end
end

local function written(write, room)
  local area = core.guarded(("?"):rep(room or 4096))
  local out = ffi.new "struct out"
  out.at = ffi.cast("char *", area.at)
  out["end"] = out.at + area.len
  write(out)
  return ffi.string(area.at, out.at - area.at), out.full
end

local function request(case, room)
  local arena, r = core.arena(), ffi.new "struct request"
  r.method_text, r.path = slice(case.method or "GET"), slice(case.path or "/")
  r.query, r.upstream_host = slice(case.query), slice(case.host or "up")
  r.sent_body, r.sent_body_bytes = BODY[case.body or "none"], case.bytes or 0
  r.wants_upgrade = case.upgrade or false
  fill(r.headers, arena, case.fields)
  return written(function(out) C.h1_write_request(out, r) end, room)
end

local function response(case, room)
  local arena, p = core.arena(), ffi.new "struct response"
  p.status, p.reason = case.status or 200, slice(case.reason or "")
  p.body, p.body_bytes = BODY[case.body or "none"], case.bytes or 0
  fill(p.headers, arena, case.fields)
  local connection = CONNECTION[case.connection or "none"]
  return written(function(out)
    C.h1_write_response(out, p, case.chunked or false, connection, slice "now")
  end, room)
end

local function check_room(make, case, whole)
  for room = 0, #whole do
    local _, full = make(case, room)
    assert.equal(room < #whole, full)
  end
end

describe("h1_write_request", function()
  local cases = {
    { "writes the smallest head", {}, "GET / HTTP/1.1\r\nHost: up\r\n\r\n" },
    { "writes a query, be it empty", { path = "/a", query = "" }, "GET /a? HTTP/1.1\r\nHost: up\r\n\r\n" },
    { "writes path and query", { path = "/a", query = "b=c" }, "GET /a?b=c HTTP/1.1\r\nHost: up\r\n\r\n" },
    { "writes fields in their order", { fields = { { "b", "1" }, { "A", "" }, { "b", "2" } } },
      "GET / HTTP/1.1\r\nHost: up\r\nb: 1\r\nA: \r\nb: 2\r\n\r\n" },
    { "leaves out what was taken out",
      { fields = { { "Host", "a", skip = true }, { "B", "1" }, { "C", "2", skip = true } } },
      "GET / HTTP/1.1\r\nHost: up\r\nB: 1\r\n\r\n" },
    { "writes a length", { method = "POST", body = "sized", bytes = 0 },
      "POST / HTTP/1.1\r\nHost: up\r\nContent-Length: 0\r\n\r\n" },
    { "writes a large length", { method = "POST", body = "sized", bytes = 9223372036854775807ULL },
      "POST / HTTP/1.1\r\nHost: up\r\nContent-Length: 9223372036854775807\r\n\r\n" },
    { "writes chunked framing", { method = "PUT", body = "streamed" },
      "PUT / HTTP/1.1\r\nHost: up\r\nTransfer-Encoding: chunked\r\n\r\n" },
    { "asks for an upgrade", { upgrade = true, fields = { { "Upgrade", "websocket", skip = true } } },
      "GET / HTTP/1.1\r\nHost: up\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local bytes, full = request(case[2])
      assert.equal(case[3], bytes)
      assert.is_false(full)
      assert.equal("OK", (heads.parse("request", bytes)))
      check_room(request, case[2], bytes)
    end)
  end

  it("writes a length once when the client's own is passed on", function()
    local bytes = request { method = "POST", body = "sized", bytes = 5, fields = { { "Content-Length", "5" } } }
    assert.equal("POST / HTTP/1.1\r\nHost: up\r\nContent-Length: 5\r\n\r\n", bytes)
  end)
end)

describe("h1_write_response", function()
  local cases = {
    { "writes the smallest head", {}, "HTTP/1.1 200 OK\r\nDate: now\r\n\r\n" },
    { "keeps a reason", { reason = "Fine" }, "HTTP/1.1 200 Fine\r\nDate: now\r\n\r\n" },
    { "gives a reason where there is none", { status = 404 }, "HTTP/1.1 404 Not Found\r\nDate: now\r\n\r\n" },
    { "gives an empty reason for an unknown status", { status = 599 }, "HTTP/1.1 599 \r\nDate: now\r\n\r\n" },
    { "keeps a date", { fields = { { "date", "then" } } }, "HTTP/1.1 200 OK\r\ndate: then\r\n\r\n" },
    { "gives an interim response no date", { status = 103, fields = { { "Link", "</a>" } } },
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" },
    { "writes a length", { body = "sized", bytes = 1234 },
      "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 1234\r\n\r\n" },
    { "writes chunked framing instead of a length", { body = "sized", bytes = 1, chunked = true },
      "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n" },
    { "leaves a body that ends with the connection unframed", { body = "to_close", connection = "close" },
      "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\n\r\n" },
    { "keeps a connection alive in words", { connection = "keep_alive" },
      "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: keep-alive\r\n\r\n" },
    { "switches protocols", { status = 101, connection = "upgrade", fields = { { "Upgrade", "h2c", skip = true } } },
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" },
    { "leaves out what was taken out", { fields = { { "A", "1", skip = true }, { "B", "2" } } },
      "HTTP/1.1 200 OK\r\nB: 2\r\nDate: now\r\n\r\n" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local bytes, full = response(case[2])
      assert.equal(case[3], bytes)
      assert.is_false(full)
      assert.equal("OK", (heads.parse("response", bytes)))
      check_room(response, case[2], bytes)
    end)
  end
end)

describe("a head that is passed on", function()
  -- Field lines as they come, and as they leave; "-" in front: taken out between.
  local cases = {
    { "keeps its lines", { "A: b", "C: d" }, "A: b\r\nC: d\r\n" },
    { "loses what was taken out in the middle", { "A: 1", "-B: 2", "C: 3" }, "A: 1\r\nC: 3\r\n" },
    { "loses what was taken out at either end", { "-A: 1", "B: 2", "-C: 3" }, "B: 2\r\n" },
    { "has one space behind each colon", { "A:1", "B:  2", "C: 3" }, "A: 1\r\nB: 2\r\nC: 3\r\n" },
    { "loses white space behind a value", { "A: 1 ", "B: 2\t", "C: 3" }, "A: 1\r\nB: 2\r\nC: 3\r\n" },
    { "keeps empty values", { "A:", "B: ", "C:   ", "D: 1" }, "A: \r\nB: \r\nC: \r\nD: 1\r\n" },
    { "keeps a field that looks like a line", { "A: B: c", "D: \195\164" }, "A: B: c\r\nD: \195\164\r\n" },
    { "is empty when all was taken out", { "-A: 1", "-B: 2" }, "" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local lines = {}
      for i, line in ipairs(case[2]) do lines[i] = line:gsub("^%-", "") .. "\r\n" end
      local bytes = "GET / HTTP/1.1\r\n" .. table.concat(lines) .. "\r\n"
      local _, head = heads.parse("request", bytes)
      local r = ffi.new "struct request"
      r.method_text, r.path, r.upstream_host = slice "GET", slice "/", slice "up"
      ffi.copy(r.headers, head.list, ffi.sizeof "struct headers")
      for i, line in ipairs(case[2]) do r.headers.at[i - 1].skip = line:sub(1, 1) == "-" end
      -- heads.parse left the bytes where they were: views still hold
      local out, area = ffi.new "struct out", ffi.new "char[4096]"
      out.at, out["end"] = area, area + 4096
      C.h1_write_request(out, r)
      assert.equal("GET / HTTP/1.1\r\nHost: up\r\n" .. case[3] .. "\r\n", ffi.string(area, out.at - area))
    end)
  end
end)

describe("h1_write_chunk_size", function()
  local sizes = { { 0, "0" }, { 1, "1" }, { 255, "ff" }, { 4096, "1000" }, { 18446744073709551615ULL, ("f"):rep(16) } }
  for _, case in ipairs(sizes) do
    it("writes " .. case[2] .. " right before its end", function()
      local area = core.guarded(("?"):rep(18))
      local stop = ffi.cast("char *", area.at) + 18
      local at = C.h1_write_chunk_size(stop, case[1])
      assert.equal(case[2] .. "\r\n", ffi.string(at, stop - at))
    end)
  end
end)

describe("out_number", function()
  it("writes what fits and says when it does not", function()
    local text, full = written(function(out) C.out_number(out, 12345) end, 5)
    assert.same({ "12345", false }, { text, full })
    text, full = written(function(out) C.out_number(out, 12345) end, 4)
    assert.same({ "", true }, { text, full })
  end)
end)
