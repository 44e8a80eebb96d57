--- The plugins of a loop: loads what the control thread has checked, builds chains when they are first needed.
-- Called from C (src/lua/chains.c), in each loop's own Lua.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local chain = require "tidegate.plugin.chain"
local load = require "tidegate.plugin.load"
local pack = require "tidegate.plugin.pack"
local request = require "tidegate.request"
local when = require "tidegate.plugin.when"

local runtime = {}

local REFILL = 20000    -- loop heads and calls between two looks at the clock

--- What counts down between two looks at the clock.
local function refill()
  if C.tide_budget_left() ~= 0 then return REFILL end
  error("the hook has used up its CPU budget (lua.budget)", 2)
end

local function where()
  return ffi.string(C.tide_place())
end

--- Called once per loop.
-- @tparam table requests what is kept of them, by place; C takes out those that are over
-- @tparam function spawn starts a function as a task in the background
-- @tparam userdata in_hand where C puts the number of the request whose chain it begins
-- @treturn table this module
function runtime.start(requests, spawn, in_hand)
  request.keep_in(requests)
  chain.read_from(ffi.cast("double *", in_hand))
  require("tidegate.tide.task").set_spawn(spawn)
  math.randomseed(C.tide_now() * 1e6 % 2 ^ 31 + C.tide_random())        -- LuaJIT starts every state with the same seed
  local good, opt = pcall(require, "jit.opt")
  if good then opt.start("maxtrace=8000", "maxrecord=16000", "maxmcode=40960", "sizemcode=256", "minstitch=3") end
  require("tidegate").freeze()
  return runtime
end

--- Begins to load a generation, which takes many steps: there are requests to be looked after meanwhile.
-- @tparam string bytes of tidegate.plugin.pack
-- @treturn table the generation: without its plugins, and then without its instances
function runtime.load(bytes)
  local bundle, names = pack.decode(bytes), {}
  for name in pairs(bundle.files) do names[#names + 1] = name end
  return { bundle = bundle, plugins = {}, links = {}, missing = names }
end

local function load_plugin(generation, name)
  local bundle = generation.bundle
  local plugin, why = load.plugin(bundle.files[name], bundle.modules[name] or {}, {
    tide = require "tidegate", refill = refill, where = where,
  })
  if why then error(why, 0) end
  generation.plugins[name] = plugin
end

local function load_instance(generation, use)
  local plugin = generation.plugins[use.plugin]
  C.tide_hook_loading(C.tide_hook_slot(use.plugin, use.name, "background", ""))
  local instance, why = load.instance(plugin, use.conf, use.name)
  C.tide_hook_loading(0)
  if not instance then error(("%s: %s"):format(use.place, why), 0) end
  table.insert(generation.links, {
    use = use, plugin = plugin, instance = instance, when = use.when and when.compile(use.when),
  })
end

--- Loads one plugin, or makes one instance.
-- @tparam table generation
-- @treturn boolean whether that was the last
function runtime.step(generation)
  local bundle, name = generation.bundle, table.remove(generation.missing)
  if name then
    load_plugin(generation, name)
    return false
  end
  local use = bundle.instances[#generation.links + 1]
  if use then
    load_instance(generation, use)
    return false
  end
  for _, file in pairs(bundle.files) do file.source, file.code = nil, nil end     -- never needed again
  bundle.modules = nil
  return true
end

--- In place of the hooks of code that has blocked a loop before.
local function in_quarantine(link)
  return function() error(("plugin %s is in quarantine until its file changes"):format(link.use.plugin), 0) end
end

local REVERSED = { response = true, response_body = true, message_back = true, ws_close = true }

--- The uses that a hook of a chain has, in the order in which they run. of_route: those of the route's own chain.
local function uses_of(bundle, number, hook, of_route)
  local list = {}
  local function add(ids)
    for _, id in ipairs(ids or {}) do list[#list + 1] = id end
  end
  if number == 0 or hook ~= "request" then add(bundle.global) end
  add(of_route)
  if REVERSED[hook] then
    local n = #list
    for i = 1, math.floor(n / 2) do list[i], list[n + 1 - i] = list[n + 1 - i], list[i] end
  end
  return list
end

local BODY_OF = { request = "request_body", response = "response_body" }

--- Whether one of the uses wants to see the body of a message plain.
local function wants_plain(generation, ids, hook)
  for _, id in ipairs(ids) do
    local link = generation.links[id]
    if link.plugin.decode and load.has_hook(link.plugin, link.instance, BODY_OF[hook]) then return true end
  end
  return false
end

--- The function of a chain and hook; C keeps it.
-- @tparam table generation
-- @tparam number number 0: the global chain, else that of the route of this number
-- @tparam number hook as C counts them
-- @treturn function
-- @treturn number slot of the hook that it begins with, see tidegate.plugin.chain
function runtime.build(generation, number, hook)
  local name, bundle = chain.HOOKS[hook + 1], generation.bundle
  local of_route, route = nil, ""
  if number > 0 then of_route, route = pack.route(bundle, number) end
  local links = {}
  local ids = uses_of(bundle, number, name, of_route)
  for _, id in ipairs(ids) do
    local link = generation.links[id]
    local method = chain.METHODS[name] or name
    local run = link.plugin[method]
    if load.has_hook(link.plugin, link.instance, method) then
      links[#links + 1] = {
        run = bundle.files[link.use.plugin].quarantined and in_quarantine(link) or run,
        instance = link.instance, when = link.when, name = link.use.name,
        continue = link.use.on_error == "continue" or name == "log" or name == "ws_close",
        slot = C.tide_hook_slot(link.use.plugin, link.use.name, method, route),
      }
    end
  end
  if BODY_OF[name] and wants_plain(generation, ids, name) then
    links[#links + 1] = { run = chain.DECODE[name], instance = false, slot = 0, name = "decode" }
  end
  return chain.new(name, links)
end

-- Machine code of old generations is given back only when all of it is.
local FLUSH_EVERY = 32
local retired = 0

--- The last request of a generation is done.
function runtime.retire(generation)
  retired = retired + 1
  if retired % FLUSH_EVERY == 0 then jit.flush() end
  for _, link in ipairs(generation.links) do
    if type(link.plugin.close) == "function" then
      local good, why = pcall(link.plugin.close, link.instance)
      if not good then C.tide_log(3, ("close of %s: %s"):format(link.use.name, tostring(why)), "", 0) end
    end
  end
end

return runtime
