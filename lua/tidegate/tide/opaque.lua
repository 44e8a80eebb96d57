--- Objects whose inside only their own module reaches: they hold pointers, and a plugin that changed one by mistake
-- would take the gateway down.
--
--   local Network = opaque("a network", methods, { "family", "bits" })
--   local network = Network.new(state)      -- network.family is state.family, network:contains(...) a method
--   local state = Network.state(network)    -- nil for anything else

local words = require "tidegate.tide.words"

--- @tparam string what for messages: "a network"
-- @tparam table methods each gets the object
-- @tparam[opt] {string,...} shown fields of the state that can be read
-- @tparam[opt] function text of a state, for tostring
-- @treturn table new(state), state(object), need(object, call)
return function(what, methods, shown, text)
  local states = setmetatable({}, { __mode = "k" })
  local is_shown = {}
  for _, name in ipairs(shown or {}) do is_shown[name] = true end

  local metatable = { __metatable = false }
  function metatable.__index(object, name)
    local method = methods[name]
    if method then return method end
    if is_shown[name] then return states[object][name] end
    return nil
  end
  function metatable.__newindex(_, name)
    error(("assignment to %s of %s: it is not to be changed"):format(tostring(name), what), 2)
  end
  function metatable.__tostring(object) return text and text(states[object]) or what end

  local class = {}

  --- @tparam table state
  function class.new(state)
    local object = setmetatable({}, metatable)
    states[object] = state
    return object
  end

  --- @treturn ?table nil for what is no object of this kind
  function class.state(object) return states[object] end

  --- The state of the object that a method was called on; raises in the caller of the method where it is none.
  -- @tparam string call "network:contains"
  function class.need(object, call)
    local state = states[object]
    if not state then words.misuse(call, what .. " before the colon", object, 4) end
    return state
  end

  return class
end
