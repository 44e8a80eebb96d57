--- The token bucket of bench/plugins/bucket.lua for nginx, as cheap as lua_shared_dict lets it be: one atomic incr.
-- A key's value is the time at which its bucket is full again; a request puts it off by the time that one token takes.
local bucket = {}

local RATE, BURST = 1000, 1e9
local TOKEN_S = 1 / RATE

local limits, now, var = ngx.shared.limits, ngx.now, ngx.var

-- As in nginx_hook.lua: only so is it compiled.
local function read(name)
  local value = var[name]
  return value
end

--- Ends the request with 429 where the bucket of its client is empty.
function bucket.take()
  local key, time = read "binary_remote_addr", now()
  local full_at, why = limits:incr(key, TOKEN_S, time)
  if not full_at then error("cannot count: " .. why) end
  if full_at < time then
    limits:set(key, time + TOKEN_S)             -- it has been full for a while
  elseif full_at - time > BURST * TOKEN_S then
    limits:incr(key, -TOKEN_S)                  -- what is refused costs nothing
    return ngx.exit(429)
  end
end

return bucket
