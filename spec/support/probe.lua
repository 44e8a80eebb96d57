--- A gateway whose one plugin runs the Lua that a request brings; what it returns is the answer.
local assert = require "luassert"
local client = require "support.client"
local gateway = require "support.gateway"

local probe = {}

local PLUGIN = [[
--- Runs what a request brings.
local Probe = { version = "1.0.0", description = "Runs what a request brings.", band = "filter" }
Probe.__index = Probe

local function show(value)
  if type(value) ~= "table" or tide.redis.is_error(value) or value == tide.redis.null then return tostring(value) end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do
    parts[i] = (key == i and "" or tostring(key) .. "=") .. show(value[key])
  end
  return "{" .. table.concat(parts, " ") .. "}"
end

local function answer(req, ...)
  local shown = {}
  for i = 1, select("#", ...) do shown[i] = show((select(i, ...))) end
  return req:reply(200, table.concat(shown, " | "))
end

function Probe.new()
  local self = setmetatable({}, Probe)
  SETUP
  return self
end

local function compile(text)
  return assert(load("local self, req = ... " .. text, "=probe"))
end

function Probe:request(req)
  if req:header "x-log" then return req:reply(200, "logged") end
  return answer(req, compile(req:body(100000))(self, req))
end

function Probe:log(req)
  local text = req:header "x-log"
  if text then tide.log.info("probe " .. tostring(select(2, pcall(compile(text), self, req)))) end
end

return Probe
]]

local CONFIG = [[
lua: { budget: BUDGET, hard_limit: 20s }
plugins: [ probe ]
routes: [{ path: "/*", respond: { status: 404 } }]
]]

--- Starts one.
-- @tparam[opt=""] string setup Lua that makes fields of `self`, of which the code of requests is given the same
-- @tparam[opt=""] string yaml more configuration
-- @tparam[opt="5s"] string budget lua.budget
-- @tparam[opt] table environment as for gateway.start
function probe.start(setup, yaml, budget, environment)
  local text = PLUGIN:gsub("SETUP", function() return setup or "" end)
  return gateway.start((yaml or "") .. CONFIG:gsub("BUDGET", budget or "5s"),
                       { plugins = { probe = text }, environment = environment })
end

--- Runs code in a hook.
-- @tparam table gw
-- @tparam string code what it returns is shown, with " | " in between
-- @treturn string
function probe.run(gw, code)
  local response, why = client.ask(gw:port(), client.request { method = "POST", body = code }, { timeout = 20 })
  if not response then error(("no answer to %s: %s"):format(code, why), 2) end
  if response.status ~= 200 then error(("%d for %s\n%s"):format(response.status, code, gw:log()), 2) end
  return response.body
end

--- Checks that code is an error, at the line of the plugin.
-- @tparam function run function(code) -> what it returned, shown
-- @tparam string code
-- @tparam string message what the error says among other things
function probe.refuses(run, code, message)
  local answer = run(("return pcall(function() %s end)"):format(code))
  assert.equal("false | probe:1: ", answer:sub(1, 17))
  assert.truthy(answer:find(message, 1, true), answer)
end

--- Runs code in a hook, and goes on at once.
-- @treturn table the client, whose response may be read
function probe.begin(gw, code)
  local c = client.connect(gw:port())
  c:send(client.request { method = "POST", body = code })
  return c
end

--- Runs code in the log hook; gives what it returned or failed with.
function probe.log(gw, code)
  client.ask(gw:port(), client.request { headers = { "X-Log: " .. code } })
  return gw:wait_log("probe ([^\n]*) plugin=")
end

return probe
