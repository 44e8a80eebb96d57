--- What a gateway in memory must do just as a gateway does: one row per case.
--
--     name     also that of the route, and of the plugin
--     plugin   what its file holds between the class and its end
--     request  fields of fake.request; the path is the route's
--     upstream what the upstream says
--     status   of the response; nil: there is none
--     entry    further words of the plugin's entry
--     plugins  the chain, where it is not the plugin alone
local PLAIN = "function P:log() end"
local BIG = ("0123456789abcdef"):rep(8192)        -- 128 KiB

local function upper(request) return { body = request.body:upper() } end

return {
  -- what there is without a plugin
  { name = "nothing", plugin = PLAIN, request = {}, status = 200 },
  { name = "echo", plugin = PLAIN, request = { method = "POST", body = "some body" }, status = 200 },
  { name = "chunked", plugin = PLAIN, request = { method = "PUT", body = { "one", "two", "three" } },
    status = 200 },
  { name = "big", plugin = PLAIN, request = { method = "POST", body = BIG }, upstream = upper,
    status = 200 },
  { name = "head", plugin = PLAIN, request = { method = "HEAD" }, upstream = "not sent", status = 200 },
  { name = "old", plugin = PLAIN, request = { version = "1.0" }, upstream = { body = { "a", "b" } },
    status = 200 },
  { name = "to_close", plugin = PLAIN, request = {}, upstream = { close = true, body = "to the end" },
    status = 200 },
  { name = "no_content", plugin = PLAIN, request = {}, upstream = 204, status = 204 },
  { name = "interim", plugin = PLAIN, request = {},
    upstream = { interims = { { status = 103, headers = { link = "</a.css>" } } }, body = "then" }, status = 200 },
  { name = "many_headers", plugin = PLAIN,
    request = { headers = { { "X-Many", "1" }, { "x-many", "2" }, { "Connection", "x-hop" }, { "X-Hop", "gone" } } },
    upstream = { headers = { { "Set-Cookie", "a=1" }, { "Set-Cookie", "b=2" }, { "Keep-Alive", "timeout=1" } } },
    status = 200 },
  { name = "bad_request", plugin = PLAIN, raw = "GET /bad_request HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
    request = {}, status = 400 },

  -- request hooks
  { name = "changes", plugin = [[
      function P:request(req)
        req:set_header("x-set", "one") req:add_header("x-set", "two") req:remove_header("x-gone")
        req:set_method("PATCH") req:set_path("/changes/other?a=b") req:set_host("other.test")
      end]], request = { headers = { ["x-gone"] = "1" } }, status = 200 },
  { name = "reads", plugin = [[
      function P:request(req)
        local list = { req.method, req.path, req.query, req:arg "a", req.host, req.version, req.client_ip, req.scheme,
                       req:cookie "c", req.route.name, tostring(req.tls), unpack(req:header_all "x-x") }
        return req:reply(200, table.concat(list, "|"))
      end]], request = { query = { a = "1 2" }, headers = { cookie = "c=3", ["x-x"] = { "1", "2" } } }, status = 200 },
  { name = "replies", plugin = [[
      function P:request(req) return req:reply(418, "teapot", { ["x-a"] = { "1", "2" } }) end]],
    request = { method = "POST", body = "not read" }, status = 418 },
  { name = "replies_json", plugin = [[function P:request(req) return req:reply(200, { a = { 1, 2 } }) end]],
    request = {}, status = 200 },
  { name = "replies_nothing", plugin = [[function P:request(req) return req:reply(204) end]], request = {},
    status = 204 },
  { name = "redirects", plugin = [[function P:request(req) return req:redirect("https://a.test/", 308) end]],
    request = {}, status = 308 },
  { name = "sleeps", plugin = [[function P:request(req) tide.sleep(0.02) req:set_header("x-slept", "yes") end]],
    request = {}, status = 200 },
  { name = "body", plugin = [[function P:request(req) req:set_header("x-length", #req:body(1000000)) end]],
    request = { method = "POST", body = BIG }, status = 200 },
  { name = "body_over", plugin = [[function P:request(req) req:set_header("x-why", (select(2, req:body(4)))) end]],
    request = { method = "POST", body = "12345" }, status = 200 },
  { name = "sets_body", plugin = [[function P:request(req) req:set_body("new") end]],
    request = { method = "POST", body = { "old", "one" } }, status = 200 },
  { name = "form", plugin = [[function P:request(req) return req:reply(200, req:form().a) end]],
    request = { method = "POST", body = "a=1+2", headers = { ["content-type"] = "application/x-www-form-urlencoded" } },
    status = 200 },

  -- body hooks
  { name = "request_body", plugin = [[function P:request_body(chunk) return chunk:upper() end]],
    request = { method = "POST", body = "small" }, status = 200 },
  { name = "request_body_bytes", plugin = [[
      function P:request_body(chunk, last) return chunk .. (last and "!" or "") end]],
    request = { method = "POST", body = "byte by byte", feed = "bytes" }, status = 200 },
  { name = "response_body", plugin = [[function P:response_body(chunk, last) return chunk .. (last and "." or "") end]],
    request = {}, upstream = { body = "an answer", headers = { etag = '"1"' } }, status = 200 },
  { name = "response_body_gone", plugin = [[function P:response_body() return "" end]], request = {}, upstream = "gone",
    status = 200 },
  { name = "response_body_big", plugin = [[function P:response_body(chunk) return (chunk:gsub("f", "FF")) end]],
    request = {}, upstream = BIG, status = 200 },
  { name = "response_body_of_reply", plugin = [[
      function P:request(req) return req:reply(200, "mine") end
      function P:response_body(chunk) return chunk:upper() end]], request = {}, status = 200 },

  -- response hooks
  { name = "response", plugin = [[
      function P:response(res, req)
        res:set_status(203) res:set_header("x-source", res.source) res:remove_header("x-up")
        res:set_cookie("a", "b", { path = "/" }) req.ctx.seen = true
      end]], request = {}, upstream = { headers = { ["x-up"] = "1" }, body = "b" }, status = 203 },
  { name = "response_whole", plugin = [[
      function P:response(res) res:set_body(res:body():reverse()) end]], request = {},
    upstream = { body = { "ab", "cd" } }, status = 200 },
  { name = "response_reply", plugin = [[function P:response(_, req) return req:reply(409, "no") end]], request = {},
    upstream = "yes", status = 409 },
  { name = "response_waits", plugin = [[
      function P:response(res) tide.sleep(0.01) res:set_header("x-still", res:header "x-up") end]], request = {},
    upstream = { headers = { ["x-up"] = "here" }, body = "late" }, status = 200 },

  -- order, conditions, instances
  { name = "order", plugin = [[
      function P:request(req) req:add_header("x-order", self.conf.n) end
      function P:response(res) res:add_header("x-order", self.conf.n) end]],
    schema = "{ n = { type = 'string', default = '-' } }",
    plugins = '[{ use: order, name: a, config: { n: a } }, { use: order, name: b, config: { n: b }, priority: 5 }, ' ..
              '{ use: order, name: c, config: { n: c }, band: security }]',
    request = {}, status = 200 },
  { name = "when_not", plugin = [[function P:request(req) return req:reply(403) end]],
    entry = 'when: { header: x-on }', request = {}, status = 200 },
  { name = "when_so", plugin = [[function P:request(req) return req:reply(403) end]],
    entry = 'when: { header: x-on }', request = { headers = { ["x-on"] = "1" } }, status = 403 },

  -- what goes wrong
  { name = "error", plugin = [[function P:request() error "it broke" end]], request = {}, status = 500 },
  { name = "error_table", plugin = [[function P:request() error { code = 1 } end]], request = {}, status = 500 },
  { name = "error_goes_on", plugin = [[function P:request() error "it broke again" end]], entry = "on_error: continue",
    request = {}, status = 200 },
  { name = "error_late", plugin = [[function P:response() error "it broke late" end]], request = {}, upstream = "b",
    status = 500 },
  { name = "error_in_body", plugin = [[
      function P:response_body(chunk, last) if last then error "it broke in the body" end return chunk end]],
    request = {}, upstream = { body = { "one", "two" }, feed = 5 }, status = 200 },
  { name = "error_in_log", plugin = [[function P:log() error "it broke after all" end]], request = {}, status = 200 },
  { name = "typo", plugin = [[function P:request(req) return req:heder "x" end]], request = {}, status = 500 },
  { name = "bad_header", plugin = [[function P:request(req) req:set_header("x-a", "1\r\nx-b: 2") end]], request = {},
    status = 500 },
  { name = "endless", plugin = [[function P:request() while true do end end]], request = {}, status = 500 },
  { name = "twice", plugin = [[
      function P:request(req) req:reply(200, "one") return req:reply(200, "two") end]], request = {}, status = 500 },
  { name = "refused", plugin = [[
      function P:failure(err, req) return req:reply(520, err.reason .. " " .. err.status) end]], service = "refuses",
    request = {}, status = 520 },
  { name = "refused_plain", plugin = PLAIN, service = "refuses", request = {}, status = 502 },
  { name = "reset", plugin = PLAIN, request = { method = "POST", body = "x" }, upstream = { reset = true },
    status = 502 },
  { name = "cut", plugin = PLAIN, request = {}, upstream = { body = "0123456789", cut = 4 }, status = 200 },
  { name = "nonsense", plugin = PLAIN, request = {}, upstream = { raw = "nonsense\r\n\r\n" },
    status = 502 },
  { name = "slow", plugin = [[function P:request(req) req:set_timeout(0.05) end]], request = {},
    upstream = { never = true }, status = 504 },
  { name = "late", plugin = PLAIN, request = {}, upstream = { delay = 0.03, body = "late" }, status = 200 },

  -- services and requests of a plugin's own
  { name = "other_service", plugin = [[function P:request(req) req:set_service "other" end]], request = {},
    status = 200 },
  { name = "asks", plugin = [[
      function P:request(req)
        local res, why = tide.http.request { service = "other", path = "/who", method = "POST", json = { a = 1 },
                                             headers = { host = "other.test" } }
        return req:reply(200, res and res.body .. res.status or why)
      end]], request = {}, status = 200 },
  { name = "asks_nobody", plugin = [[
      function P:request(req)
        local _, why, phase = tide.http.request { service = "refuses" }
        return req:reply(200, why .. ", " .. phase)
      end]], request = {}, status = 200 },
  { name = "asks_slow", plugin = [[
      function P:request(req)
        local _, why, phase = tide.http.request { service = "slow", timeout = 0.05, headers = { host = "a" } }
        return req:reply(200, why .. ", " .. phase)
      end]], request = {}, status = 200 },
  { name = "asks_in_pieces", plugin = [[
      function P:request(req)
        local parts = {}
        local function keep(chunk) parts[#parts + 1] = chunk end
        tide.http.request { service = "other", path = "/pieces", headers = { host = "a" }, on_chunk = keep }
        return req:reply(200, table.concat(parts))
      end]], request = {}, status = 200 },
  { name = "spawns", plugin = [[
      function P:request(req)
        tide.spawn(function() tide.log.info("in the background", { n = 1 }) end)
      end]], request = {}, status = 200 },
  { name = "logs", plugin = [[
      function P:request(req) tide.log.warn("odd = \"value\"", { a = "b c", q = '"', back = "\\", line = "1\n2" }) end
      function P:log(req, res) tide.log.info("over", { status = res.status, path = req.path }) end]],
    request = {}, status = 200 },
}
