--- Where in a Lua text a field of a table is written, so that a message about it can show the line.
-- Looks at tokens, not at what the program does: { schema = { max = { default = 5 } } } is found, a table that is put
-- together at run time is not. Then the nearest table around it that was found is given.
local locate = {}

--- The end of a long bracket's text: what follows "]==]"; nil where none begins here.
local function after_long(source, at)
  local level = source:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = source:find("]" .. level .. "]", at, true)
  return (stop or #source) + 1
end

local function after_quoted(source, at)
  local quote = source:sub(at, at)
  local i = at + 1
  while i <= #source do
    local c = source:sub(i, i)
    if c == "\\" then
      i = i + 1
    elseif c == quote or c == "\n" then
      return i + 1
    end
    i = i + 1
  end
  return i
end

--- Tokens that matter: words, texts, "=", braces. Each is { kind, text, position }.
local function tokens_of(source)
  local list, at = {}, 1
  while true do
    at = source:find("%S", at)
    if not at then return list end
    local c = source:sub(at, at)
    local word, stop = source:match("^([%a_][%w_]*)()", at)
    if word then
      list[#list + 1] = { "word", word, at }
    elseif source:find("^%-%-", at) then
      stop = after_long(source, at + 2) or source:find("\n", at, true) or #source + 1
    elseif c == '"' or c == "'" then
      stop = after_quoted(source, at)
      list[#list + 1] = { "text", source:sub(at + 1, stop - 2), at }
    else
      stop = after_long(source, at) or source:match("^[=~<>]=()", at) or source:match("^%d[%w.]*()", at) or at + 1
      list[#list + 1] = { stop == at + 1 and c or "other", c, at }
    end
    at = stop
  end
end

--- Whether the token is a key: `key =` or `["key"] =`. Gives the index of the first token of its value.
local function value_of_key(tokens, i, key)
  local token = tokens[i]
  local after = token[1] == "word" and token[2] == key and i + 1
  if token[1] == "text" and token[2] == key and tokens[i - 1] and tokens[i - 1][1] == "[" and tokens[i + 1] and
      tokens[i + 1][1] == "]" then
    after = i + 2
  end
  return after and tokens[after] and tokens[after][1] == "=" and after + 1 or nil
end

--- The first `key =` in the table whose brace is at index i.
local function in_table(tokens, i, key)
  local depth = 0
  while tokens[i] do
    local kind = tokens[i][1]
    if kind == "{" then
      depth = depth + 1
    elseif kind == "}" then
      depth = depth - 1
      if depth == 0 then return nil end
    elseif depth == 1 then
      local value = value_of_key(tokens, i, key)
      if value then return i, value end
    end
    i = i + 1
  end
  return nil
end

--- The first `key =` that is a field: of a table that is in no other, or after a dot.
local function first_field(tokens, key)
  local depth = 0
  for i, token in ipairs(tokens) do
    if token[1] == "{" then
      depth = depth + 1
    elseif token[1] == "}" then
      depth = depth - 1
    elseif depth == 1 or depth == 0 and i > 1 and tokens[i - 1][1] == "." then
      local value = value_of_key(tokens, i, key)
      if value then return i, value end
    end
  end
  return nil
end

local function line_and_column(source, position)
  local line, start = 1, 1
  for stop in source:gmatch "()\n" do
    if stop >= position then break end
    line, start = line + 1, stop + 1
  end
  local _, characters = source:sub(start, position - 1):gsub("[^\128-\191]", "")
  return line, characters + 1
end

local last_source, last_tokens      -- many fields of one text are asked for one after the other

--- Finds a field.
-- @tparam string source
-- @tparam {string,...} path { "schema", "max", "default" }
-- @treturn ?number line; nil where not even the first key was found
-- @treturn ?number column, in characters
function locate.field(source, path)
  if source ~= last_source then last_source, last_tokens = source, tokens_of(source) end
  local tokens = last_tokens
  local at, value = first_field(tokens, path[1])
  if not at then return nil end
  for step = 2, #path do
    if not tokens[value] or tokens[value][1] ~= "{" then break end
    local deeper, deeper_value = in_table(tokens, value, path[step])
    if not deeper then break end
    at, value = deeper, deeper_value
  end
  return line_and_column(source, tokens[at][3])
end

--- The column at which a line begins to say something; 1 where it is empty or not there.
function locate.indent(source, line)
  local start = 1
  for _ = 2, line do
    start = source:find("\n", start, true)
    if not start then return 1 end
    start = start + 1
  end
  local column = source:match("^[ \t]*()[^%s]", start)
  return column and column - start + 1 or 1
end

return locate
