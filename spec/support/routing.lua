--- Asks the router of a configuration where a request goes, without a gateway.
local C = require "tidegate.ffi"
local config = require "tidegate.config"
local ffi = require "ffi"
local files = require "support.files"

local routing = {}

local query, answer, why = ffi.new "struct tide_route_query", ffi.new "struct tide_route_answer",
                           ffi.new "struct tide_error"

local function put(slice, text) slice.at, slice.len = text, #text end

--- Builds a configuration that must be good.
-- @tparam string text
-- @treturn function(method, host, path, headers) -> the name of the route, nil where there is none
function routing.of(text)
  local file = files.folder() .. "/tidegate.yaml"
  files.write(file, text)
  local result = config.load(file, { variables = {} })
  if not result.good then error(result.report:text() .. text, 2) end
  local generation = ffi.gc(result.generation, C.tide_generation_drop)
  local names = {}
  for _, route in ipairs(result.config.routes) do
    if route.enabled then names[#names + 1] = route.name end
  end
  return function(method, host, path, headers)
    local fields = {}
    for name, value in pairs(headers or {}) do fields[#fields + 1] = name .. "\0" .. value .. "\0" end
    put(query.method, method)
    put(query.authority, host)
    put(query.path, path)
    put(query.fields, table.concat(fields))
    put(query.query, "")
    put(query.client_ip, "127.0.0.1")
    query.listener = 0
    assert(C.tide_route_find(generation, query, answer, why) == 0, ffi.string(why.text))
    return names[answer.route + 1]
  end
end

return routing
