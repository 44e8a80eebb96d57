local client = require "support.client"
local shell = require "support.shell"
local shipped = require "support.shipped"

local CONFIG = [[
services: { app: { nodes: ["NODE"], retries: { attempts: 0 } } }
routes:
  - path: "/text/*"
    service: app
    strip_prefix: /text
    plugins: [ { replace: { response: { text: old, with: "new $1" } } } ]
  - path: "/many/*"
    service: app
    strip_prefix: /many
    plugins:
      - replace:
          response:
            - { regex: "(?<user>\\w+)@([a-z.]+)", with: "${user} at $2" }
            - { text: "AT", with: "@", ignore_case: true }
            - { regex: "^line", with: "LINE", multiline: true }
          types: ["text/*"]
  - path: "/up/*"
    service: app
    plugins: [ { replace: { request: { text: secret, with: "***" } } } ]
  - path: "/both"
    respond: { echo: true }
    plugins: [ { replace: { request: { text: a, with: b }, response: { text: b, with: c } } } ]
  - path: "/slow/*"
    service: app
    strip_prefix: /slow
    plugins: [ { replace: { response: { regex: "(a+)+$" } } } ]
  - path: "/here"
    respond: { body: "an old page", headers: { content-digest: "sha-256=:x:" } }
    plugins: [ { replace: { response: { text: old, with: new } } } ]
]]

local OLD = "an old page, and older ol"
local BIG = ("0123456789 old abcdef"):rep(50000)

local function gzipped(text)
  local path = require("support.files").folder() .. "/body"
  require("support.files").write(path, text)
  return shell.must("gzip -c " .. path)
end

local function serve(kind, body, more)
  return function(conn, head)
    conn:read_body(head)
    conn:respond(200, body, "Content-Type: " .. kind .. "\r\n" .. (more or ""))
  end
end

