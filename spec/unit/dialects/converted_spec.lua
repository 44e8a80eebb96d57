--- Dispa, Pingora and BigHammer: what becomes of their files, setting by setting.
local dialects = require "support.dialects"
local files = require "support.files"

--- Writes a file of a dialect and converts it.
-- @treturn ?table the values of what was printed
-- @treturn string what was said
-- @treturn number exit code
local function convert(from, name, text, others)
  local folder = files.folder()
  for other, content in pairs(others or {}) do
    os.execute(("mkdir -p '%s/%s'"):format(folder, other:match "^(.*)/" or "."))
    files.write(folder .. "/" .. other, content)
  end
  os.execute(("mkdir -p '%s/%s'"):format(folder, name:match "^(.*)/" or "."))
  files.write(folder .. "/" .. name, text)
  local code, out, said = dialects.convert(folder .. "/" .. name, from)
  if out == "" then return nil, said, code end
  local result = dialects.load_converted(out)
  assert.equal("", result.report:text(), out)
  return result.config, said, code
end

local function says(said, words) assert.truthy(said:find(words, 1, true), said) end

describe("Dispa's", function()
  local TARGETS = '[[targets.targets]]\nname = "a"\nurl = "http://127.0.0.1:1"\nweight = 0\ntimeout = 3\n' ..
                  '[[targets.targets]]\nname = "b"\nurl = "http://127.0.0.1:2"\nweight = 2\ntimeout = 9\n'

  local function dispa(text) return convert("dispa", "config.toml", TARGETS .. text) end

  it("targets are one service, which waits as long as the most patient [D6]", function()
    local config = dispa '[targets.load_balancing]\ntype = "weighted"\n'
    local nodes = config.services.targets.nodes
    assert.same({ false, 2 }, { nodes[1].enabled, nodes[2].weight })
    assert.equal(9, config.services.targets.timeouts.first_byte)
    assert.equal("weighted_round_robin", config.services.targets.balance.algorithm)
  end)

  it("rules lead to services of one target [D23 D24]", function()
    local config = dispa [=[
[[routing.rules]]
name = "r"
priority = 7
target = "b"
match = { path_prefix = "/x", method = "GET", headers = { X-A = "1" }, query_params = { q = "2" } }
transform = { add_headers = { X-B = "${3}" } }
]=]
    local route = config.routes[1]
    assert.same({ "r", 7, "/x/*", "GET", "target b" },
                { route.name, route.priority, route.paths[1], route.methods[1], route.service })
    assert.equal(2, #route.when.all)
    assert.equal("$${3}", route.plugins[1].config.request.set["X-B"])
    assert.equal(9, config.services["target b"].timeouts.first_byte)
    assert.equal("targets", config.routes[2].service)
  end)

  it("excluded domains are answered with 404 before all else [D4]", function()
    local config = dispa '[domains]\nintercept_domains = ["*.a.test"]\nexclude_domains = ["x.a.test"]\n'
    assert.same({ { "x.a.test" }, 404 }, { config.routes[1].hosts, config.routes[1].respond.status })
    assert.same({ "*.a.test" }, config.routes[2].hosts)
  end)

  it("domains with a star at their end become regular expressions", function()
    local config = dispa '[domains]\nintercept_domains = ["a.*"]\n'
    assert.same({ "~^a\\..*$" }, config.routes[1].hosts)
  end)

  it("security guards every route, and not the page of the gateway's own health [D36]", function()
    local config = dispa [=[
[monitoring]
health_check_port = 8081
[security.access_control]
denied_ips = ["10.*", "10.1.2.*", "192.168.0.0/16", "::1"]
[security.auth]
mode = "bearer"
valid_tokens = ["t"]
[security.jwt]
secret = "s"
header_name = "X-T"
verify_iat = true
]=]
    local names = {}
    for i, plugin in ipairs(config.routes[1].plugins) do names[i] = plugin.use end
    assert.same({ "access_control", "bearer", "jwt" }, names)
    assert.same({}, config.routes[2].plugins)
    assert.same({ "health" }, config.routes[2].on)
    local instances = config.instances
    assert.same({ "10.0.0.0/8", "10.1.2.0/24", "192.168.0.0/16", "::1" }, instances.access_control.when.value)
    assert.same({ "Authorization", { "Bearer t" } },
                { instances.bearer.config.header, instances.bearer.config.values })
    assert.same({ "exp", "iat" }, instances.jwt.config.required_claims)
  end)

  it("plugins before the match of domains are global [D33]", function()
    local config = dispa [=[
[plugins]
apply_before_domain_match = true
plugins = [{ name = "H", type = "headerinjector", stage = "both", error_strategy = "continue",
             config = { request_headers = { X-I = "{{ uuid }}" }, response_headers = { X-J = "j" } } }]
]=]
    assert.equal("h", config.plugins[1].use)
    assert.same({ request = { set = { ["X-I"] = "${request_id}" } }, response = { set = { ["X-J"] = "j" } } },
                config.instances.h.config)
    assert.equal("continue", config.instances.h.on_error)
  end)

  it("listener may speak TLS [D20]", function()
    local _, out = dialects.convert((function()
      local folder = files.folder()
      files.write(folder .. "/a.toml", TARGETS .. '[tls]\nenabled = true\ncert_file = "c.pem"\nkey_file = "k.pem"\n')
      return folder .. "/a.toml"
    end)(), "dispa")
    says(out, "tls:\n      certificates:\n        - cert: c.pem\n          key: k.pem\n")
  end)

  local bad = {
    { "a rule to nowhere", '[[routing.rules]]\ntarget = "c"', 'there is no target "c"' },
    { "a default to nowhere", '[routing]\ndefault_target = "c"', 'there is no target "c"' },
    { "a plugin that is a program", '[[plugins.plugins]]\nname = "x"\ntype = "command"',
      "there is no command natively, and it may guard what is behind it" },
    { "keys that nobody has", '[security.auth]\nmode = "apikey"\nvalid_keys = []', "needs the key valid_keys" },
    { "a token without a secret", "[security.jwt]\nenabled = true", "needs the key secret" },
    { "a token of keys from elsewhere", '[security.jwt]\nsecret = "s"\nalgorithm = "RS256"', "cannot be converted" },
    { "a block list of nothing", '[[plugins.plugins]]\nname = "x"\ntype = "blocklist"', "expected hosts or paths" },
    { "an unknown key", "[server]\nbind_adress = 1", 'server.bind_adress: unknown key; did you mean "bind_address"?' },
    { "no TOML", "[server", "expected ], found the end of the file" },
  }
  for _, case in ipairs(bad) do
    it("files are refused with " .. case[1], function()
      local config, said, code = dispa(case[2])
      assert.same({ nil, 2 }, { config, code })
      says(said, case[3])
    end)
  end

  it("files need targets", function()
    local _, said, code = convert("dispa", "config.toml", "[server]\n")
    assert.equal(2, code)
    says(said, "targets: missing")
  end)
end)

describe("Pingora's", function()
  local UP = '[upstreams.a]\nservers = ["127.0.0.1:1"]\n'

  local function pingora(text) return convert("pingora", "config.toml", text .. UP) end

  local headers = {
    { "xss_protection = true", { ["x-xss-protection"] = "1; mode=block" } },
    { 'xss_protection = "0"', { ["x-xss-protection"] = "0" } },
    { "xss_protection = false\nhsts_enabled = true", { ["strict-transport-security"] = "max-age=31536000" } },
    { "hsts_max_age = 5", { ["strict-transport-security"] = "max-age=5" } },
    { 'csp = "a ${b}"', { ["content-security-policy"] = "a $${b}" } },
    { 'content_security_policy = "a"', { ["content-security-policy"] = "a" } },
  }
  for _, case in ipairs(headers) do
    it(("headers of every response: %s [P18 X16]"):format(case[1]:gsub("\n", " ")), function()
      local config = pingora("[security]\n" .. case[1] .. "\n")
      assert.same(case[2], config.instances.security_headers.config.response.set)
    end)
  end

  it("plugins run in its order, for every service [P10]", function()
    local config = pingora [=[
[auth]
mode = "jwt"
jwt_secret = "s"
[security]
enable_cors = true
frame_options = "DENY"
[rate_limit]
requests_per_minute = 6
]=]
    local names = {}
    for i, plugin in ipairs(config.routes[1].plugins) do names[i] = plugin.use end
    assert.same({ "cors", "rate_limit", "auth", "security_headers" }, names)
    assert.equal("6/m", config.instances.rate_limit.config.rate)
  end)

  it("services are found by the first segment of the path [P7 P34]", function()
    local config = pingora '[upstreams.default]\nservers = ["127.0.0.1:2"]\nprotocol = "https"\nmax_retries = 3\n'
    assert.same({ "/", "/default/*" }, config.routes[1].paths)
    assert.same({ "/a/*" }, config.routes[2].paths)
    assert.same({ "https", 3 }, { config.services.default.protocol, config.services.default.retries.attempts })
  end)

  local bad = {
    { "sessions alone [P11 X17]", '[auth]\nmode = "session"\n', "sessions are not available in this version" },
    { "a mode that is none [X17]", '[auth]\nmode = "jwts"\n', 'did you mean "jwt"?' },
    { "an algorithm that is none [X17]", '[auth]\nmode = "jwt"\njwt_secret = "s"\njwt_algorithm = "none"\n',
      "auth.jwt_algorithm: expected one of HS256, HS384, HS512" },
    { "no secret", '[auth]\nmode = "jwt"\n', "jwt needs the key jwt_secret" },
  }
  for _, case in ipairs(bad) do
    it("files are refused with " .. case[1], function()
      local config, said, code = pingora(case[2])
      assert.same({ nil, 2 }, { config, code })
      says(said, case[3])
    end)
  end

  it("mixed mode takes tokens, and tells of sessions [P11]", function()
    local config, said = pingora '[auth]\nmode = "mixed"\njwt_secret = "s"\n'
    assert.equal("auth", config.routes[1].plugins[1].use)
    says(said, "auth.mode: not available in this version; left out: tokens count, and sessions do not")
  end)
end)

describe("BigHammer's", function()
  local MAIN = '{ "bussiness_socket_path": "/run/b.sock", ' ..
               '"ports": { "http_port": "8080", "websocket_port": 8081 }%s }'

  it("files are found in the folder above, or beside [B8 X19]", function()
    for _, where in ipairs { "", "deep/er/config/" } do
      local config = convert("bighammer", where .. "config.json", MAIN:format ', "router_path": "/config/r.json"', {
        [where .. "r.json"] = '{ "routes": [{ "path": "/p", "method": "PUT" }] }',
      })
      assert.same({ "/p", "PUT", "business" },
                  { config.routes[1].paths[1], config.routes[1].methods[1], config.routes[1].service })
    end
  end)

  it("lists may stand alone [B5 B6]", function()
    local config = convert("bighammer", "config/config.json", MAIN:format "", {
      ["config/router.json"] = '// the routes\n[{ "path": "/p", "plugins": ["auth"] }]',
      ["config/plugins.json"] = '[{ "name": "auth", "enabled": true, "config": { "jwt_secret": "$${s}" } }]',
    })
    assert.equal("auth", config.routes[1].plugins[1].use)
    assert.equal("$${s}", config.instances.auth.config.jwt_secret)
  end)

  it("routes that would be open without a plugin are switched off [B6]", function()
    local config, said = convert("bighammer", "config/config.json", MAIN:format "", {
      ["config/router.json"] = '[{ "path": "/p", "plugins": ["guard"] }, { "path": "/q", "plugins": ["off"] }]',
      ["config/plugins.json"] = '[{ "name": "guard" }, { "name": "off", "enabled": false }]',
    })
    assert.same({ false, true }, { config.routes[1].enabled, config.routes[2].enabled })
    says(said, 'there is no plugin "guard"')
  end)

  it("process gets everything where there is no router", function()
    local config, said = convert("bighammer", "config.json", MAIN:format ', "router_path": "/config/none.json"')
    assert.same({ { "/*" }, "business" }, { config.routes[1].paths, config.routes[1].service })
    says(said, "router_path: /config/none.json cannot be read")
    local addresses = {}
    for i, listener in ipairs(config.listen) do addresses[i] = listener.address end
    assert.same({ "0.0.0.0:8080", "0.0.0.0:8081" }, addresses)
  end)

  it("files are refused without the process's socket, and with unknown keys", function()
    local _, said, code = convert("bighammer", "config.json", '{ "bussiness_main_path": "/a.php" }')
    assert.equal(2, code)
    says(said, "needs the key bussiness_socket_path")
    _, said, code = convert("bighammer", "config.json", MAIN:format ', "sockets": 1')
    assert.equal(2, code)
    says(said, "sockets: unknown key")
  end)

  it("files that belong to it are told of by their names where they are wrong", function()
    local _, said, code = convert("bighammer", "config/config.json", MAIN:format "", {
      ["config/router.json"] = '{ "routes": [{ "pth": "/p" }] }',
    })
    assert.equal(2, code)
    says(said, 'config/router.json:1:16: routes[1].pth: unknown key; did you mean "path"?')
  end)
end)
