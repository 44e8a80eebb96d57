--- Dockerfile and docker-compose.yml, as far as they can be judged without an engine.
local files = require "support.files"
local lyaml = require "lyaml"
local shell = require "support.shell"

local function lines_of(text, keyword)
  local found = {}
  for line in text:gsub("\\\n", " "):gmatch("%f[^\n%z]" .. keyword .. "%s+([^\n]+)") do found[#found + 1] = line end
  return found
end

describe("the Dockerfile", function()
  local text = files.read "Dockerfile"

  it("copies only what is there", function()
    for _, line in ipairs(lines_of(text, "COPY")) do
      if not line:find "^%-%-from" then
        local sources = line:match "^(.*)%s+%S+$"
        for source in sources:gmatch "%S+" do
          assert.is_true(os.execute("git ls-files --error-unmatch " .. source .. " > /dev/null 2>&1") == 0 or
                         os.execute("test -e " .. source) == 0, source)
        end
      end
    end
  end)

  it("has two stages, the second without a compiler", function()
    local stages = lines_of(text, "FROM")
    assert.same({ "debian:12-slim AS build", "debian:12-slim" }, stages)
    assert.is_nil(text:match("\nFROM debian:12%-slim\n(.*)"):find "gcc")
  end)

  it("runs as a user of its own, with a health check", function()
    assert.equal("tidegate", lines_of(text, "USER")[1])
    assert.equal("8080 8443", lines_of(text, "EXPOSE")[1])
    assert.is_truthy(lines_of(text, "HEALTHCHECK")[1]:find '"tidegate", "status"')
  end)

  it("installs every library that the gateway is linked with", function()
    local binary = os.getenv "TIDEGATE" or "build/tidegate"
    for library in shell.must("readelf -d " .. binary):gmatch "NEEDED.-%[([^%]]+)%]" do
      local package = shell.must("dpkg-query -S '*-linux-gnu/" .. library .. "'"):match "^([%w%.+-]+):"
      local is_there = package == "libc6" or package:find "san%d"       -- in the image already; of this build only
      assert.is_truthy(is_there or text:find(" " .. package, 1, true), library .. " of " .. package)
    end
  end)

  it("installs every Lua module of others that the gateway needs", function()
    for module, package in pairs { argparse = "lua-argparse", cjson = "lua-cjson" } do
      assert.is_truthy(shell.must("grep -rlE 'require *\\(?\"" .. module .. "' lua | head -n 1"):find "lua")
      assert.is_truthy(text:find(" " .. package, 1, true))
    end
  end)
end)

describe("docker-compose.yml", function()
  local compose = lyaml.load(files.read "docker-compose.yml")
  local services = compose.services

  local function merged(service)
    local result = {}
    for key, value in pairs(service["<<"] or {}) do result[key] = value end
    for key, value in pairs(service) do result[key] = value end
    return result
  end

  it("has a gateway and three upstreams", function()
    local names = {}
    for name in pairs(services) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "gateway", "upstream-1", "upstream-2", "upstream-3" }, names)
  end)

  for name, service in pairs(services) do
    service = merged(service)

    it(name .. " is restarted and watched", function()
      assert.equal("unless-stopped", service.restart)
      assert.same({ "CMD", "tidegate", "status", "-c" }, { unpack(service.healthcheck.test, 1, 4) })
      assert.equal(service.command[3], service.healthcheck.test[5])
    end)

    it(name .. " runs a configuration that is there and good", function()
      local from, to = service.volumes[1]:match "^%./([^:]+):([^:]+):ro$"
      local config = service.command[3]:gsub("^" .. to, from)
      local env = {}
      for key, value in pairs(service.environment) do env[key] = value end
      -- Names of other containers mean nothing here.
      for key, value in pairs(env) do env[key] = value:gsub("^upstream%-%d", "127.0.0.1") end
      local text, code = shell.run((os.getenv "TIDEGATE" or "build/tidegate") .. " check -c " .. config, { env = env })
      assert.equal(0, code, text)
    end)
  end

  it("tells the gateway where the upstreams listen, and waits for them", function()
    for i = 1, 3 do
      local name = "upstream-" .. i
      local upstream = merged(services[name])
      assert.equal("0.0.0.0", upstream.environment.ADDRESS)
      assert.equal(name .. ":" .. upstream.environment.PORT, services.gateway.environment["NODE_" .. i])
      assert.equal("service_healthy", services.gateway.depends_on[name].condition)
    end
    assert.same({ "8080:8080" }, services.gateway.ports)
  end)
end)
