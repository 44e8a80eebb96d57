--- What requests and responses have in common for a plugin: fields of the head, and the body.
-- A message is a table with the number of its request at [1]; everything else is asked of C, which knows whether the
-- request is still there. What it keeps itself is in the array part, too: such a table is one piece of memory.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local wait = require "tidegate.tide.wait"

local message = {}

local ffi_string, tonumber, tostring, type = ffi.string, tonumber, tostring, type
local OK, ABSENT, WAIT, LIMIT = C.TIDE_OK, C.TIDE_ABSENT, C.TIDE_WAIT, C.TIDE_LIMIT
local slice, second = ffi.new "struct slice[1]", ffi.new "struct slice[1]"
local position, number = ffi.new "uint32_t[1]", ffi.new "double[1]"

-- A function is a constant for compiled code, the library that it is in is not.
local get_header, change_header, SET, ADD = C.tide_header, C.tide_header_change, C.TIDE_SET, C.TIDE_ADD

local BODY_MAX = 1024 * 1024    -- of body(), where the plugin names no limit

local REASONS = {
  [tonumber(C.TIDE_OVER)] = "this request is over",
  [tonumber(C.TIDE_LATE)] = "too late: it has been sent already",
  [tonumber(C.TIDE_BAD_NAME)] = "expected the name of a header field, found what cannot be one",
  [tonumber(C.TIDE_BAD_VALUE)] = "expected a value that can be put there, found one with bytes that cannot",
  [tonumber(C.TIDE_FIXED)] = "the gateway itself says how messages are framed and connections used",
  [tonumber(C.TIDE_TWICE)] = "there is a reply already",
  [tonumber(C.TIDE_LIMIT)] = "over the limit",
}

local own_folder = debug.getinfo(1, "S").source:match "^(.*)message%.lua$"

