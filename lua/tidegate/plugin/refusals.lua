--- What plugins may not call, and what they do instead.
local refusals = {}

local FILES = "blocks the loop: keep what has to last in tide.shared, or in a service that tide.http reaches"
local PROGRAM = "blocks the loop: run the program as a service of its own and call it with tide.http or tide.socket"
local WRITE = "blocks the loop: use tide.log"
local READ = "blocks the loop: the body of a request is req:body()"
local DEBUG = "is refused: of debug, a plugin has only debug.traceback"
local ENVIRONMENT = "is refused: it would open the environment that keeps plugins apart"
local FILE_CODE = "blocks the loop: a helper file is loaded with require"

--- Functions of the standard libraries, by the name of the library ("_G" for plain names): what is said of a call.
refusals.functions = {
  _G = {
    dofile = FILE_CODE,
    loadfile = FILE_CODE,
    getfenv = ENVIRONMENT,
    setfenv = ENVIRONMENT,
    module = "is refused: a helper file returns a table",
    newproxy = "is refused: use a table with a metatable",
  },
  debug = setmetatable({}, { __index = function(_, name) return name ~= "traceback" and DEBUG or nil end }),
  io = {
    close = "closes a file of the gateway's: use file:close()",
    flush = WRITE,
    input = READ,
    output = WRITE,
    popen = PROGRAM,
    read = READ,
    tmpfile = FILES,
    write = WRITE,
  },
  math = {
    randomseed = "is refused: all plugins draw from one generator, which the gateway seeds",
  },
  os = {
    execute = PROGRAM,
    exit = "would end the gateway: raise an error, or answer with req:reply",
    remove = FILES,
    rename = FILES,
    setlocale = "is refused: it would change the whole gateway",
    tmpname = FILES,
  },
  string = {
    dump = "is refused: plugins do not load bytecode",
  },
}

--- What is said of names that are not there at all.
refusals.globals = {
  arg = "the command line is the gateway's; a plugin is configured by its conf",
  ffi = "only a trusted plugin may require it",
  jit = "only a trusted plugin may reach it",
  ngx = "see tide for what the gateway offers",
  package = "helper files are found by require alone",
}

local SOCKETS = "tide.socket or tide.http"
local DATABASES = "tide.redis, or a service that tide.http reaches"

-- Well-known modules that block, with all below them: "socket" is also "socket.http".
local BLOCKING = {
  copas = "tide.spawn", cqueues = SOCKETS, http = "tide.http", lfs = "io.open while the plugin is loaded",
  lsqlite3 = DATABASES, luasql = DATABASES, luv = SOCKETS, mysql = DATABASES, pgmoon = DATABASES,
  posix = SOCKETS, redis = "tide.redis", resty = "its counterpart in tide", socket = SOCKETS, ssl = SOCKETS,
}

--- What to use in place of a module that blocks.
-- @tparam string name "socket.http"
-- @treturn ?string
function refusals.instead_of(name) return BLOCKING[name:match "^[^.]*"] end

--- The functions of table that change one, for tables that are not the gateway's: those have their metatable locked.
local function own_tables_only(name, change)
  return function(value, ...)
    if getmetatable(value) == false then error(name .. ": this table belongs to the gateway", 2) end
    return change(value, ...)
  end
end

local CHANGES = { insert = true, remove = true, sort = true }

--- A function that only raises.
-- @tparam string name of what it stands for
-- @tparam string reason
function refusals.refuse(name, reason)
  return function() error(name .. " " .. reason, 2) end
end

--- A copy of a library with the refused functions replaced, so that one environment cannot change that of another.
-- @tparam string name "string"
-- @treturn table
function refusals.copy(name)
  local reasons, copy = refusals.functions[name] or {}, {}
  for key, value in pairs(_G[name]) do
    local reason = reasons[key]
    if type(value) ~= "function" then
      copy[key] = type(value) == "number" and value or nil
    else
      copy[key] = reason and refusals.refuse(name .. "." .. key, reason) or value
      if name == "table" and CHANGES[key] then copy[key] = own_tables_only("table." .. key, value) end
    end
  end
  return copy
end

--- Parts the methods of files or buffers from their metatable, which all plugins share.
-- It is its own __index, so that `file.__index` would be a way to change it.
-- @param object any of the kind
function refusals.hide_methods(object)
  local metatable = debug.getmetatable(object)
  if metatable.__index ~= metatable then return end
  local methods = {}
  for name, value in pairs(metatable) do
    if name:sub(1, 2) ~= "__" then methods[name] = value end
  end
  metatable.__index = methods
end

return refusals
