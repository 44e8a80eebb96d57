--- What a configuration asks of the machine and of whoever starts it: a user that is there, and ports that may be
-- bound. Looked at before a start, not in the running gateway, which has given its privileges back.
local ffi = require "ffi"

pcall(ffi.cdef, [[
  void *privileges_getpwnam(const char *name) __asm__("getpwnam");
  unsigned privileges_geteuid(void) __asm__("geteuid");
]])

local privileges = {}

local FIRST_FREE = 1024             -- where the machine does not say otherwise
local BIND_SERVICE = 10             -- CAP_NET_BIND_SERVICE: capabilities(7)

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

--- Who runs this process.
-- @treturn table is_root, first_port: the lowest that it may bind
function privileges.mine()
  local is_root = ffi.C.privileges_geteuid() == 0
  local mask = (read "/proc/self/status" or ""):match "CapEff:%s*(%x+)"
  local has = mask and math.floor(tonumber(mask:sub(-8), 16) / 2 ^ BIND_SERVICE) % 2 == 1
  local first = tonumber(read "/proc/sys/net/ipv4/ip_unprivileged_port_start" or "") or FIRST_FREE
  if has or mask == nil and is_root then first = 0 end
  return { is_root = is_root, first_port = first }
end

local function check_port(address, owner, key, who, marks, report)
  local port = not address:find "^unix:" and tonumber(address:match ":(%d+)$") or 0
  if port == 0 or port >= who.first_port then return end
  local place, path = marks:place(owner, key)
  report:warn(place, path, ("port %d cannot be bound by this user: ports below %d need root or the capability " ..
                            "CAP_NET_BIND_SERVICE"):format(port, who.first_port))
end

--- Tells what would keep a start from working.
-- @tparam table config checked, without errors
-- @tparam Marks marks
-- @tparam Report report takes an error for a user that is not there, a warning for a port that cannot be bound
-- @tparam[opt] table who of privileges.mine
function privileges.check(config, marks, report, who)
  who = who or privileges.mine()
  local user = config.gateway.user
  if user and ffi.C.privileges_getpwnam(user) == nil then
    local place, path = marks:place(config.gateway, "user")
    report:add(place, path, ('there is no user "%s" on this machine'):format(user))
  end
  for _, listener in ipairs(config.listen) do
    check_port(listener.address, listener, "address", who, marks, report)
  end
  if config.metrics then check_port(config.metrics.listen, config.metrics, "listen", who, marks, report) end
end

return privileges
