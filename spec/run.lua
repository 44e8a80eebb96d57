--- Runs spec files with busted: luajit spec/run.lua [busted's options] PATHS
-- What fails is shown at once, each file has a line when it is over. V=1 shows every case. Called by spec/run.sh.
local ffi = require "ffi"

ffi.cdef "int setenv(const char *name, const char *value, int overwrite); int unsetenv(const char *name);"

-- A sanitizer's library was loaded before this process; programs that specs start are to be as they are without it, and
-- the gateway has options of its own.
local own = os.getenv "TIDEGATE_ASAN_OPTIONS"
ffi.C.unsetenv "LD_PRELOAD"
if own then ffi.C.setenv("ASAN_OPTIONS", own, 1) end

table.insert(arg, 1, "--output=spec/support/outcome.lua")
table.insert(arg, 2, "--pattern=_spec%.lua$")

require "busted.runner" { standalone = false }
