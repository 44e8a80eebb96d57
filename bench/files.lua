--- Files that a bench run reads and writes. What cannot be is an error.
local files = {}

function files.read(path)
  local file, why = io.open(path)
  if not file then error(why, 0) end
  local text = file:read("*a")
  file:close()
  return text
end

function files.write(path, text)
  local file, why = io.open(path, "w")
  if not file then error(why, 0) end
  local good, problem = file:write(text)
  file:close()
  if not good then error(path .. ": " .. problem, 0) end
end

--- Puts values into a text: ${name} becomes the value of that name.
function files.fill(text, values)
  return (text:gsub("%${([%w_]+)}", function(name)
    return tostring(values[name] or error("no value for ${" .. name .. "}", 0))
  end))
end

return files
