--- What proxies are set up for. Each setup has, for the proxies that it is for, a function that gives what is put into
-- the template of the configuration, beside ports and certificates.
local posix = require "posix"
local files = require "bench.files"
local routes = require "bench.routes"

local setups = {}

local TEN = 10
local ALL = '  - { path: "/*", service: app }\n'

--- Everything goes to the upstream.
setups.plain = {
  nginx = function() return { modules = "", http = "", locations = "" } end,
  haproxy = function() return {} end,
  tidegate = function() return { routes = ALL, service = "" } end,
}

--- All that watches a service is set, and has nothing to do: no request fails.
setups.watched = {
  tidegate = function(_, context)
    return { routes = ALL, service = files.read(context.templates .. "/tidegate_watched_service.yaml") }
  end,
}

--- WebSockets whose frames are checked, which the others cannot do.
setups.websocket_checked = {
  nginx = setups.plain.nginx,
  haproxy = setups.plain.haproxy,
  tidegate = function()
    return { routes = '  - { path: "/*", service: app, websocket: { max_message: 512KiB } }\n', service = "" }
  end,
}

-- The plugins of bench/plugins in the folder where the gateway looks for them; ten of the trivial one, since ten uses
-- of the same file would share their compiled code.
local function copy_plugins(from, to)
  assert(posix.mkdir(to))
  for _, path in ipairs(assert(posix.glob(from .. "/*.lua"))) do
    files.write(to .. "/" .. posix.basename(path), files.read(path))
  end
  local trivial = files.read(from .. "/trivial.lua")
  for i = 1, TEN do files.write(("%s/trivial_%d.lua"):format(to, i), trivial) end
end

--- WebSockets whose messages a plugin sees; the others pass them on.
setups.websocket_hook = {
  nginx = setups.plain.nginx,
  haproxy = setups.plain.haproxy,
  tidegate = function(folder, context)
    copy_plugins(context.plugins, folder .. "/plugins")
    return { routes = '  - { path: "/*", service: app, plugins: [ message ] }\n', service = "" }
  end,
}

--- 10,000 routes; the requests for them are in the file "targets".
setups.routes = {
  tidegate = function(_, context)
    routes.write_targets(context.dir .. "/targets")
    return { routes = routes.yaml(), service = "" }
  end,
}

--- Plugins on some paths, and none under /none/. nginx does in Lua what those do that it is compared in.
setups.plugins = {
  nginx = function(_, context)
    return {
      modules = files.read(context.templates .. "/nginx_lua_modules.conf"),
      http = files.fill(files.read(context.templates .. "/nginx_lua_http.conf"), context),
      locations = files.read(context.templates .. "/nginx_lua_locations.conf"),
    }
  end,
  tidegate = function(folder, context)
    copy_plugins(context.plugins, folder .. "/plugins")
    return { routes = files.read(context.templates .. "/tidegate_plugin_routes.yaml"), service = "" }
  end,
}

-- Files that a setup of a proxy cannot do without.
local needs = {
  plugins = { nginx = "/usr/share/nginx/modules/ngx_http_lua_module.so" },
}

--- Whether a proxy can be set up so.
-- @tparam string setup
-- @tparam string name of the proxy
-- @treturn boolean
-- @treturn ?string what is missing, where it could be if that were there
function setups.can(setup, name)
  if not setups[setup][name] then return false end
  local needed = needs[setup] and needs[setup][name]
  if needed and posix.access(needed) ~= 0 then return false, needed end
  return true
end

return setups
