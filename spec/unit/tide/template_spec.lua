local template = require "tidegate.tide.template"

local ENVIRONMENT = { REGION = "eu", EMPTY = "" }

local function getenv(name) return ENVIRONMENT[name] end

--- A request and a response as hooks get them.
local function fakes()
  local headers = { ["x-user"] = "bob", ["x-empty"] = "" }
  local arguments = { a = "1 2", flag = true, list = { "x", "y" } }
  local req = {
    id = "r-1", method = "GET", scheme = "https", host = "example.com", port = 8443, path = "/a b",
    raw_path = "/a%20b?a=1+2",
    query = "a=1+2", version = 1.1, client_ip = "192.0.2.7", client_port = 4711, route = { name = "shop" },
    service = "app",
    node = "10.0.0.1:80", consumer = { name = "alice" }, started = os.time() - 2,
    ctx = { tenant = "t1", user = { id = 7, roles = { "r" } }, is_new = false },
    header = function(_, name) return headers[name] end,
    arg = function(_, name) return arguments[name] end,
    cookie = function(_, name) return name == "session" and "s-1" or nil end,
    params = { id = "7%2f" },
  }
  local res = {
    status = 201, upstream_time = 0.25, header = function(_, name) return name == "x-cache" and "hit" or nil end,
  }
  return req, res
end

local function render(text, options)
  options = options or {}
  options.getenv = options.getenv or getenv
  return assert(template.compile(text, options))(fakes())
end

