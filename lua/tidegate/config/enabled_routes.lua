--- The routes of a configuration as the router counts them: those that are switched off have no number.
-- @tparam table config
-- @treturn {table,...}
return function(config)
  local list = {}
  for _, route in ipairs(config.routes) do
    if route.enabled then list[#list + 1] = route end
  end
  return list
end
