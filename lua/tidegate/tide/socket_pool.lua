--- Idle sockets of this loop, to be used again: by key, the one used last first. Each has a time limit in C, where it
-- also closes when its peer does; here such a one is just a number that has gone stale.
local C = require "tidegate.ffi"

local pool = {}

local TOTAL_MAX = 1000

local idle = {}         -- key -> list of what pool.put was given, the one kept last at the end
local total = 0         -- in all lists, stale ones too

local function remove_stale(key, list)
  local n = 0
  for i = 1, #list do
    local entry = list[i]
    list[i] = nil
    if C.tide_socket_is_idle(entry.id) ~= 0 then
      n = n + 1
      list[n] = entry
    else
      total = total - 1
    end
  end
  if n == 0 then idle[key] = nil end
end

local function close_oldest(key, list)
  C.tide_socket_close(list[1].id)
  remove_stale(key, list)
end

--- Keeps a socket, or closes it.
-- @tparam string key who may have it
-- @tparam table entry id, guard, uses
-- @tparam number seconds how long at most
-- @tparam number size how many of this key at most
-- @treturn boolean whether it is kept
function pool.put(key, entry, seconds, size)
  if size < 1 or C.tide_socket_idle(entry.id, seconds) ~= C.TIDE_SOCKET_DONE then
    C.tide_socket_close(entry.id)
    return false
  end
  if total >= TOTAL_MAX then
    for other, list in pairs(idle) do remove_stale(other, list) end
    if total >= TOTAL_MAX then
      local other, list = next(idle)
      close_oldest(other, list)
    end
  end
  local list = idle[key]
  if list and #list >= size then remove_stale(key, list) end
  while idle[key] and #idle[key] >= size do close_oldest(key, idle[key]) end
  list = idle[key] or {}
  idle[key] = list
  list[#list + 1] = entry
  total = total + 1
  return true
end

--- Takes one out that is still good.
-- @treturn ?table what pool.put was given
function pool.take(key)
  local list = idle[key]
  if not list then return nil end
  for i = #list, 1, -1 do
    local entry = list[i]
    list[i] = nil
    total = total - 1
    if i == 1 then idle[key] = nil end
    if C.tide_socket_use(entry.id) == C.TIDE_SOCKET_DONE then
      entry.uses = entry.uses + 1
      return entry
    end
  end
end

return pool
