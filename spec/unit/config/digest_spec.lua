--- How two configurations differ, object by object.
local C = require "tidegate.ffi"
local certificates = require "support.certificates"
local config = require "tidegate.config"
local digest = require "tidegate.config.digest"
local files = require "support.files"

local folder = files.folder()
os.execute("mkdir -p " .. folder .. "/plugins")
files.write(folder .. "/plugins/guard.lua", [[
return {
  version = "1.0.0", band = "auth",
  schema = { word = { type = "secret" }, names = { type = "list", of = "string" }, limit = { type = "integer" } },
  request = function() end,
}
]])

local function digest_of(text)
  if not ("\n" .. text):find "\nlisten:" then text = 'listen: [":8080"]\n' .. text end
  if not ("\n" .. text):find "\nroutes:" then text = text .. "routes: []\n" end
  files.write(folder .. "/tidegate.yaml", text)
  local result = config.load(folder .. "/tidegate.yaml", {
    getenv = function(name) return "value of " .. name end, variables = {},
  })
  if not result.good then error(result.report:text(), 2) end
  C.tide_generation_drop(result.generation)
  return digest.of(result)
end

local function changes(before, after) return digest.compare(digest_of(before), digest_of(after)) end

--- Without the places, whose folder is another one each time.
local function text_of(list) return (digest.text(list):gsub(" %([^()\n]*tidegate.yaml:%d+%)", "")) end

local ROUTE = "routes: [{ name: a, path: /a, respond: { body: a } }]\n"

local cases = {
  { "shows a changed key as it is written", "timeouts: { idle: 60s }\n", "timeouts: { idle: 2m }\n",
    "~ timeouts\n    idle: 60s -> 2m\n" },
  { "shows a key that comes, and its default before", "", "limits: { head: 1KiB }\n",
    "~ limits\n    head: 32768 -> 1KiB\n" },
  { "finds a route by its name", ROUTE,
    "routes: [{ path: /b, name: a, respond: { body: a, status: 404 } }]\n",
    "~ route a\n    paths[1]: /a -> /b\n    respond.status: 200 -> 404\n" },
  { "finds a route without a name by its host and path",
    "routes: [{ path: /a, respond: { body: a } }]\n",
    "routes: [{ path: /new, respond: { body: n } }, { path: /a, respond: { body: b } }]\n",
    "~ route /a\n    respond.body: a -> b\n+ route /new\n" },
  { "tells what is gone and what is new", ROUTE, "routes: [{ name: b, path: /a, respond: { body: a } }]\n",
    "- route a\n+ route b\n" },
  { "tells another order of routes",
    "routes: [{ name: a, path: /a, respond: { body: a } }, { name: b, path: /b, respond: { body: a } }]\n",
    "routes: [{ name: b, path: /b, respond: { body: a } }, { name: a, path: /a, respond: { body: a } }]\n",
    "~ the order of the routes\n" },
  { "tells services, listeners and plugins", "services: { app: \"127.0.0.1:1\" }\n",
    "services: { app: \"127.0.0.1:2\" }\nlisten: [\":8081\"]\nplugins: [ guard ]\n",
    "- listener 0.0.0.0:8080\n+ listener 0.0.0.0:8081\n+ plugin guard\n+ plugin source guard (plugins/guard.lua:1)\n" ..
    "~ service app\n    nodes[1].url: 127.0.0.1:1 -> 127.0.0.1:2\n" },
  { "tells the settings of a plugin", "plugins: [{ guard: { limit: 1, names: [ a, b ] } }]\n",
    "plugins: [{ guard: { limit: 2, names: [ a ] } }]\n",
    "~ plugin guard\n    config.limit: 1 -> 2\n    config.names[2]: b -> (none)\n" },
  { "shows no secret", "plugins: [{ guard: { word: hush } }]\n", "plugins: [{ guard: { word: hush-hush } }]\n",
    "~ plugin guard\n    config.word: (not shown) -> (not shown)\n" },
  { "shows nothing that came from outside", "routes: [{ name: a, path: /a, respond: { body: '${ONE}' } }]\n",
    "routes: [{ name: a, path: /a, respond: { body: '${TWO}' } }]\n",
    "~ route a\n    respond.body: (not shown) -> (not shown)\n" },
}

describe("the digest of a configuration", function()
  for _, case in ipairs(cases) do
    it(case[1], function() assert.equal(case[4], text_of(changes(case[2], case[3]))) end)
  end

  it("is the same for the same", function()
    local text = "plugins: [{ guard: { word: hush } }]\nservices: { app: \"127.0.0.1:1\" }\n" .. ROUTE
    assert.same({}, changes(text, text))
  end)

  it("says nothing of what is only written in another way", function()
    assert.same({}, changes("timeouts: { idle: 60s }\n" .. ROUTE,
                            "# a remark\nroutes:\n  - name: a\n    paths: [ /a ]\n    respond:\n      body: a\n" ..
                            "timeouts:\n  idle: 1m\n"))
  end)

  it("sees that a certificate holds something else", function()
    local function place(pair)
      os.execute(("cp %s %s/c.pem && cp %s %s/k.pem"):format(pair.cert, folder, pair.key, folder))
    end
    local authority = certificates.authority()
    place(certificates.sign(authority, "a.example.com", "DNS:a.example.com"))
    local text = 'listen: [{ address: ":8443", tls: { certificates: [{ cert: c.pem, key: k.pem }] } }]\n'
    local before = digest_of(text)
    place(certificates.sign(authority, "b.example.com", "DNS:b.example.com"))
    local list = digest.compare(before, digest_of(text))
    assert.equal(1, #list)
    assert.same({ "certificate", folder .. "/c.pem", "changed" }, { list[1].kind, list[1].name, list[1].change })
  end)

  it("sees that the source of a plugin in use has changed", function()
    local before = digest_of "plugins: [ guard ]\n"
    local path = folder .. "/plugins/guard.lua"
    files.write(path, files.read(path) .. "-- another line\n")
    assert.truthy(text_of(digest.compare(before, digest_of "plugins: [ guard ]\n")):find "^~ plugin source guard")
  end)

  it("becomes one line", function()
    assert.equal("nothing changed", digest.line {})
    assert.equal("~route a, +service b", digest.line {
      { kind = "route", name = "a", change = "changed", keys = {} },
      { kind = "service", name = "b", change = "added", keys = {} },
    })
    local many = {}
    for i = 1, 100 do many[i] = { kind = "route", name = "number " .. i, change = "added", keys = {} } end
    local line = digest.line(many)
    assert.truthy(line:find "^100 changes: %+route number 1, ")
    assert.is_true(#line <= 180)
  end)
end)
