--- Values from outside, put into scalars after parsing, so that no value can change the structure:
-- ${NAME} and ${NAME:-default} are the environment, ${env:NAME} and ${env:NAME:-default} too, with names in any case;
-- ${file:/path} is what a file holds, $${ is a plain "${".
-- ${lower.dotted} and ${lower.dotted:-default} are left for run time.
local C = require "tidegate.ffi"

local values = {}

local VALUE_MAX = 1024 * 1024

local Context = {}
Context.__index = Context

--- Notes an error; whatever the node should be, no more is said of it.
function Context:fail(node, message, ...)
  node.broken = true
  self.report:add(node, self.path, message:format(...))
end

--- Notes where a part of the value comes from.
local function note(node, words)
  node.from = node.from or {}
  table.insert(node.from, words)
end

local function from_file(path, context, node)
  note(node, "file " .. path)
  node.has_file = true
  local text, why = context.sources:read(path, VALUE_MAX)
  if not text then
    context:fail(node, "cannot read %s: %s", path, why)
    return ""
  end
  return (text:gsub("\r?\n$", ""))
end

local function from_environment(name, default, context, node)
  local value = context.getenv(name)
  note(node, value and "environment " .. name or "default of " .. name)
  if value and (value ~= "" or not default) then return value end
  if default then return default end
  context:fail(node, "the environment has no %s; ${%s:-...} would give a default", name, name)
  return ""
end

--- What stands for one ${...}; nil where it is left for run time; false where it is neither.
local function value_of(body, context, node)
  local file = body:match "^file:(.+)$"
  if file then return from_file(file, context, node) end
  local name, rest = body:match "^([A-Z_][A-Z0-9_]*)(.*)$"
  if body:find "^env:" then name, rest = body:match "^env:([%a_][%w_]*)(.*)$" end
  if name and rest == "" then return from_environment(name, nil, context, node) end
  if name and rest:sub(1, 2) == ":-" then return from_environment(name, rest:sub(3), context, node) end
  if body:find "^env:" then return false end
  if body:find "^%l[%w_.-]*$" or body:find "^%l[%w_.-]*:%-" then return nil end
  return false
end

--- A text that stands for itself where "${" would be looked for.
local function literal(text) return (text:gsub("%${", "$${")) end

--- Beside text and value a node gets: again, what to write for it where "${" is in it; references, what was written
-- where that is nothing but references, which give no secret away; from, where the value comes from.
local function replace(node, context)
  local text, out, again, at = node.text, {}, {}, 1
  if text:gsub("%${[^}]*}", "") == "" and not text:find(":-", 1, true) then node.references = text end
  while true do
    local start = text:find("${", at, true)
    if not start then break end
    if text:sub(start - 1, start - 1) == "$" and start > at then
      out[#out + 1] = text:sub(at, start - 2) .. "${"
      again[#again + 1] = text:sub(at, start - 2) .. "$${"
      at = start + 2
    else
      local stop = text:find("}", start, true)
      local value = false
      if stop then value = value_of(text:sub(start + 2, stop - 1), context, node) end
      if value == false then
        context:fail(node, 'expected ${NAME}, ${NAME:-default} or ${file:/path}; a plain "${" is written "$${"')
        return
      end
      local raw = text:sub(start, stop)
      if not value then node.templates = node.templates or raw end
      out[#out + 1] = text:sub(at, start - 1) .. (value or raw)
      again[#again + 1] = text:sub(at, start - 1) .. (value and literal(value) or raw)
      node.loose = node.loose or value ~= nil
      at = stop + 1
    end
  end
  out[#out + 1] = text:sub(at)
  again[#again + 1] = text:sub(at)
  node.text = table.concat(out)
  if node.text:find("${", 1, true) then node.again = table.concat(again) end
  node.value, node.type = node.text, "string"
end

--- Whether a "${" is anywhere below a node. Most routes of a large configuration have none: their paths are not made.
local function mentions(node)
  if node.kind == "scalar" then return node.type == "string" and node.text:find("${", 1, true) ~= nil end
  C.tide_keep_pace()
  for _, item in ipairs(node.items or {}) do
    if mentions(item) then return true end
  end
  for _, entry in ipairs(node.entries or {}) do
    if mentions(entry.value) then return true end
  end
  return false
end

local function walk(node, context, path)
  if node.kind == "scalar" then
    if node.type == "string" and not node.replaced and node.text:find("${", 1, true) then
      context.path = path
      replace(node, context)
      node.replaced = true      -- what was put in is not looked into
    end
    return
  end
  for i, item in ipairs(node.items or {}) do
    if mentions(item) then walk(item, context, ("%s[%d]"):format(path, i)) end
  end
  for _, entry in ipairs(node.entries or {}) do
    walk(entry.value, context, path == "" and entry.key or path .. "." .. entry.key)
  end
end

--- Replaces in all scalars below a node.
-- @tparam table node from tidegate.yaml; changed in place
-- @tparam Sources sources reads files
-- @tparam Report report takes what is missing
-- @tparam[opt=os.getenv] function getenv
-- @tparam[opt=""] string path of the node
function values.replace(node, sources, report, getenv, path)
  if not mentions(node) then return end
  walk(node, setmetatable({ sources = sources, report = report, getenv = getenv or os.getenv }, Context), path or "")
end

return values
