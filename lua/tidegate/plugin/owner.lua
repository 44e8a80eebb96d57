--- Whose code is being loaded: the plugin's file, or the `new` of one use of it. What is made meanwhile without a name
-- gets one from it, the same in every loop and after a reload.
local owner = {}

local current, made

--- Runs a function in the name of somebody.
-- @tparam string name of a plugin or of a use of it
-- @tparam function f
-- @return what it returns
function owner.run(name, f, ...)
  local before, made_before = current, made
  current, made = name, {}
  local function finish(...)
    current, made = before, made_before
    return ...
  end
  return finish(f(...))
end

--- A name for a thing of a kind: "rate_limit/cache", then "rate_limit/cache 2". Nil where nobody's code is loaded.
function owner.name_for(kind)
  if not current then return nil end
  made[kind] = (made[kind] or 0) + 1
  return ("%s/%s%s"):format(current, kind, made[kind] > 1 and " " .. made[kind] or "")
end

return owner