describe("replace [T23]", function()
  local packed = gzipped(OLD)
  local at = shipped.new(CONFIG, {
    ["/plain"] = serve("text/plain; charset=utf-8", OLD,
                       'ETag: "x"\r\nContent-Digest: sha-256=:x:\r\nContent-MD5: x\r\n'),
    ["/json"] = serve("application/json", '{"old":"old"}'),
    ["/problem"] = serve("Application/Problem+JSON", '{"old":1}'),
    ["/image"] = serve("image/png", OLD, "Content-MD5: x\r\n"),
    ["/untyped"] = function(conn, head) conn:read_body(head) conn:respond(200, OLD) end,
    ["/big"] = serve("text/plain", BIG),
    ["/gzip"] = serve("text/plain", packed, "Content-Encoding: gzip\r\n"),
    ["/strange"] = serve("text/plain", OLD, "Content-Encoding: strange\r\n"),
    ["/part"] = function(conn, head)
      conn:read_body(head)
      conn:send("HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-2/9\r\n" ..
                "Content-Length: 3\r\n\r\nold")
    end,
    ["/bytes"] = function(conn, head)
      conn:read_body(head)
      conn:send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
      for c in OLD:gmatch "." do conn:send("1\r\n" .. c .. "\r\n") end
      conn:send("0\r\n\r\n")
    end,
    ["/events"] = function(conn, head)
      conn:read_body(head)
      conn:send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" ..
                "b\r\ndata: old\n\n\r\n")
      conn:wait_release()
      conn:send("0\r\n\r\n")
    end,
    ["/mail"] = serve("text/plain", "line bob@b.test\nthe line of AT&T\nlines"),
    ["/aaa"] = serve("text/plain", ("a"):rep(60) .. "!"),
  })
  setup(at.start)
  teardown(at.stop)

  local NEW = "an new $1 page, and new $1er ol"

  local cases = {
    { "replaces text, and takes it as it is", "/text/plain", NEW },
    { "replaces text that comes byte by byte", "/text/bytes", NEW },
    { "replaces all over JSON", "/text/json", '{"new $1":"new $1"}' },
    { "knows types by their end", "/text/problem", '{"new $1":1}' },
    { "leaves other types alone", "/text/image", OLD },
    { "leaves a body of no type alone", "/text/untyped", OLD },
    { "replaces in a large body", "/text/big", (BIG:gsub("old", "new $1")) },
    { "replaces in a compressed body", "/text/gzip", NEW },
    { "leaves a body alone whose coding it does not know", "/text/strange", OLD },
    { "applies one rule after the other", "/many/mail", "LINE bob @ b.test\nthe line of @&T\nLINEs" },
    { "replaces in what the gateway itself answers", "/here", "an new page" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local response = at.ask { target = case[2] }
      assert.equal(200, response.status)
      assert.is_true(response.complete)
      assert.truthy(response.body == case[3], response.body:sub(1, 200))
    end)
  end

  it("takes away digests and lengths that do not hold any more, and weakens the validator", function()
    local response = at.ask { target = "/text/plain" }
    for _, name in ipairs { "content-length", "content-digest", "content-md5" } do
      assert.is_nil(response:get(name), name)
    end
    assert.equal('W/"x"', response:get "etag")
    assert.equal("x", at.ask({ target = "/text/image" }):get "content-md5")
  end)

  it("asks for whole bodies that are not compressed", function()
    at.ask { target = "/text/plain", headers = { "Accept-Encoding: gzip, br", "Range: bytes=0-2" } }
    assert.equal("identity", at.upwards "accept-encoding")
    assert.equal("", at.upwards "range")
    assert.equal("old", at.ask({ target = "/text/part" }).body)
  end)

  it("holds no event back", function()
    local c = at.connect()
    c:send(client.request { target = "/text/events" })
    assert.equal(200, c:head().status)
    assert.truthy(c.reader:through("data: new $1\n\n"))
    at.up:release()
    c:close()
  end)

  it("replaces in requests", function()
    local headers = { "Content-Type: application/x-www-form-urlencoded", "Content-Digest: sha-256=:x:" }
    at.ask { method = "POST", target = "/up/", body = "a=secret&b=sec&c=ret", headers = headers }
    assert.equal("a=***&b=sec&c=ret", at.up:last_request().body)
    assert.equal("", at.upwards "content-digest")
    at.ask { method = "POST", target = "/up/", body = "secret", headers = { "Content-Type: application/octet-stream" } }
    assert.equal("secret", at.up:last_request().body)
  end)

  it("replaces in requests that come byte by byte", function()
    local c = at.connect()
    c:send_bytewise("POST /up/ HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" ..
                    client.chunked { "a s", "ecr", "et", " sec" })
    assert.equal(200, c:response().status)
    assert.equal("a *** sec", at.up:last_request().body)
    c:close()
  end)

  it("leaves the length of requests alone that it has no rules for", function()
    at.ask { method = "POST", target = "/text/x", body = "old" }
    assert.equal("3", at.upwards "content-length")
    assert.equal("old", at.up:last_request().body)
  end)

  it("replaces both ways", function()
    local response = at.ask { method = "POST", target = "/both", body = "xa", headers = { "Content-Type: text/plain" } }
    assert.equal("xc", response.body:sub(-2))
  end)

  it("cuts a body that cannot be searched, so that the client can tell", function()
    local response = at.ask { target = "/slow/aaa" }
    assert.is_not_true(response.complete)
    at.gw:wait_log "the body cannot be searched: match limit exceeded"
  end)

  shipped.refuses(it, "replace", {
    { "{}", "expected rules for request or response, found none" },
    { "{ response: { text: a, regex: b } }", "expected exactly one of text, regex, found text and regex" },
    { "{ response: { regex: 'a(' } }", 'replace.response[1].regex: expected a regular expression, found "a(": ' },
    { "{ response: [{ text: a }, { regex: 'a', with: '$1' }] }", "rule 2: expected $0 to $0" },
    { "{ response: { text: a, multiline: true } }", 'needs the key "regex" beside it' },
    { "{ response: { text: a }, types: [text] }", 'replace.types[1]: expected a type such as text/*, found "text"' },
  })
end)
