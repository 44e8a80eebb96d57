--- Small plugins for specs of the test kit, and the messages of its errors.
local kit = {}

--- The text of a plugin: one line for each hook, "request(req) BODY".
function kit.file(...)
  local lines = {
    'local P = { version = "1.0.0", description = "A plugin of a spec." }', "P.__index = P",
    "function P.new(conf) return setmetatable({ conf = conf }, P) end",
  }
  for _, hook in ipairs { ... } do lines[#lines + 1] = "function P:" .. hook .. " end" end
  lines[#lines + 1] = "return P"
  return table.concat(lines, "\n")
end

--- An instance of such a plugin.
function kit.instance(...) return require("tidegate.spec").plugin("probe", kit.file(...)) {} end

--- The message of an error, which must come.
function kit.message_of(f, ...)
  local good, why = pcall(f, ...)
  if good then error("expected an error, found none", 2) end
  return tostring(why)
end

--- The same, which must have a text in it.
function kit.refuses(text, f, ...)
  local message = kit.message_of(f, ...)
  if not message:find(text, 1, true) then error(("expected an error with %q, found %q"):format(text, message), 2) end
end

return kit
