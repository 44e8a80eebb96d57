--- A view of a table that can be read and called but not written.

local WRITE = "assignment to %s.%s: %s belongs to the gateway; keep state in self, req.ctx or tide.shared"

--- A view of a table, and of the tables in it down to a depth.
-- The view itself is always empty, so that every write comes to __newindex. What is behind it is looked up once.
-- Values below the depth are the very ones, since some are compared by identity.
-- @tparam table target may make its values when they are asked for
-- @tparam string name for messages
-- @tparam number depth of tables to cover: 1 is the target alone
-- @treturn table
local function view(target, name, depth)
  local function look_up(found, key)
    local value = target[key]
    if depth > 1 and type(value) == "table" then value = view(value, name .. "." .. tostring(key), depth - 1) end
    found[key] = value
    return value
  end

  local behind = debug.getmetatable(target)
  local call = behind and behind.__call
  return setmetatable({}, {
    __index = setmetatable({}, { __index = look_up }),
    __newindex = function(_, key) error(WRITE:format(name, tostring(key), name), 2) end,
    __call = call and function(_, ...) return call(target, ...) end,
    __metatable = false,
  })
end

return view
