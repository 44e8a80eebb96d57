--- Chains: the hooks of many plugins as one function.
-- The text of such a function depends on the hook, on how many plugins there are and which of them have a condition or
-- may fail; it is compiled once per shape. What differs between chains of a shape is in the table that it gets: for
-- each plugin its function, its instance, its slot for accounting, its condition and its name.
local C = require "tidegate.ffi"
local decode = require "tidegate.plugin.decode"
local request = require "tidegate.request"
local response = require "tidegate.response"
local websocket = require "tidegate.websocket"

local chain = {}

local FIELDS = 5
local in_hand
local REPLY = request.REPLY

--- The hooks in the order of their numbers in C.
chain.HOOKS = {
  "request", "request_body", "upstream", "response", "response_body", "message", "failure", "log", "ws_open",
  "ws_close", "message_back",
}
--- The method of a plugin that a hook calls, where it has another name.
chain.METHODS = { message_back = "message" }

-- What each hook is called with, besides its instance; and whether plugins run in reverse order.
local ARGUMENTS = {
  request = "req", upstream = "req, try", response = "res, req", failure = "err, req", log = "req, res",
  request_body = "text, last, req", response_body = "text, last, res, req", message = "msg, req",
  message_back = "msg, req", ws_open = "req", ws_close = "close, req",
}
local PREPARE = {
  upstream = "local try = try_of(number)",
  response = "local res = new_response(number)",
  response_body = "local res = new_response(number)",
  log = "local res = new_response(number)",
  failure = "local err = error_of(number)",
  message = "local msg = message(number, chunk, last, 'client')",
  message_back = "local msg = message(number, chunk, last, 'upstream')",
  ws_close = "local close = close_of(number)",
}

local function is_message(hook) return hook == "message" or hook == "message_back" end
local function is_body(hook) return hook == "request_body" or hook == "response_body" end

local function check_answer(result, name, hook)
  if result == REPLY then return end
  error(("plugin %s: its %s hook returned a %s; expected nothing%s"):format(
        name, hook, type(result), hook == "log" and "" or ", or req:reply(...)"), 0)
end

local function not_a_text(result, name, hook)
  error(("plugin %s: its %s hook returned a %s; expected the chunk as a text, or nothing to leave it as it is"):format(
        name, hook, type(result)), 0)
end

local function no_message(result, name)
  error(("plugin %s: its message hook returned a %s; expected another text, false to drop the message, or nothing " ..
         "to leave it as it is"):format(name, type(result)), 0)
end

local function answered(result, name, hook)
  check_answer(result, name, hook)
  C.tide_hook_answered()
end

--- Calls a hook whose errors do not end the request: what it returns must be right, too.
local function checked(run, name, hook, ...)
  local result = run(...)
  if result == nil then return nil end
  if is_message(hook) then
    if result ~= false and type(result) ~= "string" then no_message(result, name) end
  elseif not is_body(hook) then check_answer(result, name, hook)
  elseif type(result) ~= "string" then not_a_text(result, name, hook) end
  return result
end

local function traced(message)
  return debug.traceback(type(message) == "string" and message or "an error that is no text", 2)
end

--- What went wrong, for a failure hook.
local function error_of(number)
  local message = require "tidegate.message"
  local self = { number }
  return {
    reason = message.text_of(self, C.TIDE_FAILURE) or "unknown",
    status = message.number_of(self, C.TIDE_FAILURE_STATUS),
  }
end

local function try_of(number) return require("tidegate.message").number_of({ number }, C.TIDE_TRIES) + 1 end

-- Where the decoder of a body is in what is kept of a request.
local DECODERS = { request_body = request.DECODER, response_body = request.RESPONSE_DECODER }

--- In place of a plugin, at the end of a request or response chain: a body that plugins want plain gets a decoder, and
-- loses the field that says how it was coded.
local function expect_coded(message, req, place)
  local decoder = decode.open(message:header "content-encoding")
  if not decoder then return end
  message:remove_header "content-encoding"
  request.keep(req, place, decoder)
end

chain.DECODE = {
  request = function(_, req) expect_coded(req, req, request.DECODER) end,
  response = function(_, res, req) expect_coded(res, req, request.RESPONSE_DECODER) end,
}

