--- APISIX's expressions over variables, [["arg_name", "==", "json"], ...], as conditions of ours.
local native = require "tidegate.dialects.foreign.native"

local vars = {}

local DEPTH_MAX = 12

-- -- variables --

local PLAIN = { uri = "path", host = "host", request_method = "method", scheme = "scheme", remote_addr = "client_ip" }

--- A variable as subject and name of a condition; nil where it has no equal.
function vars.subject(name)
  if PLAIN[name] then return PLAIN[name] end
  local argument = name:match "^arg_(.+)$"
  if argument then return "query", argument end
  local cookie = name:match "^cookie_(.+)$"
  if cookie then return "cookie", cookie end
  local header = name:match "^http_(.+)$"
  if header then return "header", (header:lower():gsub("_", "-")) end
  return nil
end

local TEMPLATES = {
  remote_addr = "client_ip", host = "host", uri = "path", scheme = "scheme", request_uri = "request_uri",
  request_method = "method", consumer_name = "consumer", route_id = "route", route_name = "route",
  query_string = "query", request_id = "id",
}

--- A variable as one of our templates; nil where it has no equal.
function vars.template(name)
  if TEMPLATES[name] then return TEMPLATES[name] end
  local subject, of = vars.subject(name)
  return of and ("%s.%s"):format(subject, of) or nil
end

--- "$name" and "${name}" in a text as our templates; nil and which has no equal.
function vars.fill(text)
  local unknown
  local function one(name)
    local found = vars.template(name)
    unknown = unknown or not found and name or nil
    return found and "${" .. found .. "}"
  end
  local result = text:gsub("%$%$?{([%w_]+)}", one):gsub("%$([%a_][%w_]*)", one)
  if unknown then return nil, ("$%s has no equal"):format(unknown) end
  return result
end

-- -- operators --

--- { subject = name, op = value } or { subject = { op = value } }.
local function ask(subject, name, op, value)
  local asked = { [op] = value }
  if not name then return { [subject] = asked } end
  asked[subject] = name
  return asked
end

local function both(a, b) return { any = { a, b } } end

local function numeric(op)
  return function(subject, name, value)
    local number = tonumber(value)
    if not name or not number then return nil, "only numbers in headers, arguments and cookies are compared" end
    return ask(subject, name, op, number)
  end
end

local function or_equal(op)
  return function(subject, name, value)
    local less, why = numeric(op)(subject, name, value)
    return less and both(less, ask(subject, name, "equals", value)), why
  end
end

local function matching(case)
  return function(subject, name, value)
    local good, why = native.takes("regex", value)
    if not good then return nil, why end
    if subject == "client_ip" or subject == "method" or subject == "scheme" then
      return nil, "only texts are matched"
    end
    local found = ask(subject, name, "matches", value)
    if case ~= nil then (name and found or found[subject]).case = case end
    return found
  end
end

local function equals(subject, name, value)
  if subject == "client_ip" then return { client_ip = { value } } end
  return ask(subject, name, "equals", value)
end

local OPERATORS = {
  ["=="] = equals,
  ["~="] = function(subject, name, value) return { ["not"] = equals(subject, name, value) } end,
  [">"] = numeric "gt", ["<"] = numeric "lt", [">="] = or_equal "gt", ["<="] = or_equal "lt",
  ["~~"] = matching(nil), ["~*"] = matching(false),
}

-- These take a list.
local LISTS = {
  ["in"] = function(subject, name, list) return ask(subject, name, "in", list) end,
  ipmatch = function(subject, name, list)
    for _, network in ipairs(list) do
      if not native.takes("cidr", network) then return nil, network .. " is no network" end
    end
    return ask(subject, name, "cidr", list)
  end,
}

-- -- expressions --

local GROUPS = { AND = "all", OR = "any", ["!AND"] = "all", ["!OR"] = "any" }

local function is_text(node) return node ~= nil and node.kind == "scalar" end

--- The operand of an operator; nil and why where it is none.
local function operand(node, takes_list)
  if takes_list then
    local list = {}
    for i, item in ipairs(node.items or { node }) do
      if not is_text(item) then return nil, "expected a list of texts" end
      list[i] = item.text
    end
    if #list == 0 then return nil, "expected a list that holds something" end
    return list
  end
  if not is_text(node) or node.type == "null" then return nil, "expected a text or a number" end
  return node.text
end

--- One [name, operator, value] or [name, "!", operator, value].
local function comparison(items)
  local name, at, negated = items[1].text, 2, false
  if is_text(items[2]) and items[2].text == "!" then at, negated = 3, true end
  local subject, of = vars.subject(name)
  if not subject then return nil, ("$%s is no condition here"):format(name) end
  local word = items[at] and items[at].text
  local read = OPERATORS[word] or LISTS[word]
  if not read then return nil, ('the operator "%s" is not converted'):format(tostring(word)) end
  if not items[at + 1] then return nil, "the operator has nothing to compare with" end
  local value, why = operand(items[at + 1], LISTS[word] ~= nil)
  if not value then return nil, why end
  local found
  found, why = read(subject, of, value)
  if not found then return nil, why end
  return negated and { ["not"] = found } or found
end

local expression

--- The members of a group from an index on.
local function members(items, from, depth)
  local list = {}
  for i = from, #items do
    local found, why = expression(items[i], depth + 1)
    if not found then return nil, why end
    list[#list + 1] = found
  end
  return list
end

function expression(node, depth)
  if depth > DEPTH_MAX then return nil, ("expressions nest at most %d deep"):format(DEPTH_MAX) end
  local items = node.items
  if node.kind ~= "list" or #items == 0 then return nil, "expected a list such as [name, ==, value]" end
  local word = is_text(items[1]) and items[1].text or nil
  if word and not GROUPS[word] then return comparison(items) end
  local list, why = members(items, word and 2 or 1, depth)
  if not list then return nil, why end
  if #list == 0 then return nil, "a group without members" end
  local found = #list == 1 and list[1] or { [GROUPS[word] or "all"] = list }
  if word and word:find "^!" then found = { ["not"] = found } end
  return found
end

--- The condition of an expression.
-- @tparam table node a list
-- @treturn ?table nil where it asks nothing, or cannot be said
-- @treturn ?string why it cannot be said
function vars.condition(node)
  if node.kind == "list" and #node.items == 0 then return nil end
  return expression(node, 1)
end

--- Several conditions as one; nil where there is none.
function vars.all(list)
  if #list == 0 then return nil end
  return #list == 1 and list[1] or { all = list }
end

return vars
