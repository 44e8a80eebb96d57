--- The C core as Lua sees it: the library that holds its functions, its types declared.
-- In the gateway its own binary exports them. Elsewhere (specs) TIDEGATE_LIB names libtidegate.so.
local ffi = require "ffi"

ffi.cdef "const char *tide_cdef(void);"

local function exports_core(lib)
  return (pcall(function() return lib.tide_cdef end))
end

local function open()
  if exports_core(ffi.C) then return ffi.C end
  local path = os.getenv("TIDEGATE_LIB")
  if not path then
    error("the C core is not in this process: set TIDEGATE_LIB to the path of libtidegate.so", 0)
  end
  for _, name in ipairs { "yaml", "fake" } do
    package.preload["tidegate." .. name] = assert(package.loadlib(path, "luaopen_tidegate_" .. name))
  end
  return ffi.load(path)
end

local C = open()

-- Once per state, even where the module is loaded again, as busted does between files.
if not pcall(ffi.typeof, "struct tide_error") then ffi.cdef(ffi.string(C.tide_cdef())) end

return C
