--- Bad input may be refused in any words, but never with a Lua error. Seeded: each run does the same.
local configuration = require "support.configuration"
local files = require "support.files"

local SEED_TEXT = [[
version: 1
gateway: { threads: auto, working_dir: ., trusted_proxies: [127.0.0.1/32], grace: 30s, id_header: x-id }
listen: [":8080", { address: "unix:run/g.sock", name: local, tls: { certificates: [{ cert: a, key: b }] } }]
timeouts: &t { idle: 75s, head: 10s, body: 30s, write: 30s }
limits: { head: 32KiB, headers: 100, body: 64MiB }
routes:
  - { name: users, hosts: [a.example.com, "*.b.com"], paths: ["/v1/*"], methods: [GET], on: [local], service: users,
      strip_prefix: /v1, timeout: 5s, retries: { attempts: 2 }, labels: { a: b } }
  - { path: /e, respond: { status: 200, headers: { x-a: "${WORDS}" }, body: "$${x} ${PORT:-1}\n" } }
  - { path: "/o/*", redirect: { to: "https://n${path}", status: 301 } }
services:
  web: "http://127.0.0.1:9000"
  users: { nodes: [{ url: "http://10.0.0.1:80", weight: 3 }, "unix:x.sock"], balance: round_robin, pool: { idle: 60s } }
plugins: [a, { b: { c: 1 } }, { use: d, when: { all: [{ header: x, in: [y] }, { not: { path: { prefix: / } } }] } }]
instances: { e: { use: f, config: { g: h }, priority: 5, band: auth, on_error: continue }, i: j }
dictionaries: { k: 1MiB }
log: { level: info, access: [{ file: stdout, template: "${status}" }] }
]]

local PARTS = { "{", "}", "[", "]", ":", ",", "- ", "&a ", "*a", "<<: ", "~", "''", '"', "${", "}", "!!int ", "null",
                "-1", "9e99", ".nan", "true", "\t", "\n", "\0", "\255", "é", "|\n ", "? ", "#", "%", "@", "{}",
                "[]", "1KiB", "30s", "/*", "http://", "unix:", "~^" }

describe("a hostile configuration", function()
  local folder = files.folder()
  local path = folder .. "/tidegate.yaml"

  local function load(text, options)
    files.write(path, text)
    local result = configuration.load_file(path, options)
    assert.equal(result.good, not result.report:has_errors())
    assert.is_string(result.report:text())
  end

  it("is cut anywhere", function()
    for len = 0, #SEED_TEXT, 3 do load(SEED_TEXT:sub(1, len)) end
  end)

  it("has anything inserted anywhere", function()
    math.randomseed(42)
    for _ = 1, 1500 do
      local at = math.random(0, #SEED_TEXT)
      local len = math.random(0, 12)
      load(SEED_TEXT:sub(1, at) .. PARTS[math.random(#PARTS)] .. SEED_TEXT:sub(at + 1 + len))
    end
  end)

  it("has any word in place of any value", function()
    math.randomseed(7)
    local words = { "[]", "{}", "~", "5", "-5", "true", "x", "[x]", "{a: b}", "''", "1e400", "[[{}]]", "\"\\0\"" }
    for start, stop in SEED_TEXT:gmatch "[:%[] ()[^,}%]\n]+()" do
      load(SEED_TEXT:sub(1, start - 1) .. words[math.random(#words)] .. SEED_TEXT:sub(stop))
    end
  end)

  it("is overridden with anything anywhere", function()
    local paths = { "a", "listen", "listen[1]", "listen[1].address", "routes[1].service", "routes[9].x", "services",
                    "services.users.nodes[1].url", "gateway.threads", "gateway", "log.access[1]", "timeouts.idle" }
    for _, where in ipairs(paths) do
      for _, value in ipairs { "", "x", "[", "[]", "{}", "{a: [b]}", "-1", "${NOPE}", "\0", "~" } do
        load(SEED_TEXT, { set = { where .. "=" .. value } })
        local name = "TIDEGATE_" .. where:upper():gsub("[%.%[]", "__"):gsub("%]", "")
        load(SEED_TEXT, { variables = { { name, value } } })
      end
    end
  end)

  it("is large", function()
    local lines = { 'listen: [":1"]\nroutes:\n' }
    for i = 1, 10000 do lines[#lines + 1] = ("  - { path: /%d, service: srv%d }\n"):format(i, i) end
    lines[#lines + 1] = "services:\n"
    for i = 1, 1000 do lines[#lines + 1] = ("  s%d: \"127.0.0.1:%d\"\n"):format(i, i) end
    load(table.concat(lines))
  end)
end)
