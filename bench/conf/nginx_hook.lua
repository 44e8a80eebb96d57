--- What bench/plugins/hook.lua does, for nginx, in the cheapest way found.
local hook = {}

local headers, set_header, var = ngx.header, ngx.req.set_header, ngx.var

-- LuaJIT compiles the reading of a variable only inside another function. That costs less than ngx.req.get_headers().
local function read(name)
  local value = var[name]
  return value
end

function hook.request()
  local agent, accept = read "http_user_agent", read "http_accept"
  if agent and accept then set_header("X-Client", agent) end
end

function hook.response() headers["X-Served-By"] = "bench" end

return hook
