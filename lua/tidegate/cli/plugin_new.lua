--- tidegate plugin new: a plugin to begin with, and its spec. Both work as they are.
local ffi = require "ffi"
local discover = require "tidegate.plugin.discover"
local say = require "tidegate.cli.say"

pcall(ffi.cdef, [[
  int cli_mkdir(const char *path, unsigned mode) __asm__("mkdir");
  int cli_access(const char *path, int mode) __asm__("access");
  int cli_unlink(const char *path) __asm__("unlink");
  char *cli_strerror(int code) __asm__("strerror");
]])

local NAME_MAX = 64

local PLUGIN = [[
--- Says hello in a header of every response.
local @CLASS = {
  version     = "0.1.0",
  description = "Says hello in a header of every response.",
  band        = "filter",
  schema      = {
    text = { type = "string", default = "hello", doc = "what the header says" },
  },
}
@CLASS.__index = @CLASS

--- Once per use in a configuration; conf has been checked against the schema.
function @CLASS.new(conf)
  return setmetatable({ text = conf.text }, @CLASS)
end

--- The head of the response is there, and has not been sent.
function @CLASS:response(res)
  res:set_header("@HEADER", self.text)
end

return @CLASS
]]

local SPEC = [[
local fake = require "tidegate.spec"
local plugin = fake.plugin "@NAME"

describe("@NAME", function()
  it("says hello", function()
    local out = fake.request {}:through(plugin {})
    assert.equal("hello", out.headers["@HEADER"])
  end)

  it("says what it is told to", function()
    local out = fake.request {}:through(plugin { text = "good day" })
    assert.equal("good day", out.headers["@HEADER"])
  end)

  it("says it in a real gateway", function()
    local gw = fake.gateway { plugins = { { @NAME = { text = "hi" } } } }
    local res = gw:get "/"
    gw:stop()
    assert.equal("hi", res.headers["@HEADER"])
  end)
end)
]]

--- "key_count" is KeyCount in Lua, and x-key-count in a header.
local function filled(template, name)
  local class = ("_" .. name):gsub("_+(%w?)", string.upper)
  local words = { NAME = name, CLASS = class, HEADER = "x-" .. name:gsub("_+", "-"):gsub("%-$", "") }
  return (template:gsub("@(%u+)", words))
end

local function reason() return ffi.string(ffi.C.cli_strerror(ffi.errno())) end
local function exists(path) return ffi.C.cli_access(path, 0) == 0 end

--- Makes a folder and those above it that are missing.
local function make_folder(path)
  if exists(path) then return true end
  local above = path:match "^(.*[^/])/+[^/]+/*$"
  if above and not make_folder(above) then return false end
  return ffi.C.cli_mkdir(path, 493) == 0      -- 0755
end

--- Writes a file that is not there yet.
local function write_new(path, text)
  local file, why = io.open(path, "wbx")
  if not file then return nil, (why:gsub("^.*: ", "")) end
  local good
  good, why = file:write(text)
  local closed, late = file:close()
  if good and closed then return true end
  ffi.C.cli_unlink(path)
  return nil, why or late
end

--- Writes both, or neither.
-- @treturn ?string the one that could not be written
-- @treturn ?string why
local function write_both(base, name)
  local good, why = write_new(base .. ".lua", filled(PLUGIN, name))
  if not good then return base .. ".lua", why end
  good, why = write_new(base .. "_spec.lua", filled(SPEC, name))
  if good then return nil end
  ffi.C.cli_unlink(base .. ".lua")
  return base .. "_spec.lua", why
end

local function trouble_with(name)
  if #name > NAME_MAX then return ("expected at most %d letters, found %d"):format(NAME_MAX, #name) end
  return discover.trouble_with(name)
end

--- Writes FOLDER/NAME.lua and FOLDER/NAME_spec.lua.
-- @tparam string name
-- @tparam string folder
-- @treturn number exit code
return function(name, folder)
  local trouble = trouble_with(name)
  if trouble then
    say.complain('"%s" cannot be the name of a plugin: %s', name, trouble)
    return say.BAD
  end
  local base = folder:gsub("(.)/+$", "%1") .. "/" .. name
  for _, path in ipairs { base .. ".lua", base .. "_spec.lua", base } do
    if exists(path) then
      say.complain("%s is there already, and nothing was written", path)
      return say.FAILED
    end
  end
  if not make_folder(folder) then
    say.complain("cannot make the folder %s: %s", folder, reason())
    return say.FAILED
  end
  local path, why = write_both(base, name)
  if path then
    say.complain("cannot write %s: %s", path, why)
    return say.FAILED
  end
  say.line("%s.lua", base)
  say.line("%s_spec.lua", base)
  if exists(discover.SHIPPED .. "/" .. name .. ".lua") or exists(discover.SHIPPED .. "/" .. name) then
    say.complain("a plugin %s comes with the gateway; where this folder is used, yours runs in its place", name)
  end
  return say.GOOD
end