describe("a template", function()
  local cases = {
    { "", "" }, { "plain", "plain" }, { "a ${method} b ${path} c", "a GET b /a b c" },
    { "${method}${method}", "GETGET" },
    { "${id} ${request_id}", "r-1 r-1" },
    { "${scheme}://${host}:${port}${request_uri}", "https://example.com:8443/a%20b?a=1+2" },
    { "${raw_path}${query}", "/a%20b?a=1+2" }, { "${version}", "1.1" },
    { "${client_ip}:${client_port}", "192.0.2.7:4711" },
    { "${route} ${service} ${node} ${consumer}", "shop app 10.0.0.1:80 alice" },
    { "${header.x-user}", "bob" }, { "${header.X-User}", "bob" }, { "${header.none}", "" },
    { "[${header.none}]", "[]" },
    { "${query.a}", "1 2" }, { "${query.flag}", "true" }, { "${query.list}", "x" }, { "${query.none}", "" },
    { "${cookie.session}", "s-1" }, { "${cookie.none}", "" },
    { "${param.id}", "7%2f" }, { "${param.none}", "" }, { "${param.none:-nobody}", "nobody" },
    { "${ctx.tenant}", "t1" }, { "${ctx.user.id}", "7" }, { "${ctx.is_new}", "false" }, { "${ctx.none}", "" },
    { "${ctx.user}", "" }, { "${ctx.tenant.id}", "" }, { "${ctx.user.none.id}", "" },
    { "${status}", "201" }, { "${upstream_time}", "0.25" }, { "${res.header.X-Cache}", "hit" },
    { "${res.header.none}", "" },
    { "${env.REGION}", "eu" }, { "a${env.REGION}b", "aeub" },
    { "${header.none:-anonymous}", "anonymous" }, { "${header.x-empty:-anonymous}", "anonymous" },
    { "${header.x-user:-anonymous}", "bob" }, { "${header.none:-}", "" }, { "${header.none:-a:-b $ {c}", "a:-b $ {c" },
    { "${env.NONE:-us}", "us" }, { "${env.EMPTY:-us}", "us" }, { "${env.EMPTY}", "" }, { "${env.NONE:-}", "" },
    { "$${method}", "${method}" }, { "$$${method}", "$${method}" }, { "a$${b}${method}$${", "a${b}GET${" },
    { "$ $$ $5 {} }", "$ $$ $5 {} }" }, { "${method}$", "GET$" }, { "100%s %d", "100%s %d" },
  }
  for _, case in ipairs(cases) do
    it("fills in " .. case[1], function() assert.equal(case[2], render(case[1])) end)
  end

  it("knows the time", function()
    assert.is_truthy(render("${time}"):find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
    assert.is_true(math.abs(tonumber(render "${timestamp}") - os.time()) <= 2)
  end)

  -- [G42] X-Response-Time: "${response_time}"
  it("knows the time since the request came, in milliseconds", function()
    local milliseconds = tonumber(render "${response_time}")
    assert.is_true(milliseconds > 1000 and milliseconds < 60000)
  end)

  it("has nothing of a response where there is none", function()
    local fill = template.compile "${status:-none} ${res.header.x:-none} ${upstream_time}"
    assert.equal("none none ", fill((fakes())))
  end)

  it("has nothing of a request that lacks it", function()
    local fill = template.compile "${consumer:-nobody}${route}${query}"
    assert.equal("nobody", fill { query = "" })
    assert.equal("bobr1", fill { consumer = "bob", route = { id = "r1" } })
  end)

  it("takes more variables", function()
    local names = { plan = function(req, res) return req.id .. res.status end, ["x.y"] = function() end,
      ratio = function() return 0.5 end }
    assert.equal("r-1201/0.5/-", render("${plan}/${ratio}/${x.y:--}", { names = names }))
    assert.equal("mine", render("${method}", { names = { method = function() return "mine" end } }))
  end)

  it("may be filled in while it is being filled in", function()
    local inner = template.compile "<${id}>"
    local fill = template.compile("${a}-${b}-${a}", { names = {
      a = function(req) return inner(req) end, b = function() return coroutine.yield() end,
    } })
    local one, other = coroutine.wrap(fill), coroutine.wrap(fill)
    one { id = 1 }
    other { id = 2 }
    assert.equal("<1>-x-<1>", one "x")
    assert.equal("<2>-y-<2>", other "y")
  end)
end)

describe("template.compile", function()
  local complaints = {
    { "${clent_ip}", "there is no variable ${clent_ip}; did you mean ${client_ip}?" },
    { "${client.ip}", "there is no variable ${client.ip}; did you mean ${client_ip}?" },
    { "${heder.x-user}", "there is no variable ${heder.x-user}; did you mean ${header.x-user}?" },
    { "${headers.x}", "there is no variable ${headers.x}; did you mean ${header.x}?" },
    { "${res.heder.x}", "there is no variable ${res.heder.x}; did you mean ${res.header.x}?" },
    { "${ENV.X}", "there is no variable ${ENV.X}; did you mean ${env.X}?" },
    { "${nothing_like_it_at_all}", "there is no variable ${nothing_like_it_at_all}" },
    { "${paln}", "there is no variable ${paln}; did you mean ${plan}?" },
    { "${}", "there is no variable ${}" },
    { "${ method }", "there is no variable ${ method }; did you mean ${method}?" },
    { "${header.}", "expected a name behind the dot of ${header.}" },
    { "a ${method", "expected } behind the ${ at byte 3, found the end" },
    { "${header.a b}", "expected the name of a header in ${header.a b}" },
    { "${header.a\r\nb}", "expected the name of a header in ${header.a\r\nb}" },
    { "${env.A-B}", "expected the name of an environment variable in ${env.A-B}" },
    { "${env.NONE}", "the environment has no NONE; ${env.NONE:-...} would give a default" },
    { ("x"):rep(65537), "expected a template of at most 65536 bytes, found 65537" },
  }
  for _, case in ipairs(complaints) do
    it("refuses " .. case[1]:sub(1, 40):gsub("%c", "?"), function()
      local fill, why = template.compile(case[1], { getenv = getenv, names = { plan = function() end } })
      assert.is_nil(fill)
      assert.equal(case[2], why)
    end)
  end

  for _, name in ipairs { "status", "upstream_time", "res.header.x" } do
    it("refuses " .. name .. " where there is no response yet", function()
      assert.same({ nil, ("${%s} cannot stand here: there is no response yet"):format(name) },
                  { template.compile("${" .. name .. "}", { response = false }) })
    end)
  end

  it("escapes values, but not the text around them and defaults", function()
    local options = {
      escape = function(text) return "[" .. text .. "]" end, names = { plan = function() return "x" end },
    }
    local fill = assert(template.compile("a ${plan} ${header.none:-b} ${timestamp}", options))
    assert.matches("^a %[x%] b %d+$", fill { header = function() end })
  end)

  it("finds the environment of the process", function()
    assert.equal(os.getenv "PATH", template.compile "${env.PATH}" {})
  end)

  local misuses = {
    { "template.compile: expected a text, found nil" },
    { "template.compile: there is no option env", "", { env = {} } },
    { "template.compile: names: expected names with functions, found a string for x", "", { names = { x = "y" } } },
  }
  for _, case in ipairs(misuses) do
    it("raises: " .. case[1], function()
      assert.has_error(function() template.compile(case[2], case[3]) end, case[1])
    end)
  end
end)
