--- The response that hooks get.
local C = require "tidegate.ffi"
local message = require "tidegate.message"

local raise, text_of, number_of, bad_type = message.raise, message.text_of, message.number_of, message.bad_type

local setmetatable = setmetatable

local response = {}

local methods, getters = {}, {}
message.methods(methods, C.TIDE_RESPONSE)

function getters:status() return number_of(self, C.TIDE_STATUS) end

--- Who made it: upstream, plugin or gateway.
function getters:source() return text_of(self, C.TIDE_SOURCE) end

--- Seconds from the request's first byte to the upstream's answer; nil where no upstream was asked.
function getters:upstream_time()
  local seconds = number_of(self, C.TIDE_UPSTREAM_TIME)
  return seconds >= 0 and seconds or nil
end

--- @tparam number status 200 to 599
function methods:set_status(status)
  if type(status) ~= "number" then bad_type("set_status", "a status", status) end
  local result = C.tide_status_set(self[1], status)
  if result ~= C.TIDE_OK then raise(result, "set_status", status) end
end

--- Adds a Set-Cookie field.
-- @tparam string name
-- @tparam string value
-- @tparam[opt] table attributes see tide.cookie.serialize
function methods:set_cookie(name, value, attributes)
  local text, why = require("tidegate.tide.cookie").serialize(name, value, attributes)
  if not text then message.raise_text("set_cookie: " .. why) end
  self:add_header("set-cookie", text)
end

local metatable = message.class("res", methods, getters, {})

--- @tparam number number of the exchange
function response.new(number) return setmetatable({ number }, metatable) end

return response
