--- Conditions: whether a request is meant. Written with `all`, `any` and `not`, which nest, and in two shapes:
--
--     { header: x-api-version, in: ["1", "2"] }
--     { client_ip: { cidr: 10.0.0.0/8 } }
--
-- The control thread reads them (the schema type "condition") into plain tables that can be sent to the loops:
--
--     { all = { ... } }    { any = { ... } }    { ["not"] = ... }
--     { subject = "header", name = "x-api-version", op = "in", value = { "1", "2" }, fold = true where case is false }
--
-- and the loops compile those into functions. Of routes, tidegate.config.questions makes them a program for C
-- (src/proxy/condition.c), which must answer the same: whoever changes one changes the other.
--
-- Of several header fields of one name one has to fit; of several arguments or cookies the first counts. Numbers are
-- digits, maybe with a minus before and a fraction behind; any other text is neither above nor below.
local cidr = require "tidegate.tide.cidr"
local schema = require "tidegate.config.schema"
local sorted_keys = require "tidegate.sorted_keys"

local when = {}

local DEPTH_MAX = 16

-- -- what can be asked --

local TEXT = { type = "string" }
local PART = { type = "string", min = 1 }
local TRUTH = { type = "boolean" }
local NETWORK = {
  type = "cidr", check = function(text)
    local network, why = cidr.parse(text)
    return network ~= nil, why
  end,
}

local function list_of(item)
  return { type = "list", single = true, min = 1, of = item }
end

local WORDS = {
  equals = TEXT, ["in"] = list_of(TEXT), matches = { type = "regex" }, prefix = PART, suffix = PART, contains = PART,
  case = TRUTH,
}
local NETWORKS = list_of(NETWORK)
local NAMED = { exists = TRUTH, cidr = NETWORKS, gt = { type = "number" }, lt = { type = "number" } }
for op, field in pairs(WORDS) do NAMED[op] = field end

local NAMES = { exists = TRUTH }
for op, field in pairs(WORDS) do NAMES[op] = field end

local PATH = {
  type = "path", check = function(path)
    return not path:find("*", 1, true), 'a "*" has no meaning here; write { path: { prefix: /api/ } }'
  end,
}
local PATHS = { equals = PATH, ["in"] = list_of(PATH) }
for op, field in pairs(WORDS) do PATHS[op] = PATHS[op] or field end

local METHOD = { type = "method" }
local SCHEME = { type = "enum", of = { "http", "https" } }

-- name: the type of the name that it needs; ops: what can be asked of it; lone: what a lone value asks.
local SUBJECTS = {
  header = { name = { type = "header_name" }, ops = NAMED },
  query = { name = { type = "string", min = 1 }, ops = NAMED },
  cookie = { name = { type = "cookie_name" }, ops = NAMED },
  client_ip = { ops = { cidr = NETWORKS, equals = NETWORK, ["in"] = NETWORKS }, lone = "cidr" },
  path = { ops = PATHS, lone = "in" },
  host = { ops = WORDS, lone = "in", fold = true },
  method = { ops = { equals = METHOD, ["in"] = list_of(METHOD) }, lone = "in" },
  scheme = { ops = { equals = SCHEME, ["in"] = list_of(SCHEME) }, lone = "in" },
  tls = { ops = { exists = TRUTH }, lone = "exists" },
  sni = { ops = NAMES, lone = "in", fold = true },
}
local GROUPS = { all = true, any = true, ["not"] = true }

--- What can be asked, by subject: the JSON Schema is made of it.
when.SUBJECTS = SUBJECTS

