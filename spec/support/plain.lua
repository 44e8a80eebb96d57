--- What a node of YAML or TOML says, as plain values: maps without their order.
-- @tparam table node
-- @param[opt] null what stands for nothing; default: nil
-- @return value
local function plain(node, null)
  if node.kind == "scalar" then
    if node.type == "null" then return null end
    return node.value
  end
  local result = {}
  for i, item in ipairs(node.items or {}) do result[i] = plain(item, null) end
  for _, entry in ipairs(node.entries or {}) do result[entry.key] = plain(entry.value, null) end
  return result
end

return plain