--- Raises an error at the line of the plugin that has called the gateway. A call in tail position leaves no line: then
-- the message stands alone.
local function raise_text(text)
  local level, info = 3, debug.getinfo(3, "Sl")
  while info do
    local is_own = info.what == "C" or info.source:sub(1, #own_folder) == own_folder or info.source == "=chain"
    if not is_own then error(text, level) end
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  error(text, 0)
end

--- Raises what a call of C had to say, at the plugin's line.
-- @tparam number result
-- @tparam string call its name, for the message
-- @tparam ?string about what it was given
function message.raise(result, call, about)
  local reason = REASONS[tonumber(result)] or ("not in this hook (%s)"):format(ffi_string(C.tide_place()))
  if about ~= nil then
    about = tostring(about)
    if #about > 60 then about = about:sub(1, 60) .. "..." end
    reason = ("%s (%q)"):format(reason, about)
  end
  raise_text(("%s: %s"):format(call, reason))
end

local raise = message.raise

-- The numbers of header names that were asked for; C finds fields by them. Names come from plugins' code, and there
-- are few; where a plugin makes them up, later ones are looked up each time.
local ids, known_ids, IDS_MAX = {}, 0, 4096

local function id_of(name)
  local id = ids[name]
  if id then return id end
  id = C.tide_header_id(name, #name)
  if known_ids < IDS_MAX then
    ids[name] = id
    known_ids = known_ids + 1
  end
  return id
end

local function bad_type(call, expected, value)
  raise_text(("%s: expected %s, found a %s"):format(call, expected, type(value)))
end

message.bad_type = bad_type
message.raise_text = raise_text

--- @treturn ?string
function message.text_of(self, what)
  local result = C.tide_text_of(self[1], what, slice)
  if result == OK then return ffi_string(slice[0].at, slice[0].len) end
  if result ~= ABSENT then raise(result, "reading a field") end
  return nil
end

--- @treturn number
function message.number_of(self, what)
  local result = C.tide_number_of(self[1], what, number)
  if result ~= OK then raise(result, "reading a field") end
  return number[0]
end

--- The methods of a message.
-- @tparam table methods to put them into
-- @tparam number side C.TIDE_REQUEST or C.TIDE_RESPONSE
function message.methods(methods, side)
  --- The value of the first field of a name.
  -- @tparam string name in any case
  -- @treturn ?string
  function methods:header(name)
    if type(name) ~= "string" then bad_type("header", "a name", name) end
    local result = get_header(self[1], side, ids[name] or id_of(name), name, #name, slice)
    if result == OK then return ffi_string(slice[0].at, slice[0].len) end
    if result ~= ABSENT then raise(result, "header", name) end
    return nil
  end

  --- The values of all fields of a name, in their order.
  -- @tparam string name in any case
  -- @treturn table empty where there is none
  function methods:header_all(name)
    if type(name) ~= "string" then bad_type("header_all", "a name", name) end
    local values = {}
    position[0] = 0
    while true do
      local result = C.tide_header_next(self[1], side, id_of(name), name, #name, position, second, slice)
      if result ~= OK then
        if result ~= ABSENT then raise(result, "header_all", name) end
        return values
      end
      values[#values + 1] = ffi_string(slice[0].at, slice[0].len)
    end
  end

  --- Goes over all fields: for name, value in req:each_header() do. Names come in lower case.
  function methods:each_header()
    local at = 0
    return function()
      position[0] = at
      local result = C.tide_header_next(self[1], side, 0, nil, 0, position, second, slice)
      at = position[0]
      if result == OK then
        return ffi_string(second[0].at, second[0].len):lower(), ffi_string(slice[0].at, slice[0].len)
      end
      if result ~= ABSENT then raise(result, "each_header") end
    end
  end

  local function change(self, call, how, name, value)
    if type(name) ~= "string" then bad_type(call, "a name", name) end
    if type(value) == "number" then value = tostring(value) end
    if type(value) ~= "string" then bad_type(call, "a text", value) end
    local result = change_header(self[1], side, how, ids[name] or id_of(name), name, #name, value, #value)
    if result ~= OK then raise(result, call, name .. ": " .. value) end
  end

  --- Puts a field in place of all of its name. A list makes several fields.
  -- @tparam string name
  -- @tparam string|number|table value
  function methods:set_header(name, value)
    if type(value) ~= "table" then
      change(self, "set_header", SET, name, value)
      return
    end
    self:remove_header(name)
    for _, one in ipairs(value) do change(self, "set_header", ADD, name, one) end
  end

  --- Adds a field beside those of its name.
  function methods:add_header(name, value) change(self, "add_header", ADD, name, value) end

  --- Takes out all fields of a name.
  function methods:remove_header(name)
    if type(name) ~= "string" then bad_type("remove_header", "a name", name) end
    local result = change_header(self[1], side, C.TIDE_REMOVE, id_of(name), name, #name, nil, 0)
    if result ~= OK then raise(result, "remove_header", name) end
  end

  --- The whole body; waits until it is there.
  -- @tparam[opt=1048576] number max most bytes that are taken
  -- @treturn ?string "" where there is none; nil where it is longer (nothing of it is lost)
  -- @treturn ?string why not
  function methods:body(max)
    max = max or BODY_MAX
    if type(max) ~= "number" then bad_type("body", "a number of bytes", max) end
    local result = C.tide_body(self[1], side, max, slice)
    while result == WAIT do
      wait.yield()
      result = C.tide_body(self[1], side, max, slice)
    end
    if result == OK then return ffi_string(slice[0].at, slice[0].len) end
    if result == ABSENT then return "" end
    if result == LIMIT then return nil, ("the body has more than %d bytes"):format(max) end
    raise(result, "body")
  end

  --- The body as JSON; waits until it is there.
  -- @tparam[opt=1048576] number max
  -- @return the value; nil where it is none
  -- @treturn ?string why not
  function methods:json(max)
    local text, why = self:body(max)
    if not text then return nil, why end
    return require("tidegate.tide.json").decode(text)
  end

  --- Another body in place of this one. A table becomes JSON.
  -- @tparam string|table body
  function methods:set_body(body)
    if type(body) == "table" then
      local text, why = require("tidegate.tide.json").encode(body)
      if not text then raise_text("set_body: " .. why) end
      body = text
      if not self:header "content-type" then
        change(self, "set_body", SET, "content-type", "application/json")
      end
    end
    if type(body) ~= "string" then bad_type("set_body", "a text or a table", body) end
    local result = C.tide_body_set(self[1], side, body, #body)
    if result ~= OK then raise(result, "set_body") end
  end
end

--- A class whose fields are asked of C when they are read.
-- @tparam string name for messages
-- @tparam table methods
-- @tparam table getters functions of the object, by field
-- @tparam table setters functions of the object and the value, by field
-- @treturn table the metatable
function message.class(name, methods, getters, setters)
  local suggest = require "tidegate.config.suggest"
  local function known()
    local list = {}
    for key in pairs(methods) do list[#list + 1] = key end
    for key in pairs(getters) do list[#list + 1] = key end
    return list
  end
  return {
    __index = function(self, key)
      local method = methods[key]
      if method then return method end
      local getter = getters[key]
      if getter then return getter(self) end
      local near = type(key) == "string" and suggest(key, known())
      error(("%s has no field %q%s"):format(name, tostring(key),
            near and (", did you mean %q?"):format(near) or "; what plugins tell each other goes into req.ctx"), 2)
    end,
    __newindex = function(self, key, value)
      local setter = setters[key]
      if setter then return setter(self, value) end
      if getters[key] then
        local method = methods["set_" .. tostring(key)]
        local instead = method and (", use %s:set_%s"):format(name, key) or ""
        error(("%s.%s cannot be assigned%s"):format(name, key, instead), 2)
      end
      error(("%s.%s: what plugins tell each other goes into req.ctx"):format(name, tostring(key)), 2)
    end,
    __metatable = false,
  }
end

return message