--- Whether the first plugin's hook is the first thing in a chain: then C has told that it begins.
local function begins_at_once(hook, shape) return not shape.when and not is_body(hook) end

local function add_plugin(lines, hook, i, shape)
  local at = (i - 1) * FIELDS
  local function add(...) lines[#lines + 1] = (...):format(select(2, ...)) end
  if shape.when then add("if t[%d](req) then", at + 4) end
  if i > 1 or not begins_at_once(hook, shape) then add("begin(t[%d])", at + 3) end
  if shape.continue then
    add("local good, result = xpcall(checked, traced, t[%d], t[%d], hook, t[%d], %s)",
        at + 1, at + 5, at + 2, ARGUMENTS[hook])
    add("if not good then failed(result) result = nil end")
  else
    add("local result = t[%d](t[%d], %s)", at + 1, at + 2, ARGUMENTS[hook])
  end
  if is_body(hook) then
    add("if result ~= nil then")
    add("if type(result) ~= 'string' then not_a_text(result, t[%d], hook) end", at + 5)
    add("text = result")
    add("end")
  elseif is_message(hook) then
    add("if result == false then return false, false end")
    add("if result ~= nil then")
    add("if type(result) ~= 'string' then no_message(result, t[%d]) end", at + 5)
    add("msg.data = result")
    add("end")
  else
    add("if result ~= nil then return answered(result, t[%d], hook) end", at + 5)
  end
  if shape.when then add("end") end
end

--- @treturn function(t) gives the chain's function
local function compile(hook, shapes)
  local lines = {
    "local new_request, new_response, C, answered, not_a_text, error_of, try_of, xpcall, checked, traced,",
    "  hook, type, kept, feed, no_message, message, close_of, changed, in_hand = ...",
    "local begin, failed = C.tide_hook_begin, C.tide_hook_failed",
    "return function(t)",
    "return function(chunk, last)",
    "local number = in_hand[0]",
    "local req = new_request(number)",
    PREPARE[hook] or "",
  }
  if is_body(hook) then
    lines[#lines + 1] = "local text = chunk"
    lines[#lines + 1] = ("local decoder = kept(number, %d)"):format(DECODERS[hook])
    lines[#lines + 1] = "if decoder then text = feed(decoder, chunk, last) end"
  end
  for i, shape in ipairs(shapes) do
    lines[#lines + 1] = "do"
    add_plugin(lines, hook, i, shape)
    lines[#lines + 1] = "end"
  end
  if is_body(hook) then lines[#lines + 1] = "return text == chunk, text" end
  if is_message(hook) then
    lines[#lines + 1] = "if msg.data == chunk and msg.type == (last and 'binary' or 'text') then return nil, nil end"
    lines[#lines + 1] = "return changed(msg)"
  end
  lines[#lines + 1] = "end end"
  return assert(loadstring(table.concat(lines, "\n"), "=chain"))
end

--- @param place where C puts the number of the request whose chain it begins: a cdata, double *
function chain.read_from(place) in_hand = place end

local compiled = {}

local function key_of(hook, shapes)
  local words = { hook }
  for i, shape in ipairs(shapes) do
    words[i + 1] = (shape.when and "w" or "-") .. (shape.continue and "c" or "-")
  end
  return table.concat(words, " ")
end

--- A chain's function.
-- @tparam string hook
-- @tparam table links in the order they run: { run = function, instance =, slot =, when = function or nil,
--   continue = boolean: its errors do not end the request, name = }
-- @treturn function([chunk, last])
-- @treturn number slot of the hook that it begins with; 0: it tells itself when that begins
function chain.new(hook, links)
  local key = key_of(hook, links)
  local make = compiled[key]
  if not make then
    make = compile(hook, links)
    compiled[key] = make
  end
  local t = {}
  for i, link in ipairs(links) do
    local at = (i - 1) * FIELDS
    t[at + 1], t[at + 2], t[at + 3], t[at + 4], t[at + 5] =
      link.run, link.instance, link.slot, link.when or false, link.name
  end
  local first = links[1] and begins_at_once(hook, links[1]) and links[1].slot or 0
  return make(request.new, response.new, C, answered, not_a_text, error_of, try_of, xpcall, checked, traced, hook, type,
              request.kept, decode.feed, no_message, websocket.message, websocket.close_of, websocket.changed,
              in_hand)(t), first
end

return chain
