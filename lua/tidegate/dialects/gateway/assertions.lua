--- Gateway's assertion groups as conditions.
local conditions = require "tidegate.dialects.conditions"
local node = require "tidegate.dialects.node"
local schema = require "tidegate.config.schema"

local assertions = {}

local ordered = schema.ordered

local ASSERTION = {
  type = "object",
  fields = ordered {
    { "id", type = "string" }, { "name", type = "string" },
    { "type", type = "enum", of = { "method", "header", "path", "ip" }, required = true },
    { "header", type = "header_name" },
    { "value", type = "string" },
    { "operator", type = "enum", of = { "equals", "exists", "matches", "in_cidr" }, required = true },
    { "case_sensitive", type = "boolean", default = true },
    { "pattern", type = "string" },
  },
}

assertions.FIELD = {
  "assertion_group_config", type = "object",
  fields = ordered {
    { "id", type = "string" }, { "name", type = "string" },
    { "type", type = "enum", of = { "and", "or" }, default = "and" },
    { "assertions", type = "list", required = true, min = 1, of = ASSERTION },
  },
}

-- Which operators fit which type.
local FITS = {
  method = { equals = true }, header = { equals = true, exists = true, matches = true },
  path = { equals = true, matches = true }, ip = { equals = true, in_cidr = true },
}

--- The header that a value is compared with: where its name is not given, it may be told by the assertion's own.
local function header_of(item)
  if item.header then return item.header end
  for _, text in ipairs { item.id or "", item.name or "" } do
    if text:lower():find("content[-_ ]?type") then return "content-type" end
  end
end

--- An assertion about a header. In `exists` and `matches` the value is its name, in `equals` the header's value.
local function of_header(self, item, place, ignores_case)
  if item.operator == "exists" then
    return conditions.ask(place, "header", item.value, "exists", node.scalar(true, place))
  end
  if item.operator == "matches" then
    local name = item.header or item.value
    return conditions.ask(place, "header", name, "matches", self:node(item, "pattern"), ignores_case)
  end
  local name = header_of(item)
  if not name then
    return self:fail(item, "operator", "does not say which header is to have this value: write header: NAME beside it")
  end
  return conditions.ask(place, "header", name, "equals", self:node(item, "value"), ignores_case)
end

local function of_path(self, item, place, ignores_case)
  local value = item.operator == "matches" and self:node(item, "pattern") or self:node(item, "value")
  return conditions.ask(place, "path", nil, item.operator, value, ignores_case)
end

local function condition_of(self, item)
  local place = self.marks:place(item)
  if not FITS[item.type][item.operator] then
    local known = {}
    for word in pairs(FITS[item.type]) do known[#known + 1] = word end
    table.sort(known)
    return self:fail(item, "operator", ("%s cannot be asked of %s; expected one of %s"):format(
      item.operator, item.type, table.concat(known, ", ")))
  end
  local needed = item.type == "header" and item.operator == "matches" and "pattern" or "value"
  if not item[needed] and not (needed == "value" and item.type == "path" and item.pattern) then
    return self:fail(item, nil, ("needs the key %s"):format(needed))
  end
  local ignores_case = item.case_sensitive == false
  if item.type == "header" then return of_header(self, item, place, ignores_case) end
  if item.type == "path" then return of_path(self, item, place, ignores_case) end
  local value = self:node(item, "value")
  if item.type == "method" then return node.map(place, { { "method", value } }) end
  return conditions.ask(place, "client_ip", nil, "cidr", value)
end

--- The condition of a route; nil where it has none.
function assertions.condition(self, route)
  local group = route.assertion_group_config
  if not group then return nil end
  local place, list = self.marks:place(group), {}
  for _, item in ipairs(group.assertions) do list[#list + 1] = condition_of(self, item) end
  return group.type == "or" and conditions.any(list, place) or conditions.all(list, place)
end

return assertions
