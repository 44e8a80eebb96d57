--- The service that stands for none: its settings are the defaults of the configuration.
local C = require "tidegate.ffi"
local config = require "tidegate.config"
local ffi = require "ffi"
local files = require "support.files"

-- The settings are the first field of a service.
if not pcall(function() return C.adhoc_service end) then
  ffi.cdef [[
    struct service_settings *adhoc_service(void);
    struct service_settings *generation_service(const struct generation *g, struct slice name);
  ]]
end

describe("the service for nodes that a plugin names", function()
  it("has the settings that a service has where nothing else is said", function()
    local path = files.folder() .. "/tidegate.yaml"
    files.write(path, 'listen: [":0"]\nservices: { app: { nodes: ["127.0.0.1:1"] } }\nroutes: []\n')
    local result = config.load(path, { getenv = function() end, variables = {} })
    local settings = ffi.typeof "struct service_settings *"         -- other specs may have declared a whole service
    local usual = ffi.cast(settings, C.generation_service(result.generation, ffi.new("struct slice", "app", 3)))
    local own = ffi.cast(settings, C.adhoc_service())
    for _, name in ipairs {
      "protocol", "host_policy", "connect_ms", "connect_delay_ms", "send_ms", "first_byte_ms", "idle_ms",
      "pool_idle_per_node", "pool_idle_ms", "pool_lifetime_ms", "pool_max_requests", "tls_verify",
    } do
      assert.equal(usual[name], own[name], name)
    end
    for _, name in ipairs {
      "attempts", "on", "methods", "per_try_ms", "backoff_ms", "backoff_max_ms", "budget_percent", "budget_min",
    } do
      assert.equal(usual.retry[name], own.retry[name], name)
    end
    assert.is_true(own.name.at == nil)
    C.tide_generation_drop(result.generation)
  end)
end)
