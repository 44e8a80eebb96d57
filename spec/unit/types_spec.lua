--- lua/tidegate/types.lua, which editors read, says what the real objects are: every function, parameter and field.
local files = require "support.files"
local metadata = require "tidegate.plugin.metadata"
local order = require "tidegate.plugin.order"
local plugin_fields = require "tidegate.plugin.fields"
local schema = require "tidegate.config.schema"
local socket_target = require "tidegate.tide.socket_target"
local tide = require "tidegate"
require "tidegate.plugin.when"

local TEXT = files.read "lua/tidegate/types.lua"

-- -- what the annotations say --

--- @treturn table by class: { fields = { name = true }, functions = { name = { "parameter", ... } } }
-- @treturn table by alias: { word = true }
local function read_annotations()
  local classes, aliases, variables, params = {}, {}, {}, {}
  local class, alias
  local function add_function(variable, name, list)
    local names = {}
    for word in list:gmatch "[%w_.]+" do names[#names + 1] = word end
    assert(variables[variable], "no class for " .. variable)
    assert.same(names, params, "@param lines of " .. name)
    variables[variable].functions[name] = names
    params = {}
  end
  for line in TEXT:gmatch "[^\n]*" do
    local name = line:match "^%-%-%-@class ([%w_.]+)"
    local words, field = line:match "^%-%-%-@alias ([%w_.]+)", line:match "^%-%-%-@field ([%w_]+)"
    local param, word = line:match "^%-%-%-@param ([%w_.]+)", line:match '^%-%-%-| "([%w_]+)"'
    local variable = line:match "^local ([%w_]+) = {}" or line:match "^(tide[%w_.]*) = {}"
    local owner, method, list = line:match "^function ([%w_.]+)[:.]([%w_]+)%((.-)%) end$"
    if name then
      class = { fields = {}, functions = {} }
      classes[name] = class
    elseif words then
      alias = {}
      aliases[words] = alias
      for one in line:gmatch '"([%w_]+)"' do alias[one] = true end
    elseif word then
      alias[word] = true
    elseif field then
      class.fields[field] = true
    elseif param then
      params[#params + 1] = param
    elseif variable then
      variables[variable] = class
    elseif owner then
      add_function(owner, method, list)
    end
  end
  return classes, aliases
end

local classes, aliases = read_annotations()

-- -- what there is --

--- A value that functions keep to themselves, by its name.
local function hidden(root, wanted)
  local seen = {}
  local function look(value, depth)
    if seen[value] or depth > 6 then return nil end
    seen[value] = true
    if type(value) == "table" then
      for _, inner in pairs(value) do
        local found = (type(inner) == "function" or type(inner) == "table") and look(inner, depth + 1)
        if found then return found end
      end
    end
    for i = 1, type(value) == "function" and 60 or 0 do
      local name, inner = debug.getupvalue(value, i)
      if not name then break end
      if name == wanted then return inner end
      local found = (type(inner) == "function" or type(inner) == "table") and look(inner, depth + 1)
      if found then return found end
    end
    return nil
  end
  return look(root, 1)
end

local function parameters(f, is_method)
  local info, names = debug.getinfo(f, "u"), {}
  for i = is_method and 2 or 1, info.nparams do names[#names + 1] = debug.getlocal(f, i) end
  if info.isvararg then names[#names + 1] = "..." end
  return names
end

--- The functions of a table, by name: their parameters.
local function functions_of(functions, is_method)
  local result = {}
  for name, value in pairs(functions) do
    if type(value) == "function" and name:sub(1, 2) ~= "__" then result[name] = parameters(value, is_method) end
  end
  return result
end

local function keys_of(...)
  local set = {}
  for _, list in ipairs { ... } do
    for name in pairs(list) do set[name] = true end
  end
  return set
end

local function words_of(list, ...)
  local set = {}
  for _, word in ipairs(list) do set[word] = true end
  for _, word in ipairs { ... } do set[word] = nil end
  return set
end

--- Methods and readable fields of an object, wherever its metatable keeps them.
local function members(object)
  local index = debug.getmetatable(object).__index
  if type(index) == "table" then return functions_of(index, true), {} end
  local found = {}
  for i = 1, 10 do
    local name, value = debug.getupvalue(index, i)
    if not name then break end
    found[name] = value
  end
  return functions_of(found.methods or {}, true), keys_of(found.getters or found.is_shown or {})
end

local redis = tide.redis.new()

local OBJECTS = {
  { "tide.Request", require("tidegate.request").new(0), without = "response_of" },      -- for the gateway's own use
  { "tide.Response", require("tidegate.response").new(0) },
  { "tide.Dictionary", tide.shared "types" },
  { "tide.Cache", tide.cache { name = "types", ttl = 1 } },
  { "tide.Limiter", tide.limiter.new { rate = 1 }, with = "limit" },
  { "tide.Regex", tide.re.compile "a" },
  { "tide.Network", tide.cidr.parse "10.0.0.0/8" },
  { "tide.Networks", tide.cidr.set { "10.0.0.0/8" } },
  { "tide.Key", tide.crypto.secret "a" },
  { "tide.Metric", tide.metrics.counter("types_total", "Of a spec.") },
  { "tide.RedisClient", redis },
  { "tide.RedisScript", redis:script "return 1" },
  { "tide.Timer", tide.timer.after(1, function() end) },
  { "tide.Socket", setmetatable({}, hidden(tide.socket.connect, "Socket")) },
  { "tide.Datagram", setmetatable({}, hidden(tide.socket.udp, "Datagram")) },
}

local OPTIONS = {
  { "tide.HttpOptions", hidden(tide.http.request, "OPTIONS") },
  { "tide.CacheOptions", hidden(tide.cache, "OPTIONS") },
  { "tide.LimiterOptions", hidden(tide.limiter.new, "OPTIONS") },
  { "tide.SocketOptions", socket_target.STREAM },
  { "tide.DatagramOptions", socket_target.DATAGRAM },
  { "tide.SocketTls", socket_target.TLS },
  { "tide.RedisOptions", hidden(tide.redis.new, "OPTIONS") },
  { "tide.CookieAttributes", hidden(tide.cookie.serialize, "ATTRIBUTES") },
  { "tide.JwtVerifyOptions", hidden(tide.jwt.verify, "VERIFY_OPTIONS") },
  { "tide.JwtSignOptions", hidden(tide.jwt.sign, "SIGN_OPTIONS") },
  { "tide.DictionaryStats", tide.shared("types"):stats() },
}

describe("the annotations for editors", function()
  for _, case in ipairs(OBJECTS) do
    it("know " .. case[1], function()
      local functions, fields = members(case[2])
      if case.without then fields[case.without] = nil end
      if case.with then
        assert.is_truthy(case[2][case.with])
        fields[case.with] = true
      end
      assert.same(functions, classes[case[1]].functions)
      assert.same(fields, classes[case[1]].fields)
    end)
  end

  it("know the responses of tide.http", function()
    local Response = hidden(tide.http.request, "Response")
    assert.same(functions_of(Response, true), classes["tide.HttpResponse"].functions)
  end)

  for _, case in ipairs(OPTIONS) do
    it("know the options " .. case[1], function() assert.same(keys_of(case[2]), classes[case[1]].fields) end)
  end

  it("know the library", function()
    local index = debug.getmetatable(tide).__index
    local known, special, modules, functions = hidden(index, "known"), hidden(index, "special"), {}, {}
    for name in pairs(keys_of(known, special)) do
      if type(tide[name]) == "table" then modules[name] = true else functions[name] = tide[name] end
    end
    for _, name in ipairs { "now", "monotonic", "sleep", "spawn" } do functions[name] = tide[name] end
    assert.same(modules, classes.tide.fields)
    assert.same(functions_of(functions), classes.tide.functions)
  end)

  for name in pairs(classes.tide.fields) do
    it("know tide." .. name, function()
      local class, fields = classes["tide." .. name], {}
      for key, value in pairs(tide[name]) do
        if type(value) ~= "function" then fields[key] = true end
      end
      assert.same(functions_of(tide[name]), class.functions)
      assert.same(fields, class.fields)
    end)
  end

  it("know what a plugin says, and its hooks", function()
    local names = words_of(hidden(metadata.check, "NAMES"))
    local hooks = words_of(hidden(metadata.check, "METHODS"))
    assert.same(keys_of(names, hooks), classes["tide.Plugin"].fields)
  end)

  it("know the attributes of a setting", function()
    assert.same(keys_of(hidden(plugin_fields, "ATTRIBUTES")), classes["tide.Field"].fields)
  end)

  it("know the types of settings, the bands and the stages", function()
    assert.same(words_of(schema.type_names()), aliases["tide.FieldType"])
    assert.same(words_of(order.ALL_BANDS), aliases["tide.Band"])
    assert.same(words_of(order.STAGES), aliases["tide.Stage"])
  end)

  it("know the algorithms of signatures", function()
    assert.same(keys_of(hidden(tide.crypto.sign, "algorithms")), aliases["tide.Algorithm"])
  end)

  it("are Lua", function() assert.is_function(loadstring(TEXT)) end)
end)
