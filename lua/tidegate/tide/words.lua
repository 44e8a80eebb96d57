--- How the library's messages name what they found, and how it refuses misuse.
local words = {}

--- Stops the caller of a library function that was given the wrong type. The value is not shown: it may be secret.
-- @tparam string where the function's name: "base64.encode"
-- @tparam string expected "a text"
-- @param found what was given instead
-- @tparam[opt=3] number level as for error: 4 where a helper of the function calls this
function words.misuse(where, expected, found, level)
  local what = found == nil and "nil" or "a " .. type(found)
  error(("%s: expected %s, found %s"):format(where, expected, what), level or 3)
end

--- A byte of a text as messages show it: "x" in quotes, a number where it cannot be printed.
-- @tparam string text
-- @tparam number at from 1; one past the end is "the end"
function words.byte(text, at)
  local byte = text:byte(at)
  if not byte then return "the end" end
  if byte == 34 then return "'\"'" end
  if byte > 32 and byte < 127 then return ('"%c"'):format(byte) end
  return ("byte 0x%02X"):format(byte)
end

local QUOTED_MAX = 40

--- A text in quotes, short, and without anything that could break a line of a log.
function words.quote(text)
  local short = #text > QUOTED_MAX and text:sub(1, QUOTED_MAX) .. "..." or text
  return '"' .. short:gsub("[^\32-\126]", function(c) return ("\\x%02X"):format(c:byte()) end) .. '"'
end

local NO_OPTIONS = {}

--- The options of a call, each of them known.
-- @tparam string where the function's name
-- @tparam ?table given
-- @tparam {[string]=string} known name to the type its value must have, or "any"
-- @treturn table given, or an empty table
function words.options(where, given, known)
  if given == nil then return NO_OPTIONS end
  if type(given) ~= "table" then words.misuse(where, "a table of options", given, 4) end
  for name, value in pairs(given) do
    local wanted = known[name]
    if not wanted then error(("%s: there is no option %s"):format(where, tostring(name)), 3) end
    if wanted ~= "any" and type(value) ~= wanted then
      words.misuse(where .. ": option " .. name, "a " .. wanted, value, 4)
    end
  end
  return given
end

return words