local FIRST_WORDS = sorted_keys(GROUPS)
for subject in pairs(SUBJECTS) do FIRST_WORDS[#FIRST_WORDS + 1] = subject end
table.sort(FIRST_WORDS)

-- -- reading --

local read

local function read_group(check, entry, path, depth)
  local name, node = entry.key, entry.value
  if name == "not" then
    local inner = read(check, node, schema.path(path, name), depth + 1)
    return inner and { ["not"] = inner }
  end
  if node.kind ~= "list" or #node.items == 0 then
    if node.kind ~= "list" then
      check:mismatch({ type = "list", expects = "a list of conditions" }, node, path, name)
    else
      check:fail(node, path, name, "expected a list of conditions, found an empty one")
    end
    return nil
  end
  local list = {}
  for i, item in ipairs(node.items) do
    list[#list + 1] = read(check, item, schema.path(schema.path(path, name), i), depth + 1)
  end
  return #list == #node.items and { [name] = list } or nil
end

--- Words of a condition that only matter in small letters.
local function folded(value)
  if type(value) == "string" then return value:lower() end
  for i, item in ipairs(value) do value[i] = item:lower() end
  return value
end

local FOLDABLE = { equals = true, ["in"] = true, matches = true, prefix = true, suffix = true, contains = true }

local function atom(check, node, path, subject, name, op, value, fold)
  fold = fold and FOLDABLE[op] or nil
  if fold and op ~= "matches" then value = folded(value) end
  if subject == "client_ip" then op, value = "cidr", type(value) == "table" and value or { value } end
  local made = { subject = subject, name = name, op = op, value = value, fold = fold }
  check.marks[made] = { node = node, path = path, nodes = {} }
  return made
end

--- The operators among the entries of a map as atoms, all of which must hold.
local function read_operators(check, subject, name, entries, place, path, skip)
  local known = SUBJECTS[subject]
  local atoms, fold, good = {}, known.fold or false, true
  for _, entry in ipairs(entries) do
    if entry.key == "case" and known.ops.case then fold = check:value(TRUTH, entry.value, path, "case") == false end
  end
  for _, entry in ipairs(entries) do
    local field = known.ops[entry.key]
    if field and entry.key ~= "case" then
      local value = check:value(field, entry.value, path, entry.key)
      good = good and value ~= nil
      atoms[#atoms + 1] = value ~= nil and atom(check, entry, path, subject, name, entry.key, value, fold) or nil
    elseif not field and not skip[entry.key] then
      local ops = sorted_keys(known.ops)
      local hint, meant = check.report:near(entry.key, ops)
      check:fail(entry, path, entry.key, "%s cannot be asked of %s%s", schema.quote(entry.key), subject,
                 meant and hint or "; expected one of " .. table.concat(ops, ", "))
      good = false
    end
  end
  if not good then return nil end
  if #atoms == 0 and known.ops.exists and known.name then
    atoms[1] = atom(check, place, path, subject, name, "exists", true)
  elseif #atoms == 0 then
    check:fail(place, path, nil, "asks nothing of %s; expected one of %s", subject,
               table.concat(sorted_keys(known.ops), ", "))
    return nil
  end
  return #atoms == 1 and atoms[1] or { all = atoms }
end

--- { header: NAME, in: [...] }: the name is the value of the subject's key, the operators stand beside it.
local function read_flat(check, subject, node, entry, path)
  local known = SUBJECTS[subject]
  local operand = entry.value
  if known.name then
    local name = check:value(known.name, operand, path, subject)
    local atoms = read_operators(check, subject, name, node.entries, node, path, { [subject] = true })
    return name and atoms
  end
  if #node.entries > 1 then
    local other = node.entries[1] == entry and node.entries[2] or node.entries[1]
    check:fail(other, path, other.key, "what is asked of %s goes below it: { %s: { %s: ... } }", subject, subject,
               other.key)
    return nil
  end
  local op = known.lone == "in" and operand.kind == "scalar" and "equals" or known.lone
  local value = check:value(known.ops[op], operand, path, subject)
  if value == nil then return nil end
  return atom(check, entry, path, subject, nil, op, value, known.fold)
end

--- { header: { name: NAME, in: [...] } } and { client_ip: { cidr: ... } }.
local function read_nested(check, subject, node, entry, path)
  local known, below = SUBJECTS[subject], entry.value
  local at = schema.path(path, subject)
  if #node.entries > 1 then
    local other = node.entries[1] == entry and node.entries[2] or node.entries[1]
    check:fail(other, path, other.key, "one thing is asked at a time; several go into a list below \"all\"")
    return nil
  end
  local name
  if known.name then
    local index = below.fields.name
    if not index then
      check:fail(below, at, nil, "expected the key \"name\": of which %s", subject)
      return nil
    end
    name = check:value(known.name, below.entries[index].value, at, "name")
    if not name then return nil end
  end
  return read_operators(check, subject, name, below.entries, below, at, known.name and { name = true } or {})
end

--- The entry that says what a condition is about; nil after telling why.
local function find_head(check, node, path)
  local head
  for _, entry in ipairs(node.entries) do
    if SUBJECTS[entry.key] or GROUPS[entry.key] then
      if head then
        check:fail(entry, path, entry.key, "stands beside %s; several conditions go into a list below \"all\"",
                   schema.quote(head.key))
        return nil
      end
      head = entry
    end
  end
  if head then return head end
  local first = node.entries[1]
  local hint, meant = "", nil
  if first then hint, meant = check.report:near(first.key, FIRST_WORDS) end
  if meant then
    check:fail(first, path, first.key, "unknown%s", hint)
  else
    check:fail(first or node, path, first and first.key, "expected one of %s", table.concat(FIRST_WORDS, ", "))
  end
  return nil
end

local FIELD = { type = "condition" }

function read(check, node, path, depth)
  if depth > DEPTH_MAX then
    check:fail(node, path, nil, "conditions nest at most %d deep", DEPTH_MAX)
    return nil
  end
  if node.kind ~= "map" then
    check:mismatch(FIELD, node, path, nil, node.kind == "list" and "write { all: [...] } or { any: [...] }" or nil)
    return nil
  end
  local head = find_head(check, node, path)
  if not head then return nil end
  if GROUPS[head.key] then
    local other = node.entries[2] and (node.entries[1] == head and node.entries[2] or node.entries[1])
    if not other then return read_group(check, head, path, depth) end
    check:fail(other, path, other.key, "cannot stand beside %s", schema.quote(head.key))
    return nil
  end
  local shape = head.value.kind == "map" and read_nested or read_flat
  return shape(check, head.key, node, head, path)
end

schema.add_type("condition", "a condition such as { header: x-user, equals: me }", function(check, _, node, parent, key)
  return read(check, node, schema.path(parent, key), 1)
end)

-- -- compiling --

local GETTERS = {
  header = function(name) return function(req) return req:header(name) end end,
  query = function(name)
    return function(req)
      local value = req:arg(name)
      return value == true and "" or value        -- ?debug has no value, but is there
    end
  end,
  cookie = function(name) return function(req) return req:cookie(name) end end,
  client_ip = function() return function(req) return req.client_ip end end,
  path = function() return function(req) return req.path end end,
  host = function() return function(req) return req.host end end,
  method = function() return function(req) return req.method end end,
  scheme = function() return function(req) return req.scheme end end,
  tls = function() return function(req) return req.tls end end,
  sni = function()
    return function(req)
      local tls = req.tls
      return tls and tls.sni
    end
  end,
}

local NUMBER_MAX = 64           -- bytes

local function number_of(value)
  return #value <= NUMBER_MAX and (value:find "^%-?%d+$" or value:find "^%-?%d+%.%d*$") and tonumber(value) or nil
end

-- Each gives a function of the value, which is never nil.
local TESTS = {
  equals = function(wanted) return function(value) return value == wanted end end,
  ["in"] = function(list)
    local set = {}
    for _, word in ipairs(list) do set[word] = true end
    return function(value) return set[value] == true end
  end,
  cidr = function(list)
    local networks = assert(cidr.set(list))
    return function(value) return networks:contains(value) end
  end,
  matches = function(pattern, fold)
    local regex = assert(require("tidegate.tide.re").compile(pattern, fold and "iD" or "D"))
    return function(value)
      local found, why = regex:test(value)
      -- To say no would leave out a plugin that guards something.
      if found == nil then error(("condition with the pattern %q: %s"):format(pattern, why), 0) end
      return found
    end
  end,
  prefix = function(wanted) return function(value) return value:sub(1, #wanted) == wanted end end,
  suffix = function(wanted) return function(value) return value:sub(-#wanted) == wanted end end,
  contains = function(wanted) return function(value) return value:find(wanted, 1, true) ~= nil end end,
  gt = function(bound)
    return function(value)
      local number = number_of(value)
      return number ~= nil and number > bound
    end
  end,
  lt = function(bound)
    return function(value)
      local number = number_of(value)
      return number ~= nil and number < bound
    end
  end,
}

--- Of several fields one has to fit. The first alone is asked for in a cheaper way.
local function compile_fields(name, test)
  return function(req)
    local first = req:header(name)
    if first == nil then return false end
    if test(first) then return true end
    local all = req:header_all(name)
    for i = 2, #all do
      if test(all[i]) then return true end
    end
    return false
  end
end

local function compile_atom(condition)
  local get = GETTERS[condition.subject](condition.name)
  if condition.op == "exists" then
    local wanted = condition.value
    return function(req) return (get(req) ~= nil) == wanted end
  end
  local test = TESTS[condition.op](condition.value, condition.fold)
  if condition.fold and condition.op ~= "matches" then
    local plain = test
    test = function(value) return plain(value:lower()) end
  end
  if condition.subject == "header" then return compile_fields(condition.name, test) end
  return function(req)
    local value = get(req)
    return value ~= nil and test(value)
  end
end

--- The first member that gives the answer decides: one that does not fit for all, one that does for any.
local function compile_group(list, answer)
  local tests = {}
  for i, condition in ipairs(list) do tests[i] = when.compile(condition) end
  return function(req)
    for i = 1, #tests do
      if tests[i](req) == answer then return answer end
    end
    return not answer
  end
end

--- Makes a function of a condition.
-- @tparam table condition as the schema type "condition" gives it
-- @treturn function function(req) -> boolean; never waits; raises where a pattern takes too long on what a client sent
function when.compile(condition)
  if condition.all then return compile_group(condition.all, false) end
  if condition.any then return compile_group(condition.any, true) end
  if condition["not"] then
    local inner = when.compile(condition["not"])
    return function(req) return not inner(req) end
  end
  return compile_atom(condition)
end

return when
